"""The visible names of inodes, each inode asked once."""

from __future__ import annotations

from attrs import define, field

from unionlayers._layers.directory import Node
from unionlayers._layers.union import Inode, Union

__all__ = ["InodeNames"]


@define(eq=False)
class InodeNames:
    """
    Answers about one stack whose layers are all indexed.

    Whoever asks at each name of an inode would otherwise look all of them up as often as there are
    names.  All names of an inode share one tuple, so that what is kept is linear in names too.
    """

    union: Union
    _known: dict[Inode, tuple[str, ...]] = field(factory=dict)

    def of(self, inode: Inode) -> tuple[str, ...]:
        """
        Give the visible paths of an inode, absolute and sorted; empty if it has none.

        Raises:
            UnionLayersError: A layer cannot be read or applied.

        Cost:
            At the first question about an inode a look-up for each name that the layers have for
            it; then one in a dictionary.
        """
        known = self._known.get(inode)
        if known is None:
            known = tuple(sorted(self.union.names(inode)))
            if len(known) > 1 or self.union.linked or self._has_links(inode):
                self._known[inode] = known
        return known

    def at(self, node: Node, path: str) -> tuple[str, ...]:
        """Give the visible names that share the inode of a node; its own for a directory."""
        if node.directory is not None or self.union.link_count(node) == 1:
            return (path,)
        return self.of(self.union.inode(node))

    def _has_links(self, inode: Inode) -> bool:
        """Tell whether the layer of an inode has several names for it."""
        slot, row = inode
        return len(self.union.changeset(slot).names_of(row)) > 1
