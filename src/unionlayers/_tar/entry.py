"""One tar entry as the reader gives it: every header value after all extensions were applied."""

from __future__ import annotations

__all__ = ["TarEntry"]


class TarEntry:
    """
    One entry of a tar archive.

    Attributes:
        ordinal: Position among the entries from 0; extension and global headers do not count.
        name: As the headers spell it, in bytes, not cleaned.
        typeflag: Byte value of the type; NUL is resolved to ``0`` or ``5``.
        mode: As the header has it.
        uid: Owner.
        gid: Group.
        size: Bytes of content, of a sparse file with its holes.
        mtime_ns: Modification time, nanoseconds since the epoch, of any size.
        linkname: Target of a link, in bytes.
        devmajor: Major number of a device.
        devminor: Minor number of a device.
        header_offset: Where the entry's own header stands, in bytes from the start of the tar.
        start_offset: Where its first extension header stands; the same without extensions.
        data_offset: Where its content is stored.
        stored_size: Bytes stored for it.
        sparse: (offset, length) of the stored segments of a sparse file, else None.
        atime_ns: Access time in nanoseconds, None where the tar has none.
        ctime_ns: Status change time, likewise.
        pax: Records of its extended header, None without one.
        uname: Name of the owner.
        gname: Name of the group.
    """

    __slots__ = (
        "atime_ns", "ctime_ns", "data_offset", "devmajor", "devminor", "gid", "gname",
        "header_offset", "linkname", "mode", "mtime_ns", "name", "ordinal", "pax", "size",
        "sparse", "start_offset", "stored_size", "typeflag", "uid", "uname",
    )  # fmt: skip

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
