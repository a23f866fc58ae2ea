"""
The lists of containers/storage, and the layers that one of its storage drivers lists.

Source:
    github.com/containers/storage, ``layers.go``, ``drivers/overlay`` and ``drivers/vfs``.
"""

from __future__ import annotations

from functools import partial

from attrs import field, frozen

from unionlayers._foundation.limits import exceeded
from unionlayers._image.attempts import Attempts
from unionlayers._image.document import Document
from unionlayers._image.engine_store import EngineStore, StoredLayer, checked_id
from unionlayers._image.found_layers import FoundLayers
from unionlayers._image.layer_chain import LayerChain, NameSearch
from unionlayers._image.namespaces import owners_within
from unionlayers._image.odd_files import attempt
from unionlayers._image.record import LayerCount, LayerRecord
from unionlayers._tar.id_map import Owners
from unionlayers.errors import DocumentError, LimitError, UnionLayersError

__all__ = ["OVERLAY", "WHOLE_COPIES", "LayerList", "id_of", "items_of", "lists"]

OVERLAY = "overlay"
WHOLE_COPIES = "vfs"
_MOUNT_PROGRAM = "overlay/.has-mount-program"


def lists(what: str) -> tuple[str, str]:
    """Give the names of a list, and of that of what is not to outlive a restart."""
    return f"{what}.json", f"volatile-{what}.json"


def items_of(store: EngineStore, driver: str, what: str, name: str) -> list[Document]:
    """Give the items of a list; none where there is no such list."""
    document = store.document(f"{driver}-{what}/{name}")
    return [] if document is None else document.items("members", store.limits.members)


def id_of(item: Document) -> str:
    """Give the id of what a list has."""
    return _id(item.at("id"))


def _id(document: Document) -> str:
    text = document.value
    return checked_id(text, document.member, None if isinstance(text, str) else document.pointer)


@frozen
class LayerList:
    """
    The layers of a storage driver; what is said of one is read once, whatever stands on it.

    Attributes:
        store: The store.
        driver: Overlay or vfs.
        counted: Is told of each step from a layer to the one beneath it.
        search: Knows the ids of all layers.
        owners: Who owns what in the store, where no document says otherwise.
    """

    store: EngineStore
    driver: str
    counted: LayerCount
    search: NameSearch = field(init=False)
    owners: Owners = field(init=False)
    _listed: dict[str, Document] = field(factory=dict, init=False)
    # Why layers are not all listed.
    _unlisted: list[UnionLayersError] = field(factory=list, init=False)
    _fuse: tuple[bool | None, UnionLayersError | None] = field(init=False)
    _stored: Attempts[StoredLayer] = field(factory=Attempts, init=False)

    @search.default
    def _search_of_all(self) -> NameSearch:
        return NameSearch(lambda: self._listed)

    @owners.default
    def _owners_of_root(self) -> Owners:
        return self.store.owners()

    @_fuse.default
    def _read_fuse(self) -> tuple[bool | None, UnionLayersError | None]:
        # Podman writes this file where its overlays are mounted by a program.
        return attempt(lambda: self.driver == OVERLAY and self.store.says_true(_MOUNT_PROGRAM))

    def read(self) -> None:
        """
        Read the lists, which every image needs; what is wrong with them is theirs.

        Raises:
            LimitError: There are too many layers, or the documents are too large.
        """
        for name in lists("layers"):
            items, unread = attempt(partial(items_of, self.store, self.driver, "layers", name))
            if isinstance(unread, LimitError):
                raise unread
            if unread is not None:
                self._unlisted.append(unread)
            for item in items or ():
                ident, unread = attempt(partial(id_of, item))
                if ident is not None:
                    self._listed[ident] = item
                elif unread is not None:
                    self._unlisted.append(unread)

    def is_fuse(self) -> bool:
        """
        Tell whether fuse-overlayfs mounts the overlays.

        Raises:
            StoreError: What tells it cannot be read.
        """
        fuse, unread = self._fuse
        if unread is not None:
            raise unread.with_traceback(None)
        return bool(fuse)

    def chain(self, top: Document) -> LayerChain:
        """
        Follow the layers from *top*, which names the topmost, down to the base.

        Raises:
            DocumentError: They are parents of each other.
            LimitError: There are too many.
            UnionLayersError: One of them is not listed, and why the lists cannot be read.
        """
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
            self.counted.step()
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

    def found(
        self, chain: LayerChain, diff_ids: tuple[str, ...] | None, *, own: int = 0
    ) -> FoundLayers:
        """
        Look up the layers of a chain.

        Args:
            chain: The layers.
            diff_ids: Those of the image, None where they are not known.
            own: How many on top are not of the image.

        Raises:
            DocumentError: What is said of one of them cannot be read.
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
            stored = self._stored.get(ident, partial(self._read_layer, ident, item))
            found.add(stored, diff_id or ident, diff_id)
        return found

    def _read_layer(self, ident: str, item: Document) -> StoredLayer:
        frame = f"{self.driver}-layers/{ident}.tar-split.gz"
        whole = self.driver == WHOLE_COPIES
        return StoredLayer(
            folder=f"vfs/dir/{ident}" if whole else f"overlay/{ident}/diff",
            frame=frame if self.store.holds(frame) else None,
            whole=whole,
            owners=owners_within(self.owners, item.at("uidmap"), item.at("gidmap")) or self.owners,
            fuse=self.is_fuse(),
        )
