"""
An image archive that is compressed as a whole.

The stream is passed over once at open, in bounded memory, to find the members; their bytes are
then read with random access into the compressed stream.
"""

from __future__ import annotations

from collections.abc import Iterator

from unionlayers._bytes.source import ByteSource
from unionlayers._codec.forward import open_forward
from unionlayers._codec.page_cache import shared_pages
from unionlayers._codec.random_access import open_random
from unionlayers._foundation.limits import Limits
from unionlayers._image.listing import Remnant
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
        self._limits = limits
        with open_forward(source, codec, limits=limits, what="archive") as stream:
            self._index(stream, label, limits)
            stream.drain()
            self._trailing = stream.trailing
            self.source = open_random(
                source,
                codec,
                size=stream.size if stream.size is not None else stream.position,
                checkpoints=stream.checkpoints,
                pages=shared_pages(),
                limits=limits,
            )

    @property
    def trailing(self) -> int:
        """Compressed bytes behind the end of the stream that belong to nothing."""
        return self._trailing

    def find(self, name: str) -> ByteSource | None:
        """
        Give the bytes of a member; the archive stays open when they are closed.

        Raises:
            SourceChangedError: The archive is not what it was when it was opened.
        """
        # What is at hand of it already says nothing of the file by now.
        self._compressed.pread(0, 0)
        return super().find(name)

    def remnants(self) -> Iterator[Remnant]:
        """Give what lies between the members, behind the end of the tar and behind the stream."""
        yield from super().remnants()
        if self._trailing:
            offset = self._compressed.size - self._trailing
            yield Remnant("after stream", offset, self._trailing, self._compressed)

    def close(self) -> None:
        """Close the archive."""
        self.source.close()
        self._compressed.close()
