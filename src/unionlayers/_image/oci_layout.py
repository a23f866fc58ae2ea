"""
The OCI image layout: ``oci-layout``, ``index.json``, and blobs by digest.

Indexes may stand in indexes.  A descriptor of an unknown type is no error: it is listed as an
artifact.  A manifest that the layout lacks is listed with the platform that its descriptor states,
and one that cannot be read with its error, so that the others can be opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from attrs import evolve, frozen

from unionlayers._foundation.digest import is_digest
from unionlayers._foundation.limits import WHOLE, Limits, exceeded
from unionlayers._image.attempts import Attempts
from unionlayers._image.docker_archive import dangling, document_bytes
from unionlayers._image.document import Document, parse_document
from unionlayers._image.image_names import known_names
from unionlayers._image.manifest import (
    INDEXES,
    MANIFESTS,
    Claims,
    Configs,
    blob_name,
    described_bytes,
    read_manifest,
    refuse_other_kinds,
    refuse_schema_1,
)
from unionlayers._image.platform import platform_of, version_of
from unionlayers._image.record import (
    DocumentFinding,
    ImageRecord,
    LayerCount,
    links_to,
    oddities_of,
    repeats_of,
)
from unionlayers._image.store import Store
from unionlayers.errors import (
    CorruptError,
    DocumentError,
    LimitError,
    UnionLayersError,
    UnsupportedError,
)

__all__ = ["INDEX", "LAYOUT", "read_index", "read_oci_layout"]

LAYOUT = "oci-layout"
INDEX = "index.json"

_REF_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"


@frozen
class _Names:
    """What a descriptor of index.json is called, with all that is in it; and what was too long."""

    known: tuple[str, ...] = ()
    findings: tuple[DocumentFinding, ...] = ()


@frozen
class _Found:
    """A descriptor on the way through the indexes, and what was wrong on it."""

    descriptor: Document
    names: _Names
    indexes: tuple[str, ...]
    error: UnionLayersError | None = None


def read_oci_layout(store: Store, *, verify: bool, limits: Limits) -> list[ImageRecord]:
    """
    Read index.json, the indexes in it, the manifests, and their configs.

    Raises:
        DocumentError: index.json cannot be read.
        UnsupportedError: The layout has a version that is not known.
        LimitError: There are too many manifests.

    Spec:
        OCI image-spec v1.1, image-layout.md, image-index.md, manifest.md.
    """
    raw = document_bytes(store, INDEX, limits)
    if raw is None:
        raise dangling(store, INDEX)
    _check_version(store, limits)
    index = parse_document(raw, INDEX)
    findings = (
        *oddities_of(index),
        *repeats_of(store, INDEX, LAYOUT),
        *links_to(store, LAYOUT),
    )
    records = read_index(store, index, verify=verify, limits=limits)
    return [evolve(record, findings=(*findings, *record.findings)) for record in records]


def read_index(
    store: Store, index: Document, *, verify: bool, limits: Limits
) -> Iterator[ImageRecord]:
    """
    Read what an index names, and the indexes in it.

    Raises:
        DocumentError: The index itself cannot be read; what it names is given with its error.
        LimitError: There are too many manifests.
    """
    known: dict[tuple[object, ...], ImageRecord] = {}
    configs: Configs = Attempts()
    counted = LayerCount(limits, index.member)
    for found in _descriptors(store, index, verify=verify, limits=limits):
        if found.error is not None:
            yield _failed(found, found.error)
            continue
        try:
            claims = _claims(found)
        except DocumentError as error:
            yield _failed(found, error)
            continue
        # Each tag and platform has a descriptor of its own; what is behind them is read once.
        key = (claims.digest, claims.media_type, claims.kind, _promises(found.descriptor))
        if key not in known:
            bare = evolve(claims, platform=None, os_version=None)
            known[key] = counted.add(
                _record(store, found, bare, configs, verify=verify, limits=limits)
            )
        yield evolve(
            known[key],
            references=claims.references,
            indexes=claims.indexes,
            platform=claims.platform or known[key].platform,
            os_version=claims.os_version or known[key].os_version,
            annotations=claims.annotations,
            findings=(*found.names.findings, *known[key].findings),
        )


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
    refuse_other_kinds(index, "manifests")
    pending: list[tuple[Document, _Names, tuple[str, ...]]] = [(index, _Names(), ())]
    read: Attempts[Document | None] = Attempts()
    count = 0
    while pending:
        document, above, indexes = pending.pop()
        inner: list[tuple[Document, _Names, tuple[str, ...]]] = []
        for descriptor in document.at("manifests").items("images", limits.images):
            count += 1
            if count > limits.images:
                exceeded(
                    "images",
                    limits.images,
                    count,
                    member=descriptor.member,
                    pointer=descriptor.pointer,
                )
            names = above
            try:
                descriptor.object()
                if not indexes:
                    names = _names(descriptor)
                digest = descriptor.at("digest").digest()
                is_index = descriptor.at("mediaType").text() in INDEXES
                nested = None
                if is_index:
                    _check_depth(descriptor, digest, indexes, limits)
                    # Each tag may name the index of its platforms.
                    key = (digest, _promises(descriptor))
                    make = partial(_nested, store, descriptor, verify=verify, limits=limits)
                    nested = read.get(key, make)
            except (CorruptError, UnsupportedError, LimitError) as error:
                if isinstance(error, LimitError) and error.limit in WHOLE:
                    raise
                yield _Found(descriptor, names, indexes, error)
                continue
            if nested is None:
                yield _Found(descriptor, names, indexes)
            else:
                inner.append((nested, names, (*indexes, digest)))
        pending.extend(reversed(inner))


def _check_depth(
    descriptor: Document, digest: str, indexes: tuple[str, ...], limits: Limits
) -> None:
    """
    Check that an index may stand inside of those that led to it.

    Raises:
        DocumentError: It contains itself.
        LimitError: It is nested too deeply.
    """
    if digest in indexes:
        raise DocumentError(
            "an index contains itself",
            member=descriptor.member,
            pointer=f"{descriptor.pointer}/digest",
            actual=digest,
        )
    if len(indexes) >= limits.nesting:
        exceeded(
            "nesting",
            limits.nesting,
            len(indexes) + 1,
            member=descriptor.member,
            pointer=descriptor.pointer,
        )


def _nested(store: Store, descriptor: Document, *, verify: bool, limits: Limits) -> Document | None:
    """
    Read an index inside another; None where the layout lacks it.

    Raises:
        DocumentError: It cannot be read.
    """
    raw = described_bytes(store, descriptor, verify=verify, limits=limits)
    if raw is None:
        return None
    nested = parse_document(raw, blob_name(descriptor.at("digest").digest()))
    refuse_other_kinds(nested, "manifests")
    nested.at("manifests").items("images", limits.images)
    return nested


def _names(descriptor: Document) -> _Names:
    annotations = descriptor.at("annotations").texts()
    names = [annotations.get(_CONTAINERD_NAME), annotations.get(_REF_NAME)]
    return _Names(*known_names(dict.fromkeys(name for name in names if name), descriptor.member))


def _claims(found: _Found) -> Claims:
    descriptor = found.descriptor
    annotations = descriptor.at("annotations").texts()
    media_type = descriptor.at("mediaType").text()
    kind = "image"
    if annotations.get("vnd.docker.reference.type") == "attestation-manifest":
        kind = "attestation"
    elif media_type in INDEXES:
        kind = "index"
    elif media_type is not None and media_type not in MANIFESTS and not _is_schema_1(media_type):
        kind = "artifact"
    # The name of an index is that of the images in it, not of what is said about them.
    named = kind in ("image", "index") or not found.indexes
    platform = descriptor.at("platform")
    return Claims(
        digest=descriptor.at("digest").digest(),
        kind=kind,
        media_type=media_type,
        platform=platform_of(platform),
        os_version=version_of(platform),
        references=found.names.known if named else (),
        indexes=found.indexes,
        annotations=annotations,
    )


def _is_schema_1(media_type: str) -> bool:
    return media_type.startswith("application/vnd.docker.distribution.manifest.v1+")


def _failed(found: _Found, error: UnionLayersError) -> ImageRecord:
    """Give what can be said of a descriptor that cannot be followed."""
    descriptor = found.descriptor
    fields = descriptor.value if isinstance(descriptor.value, dict) else {}
    digest: str | None
    try:
        digest = descriptor.at("digest").digest()
    except DocumentError:
        digest = None
    return ImageRecord(
        layout="oci",
        kind="index" if str(fields.get("mediaType")) in INDEXES else "image",
        references=found.names.known,
        digest=digest,
        indexes=found.indexes,
        error=error,
        findings=found.names.findings,
    )


def _promises(descriptor: Document) -> tuple[str, str]:
    """Give what a descriptor says of the document itself, beside its digest."""
    return str(descriptor.value.get("size")), str(descriptor.value.get("data"))


def _record(
    store: Store,
    found: _Found,
    claims: Claims,
    configs: Configs,
    *,
    verify: bool,
    limits: Limits,
) -> ImageRecord:
    known = store.resolved(blob_name(claims.digest)) is not None
    readable = claims.media_type is None or claims.media_type in MANIFESTS
    manifest: Document | None = None
    try:
        if claims.media_type is not None and _is_schema_1(claims.media_type):
            refuse_schema_1(found.descriptor, "mediaType")
        raw = None
        if readable:
            raw = described_bytes(store, found.descriptor, verify=verify, limits=limits)
        if raw is not None:
            manifest = parse_document(raw, blob_name(claims.digest))
            return read_manifest(
                store, manifest, raw, claims, configs, verify=verify, limits=limits
            )
    except (CorruptError, UnsupportedError, LimitError) as error:
        if isinstance(error, LimitError) and error.limit in WHOLE:
            raise
        return evolve(claims.record(), promised_id=_promised(manifest), error=error)
    findings = () if known else links_to(store, blob_name(claims.digest))
    return evolve(claims.record(), missing=() if known else (claims.digest,), findings=findings)


def _promised(manifest: Document | None) -> str | None:
    """Give the digest of the config that an unreadable manifest names all the same, if any."""
    config = manifest.value.get("config") if manifest and isinstance(manifest.value, dict) else None
    digest = config.get("digest") if isinstance(config, dict) else None
    return digest if is_digest(digest) else None
