"""What commands say of a path: the facts of a node, as a line and as JSON."""

from __future__ import annotations

import datetime as dt
import stat
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import define, field, frozen

from unionlayers._cli.output import Output, size_text
from unionlayers._foundation.names import printable
from unionlayers._image.image import Image
from unionlayers._image.owners import read_owners
from unionlayers._layers.answer import kind_of
from unionlayers._layers.capability import capability_text
from unionlayers._layers.directory import Directory, Node
from unionlayers._layers.entry import Entry, shown_time_ns
from unionlayers._layers.resolution import resolve
from unionlayers._layers.status import inode_number
from unionlayers._layers.union import Union

__all__ = ["Facts", "Tree", "absolute", "mode_text", "time_text"]

_GIGA = 10**9
_COLOURS = {
    stat.S_IFDIR: "1;34",
    stat.S_IFLNK: "36",
    stat.S_IFIFO: "33",
    stat.S_IFCHR: "1;33",
    stat.S_IFBLK: "1;33",
}


def absolute(path: str) -> str:
    """Give a path as seen from the root, where relative ones start."""
    return path if path.startswith("/") else f"/{path}"


def time_text(time_ns: int) -> str:
    """
    Give a time in UTC to the second; seconds since the epoch where no calendar has it.

    Example:
        >>> time_text(1_700_000_000_123_456_789), time_text(1 << 80)
        ('2023-11-14 22:13:20', '@1208925819614629')
    """
    seconds = time_ns // _GIGA
    try:
        return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return f"@{seconds}"


def mode_text(mode: int) -> str:
    """
    Give type and permission bits as ``ls -l`` does.

    Example:
        >>> mode_text(0o104755)
        '-rwsr-xr-x'
    """
    return stat.filemode(mode)


@frozen
class Facts:
    """
    One name of a tree and its metadata.

    Attributes:
        path: Where it is, absolute.
        name: Its last component.
        entry: Type, mode, owner, size, time, link, device and attributes.
        mtime_ns: Its time as the profile shows it.
        links: Visible names of the inode; of a directory 1.
        inode: Number of the inode.
        layer: Index of the layer that has the name, None in an empty stack.
        user: Name of the owner in the image, or None.
        group: Name of the group in the image, or None.
    """

    path: str
    name: str
    entry: Entry
    mtime_ns: int
    links: int
    inode: int
    layer: int | None
    user: str | None
    group: str | None

    @property
    def form(self) -> int:
        """The type bits."""
        return self.entry.type

    @property
    def capability(self) -> str | None:
        """File capabilities as text, or None."""
        value = dict(self.entry.xattrs).get("security.capability")
        return None if value is None else capability_text(value)

    def document(self, image: Image, *, full: bool = False) -> dict[str, Any]:
        """Give the facts as JSON has them; *full* adds layer and attributes at length."""
        entry = self.entry
        found: dict[str, Any] = {
            "path": self.path,
            "type": kind_of(entry.mode),
            "mode": f"{entry.mode & 0o7777:04o}",
            "uid": entry.uid,
            "gid": entry.gid,
            "user": self.user,
            "group": self.group,
            "size": entry.size,
            "mtime_ns": self.mtime_ns,
            "target": entry.target,
            "device": None if entry.device is None else list(entry.device),
            "links": self.links,
            "inode": self.inode,
            "capability": self.capability,
            "layer": self.layer,
        }
        if full:
            layer = None if self.layer is None else image.layers[self.layer]
            found.update(
                digest=None if layer is None else layer.digest,
                diff_id=None if layer is None else layer.diff_id,
                created_by=None if layer is None else layer.created_by,
                implied=entry.implied,
                xattrs={key: b64encode(value).decode() for key, value in entry.xattrs},
            )
        return found

    def shown(self, out: Output, text: str | None = None) -> str:
        """Give the name for a person, in the colour of its type, with what a link says."""
        name = out.paint(printable(self.name if text is None else text), self.colour)
        return name if self.entry.target is None else f"{name} -> {printable(self.entry.target)}"

    @property
    def colour(self) -> str | None:
        """The colour of its type."""
        mode = self.entry.mode
        if not stat.S_ISREG(mode):
            return _COLOURS.get(stat.S_IFMT(mode))
        if mode & 0o6000 or self.capability:
            return "1;31"
        return "32" if mode & 0o111 else None

    def size(self, *, human: bool) -> str:
        """Give the size for a person; of a device its numbers."""
        if self.entry.device is not None:
            return "{}, {}".format(*self.entry.device)
        return size_text(self.entry.size) if human else str(self.entry.size)


@define
class Tree:
    """
    A stack of layers, as commands go about in it.

    Args:
        image: The image.
        union: The stack.
    """

    image: Image
    union: Union
    _owners: Mapping[str, Mapping[int, str]] | None = field(init=False, default=None)

    def find(self, path: str, *, follow: bool = False) -> Node:
        """
        Give the node of a path.

        Raises:
            PathError: Nothing is there, or a link on the way leads nowhere.
        """
        return resolve(self.union, path, follow=follow).node

    def facts(self, node: Node, path: str) -> Facts:
        """
        Give the facts of a node.

        Raises:
            LayerError: It is a hard link whose target no layer beneath has.
        """
        union = self.union
        entry = union.entry(node)
        owners = self.owners
        return Facts(
            path=path,
            name=node.name or "/",
            entry=entry,
            mtime_ns=shown_time_ns(union.profile, entry.mtime_ns),
            links=union.link_count(node),
            inode=inode_number(union, node),
            layer=self.layer(node),
            user=owners["user"].get(entry.uid),
            group=owners["group"].get(entry.gid),
        )

    @property
    def owners(self) -> Mapping[str, Mapping[int, str]]:
        """Names by number, of users and groups."""
        if self._owners is None:
            self._owners = read_owners(self.image, self.union)
        return self._owners

    def layer(self, node: Node) -> int | None:
        """Give the layer that has a name; of a directory the one that describes it."""
        union = self.union
        if not union.slots:
            return None
        slot = node.slot
        if node.directory is not None:
            found = union.supplier(node)
            parts = node.directory.all_parts()
            slot = found[0] if found is not None else parts[-1][0] if parts else slot
        return union.slots[slot].layer

    def below(
        self, directory: Directory, path: str, *, enter: Callable[[Node, int], bool]
    ) -> Iterator[tuple[Node, str, int]]:
        """
        Give what is in a directory and beneath: node, path and depth, parents first.

        Args:
            directory: Where to begin.
            path: Its path.
            enter: Is asked for each directory, with its depth, whether to go into it.
        """
        prefix = path.rstrip("/") + "/"
        pending = [(prefix, directory.nodes())]
        while pending:
            prefix, nodes = pending[-1]
            for node in nodes:
                inner = prefix + node.name
                yield node, inner, len(pending)
                if node.directory is not None and enter(node, len(pending)):
                    pending.append((inner + "/", node.directory.nodes()))
                    break
            else:
                pending.pop()
