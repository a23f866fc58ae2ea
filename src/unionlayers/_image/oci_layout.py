"""
The OCI image layout: ``oci-layout``, ``index.json``, and blobs by digest.

Indexes may stand in indexes.  A descriptor of an unknown type is no error: it is listed as an
artifact.  A manifest that the layout lacks is listed with the platform that its descriptor states.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import frozen

from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._image.config import check_digest, read_config
from unionlayers._image.docker_archive import document_bytes
from unionlayers._image.document import Document, parse_document
from unionlayers._image.platform import platform_of
from unionlayers._image.record import DocumentFinding, ImageRecord, LayerRecord
from unionlayers._image.store import Store
from unionlayers.errors import DigestMismatchError, DocumentError, UnsupportedError

__all__ = ["INDEX", "LAYOUT", "blob_name", "read_manifest", "read_oci_layout"]

LAYOUT = "oci-layout"
INDEX = "index.json"

_REF_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_SCHEMA_1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)


@frozen
class _Found:
    """A descriptor on the way through the indexes."""

    descriptor: Document
    references: tuple[str, ...]
    indexes: tuple[str, ...]


def blob_name(digest: str) -> str:
    """Give the name under which a layout has a blob; the digest was checked before."""
    algorithm, _, encoded = digest.partition(":")
    return f"blobs/{algorithm}/{encoded}"


def read_oci_layout(store: Store, *, verify: bool, limits: Limits) -> list[ImageRecord]:
    """
    Read index.json, the indexes in it, the manifests, and their configs.

    Raises:
        DocumentError: A document cannot be read, or is of two kinds at once (CVE-2021-41190).
        DigestMismatchError: A document does not have the digest or size of its descriptor.
        UnsupportedError: The layout has a version that is not known.
        LimitError: Indexes nest too deeply, or there are too many manifests.

    Spec:
        OCI image-spec v1.1, image-layout.md, image-index.md, manifest.md.
    """
    raw = document_bytes(store, INDEX, limits)
    if raw is None:
        return []
    _check_version(store, limits)
    return [
        _record(store, found, verify=verify, limits=limits)
        for found in _descriptors(store, parse_document(raw, INDEX), verify=verify, limits=limits)
    ]


def _check_version(store: Store, limits: Limits) -> None:
    raw = document_bytes(store, LAYOUT, limits)
    if raw is None:
        return
    version = parse_document(raw, LAYOUT).at("imageLayoutVersion").text()
    if version is None or not version.startswith("1."):
        raise UnsupportedError(
            "an OCI layout of an unknown version",
            member=LAYOUT,
            pointer="/imageLayoutVersion",
            expected="1.0.0",
            actual=version,
        )


def _descriptors(
    store: Store, index: Document, *, verify: bool, limits: Limits
) -> Iterator[_Found]:
    """Give the descriptors that are no indexes, in the order of the documents."""
    pending: list[tuple[Document, tuple[str, ...], tuple[str, ...]]] = [(index, (), ())]
    count = 0
    while pending:
        document, references, indexes = pending.pop()
        inner: list[tuple[Document, tuple[str, ...], tuple[str, ...]]] = []
        for descriptor in document.at("manifests").items():
            count += 1
            if count > limits.images:
                exceeded("images", limits.images, count)
            descriptor.object()
            names = _references(descriptor) if not indexes else ()
            digest = descriptor.at("digest").digest()
            if descriptor.at("mediaType").text() in _INDEXES and digest not in indexes:
                if len(indexes) >= limits.nesting:
                    exceeded("nesting", limits.nesting, len(indexes) + 1)
                raw = _blob(store, descriptor, verify=verify, limits=limits)
                if raw is not None:
                    nested = parse_document(raw, blob_name(digest))
                    _check_kind(nested, "manifests", ("layers", "config", "fsLayers"))
                    inner.append((nested, references + names, (*indexes, digest)))
                    continue
            yield _Found(descriptor, references + names, indexes)
        pending.extend(reversed(inner))


def _references(descriptor: Document) -> tuple[str, ...]:
    annotations = descriptor.at("annotations").texts()
    names = [annotations.get(_CONTAINERD_NAME), annotations.get(_REF_NAME)]
    return tuple(dict.fromkeys(name for name in names if name))


def _blob(store: Store, descriptor: Document, *, verify: bool, limits: Limits) -> bytes | None:
    digest = descriptor.at("digest").digest()
    name = blob_name(digest)
    raw = document_bytes(store, name, limits)
    if raw is None and descriptor.at("data").value is not None:
        raw = embedded(descriptor, limits)
    if raw is None:
        return None
    size = descriptor.at("size").size()
    if verify and size is not None and size != len(raw):
        raise DigestMismatchError(
            "the document has not the size that was promised",
            member=name,
            expected=size,
            actual=len(raw),
        )
    if verify:
        check_digest(raw, digest, name)
    return raw


def embedded(descriptor: Document, limits: Limits) -> bytes | None:
    """
    Give the content that a descriptor carries itself.

    Spec:
        OCI image-spec v1.1, descriptor.md, "Embedded Content".
    """
    import base64
    import binascii

    data = descriptor.at("data")
    text = data.text()
    if text is None:
        return None
    if len(text) > limits.document_bytes * 2:
        exceeded("document_bytes", limits.document_bytes, len(text))
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise data.wrong("base64") from error


def _check_kind(document: Document, field: str, others: tuple[str, ...]) -> None:
    """Refuse a document that could be read as something else as well."""
    value = document.object()
    for other in others:
        if value.get(other) is not None:
            raise DocumentError(
                f"the document has both {field} and {other} (case L15)",
                member=document.member,
                pointer=f"/{other}",
            )


def _record(store: Store, found: _Found, *, verify: bool, limits: Limits) -> ImageRecord:
    descriptor = found.descriptor
    digest = descriptor.at("digest").digest()
    media_type = descriptor.at("mediaType").text()
    platform = platform_of(descriptor.at("platform"))
    annotations = descriptor.at("annotations").texts()
    kind = "image"
    if annotations.get("vnd.docker.reference.type") == "attestation-manifest":
        kind = "attestation"
    elif media_type in _INDEXES or (media_type and media_type not in (*_MANIFESTS, *_SCHEMA_1)):
        kind = "artifact"
    if media_type in _SCHEMA_1:
        raise UnsupportedError(
            "a Docker schema 1 manifest; convert the image with a current tool",
            member=descriptor.member,
            pointer=f"{descriptor.pointer}/mediaType",
            actual=media_type,
        )
    raw = _blob(store, descriptor, verify=verify, limits=limits) if kind != "artifact" else None
    head: dict[str, Any] = {
        "references": found.references,
        "digest": digest,
        "indexes": found.indexes,
    }
    if raw is None:
        absent = store.find(blob_name(digest)) is None
        return ImageRecord(
            layout="oci",
            kind=kind,
            platform=platform,
            annotations=annotations,
            missing=(digest,) if absent else (),
            **head,
        )
    return read_manifest(
        store,
        parse_document(raw, blob_name(digest)),
        raw,
        kind=kind,
        platform=platform,
        head=head,
        annotations=annotations,
        verify=verify,
        limits=limits,
    )


def read_manifest(
    store: Store,
    manifest: Document,
    raw: bytes,
    *,
    kind: str,
    platform: str | None,
    head: dict[str, Any],
    annotations: dict[str, str],
    verify: bool,
    limits: Limits,
) -> ImageRecord:
    """Read one manifest and the config that it names."""
    _check_kind(manifest, "layers", ("manifests", "fsLayers"))
    config_descriptor = manifest.at("config")
    if kind == "image" and config_descriptor.at("mediaType").text() not in (*_CONFIGS, None):
        kind = "artifact"
    descriptors = manifest.at("layers").items()
    if len(descriptors) > limits.layers:
        exceeded("layers", limits.layers, len(descriptors))
    missing: list[str] = []
    findings: list[DocumentFinding] = []
    raw_config: bytes | None = None
    config = None
    diff_ids: tuple[str, ...] | None = None
    if kind != "artifact":
        raw_config = _blob(store, config_descriptor, verify=verify, limits=limits)
        if raw_config is None:
            missing.append(config_descriptor.at("digest").digest())
        else:
            member = blob_name(config_descriptor.at("digest").digest())
            config = read_config(raw_config, member)
            diff_ids = config.diff_ids
    if diff_ids is not None and kind == "image" and len(diff_ids) != len(descriptors):
        raise DocumentError(
            "the config and the manifest count different layers (case L5)",
            member=manifest.member,
            pointer="/layers",
            expected=len(diff_ids),
            actual=len(descriptors),
        )
    layers: list[LayerRecord] = []
    for position, descriptor in enumerate(descriptors):
        layer = _layer(store, descriptor, limits)
        if diff_ids is not None and position < len(diff_ids):
            layer = LayerRecord(
                member=layer.member,
                digest=layer.digest,
                size=layer.size,
                diff_id=diff_ids[position],
                media_type=layer.media_type,
                urls=layer.urls,
                data=layer.data,
            )
        if layer.member is None and layer.data is None:
            missing.append(str(layer.digest))
        layers.append(layer)
    return ImageRecord(
        layout="oci",
        kind=kind,
        id=None if config is None else config_descriptor.at("digest").digest(),
        promised_id=None if config is None else config_descriptor.at("digest").digest(),
        platform=platform or (config.platform if config else None),
        layers=tuple(layers),
        missing=tuple(dict.fromkeys(missing)),
        config=config.document.value if config else {},
        manifest=manifest.value,
        raw_config=raw_config,
        raw_manifest=raw,
        annotations=annotations,
        findings=tuple(findings),
        **head,
    )


def _layer(store: Store, descriptor: Document, limits: Limits) -> LayerRecord:
    digest = descriptor.at("digest").digest()
    name = blob_name(digest)
    present = store.resolved(name) is not None
    return LayerRecord(
        member=name if present else None,
        digest=digest,
        size=descriptor.at("size").size(),
        media_type=descriptor.at("mediaType").text(),
        urls=tuple(url.required_text() for url in descriptor.at("urls").items()),
        data=None if present else embedded(descriptor, limits),
    )
