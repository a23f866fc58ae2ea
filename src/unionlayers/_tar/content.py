"""The content of a sparse tar entry as a source of bytes: stored segments, and holes of zeros."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from unionlayers._bytes.source import ByteSource, SourceIdentity, check_range
from unionlayers.errors import ClosedError, TarError

__all__ = ["SparseSource"]


class SparseSource:
    """
    A sparse file; its segments are stored back to back.

    Args:
        source: The tar that holds the segments; it stays open when this is closed.
        offset: Where the first segment is stored in *source*, in bytes.
        segments: (offset in the file, length) of each, in order and without overlap.
        size: Bytes of the file, holes included.

    Spec:
        GNU tar manual, "Storing Sparse Files".
    """

    def __init__(
        self,
        source: ByteSource,
        offset: int,
        segments: Sequence[tuple[int, int]],
        size: int,
    ) -> None:
        self._source: ByteSource | None = source
        self._segments = segments
        self._starts = [start for start, _ in segments]
        self._stored = list(accumulate((length for _, length in segments), initial=offset))
        self.size = size

    @property
    def identity(self) -> SourceIdentity | None:
        """None: no stretch of a file has these bytes."""
        return None

    def pread(self, offset: int, length: int) -> bytes:
        """Read *length* bytes at *offset*; fewer only at the end."""
        check_range(offset, length)
        source = self._source
        if source is None:
            raise ClosedError("the file was closed")
        end = min(offset + length, self.size)
        parts: list[bytes] = []
        at = offset
        position = max(0, bisect_right(self._starts, offset) - 1)
        while at < end:
            if position >= len(self._segments):
                parts.append(bytes(end - at))
                break
            start, stored = self._segments[position]
            if at < start:
                hole = min(start, end) - at
                parts.append(bytes(hole))
                at += hole
            elif at < start + stored:
                wanted = min(start + stored, end) - at
                where = self._stored[position] + at - start
                data = source.pread(where, wanted)
                if len(data) != wanted:
                    raise TarError("the content of a sparse file is cut off", offset=where)
                parts.append(data)
                at += wanted
            else:
                position += 1
        return b"".join(parts)

    def close(self) -> None:
        """Let go of the tar."""
        self._source = None
