"""
What a decoder is: the plain bytes of one blob, from some point on, a piece at a time.

A forward pass and random access both drive these, so a codec is written once.  The caller says
how much may come out at most, which is what keeps a bomb from filling memory: no piece of input
is ever inflated further than there is room for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from unionlayers._codec.checkpoint import CheckpointLog
from unionlayers._codec.intake import Intake
from unionlayers.errors import StreamError

__all__ = ["DECODER_WEIGHT", "Decoder", "IdentityDecoder", "Member", "MemberDecoder"]

DECODER_WEIGHT = 512 * 1024
"""About how much memory any decoder takes up: its state, and the compressed bytes at hand."""

_FIRST_STEP = 4 * 1024
_LAST_STEP = 64 * 1024


class Decoder(Protocol):
    """
    The plain bytes of one blob in order.

    Attributes:
        offset: Plain bytes given so far, counted from the start of the blob.
        intake: The compressed bytes and how far they are used.
        trailing: Compressed bytes after the end that belong to no member (case K3).
        weight: About how much memory the decoder takes up, in bytes.
    """

    weight: int
    offset: int
    intake: Intake
    trailing: int

    def some(self, room: int) -> bytes:
        """
        Give the next bytes, 1 to *room* of them; none at the end of the blob.

        Raises:
            StreamError: The blob is damaged or ends early.
        """


class IdentityDecoder:
    """The decoder of what is not compressed."""

    __slots__ = ("intake", "offset", "trailing", "weight")

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.offset = intake.position
        self.trailing = 0
        self.weight = DECODER_WEIGHT

    def some(self, room: int) -> bytes:
        """Give the next bytes; see `Decoder.some`."""
        data = self.intake.take(room)
        self.offset += len(data)
        return data


class Member(Protocol):
    """What zstd frames, xz streams and bzip2 streams have in common in their libraries."""

    @property
    def eof(self) -> bool:
        """Whether the end of the member was reached."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out without more input."""

    @property
    def unused_data(self) -> bytes:
        """What was given past the end of the member."""

    def decompress(self, data: bytes | memoryview, max_length: int = -1) -> bytes:
        """Take *data* and give at most *max_length* bytes."""


class MemberDecoder(ABC):
    """
    A decoder of members one after the other; the base of zstd, xz and bzip2.

    A codec says in `_next_member` how a member begins and how much memory that takes, and in
    `_errors` what its library raises.
    """

    __slots__ = ("_log", "_member", "_step", "intake", "offset", "trailing", "weight")

    codec = ""
    _errors: tuple[type[Exception], ...] = ()

    def __init__(self, intake: Intake, log: CheckpointLog, offset: int = 0) -> None:
        self.intake = intake
        self.offset = offset
        self._log = log
        self.trailing = 0
        self.weight = DECODER_WEIGHT
        self._member: Member | None = None
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
            piece: bytes | memoryview = b""
            if member.needs_input:
                piece = intake.some(self._most())
                if not piece:
                    raise self._early_end()
                intake.advance(len(piece))
                self._step = min(self._step * 2, _LAST_STEP)
            try:
                data = member.decompress(piece, room)
            except self._errors as error:
                raise self._damaged(str(error)) from error
            if member.eof:
                intake.advance(-len(member.unused_data))
                self._member = None
            if data:
                self.offset += len(data)
                return data

    def _most(self) -> int:
        """Tell how many bytes the member is fed next; all that it has been fed has come out."""
        return self._step

    @abstractmethod
    def _next_member(self) -> Member | None:
        """Give the member that begins here; None at the end of the blob."""

    def _damaged(self, why: str) -> StreamError:
        return StreamError(
            f"the {self.codec} stream is damaged: {why}", offset=self.intake.position
        )

    def _early_end(self) -> StreamError:
        return StreamError(f"the {self.codec} stream ends early", offset=self.intake.position)
