"""
An image archive that is compressed as a whole.

The stream is passed over once at open, in bounded memory, to find the members; their bytes are
then read with random access into the compressed stream.
"""

from __future__ import annotations

from unionlayers._bytes.source import ByteSource
from unionlayers._codec.forward import open_forward
from unionlayers._codec.page_cache import PageCache
from unionlayers._codec.random_access import open_random
from unionlayers._foundation.limits import Limits
from unionlayers._image.tar_store import TarStore

__all__ = ["CompressedStore"]


class CompressedStore(TarStore):
    """
    The members of a compressed tar archive.

    Args:
        source: The archive as stored; the store closes it.
        codec: Its compression.
        label: What errors call it.
        limits: Bounds.

    Raises:
        StreamError: The stream is damaged or ends early.
        TarError: A header is damaged.

    Cost:
        One pass over the archive.
    """

    def __init__(self, source: ByteSource, codec: str, label: str, limits: Limits) -> None:
        self._compressed = source
        with open_forward(source, codec, limits=limits, what="archive") as stream:
            self._index(stream, label, limits)
            stream.drain()
            self.source = open_random(
                source,
                codec,
                size=stream.size if stream.size is not None else stream.position,
                checkpoints=stream.checkpoints,
                pages=PageCache(32 << 20),
                limits=limits,
            )

    def close(self) -> None:
        """Close the archive."""
        self.source.close()
        self._compressed.close()
