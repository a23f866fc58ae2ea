"""
What the headers of ordinary files and directories say, many at once.

Nearly all entries of nearly all layers are regular files and directories without an extension.
Their headers are gathered and read together.  Here nothing is judged: a header in which anything
is out of the ordinary is named, and `TarReader` says of it what it says of any other.

`vector_headers` gives the same from NumPy.
"""

from __future__ import annotations

import stat
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from zlib import adler32

from unionlayers._tar.header import read_back, read_field, stored_sum
from unionlayers.errors import TarError

__all__ = ["DIRECTORY", "REGULAR", "KindRuns", "PlainHeaders", "plain_kind", "plain_prefix"]
__all__ += ["read_plain"]

REGULAR = ord("0")
DIRECTORY = ord("5")

_GIGA = 1_000_000_000
_FORMS = {REGULAR: stat.S_IFREG, DIRECTORY: stat.S_IFDIR}
# Eleven octal digits of seconds; a twelfth would leave what 64 bits of nanoseconds hold.
_SECONDS = 1 << 33

KindRuns = list[tuple[int, tuple[int, int, int]]]
"""Where a run of headers of one (st_mode, uid, gid) ends, and these."""


class PlainHeaders(NamedTuple):
    """
    Some headers, read.

    Attributes:
        names: The name of each with its prefix, as written.
        flags: The type of each.
        mtime: Modification time of each, nanoseconds since the epoch.
        kinds: Runs of equal (st_mode, uid, gid); the last one ends with the headers.
        odd: Positions of those that are not read here, rising; what stands for them elsewhere
            means nothing.
    """

    names: list[bytes]
    flags: bytes
    mtime: array[int]
    kinds: KindRuns
    odd: list[int]


@lru_cache(1024)
def plain_kind(owner: bytes, flag: int) -> tuple[int, int, int] | None:
    """
    Give (st_mode, uid, gid) of a header, None if a number is none.

    Args:
        owner: Its 24 bytes from 100 on.
        flag: `REGULAR` or `DIRECTORY`.
    """
    try:
        mode = read_field("mode", owner[:8])
        kind = (
            _FORMS[flag] | mode & 0o7777,
            read_field("uid", owner[8:16]),
            read_field("gid", owner[16:]),
        )
    except TarError:
        # Raised again by the reader, with the place.
        return None
    return kind


@lru_cache(512)
def plain_prefix(back: bytes) -> bytes | None:
    """
    Give what stands before the name, None if a number is none or there is a link text.

    Args:
        back: The bytes of a header from 157 on.
    """
    try:
        found = read_back(back)
    except TarError:
        # Raised again by the reader, with the place.
        return None
    return None if found.linkname else found.prefix


@lru_cache(8192)
def _plain_time(field: bytes) -> int:
    """Give a time in nanoseconds, -1 if it is none or stands outside of eleven digits."""
    try:
        seconds = read_field("mtime", field)
    except TarError:
        # Raised again by the reader, with the place.
        return -1
    return seconds * _GIGA if 0 <= seconds < _SECONDS else -1


def read_plain(blocks: Sequence[bytes]) -> PlainHeaders:
    """
    Read headers of regular files and of directories.

    Args:
        blocks: 512 bytes each, with one of these types and a proper size.

    Cost:
        About a microsecond each.
    """
    names: list[bytes] = []
    flags = bytearray()
    mtime = array("q")
    kinds: KindRuns = []
    odd: list[int] = []
    kind: tuple[int, int, int] | None = None
    prefix: bytes | None = None
    behind = owner = b""
    flag = -1
    for position, block in enumerate(blocks):
        if block[156] != flag or block[100:124] != owner:
            if kind is not None:
                kinds.append((position, kind))
            flag = block[156]
            owner = block[100:124]
            kind = plain_kind(owner, flag)
        if block[157:] != behind:
            behind = block[157:]
            prefix = plain_prefix(behind)
        flags.append(flag)
        time = _plain_time(block[136:148])
        if (
            time >= 0
            and kind is not None
            and prefix is not None
            and block.isascii()
            and adler32(block) & 0xFFFF == stored_sum(block[148:156])
        ):
            end = block.find(0, 0, 100)
            name = block[: end if end >= 0 else 100]
            names.append(prefix + b"/" + name if prefix else name)
            mtime.append(time)
        else:
            odd.append(position)
            names.append(b"")
            mtime.append(0)
    if blocks:
        kinds.append((len(blocks), kind or (0, 0, 0)))
    return PlainHeaders(names, bytes(flags), mtime, kinds, odd)
