"""A layer indexed entry by entry, in batches, and in batches by NumPy: one outcome each."""

from __future__ import annotations

import random
from importlib.util import find_spec
from typing import Any

from unionlayers._foundation.limits import Limits
from unionlayers._tar import index_file, vector_headers
from unionlayers._tar.batch_placer import BatchPlacer
from unionlayers._tar.index_builder import IndexBuilder
from unionlayers._tar.layout import StreamFacts, lay_out, picker
from unionlayers._tar.plain_headers import PlainHeaders, read_plain
from unionlayers._tar.reader import TarReader
from unionlayers.errors import UnionLayersError

__all__ = ["Outcome", "by_batch", "by_entry", "by_vectors", "outcomes", "same_by_all_ways"]

HAS_NUMPY = find_spec("numpy") is not None
NO_DIGEST = "sha256:" + "0" * 64

Outcome = tuple[Any, ...]


class Chunks:
    """Bytes that come in chunks of random length."""

    def __init__(self, data: bytes, dice: random.Random) -> None:
        self._data = data
        self._dice = dice
        self._chunk = b""
        self._at = 0
        self._base = 0

    @property
    def position(self) -> int:
        return self._base + self._at

    def at_hand(self) -> tuple[bytes, int]:
        if self._at == len(self._chunk):
            self._base += self._at
            length = self._dice.choice((1, 100, 511, 512, 513, 1024, 3000, 10_000, 1 << 19))
            self._chunk = self._data[self._base : self._base + length]
            self._at = 0
        return self._chunk, self._at

    def take(self, length: int, /) -> bytes:
        here = self.position
        part = self._data[here : here + length]
        self.skip(length)
        return part

    def skip(self, length: int, /) -> int:
        before = self.position
        while length and len(self.at_hand()[0]):
            step = min(length, len(self._chunk) - self._at)
            self._at += step
            length -= step
        return self.position - before


class ByOther(BatchPlacer):
    """Places batches whose headers are read in one way, however few they are."""

    def __init__(self, builder: IndexBuilder, read: Any) -> None:
        super().__init__(builder)
        self.read = read

    def _read(self, blocks: list[bytes]) -> PlainHeaders:
        plain: PlainHeaders = self.read(blocks) if blocks else read_plain(blocks)
        return plain


def _told(error: UnionLayersError) -> Outcome:
    return (type(error), str(error), *(getattr(error, name, None) for name in _FIELDS))


_FIELDS = ("path", "entry", "offset", "expected", "actual", "hint")


def _packed(builder: IndexBuilder, reader: TarReader, pick: Any) -> Outcome:
    facts = StreamFacts(
        codec="identity", blob_size=1, size=1, blob_digest=NO_DIGEST, diff_id=NO_DIGEST
    )
    index = lay_out(builder, facts, pick)
    return (
        b"".join(index_file.pack_index(index, builder.limits)),
        reader.globals,
        reader.global_count,
        reader.end_offset,
        reader.trailing_size,
        reader.trailing_nonzero,
    )


def by_entry(data: bytes, limits: Limits) -> Outcome:
    """Index a tar as if every entry were out of the ordinary."""
    try:
        builder = IndexBuilder(limits)
        reader = TarReader(Chunks(data, random.Random(1)), limits)
        for entry in reader:
            builder.add(entry)
        reader.drain()
        return _packed(builder, reader, picker)
    except UnionLayersError as error:
        return _told(error)


def by_batch(
    data: bytes, limits: Limits, dice: random.Random, read: Any = read_plain, pick: Any = picker
) -> Outcome:
    """Index a tar as a layer is indexed."""
    try:
        builder = IndexBuilder(limits)
        stream = Chunks(data, dice)
        reader = TarReader(stream, limits)
        placer = ByOther(builder, read)
        for batch in reader.batches(stream.at_hand):
            placer.place(batch)
        reader.drain()
        return _packed(builder, reader, pick)
    except UnionLayersError as error:
        return _told(error)


def by_vectors(data: bytes, limits: Limits, dice: random.Random) -> Outcome:
    """Index a tar by NumPy, which is there."""
    return by_batch(data, limits, dice, vector_headers.read_plain, vector_headers.picker)


def outcomes(data: bytes, limits: Limits, dice: random.Random) -> list[Outcome]:
    """Give the outcome of every way there is; the first one looks at one entry at a time."""
    found = [by_entry(data, limits), by_batch(data, limits, dice)]
    if HAS_NUMPY:  # the extra `fast`
        found.append(by_vectors(data, limits, dice))
    return found


def same_by_all_ways(data: bytes, limits: Limits, dice: random.Random) -> Outcome:
    """Be sure that all ways have one outcome, and give it."""
    first, *others = outcomes(data, limits, dice)
    for other in others:
        assert other[1:] == first[1:], (first[1:], other[1:])
        assert other[0] == first[0]
    return first
