"""The blocks and records that headers of a tar are written with; the reader's counterpart."""

from __future__ import annotations

import stat
from collections.abc import Iterable

from unionlayers._tar.header import BLOCK

__all__ = ["FLAGS", "GIGA", "NAME_ROOM", "OWNER_ROOM", "decimal", "extension", "header_block"]

FLAGS = {
    stat.S_IFREG: b"0",
    stat.S_IFLNK: b"2",
    stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4",
    stat.S_IFDIR: b"5",
    stat.S_IFIFO: b"6",
}
"""The type flag of each type of file."""

NAME_ROOM = 100
"""Bytes of a name or link text that a header holds."""

OWNER_ROOM = 31
"""Bytes of the name of a user or group that a header holds; the last of the field is NUL."""

GIGA = 1_000_000_000
"""Nanoseconds in a second."""


def decimal(nanoseconds: int) -> bytes:
    """
    Spell a time in seconds, without zeros at the end.

    Example:
        >>> decimal(1_500_000_000), decimal(-1)
        (b'1.5', b'-0.000000001')
    """
    sign = b"-" if nanoseconds < 0 else b""
    seconds, rest = divmod(abs(nanoseconds), GIGA)
    text = b"%s%d.%09d" % (sign, seconds, rest)
    return text.rstrip(b"0").rstrip(b".")


def extension(name: bytes, records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """
    Give an extended header, which says more of the entry after it; nothing without records.

    Args:
        name: The name that the extended header itself has.
        records: Keys and values; no key holds ``=``, a newline or NUL.

    Spec:
        POSIX.1-2017, pax, "pax Extended Header".
    """
    body = b"".join(_record(key, value) for key, value in records)
    if not body:
        return b""
    return header_block(name, b"x", size=len(body)) + body + bytes(-len(body) % BLOCK)


def header_block(
    name: bytes,
    flag: bytes,
    *,
    size: int,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    user: bytes = b"",
    group: bytes = b"",
    device: tuple[int, int] = (0, 0),
) -> bytes:
    """
    Give one ustar header; texts are cut, numbers that are too large stand in base 256.

    Spec:
        POSIX.1-2017, pax, "ustar Interchange Format"; base 256 as GNU tar writes it.
    """
    front = b"".join(
        (
            name[:NAME_ROOM].ljust(NAME_ROOM, b"\0"),
            _number(mode, 8),
            _number(uid, 8),
            _number(gid, 8),
            _number(size, 12),
            _number(mtime, 12),
        )
    )
    back = b"".join(
        (
            flag,
            link[:NAME_ROOM].ljust(NAME_ROOM, b"\0"),
            b"ustar\00000",
            user[:OWNER_ROOM].ljust(OWNER_ROOM + 1, b"\0"),
            group[:OWNER_ROOM].ljust(OWNER_ROOM + 1, b"\0"),
            _number(device[0], 8),
            _number(device[1], 8),
        )
    ).ljust(BLOCK - 156, b"\0")
    total = sum(front) + sum(back) + 8 * 0x20
    return b"%s%06o\0 %s" % (front, total, back)


def _record(key: bytes, value: bytes) -> bytes:
    """Spell a record; the length in front counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _number(value: int, width: int) -> bytes:
    if 0 <= value < 1 << 3 * (width - 1):
        return b"%0*o\0" % (width - 1, value)
    raw = (value % (1 << 8 * width)).to_bytes(width, "big")
    return bytes([raw[0] | 0x80]) + raw[1:]
