"""The bounds within which a stranger's archive is read."""

from __future__ import annotations

from typing import NoReturn

from attrs import frozen

from unionlayers.errors import LimitError

__all__ = ["WHOLE", "Limits", "exceeded", "limits_named"]

WHOLE = ("metadata_bytes", "archive_layers")
"""The limits that hold for all images of a source together, so that no image goes without them."""


@frozen(kw_only=True)
class Limits:
    """
    How much an archive may cost before `LimitError` is raised.

    Every bound is inclusive: the value itself still passes.  The defaults let every real image
    through that the project has met and stop every bomb it knows; ``Limits(links=255)`` lifts one.

    Attributes:
        entries: Tar entries in one layer.
        image_entries: Tar entries in all layers of an image together.
        name_bytes: Bytes of all names and link targets of one layer together, with those of the
            directories that it implies.
        xattr_bytes: Bytes of all extended attributes of one layer together.
        header_bytes: Bytes of one extended header or long name (Go's reader: 1 MiB).
        pax_records: Records in one extended header.
        sparse_entries: Segments in all sparse maps of one layer together.
        layer_bytes: Uncompressed bytes of one layer.
        expansion: Uncompressed over compressed bytes, once 64 MiB have come out.
        window_bytes: Bytes of window that a zstd frame may ask for.
        document_bytes: Bytes of one JSON document (containerd: 20 MiB).
        metadata_bytes: Bytes of all JSON documents that are read at opening.
        spool_bytes: Bytes that are copied from a source that cannot seek, where that is asked.
        members: Members in the image archive.
        images: Manifests and images in one archive.
        nesting: Depth of indexes inside indexes.
        layers: Layers of one image.
        archive_layers: Layers of all images in one archive or store together, an image that is
            named several times counted once where it is known by a digest.
        links: Symbolic links followed for one path (Linux: 40).
        index_links: Symbolic links followed to place one tar entry (Docker: 255).
        placing_steps: What it takes to place the entries of one layer beyond a step for each:
            components of links on the way, and directories that whiteouts look through.
        depth: Components in one path, links on the way included.
        component_bytes: Bytes in one component of a path.
    """

    entries: int = 20_000_000
    image_entries: int = 50_000_000
    name_bytes: int = 2 << 30
    xattr_bytes: int = 256 << 20
    header_bytes: int = 1 << 20
    pax_records: int = 10_000
    sparse_entries: int = 1_000_000
    layer_bytes: int = 1 << 40
    expansion: int = 1100
    window_bytes: int = 128 << 20
    document_bytes: int = 20 << 20
    metadata_bytes: int = 256 << 20
    spool_bytes: int = 64 << 30
    members: int = 1_000_000
    images: int = 10_000
    nesting: int = 8
    layers: int = 10_000
    archive_layers: int = 250_000
    links: int = 40
    index_links: int = 255
    placing_steps: int = 50_000_000
    depth: int = 4096
    component_bytes: int = 65_536


def exceeded(
    name: str,
    bound: int,
    value: int,
    *,
    offset: int | None = None,
    member: str | None = None,
    pointer: str | None = None,
) -> NoReturn:
    """
    Raise the `LimitError` for the field *name* of `Limits`.

    Args:
        name: The field.
        bound: Its value.
        value: What passed it.
        offset: Where in the stream, in bytes.
        member: The document or member in which it was passed.
        pointer: The place inside that document.
    """
    raise LimitError(
        f"the limit {name} is reached",
        limit=name,
        member=member,
        pointer=pointer,
        expected=bound,
        actual=value,
        offset=offset,
        hint=f"If the archive is to be trusted, pass limits=Limits({name}={value}) or more",
    )


def limits_named(choice: Limits | None) -> Limits:
    """
    Give the limits that an argument means.

    Raises:
        TypeError: It is neither `Limits` nor None.
    """
    if choice is None:
        return Limits()
    if not isinstance(choice, Limits):
        raise TypeError(f"limits is of the type Limits, not {type(choice).__name__}")
    return choice
