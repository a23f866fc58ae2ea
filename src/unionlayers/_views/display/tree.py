"""A tree that opens and closes, each name with the layer that supplies it."""

from __future__ import annotations

import stat
from heapq import heappop, heappush
from itertools import count

from attrs import define, field

from unionlayers._image.layer_stack import LayerStack
from unionlayers._layers.changeset import Changeset, PlainChangeset
from unionlayers._layers.directory import Directory, Node
from unionlayers._layers.supplying import supplying_slot
from unionlayers._layers.union import Union
from unionlayers._views.display.census import Census, Folder
from unionlayers._views.display.markup import amount, counted, text
from unionlayers._views.display.palette import chip
from unionlayers.errors import LayerError

__all__ = ["tree"]

_MOST_LINES = 500
_MOST_IN_ONE = 40
_MOST_DEEP = 24
# Names that are looked at to find those that are shown.
_MOST_LOOKS = 200_000
_MOST_OPEN = 12


def tree(union: Union, image: LayerStack, census: Census | None) -> str:
    """
    Give the tree as nested lists; what is left out is counted.

    The directories with the most bytes are opened up first until enough lines are there; without a
    census those nearest to the root.

    Args:
        union: What is shown.
        image: Whose layers they are.
        census: The bytes beneath each directory.
    """
    growing = _Growing(union, image, census)
    growing.grow()
    return f'<div class="tree">{growing.list_of(union.root, growing.root)}</div>\n'


@define(eq=False)
class _Growing:
    union: Union
    image: LayerStack
    census: Census | None
    lines: int = 0
    looks: int = 0
    # By the directory and not by its path: names may be very long.
    grown: dict[Directory, tuple[list[Node], int]] = field(factory=dict)

    @property
    def root(self) -> Folder | None:
        """What was counted of the whole."""
        return None if self.census is None else self.census.root

    def grow(self) -> None:
        """Choose what is shown, without recursion."""
        order = count()
        waiting: list[tuple[int, int, int, Folder | None, Directory]] = []
        heappush(waiting, (0, 0, next(order), self.root, self.union.root))
        while waiting and self.lines < _MOST_LINES:
            _, depth, _, folder, directory = heappop(waiting)
            size = _names_in(directory)
            if self.looks + size > _MOST_LOOKS:
                continue
            self.looks += size
            nodes, left = self._chosen(folder, directory)
            self.grown[directory] = nodes, left
            self.lines += len(nodes) + bool(left)
            for node in nodes:
                if node.directory is not None and depth < _MOST_DEEP:
                    inner = None if folder is None else folder.inner[node.name]
                    # Without a census all weigh the same, and the upper ones come first.
                    weight = 0 if inner is None else -inner.size
                    heappush(waiting, (weight, depth + 1, next(order), inner, node.directory))

    def _chosen(self, folder: Folder | None, directory: Directory) -> tuple[list[Node], int]:
        """Give the nodes of a directory that are shown, and how many are not."""
        if _names_in(directory) <= _MOST_IN_ONE:
            nodes = list(directory.nodes())
            return sorted(nodes, key=lambda node: node.directory is None), 0
        names = directory.names()
        chosen: dict[str, None] = {}
        if folder is not None:
            inner = folder.inner
            large = sorted(inner, key=lambda name: -inner[name].size)
            chosen = dict.fromkeys(large[: _MOST_IN_ONE // 2])
        for name in names:
            if len(chosen) >= _MOST_IN_ONE:
                break
            chosen.setdefault(name)
        kept = [name for name in names if name in chosen]
        found = [node for name in kept if (node := directory.lookup(name)) is not None]
        return sorted(found, key=lambda node: node.directory is None), len(names) - len(found)

    def list_of(self, directory: Directory, folder: Folder | None, depth: int = 0) -> str:
        """Give the list of a directory; how deep it goes is bounded when it grows."""
        nodes, left = self.grown.get(directory, ([], 0))
        items = "".join(self._item(folder, node, depth) for node in nodes)
        if left:
            items += f'<li class="leaf">… {counted(left, "name")} more</li>'
        return f"<ul>{items}</ul>"

    def _item(self, above: Folder | None, node: Node, depth: int) -> str:
        try:
            entry = self.union.entry(node)
            slot = supplying_slot(self.union, node)
        except LayerError as error:
            told = text(error.message)
            return f'<li class="leaf"><span class="error">{text(node.name)}: {told}</span></li>'
        layer = self.union.slots[slot].layer
        mark = chip(layer, self.image.layers[layer].created_by)
        mode = stat.filemode(entry.mode)
        name = text(node.name)
        if node.directory is None:
            size = f" {amount(entry.size)}" if stat.S_ISREG(entry.mode) else ""
            arrow = f" → {text(entry.target)}" if entry.target is not None else ""
            return (
                f'<li class="leaf">{mark} {name}{arrow}'
                f"<small>{mode} {entry.uid}:{entry.gid}{size}</small></li>"
            )
        inner = node.directory
        folder = None if above is None else above.inner[node.name]
        told = f"{mode} {entry.uid}:{entry.gid}"
        if folder is not None:
            told += (
                f" {amount(folder.size)} in {counted(folder.names, 'name')}"
                if folder.names
                else " empty"
            )
        if inner not in self.grown:
            return f'<li class="leaf">{mark} {name}/ …<small>{told}</small></li>'
        if not self.grown[inner][0]:
            return f'<li class="leaf">{mark} {name}/<small>{told}</small></li>'
        opened = " open" if depth == 0 and len(self.grown[inner][0]) <= _MOST_OPEN else ""
        inside = self.list_of(inner, folder, depth + 1)
        return (
            f"<li><details{opened}><summary>{mark} {name}/<small>{told}</small></summary>"
            f"{inside}</details></li>"
        )


def _names_in(directory: Directory) -> int:
    """Give how many names the layers have for a directory, hidden ones too, without a look."""
    changesets = directory.union.changeset
    return sum(_count(changesets(slot), number) for slot, number, _ in directory.all_parts())


def _count(changeset: Changeset, number: int) -> int:
    if isinstance(changeset, PlainChangeset):
        start = changeset.index.start
        return start[number + 1] - start[number]
    return len(changeset.children(number))
