"""
The oldest layout of ``docker save``: ``repositories``, and a folder with ``json`` per layer.

There is no manifest and no digest of anything: a layer names its parent, and nothing can be
checked.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from attrs import evolve, field, frozen

from unionlayers._foundation.limits import WHOLE, Limits, exceeded
from unionlayers._foundation.names import clean_entry_name, decode, encode
from unionlayers._image.attempts import Attempts
from unionlayers._image.docker_archive import dangling, document_bytes
from unionlayers._image.document import Document, parse_document
from unionlayers._image.image_names import LONGEST_NAME, names_left_out
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
    document = parse_document(raw, REPOSITORIES)
    tops = _tops(document)
    findings = (*oddities_of(document), *repeats_of(store, REPOSITORIES))
    if len(tops) > limits.images:
        exceeded("images", limits.images, len(tops), member=REPOSITORIES)
    records: list[ImageRecord] = []
    counted = LayerCount(limits, REPOSITORIES)
    layers = _Layers(store, limits)
    for ident, top in tops.items():
        try:
            record = _record(layers, ident, top.place, counted)
        except (CorruptError, LimitError) as error:
            if isinstance(error, LimitError) and error.limit in WHOLE:
                raise
            record = ImageRecord(layout="v1", error=error)
        counted.add(record)
        records.append(
            evolve(
                record,
                references=tuple(top.names),
                aliases=(ident,),
                findings=(*findings, *top.findings(), *record.findings),
            )
        )
    return records


@frozen
class _Top:
    """What the topmost layer of an image is called, and where first."""

    place: Document
    names: list[str] = field(factory=list)
    long: list[str] = field(factory=list)

    def findings(self) -> tuple[DocumentFinding, ...]:
        """Tell of names that are too long."""
        return names_left_out(self.long[0], len(self.long), REPOSITORIES) if self.long else ()


def _tops(document: Document) -> dict[str, _Top]:
    """Give the topmost layers that have a name, in the order of the document."""
    tops: dict[str, _Top] = {}
    for repository in document.fields():
        tags = document.at(repository)
        for tag in tags.fields():
            place = tags.at(tag)
            top = tops.setdefault(place.required_text(), _Top(place))
            # One repository has many tags: their names together are longer than the document.
            if len(repository) + len(tag) < LONGEST_NAME:
                top.names.append(evolve(place, value=f"{repository}:{tag}").required_text())
            else:
                top.long.append(repository)
    return tops


@frozen
class _Layer:
    """
    What is known of one layer, which many images may be built on.

    Attributes:
        name: Its folder.
        document: What the archive says of it, None where that is absent.
        parent: The id of the layer beneath it, None for a base.
        record: What an image has of it.
        step: What a history has of it.
    """

    name: str
    document: Document | None
    parent: str | None
    record: LayerRecord
    step: dict[str, Any]

    @property
    def member(self) -> str:
        """The name of its document."""
        return f"{self.name}/json"


@frozen
class _Layers:
    """The layers of an archive, each read once."""

    store: Store
    limits: Limits
    _known: Attempts[_Layer | None] = field(factory=Attempts, init=False)

    def at(self, ident: str) -> _Layer | None:
        """
        Give a layer; None for what is not a layer's name.

        Raises:
            DocumentError: Its document cannot be read.
        """
        return self._known.get(ident, partial(self._read, ident))

    def _read(self, ident: str) -> _Layer | None:
        cleaned, climbed = clean_entry_name(encode(ident))
        name = decode(cleaned)
        if climbed or not name:
            return None
        member = f"{name}/json"
        raw = document_bytes(self.store, member, self.limits)
        if raw is None:
            # Whatever is beneath it cannot be known; the layer stands for all of that.
            return _Layer(name, None, None, LayerRecord(member=None, name=member), {})
        document = parse_document(raw, member)
        document.object()
        tar = f"{name}/layer.tar"
        found = self.store.resolved(tar) is not None
        record = LayerRecord(member=tar if found else None, name=tar)
        return _Layer(name, document, document.at("parent").text(), record, _step(document))


def _record(layers: _Layers, top: str, place: Document, counted: LayerCount) -> ImageRecord:
    store, limits = layers.store, layers.limits
    chain: list[_Layer] = []
    seen: set[str] = set()
    missing: list[str] = []
    current: str | None = top
    findings: tuple[DocumentFinding, ...] = ()
    named = place
    while current is not None:
        layer = None if current in seen else layers.at(current)
        if layer is None:
            raise DocumentError(
                "layers that are each other's parents" if current in seen else "not a layer's name",
                member=named.member,
                pointer=named.pointer,
                actual=current[:200],
            )
        seen.add(current)
        counted.step()
        if len(seen) > limits.layers:
            exceeded("layers", limits.layers, len(seen), member=named.member, pointer=named.pointer)
        chain.append(layer)
        if layer.document is None:
            missing.append(current)
            findings = _lost_parent(store, named, current, layer.member)
            break
        named = layer.document.at("parent")
        current = layer.parent
    chain.reverse()
    there = [layer for layer in chain if layer.document is not None]
    missing += [layer.name for layer in there if layer.record.member is None]
    document = chain[-1].document
    config: dict[str, Any] = dict(document.object()) if document else {}
    config["history"] = [layer.step for layer in chain]
    return ImageRecord(
        layout="v1",
        platform=platform_of(document) if document else None,
        layers=tuple(layer.record for layer in chain),
        missing=tuple(dict.fromkeys(missing)),
        config=config,
        findings=(
            *findings,
            *links_to(store, *(one.record.name for one in there if one.record.member is None)),
        ),
    )


def _lost_parent(
    store: Store, named: Document, ident: str, member: str
) -> tuple[DocumentFinding, ...]:
    """Tell of a layer that the archive lacks, and of all beneath it."""
    message = (
        f"{named.member[:200]} names the layer {ident[:200]!a} at {named.pointer}, "
        f"and the archive has no {member[:200]!a}: it and whatever is beneath it are missing"
    )
    return (DocumentFinding("LAYER_UNKNOWN", 0, message, None), *links_to(store, member))


def _step(document: Document) -> dict[str, Any]:
    command = document.at("container_config").value
    words = command.get("Cmd") if isinstance(command, dict) else None
    made = " ".join(str(word) for word in words) if isinstance(words, list) else ""
    return {"created": document.at("created").value, "created_by": made}
