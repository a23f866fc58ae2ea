"""
What each layer of a stack did to one path, in order.

The answer comes from the stack itself: what the layers up to one show at the path, beside what
they show together with the next.  Only layers that say something about the path, or about a
directory on the way to it, are compared.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from unionlayers._foundation.names import decode, split_path
from unionlayers._layers.changeset import Changeset
from unionlayers._layers.directory import Node
from unionlayers._layers.entry import Entry
from unionlayers._layers.growing_inodes import GrowingInodes
from unionlayers._layers.resolution import Link, Resolution, resolve
from unionlayers._layers.union import Inode, Union
from unionlayers._tar.index import ABSENT
from unionlayers.errors import LinkLoopError, PathError

__all__ = ["Cause", "PathEvent", "PathState", "Place", "cause_in", "locate", "path_events"]

Marker = Callable[[Changeset, str, "str | None"], "int | None"]
"""Gives the ordinal of what hides a name in a directory, or with None makes that opaque."""


@frozen
class Cause:
    """
    What in a layer ends a path.

    Attributes:
        reason: ``"whiteout"``, ``"opaque"`` or ``"type change"``.
        path: The name that is hidden, the directory that is opaque, or the name on the way that
            is no directory any more; absolute.
        entry: Ordinal of the marker or entry in the layer, None where no single one can be named.
    """

    reason: str
    path: str
    entry: int | None


@frozen
class PathState:
    """
    What a stack shows at a path.

    Attributes:
        inode: (slot, row) of what has the content and, but for what links above it change, the
            metadata; None for a directory.
        supplier: (slot, row) of the entry that gives the metadata, None for implied directories.
        slot: Position of the uppermost layer that has the name.
        row: The row of the name there.
        entry: The metadata.
    """

    inode: Inode | None
    supplier: Inode | None
    slot: int
    row: int
    entry: Entry


@frozen
class PathEvent:
    """
    One layer's doing.

    Attributes:
        slot: Position of the layer in the stack.
        before: What the layers beneath show, or None.
        after: What they show together with this one, or None.
        cause: What ended the path, where *after* is None.
    """

    slot: int
    before: PathState | None
    after: PathState | None
    cause: Cause | None


@frozen
class Place:
    """
    Where a path leads.

    Attributes:
        path: The absolute path without links on the way; where nothing is, as far as that is
            known, the rest as it was asked for.
        links: Symbolic links that were followed on the way, in order.
        found: Whether something is there.
        stopped: Why not, else None.
    """

    path: str
    links: tuple[Link, ...]
    found: bool
    stopped: PathError | None


def locate(union: Union, path: str) -> Place:
    """
    Follow the links on the way to a path, not one at its end, as far as there is something.

    Cost:
        Indexes every layer; a few look-ups for each component.
    """
    # What follows asks all layers: known before, they are asked for the path once.
    for slot in range(union.top):
        union.changeset(slot)
    try:
        found = resolve(union, path, follow=False)
    except PathError as error:
        stopped = error
    else:
        return Place(found.node.path, found.links, found=True, stopped=None)
    parts = [part for part in split_path(path) if part != "."]
    whole = _resolved(union, parts)
    if whole is not None and not isinstance(stopped, LinkLoopError):
        # A slash at the end asks for a directory, and something else is there.
        at = f"{whole.node.path.rstrip('/')}/."
        return Place(at, whole.links, found=False, stopped=stopped)
    known, unknown = 0, len(parts)
    reached = resolve(union, "/")
    while unknown - known > 1:
        middle = (known + unknown) // 2
        try:
            reached = resolve(union, "/" + "/".join(parts[:middle]))
        except PathError:
            unknown = middle
        else:
            known = middle
    reached = resolve(union, "/" + "/".join(parts[:known]))
    rest = list(parts[known:])
    base = reached.node.path.rstrip("/")
    links = reached.links
    if not isinstance(stopped, LinkLoopError) and reached.node.directory is not None:
        # The name after the last that is known may be a link that leads nowhere.
        link = reached.node.directory.lookup(rest[0])
        target = None if link is None or len(rest) == 1 else union.entry(link).target
        if target is not None:
            links = (*links, Link(f"{base}/{rest[0]}", target))
            base = "" if target.startswith("/") else base
            rest[:1] = [part for part in split_path(target) if part != "."]
    climbing = reached.node.directory is not None
    for part in rest:
        # What is above a name that is not there cannot be said.
        climbing = climbing and part == ".."
        base = base.rpartition("/")[0] if climbing else f"{base}/{part}"
    return Place(base or "/", links, found=False, stopped=stopped)


def _resolved(union: Union, parts: Sequence[str]) -> Resolution | None:
    try:
        return resolve(union, "/" + "/".join(parts))
    except PathError:
        return None


def path_events(
    union: Union, path: str, inodes: GrowingInodes | None = None
) -> tuple[PathEvent, ...]:
    """
    Give what each layer did to a path, base first; layers that did nothing are left out.

    Args:
        union: The stack.
        path: Absolute, without links on the way, as `locate` gives it.
        inodes: Those of the stack, for who asks of them at each event too.

    Raises:
        UnionLayersError: A layer cannot be read, or an entry of the path cannot be applied.

    Cost:
        Indexes every layer; for each that touches the path, a few look-ups on the way to it.  What
        hard links do to its inodes is carried on from layer to layer.
    """
    return tuple(_events(union, inodes or GrowingInodes(union), path.strip("/")))


def _events(union: Union, inodes: GrowingInodes, path: str) -> Iterator[PathEvent]:
    before: PathState | None = None
    # The hard links of all layers change inodes, each from its own layer on.
    for slot in range(union.top):
        union.changeset(slot)
    for slot in range(union.top):
        if not _touches(union.changeset(slot), path):
            continue
        after = _state(union, inodes, union.beneath(slot + 1, path), slot + 1)
        if _stays(before, after, slot):
            continue
        cause = cause_in(union.changeset(slot), path) if after is None else None
        yield PathEvent(slot, before, after, cause)
        before = after


def _stays(before: PathState | None, after: PathState | None, slot: int) -> bool:
    """Tell whether a layer that passes by a path says nothing of the path itself."""
    if before is None or after is None:
        return before is after
    if after.inode is None and before.inode is None:
        # A directory that the layer only implies stays as it is.
        return before.supplier == after.supplier and before.entry == after.entry
    return before == after and after.slot != slot


def _touches(changeset: Changeset, path: str) -> bool:
    """Tell whether a layer says anything of a path, or of what is on the way to it."""
    if changeset.downlinks:
        # A hard link elsewhere in the layer may change an inode that the path has beneath.
        return True
    directory = 0
    if not path:
        return True
    for name in path.split("/"):
        if changeset.opaque(directory) or name in changeset.whiteouts(directory):
            return True
        row = changeset.children(directory).get(name)
        if row is None:
            return False
        directory = changeset.directory(row)
        if directory < 0:
            return True
    return True


def _state(union: Union, inodes: GrowingInodes, node: Node | None, height: int) -> PathState | None:
    if node is None:
        return None
    supplier = union.supplier(node)
    inode = None if node.directory is not None else supplier
    return PathState(
        inode=inode,
        supplier=supplier,
        slot=node.slot,
        row=node.row,
        entry=union.entry(node) if inode is None else inodes.entry(inode, height),
    )


def cause_in(changeset: Changeset, path: str, marker: Marker | None = None) -> Cause | None:
    """
    Give what in a layer takes a path away from the layers beneath, None if nothing does.

    Args:
        changeset: The layer.
        path: Relative to the root, without links on the way.
        marker: Looks ordinals up where many are asked for; by default each costs a look at every
            marker of the layer.
    """
    marker = marker or _entry_at
    directory = 0
    at = ""
    for name in path.split("/"):
        if name in changeset.whiteouts(directory):
            return Cause("whiteout", f"{at}/{name}", marker(changeset, at, name))
        if changeset.opaque(directory):
            # Also where the layer has the name again: what was beneath it stays hidden.
            return Cause("opaque", at or "/", marker(changeset, at, None))
        row = changeset.children(directory).get(name)
        if row is None:
            return None
        at = f"{at}/{name}"
        inner = changeset.directory(row)
        if inner < 0:
            ordinal = changeset.index.ordinal[row]
            return Cause("type change", at, None if ordinal == ABSENT else ordinal)
        directory = inner
    return None


def _entry_at(changeset: Changeset, parent: str, name: str | None) -> int | None:
    """Give the ordinal of the marker that hides a name, or makes a directory opaque."""
    index = changeset.index
    wanted = parent.strip("/")
    for mark in index.marks:
        hidden = None if mark.name is None else decode(mark.name)
        if hidden == name and decode(index.loose[mark.row]).rpartition("/")[0] == wanted:
            return mark.ordinal
    if name is None:
        return None
    # A character device 0:0 is a whiteout too (case I2): it stands under the name itself.
    for row, extra in index.extras.items():
        device = extra.device == (0, 0) and stat.S_ISCHR(index.kinds[index.kind[row]][0])
        if device and index.path(row) == f"{wanted}/{name}".strip("/"):
            return index.ordinal[row]
    return None
