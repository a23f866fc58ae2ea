"""
An image archive as a store: its member headers are read, and nothing of what lies between.

Members are found by their headers alone, 512 bytes at a time, so that opening an archive of many
gigabytes reads a few kilobytes.  Links between members are followed inside the archive, as Docker
before version 25 writes a layer that occurs twice.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from functools import partial
from itertools import islice

from unionlayers._bytes.memory import MemorySource
from unionlayers._bytes.source import ByteSource
from unionlayers._bytes.source_stream import SourceStream
from unionlayers._bytes.window import WindowSource
from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._foundation.names import clean_entry_name, decode, encode
from unionlayers._image.listing import Listed, Remnant
from unionlayers._tar.content import SparseSource
from unionlayers._tar.entry import TarEntry
from unionlayers._tar.loose_bytes import loose_bytes
from unionlayers._tar.reader import ByteStream, TarReader
from unionlayers.errors import TarError

__all__ = ["TarStore"]

_HOPS = 8
# Of the text of a link that is not followed no more is told.
_TOLD = 1000


def _target(name: str, entry: TarEntry) -> str:
    """Give the name that a link leads to."""
    target = decode(entry.linkname)
    if entry.typeflag == ord("2"):
        target = posixpath.join(posixpath.dirname(name), target)
    return decode(clean_entry_name(encode(target))[0])


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
        self._limits = limits
        self._index(SourceStream(source), label, limits)

    def _index(self, stream: ByteStream, label: str, limits: Limits) -> None:
        self.label = label
        self.members: dict[str, TarEntry] = {}
        self._repeated: set[str] = set()
        self._top: dict[str, bool] = {}
        self._targets: dict[str, str] = {}
        reader = TarReader(stream, limits)
        try:
            for count, entry in enumerate(islice(reader, limits.members + 1)):
                if count == limits.members:
                    exceeded("members", limits.members, count + 1, member=label)
                name = decode(clean_entry_name(entry.name)[0])
                first, inside, _ = name.partition("/")
                is_folder = entry.typeflag == ord("5")
                if first:
                    self._top[first] = self._top.get(first, False) or bool(inside) or is_folder
                if not is_folder:
                    if name in self.members:
                        self._repeated.add(name)
                    self.members[name] = entry
        except TarError as error:
            if error.member is None:
                error.member = label
            raise

    def top(self) -> dict[str, bool]:
        """Names at the top, and whether each is a folder."""
        return self._top

    def has(self, name: str) -> bool:
        """Tell whether a file or link has this name."""
        return name in self.members

    def repeated(self, name: str) -> bool:
        """Tell whether the name stands more than once; the last one counts (case L12)."""
        return name in self._repeated

    def resolved(self, name: str) -> str | None:
        """Give the name that a member's bytes stand under; None for links that lead nowhere."""
        return self._followed(name)[0]

    def unfollowed(self, name: str) -> tuple[str, str] | None:
        """Give the last link on the way from a name to nothing, and what it says."""
        found, link = self._followed(name)
        return None if found is not None else link

    def _followed(self, name: str) -> tuple[str | None, tuple[str, str] | None]:
        """Follow links; give the name that the bytes stand under, and the last link."""
        link: tuple[str, str] | None = None
        for _ in range(_HOPS + 1):
            entry = self.members.get(name)
            if entry is None:
                return None, link
            if entry.typeflag not in b"12":
                return name, link
            # Many names may lead over one link, whose text can be as long as a header.
            if name not in self._targets:
                self._targets[name] = _target(name, entry)
            link = name, decode(entry.linkname[:_TOLD])
            name = self._targets[name]
        return None, link

    def find(self, name: str) -> ByteSource | None:
        """Give the bytes of a member; the archive stays open when they are closed."""
        at = self.resolved(name)
        if at is None:
            return None
        return self._content(self.members[at])

    def _content(self, entry: TarEntry) -> ByteSource:
        if entry.typeflag not in b"07S":
            return MemorySource(b"")
        if entry.sparse is not None:
            return SparseSource(self.source, entry.data_offset, entry.sparse, entry.size)
        return WindowSource(self.source, entry.data_offset, entry.size)

    def listing(self) -> Iterator[Listed]:
        """
        Give all members that are files, those too that a later one of their name replaces.

        Cost:
            Reads the headers of all members once more.
        """
        for entry in TarReader(SourceStream(self.source), self._limits):
            name = decode(clean_entry_name(entry.name)[0])
            current = self.members.get(name)
            if entry.typeflag in b"07S" and current is not None:
                counts = current.ordinal == entry.ordinal
                yield Listed(name, entry.size, counts, partial(self._content, entry))

    def remnants(self) -> Iterator[Remnant]:
        """Give what lies between the members and behind the end of the tar."""
        for loose in loose_bytes(self.source, self._limits):
            yield Remnant(loose.kind, loose.offset, loose.size, self.source)

    def close(self) -> None:
        """Close the archive."""
        self.source.close()
