"""What a comparison takes: some layers of an image, as one tree."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

from unionlayers._image.image import Image
from unionlayers._image.layer import Layer
from unionlayers._image.layer_stack import LayerChoice
from unionlayers._layers.union import Union

__all__ = ["Comparable", "State", "Viewed", "state_of"]


@frozen(eq=False)
class State:
    """
    A tree, and the image that has its bytes.

    Attributes:
        image: The image.
        union: Some of its layers.
        label: What it is, for people.
    """

    image: Image
    union: Union
    label: str


class Viewed(Protocol):
    """A filesystem over an image, such as `UnionFS`."""

    def compared(self) -> tuple[Image, Union]:
        """Give the image and the stack that is shown."""


Comparable = Image | Layer | Viewed | tuple[Image, LayerChoice]
"""An image, a layer alone, a view, or an image with a choice of its layers."""


def state_of(given: Comparable) -> State:
    """
    Give the tree that is meant.

    Raises:
        TypeError: It is none of what can be compared.
        IndexError: An index of a choice of layers is out of range.
        ClosedError: The image or the view was closed.
    """
    if isinstance(given, Image):
        image, union = given, given.union()
    elif isinstance(given, Layer):
        image, union = given.image, given.image.union([given.index])
    elif isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], Image):
        image, choice = given
        union = image.union(choice)
    elif hasattr(given, "compared"):
        image, union = given.compared()
    else:
        raise TypeError(
            "what is compared is an Image, a Layer, a UnionFS or (image, layers), "
            f"and not {type(given).__name__}"
        )
    image.check_open()
    return State(image, union, _label(image, union))


def _label(image: Image, union: Union) -> str:
    name = ", ".join(image.references) or image.digest or image.id or image.label
    chosen = [slot.layer for slot in union.slots]
    if chosen == [layer.index for layer in image.layers]:
        return name
    if len(chosen) == 1:
        return f"{name} layer {chosen[0]}"
    if chosen and chosen == list(range(chosen[0], chosen[-1] + 1)):
        return f"{name} layers {chosen[0]} to {chosen[-1]}"
    return f"{name} layers {', '.join(map(str, chosen))}" if chosen else f"{name} without layers"
