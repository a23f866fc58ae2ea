"""What each value of each switch of a profile means."""

from __future__ import annotations

__all__ = ["SWITCHES"]

SWITCHES = {
    "whiteout_then_dir": {
        "replace": "the directory starts empty",
        "merge": "what the layers beneath have in it is visible",
    },
    "whiteout_then_implied": {
        "replace": "the directory starts empty",
        "error": "the layer is refused",
    },
    "whiteout_after_entry": {
        "keep": "the entry of the layer stays",
        "delete": "the entry of the layer goes too",
        "error": "the layer is refused, also where the whiteout meets another one",
    },
    "whiteout_below_whiteout": {
        "drop": "the hidden directory stays hidden",
        "keep": "the directory is there again, and empty",
    },
    "whiteout_below_file": {
        "drop": "it hides nothing",
        "error": "the layer is refused",
    },
    "opaque_below_nothing": {
        "drop": "it hides nothing",
        "error": "the layer is refused",
    },
    "vanished_directory": {
        "forget": "the directory is gone",
        "error": "the layer is refused: its times cannot be set",
    },
    "whiteout_parents": {
        "create": "they are there, and empty",
        "drop": "the whiteout hides nothing, and they are not there",
    },
    "aufs_metadata": {
        "hide": "hidden, and a source of hard links",
        "show": "whiteouts and names like any other",
    },
    "opaque_after_implied": {
        "keep": "new files below directories without entries stay",
        "wipe": "they go with what is beneath",
    },
    "root_opaque": {
        "honour": "everything beneath is hidden",
        "ignore": "nothing is hidden",
    },
    "implied_over_file": {
        "replace": "the directory takes the place of the file",
        "error": "the layer is refused",
    },
    "symlinked_parent": {
        "replace": "a directory takes the place of the link, which is lost; it is followed in "
        "an image whose layers cannot each be unpacked alone",
        "follow": "entries, whiteouts and opaque whiteouts act where the link leads",
    },
    "link_through_nothing": {
        "pass": "it leads where its text does",
        "error": "the layer is refused",
    },
    "hardlink_to_lower": {
        "bind": "it shares the inode of the lower file",
        "error": "the layer is refused",
    },
    "hardlink_to_whiteout": {
        "error": "the layer is refused: there is no target",
        "whiteout": "its name is hidden as well",
    },
    "hardlink_meta": {
        "apply": "they change the inode for all its names",
        "keep": "they are not looked at",
    },
    "duplicates": {
        "last": "the last entry counts",
        "error": "the layer is refused",
    },
    "repeated_dir_xattrs": {
        "replace": "those of the last entry count",
        "keep": "those that the last entry does not name stay",
    },
    "lower_dir_xattrs": {
        "replace": "those of the uppermost entry count",
        "keep": "those that no upper entry names stay",
    },
    "implied_dir_meta": {
        "inherit": "that of the layers beneath",
        "copy": "that of the uppermost layer beneath that has the path, hidden or not, and links "
        "followed in that layer; 0755 of root in all of an image that containerd refuses",
        "reset": "0755 of root",
    },
    "root_entry_meta": {
        "apply": "the entry gives the root its metadata",
        "ignore": "the root is 0755 of root",
    },
    "root_not_directory": {
        "error": "the layer is refused",
        "ignore": "the entry is passed over",
    },
    "mtime_range": {
        "clamp": "the time is zero",
        "raw": "the time is as the tar has it",
    },
    "chardev_0_0": {
        "whiteout": "it hides its name",
        "device": "it is a device",
    },
    "overlay_xattrs": {
        "ignore": "an xattr like any other",
        "honour": "the directory is opaque",
    },
    "odd_types": {
        "read": "a regular file",
        "error": "the layer is refused",
    },
    "compression": {
        "sniff": "the first bytes decide",
        "declared": "the media type decides, and bytes that differ are refused",
    },
    "prefer_layout": {
        "oci": "index.json counts",
        "docker": "manifest.json counts",
    },
    "windows": {
        "raw": "layers as they are stored",
        "files": "what is in their folder Files, as a container sees it",
    },
}
