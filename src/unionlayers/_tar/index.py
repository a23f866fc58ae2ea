"""
The columnar record of one layer tar: everything that any later question needs, and no profile.

A layer is scanned once.  What stays is a tree of directories whose names are runs of rows,
a few integer columns, and three small tables: marks (whiteouts), hard links, and the exceptions.
An exception is an entry on which a profile decides or which is invalid; where there is none, the
tree can be used as it is, otherwise the changeset of the layer is derived by taking all rows in
tar order once more.

This module decides nothing about whiteouts, links or conflicts; it only finds them.
"""

from __future__ import annotations

import stat
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from unionlayers._codec.checkpoint import Checkpoint
from unionlayers._codec.section_file import Column
from unionlayers._foundation.names import decode

__all__ = ["ABSENT", "Extra", "LayerIndex", "MarkRow", "Note", "Oddity"]

ABSENT = 0xFFFFFFFF
"""No row, no ordinal: what an implied directory has for its entry."""

_BLOCK = 512


@frozen
class Extra:
    """What few entries have, and so stands in no column."""

    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    device: tuple[int, int] | None = None
    sparse: tuple[tuple[int, int], ...] | None = None
    data_offset: int | None = None
    mtime_ns: int | None = None
    start_offset: int | None = None


@frozen
class MarkRow:
    """One whiteout (*name* is what it hides) or opaque whiteout (*name* is None) of a directory."""

    ordinal: int
    row: int
    directory: int
    name: bytes | None


@frozen
class Oddity:
    """One line of the exceptions table: an entry that a switch decides, or that is invalid."""

    ordinal: int
    row: int
    code: str


@frozen
class Note:
    """A finding that no profile changes."""

    code: str
    ordinal: int | None
    path: bytes | None
    message: str
    case: str | None


