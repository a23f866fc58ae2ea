"""Owners of files in a store as the container sees them, where it has a user namespace."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

__all__ = ["OVERFLOW", "SAME", "IdMap", "Owners"]

OVERFLOW = 65534
"""
What the kernel shows for an owner that a user namespace has no id for.

Source:
    user_namespaces(7), "Unmapped user and group IDs".
"""


@frozen
class IdMap:
    """
    Which id in a container an id on the disk is.

    Attributes:
        ranges: First id in the container, first id on the disk, and how many follow each other.
        whole: Whether these are all there are; else what they do not have is not known.
    """

    ranges: tuple[tuple[int, int, int], ...]
    whole: bool = True

    def inside(self, on_disk: int) -> int | None:
        """Give the id in the container, None where there is none or it is not known."""
        for first, outside, count in self.ranges:
            if outside <= on_disk < outside + count:
                return first + on_disk - outside
        return None

    def through(self, inner: Iterable[tuple[int, int, int]]) -> IdMap:
        """
        Give the map of a namespace within this one.

        Args:
            inner: Its ranges; what is on the disk there, is in the container here.
        """
        found: list[tuple[int, int, int]] = []
        for first, middle, count in inner:
            for start, outside, most in self.ranges:
                low, high = max(middle, start), min(middle + count, start + most)
                if low < high:
                    found.append((first + low - middle, outside + low - start, high - low))
        return IdMap(tuple(found), self.whole)


@frozen
class Owners:
    """
    Owners and groups on the disk, and in the container.

    Attributes:
        users: The map of users.
        groups: The map of groups.
    """

    users: IdMap
    groups: IdMap

    @property
    def whole(self) -> bool:
        """Whether both maps are all there is to know."""
        return self.users.whole and self.groups.whole


_ALL = IdMap(((0, 0, 1 << 32),))

SAME = Owners(_ALL, _ALL)
"""Where there is no user namespace."""
