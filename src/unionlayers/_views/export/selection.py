"""What is exported, in path order: each name once, its directories first, one file an inode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from attrs import frozen

from unionlayers._codec.forward import Progress
from unionlayers._foundation.limits import exceeded
from unionlayers._foundation.names import decode, encode
from unionlayers._image.image import Image
from unionlayers._layers.directory import Directory, Node
from unionlayers._layers.entry import Entry
from unionlayers._layers.union import Inode, Union
from unionlayers.errors import TarError

__all__ = ["Item", "Selection"]

_PIECE = 1 << 20


@frozen
class Item:
    """
    One name.

    Attributes:
        path: Relative to the root, without slashes at its ends; empty for the root.
        node: What stands there.
        entry: Its metadata.
        inode: What the names of one file share; None for a directory.
        first: The path of an earlier name of the same inode, or None.
    """

    path: bytes
    node: Node
    entry: Entry
    inode: Inode | None
    first: bytes | None

    @property
    def shown(self) -> str:
        """The path as the image's users spell it."""
        return "/" + decode(self.path)


@frozen(eq=False)
class Selection:
    """
    The names that are to be exported, and where their content is read.

    Args:
        image: Whose layers are read.
        union: The stack.
        nodes: Gives the nodes in path order, anew at each call.
        check: Raises if the view was closed.
        progress: Is told bytes done, bytes in all, and ``"export"``.
    """

    image: Image
    union: Union
    nodes: Callable[[], Iterable[Node]]
    check: Callable[[], None]
    progress: Progress | None = None

    def items(self) -> Iterator[Item]:
        """
        Give every name that is chosen, and before it the directories that it stands in.

        Raises:
            UnionLayersError: A layer cannot be read, or an entry cannot be applied.

        Cost:
            What is known of a name is asked for once; memory for each inode of several names.
        """
        union = self.union
        first: dict[Inode, bytes] = {}
        # The directories that the walk is in, each with its path, and how deep each is.
        trail: list[tuple[Directory, bytes]] = []
        depth: dict[Directory, int] = {}
        for node in self.nodes():
            self.check()
            missing: list[Directory] = []
            above = node.parent
            while above is not None and above not in depth:
                missing.append(above)
                above = above.parent
            keep = 0 if above is None else depth[above] + 1
            for directory, _ in trail[keep:]:
                del depth[directory]
            del trail[keep:]
            inner = node.directory
            if inner is not None and inner not in depth:
                missing.insert(0, inner)
            for directory in reversed(missing):
                name = encode(directory.name)
                path = trail[-1][1] + b"/" + name if trail and trail[-1][1] else name
                depth[directory] = len(trail)
                trail.append((directory, path))
                there = directory.node()
                yield Item(path, there, union.entry(there), None, None)
            if inner is None:
                above_path = trail[-1][1]
                name = encode(node.name)
                path = above_path + b"/" + name if above_path else name
                inode = union.inode(node)
                known = first.get(inode)
                if known is None and union.link_count(node) > 1:
                    first[inode] = path
                yield Item(path, node, union.entry(node), inode, known)

    def place(self, inode: Inode) -> tuple[int, int]:
        """Give the layer and the offset at which the content of a file is stored."""
        slot, row = inode
        return slot, self.union.changeset(slot).index.data_offset(row)

    def pieces(self, inode: Inode, path: str) -> Iterator[bytes]:
        """
        Give the content of a file, a MiB at a time.

        Raises:
            UnionLayersError: It cannot be read.
        """
        from unionlayers._image.content import content_at

        source = content_at(self.image, self.union, inode, path)
        at = 0
        while at < source.size:
            self.check()
            piece = source.pread(at, min(_PIECE, source.size - at))
            if not piece:
                raise TarError("the content of a file is cut off", path=path, offset=at)
            yield piece
            at += len(piece)

    def bound(self, size: int) -> None:
        """
        Hold the bytes of content that an export writes against the limits.

        Sparse files are written with their holes, so that a small layer may ask for any size.

        Raises:
            LimitError: They are more than ``layer_bytes``.
        """
        limit = self.image.options.limits.layer_bytes
        if size > limit:
            exceeded("layer_bytes", limit, size)

    def tell(self, done: int, total: int) -> None:
        """Tell of progress, if somebody wants to know."""
        if self.progress is not None:
            self.progress(done, total, "export")
