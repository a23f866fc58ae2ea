"""
One manifest, OCI's or Docker's schema 2, and what it names: a config, and layers.

What is no image is read as far as it can be: attestations and artifacts have layers too.  What is
promised of a document by the descriptor that names it is held here.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import partial

from attrs import evolve, frozen

from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._image.attempts import Attempts
from unionlayers._image.config import Config, check_digest, read_config
from unionlayers._image.docker_archive import document_bytes
from unionlayers._image.document import Document
from unionlayers._image.platform import version_of
from unionlayers._image.record import (
    DocumentFinding,
    ImageRecord,
    LayerRecord,
    links_to,
    oddities_of,
    repeats_of,
)
from unionlayers._image.store import Store
from unionlayers.errors import DigestMismatchError, DocumentError, UnsupportedError

__all__ = [
    "INDEXES",
    "MANIFESTS",
    "Claims",
    "Configs",
    "blob_name",
    "described_bytes",
    "read_manifest",
    "refuse_other_kinds",
    "refuse_schema_1",
]

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
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

Configs = Attempts[tuple[bytes | None, Config | None]]
"""Configurations as bytes and as read, by what descriptors promise of them."""


@frozen(kw_only=True)
class Claims:
    """
    What is known of a manifest from the descriptors that lead to it.

    Attributes:
        digest: Its own.
        kind: What the descriptor says that it is.
        media_type: That of the descriptor, None where it is not said.
        platform: That of the descriptor, or None.
        os_version: That of the descriptor, or None.
        references: Names that it goes by.
        indexes: Digests of the indexes on the way, outermost first.
        annotations: Those of the descriptor.
    """

    digest: str
    kind: str = "image"
    media_type: str | None = None
    platform: str | None = None
    os_version: str | None = None
    references: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    annotations: dict[str, str]

    def record(self) -> ImageRecord:
        """Give what can be said of it before it was read."""
        return ImageRecord(
            layout="oci",
            kind=self.kind,
            digest=self.digest,
            platform=self.platform,
            os_version=self.os_version,
            references=self.references,
            indexes=self.indexes,
            annotations=self.annotations,
        )


def blob_name(digest: str) -> str:
    """Give the name under which a layout has a blob; the digest was checked before."""
    algorithm, _, encoded = digest.partition(":")
    return f"blobs/{algorithm}/{encoded}"


def described_bytes(
    store: Store, descriptor: Document, *, verify: bool, limits: Limits
) -> bytes | None:
    """
    Give the document that a descriptor names; None where the store lacks it.

    Raises:
        DigestMismatchError: It does not have the digest or size that was promised.
        DocumentError: The descriptor is none.
        LimitError: The document is too large.
    """
    digest = descriptor.at("digest").digest()
    size = descriptor.at("size").size()
    name = blob_name(digest)
    raw = document_bytes(store, name, limits)
    if raw is None:
        raw = _embedded(descriptor, limits)
    if raw is None:
        return None
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


def _embedded(descriptor: Document, limits: Limits) -> bytes | None:
    """
    Give the content that a descriptor carries itself, None where it has none.

    Spec:
        OCI image-spec v1.1, descriptor.md, "Embedded Content".
    """
    data = descriptor.at("data")
    text = data.text()
    if text is None:
        return None
    if len(text) > limits.document_bytes * 2:
        exceeded(
            "document_bytes",
            limits.document_bytes,
            len(text),
            member=data.member,
            pointer=data.pointer,
        )
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise data.wrong("base64") from error


def refuse_other_kinds(document: Document, own: str) -> None:
    """
    Refuse a document that is of another kind than its descriptor says, or of two kinds at once.

    Raises:
        UnsupportedError: It is a manifest of Docker's schema 1.
        DocumentError: It is an index for a manifest, or the other way round (case L15).
    """
    refuse_schema_1(document)
    value = document.object()
    is_index = own == "manifests"
    for other in ("layers", "config") if is_index else ("manifests",):
        if value.get(other) is not None:
            both = value.get(own) is not None
            expected = "an index" if is_index else "a manifest"
            raise DocumentError(
                f"the document has both {own} and {other}, and so is two things"
                if both
                else f"expected {expected}, and this has {other}",
                member=document.member,
                pointer=f"/{other}",
            )
    stated = document.at("mediaType").text()
    if stated in (MANIFESTS if is_index else INDEXES):
        raise DocumentError(
            "the document says that it is another kind than its descriptor does",
            member=document.member,
            pointer="/mediaType",
            actual=stated,
        )


def refuse_schema_1(document: Document, field: str = "") -> None:
    """
    Refuse a manifest of Docker's first schema, whose layers cannot be checked.

    Args:
        document: The manifest, or a descriptor that names it.
        field: What tells it, where that is known before.

    Raises:
        UnsupportedError: It is one.
    """
    value = document.object()
    if not field and document.at("mediaType").text() in _SCHEMA_1:
        field = "mediaType"
    if not field and (value.get("fsLayers") is not None or document.at("schemaVersion").value == 1):
        field = "fsLayers" if "fsLayers" in value else "schemaVersion"
    if field:
        raise UnsupportedError(
            "a manifest of Docker's schema 1, which current tools do not read either",
            member=document.member,
            pointer=f"{document.pointer}/{field}",
            hint="Pull it again with a tool of today, or convert it: "
            "skopeo copy --format oci OLD oci-archive:new.tar",
        )


def read_manifest(
    store: Store,
    manifest: Document,
    raw: bytes,
    claims: Claims,
    configs: Configs,
    *,
    verify: bool,
    limits: Limits,
) -> ImageRecord:
    """
    Read one manifest and the config that it names.

    Args:
        store: Has the blobs.
        manifest: The manifest.
        raw: The bytes of it.
        claims: What its descriptor says.
        configs: Those that were read before; they are added to.
        verify: Whether digests and sizes are compared.
        limits: Bounds.

    Raises:
        DocumentError: A document cannot be read, or manifest and config count different layers.
        DigestMismatchError: The config is not what was promised.
        UnsupportedError: The manifest is of Docker's schema 1.

    Spec:
        OCI image-spec v1.1, manifest.md.
    """
    refuse_other_kinds(manifest, "layers")
    descriptors = manifest.at("layers").items("layers", limits.layers)
    layers = [_layer(store, descriptor, limits) for descriptor in descriptors]
    config_descriptor = manifest.at("config")
    if config_descriptor.value is None:
        raise config_descriptor.wrong("a descriptor")
    kind = _kind_of(claims.kind, manifest, config_descriptor, layers)
    config_digest = config_descriptor.at("digest").digest()
    parsed = kind != "artifact"
    promises = (config_descriptor.at(name).value for name in ("size", "data"))
    raw_config, config = configs.get(
        (config_digest, parsed, *map(str, promises)),
        partial(_config, store, config_descriptor, parsed=parsed, verify=verify, limits=limits),
    )
    findings = [*oddities_of(manifest, config.document if config else None)]
    stated = manifest.at("mediaType").text()
    if stated and claims.media_type and stated != claims.media_type:
        findings.append(
            DocumentFinding(
                "MEDIA_TYPE_MISMATCH",
                -1,
                f"the descriptor says {claims.media_type}, the manifest {stated[:200]}",
                "L15",
            )
        )
    if config is not None and kind == "image":
        findings += config.findings
        if config.diff_ids is None:
            findings.append(NO_DIFF_IDS)
        elif len(config.diff_ids) != len(descriptors):
            raise DocumentError(
                "the config and the manifest count different layers (case L5)",
                member=manifest.member,
                pointer="/layers",
                expected=len(config.diff_ids),
                actual=len(descriptors),
            )
    if config is not None and config.diff_ids is not None:
        pairs = zip(layers, config.diff_ids, strict=False)
        layers[: len(config.diff_ids)] = [evolve(one, diff_id=diff_id) for one, diff_id in pairs]
    missing = [config_digest] if raw_config is None else []
    missing += [str(one.digest) for one in layers if one.member is None and one.data is None]
    names = (blob_name(claims.digest), blob_name(config_digest), *(one.member for one in layers))
    return evolve(
        claims.record(),
        kind=kind,
        id=None if raw_config is None else config_digest,
        promised_id=config_digest,
        platform=claims.platform or (config.platform if config else None),
        os_version=claims.os_version or (version_of(config.document) if config else None),
        layers=tuple(layers),
        missing=tuple(dict.fromkeys(missing)),
        config=config.document.value if config else {},
        manifest=manifest.value,
        raw_config=raw_config,
        raw_manifest=raw,
        findings=(
            *findings,
            *repeats_of(store, *names),
            *links_to(
                store,
                blob_name(config_digest) if raw_config is None else None,
                *(one.name for one in layers if one.member is None),
            ),
        ),
    )


def _config(
    store: Store, descriptor: Document, *, parsed: bool, verify: bool, limits: Limits
) -> tuple[bytes | None, Config | None]:
    """Give a config, as bytes and as read; that of an artifact is not *parsed*."""
    raw = described_bytes(store, descriptor, verify=verify, limits=limits)
    if raw is None or not parsed:
        return raw, None
    return raw, read_config(raw, blob_name(descriptor.at("digest").digest()))


NO_DIFF_IDS = DocumentFinding(
    "NO_DIFF_IDS", -1, "the config has no rootfs: layers cannot be checked", "L5"
)


def _kind_of(kind: str, manifest: Document, config: Document, layers: Sequence[LayerRecord]) -> str:
    """Tell an image from what is only stored like one: signatures, charts, statements."""
    types = {layer.media_type or "" for layer in layers}
    if types and all("in-toto" in one for one in types):
        return "attestation"
    if kind != "image":
        return kind
    if config.at("mediaType").text() not in (*_CONFIGS, None):
        return "artifact"
    about = manifest.at("subject").value is not None or manifest.at("artifactType").text()
    # cosign signs with a manifest that has the config of an image.
    return "artifact" if about or (types and all(one.endswith("+json") for one in types)) else kind


def _layer(store: Store, descriptor: Document, limits: Limits) -> LayerRecord:
    digest = descriptor.at("digest").digest()
    name = blob_name(digest)
    present = store.resolved(name) is not None
    return LayerRecord(
        member=name if present else None,
        name=name,
        digest=digest,
        size=descriptor.at("size").size(),
        media_type=descriptor.at("mediaType").text(),
        urls=tuple(url.required_text() for url in descriptor.at("urls").items()),
        data=None if present else _embedded(descriptor, limits),
    )
