"""One entry of a tar as the reader gives it: every header value settled, no content."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TarEntry"]


class TarEntry(NamedTuple):
    """
    What a tar says of one file, after its extension headers were taken into account.

    A tuple, because one is made for each of perhaps a million entries.

    Attributes:
        ordinal: Position among the entries from 0; extension and global headers do not count.
        name: The name as written, not cleaned; it holds no NUL.
        typeflag: The byte of the type as a number; NUL comes as ``'0'``, or ``'5'`` where the
            name ends in a slash.  Types that nobody knows pass through.
        mode: All bits as written, also those beyond ``0o7777``; 64 bits, signed.
        uid: Owner; 64 bits, signed.
        gid: Group; 64 bits, signed.
        size: Bytes of the content with holes; 0 for types that have no content (``'1'`` to
            ``'6'``), whatever their header says.
        mtime_ns: Modification time, nanoseconds since the epoch, exact; may exceed 64 bits.
        linkname: Target of a link; other types may have one too, and it means nothing.
        devmajor: Major number of a device.
        devminor: Minor number of a device.
        header_offset: Where the 512 bytes of its own header start, in bytes of the tar.
        start_offset: Where the first of its extension headers starts; without any, the same.
        data_offset: Where its content starts.
        stored_size: Bytes of content from there on, without padding.
        sparse: (offset in the file, length) of each stored segment in order, none of them
            empty, or None where the content is stored as it is.
        atime_ns: Access time, like *mtime_ns*, or None.
        ctime_ns: Status change time, likewise.
        pax: Records of its extended header, or None without one; the map of a sparse file in
            the first PAX form stands under ``GNU.sparse.map``.
        uname: Name of the owner; never to be looked up.
        gname: Name of the group, likewise.
    """

    ordinal: int
    name: bytes
    typeflag: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    linkname: bytes
    devmajor: int
    devminor: int
    header_offset: int
    start_offset: int
    data_offset: int
    stored_size: int
    sparse: tuple[tuple[int, int], ...] | None
    atime_ns: int | None
    ctime_ns: int | None
    pax: dict[bytes, bytes] | None
    uname: bytes
    gname: bytes
