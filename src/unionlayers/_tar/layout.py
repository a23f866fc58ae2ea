"""
From the growing tree of a builder to the final columns: rows in tree order.

Directories are numbered breadth first, each a run of rows, subdirectories first, each part in byte
order.  What has no place in the tree follows: the root's entry, marks, loose rows in tar order.
"""

from __future__ import annotations

import stat
from array import array
from collections.abc import Callable, Sequence

from attrs import frozen

from unionlayers._codec.checkpoint import Checkpoint
from unionlayers._tar.index import ABSENT, LayerIndex, MarkRow, Note, Oddity
from unionlayers._tar.index_builder import NO_TIME, IndexBuilder

__all__ = ["Pick", "StreamFacts", "lay_out", "picker"]


Pick = Callable[[Sequence[int]], Callable[["array[int]"], "array[int]"]]
"""Takes an order, and gives what puts the items of a column into it."""


@frozen(kw_only=True)
class StreamFacts:
    """What the pass over the bytes found out beside the entries."""

    codec: str
    blob_size: int
    size: int
    blob_digest: str | None = None
    diff_id: str | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    notes: tuple[Note, ...] = ()


def picker(order: Sequence[int]) -> Callable[[array[int]], array[int]]:
    """Give what puts the items of a column into an order; `vector_headers` has a faster one."""
    return lambda column: array(column.typecode, map(column.__getitem__, order))


def lay_out(built: IndexBuilder, facts: StreamFacts, pick: Pick = picker) -> LayerIndex:
    """
    Give the record of everything that was placed; the builder must not be used after it.

    Cost:
        O(rows × log(rows of one directory)).
    """
    order: list[int] = []
    numbers = {0: 0}
    old_directories = [0]
    start, name_start = array("I", [0]), array("Q", [0])
    subdirectories = array("I")
    names: list[bytes] = []
    name_length = 0
    kind_of = built.kind
    folders = {number for number, kind in enumerate(built.kinds) if stat.S_ISDIR(kind[0])}
    for old in old_directories:
        children = built.children[old]
        inner = sorted([name for name, row in children.items() if kind_of[row] in folders])
        subdirectories.append(len(inner))
        for name in inner:
            number = built.ref[children[name]]
            numbers[number] = len(old_directories)
            old_directories.append(number)
        inner += sorted(children.keys() - inner if inner else children)
        order += map(children.__getitem__, inner)
        run = b"\0".join(inner)
        names.append(run)
        name_length += len(run)
        start.append(len(order))
        name_start.append(name_length)
    order.extend(
        row
        for row in sorted(built.loose, key=built.ordinal.__getitem__)
        if built.ordinal[row] != ABSENT
    )
    placed = _inverse(order, len(built.kind))
    picked = pick(order)
    ref = picked(built.ref)
    number = 1
    for first, count in zip(start, subdirectories, strict=False):
        ref[first : first + count] = array("I", range(number, number + count))
        number += count
    own = array("I", [_at(placed, built.own[old]) for old in old_directories])
    return LayerIndex(
        codec=facts.codec,
        blob_digest=facts.blob_digest,
        diff_id=facts.diff_id,
        blob_size=facts.blob_size,
        size=facts.size,
        checkpoints=facts.checkpoints,
        entries=built.entries,
        ordinal=picked(built.ordinal),
        block=picked(built.block),
        extension=picked(built.extension),
        length=picked(built.length),
        mtime=picked(built.mtime),
        kind=picked(built.kind),
        ref=ref,
        kinds=tuple(built.kinds),
        atime=_times(built.atime, order),
        ctime=_times(built.ctime, order),
        hard={
            placed[row]: _at(placed, target)
            for row, target in built.hard.items()
            if placed[row] != ABSENT
        },
        start=start,
        subdirectories=subdirectories,
        own=own,
        name_start=name_start,
        names=b"".join(names),
        texts=tuple(built.texts),
        extras={placed[row]: extra for row, extra in built.extras.items() if placed[row] != ABSENT},
        marks=tuple(
            MarkRow(mark.ordinal, placed[mark.row], numbers.get(mark.directory, ABSENT), mark.name)
            for mark in built.marks
        ),
        oddities=tuple(
            Oddity(odd.ordinal, _at(placed, odd.row), odd.code) for odd in built.oddities
        ),
        notes=tuple(built.notes) + facts.notes,
        loose={placed[row]: path for row, path in built.loose.items() if placed[row] != ABSENT},
    )


def _at(placed: array[int], row: int) -> int:
    return ABSENT if row == ABSENT else placed[row]


def _inverse(order: list[int], rows: int) -> array[int]:
    """Give the place in an order for each row, `ABSENT` for those that are not in it."""
    placed = array("I", [ABSENT]) * rows
    for new, row in enumerate(order):
        placed[row] = new
    return placed


def _times(times: dict[int, int], order: list[int]) -> array[int] | None:
    if not times:
        return None
    return array("q", (times.get(row, NO_TIME) for row in order))
