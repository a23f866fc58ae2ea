"""
A file on disk as a source of bytes.

The file is opened once and read by offset, so that no two readers share a position.  With every
read its identity is compared with that at opening: an archive that is rewritten while its image
is open would otherwise be served as a mixture of old and new.
"""

from __future__ import annotations

import os
import stat
import threading

from unionlayers._bytes.source import SourceIdentity, check_range
from unionlayers.errors import (
    ClosedError,
    SourceChangedError,
    UnknownFormatError,
    UnseekableSourceError,
)

__all__ = ["FileSource"]

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOINHERIT", 0)
    | getattr(os, "O_BINARY", 0)
    # A FIFO would make open() wait for a writer before it could be refused.
    | getattr(os, "O_NONBLOCK", 0)
)
# One read() of Linux gives at most 0x7ffff000 bytes.
_MOST_AT_ONCE = 1 << 30
_positioned = threading.Lock()


class _Descriptor(int):
    """
    An open descriptor that is closed with the last reference to it.

    It is an int itself: no line of Python stands between the opening of a file and the object
    that closes it, at which an interrupt could lose the descriptor.
    """

    __slots__ = ()

    def __del__(self) -> None:
        os.close(self)


class FileSource:
    """
    The bytes of the regular file at *path*.

    Args:
        path: The file; links are followed.
        descriptor: A descriptor that is open on the file already, for callers with rules of their
            own about links.  The source owns it from then on; *path* only names it in messages.

    Raises:
        OSError: The file cannot be opened.
        UnseekableSourceError: It is a FIFO, a socket or a character device.
        UnknownFormatError: It is a directory.

    Cost:
        Two system calls a read.
    """

    __slots__ = ("_descriptor", "_seen", "identity", "name", "size")

    identity: SourceIdentity
    name: str
    size: int

    def __init__(self, path: str | os.PathLike[str], *, descriptor: int | None = None) -> None:
        self.name = os.fspath(path)
        self._descriptor: _Descriptor | None = None
        opened = _Descriptor(os.open(path, _FLAGS) if descriptor is None else descriptor)
        try:
            found = os.fstat(opened)
            _require_regular(found.st_mode, self.name)
        except BaseException:
            # The error keeps the frame, and would keep the file open as long as it lives itself.
            del opened
            raise
        self._descriptor = opened
        self._seen = _state(found)
        self.size = found.st_size
        self.identity = SourceIdentity(
            device=found.st_dev,
            inode=found.st_ino,
            size=found.st_size,
            mtime_ns=found.st_mtime_ns,
            ctime_ns=found.st_ctime_ns,
            offset=0,
            length=found.st_size,
        )

    def __repr__(self) -> str:
        """Name the file and its size."""
        return f"FileSource({self.name!r}, size={self.size})"

    def pread(self, offset: int, length: int) -> bytes:
        """
        Read *length* bytes at *offset*; see `ByteSource.pread`.

        Raises:
            SourceChangedError: The file was replaced, truncated, rewritten or touched since it
                was opened.  It is looked at after the bytes are read, so that a change while
                they are being read is seen too.
        """
        check_range(offset, length)
        length = min(length, self.size - offset)
        # Held while it is read from: one that is closed under a reader could be a stranger's file
        # by the time of the read.  There is no lock, so nobody waits, in a forked child neither.
        held = self._descriptor
        if held is None:
            raise ClosedError("the file was closed", member=self.name)
        try:
            data = self._read(held, offset, length) if length > 0 else b""
            changed = _state(os.fstat(held)) != self._seen
        finally:
            # An error keeps the frame.
            del held
        if changed or len(data) < length:
            raise SourceChangedError(
                "the file, or what the system keeps of it, was changed while it was open",
                member=self.name,
                offset=offset,
                hint="Open the image anew",
            )
        return data

    def close(self) -> None:
        """Close the file, as soon as nobody is reading from it; twice is allowed."""
        self._descriptor = None

    def _read(self, descriptor: int, offset: int, length: int) -> bytes:
        data = self._read_once(descriptor, offset, min(length, _MOST_AT_ONCE))
        if len(data) == length or not data:
            return data
        parts = [data]
        got = len(data)
        while got < length:
            data = self._read_once(descriptor, offset + got, min(length - got, _MOST_AT_ONCE))
            if not data:
                break
            parts.append(data)
            got += len(data)
        return b"".join(parts)

    def _read_once(self, descriptor: int, offset: int, length: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(descriptor, length, offset)
        with _positioned:  # Windows has no pread
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, length)


def _state(found: os.stat_result) -> tuple[int, int, int, int, int]:
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


def _require_regular(mode: int, name: str) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise UnknownFormatError("a directory has no bytes to read", member=name)
    raise UnseekableSourceError(
        "not a regular file, so that nothing can be read at an offset",
        member=name,
        hint="Pass spool=True to copy it into a temporary file once, or copy it yourself",
    )
