"""
The colours of layers: eight that colour-blind people tell apart, and stripes when they are used up.

A colour never stands alone: the index of the layer is written beside or on it.
"""

from __future__ import annotations

from unionlayers._views.display.markup import text

__all__ = ["chip", "fill"]

_COLOURS = 8
_STRIPES = 3


def fill(layer: int) -> str:
    """
    Give the class names of a layer's colour.

    Example:
        >>> fill(2), fill(10)
        ('f2', 'f2 s1')
    """
    around, colour = divmod(layer, _COLOURS)
    stripes = around % _STRIPES
    return f"f{colour} s{stripes}" if stripes else f"f{colour}"


def chip(layer: int, step: str | None = None) -> str:
    """Give a small mark with the index of a layer, which names the build step when pointed at."""
    told = f"layer {layer}" + (f": {text(step)}" if step else "")
    return f'<span class="chip {fill(layer)}" title="{told}">{layer}</span>'
