"""Which user namespace the files of an engine's store belong to, as far as the store says."""

from __future__ import annotations

import re
from pathlib import Path

from unionlayers._bytes.rooted import RootedFolder, in_first_namespace
from unionlayers._image.document import Document
from unionlayers._tar.id_map import SAME, IdMap, Owners

__all__ = ["is_namespace_name", "is_remapped", "owners_of_root", "owners_within"]

_REMAPPED = re.compile(r"(\d{1,10})\.(\d{1,10})\Z")
# What Docker asks of /etc/subuid for userns-remap; the store does not record it.
_REMAPPED_IDS = 65536
_IDS = 1 << 32
# The kernel takes no more lines in /proc/PID/uid_map.
_MOST_RANGES = 340


def is_namespace_name(name: str) -> bool:
    """Tell whether a folder is called as Docker calls the data-root of a user namespace."""
    return _REMAPPED.match(name) is not None


def is_remapped(root: RootedFolder) -> tuple[int, int] | None:
    """
    Give the ids that root has in the containers of Docker's ``userns-remap``, None without that.

    The data-root is then a folder ``UID.GID``, of that group, and of that user or of root.

    Source:
        moby 20.10, ``daemon/daemon_unix.go``, setupDaemonRoot.
    """
    found = _REMAPPED.match(Path(root.name).resolve().name)
    if found is None or not in_first_namespace():
        return None
    user, group = int(found[1]), int(found[2])
    return (user, group) if root.owner() in ((0, group), (user, group)) and group else None


def owners_of_root(root: RootedFolder) -> Owners:
    """
    Give who owns what in the store of a root.

    A store that belongs to anybody else than root is that of a user namespace in which its owner
    is root; what the other users of it are is recorded nowhere.
    """
    remapped = is_remapped(root)
    if remapped is not None:
        return Owners(*(IdMap(((0, first, _REMAPPED_IDS),)) for first in remapped))
    user, group = root.owner()
    if (user, group) == (0, 0):
        return SAME
    return Owners(IdMap(((0, user, 1),), whole=False), IdMap(((0, group, 1),), whole=False))


def owners_within(outer: Owners, users: Document, groups: Document) -> Owners | None:
    """
    Give who owns what in a namespace that containers/storage has recorded, None where it has none.

    Raises:
        DocumentError: A range is none, or there are more than the kernel takes.
    """
    if users.value is None and groups.value is None:
        return None
    return Owners(outer.users.through(_ranges(users)), outer.groups.through(_ranges(groups)))


def _ranges(document: Document) -> list[tuple[int, int, int]]:
    items = document.items()
    if len(items) > _MOST_RANGES:
        raise document.wrong(f"at most {_MOST_RANGES} ranges of ids")
    found: list[tuple[int, int, int]] = []
    for item in items:
        numbers = [item.at(name) for name in ("container_id", "host_id", "size")]
        first, middle, count = (number.size() or 0 for number in numbers)
        if max(first, middle) + count > _IDS:
            raise item.wrong("a range of ids")
        found.append((first, middle, count))
    return found or [(0, 0, _IDS)]
