"""
Metadata of directories that a layer only implies, where a runtime unpacks each layer alone.

containerd makes such a directory with the owner, mode, times and xattrs that the uppermost of the
layers beneath has at its path, looked at one by one: what another layer hides does not matter, and
links are followed inside of the one layer (case H2).  Where a look-up fails it refuses the image,
and so it does for whiteouts below what is no directory (A9, F4): who takes such an image, Docker
and Podman, copies nothing.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from unionlayers._foundation.names import decode
from unionlayers._tar.index import ABSENT

if TYPE_CHECKING:
    from unionlayers._layers.changeset import Changeset
    from unionlayers._layers.union import Union

__all__ = ["containerd_stops_at", "copied_from"]

_NOTHING, _OTHER, _LINK, _FAILS = -1, -2, -3, -4
_KEPT = 100_000
_LINKS = 255
_PATH_MAX = 4096


def copied_from(union: Union, slot: int, row: int) -> tuple[int, int] | None:
    """
    Give the entry whose metadata a directory has that a layer only implies.

    Args:
        union: The stack.
        slot: The layer.
        row: Its row of the directory.

    Returns:
        Slot and row of the entry; None where no layer beneath has one, or has something else there,
        or where containerd refuses the image.

    Cost:
        A look-up in each layer beneath, from the top, until one has the path.  The first call
        looks up all directories that the layers imply, and indexes all layers for it.
    """
    if containerd_stops_at(union) is not None:
        return None
    found = _found(union, slot, row)
    return None if isinstance(found, int) else found


def containerd_stops_at(union: Union) -> int | None:
    """
    Give the lowest layer of those that the profile takes which containerd cannot apply.

    Raises:
        UnionLayersError: A layer cannot be read or applied.

    Cost:
        The first call indexes all layers and looks up all directories that they imply.
    """
    if union.stops_at is None:
        stops = (slot for slot in range(union.top) if not _applies(union, slot))
        union.stops_at = next(stops, union.top)
    return union.stops_at if union.stops_at < union.top else None


def _applies(union: Union, slot: int) -> bool:
    """Tell whether containerd can apply a layer that this profile takes."""
    changeset = union.changeset(slot)
    late = (
        oddity.row
        for oddity in changeset.index.oddities
        if oddity.code == "after-children" and changeset.directory(oddity.row) > 0
    )
    return not changeset.passes_over and all(
        _found(union, slot, row) != _FAILS for row in (*changeset.implied(), *late)
    )


def _found(union: Union, slot: int, row: int) -> tuple[int, int] | int:
    """
    Give slot and row of the entry that a directory is a copy of, or why there is none.

    A layer that only implies it too has its own from those beneath, and is asked for that: layers
    are looked at base first, so that it is known.
    """
    known = union.copied.get((slot, row))
    if known is None:
        known = union.copied[slot, row] = _looked_up(union, slot, row)
    return known


def _looked_up(union: Union, slot: int, row: int) -> tuple[int, int] | int:
    for below in reversed(range(slot)):
        number = _plainly(union, slot, row, below)
        if number == _LINK:
            return _through_links(union, union.changeset(slot).path(row), below)
        if number in (_OTHER, _FAILS):
            return number
        if number > 0:
            changeset = union.changeset(below)
            index, found = changeset.index, changeset.own_row(number)
            if found < index.rows and index.ordinal[found] != ABSENT:
                return below, found
            known = union.copied.get((below, found))
            if known is not None:
                return known
    return _NOTHING


def _plainly(union: Union, slot: int, row: int, below: int) -> int:
    """
    Give the number that a directory of *slot* has in the layer *below*; no link is followed.

    What is known of the directory above it is used: a deep tree would cost its depth squared.
    """
    here, changeset = union.changeset(slot), union.changeset(below)
    known = union.ways.get((slot, below))
    if known is None or len(known) > _KEPT:
        known = union.ways[slot, below] = {here.own_row(0): 0}
    pending: list[tuple[int, str]] = []
    while row not in known:
        parent, name = here.above(row)
        pending.append((row, name))
        row = here.own_row(0) if parent == ABSENT else parent
    number = known[row]
    for at, name in reversed(pending):
        if number >= 0:
            child = changeset.children(number).get(name)
            if child is None:
                # A whiteout is a device in the folder of its layer.
                number = _OTHER if name in changeset.whiteouts(number) else _NOTHING
            else:
                number = changeset.directory(child)
                if number < 0:
                    number = _OTHER if _link_text(changeset, child) is None else _LINK
        elif number == _OTHER:
            number = _FAILS
        known[at] = number
    return number


def _through_links(union: Union, path: str, first: int) -> tuple[int, int] | int:
    for below in reversed(range(first + 1)):
        changeset = union.changeset(below)
        number = _lexically(changeset, path)
        if number == 0 or number in (_OTHER, _FAILS):
            # The root of a layer is 0755 of root: containerd sets no entry for it.
            return number or _OTHER
        if number > 0:
            index, found = changeset.index, changeset.own_row(number)
            if found < index.rows and index.ordinal[found] != ABSENT:
                return below, found
            path = changeset.path(found)
    return _NOTHING


def _lexically(changeset: Changeset, path: str) -> int:
    """
    Give the number of the directory at a path in one layer, or what else is there.

    Source:
        ``RootPath`` of containerd/continuity, as in containerd 1.6: the text of a relative link is
        joined to the names that led to it, and ``..`` taken from those, not from where they lead.
        All links at the path are put in place of their names, once, then again, until none is left.
    """
    names = path.split("/")
    links = 0
    before = -1
    number = 0
    while links != before:
        before, number = links, 0
        done: list[str] = []
        for name in names:
            if name in ("", "."):
                continue
            if name == ".." or ".." in done:
                done = _clean([*done, name] if name == ".." else done)
                number = _physically(changeset, done)
                if name == "..":
                    continue
            text = None
            if number == _OTHER:
                return _FAILS
            if number >= 0:
                number, text = _step(changeset, number, name)
            if text is None:
                done.append(name)
                continue
            links += 1
            if links > _LINKS or len(text) > _PATH_MAX:
                return _FAILS
            parts = [part for part in text.split("/") if part not in ("", ".")]
            done = parts if text.startswith("/") else _clean([*done, *parts])
            number = _physically(changeset, done)
        names = done
    return number


def _physically(changeset: Changeset, names: list[str]) -> int:
    """Give the number of the directory that the kernel finds in the folder of one layer."""
    pending = names[::-1]
    way = [0]
    links = 0
    while pending:
        name = pending.pop()
        if name == "..":
            del way[max(1, len(way) - 1) :]
            continue
        number, text = _step(changeset, way[-1], name)
        if text is not None:
            links += 1
            if links > _LINKS:
                return _FAILS
            if text.startswith("/"):
                return _NOTHING  # It leads out of the folder.
            pending.extend(part for part in reversed(text.split("/")) if part not in ("", "."))
        elif number < 0:
            return number if not pending or number == _NOTHING else _FAILS
        else:
            way.append(number)
    return way[-1]


def _step(changeset: Changeset, number: int, name: str) -> tuple[int, str | None]:
    """Give what a name in a directory of one layer is; of a link its text too."""
    row = changeset.children(number).get(name)
    if row is None:
        # A whiteout is a device in the folder of its layer.
        return (_OTHER if name in changeset.whiteouts(number) else _NOTHING), None
    inner = changeset.directory(row)
    return (inner, None) if inner >= 0 else (_OTHER, _link_text(changeset, row))


def _clean(names: list[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        if name != "..":
            found.append(name)
        elif found:
            found.pop()
    return found


def _link_text(changeset: Changeset, row: int) -> str | None:
    index = changeset.index
    inode = changeset.inode(row)
    if inode >= index.rows or not stat.S_ISLNK(index.kinds[index.kind[inode]][0]):
        return None
    return decode(index.texts[index.ref[inode]])
