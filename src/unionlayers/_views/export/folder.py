"""
A view as a folder on the host, where a stranger's tree must do no harm.

Links are followed nowhere and lead nowhere outside, nothing in it is a device or runs with the
rights of another user, and nothing is written outside of it: see the options for what may be
asked for.  Everything is decided before the folder is made.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from attrs import define, field, frozen

from unionlayers._foundation.names import encode
from unionlayers._image.exported import Exported, LeftOut
from unionlayers._layers.entry import Entry, shown_time_ns
from unionlayers._views.export.beneath import RefusedAttributeError, WrittenFolder
from unionlayers._views.export.links import FolderLinks, anchored, depth_of, is_plain
from unionlayers._views.export.selection import Item, Selection
from unionlayers.errors import ExportError, UnionLayersError, UnsupportedError

__all__ = ["Links", "Permitted", "write_folder"]

Links = Literal["inside", "refuse", "skip", "keep"]

_PATH_MAX = 4095
_MASKED = stat.S_ISUID | stat.S_ISGID
_FIRST, _LAST = -(1 << 63), (1 << 63) - 1
_NO_OWNER = (1 << 32) - 1
# What says nothing about one name: the host is out of something, or the disk is at fault.
_OF_THE_HOST = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE)


@frozen(kw_only=True)
class Permitted:
    """
    What a folder gets of all that a view says.

    Attributes:
        links: What becomes of symbolic links that lead out; see `UnionFS.export`.
        owners: User and group.
        setuid: The bits setuid and setgid of modes.
        xattrs: Extended attributes, file capabilities among them.
        devices: Devices and FIFOs.
    """

    links: Links
    owners: bool
    setuid: bool
    xattrs: bool
    devices: bool


@define
class _Plan:
    """Everything that is to be made, by the way it is made."""

    directories: list[Item] = field(factory=list)
    files: list[Item] = field(factory=list)
    specials: list[Item] = field(factory=list)
    links: list[tuple[Item, str]] = field(factory=list)
    names: list[Item] = field(factory=list)
    left_out: list[LeftOut] = field(factory=list)
    rewritten: list[str] = field(factory=list)
    texts: dict[bytes, str] = field(factory=dict)
    content: int = 0

    def made(self) -> Iterator[bytes]:
        """Give the paths of all that is no directory."""
        for items in (self.files, self.specials, self.names):
            yield from (item.path for item in items)
        yield from (item.path for item, _ in self.links)


def write_folder(selection: Selection, destination: Path, permitted: Permitted) -> Exported:
    """
    Write a view into a folder that is empty or does not exist.

    After an error nothing that was written is left; where it cannot be removed, a note of the
    error says so.

    Raises:
        DestinationExistsError: The destination exists and is not an empty folder.
        ExportError: A link leads out, or the host cannot have something as it should be.
        OSError: The disk is full, or a name cannot be written for another reason of the host's.
        UnionLayersError: The image cannot be read.
    """
    _require(permitted)
    plan = _planned(selection, permitted)
    folder = WrittenFolder(destination)
    try:
        try:
            _Writer(selection, folder, permitted).write(plan)
        except BaseException as error:
            try:
                folder.undo(plan.made())
            except OSError as left:
                error.add_note(f"what was written is left in {folder.name!r}: {left}")
            raise
    finally:
        folder.close()
    entries = len(plan.directories) + sum(1 for _ in plan.made())
    return Exported(entries, plan.content, tuple(plan.left_out), tuple(plan.rewritten))


def _require(permitted: Permitted) -> None:
    if permitted.owners and (not hasattr(os, "geteuid") or os.geteuid() != 0):
        raise ExportError(
            "only root can give files to other users",
            hint="Leave owners=True out, or export to a tar, which holds the owners",
        )
    if permitted.xattrs and not hasattr(os, "setxattr"):
        raise UnsupportedError("this platform has no extended attributes", hint="Export to a tar")


def _planned(selection: Selection, permitted: Permitted) -> _Plan:
    """Look at every name, and decide what becomes of it."""
    plan = _Plan()
    items = list(selection.items())
    leading = FolderLinks(
        selection.union,
        {
            (item.node.parent, item.node.name)
            for item in items
            if item.entry.type == stat.S_IFLNK and item.node.parent is not None
        },
        absolute=permitted.links != "skip",
    )
    absent: dict[bytes, LeftOut] = {}
    for item in items:
        form = item.entry.type
        if form == stat.S_IFDIR:
            if item.path:
                plan.directories.append(item)
            continue
        gone = absent.get(item.first) if item.first is not None else None
        if gone is not None:
            plan.left_out.append(LeftOut(item.shown, gone.reason))
        elif item.first is not None and form != stat.S_IFLNK:
            plan.names.append(item)
        elif form == stat.S_IFREG:
            plan.files.append(item)
            plan.content += item.entry.size
            selection.bound(plan.content)
        elif form == stat.S_IFLNK:
            text = _text_of(item, leading, permitted.links)
            if text is None:
                plan.left_out.append(LeftOut(item.shown, "link"))
                continue
            if text != item.entry.target:
                plan.rewritten.append(item.shown)
            # A link of two names may have had two texts made of one, in directories of their own.
            if item.first is not None and plan.texts.get(item.first) == text:
                plan.names.append(item)
                continue
            plan.links.append((item, text))
            if item.first is None and selection.union.link_count(item.node) > 1:
                plan.texts[item.path] = text
        elif permitted.devices:
            plan.specials.append(item)
        else:
            reason: Literal["device", "fifo"] = "fifo" if form == stat.S_IFIFO else "device"
            absent[item.path] = LeftOut(item.shown, reason)
            plan.left_out.append(absent[item.path])
    return plan


def _text_of(item: Item, leading: FolderLinks, links: Links) -> str | None:
    """Give the text that a symbolic link gets; None if it is left out."""
    text = item.entry.target or ""
    if len(encode(text)) > _PATH_MAX or not text:
        raise ExportError(
            "no file system can hold a link with this text", path=item.shown, actual=text
        )
    if links == "keep":
        return text
    absolute = text.startswith("/")
    if leading.leads_out(item.node) or (absolute and links == "refuse"):
        if links == "skip":
            return None
        raise ExportError(
            "a symbolic link leads out of the destination",
            path=item.shown,
            actual=text,
            hint='Pass links="skip" to leave such links out, or export to a tar',
        )
    if not absolute:
        return text
    if links == "skip":
        return None
    parent = item.node.parent
    return anchored(text, 0 if parent is None else depth_of(parent))


class _Writer:
    """Makes what was planned."""

    def __init__(self, selection: Selection, folder: WrittenFolder, permitted: Permitted) -> None:
        self._selection = selection
        self._folder = folder
        self._permitted = permitted

    def write(self, plan: _Plan) -> None:
        """Make everything; directories get what is said of them last, the innermost first."""
        folder, selection = self._folder, self._selection
        if plan.links and self._permitted.links != "keep" and folder.is_blind_to_case():
            _require_plain(plan)
        for item in plan.directories:
            selection.check()
            with self._making(item):
                folder.directory(item.path)
        self._write_files(plan)
        for item in plan.specials:
            with self._making(item):
                folder.special(item.path, item.entry.mode, item.entry.device or (0, 0))
                self._describe_special(item)
        for item, text in plan.links:
            with self._making(item):
                folder.symbolic_link(item.path, encode(text))
                self._describe_link(item)
        for item in plan.names:
            with self._making(item):
                folder.hard_link(item.path, item.first or b"")
        for item in reversed(plan.directories):
            with self._making(item):
                self._describe(folder.folder(item.path), item.entry)
        root = selection.union.root.node()
        if folder.made:
            self._describe(folder.folder(b""), selection.union.entry(root))

    @contextmanager
    def _making(self, item: Item) -> Iterator[None]:
        """Say of which name it is that the host refuses something."""
        try:
            yield
        except UnionLayersError:
            raise
        except OverflowError as error:
            raise self._folder.refused(item.path, OSError(errno.EINVAL, str(error))) from error
        except OSError as error:
            if error.errno in _OF_THE_HOST:
                raise
            raise self._folder.refused(item.path, error) from error

    def _write_files(self, plan: _Plan) -> None:
        """Write contents in the order in which the layers store them."""
        selection = self._selection
        done = 0
        ordered = sorted(
            ((selection.place(item.inode), item) for item in plan.files if item.inode is not None),
            key=lambda pair: pair[0],
        )
        for _, item in ordered:
            with self._making(item):
                opened = self._folder.file(item.path)
            try:
                for piece in selection.pieces(item.inode or (0, 0), item.shown):
                    _write(opened, piece)
                    done += len(piece)
                    selection.tell(done, plan.content)
                # A hole at the end is none until the size is said.
                os.ftruncate(opened, item.entry.size)
                with self._making(item):
                    self._describe(opened, item.entry)
            finally:
                os.close(opened)
        selection.tell(plan.content, plan.content)

    def _describe(self, opened: int, entry: Entry) -> None:
        """Say of an open file or directory what the image says of it, as far as is permitted."""
        if self._permitted.owners:
            os.chown(opened, *_owner(entry))
        os.chmod(opened, self._mode(entry))
        if self._permitted.xattrs:
            _set_attributes(opened, entry)
        os.utime(opened, ns=self._times(entry))

    def _describe_special(self, item: Item) -> None:
        parent, _, name = item.path.rpartition(b"/")
        folder = self._folder.folder(parent)
        # Opening a device for anything else would have an effect on it.
        opened = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            path = f"/proc/self/fd/{opened}"
            if self._permitted.owners:
                os.chown(path, *_owner(item.entry))
            Path(path).chmod(self._mode(item.entry))
            if self._permitted.xattrs:
                _set_attributes(path, item.entry)
            os.utime(path, ns=self._times(item.entry))
        finally:
            os.close(opened)

    def _describe_link(self, item: Item) -> None:
        parent, _, name = item.path.rpartition(b"/")
        folder = self._folder.folder(parent)
        if self._permitted.owners:
            os.chown(name, *_owner(item.entry), dir_fd=folder, follow_symlinks=False)
        if self._permitted.xattrs:
            path = b"/proc/self/fd/%d/%s" % (folder, name)
            _set_attributes(path, item.entry, follow_symlinks=False)
        os.utime(name, ns=self._times(item.entry), dir_fd=folder, follow_symlinks=False)

    def _mode(self, entry: Entry) -> int:
        mode = stat.S_IMODE(entry.mode)
        return mode if self._permitted.setuid else mode & ~_MASKED

    def _times(self, entry: Entry) -> tuple[int, int]:
        profile = self._selection.union.profile
        read = entry.mtime_ns if entry.atime_ns is None else entry.atime_ns
        atime, mtime = (
            min(max(shown_time_ns(profile, time), _FIRST), _LAST) for time in (read, entry.mtime_ns)
        )
        return atime, mtime


def _require_plain(plan: _Plan) -> None:
    """Refuse links that may climb where the host takes other names for those in their text."""
    for item, text in plan.links:
        if not is_plain(text):
            raise ExportError(
                "on a file system that takes upper and lower case for the same, nobody can tell "
                "whether this symbolic link leads out",
                path=item.shown,
                actual=text,
                hint="Export to a tar, or to another file system",
            )


def _owner(entry: Entry) -> tuple[int, int]:
    if not (0 <= entry.uid < _NO_OWNER and 0 <= entry.gid < _NO_OWNER):
        raise OverflowError("no file system knows such an owner")
    return entry.uid, entry.gid


def _set_attributes(
    place: int | str | bytes, entry: Entry, *, follow_symlinks: bool = True
) -> None:
    for name, value in entry.xattrs:
        try:
            os.setxattr(place, encode(name), value, follow_symlinks=follow_symlinks)
        except OSError as error:
            raise RefusedAttributeError(error.errno, error.strerror, name) from error


def _write(opened: int, piece: bytes) -> None:
    """Write all of a piece; one of zeros becomes a hole."""
    if piece.count(0) == len(piece):
        os.lseek(opened, len(piece), os.SEEK_CUR)
        return
    left = memoryview(piece)
    while left:
        left = left[os.write(opened, left) :]
