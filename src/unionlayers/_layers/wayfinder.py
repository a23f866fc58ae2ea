"""
From the name of an entry to the directory that it goes into, while a layer is replayed.

Symbolic links that the layer itself brought are followed inside the root, as every runtime does;
those of the layers beneath only where the profile says so.  Missing directories are made.
"""

from __future__ import annotations

import stat
from collections.abc import Callable

from attrs import define

from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._foundation.names import decode
from unionlayers._layers.changeset import Downlink
from unionlayers._layers.derived import DerivedChangeset, Place
from unionlayers._layers.directory import Node
from unionlayers._layers.lower_view import LowerView, below
from unionlayers._layers.profile import Profile

__all__ = ["Wayfinder"]

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
    beneath: LowerView | None
    find: Report
    refuse: Report

    def walk(
        self,
        parent: str,
        *,
        make: bool,
        path: str,
        mark: bool = False,
        quiet: bool = False,
        without: tuple[Place, str] | None = None,
    ) -> Place | None:
        """
        Give the directory at *parent* in the layer's own tree, links on the way followed.

        A name that is not there leads to where it would be, and ``..`` in the text of a link
        leaves it again; directories are made only at the end of the way.  So do containerd and
        umoci; Docker and podman refuse such a link.

        Args:
            parent: Path of the directory.
            make: Whether missing directories are made; otherwise None or a phantom is given.
            path: The entry that wants it, for findings.
            mark: Whether that is a whiteout.
            quiet: Whether nothing is found or refused on the way.
            without: A directory and a name in it that is taken for removed, beneath as well.

        Raises:
            LimitError: Links lead through more than all entries of a layer may take.
        """
        tree = self.tree
        pending = parent.split("/")[::-1] if parent else []
        # How much is pending when the text of a link is done with, innermost last.
        ends: list[int] = []
        place = tree.root
        links = 0
        # Of each directory on the way: whether the layer hides what is beneath it.
        covered = [tree.root.opaque]
        while pending or ends:
            if ends and len(pending) == ends[-1]:
                ends.pop()
                if make and not quiet and self._is_nothing(place, covered=covered[-1]):
                    self.find(
                        "LINK_TO_NOTHING",
                        path,
                        "a link on the way leads to what is no directory, which is made: Docker "
                        "and Podman refuse it",
                        "D4",
                    )
                continue
            name = pending.pop()
            if name in ("", "."):
                continue
            if name == "..":
                if not quiet and self._is_nothing(place, covered=covered[-1]):
                    self._through_nothing(path, mark=mark)
                if place.parent is not None:
                    place = place.parent
                    covered.pop()
                continue
            if not self._passes(place, path, make=make, mark=mark, covered=covered[-1], deep=True):
                return None
            hidden = covered[-1] or name in place.whiteouts
            row = place.children.get(name)
            text: str | None = None
            is_removed = without is not None and place is without[0] and name == without[1]
            if is_removed:
                hidden = True
            elif row is not None:
                inner = tree.place(row)
                if inner is not None:
                    place = inner
                    covered.append(hidden or inner.opaque)
                    continue
                text = self._link_text(row)
                hidden = True
            elif self.beneath is not None and not hidden:
                text = self._text_beneath(place, name, path, make=make, mark=mark, quiet=quiet)
            if text is None:
                place = tree.phantom(place, name, removed=is_removed)
                covered.append(hidden)
                continue
            links += 1
            if links > self.limits.index_links:
                if not quiet:
                    self.refuse("LINK_LOOP", path, "too many links on the way to an entry", "D5")
                return None
            if text.startswith("/"):
                place = tree.root
                del covered[1:]
            parts = text.split("/")
            tree.spend(len(parts))
            ends.append(len(pending))
            pending.extend(reversed(parts))
            if len(pending) > self.limits.depth:
                exceeded("depth", self.limits.depth, len(pending))
        if not self._passes(place, path, make=make, mark=mark, covered=covered[-1]):
            return None
        drops = mark and make and self.profile.whiteout_parents == "drop"
        if drops and self._is_nothing(place, covered=covered[-1]):
            self.find(
                "WHITEOUT_BELOW_NOTHING",
                path,
                "a whiteout in no directory: umoci makes none for it",
                "B4" if path.rpartition("/")[2] == ".wh..wh..opq" else "A3",
            )
            return None
        return self._made(place) if make else place

    def _is_nothing(self, place: Place, *, covered: bool) -> bool:
        """Tell whether no directory is at a place, in the layer or where it applies in others."""
        if place.number >= 0:
            return False
        if self.beneath is None or self.profile.symlinked_parent != "follow" or covered:
            return True
        node = self._lower(self.beneath, place)
        return node is None or node.directory is None

    def _through_nothing(self, path: str, *, mark: bool) -> None:
        message = (
            "a link on the way leads through what is no directory, and out of it again: Docker "
            "and Podman refuse it"
        )
        # A whiteout goes where no directory is made for it on vfs, and hides nothing there.
        if self.profile.link_through_nothing == "error" and not mark:
            self.refuse("LINK_THROUGH_NOTHING", path, message, "D4")
        else:
            self.find("LINK_THROUGH_NOTHING", path, message, "D4")

    def _passes(
        self,
        place: Place,
        path: str,
        *,
        make: bool,
        mark: bool,
        covered: bool,
        deep: bool = False,
    ) -> bool:
        """Tell whether an entry may have a directory that is not there, or go on below it."""
        above, name = place.parent, place.name
        if above is None or place.number >= 0 or place.removed:
            return True
        if name in above.children:
            if make and mark:
                self._mark_below_file(path, deep=deep)
            elif make:
                self.refuse("BELOW_NON_DIRECTORY", path, "an entry below a file", "F4")
            return make and not mark
        if not make:
            return True
        if name in above.whiteouts and not mark:
            message = "an entry below a directory that the same layer hides and only implies"
            if self.profile.whiteout_then_implied == "error":
                self.refuse("WHITEOUT_THEN_IMPLIED", path, message, "A6")
            else:
                self.find("WHITEOUT_THEN_IMPLIED", path, message, "A6")
        if covered or self.beneath is None or self.profile.implied_over_file != "error":
            return True
        if mark and self.profile.whiteout_parents == "drop":
            return True
        lower = self._lower(self.beneath, place)
        form = stat.S_IFDIR if lower is None else self.beneath.form(lower)[0]
        if not stat.S_ISDIR(form) and not stat.S_ISLNK(form):
            self.refuse(
                "IMPLIED_OVER_FILE", path, "an implied directory over a file of a lower layer", "C5"
            )
        return True

    def _made(self, place: Place) -> Place:
        """Make a directory that is not there, and those above it; what is in its way goes."""
        missing: list[Place] = []
        while place.number < 0 and place.parent is not None:
            missing.append(place)
            place = place.parent
        for phantom in reversed(missing):
            name = phantom.name
            if name in place.children:
                self.tree.remove(place, name)
                place.whiteouts.add(name)
            place = self.tree.add_directory(place, name, None)
            place.lower, place.lower_known = phantom.lower, phantom.lower_known
        return place

    def leads(self, path: str) -> bool:
        """
        Tell whether there is something at a path of the layer, all links followed.

        What the layers beneath have counts where the profile follows links into them: where a
        layer is unpacked alone, nothing of them is there.

        Cost:
            The links on the way, each with the components of its text.
        """
        tree = self.tree
        for _ in range(self.limits.index_links + 1):
            parent, _, name = path.rpartition("/")
            place = self.walk(parent, make=False, path=path, quiet=True)
            if place is None:
                return False
            if name in ("", ".", ".."):
                return True
            row = place.children.get(name)
            text: str | None = None
            if row is not None:
                text = self._link_text(row)
            else:
                above = tree.path_of(place)
                lower = self._beneath(place, name)
                if lower is None or tree.hides(f"{above}/{name}" if above else name):
                    return False
                text = self._text_of(lower)
            if text is None:
                return True
            tree.spend(text.count("/") + 1)
            path = text if text.startswith("/") else f"{tree.path_of(place)}/{text}"
        return False

    def _beneath(self, place: Place, name: str) -> Node | None:
        lower = self.beneath
        if lower is None or self.profile.symlinked_parent != "follow":
            return None
        return below(self._lower(lower, place), name)

    def _text_of(self, node: Node) -> str | None:
        return None if self.beneath is None else self.beneath.form(node)[1]

    def _lower(self, lower: LowerView, place: Place) -> Node | None:
        """Give what the layers beneath have at a directory of the layer, or at a phantom."""
        way: list[Place] = []
        while not place.lower_known and place.parent is not None:
            way.append(place)
            place = place.parent
        found = place.lower if place.lower_known else lower.root
        for place in reversed(way):
            found = place.lower = below(found, place.name)
            place.lower_known = True
        return found

    def _mark_below_file(self, path: str, *, deep: bool) -> None:
        """
        Take a whiteout below a file for nothing.

        umoci writes both where a file replaces a directory, and reads them, as does podman on
        overlay; Docker, and podman on vfs, refuse such a layer.
        """
        message = "a whiteout below a file of the same layer"
        refused = self.profile.whiteout_below_file == "error"
        if deep and path.rpartition("/")[2] == ".wh..wh..opq":
            refused = refused or self.profile.opaque_below_nothing == "error"
            self.tree.passed_over = True
        self.tree.passes_over = True
        if refused:
            self.refuse("WHITEOUT_BELOW_FILE", path, message, "F4")
        else:
            self.find("WHITEOUT_BELOW_FILE", path, message, "F4")

    def _link_text(self, row: int) -> str | None:
        row = self.tree.inode(row)
        downlink = self.tree.downlinks.get(row)
        if downlink is not None:
            return self._text_at(downlink)
        if row < self.tree.index.rows and stat.S_ISLNK(
            self.tree.index.kinds[self.tree.index.kind[row]][0]
        ):
            return decode(self.tree.index.texts[self.tree.index.ref[row]])
        return None

    def _text_at(self, downlink: Downlink) -> str | None:
        """Give the text of a hard link to a symbolic link of the layers beneath."""
        if self.beneath is None or downlink.hidden:
            return None
        self.tree.spend(downlink.target.count("/") + 1)
        node = self.beneath.at(downlink.target)
        return None if node is None else self._text_of(node)

    def _text_beneath(
        self, place: Place, name: str, path: str, *, make: bool, mark: bool, quiet: bool
    ) -> str | None:
        """Give the text of a link of the layers beneath that the profile follows."""
        lower = self.beneath
        node = None if lower is None else below(self._lower(lower, place), name)
        if lower is None or node is None:
            return None
        form, text = lower.form(node)
        if stat.S_ISLNK(form):
            if not make and not quiet and self.profile.symlinked_parent == "follow":
                self.find(
                    "HARDLINK_THROUGH_LOWER",
                    path,
                    "the way to the target of a hard link is a symbolic link in a lower layer: "
                    "overlayfs does not find it",
                    "E3",
                )
            if make and self.profile.symlinked_parent == "follow":
                case = "D1"
                if mark:
                    case = "B8" if path.rpartition("/")[2] == ".wh..wh..opq" else "A16"
                self.find(
                    "PARENT_SYMLINK_FOLLOWED",
                    path,
                    "a directory on the way is a symbolic link in a lower layer: overlayfs "
                    "replaces the link",
                    case,
                )
            return text if self.profile.symlinked_parent == "follow" else None
        return None
