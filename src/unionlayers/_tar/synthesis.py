"""
Headers for what never was a tar: the entry of a file as a directory on disk shows it.

They are read back by `TarReader` alone, so they hold everything exactly: times to the nanosecond,
names as bytes, owners of 32 bits.  A ustar header does where that suffices; what it cannot hold
stands in extended records.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence

from attrs import frozen

from unionlayers._tar.header import BLOCK
from unionlayers._tar.header_block import FLAGS, GIGA, NAME_ROOM, decimal, extension, header_block

__all__ = ["END", "Facts", "header", "padding"]

END = bytes(2 * BLOCK)
"""What ends a tar."""

_SMALL = 1 << 21
_LARGE = 1 << 33


@frozen(kw_only=True)
class Facts:
    """
    What is known of an entry beside its content.

    Attributes:
        mode: Type and permission bits.
        uid: Owner.
        gid: Group.
        size: Bytes of a regular file.
        mtime_ns: Nanoseconds since the epoch.
        device: Major and minor number.
        link: Target of a symbolic link.
        xattrs: Names and values; no name holds ``=``, a newline or NUL.
    """

    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    device: tuple[int, int] = (0, 0)
    link: bytes = b""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


def padding(length: int) -> bytes:
    """Give the NULs that fill the last block of a body."""
    return bytes(-length % BLOCK)


def header(
    name: bytes,
    facts: Facts,
    *,
    hard_link: bytes | None = None,
    segments: Sequence[tuple[int, int]] | None = None,
) -> bytes:
    """
    Give everything that stands before the content of an entry.

    Args:
        name: Its path in the tar.
        facts: What is known of it.
        hard_link: The path of an earlier entry whose inode it shares.
        segments: (offset, length) of what a sparse file stores; None for any other.

    Spec:
        POSIX.1-2017, pax; for sparse files the GNU tar manual, "PAX Format, Version 0.1".
    """
    kind = stat.S_IFMT(facts.mode)
    flag = FLAGS[kind] if hard_link is None else b"1"
    link = facts.link if hard_link is None else hard_link
    size = facts.size if flag == b"0" else 0
    records: list[tuple[bytes, bytes]] = []
    if segments is not None:
        stored = sum(length for _, length in segments)
        listed = b",".join(b"%d,%d" % segment for segment in segments)
        records += [
            (b"GNU.sparse.name", name),
            (b"GNU.sparse.size", b"%d" % size),
            (b"GNU.sparse.numblocks", b"%d" % len(segments)),
            (b"GNU.sparse.map", listed),
        ]
        size = stored
    if len(name) > NAME_ROOM:
        records.append((b"path", name))
    if len(link) > NAME_ROOM:
        records.append((b"linkpath", link))
    uid, gid = facts.uid, facts.gid
    if uid >= _SMALL:
        records.append((b"uid", b"%d" % uid))
    if gid >= _SMALL:
        records.append((b"gid", b"%d" % gid))
    if size >= _LARGE:
        records.append((b"size", b"%d" % size))
    seconds, rest = divmod(facts.mtime_ns, GIGA)
    if rest or not 0 <= seconds < _LARGE:
        records.append((b"mtime", decimal(facts.mtime_ns)))
    records += [(b"SCHILY.xattr." + key, value) for key, value in facts.xattrs]
    return extension(b"pax", records) + header_block(
        name,
        flag,
        mode=stat.S_IMODE(facts.mode),
        uid=uid if uid < _SMALL else 0,
        gid=gid if gid < _SMALL else 0,
        size=size if size < _LARGE else 0,
        mtime=seconds if 0 <= seconds < _LARGE else 0,
        link=link,
        device=facts.device if flag in (b"3", b"4") else (0, 0),
    )
