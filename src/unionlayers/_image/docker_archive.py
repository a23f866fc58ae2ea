"""
The layout of ``docker save``: manifest.json, and what it names.

One item per image: the name of its config, its tags, and the names of its layers, base first.
Docker before version 25 names layers ``<id>/layer.tar``, some of them links to another layer's;
later versions name blobs; skopeo names ``<digest>.tar``.  All of that is only names here.
"""

from __future__ import annotations

import re

from unionlayers._foundation.digest import is_digest
from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._foundation.names import clean_entry_name, decode, encode
from unionlayers._image.config import Config, check_digest, read_config
from unionlayers._image.document import Document, parse_document
from unionlayers._image.record import DocumentFinding, ImageRecord, LayerRecord
from unionlayers._image.store import Store
from unionlayers.errors import DocumentError

__all__ = ["MANIFEST", "document_bytes", "read_docker_archive"]

MANIFEST = "manifest.json"

_MEDIA_TYPE = "application/vnd.docker.image.rootfs.diff.tar"
_HEX = re.compile(r"(?:.*/)?([0-9a-f]{64})(?:\.json)?\Z")
_BLOB = re.compile(r"blobs/(sha256|sha512)/([0-9a-f]+)\Z")


def document_bytes(store: Store, name: str, limits: Limits) -> bytes | None:
    """
    Read a whole document; None where the store has none of that name.

    Raises:
        LimitError: It is larger than ``Limits.document_bytes``.
    """
    source = store.find(name)
    if source is None:
        return None
    if source.size > limits.document_bytes:
        exceeded("document_bytes", limits.document_bytes, source.size)
    return source.pread(0, source.size)


def read_docker_archive(store: Store, *, verify: bool, limits: Limits) -> list[ImageRecord]:
    """
    Read manifest.json and the configs it names.

    Raises:
        DocumentError: A document cannot be read; it names the document and the place in it.
        DigestMismatchError: A config does not have the digest that its name says.

    Source:
        moby image/spec v1.2, "Combined Image JSON + Filesystem Changeset Format".
    """
    raw = document_bytes(store, MANIFEST, limits)
    if raw is None:
        return []
    document = parse_document(raw, MANIFEST)
    if document.value is None:
        raise document.wrong("an array of images")
    items = document.items()
    if len(items) > limits.images:
        exceeded("images", limits.images, len(items))
    return [_record(store, item, verify=verify, limits=limits) for item in items]


def _record(store: Store, item: Document, *, verify: bool, limits: Limits) -> ImageRecord:
    item.object()
    name = _member(item.at("Config"))
    references = tuple(tag.required_text() for tag in item.at("RepoTags").items())
    paths = item.at("Layers").items()
    if len(paths) > limits.layers:
        exceeded("layers", limits.layers, len(paths))
    raw = document_bytes(store, name, limits)
    if raw is None:
        named = _HEX.match(name)
        digest = f"sha256:{named.group(1)}" if named else name
        return ImageRecord(
            layout="docker", references=references, missing=(digest,), manifest=item.value
        )
    config = read_config(raw, name)
    named = _HEX.match(name)
    if verify and named:
        check_digest(raw, f"sha256:{named.group(1)}", name)
    findings: list[DocumentFinding] = []
    diff_ids = _diff_ids(config, paths, item)
    if diff_ids is None:
        findings.append(
            DocumentFinding(
                "NO_DIFF_IDS", -1, "the config has no rootfs: layers cannot be checked", "L5"
            )
        )
    sources = item.at("LayerSources").object()
    layers: list[LayerRecord] = []
    missing: list[str] = []
    for position, path in enumerate(paths):
        diff_id = None if diff_ids is None else diff_ids[position]
        layer = _layer(store, path, diff_id, item, sources)
        if layer.member is None:
            missing.append(layer.digest or layer.diff_id or path.required_text())
        layers.append(layer)
    return ImageRecord(
        layout="docker",
        references=references,
        id=config.id,
        promised_id=f"sha256:{named.group(1)}" if named else None,
        platform=config.platform,
        layers=tuple(layers),
        missing=tuple(missing),
        config=config.document.value,
        manifest=item.value,
        raw_config=raw,
        findings=tuple(findings),
    )


def _diff_ids(config: Config, paths: list[Document], item: Document) -> tuple[str, ...] | None:
    if config.diff_ids is None:
        return None
    if len(config.diff_ids) != len(paths):
        raise DocumentError(
            "the config and the manifest count different layers (case L5)",
            member=MANIFEST,
            pointer=f"{item.pointer}/Layers",
            expected=len(config.diff_ids),
            actual=len(paths),
        )
    return config.diff_ids


def _layer(
    store: Store, path: Document, diff_id: str | None, item: Document, sources: dict[str, object]
) -> LayerRecord:
    name = _member(path)
    blob = _BLOB.match(name)
    digest = f"{blob.group(1)}:{blob.group(2)}" if blob else None
    if digest is not None and not is_digest(digest):
        digest = None
    size: int | None = None
    media_type: str | None = _MEDIA_TYPE
    urls: tuple[str, ...] = ()
    if diff_id is not None and diff_id in sources:
        source = item.at("LayerSources").at(diff_id)
        media_type = source.at("mediaType").text()
        size = source.at("size").size()
        digest = source.at("digest").digest()
        urls = tuple(url.required_text() for url in source.at("urls").items())
    return LayerRecord(
        member=name if store.resolved(name) is not None else None,
        digest=digest,
        size=size,
        diff_id=diff_id,
        media_type=media_type,
        urls=urls,
    )


def _member(path: Document) -> str:
    """Give the name of a member; one that climbs out of the archive is an error."""
    raw = path.required_text()
    name, climbed = clean_entry_name(encode(raw))
    if climbed or not name:
        raise DocumentError(
            "not the name of an archive member",
            member=path.member,
            pointer=path.pointer,
            actual=raw[:200],
        )
    return decode(name)
