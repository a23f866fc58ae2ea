"""
What the layers beneath one layer have, asked from the directories of that layer.

Whoever goes through many directories of a layer asks for each of them here, so that none is looked
up from the root again: what stands beneath a directory is one look-up away from what stands
beneath the one above it.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from attrs import define, field

from unionlayers._tar.index import ABSENT
from unionlayers.errors import LayerError

if TYPE_CHECKING:
    from unionlayers._layers.changeset import Changeset
    from unionlayers._layers.directory import Node
    from unionlayers._layers.union import Union

__all__ = ["LowerView", "below"]


def below(node: Node | None, name: str) -> Node | None:
    """Give the node of a name in a node; None where there is none, or no directory."""
    if node is None or node.directory is None:
        return None
    return node.directory.lookup(name)


@define
class LowerView:
    """
    The layers beneath a slot of a union.

    Args:
        union: The stack.
        slot: The position of the layer that asks.
    """

    union: Union
    slot: int
    _known: dict[int, Node | None] = field(factory=dict)

    @property
    def root(self) -> Node:
        """What the layers beneath have as the root."""
        return self.union.root_beneath(self.slot).node()

    def at(self, path: str) -> Node | None:
        """Give the node at a path; no link is followed."""
        return self.union.beneath(self.slot, path)

    def form(self, node: Node) -> tuple[int, str | None]:
        """
        Give the type bits of a node, and its text if it is a symbolic link.

        A hard link without a target is a file: what refuses it is said where it stands.

        Raises:
            LayerError: A layer beneath cannot be applied.
        """
        try:
            return self.union.form(node), self.union.link_text(node)
        except LayerError as error:
            if self.union.is_failure(error):
                raise
            return stat.S_IFREG, None

    def node(self, changeset: Changeset, row: int) -> Node | None:
        """
        Give what stands beneath a directory of the layer; no link is followed.

        Args:
            changeset: That of the layer; always the same one.
            row: The row of the directory.

        Cost:
            A look-up for each directory on the way that was not asked for before.
        """
        known = self._known
        if not known:
            known[ABSENT] = self.root
        way: list[tuple[int, str]] = []
        while row not in known:
            above, name = changeset.above(row)
            way.append((row, name))
            row = above
        found = known[row]
        for row, name in reversed(way):
            found = known[row] = below(found, name)
        return found
