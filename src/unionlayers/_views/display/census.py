"""How many bytes and names lie beneath each directory, and which layers brought them."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Collection

from attrs import Factory, define, field, frozen

from unionlayers._image.sizes import shared_inode
from unionlayers._layers.changeset import PlainChangeset
from unionlayers._layers.directory import SLOT, Directory
from unionlayers._layers.union import Inode, Union
from unionlayers.errors import LayerError

__all__ = ["LARGEST", "Census", "Folder", "census_of", "rows_of"]

LARGEST = 400_000
"""Rows of all layers together up to which a page counts everything: about a second's work."""

_COMPARED = 16 << 20
"""Characters of paths that are compared to find the first name of hard links."""


@define(eq=False)
class Folder:
    """
    One directory, with all that is beneath it.

    It knows its name and what is above it, and no path: in a deep tree those would grow with the
    square of the depth.

    Attributes:
        name: Its name, empty for the root.
        above: The directory it lies in, None for the root.
        size: Bytes of content that are shown, each inode once, as ``Image.sizes`` counts them.
        names: Names, of directories too.
        layers: Bytes by the index of the layer.
        own: Bytes of the files that lie in the directory itself.
        inner: The directories in it, by name.
    """

    name: str = ""
    above: Folder | None = None
    size: int = 0
    names: int = 0
    layers: Counter[int] = field(factory=Counter)
    own: int = 0
    inner: dict[str, Folder] = Factory(dict)

    @property
    def main_layer(self) -> int | None:
        """Index of the layer with the most bytes, the lower of two; None without any."""
        return min(self.layers, key=lambda layer: (-self.layers[layer], layer), default=None)

    @property
    def path(self) -> str:
        """The absolute path; that of the root is empty."""
        parts = [self.name]
        above = self.above
        while above is not None:
            parts.append(above.name)
            above = above.above
        return "/".join(reversed(parts))


@frozen(eq=False)
class Census:
    """
    A whole tree, counted.

    Attributes:
        folders: Every directory, one before those that are in it; the root is the first.
    """

    folders: tuple[Folder, ...]

    @property
    def root(self) -> Folder:
        """The whole."""
        return self.folders[0]


def rows_of(union: Union) -> int:
    """Give how many rows all layers have: a bound on what counting them costs."""
    return sum(union.changeset(slot).index.rows for slot in range(union.top))


def census_of(union: Union) -> Census:
    """
    Count a tree.

    Raises:
        UnionLayersError: A layer cannot be read, or an entry cannot be applied.

    Cost:
        Linear in names, whatever the depth, and in directories times the layers beneath them.
    """
    counting = _Counting(union)
    folders = [Folder()]
    pending = [(folders[0], union.root)]
    while pending:
        folder, directory = pending.pop()
        for inner, below in counting.count(folder, directory):
            folders.append(inner)
            pending.append((inner, below))
    counting.settle()
    # A directory comes before those below it: from the end, each is whole when it is added.
    for folder in reversed(folders):
        folder.size += folder.own
        above = folder.above
        if above is not None:
            above.size += folder.size
            above.names += folder.names
            for layer, size in folder.layers.items():
                above.layers[layer] += size
    return Census(tuple(folders))


@frozen(eq=False)
class _Name:
    """One name of a file that has several."""

    folder: Folder
    name: str
    size: int

    @property
    def path(self) -> str:
        return f"{self.folder.path}/{self.name}"


class _Counting:
    """What counting one tree needs to know of its layers."""

    def __init__(self, union: Union) -> None:
        self._union = union
        self._changesets = [union.changeset(slot) for slot in range(union.top)]
        self._layers = [slot.layer for slot in union.slots]
        # Most files surely have one name, and are not asked for one by one.
        self._several: list[Collection[int] | None] = []
        for changeset in self._changesets:
            plain = isinstance(changeset, PlainChangeset) and not union.linked
            hard = changeset.index.hard
            self._several.append({*hard.keys(), *hard.values()} if plain else None)
        self._linked: dict[Inode, _Name] = {}
        self._compared = 0

    def count(self, folder: Folder, directory: Directory) -> list[tuple[Folder, Directory]]:
        """Count what is in a directory, and give those in it."""
        found: list[tuple[Folder, Directory]] = []
        names = directory.merged()
        folder.names = len(names)
        bytes_by_slot: Counter[int] = Counter()
        for name, handle in names.items():
            slot, row = divmod(handle, SLOT)
            changeset = self._changesets[slot]
            index = changeset.index
            if changeset.directory(row) >= 0:
                node = directory.lookup(name)
                if node is not None and node.directory is not None:
                    inner = folder.inner[name] = Folder(name, folder)
                    found.append((inner, node.directory))
                continue
            several = self._several[slot]
            if several is None or row in several:
                self._link(folder, name, slot, row, bytes_by_slot)
            elif (size := index.length[row]) and stat.S_ISREG(index.kinds[index.kind[row]][0]):
                bytes_by_slot[slot] += size
        for slot, size in bytes_by_slot.items():
            folder.own += size
            folder.layers[self._layers[slot]] += size
        return found

    def _link(self, folder: Folder, name: str, slot: int, row: int, sizes: Counter[int]) -> None:
        """Count a name that may be one of several."""
        bound = self._union.bind((slot, self._changesets[slot].inode(row)))
        if isinstance(bound, LayerError):
            raise bound.with_traceback(None)
        index = self._changesets[bound[0]].index
        size = index.length[bound[1]]
        if not size or not stat.S_ISREG(index.kinds[index.kind[bound[1]]][0]):
            return
        inode = shared_inode(self._union, slot, row)
        if inode is None:
            sizes[slot] += size
            return
        known = self._linked.get(inode)
        if known is None:
            self._linked[inode] = _Name(folder, name, size)
        elif self._compared < _COMPARED:
            candidate = _Name(folder, name, size)
            paths = candidate.path, known.path
            self._compared += len(paths[0]) + len(paths[1])
            if paths[0] < paths[1]:
                self._linked[inode] = candidate

    def settle(self) -> None:
        """Count files of several names, each at the first of them."""
        for (slot, _), found in self._linked.items():
            found.folder.own += found.size
            found.folder.layers[self._layers[slot]] += found.size
