"""
The store of an engine on disk, read with the rights of the user while nothing runs.

What Docker's data-root and the root of containers/storage have in common: documents and folders
by ids that are checked before they touch a path, no link followed, and three ways in which the
tar of a layer comes about.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Iterator

from attrs import evolve, frozen

from unionlayers._bytes.assembled import AssembledSource, Assembly, DeferredSource
from unionlayers._bytes.rooted import RootedFolder, is_absent
from unionlayers._bytes.source import ByteSource
from unionlayers._foundation.forking import renew_in_children
from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._image.document import Document, parse_document
from unionlayers._image.listing import Listed, Remnant
from unionlayers._image.namespaces import is_remapped, owners_of_root
from unionlayers._image.odd_files import (
    expects,
    opened_document,
    read_document,
    readable,
    require_content,
)
from unionlayers._image.record import LayerRecord
from unionlayers._tar.directory_tar import assemble_changes, assemble_diff
from unionlayers._tar.id_map import SAME, Owners
from unionlayers._tar.overlay_marks import FUSE, marks_of
from unionlayers._tar.tar_split import assemble_tar
from unionlayers.errors import (
    ClosedError,
    DocumentError,
    StoreError,
    UnsupportedError,
)

__all__ = ["EngineStore", "StoredLayer", "checked_id"]

_LONGEST_FLAG = 64
_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}\Z")


def checked_id(text: object, member: str, pointer: str | None = None) -> str:
    """
    Give an id that is one component of a path, as documents of a store name folders by it.

    Raises:
        DocumentError: It is none.
    """
    if not isinstance(text, str) or not _ID.match(text):
        raise DocumentError(
            "not the id of something in the store",
            member=member,
            pointer=pointer,
            actual=str(text)[:200],
        )
    return text


@frozen(kw_only=True)
class StoredLayer:
    """
    Where a layer is in a store, and how its tar comes about.

    Attributes:
        folder: What it was unpacked to, relative to the root.
        frame: Its tar-split document; None where there is none, as for a container.
        whole: Whether *folder* is a full copy of the tree (vfs), not what changed (overlay).
        parent: For a full copy, the folder that it was copied from, or None.
        owners: Who owns what of it in the container.
        fuse: Whether fuse-overlayfs has written it.
    """

    folder: str
    frame: str | None = None
    whole: bool = False
    parent: str | None = None
    owners: Owners = SAME
    fuse: bool = False

    def record(self, diff_id: str | None, media_type: str | None = None) -> LayerRecord:
        """Give what a manifest would say of the layer."""
        return LayerRecord(member=self.folder, diff_id=diff_id, media_type=media_type)


class EngineStore:
    """
    A `Store` whose members are the folders of layers.

    Args:
        root: The root of the store, which is owned from then on.
        verify: Whether full copies are compared by content with what they were copied from.
        limits: Bounds.
    """

    def __init__(self, root: RootedFolder, *, verify: bool, limits: Limits) -> None:
        self.label = root.name
        self.limits = limits
        self.verify = verify
        self._root = root
        self._read = 0
        self._layers: dict[str, StoredLayer] = {}
        self._sources: dict[str, DeferredSource] = {}
        self._folders: list[RootedFolder] = []
        self._lock = threading.Lock()
        renew_in_children(self)
        self._closed = False

    def renew(self) -> None:
        """Take a new lock in a forked child."""
        self._lock = threading.Lock()

    # -- documents --------------------------------------------------------------------------------

    def raw(self, name: str) -> bytes | None:
        """
        Give the bytes of a document, None where there is none.

        Raises:
            LimitError: It is larger than ``Limits.document_bytes``, or all that was read so far
                than ``Limits.metadata_bytes``.
            SourceAccessError: The user may not read it.
            StoreError: Something else than a file has its name, or it is empty.
        """
        source = opened_document(self._root, name)
        if source is None:
            return None
        try:
            require_content(self._root, name, source)
            if source.size > self.limits.document_bytes:
                exceeded("document_bytes", self.limits.document_bytes, source.size, member=name)
            self._read += source.size
            if self._read > self.limits.metadata_bytes:
                exceeded("metadata_bytes", self.limits.metadata_bytes, self._read, member=name)
            return read_document(self._root, name, source)
        finally:
            source.close()

    def document(self, name: str) -> Document | None:
        """Give a JSON document, None where there is none; raises like `raw`."""
        raw = self.raw(name)
        return None if raw is None else parse_document(raw, name)

    def line(self, name: str) -> str | None:
        """Give a document of one line of text, None where there is none; raises like `raw`."""
        raw = self.raw(name)
        if raw is None:
            return None
        try:
            return raw.decode("ascii").strip()
        except UnicodeDecodeError as error:
            raise DocumentError("not a line of text", member=name, offset=error.start) from error

    def says_true(self, name: str) -> bool:
        """Tell whether a file is there and says so; an empty one does not."""
        source = opened_document(self._root, name)
        if source is None:
            return False
        try:
            return (
                source.size < _LONGEST_FLAG
                and read_document(self._root, name, source).strip() == b"true"
            )
        finally:
            source.close()

    def listed(self, name: str) -> list[str]:
        """
        Give the names in a folder of the store, sorted; none where there is no such folder.

        Raises:
            LimitError: There are more than ``Limits.members``.
            SourceAccessError: The user may not list it.
            StoreError: It is no folder.
        """
        if name and not expects(self._root, name, stat.S_IFDIR):
            return []
        try:
            descriptor = self._root.open_folder(os.fsencode(name))
        except OSError as error:
            if not is_absent(error):
                raise
            return []
        try:
            names: list[str] = []
            with readable(self._root, name), os.scandir(descriptor) as found:
                for item in found:
                    names.append(item.name)
                    if len(names) > self.limits.members:
                        exceeded("members", self.limits.members, len(names), member=name)
            return sorted(names)
        finally:
            os.close(descriptor)

    def is_folder(self, name: str) -> bool:
        """Tell whether there is a real folder of that name."""
        return self._root.kind(os.fsencode(name)) == stat.S_IFDIR

    def is_file(self, name: str) -> bool:
        """Tell whether there is a real file of that name."""
        return self._root.kind(os.fsencode(name)) == stat.S_IFREG

    def holds(self, name: str) -> bool:
        """Tell whether anything has that name, whatever it is."""
        return self._root.kind(os.fsencode(name)) is not None

    def has_folder(self, name: str) -> bool:
        """Tell whether there is a folder of that name; what is none is an error, as of `listed`."""
        return expects(self._root, name, stat.S_IFDIR)

    def owners(self) -> Owners:
        """Give who owns what in the store, where no document says otherwise."""
        return owners_of_root(self._root)

    # -- layers -----------------------------------------------------------------------------------

    def add_layer(self, layer: StoredLayer) -> None:
        """Make a layer a member of the store."""
        self._layers.setdefault(layer.folder, layer)

    def map_layer(self, folder: str, known: Owners, owners: Owners) -> None:
        """Let a layer that was added with the owners *known* have others instead."""
        layer = self._layers[folder]
        if layer.owners == known:
            self._layers[folder] = evolve(layer, owners=owners)

    def top(self) -> dict[str, bool]:
        """Give no names: the layout was told by documents."""
        return {}

    def has(self, name: str) -> bool:
        """Tell whether there is such a layer."""
        return name in self._layers

    def repeated(self, name: str) -> bool:
        """Say no: a folder has a name but once."""
        del name
        return False

    def resolved(self, name: str) -> str | None:
        """Give the name itself if there is such a layer."""
        return name if name in self._layers else None

    def listing(self) -> Iterator[Listed]:
        """Give nothing: what an engine keeps is its own affair, and changes while it runs."""
        return iter(())

    def remnants(self) -> Iterator[Remnant]:
        """Give nothing."""
        return iter(())

    def find(self, name: str) -> ByteSource | None:
        """Give the tar of a layer; nothing is read before it is asked for bytes."""
        layer = self._layers.get(name)
        if layer is None:
            return None
        with self._lock:
            if self._closed:
                raise ClosedError("the image was closed", member=self.label)
            known = self._sources.get(name)
            if known is None:
                known = DeferredSource(lambda: self._assembled(layer), self.label)
                self._sources[name] = known
            return known

    def unfollowed(self, name: str) -> None:
        """Give none: a folder of a layer that is a link is none."""
        del name

    def close(self) -> None:
        """Close all files and folders."""
        with self._lock:
            self._closed = True
            sources = list(self._sources.values())
            folders = [*self._folders, self._root]
            self._folders.clear()
        for source in sources:
            source.close()
        for folder in folders:
            folder.close()

    def _assembled(self, layer: StoredLayer) -> AssembledSource:
        folder = self._folder(layer.folder)
        if layer.frame is not None:
            assembly = self._framed(layer.frame)
            if assembly is not None:
                return AssembledSource(assembly, folder, original=True)
        if layer.whole:
            parent = None if layer.parent is None else self._folder(layer.parent)
            known = None if layer.parent is None else self._layers.get(layer.parent)
            assembly = assemble_changes(
                folder,
                parent,
                compare=self.verify,
                limits=self.limits,
                owners=layer.owners,
                parent_owners=known.owners if known else layer.owners,
            )
        else:
            if self.is_folder(f"{layer.folder.rpartition('/')[0]}/composefs-data"):
                raise UnsupportedError(
                    "the layer is kept as composefs",
                    member=layer.folder,
                    hint="Save the image with its engine, and open that",
                )
            # With userns-remap it is root of the host all the same that mounts.
            of_root = self._root.is_of_root() or is_remapped(self._root) is not None
            marks = FUSE if layer.fuse else marks_of(of_root=of_root)
            assembly = assemble_diff(folder, marks=marks, limits=self.limits, owners=layer.owners)
        return AssembledSource(assembly, folder, original=False)

    def _framed(self, name: str) -> Assembly | None:
        """Give the tar by its tar-split document; None where that does not hold it."""
        source = opened_document(self._root, name)
        if source is None:
            raise StoreError(
                "the frame of the layer is gone", member=self._root.called(os.fsencode(name))
            )
        try:
            require_content(self._root, name, source)
            with readable(self._root, name):
                return assemble_tar(source, name, self.limits)
        finally:
            source.close()

    def _folder(self, name: str) -> RootedFolder:
        try:
            folder = self._root.beneath(os.fsencode(name))
        except OSError as error:
            if not is_absent(error):
                raise
            raise StoreError(
                "the folder of a layer is gone", member=self._root.called(os.fsencode(name))
            ) from error
        with self._lock:
            if self._closed:
                folder.close()
                raise ClosedError("the image was closed", member=self.label)
            self._folders.append(folder)
        return folder
