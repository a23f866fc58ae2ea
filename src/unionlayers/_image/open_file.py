"""A file of an image as Python's own buffered reader."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from unionlayers._bytes.source import ByteSource

__all__ = ["BufferedFile", "OpenFile", "open_buffered"]

_BUFFER = 64 * 1024


class OpenFile(io.RawIOBase):
    """
    The raw side: a position over a source of bytes.

    Takes no lock while it reads, so that any number of files can be read at once.
    """

    mode = "rb"

    def __init__(self, source: ByteSource, name: str, check: Callable[[], None]) -> None:
        super().__init__()
        self._source = source
        self._check = check
        self._position = 0
        self.name = name

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it has random access."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        self._check_closed()
        view = memoryview(buffer).cast("B")
        data = self._source.pread(self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        """Read to the end."""
        self._check_closed()
        data = self._source.pread(self._position, max(0, self._source.size - self._position))
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        self._check_closed()
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}
        if whence not in start:
            raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
        position = start[whence] + offset
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        self._position = position
        return position

    def tell(self) -> int:
        """Give the position."""
        self._check_closed()
        return self._position

    def _check_closed(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        self._check()


class BufferedFile(io.BufferedReader):
    """
    A buffered reader that says its mode, as files do, and its size.

    Attributes:
        size: Bytes of the whole file.
    """

    mode = "rb"

    def __init__(
        self, source: ByteSource, name: str, check: Callable[[], None], buffer_size: int
    ) -> None:
        super().__init__(OpenFile(source, name, check), buffer_size=buffer_size)
        self.size = source.size


def open_buffered(
    source: ByteSource, name: str, check: Callable[[], None], buffering: int
) -> BufferedFile:
    """Give a buffered reader over a source; *check* raises if the image was closed."""
    size = buffering if buffering > 1 else _BUFFER
    return BufferedFile(source, name, check, size)
