"""
The oldest layout of ``docker save``: ``repositories``, and a folder with ``json`` per layer.

There is no manifest and no digest of anything: a layer names its parent, and nothing can be
checked.
"""

from __future__ import annotations

from typing import Any

from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._foundation.names import clean_entry_name, decode, encode
from unionlayers._image.docker_archive import document_bytes
from unionlayers._image.document import Document, parse_document
from unionlayers._image.platform import platform_of
from unionlayers._image.record import ImageRecord, LayerRecord
from unionlayers._image.store import Store
from unionlayers.errors import DocumentError

__all__ = ["REPOSITORIES", "read_docker_v1"]

REPOSITORIES = "repositories"


def read_docker_v1(store: Store, *, limits: Limits) -> list[ImageRecord]:
    """
    Read ``repositories`` and the chains of parents that it names.

    Raises:
        DocumentError: A document cannot be read, or parents go in a circle.

    Source:
        moby image/spec v1, "Combined Image JSON + Filesystem Changeset Format".
    """
    raw = document_bytes(store, REPOSITORIES, limits)
    if raw is None:
        return []
    tags: dict[str, list[str]] = {}
    document = parse_document(raw, REPOSITORIES)
    for repository in document.object():
        for tag in document.at(repository).object():
            top = document.at(repository).at(tag).required_text()
            tags.setdefault(top, []).append(f"{repository}:{tag}")
    if len(tags) > limits.images:
        exceeded("images", limits.images, len(tags))
    return [_record(store, top, tuple(names), limits) for top, names in tags.items()]


def _record(store: Store, top: str, references: tuple[str, ...], limits: Limits) -> ImageRecord:
    chain: list[tuple[str, Document]] = []
    seen: set[str] = set()
    missing: list[str] = []
    current: str | None = top
    while current is not None:
        cleaned, climbed = clean_entry_name(encode(current))
        name = decode(cleaned)
        if current in seen or climbed or not name:
            raise DocumentError(
                "layers that are each other's parents" if current in seen else "not a layer's name",
                member=f"{current[:80]}/json",
                pointer="/parent",
            )
        seen.add(current)
        if len(seen) > limits.layers:
            exceeded("layers", limits.layers, len(seen))
        member = f"{name}/json"
        raw = document_bytes(store, member, limits)
        if raw is None:
            missing.append(current)
            break
        document = parse_document(raw, member)
        chain.append((name, document))
        current = document.at("parent").text()
    chain.reverse()
    layers: list[LayerRecord] = []
    for name, _ in chain:
        member = f"{name}/layer.tar"
        found = store.resolved(member) is not None
        if not found:
            missing.append(name)
        layers.append(LayerRecord(member=member if found else None))
    config: dict[str, Any] = dict(chain[-1][1].object()) if chain else {}
    config["history"] = [_step(document) for _, document in chain]
    return ImageRecord(
        layout="v1",
        references=references,
        platform=platform_of(chain[-1][1]) if chain else None,
        layers=tuple(layers),
        missing=tuple(missing),
        config=config,
    )


def _step(document: Document) -> dict[str, Any]:
    command = document.at("container_config").value
    words = command.get("Cmd") if isinstance(command, dict) else None
    made = " ".join(str(word) for word in words) if isinstance(words, list) else ""
    return {"created": document.at("created").value, "created_by": made}
