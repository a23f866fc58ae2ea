"""
Which images of a source are one: layouts of one archive, drivers of one engine, tags of one image.

What two places describe with one config is one image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from attrs import evolve

from unionlayers._image.record import DocumentFinding, ImageRecord

__all__ = ["merge_layouts", "one_per_image"]


def merge_layouts(
    oci: Sequence[ImageRecord], docker: Sequence[ImageRecord], prefer: str
) -> list[ImageRecord]:
    """
    Make one list of what both layouts of an archive describe; one item per manifest.

    Args:
        oci: Images of index.json, possibly several descriptors of one manifest.
        docker: Images of manifest.json, possibly several items of one image.
        prefer: ``"oci"`` or ``"docker"``: whose layers count where the two differ (case L3).
    """
    found = _joined(oci)
    places: dict[str, int] = {}
    for place, record in enumerate(found):
        for digest in (record.id, record.promised_id):
            if digest is not None and record.kind == "image":
                places.setdefault(digest, place)
    lost: list[ImageRecord] = []
    beside: dict[int, list[ImageRecord]] = {}
    for record in _joined(docker):
        wanted = (record.id, record.promised_id)
        place = next((places[digest] for digest in wanted if digest and digest in places), -1)
        if place >= 0:
            beside.setdefault(place, []).append(record)
        elif record.error is not None and places and prefer == "oci":
            lost.append(record)
        else:
            alone = (_ONE_LAYOUT,) if oci else ()
            found.append(evolve(record, findings=(*record.findings, *alone)))
    for place, records in beside.items():
        found[place] = _with_items(found[place], records, prefer)
    if lost:
        more = _unreadable(lost[0], len(lost) - 1)
        found = [evolve(record, findings=(*record.findings, more)) for record in found]
    return found


def _with_items(oci: ImageRecord, items: Sequence[ImageRecord], prefer: str) -> ImageRecord:
    """Merge an image of index.json with all items of manifest.json that are for its config."""
    merged = oci
    findings = dict.fromkeys(oci.findings)
    for item in items:
        bare = evolve(merged, references=(), findings=())
        merged = _merged(bare, evolve(item, references=()), prefer)
        findings.update(dict.fromkeys(merged.findings))
    return evolve(
        merged,
        references=_each((*(item.references for item in items), oci.references)),
        findings=tuple(findings),
    )


def _unreadable(docker: ImageRecord, others: int = 0) -> DocumentFinding:
    more = f", nor {others} more" if others else ""
    return DocumentFinding(
        "LAYOUTS_DISAGREE",
        -1,
        f"an image in manifest.json, beside index.json, cannot be read: {docker.error}{more}",
        "L3",
    )


def _joined(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Join what is named more than once: each tag of an image has a descriptor or item."""
    groups: dict[tuple[object, ...], list[ImageRecord]] = {}
    # Descriptors of one manifest share its layers, which are looked at once.
    members: dict[int, int] = {}
    same: dict[tuple[str | None, ...], int] = {}
    for place, record in enumerate(records):
        layers = members.get(id(record.layers))
        if layers is None:
            named = tuple(layer.member or layer.name for layer in record.layers)
            layers = members[id(record.layers)] = same.setdefault(named, len(same))
        key: tuple[object, ...] = (record.digest, record.id or record.promised_id, layers)
        if key[:2] == (None, None):
            key = (place,)
        groups.setdefault(key, []).append(record)
    return [_one(group) for group in groups.values()]


def _one(group: Sequence[ImageRecord]) -> ImageRecord:
    """Give the record of an image with all that the records of it are called."""
    first, *more = group
    if not more:
        return first
    return evolve(
        first,
        references=_each(record.references for record in group),
        indexes=_each(record.indexes for record in group),
        findings=tuple(dict.fromkeys(chain.from_iterable(one.findings for one in group))),
        **_platforms(group),
    )


def _each(names: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(names)))


def _platforms(group: Sequence[ImageRecord]) -> dict[str, Any]:
    """Give the platforms of one manifest that stands in several places, or for several."""
    told = dict.fromkeys(
        (platform, version)
        for record in group
        for platform, version in record.served
        # It may stand in an index with its platform, and outside without.
        if platform is not None
    )
    served = tuple(told) or group[0].served
    return {
        "platform": served[0][0],
        "os_version": served[0][1],
        "platforms": served if len(served) > 1 else (),
    }


def one_per_image(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """
    Join the images that several storage drivers of one engine hold.

    One config is one image, whichever driver has unpacked it; the first that is whole counts.
    """
    groups: dict[object, list[ImageRecord]] = {}
    for place, record in enumerate(records):
        # One that cannot be read is known by the name that it has in the store.
        known = record.id or (record.promised_id if record.error is not None else None)
        groups.setdefault(known if known and record.kind == "image" else place, []).append(record)
    return [_of_drivers(group) for group in groups.values()]


def _of_drivers(group: Sequence[ImageRecord]) -> ImageRecord:
    if len(group) == 1:
        return group[0]
    chosen = next((record for record in group if record.present), group[0])
    others = [record for record in group if record is not chosen]
    digests = [one.digest for one in others if one.digest and one.digest != chosen.digest]
    unread = [
        DocumentFinding(
            "STORE_NOT_READ", -1, f"another driver has the image, unreadable: {one.error}", None
        )
        for one in others
        if one.error is not None and chosen.error is None
    ]
    return evolve(
        chosen,
        references=_each(record.references for record in group),
        aliases=_each(record.aliases for record in group),
        indexes=_each((chosen.indexes, *(one.indexes for one in others), digests)),
        findings=(*chosen.findings, *unread),
    )


_ONE_LAYOUT = DocumentFinding(
    "LAYOUTS_DISAGREE", -1, "manifest.json has an image that index.json has not", "L3"
)


def _same_layers(oci: ImageRecord, docker: ImageRecord) -> bool:
    """Tell whether two layouts name the same layers; of many items each may have but a few."""
    return len(oci.layers) == len(docker.layers) and all(
        a.diff_id == b.diff_id and (not a.member or not b.member or a.member == b.member)
        for a, b in zip(oci.layers, docker.layers, strict=True)
    )


def _merged(oci: ImageRecord, docker: ImageRecord, prefer: str) -> ImageRecord:
    references = tuple(dict.fromkeys((*docker.references, *oci.references)))
    findings = (*oci.findings, *docker.findings)
    if docker.error is not None and prefer == "oci":
        return evolve(oci, references=references, findings=(*oci.findings, _unreadable(docker)))
    if oci.error is not None and prefer == "docker":
        return evolve(docker, references=references, digest=oci.digest, indexes=oci.indexes)
    if not _same_layers(oci, docker):
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
