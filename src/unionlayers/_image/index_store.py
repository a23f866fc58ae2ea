"""
Where records of layers are kept between processes: named files that are replaced as a whole.

A store knows nothing of layers and is trusted with nothing that checksums and digests can decide.
What it must answer for is who can write to it, so that `DirectoryIndexStore` takes only a folder
and only files that no other user can write.  Everything in it can be made again: a file that
cannot be read or written costs time, never an answer, and is told of in `failures`.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import re
import secrets
import stat
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from unionlayers.errors import IndexStoreError

__all__ = ["DirectoryIndexStore", "IndexStore"]

_MAX_BYTES = 1 << 30
_NAME = re.compile(r"[a-z0-9]+(?:-[0-9a-f]+)?(?:\.[a-z0-9]+)+\Z")
_TEMPORARY = re.compile(r"\.[a-z0-9.-]+\.[0-9]+-[0-9a-f]+\.tmp\Z")
_OURS = re.compile(r"(?:sha[0-9]+-)?[0-9a-f]{32,128}\.[0-9]+\.(?:index|checkpoints|source|hint)\Z")
_READ = os.O_RDONLY
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_EITHER = 0
for _flag in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_NOINHERIT"):
    _EITHER |= getattr(os, _flag, 0)
# Below this a copy costs less than a mapping, and holds no descriptor.
_MAP_FROM = 1 << 20
_STEP = 16 << 20
_BLOCK = 4096
_TOUCH_SECONDS = 60
_ABANDONED_SECONDS = 3600
_REMEMBERED = 100
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# Records of image layers; can be deleted.\n"


@runtime_checkable
class IndexStore(Protocol):
    """
    Keeps what was found out about layers, under names, for later processes.

    To implement one, keep bytes under a name; what they mean, and whether they are used, is
    decided by the library.  Safe from any number of threads.  None of the methods raises because
    something could not be kept or found.
    """

    def get(self, name: str, /) -> memoryview | None:
        """
        Give what was last put under *name*, whole and unchanged, or None.

        Args:
            name: Lower-case letters, digits, dots and hyphens; neither dot nor hyphen first.
        """

    def put(self, name: str, pieces: Sequence[bytes], /) -> bool:
        """
        Keep *pieces*, one behind the other, under *name*, in place of what was there.

        Returns:
            Whether they are kept now.
        """


class DirectoryIndexStore:
    """
    An `IndexStore` in a folder of the user, safe for any number of processes at once.

    A file is written under a temporary name and renamed, so that a reader sees the old or the new
    one and a writer that is killed leaves the old one.  Nothing is synced to disk: after a power
    cut a damaged file is found by its checksums and made again.  The least recently used files go
    first when there is no room.

    Args:
        path: The folder; it is made, for its owner alone, when something is first kept.
        max_bytes: Bound on the bytes of all files together, each counted in whole blocks of 4096;
            several processes that write at once may pass it by a sixteenth each for a while.

    Attributes:
        path: The folder, absolute.
        max_bytes: The bound.

    Raises:
        IndexStoreError: The folder belongs to somebody else than the user or root, or others than
            its owner can write to it, or it is no folder.
        ValueError: *max_bytes* is negative.

    Cost:
        A look at the folder.

    Example:
        >>> from unionlayers import DirectoryIndexStore, open_image
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = DirectoryIndexStore(folder, max_bytes=100 << 20)
        ...     archive = "examples/demo-image/ledger.oci.tar"
        ...     with open_image(archive, index_store=store) as image:
        ...         image.prepare()
        ...     store.failures
        ()
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = _MAX_BYTES) -> None:
        if max_bytes < 0:
            raise ValueError(f"a store of {max_bytes} bytes")
        self.path = Path(os.path.abspath(os.fspath(path)))  # noqa: PTH100 - no link is followed
        self.max_bytes = max_bytes
        self._failures: deque[OSError] = deque(maxlen=_REMEMBERED)
        self._written = 0
        self._scanned = False
        _check_folder(self.path)

    @property
    def failures(self) -> tuple[OSError, ...]:
        """
        What could not be read or kept, oldest first: the last hundred errors.

        Each has ``errno`` and ``filename``.  Where there is one, the answers are what they would
        be without it, and a later process has to index again.
        """
        return tuple(self._failures)

    def get(self, name: str, /) -> memoryview | None:
        """Give what was last put under *name*, or None; see `IndexStore`."""
        path = self._place(name)
        try:
            descriptor = os.open(path, _READ | _EITHER)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._failures.append(error)
            return None
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or not _is_own(found):
                raise PermissionError(
                    errno.EACCES, "others can write to a file of the store", str(path)
                )
            if time.time() - found.st_mtime > _TOUCH_SECONDS:
                # The time of the last use; a store that cannot be written is used all the same.
                with contextlib.suppress(OSError):
                    os.utime(descriptor if os.utime in os.supports_fd else path)
            if found.st_size < _MAP_FROM:
                return memoryview(_read(descriptor, found.st_size))
            return memoryview(_map(descriptor))
        except OSError as error:
            error.filename = error.filename or str(path)
            self._failures.append(error)
            return None
        finally:
            os.close(descriptor)

    def put(self, name: str, pieces: Sequence[bytes], /) -> bool:
        """Keep *pieces* under *name*; see `IndexStore`."""
        path = self._place(name)
        size = _on_disk(sum(map(len, pieces)))
        temporary = self.path / f".{name}.{os.getpid()}-{secrets.token_hex(8)}.tmp"
        try:
            if size > self.max_bytes:
                raise OSError(errno.EFBIG, "larger than the whole store may be", str(path))
            self._make_room(size)
            descriptor = self._create(temporary)
            try:
                try:
                    _write(descriptor, pieces)
                finally:
                    os.close(descriptor)
                temporary.replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise
        except (OSError, IndexStoreError) as error:
            if os.name == "nt" and isinstance(error, PermissionError) and path.exists():
                # Windows replaces no file that is mapped; whoever maps it finds it useful.
                return True
            failure = error if isinstance(error, OSError) else OSError(str(error))
            failure.filename = failure.filename or str(path)
            self._failures.append(failure)
            return False
        self._written += size
        return True

    def usage(self) -> tuple[int, int]:
        """
        Give how many files are kept, and their bytes, each counted in whole blocks of 4096.

        Raises:
            OSError: The folder cannot be read.

        Cost:
            A look at each file.
        """
        files, _ = self._held()
        return len(files), sum(size for _, size, _ in files)

    def prune(self, max_bytes: int = 0) -> tuple[int, int]:
        """
        Remove the least recently used files until the others have *max_bytes* or less.

        Records that a process is using stay good: a file that is open, or mapped, outlives its
        name.

        Args:
            max_bytes: What may stay; 0 removes everything.

        Returns:
            Files and bytes that were removed, counted as `usage` does.

        Raises:
            ValueError: *max_bytes* is negative.
            OSError: The folder cannot be read.

        Example:
            >>> import tempfile
            >>> from unionlayers import DirectoryIndexStore, open_image
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     store = DirectoryIndexStore(folder)
            ...     archive = "examples/demo-image/ledger.oci.tar"
            ...     with open_image(archive, index_store=store) as image:
            ...         image.prepare()
            ...     store.prune() == (0, 0), store.usage()
            (False, (0, 0))
        """
        if max_bytes < 0:
            raise ValueError(f"a store of {max_bytes} bytes")
        files, left = self._held()
        held = sum(size for _, size, _ in files)
        removed = [0, 0]
        for _, size, path in sorted(files):
            if held <= max_bytes:
                break
            if _remove(path):
                held -= size
                removed[0] += 1
                removed[1] += size
        for path in left:
            _remove(path)
        self._scanned = False
        return removed[0], removed[1]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the folder and the bound."""
        return _store_at, (str(self.path), self.max_bytes)

    def __repr__(self) -> str:
        """Name the folder and the bound."""
        return f"DirectoryIndexStore({str(self.path)!r}, max_bytes={self.max_bytes})"

    # -- files ------------------------------------------------------------------------------------

    def _place(self, name: str) -> Path:
        if not _NAME.match(name):
            raise ValueError(f"not a name of a store: {name!r}")
        return self.path / name

    def _create(self, temporary: Path) -> int:
        """Open a new file, and make the folder if there is none."""
        try:
            return os.open(temporary, _WRITE | _EITHER, 0o600)
        except FileNotFoundError:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_folder(self.path)
            with contextlib.suppress(FileExistsError):
                tag = os.open(self.path / "CACHEDIR.TAG", _WRITE | _EITHER, 0o600)
                try:
                    _write(tag, [_TAG])
                finally:
                    os.close(tag)
            return os.open(temporary, _WRITE | _EITHER, 0o600)

    def _make_room(self, wanted: int) -> None:
        """Remove the least recently used files until *wanted* bytes fit."""
        if self._scanned and self._written + wanted <= self.max_bytes // 16:
            return
        files, left = self._held()
        for path in left:
            _remove(path)
        held = sum(size for _, size, _ in files)
        # As much as may be written until the folder is looked at again is made free at once.
        room = max(wanted, self.max_bytes // 16)
        if held + room > self.max_bytes:
            for _, size, path in sorted(files):
                if held + room <= self.max_bytes:
                    break
                if _remove(path):
                    held -= size
        self._scanned = True
        self._written = 0

    def _held(self) -> tuple[list[tuple[float, int, str]], list[str]]:
        """Give the files of the store (last use, bytes, path), and what killed writers left."""
        now = time.time()
        files: list[tuple[float, int, str]] = []
        left: list[str] = []
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    facts = _facts(entry)
                    if facts is None:
                        continue
                    if _OURS.match(entry.name):
                        files.append((facts.st_mtime, _on_disk(facts.st_size), entry.path))
                    elif _TEMPORARY.match(entry.name) and (
                        now - facts.st_mtime > _ABANDONED_SECONDS
                    ):
                        left.append(entry.path)
        except FileNotFoundError:
            return [], []
        return files, left


def _store_at(path: str, max_bytes: int) -> DirectoryIndexStore:
    """Make a store again where a pickle is loaded."""
    return DirectoryIndexStore(path, max_bytes=max_bytes)


def _check_folder(path: Path) -> None:
    """Raise `IndexStoreError` for a folder in which others could put files."""
    try:
        found = path.stat()
    except OSError:
        # What is not there is made when it is needed; what cannot be seen fails when it is used.
        return
    if not stat.S_ISDIR(found.st_mode):
        raise IndexStoreError("the index store is no folder", member=str(path))
    if not _is_own(found):
        raise IndexStoreError(
            "others can write to the folder of the index store",
            member=str(path),
            expected="a folder of the user or of root that nobody else can write to",
            actual=f"owner {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}",
            hint="Make it your own by chmod 700, or choose another folder",
        )


def _is_own(found: os.stat_result) -> bool:
    if os.name != "posix":
        return True
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & 0o022


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _facts(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Give what is known of a file, None for what was removed in between and what is no file."""
    try:
        facts = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return facts if stat.S_ISREG(facts.st_mode) else None


def _remove(path: str) -> bool:
    """Remove a file; tell whether it is gone."""
    try:
        Path(path).unlink()
    except FileNotFoundError:
        return True
    except OSError:
        # Mapped on Windows, or a folder that is read-only: it stays, and the bound is passed.
        return False
    return True


def _read(descriptor: int, size: int) -> bytes:
    parts: list[bytes] = []
    left = size
    while left and (part := os.read(descriptor, min(left, _STEP))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _map(descriptor: int) -> mmap.mmap:
    if sys.version_info >= (3, 13):
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ, trackfd=False)
    return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)


def _write(descriptor: int, pieces: Sequence[bytes]) -> None:
    data = memoryview(b"".join(pieces))
    while data:
        data = data[os.write(descriptor, data[:_STEP]) :]
