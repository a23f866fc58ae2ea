"""Bytes in memory as a source."""

from __future__ import annotations

from unionlayers._bytes.source import check_range
from unionlayers.errors import ClosedError

__all__ = ["MemorySource"]


class MemorySource:
    """
    The bytes of *data*.

    What can be written to, such as a ``bytearray``, is copied, so that the source stays what it
    is; ``bytes`` and views of them are not.

    Example:
        >>> MemorySource(b"abcdef").pread(4, 10)
        b'ef'
    """

    __slots__ = ("_view", "identity", "size")

    identity: None
    size: int

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.identity = None
        view = memoryview(data)
        if not view.readonly:
            view = memoryview(bytes(view))
        self._view: memoryview | None = view.cast("B")
        self.size = view.nbytes

    def __repr__(self) -> str:
        """Tell the size."""
        return f"MemorySource(size={self.size})"

    def pread(self, offset: int, length: int) -> bytes:
        """Read *length* bytes at *offset*; see `ByteSource.pread`."""
        check_range(offset, length)
        view = self._view
        if view is None:
            raise ClosedError("the source was closed")
        return bytes(view[offset : offset + length])

    def close(self) -> None:
        """Let go of the bytes; twice is allowed."""
        self._view = None
