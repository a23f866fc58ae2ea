"""Blocks of deflate are found, entered and proved at any bit, whatever library inflates."""

from __future__ import annotations

import random
import zlib

import pytest

from unionlayers._codec import engines
from unionlayers._codec.deflate_bits import inflater_at, prove_block_start
from unionlayers._codec.deflate_blocks import block_starts, find_block_start
from unionlayers._codec.engines import INFLATE_ERRORS, new_inflater


@pytest.fixture(autouse=True, params=["isal", "zlib"])
def inflating_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    library = zlib if request.param == "zlib" else pytest.importorskip("isal.isal_zlib")
    monkeypatch.setattr(engines, "_make", library.decompressobj)


def text(size: int, seed: int = 1) -> bytes:
    """Give words in random order."""
    chance = random.Random(seed)
    words = [chance.randbytes(chance.randint(2, 9)) for _ in range(300)]
    return b"".join(chance.choices(words, k=size // 5))[:size]


def raw(data: bytes, level: int = 6, *, last: bool = True) -> bytes:
    """Compress into bare blocks; without a last one they end at a byte boundary."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    blocks = compressor.compress(data)
    return blocks + (compressor.flush() if last else compressor.flush(zlib.Z_FULL_FLUSH))


def shifted(data: bytes, bits: int, below: int = 0) -> bytes:
    """Move data up by some bits, with other bits below."""
    value = int.from_bytes(data, "little") << bits | below & ((1 << bits) - 1)
    return value.to_bytes(len(data) + 1, "little")


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("below", [0, 0xFF, 0x55])
@pytest.mark.parametrize("level", [1, 9])
def test_a_block_is_entered_at_any_bit_with_its_window(bit: int, below: int, level: int) -> None:
    window = text(32768)
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15, zdict=window)
    plain = window[100:9000] + b"something new" + window[:50]
    blocks = compressor.compress(plain) + compressor.flush()
    stream = shifted(blocks, bit, below)
    inflater = inflater_at(window, bit, stream[0])
    assert inflater.decompress(stream[bool(bit) :]) == plain
    assert inflater.eof


def bits_of_blocks(stream: bytes) -> list[int]:
    """Give the bits at which a block can be proved to begin, of a short stream."""
    found = []
    for bit in range(len(stream) * 8):
        inflater = new_inflater(-15)
        inflater.decompress(stream[: bit // 8])
        if inflater.eof:
            break
        try:
            data = prove_block_start(inflater, bit % 8, stream[bit // 8])
        except INFLATE_ERRORS:
            continue
        if data is not None:
            found.append(bit)
    return found


def test_a_proof_succeeds_at_block_starts_and_nowhere_else() -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = compressor.compress(text(300)) + compressor.flush(zlib.Z_FULL_FLUSH)
    second = len(stream) * 8
    stream += compressor.compress(text(300, 2)) + compressor.flush(zlib.Z_FULL_FLUSH)
    third = len(stream) * 8
    stream += raw(text(200), 0, last=False)
    fourth = len(stream) * 8
    stream += compressor.compress(text(300, 3)) + compressor.flush()
    proved = bits_of_blocks(stream)
    assert {0, second, third, fourth} <= set(proved)
    # The others are the empty blocks of the flushes and the first one's own: none is far off.
    assert len(proved) <= 12
    for bit in proved:
        inflater = new_inflater(-15)
        before = inflater.decompress(stream[: bit // 8])
        before += prove_block_start(inflater, bit % 8, stream[bit // 8]) or b""
        entered = inflater_at(before, bit % 8, stream[bit // 8])
        after = entered.decompress(stream[(bit + 7) // 8 :])
        assert before + after == zlib.decompress(stream, wbits=-15)


@pytest.mark.parametrize("remaining", range(20, 60))
def test_the_end_of_a_last_stored_block_passes_for_no_block_start(remaining: int) -> None:
    payload = bytes(1000)
    stream = raw(payload, 0)
    assert stream[0] & 1
    inflater = new_inflater(-15)
    inflater.decompress(stream[: len(stream) - remaining])
    assert prove_block_start(inflater, 0, 0) is None


class TestSearch:
    @pytest.mark.parametrize("level", [1, 6, 9])
    @pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED])
    def test_dynamic_blocks_of_zlib_are_found(self, level: int, strategy: int) -> None:
        compressor = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy)
        plain = text(900_000)
        stream = compressor.compress(plain) + compressor.flush()
        piece = stream[100_000:300_000]
        bit = find_block_start(piece, 130_000)
        assert bit is not None
        self.check(stream, 800_000 + bit, plain)

    def test_dynamic_blocks_of_isal_are_found(self) -> None:
        igzip = pytest.importorskip("isal.igzip_lib")
        plain = text(900_000)
        stream = igzip.compress(plain, level=2, flag=igzip.COMP_DEFLATE)
        bit = find_block_start(stream[100_000:300_000], 130_000)
        assert bit is not None
        self.check(stream, 800_000 + bit, plain)

    def test_what_follows_on_stored_blocks_is_found(self) -> None:
        plain = random.Random(1).randbytes(500_000)
        stream = raw(plain, 0)
        bit = find_block_start(stream[10_000:], 70_000)
        assert bit is not None
        self.check(stream, 80_000 + bit, plain)

    def test_marks_of_a_flush_are_found(self) -> None:
        compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
        stream = b""
        for seed in range(20):
            stream += compressor.compress(text(20_000, seed))
            stream += compressor.flush(zlib.Z_SYNC_FLUSH)
        stream += compressor.flush()
        plain = zlib.decompress(stream, wbits=-15)
        bit = find_block_start(stream[3000:], 30_000)
        assert bit is not None
        self.check(stream, 24_000 + bit, plain)

    def test_noise_has_no_blocks(self) -> None:
        noise = random.Random(2).randbytes(400_000)
        assert find_block_start(noise, 200_000) is None

    @pytest.mark.parametrize("size", [0, 1, 11, 100])
    def test_short_pieces_are_searched_without_error(self, size: int) -> None:
        assert isinstance(list(block_starts(bytes(size), 0, size)), list)
        assert isinstance(list(block_starts(b"\xff" * size, 0, size)), list)

    def check(self, stream: bytes, bit: int, plain: bytes) -> None:
        inflater = new_inflater(-15)
        before = inflater.decompress(stream[: bit // 8])
        more = prove_block_start(inflater, bit % 8, stream[bit // 8])
        assert more is not None
        before += more
        entered = inflater_at(before[-32768:], bit % 8, stream[bit // 8])
        assert before + entered.decompress(stream[(bit + 7) // 8 :]) == plain


def test_every_place_with_a_complete_code_is_found() -> None:
    """The search on long integers finds what looking at every bit on its own does."""
    data = random.Random(9).randbytes(6000) + raw(text(60_000))[3000:20_000]
    shares = (0, 64, 32, 16, 8, 4, 2, 1)

    def looks_like_a_block(bit: int) -> bool:
        header = int.from_bytes(data[bit >> 3 : (bit >> 3) + 11], "little") >> (bit & 7)
        if header & 7 != 4 or header >> 3 & 31 > 29 or header >> 8 & 31 > 29:
            return False
        count = (header >> 13 & 15) + 4
        lengths = [header >> 17 + 3 * index & 7 for index in range(count)]
        return count >= 12 and sum(shares[length] for length in lengths) == 128

    end = len(data) - 12
    expected = {bit for bit in range(end * 8) if looks_like_a_block(bit)}
    found = list(block_starts(data, 0, end))
    assert expected <= set(found)
    assert len(expected) > 10
    # The others follow on stored blocks, of which noise has few.
    assert len(set(found) - expected) < 6
