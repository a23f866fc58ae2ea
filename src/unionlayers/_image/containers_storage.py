"""
The root of containers/storage, such as ``/var/lib/containers/storage``: podman, buildah, CRI-O.

Three lists, of images, layers and containers, each a JSON document; an image names its topmost
layer, and each layer the one beneath it.

Source:
    github.com/containers/storage, ``images.go``, ``layers.go``, ``containers.go``,
    ``drivers/overlay`` and ``drivers/vfs``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import partial

from attrs import evolve, field, frozen

from unionlayers._bytes.odd_file import PUT_BACK
from unionlayers._foundation.digest import digest_of, is_digest
from unionlayers._foundation.limits import exceeded
from unionlayers._image.config import Config, check_digest, read_config
from unionlayers._image.document import Document, parse_document
from unionlayers._image.engine_store import EngineStore, StoredLayer, checked_id
from unionlayers._image.found_layers import FoundLayers
from unionlayers._image.layer_chain import NOTHING, OWN, LayerChain
from unionlayers._image.lower_links import lower_findings
from unionlayers._image.namespaces import owners_within
from unionlayers._image.odd_files import attempt, faults, told_of
from unionlayers._image.record import (
    DocumentFinding,
    ImageRecord,
    LayerCount,
    LayerRecord,
    oddities_of,
)
from unionlayers._tar.id_map import Owners
from unionlayers.errors import (
    DocumentError,
    LimitError,
    StoreError,
    UnionLayersError,
    UnsupportedError,
)

__all__ = ["is_containers_storage", "read_containers_storage"]

_OVERLAY = "overlay"
_WHOLE = "vfs"
_MOUNT_PROGRAM = "overlay/.has-mount-program"
_LAYERS = re.compile(r"([a-z0-9]+)-layers\Z")
_PLAIN = re.compile(r"[a-z]+\Z")
_LAYOUT = "containers-storage"
_DOCKER = "application/vnd.docker.image.rootfs.diff.tar"
_OCI = "application/vnd.oci.image.layer.v1.tar"


def is_containers_storage(store: EngineStore) -> bool:
    """Tell whether a folder is a root of containers/storage."""
    return bool(_drivers(store))


def _drivers(store: EngineStore) -> list[str]:
    found = [match.group(1) for match in map(_LAYERS.match, store.listed("")) if match]
    return [name for name in found if store.is_folder(f"{name}-images")]


def read_containers_storage(store: EngineStore) -> list[ImageRecord]:
    """
    Read the documents of all images and containers.

    What cannot be read is the error of those that need it; a list of others has a record of its
    own then, of the kind ``"index"``.

    Raises:
        LimitError: There are too many, or their documents are too large.
        SourceAccessError: The user may not read the root.
        UnsupportedError: No storage driver of the root is overlay or vfs.

    Cost:
        The lists, and config and manifest of every image.
    """
    drivers = _drivers(store)
    known = [name for name in (_OVERLAY, _WHOLE) if name in drivers]
    if not known:
        raise UnsupportedError(
            "a storage driver that is not read",
            member=store.label,
            actual=", ".join(drivers),
            expected=f"{_OVERLAY}, {_WHOLE}",
            hint="Save the image with podman save, and open that",
        )
    records: list[ImageRecord] = []
    counted = LayerCount(store.limits, store.label)
    for driver in known:
        root = _Driver(store, driver)
        root.read_layers()
        records.extend(map(counted.add, root.images()))
        records.extend(map(counted.add, root.containers()))
        if len(records) > store.limits.images:
            exceeded("images", store.limits.images, len(records), member=store.label)
    return records


@frozen
class _Driver:
    """What one storage driver keeps in a root."""

    store: EngineStore
    driver: str
    _listed: dict[str, Document] = field(factory=dict, init=False)
    # Why layers, and why images, are not all listed.
    _unlisted: list[UnionLayersError] = field(factory=list, init=False)
    _unnamed: list[UnionLayersError] = field(factory=list, init=False)
    _images: dict[str, ImageRecord] = field(factory=dict, init=False)
    _configs: dict[str, Config] = field(factory=dict, init=False)
    _fuse: tuple[bool | None, UnionLayersError | None] = field(init=False)
    _owners: Owners = field(init=False)

    @_fuse.default
    def _read_fuse(self) -> tuple[bool | None, UnionLayersError | None]:
        # Podman writes this file where its overlays are mounted by a program.
        return attempt(lambda: self.driver == _OVERLAY and self.store.says_true(_MOUNT_PROGRAM))

    @_owners.default
    def _owners_of_root(self) -> Owners:
        return self.store.owners()

    def images(self) -> Iterator[ImageRecord]:
        """Give the images in the order of the lists, then those lists that cannot be read."""
        for name in _lists("images"):
            for record in told_of("images", _LAYOUT, self._images_of(name)):
                if record.hides is not None and record.error is not None:
                    self._unnamed.append(record.error)
                yield record

    def containers(self) -> Iterator[ImageRecord]:
        """Give the containers in the order of the lists, once the images were given."""
        for name in _lists("containers"):
            yield from told_of("containers", _LAYOUT, self._containers_of(name))

    def _images_of(self, name: str) -> Iterator[ImageRecord]:
        for item in self._items("images", name):
            yield faults(
                ImageRecord(layout=_LAYOUT, hides="names"), partial(self._named_image, item)
            )

    def _named_image(self, item: Document) -> ImageRecord:
        ident = _id_of(item)
        names = tuple(name.required_text() for name in item.at("names").items())
        blank = ImageRecord(
            layout=_LAYOUT,
            references=names,
            aliases=(ident,),
            promised_id=f"sha256:{ident}",
        )
        made = faults(blank, partial(self._image, blank, ident, item))
        self._images[ident] = made
        return made

    def _containers_of(self, name: str) -> Iterator[ImageRecord]:
        for item in self._items("containers", name):
            nameless = ImageRecord(layout=_LAYOUT, kind="container", hides="names")
            yield faults(nameless, partial(self._named_container, item))

    def _named_container(self, item: Document) -> ImageRecord:
        ident = _id_of(item)
        names = tuple(name.required_text() for name in item.at("names").items())
        wanted = item.at("image").text() or ""
        image = self._images.get(wanted)
        unread = image.error if image else next(iter(self._unnamed if wanted else ()), None)
        message = f"its image cannot be read: {unread}"
        blank = ImageRecord(
            layout=_LAYOUT,
            kind="container",
            references=(*names, ident),
            aliases=(ident,),
            id=image.id if image else None,
            promised_id=image.promised_id if image and image.id else None,
            platform=image.platform if image else None,
            config=image.config if image else {},
            manifest=image.manifest if image else {},
            raw_config=image.raw_config if image else None,
            findings=(DocumentFinding("STORE_NOT_READ", -1, message, None),) if unread else (),
        )
        return faults(blank, partial(self._container, blank, item, wanted))

    def _container(self, blank: ImageRecord, item: Document, wanted: str) -> ImageRecord:
        chain = self._chain(item.at("layer"))
        if not chain.items and chain.lost is None:
            raise StoreError(
                "a container has no layer of its own",
                member=f"{self.store.label}/{chain.end.member}",
                pointer=chain.end.pointer,
                expected=OWN,
                actual=NOTHING,
                hint=PUT_BACK,
            )
        config = self._configs.get(wanted)
        diff_ids = config.diff_ids if config else None
        if diff_ids is None:
            chain.require_base(wanted)
            chain.require_names(self._listed)
        else:
            chain.require(diff_ids, own=1)
        found = self._found(chain, diff_ids, own=1)
        odd = lower_findings(self.store, found, certain=diff_ids is not None)
        if found.layers and found.layers[-1].member is not None and not self._is_fuse():
            self._own_namespace(found.layers[-1].member, item)
        return evolve(
            blank,
            layers=tuple(found.layers),
            missing=tuple(found.missing),
            documented=max(0, len(found.layers) - 1),
            findings=(*blank.findings, *found.findings, *odd),
        )

    def _own_namespace(self, folder: str, container: Document) -> None:
        """
        Let a container's own layer have the owners of its namespace.

        Of mounts with mapped ids only the container's record says so; fuse-overlayfs has then
        written the ids of the container.
        """
        uidmap, gidmap = container.at("uidmap"), container.at("gidmap")
        owners = owners_within(self._owners, uidmap, gidmap)
        if owners is not None:
            self.store.map_layer(folder, self._owners, owners)

    def _image(self, blank: ImageRecord, ident: str, item: Document) -> ImageRecord:
        big = [key.required_text() for key in item.at("big-data-names").items()]
        config = self._config(ident, big)
        if config is None:
            return self._stacked(blank, blank.promised_id, ident, item, big)
        # What the image's containers need is known even where its layers are not as they should.
        self._configs[ident] = config[0]
        promised = blank.promised_id
        described = evolve(
            blank,
            id=config[0].id,
            promised_id=promised if is_digest(promised) else None,
            platform=config[0].platform,
            config=config[0].document.value,
            raw_config=config[1],
            findings=(*oddities_of(config[0].document), *config[0].findings),
        )
        return faults(described, partial(self._stacked, described, None, ident, item, big))

    def _stacked(
        self, known: ImageRecord, lacks: str | None, ident: str, item: Document, big: list[str]
    ) -> ImageRecord:
        """Add manifest and layers to what is known of an image; *lacks* is what it does without."""
        manifest, digest, others = self._manifest(ident, item, big)
        config = self._configs.get(ident)
        chain = self._chain(item.at("layer"))
        diff_ids = config.diff_ids if config else None
        if diff_ids is not None and chain.lost is None:
            if len(diff_ids) != len(chain.items):
                raise DocumentError(
                    "the config and the store count different layers (case L5)",
                    member=chain.end.member,
                    pointer=chain.end.pointer,
                    expected=len(diff_ids),
                    actual=len(chain.items),
                )
            chain.require(diff_ids)
        layers = self._found(chain, diff_ids)
        media = _OCI if manifest and _is_oci(manifest[0]) else _DOCKER
        return evolve(
            known,
            promised_id=None if lacks else known.promised_id,
            digest=digest,
            layers=tuple(evolve(layer, media_type=media) for layer in layers.layers),
            missing=tuple((lacks, *layers.missing) if lacks else layers.missing),
            indexes=others,
            manifest=manifest[0].value if manifest else {},
            raw_manifest=manifest[1] if manifest else None,
            findings=(
                *known.findings,
                *oddities_of(manifest[0] if manifest else None),
                *layers.findings,
            ),
        )

    def _config(self, ident: str, big: list[str]) -> tuple[Config, bytes] | None:
        key = f"sha256:{ident}"
        if key not in big or not is_digest(key):
            return None
        member, raw = self._big(ident, key)
        if raw is None:
            return None
        if self.store.verify:
            check_digest(raw, key, member)
        return read_config(raw, member), raw

    def _manifest(
        self, ident: str, item: Document, big: list[str]
    ) -> tuple[tuple[Document, bytes] | None, str | None, tuple[str, ...]]:
        """Give the manifest, its digest, and those of other manifests and lists that led here."""
        promised = item.at("digest").text()
        named = [key.partition("-")[2] for key in big if key.startswith("manifest-")]
        raw = None
        if "manifest" in big:
            member, raw = self._big(ident, "manifest")
        if raw is None:
            return None, promised if is_digest(promised) else None, ()
        digest = digest_of(raw)
        if self.store.verify and named and digest not in named and is_digest(promised):
            check_digest(raw, str(promised), member)
        others = tuple(
            dict.fromkeys(
                text for text in (promised, *named) if is_digest(text) and text != digest and text
            )
        )
        return (parse_document(raw, member), raw), digest, others

    def _chain(self, top: Document) -> LayerChain:
        """Follow the layers from *top*, which names the topmost, down to the base."""
        items: list[tuple[str, Document]] = []
        links: list[Document] = []
        seen: set[str] = set()
        lost: str | None = None
        while top.value not in (None, ""):
            ident = _id(top)
            if ident in seen:
                raise DocumentError(
                    "layers are parents of each other in a circle",
                    member=top.member,
                    pointer=top.pointer,
                    actual=ident,
                )
            seen.add(ident)
            if len(seen) > self.store.limits.layers:
                exceeded(
                    "layers",
                    self.store.limits.layers,
                    len(seen),
                    member=top.member,
                    pointer=top.pointer,
                )
            item = self._listed.get(ident)
            if item is None:
                if self._unlisted:
                    raise self._unlisted[0].with_traceback(None)
                lost = ident
                break
            items.append((ident, item))
            links.append(top)
            top = item.at("parent")
        return LayerChain(
            store=self.store.label,
            items=tuple(reversed(items)),
            links=tuple(reversed(links)),
            end=top,
            lost=lost,
        )

    def _found(
        self, chain: LayerChain, diff_ids: tuple[str, ...] | None, *, own: int = 0
    ) -> FoundLayers:
        """
        Look up the layers of a chain.

        Args:
            chain: The layers.
            diff_ids: Those of the image, None where they are not known.
            own: How many on top are not of the image.
        """
        found = FoundLayers(self.store)
        if chain.lost is not None:
            # Which of them are beneath which cannot be told any more.
            above = len(chain.items) - own
            absent = diff_ids[: max(0, len(diff_ids) - above)] if diff_ids else ()
            for text in absent or (chain.lost,):
                found.lack(f"{self.driver}-layers/layers.json", text, text if absent else None)
            found.layers += [LayerRecord(member=None) for _ in chain.items]
            return found
        for position, (ident, item) in enumerate(chain.items):
            diff_id = item.at("diff-digest").text()
            if diff_id is not None:
                item.at("diff-digest").digest()
            if diff_ids is not None and position < len(diff_ids):
                diff_id = diff_ids[position]
            frame = f"{self.driver}-layers/{ident}.tar-split.gz"
            stored = StoredLayer(
                folder=f"vfs/dir/{ident}" if self.driver == _WHOLE else f"overlay/{ident}/diff",
                frame=frame if self.store.holds(frame) else None,
                whole=self.driver == _WHOLE,
                owners=owners_within(self._owners, item.at("uidmap"), item.at("gidmap"))
                or self._owners,
                fuse=self._is_fuse(),
            )
            found.add(stored, diff_id or ident, diff_id)
        return found

    def _is_fuse(self) -> bool:
        """Tell whether fuse-overlayfs mounts the overlays."""
        fuse, unread = self._fuse
        if unread is not None:
            raise unread.with_traceback(None)
        return bool(fuse)

    def read_layers(self) -> None:
        """Read the lists of layers, which every image needs."""
        for name in _lists("layers"):
            items, unread = attempt(partial(self._items, "layers", name))
            if isinstance(unread, LimitError):
                raise unread
            if unread is not None:
                self._unlisted.append(unread)
            for item in items or ():
                ident, unread = attempt(partial(_id_of, item))
                if ident is not None:
                    self._listed[ident] = item
                elif unread is not None:
                    self._unlisted.append(unread)

    def _items(self, what: str, name: str) -> list[Document]:
        """Give the items of a list; none where there is no such list."""
        document = self.store.document(f"{self.driver}-{what}/{name}")
        return [] if document is None else document.items("members", self.store.limits.members)

    def _big(self, ident: str, key: str) -> tuple[str, bytes | None]:
        """Give name and bytes of a document that an image keeps under a key."""
        name = key
        if not _PLAIN.match(key):
            name = "=" + base64.b64encode(key.encode()).decode()
        member = f"{self.driver}-images/{ident}/{name}"
        return member, self.store.raw(member)


def _lists(what: str) -> tuple[str, str]:
    """Give the names of the list, and of that of what is not to outlive a restart."""
    return f"{what}.json", f"volatile-{what}.json"


def _id_of(item: Document) -> str:
    return _id(item.at("id"))


def _id(document: Document) -> str:
    return checked_id(document.value, document.member, document.pointer)


def _is_oci(manifest: Document) -> bool:
    layers = manifest.at("layers").items() if manifest.value else []
    return any(".oci." in (layer.at("mediaType").text() or "") for layer in layers)
