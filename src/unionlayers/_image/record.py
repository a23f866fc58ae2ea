"""What the documents say of one image, before any layer is read."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._image.document import Document
from unionlayers._image.store import Store
from unionlayers.errors import UnionLayersError

__all__ = [
    "DocumentFinding",
    "ImageRecord",
    "LayerCount",
    "LayerRecord",
    "links_to",
    "oddities_of",
    "repeats_of",
    "said_of_link",
]


@frozen
class DocumentFinding:
    """Something odd in the documents; with the layer it is about, -1 for the image."""

    code: str
    layer: int
    message: str
    case: str | None


@frozen(kw_only=True)
class LayerRecord:
    """
    One layer as a manifest lists it.

    Attributes:
        member: Name of its blob in the store; None where the store lacks it.
        name: The name by which the documents ask for it, whether it is there or not.
        digest: The digest that the documents promise for the blob, or None.
        size: The size in bytes that they promise, or None.
        diff_id: The digest that the config promises for the uncompressed tar, or None.
        media_type: As the documents say it, or None.
        urls: Where a foreign layer can be had.
        data: The blob itself where the descriptor carries it.
    """

    member: str | None
    name: str | None = None
    digest: str | None = None
    size: int | None = None
    diff_id: str | None = None
    media_type: str | None = None
    urls: tuple[str, ...] = ()
    data: bytes | None = field(default=None, repr=False)


@frozen(kw_only=True)
class ImageRecord:
    """
    One image, or one manifest that is none.

    Attributes:
        layout: ``"oci"``, ``"docker"``, ``"dir"``, ``"docker-root"``, ``"containers-storage"`` or
            ``"layers"``: which documents say this.
        kind: ``"image"``, ``"attestation"``, ``"artifact"``, ``"container"`` or ``"index"`` (one
            that is absent or cannot be read).
        references: Tags and ref names, in the order of the documents.
        aliases: Further names that it is found by and not listed under.
        digest: Digest of the manifest, None where there is none.
        id: Digest of the config, None where the config is absent.
        promised_id: The digest that its name or descriptor promises for the config, or None.
        platform: ``os/architecture[/variant]``, or None.
        os_version: The version of Windows that it is for, or None.
        platforms: Every platform that it is listed for, with its version of Windows, if it is
            listed for several; else empty.
        layers: Base first.
        missing: Digests that the documents name and the store lacks.
        indexes: Digests of the indexes on the way, outermost first.
        documented: How many layers the config speaks of, base first, where there are more: a
            container has its own on top.
        error: Why it cannot be opened, though it is there; None if it can.
        hides: What is not known because a document of an engine's store cannot be read: the
            ``"images"`` or ``"containers"`` that it lists, or the ``"names"`` of this or of
            others; else None.
    """

    layout: str
    kind: str = "image"
    references: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    digest: str | None = None
    id: str | None = None
    promised_id: str | None = None
    platform: str | None = None
    os_version: str | None = None
    platforms: tuple[tuple[str | None, str | None], ...] = ()
    layers: tuple[LayerRecord, ...] = ()
    missing: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    documented: int | None = None
    config: dict[str, Any] = field(factory=dict, repr=False)
    manifest: dict[str, Any] = field(factory=dict, repr=False)
    raw_config: bytes | None = field(default=None, repr=False)
    raw_manifest: bytes | None = field(default=None, repr=False)
    annotations: dict[str, str] = field(factory=dict, repr=False)
    findings: tuple[DocumentFinding, ...] = ()
    error: UnionLayersError | None = None
    hides: str | None = None

    @property
    def present(self) -> bool:
        """Whether the config and all layers are there, and can be read as far as is known."""
        return not self.missing and self.error is None

    @property
    def served(self) -> tuple[tuple[str | None, str | None], ...]:
        """The platforms that it is for, each with its version of Windows."""
        return self.platforms or ((self.platform, self.os_version),)


class LayerCount:
    """
    Counts the layers of all images of a source while their documents are read.

    Few bytes can name many layers: each image costs what its layers do.

    Args:
        limits: Bounds.
        member: The document that names the images.
    """

    def __init__(self, limits: Limits, member: str) -> None:
        self._bound = limits.archive_layers
        self._member = member
        self._count = 0
        self._steps = 0

    def step(self) -> None:
        """
        Count a step from a layer to the one beneath it; the next record that is added ends the way.

        Of an image that cannot be read so the layers count that were looked at to find out.

        Raises:
            LimitError: As of `add`.
        """
        self._steps += 1
        self._check(self._count + self._steps)

    def add(self, record: ImageRecord) -> ImageRecord:
        """
        Give the record back, its layers counted, or the steps where these are more.

        Raises:
            LimitError: All images so far have more layers than ``Limits.archive_layers``.
        """
        self._count += max(len(record.layers), self._steps)
        self._steps = 0
        self._check(self._count)
        return record

    def _check(self, count: int) -> None:
        if count > self._bound:
            exceeded("archive_layers", self._bound, count, member=self._member)


def oddities_of(*documents: Document | None) -> tuple[DocumentFinding, ...]:
    """Give what is odd about documents as a whole."""
    return tuple(
        DocumentFinding(code, -1, message, None)
        for document in documents
        if document is not None
        for code, message in document.oddities
    )


def links_to(store: Store, *names: str | None) -> tuple[DocumentFinding, ...]:
    """Tell in one finding of those members that are not reached because of a link."""
    ways = [store.unfollowed(name) for name in dict.fromkeys(names) if name is not None]
    links = list(dict.fromkeys(way for way in ways if way is not None))
    if not links:
        return ()
    more = f", nor {len(links) - 1} more" if len(links) > 1 else ""
    message = f"{said_of_link(*links[0])}{more}"
    return (DocumentFinding("LINK_NOT_FOLLOWED", -1, message, None),)


def said_of_link(name: str, target: str) -> str:
    """Say that a link is not followed, and where it leads."""
    return (
        f"{name[:200]} is a link to {target[:200]!a}, and links are followed only to files inside "
        "of the source"
    )


def repeats_of(store: Store, *names: str | None) -> tuple[DocumentFinding, ...]:
    """Tell in one finding of those members that an archive has more than once."""
    repeated = [name for name in dict.fromkeys(names) if name is not None and store.repeated(name)]
    if not repeated:
        return ()
    first, more = repeated[0], len(repeated) - 1
    others = f", and so do {more} more" if more else ""
    return (
        DocumentFinding(
            "DUPLICATE_MEMBER",
            -1,
            f"{first[:200]} stands more than once{others}; the last one counts",
            "L12",
        ),
    )
