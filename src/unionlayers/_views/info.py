"""The namespaces of an ``Info``: what is known of a node, as PyFilesystem spells it."""

from __future__ import annotations

import stat
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from attrs import asdict, frozen

from unionlayers._foundation.names import decode
from unionlayers._image.image import Image
from unionlayers._layers.capability import capability_text
from unionlayers._layers.directory import Node
from unionlayers._layers.entry import Entry
from unionlayers._layers.union import Union
from unionlayers._tar.details import decode_header
from unionlayers._tar.index import ABSENT, LayerIndex
from unionlayers._views._pyfilesystem import fs

__all__ = ["Stat", "namespaces_of", "permission_names", "shown_mtime_ns", "stat_of"]

_RESOURCE_TYPES = {
    stat.S_IFDIR: 1,
    stat.S_IFREG: 2,
    stat.S_IFCHR: 3,
    stat.S_IFBLK: 4,
    stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6,
    stat.S_IFLNK: 7,
}
_LATEST = (1 << 63) - 1
_GIGA = 1_000_000_000


@frozen
class Stat:
    """
    What ``os.stat`` would say of a path, plus its target and xattrs.

    Attributes:
        st_mode: Type and permission bits.
        st_ino: Identity of the inode, equal exactly for names of one inode.
        st_nlink: Names of the inode that are visible in the view.
        st_uid: Owner.
        st_gid: Group.
        st_size: Bytes.
        st_mtime: Seconds since the epoch.
        st_mtime_ns: Nanoseconds since the epoch.
        st_rdev: Device number, 0 for anything but a device.
    """

    st_mode: int
    st_ino: int
    st_nlink: int
    st_uid: int
    st_gid: int
    st_size: int
    st_mtime: float
    st_mtime_ns: int
    st_rdev: int


@lru_cache(maxsize=4096)
def permission_names(mode: int) -> tuple[str, ...]:
    """Give the names of permission bits as PyFilesystem has them."""
    return tuple(fs.permissions.Permissions(mode=mode).dump())


def shown_mtime_ns(union: Union, mtime_ns: int) -> int:
    """Give a time as runtimes keep it: those before 1970 and after 2262 are 0 (case H7)."""
    if union.profile.mtime_range == "clamp" and not 0 <= mtime_ns <= _LATEST:
        return 0
    return mtime_ns


def device_number(device: tuple[int, int]) -> int:
    """Give major and minor as Linux packs them into 64 bits."""
    major, minor = device
    return (minor & 0xFF) | (major & 0xFFF) << 8 | (minor & ~0xFF) << 12 | (major & ~0xFFF) << 32


def inode_number(union: Union, node: Node) -> int:
    """Give the identity of a node: its layer in the image and the row of its header there."""
    if node.parent is None:
        return 1
    slot, row = (node.slot, node.row) if node.directory is not None else union.inode(node)
    return (union.slots[slot].layer + 1) << 32 | (row + 1)


def stat_of(union: Union, node: Node, entry: Entry) -> Stat:
    """Give the stat of a node."""
    mtime_ns = shown_mtime_ns(union, entry.mtime_ns)
    return Stat(
        st_mode=entry.mode,
        st_ino=inode_number(union, node),
        st_nlink=union.link_count(node),
        st_uid=entry.uid,
        st_gid=entry.gid,
        st_size=entry.size,
        st_mtime=mtime_ns / _GIGA,
        st_mtime_ns=mtime_ns,
        st_rdev=device_number(entry.device) if entry.device is not None else 0,
    )


def namespaces_of(
    image: Image,
    union: Union,
    node: Node,
    namespaces: Collection[str],
    owners: Mapping[str, Mapping[int, str]],
) -> dict[str, dict[str, Any]]:
    """Give the raw namespaces of a node; unknown ones are left out, as PyFilesystem asks."""
    raw: dict[str, dict[str, Any]] = {
        "basic": {"name": node.name, "is_dir": node.directory is not None}
    }
    # An error of a hard link belongs to every look at its entry (design of laziness).
    entry = union.entry(node)
    if "details" in namespaces:
        raw["details"] = _details(union, entry)
    if "access" in namespaces:
        raw["access"] = {
            "permissions": list(permission_names(entry.mode & 0o7777)),
            "uid": entry.uid,
            "gid": entry.gid,
            "user": owners["user"].get(entry.uid),
            "group": owners["group"].get(entry.gid),
        }
    if "link" in namespaces:
        raw["link"] = {"target": entry.target}
    if "stat" in namespaces:
        found = stat_of(union, node, entry)
        raw["stat"] = asdict(found)
    if "xattr" in namespaces:
        raw["xattr"] = dict(entry.xattrs)
    if "capability" in namespaces:
        value = dict(entry.xattrs).get("security.capability")
        raw["capability"] = {"text": None if value is None else capability_text(value)}
    if "layer" in namespaces:
        raw["layer"] = _layer(image, union, node, entry)
    if "tar" in namespaces:
        raw["tar"] = _tar(image, union, node)
    return raw


