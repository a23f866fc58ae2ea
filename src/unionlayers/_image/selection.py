"""
Which image is meant: by tag, ref name, digest or platform, never by guessing.

Two layouts of one archive are merged first: what both describe with one config is one image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import evolve

from unionlayers._image.platform import canonical_platform, platform_rank
from unionlayers._image.record import DocumentFinding, ImageRecord
from unionlayers.errors import AmbiguousImageError, BlobNotFoundError, ImageNotFoundError

__all__ = ["merge_layouts", "select"]

_HEX = re.compile(r"[0-9a-f]{4,128}\Z")


def merge_layouts(
    oci: Sequence[ImageRecord], docker: Sequence[ImageRecord], prefer: str
) -> list[ImageRecord]:
    """
    Make one list of what both layouts of an archive describe; one item per manifest.

    Args:
        oci: Images of index.json, possibly several descriptors of one manifest.
        docker: Images of manifest.json.
        prefer: ``"oci"`` or ``"docker"``: whose layers count where the two differ (case L3).
    """
    merged: dict[tuple[str | None, str | None], ImageRecord] = {}
    for record in oci:
        key = (record.digest, record.id)
        known = merged.get(key)
        if known is not None:
            references = tuple(dict.fromkeys((*known.references, *record.references)))
            record = evolve(known, references=references)
        merged[key] = record
    found = list(merged.values())
    for record in docker:
        twin = next((p for p, other in enumerate(found) if _same_config(other, record)), -1)
        if twin < 0:
            if oci and record.id is not None:
                record = evolve(record, findings=(*record.findings, _ONE_LAYOUT))
            found.append(record)
        else:
            found[twin] = _merged(found[twin], record, prefer)
    return found


_ONE_LAYOUT = DocumentFinding(
    "LAYOUTS_DISAGREE", -1, "manifest.json has an image that index.json has not", "L3"
)


def _same_config(oci: ImageRecord, docker: ImageRecord) -> bool:
    """Tell whether two layouts mean one config: by its bytes, or by the name it goes by."""
    if oci.id is not None and oci.id == docker.id:
        return True
    return oci.promised_id is not None and oci.promised_id == docker.promised_id


def _merged(oci: ImageRecord, docker: ImageRecord, prefer: str) -> ImageRecord:
    references = tuple(dict.fromkeys((*docker.references, *oci.references)))
    findings = (*oci.findings, *docker.findings)
    ours = [layer.diff_id for layer in oci.layers]
    theirs = [layer.diff_id for layer in docker.layers]
    members = [(a.member, b.member) for a, b in zip(oci.layers, docker.layers, strict=False)]
    named = any(a and b and a != b and b.startswith("blobs/") for a, b in members)
    if ours != theirs or named:
        findings = (
            *findings,
            DocumentFinding(
                "LAYOUTS_DISAGREE",
                -1,
                f"index.json and manifest.json name other layers; those of {prefer} count",
                "L3",
            ),
        )
    chosen = docker if prefer == "docker" else oci
    return evolve(
        chosen,
        references=references,
        findings=findings,
        digest=oci.digest,
        raw_manifest=oci.raw_manifest,
        indexes=oci.indexes,
        annotations=oci.annotations,
    )


def select(
    records: Sequence[ImageRecord],
    label: str,
    *,
    reference: str | None,
    platform: str | None,
    partial: bool,
) -> ImageRecord:
    """
    Give the one image that is meant.

    Args:
        records: What the source has.
        label: What errors call the source.
        reference: A tag, ref name, digest, or unambiguous prefix of one; None for the only image.
        platform: ``os/architecture[/variant]``; None for the only one there is.
        partial: Whether an image that lacks layers may be chosen beside whole ones.

    Raises:
        ImageNotFoundError: None fits; the candidates are those there are.
        AmbiguousImageError: Several fit; the candidates are those.
        BlobNotFoundError: The one that fits is not in the source.
    """
    images = [record for record in records if record.kind == "image"]
    fitting = images if reference is None else _named(records, reference)
    if not fitting:
        raise ImageNotFoundError(
            "no image has this reference" if reference else "the source has no image",
            member=label,
            actual=reference,
            candidates=_names(records),
            hint="Ask list_images() for what there is",
        )
    if platform is not None:
        wanted = canonical_platform(platform)
        ranked = [(platform_rank(wanted, record.platform), record) for record in fitting]
        served = [(rank, record) for rank, record in ranked if rank is not None]
        if not served:
            raise ImageNotFoundError(
                "no image is for this platform",
                member=label,
                actual=platform,
                candidates=_names(fitting),
            )
        best = min(rank for rank, _ in served)
        fitting = [record for rank, record in served if rank == best]
    if len(fitting) > 1:
        present = [
            record for record in fitting if record.present or (partial and record.raw_config)
        ]
        fitting = present or fitting
    if len(fitting) > 1:
        raise AmbiguousImageError(
            "several images fit",
            member=label,
            actual=reference,
            candidates=_names(fitting),
            hint="Name one by reference= (a tag, ref name or digest) or platform=",
        )
    record = fitting[0]
    if record.raw_config is None and record.layout in ("oci", "docker", "dir"):
        raise BlobNotFoundError(
            "the source names this image and does not hold it",
            member=label,
            expected=record.missing[0] if record.missing else record.digest,
            candidates=_names([other for other in images if other.present]),
        )
    return record


def _named(records: Sequence[ImageRecord], reference: str) -> list[ImageRecord]:
    exact = [record for record in records if reference in record.references]
    if exact:
        return exact
    bare = reference.removeprefix("sha256:")
    if _HEX.match(bare):
        by_digest = [
            record
            for record in records
            if any(
                digest and digest.partition(":")[2].startswith(bare)
                for digest in (record.digest, record.id, *record.indexes)
            )
        ]
        if by_digest:
            return by_digest
    if not reference.endswith(":") and is_algorithm(reference.partition(":")[0]):
        by_digest = [
            record
            for record in records
            if any(
                digest and digest.startswith(reference)
                for digest in (record.digest, record.id, *record.indexes)
            )
        ]
        if by_digest:
            return by_digest
    wanted = canonical_reference(reference)
    return [
        record
        for record in records
        if any(canonical_reference(name) == wanted for name in record.references)
    ]


def is_algorithm(text: str) -> bool:
    """Tell whether a text names a digest algorithm."""
    return text in ("sha256", "sha384", "sha512")


def canonical_reference(name: str) -> str:
    """
    Give a tag in the long form that registries know.

    Example:
        >>> canonical_reference("busybox"), canonical_reference("localhost/app:1")
        ('docker.io/library/busybox:latest', 'localhost/app:1')
    """
    last = name.rpartition("/")[2]
    if ":" not in last and "@" not in name:
        name += ":latest"
    first, slash, _ = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    if "." not in first and ":" not in first and first != "localhost":
        return f"docker.io/{name}"
    return name


def _names(records: Sequence[ImageRecord]) -> tuple[str, ...]:
    names: list[str] = []
    for record in records:
        name = ", ".join(record.references) or record.digest or record.id or "unnamed"
        if record.platform:
            name += f" ({record.platform})"
        names.append(name)
    return tuple(names)
