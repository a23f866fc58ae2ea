"""What reading content has found out, kept for later processes when an image is closed."""

from __future__ import annotations

from attrs import frozen

from unionlayers._codec.checkpoint import Checkpoint
from unionlayers._codec.random_access import RandomSource
from unionlayers._image.stored_layers import StoredLayers
from unionlayers._tar.index import LayerIndex

__all__ = ["Harvest"]


@frozen(eq=False)
class Harvest:
    """
    Keeps the checkpoints that reading one layer has made.

    Args:
        stored: Where to.
        index: The record of the layer.
        content: What is read through.
        known: The checkpoints that there were at first.
    """

    stored: StoredLayers
    index: LayerIndex
    content: RandomSource
    known: tuple[Checkpoint, ...]

    def __call__(self) -> None:
        """Keep them, if there are others than there were."""
        points = self.content.checkpoints
        if {point.offset for point in points} - {point.offset for point in self.known}:
            self.stored.keep_checkpoints(self.index, points)
