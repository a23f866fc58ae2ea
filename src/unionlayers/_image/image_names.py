"""
Names of images as documents give them, as far as a reference could be spelled so.

One name in a document can be that of thousands of images, and is compared for each of them.  What
is longer than what a registry can be asked for is read as no name: it is told of, and the image
found by the rest.
"""

from __future__ import annotations

from collections.abc import Iterable

from unionlayers._image.record import DocumentFinding

__all__ = ["LONGEST_NAME", "known_names", "names_left_out"]

LONGEST_NAME = 255 + len(":65535/") + 255 + len(":") + 128 + len("@sha512:") + 128
"""
Characters of the longest name that is read: a host and its port, a path, a tag and a digest.

Source:
    RFC 1035, 2.3.4, for the host; github.com/distribution/reference, ``reference.go``, which bounds
    the path alone, and ``regexp.go``.  ``org.opencontainers.image.ref.name`` has no bound.
"""

_SHOWN = 100


def known_names(
    names: Iterable[str], member: str
) -> tuple[tuple[str, ...], tuple[DocumentFinding, ...]]:
    """
    Give the names that can be references, and a finding for those that are too long.

    Args:
        names: As the document has them.
        member: The document.
    """
    kept: list[str] = []
    long: list[str] = []
    for name in names:
        (kept if len(name) <= LONGEST_NAME else long).append(name)
    return tuple(kept), names_left_out(long[0], len(long), member) if long else ()


def names_left_out(first: str, count: int, member: str) -> tuple[DocumentFinding, ...]:
    """
    Tell of names that are too long.

    Args:
        first: The first of them, or its beginning.
        count: How many there are.
        member: The document.
    """
    others = f", and {count - 1} more" if count > 1 else ""
    message = (
        f"{member} calls the image {first[:_SHOWN]!a}...{others}: names of more than "
        f"{LONGEST_NAME} characters are not read, and it is not found by that"
    )
    return (DocumentFinding("NAME_TOO_LONG", -1, message, None),)
