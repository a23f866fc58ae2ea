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
    from unionlayers._layers.finding import Finding
    from unionlayers._layers.union import Union

__all__ = ["check_containerd", "is_refused_apart"]

# What Docker and Podman refuse and containerd does not.
_CONTAINERDS = frozenset({"DUPLICATE", "LINK_THROUGH_NOTHING", "LINK_TO_NOTHING"})


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
    if isinstance(made, DerivedChangeset) and _refuses(union, made):
        return True
    known = union.refused_apart
    lowest = first = slot + 1
    while first < union.top and first not in known:
        first += 1
    found = known.get(first, False)
    for above in reversed(range(lowest, first)):
        found = known[above] = found or _is_refused(union, above)
    return found


def check_containerd(union: Union, slot: int, made: Changeset) -> None:
    """
    Check that containerd takes the other layers of an image with a layer that only it takes.

    Raises:
        LayerError: It does not, and the profile is one that answers as it does.
        UnionLayersError: A layer cannot be read or applied.

    Cost:
        Where the profile is such a one, that of `containerd_stops_at`.
    """
    profile = union.profile
    is_containerds = profile.implied_dir_meta == "copy" and profile.hardlink_to_lower == "error"
    if not is_containerds or union.warn or not union.judged:
        return
    finding = _only_containerd_takes(made)
    stops = None if finding is None else containerd_stops_at(_overlaid(union))
    if finding is not None and stops is not None:
        raise LayerError(
            f"containerd refuses layer {union.slots[stops].layer}, and Docker and Podman this one: "
            f"{finding.message} (case {finding.case})",
            path=finding.path,
            layer=union.slots[slot].layer,
            entry=finding.entry,
            hint='Pass on_invalid="warn" to record it and go on',
            case=finding.case,
        )


def _is_refused(union: Union, slot: int) -> bool:
    index = union.slots[slot].load()
    if all(oddity.code == "after-children" for oddity in index.oddities):
        return False
    try:
        made = _overlaid(union).changeset(slot)
    except LayerError:
        return True
    return isinstance(made, DerivedChangeset) and _refuses(union, made)


def _refuses(union: Union, made: DerivedChangeset) -> bool:
    if made.passed_over or made.downlinks:
        return True
    if _only_containerd_takes(made) is None:
        return False
    try:
        return containerd_stops_at(_overlaid(union)) is not None
    except LayerError:
        return True  # None of them takes some layer.


def _only_containerd_takes(made: Changeset) -> Finding | None:
    """Give the first finding for which Docker and Podman refuse what containerd takes."""
    return next((one for one in made.findings if one.code in _CONTAINERDS), None)


def _overlaid(union: Union) -> Union:
    """Give the same layers under the preset of these runtimes."""
    if union.overlaid is None:
        # What no runtime at all reads refuses nothing here.
        windows = union.profile.windows
        profile = evolve(PROFILES["overlay"], odd_types="read", windows=windows)
        union.overlaid = union.read_as(profile)
    return union.overlaid
