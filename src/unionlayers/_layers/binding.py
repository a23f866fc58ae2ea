"""
Where a hard link leads whose target its own layer did not have where its entry stands.

The target is looked up in what the layers beneath show, links on the way followed there.  Where
one was followed, the layer itself may have the place that it leads to: what it has brought or
hidden there before the link counts (case E3: this layer so far, then the lower view).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from unionlayers._foundation.limits import exceeded
from unionlayers._foundation.names import decode
from unionlayers._layers.changeset import Changeset, Downlink
from unionlayers._layers.lower_view import below
from unionlayers._tar.index import ABSENT, LayerIndex
from unionlayers.errors import LayerError

if TYPE_CHECKING:
    from unionlayers._layers.directory import Node
    from unionlayers._layers.union import Inode, Union

__all__ = ["Brought", "target_of"]


def target_of(union: Union, slot: int, changeset: Changeset, row: int) -> Inode | LayerError:
    """
    Give the inode that a hard link shares, or the error that says why there is none.

    Args:
        union: The stack; only the layers beneath the slot are asked.
        slot: Position of the link's layer.
        changeset: That of the layer.
        row: The row of the link.

    Cost:
        A look-up for each component of the target; one pass over the layer's entries where a link
        of a lower layer leads to it.
    """
    downlink = changeset.downlinks[row]
    found = _found(union, slot, changeset, downlink)
    if isinstance(found, str):
        message, case = _REASONS[found]
    elif union.profile.hardlink_to_lower == "error" and not union.warn:
        message = "a hard link whose target is not in its own layer"
        case = "E3" if downlink.late is None else "E5"
    else:
        return found
    if found == "missing" and downlink.late is not None:
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
    "missing": ("a hard link whose target does not exist", "E10"),
}


def _found(union: Union, slot: int, changeset: Changeset, downlink: Downlink) -> Inode | str:
    if downlink.hidden:
        return "hidden"
    parent, _, last = downlink.target.rpartition("/")
    node, where = _directory(union, slot, parent, downlink.own)
    path = f"{where}/{last}".strip("/")
    # What had the link's own name is removed before it is made (case E10).
    if f"{path}/".startswith(f"{downlink.own}/"):
        return "missing"
    if where != parent:
        own = union.brought(slot, changeset).before(downlink.entry, path)
        if own == ABSENT:
            return "hidden"
        if own is not None:
            is_directory = changeset.directory(own) >= 0
            return "directory" if is_directory else (slot, changeset.inode(own))
    node = below(node, last) if last else node
    if node is None:
        return "missing"
    if node.directory is not None:
        return "directory"
    return node.slot, union.changeset(node.slot).inode(node.row)


def _directory(union: Union, slot: int, parent: str, own: str) -> tuple[Node | None, str]:
    """
    Follow the way to a hard link's target beneath its layer, without what has the link's name.

    Returns:
        What is at its end, or None, and the path of that; ``..`` leaves what is not there.
    """
    removed = own.split("/")
    pending = parent.split("/")[::-1]
    # Of each directory on the way: its name, what it is, and how much of the own path led to it.
    way: list[tuple[str, Node | None, int]] = [("", union.root_beneath(slot).node(), 0)]
    links = 0
    while pending:
        name = pending.pop()
        if name in ("", "."):
            continue
        if name == "..":
            if len(way) > 1:
                way.pop()
            continue
        _, above, led = way[-1]
        led = led + 1 if led == len(way) - 1 and removed[led : led + 1] == [name] else -1
        node = below(above, name) if led != len(removed) else None
        text = None if node is None else union.text_on_the_way(node)
        if text is None:
            way.append((name, node, led))
            continue
        links += 1
        if links > union.limits.links:
            return None, own
        if text.startswith("/"):
            del way[1:]
        pending.extend(reversed(text.split("/")))
        if len(pending) > union.limits.depth:
            exceeded("depth", union.limits.depth, len(pending))
    return way[-1][1], "/".join(name for name, _, _ in way[1:])


@define(eq=False)
class Brought:
    """
    What the entries of a layer say of paths, in the order of the tar.

    Args:
        index: The record of the layer.

    Cost:
        One pass over the entries when it is made.
    """

    index: LayerIndex
    _rows: dict[str, list[tuple[int, int]]] = field(init=False, factory=dict)
    _hidden: dict[str, int] = field(init=False, factory=dict)
    _emptied: dict[str, int] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        index = self.index
        for row, name in index.paths():
            self._rows.setdefault(decode(name), []).append((index.ordinal[row], row))
        for mark in sorted(index.marks, key=lambda mark: mark.ordinal):
            place = decode(index.loose[mark.row]).rpartition("/")[0]
            if mark.name is None:
                self._emptied.setdefault(place, mark.ordinal)
            else:
                self._hidden.setdefault(f"{place}/{decode(mark.name)}".strip("/"), mark.ordinal)

    def before(self, entry: int, path: str) -> int | None:
        """
        Give the row that the layer has at a path before one of its entries.

        Returns:
            The row; `ABSENT` where a whiteout hides what is beneath; None where the layer says
            nothing.

        Cost:
            O(components of the path and entries for it).
        """
        rows = [found for found in self._rows.get(path, ()) if found[0] < entry]
        if rows:
            return max(rows)[1]
        on_the_way = ["", *(path[:end] for end, letter in enumerate(path) if letter == "/")]
        ordinals = [
            *(self._emptied.get(place, entry) for place in on_the_way),
            *(self._hidden.get(place, entry) for place in (*on_the_way[1:], path)),
        ]
        return ABSENT if min(ordinals) < entry else None
