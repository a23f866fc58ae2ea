"""Which image is meant: by tag, ref name, digest or platform, never by guessing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from attrs import evolve

from unionlayers._image.candidates import (
    PLACE,
    canonical_reference,
    choices,
    is_whole_digest,
    spelled_platform,
)
from unionlayers._image.platform import Wanted, wanted
from unionlayers._image.record import ImageRecord
from unionlayers.errors import (
    AmbiguousImageError,
    BlobNotFoundError,
    ImageNotFoundError,
    UnsupportedError,
)

__all__ = ["select"]

# How many platforms a hint spells.
_SHOWN = 20
_HEX = re.compile(r"[0-9a-f]{4,128}\Z")
# Images of these have a config; a list of bare layers has none.
_ENGINES = ("docker-root", "containers-storage")
_DOCUMENTED = ("oci", "docker", *_ENGINES)
_ALGORITHMS = ("sha256", "sha384", "sha512", "blake3")
# How many names, and how much of each, are compared with one that was not found.
_CLOSE = 1000
_CLOSE_BYTES = 200


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
        platform: ``[=]os[(version)]/architecture[/variant]``; None for the only one there is.
        partial: Whether an image that lacks layers may be chosen beside whole ones.

    Raises:
        ImageNotFoundError: None fits; the candidates are those there are.
        AmbiguousImageError: Several fit; the candidates are those.
        BlobNotFoundError: The one that fits is not in the source.
        UnsupportedError: What fits is not an image at all.
        UnionLayersError: Why the one that fits cannot be read.
    """
    images = [
        record
        for record in records
        if record.kind == "image"
        or (record.kind == "index" and record.error and record.hides in (None, "images"))
    ]
    images = images or [record for record in records if record.kind == "index"]
    fitting = images if reference is None else _named(records, reference)
    if not fitting:
        absent = _not_found(records, images, label, reference)
        hidden = [record.error for record in records if record.hides and record.error]
        if hidden and reference is not None and PLACE.match(reference) is None:
            # It may be there all the same.
            raise hidden[0] from absent
        raise absent
    if platform is not None:
        fitting = _served(records, fitting, platform, label)
    if len(fitting) > 1:
        present = [
            record
            for record in fitting
            if record.present or record.error is not None or (partial and record.raw_config)
        ]
        fitting = present or fitting
    if len(fitting) > 1:
        raise _ambiguous(records, fitting, label, reference)
    record = fitting[0] if platform is None else _as_asked(fitting[0], platform)
    if record.error is not None:
        raise record.error
    if record.kind == "container":
        return record
    if record.raw_config is None and record.layout in _DOCUMENTED:
        if not record.missing:
            raise UnsupportedError(
                "what has this digest is not an image",
                member=label,
                actual=record.kind,
                candidates=choices(records, images),
            )
        raise BlobNotFoundError(
            "the source names this image and does not hold it",
            member=label,
            expected=record.missing[0],
            candidates=choices(records, [other for other in images if other.present]),
            hint=next(
                (item.message for item in record.findings if item.code == "LINK_NOT_FOLLOWED"),
                "Save or copy it again for this platform; " + _what_is_present(images),
            ),
        )
    return record


def _not_found(
    records: Sequence[ImageRecord], images: Sequence[ImageRecord], label: str, reference: str | None
) -> ImageNotFoundError:
    hint = "Ask list_images() for what there is"
    containers = [one for one in records if reference is not None and one.kind == "container"]
    if reference is not None:
        known = [name[:_CLOSE_BYTES] for one in records for name in one.references][:_CLOSE]
        close = get_close_matches(reference[:_CLOSE_BYTES], known, n=3, cutoff=0.5)
        if close:
            hint = f"Did you mean {' or '.join(close)}? list_images() gives all there is"
    elif records:
        hint = "What there is can be opened by its digest: see list_images()"
    return ImageNotFoundError(
        "the source has no image" if reference is None else "no image has this reference",
        member=label,
        actual=reference,
        candidates=choices(records, [*images, *containers] or records),
        hint=hint,
    )


def _served(
    records: Sequence[ImageRecord], fitting: Sequence[ImageRecord], platform: str, label: str
) -> list[ImageRecord]:
    """Give those that serve a platform best."""
    asked = wanted(platform)
    served = _best(fitting, asked)
    if not served:
        failed = next((record.error for record in fitting if record.error is not None), None)
        if failed is not None:
            raise failed
        told = _platforms(fitting)
        exact = "; without the = lower variants fit too" if asked.exact else ""
        raise ImageNotFoundError(
            "no image is for this platform",
            member=label,
            actual=platform,
            candidates=told or choices(records, fitting),
            hint=f"Pass a candidate as platform={exact}"
            if told
            else "No image says for which platform it is: pass a candidate as reference= alone",
        )
    return served


