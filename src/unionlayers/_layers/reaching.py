"""
The hard links of upper layers, by the inodes of lower ones that they are bound to.

They are bound layer by layer from the top, and only as far down as was asked for: a link that
stands beneath an inode cannot reach it, and what it needs may not be known.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from attrs import define, field

from unionlayers.errors import LayerError

if TYPE_CHECKING:
    from unionlayers._layers.union import Inode, Union

__all__ = ["Reaching"]


@define(eq=False)
class Reaching:
    """Answers for a union, each link bound once."""

    union: Union
    _gone: set[int] = field(factory=set)
    # From which slot on all of a list were gone through.
    _current: Sequence[int] = ()
    _down_to: int = 0
    _links: dict[Inode, list[Inode]] = field(factory=dict)
    _rows: dict[int, dict[int, None]] = field(factory=dict)

    def links(self, inode: Inode, linked: Sequence[int]) -> Sequence[Inode]:
        """
        Give the links that are bound to an inode, lowest layer first and in tar order.

        Args:
            inode: Of any layer.
            linked: The layers that have such links, base first; a new list whenever one is added.
        """
        self._go_down(inode[0], linked)
        return self._links.get(inode, ())

    def rows(self, slot: int, linked: Sequence[int]) -> Collection[int]:
        """Give the rows of a layer that links of it or of those above are bound to."""
        self._go_down(slot, linked)
        return self._rows.get(slot, {}).keys()

    def _go_down(self, slot: int, linked: Sequence[int]) -> None:
        if not linked or linked[-1] < slot:
            return
        if linked is self._current and self._down_to <= slot:
            return
        union = self.union
        last = len(linked)
        if linked is self._current:
            last = bisect_left(linked, self._down_to)
        for above in reversed(linked[bisect_left(linked, slot) : last]):
            if above in self._gone:
                continue
            bound = [(union.bind((above, row)), row) for row in union.changeset(above).downlinks]
            with union.lock:
                if above not in self._gone:
                    self._add(above, bound)
                    self._gone.add(above)
        with union.lock:
            if linked is not self._current:
                self._current, self._down_to = linked, slot
            self._down_to = min(self._down_to, slot)

    def _add(self, above: int, bound: Sequence[tuple[Inode | LayerError, int]]) -> None:
        found: dict[Inode, list[Inode]] = {}
        for inode, row in bound:
            if not isinstance(inode, LayerError):
                found.setdefault(inode, []).append((above, row))
        for inode, links in found.items():
            self._rows.setdefault(inode[0], {})[inode[1]] = None
            known = self._links.setdefault(inode, [])
            at = bisect_left(known, (above,))
            if at == len(known) or known[at][0] != above:
                known[at:at] = links
