"""
From the name of an entry to the directory that it goes into, while a layer is replayed.

Symbolic links that the layer itself brought are followed inside the root, as every runtime does;
those of the layers beneath only where the profile says so.  Missing directories are made.
"""

from __future__ import annotations

import stat
from collections.abc import Callable

from attrs import define

from unionlayers._foundation.limits import Limits
from unionlayers._foundation.names import decode
from unionlayers._layers.derived import DerivedChangeset, Place
from unionlayers._layers.profile import Profile

__all__ = ["Beneath", "Wayfinder"]

Beneath = Callable[[str], "tuple[int, str | None] | None"]
"""Gives (type bits, link text) of a path in the layers beneath, not following a final link."""

Report = Callable[[str, str, str, str], None]
"""Takes code, path, message and case."""


@define
class Wayfinder:
    """
    Finds and makes directories in the tree of a layer.

    Attributes:
        find: Records a finding.
        refuse: Raises, or records what ``on_invalid="warn"`` forgives.
    """

    tree: DerivedChangeset
    profile: Profile
    limits: Limits
    beneath: Beneath | None
    find: Report
    refuse: Report

    def walk(self, parent: str, *, make: bool, path: str, mark: bool = False) -> Place | None:
        """
        Give the directory at *parent* in the layer's own tree, links on the way followed.

        Args:
            parent: Path of the directory.
            make: Whether missing directories are made; otherwise None or a phantom is given.
            path: The entry that wants it, for findings.
            mark: Whether that is a whiteout.
        """
        tree = self.tree
        pending = parent.split("/")[::-1] if parent else []
        place = tree.root
        links = 0
        while pending:
            name = pending.pop()
            if name in ("", "."):
                continue
            if name == "..":
                place = place.parent or place
                continue
            row = place.children.get(name)
            text: str | None = None
            if row is not None:
                inner = tree.place(row)
                if inner is not None:
                    place = inner
                    continue
                text = self._link_text(row)
                if text is None:
                    if make:
                        self.refuse("BELOW_NON_DIRECTORY", path, "an entry below a file", "F4")
                        tree.remove(place, name)
                        place = tree.add_directory(place, name, None)
                        continue
                    return None
            elif self.beneath is not None and not tree.hidden_in(place, name):
                text = self._text_beneath(place, name, path, make=make)
            if text is not None:
                links += 1
                if links > self.limits.index_links:
                    self.refuse("LINK_LOOP", path, "too many links on the way to an entry", "D5")
                    return None
                if text.startswith("/"):
                    place = tree.root
                pending.extend(reversed(text.split("/")))
                continue
            if not make:
                place = tree.phantom(place, name)
                continue
            if name in place.whiteouts and not mark:
                message = "an entry below a directory that the same layer hides and only implies"
                if self.profile.whiteout_then_implied == "error":
                    self.refuse("WHITEOUT_THEN_IMPLIED", path, message, "A6")
                else:
                    self.find("WHITEOUT_THEN_IMPLIED", path, message, "A6")
            place = tree.add_directory(place, name, None)
        return place

    def _link_text(self, row: int) -> str | None:
        row = self.tree.inode(row)
        if row < self.tree.index.rows and stat.S_ISLNK(
            self.tree.index.kinds[self.tree.index.kind[row]][0]
        ):
            return decode(self.tree.index.texts[self.tree.index.ref[row]])
        return None

    def _text_beneath(self, place: Place, name: str, path: str, *, make: bool) -> str | None:
        """Give the text of a link of the layers beneath that the profile follows."""
        prefix = self.tree.path_of(place)
        below = self.beneath(f"{prefix}/{name}" if prefix else name) if self.beneath else None
        if below is None or stat.S_ISDIR(below[0]):
            return None
        if stat.S_ISLNK(below[0]):
            if make and self.profile.symlinked_parent == "follow":
                self.find(
                    "PARENT_SYMLINK_FOLLOWED",
                    path,
                    "a directory on the way is a symbolic link in a lower layer: overlayfs "
                    "replaces the link",
                    "D1",
                )
            return below[1] if self.profile.symlinked_parent == "follow" else None
        if make and self.profile.implied_over_file == "error":
            self.refuse(
                "IMPLIED_OVER_FILE", path, "an implied directory over a file of a lower layer", "C5"
            )
        return None
