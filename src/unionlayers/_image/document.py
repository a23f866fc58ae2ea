"""
JSON documents of an image, read strictly.

A document that could be read in two ways is refused: duplicate keys, numbers that are none, text
that is not UTF-8.  A field that is absent is None; a field of the wrong type is an error that
names the document and the place in it.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn

from attrs import frozen

from unionlayers._foundation.digest import canonical_digest
from unionlayers.errors import DocumentError

__all__ = ["Document", "parse_document"]


def parse_document(raw: bytes, member: str) -> Document:
    """
    Parse a document.

    Args:
        raw: The bytes, as the archive has them.
        member: Name of the archive member or blob, for errors.

    Raises:
        DocumentError: It is no JSON, or no JSON that all readers read alike.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            counted = Counter(name for name, _ in items)
            twice = counted.most_common(1)[0][0]
            raise DocumentError("a key stands twice", member=member, actual=twice[:200])
        return found

    def constant(text: str) -> NoReturn:
        raise DocumentError("not a JSON number", member=member, actual=text)

    try:
        value = json.loads(
            raw.decode("utf-8-sig"), object_pairs_hook=pairs, parse_constant=constant
        )
    except UnicodeDecodeError as error:
        raise DocumentError(
            "the document is not UTF-8", member=member, offset=error.start
        ) from error
    except json.JSONDecodeError as error:
        raise DocumentError(
            f"the document is not JSON: {error.msg}", member=member, offset=error.pos
        ) from error
    except RecursionError as error:
        raise DocumentError("the document is nested too deeply", member=member) from error
    except ValueError as error:
        raise DocumentError(f"the document cannot be read: {error}", member=member) from error
    return Document(value, member, "")


@frozen
class Document:
    """
    A value inside a document, with the place where it stands.

    Attributes:
        value: What the JSON says.
        member: Name of the document.
        pointer: JSON pointer of the value (RFC 6901).
    """

    value: Any
    member: str
    pointer: str

    def wrong(self, expected: str) -> DocumentError:
        """Give the error for a value of the wrong kind."""
        return DocumentError(
            f"expected {expected}",
            member=self.member,
            pointer=self.pointer or "/",
            actual=type(self.value).__name__,
        )

    def at(self, key: str | int) -> Document:
        """Give a field or an item; the value of an absent field is None."""
        if isinstance(key, int):
            value = self.value[key]
        elif isinstance(self.value, dict):
            value = self.value.get(key)
        else:
            raise self.wrong("an object")
        escaped = str(key).replace("~", "~0").replace("/", "~1")
        return Document(value, self.member, f"{self.pointer}/{escaped}")

    def object(self) -> dict[str, Any]:
        """Give an object; null and absent are an empty one."""
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return self.value

    def items(self) -> list[Document]:
        """Give the items of an array; null and absent are an empty one."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.wrong("an array")
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
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.wrong("a number of bytes")
        return value

    def digest(self) -> str:
        """Give a digest in canonical form."""
        return canonical_digest(self.value, member=self.member, pointer=self.pointer or "/")

    def texts(self) -> dict[str, str]:
        """Give an object of texts, such as annotations; other values are left out."""
        return {key: value for key, value in self.object().items() if isinstance(value, str)}
