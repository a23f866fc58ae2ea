"""The bounds within which a stranger's archive is read."""

from __future__ import annotations

from typing import NoReturn

from attrs import frozen

from unionlayers.errors import LimitError

__all__ = ["Limits", "exceeded"]


@frozen(kw_only=True)
class Limits:
    """
    How much an archive may cost before `LimitError` is raised.

    Every bound is inclusive: the value itself still passes.  The defaults let every real image
    through that the project has met and stop every bomb it knows; ``Limits(links=255)`` lifts one.

    Attributes:
        entries: Tar entries in one layer.
        image_entries: Tar entries in all layers of an image together.
        name_bytes: Bytes of all names of one layer together.
        header_bytes: Bytes of one extended header or long name (Go's reader: 1 MiB).
        pax_records: Records in one extended header.
        sparse_entries: Segments in one sparse map.
        layer_bytes: Uncompressed bytes of one layer.
        expansion: Uncompressed over compressed bytes, once 64 MiB have come out.
        window_bytes: Bytes of window that a zstd frame may ask for.
        document_bytes: Bytes of one JSON document (containerd: 20 MiB).
        members: Members in the image archive.
        images: Manifests and images in one archive.
        nesting: Depth of indexes inside indexes.
        layers: Layers of one image.
        links: Symbolic links followed for one path (Linux: 40).
        index_links: Symbolic links followed to place one tar entry (Docker: 255).
        depth: Components in one path.
        component_bytes: Bytes in one component of a path.
    """

    entries: int = 20_000_000
    image_entries: int = 50_000_000
    name_bytes: int = 4 << 30
    header_bytes: int = 1 << 20
    pax_records: int = 10_000
    sparse_entries: int = 1_000_000
    layer_bytes: int = 1 << 40
    expansion: int = 1100
    window_bytes: int = 128 << 20
    document_bytes: int = 20 << 20
    members: int = 1_000_000
    images: int = 10_000
    nesting: int = 8
    layers: int = 10_000
    links: int = 40
    index_links: int = 255
    depth: int = 4096
    component_bytes: int = 65_536


def exceeded(name: str, bound: int, value: int, *, offset: int | None = None) -> NoReturn:
    """Raise the `LimitError` for the field *name* of `Limits`."""
    raise LimitError(
        f"the limit {name} is reached",
        member=f"Limits.{name}",
        expected=bound,
        actual=value,
        offset=offset,
        hint=f"If the archive is to be trusted, pass limits=Limits({name}={value}) or more",
    )
