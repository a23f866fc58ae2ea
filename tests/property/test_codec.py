"""Whatever wrote a stream, a pass and random access give its bytes; damage gives an error."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import shutil
import subprocess
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unionlayers._bytes.memory import MemorySource
from unionlayers._codec.checkpoint import Checkpoint, CheckpointLog
from unionlayers._codec.decoders import new_decoder
from unionlayers._codec.engines import zstd
from unionlayers._codec.forward import open_forward
from unionlayers._codec.intake import Intake
from unionlayers._codec.page_cache import PageCache
from unionlayers._codec.random_access import RandomSource, open_random
from unionlayers._codec.sniff import sniff
from unionlayers._foundation.limits import Limits
from unionlayers.errors import UnionLayersError

LIMITS = Limits()
# Each example reads megabytes in many ways, some after a program has written them.
LONG = settings(max_examples=1000 if os.environ.get("UNIONLAYERS_CAMPAIGN") else 30)


class Plain(bytes):
    """Bytes that hypothesis tells by their number: it warns of a repr of megabytes."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes: {self[:16].hex(' ')}>"


@st.composite
def plain_bytes(draw: st.DrawFn, largest: int = 600_000) -> bytes:
    """Give words, noise and runs in turn, as layers hold text, packed files and padding."""
    chance = random.Random(draw(st.integers(0, 1 << 32)))
    words = [chance.randbytes(chance.randint(1, 12)) for _ in range(chance.choice([2, 40, 900]))]
    parts: list[bytes] = []
    for kind in draw(st.lists(st.sampled_from(["words", "noise", "run"]), max_size=6)):
        size = chance.randrange(1, largest // 4)
        match kind:
            case "words":
                parts.append(b"".join(chance.choices(words, k=size // 6)))
            case "noise":
                parts.append(chance.randbytes(size))
            case "run":
                parts.append(chance.randbytes(chance.randint(1, 3)) * (size // 2))
    return Plain(b"".join(parts))


def commands(*lines: str) -> st.SearchStrategy[Callable[[bytes], bytes]]:
    """Compress by those tools of the command line that are installed."""

    def compressing(arguments: list[str]) -> Callable[[bytes], bytes]:
        def compress(data: bytes) -> bytes:
            return subprocess.run(arguments, input=data, capture_output=True, check=True).stdout

        return compress

    present = [line.split() for line in lines if shutil.which(line.split()[0])]
    return st.sampled_from([compressing(line) for line in present or [["cat"]]])


def by_zlib(level: int, strategy: int, memory: int, flush: int) -> Callable[[bytes], bytes]:
    def compress(data: bytes) -> bytes:
        compressor = zlib.compressobj(level, zlib.DEFLATED, 31, memory, strategy)
        parts = []
        for at in range(0, len(data), 90_000):
            parts += [compressor.compress(data[at : at + 90_000]), compressor.flush(flush)]
        return b"".join([*parts, compressor.flush()])

    return compress


def by_isal(level: int) -> Callable[[bytes], bytes]:
    def compress(data: bytes) -> bytes:
        library = pytest.importorskip("isal.igzip")
        return bytes(library.compress(data, compresslevel=level))

    return compress


def by_zstd(
    level: int, window: int, checksum: int, known_size: int, flush: bool, piece: int
) -> Callable[[bytes], bytes]:
    def compress(data: bytes) -> bytes:
        parameter = zstd.CompressionParameter
        options: dict[int, int] = {
            parameter.compression_level: level,
            parameter.window_log: window,
            parameter.checksum_flag: checksum,
            parameter.content_size_flag: known_size,
        }
        compressor = zstd.ZstdCompressor(options=options)
        parts = []
        # Short blocks too: only they reach far back before themselves in a small window.
        for at in range(0, len(data), piece):
            parts.append(compressor.compress(data[at : at + piece]))
            if flush:
                parts.append(compressor.flush(compressor.FLUSH_BLOCK))
        return b"".join([*parts, compressor.flush()])

    return compress


GZIP = st.one_of(
    st.builds(
        by_zlib,
        st.integers(0, 9),
        st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_RLE, zlib.Z_HUFFMAN_ONLY]),
        st.sampled_from([1, 8, 9]),
        st.sampled_from([zlib.Z_NO_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_BLOCK]),
    ),
    st.builds(by_isal, st.integers(0, 3)),
)
GZIP_TOOLS = commands("gzip -c", "pigz -c", "pigz -c -b 128 -p 2 -9", "gzip -c -1")
ZSTD = st.builds(
    by_zstd,
    st.sampled_from([-5, 1, 3, 9, 13, 19]),
    st.integers(10, 21),
    st.integers(0, 1),
    st.integers(0, 1),
    st.booleans(),
    st.sampled_from([3_000, 20_000, 90_000]),
)
ZSTD_TOOLS = commands(
    "zstd -c -q",
    "zstd -c -q --long=20 -9",
    "zstd -c -q --long=24 -3",
    "zstd -c -q -T2 --no-check",
    "zstd -c -q --fast=5 --zstd=wlog=12",
    "zstd -c -q -1 --zstd=wlog=15",
    "zstd -c -q -19 --zstd=wlog=14",
    "pzstd -c -q -p 2",
)
OTHERS = st.sampled_from([bz2.compress, lzma.compress, lambda data: lzma.compress(data, preset=0)])


def holds(blob: bytes, plain: bytes, spacing: int | None, seed: int) -> None:
    """Assert that a pass and random reads give *plain*."""
    codec = sniff(blob[:16])
    chance = random.Random(seed)
    with open_forward(
        MemorySource(blob), codec, limits=LIMITS, checkpoint_spacing=spacing
    ) as stream:
        parts = []
        while part := stream.take(chance.choice([1, 512, 70_000, 1_000_000])):
            parts.append(part)
        stream.drain()
        assert b"".join(parts) == plain
    made: tuple[Checkpoint, ...] = ()
    for checkpoints in (stream.checkpoints, (), None):
        source = open_random(
            MemorySource(blob),
            codec,
            size=len(plain),
            # At last those that reading has made, which is what an index store keeps.
            checkpoints=made if checkpoints is None else checkpoints,
            pages=PageCache(max_bytes=chance.choice([1, 1 << 20]), max_decoders=2),
            limits=LIMITS,
            checkpoint_spacing=spacing,
        )
        for _ in range(12):
            offset = chance.randrange(len(plain) + 1)
            length = chance.choice([1, 512, 10_000, 300_000])
            assert source.pread(offset, length) == plain[offset : offset + length]
        assert isinstance(source, RandomSource)
        made = source.checkpoints
        source.close()
    verified(blob, codec, plain, made)


def verified(blob: bytes, codec: str, plain: bytes, made: tuple[Checkpoint, ...]) -> None:
    """Assert that every checkpoint gives all that follows it."""
    for point in made:
        decoder = new_decoder(
            codec,
            Intake(MemorySource(blob), point.bit_offset // 8),
            LIMITS,
            CheckpointLog(None),
            point,
        )
        parts = []
        while part := decoder.some(1 << 20):
            parts.append(part)
        assert b"".join(parts) == plain[point.offset :]


@given(st.lists(st.tuples(GZIP, plain_bytes()), min_size=1, max_size=3), st.integers(0, 1 << 30))
@LONG
def test_gzip_of_any_library(
    members: list[tuple[Callable[[bytes], bytes], bytes]], seed: int
) -> None:
    blob = b"".join(compress(data) for compress, data in members)
    spacing = random.Random(seed).choice([None, 20_000, 100_000])
    holds(blob, b"".join(data for _, data in members), spacing, seed)


@given(GZIP_TOOLS, plain_bytes(2_000_000), st.integers(0, 1 << 30))
@LONG
def test_gzip_of_any_tool(compress: Callable[[bytes], bytes], plain: bytes, seed: int) -> None:
    holds(compress(plain), plain, 100_000, seed)


@pytest.mark.skipif(not shutil.which("pigz"), reason="pigz is not installed")
def test_gzip_of_zopfli(seed: int) -> None:
    chance = random.Random(seed)
    words = [chance.randbytes(chance.randint(1, 9)) for _ in range(200)]
    plain = b"".join(chance.choices(words, k=60_000))
    blob = subprocess.run(["pigz", "-11"], input=plain, capture_output=True, check=True).stdout
    holds(blob, plain, 40_000, seed)


@given(st.lists(st.tuples(ZSTD, plain_bytes()), min_size=1, max_size=3), st.integers(0, 1 << 30))
@LONG
def test_zstd_of_any_settings(
    frames: list[tuple[Callable[[bytes], bytes], bytes]], seed: int
) -> None:
    chance = random.Random(seed)
    blob = b""
    for compress, data in frames:
        if chance.random() < 0.3:
            blob += b"\x53\x2a\x4d\x18\x05\0\0\0hello"
        blob += compress(data)
    spacing = chance.choice([None, 2_000, 20_000, 100_000])
    holds(blob, b"".join(data for _, data in frames), spacing, seed)


@given(ZSTD_TOOLS, plain_bytes(2_000_000), st.integers(0, 1 << 30))
@LONG
def test_zstd_of_any_tool(compress: Callable[[bytes], bytes], plain: bytes, seed: int) -> None:
    holds(compress(plain), plain, 30_000, seed)


@given(st.lists(st.tuples(OTHERS, plain_bytes(60_000)), min_size=1, max_size=1), st.integers(0, 99))
def test_xz_and_bzip2(members: list[tuple[Callable[[bytes], bytes], bytes]], seed: int) -> None:
    ((compress, data),) = members
    holds(compress(data) + compress(data), data + data, None, seed)


@given(
    st.sampled_from([gzip.compress, zstd.compress, lzma.compress, bz2.compress]),
    plain_bytes(200_000),
    st.integers(0, 1 << 30),
    st.sampled_from(["flipped", "cut", "zeroed", "doubled", "noise"]),
)
def test_damage_gives_an_error_of_ours_or_does_no_harm(
    compress: Callable[[bytes], bytes], plain: bytes, seed: int, kind: str
) -> None:
    chance = random.Random(seed)
    blob = bytearray(compress(plain))
    codec = sniff(bytes(blob[:16]))
    at = chance.randrange(len(blob))
    match kind:
        case "flipped":
            blob[at] ^= 1 << chance.randrange(8)
        case "cut":
            del blob[at:]
        case "zeroed":
            blob[at : at + 20] = bytes(len(blob[at : at + 20]))
        case "doubled":
            blob[at:at] = blob[at : at + 40]
        case "noise":
            blob[at : at + 9] = chance.randbytes(9)
    source = MemorySource(bytes(blob))
    with (
        suppress(UnionLayersError),
        open_forward(source, codec, limits=LIMITS, checkpoint_spacing=20_000) as stream,
    ):
        stream.take(1 << 30)
        stream.drain()
    opened = open_random(
        source,
        codec,
        size=len(plain),
        pages=PageCache(),
        limits=LIMITS,
        checkpoint_spacing=20_000,
    )
    with suppress(UnionLayersError):
        opened.pread(chance.randrange(len(plain) + 1), 1000)
    opened.close()


@given(GZIP, plain_bytes(), st.integers(0, 1 << 30))
def test_threads_that_make_checkpoints_together_read_the_same(
    compress: Callable[[bytes], bytes], plain: bytes, seed: int
) -> None:
    source = open_random(
        MemorySource(compress(plain)),
        "gzip",
        size=len(plain),
        pages=PageCache(max_bytes=300_000, max_decoders=3),
        limits=LIMITS,
        checkpoint_spacing=30_000,
    )

    def check(number: int) -> bool:
        chance = random.Random(seed + number)
        places = [chance.randrange(len(plain) + 1) for _ in range(6)]
        return all(source.pread(at, 5000) == plain[at : at + 5000] for at in places)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, range(8)))
    source.close()
