"""
Docker's data-root, such as ``/var/lib/docker``: images and containers of its graph drivers.

An image is its config in the image database; each of its layers is found by the chain of diff_ids
up to it, and its record names the folder that it was unpacked to.  A container has a folder that
Docker prepares, and on top of that the one that is written to.

Source:
    moby, ``daemon/internal/layer/filestore.go``, ``image/fs.go`` and
    ``daemon/graphdriver/overlay2``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from attrs import evolve, field, frozen

from unionlayers._foundation.digest import chain_id, is_digest
from unionlayers._foundation.limits import exceeded
from unionlayers._image.attempts import Attempts
from unionlayers._image.config import Config, check_digest, read_config
from unionlayers._image.document import Document
from unionlayers._image.engine_store import EngineStore, StoredLayer, checked_id
from unionlayers._image.found_layers import FoundLayers
from unionlayers._image.image_names import known_names
from unionlayers._image.layer_chain import (
    NameSearch,
    require_base,
    require_chain_id,
    require_top,
)
from unionlayers._image.lower_links import lower_findings
from unionlayers._image.odd_files import attempt, faults, told_of
from unionlayers._image.record import DocumentFinding, ImageRecord, LayerCount, oddities_of
from unionlayers._tar.id_map import SAME, Owners
from unionlayers.errors import DocumentError, LimitError, StoreError, UnsupportedError

__all__ = ["is_docker_root", "read_docker_root"]

_FUSE = "fuse-overlayfs"
_OVERLAY = ("overlay2", _FUSE)
_WHOLE = ("vfs",)
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_LAYOUT = "docker-root"
_MEDIA_TYPE = "application/vnd.docker.image.rootfs.diff.tar"


def is_docker_root(store: EngineStore) -> bool:
    """
    Tell whether a folder is a data-root of Docker.

    Raises:
        UnsupportedError: It is one whose images are kept by containerd alone.
    """
    names = store.listed("image") if store.is_folder("image") else ()
    if any(store.is_folder(f"image/{name}/imagedb") for name in names):
        return True
    if store.is_file("containerd/daemon/io.containerd.metadata.v1.bolt/meta.db"):
        raise UnsupportedError(
            "the images of this root are kept by containerd, whose database is not read",
            member=store.label,
            hint="Save the image with docker save, and open that",
        )
    return False


def read_docker_root(store: EngineStore) -> list[ImageRecord]:
    """
    Read the documents of all images and containers.

    What cannot be read is the error of those that need it; a document or folder that names others
    has a record of its own then, of the kind ``"index"``.

    Raises:
        LimitError: There are too many, or their documents are too large.
        SourceAccessError: The user may not read the root.
        UnsupportedError: No storage driver of the root is overlay2, fuse-overlayfs or vfs.

    Cost:
        The config of every image, and four small files a layer.
    """
    drivers = [name for name in store.listed("image") if store.is_folder(f"image/{name}/imagedb")]
    known = [name for name in (*_OVERLAY, *_WHOLE) if name in drivers]
    if not known:
        raise UnsupportedError(
            "a storage driver that is not read",
            member=f"{store.label}/image",
            actual=", ".join(drivers),
            expected=", ".join((*_OVERLAY, *_WHOLE)),
            hint="Save the image with docker save, and open that",
        )
    records: list[ImageRecord] = []
    counted = LayerCount(store.limits, store.label)
    for driver in known:
        root = _Driver(store, driver, counted)
        for what, found in (("images", root.images()), ("containers", root.containers())):
            records.extend(map(counted.add, told_of(what, _LAYOUT, found)))
        if len(records) > store.limits.images:
            exceeded("images", store.limits.images, len(records), member=store.label)
    return records


@frozen
class _Link:
    """One layer of the database."""

    chain: str
    diff_id: str
    folder: str


@frozen
class _Driver:
    """What one storage driver keeps in a root."""

    store: EngineStore
    driver: str
    counted: LayerCount
    _known: dict[str, _Link | None] = field(factory=dict, init=False)
    _configs: Attempts[tuple[Config, bytes] | None] = field(factory=Attempts, init=False)
    _tops: dict[str, str | None] = field(factory=dict, init=False)
    _search: NameSearch = field(init=False)

    @_search.default
    def _search_of_layers(self) -> NameSearch:
        return NameSearch(self._chains)

    def images(self) -> Iterator[ImageRecord]:
        """Give the images, in the order of their ids."""
        names, unread = attempt(self._references)
        if isinstance(unread, LimitError):
            raise unread
        nameless: tuple[DocumentFinding, ...] = ()
        if unread is not None:
            message = f"what the image is called cannot be read: {unread}"
            nameless = (DocumentFinding("STORE_NOT_READ", -1, message, None),)
        for encoded in self.store.listed(f"image/{self.driver}/imagedb/content/sha256"):
            if not _HEX.match(encoded):
                continue
            tags, digests, unnamed = (names or {}).get(f"sha256:{encoded}", ((), (), ()))
            blank = ImageRecord(
                layout=_LAYOUT,
                references=(*tags, *digests),
                # Two manifests may have led to one config; then none is that of the image.
                digest=_only(digests),
                promised_id=f"sha256:{encoded}",
                aliases=(encoded,),
                findings=(*nameless, *unnamed),
            )
            yield faults(blank, partial(self._image, blank, encoded))
        if unread is not None:
            yield ImageRecord(layout=_LAYOUT, kind="index", hides="names", error=unread)

    def _image(self, blank: ImageRecord, encoded: str) -> ImageRecord:
        found = self._config(encoded)
        if found is None:
            return evolve(blank, missing=(f"sha256:{encoded}",))
        config, raw = found
        found_layers = self._layers(config.diff_ids or (), config.document.member)
        return evolve(
            blank,
            id=config.id,
            platform=config.platform,
            layers=tuple(found_layers.layers),
            missing=tuple(found_layers.missing),
            config=config.document.value,
            raw_config=raw,
            findings=(
                *oddities_of(config.document),
                *config.findings,
                *blank.findings,
                *found_layers.findings,
            ),
        )

    def containers(self) -> Iterator[ImageRecord]:
        """Give the containers, in the order of their ids."""
        for ident in self.store.listed("containers"):
            mount = f"image/{self.driver}/layerdb/mounts/{ident}"
            if not _HEX.match(ident):
                continue
            # A root may have the containers of several drivers.
            there, odd = attempt(partial(self.store.has_folder, mount))
            if there or odd is not None:
                blank = ImageRecord(
                    layout=_LAYOUT,
                    kind="container",
                    references=(ident,),
                    aliases=(ident,),
                    hides="names",
                )
                yield faults(blank, partial(self._container, blank, ident, mount))

    def _container(self, blank: ImageRecord, ident: str, mount: str) -> ImageRecord:
        document = self.store.document(f"containers/{ident}/config.v2.json")
        if document is None:
            raise StoreError(
                "the document of a container is gone",
                member=f"{self.store.label}/containers/{ident}/config.v2.json",
                hint="Put it back; the container cannot be told without it",
            )
        name = (document.at("Name").text() or "").removeprefix("/")
        called, unnamed = known_names((text for text in (name, ident) if text), document.member)
        named = evolve(blank, references=called, findings=unnamed, hides=None)
        return faults(named, partial(self._stacked, named, document, mount))

    def _stacked(self, named: ImageRecord, document: Document, mount: str) -> ImageRecord:
        image = document.at("Image").text()
        found = None
        findings: tuple[DocumentFinding, ...] = ()
        if image is not None and is_digest(image):
            # What the container shows does not need it.
            found, unread = attempt(partial(self._config, image.partition(":")[2]))
            if unread is not None:
                message = f"the configuration of its image cannot be read: {unread}"
                findings = (DocumentFinding("STORE_NOT_READ", -1, message, None),)
        parent = self.store.line(f"{mount}/parent") or None
        layers = self._chain(parent, f"{mount}/parent")
        diff_ids = found[0].diff_ids if found else None
        place = f"{self.store.label}/{mount}/parent"
        if found is None or diff_ids is None:
            require_base(parent, place)
        else:
            require_top(parent, self._top(found[0].id, diff_ids), place)
        documented = len(layers.layers)
        self._add_mounted(layers, mount, self._owners_in(document.member))
        findings += lower_findings(self.store, layers, certain=diff_ids is not None)
        return evolve(
            named,
            id=found[0].id if found else None,
            promised_id=image if found else None,
            platform=found[0].platform if found else None,
            layers=tuple(layers.layers),
            missing=tuple(layers.missing),
            documented=documented,
            config=found[0].document.value if found else {},
            raw_config=found[1] if found else None,
            findings=(*named.findings, *findings, *layers.findings),
        )

    def _references(
        self,
    ) -> dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[DocumentFinding, ...]]]:
        """
        Give what images are called, by their ids.

        Returns:
            The tags, the names with the digest of a manifest, and what is told of both.
        """
        document = self.store.document(f"image/{self.driver}/repositories.json")
        if document is None:
            return {}
        tags: dict[str, list[str]] = {}
        digests: dict[str, list[str]] = {}
        repositories = document.at("Repositories")
        for repository in repositories.object():
            names = repositories.at(repository)
            for name in names.object():
                wanted = names.at(name).digest()
                (digests if "@" in name else tags).setdefault(wanted, []).append(name)
        found = {}
        for ident in (*tags, *digests):
            tagged, long = known_names(tags.get(ident, ()), document.member)
            pulled, longer = known_names(digests.get(ident, ()), document.member)
            found[ident] = tagged, pulled, (*long, *longer)
        return found

    def _top(self, image: str, diff_ids: tuple[str, ...]) -> str | None:
        """Give the chain of all layers of an image, on which many containers may stand."""
        if image not in self._tops:
            chain: str | None = None
            for diff_id in diff_ids:
                chain = chain_id(chain, diff_id)
            self._tops[image] = chain
        return self._tops[image]

    def _config(self, encoded: str) -> tuple[Config, bytes] | None:
        return self._configs.get(encoded, partial(self._read_config, encoded))

    def _read_config(self, encoded: str) -> tuple[Config, bytes] | None:
        member = f"image/{self.driver}/imagedb/content/sha256/{encoded}"
        raw = self.store.raw(member)
        if raw is None:
            return None
        if self.store.verify:
            check_digest(raw, f"sha256:{encoded}", member)
        return read_config(raw, member), raw

    def _layers(self, diff_ids: tuple[str, ...], config: str) -> FoundLayers:
        """Give the layers that the config of that name lists."""
        bound = self.store.limits.layers
        if len(diff_ids) > bound:
            where = "/rootfs/diff_ids"
            exceeded("layers", bound, len(diff_ids), member=config, pointer=where)
        found = FoundLayers(self.store)
        chain: str | None = None
        for diff_id in diff_ids:
            chain = chain_id(chain, diff_id)
            link = self._link(chain)
            if link is None:
                found.lack(self._place(chain), diff_id, diff_id, _MEDIA_TYPE)
                continue
            if link.diff_id != diff_id:
                raise DocumentError(
                    "the layer database has another diff_id for the layer",
                    member=f"{self._place(chain)}/diff",
                    expected=diff_id,
                    actual=link.diff_id,
                )
            self._add(found, link, diff_id)
        return found

    def _chain(self, top: str | None, member: str) -> FoundLayers:
        """Give the layers of a container's image, found from the topmost down by their parents."""
        found = FoundLayers(self.store)
        links: list[_Link] = []
        seen: set[str] = set()
        while top:
            if not is_digest(top) or top in seen:
                raise DocumentError(
                    "not the chain of a layer, or in a circle", member=member, actual=top[:200]
                )
            seen.add(top)
            self.counted.step()
            if len(seen) > self.store.limits.layers:
                exceeded("layers", self.store.limits.layers, len(seen), member=member)
            link = self._link(top)
            if link is None:
                # What is beneath it cannot be known either.
                found.lack(self._place(top), top)
                break
            links.append(link)
            member = f"{self._place(top)}/parent"
            top = self.store.line(member) or None
            if top is None or (is_digest(top) and top not in seen):
                document = f"{self.store.label}/{member}"
                require_chain_id(link.chain, top, link.diff_id, self._search, document)
        for link in reversed(links):
            self._add(found, link, link.chain)
        return found

    def _chains(self) -> Iterator[str]:
        """Give the chains of all layers there are."""
        for encoded in self.store.listed(f"image/{self.driver}/layerdb/sha256"):
            yield f"sha256:{encoded}"

    def _owners_in(self, config: str) -> Owners:
        """Give who owns what in a container, which may be left out of the daemon's namespace."""
        owners = self.store.owners()
        if owners != SAME:
            host = self.store.document(f"{config.rpartition('/')[0]}/hostconfig.json")
            if host is not None and host.at("UsernsMode").text() == "host":
                return SAME
        return owners

    def _add_mounted(self, found: FoundLayers, mount: str, owners: Owners) -> None:
        """Add the layer that Docker prepares for a container, and the one written to."""
        for name in ("init-id", "mount-id"):
            member = f"{mount}/{name}"
            ident = self.store.line(member)
            if ident is not None:
                folder = self._folder(checked_id(ident, member))
                found.add(self._stored(folder, None, owners), ident, None)
            elif name == "mount-id":
                # There is none that was prepared where a container wants nothing mounted.
                found.lack(member, name)

    def _link(self, chain: str) -> _Link | None:
        """Find a layer by its chain; None where the database lacks it."""
        if chain not in self._known:
            place = self._place(chain)
            ident = self.store.line(f"{place}/cache-id")
            diff_id = self.store.line(f"{place}/diff")
            link = None
            if ident is not None and diff_id is not None:
                folder = self._folder(checked_id(ident, f"{place}/cache-id"))
                if not is_digest(diff_id):
                    raise DocumentError(
                        "not a digest", member=f"{place}/diff", actual=diff_id[:200]
                    )
                link = _Link(chain, diff_id, folder)
            self._known[chain] = link
        return self._known[chain]

    def _add(self, found: FoundLayers, link: _Link, called: str) -> None:
        frame = f"{self._place(link.chain)}/tar-split.json.gz"
        stored = self._stored(
            link.folder, frame if self.store.holds(frame) else None, self.store.owners()
        )
        found.add(stored, called, link.diff_id, _MEDIA_TYPE)

    def _stored(self, folder: str, frame: str | None, owners: Owners) -> StoredLayer:
        return StoredLayer(
            folder=folder,
            frame=frame,
            whole=self.driver in _WHOLE,
            owners=owners,
            fuse=self.driver == _FUSE,
        )

    def _place(self, chain: str) -> str:
        algorithm, _, encoded = chain.partition(":")
        return f"image/{self.driver}/layerdb/{algorithm}/{encoded}"

    def _folder(self, ident: str) -> str:
        return f"vfs/dir/{ident}" if self.driver in _WHOLE else f"{self.driver}/{ident}/diff"


def _only(references: tuple[str, ...]) -> str | None:
    """Give the digest of names with a digest, if all have the same."""
    digests = {reference.rpartition("@")[2] for reference in references}
    digest = digests.pop() if len(digests) == 1 else None
    return digest if is_digest(digest) else None
