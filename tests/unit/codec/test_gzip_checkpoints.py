"""Checkpoints of gzip hold what a pass gave, and a stream cannot plant a false one."""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from itertools import pairwise

import pytest

from unionlayers._bytes.memory import MemorySource
from unionlayers._codec import engines, gzip_checkpoints
from unionlayers._codec import intake as intake_module
from unionlayers._codec.checkpoint import FREE_SPACING, Checkpoint, CheckpointLog
from unionlayers._codec.decoders import new_decoder
from unionlayers._codec.deflate_bits import prove_block_start
from unionlayers._codec.deflate_blocks import find_block_start
from unionlayers._codec.forward import ForwardStream, open_forward
from unionlayers._codec.intake import Intake
from unionlayers._codec.page_cache import PageCache
from unionlayers._codec.random_access import open_random
from unionlayers._foundation.limits import Limits
from unionlayers.errors import StreamError

LIMITS = Limits()


@pytest.fixture(autouse=True, params=["isal", "zlib"])
def inflating_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    library = zlib if request.param == "zlib" else pytest.importorskip("isal.isal_zlib")
    monkeypatch.setattr(engines, "_make", library.decompressobj)


def text(size: int, seed: int = 1) -> bytes:
    """Give words in random order."""
    chance = random.Random(seed)
    words = [chance.randbytes(chance.randint(2, 9)) for _ in range(300)]
    return b"".join(chance.choices(words, k=size // 5))[:size]


def passed(blob: bytes, spacing: int | None) -> tuple[bytes, ForwardStream]:
    stream = open_forward(
        MemorySource(blob), "gzip", limits=LIMITS, checkpoint_spacing=spacing, blob_digest="sha256"
    )
    plain = stream.take(1 << 30)
    stream.drain()
    stream.close()
    return plain, stream


def read_from(blob: bytes, point: Checkpoint) -> bytes:
    intake = Intake(MemorySource(blob), point.bit_offset // 8)
    decoder = new_decoder("gzip", intake, LIMITS, CheckpointLog(None), point)
    parts = []
    while data := decoder.some(70_000):
        parts.append(data)
    return b"".join(parts)


PLAIN = text(3_000_000)
BLOB = gzip.compress(PLAIN, 6)


def test_a_pass_gives_the_same_bytes_and_digest_with_checkpoints_as_without() -> None:
    plain, stream = passed(BLOB, 300_000)
    same, other = passed(BLOB, None)
    assert plain == PLAIN == same
    assert stream.blob_digest == other.blob_digest
    assert other.checkpoints == ()


def test_checkpoints_lie_about_the_spacing_apart_and_lead_to_the_same_bytes() -> None:
    _, stream = passed(BLOB, 300_000)
    points = stream.checkpoints
    assert len(points) >= 6
    offsets = [0, *(point.offset for point in points)]
    assert all(300_000 <= end - start < 700_000 for start, end in pairwise(offsets))
    for point in points:
        assert read_from(BLOB, point) == PLAIN[point.offset :]


def test_windows_are_packed() -> None:
    _, stream = passed(BLOB, 300_000)
    assert all(0 < len(point.window) < 33_000 for point in stream.checkpoints)


def test_starts_of_members_are_checkpoints_without_a_window() -> None:
    pieces = [PLAIN[at : at + 100_000] for at in range(0, len(PLAIN), 100_000)]
    blob = b"".join(map(gzip.compress, pieces))
    plain, stream = passed(blob, None)
    assert plain == PLAIN
    assert len(stream.checkpoints) == len(PLAIN) // 300_000 - 1
    for point in stream.checkpoints:
        assert point.window == b""
        assert point.bit_offset % 8 == 0
        assert read_from(blob, point) == PLAIN[point.offset :]
    offsets = [point.offset for point in stream.checkpoints]
    assert min(end - start for start, end in pairwise(offsets)) >= FREE_SPACING


def test_a_member_entered_in_the_middle_is_still_followed_by_the_next() -> None:
    blob = BLOB + gzip.compress(b"") + gzip.compress(b"the end") + bytes(100)
    _, stream = passed(blob, 1_000_000)
    assert read_from(blob, stream.checkpoints[0]).endswith(b"the end")


def test_a_wrong_crc_is_found_although_inflaters_took_turns() -> None:
    blob = bytearray(BLOB)
    blob[-6] ^= 1
    with pytest.raises(StreamError, match="CRC"):
        passed(bytes(blob), 300_000)


def planted(copies: int) -> tuple[bytes, bytes]:
    """Give a gzip member of stored blocks that hold what look like dynamic ones, and its data."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    false = compressor.compress(text(700_000, 4)) + compressor.flush()
    payload = (text(30_000, 3) + false) * copies
    blocks = []
    for at in range(0, len(payload), 60_000):
        part = payload[at : at + 60_000]
        last = at + 60_000 >= len(payload)
        blocks.append(struct.pack("<BHH", last, len(part), len(part) ^ 0xFFFF) + part)
    trailer = struct.pack("<II", zlib.crc32(payload), len(payload))
    return gzip.compress(b"")[:10] + b"".join(blocks) + trailer, payload


def test_blocks_inside_of_stored_data_are_tried_and_refused() -> None:
    blob, payload = planted(3)
    refused = []
    real = prove_block_start

    def watching(*arguments: object) -> bytes | None:
        data = real(*arguments)  # type: ignore[arg-type]
        refused.append(data is None)
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gzip_checkpoints, "prove_block_start", watching)
        plain, stream = passed(blob, 50_000)
    assert plain == payload
    assert any(refused)
    assert sum(refused) <= 3
    for point in stream.checkpoints:
        assert read_from(blob, point) == payload[point.offset :]


def test_refusals_do_not_disturb_random_access() -> None:
    blob, payload = planted(3)
    source = open_random(
        MemorySource(blob),
        "gzip",
        size=len(payload),
        pages=PageCache(),
        limits=LIMITS,
        checkpoint_spacing=50_000,
    )
    for offset in range(len(payload) - 5000, 0, -40_000):
        assert source.pread(offset, 5000) == payload[offset : offset + 5000]
    source.close()


def test_a_search_in_vain_is_given_up() -> None:
    """Fixed blocks are not found; looking for them must not cost more than inflating."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31, 8, zlib.Z_FIXED)
    blob = compressor.compress(PLAIN) + compressor.flush()
    searched = []
    real = find_block_start

    def watching(data: bytes, end: int) -> int | None:
        searched.append(end)
        return real(data, end)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gzip_checkpoints, "find_block_start", watching)
        plain, _ = passed(blob, 500_000)
    assert plain == PLAIN
    assert sum(searched) < len(blob) // 2


def test_little_room_is_enough_where_inflaters_take_turns() -> None:
    intake = Intake(MemorySource(BLOB))
    decoder = new_decoder("gzip", intake, LIMITS, CheckpointLog(200_000))
    chance = random.Random(8)
    parts = []
    while data := decoder.some(room := chance.choice([1, 2, 100, 3000, 9999])):
        assert len(data) <= room
        parts.append(data)
    assert b"".join(parts) == PLAIN


@pytest.mark.parametrize("window", [b"not zstd", b"\x28\xb5\x2f\xfd"])
def test_a_damaged_window_is_an_error(window: bytes) -> None:
    point = passed(BLOB, 1_000_000)[1].checkpoints[0]
    with pytest.raises(StreamError, match="checkpoint"):
        read_from(BLOB, Checkpoint(point.bit_offset, point.offset, window))


class TestLog:
    def test_the_start_of_the_blob_is_always_there_and_never_given(self) -> None:
        log = CheckpointLog(100)
        assert log.points() == ()
        assert log.before(5) == Checkpoint(0, 0, b"")

    def test_before_gives_the_last_one_at_or_before(self) -> None:
        points = [Checkpoint(8 * at, at, b"w") for at in (30, 10, 20)]
        log = CheckpointLog(100, points)
        assert [log.before(at).offset for at in (9, 10, 19, 20, 99)] == [0, 10, 10, 20, 30]
        assert [point.offset for point in log.points()] == [10, 20, 30]

    def test_the_same_place_is_kept_once(self) -> None:
        log = CheckpointLog(100)
        log.add(Checkpoint(8, 50, b"one"))
        log.add(Checkpoint(8, 50, b"two"))
        assert log.points() == (Checkpoint(8, 50, b"one"),)

    def test_due_keeps_the_spacing_to_both_sides(self) -> None:
        log = CheckpointLog(100, [Checkpoint(0, 1000, b"w")])
        assert log.due(0) == 100
        assert log.due(600) == 600
        assert log.due(960) == 1100
        assert log.due(1001) == 1100
        assert CheckpointLog(None).due(0) is None


@pytest.mark.parametrize("fetch", [1, 5, 9, 1000])
def test_what_an_inflater_took_too_much_is_given_back(
    fetch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """isal holds up to 8 bytes after the end of a member while output waits for room."""
    monkeypatch.setattr(intake_module, "_FETCH", fetch)
    pieces = [text(size, size) for size in (1, 300, 2000, 40, 1500)]
    blob = b"".join(map(gzip.compress, pieces)) + bytes(3)
    plain = b"".join(pieces)
    for room in (1, 2, 3, 10, 299, 1000):
        decoder = new_decoder("gzip", Intake(MemorySource(blob)), LIMITS, CheckpointLog(None))
        parts = []
        while data := decoder.some(room):
            parts.append(data)
        assert b"".join(parts) == plain
        assert decoder.trailing == 0
