"""
gzip: members one after the other, read as one stream.

Every member carries the CRC and the length of its contents, and the inflating library compares
both when it reaches the end of the member.  Zero padding after the last member is no data, and
anything else there is counted in ``trailing`` and left alone.
"""

from __future__ import annotations

from unionlayers._codec.engines import INFLATE_ERRORS, Inflater, new_inflater
from unionlayers._codec.intake import Intake
from unionlayers.errors import StreamError

__all__ = ["GzipDecoder"]

_MAGIC = b"\x1f\x8b\x08"
_GZIP = 31
_FIRST_STEP = 4 * 1024
_LAST_STEP = 64 * 1024


class GzipDecoder:
    """
    The decoder of gzip.

    Spec:
        RFC 1952 section 2.2 (members, case K2).  Garbage after the last member is accepted as
        Docker and containerd do through ``unpigz`` (case K3); a member after zero padding is
        garbage too, as for ``gzip`` and ``pigz``.
    """

    __slots__ = ("_member", "_step", "intake", "offset", "trailing")

    def __init__(self, intake: Intake, offset: int = 0) -> None:
        self.intake = intake
        self.offset = offset
        self.trailing = 0
        self._member: Inflater | None = None
        self._step = _FIRST_STEP

    def some(self, room: int) -> bytes:
        """Give the next bytes; see `Decoder.some`."""
        intake = self.intake
        while True:
            member = self._member
            if member is None:
                member = self._next_member()
                if member is None:
                    return b""
                self._member = member
                # Little at first: what a short member leaves over is copied by the library.
                self._step = _FIRST_STEP
            piece = intake.some(self._step)
            try:
                data = member.decompress(piece, room)
            except INFLATE_ERRORS as error:
                raise StreamError(
                    f"the gzip stream is damaged: {error}", offset=intake.position
                ) from error
            if member.eof:
                intake.advance(len(piece) - len(member.unused_data))
                self._member = None
            else:
                intake.advance(len(piece) - len(member.unconsumed_tail))
                if not piece and not data:
                    raise StreamError("the gzip stream ends early", offset=intake.position)
                self._step = min(self._step * 2, _LAST_STEP)
            if data:
                self.offset += len(data)
                return data

    def _next_member(self) -> Inflater | None:
        """Give the member that begins here; None at the end of the stream."""
        intake = self.intake
        head = intake.peek(len(_MAGIC))
        if head == _MAGIC:
            return new_inflater(_GZIP)
        if not head or self.trailing:
            return None
        if not self.offset and not intake.position:
            raise StreamError("not a gzip stream", offset=0)
        if _MAGIC.startswith(head):
            raise StreamError("the gzip stream ends early", offset=intake.position)
        self.trailing = self._rest()
        return None

    def _rest(self) -> int:
        """Read on to the end and count the bytes there, 0 if all of them are zero padding."""
        count = 0
        padding = True
        while piece := bytes(self.intake.some(_LAST_STEP)):
            padding = padding and not piece.strip(b"\0")
            count += len(piece)
            self.intake.advance(len(piece))
        return 0 if padding else count
