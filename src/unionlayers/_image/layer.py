"""One layer of an image: what the documents say of it at once, what its tar says when asked."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

from attrs import frozen

from unionlayers._bytes.assembled import in_files, is_original, outline_of, remarks_of
from unionlayers._bytes.memory import MemorySource
from unionlayers._bytes.source import ByteSource
from unionlayers._codec.forward import Progress
from unionlayers._codec.random_access import RandomSource, open_random
from unionlayers._foundation.forking import renew_in_children
from unionlayers._foundation.names import decode
from unionlayers._image.blob_pass import (
    Promise,
    compare_promise,
    declared_codec,
    digest_of_source,
)
from unionlayers._image.harvest import Harvest
from unionlayers._image.indexing import index_blob
from unionlayers._image.layer_content import LayerContent
from unionlayers._image.meter import Meter
from unionlayers._image.record import LayerRecord, said_of_link
from unionlayers._image.view_makers import view_maker
from unionlayers._layers.finding import Finding
from unionlayers._tar.index import LayerIndex
from unionlayers._tar.mapped_index import MappedIndex
from unionlayers.errors import (
    BlobNotFoundError,
    CorruptError,
    DigestMismatchError,
    LimitError,
    UnionLayersError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from unionlayers._image.image import Image
    from unionlayers._views.union_fs import UnionFS

__all__ = ["Layer", "Mark"]

# What will not be otherwise at the next call.
_LASTING = (CorruptError, LimitError, UnsupportedError, BlobNotFoundError)


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
        renew_in_children(self)
        self._made: LayerIndex | None = None
        self._failure: UnionLayersError | None = None
        self._content: ByteSource | None = None
        self.index = index
        self.chain_id = chain_id
        self.media_type = record.media_type
        self.created_by = created_by
        self.created = created

    @property
    def image(self) -> Image:
        """The image that has the layer."""
        return self._image

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
        try:
            return self._blob().size
        except UnionLayersError as error:
            # A directory of a store has a size once it was walked, which may fail.
            if error.layer is None:
                error.layer = self.index
            raise

    @property
    def empty(self) -> bool:
        """Whether its tar has no entries; indexes the layer."""
        return self.load().entries == 0

    @property
    def loaded(self) -> bool:
        """Whether it was indexed; nothing is read to tell."""
        return self._made is not None

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

    def renew(self) -> None:
        """Take a new lock in a forked child."""
        self._lock = threading.RLock()

    def load(self, progress: Progress | None = None) -> LayerIndex:
        """
        Give the record of the layer, indexing it at the first call.

        Args:
            progress: Is told of it instead of the callback of the image.

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
                    self._made = self._indexed(progress)
            except UnionLayersError as error:
                self._placed(error)
                if isinstance(error, _LASTING):
                    self._failure = error
                raise
            return self._made

    def content(self) -> ByteSource:
        """Give the uncompressed tar with random access; it closes with the image."""
        ready = self._content
        if ready is not None:
            return ready
        with self._lock:
            index = self.load()
            if self._content is None:
                try:
                    # Whichever thread sees it may read from it.
                    self._content = self._opened(index)
                except DigestMismatchError as error:
                    self._placed(error)
                    raise
            return self._content

    def findings(self) -> tuple[Finding, ...]:
        """What is odd about how the layer is described, or kept in a store; indexes it."""
        index = self.load()
        found = tuple(
            Finding(code, self.index, None, path, message, case)
            for code, path, message, case in remarks_of(self._blob())
        )
        declared = declared_codec(self.media_type)
        # A docker-archive states no compression at all: only OCI media types can lie.
        lies = declared not in (None, index.codec) and self._image.record.layout == "oci"
        if not lies or not index.blob_size:
            return found
        return (
            *found,
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
            if isinstance(self._made, MappedIndex):
                self._made.release()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the image, which must have been opened from a path."""
        return _layer_of, (self._image, self.index)

    def _repr_html_(self) -> str:
        """Show what it is, and its files in a notebook."""
        shown: str = view_maker("html")(self)
        return shown

    def __repr__(self) -> str:
        """Show the index and the digest."""
        return f"<Layer {self.index} {self.digest or self.diff_id or 'without digest'}>"

    def _placed(self, error: UnionLayersError) -> UnionLayersError:
        """Have an error say which layer it is about."""
        if error.layer is None:
            error.layer = self.index
        if error.member is None:
            error.member = self._record.name or self._record.member
        return error

    def _opened(self, index: LayerIndex) -> ByteSource:
        image = self._image
        stored, blob = image.stored, self._blob()
        # Without verifying nothing is written, not even what is known.
        keeps = stored is not None and image.options.verify and stored.knows(blob, index)
        known = index.checkpoints
        if stored is not None:
            known = stored.checkpoints(index, self._rehashed if keeps else None)
        opened = open_random(
            blob,
            index.codec,
            size=index.size,
            checkpoints=known,
            pages=image.pages,
            limits=image.options.limits,
        )
        if stored is not None and keeps and isinstance(opened, RandomSource):
            image.on_closing(Harvest(stored, index, opened, known))
        return LayerContent(opened, self.index) if in_files(blob) else opened

    def _rehashed(self, digest: str) -> str:
        """Give the digest of the blob as it is now, by the algorithm of *digest*."""
        blob = self._blob()
        return digest_of_source(blob, digest, self._meter(blob.size))

    def _indexed(self, progress: Progress | None) -> LayerIndex:
        image = self._image
        record = self._record
        blob = self._blob()
        verify = image.options.verify and is_original(blob)
        if image.options.verify and not verify and record.diff_id is not None:
            raise UnsupportedError(
                "the store has not kept what the tar of the layer was, so its diff_id cannot be "
                "compared",
                member=record.member,
                expected=record.diff_id,
                hint="Pass verify=False to read the directory unchecked",
            )
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
            blob if verify else outline_of(blob),
            promise,
            compression=image.profile.compression,
            verify=verify,
            limits=image.options.limits,
            progress=progress or self._meter(blob.size),
            fresh=image.fresh,
            stored=image.stored,
        )
        image.remember(record.member, made)
        return made

    def _meter(self, size: int) -> Progress | None:
        """Give what tells the image's callback of this layer alone."""
        told = self._image.options.progress
        return None if told is None else Meter(told, size, f"layer {self.index}").part(size)

    def _blob(self) -> ByteSource:
        record = self._record
        if record.data is not None:
            return MemorySource(record.data)
        found = self._image.blob(record.member) if record.member is not None else None
        if found is None:
            link = self._image.link_to(record.name) if record.name is not None else None
            raise BlobNotFoundError(
                "the source lacks the blob of a layer"
                if link is None
                else f"the blob of a layer is not reached: {said_of_link(*link)}",
                member=record.name or self._image.label,
                layer=self.index,
                expected=record.digest or record.diff_id or record.member or record.name,
                actual=None if link is None else link[1],
                candidates=record.urls,
                hint='Pass missing="skip" to leave such layers out',
            )
        return found


def _layer_of(image: Image, index: int) -> Layer:
    """Find a layer again where a pickle is loaded."""
    return image.layers[index]
