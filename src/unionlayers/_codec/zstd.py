"""
Zstandard: frames one after the other, with skippable frames anywhere, also first.

The window that a frame asks for is read from its header and bounded before a decoder for it is
made.  Unlike with gzip, nothing may follow the last frame.  Long frames are given checkpoints on
the way.
"""

from __future__ import annotations

from unionlayers._codec.checkpoint import Checkpoint, CheckpointLog
from unionlayers._codec.decoder import DECODER_WEIGHT, Member, MemberDecoder
from unionlayers._codec.engines import zstd
from unionlayers._codec.intake import Intake
from unionlayers._codec.zstd_checkpoints import LARGEST_WINDOW, ZstdCheckpointMaker
from unionlayers._codec.zstd_frame import FRAME_HEADER_BYTES, FRAME_MAGIC, parse_frame_header
from unionlayers._codec.zstd_resume import Resumption
from unionlayers._foundation.limits import exceeded
from unionlayers.errors import StreamError

__all__ = ["ZstdDecoder", "frame_options"]

_SKIPPABLE = b"\x2a\x4d\x18"
_SKIPPABLE_HEADER = 8
_CHECKSUM = 4


class ZstdDecoder(MemberDecoder):
    """
    The decoder of Zstandard.

    Args:
        intake: The compressed bytes, at *start*.
        log: Takes the starts of frames, and the checkpoints that are made within them.
        start: Where to begin; the start of the blob if None.  A frame that is entered in the
            middle is not compared with its checksum.
        window_bytes: The largest window that a frame may ask for.

    Raises:
        LimitError: A frame asks for a larger window.

    Spec:
        RFC 8878 sections 3.1.1 and 3.1.2 (case K5).
    """

    __slots__ = ("_maker", "_options", "_unchecked", "_window_bytes")

    codec = "zstd"
    _errors = (zstd.ZstdError,)

    def __init__(
        self,
        intake: Intake,
        log: CheckpointLog,
        start: Checkpoint | None = None,
        *,
        window_bytes: int,
    ) -> None:
        super().__init__(intake, log, 0 if start is None else start.offset)
        self._window_bytes = window_bytes
        self._options = frame_options(window_bytes)
        self._maker: ZstdCheckpointMaker | None = None
        # Whether the checksum of the frame has to be passed over here.
        self._unchecked = False
        if start is not None and start.window:
            resumption = Resumption.unpacked(start.window, window_bytes)
            try:
                self._member = resumption.decoder(self._options)
            except zstd.ZstdError as error:
                raise StreamError(
                    f"a checkpoint is damaged: {error}", offset=intake.position
                ) from error
            self._unchecked = resumption.checksum
            self._enter(resumption, intake.position)

    def _next_member(self) -> Member | None:
        intake = self.intake
        if self._unchecked:
            self._unchecked = False
            if not intake.skip(_CHECKSUM):
                raise self._early_end()
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
        start = self.intake.position
        self._log.add_start(start, self.offset)
        if header.content is None or header.content > (self._log.spacing or 0):
            begin = Resumption.of_frame(header.window, checksum=header.checksum)
            self._enter(begin, start + header.length)
        else:
            self._maker = None
            self.weight = DECODER_WEIGHT + header.window
        return zstd.ZstdDecompressor(options=self._options)

    def _enter(self, start: Resumption, boundary: int) -> None:
        """Make checkpoints in a frame from a boundary on, if they are wanted and can be made."""
        self._maker = None
        self.weight = DECODER_WEIGHT + start.window
        if self._log.spacing is None:
            return
        if start.window > LARGEST_WINDOW:
            self._log.barren = True
            return
        # The maker holds as much as the decoder itself.
        self.weight += start.window
        self._maker = ZstdCheckpointMaker(self._log, start, boundary, self.offset, self._options)

    def _most(self) -> int:
        if self._maker is None:
            return self._step
        return min(self._step, self._maker.lead(self.intake, self.offset))

    def some(self, room: int) -> bytes:
        """Give the next bytes; see `Decoder.some`."""
        data = super().some(room)
        if data and self._maker is not None:
            self._maker.saw(data, self.offset)
        return data


def frame_options(window_bytes: int) -> dict[int, int]:
    """Give the options that let the library decode frames with windows up to *window_bytes*."""
    parameter = zstd.DecompressionParameter.window_log_max
    lowest, highest = parameter.bounds()
    wanted = max(window_bytes - 1, 1).bit_length()
    return {parameter: min(max(wanted, lowest), highest)}
