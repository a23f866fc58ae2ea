"""
JSON documents of an image: strict where a wrong reading would change the image, else forgiving.

A field that is read must be there once, in one spelling, and of the right type, or the error names
the document and the place in it: container runtimes match keys without regard to case and take the
last of two, other readers do not, and so one document would be two images.  What nobody reads may
be odd; that becomes a finding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, NoReturn

from attrs import field, frozen

from unionlayers._foundation.digest import is_digest
from unionlayers._foundation.limits import exceeded
from unionlayers.errors import DocumentError

__all__ = ["Document", "parse_document"]

_BOM = b"\xef\xbb\xbf"
# Texts are passed over whole, so that a word inside one is not taken for a word of the document.
# One that never ends goes to the end, else the rest were gone through again from each quote in it.
_TEXT = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
_WORDS = re.compile(_TEXT + "|-?[A-Za-z]+", re.DOTALL)
_BRACKETS = re.compile(_TEXT + r"|[\[\]{}]", re.DOTALL)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# Of keys that stand twice and matter to nobody so many places are told, each so long at most.
_MOST_TOLD = 20
_LONGEST_TOLD = 200
# Of a key so much is told in a pointer: errors are kept for each image, the key is one for all.
_LONGEST_KEY = 1000
# Smaller objects are many, and gone through again in no time: so many keys, of so many characters.
_SMALL = 32
_SHORT = 1000

_Spellings = dict[str, list[str]]
"""Names by what they are without regard to case."""

_Way = tuple["_Way", str] | None
"""A place inside a document: the place that holds it, and its key there."""


def parse_document(raw: bytes, member: str) -> Document:
    """
    Parse a document.

    Args:
        raw: The bytes, as the archive has them.
        member: Name of the archive member or blob, for errors.

    Raises:
        DocumentError: It is no JSON.
    """
    suspects: list[dict[str, Any]] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(items) > 1 and len({name.casefold() for name, _ in items}) != len(items):
            spelled: dict[str, list[str]] = {}
            for name, _ in items:
                spelled.setdefault(name.casefold(), []).append(name)
            suspects.append(found)
            repeated.append({key: sorted(set(one)) for key, one in spelled.items() if one[1:]})
        return found

    repeated: list[_Spellings] = []

    def constant(name: str) -> NoReturn:
        found = (match.start() for match in _WORDS.finditer(text) if match.group() == name)
        raise DocumentError(
            "not a JSON number", member=member, offset=_offset(text, next(found, 0)), actual=name
        )

    if raw.startswith(_UTF_16) or raw[1:2] == b"\0":
        raise DocumentError("the document is UTF-16, and JSON is UTF-8", member=member, offset=0)
    oddities: list[tuple[str, str]] = []
    if raw.startswith(_BOM):
        oddities.append(("BYTE_ORDER_MARK", f"{member} begins with a byte order mark"))
        raw = raw[len(_BOM) :]
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "surrogateescape")
        oddities.append(("NOT_UTF8", f"{member} has bytes that are not UTF-8"))
    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise DocumentError(
            f"the document is not JSON: {error.msg}" if raw else "the document is empty",
            member=member,
            offset=_offset(text, error.pos),
        ) from error
    except RecursionError as error:
        raise DocumentError(
            "the document is nested too deeply", member=member, offset=_offset(text, _deepest(text))
        ) from error
    except ValueError as error:
        raise DocumentError(f"the document cannot be read: {error}", member=member) from error
    twice = {id(one): names for one, names in zip(suspects, repeated, strict=True)}
    told = [
        f"{member} has one key more than once, at {pointer or 'the top'}: "
        + ", ".join(name[:_LONGEST_TOLD] for name in _first(names))
        for pointer, names in (_places(value, twice) if twice else ())
    ]
    if len(twice) > len(told):
        more = len(twice) - len(told)
        told.append(f"{member} has one key more than once at {more} more places")
    oddities += [("DUPLICATE_KEY", message) for message in told]
    return Document(value, member, None, twice, tuple(oddities))


def _deepest(text: str) -> int:
    """Give where the innermost of all arrays and objects begins."""
    place = depth = most = 0
    for match in _BRACKETS.finditer(text):
        mark = match.group()
        if mark in "[{":
            depth += 1
            if depth > most:
                place, most = match.start(), depth
        elif mark in "]}":
            depth -= 1
    return place


def _offset(text: str, place: int) -> int:
    """Give where a character stands in the bytes."""
    return len(text[:place].encode("utf-8", "surrogateescape"))


def _first(names: _Spellings) -> list[str]:
    """Give the first three of some names."""
    return list(islice(sorted(chain.from_iterable(names.values())), 3))


def _places(value: Any, twice: dict[int, _Spellings]) -> Iterator[tuple[str, _Spellings]]:
    """
    Say where in the document objects are that have a key more than once, the first few of them.

    A pointer is only made of what is told: with long keys it is as long as the document.
    """
    told = 0
    pending: list[tuple[_Way, Any]] = [(None, value)]
    while pending and told < _MOST_TOLD:
        way, inner = pending.pop()
        if isinstance(inner, dict):
            if (names := twice.get(id(inner))) is not None:
                told += 1
                yield _pointer(way), names
            pending += [((way, key), item) for key, item in inner.items() if _holds(item)]
        elif isinstance(inner, list):
            pending += [((way, str(at)), item) for at, item in enumerate(inner) if _holds(item)]


def _holds(value: Any) -> bool:
    return isinstance(value, dict | list)


def _pointer(way: _Way) -> str:
    """Spell a place, cut at the front where it is long."""
    parts: list[str] = []
    length = 0
    while way is not None and length < _LONGEST_TOLD:
        way, key = way
        parts.append(_escaped(key)[:_LONGEST_TOLD])
        length += len(parts[-1]) + 1
    return ("" if way is None else "…") + "".join(f"/{part}" for part in reversed(parts))


def _spelled_out(way: _Way) -> str:
    """Spell a place as a JSON pointer."""
    keys: list[str] = []
    while way is not None:
        way, key = way
        keys.append(f"/{_escaped(_cut(key))}")
    return "".join(reversed(keys))


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _cut(key: str) -> str:
    return key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}…"


def _kind(value: Any) -> str:
    """Name a type as JSON does."""
    for python, name in (
        (bool, "a boolean"), (dict, "an object"), (list, "an array"), (str, "a text"),
        (int | float, "a number"),
    ):  # fmt: skip
        if isinstance(value, python):
            return name
    return "nothing"


@frozen
class Document:
    """
    A value inside a document, with the place where it stands.

    Attributes:
        value: What the JSON says.
        member: Name of the document.
        way: The place of the value; None for the whole document.
        twice: Keys that are there more than once, or in two spellings, by `id` of the object.
        oddities: Code and message of what is odd about the document as a whole.
    """

    value: Any = field(repr=False)
    member: str
    way: _Way = field(default=None, repr=False)
    twice: dict[int, _Spellings] = field(factory=dict, repr=False, eq=False)
    oddities: tuple[tuple[str, str], ...] = ()
    _spelled: dict[int, _Spellings] = field(factory=dict, repr=False, eq=False)

    @property
    def pointer(self) -> str:
        """
        The place of the value as a JSON pointer (RFC 6901); of a very long key its beginning.

        Cost:
            It is spelled anew each time, so ask for it only where it is told.
        """
        return _spelled_out(self.way)

    def wrong(self, expected: str) -> DocumentError:
        """Give the error for a value of the wrong kind."""
        actual = _kind(self.value)
        if actual in ("a text", "a number", "a boolean"):
            actual += f" {str(self.value)[:100]!a}"
        return DocumentError(
            f"expected {expected}",
            member=self.member,
            pointer=self.pointer,
            actual=actual,
        )

    def at(self, key: str | int) -> Document:
        """
        Give a field or an item; the value of an absent field is None.

        Raises:
            DocumentError: This is no object, or it has the field more than once or in another
                spelling.
        """
        if isinstance(key, int):
            value = self.value[key]
        elif isinstance(self.value, dict):
            value = self._field(key)
        else:
            raise self.wrong("an object")
        way = (self.way, str(key))
        return Document(value, self.member, way, self.twice, self.oddities, spelled=self._spelled)

    def _field(self, key: str) -> Any:
        fields: dict[str, Any] = self.value
        folded = key.casefold()
        twice = self.twice.get(id(fields), {}).get(folded) if self.twice else None
        spelled = twice or (None if key in fields else self._spellings(fields).get(folded))
        if spelled:
            raise DocumentError(
                "a key stands twice" if twice else "a key is spelled as only some readers take it",
                member=self.member,
                pointer=_spelled_out((self.way, key)),
                expected=_cut(key),
                actual=", ".join(sorted(spelled))[:200],
            )
        return fields.get(key)

    def _spellings(self, fields: dict[str, Any]) -> _Spellings:
        """Give the keys of an object by what they are without regard to case; found once."""
        known = self._spelled.get(id(fields))
        if known is None:
            known = {}
            for name in fields:
                known.setdefault(name.casefold(), []).append(name)
            if len(fields) > _SMALL or sum(map(len, fields)) > _SHORT:
                self._spelled[id(fields)] = known
        return known

    def object(self) -> dict[str, Any]:
        """Give an object; null and absent are an empty one."""
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return self.value

    def fields(self) -> dict[str, Any]:
        """Give an object of which every field counts, so that none may be there twice."""
        found = self.object()
        for name in _first(self.twice.get(id(found), {})):
            self.at(name)
        return found

    def items(self, limit: str | None = None, bound: int = 0) -> list[Document]:
        """
        Give the items of an array; null and absent are an empty one.

        Args:
            limit: The field of `Limits` that bounds their number, if one does.
            bound: Its value.

        Raises:
            DocumentError: This is no array.
            LimitError: It has more items than that.
        """
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.wrong("an array")
        if limit is not None and len(self.value) > bound:
            exceeded(limit, bound, len(self.value), member=self.member, pointer=self.pointer)
        return [self.at(position) for position in range(len(self.value))]

    def text(self) -> str | None:
        """Give a text, None where absent."""
        if self.value is not None and not isinstance(self.value, str):
            raise self.wrong("a text")
        if self.value is not None:
            try:
                self.value.encode("utf-8")
            except UnicodeEncodeError as error:
                raise self.wrong("a text of Unicode characters") from error
        return self.value

    def required_text(self) -> str:
        """Give a text that must be there."""
        text = self.text()
        if text is None:
            raise self.wrong("a text")
        return text

    def size(self) -> int | None:
        """Give a number of bytes, None where absent."""
        value = self.value
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
            raise self.wrong("a number of bytes")
        return value

    def digest(self) -> str:
        """
        Give a digest.

        Raises:
            DocumentError: It is no text, has no registered algorithm, or its hexadecimal part is
                not lower case and of the right length.
        """
        if not isinstance(self.value, str):
            raise self.wrong("a digest")
        if not is_digest(self.value):
            raise DocumentError(
                "not a digest of a registered algorithm",
                member=self.member,
                pointer=self.pointer,
                actual=self.value[:200],
                expected="sha256:<64 lower-case hexadecimal digits>",
            )
        return self.value

    def texts(self) -> dict[str, str]:
        """Give an object of texts, such as annotations; what is none is left out."""
        if not isinstance(self.value, dict):
            return {}
        names = self.fields().items()
        return {key: value for key, value in names if isinstance(value, str) and _is_text(value)}


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
