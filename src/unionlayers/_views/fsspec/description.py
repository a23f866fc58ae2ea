"""What fsspec is told of a node: the dictionaries of ``info`` and ``ls``."""

from __future__ import annotations

import stat
from typing import Any

from unionlayers._layers.directory import Node
from unionlayers._layers.entry import shown_time_ns
from unionlayers._layers.resolution import resolve
from unionlayers._layers.status import stat_of
from unionlayers._layers.union import Union
from unionlayers.errors import PathError

__all__ = ["described", "leads_to"]

_GIGA = 1_000_000_000


def leads_to(union: Union, node: Node) -> Node | None:
    """Give what a symbolic link leads to, None if it dangles or loops; anything else is itself."""
    if node.directory is not None or union.form(node) != stat.S_IFLNK:
        return node
    try:
        return resolve(union, node.path).node
    except PathError:
        return None


def described(union: Union, name: str, node: Node) -> dict[str, Any]:
    """
    Describe a node in fsspec's words; of a symbolic link what it leads to.

    Args:
        union: The stack.
        name: The path as it is to be named.
        node: The node, not followed.
    """
    text = None if node.directory is not None else union.link_text(node)
    shown = leads_to(union, node)
    broken = shown is None
    if shown is None:
        shown = node
    entry = union.entry(shown)
    found = stat_of(union, shown, entry)
    supplier = union.supplier(shown)
    if stat.S_ISDIR(found.st_mode):
        kind = "directory"
    else:
        kind = "file" if stat.S_ISREG(found.st_mode) else "other"
    changed = entry.mtime_ns if entry.ctime_ns is None else entry.ctime_ns
    info = {
        "name": name,
        "size": 0 if broken else found.st_size,
        "type": kind,
        "created": shown_time_ns(union.profile, changed) / _GIGA,
        "islink": text is not None,
        "mode": found.st_mode,
        "uid": found.st_uid,
        "gid": found.st_gid,
        "mtime": found.st_mtime,
        "ino": found.st_ino,
        "nlink": found.st_nlink,
        "layer": None if supplier is None else union.slots[supplier[0]].layer,
    }
    if text is not None:
        info["destination"] = text
    return info
