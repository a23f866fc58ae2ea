"""Which facts of two entries differ, in the words that changes are told in."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from typing import Protocol

from unionlayers._layers.entry import Entry

__all__ = ["FIELDS", "differing_fields", "differing_xattrs", "type_name"]

FIELDS = (
    "type",
    "content",
    "size",
    "mode",
    "uid",
    "gid",
    "mtime",
    "link",
    "xattr",
    "capability",
    "device",
    "hardlink",
)
"""The names of the fields, in the order in which they are told."""

_CAPABILITY = "security.capability"

_NAMES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFIFO: "fifo",
}


def type_name(entry: Entry) -> str:
    """Give the type as one word: file, directory, symlink, device or fifo."""
    return _NAMES[entry.type]


def differing_fields(one: Entry, other: Entry) -> tuple[str, ...]:
    """
    Give the fields in which the metadata of two entries differ.

    Content of one size and the identity of hard links are not in the metadata, and so are left to
    the caller; content of two sizes differs.  ``size`` is of files alone: that of a link goes with
    its text.  The mode of a symbolic link means nothing and is not compared.

    Example:
        >>> from attrs import evolve
        >>> from unionlayers._layers.entry import IMPLIED_DIRECTORY
        >>> differing_fields(IMPLIED_DIRECTORY, evolve(IMPLIED_DIRECTORY, uid=7, mtime_ns=1))
        ('uid', 'mtime')
    """
    return tuple(_differing(one, other))


def _differing(one: Entry, other: Entry) -> Iterator[str]:
    if one.type != other.type:
        yield "type"
    if stat.S_ISREG(one.mode) and stat.S_ISREG(other.mode) and one.size != other.size:
        yield "content"
        yield "size"
    link = stat.S_ISLNK(one.mode) or stat.S_ISLNK(other.mode)
    if not link and stat.S_IMODE(one.mode) != stat.S_IMODE(other.mode):
        yield "mode"
    if one.uid != other.uid:
        yield "uid"
    if one.gid != other.gid:
        yield "gid"
    if one.mtime_ns != other.mtime_ns:
        yield "mtime"
    if one.target != other.target:
        yield "link"
    yield from differing_xattrs(one, other)
    if one.device != other.device:
        yield "device"


class WithXattrs(Protocol):
    """What has xattrs."""

    @property
    def xattrs(self) -> Sequence[tuple[str, bytes]]:
        """Pairs of name and value, sorted by name."""


def differing_xattrs(one: WithXattrs, other: WithXattrs) -> Iterator[str]:
    """Give ``"xattr"`` where xattrs differ, and ``"capability"`` where that one does."""
    if one.xattrs == other.xattrs:
        return
    plain, other_plain = (
        [pair for pair in entry.xattrs if pair[0] != _CAPABILITY] for entry in (one, other)
    )
    if plain != other_plain:
        yield "xattr"
    if _capability(one) != _capability(other):
        yield "capability"


def _capability(entry: WithXattrs) -> bytes | None:
    return dict(entry.xattrs).get(_CAPABILITY)
