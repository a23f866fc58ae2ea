"""
The blocks of a zstd frame, looked at without decoding them.

A decoder carries four entropy tables from block to block: one for literals and three for
sequences.  A block sets a table anew, repeats the one before, or does not need it.  The table of
literals is written down in a form that a decoder can be given again.  For the others a boundary is
*clean* if each one that is needed behind it is set there before it is repeated: a decoder that
begins at it need not know them.

Spec:
    RFC 8878 sections 3.1.1.2, 3.1.1.3 and 4.2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from unionlayers.errors import StreamError

__all__ = ["Block", "clean_boundaries", "next_boundary", "read_blocks", "read_tree"]

Look = Callable[[int, int], bytes]
"""Gives so many bytes of the blob at an offset."""

_HEADER = 3
_RUN, _COMPRESSED, _RESERVED = 1, 2, 3
_LONGEST_HEAD = _HEADER + 5
_REPEATED = 3
# One bit for each table, and where in a byte its mode is: literal lengths, offsets, match lengths.
_TABLES = ((1, 6), (2, 4), (4, 2))
_ALL = 7


@frozen
class Block:
    """
    One block of a frame.

    Attributes:
        start: Where its header begins in the blob.
        end: Where the next one would begin.
        last: Whether it is the last of its frame.
        tree: Where the table of literals is written that it sets; None if it sets none.
        sequences: How many sequences it has.
        sets: The tables of sequences that it sets, one bit each.
        repeats: Those of earlier blocks that it needs.
    """

    start: int
    end: int
    last: bool
    tree: int | None
    sequences: int
    sets: int
    repeats: int


def next_boundary(look: Look, boundary: int, position: int) -> tuple[int | None, int | None]:
    """
    Find the first boundary at or behind *position*, walking from one before it.

    Returns:
        Where a block begins, or None if the frame ends before; and where the last table of
        literals on the way is written, or None if there is none.

    Raises:
        StreamError: The blob ends in the middle of the frame.

    Cost:
        One short read a block.
    """
    tree = None
    while boundary < position:
        head = look(boundary, _LONGEST_HEAD)
        last, kind, length = _head(head, boundary)
        if last:
            return None, tree
        if kind == _COMPRESSED:
            literals, size, _ = _literals(head[_HEADER:])
            if literals == _COMPRESSED:
                tree = boundary + _HEADER + size
        boundary += _HEADER + length
    return boundary, tree


def read_blocks(look: Look, boundary: int, most: int) -> list[Block]:
    """
    Give the blocks from a boundary on: *most* of them, or those up to the end of the frame.

    Raises:
        StreamError: The blob ends in the middle of the frame, or a block is damaged.
    """
    blocks: list[Block] = []
    while len(blocks) < most:
        head = look(boundary, _LONGEST_HEAD)
        last, kind, length = _head(head, boundary)
        end = boundary + _HEADER + length
        tree = None
        sequences = sets = repeats = 0
        if kind == _COMPRESSED:
            literals, size, length = _literals(head[_HEADER:])
            if literals == _COMPRESSED:
                tree = boundary + _HEADER + size
            sequences, modes = _sequences(look(boundary + _HEADER + size + length, 4))
            for table, shift in _TABLES if sequences else ():
                if modes >> shift & 3 == _REPEATED:
                    repeats |= table
                else:
                    sets |= table
        blocks.append(Block(boundary, end, last, tree, sequences, sets, repeats))
        if last:
            break
        boundary = end
    return blocks


def clean_boundaries(blocks: Sequence[Block]) -> list[bool]:
    """
    Tell for each block whether the boundary before it is clean.

    What lies behind the last of *blocks* is not known: where a table could still be needed there,
    the boundary counts as not clean.
    """
    found: list[bool] = []
    # What a decoder must know before the block, looked at from the end.
    needed = 0 if not blocks or blocks[-1].last else _ALL
    for block in reversed(blocks):
        needed = needed & ~block.sets | block.repeats
        found.append(not needed)
    return found[::-1]


def read_tree(look: Look, at: int) -> bytes:
    """Give the table of literals that is written at an offset."""
    head = look(at, 1)[0]
    # Lengths of so many codes of half a byte each, or so many bytes of them compressed.
    return look(at, 1 + (head if head < 128 else (head - 126) // 2))


def _head(head: bytes, boundary: int) -> tuple[bool, int, int]:
    """Read the header of a block: whether it is the last, its kind, and the bytes that follow."""
    value = int.from_bytes(head[:_HEADER], "little")
    kind = value >> 1 & 3
    if len(head) < _HEADER or kind == _RESERVED:
        raise StreamError("the zstd stream is damaged: no block begins here", offset=boundary)
    return bool(value & 1), kind, 1 if kind == _RUN else value >> 3


def _literals(head: bytes) -> tuple[int, int, int]:
    """Read the header of a literals section: its kind, its own length, and that of the section."""
    head = head.ljust(5, b"\0")
    kind, form = head[0] & 3, head[0] >> 2 & 3
    if kind < _COMPRESSED:
        size = (1, 2, 1, 3)[form]
        length = int.from_bytes(head[:size], "little") >> (4 if form & 1 else 3)
        return kind, size, 1 if kind == _RUN else length
    size, width = ((3, 10), (3, 10), (4, 14), (5, 18))[form]
    return kind, size, int.from_bytes(head[:size], "little") >> 4 + width & (1 << width) - 1


def _sequences(head: bytes) -> tuple[int, int]:
    """Read the header of a sequences section: how many there are, and the modes of the tables."""
    head = head.ljust(4, b"\0")
    count = head[0]
    if count < 128:
        return count, head[1]
    if count < 255:
        return (count - 128 << 8) + head[1], head[2]
    return int.from_bytes(head[1:3], "little") + 0x7F00, head[3]
