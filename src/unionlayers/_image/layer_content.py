"""The tar of a layer that is read from files of a store, each of which may fail on its own."""

from __future__ import annotations

from unionlayers._bytes.source import ByteSource, SourceIdentity
from unionlayers.errors import UnionLayersError

__all__ = ["LayerContent"]


class LayerContent:
    """
    A source whose errors say which layer of the image it is.

    Args:
        source: The bytes; they are closed with this.
        layer: The index of the layer.
    """

    __slots__ = ("_layer", "_source", "size")

    identity: SourceIdentity | None = None
    size: int

    def __init__(self, source: ByteSource, layer: int) -> None:
        self.size = source.size
        self._source = source
        self._layer = layer

    def pread(self, offset: int, length: int) -> bytes:
        """Read *length* bytes at *offset*; see `AssembledSource.pread`."""
        try:
            return self._source.pread(offset, length)
        except UnionLayersError as error:
            if error.layer is None:
                error.layer = self._layer
            raise

    def close(self) -> None:
        """Close the source."""
        self._source.close()
