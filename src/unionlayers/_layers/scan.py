"""
A whole tree at once: names with their metadata, straight from the columns of the layers.

A look-up makes objects for what it finds; a walk over everything would make millions.  Here each
directory is one list of plain tuples, cut from the columns of its layer where only one layer has
the directory and those below it, and taken from the merged names where several have.  The rows
for which the columns are not the whole answer (hard links, implied directories, odd times) are
asked for one by one; they are few.
"""

from __future__ import annotations

import stat
from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

from attrs import define, field

from unionlayers._layers.buried_links import check_listed
from unionlayers._layers.changeset import PlainChangeset
from unionlayers._layers.directory import SLOT, Directory, Node
from unionlayers._tar.index import ABSENT, LayerIndex

if TYPE_CHECKING:
    from unionlayers._layers.union import Union

__all__ = ["Found", "Scanner", "scan"]

Found = tuple[str, tuple[int, int, int], int, int, int]
"""
Name, (st_mode, uid, gid), size in bytes, mtime in nanoseconds, and ``slot << 32 | row``.

The size of a symbolic link is that of its text, of everything else without content 0.
"""


def scan(union: Union, start: Directory | None = None) -> Iterator[tuple[str, list[Found]]]:
    """
    Give each directory of a tree with the names in it; a directory comes before those below it.

    Args:
        union: The stack.
        start: Where to begin, the root by default.

    Returns:
        Pairs of the path of a directory relative to the start (empty for the start itself, else
        with a leading slash) and what is in it, in no order.  No link is followed.

    Raises:
        UnionLayersError: A layer cannot be read, or an entry cannot be applied.

    Cost:
        Linear in names; indexes every layer; without recursion, whatever the depth.
    """
    return Scanner(union).walk(union.root if start is None else start)


class _Waiting(NamedTuple):
    """
    A directory that a walk comes to later.

    Of what one layer alone has, the uppermost directory and its path stand for all below it,
    beside the number in the layer.
    """

    path: str
    directory: Directory
    above: str
    number: int


def _sorted(found: list[Found]) -> list[Found]:
    if "".join([item[0] for item in found]).isascii():
        found.sort()
    else:
        found.sort(key=lambda item: item[0].encode("utf-8", "surrogateescape"))
    return found


