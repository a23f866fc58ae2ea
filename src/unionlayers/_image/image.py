"""An image: its documents, its layers base first, and the views over them."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from attrs import evolve, field, frozen

from unionlayers._bytes.source import ByteSource
from unionlayers._codec.forward import Progress
from unionlayers._codec.page_cache import PageCache
from unionlayers._foundation.digest import chain_id
from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._image.config import Step, check_digest, steps_of
from unionlayers._image.document import Document
from unionlayers._image.layer import Layer
from unionlayers._image.record import ImageRecord
from unionlayers._image.store import Store
from unionlayers._layers.finding import Finding
from unionlayers._layers.profile import Profile, profile_named
from unionlayers._layers.stack_findings import stack_findings
from unionlayers._layers.union import Slot, Union
from unionlayers._tar.index import LayerIndex
from unionlayers.errors import ClosedError

if TYPE_CHECKING:
    from unionlayers._views.path import ImagePath
    from unionlayers._views.union_fs import UnionFS

__all__ = ["Image", "LayerChoice", "Options", "provide_views"]

LayerChoice = slice | Sequence[int] | Callable[[Layer], bool] | None
"""Which layers a view is over: a slice, indexes, a predicate, or None for all."""


@frozen(kw_only=True)
class Options:
    """How an image was opened."""

    profile: Profile = field(factory=Profile)
    on_invalid: Literal["error", "warn"] = "error"
    missing: Literal["error", "skip"] = "error"
    verify: bool = True
    limits: Limits = field(factory=Limits)
    progress: Progress | None = None


_PAGE_BYTES = 32 << 20

_views: dict[str, Callable[..., Any]] = {}


def provide_views(*, fs: Callable[..., Any], path: Callable[..., Any]) -> None:
    """
    Say what makes the views of an image.

    The package's face calls this, so that images know of views and no import points upwards.

    Args:
        fs: Makes a filesystem from (image, layers, profile).
        path: Makes a path object from (image, path).
    """
    _views.update(fs=fs, path=path)


class Image:
    """
    A container image, read in place; made by `open_image`, and a context manager.

    Attributes:
        id: Digest of the config, None for bare layers.
        digest: Digest of the manifest, None where there is none.
        references: Tags and ref names.
        platform: ``os/architecture[/variant]``, or None.
        layers: Base first; one for each layer of the manifest.
        history: One step per history item, those that made no layer too.
        config: The configuration as parsed; empty for bare layers.
        manifest: The manifest, or the item of manifest.json, as parsed.
        raw_config: The bytes of the configuration, or None.
        raw_manifest: The bytes of the manifest, or None.
    """

    def __init__(
        self,
        store: Store,
        record: ImageRecord,
        options: Options,
        *,
        reopen: tuple[Any, ...] | None,
        fresh: bool = False,
    ) -> None:
        self._store = store
        self._reopen = reopen
        self._closed = False
        # An image that is dropped without being closed gives its files back all the same.
        self._closing = None if fresh else weakref.finalize(self, store.close)
        self.fresh = fresh
        self._lock = threading.RLock()
        self._entries = 0
        self._guards: dict[str | None, threading.RLock] = {}
        self._indexes: dict[str | None, LayerIndex] = {}
        self._view: Union | None = None
        self.record = record
        self.options = options
        self.profile = options.profile
        self.label = store.label
        self.pages = PageCache(_PAGE_BYTES)
        self.id = record.id
        self.digest = record.digest
        self.references = record.references
        self.platform = record.platform
        self.config = record.config
        self.manifest = record.manifest
        self.raw_config = record.raw_config
        self.raw_manifest = record.raw_manifest
        config = Document(record.config or None, "config", "")
        self.history: tuple[Step, ...] = steps_of(config, len(record.layers))
        self.layers = self._make_layers()

    def _make_layers(self) -> tuple[Layer, ...]:
        made = {step.layer: step for step in self.history if step.layer is not None}
        layers: list[Layer] = []
        chain: str | None = None
        known = True
        for position, record in enumerate(self.record.layers):
            known = known and record.diff_id is not None
            chain = chain_id(chain, record.diff_id) if known and record.diff_id else None
            step = made.get(position)
            layers.append(
                Layer(
                    self,
                    position,
                    record,
                    chain_id=chain,
                    created_by=step.created_by if step else None,
                    created=step.created if step else None,
                )
            )
        return tuple(layers)

    # -- views ------------------------------------------------------------------------------------

    def fs(self, layers: LayerChoice = None, *, profile: Profile | str | None = None) -> UnionFS:
        """
        Give a read-only PyFilesystem over the union of the layers.

        Nothing is read yet.  Closing the view leaves the image open.

        Args:
            layers: A slice, distinct indexes or a predicate; always in the order of the stack.
            profile: Another one than that of the image.

        Raises:
            IndexError: An index is out of range.
            ValueError: An index stands twice, or there is no such profile.
            ClosedError: The image was closed.

        Example:
            >>> from unionlayers import open_image
            >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
            ...     image.fs().exists("/etc/os-release")
            True
        """
        self.check_open()
        return _views["fs"](self, layers, profile)  # type: ignore[no-any-return]

    def path(self, path: str = "/") -> ImagePath:
        """Give a path object in the union of all layers."""
        self.check_open()
        return _views["path"](self, path)  # type: ignore[no-any-return]

    def union(self, layers: LayerChoice = None, profile: Profile | str | None = None) -> Union:
        """Give the stack that a view is made over."""
        chosen = self.chosen(layers)
        return Union(
            [Slot(layer.index, layer.load) for layer in chosen],
            self.profile if profile is None else profile_named(profile),
            on_invalid=self.options.on_invalid,
            limits=self.options.limits,
        )

    def chosen(self, layers: LayerChoice) -> tuple[Layer, ...]:
        """Give the layers of a choice, base first; those that the source lacks may be skipped."""
        if layers is None:
            chosen = self.layers
        elif isinstance(layers, slice):
            chosen = self.layers[layers]
            if layers.step is not None and layers.step < 0:
                chosen = chosen[::-1]
        elif callable(layers):
            chosen = tuple(layer for layer in self.layers if layers(layer))
        else:
            count = len(self.layers)
            wanted = [range(count)[index] for index in layers]
            if len(set(wanted)) != len(wanted):
                raise ValueError("an index of a layer stands twice")
            chosen = tuple(self.layers[index] for index in sorted(wanted))
        if self.options.missing == "skip":
            chosen = tuple(layer for layer in chosen if not self.lacks(layer.index))
        return chosen

    def lacks(self, index: int) -> bool:
        """Tell whether the source lacks the blob of a layer."""
        record = self.record.layers[index]
        return record.data is None and record.member is None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """
        Everything that is odd about the image under its profile; complete at every call.

        Raises:
            UnionLayersError: A layer cannot be read or applied.

        Cost:
            Indexes every layer that is not indexed yet.
        """
        found = [
            Finding(item.code, item.layer, None, None, item.message, item.case)
            for item in self.record.findings
        ]
        steps = [step for step in self.history if not step.empty_layer]
        if self.history and len(steps) != len(self.layers):
            found.append(
                Finding(
                    "HISTORY_MISMATCH",
                    -1,
                    None,
                    None,
                    f"{len(steps)} steps of the history made layers, and there are "
                    f"{len(self.layers)} layers",
                    "L9",
                )
            )
        for layer in self.layers:
            if self.lacks(layer.index) and self.options.missing == "skip":
                found.append(
                    Finding(
                        "LAYER_MISSING",
                        layer.index,
                        None,
                        None,
                        f"the source lacks the layer {layer.digest or layer.diff_id}",
                        "L10",
                    )
                )
            else:
                found.extend(layer.findings())
        with self._lock:
            self._view = self._view or self.union()
        return (*found, *stack_findings(self._view))

    def prepare(self, layers: LayerChoice = None) -> None:
        """
        Index layers now, so that later questions do not wait for it.

        Raises:
            UnionLayersError: A layer cannot be read.
        """
        waiting = sorted(self.chosen(layers), key=lambda layer: -layer.size)
        workers = min(len(waiting), os.cpu_count() or 1, 4)
        if workers <= 1:
            for layer in waiting:
                layer.load()
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="unionlayers") as pool:
            try:
                for done in [pool.submit(layer.load) for layer in waiting]:
                    done.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def verify(self) -> None:
        """
        Read every layer to its end and compare all digests and sizes, whatever was read before.

        Raises:
            DigestMismatchError: Something is not what was promised.
            BlobNotFoundError: A layer is not there.
        """
        self.check_open()
        record = self.record
        for raw, expected, member in (
            (record.raw_config, record.promised_id, "config"),
            (record.raw_manifest, record.digest, "manifest"),
        ):
            if raw is not None and expected is not None:
                check_digest(raw, expected, member)
        options = evolve(self.options, verify=True)
        strict = Image(self._store, record, options, reopen=None, fresh=True)
        for layer in strict.layers:
            layer.load()

    # -- what layers ask --------------------------------------------------------------------------

    def blob(self, member: str) -> ByteSource | None:
        """Give the bytes of a blob as stored."""
        self.check_open()
        return self._store.find(member)

    def guard(self, member: str | None) -> threading.RLock:
        """Give the lock that one blob is indexed under, so that no two layers pass over it."""
        with self._lock:
            name = self._store.resolved(member) if member else None
            return self._guards.setdefault(name, threading.RLock())

    def indexed(self, member: str | None) -> LayerIndex | None:
        """Give the record of a blob that another layer of the image has as well."""
        with self._lock:
            return self._indexes.get(self._store.resolved(member)) if member else None

    def remember(self, member: str | None, index: LayerIndex) -> None:
        """Keep the record of a blob, and hold the bound on entries of all layers together."""
        with self._lock:
            if member is not None:
                self._indexes[self._store.resolved(member)] = index
            self._entries += index.entries
            bound = self.options.limits.image_entries
            if self._entries > bound:
                exceeded("image_entries", bound, self._entries)

    def check_open(self) -> None:
        """Raise `ClosedError` if the image was closed."""
        if self._closed:
            raise ClosedError("the image was closed", member=self.label)

    # -- life -------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the image was closed."""
        return self._closed

    def close(self) -> None:
        """Close the source and let go of all caches; closing twice is allowed."""
        if self._closed:
            return
        self._closed = True
        for layer in self.layers:
            layer.close()
        if self._closing is not None:
            self._closing()

    def __enter__(self) -> Self:
        """Give the image itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the image."""
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """
        Pickle as what opens it again; only an image that was opened from a path can.

        Raises:
            TypeError: It was opened from a file object.
        """
        if self._reopen is None:
            raise TypeError("only an image that was opened from a path can be pickled")
        return self._reopen

    def __repr__(self) -> str:
        """Show what identifies the image."""
        name = ", ".join(self.references) or self.digest or self.id or "bare layers"
        return f"<Image {name} {self.platform or ''} {len(self.layers)} layers>"
