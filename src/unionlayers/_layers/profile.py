"""
How a stack of layers is read where real container runtimes differ.

A `Profile` is a set of switches.  Every switch is asked where its rule is, and nowhere is the name
of a profile asked.  The presets: ``oci`` follows the specification and, where that is silent, what
runtimes agree on; ``overlay`` answers as containerd's overlayfs snapshotter does; ``sequential``
as runtimes that apply one layer after the other onto one folder (vfs, native, btrfs, zfs).
"""

from __future__ import annotations

from typing import Any, Literal

from attrs import field, frozen, validators

from unionlayers.errors import UnionLayersError

__all__ = ["PROFILES", "Profile", "profile_named"]


def _switch(*values: str) -> Any:
    """Give the field of a switch: the first value is the default, others are refused."""
    return field(default=values[0], validator=validators.in_(values))


@frozen(kw_only=True)
class Profile:
    """
    The switches; each with its values, the default first, and its cases in the conformance table.

    Attributes:
        whiteout_then_dir: A5: a whiteout, then an entry for that directory in the same layer.
        whiteout_then_implied: A6: the same with the directory only implied.
        whiteout_after_entry: A7, A8: a whiteout after the entry it names, in the same layer.
        whiteout_below_whiteout: A9: a whiteout below a directory that the layer hides.
        aufs_metadata: A14: names at the root that begin with ``.wh..wh.``.
        opaque_after_implied: B3: an opaque whiteout after entries below implied directories.
        root_opaque: B5: an opaque whiteout at the root.
        implied_over_file: C5: an implied directory over a file of a lower layer.
        symlinked_parent: D1, A16, B8: a parent that is a symbolic link in a lower layer.
        hardlink_to_lower: E3, E5: a hard link whose target only lower layers have.
        hardlink_meta: E7: owner, mode, time and xattrs in the header of a hard link.
        duplicates: F1: two entries for one path in one layer.
        implied_dir_meta: H2: metadata of a directory that the layer only implies.
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

    whiteout_then_dir: Literal["replace", "merge"] = _switch("replace", "merge")
    whiteout_then_implied: Literal["replace", "error"] = _switch("replace", "error")
    whiteout_after_entry: Literal["keep", "delete", "error"] = _switch("keep", "delete", "error")
    whiteout_below_whiteout: Literal["drop", "keep"] = _switch("drop", "keep")
    aufs_metadata: Literal["hide", "show"] = _switch("hide", "show")
    opaque_after_implied: Literal["keep", "wipe"] = _switch("keep", "wipe")
    root_opaque: Literal["honour", "ignore"] = _switch("honour", "ignore")
    implied_over_file: Literal["replace", "error"] = _switch("replace", "error")
    symlinked_parent: Literal["replace", "follow"] = _switch("replace", "follow")
    hardlink_to_lower: Literal["bind", "error"] = _switch("bind", "error")
    hardlink_meta: Literal["apply", "keep"] = _switch("apply", "keep")
    duplicates: Literal["last", "error"] = _switch("last", "error")
    implied_dir_meta: Literal["inherit", "reset"] = _switch("inherit", "reset")
    root_entry_meta: Literal["apply", "ignore"] = _switch("apply", "ignore")
    root_not_directory: Literal["error", "ignore"] = _switch("error", "ignore")
    mtime_range: Literal["clamp", "raw"] = _switch("clamp", "raw")
    chardev_0_0: Literal["whiteout", "device"] = _switch("whiteout", "device")
    overlay_xattrs: Literal["ignore", "honour"] = _switch("ignore", "honour")
    odd_types: Literal["read", "error"] = _switch("read", "error")
    compression: Literal["sniff", "declared"] = _switch("sniff", "declared")
    prefer_layout: Literal["oci", "docker"] = _switch("oci", "docker")
    windows: Literal["raw", "files"] = _switch("raw", "files")


PROFILES: dict[str, Profile] = {
    "oci": Profile(),
    "overlay": Profile(
        whiteout_then_dir="merge",
        whiteout_then_implied="error",
        whiteout_after_entry="error",
        aufs_metadata="show",
        root_opaque="ignore",
        hardlink_to_lower="error",
        root_entry_meta="ignore",
        root_not_directory="ignore",
        odd_types="error",
    ),
    "sequential": Profile(
        whiteout_after_entry="delete",
        whiteout_below_whiteout="keep",
        aufs_metadata="show",
        opaque_after_implied="wipe",
        implied_over_file="error",
        symlinked_parent="follow",
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


class UnknownProfileError(UnionLayersError, ValueError):
    """No preset has the name that was given."""
