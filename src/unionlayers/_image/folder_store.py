"""
A folder as a store: an OCI layout, an unpacked docker save, skopeo's ``dir:``.

No link is followed out of the folder.  Folders on the way must be real ones; a file may be a link
to another one inside, as an unpacked archive of Docker has them, and its text is followed here,
never by the host.
"""

from __future__ import annotations

import os
import posixpath
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from unionlayers._bytes.file import FileSource
from unionlayers._bytes.source import ByteSource
from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._foundation.names import clean_entry_name, decode, encode
from unionlayers.errors import ClosedError, LinkLoopError

__all__ = ["FolderStore"]

_HOPS = 8
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0)
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class FolderStore:
    """
    The files of a folder by their names in it.

    Args:
        root: The folder.
        limits: Bound on members.

    Cost:
        Names are listed at the first call of `names`; a file is opened when it is asked for.
    """

    def __init__(self, root: Path, limits: Limits) -> None:
        self.label = str(root)
        self._root = root
        self._limits = limits
        self._lock = threading.Lock()
        self._open: dict[str, FileSource] = {}
        self._closed = False

    def names(self) -> Iterable[str]:
        """Names of all files, folders that are links not entered."""
        return list(self._listed())

    def _listed(self) -> Iterator[str]:
        count = 0
        for folder, _, files in os.walk(self._root):
            prefix = os.path.relpath(folder, self._root).replace(os.sep, "/")
            for name in files:
                count += 1
                if count > self._limits.members:
                    exceeded("members", self._limits.members, count)
                yield name if prefix == "." else f"{prefix}/{name}"

    def resolved(self, name: str) -> str | None:
        """Give the name of the real file behind a name, None where there is none inside."""
        for _ in range(_HOPS + 1):
            *folders, _ = parts = name.split("/")
            if not all(parts) or ".." in parts:
                return None
            place = self._root
            for folder in folders:
                place = place / folder
                if not _is(place, stat.S_ISDIR):
                    return None
            place = self._root / name
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
        raise LinkLoopError("too many links inside of the folder", path=name, expected=_HOPS)

    def find(self, name: str) -> ByteSource | None:
        """Give the bytes of a file; it stays open until the store is closed."""
        at = self.resolved(name)
        if at is None:
            return None
        with self._lock:
            if self._closed:
                raise ClosedError("the image was closed", member=self.label)
            known = self._open.get(at)
            if known is None:
                known = self._open[at] = FileSource(
                    self._root / at, descriptor=self._descriptor(at)
                )
            return known

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
            for source in self._open.values():
                source.close()
            self._open.clear()


def _is(place: Path, kind: object) -> bool:
    try:
        mode = place.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    return bool(kind(mode))  # type: ignore[operator]
