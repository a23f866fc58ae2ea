"""
Where in a deflate stream a block may begin, found without decoding what comes before.

The header of a dynamic block is improbable enough to be recognised: 3 bits of type, two counts
below 30, and up to 19 code lengths that must make up a complete code.  The search looks at every
bit, but not one by one: the piece is one long integer, a shift by *n* lines up bit *n* of every
place with the place itself, and the sum over the code lengths is made by adders of ``&`` and
``^``, for all places at once.  So the interpreter does a few hundred operations on a piece, and
no other library is needed for it.

What is found here are candidates; `prove_block_start` has the last word.

Spec:
    RFC 1951 sections 3.2.4 and 3.2.7.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence

from unionlayers._codec.deflate_bits import WINDOW_BYTES, inflater_at
from unionlayers._codec.engines import INFLATE_ERRORS

__all__ = ["LOOK_AHEAD", "block_starts", "find_block_start"]

LOOK_AHEAD = 16 * 1024
"""How many bytes from a candidate on are tried."""

_STEP = 8 * 1024
# Bytes after the last place of a step that its header may reach into: 17 + 19 * 3 bits.
_REACH = 12
# The bit of a byte that is 3 bits before the next one.
_STORED_BIT = 5
_FIRST_TRIAL = 1024
_TRIAL_ROOM = 1 << 20
_SOMETHING = re.compile(rb"[^\0]")
# The share of a code of that many bits in a complete code, in 128ths.
_SHARE = (0, 64, 32, 16, 8, 4, 2, 1)
_COMPLETE = 128
Planes = Sequence[int]


def find_block_start(data: bytes, end: int) -> int | None:
    """
    Give the first bit of *data* at which a block very probably begins.

    Args:
        data: A piece of a deflate stream, from any byte on.
        end: The byte to stop the search at; what was found before it may begin up to 64 KiB
            later, and *data* should go on for that and for `LOOK_AHEAD`.

    Returns:
        The bit, counted from the start of *data*; None if there is none.

    Cost:
        About 60 ns per byte that is searched.
    """
    for start in range(0, end, _STEP):
        for bit in block_starts(data, start, min(start + _STEP, end)):
            if _decodes(data, bit):
                return bit
    return None


def block_starts(data: bytes, begin: int, end: int) -> Iterator[int]:
    """
    Give bits at which blocks may begin, found between the bytes *begin* and *end*.

    Found are dynamic blocks with at least 12 code lengths, which no encoder that was looked at
    falls short of for text or programs, and what follows on stored blocks, which include the
    empty ones that pigz and pgzip leave between their pieces.  Last blocks and fixed blocks are
    not looked for.
    """
    window = data[begin : end + _REACH]
    bits = int.from_bytes(window, "little")
    base = begin * 8
    stop = (end - begin) * 8
    for place in heapq.merge(_places(_stored_lengths(bits)), _places(_dynamic_blocks(bits))):
        if place >= stop:
            return
        if place % 8 == _STORED_BIT and (length := _stored_length(window, place)) is not None:
            # Where the header of a stored block begins is not certain: any of its padding could
            # be the start.  Where the block after it begins is.
            yield base + place + 3 + (4 + length) * 8
        if _has_complete_code(window, place):
            yield base + place


def _decodes(data: bytes, bit: int) -> bool:
    """Tell whether data decodes from the bit on, for as far as is looked ahead."""
    byte, shift = divmod(bit, 8)
    if byte >= len(data):
        return False
    try:
        # References reach back into what is not known here; any bytes will do.
        inflater = inflater_at(bytes(WINDOW_BYTES), shift, data[byte])
        byte += bool(shift)
        middle, end = byte + _FIRST_TRIAL, byte + LOOK_AHEAD
        for piece in (data[byte:middle], data[middle:end]):
            # What expands far is taken in steps: only whether it decodes is of interest.
            while piece and not inflater.eof:
                inflater.decompress(piece, _TRIAL_ROOM)
                piece = inflater.unconsumed_tail
    except INFLATE_ERRORS:
        return False
    return True


def _stored_lengths(bits: int) -> int:
    """
    Mark the places 3 bits before what may be the length of a stored block.

    These 3 bits are of its header or of the padding after that, and zero in either case.
    """
    # A length and its complement: all 16 bits differ, at a byte boundary.
    differ = (bits ^ bits >> 16) >> 3
    for width in (1, 2, 4, 8):
        differ &= differ >> width
    boundaries = bytes([1 << _STORED_BIT]) * ((bits.bit_length() + 7) // 8)
    marks = differ & int.from_bytes(boundaries, "little")
    return marks ^ marks & (bits | bits >> 1 | bits >> 2)


def _stored_length(data: bytes, place: int) -> int | None:
    """Give the length of the stored block that `_stored_lengths` marked; None if there is none."""
    at = place // 8 + 1
    word = int.from_bytes(data[at : at + 4], "little")
    length = word & 0xFFFF
    return length if word >> 16 == length ^ 0xFFFF else None


def _dynamic_blocks(bits: int) -> int:
    """Mark the places where a dynamic block may begin, with about 1 in 600 of the others."""
    header = [bits >> place for place in range(17)]
    not_last_not_stored = header[0] | header[1]
    marks = (not_last_not_stored | header[2]) ^ not_last_not_stored
    for count in (4, 9):  # 30 and 31 literal or distance codes too many do not exist
        marks ^= marks & header[count] & header[count + 1] & header[count + 2] & header[count + 3]
    marks &= header[16]  # at least 12 code lengths
    shares = _shares(bits >> 17)
    two = _added(shares, _shifted(shares, 3))
    four = _added(two, _shifted(two, 6))
    total = _added(_added(four, _shifted(four, 12)), _shifted(four, 24))
    for index, present in enumerate(_at_least(header[13:16])):
        total = _added(total, [plane >> 36 + 3 * index & present for plane in shares])
    for plane in total:
        marks ^= marks & plane
    return marks


def _shares(lengths: int) -> list[int]:
    """Give the share of the 3-bit length at each place as planes of the bits 1, 2, 4, 8 and 16."""
    low, middle, high = lengths, lengths >> 1, lengths >> 2
    low_high = low & high
    middle_high = middle & high
    seven = low_high & middle
    return [
        seven,
        middle_high ^ seven,
        low_high ^ seven,
        high ^ (low_high | middle_high),
        low & middle ^ seven,
    ]


def _added(left: Planes, right: Planes) -> list[int]:
    """Add two numbers at every place, both given as planes; what does not fit is lost."""
    total = []
    carry = 0
    for one, other in zip(left, right, strict=True):
        either = one ^ other
        total.append(either ^ carry)
        carry = one & other | either & carry
    return total


def _shifted(planes: Planes, places: int) -> list[int]:
    return [plane >> places for plane in planes]


def _at_least(planes: Planes) -> list[int]:
    """Give for 1 to 7 the places where the 3-bit number is at least that."""
    one, two, four = planes
    some = one | two
    both = one & two
    return [some | four, two | four, both | four, four, four & some, four & two, four & both]


def _places(marks: int) -> Iterator[int]:
    """Give the numbers of the bits that are set, in order."""
    packed = marks.to_bytes((marks.bit_length() + 7) // 8, "little")
    for found in _SOMETHING.finditer(packed):
        at = found.start()
        byte = packed[at]
        while byte:
            lowest = byte & -byte
            yield at * 8 + lowest.bit_length() - 1
            byte ^= lowest


def _has_complete_code(data: bytes, bit: int) -> bool:
    """Tell whether the code lengths of the dynamic block at *bit* make up a complete code."""
    at = bit + 13
    header = int.from_bytes(data[at >> 3 : (at >> 3) + 9], "little") >> (at & 7)
    lengths = header >> 4
    total = 0
    for _ in range((header & 15) + 4):
        total += _SHARE[lengths & 7]
        lengths >>= 3
    return total == _COMPLETE
