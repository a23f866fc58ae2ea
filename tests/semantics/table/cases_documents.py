"""Section L: the documents of an image, where they decide what is seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from row import Row

from unionlayers import (
    BlobNotFoundError,
    DigestMismatchError,
    DocumentError,
    Profile,
    UnsupportedError,
)
from unionlayers.testing import (
    Damage,
    ImageDescription,
    IndexDescription,
    LayerDescription,
    RawDescriptor,
    containerd_save,
    docker_archive,
    docker_archive_25,
    docker_archive_v1,
    file,
    foreign_layer,
    layer,
    oci_archive,
    whiteout,
)

__all__ = ["ROWS"]

BASE = layer(file("a", "1"), file("b", "2"))
TOP = layer(whiteout("a"))
IMAGE = ImageDescription([BASE, TOP], tags=("example.org/app:1",))
WRONG = "sha256:" + "0" * 64
Archive = Callable[[], bytes]


def edited(role: str, edit: Callable[[Any], Any]) -> Damage:
    return Damage(edits={role: edit})


def disagreeing() -> bytes:
    """Give one archive whose two layouts name different layers."""

    def turned(manifest: Any) -> Any:
        return [{**manifest[0], "Layers": manifest[0]["Layers"][::-1]}]

    return docker_archive_25(IMAGE, damage=Damage(edits={"manifest.json": turned}))


def one_diff_id(config: Any) -> Any:
    return {**config, "rootfs": {"type": "layers", "diff_ids": config["rootfs"]["diff_ids"][:1]}}


def schema_one() -> bytes:
    document = {
        "schemaVersion": 1,
        "fsLayers": [{"blobSum": WRONG}],
        "history": [{"v1Compatibility": "{}"}],
    }
    descriptor = {"mediaType": "application/vnd.docker.distribution.manifest.v1+json"}
    return oci_archive(IndexDescription([RawDescriptor(descriptor, json.dumps(document).encode())]))


def ambiguous(manifest: Any) -> Any:
    return {**manifest, "manifests": []}


def repeated() -> bytes:
    """Give a layout in a tar whose last manifest.json counts."""
    bad = file("manifest.json", "[]")
    return docker_archive(IMAGE, damage=Damage(before=(bad,)))


def no_manifest(document: Any) -> Any:
    return None


ROWS = [
    Row("L1", "docker save before 25, where a layer that comes twice is a link",
        lambda: docker_archive(ImageDescription([BASE, TOP, BASE])), "a=1 b=2"),
    Row("L2", "docker save from 25 on", lambda: docker_archive_25(IMAGE), "b=2"),
    Row("L2", "docker save from the containerd store",
        lambda: containerd_save(IMAGE, codec="zstd"), "b=2"),
    Row("L3", "an archive with two layouts that disagree: the OCI one counts", disagreeing, "b=2",
        finding="LAYOUTS_DISAGREE"),
    Row("L4", "the first format of Docker without manifest.json",
        lambda: docker_archive_v1(IMAGE), "b=2"),
    Row("L4", "a manifest.json that is null",
        lambda: docker_archive(IMAGE, damage=edited("manifest.json", no_manifest)),
        error=DocumentError),
    Row("L5", "fewer diff_ids than layers",
        lambda: oci_archive(IMAGE, damage=edited("config", one_diff_id)), error=DocumentError),
    Row("L6", "a wrong diff_id",
        lambda: oci_archive(ImageDescription([LayerDescription(BASE, diff_id=WRONG)])),
        error=DigestMismatchError),
    Row("L6", "a wrong digest of a blob",
        lambda: oci_archive(ImageDescription([LayerDescription(BASE, digest=WRONG)])),
        error=DigestMismatchError),
    Row("L6", "a wrong diff_id, unverified",
        lambda: oci_archive(ImageDescription([LayerDescription(BASE, diff_id=WRONG)])),
        "a=1 b=2", options={"verify": False}),
    Row("L7", "a wrong size of a blob",
        lambda: oci_archive(ImageDescription([LayerDescription(BASE, size=7)])),
        error=DigestMismatchError),
    Row("L7", "a blob inside its descriptor",
        lambda: oci_archive(ImageDescription([LayerDescription(BASE, embed=True, absent=True)])),
        "a=1 b=2"),
    Row("L8", "a layer goes by the digests of all beneath it",
        lambda: docker_archive(ImageDescription([BASE, TOP])), "b=2"),
    Row("L9", "layers are not counted by the history",
        lambda: oci_archive(ImageDescription([BASE, TOP], history=["one"])), "b=2"),
    Row("L10", "a layer that may not be passed on and is absent",
        lambda: oci_archive(ImageDescription([foreign_layer(BASE, schema="oci"), TOP])),
        error=BlobNotFoundError),
    Row("L10", "the same, left out where that is asked for",
        lambda: oci_archive(ImageDescription([foreign_layer(BASE, schema="oci"),
                                              layer(file("c", "3"))])),
        "c=3", options={"missing": "skip"}, finding="LAYER_MISSING"),
    Row("L11", "a blob that is absent is an error only where it is needed",
        lambda: oci_archive(ImageDescription([LayerDescription(BASE, absent=True)])),
        error=BlobNotFoundError),
    Row("L12", "of two members of one name the last counts", repeated, "b=2"),
    Row("L12", "a layout in a tar that is compressed as a whole",
        lambda: oci_archive(IMAGE, outer="gzip"), "b=2"),
    Row("L13", "Docker's schema 2 is the same",
        lambda: oci_archive(ImageDescription([BASE, TOP], schema="docker"), codec="gzip"), "b=2"),
    Row("L13", "Docker's schema 1 is refused", schema_one, error=UnsupportedError),
    Row("L14", "a layer of an unknown kind is an error where it is read",
        lambda: oci_archive(ImageDescription([
            LayerDescription(BASE, media_type="application/vnd.example.squashfs")])),
        error=UnsupportedError),
    Row("L15", "a manifest that is an index as well is refused",
        lambda: oci_archive(IMAGE, damage=edited("manifest", ambiguous)), error=DocumentError),
    Row("L16", "more layers than overlayfs can stack",
        lambda: docker_archive(ImageDescription([[file(f"n{i:03}")] for i in range(600)])),
        " ".join(f"n{i:03}=" for i in range(600))),
    Row("L3", "a profile that prefers Docker's layout", disagreeing, "a=1 b=2",
        finding="LAYOUTS_DISAGREE",
        options={"profile": Profile(prefer_layout="docker"), "verify": False}),
]  # fmt: skip
