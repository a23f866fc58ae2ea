"""
xz and bzip2: read for the archives that Docker made of them, and not made fast.

Neither is in the OCI specification and neither can be entered in the middle here, so random
access goes through a temporary file.
"""

from __future__ import annotations

import bz2
import lzma

from unionlayers._codec.checkpoint import CheckpointLog
from unionlayers._codec.decoder import Member, MemberDecoder
from unionlayers._codec.intake import Intake
from unionlayers._foundation.limits import exceeded
from unionlayers.errors import StreamError

__all__ = ["Bzip2Decoder", "XzDecoder"]

_XZ_MAGIC = b"\xfd7zXZ\x00"
_BZIP2_MAGIC = b"BZh"
# The dictionary of the default level and the one after it; what a stream asks for is not told.
_XZ_WEIGHT = 16 << 20
# What liblzma takes beside the dictionary, generously: 1 MiB is enough for one thread.
_XZ_OVERHEAD = 8 << 20


class XzDecoder(MemberDecoder):
    """
    The decoder of xz.

    Args:
        intake: The compressed bytes.
        log: Stays empty.
        offset: Plain bytes before that place.
        window_bytes: The largest dictionary that a stream may ask for.

    Spec:
        The .xz file format 2: streams, and padding of four zero bytes between and after them.
    """

    __slots__ = ("_window_bytes",)

    codec = "xz"
    _errors = (lzma.LZMAError,)

    def __init__(
        self, intake: Intake, log: CheckpointLog, offset: int = 0, *, window_bytes: int
    ) -> None:
        super().__init__(intake, log, offset)
        self._window_bytes = window_bytes
        self.weight = _XZ_WEIGHT

    def _next_member(self) -> Member | None:
        intake = self.intake
        started = intake.position
        while (head := intake.peek(4)) == b"\0\0\0\0" and started:
            intake.advance(4)
        head = intake.peek(len(_XZ_MAGIC))
        if not head:
            return None
        if head != _XZ_MAGIC:
            raise self._early_end() if _XZ_MAGIC.startswith(head) else self._damaged("bad magic")
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=self._window_bytes + _XZ_OVERHEAD)

    def _damaged(self, why: str) -> StreamError:
        if "emory" in why:  # liblzma's words for a dictionary beyond memlimit
            exceeded("window_bytes", self._window_bytes, self._window_bytes + 1)
        return super()._damaged(why)


class Bzip2Decoder(MemberDecoder):
    """The decoder of bzip2: streams one after the other."""

    __slots__ = ()

    codec = "bzip2"
    # bz2 has no error class of its own.
    _errors = (OSError, ValueError)

    def _next_member(self) -> Member | None:
        head = self.intake.peek(len(_BZIP2_MAGIC))
        if not head:
            return None
        if head != _BZIP2_MAGIC:
            raise (
                self._early_end() if _BZIP2_MAGIC.startswith(head) else self._damaged("bad magic")
            )
        return bz2.BZ2Decompressor()
