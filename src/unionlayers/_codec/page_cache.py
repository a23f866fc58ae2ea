"""
What random access remembers: pages of plain bytes, and decoders that can go on where they are.

One cache serves every stream of a process, whichever image it belongs to, so that its bound holds
for all of them together.  A page answers reads near an earlier one; a parked decoder makes reading
forwards cost one pass.  A decoder is taken out of the cache while it is used: two threads never
share one, and nothing is decoded under the lock of the cache.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import OrderedDict, deque

from unionlayers._codec.decoder import Decoder
from unionlayers._foundation.forking import renew_in_children

__all__ = ["PAGE_BYTES", "PageCache", "shared_pages"]

PAGE_BYTES = 256 * 1024
"""Bytes of one page; the last page of a stream may be shorter."""

_DECODERS = 16


class PageCache:
    """
    A bounded memory of pages and parked decoders, the least recently used of which go first.

    Safe from any number of threads.

    Args:
        max_bytes: Bound on all pages together, and half of it on all decoders together; one of
            these is kept in any case.
        max_decoders: Bound on the number of decoders.
    """

    __slots__ = (
        "__weakref__",
        "_abandoned",
        "_decoder_bytes",
        "_decoders",
        "_lock",
        "_numbers",
        "_page_bytes",
        "_pages",
        "_streams",
        "max_bytes",
        "max_decoders",
    )

    def __init__(self, max_bytes: int = 64 << 20, max_decoders: int = _DECODERS) -> None:
        self.max_bytes = max_bytes
        self.max_decoders = max_decoders
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._streams: set[int] = set()
        self._pages: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._page_bytes = 0
        # From the least to the most recently used, with the stream each belongs to and its weight.
        self._decoders: list[tuple[int, Decoder, int]] = []
        self._decoder_bytes = 0
        self._abandoned: deque[int] = deque()
        renew_in_children(self)

    def renew(self) -> None:
        """Take a new lock in a forked child, and count anew: another thread may have been at it."""
        self._lock = threading.Lock()
        self._page_bytes = sum(map(len, self._pages.values()))
        self._decoder_bytes = sum(weight for _, _, weight in self._decoders)

    @property
    def held_bytes(self) -> int:
        """How many bytes all pages and decoders take up now."""
        with self._lock:
            return self._page_bytes + self._decoder_bytes

    def register(self) -> int:
        """Give a number for a new stream."""
        with self._lock:
            self._sweep()
            stream = next(self._numbers)
            self._streams.add(stream)
            return stream

    def drop(self, stream: int) -> None:
        """Forget a stream and all that is kept of it; twice is allowed."""
        with self._lock:
            self._drop(stream)

    def abandon(self, stream: int) -> None:
        """Drop a stream with the next use of the cache; takes no lock, as finalizers must not."""
        self._abandoned.append(stream)

    def page(self, stream: int, number: int) -> bytes | None:
        """Give a page, if it is here."""
        key = (stream, number)
        with self._lock:
            page = self._pages.get(key)
            if page is not None:
                self._pages.move_to_end(key)
            return page

    def add_page(self, stream: int, number: int, page: bytes) -> None:
        """Keep a page, unless the stream was dropped."""
        key = (stream, number)
        with self._lock:
            self._sweep()
            if stream not in self._streams or key in self._pages:
                return
            self._pages[key] = page
            self._page_bytes += len(page)
            while self._page_bytes > self.max_bytes:
                self._page_bytes -= len(self._pages.popitem(last=False)[1])

    def take_decoder(self, stream: int, first: int, last: int) -> Decoder | None:
        """Take out the decoder of a stream that stands furthest on between two offsets."""
        with self._lock:
            best = None
            for item in self._decoders:
                if item[0] == stream and first <= item[1].offset <= last:
                    first = item[1].offset
                    best = item
            if best is None:
                return None
            self._forget(best)
            return best[1]

    def park_decoder(self, stream: int, decoder: Decoder) -> None:
        """Put a decoder in, or back in, unless the stream was dropped; do not use it again."""
        with self._lock:
            self._sweep()
            if stream not in self._streams:
                return
            self._decoders.append((stream, decoder, decoder.weight))
            self._decoder_bytes += decoder.weight
            while len(self._decoders) > 1 and (
                len(self._decoders) > self.max_decoders or self._decoder_bytes > self.max_bytes // 2
            ):
                self._forget(self._decoders[0])

    def _sweep(self) -> None:
        while self._abandoned:
            self._drop(self._abandoned.popleft())

    def _drop(self, stream: int) -> None:
        self._streams.discard(stream)
        for key in [key for key in self._pages if key[0] == stream]:
            self._page_bytes -= len(self._pages.pop(key))
        for item in [item for item in self._decoders if item[0] == stream]:
            self._forget(item)

    def _forget(self, item: tuple[int, Decoder, int]) -> None:
        self._decoders.remove(item)
        self._decoder_bytes -= item[2]


_shared: dict[int, PageCache] = {}


def shared_pages() -> PageCache:
    """Give the one cache of this process; a child that was forked off has its own."""
    process = os.getpid()
    # Another thread of the parent may have held the lock of its cache when the child was made.
    return _shared.get(process) or _shared.setdefault(process, PageCache())
