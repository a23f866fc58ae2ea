"""
The stored form of the checkpoints of one blob.

They are made while content is read, and so stand in a file of their own: what wants only metadata
never looks at it.  Those who make checkpoints add only such as they have tried, so that nothing is
stored that was not.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import pairwise

from unionlayers._codec.checkpoint import Checkpoint
from unionlayers._codec.packed import Packer, Unpacker
from unionlayers._codec.section_file import DamagedFileError, SectionFile, pack_sections

__all__ = ["FORMAT", "pack_checkpoints", "unpack_checkpoints"]

FORMAT = 1
"""Version of the form, and of what the windows of the checkpoints hold."""

_KIND = "ckpt"


def pack_checkpoints(
    blob_digest: str, codec: str, size: int, checkpoints: Sequence[Checkpoint]
) -> list[bytes]:
    """
    Give the file of checkpoints as pieces to be written one after the other.

    Args:
        blob_digest: Digest of the compressed blob that they lead into.
        codec: Its compression.
        size: Its plain bytes.
        checkpoints: Those that are known, by rising offset.
    """
    facts = Packer()
    facts.text(blob_digest)
    facts.text(codec)
    facts.number(size)
    starts = array("Q", [0])
    for point in checkpoints:
        starts.append(starts[-1] + len(point.window))
    return pack_sections(
        _KIND,
        FORMAT,
        [
            ("fact", bytes(facts.data)),
            ("bits", array("Q", (point.bit_offset for point in checkpoints))),
            ("offs", array("Q", (point.offset for point in checkpoints))),
            ("wsta", starts),
            ("wind", b"".join(point.window for point in checkpoints)),
        ],
    )


def unpack_checkpoints(
    data: memoryview, *, blob_digest: str, codec: str, blob_size: int, size: int
) -> tuple[Checkpoint, ...]:
    """
    Give the checkpoints that `pack_checkpoints` packed.

    Args:
        data: The file.
        blob_digest: The blob that they must lead into.
        codec: Its compression.
        blob_size: Its bytes.
        size: Its plain bytes.

    Raises:
        DamagedFileError: The file is not as it was written, or is of another blob.
    """
    file = SectionFile(data, _KIND, FORMAT)
    facts = Unpacker(file.raw("fact"))
    if (facts.text(), facts.text(), facts.number()) != (blob_digest, codec, size):
        raise DamagedFileError("checkpoints of another blob")
    bits, offsets = file.column("bits", "Q"), file.column("offs", "Q")
    starts, windows = file.column("wsta", "Q"), file.raw("wind")
    if not len(bits) == len(offsets) == len(starts) - 1 or starts[0] or starts[-1] != len(windows):
        raise DamagedFileError("sections do not fit each other")
    for column, most in ((bits, 8 * blob_size), (offsets, size), (starts, len(windows))):
        rising = all(low <= high for low, high in pairwise(column))
        if not rising or (len(column) and column[-1] > most):
            raise DamagedFileError("a checkpoint outside of the blob")
    return tuple(
        Checkpoint(bit, offset, bytes(windows[start:end]))
        for bit, offset, (start, end) in zip(bits, offsets, pairwise(starts), strict=True)
    )
