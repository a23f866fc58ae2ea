"""
The compressed side of a decoder: bytes of a source in order, with a look ahead.

Members, frames and padding end anywhere, so decoders look at what comes, take what they used and
leave the rest.  Bytes are fetched once and in order; whoever must see every one of them, such as
a running digest, is told of each piece as it is fetched.
"""

from __future__ import annotations

from collections.abc import Callable

from unionlayers._bytes.source import ByteSource

__all__ = ["Intake"]

_FETCH = 128 * 1024
# After a jump little is read at first: headers of a tar are often followed by another jump.
_FETCH_AFTER_JUMP = 16 * 1024
# How far back `Intake.advance` can go at any time: an inflater holds 8 bytes in its bit buffer.
_BACK = 16


class Intake:
    """
    A place in *source* that moves forward.

    Args:
        source: The compressed blob.
        offset: Where to begin, in bytes.
        on_fetch: Is given every piece that is fetched, in order and without gaps.

    Attributes:
        ended: Whether the last byte of the source has been fetched.
    """

    __slots__ = (
        "_at",
        "_before",
        "_data",
        "_fetch_bytes",
        "_fetched",
        "_on_fetch",
        "_source",
        "_view",
        "ended",
    )

    def __init__(
        self,
        source: ByteSource,
        offset: int = 0,
        on_fetch: Callable[[bytes], None] | None = None,
    ) -> None:
        self._source = source
        self._on_fetch = on_fetch
        self._fetched = offset
        self._before = b""
        self._data = b""
        self._view = memoryview(b"")
        self._at = 0
        self._fetch_bytes = _FETCH
        self.ended = offset >= source.size

    def again(self, offset: int) -> Intake:
        """Give another one of the same source, at *offset*, of which nobody is told."""
        return Intake(self._source, offset)

    def look(self, offset: int, length: int) -> bytes:
        """Give bytes of the source at any offset, of which nobody is told."""
        return self._source.pread(offset, length)

    @property
    def position(self) -> int:
        """The offset in the source of the next byte to be taken."""
        return self._fetched - len(self._data) + self._at

    def some(self, most: int) -> memoryview:
        """Give the next bytes, 1 to *most* of them, without taking them; none at the end."""
        at = self._at
        if at == len(self._data):
            self._fetch(b"")
            at = self._at
        return self._view[at : at + most]

    def take(self, most: int) -> bytes:
        """Take the next bytes, 1 to *most* of them; none at the end."""
        at = self._at
        if at == len(self._data):
            self._fetch(b"")
            at = self._at
        end = min(at + most, len(self._data))
        self._at = end
        return self._data[at:end]

    def peek(self, wanted: int) -> bytes:
        """Give the next *wanted* bytes without taking them; fewer only at the end."""
        while len(self._data) - self._at < wanted and not self.ended:
            self._fetch(self._data[self._at :])
        return self._data[self._at : self._at + wanted]

    def advance(self, taken: int) -> None:
        """Take *taken* bytes of what `some` or `peek` gave; a negative number gives back."""
        at = self._at + taken
        if at < 0:
            self._hold(self._before[at:] + self._data)
            at = 0
        self._at = at

    def skip(self, wanted: int) -> bool:
        """
        Take *wanted* bytes unseen, and tell whether there were that many.

        They are fetched only if somebody must see them.
        """
        at_hand = len(self._data) - self._at
        if wanted <= at_hand:
            self._at += wanted
            return True
        if self._on_fetch is None:
            target = self.position + wanted
            self._fetched = min(target, self._source.size)
            self._hold(b"")
            self._before, self._at = b"", 0
            self._fetch_bytes = _FETCH_AFTER_JUMP
            self.ended = self._fetched >= self._source.size
            return target <= self._source.size
        left = wanted
        while left:
            piece = len(self.some(left))
            if not piece:
                return False
            self._at += piece
            left -= piece
        return True

    def _fetch(self, kept: bytes) -> None:
        data = b"" if self.ended else self._source.pread(self._fetched, self._fetch_bytes)
        self._fetch_bytes = min(self._fetch_bytes * 2, _FETCH)
        self._fetched += len(data)
        self.ended = self._fetched >= self._source.size
        if not data:
            return
        if self._on_fetch is not None:
            self._on_fetch(data)
        at = self._at
        used = self._data[max(0, at - _BACK) : at]
        self._before = used if len(used) == _BACK else (self._before + used)[-_BACK:]
        self._hold(kept + data if kept else data)
        self._at = 0

    def _hold(self, data: bytes) -> None:
        self._data = data
        self._view = memoryview(data)
