"""
Compressed layers and archives, in every shape that readers have to take.

`compress` gives what a common tool would write; the other functions give the shapes that are
legal and rarer: many members or frames, frames that carry no data, a header with a name.  Nothing
depends on the clock: the time in a gzip header is 0 unless it is given.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import sys
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType, ModuleType

from attrs import frozen

__all__ = [
    "CODECS",
    "SHAPES",
    "Shape",
    "chunks",
    "compress",
    "gzip_member",
    "gzip_members",
    "skippable_frame",
    "zstd_frame",
    "zstd_frames",
]

CODECS = ("identity", "gzip", "zstd", "xz", "bzip2")

_STRATEGIES = {
    "default": zlib.Z_DEFAULT_STRATEGY,
    "filtered": zlib.Z_FILTERED,
    "huffman": zlib.Z_HUFFMAN_ONLY,
    "rle": zlib.Z_RLE,
    "fixed": zlib.Z_FIXED,
}


def compress(data: bytes, codec: str = "gzip", *, level: int | None = None) -> bytes:
    """
    Compress *data* as one member, frame or stream.

    Args:
        data: What is to be compressed.
        codec: One of `CODECS`; ``"identity"`` gives the data back.
        level: That of the codec; None for its usual one.  gzip has 0 for stored blocks.

    Raises:
        ValueError: There is no such codec.

    Example:
        >>> compress(b"abc", "gzip")[:4].hex(), compress(b"abc", "xz")[:6].hex()
        ('1f8b0800', 'fd377a585a00')
    """
    if codec == "identity":
        return bytes(data)
    if codec == "gzip":
        return gzip_member(data, level=6 if level is None else level)
    if codec == "zstd":
        return zstd_frame(data, level=3 if level is None else level)
    if codec == "xz":
        return lzma.compress(data, preset=level)
    if codec == "bzip2":
        return bz2.compress(data, 9 if level is None else level)
    raise ValueError(f"codec is one of {', '.join(CODECS)}, not {codec!r}")


def chunks(data: bytes, size: int) -> list[bytes]:
    """
    Cut *data* into pieces of *size* bytes, the last one shorter.

    Example:
        >>> chunks(b"abcde", 2)
        [b'ab', b'cd', b'e']
    """
    return [data[start : start + size] for start in range(0, len(data), size)]


def gzip_member(
    data: bytes,
    *,
    level: int = 6,
    strategy: str = "default",
    mtime: int = 0,
    name: bytes | None = None,
    comment: bytes | None = None,
    extra: bytes | None = None,
    header_crc: bool = False,
) -> bytes:
    """
    Write one gzip member, with every field that its header can have.

    Args:
        data: What is to be compressed.
        level: 0 for stored blocks, to 9.
        strategy: ``"default"``, ``"filtered"``, ``"huffman"``, ``"rle"`` or ``"fixed"`` (blocks
            with the codes that the format itself fixes).
        mtime: Seconds since the epoch in the header.
        name: Name of the file, without NUL.
        comment: The comment, without NUL.
        extra: The extra field.
        header_crc: Whether the header has its own checksum.

    Spec:
        RFC 1952, section 2.3.
    """
    flags = (
        (2 if header_crc else 0)
        | (4 if extra is not None else 0)
        | (8 if name is not None else 0)
        | (16 if comment is not None else 0)
    )
    head = b"\x1f\x8b\x08" + bytes([flags]) + struct.pack("<L", mtime) + b"\0\xff"
    if extra is not None:
        head += struct.pack("<H", len(extra)) + extra
    for text in (name, comment):
        if text is not None:
            head += text + b"\0"
    if header_crc:
        head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15, 9, _STRATEGIES[strategy])
    body = deflate.compress(data) + deflate.flush()
    return head + body + struct.pack("<LL", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def gzip_members(*parts: bytes, level: int = 6) -> bytes:
    """
    Write one member for each part; readers take them as one stream.

    Example:
        >>> import gzip
        >>> gzip.decompress(gzip_members(b"ab", b"", b"c"))
        b'abc'
    """
    return b"".join(gzip_member(part, level=level) for part in parts)


def zstd_frame(
    data: bytes, *, level: int = 3, checksum: bool = False, content_size: bool = True
) -> bytes:
    """
    Write one zstd frame.

    Args:
        data: What is to be compressed.
        level: That of zstd, negative ones too.
        checksum: Whether the frame ends with a checksum of its content.
        content_size: Whether its header tells how much comes out; a stream's does not.

    Spec:
        RFC 8878, section 3.1.1.
    """
    zstd = _zstd()
    parameter = zstd.CompressionParameter
    options = {
        parameter.compression_level: level,
        parameter.checksum_flag: int(checksum),
        parameter.content_size_flag: int(content_size),
    }
    frame: bytes = zstd.compress(data, options=options)
    return frame


def zstd_frames(*parts: bytes, level: int = 3) -> bytes:
    """Write one frame for each part; readers take them as one stream."""
    return b"".join(zstd_frame(part, level=level) for part in parts)


def skippable_frame(payload: bytes = b"", *, nibble: int = 0) -> bytes:
    """
    Write a zstd frame that holds no data of the stream; *nibble* is the last digit of its magic.

    Spec:
        RFC 8878, section 3.1.2.

    Example:
        >>> skippable_frame(b"x", nibble=10).hex()
        '5a2a4d180100000078'
    """
    return struct.pack("<LL", 0x184D2A50 | nibble, len(payload)) + payload


@frozen
class Shape:
    """
    A way to store a layer that its codec allows and common tools do not take.

    Attributes:
        codec: One of `CODECS`.
        write: Gives the stored bytes of a layer.
    """

    codec: str
    write: Callable[[bytes], bytes]


def _gzip_members(data: bytes) -> bytes:
    return gzip_members(b"", *chunks(data, 700), b"")


def _gzip_header(data: bytes) -> bytes:
    extra = b"AP\2\0\0\0"
    return gzip_member(
        data, level=0, mtime=1, name=b"layer.tar", comment=b"odd", extra=extra, header_crc=True
    )


def _zstd_frames(data: bytes) -> bytes:
    return zstd_frames(*chunks(data, 5000), b"")


def _zstd_skippable(data: bytes) -> bytes:
    frames = [skippable_frame(b"a table", nibble=14)]
    for number, part in enumerate(chunks(data, 3000)):
        frames += [zstd_frame(part, checksum=bool(number % 2)), skippable_frame()]
    return b"".join(frames)


def _zstd_unsized(data: bytes) -> bytes:
    return zstd_frame(data, level=19, content_size=False)


def _xz_streams(data: bytes) -> bytes:
    return b"".join(compress(part, "xz") for part in chunks(data, 9000))


def _bzip2_streams(data: bytes) -> bytes:
    return b"".join(compress(part, "bzip2") for part in chunks(data, 90_000))


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "gzip-members": Shape("gzip", _gzip_members),
        "gzip-header": Shape("gzip", _gzip_header),
        "zstd-frames": Shape("zstd", _zstd_frames),
        "zstd-skippable": Shape("zstd", _zstd_skippable),
        "zstd-unsized": Shape("zstd", _zstd_unsized),
        "xz-streams": Shape("xz", _xz_streams),
        "bzip2-streams": Shape("bzip2", _bzip2_streams),
    }
)
"""
The rarer shapes of a compressed layer by name.

Members, frames or streams in a row, empty ones among them; a gzip header with every optional field,
over blocks that are stored; zstd frames without data, and without a size.
"""


def _zstd() -> ModuleType:
    # The two are the same module before and after its adoption by the standard library.
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd
