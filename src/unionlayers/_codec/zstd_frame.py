"""
The header of a zstd frame: the memory it asks for, read before that memory is given.

Spec:
    RFC 8878 section 3.1.1.1.
"""

from __future__ import annotations

from attrs import frozen

__all__ = ["FRAME_HEADER_BYTES", "FRAME_MAGIC", "FrameHeader", "parse_frame_header"]

FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
FRAME_HEADER_BYTES = 18
"""The longest frame header, magic included."""


@frozen
class FrameHeader:
    """
    What the first bytes of a frame say.

    Attributes:
        length: Bytes of the header, magic included.
        window: Bytes of plain data that a decoder must keep.
        content: Plain bytes of the whole frame; None where the header does not tell.
        dictionary: The number of the dictionary that is needed; 0 for none.
        checksum: Whether four bytes of checksum follow the last block.
    """

    length: int
    window: int
    content: int | None
    dictionary: int
    checksum: bool


def parse_frame_header(head: bytes) -> FrameHeader | None:
    """
    Read the header that *head* begins with; None if *head* is too short for it.

    Example:
        >>> parse_frame_header(bytes.fromhex("28b52ffd0058"))
        FrameHeader(length=6, window=2097152, content=None, dictionary=0, checksum=False)
    """
    if len(head) < 5:
        return None
    descriptor = head[4]
    single_segment = descriptor >> 5 & 1
    dictionary_bytes = (0, 1, 2, 4)[descriptor & 3]
    content_bytes = (single_segment, 2, 4, 8)[descriptor >> 6]
    at = 5
    length = at + (1 - single_segment) + dictionary_bytes + content_bytes
    if len(head) < length:
        return None
    window = 0
    if not single_segment:
        base = 1 << (10 + (head[at] >> 3))
        window = base + (base >> 3) * (head[at] & 7)
        at += 1
    dictionary = int.from_bytes(head[at : at + dictionary_bytes], "little")
    at += dictionary_bytes
    content = None
    if content_bytes:
        content = int.from_bytes(head[at : at + content_bytes], "little")
        if content_bytes == 2:
            content += 256
        if single_segment:
            window = content
    return FrameHeader(length, window, content, dictionary, bool(descriptor >> 2 & 1))
