"""
The documents of an image: config, manifest, index, and the descriptors that tie them together.

`Written` is an image on its way into an archive: each layer with its stored bytes and what is
claimed of them, the config with its digest.  All forms share it, so that one description has one
config, and one image id, in all of them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from unionlayers._foundation.digest import digest_of
from unionlayers.testing.compression import compress
from unionlayers.testing.damage import Contents
from unionlayers.testing.description import (
    EPOCH,
    HistoryStep,
    ImageDescription,
    LayerDescription,
)

__all__ = ["MEDIA_TYPES", "Written", "WrittenLayer", "manifest_of", "platform_of", "write"]

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"

MEDIA_TYPES = {
    "oci": {
        "config": f"{OCI}.config.v1+json",
        "manifest": f"{OCI}.manifest.v1+json",
        "index": f"{OCI}.index.v1+json",
        "identity": f"{OCI}.layer.v1.tar",
        "gzip": f"{OCI}.layer.v1.tar+gzip",
        "zstd": f"{OCI}.layer.v1.tar+zstd",
        # No specification names these two; Docker reads such layers all the same.
        "xz": f"{OCI}.layer.v1.tar+xz",
        "bzip2": f"{OCI}.layer.v1.tar+bzip2",
    },
    "docker": {
        "config": f"{DOCKER}.container.image.v1+json",
        "manifest": f"{DOCKER}.distribution.manifest.v2+json",
        "index": f"{DOCKER}.distribution.manifest.list.v2+json",
        "identity": f"{DOCKER}.image.rootfs.diff.tar",
        "gzip": f"{DOCKER}.image.rootfs.diff.tar.gzip",
        "zstd": f"{DOCKER}.image.rootfs.diff.tar.zstd",
        "xz": f"{DOCKER}.image.rootfs.diff.tar.xz",
        "bzip2": f"{DOCKER}.image.rootfs.diff.tar.bzip2",
    },
}


@frozen
class WrittenLayer:
    """
    A layer as it is stored and claimed.

    Attributes:
        description: What it was made from.
        stored: The bytes of the blob.
        media_type: The one claimed.
        digest: The one claimed, and the name of the blob.
        size: The one claimed.
        diff_id: The one claimed.
        codec: How it is stored.
    """

    description: LayerDescription
    stored: bytes
    media_type: str
    digest: str
    size: int
    diff_id: str
    codec: str

    def descriptor(self) -> dict[str, Any]:
        """Give the descriptor that a manifest holds."""
        found: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.description.urls:
            found["urls"] = list(self.description.urls)
        if self.description.annotations:
            found["annotations"] = dict(self.description.annotations)
        if self.description.embed:
            found["data"] = base64.b64encode(self.stored).decode()
        return found


@frozen
class Written:
    """
    An image with its layers stored and its config made.

    Attributes:
        description: What it was made from.
        layers: Base first.
        config: The bytes.
        config_digest: The one claimed, and the name of the blob.
    """

    description: ImageDescription
    layers: tuple[WrittenLayer, ...]
    config: bytes
    config_digest: str


def write(image: ImageDescription, codecs: tuple[str, ...], contents: Contents) -> Written:
    """
    Store the layers of *image* and make its config.

    Args:
        image: What is to be written.
        codecs: Those of layers that name none, taken in turn.
        contents: Knows the edits.
    """
    layers = tuple(
        _write_layer(one, one.codec or codecs[number % len(codecs)], image)
        for number, one in enumerate(image.layers)
    )
    config = image.raw_config
    if config is None:
        config = contents.document("config", _config(image, layers))
    digest = image.config_digest or digest_of(config, image.algorithm)
    return Written(image, layers, config, digest)


def _write_layer(one: LayerDescription, codec: str, image: ImageDescription) -> WrittenLayer:
    stored = compress(one.data, codec) if one.stored is None else one.stored
    return WrittenLayer(
        description=one,
        stored=stored,
        media_type=one.media_type or MEDIA_TYPES[image.schema][codec],
        digest=one.digest or digest_of(stored, image.algorithm),
        size=len(stored) if one.size is None else one.size,
        diff_id=one.diff_id or digest_of(one.data, image.algorithm),
        codec=codec,
    )


def _config(image: ImageDescription, layers: tuple[WrittenLayer, ...]) -> dict[str, Any]:
    inner: dict[str, Any] = {"Env": list(image.env), "Cmd": list(image.command)}
    if image.labels:
        inner["Labels"] = dict(image.labels)
    found: dict[str, Any] = {
        "created": image.created,
        "author": image.author,
        "architecture": image.architecture,
        "os": image.os,
        "variant": image.variant,
        "os.version": image.os_version,
        "config": inner,
        "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in layers]},
    }
    found = {key: value for key, value in found.items() if value is not None}
    steps = history_of(image)
    if steps:
        found["history"] = [_step(step) for step in steps]
    found.update(image.config)
    return found


def history_of(image: ImageDescription) -> tuple[HistoryStep, ...]:
    """Give the steps of the build; without any of its own, an image has one for each layer."""
    if image.history is not None:
        return image.history
    return tuple(HistoryStep(f"layer {number}") for number in range(len(image.layers)))


def _step(step: HistoryStep) -> dict[str, Any]:
    found: dict[str, Any] = {
        "created": step.created,
        "author": step.author,
        "created_by": step.created_by,
        "comment": step.comment,
        "empty_layer": step.empty_layer or None,
    }
    return {key: value for key, value in found.items() if value is not None}


def platform_of(image: ImageDescription) -> Mapping[str, Any]:
    """Give the platform as the descriptor of an image states it; empty for none."""
    if image.platform is not None:
        return image.platform
    found = {
        "architecture": image.architecture,
        "os": image.os,
        "os.version": image.os_version,
        "variant": image.variant,
    }
    return {key: value for key, value in found.items() if value is not None}


def manifest_of(image: Written, contents: Contents) -> bytes:
    """Make the manifest of an image."""
    description = image.description
    if description.raw_manifest is not None:
        return description.raw_manifest
    types = MEDIA_TYPES[description.schema]
    size = len(image.config) if description.config_size is None else description.config_size
    found: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": types["manifest"],
        "config": {
            "mediaType": description.config_media_type or types["config"],
            "digest": image.config_digest,
            "size": size,
        },
        "layers": [one.descriptor() for one in image.layers],
    }
    if description.annotations:
        found["annotations"] = dict(description.annotations)
    return contents.document("manifest", found)


def created_of(image: ImageDescription) -> str:
    """Give the time of an image; the epoch where it has none."""
    return image.created or EPOCH
