"""The changeset that replaying a layer builds: a tree of places, and what its inodes share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from attrs import define, field

from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._layers.changeset import Changeset, Downlink
from unionlayers._layers.directory import Node
from unionlayers._layers.finding import Finding
from unionlayers._tar.index import ABSENT, LayerIndex

__all__ = ["DerivedChangeset", "Place"]


@define(eq=False)
class Place:
    """
    One directory while a layer is replayed, and after it.

    Attributes:
        lower: What the layers beneath have at its path, once that is known.
        with_implied: Directories in it that are implied, or have such below them, by name.
        solid: How many names in it are there, or are directories, for more than whiteouts.
        removed: It is a phantom, and the name is taken for removed.
    """

    number: int
    row: int
    name: str
    parent: Place | None
    lower: Node | None = None
    lower_known: bool = False
    children: dict[str, int] = field(factory=dict)
    with_implied: dict[str, Place] = field(factory=dict)
    solid: int = 0
    whiteouts: set[str] = field(factory=set)
    opaque: bool = False
    removed: bool = False


@define(eq=False)
class DerivedChangeset:
    """
    The same answers as `PlainChangeset`, from a tree built entry by entry.

    Attributes:
        passes_over: Whether whiteouts below what is no directory were taken for nothing.
        passed_over: Whether it was made although runtimes refuse it that unpack each layer alone,
            hard links to the layers beneath set aside.
        missed: Whether a directory was looked for that was not there.
    """

    index: LayerIndex
    places: list[Place] = field(init=False)
    findings: tuple[Finding, ...] = ()
    passes_over: bool = False
    passed_over: bool = False
    missed: bool = False
    downlinks: dict[int, Downlink] = field(factory=dict)
    metadata: dict[int, list[int]] = field(factory=dict)
    most_steps: int = Limits().placing_steps
    _steps: int = 0
    _place_of: dict[int, Place] = field(factory=dict)
    _where: dict[int, tuple[Place, str]] = field(factory=dict)
    _repeated: dict[int, list[int]] = field(factory=dict)
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

    def applied(self, inode: int) -> Sequence[int]:
        """Rows of hard links whose headers change the inode, oldest first."""
        return self.metadata.get(inode, ())

    def repeated(self, row: int) -> Sequence[int]:
        """Rows of earlier entries for the same directory whose xattrs stay, oldest first."""
        return self._repeated.get(row, ())

    def folded(self) -> Collection[int]:
        """Rows of hard links, and of inodes that the headers of hard links change."""
        return self._inodes.keys() | self.metadata.keys()

    def replaced_links(self) -> Collection[int]:
        """Rows of downward hard links that are in the tree no more."""
        return [row for row in self.downlinks if row not in self._where]

    def names_of(self, inode: int) -> tuple[int, ...]:
        """Rows of all names of the inode that are still in the layer."""
        return tuple([row for row in (inode, *self._names.get(inode, ())) if row in self._where])

    def path(self, row: int) -> str:
        """Give the path at which the layer has a row."""
        found = self._where.get(row)
        if found is None:
            place = self._place_of.get(row)
            return self.path_of(place) if place is not None else self.index.path(row)
        place, name = found
        prefix = self.path_of(place)
        return f"{prefix}/{name}" if prefix else name

    def implied(self) -> Sequence[int]:
        """Rows of the directories that the layer only implies, outermost first."""
        return [
            place.row
            for place in self.places
            if place.row >= self.index.rows and place.row in self._where
        ]

    def above(self, row: int) -> tuple[int, str]:
        """Give the row of the directory that a directory stands in, and its name there."""
        place, name = self._where[row]
        return place.row if place.parent is not None else ABSENT, name

    def same_as(self, other: Changeset) -> bool:
        """
        Tell whether the other came to the same tree by the same steps.

        Hard links that layers beneath decide are never taken for the same.

        Cost:
            O(directories and names of the layer).
        """
        return (
            isinstance(other, DerivedChangeset)
            and other.index.same_tar(self.index)
            and not self.downlinks
            and not other.downlinks
            and self._inodes == other._inodes
            and self.metadata == other.metadata
            and self._repeated == other._repeated
            and self._placed() == other._placed()
        )

    def _placed(self) -> list[tuple[object, ...]]:
        return [
            (place.row, place.children, place.whiteouts, place.opaque)
            for place in self.places
            if place is self.root or place.row in self._where
        ]

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
        inner = self._place_of.get(row)
        if inner is None or self._is_solid(inner):
            self._count_solid(place, 1)
        if inner is not None and self._has_implied(inner):
            self._tell_implied(inner)

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

    def adopt(self, place: Place, row: int, *, keep_xattrs: bool) -> None:
        """Give a directory that is there another entry."""
        earlier = self._repeated.pop(place.row, [])
        if keep_xattrs and 0 <= place.row < self.index.rows:
            earlier.append(place.row)
        if earlier:
            self._repeated[row] = earlier
        if place.parent is None:
            place.row = row
            return
        self._leave(place.parent, place.name, place.row)
        self.forget(place.row, keep=True)
        place.row = row
        self._place_of[row] = place
        self.add(place.parent, place.name, row)

    def repeat(self, row: int, earlier: Sequence[int]) -> None:
        """Let xattrs of earlier entries for a directory stay."""
        if earlier:
            self._repeated[row] = list(earlier)

    def remove(self, place: Place, name: str) -> None:
        """Take a name, and all that is below it, out of the tree."""
        row = place.children.pop(name, None)
        if row is not None:
            self._leave(place, name, row)
            self.forget(row)

    def phantom(self, place: Place, name: str, *, removed: bool = False) -> Place:
        """Give a directory that is not there; it is in no tree."""
        self.missed = self.missed or not removed
        return Place(-1, ABSENT, name, place, removed=removed)

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
        self.metadata.setdefault(inode, []).append(row)

    def spend(self, steps: int) -> None:
        """
        Count work that the number of entries does not bound.

        Raises:
            LimitError: It was too much.
        """
        self._steps += steps
        if self._steps > self.most_steps:
            exceeded("placing_steps", self.most_steps, self._steps)

    # -- what the rules ask -----------------------------------------------------------------------

    def is_placed(self, row: int) -> bool:
        """Tell whether a row is still in the tree."""
        return row in self._where

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
        return not self._is_solid(place)

    def directory_entries(self, place: Place, *, itself: bool) -> list[Place]:
        """Give the directories with entries of their own below a directory."""
        found: list[Place] = []
        pending = [place]
        while pending:
            here = pending.pop()
            self.spend(1)
            if here.row < self.index.rows and (itself or here is not place):
                found.append(here)
            pending.extend(
                inner for row in here.children.values() if (inner := self.place(row)) is not None
            )
        return found

    def implied_below(self, place: Place) -> list[tuple[Place, str]]:
        """
        Give the outermost implied directories below a directory.

        Cost:
            Those, and the directories between.
        """
        found: list[tuple[Place, str]] = []
        pending = [place]
        while pending:
            here = pending.pop()
            for name, inner in here.with_implied.items():
                if inner.row >= self.index.rows:
                    found.append((here, name))
                else:
                    pending.append(inner)
        return found

    # -- what is counted, so that no rule looks at all that is below a directory ------------------

    def _is_solid(self, place: Place) -> bool:
        return place.row < self.index.rows or place.solid > 0

    def _has_implied(self, place: Place) -> bool:
        return place.row >= self.index.rows or bool(place.with_implied)

    def _count_solid(self, place: Place | None, step: int) -> None:
        while place is not None:
            before = self._is_solid(place)
            place.solid += step
            if self._is_solid(place) == before:
                return
            place = place.parent

    def _tell_implied(self, place: Place) -> None:
        while place.parent is not None:
            known = self._has_implied(place.parent)
            place.parent.with_implied[place.name] = place
            if known:
                return
            place = place.parent

    def _leave(self, place: Place, name: str, row: int) -> None:
        """Count a name no more that its directory is about to lose."""
        inner = self._place_of.get(row)
        if inner is None or self._is_solid(inner):
            self._count_solid(place, -1)
        self.settle(place, name)

    def settle(self, place: Place, name: str) -> None:
        """Let a directory, and what is implied below it, count as implied no more."""
        while place.with_implied.pop(name, None) is not None and not self._has_implied(place):
            if place.parent is None:
                return
            place, name = place.parent, place.name
