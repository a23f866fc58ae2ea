"""
The pages of a stream that cannot be entered in the middle, kept in a temporary file.

The stream is decoded once, as far as reads have asked for, and every page goes into the file as a
zstd frame of its own.  The file appears with the first read of data, has no name where the system
allows that, and is gone when the source is closed.

It is bounded by the plain size of the stream, which is known from the pass that indexed it.
"""

from __future__ import annotations

import tempfile
import threading
from array import array
from typing import IO

from unionlayers._bytes.source import ByteSource
from unionlayers._codec.checkpoint import CheckpointLog
from unionlayers._codec.decoder import Decoder
from unionlayers._codec.decoders import new_decoder
from unionlayers._codec.engines import zstd
from unionlayers._codec.intake import Intake
from unionlayers._codec.page_cache import PAGE_BYTES, PageCache
from unionlayers._codec.paging import next_page
from unionlayers._foundation.forking import renew_in_children
from unionlayers._foundation.limits import Limits
from unionlayers.errors import ClosedError, StreamError

__all__ = ["Spill"]

_LEVEL = 1


class Spill:
    """
    The pages of one stream in a temporary file.

    Args:
        source: The compressed blob.
        codec: One of `CODECS`.
        size: Plain bytes of the whole stream.
        limits: ``window_bytes`` of it is held.
        cache: Takes the pages that were loaded.
        stream: The number of the stream in *cache*.
    """

    __slots__ = (
        "__weakref__",
        "_cache",
        "_closed",
        "_codec",
        "_decoder",
        "_ends",
        "_file",
        "_limits",
        "_lock",
        "_size",
        "_source",
        "_stream",
    )

    def __init__(
        self,
        source: ByteSource,
        codec: str,
        *,
        size: int,
        limits: Limits,
        cache: PageCache,
        stream: int,
    ) -> None:
        self._cache = cache
        self._stream = stream
        self._source = source
        self._codec = codec
        self._size = size
        self._limits = limits
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._decoder: Decoder | None = None
        self._ends = array("Q", [0])
        self._closed = False
        renew_in_children(self)

    def renew(self) -> None:
        """Take a new lock in a forked child, and a new file: they would share one position."""
        self._lock = threading.Lock()
        self._discard()

    def load(self, number: int) -> bytes:
        """
        Give a page, after decoding up to it if that was not done before.

        Raises:
            StreamError: The stream is damaged, or shorter than it was.
            OSError: There is no room for the temporary file.

        Cost:
            About 0.2 ms once it is in the file; threads wait for each other.
        """
        with self._lock:
            if self._closed:
                raise ClosedError("the stream was closed")
            try:
                self._extend(number)
            except BaseException:
                # What there is may be cut in the middle: begin anew with the next read.
                self._discard()
                raise
            start, end = self._ends[number], self._ends[number + 1]
            packed = self._read(start, end - start)
        try:
            page = zstd.decompress(packed)
        except zstd.ZstdError as error:
            raise StreamError(f"the temporary file is damaged: {error}") from error
        self._cache.add_page(self._stream, number, page)
        return page

    def close(self) -> None:
        """Remove the temporary file; twice is allowed."""
        with self._lock:
            self._closed = True
            self._discard()

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            # A buffer would have a lock of its own, and a child that was forked while another
            # thread writes would wait for it for ever when it closes its copy.
            self._file = tempfile.TemporaryFile(  # noqa: SIM115 - kept open
                prefix="unionlayers-", buffering=0
            )
        return self._file

    def _read(self, start: int, length: int) -> bytes:
        file = self._opened()
        file.seek(start)
        found = bytearray()
        while len(found) < length and (data := file.read(length - len(found))):
            found += data
        return bytes(found)

    def _append(self, packed: bytes) -> None:
        file = self._opened()
        file.seek(self._ends[-1])
        rest = memoryview(packed)
        while rest:
            rest = rest[file.write(rest) :]
        self._ends.append(self._ends[-1] + len(packed))

    def _extend(self, number: int) -> None:
        """Decode on until the page is in the file."""
        if number + 1 < len(self._ends):
            return
        if self._decoder is None:
            intake = Intake(self._source)
            self._decoder = new_decoder(self._codec, intake, self._limits, CheckpointLog(None))
        while number + 1 >= len(self._ends):
            self._append(zstd.compress(next_page(self._decoder, self._size), _LEVEL))
        if (len(self._ends) - 1) * PAGE_BYTES >= self._size:
            self._decoder = None

    def _discard(self) -> None:
        self._decoder = None
        self._ends = array("Q", [0])
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
