"""
How a stack of layers is read where real container runtimes differ.

A `Profile` is a set of switches.  Every switch is asked where its rule is, and nowhere is the name
of a profile asked.  The presets: ``oci`` follows the specification and, where that is silent, what
runtimes agree on; ``overlay`` answers as containerd's overlayfs snapshotter does; ``sequential``
as runtimes that apply one layer after the other onto one folder (vfs, native, btrfs, zfs).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from attrs import evolve, field, fields, frozen, validators

from unionlayers.errors import UnionLayersError

__all__ = ["PROFILES", "Profile", "cases_between", "in_sequence", "profile_named"]


def _switch(*values: str, cases: str) -> Any:
    """Give the field of a switch: the first value is the default, others are refused."""
    return field(
        default=values[0],
        validator=validators.in_(values),
        metadata={"cases": tuple(cases.split())},
    )


@frozen(kw_only=True)
class Profile:
    """
    The switches; each with its values, the default first, and its cases in the conformance table.

    Attributes:
        whiteout_then_dir: A5, F3: a whiteout, or an entry that is no directory, then an entry for
            a directory of that name in the same layer.
        whiteout_then_implied: A6: the same with the directory only implied.
        whiteout_after_entry: A7, A8: a whiteout after the entry it names, in the same layer.
        whiteout_below_whiteout: A9: a whiteout below a directory that the layer hides.
        whiteout_below_file: F4: a whiteout below a file of the same layer.
        opaque_below_nothing: A9, F4: an opaque whiteout of a directory below one that its layer
            hides, or below a file of it.
        vanished_directory: A8, B3, F3: a directory with an entry of its own that a later entry of
            the layer takes away, or to which its path leads no more.
        whiteout_parents: A3, B4: directories that whiteouts alone imply, and no layer beneath has.
        aufs_metadata: A14: names at the root that begin with ``.wh..wh.``.
        opaque_after_implied: B3: an opaque whiteout after entries below implied directories.
        root_opaque: B5: an opaque whiteout at the root.
        implied_over_file: C5: an implied directory over a file of a lower layer.
        symlinked_parent: D1, A16, B8: a parent that is a symbolic link in a lower layer.
            It is followed in any case in an image that no runtime takes which replaces it (E3,
            A6 to A8, F3), unless ``hardlink_to_lower`` is ``"error"``.
        link_through_nothing: D4: a parent that is a symbolic link through what is no directory, and
            out of it again.
        hardlink_to_lower: E3, E5: a hard link whose target only lower layers have.
        hardlink_to_whiteout: E3: a hard link to a name that its own layer hides.
        hardlink_meta: E7: owner, mode, time and xattrs in the header of a hard link.
        duplicates: F1: two entries for one path in one layer.
        repeated_dir_xattrs: F2: xattrs of the first of two entries for one directory in one layer.
        lower_dir_xattrs: H1: xattrs that a directory has in lower layers and an entry of an upper
            one does not name.
        implied_dir_meta: H2, B3, D1: metadata of a directory that the layer only implies.
        root_entry_meta: H5: an entry for the root itself.
        root_not_directory: H6: an entry for the root that is no directory.
        mtime_range: H7: times before 1970 or after 2262.
        chardev_0_0: I2: a character device 0:0.
        overlay_xattrs: I3: ``trusted.overlay.opaque`` as an xattr in the tar.
        odd_types: I4, J4: contiguous files and old GNU sparse files.
        compression: K1: the bytes decide, or the media type.
        prefer_layout: L3: an archive with both layouts.
        windows: N: Windows layers as they are, or what stands in their ``Files`` folder.
    """

    whiteout_then_dir: Literal["replace", "merge"] = _switch("replace", "merge", cases="A5 F3 I2")
    whiteout_then_implied: Literal["replace", "error"] = _switch("replace", "error", cases="A6")
    whiteout_after_entry: Literal["keep", "delete", "error"] = _switch(
        "keep", "delete", "error", cases="A7 A8 A9 F1"
    )
    whiteout_below_whiteout: Literal["drop", "keep"] = _switch("drop", "keep", cases="A9")
    whiteout_below_file: Literal["drop", "error"] = _switch("drop", "error", cases="F4")
    opaque_below_nothing: Literal["drop", "error"] = _switch("drop", "error", cases="A9 F4")
    vanished_directory: Literal["forget", "error"] = _switch("forget", "error", cases="A8 B3 F3")
    whiteout_parents: Literal["create", "drop"] = _switch("create", "drop", cases="A3 B4")
    aufs_metadata: Literal["hide", "show"] = _switch("hide", "show", cases="A14")
    opaque_after_implied: Literal["keep", "wipe"] = _switch("keep", "wipe", cases="B3")
    root_opaque: Literal["honour", "ignore"] = _switch("honour", "ignore", cases="B5")
    implied_over_file: Literal["replace", "error"] = _switch("replace", "error", cases="C5")
    symlinked_parent: Literal["replace", "follow"] = _switch("replace", "follow", cases="D1 A16 B8")
    link_through_nothing: Literal["pass", "error"] = _switch("pass", "error", cases="D4")
    hardlink_to_lower: Literal["bind", "error"] = _switch("bind", "error", cases="E3 E5")
    hardlink_to_whiteout: Literal["error", "whiteout"] = _switch("error", "whiteout", cases="E3")
    hardlink_meta: Literal["apply", "keep"] = _switch("apply", "keep", cases="E7")
    duplicates: Literal["last", "error"] = _switch("last", "error", cases="F1")
    repeated_dir_xattrs: Literal["replace", "keep"] = _switch("replace", "keep", cases="F2")
    lower_dir_xattrs: Literal["replace", "keep"] = _switch("replace", "keep", cases="H1")
    implied_dir_meta: Literal["inherit", "copy", "reset"] = _switch(
        "inherit", "copy", "reset", cases="H2"
    )
    root_entry_meta: Literal["apply", "ignore"] = _switch("apply", "ignore", cases="H5")
    root_not_directory: Literal["error", "ignore"] = _switch("error", "ignore", cases="H6")
    mtime_range: Literal["clamp", "raw"] = _switch("clamp", "raw", cases="H7")
    chardev_0_0: Literal["whiteout", "device"] = _switch("whiteout", "device", cases="I2")
    overlay_xattrs: Literal["ignore", "honour"] = _switch("ignore", "honour", cases="I3")
    odd_types: Literal["read", "error"] = _switch("read", "error", cases="I4 J4")
    compression: Literal["sniff", "declared"] = _switch("sniff", "declared", cases="K1")
    prefer_layout: Literal["oci", "docker"] = _switch("oci", "docker", cases="L3")
    windows: Literal["raw", "files"] = _switch("raw", "files", cases="N")


PROFILES: dict[str, Profile] = {
    "oci": Profile(),
    "overlay": Profile(
        whiteout_then_dir="merge",
        whiteout_then_implied="error",
        whiteout_after_entry="error",
        opaque_below_nothing="error",
        vanished_directory="error",
        aufs_metadata="show",
        root_opaque="ignore",
        hardlink_to_lower="error",
        hardlink_to_whiteout="whiteout",
        repeated_dir_xattrs="keep",
        implied_dir_meta="copy",
        root_entry_meta="ignore",
        root_not_directory="ignore",
        odd_types="error",
    ),
    "sequential": Profile(
        whiteout_after_entry="delete",
        vanished_directory="error",
        whiteout_below_whiteout="keep",
        whiteout_below_file="error",
        aufs_metadata="show",
        opaque_after_implied="wipe",
        implied_over_file="error",
        symlinked_parent="follow",
        link_through_nothing="error",
        repeated_dir_xattrs="keep",
        lower_dir_xattrs="keep",
        chardev_0_0="device",
        odd_types="error",
    ),
}
"""The presets by name."""


def profile_named(profile: Profile | str) -> Profile:
    """
    Give the preset of that name, or the profile itself.

    Raises:
        ValueError: There is no preset of that name; the message has those there are.
    """
    if isinstance(profile, Profile):
        return profile
    found = PROFILES.get(profile)
    if found is None:
        raise UnknownProfileError(f"no profile is called {profile!r}", candidates=tuple(PROFILES))
    return found


def in_sequence(profile: Profile) -> Profile:
    """
    Give the profile under which an image is read of which no runtime unpacks each layer alone.

    Where it has hard links to the layers beneath (case E3), whiteouts after what they name (A7,
    A8) or directories that vanish (F3), those count which apply layers onto each other, in all of
    the image: else its tree were one that no runtime shows.  The switches are those in which
    these are alike, and else as umoci is, which takes the most.
    """
    return evolve(
        profile,
        symlinked_parent="follow",
        implied_over_file="error",
        hardlink_to_whiteout="error",
        whiteout_parents="drop",
    )


def cases_between(profiles: Iterable[Profile]) -> frozenset[str]:
    """
    Give the ids of the cases whose switch has different values in some of the profiles.

    Example:
        >>> sorted(cases_between([Profile(), Profile(root_opaque="ignore")]))
        ['B5']
    """
    compared = tuple(profiles)
    return frozenset(
        case
        for switch in fields(Profile)
        if len({getattr(profile, switch.name) for profile in compared}) > 1
        for case in switch.metadata["cases"]
    )


class UnknownProfileError(UnionLayersError, ValueError):
    """No preset has the name that was given."""
