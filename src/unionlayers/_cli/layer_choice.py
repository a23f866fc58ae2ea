"""Layers as they are typed: ``3``, ``0-3``, ``:4``, ``-1`` or several of these."""

from __future__ import annotations

import re
from typing import Self

from attrs import frozen

__all__ = ["LayerChoice"]

_RANGE = re.compile(r"(\d+)-(\d+)\Z")
_SLICE = re.compile(r"(-?\d+)?:(-?\d+)?\Z")
_INDEX = re.compile(r"-?\d+\Z")


@frozen
class LayerChoice:
    """
    Some layers of an image whose number of layers is not known yet.

    Attributes:
        text: As it was typed.
        parts: An index, the first and last of a range, or a slice.
    """

    text: str
    parts: tuple[int | tuple[int, int] | slice, ...]

    @classmethod
    def of(cls, text: str) -> Self:
        """
        Read what was typed.

        Raises:
            ValueError: It is no choice of layers.
        """
        parts: list[int | tuple[int, int] | slice] = []
        for part in text.replace(" ", "").split(","):
            if both := _RANGE.match(part):
                parts.append((int(both[1]), int(both[2])))
            elif ends := _SLICE.match(part):
                first, last = (None if end is None else int(end) for end in ends.groups())
                parts.append(slice(first, last))
            elif _INDEX.match(part):
                parts.append(int(part))
            else:
                raise ValueError(
                    f"{part!r} names no layers; write 3, 0-3, :4 (below 4), 4: (from 4 on), "
                    "-1 (the topmost), or several with commas; the base is 0"
                )
        return cls(text, tuple(parts))

    def indexes(self, layers: int) -> list[int]:
        """
        Give the indexes that are meant, in the order of the stack, each once.

        Args:
            layers: How many layers there are.

        Raises:
            ValueError: There is no such layer.

        Example:
            >>> LayerChoice.of("0-1,-1").indexes(7), LayerChoice.of(":3").indexes(2)
            ([0, 1, 6], [0, 1])
        """
        found: set[int] = set()
        for part in self.parts:
            if isinstance(part, slice):
                found.update(range(layers)[part])
                continue
            first, last = part if isinstance(part, tuple) else (part, part)
            if not (-layers <= first < layers and last < layers):
                beyond = first if isinstance(part, int) else last
                span = f"0 to {layers - 1}" if layers else "none"
                raise ValueError(f"there is no layer {beyond}; the layers are {span}")
            found.update(range(layers)[first : last + 1] if first >= 0 else [first + layers])
        return sorted(found)
