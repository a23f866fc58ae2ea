"""Digests of the content of many inodes, each layer read once and forward."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from unionlayers._image.content import content_at
from unionlayers._image.layer_stack import LayerStack
from unionlayers._layers.union import Inode, Union

__all__ = ["content_digests"]

_PIECE = 1 << 20


def content_digests(image: LayerStack, union: Union, inodes: Iterable[Inode]) -> dict[Inode, bytes]:
    """
    Give the SHA-256 of the content of regular files, as bytes.

    Args:
        image: The image.
        union: A stack of its layers.
        inodes: (slot, row) of each; what two layers have from one tar is read once.

    Raises:
        UnionLayersError: A layer cannot be read.

    Cost:
        Reads each content once, in the order of the tar, with 1 MiB in memory.
    """
    found: dict[Inode, bytes] = {}
    same: dict[tuple[object, int], bytes] = {}
    for inode in sorted(set(inodes), key=lambda inode: (inode[0], _offset(union, inode))):
        slot, row = inode
        index = union.changeset(slot).index
        key = (index.diff_id or slot, row)
        known = same.get(key)
        if known is None:
            image.check_open()
            source = content_at(image, union, inode, "/" + index.path(row))
            total = hashlib.sha256()
            for offset in range(0, source.size, _PIECE):
                total.update(source.pread(offset, _PIECE))
            known = same[key] = total.digest()
        found[inode] = known
    return found


def _offset(union: Union, inode: Inode) -> int:
    return union.changeset(inode[0]).index.data_offset(inode[1])
