"""One layer of an image: what the documents say of it at once, what its tar says when asked."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

from attrs import frozen

from unionlayers._bytes.memory import MemorySource
from unionlayers._bytes.source import ByteSource
from unionlayers._codec.random_access import open_random
from unionlayers._foundation.names import decode
from unionlayers._image.indexing import (
    Promise,
    compare_promise,
    declared_codec,
    index_blob,
)
from unionlayers._image.record import LayerRecord
from unionlayers._layers.finding import Finding
from unionlayers._tar.index import LayerIndex
from unionlayers.errors import (
    BlobNotFoundError,
    CorruptError,
    LimitError,
    UnionLayersError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from unionlayers._image.image import Image
    from unionlayers._views.union_fs import UnionFS

__all__ = ["Layer", "Mark"]


@frozen
class Mark:
    """
    A whiteout, which names what a layer deletes.

    Attributes:
        path: Absolute path that is hidden, or whose lower content is.
        kind: ``"whiteout"`` or ``"opaque"``.
        entry: Ordinal of the marker among the layer's tar entries, from 0.
    """

    path: str
    kind: str
    entry: int


class Layer:
    """
    One layer of an image; made by `Image`, never by hand.

    Attributes:
        index: Position in the image, base first from 0.
        diff_id: Digest of the uncompressed tar; what the config promises, else None until indexed.
        chain_id: Identity of the stack up to here (OCI config.md), None without diff_ids.
        media_type: As the documents say it, or None.
        created_by: The build step that made it, or None where the history does not tell.
        created: When, an aware datetime, or None.
    """

    def __init__(
        self,
        image: Image,
        index: int,
        record: LayerRecord,
        *,
        chain_id: str | None,
        created_by: str | None,
        created: datetime | None,
    ) -> None:
        self._image = image
        self._record = record
        self._lock = threading.RLock()
        self._made: LayerIndex | None = None
        self._failure: UnionLayersError | None = None
        self._content: ByteSource | None = None
        self.index = index
        self.chain_id = chain_id
        self.media_type = record.media_type
        self.created_by = created_by
        self.created = created

    @property
    def digest(self) -> str | None:
        """Digest of the blob as stored; None where no document names it until it is indexed."""
        if self._record.digest is not None:
            return self._record.digest
        return self._made.blob_digest if self._made is not None else None

    @property
    def diff_id(self) -> str | None:
        """Digest of the uncompressed tar; None where no document names it until it is indexed."""
        if self._record.diff_id is not None:
            return self._record.diff_id
        return self._made.diff_id if self._made is not None else None

    @property
    def size(self) -> int:
        """Bytes of the blob as stored."""
        if self._record.member is None and self._record.size is not None:
            return self._record.size
        return self._blob().size

    @property
    def empty(self) -> bool:
        """Whether its tar has no entries; indexes the layer."""
        return self.load().entries == 0

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The whiteouts of the layer, in tar order; indexes the layer."""
        index = self.load()
        found = []
        for mark in sorted(index.marks, key=lambda mark: mark.ordinal):
            parent = decode(index.loose[mark.row]).rpartition("/")[0]
            if mark.name is None:
                found.append(Mark("/" + parent, "opaque", mark.ordinal))
            else:
                hidden = decode(mark.name)
                path = f"/{parent}/{hidden}" if parent else f"/{hidden}"
                found.append(Mark(path, "whiteout", mark.ordinal))
        return tuple(found)

    def fs(self) -> UnionFS:
        """Give a view of this layer alone."""
        return self._image.fs([self.index])

    def load(self) -> LayerIndex:
        """
        Give the record of the layer, indexing it at the first call.

        Raises:
            UnionLayersError: It cannot be read; the same error at every call.

        Cost:
            One pass over the blob at the first call, nothing after it.
        """
        with self._lock:
            self._image.check_open()
            if self._made is not None:
                return self._made
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            try:
                with self._image.guard(self._record.member):
                    self._made = self._indexed()
            except (CorruptError, LimitError, UnsupportedError, BlobNotFoundError) as error:
                if error.layer is None:
                    error.layer = self.index
                self._failure = error
                raise
            return self._made

    def content(self) -> ByteSource:
        """Give the uncompressed tar with random access; it closes with the image."""
        with self._lock:
            index = self.load()
            if self._content is None:
                self._content = open_random(
                    self._blob(),
                    index.codec,
                    size=index.size,
                    checkpoints=index.checkpoints,
                    pages=self._image.pages,
                    limits=self._image.options.limits,
                )
            return self._content

    def findings(self) -> tuple[Finding, ...]:
        """What is odd about how the documents describe the layer; indexes it."""
        index = self.load()
        declared = declared_codec(self.media_type)
        # A docker-archive states no compression at all: only OCI media types can lie.
        lies = declared not in (None, index.codec) and self._image.record.layout == "oci"
        if not lies or not index.blob_size:
            return ()
        return (
            Finding(
                "MEDIA_TYPE_MISMATCH",
                self.index,
                None,
                None,
                f"the media type says {declared}, the bytes are {index.codec}",
                "K1",
            ),
        )

    def close(self) -> None:
        """Let go of the decompressor and what it holds."""
        with self._lock:
            if self._content is not None:
                self._content.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the image, which must have been opened from a path."""
        return _layer_of, (self._image, self.index)

    def __repr__(self) -> str:
        """Show the index and the digest."""
        return f"<Layer {self.index} {self.digest or self.diff_id or 'without digest'}>"

    def _indexed(self) -> LayerIndex:
        image = self._image
        record = self._record
        blob = self._blob()
        promise = Promise(
            digest=record.digest,
            size=record.size,
            diff_id=record.diff_id,
            media_type=record.media_type,
            member=record.member,
        )
        twin = image.indexed(record.member)
        if twin is not None:
            # Docker before 25 stores a layer that occurs twice once, and a link to it.
            if image.options.verify and twin.blob_digest is not None:
                compare_promise(twin, promise)
            return twin
        made = index_blob(
            blob,
            promise,
            compression=image.profile.compression,
            verify=image.options.verify,
            limits=image.options.limits,
            progress=image.options.progress,
            fresh=image.fresh,
        )
        image.remember(record.member, made)
        return made

    def _blob(self) -> ByteSource:
        record = self._record
        if record.data is not None:
            return MemorySource(record.data)
        found = self._image.blob(record.member) if record.member is not None else None
        if found is None:
            raise BlobNotFoundError(
                "the source lacks the blob of a layer",
                member=self._image.label,
                layer=self.index,
                expected=record.digest or record.diff_id or record.member,
                candidates=record.urls,
                hint='Pass missing="skip" to leave such layers out',
            )
        return found


def _layer_of(image: Image, index: int) -> Layer:
    """Find a layer again where a pickle is loaded."""
    return image.layers[index]
