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
from unionlayers._layers.profile import PROFILES
from unionlayers.errors import LayerError

if TYPE_CHECKING:
    from unionlayers._layers.changeset import Changeset
    from unionlayers._layers.profile import Profile
    from unionlayers._layers.union import Union

__all__ = ["check_containerd", "is_refused_apart"]


def is_refused_apart(union: Union) -> bool:
    """
    Tell whether none of those runtimes takes the image.

    Raises:
        UnionLayersError: A layer cannot be read.

    Cost:
        The first call indexes all layers and derives each once more.
    """
    if union.refused_apart is None:
        union.refused_apart = union.judged and _is_refused(union)
    return union.refused_apart


def _is_refused(union: Union) -> bool:
    # The one preset whose class these runtimes are; what no runtime at all reads refuses nothing.
    profile = evolve(
        PROFILES["overlay"],
        odd_types="read",
        windows=union.profile.windows,
    )
    other = _other(union, profile, "error")
    is_containerds = False
    for slot in range(other.top):
        try:
            made = other.changeset(slot)
        except LayerError:
            return True
        if made.downlinks:
            return True
        is_containerds = is_containerds or made.only_containerd is not None
    return is_containerds and containerd_stops_at(other) is not None


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
    stops = containerd_stops_at(_other(union, union.profile, union.on_invalid))
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