@define(eq=False)
class Scanner:
    """What walks over a union share; safe from any thread."""

    union: Union
    _odd: dict[int, frozenset[int]] = field(factory=dict)

    def walk(self, start: Directory) -> Iterator[tuple[str, list[Found]]]:
        """Give what several layers have directory by directory, what one has in one go."""
        pending: list[tuple[str, Directory]] = [("", start)]
        while pending:
            path, directory = pending.pop()
            check_listed(directory)
            if self._is_alone(directory):
                yield from self._single(path, directory)
                continue
            found = self._merged(directory)
            yield path, found
            for name, kind, *_ in found:
                if stat.S_ISDIR(kind[0]):
                    inner = directory.lookup(name)
                    if inner is not None and inner.directory is not None:
                        pending.append((f"{path}/{name}", inner.directory))

    def breadth(self, start: Directory) -> Iterator[tuple[str, list[Found]]]:
        """
        Give each directory as `walk` does, breadth first and in byte order of the names.

        Raises:
            UnionLayersError: A layer cannot be read, or an entry cannot be applied.
        """
        queue: deque[_Waiting] = deque([_Waiting("", start, "", -1)])
        while queue:
            path, directory, above, number = queue.popleft()
            if number < 0:
                check_listed(directory)
                if self._is_alone(directory):
                    above, number = path, directory.parts[0][1]
            if number < 0:
                found = _sorted(self._merged(directory))
                yield path, found
                for name, kind, *_ in found:
                    node = directory.lookup(name) if stat.S_ISDIR(kind[0]) else None
                    if node is not None and node.directory is not None:
                        queue.append(_Waiting(f"{path}/{name}", node.directory, "", -1))
                continue
            slot = directory.parts[0][0]
            index = self.union.changeset(slot).index
            found = self._columns(index, slot, number)
            for place in range(index.subdirectories[number]):
                inner = index.ref[index.start[number] + place]
                below = f"{path}/{found[place][0]}"
                queue.append(_Waiting(below, directory, above, inner))
            odd = self._odd_rows(slot)
            if odd and not odd.isdisjoint(item[4] % SLOT for item in found):
                found = self._mended(directory, path[len(above) :], found, odd)
            yield path, _sorted(found)

    def _is_alone(self, directory: Directory) -> bool:
        """Tell whether one layer alone has a directory, and has it as its columns say."""
        parts = directory.all_parts()
        return len(parts) == 1 and isinstance(self.union.changeset(parts[0][0]), PlainChangeset)

    def _columns(self, index: LayerIndex, slot: int, number: int) -> list[Found]:
        first, last = index.start[number], index.start[number + 1]
        return list(
            zip(
                index.run(number),
                map(index.kinds.__getitem__, index.kind[first:last]),
                index.length[first:last],
                index.mtime[first:last],
                range(slot * SLOT + first, slot * SLOT + last),
                strict=True,
            )
        )

    def _single(self, above: str, top: Directory) -> Iterator[tuple[str, list[Found]]]:
        """Walk what one layer alone has: no layer beneath adds to a directory below it."""
        slot, number, _ = top.parts[0]
        index = self.union.changeset(slot).index
        index.vouch(number)
        starts, below, ref = index.start, index.subdirectories, index.ref
        odd = self._odd_rows(slot)
        ordered = sorted(odd)
        pending = [(above, number)]
        while pending:
            path, number = pending.pop()
            first, last = starts[number], starts[number + 1]
            if first == last:
                yield path, []
                continue
            found = self._columns(index, slot, number)
            inner = [item[0] for item in found[: below[number]]]
            at = bisect_left(ordered, first)
            if at < len(ordered) and ordered[at] < last:
                found = self._mended(top, path[len(above) :], found, odd)
            yield path, found
            pending.extend(
                (f"{path}/{name}", ref[first + place]) for place, name in enumerate(inner)
            )

    def _mended(
        self, top: Directory, path: str, found: list[Found], odd: Collection[int]
    ) -> list[Found]:
        directory = top
        for name in path.split("/")[1:]:
            inner = directory.lookup(name)
            if inner is None or inner.directory is None:
                raise AssertionError(f"{path!r} is in the columns and not in the tree")
            directory = inner.directory
        mended = []
        for item in found:
            if item[4] % SLOT in odd:
                node = directory.lookup(item[0])
                # A hard link without a target, which on_invalid="warn" leaves out.
                if node is not None:
                    mended.append(self._exact(node))
            else:
                mended.append(item)
        return mended

    def _merged(self, directory: Directory) -> list[Found]:
        """Give what is in a directory that several layers share."""
        columns = {}
        for slot, _, _ in directory.all_parts():
            index = self.union.changeset(slot).index
            columns[slot] = (
                index.kinds,
                index.kind,
                index.length,
                index.mtime,
                index.ordinal,
                index.rows,
                self._odd_rows(slot),
            )
        found: list[Found] = []
        for name, handle in directory.merged().items():
            slot, row = divmod(handle, SLOT)
            kinds, kind, length, mtime, ordinal, rows, odd = columns[slot]
            if row in odd or row >= rows or ordinal[row] == ABSENT:
                node = directory.lookup(name)
                if node is not None:
                    found.append(self._exact(node))
            else:
                found.append((name, kinds[kind[row]], length[row], mtime[row], handle))
        return found

    def _exact(self, node: Node) -> Found:
        entry = self.union.entry(node)
        kind = entry.mode, entry.uid, entry.gid
        return node.name, kind, entry.size, entry.mtime_ns, node.slot * SLOT + node.row

    def _odd_rows(self, slot: int) -> frozenset[int]:
        """Give the rows of a layer whose columns are not all that is to be said of them."""
        known = self._odd.get(slot)
        if known is None:
            changeset = self.union.changeset(slot)
            index = changeset.index
            known = self._odd[slot] = frozenset(
                (
                    *changeset.folded(),
                    *changeset.downlinks,
                    *(row for row, extra in index.extras.items() if extra.mtime_ns is not None),
                    *_opaque_and_implied(index),
                    # The layers above are known by now: a walk comes to this one through them.
                    *self.union.reached_from_above(slot),
                )
            )
        return known


def _opaque_and_implied(index: LayerIndex) -> Iterator[int]:
    """Give the rows of directories that an opaque whiteout stands for and no entry."""
    for mark in index.marks:
        # Something else of the layer may have replaced the directory, which then has no number.
        if mark.name is not None or mark.directory >= len(index.own):
            continue
        row = index.own[mark.directory]
        # The root without an entry has no row.
        if row != ABSENT and index.ordinal[row] == ABSENT:
            yield row
