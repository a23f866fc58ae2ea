"""
Beginning to decode in the middle of a zstd frame, with nothing but the library's own interface.

At a clean boundary (see `clean_boundaries`) four things are left that a decoder must know: the
size of the window, the plain bytes in it, the table of literals, and the three offsets that
sequences can repeat.  A new frame header brings the first, and a dictionary in the format that
trained ones have brings the others, so that the blocks behind the boundary decode as blocks of a
new frame.

The window is at hand wherever the frame is being decoded anyway, and the table is written in some
block before.  The repeat offsets are not to be had, as no library tells them.  Here they are
*measured*: a second decoder is led through the blocks before the boundary, is then given blocks of
our own, which fill its window with bytes that no other place has, and at last sequences that repeat
an offset: what they copy tells where from.

Spec:
    RFC 8878 sections 3.1.1.1, 3.1.1.3.2.1, 3.1.1.5 and 5.
"""

from __future__ import annotations

import os
from struct import Struct

from attrs import evolve, frozen

from unionlayers._codec.engines import zstd
from unionlayers._codec.zstd_frame import FRAME_MAGIC
from unionlayers.errors import StreamError

__all__ = ["Resumption", "WindowFill", "repeat_offsets"]

_HEAD = Struct("<BBBIII")
_LONGEST_HEAD = _HEAD.size + 256
_OFFSETS = Struct("<III")
_LEVEL = 3
_LONGEST_BLOCK = 128 * 1024
# A formatted dictionary has its magic and number, a table of literals, three tables of sequences
# for offsets, match lengths and literal lengths, repeat offsets, content.
_DICTIONARY = b"\x37\xa4\x30\xec" + b"\x01\0\0\0"
# Where no block has set a table of literals: one of two symbols, which is never used.
_NO_TREE = b"\x80\x10"
# Nor are these: two symbols each, with 31 and 1 of 32 states.
_TABLES = b"\xe0\x0f" * 3
# Bytes that the fill of a window does not hold, one before each copy, and how long the copies
# are: the longer ones cannot lie within a shorter one.
_PROBES = ((0, 8), (1, 16), (2, 32))
_MARKS = bytes(mark for mark, _ in _PROBES)


@frozen
class Resumption:
    """
    What a decoder must know at a clean boundary; the payload of a checkpoint of zstd.

    Attributes:
        code: The byte of a frame header that states the size of the window; for a frame without
            one, the smallest that suffices.
        checksum: Whether four bytes of checksum follow the last block of the frame.
        tree: The table of literals as it is written; empty if no block before has set one.
        offsets: The repeat offsets.
        content: The plain bytes before the boundary, as many as the window holds.
    """

    code: int
    checksum: bool
    tree: bytes
    offsets: tuple[int, int, int]
    content: bytes

    @property
    def window(self) -> int:
        """How many bytes the window holds."""
        return _window(self.code)

    def decoder(self, options: dict[int, int]) -> zstd.ZstdDecompressor:
        """Give a decoder that takes the blocks behind the boundary."""
        tables = (self.tree or _NO_TREE) + _TABLES
        head = _DICTIONARY + tables + _OFFSETS.pack(*self.offsets)
        dictionary = zstd.ZstdDict(head + self.content)
        made = zstd.ZstdDecompressor(dictionary.as_undigested_dict, options)
        made.decompress(FRAME_MAGIC + bytes((0, self.code)))
        return made

    def packed(self) -> bytes:
        """Give all of it as bytes to be stored."""
        head = _HEAD.pack(self.code, self.checksum, len(self.tree), *self.offsets)
        return zstd.compress(head + self.tree + self.content, _LEVEL)

    @classmethod
    def of_frame(cls, window: int, *, checksum: bool) -> Resumption:
        """Give what a decoder knows at the start of a frame."""
        code = 0
        while _window(code) < window:
            code += 1
        return cls(code, checksum, b"", (1, 4, 8), b"")

    @classmethod
    def unpacked(cls, packed: bytes, window_bytes: int) -> Resumption:
        """
        Read what `packed` gave.

        Raises:
            StreamError: It is damaged, or its window is larger than *window_bytes*.
        """
        unpacking = zstd.ZstdDecompressor()
        try:
            data = unpacking.decompress(packed, window_bytes + _LONGEST_HEAD)
        except zstd.ZstdError as error:
            raise StreamError(f"a checkpoint is damaged: {error}") from error
        if not unpacking.eof or len(data) < _HEAD.size:
            raise StreamError("a checkpoint is damaged", actual=len(data))
        code, checksum, length, *offsets = _HEAD.unpack_from(data)
        tree = data[_HEAD.size :][:length]
        content = data[_HEAD.size + length :]
        known = min(offsets) > 0 and max(offsets) <= len(content) <= _window(code) <= window_bytes
        if not known:
            raise StreamError("a checkpoint is damaged", actual=len(content))
        three = (offsets[0], offsets[1], offsets[2])
        return cls(code, bool(checksum), tree, three, content)


