"""
Where a hard link leads whose target its own layer did not have where its entry stands.

The replay of the layer has followed the way to the target, through links of the layer and of those
beneath, as things were before the entry (case E3: this layer so far, then the lower view).  What is
at its end is looked up in what the layers beneath show.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from unionlayers._layers.changeset import Changeset, Downlink
from unionlayers._layers.lower_view import below
from unionlayers.errors import LayerError

if TYPE_CHECKING:
    from unionlayers._layers.directory import Node
    from unionlayers._layers.union import Inode, Union

__all__ = ["target_of"]


def target_of(union: Union, slot: int, changeset: Changeset, row: int) -> Inode | LayerError:
    """
    Give the inode that a hard link shares, or the error that says why there is none.

    Args:
        union: The stack; only the layers beneath the slot are asked.
        slot: Position of the link's layer.
        changeset: That of the layer.
        row: The row of the link.

    Cost:
        A look-up for each component of the target.
    """
    downlink = changeset.downlinks[row]
    refuses = union.profile.hardlink_to_lower == "error" and not union.warn
    found = _found(union, slot, downlink)
    if refuses and (
        not isinstance(found, str)
        or (found == "missing" and _is_behind_link(union, slot, downlink))
    ):
        found = "lower"
    if not isinstance(found, str):
        return found
    message, case = _REASONS[found]
    if found == "lower" and downlink.late is not None:
        case = "E5"
    elif found == "missing" and downlink.late is not None:
        late = changeset.inode(downlink.late)
        if union.warn and late not in changeset.downlinks:
            return slot, late
        message, case = "a hard link before its target", "E5"
    return LayerError(
        f"{message} (case {case})",
        path="/" + changeset.path(row),
        layer=union.slots[slot].layer,
        entry=downlink.entry,
        expected="/" + downlink.target,
        hint='Pass on_invalid="warn" to leave it out',
        case=case,
    )


_REASONS = {
    "directory": ("a hard link to a directory", "E9"),
    "hidden": ("a hard link to a name that its own layer hides", "E3"),
    "lower": ("a hard link whose target is not in its own layer", "E3"),
    "missing": ("a hard link whose target does not exist", "E10"),
}


def _found(union: Union, slot: int, downlink: Downlink) -> Inode | str:
    if downlink.hidden:
        return "hidden"
    node = union.beneath(slot, downlink.target)
    if node is None:
        return "missing"
    if node.directory is not None:
        return "directory"
    return node.slot, union.changeset(node.slot).inode(node.row)


def _is_behind_link(union: Union, slot: int, downlink: Downlink) -> bool:
    """Tell whether the way to the target leads through a symbolic link of the layers beneath."""
    node: Node | None = union.root_beneath(slot).node()
    for name in downlink.target.split("/")[:-1]:
        node = below(node, name)
        if node is None or node.directory is None:
            break
    try:
        return node is not None and union.form(node) == stat.S_IFLNK
    except LayerError:
        return False
