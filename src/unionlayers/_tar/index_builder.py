"""
From tar entries to the columns of a layer, in one pass.

Entries arrive in tar order and are placed in a tree at once.  What the tree alone cannot say is
written to the exceptions table with the reason: two entries for one path, an entry below something
that is no directory, a whiteout of a name that the same layer brings, a hard link whose target or
metadata must be settled, types and names that some runtime refuses.
"""

from __future__ import annotations

import stat
from array import array

from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._foundation.names import clean_entry_name
from unionlayers._tar.entry import TarEntry
from unionlayers._tar.extras import DEVICES, ExtraTally
from unionlayers._tar.index import ABSENT, Extra, MarkRow, Note, Oddity
from unionlayers._tar.kinds import Kinds

__all__ = ["NO_TIME", "IndexBuilder"]

NO_TIME = -(1 << 63)
"""What the columns of optional times hold where an entry has none."""

_TIMES = range(NO_TIME + 1, 1 << 63)
_LAST_TIME = (1 << 63) - 1
_TYPES = {
    ord("0"): stat.S_IFREG,
    ord("1"): stat.S_IFREG,
    ord("2"): stat.S_IFLNK,
    ord("3"): stat.S_IFCHR,
    ord("4"): stat.S_IFBLK,
    ord("5"): stat.S_IFDIR,
    ord("6"): stat.S_IFIFO,
    ord("7"): stat.S_IFREG,
    ord("S"): stat.S_IFREG,
}
_DIRECTORY = ord("5")
_HARD_LINK = ord("1")
_SYMLINK = ord("2")
_NAME_MAX = 255
_PATH_MAX = 4096
# Directories are found by their whole path up to this many bytes, and beyond it name by name: the
# paths of a deep tree have as many bytes together as its depth squared.
_KEYED = 1024


