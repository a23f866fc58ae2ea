"""The directories that a layer of a stack only implies, as unions of that stack have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from unionlayers._layers.lower_view import LowerView

if TYPE_CHECKING:
    from unionlayers._layers.directory import Node
    from unionlayers._layers.union import Union

__all__ = ["implied_directories"]

Nodes = tuple["Node | None", ...]


def implied_directories(unions: Sequence[Union]) -> Iterator[Nodes]:
    """
    Give what each union has where a layer above the lowest only implies a directory, each once.

    One name implies as many directories as it has components: their paths together are longer
    than it by its depth, and none of them is made.

    Args:
        unions: All over the same slots.

    Cost:
        A look-up for each such directory in each layer and union, and one for each above it.
    """
    given: set[tuple[tuple[int, int] | None, ...]] = set()
    for union in unions:
        for slot in range(1, union.top):
            changeset = union.changeset(slot)
            views = [LowerView(other, other.top) for other in unions]
            for row in changeset.implied():
                nodes = tuple(view.node(changeset, row) for view in views)
                key = tuple(None if node is None else (node.slot, node.row) for node in nodes)
                if key not in given:
                    given.add(key)
                    yield nodes
