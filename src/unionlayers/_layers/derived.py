"""The changeset that replaying a layer builds: a tree of places, and what its inodes share."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import define, field

from unionlayers._layers.changeset import Downlink
from unionlayers._layers.finding import Finding
from unionlayers._tar.index import ABSENT, LayerIndex

__all__ = ["DerivedChangeset", "Place"]


@define(eq=False)
class Place:
    """One directory while a layer is replayed, and after it."""

    number: int
    row: int
    name: str
    parent: Place | None
    children: dict[str, int] = field(factory=dict)
    whiteouts: set[str] = field(factory=set)
    opaque: bool = False


@define(eq=False)
class DerivedChangeset:
    """The same answers as `PlainChangeset`, from a tree built entry by entry."""

    index: LayerIndex
    places: list[Place] = field(init=False)
    findings: tuple[Finding, ...] = ()
    downlinks: dict[int, Downlink] = field(factory=dict)
    metadata: dict[int, tuple[int, ...]] = field(factory=dict)
    _place_of: dict[int, Place] = field(factory=dict)
    _where: dict[int, tuple[Place, str]] = field(factory=dict)
    _inodes: dict[int, int] = field(factory=dict)
    _names: dict[int, list[int]] = field(factory=dict)
    _next: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.places = [Place(0, ABSENT, "", None)]
        self._next = self.index.rows

    # -- the questions of the union ---------------------------------------------------------------

    def children(self, directory: int) -> Mapping[str, int]:
        """Rows of the names that the layer brings into a directory."""
        return self.places[directory].children

    def whiteouts(self, directory: int) -> Collection[str]:
        """Names of layers beneath that the layer hides in a directory."""
        return self.places[directory].whiteouts

    def opaque(self, directory: int) -> bool:
        """Whether the layer hides all that the layers beneath have in a directory."""
        return self.places[directory].opaque

    def directory(self, row: int) -> int:
        """Give the number of the directory that a row is, or -1."""
        place = self._place_of.get(row)
        return -1 if place is None else place.number

    def own_row(self, directory: int) -> int:
        """Give the row of a directory's entry; rows past the index are implied ones."""
        return self.places[directory].row

    def inode(self, row: int) -> int:
        """Give the row of the inode that a name shares."""
        return self._inodes.get(row, row)

    def applied(self, inode: int) -> tuple[int, ...]:
        """Rows of hard links whose headers change the inode, oldest first."""
        return self.metadata.get(inode, ())

    def names_of(self, inode: int) -> tuple[int, ...]:
        """Rows of all names of the inode that are still in the layer."""
        return tuple(row for row in (inode, *self._names.get(inode, ())) if row in self._where)

    def path(self, row: int) -> str:
        """Give the path at which the layer has a row."""
        found = self._where.get(row)
        if found is None:
            place = self._place_of.get(row)
            return self.path_of(place) if place is not None else self.index.path(row)
        place, name = found
        prefix = self.path_of(place)
        return f"{prefix}/{name}" if prefix else name

    def implied(self) -> Mapping[int, str]:
        """Rows and paths of the directories that the layer only implies, outermost first."""
        return {
            place.row: self.path_of(place)
            for place in self.places
            if place.row >= self.index.rows and place.row in self._where
        }

    # -- building ---------------------------------------------------------------------------------

    @property
    def root(self) -> Place:
        """The directory that everything is in."""
        return self.places[0]

    def place(self, row: int) -> Place | None:
        """Give the directory that a row is."""
        return self._place_of.get(row)

    def path_of(self, place: Place) -> str:
        """Give the path of a directory, the root as the empty text."""
        parts: list[str] = []
        while place.parent is not None:
            parts.append(place.name)
            place = place.parent
        return "/".join(reversed(parts))

    def add(self, place: Place, name: str, row: int) -> None:
        """Place a row that is no directory."""
        place.children[name] = row
        self._where[row] = place, name

    def add_directory(self, place: Place, name: str, row: int | None) -> Place:
        """Place a directory; without a row it is an implied one."""
        if row is None:
            row = self._next
            self._next += 1
        made = Place(len(self.places), row, name, place)
        self.places.append(made)
        self._place_of[row] = made
        self.add(place, name, row)
        return made

    def adopt(self, place: Place, row: int) -> None:
        """Give a directory that is there another entry."""
        if place.parent is None:
            place.row = row
            return
        self.forget(place.row, keep=True)
        place.row = row
        self._place_of[row] = place
        self.add(place.parent, place.name, row)

    def remove(self, place: Place, name: str) -> None:
        """Take a name, and all that is below it, out of the tree."""
        row = place.children.pop(name, None)
        if row is not None:
            self.forget(row)

    def phantom(self, place: Place, name: str) -> Place:
        """Give a directory that only a look-up needs; it is in no tree."""
        return Place(-1, ABSENT, name, place)

    def forget(self, row: int, *, keep: bool = False) -> None:
        """Take a row, and unless *keep* what is below it, out of the tree; inodes stay bound."""
        pending = [row]
        while pending:
            gone = pending.pop()
            self._where.pop(gone, None)
            inner = self._place_of.pop(gone, None)
            if inner is not None and not keep:
                pending.extend(inner.children.values())

    def bind(self, row: int, target: int) -> int:
        """Make a hard link share the inode of another row; gives the inode."""
        inode = self.inode(target)
        self._inodes[row] = inode
        self._names.setdefault(inode, []).append(row)
        return inode

    def apply(self, inode: int, row: int) -> None:
        """Let the header of a hard link change its inode."""
        self.metadata[inode] = (*self.metadata.get(inode, ()), row)

    # -- what the rules ask -----------------------------------------------------------------------

    def is_placed(self, row: int) -> bool:
        """Tell whether a row is still in the tree."""
        return row in self._where

    def hidden_in(self, place: Place, name: str) -> bool:
        """Tell whether the layer hides what the layers beneath have under a name."""
        if name in place.whiteouts:
            return True
        here: Place | None = place
        below: str | None = None
        while here is not None:
            if here.opaque or (below is not None and below in here.whiteouts):
                return True
            below, here = here.name, here.parent
        return False

    def hides(self, path: str) -> bool:
        """Tell whether the layer hides what the layers beneath have at a path."""
        place = self.root
        for name in path.split("/"):
            if place.opaque or name in place.whiteouts:
                return True
            inner = self.place(place.children.get(name, ABSENT))
            if inner is None:
                return False
            place = inner
        return False

    def only_marks(self, place: Place) -> bool:
        """Tell whether nothing but whiteouts made a directory and those below it."""
        pending = [place]
        while pending:
            here = pending.pop()
            if here.row < self.index.rows:
                return False
            for row in here.children.values():
                inner = self.place(row)
                if inner is None:
                    return False
                pending.append(inner)
        return True

    def has_directory_entry(self, place: Place) -> bool:
        """Tell whether a directory, or one below it, has an entry of its own."""
        pending = [place]
        while pending:
            here = pending.pop()
            if here.row < self.index.rows:
                return True
            pending.extend(
                inner for row in here.children.values() if (inner := self.place(row)) is not None
            )
        return False

    def implied_below(self, place: Place) -> list[tuple[Place, str]]:
        """Give the outermost implied directories below a directory, with entries in them."""
        found: list[tuple[Place, str]] = []
        pending = [place]
        while pending:
            here = pending.pop()
            for name, row in here.children.items():
                inner = self.place(row)
                if inner is None:
                    continue
                if inner.row >= self.index.rows:
                    found.append((here, name))
                else:
                    pending.append(inner)
        return found
