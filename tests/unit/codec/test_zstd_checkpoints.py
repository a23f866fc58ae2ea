"""Long zstd frames can be entered in the middle, and what is read there is what a pass gives."""

from __future__ import annotations

import gc
import random
import tempfile
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from attrs import evolve

from unionlayers._bytes.memory import MemorySource
from unionlayers._codec import checkpoint
from unionlayers._codec.checkpoint import Checkpoint, CheckpointLog
from unionlayers._codec.decoders import new_decoder
from unionlayers._codec.engines import zstd
from unionlayers._codec.forward import open_forward
from unionlayers._codec.intake import Intake
from unionlayers._codec.page_cache import PageCache
from unionlayers._codec.random_access import RandomSource, open_random
from unionlayers._codec.zstd_blocks import Block, clean_boundaries, read_blocks, read_tree
from unionlayers._codec.zstd_checkpoints import LARGEST_WINDOW, ZstdCheckpointMaker
from unionlayers._codec.zstd_frame import parse_frame_header
from unionlayers._codec.zstd_resume import Resumption, WindowFill, repeat_offsets
from unionlayers._foundation.limits import Limits
from unionlayers.errors import StreamError

LIMITS = Limits()
SPACING = 50_000


def sample(size: int, seed: int = 8) -> bytes:
    """Give words and noise in turn."""
    chance = random.Random(seed)
    words = [chance.randbytes(chance.randint(3, 12)) for _ in range(300)]
    parts: list[bytes] = []
    while sum(map(len, parts)) < size:
        parts += [b"".join(chance.choices(words, k=20_000)), chance.randbytes(5_000), bytes(3_000)]
    return b"".join(parts)[:size]


PLAIN = sample(1_500_000)


def compressed(
    plain: bytes, level: int = 3, window: int = 14, *, checksum: bool = False, known: bool = False
) -> bytes:
    """Give one frame in many blocks."""
    parameter = zstd.CompressionParameter
    compressor = zstd.ZstdCompressor(
        options={
            parameter.compression_level: level,
            parameter.window_log: window,
            parameter.checksum_flag: checksum,
        }
    )
    if known:
        compressor.set_pledged_input_size(len(plain))
    # Blocks shorter than the window: a block as long as it does not reach back before itself.
    step = (1 << window) // 5
    parts = [
        compressor.compress(plain[at : at + step], compressor.FLUSH_BLOCK)
        for at in range(0, len(plain), step)
    ]
    return b"".join([*parts, compressor.flush()])


def read_through(
    blob: bytes, plain: bytes, spacing: int | None = SPACING
) -> tuple[Checkpoint, ...]:
    """Read forwards, compare, and give the checkpoints that this made."""
    source = open_random(
        MemorySource(blob),
        "zstd",
        size=len(plain),
        pages=PageCache(max_bytes=1 << 20),
        limits=LIMITS,
        checkpoint_spacing=spacing,
    )
    assert isinstance(source, RandomSource)
    for offset in range(0, len(plain), 100_000):
        assert source.pread(offset, 100_000) == plain[offset : offset + 100_000]
    made = source.checkpoints
    source.close()
    return made


