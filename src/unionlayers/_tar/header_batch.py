"""A stretch of a tar as it was gathered: plain headers not yet looked at, others settled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from unionlayers._tar.entry import TarEntry

__all__ = ["HeaderBatch", "ReadAgain", "Run"]

_MOST = 2048
_MOST_OTHERS = 512
# Extension headers of so many bytes are held at once; one may have a MiB.
_MOST_EXTENSION_BYTES = 1 << 20


class ReadAgain(Protocol):
    """Reads one header by itself, which may raise."""

    def __call__(self, block: bytes, offset: int, ordinal: int, before: int, /) -> TarEntry:
        """
        Give the entry.

        Args:
            block: Its header.
            offset: Where that stands in the tar.
            ordinal: Its position among the entries.
            before: The size that the entry before has though its type has no content, else 0.
        """


class Run(NamedTuple):
    """
    Ordinary headers of a batch that follow each other without anything between.

    Attributes:
        start: Position of the first in the *blocks* of the batch.
        stop: Position behind the last.
        ordinal: Position of the first among the entries of the tar.
    """

    start: int
    stop: int
    ordinal: int


class HeaderBatch:
    """
    Entries that follow each other in a tar.

    Args:
        first: The ordinal of the first of them.
        read_again: What knows better where a header is not ordinary after all.

    Attributes:
        first: The ordinal of the first entry.
        blocks: Headers of regular files and empty directories without extensions, whose size was
            read and nothing else.
        offsets: Where each of *blocks* stands in the tar.
        sizes: Bytes of content of each.
    """

    __slots__ = (
        "_extension_bytes",
        "_others",
        "_read_again",
        "blocks",
        "first",
        "offsets",
        "sizes",
    )

    def __init__(self, first: int, read_again: ReadAgain) -> None:
        self.first = first
        self.blocks: list[bytes] = []
        self.offsets: list[int] = []
        self.sizes: list[int] = []
        self._read_again = read_again
        self._others: list[tuple[int, TarEntry, int]] = []
        self._extension_bytes = 0

    @property
    def full(self) -> bool:
        """Whether nothing more is to be added."""
        return (
            len(self.blocks) >= _MOST
            or len(self._others) >= _MOST_OTHERS
            or self._extension_bytes >= _MOST_EXTENSION_BYTES
        )

    def add_other(self, entry: TarEntry, bodiless: int) -> None:
        """
        Add an entry behind those that are here.

        Args:
            entry: It, settled.
            bodiless: The size that its header has though its type has no content, else 0.
        """
        self._others.append((len(self.blocks), entry, bodiless))
        self._extension_bytes += entry.data_offset - entry.start_offset

    def entry_again(self, position: int, ordinal: int) -> TarEntry:
        """Give the entry of an ordinary header, whose ordinal is known."""
        return self._read_again(self.blocks[position], self.offsets[position], ordinal, 0)

    def pieces(self, odd: list[int]) -> Iterator[Run | TarEntry]:
        """
        Give everything in the order of the tar.

        Args:
            odd: Positions in *blocks* that are not ordinary, rising.

        Raises:
            TarError: When its turn has come: one of the odd headers is damaged.
        """
        marks = [(position, index, -1) for index, (position, _, _) in enumerate(self._others)]
        marks += [(position, len(self._others), position) for position in odd]
        marks.sort()
        start, ordinal, before = 0, self.first, 0
        for position, index, again in marks:
            ordinary = position - start
            if ordinary:
                before = 0
                yield Run(start, position, ordinal)
            ordinal += ordinary
            if again < 0:
                start = position
                _, entry, before = self._others[index]
            else:
                start = position + 1
                entry = self._read_again(self.blocks[again], self.offsets[again], ordinal, before)
                before = 0
            yield entry
            ordinal += 1
        if start < len(self.blocks):
            yield Run(start, len(self.blocks), ordinal)
