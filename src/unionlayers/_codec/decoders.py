"""Which decoder a codec has, from the start of a blob or from a checkpoint in it."""

from __future__ import annotations

from unionlayers._codec.checkpoint import Checkpoint, CheckpointLog
from unionlayers._codec.decoder import Decoder, IdentityDecoder
from unionlayers._codec.gzip import GzipDecoder
from unionlayers._codec.intake import Intake
from unionlayers._codec.xz import Bzip2Decoder, XzDecoder
from unionlayers._codec.zstd import ZstdDecoder
from unionlayers._foundation.limits import Limits

__all__ = ["SPACING", "new_decoder"]

SPACING = 4 << 20
"""
A good distance between checkpoints in the middle of gzip members, in plain bytes.

A read decodes half of it on average, some 3 ms; making the checkpoints adds about a quarter to
the time of a pass, and they take up 2 to 3 MB for each GB of plain bytes.
"""


def new_decoder(
    codec: str,
    intake: Intake,
    limits: Limits,
    log: CheckpointLog,
    start: Checkpoint | None = None,
) -> Decoder:
    """
    Give a decoder that begins at the start of a blob or at a checkpoint in it.

    Args:
        codec: One of `CODECS`.
        intake: The compressed bytes, at the byte in which the decoder begins.
        limits: ``window_bytes`` of it is held.
        log: Takes the checkpoints that are come upon or made.
        start: The checkpoint; None for the start of the blob.

    Raises:
        ValueError: *codec* is none of `CODECS`.
        StreamError: The checkpoint is damaged.
    """
    offset = 0 if start is None else start.offset
    window_bytes = limits.window_bytes
    match codec:
        case "identity":
            return IdentityDecoder(intake)
        case "gzip":
            return GzipDecoder(intake, log, start)
        case "zstd":
            return ZstdDecoder(intake, log, start, window_bytes=window_bytes)
        case "xz":
            return XzDecoder(intake, log, offset, window_bytes=window_bytes)
        case "bzip2":
            return Bzip2Decoder(intake, log, offset)
    raise ValueError(f"no codec is called {codec!r}")
