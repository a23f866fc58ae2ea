"""
The OCI layout, as a directory and as an archive, and the ``dir:`` of skopeo.

Each function gives the members of the form as entries, in the order that the tool writes them.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from unionlayers._foundation.digest import digest_of
from unionlayers.testing.damage import Contents, Damage, dump
from unionlayers.testing.description import (
    Attestation,
    ImageDescription,
    IndexDescription,
    Inner,
    RawDescriptor,
)
from unionlayers.testing.document import (
    MEDIA_TYPES,
    Written,
    manifest_of,
    platform_of,
    write,
)
from unionlayers.testing.entries import directory, file
from unionlayers.testing.entry import Entry

__all__ = ["Described", "add_layout", "dir_members", "flat", "layout_members", "reference_name"]

Described: TypeAlias = ImageDescription | IndexDescription

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"


def flat(images: tuple[Described, ...]) -> list[tuple[ImageDescription, tuple[str, ...]]]:
    """
    Give every image, also those inside indexes, with its tags.

    The tags of an index go to the first image in it.
    """
    found: list[tuple[ImageDescription, tuple[str, ...]]] = []
    for one in images:
        if isinstance(one, ImageDescription):
            found.append((one, one.tags))
            continue
        inner = flat(
            tuple(
                item
                for item in one.manifests
                if isinstance(item, ImageDescription | IndexDescription)
            )
        )
        if inner:
            inner[0] = (inner[0][0], (*one.tags, *inner[0][1]))
        found += inner
    return found


def reference_name(reference: str) -> tuple[str, str]:
    """
    Give the repository and the tag of a reference.

    Example:
        >>> reference_name("localhost:5000/app:1"), reference_name("localhost:5000/app")
        (('localhost:5000/app', '1'), ('localhost:5000/app', 'latest'))
    """
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, "latest")


def _qualified(reference: str) -> str:
    """Give a reference as containerd stores it, registry and namespace spelled out."""
    name, tag = reference_name(reference)
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    return f"{name}:{tag}"


class Blobs:
    """The blobs of a layout, as they are written, each under its digest."""

    def __init__(self, contents: Contents, codecs: tuple[str, ...]) -> None:
        self.contents = contents
        self.written: list[tuple[Written, str]] = []
        self._codecs = codecs

    def put(self, role: str, digest: str, data: bytes) -> None:
        """Store *data* as the blob named *digest*."""
        algorithm, _, encoded = digest.partition(":")
        folder = f"blobs/{algorithm}"
        self.contents.add("directory", directory("blobs"))
        self.contents.add("directory", directory(folder))
        self.contents.add(role, file(f"{folder}/{encoded}", data))

    def image(self, image: ImageDescription) -> dict[str, Any]:
        """Store an image; give its descriptor without platform."""
        written = write(image, self._codecs, self.contents)
        manifest = manifest_of(written, self.contents)
        digest = digest_of(manifest, image.algorithm)
        self.written.append((written, digest))
        if not image.absent:
            for number, one in enumerate(written.layers):
                if not one.description.absent:
                    self.put(f"layer:{number}", one.digest, one.stored)
            self.put("config", written.config_digest, written.config)
            self.put("manifest", digest, manifest)
        media_type = MEDIA_TYPES[image.schema]["manifest"]
        return {"mediaType": media_type, "digest": digest, "size": len(manifest)}

    def index(self, index: IndexDescription) -> dict[str, Any]:
        """Store an index and all beneath it; give its descriptor."""
        media_type = MEDIA_TYPES[index.schema]["index"]
        found: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "manifests": [self._inner(item) for item in index.manifests],
        }
        if index.annotations:
            found["annotations"] = dict(index.annotations)
        data = self.contents.document("index", found)
        digest = digest_of(data, index.algorithm)
        self.put("index", digest, data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def _inner(self, item: Inner) -> dict[str, Any]:
        if isinstance(item, IndexDescription):
            return self.index(item)
        if isinstance(item, Attestation):
            return self._attestation(item)
        if isinstance(item, RawDescriptor):
            return self._raw(item)
        descriptor = self.image(item)
        platform = platform_of(item)
        if platform:
            descriptor["platform"] = dict(platform)
        return descriptor

    def _attestation(self, item: Attestation) -> dict[str, Any]:
        subject = self._digest(item.subject)
        statement = digest_of(item.statement)
        config = dump(
            {
                "architecture": "unknown",
                "os": "unknown",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [statement]},
            }
        )
        types = MEDIA_TYPES["oci"]
        manifest = self.contents.document(
            "attestation",
            {
                "schemaVersion": 2,
                "mediaType": types["manifest"],
                "config": {
                    "mediaType": types["config"],
                    "digest": digest_of(config),
                    "size": len(config),
                },
                "layers": [
                    {
                        "mediaType": "application/vnd.in-toto+json",
                        "digest": statement,
                        "size": len(item.statement),
                        "annotations": {
                            "in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"
                        },
                    }
                ],
            },
        )
        for data in (item.statement, config, manifest):
            self.put("attestation", digest_of(data), data)
        return {
            "mediaType": types["manifest"],
            "digest": digest_of(manifest),
            "size": len(manifest),
            "annotations": {
                "vnd.docker.reference.digest": subject,
                "vnd.docker.reference.type": "attestation-manifest",
            },
            "platform": {"architecture": "unknown", "os": "unknown"},
        }

    def _digest(self, image: ImageDescription) -> str:
        """Give the digest of a manifest, made now where the image is not in the layout yet."""
        for written, digest in self.written:
            if written.description is image:
                return digest
        written = write(image, self._codecs, self.contents)
        return digest_of(manifest_of(written, self.contents), image.algorithm)

    def _raw(self, item: RawDescriptor) -> dict[str, Any]:
        found = dict(item.document)
        if item.blob is not None:
            found.setdefault("digest", digest_of(item.blob))
            found.setdefault("size", len(item.blob))
            self.put("raw", found["digest"], item.blob)
        return found


def add_layout(
    contents: Contents,
    images: tuple[Described, ...],
    codecs: tuple[str, ...],
    *,
    containerd: bool,
) -> list[Written]:
    """
    Add a whole layout: blobs, ``index.json`` and ``oci-layout``.

    Args:
        contents: Takes the members.
        images: One descriptor in ``index.json`` for each tag of each, or one for none.
        codecs: Those of the layers, in turn.
        containerd: Whether references are annotated as containerd does it, with the full name
            beside the tag; else the reference as given.

    Returns:
        Every image, in the order of `flat`.
    """
    blobs = Blobs(contents, codecs)
    manifests: list[dict[str, Any]] = []
    for one in images:
        if isinstance(one, ImageDescription):
            descriptor = blobs.image(one)
            if one.platform:
                descriptor["platform"] = dict(one.platform)
        else:
            descriptor = blobs.index(one)
        manifests += _tagged(descriptor, one.tags, containerd=containerd)
    document = {
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPES["oci"]["index"],
        "manifests": manifests,
    }
    contents.add("index.json", file("index.json", contents.document("index.json", document)))
    layout = contents.document("oci-layout", {"imageLayoutVersion": "1.0.0"})
    contents.add("oci-layout", file("oci-layout", layout))
    return [written for written, _ in blobs.written]


def _tagged(
    descriptor: dict[str, Any], tags: tuple[str, ...], *, containerd: bool
) -> list[dict[str, Any]]:
    if not tags:
        return [descriptor]
    found = []
    for tag in tags:
        annotations = {REF_NAME: tag}
        if containerd:
            annotations = {CONTAINERD_NAME: _qualified(tag), REF_NAME: reference_name(tag)[1]}
        found.append({**descriptor, "annotations": annotations})
    return found


def layout_members(
    images: tuple[Described, ...], codec: str | None, damage: Damage
) -> tuple[Entry, ...]:
    """Give the members of an OCI layout, gzip unless told otherwise."""
    contents = Contents(damage)
    add_layout(contents, images, (codec or "gzip",), containerd=False)
    return contents.finished(ordered=True)


def dir_members(
    images: tuple[Described, ...], codec: str | None, damage: Damage
) -> tuple[Entry, ...]:
    """
    Give the members of the ``dir:`` of skopeo: blobs by bare hexadecimal digest, one manifest.

    An index becomes the manifest, and what it names ``<hex>.manifest.json``.
    """
    if len(images) != 1:
        raise ValueError("dir: holds one image or one index")
    inner = Contents(Damage(edits=damage.edits))
    blobs = Blobs(inner, (codec or "gzip",))
    one = images[0]
    top = blobs.image(one) if isinstance(one, ImageDescription) else blobs.index(one)
    contents = Contents(damage)
    for role, entry in inner.members():
        name = entry.path.rpartition(b"/")[2].decode()
        if role == "directory":
            continue
        if name == top["digest"].partition(":")[2]:
            name = "manifest.json"
        elif role in ("manifest", "index", "attestation") and b'"schemaVersion"' in entry.content:
            name += ".manifest.json"
        contents.add(role, file(name, entry.content))
    version = contents.document("version", b"Directory Transport Version: 1.1\n")
    contents.add("version", file("version", version))
    return contents.finished(ordered=True)
