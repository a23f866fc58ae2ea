"""
The 512 bytes of a tar header: checksum, numbers, and the part that depends on the format.

A header has a front of seven fields that every format has, and a back whose meaning depends on a
magic word: ustar and pax keep the start of long names there, GNU and star times, and the oldest
tar nothing at all.  The back hardly changes from entry to entry, so it is read as one.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import NamedTuple
from zlib import adler32

from unionlayers._tar.number import numeric, octal
from unionlayers.errors import TarError

__all__ = [
    "BLOCK",
    "HEADER_ONLY",
    "Back",
    "checksum_holds",
    "read_back",
    "read_field",
    "stored_sum",
]

BLOCK = 512
"""Bytes of a header, and what bodies are padded to a multiple of."""

HEADER_ONLY = frozenset(b"123456")
"""Types that have no body, even if their header has a size (cases E11 and I8)."""

_BACK = Struct("100s6s2s32s32s8s8s155s12s")
_NEVER = -(1 << 32)
_LOW = bytes(range(0x80))


class Back(NamedTuple):
    """
    What the bytes from 157 on say.

    Attributes:
        linkname: Target of a link.
        uname: Name of the owner.
        gname: Name of the group.
        devmajor: Major number of a device.
        devminor: Minor number of a device.
        prefix: What stands before the name with a slash between, or nothing.
        atime: Access time in seconds since the epoch, or None.
        ctime: Status change time, likewise.
        form: ``"ustar"`` (pax too), ``"gnu"``, ``"star"`` or ``"v7"``.
    """

    linkname: bytes
    uname: bytes
    gname: bytes
    devmajor: int
    devminor: int
    prefix: bytes
    atime: int | None
    ctime: int | None
    form: str


@lru_cache(4096)
def stored_sum(field: bytes) -> int:
    """
    Give the Adler sum that a whole header must have whose checksum field is *field*.

    In the checksum the field itself counts as eight blanks, in the sum of all bytes as what it
    is; Adler-32 starts with one.  A field without a number gives a sum that no header has.
    """
    try:
        value = octal(field)
    except ValueError:
        return _NEVER
    return value - 8 * 0x20 + sum(field) + 1


def checksum_holds(block: bytes) -> bool:
    """
    Tell whether the checksum of a header is right, summed over unsigned or over signed bytes.

    Cost:
        Half a microsecond; ten times that for a block full of bytes above 0x7f.

    Source:
        Case J10.  The low half of an Adler-32 is the sum of the bytes modulo 65521: exact as long
        as the sum cannot reach that, as in ASCII, or where half of the block is NUL.
    """
    if len(block) != BLOCK:
        return False
    wanted = stored_sum(block[148:156])
    if block.isascii():
        return wanted == adler32(block) & 0xFFFF
    total = adler32(block) & 0xFFFF if block.count(0) > BLOCK // 2 else sum(block) + 1
    return wanted in (total, total - 256 * len(block.translate(None, _LOW)))


def read_field(what: str, raw: bytes) -> int:
    """
    Read a number of a header.

    Raises:
        TarError: It is none.
    """
    try:
        return numeric(raw)
    except ValueError as error:
        raise TarError(
            f"the header field {what} is not a number: {error}",
            actual=raw.hex(" "),
            case="J10",
        ) from None


def read_back(back: bytes) -> Back:
    """
    Read everything behind the type of a header.

    Args:
        back: Its 355 bytes from 157 on.

    Raises:
        TarError: A number is none.

    Spec:
        POSIX.1-2017, pax, "ustar Interchange Format"; the formats of GNU and star by magic
        (case J11).
    """
    linkname, magic, version, uname, gname, major, minor, area, rest = _BACK.unpack(back)
    linkname = linkname.partition(b"\0")[0]
    if magic == b"ustar\0":
        form = "star" if rest[8:] == b"tar\0" else "ustar"
    elif magic == b"ustar " and version == b" \0":
        form = "gnu"
    else:
        return Back(linkname, b"", b"", 0, 0, b"", None, None, "v7")
    uname = uname.partition(b"\0")[0]
    gname = gname.partition(b"\0")[0]
    devmajor = read_field("devmajor", major)
    devminor = read_field("devminor", minor)
    prefix = area.partition(b"\0")[0]
    atime = ctime = None
    if form == "star":
        prefix = area[:131].partition(b"\0")[0]
        times = area[131:] + rest
        atime = read_field("atime", times[:12])
        ctime = read_field("ctime", times[12:24])
    elif form == "gnu":
        try:
            atime = numeric(area[:12]) if area[0] else None
            ctime = numeric(area[12:24]) if area[12] else None
        except ValueError:
            # Go before 1.8 wrote the start of long names here, and its readers still look.
            atime = ctime = None
            prefix = prefix if prefix.isascii() else b""
        else:
            prefix = b""
    return Back(linkname, uname, gname, devmajor, devminor, prefix, atime, ctime, form)
