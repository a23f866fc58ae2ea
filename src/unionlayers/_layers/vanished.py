"""
Directories with entries that a later entry of their layer takes away.

Docker, containerd and Podman set the times of directories when a layer is complete.  They follow
links to them, and fail where a path leads nowhere by then (cases A8, B3, F3).
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, evolve, field

from unionlayers._layers.derived import DerivedChangeset, Place
from unionlayers._layers.wayfinder import Wayfinder

__all__ = ["VANISHED", "Vanished"]

VANISHED = "a directory with an entry is taken away by a later entry of the same layer"


@define
class Vanished:
    """
    What is known of them while a layer is replayed.

    Attributes:
        last: The last entry for each path of the layer.
    """

    tree: DerivedChangeset
    way: Wayfinder
    last: dict[str, int] = field(factory=dict)
    _taken: list[tuple[int, str, str, str]] = field(factory=list)
    _kept: set[int] = field(factory=set)

    def meets(self, place: Place, ordinal: int, *, itself: bool) -> bool:
        """
        Tell whether there is one, in a directory or itself, of which no later entry has the path.

        Cost:
            The directories below; O(1) where the answer was yes before.
        """
        if place.number in self._kept:
            return True
        paths = self.tree.directory_entries(place, itself=itself)
        if all(self.last.get(gone, -1) > ordinal for gone in paths):
            return False
        self._kept.add(place.number)
        return True

    def take(self, place: Place, ordinal: int, path: str, case: str) -> None:
        """Remember those in a directory that the entry for *path* takes away."""
        # Where something else takes its own place, it may be a link that leads nowhere.
        gone = self.tree.directory_entries(place, itself=True)
        self._taken.extend((ordinal, one, path, case) for one in gone)

    def lost(self) -> Iterator[tuple[int, str, str, bool]]:
        """
        Give what took away those that are not there when the layer is complete.

        Returns:
            Ordinal and path of the entry that did, the case, and whether they are found all the
            same in the layers beneath: not where a layer is unpacked alone.
        """
        alone = evolve(self.way, beneath=None)
        told: dict[int, bool] = {}
        for ordinal, gone, path, case in self._taken:
            if told.get(ordinal, True) and not alone.leads(gone):
                is_found = self.way.leads(gone)
                if told.get(ordinal) != is_found:
                    told[ordinal] = is_found
                    yield ordinal, path, case, is_found