def _best(fitting: Sequence[ImageRecord], asked: Wanted) -> list[ImageRecord]:
    """Give those that serve a platform, and none of them better than another."""
    served: list[tuple[int, ImageRecord]] = []
    for record in fitting:
        known = [rank for one in record.served if (rank := asked.rank(*one)) is not None]
        if known:
            served.append((min(known), record))
    best = min((rank for rank, _ in served), default=0)
    return [record for rank, record in served if rank == best]


def _platforms(fitting: Sequence[ImageRecord]) -> tuple[str, ...]:
    told = (
        spelled
        for record in fitting
        for one, version in record.served
        if (spelled := spelled_platform(evolve(record, platform=one, os_version=version)))
        and _can_be_asked(spelled, one, version)
    )
    return tuple(dict.fromkeys(told))


def _can_be_asked(spelled: str, platform: str | None, version: str | None) -> bool:
    """Tell whether what a document calls a platform gives it when it is asked for."""
    try:
        return wanted(spelled).rank(platform, version) == 0
    except ValueError:
        return False


def _what_is_present(images: Sequence[ImageRecord]) -> str:
    here = _platforms([one for one in images if one.present])[:_SHOWN]
    return f"it is here for {', '.join(here)}" if here else "list_images() says what is present"


def _as_asked(record: ImageRecord, platform: str) -> ImageRecord:
    """Give a record with that of its platforms that serves best."""
    asked = wanted(platform)
    ranked = [(rank, one) for one in record.served if (rank := asked.rank(*one)) is not None]
    its, version = min(ranked, key=lambda item: item[0])[1]
    return evolve(record, platform=its, os_version=version)


def _ambiguous(
    records: Sequence[ImageRecord],
    fitting: Sequence[ImageRecord],
    label: str,
    reference: str | None,
) -> AmbiguousImageError:
    hint = "Pass a candidate as reference="
    platforms = {spelled_platform(record) for record in fitting}
    if len(platforms) == len(fitting) and None not in platforms:
        shown = sorted(str(one) for one in platforms)[:_SHOWN]
        # What a document calls a platform may be none, or mean several of them.
        if all(_means_one(fitting, one) for one in shown):
            hint += f", or choose by platform=: {', '.join(shown)}"
    return AmbiguousImageError(
        "several images fit",
        member=label,
        actual=reference,
        candidates=choices(records, fitting),
        hint=hint,
    )


def _means_one(fitting: Sequence[ImageRecord], platform: str) -> bool:
    try:
        return len(_best(fitting, wanted(platform))) == 1
    except ValueError:
        return False


def _named(records: Sequence[ImageRecord], reference: str) -> list[ImageRecord]:
    """
    Give the records that a reference means.

    A whole digest means what has it, also behind a name and an ``@``, whatever else is called so:
    names are given by whoever made the archive.  So do places in the list, of which ``@0`` is the
    first.  Then come names, the long forms of names, and beginnings of digests.
    """
    if is_whole_digest(reference):
        behind = reference.rpartition("@")[2]
        return _by_digest(records, behind) or [
            # An engine knows the digest by which it pulled an image, which may be that of an index.
            record
            for record in records
            if record.layout in _ENGINES
            and canonical_reference(reference) in map(canonical_reference, record.references)
        ]
    place = PLACE.match(reference)
    if place is not None:
        return list(records[int(place[1]) : int(place[1]) + 1])
    exact = [record for record in records if reference in (*record.references, *record.aliases)]
    if exact and any(record.kind != "container" for record in exact):
        return exact
    # A container may have the name that an image goes by without its tag.
    found = exact + [
        record
        for record in records
        if record.kind != "container"
        and canonical_reference(reference) in map(canonical_reference, record.references)
    ]
    return found or _by_digest(records, reference)


def _by_digest(records: Sequence[ImageRecord], reference: str) -> list[ImageRecord]:
    algorithm, colon, encoded = reference.rpartition(":")
    if not _HEX.match(encoded) or (colon and algorithm not in _ALGORITHMS):
        return []

    def fits(digest: str | None) -> bool:
        if digest is None:
            return False
        kind, _, whole = digest.partition(":")
        return whole.startswith(encoded) and (not colon or kind == algorithm)

    own: list[ImageRecord] = []
    within: list[ImageRecord] = []
    for record in records:
        # A container has the id of its image, and is not meant by it.
        image = record.id or record.promised_id
        if record.kind != "container" and (fits(record.digest) or fits(image)):
            own.append(record)
        elif any(map(fits, record.indexes)) or (not colon and _has_alias(record, encoded)):
            within.append(record)
    # The digest of an index means the images in it, not what else it has.
    return [*own, *(record for record in within if record.kind in ("image", "container"))] or within


def _has_alias(record: ImageRecord, encoded: str) -> bool:
    return any(name.startswith(encoded) for name in record.aliases)
