"""
Checkpoints in the middle of a zstd frame, made while it is being decoded.

When one is due, the blocks ahead are looked at for two clean boundaries.  The decoder is led to
the first and to the second; what a new decoder must know at the second is put together there, and
a decoder that begins with it runs ahead.  Only when the pass has given the same bytes for a while
is the checkpoint kept.

The decoder of the pass itself goes on untouched, so that the checksum of the frame still counts.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence

from attrs import evolve, frozen

from unionlayers._codec.checkpoint import Checkpoint, CheckpointLog
from unionlayers._codec.engines import zstd
from unionlayers._codec.intake import Intake
from unionlayers._codec.zstd_blocks import (
    Block,
    clean_boundaries,
    next_boundary,
    read_blocks,
    read_tree,
)
from unionlayers._codec.zstd_resume import Resumption, WindowFill, repeat_offsets

__all__ = ["LARGEST_WINDOW", "ZstdCheckpointMaker"]

LARGEST_WINDOW = 8 << 20
"""
Frames with a larger window get no checkpoints: each would hold that much.

Every level up to 19 and every encoder of container tools stays below it; ``--long`` does not.
"""

_NEVER = sys.maxsize
# How much dearer a checkpoint is than one of gzip, and how much of the plain bytes windows may be.
_SPACING_FACTOR = 4
_WINDOWS = 8
# Repeat offsets are measured over at least so many sequences, and after so many blocks anew.
_SEQUENCES = 8
_FURTHEST = 64
# How many blocks are looked at, at first and where that was in vain.
_AHEAD = 48
_AHEAD_LATER = 384
# Plain bytes that a checkpoint must give right before it is kept.
_PROOF = 1 << 20
_LONGEST_BLOCK = 128 * 1024
_SMALLEST_BEFORE = 1024
_VAIN = 16


@frozen
class _Plan:
    """
    Two clean boundaries: where measuring begins, and where the checkpoint is.

    Attributes:
        first: Where measuring begins.
        second: Where the checkpoint is.
        proof_end: Where the blocks end that prove it.
        first_tree: Where the table of literals at the first is written; None if it was before.
        second_tree: The same for the second.
    """

    first: int
    second: int
    proof_end: int
    first_tree: int | None
    second_tree: int | None


class ZstdCheckpointMaker:
    """
    The making of checkpoints for one `ZstdDecoder` in one frame.

    Args:
        log: Takes the checkpoints; is told where it is no use.
        start: What is known where the making begins; its window is at most `LARGEST_WINDOW`.
        boundary: Where that is in the blob: a block begins there.
        offset: Plain bytes before it.
        options: Of decoders.
    """

    __slots__ = (
        "_ahead",
        "_before",
        "_boundary",
        "_candidate",
        "_dropped",
        "_due",
        "_expected",
        "_fill",
        "_held",
        "_log",
        "_options",
        "_plan",
        "_recent",
        "_spacing",
        "_start",
        "_tree",
        "_vain",
        "_window",
    )

    def __init__(
        self,
        log: CheckpointLog,
        start: Resumption,
        boundary: int,
        offset: int,
        options: dict[int, int],
    ) -> None:
        self._log = log
        # Not its content, which is dropped once it is out of reach.
        self._start = evolve(start, content=b"")
        self._window = start.window
        self._tree = start.tree
        self._options = options
        self._boundary = boundary
        self._spacing = max(_SPACING_FACTOR * (log.spacing or 0), _WINDOWS * self._window)
        self._recent = deque([start.content])
        self._held = len(start.content)
        # Whether plain bytes of the frame are missing before those that are held.
        self._dropped = False
        self._fill: WindowFill | None = None
        self._plan: _Plan | None = None
        self._before: bytes | None = None
        self._candidate: Checkpoint | None = None
        self._expected = memoryview(b"")
        self._ahead = _AHEAD
        self._vain = 0
        self._due = self._next_due(offset)

    def lead(self, intake: Intake, offset: int) -> int:
        """
        Tell how many bytes to feed at most before asking again.

        Args:
            intake: The compressed bytes, at those that are fed next.
            offset: Plain bytes given so far: all that the bytes before *intake* hold.
        """
        if offset < self._due:
            return _NEVER
        position = intake.position
        plan = self._plan
        if plan is None:
            self._due = self._next_due(offset)
            if offset < self._due:
                return _NEVER
            plan = self._plan = self._planned(intake, position)
            if plan is None:
                return _NEVER
        if position < plan.first:
            return plan.first - position
        if position == plan.first:
            self._before = self._content()
        if position < plan.second:
            return plan.second - position
        self._plan = None
        self._make(intake, plan, offset)
        return _NEVER

    def saw(self, data: bytes, offset: int) -> None:
        """Be told the next plain bytes, which end at *offset*."""
        if self._candidate is not None:
            self._compare(data)
        if offset <= self._due - self._window:
            self._recent.clear()
            self._held = 0
            self._dropped = True
            return
        recent = self._recent
        recent.append(data)
        self._held += len(data)
        while self._held - len(recent[0]) >= self._window:
            self._held -= len(recent.popleft())

    def _planned(self, intake: Intake, position: int) -> _Plan | None:
        boundary, tree = next_boundary(intake.look, self._boundary, position)
        if boundary is None:
            self._due = _NEVER
            return None
        self._boundary = boundary
        if tree is not None:
            self._tree = read_tree(intake.look, tree)
        blocks = read_blocks(intake.look, boundary, self._ahead)
        plan = _chosen(blocks)
        if plan is not None:
            return plan
        if blocks[-1].last:
            self._due = _NEVER
        else:
            self._in_vain()
        return None

    def _in_vain(self) -> None:
        """Try again later, further ahead; in the end give up."""
        self._vain += 1
        self._ahead = _AHEAD_LATER
        if self._vain >= _VAIN:
            self._log.barren = True
            self._due = _NEVER
        else:
            self._due += self._spacing // 16

    def _make(self, intake: Intake, plan: _Plan, offset: int) -> None:
        """Put a checkpoint together, and what it has to give for it to be kept."""
        before, self._before = self._before, None
        content = self._content()
        if before is None or len(before) < _SMALLEST_BEFORE or content is None:
            self._in_vain()
            return
        if self._fill is None:
            self._fill = WindowFill(self._window)
        first, second = (
            evolve(
                self._start,
                tree=self._tree if tree is None else read_tree(intake.look, tree),
                content=held,
            )
            for tree, held in ((plan.first_tree, before), (plan.second_tree, content))
        )
        blocks = intake.look(plan.first, plan.second - plan.first)
        proof = intake.look(plan.second, plan.proof_end - plan.second)
        try:
            offsets = repeat_offsets(first, blocks, self._fill, self._options)
            if offsets is None or max(offsets) > len(content):
                self._in_vain()
                return
            resumption = evolve(second, offsets=offsets)
            expected = resumption.decoder(self._options).decompress(proof)
        except zstd.ZstdError:
            # Damage is told by the pass itself, when it comes there.
            self._in_vain()
            return
        self._candidate = Checkpoint(plan.second * 8, offset, resumption.packed())
        self._expected = memoryview(expected)
        self._due = offset + self._spacing

    def _compare(self, data: bytes) -> None:
        """Hold the next plain bytes against what the candidate gave."""
        candidate = self._candidate
        expected = self._expected
        length = min(len(data), len(expected))
        if candidate is None or expected[:length] != memoryview(data)[:length]:
            self._candidate = None
            self._in_vain()
        elif length < len(expected):
            self._expected = expected[length:]
        else:
            self._candidate = None
            self._vain = 0
            # Another thread may have come by here in the meantime.
            if self._log.due(candidate.offset, self._spacing) == candidate.offset:
                self._log.add(candidate)

    def _content(self) -> bytes | None:
        """Give what the window holds; None if not all of that is at hand."""
        content = b"".join(self._recent)[-self._window :]
        return None if self._dropped and len(content) < self._window else content

    def _next_due(self, offset: int) -> int:
        due = self._log.due(offset, self._spacing)
        return _NEVER if due is None else due


def _chosen(blocks: Sequence[Block]) -> _Plan | None:
    """Choose a clean boundary behind which the repeat offsets do not depend on those before."""
    first: int | None = None
    sequences = 0
    tree: int | None = None
    first_tree: int | None = None
    for number, (block, clean) in enumerate(zip(blocks, clean_boundaries(blocks), strict=True)):
        if clean and first is not None and sequences >= _SEQUENCES:
            proof = blocks[number : number + _PROOF // _LONGEST_BLOCK]
            return _Plan(blocks[first].start, block.start, proof[-1].end, first_tree, tree)
        if clean and (first is None or number - first > _FURTHEST):
            first, first_tree, sequences = number, tree, 0
        if first is not None:
            sequences += block.sequences
        tree = tree if block.tree is None else block.tree
    return None
