"""
A file object that the user opened as a source of bytes.

It has one position, so reads take turns under a lock.  The object is never closed here, and its
position afterwards is wherever the last read left it: whoever lends it should not read from it
in the meantime.
"""

from __future__ import annotations

import io
import os
import threading
from typing import BinaryIO

from unionlayers._bytes.source import check_range
from unionlayers.errors import (
    ClosedError,
    SourceChangedError,
    UnknownFormatError,
    UnseekableSourceError,
)

__all__ = ["StreamSource"]

_SPOOL_HINT = (
    "Spool it first: shutil.copyfileobj(stream, spool) with spool = tempfile.TemporaryFile()"
)


class StreamSource:
    """
    The bytes of the seekable binary file object *stream*, from its first byte to its last.

    Args:
        stream: What ``open(path, "rb")``, `io.BytesIO` or `tempfile.TemporaryFile` give, or
            anything else with ``seek`` and ``read``.  It is not closed by `close`.

    Raises:
        UnseekableSourceError: It cannot seek; the hint says how to spool it.
        UnknownFormatError: It is open in text mode.
        ClosedError: It is closed already.
    """

    __slots__ = ("_lock", "_stream", "identity", "size")

    identity: None
    size: int

    def __init__(self, stream: BinaryIO) -> None:
        self.identity = None
        self._lock = threading.Lock()
        given: object = stream
        if isinstance(given, io.TextIOBase):
            raise UnknownFormatError(
                "the file object is open in text mode, and an image is bytes",
                hint='Open it with mode "rb"',
            )
        if getattr(stream, "closed", False):
            raise ClosedError("the file object is closed")
        self.size = _size_of(stream)
        self._stream: BinaryIO | None = stream

    def __repr__(self) -> str:
        """Name the file object and its size."""
        return f"StreamSource({self._stream!r}, size={self.size})"

    def pread(self, offset: int, length: int) -> bytes:
        """
        Read *length* bytes at *offset*; see `ByteSource.pread`.

        Raises:
            ClosedError: This source or the file object was closed.
            SourceChangedError: The file object has become shorter.
        """
        check_range(offset, length)
        length = min(length, self.size - offset)
        with self._lock:
            stream = self._stream
            if stream is None:
                raise ClosedError("the source was closed")
            if getattr(stream, "closed", False):
                raise ClosedError("the file object was closed by its owner")
            if length <= 0:
                return b""
            stream.seek(offset)
            data = stream.read(length)
            if len(data) < length:
                data = _read_on(stream, data, length)
        if len(data) < length:
            raise SourceChangedError(
                "the file object became shorter while it was in use",
                offset=offset,
                expected=length,
                actual=len(data),
            )
        return data

    def close(self) -> None:
        """Let go of the file object, and leave it open; twice is allowed."""
        with self._lock:
            self._stream = None


def _size_of(stream: BinaryIO) -> int:
    try:
        can_seek = stream.seekable() if hasattr(stream, "seekable") else hasattr(stream, "seek")
        if can_seek:
            stream.seek(0, os.SEEK_END)
            return stream.tell()
    except (io.UnsupportedOperation, OSError) as error:
        raise UnseekableSourceError(
            f"the file object cannot seek: {error}", hint=_SPOOL_HINT
        ) from error
    raise UnseekableSourceError("the file object cannot seek", hint=_SPOOL_HINT)


def _read_on(stream: BinaryIO, data: bytes, length: int) -> bytes:
    """Ask again after a short read: raw file objects may give less than what is there."""
    parts = [data]
    got = len(data)
    while data and got < length:
        data = stream.read(length - got)
        parts.append(data)
        got += len(data)
    return b"".join(parts)
