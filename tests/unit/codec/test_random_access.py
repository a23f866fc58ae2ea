"""The plain bytes of a blob can be read at any offset, from any thread, in bounded memory."""

from __future__ import annotations

import bz2
import gc
import gzip
import lzma
import os
import random
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from unionlayers._bytes.memory import MemorySource
from unionlayers._bytes.source import ByteSource
from unionlayers._codec.checkpoint import Checkpoint
from unionlayers._codec.engines import zstd
from unionlayers._codec.forward import open_forward
from unionlayers._codec.page_cache import PAGE_BYTES, PageCache
from unionlayers._codec.random_access import RandomSource, open_random
from unionlayers._foundation.limits import Limits
from unionlayers.errors import ClosedError, StreamError

LIMITS = Limits()
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": lambda data: gzip.compress(data, 1),
    "zstd": zstd.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "bzip2": lambda data: bz2.compress(data, 1),
}


def sample(size: int) -> bytes:
    """Give text-like bytes, always the same."""
    chance = random.Random(5)
    words = [chance.randbytes(chance.randint(3, 12)) for _ in range(300)]
    return b"".join(chance.choices(words, k=size // 7))[:size]


PLAIN = sample(5_000_000)
BLOBS = {codec: compress(PLAIN) for codec, compress in COMPRESS.items()}


class CountingSource(MemorySource):
    """A source that counts the bytes read from it."""

    __slots__ = ("read",)

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.read = 0

    def pread(self, offset: int, length: int) -> bytes:
        data = super().pread(offset, length)
        self.read += len(data)
        return data


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    threads = threading.active_count()
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    yield
    assert threads == threading.active_count()
    if descriptors:
        assert descriptors == len(os.listdir("/proc/self/fd"))


def points(blob: bytes, codec: str, spacing: int | None) -> tuple[Checkpoint, ...]:
    with open_forward(
        MemorySource(blob), codec, limits=LIMITS, checkpoint_spacing=spacing
    ) as stream:
        stream.drain()
        return stream.checkpoints


def opened(codec: str, cache: PageCache | None = None, spacing: int | None = 500_000) -> ByteSource:
    blob = BLOBS[codec]
    return open_random(
        MemorySource(blob),
        codec,
        size=len(PLAIN),
        checkpoints=points(blob, codec, spacing),
        pages=cache or PageCache(),
        limits=LIMITS,
    )


@pytest.mark.parametrize("codec", COMPRESS)
class TestEveryCodec:
    @pytest.mark.parametrize(
        ("offset", "length"),
        [
            (0, 0),
            (0, 1),
            (PAGE_BYTES - 1, 1),
            (PAGE_BYTES - 1, 2),
            (PAGE_BYTES, PAGE_BYTES),
            (PAGE_BYTES - 5, 3 * PAGE_BYTES),
            (0, len(PLAIN)),
            (len(PLAIN) - 1, 1),
            (len(PLAIN) - 1, 100),
            (len(PLAIN), 1),
            (len(PLAIN) + 99, 1),
        ],
    )
    def test_pread_is_a_slice(self, codec: str, offset: int, length: int) -> None:
        source = opened(codec)
        assert source.pread(offset, length) == PLAIN[offset : offset + length]
        source.close()

    def test_random_reads_are_slices_also_with_next_to_no_cache(self, codec: str) -> None:
        chance = random.Random(6)
        source = opened(codec, PageCache(max_bytes=300_000, max_decoders=2))
        for _ in range(40):
            offset, length = chance.randrange(len(PLAIN)), chance.choice([1, 500, 9000, 400_000])
            assert source.pread(offset, length) == PLAIN[offset : offset + length]
        source.close()

    def test_eight_threads_read_the_same_bytes_as_one(self, codec: str) -> None:
        source = opened(codec, PageCache(max_bytes=1 << 20, max_decoders=4))

        def check(seed: int) -> bool:
            chance = random.Random(seed)
            for step in range(25):
                offset = chance.randrange(len(PLAIN)) if step % 2 else step * 100_000
                if source.pread(offset, 20_000) != PLAIN[offset : offset + 20_000]:
                    return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(check, range(8)))
        source.close()

    def test_a_closed_source_says_so_and_leaves_the_blob_open(self, codec: str) -> None:
        blob = MemorySource(BLOBS[codec])
        cache = PageCache()
        source = open_random(blob, codec, size=len(PLAIN), pages=cache, limits=LIMITS)
        source.pread(0, 10)
        source.close()
        source.close()
        with pytest.raises(ClosedError):
            source.pread(0, 10)
        assert blob.pread(0, 4) == BLOBS[codec][:4]
        assert cache.held_bytes == 0

    def test_negative_numbers_are_refused(self, codec: str) -> None:
        source = opened(codec)
        with pytest.raises(ValueError, match="cannot read"):
            source.pread(-1, 1)
        source.close()


@pytest.mark.parametrize("codec", ["gzip", "zstd", "xz", "bzip2"])
def test_damage_is_the_same_error_each_time_and_the_rest_stays_readable(codec: str) -> None:
    blob = BLOBS[codec][: len(BLOBS[codec]) * 3 // 4]
    source = open_random(
        MemorySource(blob), codec, size=len(PLAIN), pages=PageCache(), limits=LIMITS
    )
    for _ in range(2):
        with pytest.raises(StreamError):
            source.pread(len(PLAIN) - 10, 10)
        assert source.pread(1000, 1000) == PLAIN[1000:2000]
    source.close()


@pytest.mark.parametrize("codec", ["gzip", "zstd", "xz", "bzip2"])
def test_a_stream_shorter_than_its_index_says_is_an_error(codec: str) -> None:
    source = open_random(
        MemorySource(COMPRESS[codec](b"short")), codec, size=99, pages=PageCache(), limits=LIMITS
    )
    with pytest.raises(StreamError, match="shorter"):
        source.pread(0, 99)
    source.close()


class TestCost:
    @pytest.mark.parametrize("codec", ["gzip", "zstd", "xz", "bzip2"])
    @pytest.mark.parametrize("piece", [1000, 100_000, 700_000])
    def test_reading_forwards_reads_the_blob_once(self, codec: str, piece: int) -> None:
        blob = CountingSource(BLOBS[codec])
        source = open_random(blob, codec, size=len(PLAIN), pages=PageCache(), limits=LIMITS)
        read = b"".join(source.pread(at, piece) for at in range(0, len(PLAIN), piece))
        assert read == PLAIN
        assert blob.read <= len(BLOBS[codec])
        source.close()

    def test_a_read_starts_at_the_nearest_checkpoint(self) -> None:
        blob = CountingSource(BLOBS["gzip"])
        known = points(BLOBS["gzip"], "gzip", 500_000)
        assert len(known) >= 6
        source = open_random(
            blob, "gzip", size=len(PLAIN), checkpoints=known, pages=PageCache(), limits=LIMITS
        )
        source.pread(len(PLAIN) - 1000, 10)
        assert blob.read < len(BLOBS["gzip"]) // 3
        source.close()

    def test_reading_backwards_between_checkpoints_decodes_nothing_twice(self) -> None:
        blob = CountingSource(BLOBS["gzip"])
        source = open_random(
            blob, "gzip", size=len(PLAIN), pages=PageCache(), limits=LIMITS
        )  # fmt: skip
        end = 14 * PAGE_BYTES
        for offset in range(end - 1000, 0, -1000):
            assert source.pread(offset, 1000) == PLAIN[offset : offset + 1000]
        assert blob.read <= len(BLOBS["gzip"])
        source.close()

    def test_reading_makes_the_checkpoints_that_a_pass_left_out(self) -> None:
        blob = CountingSource(BLOBS["gzip"])
        source = open_random(
            blob,
            "gzip",
            size=len(PLAIN),
            pages=PageCache(max_bytes=1, max_decoders=1),
            limits=LIMITS,
            checkpoint_spacing=500_000,
        )
        assert isinstance(source, RandomSource)
        assert list(source.checkpoints) == []
        source.pread(len(PLAIN) - 10, 10)
        made = source.checkpoints
        assert len(made) >= 6
        blob.read = 0
        assert source.pread(len(PLAIN) - 800_000, 10) == PLAIN[-800_000 : -800_000 + 10]
        assert blob.read < len(BLOBS["gzip"]) // 3
        source.pread(0, len(PLAIN))
        assert source.checkpoints == made
        source.close()

    @pytest.mark.parametrize("codec", ["gzip", "zstd", "xz", "bzip2"])
    def test_memory_is_bounded_while_everything_is_read(self, codec: str) -> None:
        plain = bytes(1000) + sample(3000)
        plain = plain * (24 << 20 >> 12)
        blob = COMPRESS[codec](plain)
        cache = PageCache(max_bytes=2 << 20, max_decoders=2)
        source = open_random(MemorySource(blob), codec, size=len(plain), pages=cache, limits=LIMITS)
        tracemalloc.start()
        try:
            for offset in range(0, len(plain), 50_000):
                assert source.pread(offset, 100) == plain[offset : offset + 100]
                assert cache.held_bytes <= (2 << 20) + (17 << 20)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 6 << 20
        source.close()


def test_a_source_that_is_dropped_without_being_closed_leaves_nothing_behind() -> None:
    cache = PageCache()
    for codec in ("gzip", "zstd", "xz", "bzip2"):
        source = opened(codec, cache)
        source.pread(len(PLAIN) - 10, 10)
        assert cache.held_bytes
        del source
        gc.collect()
        cache.drop(cache.register())
        assert cache.held_bytes == 0


class TestSpill:
    @pytest.mark.parametrize("codec", ["xz", "bzip2"])
    def test_the_file_appears_with_the_first_read_and_goes_with_close(
        self, codec: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made: list[object] = []
        real = tempfile.TemporaryFile

        def counting(*, prefix: str, buffering: int) -> object:
            made.append(real(prefix=prefix, buffering=buffering))
            return made[-1]

        monkeypatch.setattr(tempfile, "TemporaryFile", counting)
        source = opened(codec)
        assert not made
        source.pread(0, 10)
        assert source.pread(len(PLAIN) - 10, 10) == PLAIN[-10:]
        assert len(made) == 1
        source.close()
        assert made[0].closed  # type: ignore[attr-defined]

    def test_small_streams_need_no_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "TemporaryFile", None)
        blob = lzma.compress(PLAIN[:1_000_000])
        source = open_random(
            MemorySource(blob), "xz", size=1_000_000, pages=PageCache(), limits=LIMITS
        )
        assert source.pread(999_990, 10) == PLAIN[999_990:1_000_000]
        source.close()

    def test_an_interrupted_read_leaves_no_file_and_can_be_repeated(self) -> None:
        class Interrupted(MemorySource):
            __slots__ = ("left",)
            left: int

            def pread(self, offset: int, length: int) -> bytes:
                self.left -= 1
                if not self.left:
                    raise KeyboardInterrupt
                return super().pread(offset, length)

        blob = Interrupted(BLOBS["xz"])
        blob.left = 5
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        source = open_random(blob, "xz", size=len(PLAIN), pages=PageCache(), limits=LIMITS)
        with pytest.raises(KeyboardInterrupt):
            source.pread(len(PLAIN) - 10, 10)
        if before:
            assert before == len(os.listdir("/proc/self/fd"))
        assert source.pread(len(PLAIN) - 10, 10) == PLAIN[-10:]
        source.close()
