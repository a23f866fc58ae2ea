"""
The xattrs of directories: where an entry replaces those that were there, and where it adds to them.

Runtimes that write onto one folder set the xattrs of an entry on the directory that is there
already, and some take none away: containerd and podman where an upper layer brings the directory
again (case H1), containerd also where a layer brings it twice (case F2).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from attrs import evolve

from unionlayers._foundation.names import decode
from unionlayers._layers.copied_metadata import copied_from
from unionlayers._layers.directory import TALL
from unionlayers._layers.entry import Entry, entry_of
from unionlayers._tar.index import ABSENT, LayerIndex

if TYPE_CHECKING:
    from unionlayers._layers.changeset import Changeset
    from unionlayers._layers.directory import Directory
    from unionlayers._layers.union import Union

__all__ = ["Kept", "directories_with_xattrs", "directory_entry", "lost_xattrs"]

Kept = Mapping[bytes, tuple[str, bytes]]
"""The xattrs of a directory, name and value, by the bytes of the name."""


def directory_entry(union: Union, directory: Directory, slot: int, row: int) -> Entry:
    """
    Give the metadata of a directory.

    Args:
        union: The stack.
        directory: A directory of it.
        slot: The uppermost layer with an entry for the directory.
        row: That entry.

    Cost:
        O(1), and where the profile keeps xattrs the entries that the layers have for the
        directory; of many layers, those that were not asked for at another height of the stack.
    """
    changeset = union.changeset(slot)
    entry = entry_of(changeset.index, row)
    profile = union.profile
    if profile.lower_dir_xattrs == profile.repeated_dir_xattrs == "replace":
        return entry
    kept = _kept(union, directory, slot, row)
    return evolve(entry, xattrs=tuple([kept[key] for key in sorted(kept)]))


def _kept(union: Union, directory: Directory, slot: int, row: int) -> Kept:
    """Give the xattrs that a directory has, of which (slot, row) is the uppermost entry."""
    if union.profile.lower_dir_xattrs == "replace":
        return _added(union, {}, slot, row)
    kept: Kept = {}
    below: tuple[int, int] | None = None
    way: list[tuple[int, int]] = []
    # What a share and those beneath it come to is the same at every height at which it is visible.
    for above, _, brought in directory.shares():
        known = union.kept.get((above, brought))
        if known is not None:
            kept, below = known, (above, brought)
            break
        way.append((above, brought))
    is_tall = below is not None or len(way) > TALL
    for above, brought in reversed(way):
        index = union.changeset(above).index
        if brought < index.rows and index.ordinal[brought] != ABSENT:
            kept = _added(union, kept, above, brought)
    if is_tall and way:
        # One for each directory: as many as there are heights would be the square of the layers.
        if below is not None:
            union.kept.pop(below, None)
        union.kept[way[0]] = kept
    return kept


def _added(union: Union, kept: Kept, slot: int, row: int) -> Kept:
    """Give what the entries that one layer has for a directory add to the xattrs beneath."""
    own: dict[bytes, tuple[str, bytes]] = {}
    for index, one in _entries_in(union, slot, row):
        for key, value in _xattrs(index, one):
            if key not in own:
                own[key] = decode(key), value
    return {**kept, **own} if own else kept


def _entries_in(union: Union, slot: int, row: int) -> Iterator[tuple[LayerIndex, int]]:
    """Give the entries that one layer has for a directory, the last one first."""
    changeset = union.changeset(slot)
    repeated = changeset.repeated(row)
    yield changeset.index, row
    for earlier in reversed(repeated):
        yield changeset.index, earlier
    if not _late(union, slot).isdisjoint((row, *repeated)):
        copied = copied_from(union, slot, row)
        if copied is not None:
            yield union.changeset(copied[0]).index, copied[1]


def _late(union: Union, slot: int) -> frozenset[int]:
    """Give the entries for directories that were made, as copies, for what is in them."""
    profile = union.profile
    if profile.implied_dir_meta != "copy" or profile.repeated_dir_xattrs != "keep":
        return frozenset()
    known = union.late.get(slot)
    if known is None:
        oddities = union.changeset(slot).index.oddities
        known = union.late[slot] = frozenset(
            oddity.row for oddity in oddities if oddity.code == "after-children"
        )
    return known


def _xattrs(index: LayerIndex, row: int) -> tuple[tuple[bytes, bytes], ...]:
    extra = index.extras.get(row)
    return () if extra is None else extra.xattrs


def directories_with_xattrs(changeset: Changeset) -> Iterator[str]:
    """Give the paths of the directories to which a layer gives xattrs, relative to the root."""
    index = changeset.index
    for row, extra in index.extras.items():
        if extra.xattrs and changeset.directory(row) >= 0:
            yield changeset.path(row)
    root = changeset.own_row(0)
    if root != ABSENT and _xattrs(index, root):
        yield ""


def lost_xattrs(union: Union, slot: int, paths: Collection[str]) -> Iterator[tuple[str, int]]:
    """
    Give the directories that a layer brings again without some of their xattrs.

    Args:
        union: The stack.
        slot: The layer.
        paths: Where layers beneath have directories with xattrs, relative to the root.

    Returns:
        Path and ordinal of each entry.

    Cost:
        A look-up in the layer for each path, and one beneath it for each directory it brings.
    """
    changeset = union.changeset(slot)
    index = changeset.index
    for path in sorted(paths):
        row = _brought(changeset, path)
        if row >= index.rows or row == ABSENT or index.ordinal[row] == ABSENT:
            continue
        own = {key for one in (row, *changeset.repeated(row)) for key, _ in _xattrs(index, one)}
        below = union.beneath(slot, path)
        if below is None or below.directory is None:
            continue
        supplier = union.supplier(below)
        if supplier is None:
            continue
        if not own.issuperset(_kept(union, below.directory, *supplier)):
            yield path, index.ordinal[row]


def _brought(changeset: Changeset, path: str) -> int:
    """Give the row of a directory that the layer lays over what is beneath, else `ABSENT`."""
    number, row = 0, changeset.own_row(0)
    for name in path.split("/") if path else ():
        found = changeset.children(number).get(name)
        if found is None or changeset.opaque(number) or name in changeset.whiteouts(number):
            return ABSENT
        number, row = changeset.directory(found), found
        if number < 0:
            return ABSENT
    return row
