"""
Headers that every reader of tars understands alike: GNU tar, Go, bsdtar and Python.

A plain ustar header holds what it can; records of PAX hold the rest, and a number that does not
fit is in both, so that a reader who does not know the records is not misled.  The same metadata
gives the same bytes.
"""

from __future__ import annotations

import stat

from attrs import frozen

from unionlayers._foundation.names import encode
from unionlayers._layers.entry import Entry
from unionlayers._tar.header_block import (
    FLAGS,
    GIGA,
    NAME_ROOM,
    OWNER_ROOM,
    decimal,
    extension,
    header_block,
)
from unionlayers.errors import UnsupportedError

__all__ = ["Times", "header"]

_UNSPELLABLE = (b"=", b"\n", b"\0")


@frozen
class Times:
    """Modification time, and access and change times where there are any, in nanoseconds."""

    mtime_ns: int
    atime_ns: int | None = None
    ctime_ns: int | None = None


def header(
    path: bytes,
    entry: Entry,
    times: Times,
    *,
    first: bytes | None = None,
    owner: tuple[bytes, bytes] = (b"", b""),
) -> bytes:
    """
    Give everything that stands before the content of an entry.

    Args:
        path: Its name, with a slash at the end if it is a directory.
        entry: What is known of it.
        times: As they are to be written.
        first: The name of an earlier entry that it is a hard link to.
        owner: Names of user and group, or empty ones.

    Raises:
        UnsupportedError: An extended attribute has a name that no record can hold.

    Spec:
        POSIX.1-2017, pax, "pax Interchange Format" and "ustar Interchange Format"; numbers that
        are too large as GNU tar writes them; extended attributes as star, GNU tar and Go do.
    """
    flag = FLAGS[stat.S_IFMT(entry.mode)] if first is None else b"1"
    link = encode(entry.target or "") if flag == b"2" else first or b""
    size = entry.size if flag == b"0" else 0
    device = entry.device if entry.device is not None and flag in (b"3", b"4") else (0, 0)
    seconds, rest = divmod(times.mtime_ns, GIGA)
    user, group = owner
    texts = [
        (b"path", path, NAME_ROOM),
        (b"linkpath", link, NAME_ROOM),
        (b"uname", user, OWNER_ROOM),
        (b"gname", group, OWNER_ROOM),
    ]
    records = [(key, text) for key, text, room in texts if len(text) > room]
    if not all(map(_is_text, (text for _, text in records))):
        records.insert(0, (b"hdrcharset", b"BINARY"))
    for key, number, digits in (
        (b"uid", entry.uid, 7),
        (b"gid", entry.gid, 7),
        (b"size", size, 11),
        (b"SCHILY.devmajor", device[0], 7),
        (b"SCHILY.devminor", device[1], 7),
    ):
        if not 0 <= number < 1 << 3 * digits:
            records.append((key, b"%d" % number))
    if rest or not 0 <= seconds < 1 << 33:
        records.append((b"mtime", decimal(times.mtime_ns)))
    for key, time in ((b"atime", times.atime_ns), (b"ctime", times.ctime_ns)):
        if time is not None:
            records.append((key, decimal(time)))
    for name, value in entry.xattrs:
        key = encode(name)
        if any(part in key for part in _UNSPELLABLE):
            raise UnsupportedError(
                "no tar can hold an extended attribute of this name", actual=name
            )
        records.append((b"SCHILY.xattr." + key, value))
    return extension(b"././@PaxHeader", records) + header_block(
        path,
        flag,
        mode=stat.S_IMODE(entry.mode),
        uid=entry.uid,
        gid=entry.gid,
        size=size,
        mtime=seconds if 0 <= seconds < 1 << 33 else 0,
        link=link,
        user=user,
        group=group,
        device=device,
    )


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
