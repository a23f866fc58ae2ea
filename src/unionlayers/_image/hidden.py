"""What an image ships and does not show: entries that upper layers hide, each openable."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from attrs import field, frozen

from unionlayers._image.content import content_at
from unionlayers._image.layer_stack import LayerStack
from unionlayers._image.open_file import open_buffered
from unionlayers._image.view_makers import view_maker
from unionlayers._layers.comparison import type_name
from unionlayers._layers.entry import entry_of
from unionlayers._layers.hidden import HiddenName, hidden_names, union_of_hidden
from unionlayers._layers.inode_names import InodeNames
from unionlayers._layers.union import Inode, Union
from unionlayers.errors import LayerError, NotARegularFileError

if TYPE_CHECKING:
    from unionlayers._views.reading import ReadingFS

__all__ = ["Hidden", "HiddenEntry", "hidden_of"]


@frozen(kw_only=True)
class HiddenEntry:
    """
    One entry of a layer that the whole image does not show.

    Attributes:
        path: Where it would be, absolute.
        layer: Index of the layer that ships it, base first from 0.
        entry: Ordinal of its tar entry there.
        type: ``"file"``, ``"directory"``, ``"symlink"``, ``"device"`` or ``"fifo"``.
        size: Bytes of content that this entry ships; 0 for a hard link, which ships none.
        hidden_by: Index of the layer that hides it; its own where a later entry replaces it.
        reason: ``"whiteout"``, ``"opaque"``, ``"replaced"``, ``"type change"`` or ``"duplicate"``.
        seen_as: A path under which the same content is still shown through a hard link, or None.
    """

    path: str
    layer: int
    entry: int
    type: str
    size: int
    hidden_by: int
    reason: str
    seen_as: str | None = None
    _open: Callable[[], io.BufferedReader] = field(repr=False, eq=False)

    def open(self) -> io.BufferedReader:
        """
        Open the content that is shipped.

        Raises:
            NotARegularFileError: It is no regular file.
            LayerError: It is a hard link whose target no layer beneath has.
            ClosedError: The image was closed.
        """
        return self._open()


@frozen(kw_only=True)
class Hidden:
    """
    What an image ships and does not show, base first and by path within a layer.

    Iterate over it for `HiddenEntry` values; ``len()`` counts them.

    Attributes:
        entries: All of them.
    """

    entries: tuple[HiddenEntry, ...]
    _fs: Callable[[], ReadingFS] = field(repr=False, eq=False)

    @property
    def size(self) -> int:
        """Bytes of content that are shipped and seen nowhere."""
        return sum(entry.size for entry in self.entries if entry.seen_as is None)

    @property
    def fs(self) -> ReadingFS:
        """
        A read-only PyFilesystem of it, with one directory for each layer: ``/3/etc/passwd``.

        Where a layer has several entries of one name, the last of those that are hidden is there.
        """
        return self._fs()

    def __iter__(self) -> Iterator[HiddenEntry]:
        """Give the entries."""
        return iter(self.entries)

    def __len__(self) -> int:
        """Count the entries."""
        return len(self.entries)

    def _repr_html_(self) -> str:
        """Show how much it is, and the largest in a notebook."""
        shown: str = view_maker("html")(self)
        return shown


def hidden_of(image: LayerStack, union: Union, view: Callable[[Union], ReadingFS]) -> Hidden:
    """
    Give what a stack of the layers of an image hides.

    Args:
        image: The image.
        union: The stack.
        view: Makes a filesystem over a union of the same layers.
    """
    names = sorted(hidden_names(union), key=lambda name: (name.slot, name.path, name.row))
    seen = InodeNames(union)
    return Hidden(
        entries=tuple(_entry(image, seen, name) for name in names),
        fs=lambda: view(union_of_hidden(union, names)),
    )


def _entry(image: LayerStack, names: InodeNames, name: HiddenName) -> HiddenEntry:
    union = names.union
    changeset = union.changeset(name.slot)
    index = changeset.index
    path = f"/{name.path}"
    inode: Inode | LayerError = name.slot, changeset.inode(name.row)
    seen = None
    if changeset.directory(name.row) < 0:
        if changeset.inode(name.row) in changeset.downlinks:
            inode = union.bind((name.slot, changeset.inode(name.row)))
        if not isinstance(inode, LayerError):
            seen = next(iter(names.of(inode)), None)
    own = inode == (name.slot, name.row)
    entry = entry_of(index, name.row)
    return HiddenEntry(
        path=path,
        layer=union.slots[name.slot].layer,
        entry=index.ordinal[name.row],
        type=type_name(entry),
        size=entry.size if own and type_name(entry) == "file" else 0,
        hidden_by=union.slots[name.hidden_by].layer,
        reason=name.reason,
        seen_as=seen,
        open=lambda: _opened(image, union, inode, path),
    )


def _opened(
    image: LayerStack, union: Union, inode: Inode | LayerError, path: str
) -> io.BufferedReader:
    image.check_open()
    if isinstance(inode, LayerError):
        raise inode.with_traceback(None)
    slot, row = inode
    if union.changeset(slot).directory(row) >= 0:
        raise NotARegularFileError("a directory has no content", path=path)
    return open_buffered(content_at(image, union, inode, path), path, image.check_open, -1)
