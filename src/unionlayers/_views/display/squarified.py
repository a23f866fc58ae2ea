"""A treemap's rectangles: rows as near to squares as they come, each of the area of its value."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

__all__ = ["Box", "squarified"]


@frozen
class Box:
    """A rectangle; *left* and *top* are of the corner, in the unit of the whole."""

    left: float
    top: float
    width: float
    height: float


def squarified(values: Sequence[int], whole: Box) -> list[Box]:
    """
    Cut a rectangle up into one for each value, in their order.

    Args:
        values: Positive, the largest first: the result is valid in any order, and square in this.
        whole: What is cut up; nothing of it is left over.

    Cost:
        Linear in the values.

    Source:
        M. Bruls, K. Huizing, J. van Wijk, "Squarified Treemaps", 2000.

    Example:
        >>> squarified([3, 1], Box(0, 0, 4, 1))
        [Box(left=0, top=0.0, width=3.0, height=1.0), Box(left=3.0, top=0.0, width=1.0, height=1.0)]
    """
    total = sum(values)
    boxes: list[Box] = []
    rest = whole
    start = 0
    while start < len(values):
        if rest.width <= 0 or rest.height <= 0:
            # What is so much smaller than the largest that nothing is left for it.
            boxes.extend(Box(rest.left, rest.top, 0.0, 0.0) for _ in values[start:])
            break
        scale = rest.width * rest.height / total
        side = min(rest.width, rest.height)
        end, area = start, 0.0
        worst = float("inf")
        while end < len(values):
            grown = area + values[end] * scale
            ratio = _worst(values[start] * scale, values[end] * scale, grown, side)
            if ratio > worst:
                break
            end, area, worst = end + 1, grown, ratio
        boxes.extend(_row(values[start:end], rest, area))
        rest = _without(rest, area) if end < len(values) else rest
        total -= sum(values[start:end])
        start = end
    return boxes


def _worst(largest: float, smallest: float, area: float, side: float) -> float:
    """Give the ratio of sides of the narrowest rectangle of a row along a side."""
    square = side * side / (area * area)
    return max(square * largest, 1 / (square * smallest))


def _row(values: Sequence[int], rest: Box, area: float) -> list[Box]:
    total = sum(values)
    boxes = []
    done = 0
    for value in values:
        share, before = value / total, done / total
        if rest.width >= rest.height:
            thick = area / rest.height
            boxes.append(
                Box(rest.left, rest.top + before * rest.height, thick, share * rest.height)
            )
        else:
            thick = area / rest.width
            boxes.append(Box(rest.left + before * rest.width, rest.top, share * rest.width, thick))
        done += value
    return boxes


def _without(rest: Box, area: float) -> Box:
    """Give what is left when a row has been taken off the shorter side."""
    if rest.width >= rest.height:
        thick = area / rest.height
        return Box(rest.left + thick, rest.top, max(rest.width - thick, 0.0), rest.height)
    thick = area / rest.width
    return Box(rest.left, rest.top + thick, rest.width, max(rest.height - thick, 0.0))
