"""One pass over a blob gives its plain bytes, its digests, and an error for whatever is wrong."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import random
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial

import pytest

from unionlayers._bytes.memory import MemorySource
from unionlayers._codec import engines
from unionlayers._codec.engines import zstd
from unionlayers._codec.forward import open_forward
from unionlayers._foundation.limits import Limits
from unionlayers.errors import ClosedError, LimitError, StreamError

LIMITS = Limits()


def sample(size: int, seed: int = 1) -> bytes:
    """Give text-like bytes, the same for the same arguments."""
    chance = random.Random(seed)
    words = [chance.randbytes(chance.randint(2, 9)) for _ in range(200)]
    parts: list[bytes] = []
    while size > 0:
        word = chance.choice(words)[:size]
        parts.append(word)
        size -= len(word)
    return b"".join(parts)


PLAIN = sample(900_000)

# What is asked for again is not compressed again, which takes longer than any of the tests.
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": cache(gzip.compress),
    "zstd": cache(zstd.compress),
    "xz": cache(partial(lzma.compress, preset=1)),
    "bzip2": cache(bz2.compress),
}


@pytest.fixture(params=["isal", "zlib"])
def inflating_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "zlib":
        monkeypatch.setattr(engines, "_make", zlib.decompressobj)
    else:
        isal_zlib = pytest.importorskip("isal.isal_zlib")
        monkeypatch.setattr(engines, "_make", isal_zlib.decompressobj)
    return str(request.param)


def read_all(blob: bytes, codec: str, limits: Limits = LIMITS) -> bytes:
    with open_forward(MemorySource(blob), codec, limits=limits) as stream:
        data = stream.take(1 << 40)
        stream.drain()
        assert len(data) == stream.size
        return data


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert before == threading.active_count()


@pytest.mark.parametrize("codec", COMPRESS)
class TestEveryCodec:
    def test_take_and_skip_walk_through_the_plain_bytes(self, codec: str) -> None:
        chance = random.Random(7)
        with open_forward(MemorySource(COMPRESS[codec](PLAIN)), codec, limits=LIMITS) as stream:
            at = 0
            while at < len(PLAIN):
                assert at == stream.position
                wanted = chance.choice([0, 1, 512, 511, 30_000, 400_000])
                if chance.random() < 0.5:
                    assert PLAIN[at : at + wanted] == stream.take(wanted)
                    at = min(at + wanted, len(PLAIN))
                else:
                    at += stream.skip(wanted)
            assert stream.take(10) == b""
            assert stream.skip(10) == 0
            assert len(PLAIN) == stream.position
            stream.drain()
            assert len(PLAIN) == stream.size

    def test_digests_are_those_of_the_bytes(self, codec: str) -> None:
        plain = PLAIN * 4  # more than what is hashed without a thread
        blob = COMPRESS[codec](plain)
        with open_forward(
            MemorySource(blob), codec, limits=LIMITS, blob_digest="sha512:00", want_diff_id=True
        ) as stream:
            stream.skip(1000)
            assert stream.diff_id is None
            stream.drain()
            assert stream.blob_digest == "sha512:" + hashlib.sha512(blob).hexdigest()
            assert stream.diff_id == "sha256:" + hashlib.sha256(plain).hexdigest()

    def test_both_digests_agree_where_nothing_is_compressed(self, codec: str) -> None:
        blob = COMPRESS[codec](PLAIN)
        with open_forward(
            MemorySource(blob), codec, limits=LIMITS, blob_digest="sha256", want_diff_id=True
        ) as stream:
            stream.drain()
            assert (codec == "identity") == (stream.blob_digest == stream.diff_id)

    def test_an_empty_blob_is_an_empty_stream(self, codec: str) -> None:
        """Case K6."""
        assert read_all(b"", codec) == b""

    def test_nothing_compressed_is_an_empty_stream(self, codec: str) -> None:
        """Case K6."""
        assert read_all(COMPRESS[codec](b""), codec) == b""

    def test_many_members_are_one_stream(self, codec: str) -> None:
        """Cases K2 and K5."""
        pieces = [b"", b"a", PLAIN[:70_000], b"", b"bc", PLAIN[5:200_000], b""]
        assert b"".join(pieces) == read_all(b"".join(map(COMPRESS[codec], pieces)), codec)

    def test_thousands_of_small_members_are_one_stream(self, codec: str) -> None:
        blob = COMPRESS[codec](b"") * 3000 + COMPRESS[codec](b"end")
        assert read_all(blob, codec) == b"end"

    def test_a_closed_stream_says_so_and_closes_twice(self, codec: str) -> None:
        stream = open_forward(MemorySource(COMPRESS[codec](PLAIN)), codec, limits=LIMITS)
        stream.take(10)
        stream.close()
        stream.close()
        for ask in (lambda: stream.take(1), lambda: stream.skip(1), stream.drain):
            with pytest.raises(ClosedError):
                ask()

    def test_progress_counts_compressed_bytes_to_the_end(self, codec: str) -> None:
        blob = COMPRESS[codec](random.Random(3).randbytes(4 << 20))
        seen: list[tuple[int, int | None, str]] = []

        def progress(done: int, total: int | None, what: str) -> None:
            seen.append((done, total, what))

        with open_forward(
            MemorySource(blob), codec, limits=LIMITS, progress=progress, what="x",
            want_diff_id=True,
        ) as stream:  # fmt: skip
            stream.drain()
        assert len(seen) >= 3
        assert sorted(seen) == seen
        assert seen[-1] == (len(blob), len(blob), "x")
        assert {(total, what) for _, total, what in seen} == {(len(blob), "x")}

    @pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
    def test_an_exception_from_progress_reaches_the_caller(
        self, codec: str, kind: type[BaseException]
    ) -> None:
        blob = COMPRESS[codec](random.Random(3).randbytes(4 << 20))

        def progress(done: int, total: int | None, what: str) -> None:
            raise kind("stop")

        stream = open_forward(
            MemorySource(blob), codec, limits=LIMITS, want_diff_id=True, progress=progress
        )
        with pytest.raises(kind, match="stop"):
            stream.drain()
        with pytest.raises(ClosedError):
            stream.take(1)

    def test_layer_bytes_is_held(self, codec: str) -> None:
        blob = COMPRESS[codec](PLAIN)
        assert read_all(blob, codec, Limits(layer_bytes=len(PLAIN))) == PLAIN
        with pytest.raises(LimitError) as caught:
            read_all(blob, codec, Limits(layer_bytes=len(PLAIN) - 1))
        assert caught.value.limit == "layer_bytes"


@pytest.mark.parametrize("codec", ["gzip", "zstd", "xz", "bzip2"])
class TestDamage:
    def test_every_truncation_of_a_small_stream_is_an_error(self, codec: str) -> None:
        """Case K4."""
        blob = COMPRESS[codec](PLAIN[:700])
        for end in range(1, len(blob)):
            with pytest.raises(StreamError) as caught:
                read_all(blob[:end], codec)
            assert caught.value.offset is not None
            assert 0 <= caught.value.offset <= end

    def test_every_truncation_of_a_second_member_is_an_error(self, codec: str) -> None:
        first = COMPRESS[codec](PLAIN[:700])
        blob = first + COMPRESS[codec](PLAIN[:70])
        for end in range(len(first) + 1, len(blob)):
            with pytest.raises(StreamError):
                read_all(blob[:end], codec)

    def test_a_flipped_bit_is_an_error_or_changes_nothing(self, codec: str) -> None:
        plain = PLAIN[:1500]
        compress = COMPRESS[codec]
        if codec == "zstd":
            options: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
            blob = zstd.compress(plain, options=options)
        else:
            blob = compress(plain)
        chance = random.Random(11)
        for _ in range(300):
            damaged = bytearray(blob)
            damaged[chance.randrange(len(blob))] ^= 1 << chance.randrange(8)
            try:
                outcome = read_all(bytes(damaged), codec)
            except (StreamError, LimitError):
                continue
            assert plain == outcome

    def test_what_comes_before_the_damage_is_served(self, codec: str) -> None:
        blob = COMPRESS[codec](random.Random(5).randbytes(3_000_000))
        with open_forward(MemorySource(blob[:-1]), codec, limits=LIMITS) as stream:
            assert len(stream.take(512)) == 512
            with pytest.raises(StreamError):
                stream.drain()

    def test_bytes_of_something_else_are_refused(self, codec: str) -> None:
        with pytest.raises(StreamError):
            read_all(b"this is no compressed stream at all", codec)


@pytest.mark.usefixtures("inflating_library")
class TestGzip:
    @pytest.mark.parametrize("level", [0, 1, 6, 9])
    @pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_RLE])
    def test_stored_fixed_and_dynamic_blocks_are_read(self, level: int, strategy: int) -> None:
        compressor = zlib.compressobj(level, zlib.DEFLATED, 31, 8, strategy)
        parts = [compressor.compress(PLAIN[:300_000]), compressor.flush(zlib.Z_SYNC_FLUSH)]
        parts += [compressor.compress(PLAIN[300_000:]), compressor.flush()]
        assert read_all(b"".join(parts), "gzip") == PLAIN

    @pytest.mark.parametrize("flags", range(32))
    def test_every_optional_header_field_is_passed_over(self, flags: int) -> None:
        head = struct.pack("<BBBBIBB", 0x1F, 0x8B, 8, flags, 0, 0, 255)
        if flags & 4:
            head += struct.pack("<H", 300) + bytes(300)
        if flags & 8:
            head += b"layer.tar\0"
        if flags & 16:
            head += b"a comment\0"
        if flags & 2:
            head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
        body = gzip.compress(PLAIN)[10:]
        assert read_all(head + body, "gzip") == PLAIN

    @pytest.mark.parametrize("padding", [1, 8, 512, 300_000])
    def test_zero_padding_after_the_last_member_is_no_data(self, padding: int) -> None:
        blob = gzip.compress(PLAIN) + bytes(padding)
        with open_forward(MemorySource(blob), "gzip", limits=LIMITS, blob_digest="sha256") as s:
            assert s.take(1 << 30) == PLAIN
            s.drain()
            assert s.trailing == 0
            assert s.blob_digest == "sha256:" + hashlib.sha256(blob).hexdigest()

    @pytest.mark.parametrize(
        "garbage",
        [
            pytest.param(b"garbage", id="text"),
            pytest.param(b"\0\0\0garbage", id="text after zeros"),
            pytest.param(bytes(5) + gzip.compress(b"hidden"), id="a member after zeros"),
            pytest.param(b"\x1f\x8b\x00" + bytes(50), id="an unknown method"),
            pytest.param(b"\x1f" * 200_000, id="much"),
        ],
    )
    def test_garbage_after_the_last_member_is_counted(self, garbage: bytes) -> None:
        """Case K3."""
        blob = gzip.compress(PLAIN) + garbage
        with open_forward(MemorySource(blob), "gzip", limits=LIMITS, blob_digest="sha256") as s:
            assert s.take(1 << 30) == PLAIN
            s.drain()
            assert len(garbage) == s.trailing
            assert s.blob_digest == "sha256:" + hashlib.sha256(blob).hexdigest()

    @pytest.mark.parametrize("trailer_byte", range(8))
    def test_a_wrong_crc_or_length_is_an_error(self, trailer_byte: int) -> None:
        """Case K4."""
        blob = bytearray(gzip.compress(PLAIN))
        blob[-8 + trailer_byte] ^= 1
        with pytest.raises(StreamError, match="damaged"):
            read_all(bytes(blob), "gzip")

    def test_an_expansion_bomb_is_stopped_in_bounded_steps(self) -> None:
        blob = gzip.compress(bytes(100 << 20))
        stream = open_forward(MemorySource(blob), "gzip", limits=Limits(expansion=500))
        with pytest.raises(LimitError) as caught:
            stream.drain()
        assert caught.value.limit == "expansion"
        assert read_all(blob, "gzip")[-1:] == b"\0"


class TestZstd:
    @pytest.mark.parametrize("place", ["first", "between", "last", "several", "empty"])
    def test_skippable_frames_are_passed_over(self, place: str) -> None:
        """Case K5."""
        skip = (
            b"\x5a\x2a\x4d\x18" + struct.pack("<I", 200_000) + random.Random(1).randbytes(200_000)
        )
        one, two = zstd.compress(PLAIN[:1000]), zstd.compress(PLAIN[1000:])
        blob = {
            "first": skip + one + two,
            "between": one + skip + two,
            "last": one + two + skip,
            "several": skip + skip + one + skip + skip + two + skip,
            "empty": b"\x50\x2a\x4d\x18\0\0\0\0" + one + two,
        }[place]
        assert read_all(blob, "zstd") == PLAIN
        with open_forward(MemorySource(blob), "zstd", limits=LIMITS, blob_digest="sha256") as s:
            s.drain()
            assert s.blob_digest == "sha256:" + hashlib.sha256(blob).hexdigest()

    def test_a_cut_skippable_frame_is_an_error(self) -> None:
        blob = zstd.compress(PLAIN) + b"\x5a\x2a\x4d\x18" + struct.pack("<I", 100) + bytes(99)
        for end in range(len(blob) - 106, len(blob)):
            with pytest.raises(StreamError):
                read_all(blob[:end], "zstd")

    def test_garbage_after_the_last_frame_is_an_error(self) -> None:
        with pytest.raises(StreamError, match="no frame"):
            read_all(zstd.compress(PLAIN) + b"garbage", "zstd")

    def test_the_window_limit_is_held_before_memory_is_given(self) -> None:
        options: dict[int, int] = {zstd.CompressionParameter.window_log: 24}
        compressor = zstd.ZstdCompressor(options=options)
        blob = compressor.compress(PLAIN) + compressor.flush()
        assert read_all(blob, "zstd", Limits(window_bytes=1 << 24)) == PLAIN
        with pytest.raises(LimitError) as caught:
            read_all(blob, "zstd", Limits(window_bytes=(1 << 24) - 1))
        assert caught.value.limit == "window_bytes"
        assert caught.value.actual == 1 << 24

    def test_a_frame_that_needs_a_dictionary_is_an_error(self) -> None:
        blob = bytes.fromhex("28b52ffd0158") + b"\x07" + bytes(20)
        with pytest.raises(StreamError, match="dictionary 7"):
            read_all(blob, "zstd")


class TestXz:
    @pytest.mark.parametrize("padding", [4, 8, 400])
    def test_padding_between_and_after_streams_is_no_data(self, padding: int) -> None:
        blob = lzma.compress(b"one") + bytes(padding) + lzma.compress(b"two") + bytes(padding)
        assert read_all(blob, "xz") == b"onetwo"

    def test_odd_padding_is_an_error(self) -> None:
        with pytest.raises(StreamError):
            read_all(lzma.compress(b"one") + bytes(3), "xz")

    def test_a_huge_dictionary_is_refused(self) -> None:
        blob = bytearray(lzma.compress(b"x"))
        blob[16] = 36  # the dictionary size in the block header: 1 GiB
        blob[20:24] = struct.pack("<I", zlib.crc32(bytes(blob[12:20])))
        with pytest.raises(LimitError) as caught:
            read_all(bytes(blob), "xz")
        assert caught.value.limit == "window_bytes"


class TestIdentity:
    def test_skip_does_not_read_where_no_digest_is_wanted(self) -> None:
        class Counting(MemorySource):
            __slots__ = ("read",)

            def pread(self, offset: int, length: int) -> bytes:
                data = super().pread(offset, length)
                self.read = getattr(self, "read", 0) + len(data)
                return data

        source = Counting(bytes(50 << 20))
        with open_forward(source, "identity", limits=LIMITS) as stream:
            for _ in range(5):
                assert len(stream.take(512)) == 512
                assert stream.skip(9 << 20) == 9 << 20
            stream.drain()
            assert stream.size == source.size
        assert source.read < 1 << 20

    def test_skip_past_the_end_tells_how_far_it_came(self) -> None:
        with open_forward(MemorySource(bytes(100)), "identity", limits=LIMITS) as stream:
            stream.take(10)
            assert stream.skip(1000) == 90
            assert stream.position == 100
            assert stream.take(1) == b""


def test_an_unknown_codec_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="lz4"):
        open_forward(MemorySource(b""), "lz4", limits=LIMITS)
