"""Which page an object has."""

from __future__ import annotations

from typing import Any

from unionlayers._image.changes import Changes
from unionlayers._image.hidden import Hidden
from unionlayers._image.image import Image
from unionlayers._image.layer import Layer
from unionlayers._image.waste import Waste
from unionlayers._layers.union import Union
from unionlayers._views.display.image_page import image_page, layer_page, view_page
from unionlayers._views.display.list_pages import (
    changes_page,
    hidden_page,
    images_page,
    waste_page,
)

__all__ = ["html_of", "html_of_view"]


def html_of(shown: Any) -> str:
    """
    Give what an object shows in a notebook.

    Args:
        shown: An image, a layer, changes, hidden entries, waste, or a list of summaries.
    """
    if isinstance(shown, Image):
        return image_page(shown)
    if isinstance(shown, Layer):
        return layer_page(shown)
    if isinstance(shown, Changes):
        return changes_page(shown)
    if isinstance(shown, Hidden):
        return hidden_page(shown)
    if isinstance(shown, Waste):
        return waste_page(shown)
    if isinstance(shown, list):
        return images_page(shown)
    raise TypeError(f"{type(shown).__name__} has no page")


def html_of_view(image: Image, union: Union, *, what: str, closed: bool) -> str:
    """
    Give what a view over some layers of an image shows in a notebook.

    Args:
        image: The image.
        union: What the view shows.
        what: What that is, for people.
        closed: Whether it was closed.
    """
    return view_page(image, union, what=what, closed=closed)
