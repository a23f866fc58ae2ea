"""Places inside of a compressed stream at which decoding can begin."""

from __future__ import annotations

from attrs import frozen

__all__ = ["Checkpoint"]


@frozen
class Checkpoint:
    """
    One place at which a decoder can begin.

    Attributes:
        bit_offset: Where in the compressed blob, in bits; a multiple of 8 except for gzip.
        offset: Where in the plain bytes, in bytes.
        window: What a decoder must know of the bytes before, packed, to be stored as it is; empty
            at the start of a member or frame, where nothing need be known.
    """

    bit_offset: int
    offset: int
    window: bytes
