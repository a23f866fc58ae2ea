"""
Places inside of a compressed stream at which decoding can begin.

A checkpoint is two numbers and what a decoder must know of the bytes before.  They are gathered
while a stream is decoded anyway, in a log that several decoders of one stream can share; the
index store keeps them as they are.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterable

from attrs import frozen

__all__ = ["FREE_SPACING", "Checkpoint", "CheckpointLog"]

FREE_SPACING = 256 * 1024
"""
How many plain bytes lie at least between checkpoints that cost nothing to make.

Starts of members and frames are such; an eStargz layer has one per file.  Random access decodes
pages of this size, so that a closer spacing would win nothing.
"""


@frozen
class Checkpoint:
    """
    One place at which a decoder can begin.

    Attributes:
        bit_offset: Where in the compressed blob, in bits; a multiple of 8 except for gzip.
        offset: Where in the plain bytes, in bytes.
        window: What a decoder must know of the bytes before, packed, to be stored as it is; empty
            at the start of a member or frame, where nothing need be known.
    """

    bit_offset: int
    offset: int
    window: bytes


class CheckpointLog:
    """
    The checkpoints of one blob, in order; safe from any number of threads.

    The start of the blob is always one of them.

    Args:
        spacing: How many plain bytes should lie between two checkpoints that cost something; None
            if none of these shall be made.
        checkpoints: Those that are known already.
    """

    __slots__ = ("_lock", "_offsets", "_points", "spacing")

    def __init__(self, spacing: int | None, checkpoints: Iterable[Checkpoint] = ()) -> None:
        self.spacing = spacing
        self._lock = threading.Lock()
        known = sorted({point.offset: point for point in checkpoints}.items())
        if not known or known[0][0] > 0:
            known.insert(0, (0, Checkpoint(0, 0, b"")))
        self._offsets = [offset for offset, _ in known]
        self._points = [point for _, point in known]

    def points(self) -> tuple[Checkpoint, ...]:
        """Give all of them but the start of the blob."""
        with self._lock:
            return tuple(self._points[1:])

    def before(self, offset: int) -> Checkpoint:
        """Give the last one at or before *offset*."""
        with self._lock:
            return self._points[bisect.bisect_right(self._offsets, offset) - 1]

    def due(self, offset: int) -> int | None:
        """
        Give the place from *offset* on before which no more that cost something are wanted.

        Where it is not *offset* itself, ask again there.
        """
        spacing = self.spacing
        if spacing is None:
            return None
        with self._lock:
            place = bisect.bisect_right(self._offsets, offset)
            wanted = max(self._offsets[place - 1] + spacing, offset)
            if place < len(self._offsets) and self._offsets[place] < wanted + spacing // 2:
                # Another one follows so soon that the next is wanted after that.
                wanted = self._offsets[place] + spacing
        return wanted

    def add(self, checkpoint: Checkpoint) -> None:
        """Add one that was verified."""
        with self._lock:
            self._insert(checkpoint)

    def add_start(self, byte_offset: int, offset: int) -> None:
        """Add the start of a member or frame, unless there is one within `FREE_SPACING`."""
        with self._lock:
            place = bisect.bisect_right(self._offsets, offset)
            if offset - self._offsets[place - 1] < FREE_SPACING:
                return
            if place < len(self._offsets) and self._offsets[place] - offset < FREE_SPACING:
                return
            self._insert(Checkpoint(byte_offset * 8, offset, b""))

    def _insert(self, checkpoint: Checkpoint) -> None:
        place = bisect.bisect_left(self._offsets, checkpoint.offset)
        if place == len(self._offsets) or self._offsets[place] != checkpoint.offset:
            self._offsets.insert(place, checkpoint.offset)
            self._points.insert(place, checkpoint)