class IndexBuilder:
    """
    Places tar entries one by one; `lay_out` makes the record of what is here.

    Args:
        limits: Bounds on entries, names and depth.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        # A path that is no longer than this has no component and no depth worth measuring.
        self.short = min(_NAME_MAX, limits.component_bytes, max(0, 2 * limits.depth - 2))
        self.entries = 0
        self.name_bytes = 0
        self.ordinal = array("I")
        self.block = array("I")
        self.extension = array("H")
        self.length = array("Q")
        self.mtime = array("q")
        self.kind = array("I")
        self.ref = array("I")
        self.atime: dict[int, int] = {}
        self.ctime: dict[int, int] = {}
        self.numbered = Kinds()
        self.kinds = self.numbered.found
        self.texts: dict[bytes, int] = {}
        self._tally = ExtraTally(limits)
        self.extras: dict[int, Extra] = {}
        self.hard: dict[int, int] = {}
        self.marks: list[MarkRow] = []
        self.oddities: list[Oddity] = []
        self.notes: list[Note] = []
        self.loose: dict[int, bytes] = {}
        self.directories: dict[bytes, int] = {b"": 0}
        self.children: list[dict[bytes, int]] = [{}]
        self.own: list[int] = [ABSENT]
        self.whiteouts: set[tuple[int, bytes]] = set()

    def add(self, entry: TarEntry) -> None:
        """
        Place one entry.

        Raises:
            LimitError: Too many entries, names, attributes or sparse maps too long in sum, or a
                path too deep.

        Cost:
            O(1) for an entry whose parent is known, else O(components).
        """
        name = entry.name
        self.name_bytes += len(name) + len(entry.linkname)
        if self.name_bytes > self.limits.name_bytes:
            exceeded("name_bytes", self.limits.name_bytes, self.name_bytes)
        path, climbed = clean_entry_name(name)
        row = self._append(entry)
        self.entries += 1
        self.settle(entry, row, path, climbed=climbed)

    def settle(self, entry: TarEntry, row: int, path: bytes, *, climbed: bool) -> None:
        """
        Place the latest of *entries* entries, whose row is filled in; the rest of `add`.

        Args:
            entry: It.
            row: Its row.
            path: Its name, cleaned.
            climbed: Whether the name climbed above the root.
        """
        if climbed:
            self._note("NAME_CLIMBS", entry, path, "the name climbs above the root", "G2")
        if len(path) > self.short:
            self._check_length(entry, path)
        parent, _, base = path.rpartition(b"/")
        flag = entry.typeflag
        if not base:
            self._add_root(entry, row)
            return
        if path[:8] == b".wh..wh." and path != b".wh..wh..opq":
            self._odd(entry, row, "aufs")
        if base[:4] == b".wh.":
            self._add_mark(entry, row, path, parent, base)
            return
        directory = self.directories.get(parent)
        if directory is None:
            directory = self._imply(parent)
            if directory < 0:
                self._unplaced(entry, row, path, "below-non-directory")
                return
        if flag not in _TYPES:
            self._unplaced(entry, row, path, "unknown-type")
            return
        siblings = self.children[directory]
        before = siblings.get(base)
        if before is not None:
            before = self._collide(entry, row, before, path)
        if flag == _DIRECTORY:
            self.ref[row] = self.open_directory(path, row) if before is None else self.ref[before]
            self.own[self.ref[row]] = row
        siblings[base] = row
        if (directory, base) in self.whiteouts:
            self._odd(entry, row, "whiteout-and-entry")
        if flag != ord("0") and flag != _DIRECTORY:
            self._add_special(entry, row, flag)
        elif row in self.extras and self.extras[row].xattrs:
            self._check_xattrs(entry, row)

    # -- placing ----------------------------------------------------------------------------------

    def _append(self, entry: TarEntry) -> int:
        row = self._new_row(entry.ordinal)
        form = _TYPES.get(entry.typeflag, stat.S_IFREG)
        mode = 0o777 if form == stat.S_IFLNK else entry.mode & 0o7777
        self.kind[row] = self.numbered.number((form | mode, entry.uid, entry.gid))
        if form == stat.S_IFREG:
            self.length[row] = entry.size
        elif form == stat.S_IFLNK:
            self.length[row] = len(entry.linkname)
        header = entry.header_offset
        self.block[row] = header >> 9
        extension = (header - entry.start_offset) >> 9
        mtime = entry.mtime_ns
        ordinary = mtime in _TIMES
        if ordinary:
            self.mtime[row] = mtime
        if not 0 <= mtime <= _LAST_TIME:
            self._note(
                "MTIME_OUT_OF_RANGE",
                entry,
                clean_entry_name(entry.name)[0],
                "the time lies outside what container runtimes keep",
                "H7",
            )
        if extension:
            self.extension[row] = min(extension, 0xFFFF)
            if entry.atime_ns is not None and entry.atime_ns in _TIMES:
                self.atime[row] = entry.atime_ns
            if entry.ctime_ns is not None and entry.ctime_ns in _TIMES:
                self.ctime[row] = entry.ctime_ns
        if (
            entry.pax is not None
            or entry.sparse is not None
            or entry.data_offset != header + 512
            or not ordinary
            or entry.typeflag in DEVICES
        ):
            extra = self._tally.of(entry, far=extension > 0xFFFE, ordinary=ordinary)
            if extra is not None:
                self.extras[row] = extra
        return row

    def _count_name(self, length: int) -> None:
        self.name_bytes += length
        if self.name_bytes > self.limits.name_bytes:
            exceeded("name_bytes", self.limits.name_bytes, self.name_bytes)

    def _new_row(self, ordinal: int) -> int:
        row = len(self.kind)
        if row >= self.limits.entries:
            exceeded("entries", self.limits.entries, row + 1)
        self.ordinal.append(ordinal)
        self.block.append(0)
        self.extension.append(0)
        self.length.append(0)
        self.mtime.append(0)
        self.kind.append(0)
        self.ref.append(0)
        return row

    def open_directory(self, path: bytes, row: int) -> int:
        """Give the number of a new directory, which has this row."""
        number = len(self.children)
        if len(path) <= _KEYED:
            self.directories[path] = number
        self.children.append({})
        self.own.append(row)
        return number

    def _known(self, path: bytes) -> int | None:
        """Give the number of the directory at *path*, None where there is none."""
        if len(path) <= _KEYED:
            return self.directories.get(path)
        number, rest = self._begun(path)
        for base in rest:
            row = self.children[number].get(base) if number is not None else None
            if row is None or not stat.S_ISDIR(self._mode(row)):
                return None
            number = self.ref[row]
        return number

    def _begun(self, path: bytes) -> tuple[int | None, list[bytes]]:
        """Give the last directory of a long path that is found by its own, and what follows it."""
        border = path.rfind(b"/", 0, _KEYED + 1)
        return self.directories.get(path[: max(border, 0)]), path[border + 1 :].split(b"/")

    def _imply(self, path: bytes) -> int:
        """Make the directories on the way to *path*; -1 where something else is in the way."""
        if len(path) > _KEYED:
            return self._imply_long(path)
        missing: list[bytes] = []
        known = path
        while (number := self.directories.get(known)) is None:
            known, _, base = known.rpartition(b"/")
            missing.append(base)
        for base in reversed(missing):
            if base in self.children[number]:
                return -1
            known = known + b"/" + base if known else base
            self._count_name(len(known))
            number = self._imply_one(number, base, known, path)
        return number

    def _imply_long(self, path: bytes) -> int:
        number, rest = self._begun(path)
        if number is None:
            number = self._imply(path[: path.rfind(b"/", 0, _KEYED + 1)])
        for base in rest:
            if number < 0:
                break
            row = self.children[number].get(base)
            if row is None:
                self._count_name(len(base))
                number = self._imply_one(number, base, path, path)
            else:
                number = self.ref[row] if stat.S_ISDIR(self._mode(row)) else -1
        return number

    def _imply_one(self, parent: int, base: bytes, known: bytes, path: bytes) -> int:
        row = self._new_row(ABSENT)
        if base[:4] == b".wh.":
            message = "a directory has the whiteout prefix in its name"
            self.notes.append(
                Note("WHITEOUT_PREFIX_IN_DIRECTORY", self.entries - 1, path, message, "A13")
            )
        self.children[parent][base] = row
        if (parent, base) in self.whiteouts:
            self.oddities.append(Oddity(self.entries - 1, row, "whiteout-and-entry"))
        self.ref[row] = number = self.open_directory(known, row)
        return number

    def _collide(self, entry: TarEntry, row: int, before: int, path: bytes) -> int | None:
        """Settle two entries for one path; gives the row of a directory that stays one."""
        was_directory = stat.S_ISDIR(self._mode(before))
        is_directory = entry.typeflag == _DIRECTORY
        if was_directory and is_directory and self.ordinal[before] == ABSENT:
            self.loose[before] = b""
            self._odd(entry, row, "after-children")
            return before
        self._odd(entry, row, "duplicate")
        self.loose[before] = path
        if was_directory and is_directory:
            return before
        if was_directory:
            self._detach(path, self.ref[before])
        return None

    def _detach(self, path: bytes, number: int) -> None:
        """Take the tree below a directory that something else replaces out of the tree."""
        self.directories.pop(path, None)
        pending = [(path, number)]
        while pending:
            prefix, number = pending.pop()
            for base, row in self.children[number].items():
                below = prefix + b"/" + base
                if self.ordinal[row] != ABSENT:
                    self.loose[row] = below
                if stat.S_ISDIR(self._mode(row)):
                    self.directories.pop(below, None)
                    pending.append((below, self.ref[row]))
            self.children[number] = {}

    def _unplaced(self, entry: TarEntry, row: int, path: bytes, code: str) -> None:
        self.loose[row] = path
        if entry.typeflag in (_HARD_LINK, _SYMLINK):
            self.ref[row] = self._text(entry.linkname)
        if entry.typeflag == _HARD_LINK:
            self.hard[row] = ABSENT
        self._odd(entry, row, code)

    # -- the odd ones -----------------------------------------------------------------------------

    def _add_root(self, entry: TarEntry, row: int) -> None:
        self.loose[row] = b""
        if entry.typeflag != _DIRECTORY:
            if entry.typeflag in (_HARD_LINK, _SYMLINK):
                self.ref[row] = self._text(entry.linkname)
            self._odd(entry, row, "root-not-directory")
            return
        if self.own[0] != ABSENT:
            self._odd(entry, row, "duplicate")
        self.own[0] = row
        if row in self.extras:
            self._check_xattrs(entry, row)

    def _add_mark(self, entry: TarEntry, row: int, path: bytes, parent: bytes, base: bytes) -> None:
        self.loose[row] = path
        if entry.typeflag in (_HARD_LINK, _SYMLINK):
            self.ref[row] = self._text(entry.linkname)
        hidden = base[4:]
        if hidden in (b"", b".", b".."):
            self._odd(entry, row, "bad-whiteout")
            return
        if entry.typeflag != ord("0") or entry.size:
            self._note(
                "WHITEOUT_NOT_EMPTY", entry, path, "the marker is not an empty regular file", "A12"
            )
        directory = self.directories.get(parent)
        if directory is None:
            directory = self._imply(parent)
        if directory < 0:
            self._odd(entry, row, "below-non-directory")
            return
        if hidden == b".wh..opq":
            self.marks.append(MarkRow(entry.ordinal, row, directory, None))
            if self.children[directory]:
                self._odd(entry, row, "opaque-after-entries")
            return
        self.marks.append(MarkRow(entry.ordinal, row, directory, hidden))
        repeated = (directory, hidden) in self.whiteouts
        self.whiteouts.add((directory, hidden))
        if repeated or hidden in self.children[directory]:
            self._odd(entry, row, "whiteout-and-entry")

    def _add_special(self, entry: TarEntry, row: int, flag: int) -> None:
        if flag == _SYMLINK:
            self.ref[row] = self._text(entry.linkname)
            if not entry.linkname:
                path = clean_entry_name(entry.name)[0]
                self._note("EMPTY_LINK", entry, path, "a symbolic link without a text", "D6")
        elif flag == _HARD_LINK:
            self._add_hard_link(entry, row)
        elif flag == ord("3") and (entry.devmajor, entry.devminor) == (0, 0):
            self._odd(entry, row, "device-zero")
        elif flag == ord("7"):
            self._odd(entry, row, "contiguous")
        elif flag == ord("S"):
            self._odd(entry, row, "old-sparse")
        if row in self.extras and self.extras[row].xattrs:
            self._check_xattrs(entry, row)

    def _add_hard_link(self, entry: TarEntry, row: int) -> None:
        self.ref[row] = self._text(entry.linkname)
        self.hard[row] = ABSENT
        target, _ = clean_entry_name(entry.linkname)
        parent, _, base = target.rpartition(b"/")
        directory = self._known(parent)
        bound = None if directory is None else self.children[directory].get(base)
        if bound is None or bound == row or self.ordinal[bound] == ABSENT:
            self._odd(entry, row, "hard-link")
            return
        bound = self.hard.get(bound, bound)
        if bound == ABSENT or stat.S_ISDIR(self._mode(bound)):
            self._odd(entry, row, "hard-link")
            return
        self.hard[row] = bound
        if not self._alike(row, bound):
            self._odd(entry, row, "hard-link-metadata")

    def _alike(self, link: int, target: int) -> bool:
        """Tell whether the header of a hard link says nothing new of its inode."""
        mode, *owner = self.kinds[self.kind[link]]
        target_mode, *target_owner = self.kinds[self.kind[target]]
        return (
            owner == target_owner
            and self.mtime[link] == self.mtime[target]
            and (stat.S_ISLNK(target_mode) or stat.S_IMODE(mode) == stat.S_IMODE(target_mode))
            and self._xattrs(link) == self._xattrs(target)
        )

    def _check_xattrs(self, entry: TarEntry, row: int) -> None:
        for key, value in self.extras[row].xattrs:
            if key == b"trusted.overlay.opaque" and value == b"y":
                self._odd(entry, row, "overlay-xattr")

    def _check_length(self, entry: TarEntry, path: bytes) -> None:
        longest = max(map(len, path.split(b"/")))
        if longest > self.limits.component_bytes:
            exceeded("component_bytes", self.limits.component_bytes, longest)
        if (depth := path.count(b"/") + 1) > self.limits.depth:
            exceeded("depth", self.limits.depth, depth)
        if longest > _NAME_MAX or len(path) >= _PATH_MAX:
            self._note("NAME_TOO_LONG", entry, path, "no Linux filesystem holds the name", "G9")

    def _mode(self, row: int) -> int:
        return self.kinds[self.kind[row]][0]

    def _xattrs(self, row: int) -> tuple[tuple[bytes, bytes], ...]:
        return () if (extra := self.extras.get(row)) is None else extra.xattrs

    def _text(self, text: bytes) -> int:
        return self.texts.setdefault(text, len(self.texts))

    def _odd(self, entry: TarEntry, row: int, code: str) -> None:
        self.oddities.append(Oddity(entry.ordinal, row, code))

    def _note(self, code: str, entry: TarEntry, path: bytes, message: str, case: str) -> None:
        self.notes.append(Note(code, entry.ordinal, path, message, case))