def _window(code: int) -> int:
    base = 1 << (10 + (code >> 3))
    return base + (base >> 3) * (code & 7)


class WindowFill:
    """
    Blocks that fill a window with bytes no two stretches of which are the same.

    Args:
        window: Bytes of the window.
    """

    __slots__ = ("blocks", "content")

    def __init__(self, window: int) -> None:
        content = b""
        while len(content) < window:
            content += os.urandom(window - len(content) + 4096).translate(None, _MARKS)
        self.content = content
        step = min(window, _LONGEST_BLOCK)
        self.blocks = b"".join(
            (len(piece) << 3).to_bytes(3, "little") + piece
            for at in range(0, len(content), step)
            if (piece := content[at : at + step])
        )


def repeat_offsets(
    start: Resumption, blocks: bytes, fill: WindowFill, options: dict[int, int]
) -> tuple[int, int, int] | None:
    """
    Measure the repeat offsets behind some blocks.

    Args:
        start: What a decoder must know before the blocks, 1 KiB of content at least; all but the
            offsets.
        blocks: The blocks as they are in the frame; the boundary before them is clean.
        fill: For a window of that size.
        options: Of the decoder.

    Returns:
        The offsets; None where they depend on those before the blocks.

    Raises:
        Exception: The library's, if the blocks are damaged.

    Cost:
        Decodes the blocks and fills the window, both twice.
    """
    size = len(start.content)
    # Which offsets were repeated before is not known, so two guesses are made: what comes out the
    # same does not depend on them.  That what is copied from there is wrong does not matter.
    found = [
        _measured(evolve(start, offsets=guess), blocks, fill, options)
        for guess in (
            (size // 2, size // 2 - 11, size // 2 - 57),
            (size // 3, size // 3 - 17, size // 3 - 79),
        )
    ]
    return found[0] if found[0] == found[1] else None


def _measured(
    start: Resumption, blocks: bytes, fill: WindowFill, options: dict[int, int]
) -> tuple[int, int, int] | None:
    decoder = start.decoder(options)
    decoder.decompress(blocks)
    decoder.decompress(fill.blocks)
    known = fill.content
    found = []
    for number, (mark, length) in enumerate(_PROBES):
        copied = decoder.decompress(_probe(number, mark, length))
        if len(copied) != 1 + length or copied[0] != mark:
            return None
        known += copied[:1]
        copied = copied[1:]
        # An offset below the length makes the copy run into itself: the mark comes again.
        again = copied.find(mark)
        where = len(known) - 1 - again if again >= 0 else known.find(copied)
        if where < 0:
            return None
        found.append(len(known) - where)
        known += copied
    return found[0], found[1], found[2]


def _probe(number: int, mark: int, length: int) -> bytes:
    """
    Give a block that puts a mark and then copies from the repeat offset of that number.

    It has one literal and one sequence, with a code of its own for each of its three values.
    """
    literals = bytes((1 << 3, mark))
    offset_code, bits = ((0, 0b1), (1, 0b10), (1, 0b11))[number]
    sequences = bytes((1, 0b01010100, 1, offset_code, length - 3, bits))
    body = literals + sequences
    return (len(body) << 3 | 2 << 1).to_bytes(3, "little") + body
