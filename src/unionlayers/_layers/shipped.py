"""
The bytes of content that the layers of a stack ship, each inode once, shown or not.

Hard links ship nothing; whiteouts are no content, whatever their entries hold.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator

from attrs import frozen

from unionlayers._foundation.names import decode
from unionlayers._layers.changeset import Changeset
from unionlayers._layers.hidden import HiddenName
from unionlayers._layers.union import Inode, Union
from unionlayers.errors import LayerError

__all__ = ["Shipped", "replacement_of", "seen_names", "shipped_in"]


@frozen
class Shipped:
    """
    The content of one entry.

    Attributes:
        inode: (slot, row) of the entry.
        path: Where its own layer has it, absolute.
        size: Bytes, never 0.
    """

    inode: Inode
    path: str
    size: int


def shipped_in(union: Union, slot: int) -> Iterator[Shipped]:
    """
    Give all content of one layer, in no order, whatever the layers above make of it.

    Raises:
        UnionLayersError: The layer cannot be read or applied.

    Cost:
        Indexes the layer; linear in its entries.
    """
    changeset = union.changeset(slot)
    index = changeset.index
    kinds, kind, length = index.kinds, index.kind, index.length
    marks = {mark.row for mark in index.marks}
    for row, path in index.paths():
        if not length[row] or not stat.S_ISREG(kinds[kind[row]][0]) or row in marks:
            continue
        if changeset.inode(row) == row and row not in changeset.downlinks:
            yield Shipped((slot, row), "/" + decode(path), length[row])


def seen_names(union: Union, name: HiddenName) -> list[str]:
    """
    Give the paths under which the content of a hidden entry is still shown, through hard links.

    Cost:
        A look-up for each name that the layers have for the inode.
    """
    changeset = union.changeset(name.slot)
    if not union.linked and len(changeset.names_of(changeset.inode(name.row))) == 1:
        return []  # The one name that it has is hidden.
    inode = _bound(union, name.slot, name.row)
    return [] if isinstance(inode, LayerError) else union.names(inode)


def replacement_of(union: Union, name: HiddenName) -> Inode | None:
    """
    Give the inode that has the place of a hidden entry in the layer that hides it.

    None where that layer has no file there, or only a hard link without a target.

    Cost:
        A look-up for each component of the path.
    """
    changeset = union.changeset(name.hidden_by)
    row = _row_at(changeset, name.path)
    if row is None:
        return None
    inode = _bound(union, name.hidden_by, row)
    if isinstance(inode, LayerError):
        return None
    index = union.changeset(inode[0]).index
    return inode if stat.S_ISREG(index.kinds[index.kind[inode[1]]][0]) else None


def _bound(union: Union, slot: int, row: int) -> Inode | LayerError:
    return union.bind((slot, union.changeset(slot).inode(row)))


def _row_at(changeset: Changeset, path: str) -> int | None:
    directory = 0
    row: int | None = None
    for name in path.split("/"):
        row = None if directory < 0 else changeset.children(directory).get(name)
        if row is None:
            return None
        directory = changeset.directory(row)
    return None if directory >= 0 or row is None or row >= changeset.index.rows else row
