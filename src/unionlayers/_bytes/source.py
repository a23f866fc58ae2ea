"""
What everything above reads from: immutable bytes that can be asked for at any offset.

A source is a size and `ByteSource.pread`, nothing more.  It has no position, so any number of
threads may read it at once, and compressed blobs, archive members and whole files look alike to
those who read them.  Sources hold no cache; nothing here knows what the bytes mean.
"""

from __future__ import annotations

from typing import Protocol

from attrs import evolve, frozen

__all__ = ["ByteSource", "SourceIdentity", "check_range"]


@frozen(kw_only=True)
class SourceIdentity:
    """
    Which bytes of which file, in a state of which nothing was written since.

    Two equal identities mean the same bytes, as far as the file system tells the truth about
    its times.

    Attributes:
        device: The device number of the file (``st_dev``).
        inode: The inode number of the file (``st_ino``).
        size: Bytes of the whole file.
        mtime_ns: When its contents were last written, in nanoseconds since the epoch.
        ctime_ns: When its inode was last changed, in nanoseconds since the epoch.
        offset: Where the source begins in the file, in bytes.
        length: How many bytes the source has.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    offset: int
    length: int

    def narrowed(self, offset: int, length: int) -> SourceIdentity:
        """Give the identity of *length* bytes from *offset* of this source on."""
        return evolve(self, offset=self.offset + offset, length=length)


class ByteSource(Protocol):
    """
    Immutable bytes with random access; safe from any number of threads.

    To implement one, give these four; everything else is derived by those who read.
    """

    @property
    def size(self) -> int:
        """How many bytes there are."""

    @property
    def identity(self) -> SourceIdentity | None:
        """Which bytes of which file these are; None where no file stands behind them."""

    def pread(self, offset: int, length: int) -> bytes:
        """
        Read *length* bytes at *offset*.

        Args:
            offset: Bytes from the start, at least 0.
            length: Bytes wanted, at least 0.

        Returns:
            The bytes; fewer than *length* only at the end, none at or past it.

        Raises:
            ValueError: *offset* or *length* is negative.
            ClosedError: The source was closed.
            SourceChangedError: The file behind it is not what it was when it was opened.
        """

    def close(self) -> None:
        """Let go of what the source holds; closing twice is allowed."""


def check_range(offset: int, length: int) -> None:
    """Raise `ValueError` unless both numbers are at least 0."""
    if offset < 0 or length < 0:
        raise ValueError(f"cannot read {length} bytes at offset {offset}")
