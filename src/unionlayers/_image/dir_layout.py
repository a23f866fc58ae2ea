"""
Skopeo's ``dir:`` transport: ``manifest.json`` is the manifest itself, blobs have bare names.

Source:
    containers-transports(5), "dir".
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from unionlayers._bytes.source import ByteSource
from unionlayers._foundation.digest import digest_of
from unionlayers._foundation.limits import Limits
from unionlayers._image.docker_archive import MANIFEST, document_bytes
from unionlayers._image.document import Document
from unionlayers._image.oci_layout import read_manifest
from unionlayers._image.record import ImageRecord
from unionlayers._image.store import Store
from unionlayers.errors import UnsupportedError

__all__ = ["BareNames", "read_dir_layout"]

_BLOB = re.compile(r"blobs/[a-z0-9]+/([0-9a-f]+)\Z")


class BareNames:
    """A store whose blobs are asked for as a layout names them, and have their bare digests."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.label = store.label

    def names(self) -> Iterable[str]:
        """Names of all members, as the store below has them."""
        return self._store.names()

    def find(self, name: str) -> ByteSource | None:
        """Give the bytes of a blob or document."""
        return self._store.find(_bare(name))

    def resolved(self, name: str) -> str | None:
        """Give the name that the bytes stand under."""
        return self._store.resolved(_bare(name))

    def close(self) -> None:
        """Close the store below."""
        self._store.close()


def _bare(name: str) -> str:
    match = _BLOB.match(name)
    return match.group(1) if match else name


def read_dir_layout(
    store: BareNames, manifest: Document, *, verify: bool, limits: Limits
) -> ImageRecord:
    """
    Read the one image of the folder.

    Raises:
        UnsupportedError: The manifest is a list, or of Docker's schema 1.
        DocumentError: A document cannot be read.
    """
    if manifest.at("schemaVersion").value == 1 or manifest.at("fsLayers").value is not None:
        raise UnsupportedError(
            "a Docker schema 1 manifest; convert the image with a current tool", member=MANIFEST
        )
    if manifest.at("manifests").value is not None:
        raise UnsupportedError("a dir: of several platforms is not read", member=MANIFEST)
    raw = document_bytes(store, MANIFEST, limits) or b""
    return read_manifest(
        store,
        manifest,
        raw,
        kind="image",
        platform=None,
        head={"digest": digest_of(raw)},
        annotations={},
        verify=verify,
        limits=limits,
    )
