"""
The plain bytes of a compressed blob at any offset.

A read goes to the page it lies in: a cached one, or one that is decoded from the nearest place
before it at which a parked decoder stands or a new one can begin.  Reading forwards so costs one
pass, and a read anywhere else half of the distance between two checkpoints on average.  Streams
that have no checkpoints, and can have none, go through a temporary file; so does a zstd stream
once it has turned out to be one of these.
"""

from __future__ import annotations

import threading
import weakref
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
from unionlayers._foundation.forking import renew_in_children
from unionlayers._foundation.limits import Limits
from unionlayers.errors import ClosedError

__all__ = ["RandomSource", "open_random"]

# Of what is passed over on the way to a page, so many pages before it are kept: as much as mostly
# lies between two checkpoints of zstd, so that reading backwards decodes next to nothing twice.
_PAGES_BEFORE = (16 << 20) // PAGE_BYTES
# Waiting for another decoder only saves work: whoever waits longer than this, in seconds, goes on
# alone, since one that was interrupted may never say that it has ended.
_LONGEST_WAIT = 5.0
# A stream with a longer stretch than this that no checkpoint leads into is spilled: as much as
# is decoded in some 30 ms.  gzip and zstd make checkpoints while they are read; zstd cannot always.
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

    __slots__ = (
        "__weakref__",
        "_cache",
        "_closed",
        "_forgotten",
        "_log",
        "_pages",
        "_stream",
        "identity",
        "size",
    )

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
        # One that is dropped without being closed leaves nothing behind either.
        self._forgotten = weakref.finalize(self, _forget, cache, stream, pages)
        self._forgotten.atexit = False

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
        self._forgotten.detach()
        self._cache.drop(self._stream)
        self._pages.close()

    def _page(self, number: int) -> bytes:
        page = self._cache.page(self._stream, number)
        if page is None:
            page = self._pages.load(number)
        return page


def _forget(cache: PageCache, stream: int, pages: Pages) -> None:
    cache.abandon(stream)
    pages.close()


class _UnderWay:
    """A decoder at work, by where it began."""

    __slots__ = ("__weakref__", "began")

    def __init__(self) -> None:
        self.began: int | None = None


class DecodedPages:
    """
    Pages decoded from the nearest place at which a decoder stands or can begin.

    Threads that ask for places on the way of one that is decoding wait for it; all others decode
    at the same time.
    """

    __slots__ = (
        "__weakref__",
        "_cache",
        "_codec",
        "_guard",
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
        self._guard = threading.Lock()
        self._turn = threading.Condition(self._guard)
        # Held by those who decode: one that an interrupt takes away before it could say so is gone
        # from here with its frame.
        self._under_way: weakref.WeakSet[_UnderWay] = weakref.WeakSet()
        renew_in_children(self)

    def renew(self) -> None:
        """Take new locks in a forked child, where nobody else is at work."""
        self._guard = threading.Lock()
        self._turn = threading.Condition(self._guard)
        self._under_way = weakref.WeakSet()

    def load(self, number: int) -> bytes:
        """Give the page *number*."""
        start = number * PAGE_BYTES
        nearest = self._log.before(start)
        mine = _UnderWay()
        try:
            # The lock itself is entered: a Condition could be interrupted with the lock held.
            with self._guard:
                while awaited := self._on_the_way(nearest.offset, start):
                    waited = self._turn.wait(_LONGEST_WAIT)
                    page = self._cache.page(self._stream, number)
                    if page is not None:
                        return page
                    if not waited:
                        # Nobody else need wait for these.
                        self._under_way.difference_update(awaited)
                        break
                decoder = self._cache.take_decoder(self._stream, nearest.offset, start)
                mine.began = nearest.offset if decoder is None else decoder.offset
                self._under_way.add(mine)
            if decoder is None:
                intake = Intake(self._source, nearest.bit_offset // 8)
                decoder = new_decoder(self._codec, intake, self._limits, self._log, nearest)
            page = self._decoded(decoder, number)
            self._cache.park_decoder(self._stream, decoder)
            return page
        finally:
            if mine.began is not None:
                with self._guard:
                    self._under_way.discard(mine)
                    self._turn.notify_all()

    def close(self) -> None:
        """Nothing is held here."""

    def _on_the_way(self, nearest: int, start: int) -> list[_UnderWay]:
        """Give the decoders at work that will come closer to *start* than *nearest*."""
        return [
            one
            for one in self._under_way
            if one.began is not None and nearest <= one.began <= start
        ]

    def _decoded(self, decoder: Decoder, number: int) -> bytes:
        """Go on with a decoder to the end of a page, and keep what it passes shortly before."""
        while True:
            current, inside = divmod(decoder.offset, PAGE_BYTES)
            page = next_page(decoder, self._size)
            if not inside and number - current < _PAGES_BEFORE:
                self._cache.add_page(self._stream, current, page)
            if current == number:
                return page


class BarrenPages:
    """
    Pages decoded from checkpoints until the stream turns out to have none; then from a file.

    Args:
        decoded: What gives pages at first.
        spill: What gives them afterwards.
        log: Says which of them.
    """

    __slots__ = ("_decoded", "_log", "_spill")

    def __init__(self, decoded: DecodedPages, spill: Spill, log: CheckpointLog) -> None:
        self._decoded = decoded
        self._spill = spill
        self._log = log

    def load(self, number: int) -> bytes:
        """Give the page *number*."""
        return self._spill.load(number) if self._log.barren else self._decoded.load(number)

    def close(self) -> None:
        """Remove the temporary file, if there is one."""
        self._spill.close()


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
        checkpoint_spacing: Where checkpoints lie further apart, reading makes more, so that a
            pass need not have made any; those of zstd at four times the distance or more.  None
            makes none.

    Raises:
        ValueError: *codec* is none of `CODECS`.
    """
    if codec == "identity":
        return WindowSource(source, 0, min(size, source.size))
    log = CheckpointLog(checkpoint_spacing, checkpoints)
    stream = pages.register()
    spill = Spill(source, codec, size=size, limits=limits, cache=pages, stream=stream)
    decoded = DecodedPages(
        source, codec, size=size, limits=limits, cache=pages, stream=stream, log=log
    )
    made: Pages = decoded
    if _is_long(codec, size, checkpoints):
        makes = codec == "zstd" and checkpoint_spacing is not None
        made = BarrenPages(decoded, spill, log) if makes else spill
    return RandomSource(made, size, cache=pages, stream=stream, log=log)


def _is_long(codec: str, size: int, checkpoints: Sequence[Checkpoint]) -> bool:
    """Tell whether some reads have to decode too much unless there are more checkpoints."""
    if codec not in _LONGEST_STRETCH:
        return False
    offsets = sorted([0, *(point.offset for point in checkpoints), size])
    longest = max(end - start for start, end in pairwise(offsets))
    return longest > _LONGEST_STRETCH[codec]
