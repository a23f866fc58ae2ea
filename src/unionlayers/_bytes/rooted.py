"""
A folder on disk that cannot be left: files and folders in it by path, no link followed out of it.

Every component is opened beneath the one before it, and none may be a link, so that neither a
link in the folder nor one that appears while it is read leads elsewhere.  Where a path is that of
a tar entry, links on the way to it are taken as a container takes them: the folder is the root.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

from unionlayers._bytes.folder_descriptors import FolderDescriptors
from unionlayers._bytes.odd_file import require_readable
from unionlayers._foundation.forking import renew_in_children
from unionlayers.errors import ClosedError, LinkLoopError, SourceAccessError, UnsupportedError

__all__ = ["RootedFolder", "denied", "in_first_namespace", "is_absent"]

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0) | _CLOEXEC
_LIST = os.O_RDONLY | _FOLDER
# To pass through a folder takes the right to search it, to list it that to read it as well.
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | _FOLDER
# A FIFO would make open() wait for a writer before it could be refused.
_FILE = os.O_RDONLY | _CLOEXEC | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0)
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK, errno.ENAMETOOLONG)
_KEPT = 32
_LINKS = 255


def denied(error: PermissionError, name: str) -> SourceAccessError:
    """Give the error for what the user may not read."""
    return SourceAccessError(
        f"the rights of the user do not let this be read: {error.strerror}",
        member=name,
        hint="Read the store as its owner, which is root for most",
    )


class RootedFolder:
    """
    Files and folders beneath one folder; safe from any number of threads.

    Paths are bytes relative to the folder, without ``.`` and ``..``; the empty one is the folder.

    Args:
        root: The folder; links on the way to it are followed.
        descriptor: A descriptor that is open on it already, which is owned from then on; *root*
            then only names it in messages.

    Raises:
        OSError: It cannot be opened, or is no folder.
        UnsupportedError: The platform cannot open files beneath a folder.

    Cost:
        Two system calls for a path whose folder was met lately, else one more for each component.
    """

    def __init__(self, root: str | os.PathLike[str], *, descriptor: int | None = None) -> None:
        self.name = os.fspath(root)
        if os.open not in os.supports_dir_fd or not _NO_FOLLOW:
            raise UnsupportedError(
                "this platform cannot open files beneath a folder without following links",
                member=self.name,
            )
        self._lock = threading.Lock()
        renew_in_children(self)
        try:
            opened = os.open(root, _PASS) if descriptor is None else descriptor
        except PermissionError as error:
            raise denied(error, self.name) from error
        self._root: int | None = opened
        self._folders = FolderDescriptors(opened, _PASS, _KEPT)

    def __repr__(self) -> str:
        """Name the folder."""
        return f"RootedFolder({self.name!r})"

    def renew(self) -> None:
        """Take a new lock in a forked child."""
        self._lock = threading.Lock()

    def called(self, path: bytes) -> str:
        """Give what errors call a path in the folder."""
        return str(Path(self.name, os.fsdecode(path)))

    def open_file(self, path: bytes, *, follow: bool = False) -> int:
        """
        Open what stands at *path* for reading; the caller closes it and looks what it is.

        Args:
            path: Where it is.
            follow: Whether links on the way, though not the last component, are followed with the
                folder as root.

        Raises:
            OSError: It is not there, is a link, or a component on the way is no folder.
            SourceAccessError: The user may not read it.
            StoreError: The host cannot read it, or it is a socket or a device without a driver.
            LinkLoopError: Links lead in a circle.
            ClosedError: The folder was closed.
        """
        return self._opened(path, _FILE, follow=follow)

    def open_folder(self, path: bytes) -> int:
        """Open a folder so that it can be listed; raises like `open_file`."""
        if not path:
            return self._opened(b".", _LIST, follow=False)
        return self._opened(path, _LIST | _NO_FOLLOW, follow=False)

    def beneath(self, path: bytes) -> RootedFolder:
        """Give a folder beneath this one as one of its own; raises like `open_file`."""
        return RootedFolder(
            self.called(path), descriptor=self._opened(path, _PASS | _NO_FOLLOW, follow=False)
        )

    def kind(self, path: bytes, *, follow: bool = False) -> int | None:
        """
        Give the type bits of what stands at *path*, None where nothing does.

        Args:
            path: Where it is.
            follow: As for `open_file`.

        Raises:
            SourceAccessError: The user may not look.
            StoreError: The host cannot.
            LinkLoopError: Links lead in a circle.
        """
        parent, _, last = path.rpartition(b"/")
        with self._lock:
            try:
                folder = self._parent(parent, follow=follow)
                found = os.stat(last or b".", dir_fd=folder, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError as error:
                self._tell(error, path)
                raise
        return stat.S_IFMT(found.st_mode)

    def is_of_root(self) -> bool:
        """
        Tell whether the folder belongs to the root of the host, not to that of a user namespace.

        Raises:
            ClosedError: The folder was closed.
        """
        with self._lock:
            owner = os.stat(".", dir_fd=self._folder(b"")).st_uid
        return owner == 0 and in_first_namespace()

    def owner(self) -> tuple[int, int]:
        """
        Give user and group of the folder.

        Raises:
            ClosedError: The folder was closed.
        """
        with self._lock:
            found = os.stat(".", dir_fd=self._folder(b""))
        return found.st_uid, found.st_gid

    def was_made_by_root(self) -> bool:
        """
        Tell whether the root of the host made the folder, whomever it belongs to by now.

        The upper directory of an overlay belongs to whom a process in the container likes, but
        stands in a folder that it cannot reach.

        Raises:
            ClosedError: The folder was closed.
        """
        if self.is_of_root():
            return True
        with self._lock:
            above = os.stat("..", dir_fd=self._folder(b""))
        alone = not above.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        return above.st_uid == 0 and alone and in_first_namespace()

    def close(self) -> None:
        """Close the folder; what was opened beneath it stays open; twice is allowed."""
        with self._lock:
            opened, self._root = self._root, None
            self._folders.close()
            if opened is not None:
                os.close(opened)

    def _opened(self, path: bytes, flags: int, *, follow: bool) -> int:
        parent, _, last = path.rpartition(b"/")
        with self._lock:
            try:
                return os.open(last, flags, dir_fd=self._parent(parent, follow=follow))
            except OSError as error:
                self._tell(error, path)
                raise

    def _tell(self, error: OSError, path: bytes) -> None:
        """Raise our own error for one of the host, if the file is at fault."""
        if isinstance(error, PermissionError) and not isinstance(error, SourceAccessError):
            raise denied(error, self.called(path)) from error
        require_readable(error, self.called(path))

    def _parent(self, path: bytes, *, follow: bool) -> int:
        """Give a descriptor of a folder, links on the way to it taken if that is asked for."""
        try:
            return self._folder(path)
        except NotADirectoryError:
            if not follow:
                raise
            return self._folder(self._physical(path))

    def _folder(self, path: bytes) -> int:
        """Give a descriptor of a folder, valid as long as the lock is held."""
        if self._root is None:
            raise ClosedError("the folder was closed", member=self.name)
        return self._folders.folder(path)

    def _physical(self, path: bytes) -> bytes:
        """Give the path of a folder once links are followed, the folder itself as the root."""
        real: list[bytes] = []
        pending = path.split(b"/")[::-1]
        links = 0
        while pending:
            part = pending.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                del real[-1:]
                continue
            folder = self._folder(b"/".join(real))
            if not stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode):
                real.append(part)
                continue
            links += 1
            if links > _LINKS:
                raise LinkLoopError(
                    "too many links inside of the folder",
                    path=self.called(path),
                    expected=_LINKS,
                )
            target = os.readlink(part, dir_fd=folder)
            if target.startswith(b"/"):
                real.clear()
            pending.extend(target.split(b"/")[::-1])
        return b"/".join(real)


def in_first_namespace() -> bool:
    """Tell whether user ids mean what they mean on the host (user_namespaces(7))."""
    try:
        mapped = Path("/proc/self/uid_map").read_bytes()
    except OSError:
        # Without /proc, or not on Linux, there are no namespaces that could be told apart.
        return True
    return mapped.split()[:3] == [b"0", b"0", b"4294967295"]


def is_absent(error: OSError) -> bool:
    """Tell whether an error says that nothing, or a link, stands where a file was expected."""
    return error.errno in _ABSENT
