"""A run of bytes of another source as a source of its own: the member of an archive, say."""

from __future__ import annotations

from unionlayers._bytes.source import ByteSource, SourceIdentity, check_range
from unionlayers.errors import ClosedError

__all__ = ["WindowSource"]


class WindowSource:
    """
    *length* bytes of *source* from *offset* on.

    The window does not own its source: closing the one leaves the other open.

    Args:
        source: What the bytes are read from.
        offset: Where the window begins in it, in bytes.
        length: Bytes of the window; it may not end past the end of *source*.

    Raises:
        ValueError: The window does not lie inside of the source.

    Example:
        >>> from unionlayers._bytes.memory import MemorySource
        >>> WindowSource(MemorySource(b"abcdef"), 2, 3).pread(1, 10)
        b'de'
    """

    __slots__ = ("_offset", "_source", "identity", "size")

    _offset: int
    identity: SourceIdentity | None
    size: int

    def __init__(self, source: ByteSource, offset: int, length: int) -> None:
        check_range(offset, length)
        if offset + length > source.size:
            raise ValueError(
                f"{length} bytes at offset {offset} do not lie inside of {source.size} bytes"
            )
        if isinstance(source, WindowSource):
            # Windows of windows are flattened, so that a read costs the same at any depth.
            offset, source = offset + source._offset, source._open_source()
        self._source: ByteSource | None = source
        self._offset = offset
        self.size = length
        whole = source.identity
        self.identity = None if whole is None else whole.narrowed(offset, length)

    def __repr__(self) -> str:
        """Name the source and the run of bytes."""
        return f"WindowSource({self._source!r}, offset={self._offset}, length={self.size})"

    def pread(self, offset: int, length: int) -> bytes:
        """Read *length* bytes at *offset* of the window; see `ByteSource.pread`."""
        check_range(offset, length)
        source = self._open_source()
        return source.pread(
            self._offset + min(offset, self.size), max(0, min(length, self.size - offset))
        )

    def close(self) -> None:
        """Close the window only; twice is allowed."""
        self._source = None

    def _open_source(self) -> ByteSource:
        if self._source is None:
            raise ClosedError("the source was closed")
        return self._source