def rest(blob: bytes, point: Checkpoint) -> bytes:
    """Give everything from a checkpoint on."""
    intake = Intake(MemorySource(blob), point.bit_offset // 8)
    decoder = new_decoder("zstd", intake, LIMITS, CheckpointLog(None), point)
    parts = []
    while part := decoder.some(1 << 20):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("level", [-7, -1, 1, 3, 6, 9, 13, 19])
@pytest.mark.parametrize("window", [11, 14, 15])
def test_every_checkpoint_of_every_level_gives_all_that_follows(level: int, window: int) -> None:
    blob = compressed(PLAIN, level, window)
    made = read_through(blob, PLAIN)
    assert made
    assert all(point.window for point in made)
    assert [rest(blob, point) == PLAIN[point.offset :] for point in made] == [True] * len(made)


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_what_follows_an_entered_frame_is_read_too(checksum: bool, known: bool) -> None:
    first = compressed(PLAIN, checksum=checksum, known=known)
    skippable = b"\x5e\x2a\x4d\x18\x03\0\0\0abc"
    blob = first + skippable + zstd.compress(b"the next frame") + skippable
    plain = PLAIN + b"the next frame"
    made = read_through(blob, plain)
    assert len(made) >= 4
    assert all(rest(blob, point) == plain[point.offset :] for point in made)


def test_distances_are_what_was_asked_for_and_at_least_eight_windows() -> None:
    for window, spacing in ((11, 4 * SPACING), (17, 8 << 17)):
        offsets = [point.offset for point in read_through(compressed(PLAIN, 3, window), PLAIN)]
        apart = [after - before for before, after in pairwise([0, *offsets])]
        assert min(apart) >= spacing
        assert max(apart) <= spacing + (1 << 19)


def test_a_read_behind_a_checkpoint_reads_no_byte_before_it() -> None:
    class Watched(MemorySource):
        __slots__ = ("lowest",)
        lowest: int

        def pread(self, offset: int, length: int) -> bytes:
            self.lowest = min(self.lowest, offset)
            return super().pread(offset, length)

    blob = compressed(PLAIN)
    made = read_through(blob, PLAIN)
    source = Watched(blob)
    source.lowest = len(blob)
    opened = open_random(
        source, "zstd", size=len(PLAIN), checkpoints=made, pages=PageCache(), limits=LIMITS
    )
    assert opened.pread(len(PLAIN) - 10, 10) == PLAIN[-10:]
    assert source.lowest == made[-1].bit_offset // 8
    opened.close()


def test_an_entered_frame_makes_the_checkpoints_that_follow() -> None:
    blob = compressed(PLAIN)
    made = read_through(blob, PLAIN)
    source = open_random(
        MemorySource(blob),
        "zstd",
        size=len(PLAIN),
        checkpoints=made[2:3],
        pages=PageCache(max_bytes=1, max_decoders=1),
        limits=LIMITS,
        checkpoint_spacing=SPACING,
    )
    assert isinstance(source, RandomSource)
    assert source.pread(len(PLAIN) - 10, 10) == PLAIN[-10:]
    assert source.checkpoints == made[2:]
    source.close()


def test_none_are_made_where_none_are_wanted() -> None:
    assert read_through(compressed(PLAIN), PLAIN, spacing=None) == ()


def test_a_checkpoint_that_does_not_give_what_the_pass_gives_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blob = compressed(PLAIN)
    assert read_through(blob, PLAIN)
    content = ZstdCheckpointMaker._content

    def wrong(maker: ZstdCheckpointMaker) -> bytes:
        return (content(maker) or b"")[::-1]

    monkeypatch.setattr(ZstdCheckpointMaker, "_content", wrong)
    assert read_through(blob, PLAIN) == ()


def test_the_pass_still_compares_the_checksum_while_it_makes_checkpoints() -> None:
    blob = bytearray(compressed(PLAIN, checksum=True))
    blob[-1] ^= 1
    with (
        open_forward(
            MemorySource(bytes(blob)), "zstd", limits=LIMITS, checkpoint_spacing=SPACING
        ) as stream,
        pytest.raises(StreamError, match="damaged"),
    ):
        stream.drain()


def test_the_measured_offsets_are_those_that_the_next_block_repeats() -> None:
    blob = compressed(PLAIN, 3, 17)
    header = parse_frame_header(blob[:18])
    assert header is not None

    def look(at: int, length: int) -> bytes:
        return blob[at : at + length]

    blocks = read_blocks(look, header.length, 1000)
    assert blocks[-1].last
    clean = [number for number, found in enumerate(clean_boundaries(blocks)) if found]
    fill = WindowFill(1 << 17)
    start = Resumption.of_frame(1 << 17, checksum=False)
    decoder = zstd.ZstdDecompressor()
    decoder.decompress(blob[: header.length])
    plain = [len(decoder.decompress(blob[block.start : block.end])) for block in blocks]
    compared = 0

    def tree(number: int) -> bytes:
        written = [block.tree for block in blocks[:number] if block.tree is not None]
        return read_tree(look, written[-1]) if written else b""

    for first, second in pairwise(clean[1:]):
        at, behind = sum(plain[:first]), sum(plain[:second])
        between = blob[blocks[first].start : blocks[second].start]
        before = Resumption(
            start.code, False, tree(first), (1, 4, 8), PLAIN[max(0, at - (1 << 17)) : at]
        )
        found = repeat_offsets(before, between, fill, {})
        if found is None:
            continue
        content = PLAIN[max(0, behind - (1 << 17)) : behind]
        resumed = Resumption(start.code, False, tree(second), found, content).decoder({})
        assert resumed.decompress(blob[blocks[second].start :]) == PLAIN[behind:]
        compared += 1
    assert compared >= 3


def copying(value: int) -> bytes:
    """Give a block of one sequence: a literal, then three bytes from the offset of that value."""
    bits = value.bit_length() - 1
    body = bytes((1 << 3, 7, 1, 0b01010100, 1, bits, 0)) + value.to_bytes(bits // 8 + 1, "little")
    return (len(body) << 3 | 2 << 1).to_bytes(3, "little") + body


class TestRepeatOffsets:
    WINDOW = 1 << 15
    START = evolve(
        Resumption.of_frame(WINDOW, checksum=False), content=random.Random(1).randbytes(WINDOW)
    )

    def measured(self, *values: int) -> tuple[int, int, int] | None:
        blocks = b"".join(map(copying, values))
        return repeat_offsets(self.START, blocks, WindowFill(self.WINDOW), {})

    def test_the_last_three_offsets_are_found(self) -> None:
        for offsets in ((1, 2, 3), (9, 18, 5), (17, 1, 9), (30_000, 4, 32_768), (32_768, 1, 9)):
            values = [offset + 3 for offset in offsets]
            assert self.measured(*values) == offsets[::-1]
            # One that is repeated comes to the front.
            assert self.measured(*values, 2) == (offsets[1], offsets[2], offsets[0])
            assert self.measured(*values, 3) == (offsets[0], offsets[2], offsets[1])

    def test_offsets_of_blocks_further_before_are_not_known(self) -> None:
        assert self.measured() is None
        assert self.measured(100) is None
        assert self.measured(100, 200) is None
        assert self.measured(100, 200, 3, 300) is None
        assert self.measured(100, 200, 3, 300, 400, 500) == (497, 397, 297)

    def test_what_is_no_block_is_an_error_of_the_library(self) -> None:
        with pytest.raises(zstd.ZstdError):
            repeat_offsets(self.START, b"\xff" * 64, WindowFill(self.WINDOW), {})


class TestBoundaries:
    def test_a_table_that_is_set_before_it_is_repeated_is_not_needed(self) -> None:
        assert self.clean((7, 0), (0, 7), (0, 0)) == [True, False, True]
        assert self.clean((3, 0), (4, 1), (7, 0)) == [True, False, True]
        assert self.clean((6, 1), (7, 0)) == [False, True]

    def test_what_is_behind_the_last_block_may_repeat_every_table(self) -> None:
        assert self.clean((7, 0), (3, 0), last=False) == [True, False]

    def clean(self, *tables: tuple[int, int], last: bool = True) -> list[bool]:
        count = len(tables)
        return clean_boundaries(
            [
                Block(number, number + 1, last and number == count - 1, None, 5, sets, repeats)
                for number, (sets, repeats) in enumerate(tables)
            ]
        )

    def test_a_frame_that_is_cut_off_is_an_error(self) -> None:
        blob = compressed(PLAIN)[:10_000]
        with pytest.raises(StreamError, match="no block"):
            read_blocks(lambda at, length: blob[at : at + length], 6, 1000)


class TestPacked:
    START = Resumption(88, True, b"\x80\x10", (5, 900, 7), bytes(1000))

    def test_what_is_packed_is_unpacked(self) -> None:
        assert Resumption.unpacked(self.START.packed(), 1 << 21) == self.START

    @pytest.mark.parametrize(
        "packed",
        [
            b"",
            b"nothing",
            zstd.compress(b"short"),
            zstd.compress(bytes(40)),
            START.packed()[:-1],
            Resumption(88, True, b"\x80\x10", (0, 900, 7), bytes(1000)).packed(),
            Resumption(88, True, b"\x80\x10", (5, 1001, 7), bytes(1000)).packed(),
            Resumption(0, True, b"", (5, 90, 7), bytes(1025)).packed(),
            Resumption(96, True, b"", (5, 90, 7), bytes(1025)).packed(),
            Resumption(88, True, b"\x80\x10", (5, 90, 7), bytes(9 << 20)).packed(),
        ],
    )
    def test_what_cannot_be_is_an_error(self, packed: bytes) -> None:
        with pytest.raises(StreamError, match="checkpoint is damaged"):
            Resumption.unpacked(packed, 1 << 21)


@cache
def large() -> bytes:
    """Give more than a window, made when a test asks and not in each process that collects."""
    return sample(36 << 20)


class TestWithout:
    def test_a_frame_with_a_large_window_goes_through_a_file(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made: list[Any] = []
        real = tempfile.TemporaryFile

        def counting(*, prefix: str, buffering: int) -> Any:
            made.append(real(prefix=prefix, buffering=buffering))
            return made[-1]

        monkeypatch.setattr(tempfile, "TemporaryFile", counting)
        blob = compressed(large(), 1, (2 * LARGEST_WINDOW).bit_length() - 1)
        source = open_random(
            MemorySource(blob), "zstd", size=len(large()), pages=PageCache(), limits=LIMITS
        )
        assert isinstance(source, RandomSource)
        for offset in (30 << 20, 5 << 20, 20 << 20, 0):
            assert source.pread(offset, 999) == large()[offset : offset + 999]
        assert source.checkpoints == ()
        assert len(made) == 1
        source.close()
        assert made[0].closed

    def test_a_frame_with_a_common_window_does_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "TemporaryFile", None)
        made = read_through(compressed(large(), 1, 21), large(), spacing=4 << 20)
        assert len(made) == 2


class TestLog:
    def test_what_checkpoints_hold_together_is_bounded(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("unionlayers._codec.checkpoint.MOST_HELD", 1000)
        log = CheckpointLog(100)
        log.add_start(1, 1 << 30)
        for number in range(1, 200):
            offset = number * 100
            if log.due(offset) == offset:
                log.add(Checkpoint(number, offset, bytes(100)))
        kept = log.points()
        assert sum(len(point.window) for point in kept) <= 1000
        assert kept[-1].window == b""
        gaps = [b.offset - a.offset for a, b in pairwise(kept[:-1])]
        assert len(set(gaps)) == 1
        assert len(kept) >= 5

    def test_what_the_checkpoints_of_all_blobs_hold_is_bounded_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Other tests may have left some behind that nobody has collected yet.
        monkeypatch.setattr(checkpoint, "_logs", checkpoint._Logs())
        monkeypatch.setattr(checkpoint, "MOST_HELD_TOGETHER", 2000)
        small = CheckpointLog(100, [Checkpoint(8, 100, bytes(100))])
        logs = [CheckpointLog(100) for _ in range(4)]
        for number in range(1, 60):
            for log in logs:
                if log.due(number * 100) == number * 100:
                    log.add(Checkpoint(number, number * 100, bytes(100)))
                assert sum(log.held_bytes for log in (small, *logs)) <= 2000
        # Who holds most gives first, and all of them still lead everywhere.
        assert small.held_bytes == 100
        assert all(2 <= len(log.points()) <= 8 for log in logs)
        assert all(log.before(1 << 40).offset >= 2000 for log in logs)
        late = CheckpointLog(100, [Checkpoint(at, at * 100, bytes(100)) for at in range(1, 30)])
        assert sum(log.held_bytes for log in (small, late, *logs)) <= 2000
        assert late.held_bytes >= 200

    def test_checkpoints_of_blobs_that_are_gone_do_not_count(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checkpoint, "_logs", checkpoint._Logs())
        monkeypatch.setattr(checkpoint, "MOST_HELD_TOGETHER", 1000)
        for _ in range(10):
            log = CheckpointLog(100, [Checkpoint(at, at * 100, bytes(100)) for at in range(1, 10)])
            assert log.held_bytes == 900
            del log
            gc.collect()
