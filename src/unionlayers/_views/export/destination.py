"""Where an export goes, and what may be asked of it there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from unionlayers._codec.forward import Progress
from unionlayers._image.exported import ByteSink, Exported
from unionlayers._image.image import Image
from unionlayers._layers.directory import Node
from unionlayers._layers.union import Union
from unionlayers._views.export.folder import Links, Permitted, write_folder
from unionlayers._views.export.selection import Selection
from unionlayers._views.export.tar_file import Owners, write_tar, write_tar_to

__all__ = ["Destination", "export"]

Destination = str | os.PathLike[str] | ByteSink
"""A path, or a binary file object for a tar."""

_LINKS = ("inside", "refuse", "skip", "keep")
_COMPRESSED = (".gz", ".tgz", ".zst", ".xz", ".txz", ".bz2", ".tbz2")


def export(
    image: Image,
    union: Union,
    nodes: Callable[[], Iterable[Node]],
    destination: Destination,
    *,
    form: Literal["tar", "folder"] | None,
    links: Links,
    owners: bool,
    setuid: bool,
    xattrs: bool,
    devices: bool,
    names: Callable[[], Owners] | None,
    progress: Progress | None,
    check: Callable[[], None],
) -> Exported:
    """
    Write nodes of a union, which come in path order, to the host; see `UnionFS.export`.

    Raises:
        ValueError: An option that does not fit the destination.
    """
    if links not in _LINKS:
        raise ValueError(f"links is one of {', '.join(_LINKS)}; not {links!r}")
    if form not in (None, "tar", "folder"):
        raise ValueError(f"form is tar or folder, not {form!r}")
    nobody: Owners = {"user": {}, "group": {}}
    selection = Selection(image, union, nodes, check, progress)
    if not isinstance(destination, str | os.PathLike):
        if form == "folder" or not hasattr(destination, "write"):
            raise ValueError("a folder is named by its path, and a file object gets a tar")
        return write_tar_to(selection, destination, names() if names else nobody)
    path = Path(destination)
    ending = path.suffix.lower()
    if form is None:
        if ending in _COMPRESSED:
            raise ValueError(
                f"a tar is written plain; for one that ends with {ending} pass a file object "
                'that compresses, or form="folder"'
            )
        form = "tar" if ending == ".tar" else "folder"
    if form == "tar":
        return write_tar(selection, path, names() if names else nobody)
    if names is not None:
        raise ValueError("a folder has owners by number; their names stand in a tar alone")
    permitted = Permitted(links=links, owners=owners, setuid=setuid, xattrs=xattrs, devices=devices)
    return write_folder(selection, path, permitted)
