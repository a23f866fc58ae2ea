"""The layers of an image as a bar of their stored bytes and as a table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from unionlayers._image.image import Image
from unionlayers._image.layer import Layer
from unionlayers._views.display.bar import Part, bar
from unionlayers._views.display.markup import amount, block, note, text
from unionlayers._views.display.palette import chip, fill
from unionlayers.errors import UnionLayersError

__all__ = ["layer_table", "shown_bar", "stored_bar", "stored_size"]

_MOST_LAYERS = 60


def stored_size(layer: Layer) -> int | None:
    """Give the bytes of a layer as stored, None where the source lacks it."""
    if layer.image.lacks(layer.index):
        return None  # Its size stands in the documents all the same.
    try:
        return layer.size
    except UnionLayersError:
        # Said by name in the table, and raised to whoever asks for the content.
        return None


def stored_bar(layers: Sequence[Layer]) -> str:
    """Give a bar of the bytes of layers as stored, base first."""
    parts = (
        Part(stored_size(layer) or 0, fill(layer.index), str(layer.index), _told(layer))
        for layer in layers
    )
    return bar(list(parts), "Bytes of each layer as stored, base first")


def shown_bar(image: Image, sizes: Mapping[int, int]) -> str:
    """Give a bar of the bytes that each layer has in what is shown, by its index."""
    parts = [
        Part(size, fill(layer), str(layer), _told(image.layers[layer]))
        for layer, size in sorted(sizes.items())
    ]
    return bar(parts, "Bytes that are shown of each layer, base first")


def layer_table(image: Image, shown: Collection[int], sizes: Mapping[int, int] | None) -> str:
    """
    Give the layers with their steps, base first.

    Args:
        image: Whose layers they are.
        shown: Indexes of the layers that are spoken of.
        sizes: Bytes that are shown of each, if that is known.
    """
    chosen = [image.layers[index] for index in sorted(shown)]
    told = chosen
    if len(chosen) > _MOST_LAYERS:
        half = _MOST_LAYERS // 2
        told = [*chosen[:half], *chosen[-half:]]
    head = ["layer", "stored", *(["shown"] if sizes is not None else []), "created", "build step"]
    numeric = range(1, 3 if sizes is not None else 2)
    table = block(head, _rows(told, sizes), "Layers, base first", numeric=numeric)
    left = len(chosen) - len(told)
    if left:
        table += note(f"… {left:,} layers in the middle are not shown.")
    return table


def _rows(layers: Sequence[Layer], sizes: Mapping[int, int] | None) -> Iterator[list[str]]:
    for layer in layers:
        size = stored_size(layer)
        yield [
            chip(layer.index, layer.created_by),
            "absent" if size is None else amount(size),
            *([amount(sizes.get(layer.index, 0))] if sizes is not None else []),
            "" if layer.created is None else _one(f"{layer.created:%Y-%m-%d}"),
            f"<code>{text(' '.join(layer.created_by.split()))}</code>" if layer.created_by else "",
        ]


def _one(told: str) -> str:
    return f'<span class="one">{told}</span>'


def _told(layer: Layer) -> str:
    step = " ".join((layer.created_by or "").split())
    return f"layer {layer.index}" + (f": {text(step, 80)}" if step else "")
