"""
Short descriptions of tar entries, one function for each kind.

Names are written as they are given, byte for byte: no slash is dropped and nothing is cleaned,
because odd names are what tests are about.  What no function here has a parameter for is set with
``attrs.evolve(entry, ...)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from unionlayers.testing.entry import (
    BLOCK,
    Entry,
    Name,
    Records,
    Seconds,
    Sparse,
    Xattrs,
    seconds,
    to_bytes,
)

__all__ = [
    "block_device",
    "char_device",
    "directory",
    "entry",
    "fifo",
    "file",
    "global_header",
    "hardlink",
    "opaque",
    "raw",
    "raw_block",
    "sparse_file",
    "symlink",
    "whiteout",
]


def _time(mtime: Seconds, mtime_ns: int | None) -> Fraction:
    return seconds(mtime) if mtime_ns is None else Fraction(mtime_ns, 10**9)


def entry(
    path: Name,
    typeflag: Name = b"0",
    content: bytes = b"",
    *,
    linkname: Name = b"",
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: Seconds = 0,
    mtime_ns: int | None = None,
    atime: Seconds | None = None,
    ctime: Seconds | None = None,
    uname: Name = b"",
    gname: Name = b"",
    major: int = 0,
    minor: int = 0,
    size: int | None = None,
    xattrs: Xattrs | None = None,
    pax: Records | None = None,
    pax_body: bytes | None = None,
    fields: Mapping[str, bytes] | None = None,
    checksum: str | bytes = "unsigned",
    format: str | None = None,
    pad: bool = True,
) -> Entry:
    """
    Describe an entry of any type; the arguments are the attributes of `Entry`.

    Example:
        >>> entry("vendor", "V", b"label").typeflag
        b'V'
    """
    return Entry(
        path=path,
        typeflag=to_bytes(typeflag),
        content=content,
        linkname=linkname,
        mode=mode,
        uid=uid,
        gid=gid,
        mtime=_time(mtime, mtime_ns),
        atime=atime,
        ctime=ctime,
        uname=uname,
        gname=gname,
        major=major,
        minor=minor,
        size=size,
        xattrs=xattrs,
        pax=pax,
        pax_body=pax_body,
        fields=fields,
        checksum=checksum,
        format=format,
        pad=pad,
    )


def file(
    path: Name,
    content: Name = b"",
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: Seconds = 0,
    mtime_ns: int | None = None,
    xattrs: Xattrs | None = None,
    pax: Records | None = None,
) -> Entry:
    """
    Describe a regular file; text is written as UTF-8.

    Example:
        >>> file("etc/hostname", "box\\n", mode=0o600).content
        b'box\\n'
    """
    return Entry(
        path=path,
        content=to_bytes(content),
        mode=mode,
        uid=uid,
        gid=gid,
        mtime=_time(mtime, mtime_ns),
        xattrs=xattrs,
        pax=pax,
    )


def directory(
    path: Name,
    *,
    mode: int = 0o755,
    uid: int = 0,
    gid: int = 0,
    mtime: Seconds = 0,
    mtime_ns: int | None = None,
    xattrs: Xattrs | None = None,
    pax: Records | None = None,
    slash: bool = True,
) -> Entry:
    """
    Describe a directory.

    Its name ends with a slash, as every common writer has it: one is added where the name lacks
    it.  ``slash=False`` writes the name as given.

    Example:
        >>> directory("etc").path, directory("etc", slash=False).path
        (b'etc/', b'etc')
    """
    name = to_bytes(path)
    if slash and name and not name.endswith(b"/"):
        name += b"/"
    return Entry(
        path=name,
        typeflag=b"5",
        mode=mode,
        uid=uid,
        gid=gid,
        mtime=_time(mtime, mtime_ns),
        xattrs=xattrs,
        pax=pax,
    )


def symlink(
    path: Name,
    target: Name,
    *,
    mode: int = 0o777,
    uid: int = 0,
    gid: int = 0,
    mtime: Seconds = 0,
    mtime_ns: int | None = None,
    xattrs: Xattrs | None = None,
    pax: Records | None = None,
) -> Entry:
    """
    Describe a symbolic link with the text *target*.

    Example:
        >>> symlink("lib", "usr/lib").linkname
        b'usr/lib'
    """
    return Entry(
        path=path,
        typeflag=b"2",
        linkname=target,
        mode=mode,
        uid=uid,
        gid=gid,
        mtime=_time(mtime, mtime_ns),
        xattrs=xattrs,
        pax=pax,
    )


def hardlink(
    path: Name,
    target: Name,
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: Seconds = 0,
    mtime_ns: int | None = None,
    xattrs: Xattrs | None = None,
    pax: Records | None = None,
    size: int | None = None,
    content: bytes = b"",
) -> Entry:
    """
    Describe a hard link to the entry named *target*, relative to the root of the tar.

    *size* and *content* are for archives that repeat the size of the target, or its data.
    """
    return Entry(
        path=path,
        typeflag=b"1",
        linkname=target,
        content=content,
        mode=mode,
        uid=uid,
        gid=gid,
        mtime=_time(mtime, mtime_ns),
        xattrs=xattrs,
        pax=pax,
        size=size,
    )


def fifo(
    path: Name,
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: Seconds = 0,
    mtime_ns: int | None = None,
    xattrs: Xattrs | None = None,
    pax: Records | None = None,
) -> Entry:
    """Describe a named pipe."""
    return Entry(
        path=path,
        typeflag=b"6",
        mode=mode,
        uid=uid,
        gid=gid,
        mtime=_time(mtime, mtime_ns),
        xattrs=xattrs,
        pax=pax,
    )


def char_device(
    path: Name,
    major: int,
    minor: int,
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: Seconds = 0,
    mtime_ns: int | None = None,
    xattrs: Xattrs | None = None,
    pax: Records | None = None,
) -> Entry:
    """
    Describe a character device; 0, 0 is the mark that overlayfs takes for a whiteout.

    Example:
        >>> char_device("dev/null", 1, 3, mode=0o666).typeflag
        b'3'
    """
    return Entry(
        path=path,
        typeflag=b"3",
        major=major,
        minor=minor,
        mode=mode,
        uid=uid,
        gid=gid,
        mtime=_time(mtime, mtime_ns),
        xattrs=xattrs,
        pax=pax,
    )


def block_device(
    path: Name,
    major: int,
    minor: int,
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: Seconds = 0,
    mtime_ns: int | None = None,
    xattrs: Xattrs | None = None,
    pax: Records | None = None,
) -> Entry:
    """Describe a block device."""
    return Entry(
        path=path,
        typeflag=b"4",
        major=major,
        minor=minor,
        mode=mode,
        uid=uid,
        gid=gid,
        mtime=_time(mtime, mtime_ns),
        xattrs=xattrs,
        pax=pax,
    )


def whiteout(path: Name, *, mode: int = 0o644, mtime: Seconds = 0) -> Entry:
    """
    Describe the mark that hides *path*: an empty file ``.wh.NAME`` in its directory.

    Nothing is cleaned: a path that ends with a slash gives a mark for the empty name, which is
    invalid, and may be wanted.

    Spec:
        OCI image-spec v1.1, layer.md, "Whiteouts".

    Example:
        >>> whiteout("etc/motd").path, whiteout("motd").path
        (b'etc/.wh.motd', b'.wh.motd')
    """
    parent, slash, name = to_bytes(path).rpartition(b"/")
    return Entry(path=parent + slash + b".wh." + name, mode=mode, mtime=mtime)


def opaque(path: Name, *, mode: int = 0o644, mtime: Seconds = 0) -> Entry:
    """
    Describe the mark that hides all that lower layers have in the directory *path*.

    The empty path, ``.`` left out, means the root.

    Spec:
        OCI image-spec v1.1, layer.md, "Opaque Whiteout".

    Example:
        >>> opaque("etc").path, opaque("").path
        (b'etc/.wh..wh..opq', b'.wh..wh..opq')
    """
    name = to_bytes(path)
    if name and not name.endswith(b"/"):
        name += b"/"
    return Entry(path=name + b".wh..wh..opq", mode=mode, mtime=mtime)


def sparse_file(
    path: Name,
    segments: Iterable[tuple[int, bytes]],
    size: int,
    *,
    form: str = "1.0",
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: Seconds = 0,
    mtime_ns: int | None = None,
    xattrs: Xattrs | None = None,
    pax: Records | None = None,
) -> Entry:
    """
    Describe a file with holes from its stretches of data.

    Where the file ends with a hole, an empty stretch closes the map, as GNU tar writes it.  The
    entry is written as ``"gnu"`` or ``"pax"`` whatever the format of the layer.

    Args:
        path: Name of the file, as written.
        segments: Offset in bytes, and data, of each stretch, in order.  Data are stored back to
            back; GNU tar itself writes, and reads, whole blocks of 512 bytes for all but the last.
        size: Bytes of the file with its holes.
        form: ``"gnu"`` for the old type S, or a version of the PAX form: ``"0.0"``, ``"0.1"``,
            ``"1.0"``.
        mode: Permission bits.
        uid: Numeric owner.
        gid: Numeric group.
        mtime: Seconds since the epoch.
        mtime_ns: The same in nanoseconds; goes before *mtime*.
        xattrs: Extended attributes.
        pax: Further records.

    Spec:
        GNU tar manual, "Storing Sparse Files".
    """
    stretches = [(offset, bytes(data)) for offset, data in segments]
    spans = [(offset, len(data)) for offset, data in stretches]
    if not spans or sum(spans[-1]) < size:
        spans.append((size, 0))
    data = b"".join(data for _, data in stretches)
    return Entry(
        path=path,
        typeflag=b"S" if form == "gnu" else b"0",
        sparse=Sparse(segments=tuple(spans), data=data, size=size, form=form),
        # Readers tell the two kinds of map apart by the magic of the header.
        format="gnu" if form == "gnu" else "pax",
        mode=mode,
        uid=uid,
        gid=gid,
        mtime=_time(mtime, mtime_ns),
        xattrs=xattrs,
        pax=pax,
    )


def global_header(records: Records, *, path: Name = "pax_global_header") -> Entry:
    """
    Describe a PAX global header (type g) with these records.

    Spec:
        POSIX.1-2017, pax, "pax Header Block".
    """
    return Entry(path=path, typeflag=b"g", pax=records)


def raw(data: bytes) -> Entry:
    """Put bytes into the archive exactly as they are."""
    return Entry(raw=bytes(data))


def raw_block(data: bytes) -> Entry:
    """Put bytes into the archive, filled up with zeros to whole blocks of 512."""
    return Entry(raw=bytes(data) + bytes(-len(data) % BLOCK))
