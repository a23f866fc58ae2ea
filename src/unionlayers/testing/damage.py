"""
What is wrong with an archive, on purpose.

A `Damage` is applied while an image is written: documents are edited before they are hashed, so
that everything above them fits; members are replaced, left out and added after everything has its
name, so that nothing does.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from unionlayers.testing.entry import Entry, texts

__all__ = ["Contents", "Damage", "dump"]


def dump(document: object) -> bytes:
    """Give a document as compact JSON, its members in the order they have."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _bytes_of(given: Mapping[str, bytes] | None) -> Mapping[str, bytes]:
    return dict(given or {})


def _entries(given: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(given)


@frozen(kw_only=True)
class Damage:
    """
    Changes to what an image is written as.

    Documents and blobs have roles: ``config``, ``manifest``, ``index`` (one inside another),
    ``index.json``, ``manifest.json``, ``repositories``, ``oci-layout``, ``version`` (of
    ``dir:``), ``json`` (of a layer in Docker's first format), ``VERSION`` (beside it),
    ``attestation``, and ``layer:0`` and up, counted from the base.

    Attributes:
        edits: Role, and a function that takes the parsed document and gives another, or the bytes
            to write.  It is called for each document of that role, perhaps more than once, and must
            always answer the same.
        replace: Role or pattern of member names, and the bytes to store under the old name.
        omit: Roles and patterns of member names to leave out; ``*`` matches slashes too.
        before: Entries to put in front of all others.
        after: Entries to put behind them; a name that is there already is a duplicate.

    Example:
        >>> damage = Damage(edits={"config": lambda config: {**config, "os": "plan9"}},
        ...                 omit=["layer:0"])
        >>> damage.omit
        ('layer:0',)
    """

    edits: Mapping[str, Callable[[Any], Any]] = field(factory=dict)
    replace: Mapping[str, bytes] = field(factory=dict, converter=_bytes_of)
    omit: tuple[str, ...] = field(default=(), converter=texts)
    before: tuple[Entry, ...] = field(default=(), converter=_entries)
    after: tuple[Entry, ...] = field(default=(), converter=_entries)


class Contents:
    """
    The members of an archive while they are put together.

    A member whose name is there already is not added again: layers and configs that images share
    are stored once.
    """

    def __init__(self, damage: Damage) -> None:
        self._damage = damage
        self._members: dict[bytes, tuple[str, Entry]] = {}

    def document(self, role: str, document: Any) -> bytes:
        """Give the bytes of a document, edited where the damage says so."""
        edit = self._damage.edits.get(role)
        if edit is not None:
            document = edit(document)
        return document if isinstance(document, bytes) else dump(document)

    def add(self, role: str, entry: Entry) -> None:
        """Add a member in its role, unless there is one of that name."""
        self._members.setdefault(entry.path, (role, entry))

    def members(self) -> list[tuple[str, Entry]]:
        """Give role and entry of all members, undamaged and in the order of their adding."""
        return list(self._members.values())

    def finished(self, *, ordered: bool) -> tuple[Entry, ...]:
        """Give all members, damaged; *ordered* sorts them by name first."""
        members: Iterable[tuple[str, Entry]] = self._members.values()
        if ordered:
            members = sorted(members, key=lambda member: member[1].path)
        damage = self._damage
        kept = [
            self._replaced(role, entry)
            for role, entry in members
            if not any(_matches(pattern, role, entry) for pattern in damage.omit)
        ]
        return (*damage.before, *kept, *damage.after)

    def _replaced(self, role: str, entry: Entry) -> Entry:
        for pattern, content in self._damage.replace.items():
            if _matches(pattern, role, entry):
                return evolve(entry, content=content)
        return entry


def _matches(pattern: str, role: str, entry: Entry) -> bool:
    name = entry.path.decode("utf-8", "surrogateescape")
    return pattern == role or fnmatch.fnmatchcase(name, pattern)
