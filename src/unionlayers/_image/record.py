"""What the documents say of one image, before any layer is read."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

__all__ = ["DocumentFinding", "ImageRecord", "LayerRecord"]


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
        digest: The digest that the documents promise for the blob, or None.
        size: The size in bytes that they promise, or None.
        diff_id: The digest that the config promises for the uncompressed tar, or None.
        media_type: As the documents say it, or None.
        urls: Where a foreign layer can be had.
        data: The blob itself where the descriptor carries it.
    """

    member: str | None
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
        layout: ``"oci"``, ``"docker"``, ``"dir"`` or ``"layers"``: which documents say this.
        kind: ``"image"``, ``"attestation"`` or ``"artifact"``.
        references: Tags and ref names, in the order of the documents.
        digest: Digest of the manifest, None where there is none.
        id: Digest of the config, None where the config is absent.
        promised_id: The digest that its name or descriptor promises for the config, or None.
        platform: ``os/architecture[/variant]``, or None.
        layers: Base first.
        missing: Digests that the documents name and the store lacks.
        indexes: Digests of the indexes on the way, outermost first.
    """

    layout: str
    kind: str = "image"
    references: tuple[str, ...] = ()
    digest: str | None = None
    id: str | None = None
    promised_id: str | None = None
    platform: str | None = None
    layers: tuple[LayerRecord, ...] = ()
    missing: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    config: dict[str, Any] = field(factory=dict, repr=False)
    manifest: dict[str, Any] = field(factory=dict, repr=False)
    raw_config: bytes | None = field(default=None, repr=False)
    raw_manifest: bytes | None = field(default=None, repr=False)
    annotations: dict[str, str] = field(factory=dict, repr=False)
    findings: tuple[DocumentFinding, ...] = ()

    @property
    def present(self) -> bool:
        """Whether the config and all layers are there."""
        return not self.missing
