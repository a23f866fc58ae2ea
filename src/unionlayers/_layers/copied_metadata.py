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
from bisect import bisect_left
from typing import TYPE_CHECKING

from attrs import define, field

from unionlayers._foundation.names import decode
from unionlayers._layers.chronicle import Chronicle
from unionlayers._layers.directory import TALL
from unionlayers._tar.index import ABSENT

if TYPE_CHECKING:
    from unionlayers._layers.changeset import Changeset
    from unionlayers._layers.union import Union

__all__ = ["StackedFolders", "containerd_stops_at", "copied_from"]

_NOTHING, _OTHER, _LINK, _FAILS = -1, -2, -3, -4
_KEPT = 100_000
_LINKS = 255
_PATH_MAX = 4096
# Where the tree of a lowest layer is not the one that comes of applying it to a folder.
_APART = frozenset({"DEVICE_ZERO", "HARDLINK_TO_WHITEOUT", "OPAQUE_AFTER_IMPLIED", "ROOT_OPAQUE"})


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
        The first call looks up all directories that the layers imply, and indexes all layers for
        it: a bisection of the layers that have something at the path, for each that was not asked
        for.
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
        # What was found is kept, how is not: that would be as much again as a short stack holds.
        union.stacked = None
    return union.stops_at if union.stops_at < union.top else None


def _applies(union: Union, slot: int) -> bool:
    """Tell whether containerd can apply a layer that this profile takes."""
    changeset = union.changeset(slot)
    if slot == 0 and any(finding.code in _APART for finding in changeset.findings):
        # It applies that one as to a folder, and makes no devices of whiteouts.
        return False
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
    folders = union.stacked
    if folders is None or folders.slot != slot:
        if folders is not None:
            told = folders.told
        else:
            told = union.chronicle if union.top > TALL else Chronicle(union, None, "")
        folders = union.stacked = StackedFolders(union, slot, told)
    chronicle, barrier, what = folders.at(row)
    position = chronicle.up_to(slot - 1) if chronicle is not None and chronicle.name else -1
    while chronicle is not None and position >= 0:
        below, _, found = chronicle.shares[position]
        if below < barrier:
            break
        index = union.changeset(below).index
        if found < index.rows and index.ordinal[found] != ABSENT:
            return below, found
        known = union.copied.get((below, found))
        if known is not None:
            return known
        position -= 1
    if what == _LINK:
        return _through_links(union, union.changeset(slot).path(row), barrier)
    return what


_Place = tuple[Chronicle | None, int, int]


@define(eq=False)
class StackedFolders:
    """
    What the layers beneath one layer have at its directories, each looked at alone.

    No link is followed.  What is known of the directory above is used: a deep tree would cost its
    depth squared.

    Args:
        union: The stack; the changesets of the layers beneath are known.
        slot: The layer that asks.
        told: What the layers say of the root.
    """

    union: Union
    slot: int
    told: Chronicle
    _known: dict[int, _Place] = field(factory=dict)

    def at(self, row: int) -> _Place:
        """
        Give what is at a directory of the layer, or on the way to it.

        Returns:
            The chronicle of the path, None where no layer beneath has a directory there; the slot
            of the uppermost layer that has something else, -1 if none has; and what that is.
        """
        here = self.union.changeset(self.slot)
        top = here.own_row(0)
        known = self._known
        if not known or len(known) > _KEPT:
            # A new one, for whoever asks at the same time.
            self.told.cover(self.slot)
            known = self._known = {top: (self.told, -1, _NOTHING)}
        pending: list[tuple[int, str]] = []
        while row not in known:
            parent, name = here.above(row)
            pending.append((row, name))
            row = top if parent == ABSENT else parent
        place = known[row]
        for inner, name in reversed(pending):
            place = known[inner] = self._step(place, name)
        return place

    def _step(self, place: _Place, name: str) -> _Place:
        chronicle, barrier, what = place
        if what == _OTHER:
            what = _FAILS
        said = () if chronicle is None else chronicle.said_of(name, self.slot)
        at = bisect_left(said, (self.slot,)) - 1
        if chronicle is None or at < 0:
            return None, barrier, what
        solid = said[at][3]
        if solid > barrier:
            barrier, what = solid, _OTHER
            row = said[bisect_left(said, (solid,))][1]
            # A whiteout is a device in the folder of its layer.
            if row != ABSENT and _link_text(self.union.changeset(solid), row) is not None:
                what = _LINK
        inner = chronicle.inner(name)
        inner.cover(self.slot)
        return (inner if inner.up_to(self.slot - 1) >= 0 else None), barrier, what


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
