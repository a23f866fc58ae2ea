"""Blocks of a tar that are at hand, as the reader takes them from a stream."""

from __future__ import annotations

__all__ = ["HeldBlocks"]


class HeldBlocks:
    """
    Bytes in memory as the stream of a `TarReader`.

    Attributes:
        position: The offset of the next byte.
    """

    __slots__ = ("_data", "position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def take(self, length: int, /) -> bytes:
        """Give the next bytes; fewer only at the end."""
        data = self._data[self.position : self.position + length]
        self.position += len(data)
        return data

    def skip(self, length: int, /) -> int:
        """Pass over the next bytes and tell how many there were."""
        return len(self.take(length))
