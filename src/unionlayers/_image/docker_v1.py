"""
The oldest layout of ``docker save``: ``repositories``, and a folder with ``json`` per layer.

There is no manifest and no digest of anything: a layer names its parent, and nothing can be
checked.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from unionlayers._foundation.limits import WHOLE, Limits, exceeded
from unionlayers._foundation.names import clean_entry_name, decode, encode
from unionlayers._image.docker_archive import dangling, document_bytes
from unionlayers._image.document import Document, parse_document
from unionlayers._image.platform import platform_of
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
from unionlayers.errors import CorruptError, DocumentError, LimitError

__all__ = ["REPOSITORIES", "read_docker_v1"]

REPOSITORIES = "repositories"


def read_docker_v1(store: Store, *, limits: Limits) -> list[ImageRecord]:
    """
    Read ``repositories`` and the chains of parents that it names.

    Raises:
        DocumentError: ``repositories`` cannot be read.
        LimitError: There are too many images.

    Source:
        moby image/spec v1, "Combined Image JSON + Filesystem Changeset Format".
    """
    raw = document_bytes(store, REPOSITORIES, limits)
    if raw is None:
        raise dangling(store, REPOSITORIES)
    tags: dict[str, list[str]] = {}
    places: dict[str, str] = {}
    document = parse_document(raw, REPOSITORIES)
    for repository in document.fields():
        for tag in document.at(repository).fields():
            place = document.at(repository).at(tag)
            name = Document(f"{repository}:{tag}", REPOSITORIES, place.pointer)
            tags.setdefault(place.required_text(), []).append(name.required_text())
            places.setdefault(place.required_text(), place.pointer)
    findings = (*oddities_of(document), *repeats_of(store, REPOSITORIES))
    if len(tags) > limits.images:
        exceeded("images", limits.images, len(tags), member=REPOSITORIES)
    records: list[ImageRecord] = []
    counted = LayerCount(limits, REPOSITORIES)
    nodes: dict[str, Document | None] = {}
    for top, names_of in tags.items():
        try:
            record = counted.add(_record(store, top, places[top], nodes, limits))
        except (CorruptError, LimitError) as error:
            if isinstance(error, LimitError) and error.limit in WHOLE:
                raise
            record = ImageRecord(layout="v1", error=error)
        references = tuple(names_of)
        records.append(
            evolve(
                record,
                references=references,
                aliases=(top,),
                findings=(*findings, *record.findings),
            )
        )
    return records


def _node(
    store: Store, member: str, nodes: dict[str, Document | None], limits: Limits
) -> Document | None:
    """Give the document of a layer, which many images may be built on; None where it is absent."""
    if member not in nodes:
        raw = document_bytes(store, member, limits)
        nodes[member] = None if raw is None else parse_document(raw, member)
    return nodes[member]


def _record(
    store: Store, top: str, pointer: str, nodes: dict[str, Document | None], limits: Limits
) -> ImageRecord:
    chain: list[tuple[str, Document]] = []
    seen: set[str] = set()
    missing: list[str] = []
    current: str | None = top
    lost: LayerRecord | None = None
    named = (REPOSITORIES, pointer)
    findings: tuple[DocumentFinding, ...] = ()
    while current is not None:
        cleaned, climbed = clean_entry_name(encode(current))
        name = decode(cleaned)
        if current in seen or climbed or not name:
            raise DocumentError(
                "layers that are each other's parents" if current in seen else "not a layer's name",
                member=named[0],
                pointer=named[1],
                actual=current[:200],
            )
        seen.add(current)
        if len(seen) > limits.layers:
            exceeded("layers", limits.layers, len(seen), member=named[0], pointer=named[1])
        member = f"{name}/json"
        document = _node(store, member, nodes, limits)
        if document is None:
            # Whatever is beneath it cannot be known; the layer stands for all of that.
            missing.append(current)
            findings = _lost_parent(store, named, current, member)
            lost = LayerRecord(member=None, name=member)
            break
        document.object()
        chain.append((name, document))
        named = (member, "/parent")
        current = document.at("parent").text()
    chain.reverse()
    layers: list[LayerRecord] = [lost] if lost is not None else []
    for name, _ in chain:
        member = f"{name}/layer.tar"
        found = store.resolved(member) is not None
        if not found:
            missing.append(name)
        layers.append(LayerRecord(member=member if found else None, name=member))
    config: dict[str, Any] = dict(chain[-1][1].object()) if chain else {}
    config["history"] = [*([{}] if lost else []), *(_step(document) for _, document in chain)]
    return ImageRecord(
        layout="v1",
        platform=platform_of(chain[-1][1]) if chain else None,
        layers=tuple(layers),
        missing=tuple(dict.fromkeys(missing)),
        config=config,
        findings=(
            *findings,
            *links_to(store, *(one.name for one in layers if one.member is None and one != lost)),
        ),
    )


def _lost_parent(
    store: Store, named: tuple[str, str], ident: str, member: str
) -> tuple[DocumentFinding, ...]:
    """Tell of a layer that the archive lacks, and of all beneath it."""
    message = (
        f"{named[0]} names the layer {ident[:200]!a} at {named[1]}, and the archive has no "
        f"{member[:200]!a}: it and whatever is beneath it are missing"
    )
    return (DocumentFinding("LAYER_UNKNOWN", 0, message, None), *links_to(store, member))


def _step(document: Document) -> dict[str, Any]:
    command = document.at("container_config").value
    words = command.get("Cmd") if isinstance(command, dict) else None
    made = " ".join(str(word) for word in words) if isinstance(words, list) else ""
    return {"created": document.at("created").value, "created_by": made}
