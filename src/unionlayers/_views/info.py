"""The namespaces of an ``Info``: what is known of a node, as PyFilesystem spells it."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from attrs import asdict

from unionlayers._foundation.names import decode
from unionlayers._image.image import Image
from unionlayers._layers.capability import capability_text
from unionlayers._layers.directory import Node
from unionlayers._layers.entry import Entry, shown_time_ns
from unionlayers._layers.status import stat_of
from unionlayers._layers.supplying import supplying_slot
from unionlayers._layers.union import Union
from unionlayers._tar.details import decode_header
from unionlayers._tar.index import ABSENT, LayerIndex
from unionlayers._views._pyfilesystem import fs

__all__ = ["namespaces_of", "permission_names"]

_RESOURCE_TYPES = {
    stat.S_IFDIR: 1,
    stat.S_IFREG: 2,
    stat.S_IFCHR: 3,
    stat.S_IFBLK: 4,
    stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6,
    stat.S_IFLNK: 7,
}
_GIGA = 1_000_000_000
_BASIC = frozenset({"basic"})


@lru_cache(maxsize=4096)
def permission_names(mode: int) -> tuple[str, ...]:
    """Give the names of permission bits as PyFilesystem has them."""
    return tuple(fs.permissions.Permissions(mode=mode).dump())


def namespaces_of(
    image: Image,
    union: Union,
    node: Node,
    namespaces: frozenset[str],
    owners: Mapping[str, Mapping[int, str]],
) -> dict[str, dict[str, Any]]:
    """Give the raw namespaces of a node; unknown ones are left out, as PyFilesystem asks."""
    raw: dict[str, dict[str, Any]] = {
        "basic": {"name": node.name, "is_dir": node.directory is not None}
    }
    if not namespaces or namespaces <= _BASIC:
        # An error of a hard link belongs to every look at its entry; metadata is not asked for.
        if node.directory is None:
            union.inode(node)
        return raw
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
        "modified": shown_time_ns(union.profile, entry.mtime_ns) / _GIGA,
    }
    if entry.atime_ns is not None:
        details["accessed"] = shown_time_ns(union.profile, entry.atime_ns) / _GIGA
    if entry.ctime_ns is not None:
        details["metadata_changed"] = shown_time_ns(union.profile, entry.ctime_ns) / _GIGA
    return details


def _layer(image: Image, union: Union, node: Node, entry: Entry) -> dict[str, Any]:
    slot = supplying_slot(union, node)
    opaque = False
    if node.directory is not None:
        parts = node.directory.all_parts()
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
