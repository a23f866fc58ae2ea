"""
The record of a layer's blob: from this process, from a store, or from a pass over its bytes.

A record is used again without a pass only for bytes that were hashed: the same stretch of the same
unchanged file, left alone before it was hashed by this process or by one that left a note of it in
a store, or other bytes whose digest was computed anew and found equal.  A digest in an archive is a
claim, never a key by itself.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from attrs import frozen

from unionlayers._bytes.source import ByteSource, SourceIdentity
from unionlayers._codec.forward import Progress
from unionlayers._codec.sniff import sniff
from unionlayers._foundation.forking import renew_in_children
from unionlayers._foundation.limits import Limits
from unionlayers._image.blob_pass import (
    Promise,
    check_declared,
    compare_promise,
    digest_of_source,
    pass_over,
    refuse_other_forms,
)
from unionlayers._image.stored_layers import StoredLayers, is_settled
from unionlayers._tar.index import LayerIndex
from unionlayers._tar.mapped_index import MappedIndex
from unionlayers.errors import DigestMismatchError

__all__ = ["index_blob"]


class _Shared:
    """The records of this process that are in use, by where the bytes are and by their digest."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        renew_in_children(self)
        self.by_place: weakref.WeakValueDictionary[
            tuple[SourceIdentity, str, str | None, Limits], LayerIndex
        ] = weakref.WeakValueDictionary()
        self.by_digest: weakref.WeakValueDictionary[tuple[str, str, Limits], LayerIndex] = (
            weakref.WeakValueDictionary()
        )

    def renew(self) -> None:
        """Take a new lock in a forked child."""
        self.lock = threading.Lock()


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
    stored: StoredLayers | None = None,
) -> LayerIndex:
    """
    Give the record of a layer, from a pass over its bytes unless it was made before.

    Args:
        source: The blob as stored.
        promise: What is checked when *verify* is set.
        compression: ``"sniff"`` goes by the first bytes, ``"declared"`` by the media type.
        verify: Compare size, digest and diff_id before the record is given.
        limits: Bounds.
        progress: Is told of the pass.
        fresh: Make the pass in any case.
        stored: Records that other processes have made; without *verify* none is added.

    Raises:
        DigestMismatchError: The blob is not what was promised.
        StreamError: The compressed bytes are damaged or end early.
        TarError: The tar is damaged or ends early.
        LimitError: A bound was reached.
        UnsupportedError: The layer is encrypted or no tar.

    Cost:
        One pass over the blob; over its compressed bytes alone if a record of it is here and these
        bytes were not hashed before; nothing if they were.
    """
    refuse_other_forms(promise)
    if verify and promise.size is not None and promise.size != source.size:
        raise DigestMismatchError(
            "the blob has not the size that was promised",
            member=promise.member,
            expected=promise.size,
            actual=source.size,
        )

    def remake() -> LayerIndex:
        return pass_over(
            source,
            promise,
            compression=compression,
            verify=True,
            limits=limits,
            progress=progress,
            enter=stored is not None and verify,
        )

    work = _Work(source, promise, compression, verify, limits, progress, remake)
    # Before any byte is read: what is written to the file from now on will be seen in its times.
    settled = is_settled(source.identity)
    known = hashed = None
    if not fresh:
        known = _known_place(work)
        if known is None and stored is not None:
            known = _noted_place(work, stored)
        if known is None and verify:
            known = hashed = _known_bytes(work, stored)
    if known is not None:
        check_declared(known.codec, source, promise, compression)
    else:
        known = hashed = (
            remake()
            if verify
            else pass_over(
                source,
                promise,
                compression=compression,
                verify=False,
                limits=limits,
                progress=progress,
                enter=False,
            )
        )
    if verify:
        compare_promise(known, promise)
    _share(work, known, settled=settled)
    if stored is not None and verify and not fresh:
        _keep(work, stored, known, hashed=hashed is not None, settled=settled)
    return known


@frozen(eq=False)
class _Work:
    """What one call of `index_blob` is about."""

    source: ByteSource
    promise: Promise
    compression: str
    verify: bool
    limits: Limits
    progress: Progress | None
    remake: Callable[[], LayerIndex]

    @property
    def algorithm(self) -> str:
        """The algorithm of the digest of the blob."""
        return (self.promise.digest or "sha256").partition(":")[0]

    @property
    def place(self) -> tuple[SourceIdentity, str, str | None, Limits] | None:
        """What the records of this process are found by without a digest."""
        identity = self.source.identity
        if identity is None:
            return None
        return identity, self.compression, self.algorithm if self.verify else None, self.limits


def _known_place(work: _Work) -> LayerIndex | None:
    """Give the record that this process has made of the same stretch of the same file."""
    place = work.place
    with _shared.lock:
        return _shared.by_place.get(place) if place is not None else None


def _noted_place(work: _Work, stored: StoredLayers) -> LayerIndex | None:
    """Give the record of bytes that an earlier process has hashed just where they are now."""
    digest = stored.digest_of(work.source, work.algorithm)
    return None if digest is None else _stored_record(work, stored, digest)


def _known_bytes(work: _Work, stored: StoredLayers | None) -> LayerIndex | None:
    """
    Give the record of the blob that the digest of these bytes names, if there may be one.

    Raises:
        DigestMismatchError: There is one, and these bytes are others.
    """
    expected = work.promise.digest
    if expected is None:
        expected = _guessed(work, stored)
        if expected is None:
            return None
    with _shared.lock:
        twin = _shared.by_digest.get((expected, work.compression, work.limits))
    record = None if stored is None or twin is not None else _stored_record(work, stored, expected)
    if twin is None and record is None:
        return None
    actual = digest_of_source(work.source, expected, work.progress)
    if actual == expected:
        return twin if twin is not None else record
    if work.promise.digest is None:
        return None
    raise DigestMismatchError(
        "the layer has another digest than was promised",
        member=work.promise.member,
        expected=expected,
        actual=actual,
    )


def _guessed(work: _Work, stored: StoredLayers | None) -> str | None:
    """Give the digest that a blob may have which no document names."""
    diff_id = work.promise.diff_id
    plain = sniff(work.source.pread(0, 64)) == "identity"
    if plain and diff_id is not None and diff_id.startswith("sha256:"):
        return diff_id
    return None if stored is None else stored.likely(work.source, work.algorithm)


def _stored_record(work: _Work, stored: StoredLayers, digest: str) -> LayerIndex | None:
    """Give the record of a store; its bytes are, or will be, known to have the digest."""
    record = stored.record(digest, work.limits, work.remake, mend=work.verify)
    if record is None or record.blob_size != work.source.size:
        return None
    return record


def _share(work: _Work, known: LayerIndex, *, settled: bool) -> None:
    """Let other images of this process have a record, by the place of bytes that stay the same."""
    if isinstance(known, MappedIndex):
        # It asks the bytes of one image, which may be closed before the others are.
        return
    place = work.place
    with _shared.lock:
        if place is not None and settled:
            _shared.by_place[place] = known
        if work.verify and known.blob_digest is not None:
            _shared.by_digest[known.blob_digest, work.compression, work.limits] = known


def _keep(
    work: _Work, stored: StoredLayers, known: LayerIndex, *, hashed: bool, settled: bool
) -> None:
    """Put into a store what it does not have yet."""
    digest = known.blob_digest
    if digest is None:
        return
    if not isinstance(known, MappedIndex):
        stored.keep(known, work.limits, anew=hashed)
    if hashed and settled:
        stored.note(work.source, digest)
    if hashed and work.promise.digest is None:
        stored.note_likely(work.source, digest)
