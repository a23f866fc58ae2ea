"""
Skopeo's ``dir:`` transport: ``manifest.json`` is the manifest itself, blobs have bare names.

Source:
    containers-transports(5), "dir".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import evolve

from unionlayers._bytes.source import ByteSource
from unionlayers._foundation.digest import digest_of
from unionlayers._foundation.limits import Limits
from unionlayers._image.attempts import Attempts
from unionlayers._image.document import Document
from unionlayers._image.listing import Listed, Remnant
from unionlayers._image.manifest import Claims, read_manifest, refuse_schema_1
from unionlayers._image.oci_layout import read_index
from unionlayers._image.record import ImageRecord
from unionlayers._image.store import Store
from unionlayers.errors import UnsupportedError

__all__ = ["BareNames", "read_dir_layout"]

_BLOB = re.compile(r"blobs/[a-z0-9]+/([0-9a-f]+)\Z")
_MANIFEST = ".manifest.json"


class BareNames:
    """
    A store whose blobs are asked for as a layout names them, and have their bare digests.

    Manifests that stand in a list end in ``.manifest.json``.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.label = store.label

    def top(self) -> dict[str, bool]:
        """Give the names of the store below."""
        return self._store.top()

    def has(self, name: str) -> bool:
        """Tell whether a file or link has this name."""
        return self._store.has(self._bare(name))

    def repeated(self, name: str) -> bool:
        """Tell whether the name stands more than once."""
        return self._store.repeated(self._bare(name))

    def find(self, name: str) -> ByteSource | None:
        """Give the bytes of a blob or document."""
        return self._store.find(self._bare(name))

    def resolved(self, name: str) -> str | None:
        """Give the name that the bytes stand under."""
        return self._store.resolved(self._bare(name))

    def listing(self) -> Iterator[Listed]:
        """Give all files of the store below, by their names in it."""
        return self._store.listing()

    def remnants(self) -> Iterator[Remnant]:
        """Give what the store below does."""
        return self._store.remnants()

    def unfollowed(self, name: str) -> tuple[str, str] | None:
        """Give the link in the way of a blob."""
        return self._store.unfollowed(self._bare(name))

    def close(self) -> None:
        """Close the store below."""
        self._store.close()

    def _bare(self, name: str) -> str:
        match = _BLOB.match(name)
        if match is None:
            return name
        bare = match.group(1)
        listed = bare + _MANIFEST
        # One that is gone by now is asked for by the name that it had.
        return listed if self._store.has(listed) and not self._store.has(bare) else bare


def read_dir_layout(
    store: BareNames, manifest: Document, raw: bytes, *, verify: bool, limits: Limits
) -> list[ImageRecord]:
    """
    Read the one image of the folder, or those of the list that its manifest is.

    Args:
        store: The folder.
        manifest: Its ``manifest.json``, as parsed and checked to be an object.
        raw: The bytes of that.
        verify: Whether digests are compared.
        limits: Bounds.

    Raises:
        DocumentError: A document cannot be read.
    """
    digest = digest_of(raw)
    try:
        refuse_schema_1(manifest)
    except UnsupportedError as error:
        return [ImageRecord(layout="oci", digest=digest, error=error)]
    if manifest.at("manifests").value is not None:
        records = read_index(store, manifest, verify=verify, limits=limits)
        return [evolve(record, indexes=(digest, *record.indexes)) for record in records]
    claims = Claims(digest=digest, annotations={})
    return [read_manifest(store, manifest, raw, claims, Attempts(), verify=verify, limits=limits)]
