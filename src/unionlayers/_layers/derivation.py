"""
From the record of a layer to its changeset, in a stack under one profile.

A layer without exceptions is taken as it stands, one with exceptions replayed.  Where what it shows
depends on those beneath, they are asked: under a profile that follows their symbolic links, and in
a layer that no runtime applies which unpacks each layer alone.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from unionlayers._layers.changeset import Changeset, PlainChangeset
from unionlayers._layers.derived import DerivedChangeset
from unionlayers._layers.lower_view import LowerView
from unionlayers._layers.profile import Profile, in_sequence
from unionlayers._layers.replay import replay
from unionlayers._layers.windows_files import windows_files
from unionlayers._tar.index import LayerIndex
from unionlayers.errors import LayerError

if TYPE_CHECKING:
    from unionlayers._layers.union import Union

__all__ = ["derived_from"]

_MANY = 24


def derived_from(union: Union, slot: int, index: LayerIndex) -> Changeset:
    """
    Give the changeset of a layer.

    Args:
        union: The stack; only the layers beneath the slot are asked.
        slot: Position of the layer.
        index: Its record.

    Raises:
        LayerError: The profile refuses the layer.
        UnionLayersError: One beneath that is asked cannot be read or applied.

    Cost:
        O(rows) and the links on the way, at most twice; where those beneath are asked, a look-up in
        them for each directory that the layer implies.  In a tall stack they are all indexed then.
    """
    profile = union.profile
    settled = all(oddity.code == "after-children" for oddity in index.oddities)
    if settled and profile.windows == "raw":
        plain = PlainChangeset(index, profile)
        if not _meets_beneath(union, slot, plain):
            return plain
    is_last = slot == 0 or profile.symlinked_parent == "follow"
    binds = profile.hardlink_to_lower == "bind"
    try:
        made = _replayed(union, slot, index, profile)
    except LayerError:
        if is_last or not binds:
            raise
    else:
        reaches_down = bool(made.downlinks) and (binds or union.warn)
        if is_last or not (reaches_down or (made.passed_over and binds)):
            return made
    return _replayed(union, slot, index, in_sequence(profile))


def _replayed(union: Union, slot: int, index: LayerIndex, profile: Profile) -> DerivedChangeset:
    asks = slot > 0 and _asks_beneath(profile)
    if asks:
        _derive_beneath(union, slot)
    return replay(
        index,
        profile,
        on_invalid=union.on_invalid,
        limits=union.limits,
        beneath=LowerView(union, slot) if asks else None,
        windows=windows_files(profile, lambda path: union.beneath(slot, path)),
    )


def _meets_beneath(union: Union, slot: int, plain: PlainChangeset) -> bool:
    """Tell whether a directory that the layer implies is something else in those beneath."""
    if slot == 0 or not _asks_beneath(union.profile):
        return False
    lower = LowerView(union, slot)
    # What has an entry after its children was implied when the first of them came.
    rows = (*plain.implied(), *(oddity.row for oddity in plain.index.oddities))
    if rows:
        _derive_beneath(union, slot)
    for row in rows:
        below = lower.node(plain, row)
        if below is not None and not stat.S_ISDIR(union.form(below)):
            return True
    return False


def _asks_beneath(profile: Profile) -> bool:
    return profile.symlinked_parent == "follow" or profile.implied_over_file == "error"


def _derive_beneath(union: Union, slot: int) -> None:
    """
    Derive the layers beneath one that asks them, where there are many.

    Few are derived as they are asked, and no more of them than need be.  But each may ask the one
    beneath it, and that takes some of Python's stack.
    """
    for lower in range(slot) if slot > _MANY else ():
        union.changeset(lower)
