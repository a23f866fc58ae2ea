"""The metadata of one name: what a tar header and the headers of its hard links say together."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from attrs import evolve, frozen

from unionlayers._foundation.names import decode
from unionlayers._layers.profile import Profile
from unionlayers._tar.index import ABSENT, LayerIndex

__all__ = ["IMPLIED_DIRECTORY", "Entry", "entry_of", "entry_with_link", "shown_time_ns"]

_NO_TIME = -(1 << 63)
_LATEST = (1 << 63) - 1


@frozen
class Entry:
    """
    What a layer says of one inode.

    Attributes:
        mode: Type and permission bits as in ``st_mode``.
        uid: Owner.
        gid: Group.
        size: Bytes of content; of a symbolic link, bytes of its text; else 0.
        mtime_ns: Modification time, nanoseconds since the epoch, of any size.
        target: Text of a symbolic link as stored, else None.
        device: Major and minor number of a device, else None.
        xattrs: Pairs of name and value, sorted by name.
        atime_ns: Access time in nanoseconds, None where the tar has none.
        ctime_ns: Status change time, likewise.
        implied: A directory without an entry of its own.
    """

    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    target: str | None = None
    device: tuple[int, int] | None = None
    xattrs: tuple[tuple[str, bytes], ...] = ()
    atime_ns: int | None = None
    ctime_ns: int | None = None
    implied: bool = False

    @property
    def type(self) -> int:
        """The type bits of `mode`, such as ``stat.S_IFREG``."""
        return stat.S_IFMT(self.mode)


IMPLIED_DIRECTORY = Entry(stat.S_IFDIR | 0o755, 0, 0, 0, 0, implied=True)
"""What is shown of a directory that no entry describes (case H3)."""


def entry_of(index: LayerIndex, row: int, applied: Sequence[tuple[LayerIndex, int]] = ()) -> Entry:
    """
    Give the metadata of an inode.

    Args:
        index: The layer that has the inode.
        row: The row of the inode itself, not of a hard link to it.
        applied: Hard links whose headers were applied to the inode after its own, oldest first.

    Source:
        Docker, containerd and Podman set owner, mode, time and xattrs of a link's header on the
        inode it shares (case E7); the kernel drops the capability when they set the owner.
    """
    mode, uid, gid = index.kinds[index.kind[row]]
    form = stat.S_IFMT(mode)
    if index.ordinal[row] == ABSENT:
        return IMPLIED_DIRECTORY
    extra = index.extras.get(row)
    mtime = index.mtime[row]
    device = None
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    if extra is not None:
        device = extra.device
        xattrs = extra.xattrs
        if extra.mtime_ns is not None:
            mtime = extra.mtime_ns
    for link_index, link in applied:
        link_mode, uid, gid = link_index.kinds[link_index.kind[link]]
        if form != stat.S_IFLNK:
            mode = form | stat.S_IMODE(link_mode)
        link_extra = link_index.extras.get(link)
        mtime = link_index.mtime[link]
        if link_extra is not None and link_extra.mtime_ns is not None:
            mtime = link_extra.mtime_ns
        kept = {key: value for key, value in xattrs if key != b"security.capability"}
        kept.update(link_extra.xattrs if link_extra is not None else ())
        xattrs = tuple(sorted(kept.items()))
    target = index.texts[index.ref[row]] if form == stat.S_IFLNK else None
    return Entry(
        mode=mode,
        uid=uid,
        gid=gid,
        size=index.length[row] if target is None else len(target),
        mtime_ns=mtime,
        target=None if target is None else decode(target),
        device=device if form in (stat.S_IFCHR, stat.S_IFBLK) else None,
        xattrs=tuple((decode(key), value) for key, value in xattrs),
        atime_ns=_time(index.atime, row),
        ctime_ns=_time(index.ctime, row),
    )


def entry_with_link(entry: Entry, index: LayerIndex, row: int) -> Entry:
    """Give the metadata of an inode after the header of one more hard link was applied to it."""
    mode, uid, gid = index.kinds[index.kind[row]]
    extra = index.extras.get(row)
    mtime = index.mtime[row]
    if extra is not None and extra.mtime_ns is not None:
        mtime = extra.mtime_ns
    kept = {key: value for key, value in entry.xattrs if key != "security.capability"}
    kept.update((decode(key), value) for key, value in (() if extra is None else extra.xattrs))
    return evolve(
        entry,
        mode=entry.mode if entry.type == stat.S_IFLNK else entry.type | stat.S_IMODE(mode),
        uid=uid,
        gid=gid,
        mtime_ns=mtime,
        xattrs=tuple((key, kept[key]) for key in sorted(kept, key=os.fsencode)),
    )


def shown_time_ns(profile: Profile, time_ns: int) -> int:
    """Give a time as runtimes keep it: those before 1970 and after 2262 are 0 (case H7)."""
    if profile.mtime_range == "clamp" and not 0 <= time_ns <= _LATEST:
        return 0
    return time_ns


def _time(column: Sequence[int] | None, row: int) -> int | None:
    if column is None or column[row] == _NO_TIME:
        return None
    return column[row]
