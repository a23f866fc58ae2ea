"""
One entry's headers decoded once more, for those who want to see them as they are written.

The index of a layer keeps where the headers of an entry stand, and nothing that is seldom asked
for.  What is asked for is read again from the layer and decoded here.
"""

from __future__ import annotations

from attrs import frozen

from unionlayers._foundation.limits import Limits
from unionlayers._tar.header import BLOCK, read_back
from unionlayers._tar.held_blocks import HeldBlocks
from unionlayers._tar.number import octal
from unionlayers._tar.reader import TarReader
from unionlayers.errors import TarError

__all__ = ["TarHeader", "decode_header"]


@frozen(kw_only=True)
class TarHeader:
    """
    The header of one entry with its extensions, in the words of the standard library's ``TarInfo``.

    Attributes:
        name: The name as written, not cleaned.
        mode: All bits as written; 64 bits, signed.
        uid: Owner, likewise.
        gid: Group, likewise.
        size: The size as the headers give it, also for types that have no content; of a sparse
            file with holes, in bytes.
        mtime_ns: Modification time, nanoseconds since the epoch, exact and not clamped.
        atime_ns: Access time, or None.
        ctime_ns: Status change time, or None.
        chksum: The checksum as written.
        type: The byte of the type as written.
        linkname: Target of a link.
        uname: Name of the owner.
        gname: Name of the group.
        devmajor: Major number of a device.
        devminor: Minor number of a device.
        form: ``"ustar"`` (pax too), ``"gnu"``, ``"star"`` or ``"v7"``, by the magic.
        pax: Records of the extended header, or None without one.
        sparse: (offset in the file, length) of each stored segment, or None.
    """

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    atime_ns: int | None
    ctime_ns: int | None
    chksum: int
    type: bytes
    linkname: bytes
    uname: bytes
    gname: bytes
    devmajor: int
    devminor: int
    form: str
    pax: dict[bytes, bytes] | None
    sparse: tuple[tuple[int, int], ...] | None


def decode_header(blocks: bytes, limits: Limits) -> TarHeader:
    """
    Decode what stands before the content of one entry.

    Args:
        blocks: The bytes from its *start_offset* to its *data_offset*.
        limits: The bounds that the entry was first read with.

    Raises:
        TarError: They are damaged, or no entry; ``offset`` counts from the start of *blocks*.
        LimitError: An extension is larger than the limits allow.
    """
    reader = TarReader(HeldBlocks(blocks), limits)
    entry = next(iter(reader), None)
    if entry is None:
        raise TarError("no header of an entry is here", offset=0)
    block = blocks[entry.header_offset : entry.header_offset + BLOCK]
    return TarHeader(
        name=entry.name,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        size=reader.declared_size,
        mtime_ns=entry.mtime_ns,
        atime_ns=entry.atime_ns,
        ctime_ns=entry.ctime_ns,
        chksum=octal(block[148:156]),
        type=block[156:157],
        linkname=entry.linkname,
        uname=entry.uname,
        gname=entry.gname,
        devmajor=entry.devmajor,
        devminor=entry.devminor,
        form=read_back(block[157:]).form,
        pax=entry.pax,
        sparse=entry.sparse,
    )
