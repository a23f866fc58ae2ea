"""The image configuration: what is needed of it, and its history as steps."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from unionlayers._foundation.digest import digest_of
from unionlayers._image.document import Document, parse_document
from unionlayers._image.platform import platform_of
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
    return Config(document, digest_of(raw), platform_of(document), diff_ids)


def steps_of(config: Document, layers: int) -> tuple[Step, ...]:
    """
    Give the history, each step that made a layer with the index of it.

    Where the number of such steps is not the number of layers, no step has a layer: which one it
    made cannot be known (case L9).
    """
    items = config.at("history").items() if config.value else []
    filled = [item for item in items if not item.at("empty_layer").value]
    matches = len(filled) == layers
    steps: list[Step] = []
    layer = 0
    for item in items:
        empty = bool(item.at("empty_layer").value)
        created_by = item.at("created_by").value
        steps.append(
            Step(
                created=time_of(item.at("created").value),
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
