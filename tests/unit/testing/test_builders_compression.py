"""What the builders compress, others decompress."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import zlib

import pytest
from oracles import needs, run

from unionlayers.testing import (
    CODECS,
    chunks,
    compress,
    file,
    gzip_member,
    gzip_members,
    layer,
    skippable_frame,
    stored_layer,
    zstd_frame,
    zstd_frames,
)

DATA = b"a tar, or nearly " * 500


@pytest.mark.parametrize(
    ("codec", "tool"),
    [
        pytest.param("gzip", "gzip", marks=needs("gzip")),
        pytest.param("zstd", "zstd", marks=needs("zstd")),
        pytest.param("xz", "xz", marks=needs("xz")),
        pytest.param("bzip2", "bzip2", marks=needs("bzip2")),
    ],
)
def test_the_tool_of_the_codec_gives_the_data_back(codec: str, tool: str) -> None:
    for level in (None, 1):
        assert run(tool, "-dc", data=compress(DATA, codec, level=level)) == DATA


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_data_give_the_same_bytes(codec: str) -> None:
    assert compress(DATA, codec) == compress(DATA, codec)


def test_every_codec_has_its_magic() -> None:
    heads = {codec: compress(DATA, codec)[:4].hex() for codec in CODECS}
    assert heads == {
        "identity": DATA[:4].hex(),
        "gzip": "1f8b0800",
        "zstd": "28b52ffd",
        "xz": "fd377a58",
        "bzip2": "425a6839",
    }


def test_a_codec_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="codec is one of"):
        compress(b"", "lz4")


def test_stdlib_reads_xz_and_bzip2() -> None:
    assert lzma.decompress(compress(DATA, "xz")) == DATA
    assert bz2.decompress(compress(DATA, "bzip2")) == DATA


@pytest.mark.parametrize("strategy", ["default", "filtered", "huffman", "rle", "fixed"])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_every_kind_of_block_is_read(level: int, strategy: str) -> None:
    assert gzip.decompress(gzip_member(DATA, level=level, strategy=strategy)) == DATA


def test_blocks_are_of_the_kind_asked_for() -> None:
    # Two bits after the final bit: 0 stored, 1 fixed codes, 2 codes of its own.
    kinds = [gzip_member(DATA, level=0), gzip_member(DATA, strategy="fixed"), gzip_member(DATA)]
    assert [(member[10] >> 1) & 3 for member in kinds] == [0, 1, 2]


def test_a_gzip_header_may_have_every_field() -> None:
    member = gzip_member(DATA, mtime=7, name=b"n", comment=b"c", extra=b"AB\2\0xy", header_crc=True)
    assert member[3] == 2 | 4 | 8 | 16
    assert member[4:8] == (7).to_bytes(4, "little")
    assert member[10:18] == b"\6\0AB\2\0xy"
    assert member[18:22] == b"n\0c\0"
    assert member[22:24] == (zlib.crc32(member[:22]) & 0xFFFF).to_bytes(2, "little")
    assert gzip.decompress(member) == DATA


@needs("gzip")
def test_many_members_are_one_stream() -> None:
    many = gzip_members(*chunks(DATA, 1000), b"")
    assert many.count(b"\x1f\x8b\x08\0") >= len(DATA) // 1000
    assert gzip.decompress(many) == DATA
    assert run("gzip", "-dc", data=many) == DATA


@needs("zstd")
@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(zstd_frames(*chunks(DATA, 1000)), id="many frames"),
        pytest.param(skippable_frame(b"first") + zstd_frame(DATA), id="a skippable frame first"),
        pytest.param(
            zstd_frame(DATA[:50]) + skippable_frame(b"", nibble=15) + zstd_frame(DATA[50:]),
            id="a skippable frame between",
        ),
        pytest.param(zstd_frame(DATA, content_size=False), id="no content size"),
        pytest.param(zstd_frame(DATA, checksum=True), id="a checksum"),
        pytest.param(zstd_frame(DATA, level=-5), id="a negative level"),
        pytest.param(zstd_frames(b"", DATA, b""), id="empty frames"),
    ],
)
def test_zstd_reads(stream: bytes) -> None:
    assert run("zstd", "-dc", data=stream) == DATA


def test_the_content_size_is_told_or_not() -> None:
    # RFC 8878: with neither the size's flag nor the single-segment bit, there is no size.
    assert zstd_frame(DATA)[4] & 0b1110_0000
    assert not zstd_frame(DATA, content_size=False)[4] & 0b1110_0000


def test_chunks_put_together_are_the_whole() -> None:
    assert b"".join(chunks(DATA, 999)) == DATA
    assert chunks(b"", 5) == []


def test_every_way_to_store_a_layer_holds_the_layer(layer_storage: str) -> None:
    tar = layer(file("a", b"abc" * 10_000), file("b"))
    described = stored_layer([file("a", b"abc" * 10_000), file("b")], layer_storage)
    assert described.data == tar
    assert described.codec is not None
    stored = described.stored if described.stored is not None else compress(tar, described.codec)
    commands = {"gzip": "gzip", "zstd": "zstd", "xz": "xz", "bzip2": "bzip2"}
    if described.codec == "identity":
        assert stored == tar
    elif shutil.which(commands[described.codec]) is None:
        pytest.skip(f"{commands[described.codec]} is not installed")
    else:
        assert run(commands[described.codec], "-dc", data=stored) == tar


def test_a_way_to_store_a_layer_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="zstd-skippable"):
        stored_layer([file("a")], "lz4")
