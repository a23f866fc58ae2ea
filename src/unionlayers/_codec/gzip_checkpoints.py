"""
Checkpoints in the middle of a gzip member, made while it is being inflated at full speed.

When one is due, the compressed bytes ahead are searched for a likely block start.  The inflater
is led exactly there and asked to prove that a block could begin at that bit, which uses it up;
a new one, begun at that place with the last 32 KiB as its window, takes over.  Inflating goes on
from the very state that the checkpoint holds, so that what is read through it later cannot differ
from what this pass gave.

Where the proof fails, the state before is made again from the last good place, and after a few
failures no more are tried: honest streams hardly ever fail.
"""

from __future__ import annotations

import sys

from unionlayers._codec.checkpoint import Checkpoint, CheckpointLog
from unionlayers._codec.deflate_bits import WINDOW_BYTES, inflater_at, prove_block_start
from unionlayers._codec.deflate_blocks import LOOK_AHEAD, find_block_start
from unionlayers._codec.engines import INFLATE_ERRORS, Inflater, zstd
from unionlayers._codec.intake import Intake
from unionlayers.errors import StreamError

__all__ = ["CheckpointMaker", "unpack_window"]

_NEVER = sys.maxsize
_SEARCH = 16 * 1024
# How far after the place where it was found a block may begin: after a longest stored one.
_FURTHEST = 64 * 1024
# Where this much is searched in vain, blocks are longer than usual, or of a kind not found.
_SEARCH_IN_VAIN = 256 * 1024
_FAILURES = 3
_REPLAY_STEP = 64 * 1024
_REPLAY_ROOM = 512 * 1024


class CheckpointMaker:
    """
    The making of checkpoints for one `GzipDecoder`.

    Attributes:
        due: The plain offset from which on the decoder should ask for a `lead`.
    """

    __slots__ = (
        "_anchor",
        "_clear",
        "_failures",
        "_log",
        "_recent",
        "_searched",
        "_target",
        "_target_bit",
        "_vain",
        "due",
    )

    def __init__(self, log: CheckpointLog) -> None:
        self._log = log
        self._anchor = (0, 0, b"")
        self._recent = b""
        self._target: int | None = None
        self._target_bit = 0
        self._clear = 0
        self._searched = 0
        self._vain = 0
        self._failures = 0
        self.due = _NEVER

    def begin(self, bit_offset: int, offset: int, window: bytes) -> None:
        """Be told that an inflater begins at a place with a window."""
        self._anchor = (bit_offset, offset, window)
        self._recent = window
        self._target = None
        self._clear = 0
        self._set_due(offset)

    def saw(self, data: bytes) -> None:
        """Be told the next plain bytes."""
        if len(data) >= WINDOW_BYTES:
            self._recent = data
        elif data:
            self._recent = self._recent[-WINDOW_BYTES:] + data

    def lead(self, intake: Intake, offset: int) -> int:
        """
        Tell how many bytes to feed at most before asking again.

        Args:
            intake: The compressed bytes, at those that are fed next.
            offset: Plain bytes given so far, at least `due`.

        Returns:
            At least 1; or 0 if the place was reached where a block may begin: `cross` it.
        """
        position = intake.position
        if self._target is not None:
            return self._target - position
        if position < self._clear:
            return self._clear - position
        due = self._log.due(offset)
        if due is None or due > offset:
            self._set_due(offset)
            return _SEARCH
        if self._searched >= _SEARCH_IN_VAIN:
            self._vain += 1
            self._searched = 0
            spacing = self._log.spacing or 0
            self.due += spacing << min(self._vain, 6)
            return _SEARCH
        data = intake.peek(_SEARCH + _FURTHEST + LOOK_AHEAD)
        end = min(_SEARCH, len(data) - LOOK_AHEAD)
        if end <= 0:
            # So close to the end of the blob a checkpoint would win nothing.
            self.due = _NEVER
            return _SEARCH
        bit = find_block_start(data, end)
        if bit is None:
            self._searched += end
            self._clear = position + end
            return end
        self._target, self._target_bit = position + bit // 8, bit % 8
        return bit // 8

    def cross(self, intake: Intake, inflater: Inflater, offset: int) -> tuple[bytes, Inflater]:
        """
        Make a checkpoint of the place that `lead` led to, if a block really begins there.

        Args:
            intake: The compressed bytes, at the byte in which the block begins.
            inflater: What has been fed everything before; it is used up.
            offset: Plain bytes given so far.

        Returns:
            The plain bytes that were still to come before the block, and the inflater to go on
            with.
        """
        first = intake.peek(1)[0]
        bit = self._target_bit
        target = intake.position * 8 + bit
        try:
            data = prove_block_start(inflater, bit, first)
        except INFLATE_ERRORS:
            data = None
        if data is None:
            return self._recovered(intake, offset)
        window = (self._recent[-WINDOW_BYTES:] + data)[-WINDOW_BYTES:]
        offset += len(data)
        self._log.add(Checkpoint(target, offset, zstd.compress(window)))
        intake.advance(bool(bit))
        # The decoder tells of *data* itself, after which `_recent` is the window again.
        recent = self._recent
        self.begin(target, offset, window)
        self._recent = recent
        self._searched = self._vain = 0
        return data, inflater_at(window, bit, first)

    def _recovered(self, intake: Intake, offset: int) -> tuple[bytes, Inflater]:
        """Make the inflater again that a failed proof has used up."""
        self._failures += 1
        self._target = None
        self._clear = intake.position + 1
        if self._failures >= _FAILURES:
            self.due = _NEVER
        bit_offset, given, window = self._anchor
        replay = intake.again(bit_offset // 8)
        bit = bit_offset % 8
        inflater = inflater_at(window, bit, replay.peek(1)[0])
        replay.advance(bool(bit))
        late: list[bytes] = []
        while True:
            piece = replay.some(min(_REPLAY_STEP, intake.position - replay.position))
            data = inflater.decompress(piece, _REPLAY_ROOM)
            replay.advance(len(piece) - len(inflater.unconsumed_tail))
            given += len(data)
            if given > offset:
                late.append(data[max(0, len(data) - (given - offset)) :])
            if not data and replay.position == intake.position:
                break
        if given < offset:
            raise StreamError("the gzip stream changed while it was read", offset=intake.position)
        return b"".join(late), inflater

    def _set_due(self, offset: int) -> None:
        due = self._log.due(offset)
        self.due = _NEVER if due is None or self._failures >= _FAILURES else due


def unpack_window(packed: bytes) -> bytes:
    """
    Give the window that a checkpoint of gzip holds.

    Raises:
        StreamError: It is damaged.
    """
    try:
        unpacking = zstd.ZstdDecompressor()
        window = unpacking.decompress(packed, WINDOW_BYTES + 1)
    except zstd.ZstdError as error:
        raise StreamError(f"the window of a checkpoint is damaged: {error}") from error
    if len(window) > WINDOW_BYTES or not unpacking.eof:
        raise StreamError("the window of a checkpoint is damaged", actual=len(window))
    return window
