"""
What is promised of a blob, and one pass over its bytes that holds it against that.

The pass gives everything at once: entries, digests, and what is odd about the stream.
"""

from __future__ import annotations

from attrs import frozen

from unionlayers._bytes.source import ByteSource
from unionlayers._codec.decoders import SPACING
from unionlayers._codec.forward import Progress, open_forward
from unionlayers._codec.sniff import sniff
from unionlayers._foundation.digest import hasher_for
from unionlayers._foundation.limits import Limits
from unionlayers._tar.batch_placer import BatchPlacer
from unionlayers._tar.index import LayerIndex, Note
from unionlayers._tar.index_builder import IndexBuilder
from unionlayers._tar.layout import StreamFacts, lay_out
from unionlayers._tar.reader import TarReader
from unionlayers.errors import (
    CorruptError,
    DigestMismatchError,
    StreamError,
    UnsupportedError,
)

__all__ = [
    "Promise",
    "check_declared",
    "compare_promise",
    "declared_codec",
    "digest_of_source",
    "pass_over",
    "refuse_other_forms",
]

_CHUNK = 1 << 20
_NOT_TAR = ("+encrypted", "squashfs", "helm", "wasm", "erofs", "in-toto", "+json")


@frozen(kw_only=True)
class Promise:
    """What the documents promise of a blob."""

    digest: str | None
    size: int | None
    diff_id: str | None
    media_type: str | None
    member: str | None


def refuse_other_forms(promise: Promise) -> None:
    """
    Be sure that a layer is a tar by its media type.

    Raises:
        UnsupportedError: It is encrypted or something else.
    """
    form = promise.media_type or ""
    for word in _NOT_TAR:
        if word in form:
            raise UnsupportedError(
                "the layer is encrypted" if word == "+encrypted" else "the layer is no tar",
                member=promise.member,
                actual=form,
            )


def digest_of_source(source: ByteSource, digest: str, progress: Progress | None) -> str:
    """Give the digest of all bytes of a source, by the algorithm that *digest* begins with."""
    hasher = hasher_for(digest)
    offset = 0
    while data := source.pread(offset, _CHUNK):
        hasher.update(data)
        offset += len(data)
        if progress is not None:
            progress(offset, source.size, "layer")
    return f"{digest.partition(':')[0]}:{hasher.hexdigest()}"


def declared_codec(media_type: str | None) -> str | None:
    """Give the codec that a media type states, None where it states none."""
    if media_type is None:
        return None
    for ending, codec in (
        ("gzip", "gzip"), ("zstd", "zstd"), ("xz", "xz"), ("bzip2", "bzip2"), (".tar", "identity"),
    ):  # fmt: skip
        if media_type.endswith(ending):
            return codec
    return None


def _codec(source: ByteSource, promise: Promise, compression: str) -> str:
    found = sniff(source.pread(0, 64))
    check_declared(found, source, promise, compression)
    return found


def check_declared(found: str, source: ByteSource, promise: Promise, compression: str) -> None:
    """
    Hold the codec that was found against the one that the media type states.

    Raises:
        StreamError: They differ, and *compression* is ``"declared"``.
    """
    declared = declared_codec(promise.media_type)
    if compression == "declared" and declared not in (None, found) and source.size:
        raise StreamError(
            "the layer is not compressed as its media type says (case K1)",
            member=promise.member,
            expected=declared,
            actual=found,
        )


def pass_over(
    source: ByteSource,
    promise: Promise,
    *,
    compression: str,
    verify: bool,
    limits: Limits,
    progress: Progress | None,
    enter: bool,
) -> LayerIndex:
    """
    Read a blob to its end and give its record; the digests are compared by the caller.

    Args:
        source: The blob as stored.
        promise: Its digest is told where the stream proves to be damaged.
        compression: ``"sniff"`` or ``"declared"``.
        verify: Whether both digests are made.
        limits: Bounds.
        progress: Is told of the pass.
        enter: Whether points to enter a gzip stream at are made on the way.  That costs a third
            more, and is worth it where they are kept for later processes; otherwise, and for zstd,
            for which they cost more than all else, the first read of content makes them.

    Raises:
        DigestMismatchError: The blob is damaged, and not what was promised.
        StreamError: The compressed bytes are damaged or end early.
        TarError: The tar is damaged or ends early.
        LimitError: A bound was reached.
    """
    codec = _codec(source, promise, compression)
    stream = open_forward(
        source,
        codec,
        limits=limits,
        blob_digest=(promise.digest or "sha256") if verify else None,
        want_diff_id=verify,
        progress=progress,
        checkpoint_spacing=SPACING if enter and codec == "gzip" else None,
    )
    try:
        reader = TarReader(stream, limits)
        builder = IndexBuilder(limits)
        placer = BatchPlacer(builder)
        for batch in reader.batches(stream.at_hand):
            placer.place(batch)
        reader.drain()
        stream.drain()
    except CorruptError as error:
        # What was promised and is not there says more than where the decoder stumbled over it.
        if verify and promise.digest is not None:
            actual = digest_of_source(source, promise.digest, None)
            if actual != promise.digest:
                raise DigestMismatchError(
                    "the layer has another digest than was promised",
                    member=promise.member,
                    expected=promise.digest,
                    actual=actual,
                    offset=error.offset,
                ) from error
        raise
    finally:
        stream.close()
    return lay_out(
        builder,
        StreamFacts(
            codec=codec,
            blob_size=source.size,
            size=stream.size if stream.size is not None else stream.position,
            blob_digest=stream.blob_digest,
            diff_id=stream.diff_id,
            checkpoints=stream.checkpoints,
            notes=tuple(_notes(reader, codec, stream.trailing)),
        ),
        placer.pick,
    )


def _notes(reader: TarReader, codec: str, trailing: int) -> list[Note]:
    notes = [
        Note("GLOBAL_HEADER", None, None, "a global extended header, which is not applied", "J3")
        for _ in range(min(reader.global_count, 1))
    ]
    if reader.trailing_nonzero:
        notes.append(
            Note(
                "DATA_AFTER_END",
                None,
                None,
                f"{reader.trailing_size} bytes behind the end of the tar, not all zero",
                "J6",
            )
        )
    if trailing:
        notes.append(
            Note(
                "DATA_AFTER_STREAM",
                None,
                None,
                f"{trailing} bytes behind the end of the compressed stream",
                "K3",
            )
        )
    if codec in ("xz", "bzip2"):
        notes.append(
            Note("UNUSUAL_COMPRESSION", None, None, f"a layer compressed with {codec}", "K1")
        )
    return notes


def compare_promise(index: LayerIndex, promise: Promise) -> None:
    """
    Compare the digests of a record with those that were promised.

    Raises:
        DigestMismatchError: One differs.
        UnsupportedError: The diff_id is of another algorithm than sha256, and so not computed.
    """
    for name, expected, actual in (
        ("digest", promise.digest, index.blob_digest),
        ("diff_id", promise.diff_id, index.diff_id),
    ):
        if expected is None:
            continue
        if actual is not None and expected.partition(":")[0] != actual.partition(":")[0]:
            raise UnsupportedError(
                f"a {name} of an algorithm that is not computed here",
                member=promise.member,
                expected=expected,
                hint="Pass verify=False to read the layer unchecked",
            )
        if expected != actual:
            raise DigestMismatchError(
                f"the layer has another {name} than was promised",
                member=promise.member,
                expected=expected,
                actual=actual,
            )
