"""
Inodes as a stack of layers grows: their metadata and their names, from below at one height more.

What is asked at each height in turn is carried on from the height before, so that an inode to
which every layer links costs its links once, and not at every height all of them.
"""

from __future__ import annotations

from bisect import bisect_left

from attrs import define, field

from unionlayers._layers.entry import Entry, entry_of, entry_with_link
from unionlayers._layers.union import Inode, Union

__all__ = ["GrowingInodes"]


@define(eq=False)
class _Grown:
    """What is known of one inode at the height at which it was last asked for."""

    entry: Entry
    links: int = 0
    # The names that the layers have for it, base first; how many of them were met, and which of
    # those were not found hidden yet.
    names: list[Inode] | None = None
    met: int = 0
    alive: list[Inode] = field(factory=list)


@define(eq=False)
class GrowingInodes:
    """
    Answers for a union whose layers are all known; of each inode at heights that only grow.

    A name that a layer hides is not visible at any greater height, and is looked at no more.
    """

    union: Union
    _known: dict[Inode, _Grown] = field(factory=dict)

    def entry(self, inode: Inode, height: int) -> Entry:
        """
        Give the metadata that the layers beneath a height give an inode.

        Cost:
            That of the hard links between this height and the one before.
        """
        grown = self._grown(inode)
        if self.union.profile.hardlink_meta == "keep":
            return grown.entry
        links = self.union.links_above(inode)
        while grown.links < len(links) and links[grown.links][0] < height:
            slot, row = links[grown.links]
            grown.links += 1
            if slot != inode[0]:
                changeset = self.union.changeset(slot)
                for header in (row, *changeset.applied(row)):
                    grown.entry = entry_with_link(grown.entry, changeset.index, header)
        return grown.entry

    def named_alike(self, before: Inode, after: Inode, slot: int) -> bool:
        """
        Tell whether an inode has after a layer just the names that another one had before it.

        Cost:
            That of the names in the layer, and of those that are hidden since.
        """
        union = self.union
        # A name that lower layers have for it was no name of the other one.
        alive = self._met(after, slot).alive
        while alive:
            if _shows(union, alive[-1], slot + 1):
                return False
            alive.pop()
        names = self._names(after)
        changeset = union.changeset(slot)
        here = {
            changeset.path(row)
            for _, row in names[bisect_left(names, (slot,)) : bisect_left(names, (slot + 1,))]
            if _shows(union, (slot, row), slot + 1)
        }
        alive = self._met(before, slot).alive
        seen = 0
        for at in reversed(range(len(alive))):
            home, row = alive[at]
            if not _shows(union, (home, row), slot):
                alive[at] = alive[-1]
                alive.pop()
            elif union.changeset(home).path(row) in here:
                seen += 1
            else:
                return False
        return seen == len(here)

    def _grown(self, inode: Inode) -> _Grown:
        known = self._known.get(inode)
        if known is None:
            slot, row = inode
            changeset = self.union.changeset(slot)
            own = [(changeset.index, link) for link in changeset.applied(row)]
            known = self._known[inode] = _Grown(entry_of(changeset.index, row, own))
        return known

    def _names(self, inode: Inode) -> list[Inode]:
        grown = self._grown(inode)
        if grown.names is None:
            grown.names = self.union.named(inode)
        return grown.names

    def _met(self, inode: Inode, height: int) -> _Grown:
        """Meet the names of the layers beneath a height."""
        names = self._names(inode)
        grown = self._grown(inode)
        while grown.met < len(names) and names[grown.met][0] < height:
            grown.alive.append(names[grown.met])
            grown.met += 1
        return grown


def _shows(union: Union, name: Inode, height: int) -> bool:
    """Tell whether a name of a layer is visible in the layers beneath a height."""
    slot, row = name
    node = union.beneath(height, union.changeset(slot).path(row))
    return node is not None and (node.slot, node.row) == name
