"""
What container-diff tells of one image, by its own names: history, metadata, files and sizes.

Source:
    container-diff 0.19, ``differs/`` and ``util/``: what the kinds are, and the keys of the JSON.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Literal, get_args

from attrs import frozen

from unionlayers._foundation.names import encode, printable
from unionlayers._image.config_fields import config_fields, field_text
from unionlayers._image.image import Image
from unionlayers._image.layer_stack import LayerChoice
from unionlayers._image.state import state_of
from unionlayers._layers.scan import scan

__all__ = [
    "Analysis",
    "AnalysisItem",
    "AnalysisKind",
    "Order",
    "analyze",
    "check_choice",
    "item_document",
    "item_text",
    "ordered",
    "title_of",
]

AnalysisKind = Literal["history", "metadata", "file", "layer", "size", "sizelayer"]
Order = Literal["name", "size"]

_TITLES = {
    "history": "History",
    "metadata": "Metadata",
    "file": "File",
    "layer": "FileLayer",
    "size": "Size",
    "sizelayer": "SizeLayer",
}


@frozen
class AnalysisItem:
    """
    One thing that is told of an image.

    Attributes:
        name: A build step, a field of the configuration, a path, the index of a layer as text, or
            ``*`` for the whole image.
        value: The value of a field, None where it is absent or empty; None for all else.
        size: Bytes of a file, of all files in a directory, layer or image; None where there are
            none to tell.
        layer: Index of the layer, for a step that made one, for what is told by layers; else None.
    """

    name: str
    value: Any = None
    size: int | None = None
    layer: int | None = None


@frozen
class Analysis:
    """
    What is told of one image; made by `analyze`.  Iterate over it for the items.

    Attributes:
        kind: What was asked for.
        image: What the image is, for people.
        items: In the order that was asked for.
    """

    kind: AnalysisKind
    image: str
    items: tuple[AnalysisItem, ...]

    def __iter__(self) -> Iterator[AnalysisItem]:
        """Give the items."""
        return iter(self.items)

    def __len__(self) -> int:
        """Count the items."""
        return len(self.items)

    def to_json(self, *, indent: int | None = None) -> str:
        """Give it as JSON with the keys of container-diff; *indent* as for ``json.dumps``."""
        found: list[Any] = [item_document(self.kind, item) for item in self.items]
        if self.kind == "layer":
            layers: defaultdict[int | None, list[Any]] = defaultdict(list)
            for item in self.items:
                layers[item.layer].append(item_document(self.kind, item))
            found = list(layers.values())
        document = {"Image": self.image, "AnalyzeType": title_of(self.kind), "Analysis": found}
        return json.dumps(document, indent=indent)

    def to_table(self) -> str:
        """Give it as lines of text for a terminal, names escaped."""
        lines = [f"-----{title_of(self.kind)}-----", f"of {printable(self.image)}"]
        lines.extend(item_text(self.kind, item) for item in self.items)
        return "\n".join(lines) + "\n"


def analyze(image: Image, kind: AnalysisKind = "size", *, order: Order = "name") -> Analysis:
    """
    Tell of an image what container-diff does.

    Args:
        image: An image.
        kind: ``"history"``: the build steps, in their order; ``"metadata"``: every field of the
            configuration; ``"file"``: every path with its size; ``"layer"``: the paths of each
            layer by itself; ``"size"``: of all files; ``"sizelayer"``: of the files of each layer.
        order: ``"name"`` is the order of the tree, ``"size"`` has the largest first; for the
            first two kinds it does not count, and within the others layers stay in their order.

    Returns:
        Sizes count as container-diff counts them, each name of a file for itself and links by
        their text; `Image.sizes` counts each inode once.

    Raises:
        ValueError: There is no such kind or order.
        ClosedError: The image was closed.
        UnionLayersError: A layer cannot be read, or an entry cannot be applied.

    Cost:
        Nothing for the first two kinds; else linear in the names, of all layers for those by
        layer.

    Example:
        >>> from unionlayers import analyze, open_image
        >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
        ...     [item.size for item in analyze(image, "sizelayer")]
        [18848, 230007, 394, 105, 23, 209, 21]
    """
    check_choice("kind", kind, get_args(AnalysisKind))
    check_choice("order", order, get_args(Order))
    label = state_of(image).label
    return Analysis(kind, label, tuple(_items(image, kind, order)))


def check_choice(what: str, given: str, allowed: tuple[str, ...]) -> None:
    """Raise `ValueError` unless *given* is one of *allowed*."""
    if given not in allowed:
        raise ValueError(f"{what} is one of {', '.join(allowed)}, not {given!r}")


def title_of(kind: AnalysisKind) -> str:
    """Give container-diff's name of a kind."""
    return _TITLES[kind]


def item_document(kind: AnalysisKind, item: AnalysisItem) -> Any:
    """Give an item as what container-diff's JSON has for it."""
    if kind == "history":
        return item.name
    if kind == "metadata":
        return field_text(item.name, item.value)
    return {"Name": item.name, "Size": item.size}


def item_text(kind: AnalysisKind, item: AnalysisItem) -> str:
    """Give an item as a line for a terminal."""
    if kind in ("history", "metadata"):
        return printable(str(item_document(kind, item)))
    layer = f"layer {item.layer:>3} " if kind == "layer" else ""
    return f"{item.size:>14} {layer}{printable(item.name)}"


def ordered(items: list[AnalysisItem], order: Order) -> list[AnalysisItem]:
    """Give items as they are, or the largest first."""
    if order == "name":
        return items
    return sorted(items, key=lambda item: (-(item.size or 0), encode(item.name)))


def _items(image: Image, kind: AnalysisKind, order: Order) -> Iterator[AnalysisItem]:
    if kind == "history":
        for step in image.history:
            yield AnalysisItem(step.created_by.strip(), layer=step.layer)
    elif kind == "metadata":
        for name, value in config_fields(image.config):
            yield AnalysisItem(name, value)
    elif kind == "file":
        yield from ordered(_paths(image, None, None), order)
    elif kind == "size":
        yield AnalysisItem("*", size=_size(image, None))
    else:
        layers = [layer.index for layer in image.chosen(None)]
        if kind == "layer":
            for layer in layers:
                yield from ordered(_paths(image, [layer], layer), order)
        else:
            found = [
                AnalysisItem(str(layer), size=_size(image, [layer]), layer=layer)
                for layer in layers
            ]
            yield from found if order == "name" else ordered(found, order)


def _size(image: Image, layers: LayerChoice) -> int:
    union = image.union(layers)
    return sum(size for _, found in scan(union) for _, _, size, _, _ in found)


def _paths(image: Image, layers: LayerChoice, layer: int | None) -> list[AnalysisItem]:
    """Give all paths in the order of the tree, a directory with the bytes of what is beneath it."""
    sizes: dict[str, int] = {}
    beneath: defaultdict[str, int] = defaultdict(int)
    for path, found in scan(image.union(layers)):
        for name, _, size, _, _ in found:
            sizes[f"{path}/{name}"] = size
        beneath[path] = sum(size for _, _, size, _, _ in found)
    # A directory comes before those below it.
    for path in reversed(beneath):
        if path:
            beneath[path.rpartition("/")[0]] += beneath[path]
    return [
        AnalysisItem(path, size=beneath.get(path, sizes[path]), layer=layer)
        for path in sorted(sizes, key=lambda path: encode(path).split(b"/"))
    ]
