"""
A folder as a store: an OCI layout, an unpacked docker save, skopeo's ``dir:``.

No link is followed out of the folder.  Folders on the way must be real ones; a file may be a link
to another one inside, as an unpacked archive of Docker has them, and its text is followed here,
never by the host.  Devices, FIFOs and sockets are no members.

Few files are open at once, however many blobs an image has: one that was closed meanwhile is
opened again when it is read, and must then still be the same.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from unionlayers._bytes.file import FileSource
from unionlayers._bytes.source import ByteSource, SourceIdentity
from unionlayers._foundation.forking import renew_in_children
from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._foundation.names import clean_entry_name, decode, encode
from unionlayers._image.listing import Listed, Remnant
from unionlayers.errors import ClosedError, SourceChangedError, SourceError

__all__ = ["FolderStore"]

_HOPS = 8
_OPEN = 64
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0)
_READ = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
    # A FIFO that takes the place of a file must not make us wait for a writer.
    | getattr(os, "O_NONBLOCK", 0)
)


class FolderStore:
    """
    The files of a folder by their names in it.

    Args:
        root: The folder.
        limits: Bound on members.

    Cost:
        Nothing is listed but the top; a file is opened when it is asked for.
    """

    def __init__(self, root: Path, limits: Limits) -> None:
        self.label = str(root)
        self._root = root
        self._limits = limits
        self._lock = threading.Lock()
        renew_in_children(self)
        self._open: OrderedDict[str, FileSource] = OrderedDict()
        self._seen: dict[str, SourceIdentity] = {}
        self._closed = False

    def renew(self) -> None:
        """Take a new lock in a forked child."""
        self._lock = threading.Lock()

    def top(self) -> dict[str, bool]:
        """Names at the top, and whether each is a real folder."""
        bound = self._limits.members
        with os.scandir(self._root) as entries:
            found = {
                entry.name: entry.is_dir(follow_symlinks=False)
                for entry in islice(entries, bound + 1)
            }
        if len(found) > bound:
            exceeded("members", bound, len(found), member=self.label)
        return found

    def has(self, name: str) -> bool:
        """Tell whether a file or link has this name."""
        return self._place(name) is not None and (
            _is(self._root / name, stat.S_ISREG) or _is(self._root / name, stat.S_ISLNK)
        )

    def repeated(self, name: str) -> bool:
        """Say no: a name stands once in a folder."""
        del name
        return False

    def _place(self, name: str) -> Path | None:
        """Give where a name stands, None where that is not reached by real folders alone."""
        *folders, _ = parts = name.split("/")
        if not all(parts) or {"..", "."} & set(parts):
            return None
        if os.sep != "/" and (os.sep in name or ":" in name):
            return None  # Windows would split it once more
        place = self._root
        for folder in folders:
            place = place / folder
            if not _is(place, stat.S_ISDIR):
                return None
        return self._root / name

    def resolved(self, name: str) -> str | None:
        """Give the name of the real file behind a name, None where there is none inside."""
        for _ in range(_HOPS + 1):
            place = self._place(name)
            if place is None:
                return None
            if _is(place, stat.S_ISREG):
                return name
            if not _is(place, stat.S_ISLNK):
                return None
            target = str(place.readlink()).replace(os.sep, "/")
            if target.startswith("/"):
                return None
            cleaned, climbed = clean_entry_name(
                encode(posixpath.join(posixpath.dirname(name), target))
            )
            if climbed:
                return None
            name = decode(cleaned)
        return None

    def unfollowed(self, name: str) -> tuple[str, str] | None:
        """Give the link in the way of a name, that of a folder too, and what it says."""
        link: tuple[str, str] | None = None
        for _ in range(_HOPS + 1):
            *folders, _ = parts = name.split("/")
            if not all(parts) or {"..", "."} & set(parts):
                return link
            above = self._root
            for depth, folder in enumerate(folders, 1):
                above = above / folder
                if _is(above, stat.S_ISLNK):
                    return "/".join(folders[:depth]), str(above.readlink())
                if not _is(above, stat.S_ISDIR):
                    return link  # What is not there is not looked for further down.
            place = self._place(name)
            if place is None or not _is(place, stat.S_ISLNK):
                return None if place is not None and _is(place, stat.S_ISREG) else link
            target = str(place.readlink()).replace(os.sep, "/")
            link = name, target
            cleaned, climbed = clean_entry_name(
                encode(posixpath.join(posixpath.dirname(name), target))
            )
            if climbed or target.startswith("/"):
                return link
            name = decode(cleaned)
        return link

    def find(self, name: str) -> ByteSource | None:
        """
        Give the bytes of a file.

        Raises:
            SourceChangedError: It was opened before, and is another one or gone by now.
        """
        at = self.resolved(name)
        if at is None:
            if name in self._seen:
                raise _changed(name)
            return None
        return _Reopened(self, at)

    def listing(self) -> Iterator[Listed]:
        """
        Give all real files, folder by folder; links are not followed.

        Raises:
            LimitError: There are more than ``Limits.members`` names.
            OSError: A folder cannot be read.
        """
        count = 0
        pending = [""]
        while pending:
            folder = pending.pop()
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    count += 1
                    if count > self._limits.members:
                        exceeded("members", self._limits.members, count, member=self.label)
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(name)
                    elif entry.is_file(follow_symlinks=False):
                        size = entry.stat(follow_symlinks=False).st_size
                        yield Listed(name, size, True, partial(_Reopened, self, name))

    def remnants(self) -> Iterator[Remnant]:
        """Give nothing: what is in a folder is files."""
        return iter(())

    def file(self, name: str) -> FileSource:
        """
        Give a real file, opened now or lately; it may be closed by those that follow it.

        Raises:
            ClosedError: The store was closed.
            SourceChangedError: It was opened before, and is another one or gone by now.
            OSError: The file cannot be opened, or a link has taken the place of a folder.
        """
        with self._lock:
            if self._closed:
                raise ClosedError("the image was closed", member=self.label)
            known = self._open.pop(name, None)
            if known is None:
                known = self._first_or_same(name)
            self._open[name] = known
            spare = self._open.popitem(last=False)[1] if len(self._open) > _OPEN else None
        if spare is not None:
            spare.close()
        return known

    @property
    def closed(self) -> bool:
        """Whether the store was closed."""
        return self._closed

    def _first_or_same(self, name: str) -> FileSource:
        """Open a file, which is the one that was opened first if there was any."""
        first = self._seen.get(name)
        try:
            opened = FileSource(self._root / name, descriptor=self._descriptor(name))
        except (OSError, SourceError) as error:
            if first is None:
                raise
            raise _changed(name) from error
        if self._seen.setdefault(name, opened.identity) != opened.identity:
            opened.close()
            raise _changed(name)
        return opened

    def _descriptor(self, name: str) -> int | None:
        """Open a file so that no link that appears meanwhile can lead out of the folder."""
        if os.open not in os.supports_dir_fd or not _NO_FOLLOW:
            return None
        *folders, last = name.split("/")
        at = os.open(self._root, _READ | _FOLDER)
        try:
            for folder in folders:
                below = os.open(folder, _READ | _FOLDER | _NO_FOLLOW, dir_fd=at)
                os.close(at)
                at = below
            return os.open(last, _READ | _NO_FOLLOW, dir_fd=at)
        finally:
            os.close(at)

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            self._closed = True
            opened = list(self._open.values())
            self._open.clear()
        for source in opened:
            source.close()


class _Reopened:
    """The bytes of a file of a folder, which need not stay open between two reads."""

    __slots__ = ("_closed", "_name", "_store", "identity", "size")

    identity: SourceIdentity
    size: int

    def __init__(self, store: FolderStore, name: str) -> None:
        self._store = store
        self._name = name
        self._closed = False
        opened = store.file(name)
        self.identity = opened.identity
        self.size = opened.size

    def pread(self, offset: int, length: int) -> bytes:
        """
        Read *length* bytes at *offset*; see `ByteSource.pread`.

        Raises:
            SourceChangedError: The file is not the one that was opened first.
        """
        while True:
            if self._closed:
                raise ClosedError("the file was closed", member=self._name)
            opened = self._store.file(self._name)
            try:
                return opened.pread(offset, length)
            except ClosedError:
                # Another reader needed the room in between.
                if self._store.closed:
                    raise

    def close(self) -> None:
        """Answer no more; the store closes the file."""
        self._closed = True


def _changed(name: str) -> SourceChangedError:
    return SourceChangedError(
        "the file was changed, replaced or removed while the image was open", member=name
    )


def _is(place: Path, kind: Callable[[int], bool]) -> bool:
    try:
        mode = place.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        # ValueError: a name with a NUL byte, which documents can spell and no file has.
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise
    return kind(mode)
