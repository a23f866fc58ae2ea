"""The layers of an image or a container of an engine's store, while they are looked up."""

from __future__ import annotations

from attrs import evolve

from unionlayers._image.engine_store import EngineStore, StoredLayer
from unionlayers._image.record import DocumentFinding, LayerRecord
from unionlayers.errors import StoreError

__all__ = ["FoundLayers"]


class FoundLayers:
    """
    Layers that are added from the base on; those that are not there keep their place.

    Args:
        store: Becomes the store of those that are there.

    Attributes:
        layers: What was added.
        missing: What those are called that are not there.
        findings: What stands in their place.
    """

    def __init__(self, store: EngineStore) -> None:
        self._store = store
        self._below: str | None = None
        self.layers: list[LayerRecord] = []
        self.missing: list[str] = []
        self.findings: list[DocumentFinding] = []

    def add(
        self, stored: StoredLayer, called: str, diff_id: str | None, media_type: str | None = None
    ) -> None:
        """
        Add a layer by its folder.

        Args:
            stored: Where it is; its parent is the one that was added before.
            called: What it is missed by.
            diff_id: As the documents say it.
            media_type: As they say it.

        Raises:
            SourceAccessError: The user may not look for its folder.
        """
        odd: StoreError | None = None
        try:
            there = self._store.has_folder(stored.folder)
        except StoreError as error:
            there, odd = False, error
        if not there:
            if odd is not None:
                self.findings.append(
                    DocumentFinding("STORE_NOT_READ", len(self.layers), str(odd), None)
                )
            self.lack(stored.folder, called, diff_id, media_type)
            return
        stored = evolve(stored, parent=self._below)
        self._store.add_layer(stored)
        self.layers.append(stored.record(diff_id, media_type))
        self._below = stored.folder

    def lack(
        self, name: str, called: str, diff_id: str | None = None, media_type: str | None = None
    ) -> None:
        """Add a layer that is not there; *name* is where it was looked for."""
        self.layers.append(
            LayerRecord(member=None, name=name, diff_id=diff_id, media_type=media_type)
        )
        self.missing.append(called)
        self._below = None
