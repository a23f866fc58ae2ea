"""
The header of a gzip member: fields of which none says anything about a layer, passed over.

Spec:
    RFC 1952 section 2.3.
"""

from __future__ import annotations

import zlib

from unionlayers._codec.intake import Intake
from unionlayers.errors import StreamError

__all__ = ["MEMBER_MAGIC", "pass_header"]

MEMBER_MAGIC = b"\x1f\x8b\x08"
"""What a member begins with: two bytes of magic, then the only method there is."""

_FIXED = 10
_HEADER_CRC = 2
_EXTRA = 4
_NAME = 8
_COMMENT = 16
_RESERVED = 0xE0
_PIECE = 64 * 1024


def pass_header(intake: Intake) -> None:
    """
    Take the header of the member that begins here, `MEMBER_MAGIC` included.

    Raises:
        StreamError: The header ends early, its CRC differs, or it has flags that mean nothing.
    """
    head = intake.peek(_FIXED)
    flags = head[3] if len(head) == _FIXED else 0
    if flags & _RESERVED:
        raise StreamError(
            "the gzip stream is damaged: unknown flags in a header", offset=intake.position
        )
    crc = _taken(intake, _FIXED, 0)
    if flags & _EXTRA:
        length = int.from_bytes(intake.peek(2), "little")
        crc = _taken(intake, 2 + length, crc)
    for text in (_NAME, _COMMENT):
        if flags & text:
            crc = _text_taken(intake, crc)
    if flags & _HEADER_CRC:
        stored = intake.peek(2)
        _taken(intake, 2, 0)
        if int.from_bytes(stored, "little") != crc & 0xFFFF:
            raise StreamError(
                "the gzip stream is damaged: a header fails its CRC", offset=intake.position
            )


def _taken(intake: Intake, length: int, crc: int) -> int:
    """Take *length* bytes and give the CRC with them."""
    while length:
        piece = intake.take(length)
        if not piece:
            raise StreamError("the gzip stream ends early", offset=intake.position)
        crc = zlib.crc32(piece, crc)
        length -= len(piece)
    return crc


def _text_taken(intake: Intake, crc: int) -> int:
    """Take all to the next zero byte and that as well, and give the CRC with them."""
    while piece := bytes(intake.some(_PIECE)):
        length = piece.find(b"\0") + 1
        crc = _taken(intake, length or len(piece), crc)
        if length:
            return crc
    raise StreamError("the gzip stream ends early", offset=intake.position)
