"""
Hard links while a layer is replayed: bound where they stand to what the layer has, or left open.

A link binds to the inode that its target has at its own entry, never to a path (case E6).  One
whose target the layer does not have is a downlink, which the union binds in the layers beneath.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping

from attrs import define, evolve, field

from unionlayers._foundation.names import clean_entry_name, decode
from unionlayers._layers.changeset import Downlink
from unionlayers._layers.derived import DerivedChangeset, Place
from unionlayers._layers.profile import Profile
from unionlayers._layers.wayfinder import Report, Wayfinder
from unionlayers._layers.windows_files import WindowsFiles

__all__ = ["HardLinks"]


@define
class HardLinks:
    """
    Places the hard links of a layer.

    Attributes:
        windows: Names as a container on Windows has them, None for those of the tar.
        odd: What is odd about rows.
        aside: Rows of AUFS metadata that only hard links find, by path (case A14).
        devices: Whiteouts that are devices in the tar, by directory and name (case I2).
        find: Records a finding.
        refuse: Raises, or records what ``on_invalid="warn"`` forgives.
        vanishes: Tells of a directory that an entry for a path takes away, by a case.
        late: Rows of what is no directory, by path, in the order of the tar.
    """

    tree: DerivedChangeset
    way: Wayfinder
    profile: Profile
    windows: WindowsFiles | None
    odd: Mapping[int, set[str]]
    aside: Mapping[str, int]
    devices: set[tuple[int, str]]
    find: Report
    refuse: Report
    vanishes: Callable[[Place, str, str], object]
    late: dict[str, list[int]] = field(factory=dict)

    def came(self, path: str, row: int) -> None:
        """Remember an entry that is no directory: a link before it may name it (case E5)."""
        self.late.setdefault(path, []).append(row)

    def take(self, row: int, path: str, place: Place, name: str) -> None:
        """Place a hard link, bound to its inode where the layer has it."""
        raw, _ = clean_entry_name(self.tree.index.texts[self.tree.index.ref[row]])
        target = decode(raw) if self.windows is None else self.windows.target(decode(raw))
        bound = self.aside.get(target)
        above = self.tree.path_of(place)
        own = f"{above}/{name}" if above else name
        physical = target
        hidden = False
        if bound is None and target:
            found = self._locate(target, path, place, name)
            # Where something of the layer that is no directory is in the way, so it is to the
            # layers beneath.
            hidden = found is None
            if found is not None:
                where, last, physical = found
                bound = where.children.get(last)
                hidden = bound is None and self.tree.hides(physical)
                if bound is None and last in where.whiteouts and physical != own:
                    device = (where.number, last) in self.devices
                    if device or self.profile.hardlink_to_whiteout == "whiteout":
                        self.find(
                            "HARDLINK_TO_WHITEOUT",
                            path,
                            "a hard link to a name that its layer hides: on overlayfs it is a "
                            "whiteout too",
                            "I2" if device else "E3",
                        )
                        self._clear(place, name, path)
                        place.whiteouts.add(name)
                        return
        if bound is not None and self.tree.place(bound) is not None:
            self.refuse("HARDLINK_TO_DIRECTORY", path, "a hard link to a directory", "E9")
            return
        # The link takes its place before it is made: a target below it is gone by then.
        if not target or f"{physical}/".startswith(f"{own}/"):
            self.refuse("HARDLINK_TO_ITSELF", path, "a hard link to itself", "E10")
            return
        self._clear(place, name, path)
        self.tree.add(place, name, row)
        self.came(path, row)
        if bound is None:
            self.tree.downlinks[row] = Downlink(
                row, physical, self.tree.index.ordinal[row], hidden=hidden
            )
            return
        inode = self.tree.bind(row, bound)
        if "hard-link-metadata" in self.odd.get(row, ()):
            self.find(
                "HARDLINK_METADATA",
                path,
                "the header of a hard link has other metadata than its inode",
                "E7",
            )
        if self.profile.hardlink_meta == "apply":
            self.tree.apply(inode, row)

    def _clear(self, place: Place, name: str, path: str) -> None:
        """Remove what has the name of a hard link."""
        before = place.children.get(name)
        inner = None if before is None else self.tree.place(before)
        if inner is not None:
            self.vanishes(inner, path, "F3")
        self.tree.remove(place, name)

    def _locate(
        self, target: str, path: str, place: Place, name: str
    ) -> tuple[Place, str, str] | None:
        """
        Find the directory of a hard link's target without making any; None where it is not.

        What had the link's own name is removed first, so that no way leads through it.
        """
        parent, _, last = target.rpartition("/")
        found = self.way.walk(parent, make=False, path=path, without=(place, name))
        if found is None:
            return None
        prefix = self.tree.path_of(found)
        return found, last, f"{prefix}/{last}" if prefix else last

    def finish(self) -> None:
        """Tell each unbound hard link which later entry of the layer has its target's path."""
        placed: dict[str, list[int]] = {}
        for row, link in list(self.tree.downlinks.items()):
            late = placed.get(link.target)
            if late is None:
                late = placed[link.target] = [
                    other for other in self.late.get(link.target, ()) if self.tree.is_placed(other)
                ]
            ordinal = self.tree.index.ordinal
            at = bisect_right(late, link.entry, key=ordinal.__getitem__)
            if at < len(late):
                self.tree.downlinks[row] = evolve(link, late=late[at])
