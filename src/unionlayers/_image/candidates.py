"""What images of a source are called: for people to read, and to be asked by."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from unionlayers._foundation.digest import is_digest
from unionlayers._image.record import ImageRecord

__all__ = ["PLACE", "canonical_reference", "choices", "is_whole_digest", "spelled_platform"]

PLACE = re.compile(r"@([0-9]{1,7})\Z")
"""A place in the list of images, as a reference."""

_HEX = re.compile(r"[0-9a-f]{4,128}\Z")
_BARE = re.compile(r"(?:[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})\Z")


def choices(records: Sequence[ImageRecord], fitting: Sequence[ImageRecord]) -> tuple[str, ...]:
    """Give for each record a reference that means it alone."""
    held = Counter(name for record in records for name in set(_handles(record)))
    places = {id(record): place for place, record in enumerate(records)}
    return tuple(
        next(
            (name for name in _own_names(record) if _is_its_own(name, record, held)),
            f"@{places[id(record)]}",
        )
        for record in fitting
    )


def is_whole_digest(reference: str) -> bool:
    """
    Tell whether a reference is a digest, or a name with one, that is not cut.

    Example:
        >>> is_whole_digest("app@sha256:" + "0" * 64), is_whole_digest("sha256:0123")
        (True, False)
    """
    behind = reference.rpartition("@")[2]
    return is_digest(behind) or (behind == reference and _BARE.match(reference) is not None)


def _is_its_own(name: str, record: ImageRecord, held: Mapping[str, int]) -> bool:
    """Tell whether a name means a record alone; that of a container may be an image's too."""
    long = canonical_reference(name) if record.kind == "container" else name
    return held[name] == 1 and held[long] <= 1


def _own_names(record: ImageRecord) -> tuple[str, ...]:
    """Give what may mean a record alone."""
    if record.kind == "container":
        # It has the id of its image, and is not meant by it.  Its name says more than its own.
        called = dict.fromkeys((*record.references, *record.aliases))
        names = (name for name in called if PLACE.match(name) is None)
        return tuple(sorted(names, key=lambda name: _HEX.match(name) is not None))
    digests = (record.digest, record.id or record.promised_id)
    # A name that is spelled as a digest or as a place means what that is of.
    named = (
        name
        for name in record.references
        if not is_whole_digest(name) and PLACE.match(name) is None
    )
    return (*named, *(one for one in digests if one), *record.aliases)


def _handles(record: ImageRecord) -> tuple[str, ...]:
    """Give everything that a reference may be compared with."""
    held = (*record.references, *_own_names(record), *record.indexes)
    digests = [name.rpartition(":")[2] for name in held if _HEX.match(name.rpartition(":")[2])]
    return (*held, *digests, *map(canonical_reference, record.references))


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


def spelled_platform(record: ImageRecord) -> str | None:
    """Give the platform of a record as ``platform=`` takes it."""
    if not record.platform:
        return None
    system, _, rest = record.platform.partition("/")
    version = f"({record.os_version})" if record.os_version else ""
    return f"{system}{version}/{rest}"
