"""
Entering a deflate stream at any bit, and proving that a block begins there.

No binding of a deflate library takes bits, only bytes.  Both tricks here get round that with
blocks that hold nothing: empty blocks in front shift a stream by as many bits as they are long,
and an own last block in place of the rest tells whether a block could begin at that very bit.

Spec:
    RFC 1951 section 3.2.
"""

from __future__ import annotations

import os
from functools import cache

from unionlayers._codec.engines import Inflater, new_inflater

__all__ = ["WINDOW_BYTES", "inflater_at", "prove_block_start"]

WINDOW_BYTES = 32 * 1024
"""How far back deflate refers."""

_RAW = -15
_NONCE_BYTES = 32


def inflater_at(window: bytes, bit: int, first: int) -> Inflater:
    """
    Give an inflater of bare blocks that has begun with a block inside of a byte.

    Args:
        window: The plain bytes before the block, at most the last `WINDOW_BYTES` of them.
        bit: Which bit of its first byte the block begins at, 0 to 7.
        first: That byte, which is used up; with *bit* 0 it is not, and is the next to be fed.

    Example:
        >>> import zlib
        >>> block = zlib.compress(b"hello", wbits=-15)
        >>> shifted = (int.from_bytes(block, "little") << 3).to_bytes(len(block) + 1, "little")
        >>> inflater_at(b"", 3, shifted[0]).decompress(shifted[1:])
        b'hello'
    """
    inflater = new_inflater(_RAW, window)
    if bit:
        value, width = _empty_blocks()[bit]
        value |= (first >> bit) << width
        inflater.decompress(value.to_bytes((width + 8 - bit) // 8, "little"))
    return inflater


def prove_block_start(inflater: Inflater, bit: int, first: int) -> bytes | None:
    """
    Tell whether a block begins at a bit of the next byte, by ending the stream there.

    A last block of our own takes the place of what follows.  Only an inflater between two blocks
    gives its random contents and then is at the end: in the middle of a block the same bits mean
    symbols or literal bytes.  Nobody who made the stream knows the contents beforehand, so that a
    stream cannot be made to pass off another place as the start of a block.

    Args:
        inflater: What has been fed all bytes before that one.  It is used up.
        bit: The bit at which the block should begin, 0 to 7.
        first: The byte that has it.

    Returns:
        What the inflater still had to give before that block; None if no block begins there.

    Raises:
        Exception: One of `INFLATE_ERRORS`, if no block begins there.
    """
    nonce = os.urandom(_NONCE_BYTES)
    lengths = _NONCE_BYTES.to_bytes(2, "little") + (_NONCE_BYTES ^ 0xFFFF).to_bytes(2, "little")
    # Three bits of header, 1 for the last block and 00 for a stored one, then the next byte.
    head = first & ((1 << bit) - 1) | 1 << bit
    data = inflater.decompress(head.to_bytes((bit + 3 + 7) // 8, "little") + lengths + nonce)
    if not inflater.eof or inflater.unused_data or not data.endswith(nonce):
        return None
    data = data[:-_NONCE_BYTES]
    # The end of a stored block that was the last one anyway would give our lengths as contents.
    return None if data.endswith(lengths) else data


@cache
def _empty_blocks() -> tuple[tuple[int, int], ...]:
    """
    Give for each bit 0 to 7 the value and the width of empty blocks that end at that bit.

    An empty fixed block is 10 bits long, an empty dynamic one can be made 91 bits long.
    """
    fixed = _joined((0, 1), (1, 2), (0, 7))
    # Two symbols for code lengths, 18 (so many zeros) and 1, of one bit each; they spell two
    # literal codes (0 and end-of-block) and one distance code of one bit each.
    alphabet = [(0, 3)] * 18
    alphabet[2] = alphabet[17] = (1, 3)
    lengths = [(0, 1), (1, 1), (138 - 11, 7), (1, 1), (117 - 11, 7), (0, 1), (0, 1)]
    end_of_block = (1, 1)
    dynamic = _joined(
        (0, 1), (2, 2), (0, 5), (0, 5), (18 - 4, 4), *alphabet, *lengths, end_of_block
    )
    found: dict[int, tuple[int, int]] = {}
    for odd in ([], [dynamic]):
        for repeats in range(4):
            value, width = _joined(*odd, *[fixed] * repeats)
            found[width % 8] = (value, width)
    return tuple(found[bit] for bit in range(8))


def _joined(*fields: tuple[int, int]) -> tuple[int, int]:
    """Put fields of (value, width) one after the other, the first in the lowest bits."""
    value = width = 0
    for part, bits in fields:
        value |= part << width
        width += bits
    return value, width
