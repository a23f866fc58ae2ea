"""
One forward pass over a tar: from bytes to entries.

A container runtime reads layers with Go's archive/tar, so what is accepted, refused and shown
here is what that package accepts, refuses and shows; where this reader differs, it says so with
the case of ``semantics.md``.  Only headers are looked at.  The common entry, a header without
extensions, is handled in one loop; all others leave it for the methods below.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol
from zlib import adler32

from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._foundation.names import decode
from unionlayers._tar import sparse
from unionlayers._tar.entry import TarEntry
from unionlayers._tar.header import (
    BLOCK,
    HEADER_ONLY,
    checksum_holds,
    read_back,
    read_field,
    stored_sum,
)
from unionlayers._tar.number import decimal, nanoseconds
from unionlayers._tar.pax import read_records
from unionlayers.errors import TarError

__all__ = ["ByteStream", "TarReader", "read_entries"]

_ZEROS = bytes(BLOCK)
_GIGA = 1_000_000_000
_DRAIN = 256 * 1024
_REGULAR = ord("0")
_DIRECTORY = ord("5")
_OLD_SPARSE = ord("S")
_GLOBAL = ord("g")
_SPECIAL = frozenset(b"xgLK")
# What the loop itself can finish; NUL and S, and any type that has records, need more.
_PLAIN = frozenset(range(1, 256)) - _SPECIAL - {_OLD_SPARSE}


class ByteStream(Protocol):
    """What the reader needs of a stream: bytes in order, once."""

    @property
    def position(self) -> int:
        """The offset of the next byte."""

    def take(self, length: int, /) -> bytes:
        """Give the next *length* bytes; fewer only at the end."""

    def skip(self, length: int, /) -> int:
        """Pass over the next *length* bytes and tell how many there were."""


class TarReader:
    """
    The entries of a tar, in order; can be iterated once.

    The stream stands at the content of the entry that was given last, and up to *stored_size*
    bytes may be taken from it before the next entry is asked for; the rest is skipped.  It is
    neither drained nor closed here.

    Args:
        stream: Stands at the start of the tar.
        limits: ``header_bytes``, ``pax_records`` and ``sparse_entries`` of it are held.

    Attributes:
        globals: (offset, records) of the global headers, which change nothing (case J3); once
            they have more than ``header_bytes`` together, further ones are only counted.
        global_count: How many global headers there were.
        unread_size: What the header of the latest entry says of the size of content that its
            type cannot have (cases E11 and I8); 0 for other types.
        end_offset: Where the end of the archive was found, behind its zero blocks; None before.
        trailing_size: After `drain`: bytes behind the end (case J6).
        trailing_nonzero: After `drain`: whether one of them is not zero.

    Raises:
        TarError: While iterating: a header, an extension or a map is damaged, or the tar ends
            early; ``offset`` is that of the header, ``entry`` counts the entries before it.
        LimitError: While iterating: an extension is larger than the limits allow.

    Cost:
        About 3 µs an entry and 8 with an extended header, whatever its content is.
    """

    def __init__(self, stream: ByteStream, limits: Limits) -> None:
        self.globals: tuple[tuple[int, dict[bytes, bytes]], ...] = ()
        self.global_count = 0
        self.unread_size = 0
        self.end_offset: int | None = None
        self.trailing_size = 0
        self.trailing_nonzero = False
        self._stream = stream
        self._limits = limits
        self._global_room = limits.header_bytes
        self._start: int | None = None
        self._records: dict[bytes, bytes] | None = None
        self._long_name = b""
        self._long_link = b""
        self._header_offset = 0
        self._ordinal = 0
        self._pass = self._guarded()

    def __iter__(self) -> Iterator[TarEntry]:
        """Give the one iterator of this reader."""
        return self._pass

    def drain(self) -> None:
        """
        Read what follows the end of the archive, and set *trailing_size* and *trailing_nonzero*.

        Raises:
            ValueError: The end was not reached yet.
        """
        if self.end_offset is None:
            raise ValueError("the end of the archive is not reached yet")
        take = self._stream.take
        while rest := take(_DRAIN):
            self.trailing_size += len(rest)
            if not self.trailing_nonzero and rest.count(0) != len(rest):
                self.trailing_nonzero = True

    def _guarded(self) -> Iterator[TarEntry]:
        try:
            yield from self._entries()
        except TarError as error:
            if error.offset is None:
                error.offset = self._header_offset
            if error.entry is None:
                error.entry = self._ordinal
            raise

    def _entries(self) -> Iterator[TarEntry]:
        stream = self._stream
        take, skip = stream.take, stream.skip
        new = tuple.__new__
        back_before = b""
        linkname = uname = gname = prefix = b""
        devmajor = devminor = 0
        atime_ns: int | None = None
        ctime_ns: int | None = None
        offset = stream.position
        while True:
            self._header_offset = offset
            block = take(BLOCK)
            if (
                len(block) != BLOCK
                or not block.isascii()
                or adler32(block) & 0xFFFF != stored_sum(block[148:156])
            ) and not checksum_holds(block):
                if self._at_end(block):
                    return
                raise self._bad_header(block)
            flag = block[156]
            back = block[157:]
            if back != back_before:
                linkname, uname, gname, devmajor, devminor, prefix, atime, ctime, _ = read_back(
                    back
                )
                atime_ns = None if atime is None else atime * _GIGA
                ctime_ns = None if ctime is None else ctime * _GIGA
                back_before = back
            end = block.find(0, 0, 100)
            name = block[: end if end >= 0 else 100]
            if prefix:
                name = prefix + b"/" + name
            mode, uid, gid = _access(block[100:124])
            size = _size(block[124:136])
            mtime_ns = _mtime(block[136:148])
            body = offset + BLOCK
            if flag in HEADER_ONLY:
                self.unread_size = size
                size = stored = 0
            else:
                self.unread_size = 0
                stored = size
                if size < 0:
                    raise TarError("the size in a header is negative", actual=size)
            entry = new(
                TarEntry,
                (
                    self._ordinal, name, flag, mode, uid, gid, size, mtime_ns, linkname,
                    devmajor, devminor, offset, offset, body, stored, None, atime_ns, ctime_ns,
                    None, uname, gname,
                ),
            )  # fmt: skip
            if flag not in _PLAIN or self._start is not None:
                if flag in _SPECIAL:
                    offset = self._extension(entry)
                    continue
                entry = self._extended(entry, block)
                stored = entry.stored_size
                body = entry.data_offset
            yield entry
            self._ordinal += 1
            offset = body + stored
            if stored:
                offset += -stored % BLOCK
                skip(offset - stream.position)
                if stream.position < body + stored:
                    raise self._cut_body(entry)
