"""The bytes of a source in order, what is skipped unread."""

from __future__ import annotations

from unionlayers._bytes.source import ByteSource

__all__ = ["SourceStream"]


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
