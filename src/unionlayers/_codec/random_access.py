"""
The plain bytes of a compressed blob at any offset.

A read goes to the page it lies in: a cached one, or one that is decoded from the nearest place
before it at which a parked decoder stands or a new one can begin.  Reading forwards so costs one
pass, and a read anywhere else half of the distance between two checkpoints on average.  Streams
that have no checkpoints, and can have none, go through a temporary file.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from unionlayers._bytes.source import ByteSource, SourceIdentity, check_range
from unionlayers._bytes.window import WindowSource
from unionlayers._codec.checkpoint import Checkpoint, CheckpointLog
from unionlayers._codec.decoder import Decoder
from unionlayers._codec.decoders import SPACING, new_decoder
from unionlayers._codec.intake import Intake
from unionlayers._codec.page_cache import PAGE_BYTES, PageCache
from unionlayers._codec.paging import next_page
from unionlayers._codec.spill import Spill
from unionlayers._foundation.limits import Limits
from unionlayers.errors import ClosedError

__all__ = ["RandomSource", "open_random"]

# Of what is passed over on the way to a page, so many pages before it are kept: as much as lies
# between two checkpoints, so that reading backwards decodes nothing twice.
_PAGES_BEFORE = SPACING // PAGE_BYTES
# A stream with a longer stretch than this that no checkpoint leads into is spilled: as much as
# is decoded in some 30 ms.  gzip has none, as it makes its checkpoints while it is read.
_LONGEST_STRETCH = {"zstd": 32 << 20, "xz": 2 << 20, "bzip2": 1 << 20}


class Pages(Protocol):
    """Where the pages of one stream come from."""

    def load(self, number: int) -> bytes:
        """Give the page *number*."""

    def close(self) -> None:
        """Let go of everything; twice is allowed."""


class RandomSource:
    """
    A `ByteSource` of the plain bytes of a compressed blob; see `open_random`.

    Attributes:
        size: Plain bytes.
        identity: None: these bytes are in no file.
    """

    __slots__ = ("_cache", "_closed", "_log", "_pages", "_stream", "identity", "size")

    identity: SourceIdentity | None
    size: int

    def __init__(
        self, pages: Pages, size: int, *, cache: PageCache, stream: int, log: CheckpointLog
    ) -> None:
        self.size = size
        self.identity = None
        self._pages = pages
        self._cache = cache
        self._stream = stream
        self._log = log
        self._closed = False

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Where decoding can begin, in order; reading adds to it where there were gaps."""
        return self._log.points()

    def pread(self, offset: int, length: int) -> bytes:
        """
        Read *length* plain bytes at *offset*; see `ByteSource.pread`.

        Raises:
            StreamError: The blob is damaged there.

        Cost:
            A slice if the page is cached; else decoding from the nearest checkpoint at most.
        """
        check_range(offset, length)
        if self._closed:
            raise ClosedError("the stream was closed")
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        number, start = divmod(offset, PAGE_BYTES)
        page = self._page(number)
        stop = end - number * PAGE_BYTES
        if stop <= PAGE_BYTES:
            return page[start:stop]
        parts = [page[start:]]
        while stop > PAGE_BYTES:
            number += 1
            stop -= PAGE_BYTES
            page = self._page(number)
            parts.append(page if stop >= PAGE_BYTES else page[:stop])
        return b"".join(parts)

    def close(self) -> None:
        """Forget all pages and decoders and remove the temporary file; the blob stays open."""
        self._closed = True
        self._cache.drop(self._stream)
        self._pages.close()

    def _page(self, number: int) -> bytes:
        page = self._cache.page(self._stream, number)
        if page is None:
            page = self._pages.load(number)
        return page


