"""An image: its documents, its layers base first, and the views over them."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from attrs import evolve

from unionlayers._bytes.source import ByteSource
from unionlayers._codec.forward import Progress
from unionlayers._codec.page_cache import shared_pages
from unionlayers._foundation.digest import chain_id
from unionlayers._foundation.forking import renew_in_children
from unionlayers._foundation.limits import exceeded
from unionlayers._foundation.names import printable
from unionlayers._image.config import Step, check_digest, steps_of
from unionlayers._image.ending import Ending
from unionlayers._image.index_store import IndexStore
from unionlayers._image.layer import Layer
from unionlayers._image.layer_stack import LayerChoice, LayerStack, Options
from unionlayers._image.loading import load_all, load_in_turn
from unionlayers._image.record import ImageRecord, LayerRecord
from unionlayers._image.store import Store
from unionlayers._image.stored_layers import StoredLayers
from unionlayers._image.view_makers import view_maker
from unionlayers._layers.buried_links import check_applies
from unionlayers._layers.finding import Finding
from unionlayers._layers.profile import Profile
from unionlayers._layers.stack_findings import stack_findings
from unionlayers._layers.union import Union
from unionlayers._tar.index import LayerIndex
from unionlayers.errors import ClosedError

if TYPE_CHECKING:
    from unionlayers._image.unreferenced import Unreferenced
    from unionlayers._views.fuse.mount import Mount
    from unionlayers._views.path import ImagePath
    from unionlayers._views.reading import ReadingFS
    from unionlayers._views.union_fs import UnionFS

__all__ = ["Image", "LayerChoice", "Options"]


def _lacking(layer: LayerRecord) -> str:
    """Say which layer is left out, and where it is said to be found."""
    name = layer.digest or layer.diff_id or layer.name
    places = f"; it is said to be at {', '.join(layer.urls)}" if layer.urls else ""
    return f"the source lacks the layer {name}{places}"


class Image(LayerStack):
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
        self._ending = Ending(store.close)
        self._closing = None if fresh else weakref.finalize(self, self._ending)
        self.fresh = fresh
        self._lock = threading.RLock()
        self._entries = 0
        self._guards: dict[str | None, threading.RLock] = {}
        renew_in_children(self)
        self._indexes: dict[str | None, LayerIndex] = {}
        self._view: Union | None = None
        self.record = record
        self.options = options
        self.stored = None if options.index_store is None else StoredLayers(options.index_store)
        self.profile = options.profile
        self.label = store.label
        self.pages = shared_pages()
        self.id = record.id
        self.digest = record.digest
        self.references = record.references
        self.platform = record.platform
        self.config = record.config
        self.manifest = record.manifest
        self.raw_config = record.raw_config
        self.raw_manifest = record.raw_manifest
        documented = record.documented
        self._documented = len(record.layers) if documented is None else documented
        self.history: tuple[Step, ...] = steps_of(record.config, self._documented)
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
        view: UnionFS = view_maker("fs")(self, layers, profile)
        return view

    def _view_of(self, union: Union) -> ReadingFS:
        self.check_open()
        view: ReadingFS = view_maker("over")(self, union)
        return view

    def path(self, path: str = "/") -> ImagePath:
        """Give a path object in the union of all layers."""
        self.check_open()
        made: ImagePath = view_maker("path")(self, path)
        return made

    def mount(
        self,
        directory: str | os.PathLike[str],
        layers: LayerChoice = None,
        *,
        profile: Profile | str | None = None,
        allow_other: bool = False,
    ) -> Mount:
        """
        Show the layers as a read-only directory of the host, by FUSE; needs the extra ``fuse``.

        Threads of this process serve it, so that other programs can read it as long as this one
        runs: until the mount is taken away, the image closed or the process ended.  All layers are
        indexed first.  Owners, modes, devices, links, times, attributes and inode numbers are
        those of the image; devices cannot be opened and setuid bits do nothing.  Absolute links
        are as stored, and the kernel follows them to the host.

        Args:
            directory: Where; it exists and is empty.
            layers: As in `fs`.
            profile: As in `fs`.
            allow_other: Let other users in too, and have the kernel ask the image's owners and
                modes; without it, you alone can read, and everything.

        Raises:
            MissingExtraError: mfusepy is not installed.
            UnsupportedError: There is no libfuse.
            FileNotFoundError: The directory is not there.
            NotADirectoryError: Something else is there.
            MountError: The directory is not empty, an image is mounted there already, or there is
                no device for FUSE.
            UnionLayersError: A layer cannot be read or applied.
        """
        self.check_open()
        made: Mount = view_maker("mount")(
            self, directory, layers, profile=profile, allow_other=allow_other
        )
        return made

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
        if self.history and len(steps) != self._documented:
            found.append(
                Finding(
                    "HISTORY_MISMATCH",
                    -1,
                    None,
                    None,
                    f"{len(steps)} steps of the history made layers, and there are "
                    f"{self._documented} layers",
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
                        _lacking(self.record.layers[layer.index]),
                        "L10",
                    )
                )
            else:
                found.extend(layer.findings())
        with self._lock:
            self._view = self._view or self.union()
        return (*found, *stack_findings(self._view))

    def unreferenced(self) -> tuple[Unreferenced, ...]:
        """
        Give what the source holds and no image of it leads to, each openable.

        Blobs that no manifest names, other files of the archive or folder, and members that a
        later one of their name replaces: of the whole source, where what any image of it needs is
        needed.  Then bytes behind the end of the archive or between its members, and the same of
        the layers of this image: behind their end, behind the end of their compressed stream, and
        where a tar is filled up behind the content of an entry.  Zeros there are no matter.

        A manifest that cannot be read names nothing.  Of the stores of engines, and of layers that
        are put together from one, nothing is told.

        Raises:
            ClosedError: The image was closed.
            LimitError: There are more members than ``Limits.members``.
            UnionLayersError: A layer cannot be read.

        Cost:
            Lists the source and reads its documents once more; reads each layer of the image once
            through, and one with something behind its stream twice.

        Example:
            >>> from unionlayers import open_image
            >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
            ...     image.unreferenced()
            ()
        """
        from unionlayers._image.unreferenced import unreferenced_in

        self.check_open()
        return tuple(unreferenced_in(self, self._store))

    @property
    def index_store(self) -> IndexStore | None:
        """Where records of layers are kept between processes; None if they are not."""
        return self.options.index_store

    def prepare(self, layers: LayerChoice = None) -> None:
        """
        Index layers now, so that later questions do not wait for it.

        The callback of the image is told of all of them together, as ``"layers"``.  Without
        *layers* what the profile refuses in any of them is raised as well.

        Raises:
            UnionLayersError: A layer cannot be read; or of all of them, one cannot be applied.
        """
        load_all(self.chosen(layers), self.options.progress)
        if layers is None:
            check_applies(self.union())

    def verify(self, progress: Progress | None = None) -> None:
        """
        Read every layer to its end and compare all digests and sizes, whatever was read before.

        No record is trusted, neither of this process nor of an index store.  What the profile
        refuses in a layer is raised as well, also where layers above hide it.

        Args:
            progress: Is told bytes done, bytes of all layers, and ``"verify"``; the callback of the
                image if it is None.

        Raises:
            DigestMismatchError: Something is not what was promised.
            BlobNotFoundError: A layer is not there.
            CorruptError: A layer is damaged, or cannot be applied.
        """
        self.check_open()
        record = self.record
        for raw, expected, member in (
            (record.raw_config, record.promised_id, "config"),
            (record.raw_manifest, record.digest, "manifest"),
        ):
            if raw is not None and expected is not None:
                check_digest(raw, expected, member)
        options = evolve(self.options, verify=True, index_store=None)
        strict = Image(self._store, record, options, reopen=None, fresh=True)
        load_in_turn(strict.layers, progress or self.options.progress)
        check_applies(strict.union())

    @property
    def opened_from(self) -> tuple[Any, str | None, str | None] | None:
        """The absolute path (or paths), reference and platform; None for a file object."""
        return None if self._reopen is None else self._reopen[1][:3]

    # -- what layers ask --------------------------------------------------------------------------

    def link_to(self, name: str) -> tuple[str, str] | None:
        """Give the link that keeps a member from being reached, and what it says, if one does."""
        return self._store.unfollowed(name)

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

    def on_closing(self, last: Callable[[], None]) -> None:
        """Have something done before the source is closed, also if nobody closes the image."""
        self._ending.first(last)

    def check_open(self) -> None:
        """Raise `ClosedError` if the image was closed."""
        if self._closed:
            raise ClosedError("the image was closed", member=self.label)

    def renew(self) -> None:
        """Take new locks in a forked child."""
        self._lock = threading.RLock()
        self._guards = {}

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
        try:
            # What is kept for later processes is still asked of the layers.
            self._ending.finish()
        finally:
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

    def _repr_html_(self) -> str:
        """Show its layers and files in a notebook."""
        shown: str = view_maker("html")(self)
        return shown

    def __repr__(self) -> str:
        """Show what identifies the image, escaped."""
        name = ", ".join(self.references) or self.digest or self.id or "bare layers"
        return printable(f"<Image {name} {self.platform or ''} {len(self.layers)} layers>")
