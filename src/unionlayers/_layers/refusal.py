"""
Whether those runtimes take an image that unpack each layer alone, all layers together.

containerd, Docker and Podman refuse different things.  An image with a layer that only containerd
takes, and one that it does not, is one that none of them runs.  Asked while one layer is derived,
this is answered by another union of the same layers, so that no two threads wait for each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from unionlayers._layers.copied_metadata import containerd_stops_at
from unionlayers._layers.derived import DerivedChangeset
from unionlayers._layers.profile import PROFILES
from unionlayers.errors import LayerError

if TYPE_CHECKING:
    from unionlayers._layers.changeset import Changeset, PlainChangeset
    from unionlayers._layers.profile import Profile
    from unionlayers._layers.union import Union

__all__ = ["check_containerd", "is_refused_apart"]


def is_refused_apart(union: Union, slot: int, made: PlainChangeset | DerivedChangeset) -> bool:
    """
    Tell whether none of those runtimes takes a layer, or one above it.

    A layer is looked up in from the top, so that those above are known; to ask those beneath as
    well would index them for every directory that a layer implies.

    Args:
        union: The stack.
        slot: Position of the layer.
        made: Its changeset, as one that is unpacked alone.

    Raises:
        UnionLayersError: A layer above cannot be read.

    Cost:
        Indexes the layers above, and replays those with exceptions once more.
    """
    if not union.judged:
        return False
    if isinstance(made, DerivedChangeset) and (
        made.passed_over or made.downlinks or _is_containerds(_overlaid(union), made)
    ):
        return True
    known = union.refused_apart
    lowest = first = slot + 1
    while first < union.top and first not in known:
        first += 1
    found = known.get(first, False)
    for above in reversed(range(lowest, first)):
        found = known[above] = found or _is_refused(union, above)
    return found


def _is_refused(union: Union, slot: int) -> bool:
    index = union.slots[slot].load()
    if all(oddity.code == "after-children" for oddity in index.oddities):
        return False
    other = _overlaid(union)
    try:
        made = other.changeset(slot)
    except LayerError:
        return True
    return bool(made.downlinks) or _is_containerds(other, made)


def _is_containerds(other: Union, made: Changeset) -> bool:
    if made.only_containerd is None:
        return False
    try:
        return containerd_stops_at(other) is not None
    except LayerError:
        return True  # None of them takes some layer.


def _overlaid(union: Union) -> Union:
    """Give the same layers under the preset of these runtimes."""
    if union.apart is None:
        # What no runtime at all reads refuses nothing here.
        windows = union.profile.windows
        profile = evolve(PROFILES["overlay"], odd_types="read", windows=windows)
        union.apart = _other(union, profile, "error")
    return union.apart


def check_containerd(union: Union, slot: int, made: Changeset) -> None:
    """
    Check that containerd takes the other layers of an image with a layer that only it takes.

    Raises:
        LayerError: It does not, and the profile is one that answers as it does.
        UnionLayersError: A layer cannot be read or applied.

    Cost:
        Where the profile is such a one, that of `containerd_stops_at`.
    """
    refused = made.only_containerd
    if refused is None or union.profile.implied_dir_meta != "copy":
        return
    if union.warn or not union.judged:
        return
    if union.apart is None:
        union.apart = _other(union, union.profile, union.on_invalid)
    stops = containerd_stops_at(union.apart)
    if stops is not None:
        path, ordinal, what, case = refused
        raise LayerError(
            f"{what} (case {case}), which Docker and Podman refuse, in an image of which "
            f"containerd refuses layer {union.slots[stops].layer}",
            path=path,
            layer=union.slots[slot].layer,
            entry=ordinal,
            hint='Pass on_invalid="warn" to record it and go on',
            case=case,
        )


def _other(union: Union, profile: Profile, on_invalid: str) -> Union:
    return type(union)(
        union.slots, profile, on_invalid=on_invalid, limits=union.limits, judged=False
    )
