"""
One pass over a layer's blob: digests, entries, record; and the records that a process shares.

A record is used again without a pass only for bytes that this process has hashed: the same stretch
of the same unchanged file, or other bytes whose digest was computed anew and found equal.  A digest
in an archive is a claim, never a key by itself.
"""

from __future__ import annotations

import threading
import weakref

from attrs import frozen

from unionlayers._bytes.source import ByteSource, SourceIdentity
from unionlayers._codec.forward import Progress, open_forward
from unionlayers._codec.sniff import sniff
from unionlayers._foundation.digest import hasher_for
from unionlayers._foundation.limits import Limits
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

__all__ = ["Promise", "compare_promise", "index_blob"]

_CHUNK = 1 << 20
_NOT_TAR = ("+encrypted", "squashfs", "helm", "wasm", "erofs")


@frozen(kw_only=True)
class Promise:
    """What the documents promise of a blob."""

    digest: str | None
    size: int | None
    diff_id: str | None
    media_type: str | None
    member: str | None


class _Shared:
    """The records of this process that are in use, by where the bytes are and by their digest."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_place: weakref.WeakValueDictionary[
            tuple[SourceIdentity, str, str | None, Limits], LayerIndex
        ] = weakref.WeakValueDictionary()
        self.by_digest: weakref.WeakValueDictionary[tuple[str, str, Limits], LayerIndex] = (
            weakref.WeakValueDictionary()
        )


_shared = _Shared()


def index_blob(
    source: ByteSource,
    promise: Promise,
    *,
    compression: str,
    verify: bool,
    limits: Limits,
    progress: Progress | None,
    fresh: bool = False,
) -> LayerIndex:
    """
    Give the record of a layer, from a pass over its bytes unless this process has made it before.

    Args:
        source: The blob as stored.
        promise: What is checked when *verify* is set.
        compression: ``"sniff"`` goes by the first bytes, ``"declared"`` by the media type.
        verify: Compare size, digest and diff_id before the record is given.
        limits: Bounds.
        progress: Is told of the pass.
        fresh: Make the pass in any case.

    Raises:
        DigestMismatchError: The blob is not what was promised.
        StreamError: The compressed bytes are damaged or end early.
        TarError: The tar is damaged or ends early.
        LimitError: A bound was reached.
        UnsupportedError: The layer is encrypted or no tar.

    Cost:
        One pass over the blob, or over its compressed bytes alone if another archive brought the
        same blob into this process.
    """
    _refuse_other_forms(promise)
    if verify and promise.size is not None and promise.size != source.size:
        raise DigestMismatchError(
            "the blob has not the size that was promised",
            member=promise.member,
            expected=promise.size,
            actual=source.size,
        )
    algorithm = (promise.digest or "sha256").partition(":")[0] if verify else None
    place = None
    if source.identity is not None:
        place = (source.identity, compression, algorithm, limits)
    with _shared.lock:
        known = _shared.by_place.get(place) if place is not None and not fresh else None
        twin = None
        if promise.digest and not fresh:
            twin = _shared.by_digest.get((promise.digest, compression, limits))
    if known is None and twin is not None and verify and promise.digest is not None:
        known = twin if _hashed(source, promise.digest, progress) == promise.digest else None
    if known is None:
        known = _pass(
            source,
            promise,
            compression=compression,
            verify=verify,
            limits=limits,
            progress=progress,
        )
    if verify:
        compare_promise(known, promise)
    with _shared.lock:
        if place is not None:
            _shared.by_place[place] = known
        if verify and known.blob_digest is not None:
            _shared.by_digest[known.blob_digest, compression, limits] = known
    return known


def _refuse_other_forms(promise: Promise) -> None:
    form = promise.media_type or ""
    for word in _NOT_TAR:
        if word in form:
            raise UnsupportedError(
                "the layer is encrypted" if word == "+encrypted" else "the layer is no tar",
                member=promise.member,
                actual=form,
            )


def _hashed(source: ByteSource, digest: str, progress: Progress | None) -> str:
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
    declared = declared_codec(promise.media_type)
    if compression == "declared" and declared not in (None, found) and source.size:
        raise StreamError(
            "the layer is not compressed as its media type says (case K1)",
            member=promise.member,
            expected=declared,
            actual=found,
        )
    return found


def _pass(
    source: ByteSource,
    promise: Promise,
    *,
    compression: str,
    verify: bool,
    limits: Limits,
    progress: Progress | None,
) -> LayerIndex:
    codec = _codec(source, promise, compression)
    stream = open_forward(
        source,
        codec,
        limits=limits,
        blob_digest=(promise.digest or "sha256") if verify else None,
        want_diff_id=verify,
        progress=progress,
    )
    try:
        reader = TarReader(stream, limits)
        builder = IndexBuilder(limits)
        builder.extend(reader)
        reader.drain()
        stream.drain()
    except CorruptError as error:
        # What was promised and is not there says more than where the decoder stumbled over it.
        if verify and promise.digest is not None:
            actual = _hashed(source, promise.digest, None)
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
