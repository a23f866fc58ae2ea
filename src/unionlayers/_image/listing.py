"""What a store has, whether an image needs it or not."""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen

from unionlayers._bytes.source import ByteSource

__all__ = ["Listed", "Remnant"]


@frozen
class Listed:
    """
    A file of a folder or archive; links, folders and devices are none.

    Attributes:
        name: As `Store.resolved` gives it.
        size: Bytes.
        counts: Whether it is what its name means; a later member may have the name.
        content: Gives the bytes.
    """

    name: str
    size: int
    counts: bool
    content: Callable[[], ByteSource] = field(repr=False, eq=False)


@frozen
class Remnant:
    """
    Bytes of an archive that belong to no member.

    Attributes:
        kind: ``"gap"``, ``"after tar"`` or ``"after stream"``.
        offset: Where they start in *source*.
        size: Bytes.
        source: The archive, or for ``"after stream"`` what it is compressed to.
    """

    kind: str
    offset: int
    size: int
    source: ByteSource = field(repr=False, eq=False)
