"""
The score by which dive judges an image, by dive's own formula, so that numbers can be compared.

For every path, the sizes of what each layer has there are added up, and the smallest of them is
noted; the score is the sum of the smallest by the sum of all.  A path that one layer alone has
costs nothing; one that is shipped twice costs its smaller copy; a deleted file has a smallest size
of 0, and so costs all its copies.

Source:
    dive 0.12, ``dive/filetree/efficiency.go`` and ``file_tree.go``, with what is odd in them: a
    deleted directory counts the bytes that it had once more, on both sides of the fraction, at the
    path of the directory; opaque whiteouts hide nothing; hard links weigh nothing.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator

from attrs import define, field

from unionlayers._foundation.names import decode
from unionlayers._layers.union import Union
from unionlayers._tar.index import LayerIndex

__all__ = ["efficiency_of"]

_WHITEOUT = ".wh."
_SPECIAL = ".wh..wh."


@define(eq=False)
class _Node:
    """A path in the stack as dive keeps it; the size is that of the uppermost entry."""

    size: int = 0
    is_directory: bool = False
    inner: dict[str, _Node] = field(factory=dict)

    def at(self, path: str) -> _Node | None:
        node: _Node | None = self
        for name in path.split("/"):
            node = None if node is None else node.inner.get(name)
        return node

    def made(self, path: str) -> _Node:
        node = self
        for name in path.split("/"):
            inner = node.inner.get(name)
            if inner is None:
                inner = node.inner[name] = _Node(is_directory=True)
            node = inner
        return node

    def without(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        above = self.at(parent) if parent else self
        if above is not None:
            above.inner.pop(name, None)

    def bytes_beneath(self) -> int:
        total = 0
        pending = [self]
        while pending:
            node = pending.pop()
            total += node.size
            pending.extend(node.inner.values())
        return total


def efficiency_of(union: Union) -> float:
    """
    Give dive's score of a stack: 1.0 where nothing is shipped twice or deleted, else less.

    A whiteout of a name that no layer beneath has counts for nothing; dive leaves the rest of its
    layer out.

    Raises:
        UnionLayersError: A layer cannot be read.

    Cost:
        Linear in the entries of all layers, in time and memory.
    """
    # Path to the smallest size and the sum of all.
    known: dict[str, tuple[int, int]] = {}
    stack = _Node()
    for slot in range(union.top):
        entries = _entries_of(union.changeset(slot).index)
        inhabited = _parents_of(entries)
        # The stack is that of the layers beneath while the entries of a layer are weighed.
        for path, (size, _) in entries.items():
            weight: int | None = size
            at = path
            if path in inhabited:
                continue
            parent, _, name = path.rpartition("/")
            if name.startswith(_WHITEOUT):
                at = f"{parent}/{name[len(_WHITEOUT) :]}".lstrip("/")
                weight = _deleted(stack.at(at))
            if weight is None:
                continue
            smallest, total = known.get(at, (weight, 0))
            known[at] = min(smallest, weight), total + weight
        _put(stack, entries)
    total = sum(whole for _, whole in known.values())
    return sum(smallest for smallest, _ in known.values()) / total if total else 1.0


def _parents_of(paths: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found


def _deleted(node: _Node | None) -> int | None:
    """Give what dive weighs a whiteout with: nothing for a file, all that a directory has."""
    if node is None:
        return None
    return node.bytes_beneath() if node.is_directory else 0


def _put(stack: _Node, entries: dict[str, tuple[int, bool]]) -> None:
    for path in entries:
        parent, _, name = path.rpartition("/")
        if name.startswith(_WHITEOUT):
            stack.without(f"{parent}/{name[len(_WHITEOUT) :]}".lstrip("/"))
    for path, (size, is_directory) in entries.items():
        if not path.rpartition("/")[2].startswith(_WHITEOUT):
            node = stack.made(path)
            node.size, node.is_directory = size, is_directory


def _entries_of(index: LayerIndex) -> dict[str, tuple[int, bool]]:
    """Give size and whether it is a directory of each path, the last entry of a path counting."""
    return {path: (size, is_directory) for _, path, size, is_directory in sorted(_rows(index))}


def _rows(index: LayerIndex) -> Iterator[tuple[int, str, int, bool]]:
    for row, raw in index.paths():
        path = decode(raw)
        if not path or path.rpartition("/")[2].startswith(_SPECIAL):
            continue
        mode = index.kinds[index.kind[row]][0]
        size = index.length[row] if stat.S_ISREG(mode) and row not in index.hard else 0
        yield index.ordinal[row], path, size, stat.S_ISDIR(mode)