@frozen(eq=False)
class LayerIndex:
    """
    One layer tar as columns.

    Rows come in this order: for every directory its run (subdirectories first, each part in byte
    order of the names), then the root's own entry, the marks, and entries that have no place in
    the tree.  Directories are numbered from 0, the root.

    Attributes:
        blob_digest: Digest of the blob as stored, None where it was not computed.
        diff_id: Digest of the uncompressed tar, None where it was not computed.
        blob_size: Bytes of the blob as stored.
        size: Bytes of the uncompressed stream.
        codec: Name of the compression that the bytes have.
        checkpoints: Where decompression can resume.
        entries: Tar entries, extension and global headers not counted.
        ordinal: Row to position among the tar entries from 0; `ABSENT` for implied directories.
        block: Row to number of the 512-byte block of its header.
        extension: Row to number of blocks that its extension headers take before that.
        length: Row to size of the content in bytes.
        mtime: Row to modification time, nanoseconds since the epoch.
        kind: Row to line of `kinds`.
        ref: Row to number of the directory, or of the link text in `texts`.
        kinds: (st_mode, uid, gid) of each kind.
        atime: Row to access time in nanoseconds, or None where no entry has one.
        ctime: Row to status change time, likewise.
        hard: Row of a hard link to the row that it is bound to inside the layer.
        start: Directory to the first row of its run; one more item than directories.
        subdirectories: Directory to how many of its rows are directories.
        own: Directory to its row; `ABSENT` for a root without an entry.
        name_start: Directory to the start of its names in `names`; one more than directories.
        names: Names of all runs, NUL after each but the last of its run.
        loose: Paths of the rows that have no place in the tree.
    """

    codec: str
    blob_digest: str | None
    diff_id: str | None
    blob_size: int
    size: int
    checkpoints: tuple[Checkpoint, ...]
    entries: int
    ordinal: Column
    block: Column
    extension: Column
    length: Column
    mtime: Column
    kind: Column
    ref: Column
    kinds: tuple[tuple[int, int, int], ...]
    atime: Column | None
    ctime: Column | None
    hard: Mapping[int, int]
    start: Column
    subdirectories: Column
    own: Column
    name_start: Column
    names: bytes | memoryview
    texts: Sequence[bytes]
    extras: Mapping[int, Extra]
    marks: tuple[MarkRow, ...]
    oddities: tuple[Oddity, ...]
    notes: tuple[Note, ...]
    loose: Mapping[int, bytes]
    _children: dict[int, dict[str, int]] = field(factory=dict, repr=False)
    _runs: dict[int, Sequence[str]] = field(factory=dict, repr=False)

    @property
    def rows(self) -> int:
        """Number of rows, implied directories and marks included."""
        return len(self.kind)

    @property
    def nbytes(self) -> int:
        """Bytes that the columns and the names take, tables of few entries at a flat guess."""
        columns = (
            self.ordinal,
            self.block,
            self.extension,
            self.length,
            self.mtime,
            self.kind,
            self.ref,
            self.start,
            self.subdirectories,
            self.own,
            self.name_start,
            self.atime,
            self.ctime,
        )
        total = sum(
            len(column) * column.itemsize
            for column in columns
            if isinstance(column, array | memoryview)
        )
        total += len(self.names) + sum(len(text) + 8 for text in self.texts)
        total += 24 * len(self.kinds) + 8 * len(self.hard) + 16 * len(self.marks)
        return total + sum(64 + sum(map(len, sum(x.xattrs, ()))) for x in self.extras.values())

    def same_tar(self, other: LayerIndex) -> bool:
        """Tell whether both surely are of the same tar: one record, or one hashed ``diff_id``."""
        return self is other or (self.diff_id is not None and self.diff_id == other.diff_id)

    def children(self, directory: int) -> dict[str, int]:
        """
        Give the rows of a directory by name; the caller must not change the mapping.

        Cost:
            O(names) at the first call for a directory, O(1) after it.
        """
        known = self._children.get(directory)
        if known is None:
            first, last = self.start[directory], self.start[directory + 1]
            known = self._children[directory] = (
                dict(zip(self.run(directory), range(first, last), strict=True))
                if last > first
                else {}
            )
        return known

    def run(self, directory: int) -> Sequence[str]:
        """Give the names of a directory in the order of its rows."""
        if self.start[directory] == self.start[directory + 1]:
            return ()
        return decode(self._names_of(directory)).split("\0")

    def vouch(self, directory: int) -> None:
        """Be sure that the columns of a directory and of all below it fit together."""

    def _names_of(self, directory: int) -> bytes:
        """Give the names of a directory as they stand in `names`."""
        return bytes(self.names[self.name_start[directory] : self.name_start[directory + 1]])

    def directory(self, row: int) -> int:
        """Give the number of the directory that a row of the tree is, or -1."""
        if stat.S_ISDIR(self.kinds[self.kind[row]][0]) and row < self.start[-1]:
            return self.ref[row]
        return -1

    def parent(self, row: int) -> int:
        """Give the number of the directory in whose run a row of the tree stands."""
        # Empty directories share their start with the next one: bisect gives the last of them,
        # which is the one that holds the row.
        return bisect_right(self.start, row) - 1

    def name(self, row: int) -> str:
        """
        Give the name of a row in its directory.

        Cost:
            O(names in the directory) at the first call for one of many names, O(1) after it.
        """
        directory = self.parent(row)
        first = self.start[directory]
        if self.start[directory + 1] - first == 1:
            return decode(self._names_of(directory))
        run = self._runs.get(directory)
        if run is None:
            run = self._runs[directory] = self.run(directory)
        return run[row - first]

    def path(self, row: int) -> str:
        """
        Give the path of a row, without a leading slash; the root is the empty text.

        Cost:
            O(components), and once O(names) for each directory on the way.
        """
        loose = self.loose.get(row)
        if loose is not None:
            return decode(loose)
        parts: list[str] = []
        while True:
            parts.append(self.name(row))
            parent = self.parent(row)
            if parent == 0:
                return "/".join(reversed(parts))
            row = self.own[parent]

    def directory_path(self, directory: int) -> str:
        """Give the path of a directory; the root is the empty text."""
        return self.path(self.own[directory]) if directory else ""

    def paths(self) -> Iterator[tuple[int, bytes]]:
        """
        Give (row, path) of every row that has a tar entry, in no order.

        Cost:
            O(rows), one pass without recursion.
        """
        yield from self.loose.items()
        pending: list[tuple[int, bytes]] = [(0, b"")]
        while pending:
            directory, prefix = pending.pop()
            first, last = self.start[directory], self.start[directory + 1]
            if first == last:
                continue
            raw = self._names_of(directory)
            border = first + self.subdirectories[directory]
            for row, name in enumerate(raw.split(b"\0"), first):
                if row < border:
                    pending.append((self.ref[row], prefix + name + b"/"))
                if self.ordinal[row] != ABSENT:
                    yield row, prefix + name

    def header_range(self, row: int) -> tuple[int, int]:
        """Give the offsets at which the headers of a row start and end in the tar."""
        header = self.block[row] * _BLOCK
        extra = self.extras.get(row)
        if extra is not None and extra.start_offset is not None:
            return extra.start_offset, header + _BLOCK
        return header - self.extension[row] * _BLOCK, header + _BLOCK

    def data_offset(self, row: int) -> int:
        """Give the offset of the content of a row in the uncompressed tar."""
        extra = self.extras.get(row)
        if extra is not None and extra.data_offset is not None:
            return extra.data_offset
        return (self.block[row] + 1) * _BLOCK
