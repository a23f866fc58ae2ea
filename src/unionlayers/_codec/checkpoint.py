"""
Places inside of a compressed stream at which decoding can begin.

A checkpoint is two numbers and what a decoder must know of the bytes before.  They are gathered
while a stream is decoded anyway, in a log that several decoders of one stream can share; the
index store keeps them as they are.
"""

from __future__ import annotations

import bisect
import threading
import weakref
from collections.abc import Iterable

from attrs import frozen

from unionlayers._foundation.forking import renew_in_children

__all__ = ["FREE_SPACING", "MOST_HELD", "MOST_HELD_TOGETHER", "Checkpoint", "CheckpointLog"]

FREE_SPACING = 256 * 1024
"""
How many plain bytes lie at least between checkpoints that cost nothing to make.

Starts of members and frames are such; an eStargz layer has one per file.  Random access decodes
pages of this size, so that a closer spacing would win nothing.
"""

MOST_HELD = 64 << 20
"""
Bytes that the checkpoints of one blob may hold together.

As much as some 25 GB of gzip need, or 2 GB of zstd.
"""

MOST_HELD_TOGETHER = 128 << 20
"""Bytes that the checkpoints of all blobs of a process may hold together."""


@frozen
class Checkpoint:
    """
    One place at which a decoder can begin.

    Attributes:
        bit_offset: Where in the compressed blob, in bits; a multiple of 8 except for gzip.
        offset: Where in the plain bytes, in bytes.
        window: What a decoder must know of the bytes before, packed, to be stored as it is: for
            gzip the last 32 KiB, for zstd a `Resumption`; empty at the start of a member or frame,
            where nothing need be known.
    """

    bit_offset: int
    offset: int
    window: bytes


class CheckpointLog:
    """
    The checkpoints of one blob, in order; safe from any number of threads.

    The start of the blob is always one of them.

    Where what they hold grows beyond `MOST_HELD`, every second is dropped, and further ones are
    made at twice the distance.  The same happens to the log that holds most, where all logs of the
    process together hold more than `MOST_HELD_TOGETHER`.

    Args:
        spacing: How many plain bytes should lie between two checkpoints that cost something; None
            if none of these shall be made.
        checkpoints: Those that are known already.

    Attributes:
        barren: Whether stretches were met where none could be made, so that another way to read
            at any offset is needed.
    """

    __slots__ = (
        "__weakref__",
        "_held",
        "_lock",
        "_offsets",
        "_points",
        "_thinned",
        "barren",
        "spacing",
    )

    def __init__(self, spacing: int | None, checkpoints: Iterable[Checkpoint] = ()) -> None:
        self.spacing = spacing
        self.barren = False
        self._thinned = 1
        self._lock = threading.Lock()
        known = sorted({point.offset: point for point in checkpoints}.items())
        if not known or known[0][0] > 0:
            known.insert(0, (0, Checkpoint(0, 0, b"")))
        self._offsets = [offset for offset, _ in known]
        self._points = [point for _, point in known]
        self._held = sum(len(point.window) for point in self._points)
        renew_in_children(self)
        if self._held:
            _logs.relieve(self)

    @property
    def held_bytes(self) -> int:
        """How many bytes its checkpoints hold."""
        return self._held

    def renew(self) -> None:
        """Take a new lock in a forked child, and what another thread had not yet put in order."""
        self._lock = threading.Lock()
        self._offsets = [point.offset for point in self._points]
        self._held = sum(len(point.window) for point in self._points)

    def points(self) -> tuple[Checkpoint, ...]:
        """Give all of them but the start of the blob."""
        with self._lock:
            return tuple(self._points[1:])

    def before(self, offset: int) -> Checkpoint:
        """Give the last one at or before *offset*."""
        with self._lock:
            return self._points[bisect.bisect_right(self._offsets, offset) - 1]

    def due(self, offset: int, spacing: int | None = None) -> int | None:
        """
        Give the place from *offset* on before which no more that cost something are wanted.

        Where it is not *offset* itself, ask again there.

        Args:
            offset: Where to begin.
            spacing: How far apart they shall be, if not as far as `spacing` says.
        """
        if self.spacing is None:
            return None
        with self._lock:
            spacing = (spacing or self.spacing) * self._thinned
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
        if checkpoint.window:
            _logs.relieve(self)

    def thin(self) -> None:
        """Drop every second of those that hold something, and make them twice as far apart."""
        with self._lock:
            self._thin()

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
            self._held += len(checkpoint.window)
            while self._held > MOST_HELD:
                self._thin()

    def _thin(self) -> None:
        costly = [point.offset for point in self._points if point.window]
        dropped = set(costly[::2])
        self._points = [point for point in self._points if point.offset not in dropped]
        self._offsets = [point.offset for point in self._points]
        self._held = sum(len(point.window) for point in self._points)
        self._thinned *= 2


class _Logs:
    """The logs of this process that hold something."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: weakref.WeakSet[CheckpointLog] = weakref.WeakSet()
        renew_in_children(self)

    def renew(self) -> None:
        """Take a new lock in a forked child."""
        self._lock = threading.Lock()

    def relieve(self, grown: CheckpointLog) -> None:
        """Let those go that are too many, now that a log has grown; nobody may hold its lock."""
        with self._lock:
            self._all.add(grown)
            held = {log: log.held_bytes for log in self._all}
            total = sum(held.values())
            while total > MOST_HELD_TOGETHER:
                most = max(held, key=held.__getitem__)
                most.thin()
                total -= held[most] - most.held_bytes
                held[most] = most.held_bytes


_logs = _Logs()
