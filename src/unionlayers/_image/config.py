"""The image configuration: what is needed of it, and its history as steps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from attrs import frozen

from unionlayers._foundation.digest import digest_of
from unionlayers._image.document import Document, parse_document
from unionlayers._image.platform import platform_of
from unionlayers._image.record import DocumentFinding
from unionlayers.errors import DigestMismatchError, DocumentError

__all__ = ["Config", "Step", "check_digest", "read_config", "steps_of", "time_of"]


@frozen
class Step:
    """
    One build step of an image's history.

    Attributes:
        created: When it was made, or None.
        created_by: The command, or the empty text.
        empty_layer: Whether it made no layer.
        layer: Index of the layer it made; None for an empty one, or where the history does not
            match the layers.
    """

    created: datetime | None
    created_by: str
    empty_layer: bool
    layer: int | None


@frozen
class Config:
    """The parts of a configuration that decide what is read."""

    document: Document
    id: str
    platform: str | None
    diff_ids: tuple[str, ...] | None
    findings: tuple[DocumentFinding, ...] = ()


def check_digest(raw: bytes, expected: str, member: str) -> None:
    """Raise `DigestMismatchError` unless *raw* has the digest *expected*."""
    actual = digest_of(raw, expected.partition(":")[0])
    if actual != expected:
        raise DigestMismatchError(
            "the document is not the one that was promised",
            member=member,
            expected=expected,
            actual=actual,
        )


def read_config(raw: bytes, member: str) -> Config:
    """
    Read a configuration.

    Raises:
        DocumentError: It is no JSON object, or its ``rootfs`` is not a list of digests.

    Spec:
        OCI image-spec v1.1, config.md.
    """
    document = parse_document(raw, member)
    document.object()
    rootfs = document.at("rootfs")
    diff_ids: tuple[str, ...] | None = None
    if rootfs.value is not None:
        form = rootfs.at("type").text()
        if form not in (None, "layers"):
            raise DocumentError(
                "a root filesystem of an unknown type",
                member=member,
                pointer="/rootfs/type",
                actual=form,
                expected="layers",
            )
        diff_ids = tuple(item.digest() for item in rootfs.at("diff_ids").items())
    findings = tuple(_odd_history(document))
    return Config(document, digest_of(raw), platform_of(document), diff_ids, findings)


def _odd_history(config: Document) -> Iterator[DocumentFinding]:
    """Tell what is wrong with the history, which changes nothing in the tree (case L9)."""
    history = config.object().get("history")
    if history is None:
        return
    shapes = {"created_by": str, "created": str, "empty_layer": bool}
    wrong = not isinstance(history, list) or any(
        not isinstance(item, dict)
        or any(
            item.get(name) is not None and not isinstance(item[name], shape)
            for name, shape in shapes.items()
        )
        for item in history
    )
    if wrong:
        yield DocumentFinding(
            "HISTORY_MALFORMED", -1, f"the history in {config.member} has steps that are none", "L9"
        )


def steps_of(config: dict[str, Any], layers: int) -> tuple[Step, ...]:
    """
    Give the history, each step that made a layer with the index of it.

    Where the number of such steps is not the number of layers, no step has a layer: which one it
    made cannot be known (case L9).  What is no step counts as one without a command.
    """
    history = config.get("history")
    items = [
        item if isinstance(item, dict) else {}
        for item in (history if isinstance(history, list) else [])
    ]
    filled = [item for item in items if item.get("empty_layer") is not True]
    matches = len(filled) == layers
    steps: list[Step] = []
    layer = 0
    for item in items:
        empty = item.get("empty_layer") is True
        created_by = item.get("created_by")
        steps.append(
            Step(
                created=time_of(item.get("created")),
                created_by=created_by if isinstance(created_by, str) else "",
                empty_layer=empty,
                layer=layer if matches and not empty else None,
            )
        )
        layer += not empty
    return tuple(steps)


def time_of(value: object) -> datetime | None:
    """
    Give an RFC 3339 time with its zone, None for anything else.

    Example:
        >>> time_of("2024-05-01T10:20:30.123456789Z").isoformat()
        '2024-05-01T10:20:30.123456+00:00'
    """
    if not isinstance(value, str):
        return None
    head, dot, tail = value.partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        value = f"{head}.{tail[: min(digits, 6)]:0<6}{tail[digits:]}"
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None
