"""
From the growing tree of a builder to the final columns: rows in tree order.

Directories are numbered breadth first, each a run of rows, subdirectories first, each part in byte
order.  What has no place in the tree follows: the root's entry, marks, loose rows in tar order.
"""

from __future__ import annotations

from array import array

from attrs import frozen

from unionlayers._codec.checkpoint import Checkpoint
from unionlayers._tar.index import ABSENT, LayerIndex, MarkRow, Note, Oddity
from unionlayers._tar.index_builder import NO_TIME, IndexBuilder

__all__ = ["StreamFacts", "lay_out"]


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


def lay_out(built: IndexBuilder, facts: StreamFacts) -> LayerIndex:
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
    for old in old_directories:
        children = built.children[old]
        inner: list[bytes] = []
        outer: list[bytes] = []
        for name, row in children.items():
            (inner if _is_directory(built, row) else outer).append(name)
        inner.sort()
        outer.sort()
        for name in inner:
            number = built.ref[children[name]]
            numbers[number] = len(old_directories)
            old_directories.append(number)
        order.extend(children[name] for name in inner)
        order.extend(children[name] for name in outer)
        run = b"\0".join(inner + outer)
        names.append(run)
        name_length += len(run)
        start.append(len(order))
        name_start.append(name_length)
        subdirectories.append(len(inner))
    order.extend(
        row
        for row in sorted(built.loose, key=built.ordinal.__getitem__)
        if built.ordinal[row] != ABSENT
    )
    placed = {row: new for new, row in enumerate(order)}
    ref = array("I", map(built.ref.__getitem__, order))
    for new in range(start[-1]):
        if _is_directory(built, order[new]):
            ref[new] = numbers[ref[new]]
    own = array("I", (placed.get(built.own[old], ABSENT) for old in old_directories))
    return LayerIndex(
        codec=facts.codec,
        blob_digest=facts.blob_digest,
        diff_id=facts.diff_id,
        blob_size=facts.blob_size,
        size=facts.size,
        checkpoints=facts.checkpoints,
        entries=built.entries,
        ordinal=_picked(built.ordinal, order),
        block=_picked(built.block, order),
        extension=_picked(built.extension, order),
        length=_picked(built.length, order),
        mtime=_picked(built.mtime, order),
        kind=_picked(built.kind, order),
        ref=ref,
        kinds=tuple(built.kinds),
        atime=_times(built.atime, order),
        ctime=_times(built.ctime, order),
        hard={
            placed[row]: placed.get(target, ABSENT)
            for row, target in built.hard.items()
            if row in placed
        },
        start=start,
        subdirectories=subdirectories,
        own=own,
        name_start=name_start,
        names=b"".join(names),
        texts=tuple(built.texts),
        extras={placed[row]: extra for row, extra in built.extras.items() if row in placed},
        marks=tuple(
            MarkRow(mark.ordinal, placed[mark.row], numbers.get(mark.directory, ABSENT), mark.name)
            for mark in built.marks
        ),
        oddities=tuple(
            Oddity(odd.ordinal, placed.get(odd.row, ABSENT), odd.code) for odd in built.oddities
        ),
        notes=tuple(built.notes) + facts.notes,
        loose={placed[row]: path for row, path in built.loose.items() if row in placed},
    )


def _is_directory(built: IndexBuilder, row: int) -> bool:
    return built.kinds[built.kind[row]][0] & 0o170000 == 0o040000


def _picked(column: array[int], order: list[int]) -> array[int]:
    return array(column.typecode, map(column.__getitem__, order))


def _times(times: dict[int, int], order: list[int]) -> array[int] | None:
    if not times:
        return None
    return array("q", (times.get(row, NO_TIME) for row in order))
