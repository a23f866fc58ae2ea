"""
Fuzz targets for random access: what is read at any offset is what one pass gives.

Checkpoints that are damaged, too, lead to an error or to bytes, and never to more than that.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from functools import cache

from unionlayers import Limits
from unionlayers._bytes.memory import MemorySource
from unionlayers._codec.checkpoint import Checkpoint
from unionlayers._codec.engines import zstd
from unionlayers._codec.forward import open_forward
from unionlayers._codec.page_cache import PAGE_BYTES, PageCache
from unionlayers._codec.random_access import RandomSource, open_random
from unionlayers.errors import LimitError, StreamError

__all__ = ["gzip_resume", "sound", "zstd_resume"]

LIMITS = Limits(layer_bytes=8 << 20, window_bytes=1 << 20)


def _places(data: bytes, size: int) -> Iterator[tuple[int, int]]:
    """Give some ranges within *size* that the bytes decide."""
    for at in range(0, min(len(data) - 3, 24), 4):
        place, length = struct.unpack_from("<HH", data, at)
        yield place * size >> 16, length * 8


def _read_anywhere(blob: bytes, codec: str, choice: bytes) -> None:
    """Hold what is read at any offset, and through checkpoints, against what one pass gives."""
    try:
        with open_forward(
            MemorySource(blob), codec, limits=LIMITS, checkpoint_spacing=PAGE_BYTES
        ) as stream:
            plain = stream.take(LIMITS.layer_bytes)
            stream.drain()
            points = stream.checkpoints
    except (StreamError, LimitError):
        plain, points = None, ()
    size = len(plain) if plain is not None else 4 * PAGE_BYTES
    for known in ((), points):
        source = open_random(
            MemorySource(blob),
            codec,
            size=size,
            checkpoints=known,
            pages=PageCache(max_bytes=PAGE_BYTES),
            limits=LIMITS,
            checkpoint_spacing=PAGE_BYTES,
        )
        try:
            for offset, length in _places(choice, size):
                found = source.pread(offset, length)
                assert plain is None or found == plain[offset : offset + length]
            if plain is not None:
                assert source.pread(0, size) == plain
        except (StreamError, LimitError):
            assert plain is None
        finally:
            source.close()


def _sample() -> bytes:
    """Give words and noise in turn, several pages of them."""
    chance = random.Random(8)
    words = [chance.randbytes(chance.randint(3, 12)) for _ in range(300)]
    parts = [b"".join(chance.choices(words, k=9_000)) + chance.randbytes(5_000) for _ in range(10)]
    return b"".join(parts)


def _entered(codec: str, blob: bytes, plain: bytes, choice: bytes) -> None:
    """Enter a sound stream through checkpoints that are damaged."""
    found = _checkpoints(codec, blob)
    number, bits, offset, at, value = struct.unpack("<BhhHB", choice[:8].ljust(8, b"\0"))
    assert found, "the sample is too small for checkpoints"
    point = found[number % len(found)]
    payload = bytearray(zstd.decompress(point.window))
    if choice[8:]:
        at %= len(payload)
        payload[at : at + len(choice) - 8] = choice[8:]
    else:
        payload[at % len(payload)] ^= value
    damaged = Checkpoint(
        max(0, point.bit_offset + bits),
        max(0, min(point.offset + offset, len(plain))),
        zstd.compress(bytes(payload), 1),
    )
    sound = damaged == Checkpoint(point.bit_offset, point.offset, damaged.window)
    sound = sound and bytes(payload) == zstd.decompress(point.window)
    source = open_random(
        MemorySource(blob),
        codec,
        size=len(plain),
        checkpoints=[damaged],
        pages=PageCache(max_bytes=PAGE_BYTES),
        limits=LIMITS,
    )
    try:
        # First of all a page behind the checkpoint: a decoder that is on its way would be taken.
        last = len(plain) - 1
        for place in (min(damaged.offset + PAGE_BYTES, last), damaged.offset, 0, last):
            found_here = source.pread(place, 100)
            assert not sound or found_here == plain[place : place + 100]
    except (StreamError, LimitError):
        assert not sound
    finally:
        source.close()


@cache
def sound(codec: str) -> tuple[bytes, bytes]:
    """Give a stream that takes checkpoints, and its plain bytes."""
    plain = _sample()
    if codec == "gzip":
        compressor = zlib.compressobj(6, wbits=31)
        return compressor.compress(plain) + compressor.flush(), plain
    parameter = zstd.CompressionParameter
    made = zstd.ZstdCompressor(options={parameter.compression_level: 3, parameter.window_log: 14})
    step = 3_000
    parts = [
        made.compress(plain[at : at + step], made.FLUSH_BLOCK) for at in range(0, len(plain), step)
    ]
    return b"".join([*parts, made.flush()]), plain


@cache
def _checkpoints(codec: str, blob: bytes) -> tuple[Checkpoint, ...]:
    source = open_random(
        MemorySource(blob),
        codec,
        size=len(sound(codec)[1]),
        pages=PageCache(),
        limits=LIMITS,
        checkpoint_spacing=PAGE_BYTES // 4,
    )
    assert isinstance(source, RandomSource)
    source.pread(0, source.size)
    points = tuple(point for point in source.checkpoints if point.window)
    source.close()
    return points


def gzip_resume(data: bytes) -> None:
    """A gzip stream, or a deflate stream made whole, or damaged checkpoints of a sound one."""
    kind, choice, rest = data[:1], data[1:9], data[9:]
    if kind == b"c":
        _entered("gzip", *sound("gzip"), data[1:])
    elif kind == b"d":
        # A fuzzer cannot guess a CRC: it is given where the stream has an end.
        head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
        decompressor = zlib.decompressobj(-15)
        try:
            plain = decompressor.decompress(rest, LIMITS.layer_bytes)
        except zlib.error:
            plain = b""
        used = rest[: len(rest) - len(decompressor.unused_data)]
        member = head + used + struct.pack("<II", zlib.crc32(plain), len(plain) & 0xFFFFFFFF)
        _read_anywhere(member * (1 + choice[0] % 3 if choice else 1), "gzip", choice)
    else:
        _read_anywhere(rest, "gzip", choice)


def zstd_resume(data: bytes) -> None:
    """A zstd stream, or damaged checkpoints of a sound one."""
    kind, choice, rest = data[:1], data[1:9], data[9:]
    if kind == b"c":
        _entered("zstd", *sound("zstd"), data[1:])
    else:
        _read_anywhere(rest * (1 + choice[0] % 3 if choice else 1), "zstd", choice)
