"""
gzip: members one after the other, read as one stream.

Headers and trailers are read here and only the blocks between them are given to the inflating
library.  So one decoder begins at a member as well as between two blocks, and it can hand over to
a new inflater in the middle, which is how checkpoints are made.

Every member carries the CRC and the length of its contents, and both are compared at its end.
Zero padding after the last member is no data, and anything else there is counted in ``trailing``
and left alone.
"""

from __future__ import annotations

from unionlayers._codec.checkpoint import Checkpoint, CheckpointLog
from unionlayers._codec.decoder import DECODER_WEIGHT
from unionlayers._codec.deflate_bits import inflater_at
from unionlayers._codec.engines import INFLATE_ERRORS, Inflater, crc32
from unionlayers._codec.gzip_checkpoints import CheckpointMaker, unpack_window
from unionlayers._codec.gzip_header import MEMBER_MAGIC, pass_header
from unionlayers._codec.intake import Intake
from unionlayers.errors import StreamError

__all__ = ["GzipDecoder"]

_TRAILER = 8
_FIRST_STEP = 4 * 1024
_LAST_STEP = 64 * 1024


class GzipDecoder:
    """
    The decoder of gzip.

    Args:
        intake: The compressed bytes, at the byte in which *start* lies.
        log: Takes the checkpoints that are come upon or made.
        start: Where to begin; the start of the blob if None.  A member that is entered in the
            middle is not compared with its CRC.

    Spec:
        RFC 1952 section 2.2 (members, case K2).  Garbage after the last member is accepted as
        Docker and containerd do through ``unpigz`` (case K3); a member after zero padding is
        garbage too, as for ``gzip`` and ``pigz``.
    """

    __slots__ = (
        "_crc",
        "_held",
        "_inflater",
        "_log",
        "_maker",
        "_member_offset",
        "_step",
        "intake",
        "offset",
        "trailing",
        "weight",
    )

    def __init__(
        self,
        intake: Intake,
        log: CheckpointLog,
        start: Checkpoint | None = None,
    ) -> None:
        self.intake = intake
        self.offset = 0 if start is None else start.offset
        self.trailing = 0
        self.weight = DECODER_WEIGHT
        self._log = log
        self._step = _FIRST_STEP
        self._inflater: Inflater | None = None
        self._crc: int | None = None
        self._held = b""
        self._member_offset = 0
        self._maker = CheckpointMaker(log) if log.spacing is not None else None
        if start is not None and start.window:
            window = unpack_window(start.window)
            if self._maker is not None:
                self._maker.begin(start.bit_offset, start.offset, window)
            bit = start.bit_offset % 8
            first = intake.peek(1) or b"\0"
            try:
                self._inflater = inflater_at(window, bit, first[0])
            except INFLATE_ERRORS as error:
                raise StreamError(
                    f"a checkpoint is damaged: {error}", offset=intake.position
                ) from error
            intake.advance(bool(bit))

    def some(self, room: int) -> bytes:
        """Give the next bytes; see `Decoder.some`."""
        try:
            return self._some(room)
        except INFLATE_ERRORS as error:
            raise StreamError(
                f"the gzip stream is damaged: {error}", offset=self.intake.position
            ) from error

    def _some(self, room: int) -> bytes:
        intake = self.intake
        maker = self._maker
        if self._held:
            return self._from_held(room)
        while True:
            inflater = self._inflater
            if inflater is None:
                if not self._next_member():
                    return b""
                continue
            step = self._step
            if maker is not None and self.offset >= maker.due:
                lead = maker.lead(intake, self.offset)
                if not lead:
                    data, self._inflater = maker.cross(intake, inflater, self.offset)
                    self._given(data)
                    # There may be more than there is room for.
                    self._held = data
                    self.offset -= len(data)
                    if data:
                        return self._from_held(room)
                    continue
                step = min(step, lead)
            piece = intake.some(step)
            data = inflater.decompress(piece, room)
            if inflater.eof:
                intake.advance(len(piece) - len(inflater.unused_data))
                self._given(data)
                self._end_member()
            else:
                intake.advance(len(piece) - len(inflater.unconsumed_tail))
                if not piece and not data:
                    raise StreamError("the gzip stream ends early", offset=intake.position)
                # Little at first: what a short member leaves over is copied by the library.
                self._step = min(self._step * 2, _LAST_STEP)
                self._given(data)
            if data:
                return data

    def _from_held(self, room: int) -> bytes:
        data, self._held = self._held[:room], self._held[room:]
        self.offset += len(data)
        return data

    def _given(self, data: bytes) -> bytes:
        """Take note of the next plain bytes."""
        self.offset += len(data)
        if self._crc is not None:
            self._crc = crc32(data, self._crc)
        if self._maker is not None:
            self._maker.saw(data)
        return data

    def _next_member(self) -> bool:
        """Begin with the next member and tell whether there is one."""
        intake = self.intake
        head = intake.peek(len(MEMBER_MAGIC))
        if head != MEMBER_MAGIC:
            self._end(head)
            return False
        self._log.add_start(intake.position, self.offset)
        pass_header(intake)
        self._inflater = inflater_at(b"", 0, 0)
        self._step = _FIRST_STEP
        self._crc = 0
        self._member_offset = self.offset
        if self._maker is not None:
            self._maker.begin(intake.position * 8, self.offset, b"")
        return True

    def _end_member(self) -> None:
        """Compare what was given with the trailer of the member, if all of it was given here."""
        self._inflater = None
        trailer = self.intake.peek(_TRAILER)
        if len(trailer) < _TRAILER:
            raise StreamError("the gzip stream ends early", offset=self.intake.position)
        self.intake.advance(_TRAILER)
        if self._crc is None:
            return
        found = (self._crc, self.offset - self._member_offset & 0xFFFFFFFF)
        stored = (int.from_bytes(trailer[:4], "little"), int.from_bytes(trailer[4:], "little"))
        if found != stored:
            raise StreamError(
                "the gzip stream is damaged: a member fails its CRC or length",
                offset=self.intake.position - _TRAILER,
                expected=f"{stored[0]:08x}:{stored[1]}",
                actual=f"{found[0]:08x}:{found[1]}",
            )

    def _end(self, head: bytes) -> None:
        """Make sure that nothing more follows, or else count it; *head* is no magic."""
        if not head or self.trailing:
            return
        intake = self.intake
        if not intake.position:
            raise StreamError("not a gzip stream", offset=0)
        if MEMBER_MAGIC.startswith(head):
            raise StreamError("the gzip stream ends early", offset=intake.position)
        count = 0
        padding = True
        while piece := bytes(intake.some(_LAST_STEP)):
            padding = padding and not piece.strip(b"\0")
            count += len(piece)
            intake.advance(len(piece))
        self.trailing = 0 if padding else count
