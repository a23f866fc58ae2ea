"""
Directories with entries that a later entry of their layer takes away, or the way to them.

Docker, containerd and Podman set the times of directories when a layer is complete.  They go by the
paths that the tar has, follow links, and fail where one leads nowhere by then (cases A8, B3, F3).
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
    alone: Wayfinder = field(init=False)
    last: dict[str, int] = field(factory=dict)
    _taken: list[tuple[int, str, str, str]] = field(factory=list)
    _kept: set[int] = field(factory=set)
    # Directories that an entry names by the path at which they are, and entries that name another
    # way; of those, whether the layer itself has all links on it.
    _named: set[int] = field(factory=set)
    _ways: list[tuple[int, str, bool]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.alone = evolve(self.way, beneath=None)

    def came(self, place: Place, ordinal: int, path: str) -> None:
        """
        Remember an entry for a directory.

        Cost:
            The components of its path, and of the way that links on it lead.
        """
        if self.tree.path_of(place) == path:
            self._named.add(place.number)
            return
        is_own = (
            self._nothing_leads_beneath()
            or self.alone.walk(path, make=False, path=path, quiet=True) is place
        )
        self._ways.append((ordinal, path, is_own))

    def meets(self, place: Place, ordinal: int, *, itself: bool) -> bool:
        """
        Tell whether there is one, in a directory or itself, of which no later entry has the path.

        Cost:
            The directories below; O(1) where the answer was yes before.
        """
        if place.number in self._kept:
            return True
        found = self.tree.directory_entries(place, itself=itself)
        if all(self.last.get(self.tree.path_of(gone), -1) > ordinal for gone in found):
            return False
        self._kept.add(place.number)
        return True

    def take(self, place: Place, ordinal: int, path: str, case: str) -> None:
        """Remember those in a directory that the entry for *path* takes away."""
        # Where something else takes its own place, it may be a link that leads nowhere.
        for gone in self.tree.directory_entries(place, itself=True):
            if gone.number in self._named:
                self._taken.append((ordinal, self.tree.path_of(gone), path, case))

    def lost(self) -> Iterator[tuple[int, str, str, bool]]:
        """
        Give what took away those that are not there when the layer is complete.

        Returns:
            Ordinal and path of the entry that did, or of the one whose way is gone, the case, and
            whether they are found all the same in the layers beneath: not where a layer is
            unpacked alone.
        """
        told: dict[int, bool] = {}
        for ordinal, gone, path, case in self._taken:
            if told.get(ordinal, True) and not self.alone.leads(gone):
                is_found = self.way.leads(gone)
                if told.get(ordinal) != is_found:
                    told[ordinal] = is_found
                    yield ordinal, path, case, is_found
        is_same = self._nothing_leads_beneath()
        for ordinal, path, is_own in self._ways:
            is_found = self.way.leads(path)
            if not is_found or (is_own and not is_same and not self.alone.leads(path)):
                yield ordinal, path, "F3", is_found

    def _nothing_leads_beneath(self) -> bool:
        """Tell whether no link of a lower layer is followed, so that the two ways are one."""
        beneath = self.way.beneath
        if beneath is None or not beneath.slot:
            return True
        return self.way.profile.symlinked_parent != "follow" and not self.tree.downlinks
