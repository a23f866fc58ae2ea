"""
What a source holds and no image of it leads to.

What is referenced is found from the documents, of all images of the source: the descriptors of
``index.json`` and of what it names, the items of ``manifest.json``, and the layers of
``repositories`` with their parents.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from unionlayers._bytes.source import ByteSource
from unionlayers._bytes.window import WindowSource
from unionlayers._codec.forward import open_forward
from unionlayers._foundation.digest import is_digest
from unionlayers._foundation.limits import Limits
from unionlayers._foundation.names import clean_entry_name, decode, encode
from unionlayers._image.docker_archive import MANIFEST, document_bytes
from unionlayers._image.docker_v1 import REPOSITORIES
from unionlayers._image.document import parse_document
from unionlayers._image.manifest import blob_name
from unionlayers._image.oci_layout import INDEX, LAYOUT
from unionlayers._image.open_file import open_buffered
from unionlayers._image.store import Store, Tally
from unionlayers._tar.loose_bytes import loose_bytes
from unionlayers.errors import DocumentError, LimitError

if TYPE_CHECKING:
    from unionlayers._image.image import Image

__all__ = ["Unreferenced", "unreferenced_in"]

_BLOB = re.compile(r"(?:.*/)?(?:blobs/[^/]+/)?[0-9a-f]{64,}(?:\.tar|\.json|/layer\.tar|/json)?\Z")
_OF_A_LAYER = re.compile(r"(.*)/(?:json|VERSION)\Z")
# What a layout has beside its blobs; the version and signatures are those of dir:.
_KNOWN = (LAYOUT, INDEX, MANIFEST, REPOSITORIES, "version")
_SIGNATURE = re.compile(r"signature-[0-9]+\Z")


@frozen(kw_only=True)
class Unreferenced:
    """
    Bytes of a source that no image of it leads to.

    Attributes:
        kind: ``"blob"``: one that no manifest names; ``"member"``: another file of the archive or
            folder; ``"repeated member"``: one that a later member of its name replaces;
            ``"gap"``: between two entries of a tar; ``"after tar"``: behind the end of a tar;
            ``"after stream"``: behind the end of a compressed stream.
        name: Of the blob or member, of the layer's blob, or of the archive.
        layer: Index of the layer in whose stream the bytes lie, None for all else.
        offset: Where they start, in bytes of the tar, or of the compressed stream for what is
            behind that; 0 for whole files.
        size: Bytes.
    """

    kind: str
    name: str
    layer: int | None
    offset: int
    size: int
    _open: Callable[[], io.BufferedReader] = field(repr=False, eq=False)

    def open(self) -> io.BufferedReader:
        """
        Open the bytes.

        Raises:
            ClosedError: The image was closed.
        """
        return self._open()


def unreferenced_in(image: Image, store: Store) -> Iterator[Unreferenced]:
    """Give what a store has beside its images, and the layers of an image beside their entries."""
    limits = image.options.limits
    needed = _Needed(Tally(store, limits), limits).names()
    for listed in sorted(store.listing(), key=lambda listed: encode(listed.name)):
        if listed.counts and (listed.name in needed or _is_of_a_layer(store, listed.name, needed)):
            continue
        kind = "blob" if _BLOB.match(listed.name) else "member"
        yield Unreferenced(
            kind=kind if listed.counts else "repeated member",
            name=listed.name,
            layer=None,
            offset=0,
            size=listed.size,
            open=partial(_opened, image, listed.content, listed.name),
        )
    for remnant in store.remnants():
        yield _stretch(
            image, remnant.kind, image.label, None, remnant.offset, remnant.size, remnant.source
        )
    for layer in image.chosen(None):
        yield from _in_layer(image, layer.index)


def _in_layer(image: Image, number: int) -> Iterator[Unreferenced]:
    """Give what the stream of a layer has beside its entries."""
    layer = image.layers[number]
    index = layer.load()
    record = image.record.layers[number]
    name = record.name or record.member or layer.digest or image.label
    tar = layer.content()
    for loose in loose_bytes(tar, image.options.limits):
        yield _stretch(image, loose.kind, name, number, loose.offset, loose.size, tar)
    if record.member is None or not any(note.code == "DATA_AFTER_STREAM" for note in index.notes):
        return
    blob = image.blob(record.member)
    if blob is None:
        return
    with open_forward(blob, index.codec, limits=image.options.limits, what="layer") as stream:
        stream.drain()
        trailing = stream.trailing
    offset = blob.size - trailing
    yield _stretch(image, "after stream", name, number, offset, trailing, blob)


def _stretch(
    image: Image,
    kind: str,
    name: str,
    layer: int | None,
    offset: int,
    size: int,
    source: ByteSource,
) -> Unreferenced:
    content = partial(WindowSource, source, offset, size)
    return Unreferenced(
        kind=kind,
        name=name,
        layer=layer,
        offset=offset,
        size=size,
        open=partial(_opened, image, content, name),
    )


def _opened(image: Image, content: Callable[[], ByteSource], name: str) -> io.BufferedReader:
    image.check_open()
    return open_buffered(content(), name, image.check_open, -1)


def _is_of_a_layer(store: Store, name: str, needed: set[str]) -> bool:
    """Tell whether a document stands beside the tar of a layer, as ``docker save`` has it."""
    beside = _OF_A_LAYER.match(name)
    return beside is not None and store.resolved(f"{beside.group(1)}/layer.tar") in needed


class _Needed:
    """The names that the documents of a store lead to."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._found: set[str] = set()
        self._pending: list[Any] = []

    def names(self) -> set[str]:
        """Give the names as `Store.resolved` spells them."""
        for name in _KNOWN:
            self._need(name)
        self._found.update(name for name in self._store.top() if _SIGNATURE.match(name))
        for name in (INDEX, MANIFEST):
            self._read(name)
        self._legacy()
        while self._pending:
            value = self._pending.pop()
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict):
                    self._item(item)
        return self._found

    def _need(self, name: str) -> bool:
        """Take a name in, and tell whether it is new."""
        found = self._store.resolved(name)
        if found is None or found in self._found:
            return False
        self._found.add(found)
        return True

    def _read(self, name: str) -> None:
        """Have a document looked at; one that cannot be read names nothing."""
        try:
            raw = document_bytes(self._store, name, self._limits)
            if raw is not None:
                self._pending.append(parse_document(raw, name).value)
        except DocumentError:
            return
        except LimitError as error:
            if error.limit == "metadata_bytes":
                raise

    def _item(self, item: dict[str, Any]) -> None:
        """Take what a manifest, an index or an item of manifest.json names."""
        for key in ("config", "subject"):
            self._blob(item.get(key))
        for key in ("layers", "blobs"):
            for descriptor in _list(item.get(key)):
                self._blob(descriptor)
        for descriptor in _list(item.get("manifests")):
            name = self._blob(descriptor)
            if name is not None:
                self._read(name)
        for name in (item.get("Config"), *_list(item.get("Layers"))):
            if isinstance(name, str):
                self._need(decode(clean_entry_name(encode(name))[0]))

    def _blob(self, descriptor: Any) -> str | None:
        """Take the blob of a descriptor, and give its name if it is new."""
        digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
        if not isinstance(digest, str) or not is_digest(digest):
            return None
        name = blob_name(digest)
        return name if self._need(name) else None

    def _legacy(self) -> None:
        """Take the layers that ``repositories`` names, and their parents."""
        try:
            raw = document_bytes(self._store, REPOSITORIES, self._limits)
            value = None if raw is None else parse_document(raw, REPOSITORIES).value
        except DocumentError:
            return
        tags = value.values() if isinstance(value, dict) else ()
        pending = [top for tag in tags if isinstance(tag, dict) for top in tag.values()]
        while pending:
            name = pending.pop()
            if not isinstance(name, str) or not self._need(f"{name}/json"):
                continue
            self._need(f"{name}/layer.tar")
            try:
                raw = document_bytes(self._store, f"{name}/json", self._limits)
                value = None if raw is None else parse_document(raw, f"{name}/json").value
            except DocumentError:
                continue  # one that cannot be read has no parent
            if isinstance(value, dict):
                pending.append(value.get("parent"))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
