"""
One 512-byte header block, decoded as Go's ``archive/tar`` decodes it.

The magic tells four dialects apart: ustar (with PAX), star (its trailer), GNU, and v7 for anything
else.  What stands in the last third of the block depends on it.
"""

from __future__ import annotations

from struct import Struct
from zlib import adler32

from unionlayers._tar.entry import TarEntry
from unionlayers._tar.number import cut, numeric, octal

__all__ = ["BLOCK", "ZERO_BLOCK", "decode_block", "has_valid_checksum"]

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)

_FIELDS = Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12s")
_BLANKED = b" " * 8
_NANOSECONDS = 1_000_000_000


def has_valid_checksum(block: bytes) -> bool:
    """
    Tell whether a block has the checksum that it states, taken of unsigned or of signed bytes.

    The sum of up to 256 bytes is the low half of their Adler-32, less one: exact, as at most
    65280 can come out, and at the speed of C.
    """
    try:
        stated = octal(block[148:156])
    except ValueError:
        return False
    blanked = block[:148] + _BLANKED + block[156:]
    unsigned = (adler32(blanked[:256]) & 0xFFFF) + (adler32(blanked[256:]) & 0xFFFF) - 2
    return stated == unsigned or stated == _signed(blanked)


def _signed(blanked: bytes) -> int:
    return sum(blanked) - 256 * sum(1 for byte in blanked if byte > 127)


def decode_block(block: bytes) -> TarEntry:
    """
    Decode a header block into a fresh entry; positions, ordinal and extensions are left to others.

    Raises:
        ValueError: A number in it is none.
    """
    (
        name, mode, uid, gid, size, mtime, _, typeflag, linkname, magic, version,
        uname, gname, major, minor, prefix, trailer,
    ) = _FIELDS.unpack(block)  # fmt: skip
    entry = TarEntry()
    entry.name = name = cut(name)
    entry.linkname = cut(linkname)
    entry.typeflag = typeflag[0]
    entry.size = numeric(size)
    entry.mode = numeric(mode)
    entry.uid = numeric(uid)
    entry.gid = numeric(gid)
    entry.mtime_ns = numeric(mtime) * _NANOSECONDS
    entry.pax = entry.sparse = entry.atime_ns = entry.ctime_ns = None
    entry.uname = entry.gname = b""
    entry.devmajor = entry.devminor = 0
    is_ustar = magic == b"ustar\0"
    is_gnu = magic == b"ustar " and version == b" \0"
    if not is_ustar and not is_gnu:
        return entry
    entry.uname = cut(uname)
    entry.gname = cut(gname)
    entry.devmajor = numeric(major)
    entry.devminor = numeric(minor)
    above = b""
    if is_gnu:
        above = _gnu_times(entry, block, prefix)
    elif trailer[8:] == b"tar\0":
        above = cut(prefix[:131])
        entry.atime_ns = numeric(block[476:488]) * _NANOSECONDS
        entry.ctime_ns = numeric(block[488:500]) * _NANOSECONDS
    else:
        above = cut(prefix)
    if above:
        entry.name = above + b"/" + name
    return entry


def _gnu_times(entry: TarEntry, block: bytes, prefix: bytes) -> bytes:
    """Set the times of a GNU header; where they are none, give the prefix that stands there."""
    try:
        if block[345]:
            entry.atime_ns = numeric(block[345:357]) * _NANOSECONDS
        if block[357]:
            entry.ctime_ns = numeric(block[357:369]) * _NANOSECONDS
    except ValueError:
        # Go before 1.8 wrote a ustar prefix under GNU magic.
        entry.atime_ns = entry.ctime_ns = None
        above = cut(prefix)
        return above if above.isascii() else b""
    return b""