class DecodedPages:
    """
    Pages decoded from the nearest place at which a decoder stands or can begin.

    Threads that ask for places on the way of one that is decoding wait for it; all others decode
    at the same time.
    """

    __slots__ = (
        "_cache",
        "_codec",
        "_limits",
        "_log",
        "_size",
        "_source",
        "_stream",
        "_turn",
        "_under_way",
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
        log: CheckpointLog,
    ) -> None:
        self._source = source
        self._codec = codec
        self._size = size
        self._limits = limits
        self._cache = cache
        self._stream = stream
        self._log = log
        self._turn = threading.Condition()
        # Where the decoders began that are at work now.
        self._under_way: list[int] = []

    def load(self, number: int) -> bytes:
        """Give the page *number*."""
        start = number * PAGE_BYTES
        nearest = self._log.before(start)
        began: int | None = None
        try:
            with self._turn:
                while self._on_the_way(nearest.offset, start):
                    self._turn.wait()
                    page = self._cache.page(self._stream, number)
                    if page is not None:
                        return page
                decoder = self._cache.take_decoder(self._stream, nearest.offset, start)
                began = nearest.offset if decoder is None else decoder.offset
                self._under_way.append(began)
            if decoder is None:
                intake = Intake(self._source, nearest.bit_offset // 8)
                decoder = new_decoder(self._codec, intake, self._limits, self._log, nearest)
            page = self._decoded(decoder, number)
            self._cache.park_decoder(self._stream, decoder)
            return page
        finally:
            if began is not None:
                with self._turn:
                    self._under_way.remove(began)
                    self._turn.notify_all()

    def close(self) -> None:
        """Nothing is held here."""

    def _on_the_way(self, nearest: int, start: int) -> bool:
        """Tell whether a decoder is at work that will come closer to *start* than *nearest*."""
        return any(nearest <= began <= start for began in self._under_way)

    def _decoded(self, decoder: Decoder, number: int) -> bytes:
        """Go on with a decoder to the end of a page, and keep what it passes shortly before."""
        while True:
            current, inside = divmod(decoder.offset, PAGE_BYTES)
            page = next_page(decoder, self._size)
            if not inside and number - current < _PAGES_BEFORE:
                self._cache.add_page(self._stream, current, page)
            if current == number:
                return page


def open_random(
    source: ByteSource,
    codec: str,
    *,
    size: int,
    checkpoints: Sequence[Checkpoint] = (),
    pages: PageCache,
    limits: Limits,
    checkpoint_spacing: int | None = SPACING,
) -> ByteSource:
    """
    Give the plain bytes of *source* as a source of their own, safe from any number of threads.

    Nothing is read yet.  Closing it leaves *source* open.

    Args:
        source: The compressed blob, which a pass has read to its end without error.
        codec: One of `CODECS`.
        size: Plain bytes, as that pass found.
        checkpoints: Those of that pass, or of an earlier process.
        pages: The cache that all streams share.
        limits: ``window_bytes`` of it is held.
        checkpoint_spacing: Where checkpoints of gzip lie further apart, reading makes more, so
            that a pass need not have made any; None makes none.

    Raises:
        ValueError: *codec* is none of `CODECS`.
    """
    if codec == "identity":
        return WindowSource(source, 0, min(size, source.size))
    log = CheckpointLog(checkpoint_spacing, checkpoints)
    stream = pages.register()
    made: Pages
    if _needs_spill(codec, size, checkpoints):
        made = Spill(source, codec, size=size, limits=limits, cache=pages, stream=stream)
    else:
        made = DecodedPages(
            source, codec, size=size, limits=limits, cache=pages, stream=stream, log=log
        )
    return RandomSource(made, size, cache=pages, stream=stream, log=log)


def _needs_spill(codec: str, size: int, checkpoints: Sequence[Checkpoint]) -> bool:
    """Tell whether some reads would have to decode too much."""
    if codec not in _LONGEST_STRETCH:
        return False
    offsets = sorted([0, *(point.offset for point in checkpoints), size])
    longest = max(end - start for start, end in pairwise(offsets))
    return longest > _LONGEST_STRETCH[codec]
