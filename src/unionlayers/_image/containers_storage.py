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
from unionlayers._image.engine_store import EngineStore
from unionlayers._image.image_names import known_names
from unionlayers._image.layer_chain import NOTHING, OWN
from unionlayers._image.layer_list import OVERLAY, WHOLE_COPIES, LayerList, id_of, items_of, lists
from unionlayers._image.lower_links import lower_findings
from unionlayers._image.namespaces import owners_within
from unionlayers._image.odd_files import faults, told_of
from unionlayers._image.record import DocumentFinding, ImageRecord, LayerCount, oddities_of
from unionlayers.errors import DocumentError, StoreError, UnionLayersError, UnsupportedError

__all__ = ["is_containers_storage", "read_containers_storage"]

_LAYERS = re.compile(r"([a-z0-9]+)-layers\Z")
_PLAIN = re.compile(r"[a-z]+\Z")
_LAYOUT = "containers-storage"
_DOCKER = "application/vnd.docker.image.rootfs.diff.tar"
_OCI = "application/vnd.oci.image.layer.v1.tar"
_UNSEARCHED = (
    DocumentFinding(
        "STORE_NOT_READ",
        -1,
        "what the container stands on was not compared with the names of all layers: too many of "
        "them are not made of digests",
        None,
    ),
)


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
    known = [name for name in (OVERLAY, WHOLE_COPIES) if name in drivers]
    if not known:
        raise UnsupportedError(
            "a storage driver that is not read",
            member=store.label,
            actual=", ".join(drivers),
            expected=f"{OVERLAY}, {WHOLE_COPIES}",
            hint="Save the image with podman save, and open that",
        )
    records: list[ImageRecord] = []
    counted = LayerCount(store.limits, store.label)
    for driver in known:
        layers = LayerList(store, driver, counted)
        layers.read()
        root = _Driver(store, driver, layers)
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
    layers: LayerList
    # Why images are not all listed.
    _unnamed: list[UnionLayersError] = field(factory=list, init=False)
    _images: dict[str, ImageRecord] = field(factory=dict, init=False)
    _configs: dict[str, Config] = field(factory=dict, init=False)

    def images(self) -> Iterator[ImageRecord]:
        """Give the images in the order of the lists, then those lists that cannot be read."""
        for name in lists("images"):
            for record in told_of("images", _LAYOUT, self._images_of(name)):
                if record.hides is not None and record.error is not None:
                    self._unnamed.append(record.error)
                yield record

    def containers(self) -> Iterator[ImageRecord]:
        """Give the containers in the order of the lists, once the images were given."""
        for name in lists("containers"):
            yield from told_of("containers", _LAYOUT, self._containers_of(name))

    def _images_of(self, name: str) -> Iterator[ImageRecord]:
        for item in items_of(self.store, self.driver, "images", name):
            yield faults(
                ImageRecord(layout=_LAYOUT, hides="names"), partial(self._named_image, item)
            )

    def _named_image(self, item: Document) -> ImageRecord:
        ident = id_of(item)
        names, unnamed = _names(item)
        blank = ImageRecord(
            layout=_LAYOUT,
            references=names,
            aliases=(ident,),
            promised_id=f"sha256:{ident}",
            findings=unnamed,
        )
        made = faults(blank, partial(self._image, blank, ident, item))
        self._images[ident] = made
        return made

    def _containers_of(self, name: str) -> Iterator[ImageRecord]:
        for item in items_of(self.store, self.driver, "containers", name):
            nameless = ImageRecord(layout=_LAYOUT, kind="container", hides="names")
            yield faults(nameless, partial(self._named_container, item))

    def _named_container(self, item: Document) -> ImageRecord:
        ident = id_of(item)
        names, unnamed = _names(item)
        wanted = item.at("image").text() or ""
        image = self._images.get(wanted)
        unread = image.error if image else next(iter(self._unnamed if wanted else ()), None)
        if unread:
            message = f"its image cannot be read: {unread}"
            unnamed = (*unnamed, DocumentFinding("STORE_NOT_READ", -1, message, None))
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
            findings=unnamed,
        )
        return faults(blank, partial(self._container, blank, item, wanted))

    def _container(self, blank: ImageRecord, item: Document, wanted: str) -> ImageRecord:
        chain = self.layers.chain(item.at("layer"))
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
        unsearched: tuple[DocumentFinding, ...] = ()
        if diff_ids is None:
            chain.require_base(wanted)
            if not chain.require_names(self.layers.search):
                unsearched = _UNSEARCHED
        else:
            chain.require(diff_ids, own=1)
        found = self.layers.found(chain, diff_ids, own=1)
        odd = lower_findings(self.store, found, certain=diff_ids is not None)
        if found.layers and found.layers[-1].member is not None and not self.layers.is_fuse():
            self._own_namespace(found.layers[-1].member, item)
        return evolve(
            blank,
            layers=tuple(found.layers),
            missing=tuple(found.missing),
            documented=max(0, len(found.layers) - 1),
            findings=(*blank.findings, *unsearched, *found.findings, *odd),
        )

    def _own_namespace(self, folder: str, container: Document) -> None:
        """
        Let a container's own layer have the owners of its namespace.

        Of mounts with mapped ids only the container's record says so; fuse-overlayfs has then
        written the ids of the container.
        """
        uidmap, gidmap = container.at("uidmap"), container.at("gidmap")
        owners = owners_within(self.layers.owners, uidmap, gidmap)
        if owners is not None:
            self.store.map_layer(folder, self.layers.owners, owners)

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
            findings=(
                *blank.findings,
                *oddities_of(config[0].document),
                *config[0].findings,
            ),
        )
        return faults(described, partial(self._stacked, described, None, ident, item, big))

    def _stacked(
        self, known: ImageRecord, lacks: str | None, ident: str, item: Document, big: list[str]
    ) -> ImageRecord:
        """Add manifest and layers to what is known of an image; *lacks* is what it does without."""
        manifest, digest, others = self._manifest(ident, item, big)
        config = self._configs.get(ident)
        chain = self.layers.chain(item.at("layer"))
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
        layers = self.layers.found(chain, diff_ids)
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

    def _big(self, ident: str, key: str) -> tuple[str, bytes | None]:
        """Give name and bytes of a document that an image keeps under a key."""
        name = key
        if not _PLAIN.match(key):
            name = "=" + base64.b64encode(key.encode()).decode()
        member = f"{self.driver}-images/{ident}/{name}"
        return member, self.store.raw(member)


def _names(item: Document) -> tuple[tuple[str, ...], tuple[DocumentFinding, ...]]:
    return known_names((name.required_text() for name in item.at("names").items()), item.member)


def _is_oci(manifest: Document) -> bool:
    layers = manifest.at("layers").items() if manifest.value else []
    return any(".oci." in (layer.at("mediaType").text() or "") for layer in layers)
