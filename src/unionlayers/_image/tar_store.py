"""
An image archive as a store: its member headers are read, and nothing of what lies between.

Members are found by their headers alone, 512 bytes at a time, so that opening an archive of many
gigabytes reads a few kilobytes.  Links between members are followed inside the archive, as Docker
before version 25 writes a layer that occurs twice.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from itertools import islice

from unionlayers._bytes.memory import MemorySource
from unionlayers._bytes.source import ByteSource
from unionlayers._bytes.window import WindowSource
from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._foundation.names import clean_entry_name, decode
from unionlayers._tar.content import SparseSource
from unionlayers._tar.entry import TarEntry
from unionlayers._tar.reader import ByteStream, TarReader
from unionlayers.errors import LinkLoopError, TarError

__all__ = ["SourceStream", "TarStore"]

_HOPS = 8


class SourceStream:
    """The bytes of a source from the first to the last, without reading what is skipped."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self.position = 0

    def take(self, length: int) -> bytes:
        """Give the next *length* bytes; fewer only at the end."""
        data = self._source.pread(self.position, length)
        self.position += len(data)
        return data

    def skip(self, length: int) -> int:
        """Pass over the next *length* bytes and tell how many there were."""
        skipped = max(0, min(length, self._source.size - self.position))
        self.position += skipped
        return skipped


class TarStore:
    """
    The members of a tar archive.

    Args:
        source: The archive, plain; the store closes it.
        label: What errors call it.
        limits: Bound on members.

    Raises:
        TarError: A header is damaged, or the archive ends in the middle of a member.
        LimitError: Too many members.

    Cost:
        A read of 512 bytes for each member.
    """

    def __init__(self, source: ByteSource, label: str, limits: Limits) -> None:
        self.source = source
        self._index(SourceStream(source), label, limits)

    def _index(self, stream: ByteStream, label: str, limits: Limits) -> None:
        self.label = label
        self.members: dict[str, TarEntry] = {}
        self.duplicates: list[str] = []
        reader = TarReader(stream, limits)
        try:
            for count, entry in enumerate(islice(reader, limits.members + 1)):
                if count == limits.members:
                    exceeded("members", limits.members, count + 1)
                name = decode(clean_entry_name(entry.name)[0])
                if name in self.members and entry.typeflag != ord("5"):
                    self.duplicates.append(name)
                if entry.typeflag != ord("5"):
                    self.members[name] = entry
        except TarError as error:
            if error.member is None:
                error.member = label
            raise

    def names(self) -> Iterable[str]:
        """Names of all members that are no directories."""
        return self.members

    def resolved(self, name: str) -> str | None:
        """Give the name that a member's bytes stand under once links are followed."""
        for _ in range(_HOPS + 1):
            entry = self.members.get(name)
            if entry is None:
                return None
            if entry.typeflag == ord("1"):
                name = decode(clean_entry_name(entry.linkname)[0])
            elif entry.typeflag == ord("2"):
                target = decode(entry.linkname)
                joined = posixpath.join(posixpath.dirname(name), target)
                name = decode(clean_entry_name(joined.encode("utf-8", "surrogateescape"))[0])
            else:
                return name
        raise LinkLoopError(
            "too many links between members of the archive", path=name, expected=_HOPS
        )

    def find(self, name: str) -> ByteSource | None:
        """Give the bytes of a member; the archive stays open when they are closed."""
        at = self.resolved(name)
        if at is None:
            return None
        entry = self.members[at]
        if entry.typeflag not in b"07S":
            return MemorySource(b"")
        if entry.sparse is not None:
            return SparseSource(self.source, entry.data_offset, entry.sparse, entry.size)
        return WindowSource(self.source, entry.data_offset, entry.size)

    def close(self) -> None:
        """Close the archive."""
        self.source.close()
