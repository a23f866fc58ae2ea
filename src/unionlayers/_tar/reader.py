"""
One forward pass over a tar: from bytes to entries.

A container runtime reads layers with Go's archive/tar, so what is accepted, refused and shown
here is what that package accepts, refuses and shows; where this reader differs, it says so with
the case of ``semantics.md``.  Only headers are looked at.  One loop finishes the common entry, a
header without extensions; all others leave it for the methods below.

What differs from Go: a NUL in the true name of a sparse file is refused here, where there every
runtime fails on it later (G6); a sparse map that does not fit the stored data is refused when it
is met, not when the content is read (J4); and `Limits` hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Protocol
from zlib import adler32

from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._foundation.names import decode
from unionlayers._tar.entry import TarEntry
from unionlayers._tar.extensions import Extensions
from unionlayers._tar.header import (
    BLOCK,
    HEADER_ONLY,
    checksum_holds,
    read_back,
    read_field,
    stored_sum,
)
from unionlayers._tar.header_batch import HeaderBatch
from unionlayers._tar.held_blocks import HeldBlocks
from unionlayers._tar.pax import read_records
from unionlayers._tar.plain_headers import DIRECTORY, REGULAR
from unionlayers.errors import TarError, UnionLayersError

__all__ = ["AtHand", "ByteStream", "TarReader", "read_entries"]

_ZEROS = bytes(BLOCK)
_GIGA = 1_000_000_000
_DRAIN = 256 * 1024
_OLD_SPARSE = ord("S")
_GLOBAL = ord("g")
_SPECIAL = frozenset(b"xgLK")
_OCTAL = b"01234567"
_ORDINARY = frozenset((REGULAR, DIRECTORY))
_FIELD_ENDS = frozenset(b"\0 ")
# What the loop itself can finish: not NUL, whose meaning depends on the name, nor what has a map.
_PLAIN = frozenset(range(1, 256)) - _SPECIAL - {_OLD_SPARSE}


class ByteStream(Protocol):
    """What the reader needs of a stream: its bytes in order, once."""

    @property
    def position(self) -> int:
        """The offset of the next byte."""

    def take(self, length: int, /) -> bytes:
        """Give the next *length* bytes; fewer only at the end."""

    def skip(self, length: int, /) -> int:
        """Pass over the next *length* bytes and tell how many there were."""


AtHand = Callable[[], tuple[bytes, int]]
"""Gives a chunk of a stream, not empty before its end, and where in it the next byte stands."""


def _nothing() -> tuple[bytes, int]:
    return b"", 0


@lru_cache(1024)
def _access(raw: bytes) -> tuple[int, int, int]:
    """Read mode, uid and gid, which hardly vary."""
    return read_field("mode", raw[:8]), read_field("uid", raw[8:16]), read_field("gid", raw[16:])


@lru_cache(8192)
def _size(raw: bytes) -> int:
    return read_field("size", raw)


@lru_cache(8192)
def _mtime(raw: bytes) -> int:
    return read_field("mtime", raw) * _GIGA


_back = lru_cache(512)(read_back)


class TarReader:
    """
    The entries of a tar, in order; can be iterated once.

    After an entry was given the stream stands at its content, of which up to *stored_size* bytes
    may be taken before the next entry is asked for; the rest is skipped.  The stream is neither
    drained nor closed here.

    Args:
        stream: Stands at the start of the tar.
        limits: ``header_bytes``, ``pax_records`` and ``sparse_entries`` of it are held.

    Attributes:
        globals: (offset, records) of the global headers, which change nothing (case J3); once
            they take more than ``header_bytes`` together, further ones are only counted.
        global_count: How many global headers there were.
        declared_size: The size that the headers of the latest entry give, also where its type
            cannot have content (cases E11 and I8).
        end_offset: Where the archive ends, behind its zero blocks; None until that is reached.
        trailing_size: After `drain`: bytes behind the end (case J6).
        trailing_nonzero: After `drain`: whether one of them is not zero.

    Raises:
        TarError: While iterating: a header, an extension or a map is damaged, or the tar ends
            early; ``offset`` is that of the header, ``entry`` counts the entries before it.
        LimitError: While iterating: an extension is larger than the limits allow.

    Cost:
        A few microseconds an entry, whatever its content is.
    """

    def __init__(self, stream: ByteStream, limits: Limits) -> None:
        self.globals: tuple[tuple[int, dict[bytes, bytes]], ...] = ()
        self.global_count = 0
        self.declared_size = 0
        self.end_offset: int | None = None
        self.trailing_size = 0
        self.trailing_nonzero = False
        self._stream = stream
        self._limits = limits
        self._global_room = limits.header_bytes
        self._extensions = Extensions()
        # Where an error is, and whether the entry before may have content that it must not have.
        self._offset = stream.position
        self._ordinal = 0
        self._bodiless = False
        self._batch: HeaderBatch | None = None
        self._at_hand: AtHand = _nothing
        self._pass = self._entries()

    def __iter__(self) -> Iterator[TarEntry]:
        """Give the one iterator of this reader."""
        return self._pass

    def batches(self, at_hand: AtHand) -> Iterator[HeaderBatch]:
        """
        Give the same entries many at once, most of them as headers that nobody has looked at.

        What is wrong with such a header is raised by who looks at it; what is wrong further on is
        raised here, but not before all entries in front of it were given.

        Args:
            at_hand: Gives a chunk of the stream, and where in it the next byte stands.

        Raises:
            TarError: As while iterating.
            LimitError: As while iterating.
        """
        self._at_hand = at_hand
        batch = self._batch = HeaderBatch(0, self._again)
        failure: UnionLayersError | None = None
        try:
            for entry in self._pass:
                batch.add_other(entry, self.declared_size if self._bodiless else 0)
                if batch.full:
                    yield batch
                    batch = self._batch = HeaderBatch(entry.ordinal + 1, self._again)
        except UnionLayersError as error:
            failure = error
        yield batch
        if failure is not None:
            raise failure

    def drain(self) -> None:
        """
        Read what follows the end of the archive, and set *trailing_size* and *trailing_nonzero*.

        Raises:
            ValueError: The end was not reached yet.
        """
        if self.end_offset is None:
            raise ValueError("the entries were not read to the end")
        take = self._stream.take
        while rest := take(_DRAIN):
            self.trailing_size += len(rest)
            if not self.trailing_nonzero and rest.count(0) != len(rest):
                self.trailing_nonzero = True

    def _entries(self) -> Iterator[TarEntry]:
        try:
            yield from self._headers()
        except TarError as error:
            if error.offset is None:
                error.offset = self._offset
            if error.entry is None:
                error.entry = self._ordinal
            raise

    def _headers(self) -> Iterator[TarEntry]:
        stream = self._stream
        extensions = self._extensions
        take, skip = stream.take, stream.skip
        new = tuple.__new__
        known = b""
        linkname = uname = gname = prefix = b""
        devmajor = devminor = 0
        atime_ns: int | None = None
        ctime_ns: int | None = None
        offset = self._offset
        while True:
            if self._batch is not None and extensions.start is None:
                offset = self._gather(self._batch, offset)
            self._offset = offset
            block = take(BLOCK)
            if (
                len(block) != BLOCK
                or not block.isascii()
                or adler32(block) & 0xFFFF != stored_sum(block[148:156])
            ) and not checksum_holds(block):
                self._end(block)
                return
            flag = block[156]
            mode, uid, gid = _access(block[100:124])
            mtime_ns = _mtime(block[136:148])
            self.declared_size = size = _size(block[124:136])
            back = block[157:]
            if back != known:
                known = back
                linkname, uname, gname, devmajor, devminor, prefix, atime, ctime, _ = _back(back)
                atime_ns = None if atime is None else atime * _GIGA
                ctime_ns = None if ctime is None else ctime * _GIGA
            if flag in _SPECIAL:
                offset = self._extension(flag, size)
                continue
            end = block.find(0, 0, 100)
            name = block[: end if end >= 0 else 100]
            if prefix:
                name = prefix + b"/" + name
            if flag in HEADER_ONLY:
                self._bodiless = size > 0
                size = 0
            else:
                self._bodiless = False
                if size < 0:
                    raise TarError("the size in a header is negative", actual=size, case="J10")
            body = offset + BLOCK
            entry = new(
                TarEntry,
                (
                    self._ordinal, name, flag, mode, uid, gid, size, mtime_ns, linkname,
                    devmajor, devminor, offset, offset, body, size, None, atime_ns, ctime_ns,
                    None, uname, gname,
                ),
            )  # fmt: skip
            if flag not in _PLAIN or extensions.start is not None:
                entry, declared = extensions.applied(
                    entry, self.declared_size, block, take, self._limits
                )
                self.declared_size = declared
                self._bodiless = declared > 0 and entry.typeflag in HEADER_ONLY
                size = entry.stored_size
                body = entry.data_offset
            yield entry
            self._ordinal += 1
            if size:
                offset = body + size + -size % BLOCK
                skip(offset - stream.position)
                if stream.position < body + size:
                    raise self._cut_off(entry)
            else:
                offset = body

    def _gather(self, batch: HeaderBatch, offset: int) -> int:
        """Take the plain headers that come next as they are; give the offset after their bodies."""
        stream = self._stream
        add, add_offset, add_size = batch.blocks.append, batch.offsets.append, batch.sizes.append
        while not batch.full:
            chunk, at = self._at_hand()
            last = len(chunk) - BLOCK
            base = offset - at
            begun = at
            count = len(batch.blocks)
            while at <= last:
                flag = chunk[at + 156]
                digits = chunk[at + 124 : at + 135]
                if (
                    flag not in _ORDINARY
                    or digits.strip(_OCTAL)
                    or chunk[at + 135] not in _FIELD_ENDS
                ):
                    break
                size = int(digits, 8)
                if size and flag == DIRECTORY:
                    break
                add(chunk[at : at + BLOCK])
                add_offset(base + at)
                add_size(size)
                at += BLOCK + (size + 511 & -BLOCK)
            if at == begun:
                break
            self._ordinal += len(batch.blocks) - count
            self._bodiless = False
            stream.skip(at - begun)
            offset = base + at
            self._offset = batch.offsets[-1]
            if stream.position < self._offset + BLOCK + batch.sizes[-1]:
                raise self._cut_off(
                    self._again(batch.blocks[-1], self._offset, self._ordinal - 1, 0)
                )
        return offset

    def _again(self, block: bytes, offset: int, ordinal: int, before: int) -> TarEntry:
        """Read one header without extensions by itself; see `ReadAgain`."""
        reader = TarReader(HeldBlocks(block), self._limits)
        reader.declared_size, reader._bodiless = before, before > 0
        try:
            entry = next(reader._pass)
        except TarError as error:
            error.offset = offset
            error.entry = ordinal
            raise
        return entry._replace(
            ordinal=ordinal,
            header_offset=offset,
            start_offset=offset,
            data_offset=offset + BLOCK,
        )

    def _end(self, block: bytes) -> None:
        """Settle what a block is that is no header: the end of the archive, or the error."""
        if block == _ZEROS:
            self._offset += BLOCK
            block = self._stream.take(BLOCK)
            if len(block) == BLOCK and block != _ZEROS:
                raise TarError("something follows a single zero block", case="J5")
        if block and len(block) < BLOCK:
            raise TarError(
                "the archive ends inside a header", expected=BLOCK, actual=len(block), case="J8"
            )
        if block and block != _ZEROS:
            raise TarError(
                "not a tar header: its checksum is wrong",
                hint=(
                    f"The entry before has a size of {self.declared_size}, yet its type has no "
                    "content; a writer that stores content there makes a tar that no container "
                    "runtime reads"
                    if self._bodiless
                    else None
                ),
                case="J7",
            )
        self.end_offset = self._stream.position

    def _extension(self, flag: int, size: int) -> int:
        """Take a header that says something of the entry that follows; give the offset after."""
        limits = self._limits
        offset = self._offset
        self._bodiless = False
        if size < 0:
            raise TarError("the size of an extended header is negative", actual=size, case="J10")
        if size > limits.header_bytes:
            exceeded("header_bytes", limits.header_bytes, size, offset=offset)
        padded = size + -size % BLOCK
        body = self._stream.take(padded)
        if len(body) < size:
            raise TarError(
                "the archive ends inside an extended header",
                expected=size,
                actual=len(body),
                case="J8",
            )
        body = body[:size]
        if flag == _GLOBAL:
            # Go's reader hands it out like an entry, so that what came before it is lost.
            self._extensions.forget()
            self._global(offset, read_records(body, limits), size)
        else:
            self._extensions.take_in(flag, body, offset, limits)
        return offset + BLOCK + padded

    def _global(self, offset: int, records: dict[bytes, bytes], size: int) -> None:
        self.global_count += 1
        self._global_room -= BLOCK + size
        if self._global_room >= 0:
            self.globals = (*self.globals, (offset, records))

    def _cut_off(self, entry: TarEntry) -> TarError:
        return TarError(
            "the archive ends inside the content of an entry",
            path=decode(entry.name),
            entry=entry.ordinal,
            expected=entry.stored_size,
            actual=self._stream.position - entry.data_offset,
            case="J8",
        )


def read_entries(stream: ByteStream, limits: Limits) -> Iterator[TarEntry]:
    """
    Give the entries of a tar in order; `TarReader` says everything else.

    Raises:
        TarError: A header, an extension or a map is damaged, or the tar ends early.
        LimitError: An extension is larger than the limits allow.
    """
    return iter(TarReader(stream, limits))
