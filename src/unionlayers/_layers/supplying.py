"""Which layer a name of a union is from."""

from __future__ import annotations

from unionlayers._layers.directory import Node
from unionlayers._layers.union import Union

__all__ = ["supplying_slot"]


def supplying_slot(union: Union, node: Node) -> int:
    """
    Give the position of the layer that supplies a name of a stack with layers.

    That is the layer with the name itself, also where it is a hard link to a file of a lower one;
    of a directory the one whose entry gives it its metadata, and the lowest that implies it where
    none does.

    Raises:
        LayerError: A layer cannot be applied.
    """
    if node.directory is None:
        return node.slot
    found = union.supplier(node)
    if found is not None:
        return found[0]
    parts = node.directory.all_parts()
    return parts[-1][0] if parts else node.slot
