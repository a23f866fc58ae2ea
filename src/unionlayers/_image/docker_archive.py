"""
The layout of ``docker save``: manifest.json, and what it names.

One item per image: the name of its config, its tags, and the names of its layers, base first.
Docker before version 25 names layers ``<id>/layer.tar``, some of them links to another layer's;
later versions name blobs; skopeo names ``<digest>.tar``.  All of that is only names here.
"""

from __future__ import annotations

import re
from functools import partial

from attrs import evolve

from unionlayers._foundation.digest import is_digest
from unionlayers._foundation.limits import WHOLE, Limits, exceeded
from unionlayers._foundation.names import clean_entry_name, decode, encode
from unionlayers._image.attempts import Attempts
from unionlayers._image.config import Config, check_digest, read_config
from unionlayers._image.document import Document
from unionlayers._image.image_names import known_names
from unionlayers._image.platform import version_of
from unionlayers._image.record import (
    DocumentFinding,
    ImageRecord,
    LayerCount,
    LayerRecord,
    links_to,
    oddities_of,
    repeats_of,
)
from unionlayers._image.store import Store
from unionlayers.errors import CorruptError, DocumentError, LimitError, UnsupportedError

__all__ = ["MANIFEST", "dangling", "document_bytes", "read_docker_archive"]

MANIFEST = "manifest.json"

_MEDIA_TYPE = "application/vnd.docker.image.rootfs.diff.tar"
_HEX = re.compile(r"(?:.*/)?([0-9a-f]{64})(?:\.json)?\Z")
_BLOB = re.compile(r"blobs/([a-z0-9]+)/([0-9a-f]+)\Z")


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
        exceeded("document_bytes", limits.document_bytes, source.size, member=name)
    raw = source.pread(0, source.size)
    source.close()
    return raw


def dangling(store: Store, name: str) -> DocumentError:
    """Give the error for a document that is a link to nothing that is read."""
    link = store.unfollowed(name)
    return DocumentError(
        "the document is a link that leads to nothing inside of the source",
        member=name,
        actual=link[1] if link is not None else None,
        hint="Copy the source with its links followed, as cp -rL does",
    )


def read_docker_archive(
    store: Store, document: Document, *, verify: bool, limits: Limits
) -> list[ImageRecord]:
    """
    Read manifest.json and the configs it names; an image that cannot be read is given with why.

    Args:
        store: Has the members.
        document: manifest.json.
        verify: Whether a config is compared with the digest that its name says.
        limits: Bounds.

    Raises:
        DocumentError: The document is no list.
        LimitError: It has too many images.

    Source:
        moby image/spec v1.2, "Combined Image JSON + Filesystem Changeset Format".
    """
    if document.value is None:
        raise document.wrong("an array of images")
    items = document.items("images", limits.images)
    findings = (*oddities_of(document), *repeats_of(store, MANIFEST))
    records: list[ImageRecord] = []
    counted = LayerCount(limits, MANIFEST)
    configs: Attempts[tuple[bytes, Config] | None] = Attempts()
    for item in items:
        references: tuple[str, ...] = ()
        unnamed: tuple[DocumentFinding, ...] = ()
        promised: str | None = None
        try:
            item.object()
            promised = _promised(_member(item.at("Config")))
            tags = [tag.required_text() for tag in item.at("RepoTags").items()]
            references, unnamed = known_names(tags, MANIFEST)
            record = _record(store, item, references, configs, verify=verify, limits=limits)
        except (CorruptError, UnsupportedError, LimitError) as error:
            if isinstance(error, LimitError) and error.limit in WHOLE:
                raise
            record = ImageRecord(
                layout="docker", references=references, promised_id=promised, error=error
            )
        counted.add(record)
        records.append(evolve(record, findings=(*findings, *unnamed, *record.findings)))
    return records


def _config(
    store: Store, name: str, promised: str | None, *, verify: bool, limits: Limits
) -> tuple[bytes, Config] | None:
    """Read a config; None where the archive lacks it."""
    raw = document_bytes(store, name, limits)
    if raw is None:
        return None
    if verify and promised is not None:
        check_digest(raw, promised, name)
    return raw, read_config(raw, name)


def _record(
    store: Store,
    item: Document,
    references: tuple[str, ...],
    configs: Attempts[tuple[bytes, Config] | None],
    *,
    verify: bool,
    limits: Limits,
) -> ImageRecord:
    name = _member(item.at("Config"))
    paths = item.at("Layers").items("layers", limits.layers)
    promised = _promised(name)
    # Items for several tags of one image share it.
    make = partial(_config, store, name, promised, verify=verify, limits=limits)
    found = configs.get(name, make)
    if found is None:
        missing = (promised or name,)
        return ImageRecord(
            layout="docker",
            references=references,
            promised_id=promised,
            missing=missing,
            manifest=item.value,
            findings=links_to(store, name),
        )
    raw, config = found
    diff_ids = _diff_ids(config, paths, item)
    findings = [*oddities_of(config.document), *config.findings]
    if diff_ids is None:
        findings.append(
            DocumentFinding(
                "NO_DIFF_IDS", -1, "the config has no rootfs: layers cannot be checked", "L5"
            )
        )
    sources = item.at("LayerSources").object()
    layers: list[LayerRecord] = []
    missing_layers: list[str] = []
    for position, path in enumerate(paths):
        diff_id = None if diff_ids is None else diff_ids[position]
        layer = _layer(store, path, diff_id, item, sources)
        if layer.member is None:
            missing_layers.append(layer.digest or layer.diff_id or path.required_text())
        layers.append(layer)
    return ImageRecord(
        layout="docker",
        references=references,
        id=config.id if promised is None or promised.startswith("sha256:") else promised,
        promised_id=promised,
        platform=config.platform,
        os_version=version_of(config.document),
        layers=tuple(layers),
        missing=tuple(dict.fromkeys(missing_layers)),
        config=config.document.value,
        manifest=item.value,
        raw_config=raw,
        findings=(
            *findings,
            *repeats_of(store, name, *(layer.name for layer in layers)),
            *links_to(store, *(layer.name for layer in layers if layer.member is None)),
        ),
    )


def _promised(name: str) -> str | None:
    """Give the digest that the name of a config says."""
    blob = _BLOB.match(name)
    if blob and is_digest(f"{blob.group(1)}:{blob.group(2)}"):
        return f"{blob.group(1)}:{blob.group(2)}"
    named = _HEX.match(name)
    return f"sha256:{named.group(1)}" if named else None


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
        name=name,
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
