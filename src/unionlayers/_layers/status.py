"""What stat(2) would say of a node of a union."""

from __future__ import annotations

from attrs import frozen

from unionlayers._layers.directory import Node
from unionlayers._layers.entry import Entry, shown_time_ns
from unionlayers._layers.union import Union

__all__ = ["Stat", "device_number", "inode_number", "stat_of"]

_GIGA = 1_000_000_000


@frozen
class Stat:
    """
    What ``os.stat`` would say of a path.

    Attributes:
        st_mode: Type and permission bits.
        st_ino: Identity of the inode, equal exactly for names of one inode.
        st_nlink: Names of the inode that are visible in the view.
        st_uid: Owner.
        st_gid: Group.
        st_size: Bytes.
        st_mtime: Seconds since the epoch.
        st_mtime_ns: Nanoseconds since the epoch.
        st_rdev: Device number, 0 for anything but a device.
    """

    st_mode: int
    st_ino: int
    st_nlink: int
    st_uid: int
    st_gid: int
    st_size: int
    st_mtime: float
    st_mtime_ns: int
    st_rdev: int


def device_number(device: tuple[int, int]) -> int:
    """Give major and minor as Linux packs them into 64 bits."""
    major, minor = device
    return (minor & 0xFF) | (major & 0xFFF) << 8 | (minor & ~0xFF) << 12 | (major & ~0xFFF) << 32


def inode_number(union: Union, node: Node) -> int:
    """Give the identity of a node: its layer in the image and the row of its header there."""
    if node.parent is None:
        return 1
    slot, row = (node.slot, node.row) if node.directory is not None else union.inode(node)
    return (union.slots[slot].layer + 1) << 32 | (row + 1)


def stat_of(union: Union, node: Node, entry: Entry) -> Stat:
    """Give the stat of a node."""
    mtime_ns = shown_time_ns(union.profile, entry.mtime_ns)
    return Stat(
        st_mode=entry.mode,
        st_ino=inode_number(union, node),
        st_nlink=union.link_count(node),
        st_uid=entry.uid,
        st_gid=entry.gid,
        st_size=entry.size,
        st_mtime=mtime_ns / _GIGA,
        st_mtime_ns=mtime_ns,
        st_rdev=device_number(entry.device) if entry.device is not None else 0,
    )
