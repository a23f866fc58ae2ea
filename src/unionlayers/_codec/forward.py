"""
One pass over the plain bytes of a blob, as the tar reader makes it.

`ForwardStream.take` and `ForwardStream.skip` are called for every entry of a layer, so their fast
path is an integer compare and a slice of the chunk that is at hand.  All else happens once a
chunk: decoding, digests, limits, progress.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from unionlayers._bytes.source import ByteSource
from unionlayers._codec.checkpoint import Checkpoint, CheckpointLog
from unionlayers._codec.decoder import Decoder, IdentityDecoder
from unionlayers._codec.decoders import new_decoder
from unionlayers._codec.hashing import DigestPair
from unionlayers._codec.intake import Intake
from unionlayers._foundation.limits import Limits, exceeded
from unionlayers.errors import ClosedError

__all__ = ["ForwardStream", "Progress", "open_forward"]

Progress = Callable[[int, int | None, str], None]
"""Is told compressed bytes done, compressed bytes in all, and what is being done."""

_ROOM = 512 * 1024
_PROGRESS_STEP = 1 << 20
# Below this much output no ratio is held against a stream: a page of zeros is no bomb.
_EXPANSION_FROM = 64 << 20


class ForwardStream:
    """
    The plain bytes of one blob, once, from the first to the last; for one thread.

    Attributes:
        blob_digest: After `drain`: the digest of the compressed bytes, if it was wanted.
        diff_id: After `drain`: the sha256 of the plain bytes, if it was wanted.
        size: After `drain`: how many plain bytes there were.
        trailing: After `drain`: compressed bytes of garbage after the last gzip member (case K3).
        checkpoints: After `drain`: where random access can begin, in order.
    """

    __slots__ = (
        "_at",
        "_base",
        "_chunk",
        "_decoder",
        "_digests",
        "_end",
        "_jumps",
        "_limits",
        "_log",
        "_progress",
        "_progress_due",
        "_total",
        "_what",
        "blob_digest",
        "checkpoints",
        "diff_id",
        "size",
        "trailing",
    )

    def __init__(
        self,
        decoder: Decoder,
        total: int,
        *,
        log: CheckpointLog,
        digests: DigestPair,
        limits: Limits,
        progress: Progress | None,
        what: str,
    ) -> None:
        self._decoder: Decoder | None = decoder
        self._log = log
        self._digests = digests
        self._limits = limits
        self._progress = progress
        self._progress_due = _PROGRESS_STEP
        self._total = total
        self._what = what
        self._jumps = isinstance(decoder, IdentityDecoder) and not digests.wanted
        self._chunk = b""
        self._base = 0
        self._at = 0
        self._end = 0
        self.blob_digest: str | None = None
        self.diff_id: str | None = None
        self.size: int | None = None
        self.trailing = 0
        self.checkpoints: tuple[Checkpoint, ...] = ()

    @property
    def position(self) -> int:
        """The offset of the next byte, in plain bytes from the start."""
        return self._base + self._at

    def take(self, length: int) -> bytes:
        """
        Give the next *length* bytes; fewer only at the end of the stream.

        Raises:
            StreamError: The blob is damaged or ends early before the last of them.
            LimitError: The blob expands further than the limits allow.
            ClosedError: The stream was closed, by `close` or by an earlier exception.
        """
        at = self._at
        end = at + length
        if end <= self._end:
            self._at = end
            return self._chunk[at:end]
        return self._take_across(length)

    def skip(self, length: int) -> int:
        """
        Pass over the next *length* bytes and tell how many there were.

        Raises:
            StreamError: As for `take`; a blob that is not compressed and of which no digest is
                wanted is not read here.
        """
        end = self._at + length
        if end <= self._end:
            self._at = end
            return length
        return self._skip_across(length)

    def at_hand(self) -> tuple[bytes, int]:
        """
        Give a chunk of the stream, and where in it the next byte stands; it is empty at the end.

        What is looked at there still wants to be skipped.

        Raises:
            StreamError: As for `take`.
            LimitError: As for `take`.
            ClosedError: As for `take`.
        """
        if self._at == self._end:
            self._refill()
        return self._chunk, self._at

    def drain(self) -> None:
        """
        Read on to the end, so that checks at the end of the blob are made, and set the digests.

        The stream gives nothing more afterwards; it still wants to be closed.
        """
        decoder = self._decoder
        if decoder is None:
            raise ClosedError("the stream was closed")
        if self._jumps:
            self._skip_across(self._total)
        while self._refill():
            pass
        try:
            self._digests.finish()
            if self._progress is not None:
                self._progress(self._total, self._total, self._what)
        except BaseException:
            self.close()
            raise
        self.blob_digest = self._digests.blob_digest
        self.diff_id = self._digests.diff_id
        self.size = decoder.offset
        self.trailing = decoder.trailing
        self.checkpoints = self._log.points()

    def close(self) -> None:
        """Let go of the decoder and stop the thread, if there is one; twice is allowed."""
        self._decoder = None
        self._base += self._at
        self._chunk = b""
        self._at = self._end = 0
        self._digests.close()

    def __enter__(self) -> Self:
        """Give the stream itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the stream."""
        self.close()

    def _take_across(self, length: int) -> bytes:
        parts = [self._chunk[self._at :]]
        wanted = length - len(parts[0])
        self._at = self._end
        while wanted > 0 and self._refill():
            part = self._chunk[:wanted]
            self._at = len(part)
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)

    def _skip_across(self, length: int) -> int:
        left = length - (self._end - self._at)
        self._at = self._end
        if self._jumps and left > 0:
            left -= self._jump(left)
        while left > 0 and self._refill():
            passed = min(left, self._end)
            self._at = passed
            left -= passed
        return length - max(left, 0)

    def _jump(self, length: int) -> int:
        """Seek over *length* bytes of what is not compressed; nothing is at hand."""
        decoder = self._decoder
        if decoder is None:
            raise ClosedError("the stream was closed")
        here = self.position
        decoder.intake.skip(length)
        decoder.offset = decoder.intake.position
        self._chunk = b""
        self._base = decoder.offset
        self._at = self._end = 0
        return decoder.offset - here

    def _refill(self) -> bool:
        """Get the next chunk in place of the one that is used up; tell whether there was one."""
        decoder = self._decoder
        if decoder is None:
            raise ClosedError("the stream was closed")
        try:
            chunk = decoder.some(_ROOM)
            self._digests.plain(chunk)
            self._check(decoder)
        except BaseException:
            self.close()
            raise
        self._base += self._end
        self._chunk = chunk
        self._at = 0
        self._end = len(chunk)
        return bool(chunk)

    def _check(self, decoder: Decoder) -> None:
        """Hold the bounds, and tell of progress."""
        plain = decoder.offset
        used = decoder.intake.position
        limits = self._limits
        if plain > limits.layer_bytes:
            exceeded("layer_bytes", limits.layer_bytes, plain, offset=used)
        if plain > _EXPANSION_FROM and plain > used * limits.expansion:
            exceeded("expansion", limits.expansion, -(-plain // max(used, 1)), offset=used)
        if self._progress is not None and used >= self._progress_due:
            self._progress_due = used + _PROGRESS_STEP
            self._progress(used, self._total, self._what)


def open_forward(
    source: ByteSource,
    codec: str,
    *,
    limits: Limits,
    blob_digest: str | None = None,
    want_diff_id: bool = False,
    checkpoint_spacing: int | None = None,
    progress: Progress | None = None,
    what: str = "layer",
) -> ForwardStream:
    """
    Begin a pass over the plain bytes of *source*.

    Nothing is read yet.  An exception in the middle, also one from *progress* and also
    ``KeyboardInterrupt``, closes the stream, which leaves no thread behind, and reaches the
    caller.

    Args:
        source: The compressed blob; it stays open when the stream is closed.
        codec: One of `CODECS`.
        limits: ``layer_bytes``, ``expansion`` and ``window_bytes`` of it are held.
        blob_digest: The digest of the compressed bytes that is promised, or the bare name of an
            algorithm; their digest is made with that algorithm, and compared by the caller.
        want_diff_id: Whether the sha256 of the plain bytes is made.
        checkpoint_spacing: Plain bytes between the checkpoints that are made in the middle of
            members; None makes none there.  `SPACING` is a good one.  Starts of members and
            frames are noted in any case.
        progress: Is told of the pass about once a MiB, and at the end.
        what: The third argument of *progress*.

    Raises:
        ValueError: *codec* is none of `CODECS`.
    """
    digests = DigestPair(blob_digest, diff_id=want_diff_id, plain=codec == "identity")
    intake = Intake(source, on_fetch=digests.compressed if digests.wants_blob else None)
    log = CheckpointLog(checkpoint_spacing)
    return ForwardStream(
        new_decoder(codec, intake, limits, log),
        source.size,
        log=log,
        digests=digests,
        limits=limits,
        progress=progress,
        what=what,
    )
