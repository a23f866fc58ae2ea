"""Cutting what a decoder gives into pages."""

from __future__ import annotations

from unionlayers._codec.decoder import Decoder
from unionlayers._codec.page_cache import PAGE_BYTES
from unionlayers.errors import StreamError

__all__ = ["next_page"]


def next_page(decoder: Decoder, size: int) -> bytes:
    """
    Decode to the end of the page in which *decoder* stands.

    Args:
        decoder: What to drive.
        size: Plain bytes of the whole stream, where the last page ends.

    Returns:
        The bytes from where it stood; a whole page if that was the start of one.

    Raises:
        StreamError: The stream is damaged, or ends before *size*.
    """
    start = decoder.offset
    end = min(start - start % PAGE_BYTES + PAGE_BYTES, size)
    data = decoder.some(end - start)
    if decoder.offset == end:
        return data
    parts = [data]
    while decoder.offset < end:
        data = decoder.some(end - decoder.offset)
        if not data:
            raise StreamError(
                "the stream is shorter than it was when it was indexed",
                offset=decoder.intake.position,
                expected=size,
                actual=decoder.offset,
            )
        parts.append(data)
    return b"".join(parts)
