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
from unionlayers._foundation.forking import renew_in_children
from unionlayers.errors import (
    ClosedError,
    SourceChangedError,
    UnknownFormatError,
    UnseekableSourceError,
    UnsupportedError,
)

__all__ = ["StreamSource"]

_SPOOL_HINT = "Pass spool=True to copy it into a temporary file once, or copy it yourself"


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

    __slots__ = ("__weakref__", "_lock", "_shared", "_stream", "identity", "size")

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
        self._shared = False
        renew_in_children(self)

    def renew(self) -> None:
        """Take a new lock in a forked child, and see whether its position is the parent's too."""
        self._lock = threading.Lock()
        self._shared = _has_descriptor(self._stream)

    def __repr__(self) -> str:
        """Name the file object and its size."""
        return f"StreamSource({self._stream!r}, size={self.size})"

    def pread(self, offset: int, length: int) -> bytes:
        """
        Read *length* bytes at *offset*; see `ByteSource.pread`.

        Raises:
            ClosedError: This source or the file object was closed.
            SourceChangedError: The file object has become shorter.
            UnknownFormatError: It gives something else than the bytes that were asked for.
            UnsupportedError: It is a file that this process shares with the one it was forked from.
            Exception: Whatever the file object itself raises.
        """
        check_range(offset, length)
        length = min(length, self.size - offset)
        with self._lock:
            stream = self._stream
            if stream is None:
                raise ClosedError("the source was closed")
            if getattr(stream, "closed", False):
                raise ClosedError("the file object was closed by its owner")
            if self._shared:
                # Either process would move the position between a seek and a read of the other.
                raise UnsupportedError(
                    "the file object has one position in this process and in the one it was "
                    "forked from",
                    hint="Open the image by its path, or open it anew in each process",
                )
            if length <= 0:
                return b""
            stream.seek(offset)
            data = _checked(stream.read(length), length)
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
        data = _checked(stream.read(length - got), length - got)
        parts.append(data)
        got += len(data)
    return b"".join(parts)


def _checked(data: object, length: int) -> bytes:
    """
    Give what a file object gave, if it can have come from a file.

    Raises:
        UnknownFormatError: It is no bytes, or more than were asked for.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise UnknownFormatError(
            "the file object gave no bytes; one that does not wait for its data cannot be read",
            actual=type(data).__name__,
        )
    data = bytes(data)
    if len(data) > length:
        raise UnknownFormatError(
            "the file object gave more bytes than were asked for",
            expected=length,
            actual=len(data),
        )
    return data


def _has_descriptor(stream: BinaryIO | None) -> bool:
    try:
        return stream is not None and stream.fileno() >= 0
    except (AttributeError, OSError, ValueError):
        # It is in memory, or closed, or something of the user's own.
        return False
