"""
Zstandard: frames one after the other, with skippable frames anywhere, also first.

The window that a frame asks for is read from its header and bounded before a decoder for it is
made.  Unlike with gzip, nothing may follow the last frame.
"""

from __future__ import annotations

from unionlayers._codec.checkpoint import CheckpointLog
from unionlayers._codec.decoder import DECODER_WEIGHT, Member, MemberDecoder
from unionlayers._codec.engines import zstd
from unionlayers._codec.intake import Intake
from unionlayers._codec.zstd_frame import FRAME_HEADER_BYTES, FRAME_MAGIC, parse_frame_header
from unionlayers._foundation.limits import exceeded

__all__ = ["ZstdDecoder", "frame_options"]

_SKIPPABLE = b"\x2a\x4d\x18"
_SKIPPABLE_HEADER = 8


class ZstdDecoder(MemberDecoder):
    """
    The decoder of Zstandard.

    Args:
        intake: The compressed bytes.
        log: Takes the starts of frames as checkpoints.
        offset: Plain bytes before that place.
        window_bytes: The largest window that a frame may ask for.

    Raises:
        LimitError: A frame asks for a larger window.

    Spec:
        RFC 8878 sections 3.1.1 and 3.1.2 (case K5).
    """

    __slots__ = ("_options", "_window_bytes")

    codec = "zstd"
    _errors = (zstd.ZstdError,)

    def __init__(
        self, intake: Intake, log: CheckpointLog, offset: int = 0, *, window_bytes: int
    ) -> None:
        super().__init__(intake, log, offset)
        self._window_bytes = window_bytes
        self._options = frame_options(window_bytes)

    def _next_member(self) -> Member | None:
        intake = self.intake
        while head := intake.peek(FRAME_HEADER_BYTES):
            if head[:4] == FRAME_MAGIC:
                return self._frame(head)
            if head[0] >> 4 != 5 or head[1:4] != _SKIPPABLE[: len(head) - 1]:
                if FRAME_MAGIC.startswith(head):
                    raise self._early_end()
                raise self._damaged("no frame begins here")
            if len(head) < _SKIPPABLE_HEADER:
                raise self._early_end()
            length = int.from_bytes(head[4:_SKIPPABLE_HEADER], "little")
            if not intake.skip(_SKIPPABLE_HEADER + length):
                raise self._early_end()
        return None

    def _frame(self, head: bytes) -> Member:
        header = parse_frame_header(head)
        if header is None:
            raise self._early_end()
        if header.window > self._window_bytes:
            exceeded("window_bytes", self._window_bytes, header.window, offset=self.intake.position)
        if header.dictionary:
            raise self._damaged(f"it needs the dictionary {header.dictionary}")
        self.weight = DECODER_WEIGHT + header.window
        self._log.add_start(self.intake.position, self.offset)
        return zstd.ZstdDecompressor(options=self._options)


def frame_options(window_bytes: int) -> dict[int, int]:
    """Give the options that let the library decode frames with windows up to *window_bytes*."""
    parameter = zstd.DecompressionParameter.window_log_max
    lowest, highest = parameter.bounds()
    wanted = max(window_bytes - 1, 1).bit_length()
    return {parameter: min(max(wanted, lowest), highest)}
