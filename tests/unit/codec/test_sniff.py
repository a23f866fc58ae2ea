"""A blob's codec is told by its magic bytes alone (case K1)."""

from __future__ import annotations

import bz2
import gzip
import lzma

import pytest

from unionlayers._codec.engines import zstd
from unionlayers._codec.sniff import CODECS, SNIFF_BYTES, sniff
from unionlayers._codec.zstd_frame import parse_frame_header


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        pytest.param(gzip.compress(b"x"), "gzip", id="gzip"),
        pytest.param(zstd.compress(b"x"), "zstd", id="zstd"),
        pytest.param(b"\x50\x2a\x4d\x18\x00\x00\x00\x00", "zstd", id="first skippable magic"),
        pytest.param(b"\x5f\x2a\x4d\x18\x00\x00\x00\x00", "zstd", id="last skippable magic"),
        pytest.param(b"\x60\x2a\x4d\x18\x00\x00\x00\x00", "identity", id="no skippable magic"),
        pytest.param(lzma.compress(b"x"), "xz", id="xz"),
        pytest.param(bz2.compress(b"x"), "bzip2", id="bzip2"),
        pytest.param(bz2.compress(b""), "bzip2", id="bzip2 of nothing"),
        pytest.param(b"BZhello/world\0\0\0", "identity", id="a tar entry called BZh..."),
        pytest.param(b"\x1f\x8b", "identity", id="half a gzip magic"),
        pytest.param(b"\x1f\x8b\x00", "identity", id="gzip magic with an unknown method"),
        pytest.param(b"etc/passwd\0\0\0\0\0\0", "identity", id="a tar header"),
        pytest.param(b"", "identity", id="nothing"),
    ],
)
def test_magic_bytes_decide(head: bytes, codec: str) -> None:
    assert codec == sniff(head[:SNIFF_BYTES])
    assert codec in CODECS


@pytest.mark.parametrize("window_log", [10, 17, 20, 27])
@pytest.mark.parametrize("known_size", [True, False])
@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_000, 300_000])
@pytest.mark.parametrize("checksum", [0, 1])
def test_zstd_frame_headers_tell_what_the_library_wrote(
    window_log: int, known_size: bool, size: int, checksum: int
) -> None:
    parameter = zstd.CompressionParameter
    options: dict[int, int] = {parameter.window_log: window_log, parameter.checksum_flag: checksum}
    compressor = zstd.ZstdCompressor(options=options)
    if known_size:
        compressor.set_pledged_input_size(size)
    data = compressor.compress(bytes(size)) + compressor.flush()
    header = parse_frame_header(data[:18])
    assert header is not None
    assert (size if known_size else None) == header.content
    assert bool(checksum) == header.checksum
    assert header.dictionary == 0
    assert header.window in (1 << window_log, size)
    assert parse_frame_header(data[: header.length - 1]) is None
