"""
A directory of a store as the tar that nobody wrote: headers made up, contents read in place.

`assemble_diff` takes the upper directory of an overlay, whose marks become the whiteouts of a
layer.  `assemble_changes` takes a whole tree and the one it was copied from, and gives what
differs.  Both give an `Assembly`, so that everything above reads them like any other layer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from unionlayers._bytes.assembled import Assembly
from unionlayers._bytes.file import FileSource
from unionlayers._bytes.odd_file import require_readable
from unionlayers._bytes.rooted import RootedFolder, is_absent
from unionlayers._foundation.limits import Limits
from unionlayers._foundation.names import decode
from unionlayers._tar.disk_entry import DiskEntry, DiskReader, sees_trusted
from unionlayers._tar.id_map import SAME, Owners
from unionlayers._tar.overlay_marks import PREFIX, OverlayMarks
from unionlayers._tar.synthesis import END, Facts, header, padding
from unionlayers.errors import (
    SourceAccessError,
    SourceChangedError,
    StoreError,
    UnknownFormatError,
    UnseekableSourceError,
    UnsupportedError,
)

__all__ = ["assemble_changes", "assemble_diff"]

_OPAQUE = b".wh..wh..opq"
_MARK_MODE = 0o100000
_COMPARED = 1 << 20
# Below this size a hole is not worth the look for it; beyond so many segments neither.
_SPARSE_FROM = 1 << 20
_SEGMENTS = 1000


def assemble_diff(
    folder: RootedFolder, *, marks: OverlayMarks, limits: Limits, owners: Owners = SAME
) -> Assembly:
    """
    Give the upper directory of an overlay as the tar of a layer.

    Args:
        folder: The directory.
        marks: Which marks count.
        limits: Bounds on entries and depth.
        owners: Who owns what in the container.

    Raises:
        UnsupportedError: An entry is marked as metacopy or redirect, a name begins with ``.wh.``,
            which a tar could only mean as a mark, or who owns an entry is not known.
        SourceAccessError: The user may not list a directory.
        SourceChangedError: A directory was changed meanwhile.

    Cost:
        Two system calls a name, two more for each attribute; no content is read.

    Source:
        Linux, Documentation/filesystems/overlayfs.rst; fuse-overlayfs 1.10.
    """
    reader = DiskReader(folder, marks, limits, owners)
    writer = _Writer(folder)
    root = reader.root()
    writer.directory(b"", root)
    if b"trusted.overlay." in marks.prefixes and not sees_trusted():
        reader.remark(
            "TRUSTED_XATTRS_UNSEEN",
            b"",
            "without CAP_SYS_ADMIN attributes trusted.* are not seen, so that what an opaque "
            "directory hides may be shown",
        )
    pending = [(b"", root)]
    while pending:
        path, directory = pending.pop()
        opaque = directory.marks.get(b"opaque")
        listed: list[tuple[bytes, DiskEntry]] | None = None
        if marks.fuse:
            listed, opaque = _marked_by_files(reader.children(path, directory.inode), opaque)
        # Overlayfs does not look whether the root is opaque (case B5); fuse-overlayfs does.
        if opaque == b"y" and (path or marks.fuse):
            writer.mark(_within(path, _OPAQUE), directory)
        inner: list[tuple[bytes, DiskEntry]] = []
        # Without a name for what gives the children, an error closes their directory at once.
        for name, entry in reader.children(path, directory.inode) if listed is None else listed:
            below = _within(path, name)
            # Linux 6.7 writes whiteouts as files with an attribute where a whiteout is to be
            # shown as a name by an outer overlay; the directory then has opaque=x.
            if entry.is_whiteout or (
                opaque == b"x" and b"whiteout" in entry.marks and not entry.facts.size
            ):
                writer.mark(_within(path, PREFIX + name), entry)
                continue
            if marks.fuse and name.startswith(PREFIX):
                writer.mark(below, entry)
                continue
            _require_nameable(folder, name, below)
            if entry.is_directory:
                writer.directory(below, entry)
                inner.append((below, entry))
            else:
                writer.file(below, entry)
        pending.extend(reversed(inner))
    return writer.finished(reader)


def _within(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name


def _marked_by_files(
    children: Iterable[tuple[bytes, DiskEntry]], opaque: bytes | None
) -> tuple[list[tuple[bytes, DiskEntry]], bytes | None]:
    """
    Give what is left of a directory's names where names beginning with ``.wh.`` are marks.

    In an opaque directory there is nothing to hide: fuse-overlayfs leaves a whiteout ``.wh..opq``
    there.  A name that has a whiteout beside it is hidden with what is beneath.
    """
    found = list(children)
    names = {name for name, _ in found}
    if _OPAQUE in names:
        opaque = b"y"
    left = [
        (name, entry)
        for name, entry in found
        if name not in (_OPAQUE, PREFIX)
        and PREFIX + name not in names
        and not (opaque == b"y" and name.startswith(PREFIX))
    ]
    return left, opaque


def assemble_changes(
    folder: RootedFolder,
    parent: RootedFolder | None,
    *,
    compare: bool,
    limits: Limits,
    owners: Owners = SAME,
    parent_owners: Owners = SAME,
) -> Assembly:
    """
    Give what a tree has changed against the one it was copied from, as the tar of a layer.

    A name is unchanged if type, mode, owner, size, time, link text, device, extended attributes,
    number of names, and, where *compare* is set, content are equal.

    Args:
        folder: The tree.
        parent: What it was copied from; None for a first layer.
        compare: Whether contents are compared where all else is equal, as `verify` asks for.
        limits: Bounds on entries and depth.
        owners: Who owns what in the container.
        parent_owners: Who owns what in *parent*.

    Raises:
        UnsupportedError: A changed name begins with ``.wh.``, or who owns an entry is not known.
        SourceAccessError: The user may not list a directory, or may not read what is compared.
        SourceChangedError: A directory was changed meanwhile.

    Cost:
        Two system calls for each name of both trees; with *compare* both are read.
    """
    reader = DiskReader(folder, OverlayMarks(), limits, owners)
    below_reader = None
    if parent is not None:
        below_reader = DiskReader(parent, OverlayMarks(), limits, parent_owners)
    writer = _Writer(folder)
    root = reader.root()
    old_root = below_reader.root() if below_reader is not None else None
    if old_root is None or root.facts != old_root.facts:
        writer.directory(b"", root)
    pending: list[tuple[bytes, DiskEntry, DiskEntry | None]] = [(b"", root, old_root)]
    # Names that did not change, by inode: they come along when another name of the inode did.
    quiet: dict[tuple[int, int], list[tuple[bytes, DiskEntry]]] = {}
    while pending:
        path, directory, old = pending.pop()
        children = reader.children(path, directory.inode)
        old_children: Iterator[tuple[bytes, DiskEntry]] = iter(())
        if below_reader is not None and old is not None:
            old_children = below_reader.children(path, old.inode)
        inner: list[tuple[bytes, DiskEntry, DiskEntry | None]] = []
        for name, entry, before in _paired(children, old_children):
            below = _within(path, name)
            if entry is None:
                writer.mark(_within(path, PREFIX + name), directory)
            elif entry.is_directory:
                if before is not None and not before.is_directory:
                    before = None
                if before is None or before.facts != entry.facts:
                    _require_nameable(folder, name, below)
                    writer.directory(below, entry)
                inner.append((below, entry, before))
            elif before is not None and _alike(folder, parent, below, entry, before, compare):
                if entry.links > 1 and writer.knows(entry):
                    writer.file(below, entry)
                elif entry.links > 1:
                    quiet.setdefault(entry.inode, []).append((below, entry))
            else:
                _require_nameable(folder, name, below)
                for other, same in quiet.pop(entry.inode, ()):
                    writer.file(other, same)
                writer.file(below, entry)
        pending.extend(reversed(inner))
    return writer.finished(reader)


def _paired(
    new: Iterator[tuple[bytes, DiskEntry]], old: Iterator[tuple[bytes, DiskEntry]]
) -> Iterator[tuple[bytes, DiskEntry | None, DiskEntry | None]]:
    """Give what two directories have under each name; both come in byte order."""
    nothing = (b"", None)
    ours: tuple[bytes, DiskEntry | None] = next(new, nothing)
    theirs: tuple[bytes, DiskEntry | None] = next(old, nothing)
    while ours[1] is not None or theirs[1] is not None:
        if theirs[1] is None or (ours[1] is not None and ours[0] < theirs[0]):
            yield ours[0], ours[1], None
            ours = next(new, nothing)
        elif ours[1] is None or theirs[0] < ours[0]:
            yield theirs[0], None, theirs[1]
            theirs = next(old, nothing)
        else:
            yield ours[0], ours[1], theirs[1]
            ours, theirs = next(new, nothing), next(old, nothing)


def _require_nameable(folder: RootedFolder, name: bytes, path: bytes) -> None:
    if name.startswith(PREFIX):
        raise UnsupportedError(
            "the name begins like a whiteout and is none; no layer can hold it (case A13)",
            path="/" + decode(path),
            member=folder.called(path),
            hint="If fuse-overlayfs has written it, open the root of its store, which says so",
        )


def _alike(
    folder: RootedFolder,
    parent: RootedFolder | None,
    path: bytes,
    entry: DiskEntry,
    before: DiskEntry,
    compare: bool,
) -> bool:
    if entry.facts != before.facts or entry.links != before.links:
        return False
    if not compare or parent is None or not entry.is_file or entry.inode == before.inode:
        return True
    with _opened(folder, path) as ours, _opened(parent, path) as theirs:
        offset = 0
        while data := ours.pread(offset, _COMPARED):
            if data != theirs.pread(offset, _COMPARED):
                return False
            offset += len(data)
        return ours.size == theirs.size


@contextmanager
def _opened(folder: RootedFolder, path: bytes) -> Iterator[FileSource]:
    """Open a file that was met just now; what is none any more was changed meanwhile."""
    name = folder.called(path)
    try:
        source = FileSource(name, descriptor=folder.open_file(path))
        try:
            yield source
        finally:
            source.close()
    except (UnknownFormatError, UnseekableSourceError) as error:
        raise _changed(name, path) from error
    except OSError as error:
        if is_absent(error):
            raise _changed(name, path) from error
        require_readable(error, name, path="/" + decode(path))
        raise


def _changed(name: str, path: bytes) -> SourceChangedError:
    return SourceChangedError(
        "a file of the store was changed while it was read", path="/" + decode(path), member=name
    )


class _Writer:
    """Puts entries into an assembly, names of one inode as hard links."""

    def __init__(self, folder: RootedFolder) -> None:
        self._folder = folder
        self._assembly = Assembly()
        self._first: dict[tuple[int, int], bytes] = {}

    def knows(self, entry: DiskEntry) -> bool:
        """Tell whether another name of the inode was written."""
        return entry.inode in self._first

    def directory(self, path: bytes, entry: DiskEntry) -> None:
        """Write a directory."""
        self._assembly.add(header(path + b"/" if path else b"./", entry.facts))

    def mark(self, path: bytes, entry: DiskEntry) -> None:
        """Write a whiteout, with the time of what it was made for."""
        facts = Facts(mode=_MARK_MODE, mtime_ns=entry.facts.mtime_ns)
        self._assembly.add(header(path, facts))

    def file(self, path: bytes, entry: DiskEntry) -> None:
        """Write anything but a directory."""
        first = self._first.get(entry.inode) if entry.links > 1 else None
        if first is not None:
            self._assembly.add(header(path, entry.facts, hard_link=first))
            return
        if entry.links > 1:
            self._first[entry.inode] = path
        size = entry.facts.size
        if size >= _SPARSE_FROM and entry.blocks < size:
            segments = self._segments(path, size)
            if segments is not None:
                self._sparse(path, entry, segments)
                return
        self._assembly.add(header(path, entry.facts))
        if size:
            self._assembly.add_file(path, size, state=entry.state)
            self._assembly.add(padding(size))

    def finished(self, reader: DiskReader) -> Assembly:
        """Close the tar and give the assembly."""
        self._assembly.add(END)
        self._assembly.remarks.extend(reader.remarks)
        return self._assembly

    def _sparse(self, path: bytes, entry: DiskEntry, segments: list[tuple[int, int]]) -> None:
        self._assembly.add(header(path, entry.facts, segments=segments))
        stored = 0
        for offset, length in segments:
            if length:
                self._assembly.add_file(path, length, state=entry.state, skip=offset)
                stored += length
        self._assembly.add(padding(stored))

    def _segments(self, path: bytes, size: int) -> list[tuple[int, int]] | None:
        """Give where a file has data; None where that cannot be told, or is told at length."""
        try:
            opened = self._folder.open_file(path)
        except (SourceAccessError, StoreError, FileNotFoundError):
            # Whoever reads the content is told.
            return None
        try:
            found: list[tuple[int, int]] = []
            at = 0
            while at < size and len(found) < _SEGMENTS:
                try:
                    start = os.lseek(opened, at, os.SEEK_DATA)
                except OSError:
                    # ENXIO: nothing but a hole up to the end.
                    break
                at = min(os.lseek(opened, start, os.SEEK_HOLE), size)
                if start < at:
                    found.append((start, at - start))
            else:
                if at < size:
                    return None
        except OSError:
            return None
        finally:
            os.close(opened)
        if not found or sum(found[-1]) < size:
            found.append((size, 0))
        return found
