"""
A folder on the host that is written beneath, and never left.

Every directory is opened relative to the one above it, by a descriptor, and none may be a link;
everything is made anew and nothing is opened that was there before.  So neither a link in the
tree, nor one that somebody puts there meanwhile, leads a write elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from unionlayers._bytes.folder_descriptors import FolderDescriptors
from unionlayers._foundation.names import decode
from unionlayers.errors import DestinationExistsError, ExportError, UnsupportedError

__all__ = ["RefusedAttributeError", "WrittenFolder"]

_KEPT = 64
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_FOLLOW | getattr(os, "O_CLOEXEC", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | getattr(os, "O_CLOEXEC", 0)
_NEEDED: tuple[Callable[..., object], ...] = (os.open, os.mkdir, os.link, os.symlink, os.unlink)
_SAYINGS = {
    errno.EEXIST: "another name of the export is the same name on this file system",
    errno.ENAMETOOLONG: "the name is too long for this file system",
    errno.EILSEQ: "the name cannot be spelled on this file system",
    errno.EPERM: "the user may not do this here",
    errno.EACCES: "the user may not do this here",
    errno.EOPNOTSUPP: "this file system cannot keep it",
}


class RefusedAttributeError(OSError):
    """What the host said of an extended attribute, whose name is `filename`."""


class WrittenFolder:
    """
    A new or empty folder, and what is made in it; for one thread.

    Paths are bytes relative to it, the empty one is the folder.

    Args:
        root: Where it is or will be; links on the way to it are followed, it is none itself.

    Attributes:
        made: Whether the folder was made here.

    Raises:
        DestinationExistsError: It exists and is not an empty folder.
        UnsupportedError: The platform cannot open files beneath a folder.
        OSError: It cannot be made.
    """

    def __init__(self, root: Path) -> None:
        if not _NO_FOLLOW or any(call not in os.supports_dir_fd for call in _NEEDED):
            raise UnsupportedError(
                "this platform cannot write beneath a folder without following links",
                member=str(root),
                hint="Export to a tar",
            )
        self.name = str(root)
        self.made = True
        self._directories: list[bytes] = []
        try:
            root.mkdir(0o700)
        except FileExistsError:
            self.made = False
        try:
            self._root = os.open(root, _FOLDER)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise self._exists("the destination is no folder") from None
            raise
        self._folders = FolderDescriptors(self._root, _FOLDER, _KEPT)
        if not self.made and _has_names(self._root):
            os.close(self._root)
            raise self._exists("the destination is not empty")

    def _exists(self, message: str) -> DestinationExistsError:
        return DestinationExistsError(
            message, member=self.name, hint="Name an empty folder, or one that does not exist"
        )

    def folder(self, path: bytes) -> int:
        """Give a descriptor of a directory made here, good until the next call."""
        return self._folders.folder(path)

    def refused(self, path: bytes, error: OSError) -> ExportError:
        """Give the error for what the host would not make."""
        saying = _SAYINGS.get(error.errno or 0, f"this cannot be written: {error.strerror}")
        if isinstance(error, RefusedAttributeError):
            saying = f"the extended attribute {error.filename!r}: {saying}"
        return ExportError(
            saying,
            path="/" + decode(path),
            member=self.name,
            actual=errno.errorcode.get(error.errno or 0),
            hint="A tar holds every name and all metadata",
        )

    def directory(self, path: bytes) -> None:
        """Make a directory that nobody else can enter yet."""
        parent, name = _split(path)
        os.mkdir(name, 0o700, dir_fd=self.folder(parent))
        self._directories.append(path)

    def file(self, path: bytes) -> int:
        """Make a file that nobody else can read yet, and open it for writing."""
        parent, name = _split(path)
        return os.open(name, _NEW, 0o600, dir_fd=self.folder(parent))

    def hard_link(self, path: bytes, first: bytes) -> None:
        """Give a file made here another name."""
        parent, name = _split(path)
        other, _, known = first.rpartition(b"/")
        # The first descriptor is kept open while the second is sought.
        source = os.dup(self.folder(other))
        try:
            os.link(
                known,
                name,
                src_dir_fd=source,
                dst_dir_fd=self.folder(parent),
                follow_symlinks=False,
            )
        finally:
            os.close(source)

    def symbolic_link(self, path: bytes, text: bytes) -> None:
        """Make a symbolic link."""
        parent, name = _split(path)
        os.symlink(text, name, dir_fd=self.folder(parent))

    def special(self, path: bytes, mode: int, device: tuple[int, int]) -> None:
        """Make a device or FIFO."""
        parent, name = _split(path)
        kind = stat.S_IFMT(mode)
        os.mknod(name, kind | 0o600, os.makedev(*device), dir_fd=self.folder(parent))

    def is_blind_to_case(self) -> bool:
        """Tell whether this file system takes names for one that the image tells apart."""
        probe, others = "ä-probe", ("Ä-PROBE", "Ä-probe", "a\u0308-probe")
        os.close(os.open(probe, _NEW, 0o600, dir_fd=self._root))
        try:
            return any(_is_there(other, self._root) for other in others)
        finally:
            os.unlink(probe, dir_fd=self._root)

    def undo(self, paths: Iterable[bytes]) -> None:
        """
        Remove what was made: the names of *paths*, as far as they are there, and all directories.

        Raises:
            OSError: Something cannot be removed; somebody else has put it there, for example.
        """
        for path in paths:
            parent, _, name = path.rpartition(b"/")
            # Many were not made, and some never could be; what stays keeps its directory.
            with suppress(OSError):
                os.unlink(name, dir_fd=self.folder(parent))
        for path in reversed(self._directories):
            parent, _, name = path.rpartition(b"/")
            self._folders.drop(path)
            os.rmdir(name, dir_fd=self.folder(parent))
        if self.made:
            Path(self.name).rmdir()
        elif _has_names(self._root):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))

    def close(self) -> None:
        """Let go of all descriptors."""
        self._folders.close()
        os.close(self._root)


def _split(path: bytes) -> tuple[bytes, bytes]:
    """Give the directory and the name of a path; a name that is none is a fault of ours."""
    parent, _, name = path.rpartition(b"/")
    if name in (b"", b".", b"..") or b"\0" in name:
        raise AssertionError(f"{path!r} cannot be the path of an entry")
    return parent, name


def _has_names(folder: int) -> bool:
    with os.scandir(folder) as found:
        return next(found, None) is not None


def _is_there(name: str, folder: int) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except OSError:
        return False
    return True
