"""
From the record of a layer to its changeset, in a stack under one profile.

A layer without exceptions is taken as it stands, one with exceptions replayed.  Where what it shows
depends on those beneath, they are asked: under a profile that follows their symbolic links, and in
a layer of which, or of one above it, no runtime takes the image which unpacks each layer alone.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from unionlayers._layers.changeset import Changeset, PlainChangeset
from unionlayers._layers.derived import DerivedChangeset
from unionlayers._layers.lower_view import LowerView
from unionlayers._layers.profile import Profile, in_sequence
from unionlayers._layers.refusal import check_containerd, is_refused_apart
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
        Under a profile that may fall back, the layers above are indexed: see `is_refused_apart`.
    """
    profile = union.profile
    made: PlainChangeset | DerivedChangeset | None = _plain(union, slot, index)
    try:
        made = made or _replayed(union, slot, index, profile)
    except LayerError:
        if slot == 0 or not _may_fall_back(profile):
            raise
    if made is None or _is_in_sequence(union, slot, made):
        union.refused_apart[slot] = True
        return _replayed(union, slot, index, in_sequence(profile))
    check_containerd(union, slot, made)
    return made


def _may_fall_back(profile: Profile) -> bool:
    return profile.symlinked_parent == "replace" and profile.hardlink_to_lower == "bind"


def _is_in_sequence(union: Union, slot: int, made: PlainChangeset | DerivedChangeset) -> bool:
    """Tell whether the layer is read onto those beneath, as no runtime unpacks each alone."""
    profile = union.profile
    if slot and made.downlinks and profile.symlinked_parent == "replace":
        return union.warn or profile.hardlink_to_lower == "bind"
    # Read otherwise are directories that the layer does not have when it needs them, and in the
    # lowest layer those for whiteouts.
    if isinstance(made, DerivedChangeset) and not made.missed:
        return False
    if not _may_fall_back(profile) or (slot == 0 and not made.index.marks):
        return False
    # The directories of a plain layer are gone through last: hardly any layer comes so far.
    return is_refused_apart(union, slot, made) and (
        isinstance(made, DerivedChangeset) or bool(_implied(made))
    )


def _plain(union: Union, slot: int, index: LayerIndex) -> PlainChangeset | None:
    """Give the changeset of a layer that is taken as it stands, None where it is replayed."""
    profile = union.profile
    settled = all(oddity.code == "after-children" for oddity in index.oddities)
    if not settled or profile.windows != "raw":
        return None
    plain = PlainChangeset(index, profile)
    asks = slot > 0 and _asks_beneath(profile)
    return None if asks and _replaces(union, slot, plain) else plain


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


def _replaces(union: Union, slot: int, plain: PlainChangeset) -> bool:
    """Tell whether a directory that the layer implies is something else in those beneath."""
    lower = LowerView(union, slot)
    rows = _implied(plain)
    if rows:
        _derive_beneath(union, slot)
    for row in rows:
        below = lower.node(plain, row)
        if below is not None and not stat.S_ISDIR(union.form(below)):
            return True
    return False


def _implied(plain: PlainChangeset) -> tuple[int, ...]:
    # What has an entry after its children was implied when the first of them came.
    return (*plain.implied(), *(oddity.row for oddity in plain.index.oddities))


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
