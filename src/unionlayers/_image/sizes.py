"""How many bytes of content an image ships and shows, by layer, directory and build step."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Mapping

from attrs import field, frozen

from unionlayers._image.config import Step
from unionlayers._image.layer_stack import LayerStack
from unionlayers._image.waste import bytes_by_directory, steps_by_layer
from unionlayers._layers.directory import SLOT
from unionlayers._layers.scan import scan
from unionlayers._layers.shipped import shipped_in
from unionlayers._layers.union import Inode, Union
from unionlayers._tar.index import ABSENT

__all__ = ["LayerSize", "Sizes", "shared_inode", "sizes_of"]


@frozen(kw_only=True)
class LayerSize:
    """
    What one layer has.

    Attributes:
        layer: Index in the image, base first from 0.
        step: The build step that made it, None where the history does not tell.
        stored: Bytes of the blob as stored, mostly compressed.
        shipped: Bytes of content, each inode once.
        shown: Bytes of content that the whole shows.
        entries: Tar entries, whiteouts included.
        shown_entries: Names that the whole shows of it, without directories that it implies.
    """

    layer: int
    step: Step | None
    stored: int
    shipped: int
    shown: int
    entries: int
    shown_entries: int


@frozen(kw_only=True)
class Sizes:
    """
    Bytes of content, each inode once; headers, directories and links count for nothing.

    Attributes:
        by_layer: One `LayerSize` for each layer, base first.
    """

    by_layer: tuple[LayerSize, ...]
    _shown: tuple[tuple[str, int], ...] = field(repr=False)

    @property
    def total(self) -> int:
        """Bytes that are shown."""
        return sum(layer.shown for layer in self.by_layer)

    @property
    def shipped(self) -> int:
        """Bytes that the layers have, shown or not."""
        return sum(layer.shipped for layer in self.by_layer)

    @property
    def by_directory(self) -> Mapping[str, int]:
        """
        Bytes that are shown by directory, with all that is beneath it, the largest first.

        A file of several names counts at the first of them; directories without bytes are absent.
        """
        return bytes_by_directory(self._shown)

    @property
    def by_step(self) -> Mapping[Step | None, int]:
        """Bytes that are shown by the build step that brought them, the largest first."""
        found: Counter[Step | None] = Counter()
        for layer in self.by_layer:
            if layer.shown:
                found[layer.step] += layer.shown
        return dict(found.most_common())


def sizes_of(image: LayerStack, union: Union) -> Sizes:
    """Give the sizes of a stack of the layers of an image."""
    shipped = [sum(item.size for item in shipped_in(union, slot)) for slot in range(union.top)]
    shown: Counter[int] = Counter()
    names: Counter[int] = Counter()
    directories: Counter[str] = Counter()
    linked: dict[Inode, tuple[str, int]] = {}
    indexes = [union.changeset(slot).index for slot in range(union.top)]
    for path, found in scan(union):
        for name, (mode, _, _), size, _, handle in found:
            slot, row = divmod(handle, SLOT)
            index = indexes[slot]
            names[slot] += row < index.rows and index.ordinal[row] != ABSENT
            if not size or not stat.S_ISREG(mode):
                continue
            inode = shared_inode(union, slot, row)
            if inode is None:
                shown[slot] += size
                directories[path] += size
            else:
                candidate = f"{path}/{name}", size
                linked[inode] = min(linked.get(inode, candidate), candidate)
    for (slot, _), (path, size) in linked.items():
        shown[slot] += size
        directories[path.rpartition("/")[0]] += size
    steps = steps_by_layer(image)
    return Sizes(
        by_layer=tuple(
            LayerSize(
                layer=(layer := union.slots[slot].layer),
                step=steps.get(layer),
                stored=image.layers[layer].size,
                shipped=shipped[slot],
                shown=shown[slot],
                entries=union.changeset(slot).index.entries,
                shown_entries=names[slot],
            )
            for slot in range(union.top)
        ),
        shown=tuple((f"{path}/", size) for path, size in directories.items()),
    )


def shared_inode(union: Union, slot: int, row: int) -> Inode | None:
    """Give the inode of a name that may have others, None for one that surely is alone."""
    changeset = union.changeset(slot)
    own = changeset.inode(row)
    if not union.linked and len(changeset.names_of(own)) == 1:
        return None
    inode = union.bind((slot, own))
    return inode if isinstance(inode, tuple) else None
