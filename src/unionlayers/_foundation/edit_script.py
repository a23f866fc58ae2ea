"""
The shortest way from one sequence to another by taking out and putting in.

Bounded, whatever the sequences are: where they differ in more than a given number of places, what
lies between their common ends is said to be replaced as a whole, which is true as well.

Source:
    E. W. Myers, An O(ND) Difference Algorithm and Its Variations, Algorithmica 1 (1986).
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterator, Sequence
from typing import TypeVar

__all__ = ["Edit", "edit_script"]

Item = TypeVar("Item", bound=Hashable)

Edit = tuple[str, int, int, int, int]
"""``"same"`` or ``"replaced"``, and the ranges of both sequences that it is about."""


def edit_script(left: Sequence[Item], right: Sequence[Item], *, edits: int = 1000) -> list[Edit]:
    """
    Give what makes the right sequence of the left one, in order and without gaps.

    Args:
        left: One sequence.
        right: The other.
        edits: How many items may be taken out and put in before the middle is one replacement.

    Cost:
        O((items + edits) * edits) time and O(edits²) memory at most; linear where little differs.

    Example:
        >>> edit_script("abcd", "abxd")
        [('same', 0, 2, 0, 2), ('replaced', 2, 3, 2, 3), ('same', 3, 4, 3, 4)]
    """
    head = 0
    shorter = min(len(left), len(right))
    while head < shorter and left[head] == right[head]:
        head += 1
    tail = 0
    while tail < shorter - head and left[-1 - tail] == right[-1 - tail]:
        tail += 1
    one = left[head : len(left) - tail]
    other = right[head : len(right) - tail]
    kept = _kept(one, other, edits) or []
    runs = [(0, 0, head), *((head + x, head + y, count) for x, y, count in kept)]
    runs.append((len(left) - tail, len(right) - tail, tail))
    return list(_edits(runs))


def _edits(runs: list[tuple[int, int, int]]) -> Iterator[Edit]:
    """Give the edits around what is kept, the kept runs that touch as one."""
    at = to = 0
    start: tuple[int, int] | None = None
    for x, y, count in runs:
        if (x, y) != (at, to):
            if start is not None:
                yield "same", start[0], at, start[1], to
                start = None
            yield "replaced", at, x, to, y
        if count:
            start = start or (x, y)
        at, to = x + count, y + count
    if start is not None:
        yield "same", start[0], at, start[1], to


def _kept(
    left: Sequence[Item], right: Sequence[Item], edits: int
) -> list[tuple[int, int, int]] | None:
    """Give (left, right, count) of what both have in common, None past the bound."""
    if not left or not right:
        return []
    width, height = len(left), len(right)
    most = min(width + height, edits)
    # The furthest place on each diagonal (the middle item is diagonal 0), and what those near the
    # middle were before each step.
    middle = most + 1
    furthest = array("q", bytes(8 * (2 * middle + 1)))
    trail: list[array[int]] = []
    for step in range(most + 1):
        trail.append(furthest[middle - step - 1 : middle + step + 2])
        for diagonal in range(-step, step + 1, 2):
            lower, upper = furthest[middle + diagonal - 1], furthest[middle + diagonal + 1]
            down = diagonal == -step or (diagonal != step and lower < upper)
            x = upper if down else lower + 1
            y = x - diagonal
            while x < width and y < height and left[x] == right[y]:
                x += 1
                y += 1
            furthest[middle + diagonal] = x
            if x >= width and y >= height:
                return _traced(trail, width, height)
    return None


def _traced(trail: list[array[int]], x: int, y: int) -> list[tuple[int, int, int]]:
    """Go back from the end to the start, step by step."""
    kept: list[tuple[int, int, int]] = []
    for step in range(len(trail) - 1, -1, -1):
        diagonal = x - y
        lower, upper = trail[step][step + diagonal], trail[step][step + diagonal + 2]
        down = diagonal == -step or (diagonal != step and lower < upper)
        start = upper if down else lower + 1
        if x > start:
            kept.append((start, start - diagonal, x - start))
        x, y = (upper, upper - diagonal - 1) if down else (lower, lower - diagonal + 1)
    kept.reverse()
    return kept
