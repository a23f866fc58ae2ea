"""Names of users and groups from the image's own ``/etc/passwd`` and ``/etc/group``."""

from __future__ import annotations

from collections.abc import Mapping

from unionlayers._image.content import content_of
from unionlayers._image.image import Image
from unionlayers._layers.resolution import resolve
from unionlayers._layers.union import Union
from unionlayers.errors import LayerError, PathError

__all__ = ["read_owners"]

_MOST = 4 << 20


def read_owners(image: Image, union: Union) -> Mapping[str, Mapping[int, str]]:
    """
    Give the names by number, for ``user`` and ``group``; the first line for a number counts.

    A file that is absent, cannot be opened, or is larger than 4 MiB gives no names.  The host is
    never asked.

    Spec:
        passwd(5), group(5).
    """
    return {
        "user": _names(image, union, "/etc/passwd"),
        "group": _names(image, union, "/etc/group"),
    }


def _names(image: Image, union: Union, path: str) -> Mapping[int, str]:
    try:
        node = resolve(union, path).node
        source = content_of(image, union, node, path)
    except (PathError, LayerError):
        return {}
    if source.size > _MOST:
        return {}
    names: dict[int, str] = {}
    for line in source.pread(0, source.size).decode("utf-8", "surrogateescape").split("\n"):
        fields = line.split(":")
        if len(fields) > 2 and fields[2].isdecimal() and len(fields[2]) < 11:
            names.setdefault(int(fields[2]), fields[0])
    return names
