"""
A view as a tar.

The tar of a tree is the same whatever the layers and their compression were, and whether it goes
to a path or to a stream: names come in path order, so that directories stand before what is in
them and every reader restores their times.  Into a file the contents are then written where they
belong in the order in which the layers store them, so that each layer is decompressed once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from io import FileIO, RawIOBase
from pathlib import Path
from typing import Any

from attrs import frozen

from unionlayers._foundation.names import encode
from unionlayers._image.exported import ByteSink, Exported
from unionlayers._layers.entry import shown_time_ns
from unionlayers._layers.union import Inode
from unionlayers._tar.header import BLOCK
from unionlayers._tar.synthesis import END, padding
from unionlayers._views.export.selection import Item, Selection
from unionlayers._views.export.tar_header import Times, header
from unionlayers.errors import DestinationExistsError

__all__ = ["Owners", "write_tar", "write_tar_to"]

Owners = Mapping[str, Mapping[int, str]]
"""Names by number, for ``"user"`` and ``"group"``."""

# Of the name of a destination, in characters, which may be four bytes each.
_KEPT = 40


def write_tar(selection: Selection, destination: Path, owners: Owners) -> Exported:
    """
    Write a tar to a path that does not exist yet.

    It is written beside its place, under a name that ends with ``.part``, and takes its place
    when it is whole; a name that is taken meanwhile is not replaced.

    Raises:
        DestinationExistsError: Something is there already.
        OSError: The file cannot be written.
        UnionLayersError: The image cannot be read.
    """
    # A name that fits must not become too long by what is added.
    start = destination.name[:_KEPT]
    part = destination.with_name(f".{start}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        destination.lstat()
    except FileNotFoundError:
        pass
    else:
        raise _exists(destination)
    file = _Part(part, destination)
    try:
        with file:
            exported = _fill(selection, file, owners)
        _take_place(part, destination)
    finally:
        part.unlink(missing_ok=True)
    return exported


class _Part(FileIO):
    """What is to become the destination, which its errors name: the name of the part is ours."""

    def __init__(self, part: Path, destination: Path) -> None:
        self._destination = str(destination)
        try:
            super().__init__(part, "xb")
        except OSError as error:
            error.filename = self._destination
            raise

    def write(self, data: Any, /) -> int:
        """Write bytes."""
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self._destination
            raise


def write_tar_to(selection: Selection, stream: ByteSink, owners: Owners) -> Exported:
    """
    Write a tar to a binary file object from where it stands; it is neither sought nor closed.

    Every name is looked at before the first byte is written.  An error later leaves a tar that
    has no end, which readers of tars tell.

    Raises:
        OSError: It cannot be written.
        UnionLayersError: The image cannot be read.

    Cost:
        Contents are read in path order: one pass over each layer where it stores them so, as most
        do, else up to the distance of two checkpoints for each file.
    """
    total = sum(size for _, size in _sized(selection, owners))
    selection.bound(total)
    entries = done = 0
    for item, head in _headed(selection, owners):
        entries += 1
        _write(stream, head)
        size = _content_size(item)
        if size and item.inode is not None:
            for piece in selection.pieces(item.inode, item.shown):
                _write(stream, piece)
                done += len(piece)
                selection.tell(done, total)
            _write(stream, padding(size))
    _write(stream, END)
    selection.tell(total, total)
    return Exported(entries, total)


@frozen
class _Waiting:
    """The content of one file that is still to be written."""

    place: tuple[int, int]
    inode: Inode
    offset: int
    path: str


def _fill(selection: Selection, file: FileIO, owners: Owners) -> Exported:
    """Write all headers, and then the contents in the order of the layers."""
    entries = total = at = 0
    waiting: list[_Waiting] = []
    for item, head in _headed(selection, owners):
        entries += 1
        file.seek(at)
        _write(file, head)
        at += len(head)
        size = _content_size(item)
        if size and item.inode is not None:
            waiting.append(_Waiting(selection.place(item.inode), item.inode, at, item.shown))
            total += size
            selection.bound(total)
            at += size + -size % BLOCK
    file.seek(at)
    _write(file, END)
    waiting.sort(key=lambda one: one.place)
    done = 0
    for one in waiting:
        at = one.offset
        for piece in selection.pieces(one.inode, one.path):
            # What was not written yet is a hole, and reads as zeros.
            if piece.count(0) != len(piece):
                file.seek(at)
                _write(file, piece)
            at += len(piece)
            done += len(piece)
            selection.tell(done, total)
    selection.tell(total, total)
    return Exported(entries, total)


def _take_place(part: Path, destination: Path) -> None:
    """Give a whole file its name, unless something has it."""
    try:
        os.link(part, destination)
    except FileExistsError:
        raise _exists(destination) from None
    except OSError:
        # A file system without hard links, such as FAT.
        try:
            destination.touch(exist_ok=False)
        except FileExistsError:
            raise _exists(destination) from None
        part.replace(destination)


def _exists(destination: Path) -> DestinationExistsError:
    return DestinationExistsError(
        "the destination exists", member=str(destination), hint="Remove it, or name another one"
    )


def _headed(selection: Selection, owners: Owners) -> Iterator[tuple[Item, bytes]]:
    """Give every item with its header; a root that no layer describes has none."""
    profile = selection.union.profile
    users, groups = owners["user"], owners["group"]
    for item in selection.items():
        entry = item.entry
        path = item.path
        if stat.S_ISDIR(entry.mode):
            if not path and entry.implied:
                continue
            path = path + b"/" if path else b"./"
        atime, ctime = (
            None if time is None else shown_time_ns(profile, time)
            for time in (entry.atime_ns, entry.ctime_ns)
        )
        times = Times(shown_time_ns(profile, entry.mtime_ns), atime, ctime)
        owner = encode(users.get(entry.uid, "")), encode(groups.get(entry.gid, ""))
        yield item, header(path, entry, times, first=item.first, owner=owner)


def _sized(selection: Selection, owners: Owners) -> Iterator[tuple[Item, int]]:
    for item, _ in _headed(selection, owners):
        yield item, _content_size(item)


def _content_size(item: Item) -> int:
    """Give the bytes that follow the header of an item."""
    if item.first is not None or not stat.S_ISREG(item.entry.mode):
        return 0
    return item.entry.size


def _write(file: ByteSink, data: bytes) -> None:
    """Write all of it, also to a file that takes a part at a time."""
    taken = file.write(data)
    if taken is None and isinstance(file, RawIOBase):
        raise BlockingIOError("the stream takes nothing now")
    while taken is not None and taken < len(data):
        data = data[taken:]
        taken = file.write(data)