def _details(union: Union, entry: Entry) -> dict[str, Any]:
    details: dict[str, Any] = {
        "type": _RESOURCE_TYPES.get(entry.type, 0),
        "size": entry.size,
        "modified": shown_mtime_ns(union, entry.mtime_ns) / _GIGA,
    }
    if entry.atime_ns is not None:
        details["accessed"] = shown_mtime_ns(union, entry.atime_ns) / _GIGA
    if entry.ctime_ns is not None:
        details["metadata_changed"] = shown_mtime_ns(union, entry.ctime_ns) / _GIGA
    return details


def _layer(image: Image, union: Union, node: Node, entry: Entry) -> dict[str, Any]:
    found = union.supplier(node)
    # A hard link to a file of a lower layer is a path that the upper layer supplies.
    slot = found[0] if found is not None and node.directory is not None else node.slot
    opaque = False
    if node.directory is not None:
        parts = node.directory.all_parts()
        if found is None and parts:
            slot = parts[-1][0]
        opaque = any(
            union.changeset(part_slot).opaque(number)
            for part_slot, number, _ in parts
            if part_slot == slot
        )
    if not union.slots:
        return {
            "index": None, "digest": None, "diff_id": None, "created_by": None,
            "implied": True, "opaque": False,
        }  # fmt: skip
    layer = image.layers[union.slots[slot].layer]
    return {
        "index": layer.index,
        "digest": layer.digest,
        "diff_id": layer.diff_id,
        "created_by": layer.created_by,
        "implied": entry.implied,
        "opaque": opaque,
    }


def _tar(image: Image, union: Union, node: Node) -> dict[str, Any]:
    # The header of the name itself, also where it is a hard link to another one's inode.
    found = union.supplier(node) if node.directory is not None else (node.slot, node.row)
    if found is None:
        return {}
    slot, row = found
    index: LayerIndex = union.changeset(slot).index
    if row >= index.rows or index.ordinal[row] == ABSENT:
        return {}
    start, _ = index.header_range(row)
    data = index.data_offset(row)
    content = image.layers[union.slots[slot].layer].content()
    header = decode_header(content.pread(start, data - start), image.options.limits)
    flag = header.type.decode("latin-1")
    if flag == "\0":
        # A header of the seventh edition: a slash at the end makes a directory (case I5).
        flag = "5" if header.name.endswith(b"/") else "0"
    return {
        "name": decode(header.name),
        "raw_name": header.name,
        "mode": header.mode & 0o7777,
        "uid": header.uid,
        "gid": header.gid,
        "size": header.size,
        "mtime": header.mtime_ns // _GIGA,
        "mtime_ns": header.mtime_ns,
        "type": flag,
        "linkname": decode(header.linkname),
        "uname": decode(header.uname),
        "gname": decode(header.gname),
        "devmajor": header.devmajor,
        "devminor": header.devminor,
        "pax_headers": {decode(key): value for key, value in (header.pax or {}).items()},
        "offset": index.block[row] * 512,
        "offset_data": data,
        "chksum": header.chksum,
        "is_file": flag in "07S",
        "is_reg": flag in "07S",
        "is_lnk": flag == "1",
        "is_sym": flag == "2",
        "is_chr": flag == "3",
        "is_blk": flag == "4",
        "is_dev": flag in "346",
        "is_dir": flag == "5",
        "is_symlink": flag == "2",
        "is_link": flag == "1",
        "is_device": flag in "346",
        "is_character": flag == "3",
        "is_block": flag == "4",
        "is_fifo": flag == "6",
        "is_sparse": header.sparse is not None,
    }
