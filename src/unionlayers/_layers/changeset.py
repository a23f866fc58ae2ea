"""
The tree of one layer under one profile, without regard to the order of its entries.

A changeset says, per directory, which names the layer brings, which it hides, and whether it hides
everything beneath.  For most layers it is the tree of the index as it stands (`PlainChangeset`);
a layer with exceptions has its changeset derived by taking its entries in tar order once more
(`unionlayers._layers.replay`).  Both answer the same questions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from attrs import field, frozen

from unionlayers._foundation.names import decode
from unionlayers._layers.finding import Finding
from unionlayers._layers.profile import Profile
from unionlayers._tar.index import ABSENT, LayerIndex, Note

__all__ = ["Changeset", "Downlink", "PlainChangeset", "findings_of_notes"]


@frozen
class Downlink:
    """
    A hard link whose target the layer does not have where its entry stands.

    Attributes:
        row: The row of the link.
        target: Path of the target, relative to the root.
        entry: Ordinal of the link in its layer.
        late: Row of an entry for the target that comes later in the layer, or None.
        hidden: The same layer has hidden the target before the link.
    """

    row: int
    target: str
    entry: int
    late: int | None = None
    hidden: bool = False


class Changeset(Protocol):
    """What the union asks of one layer; directories are numbers, 0 the root, entries are rows."""

    @property
    def index(self) -> LayerIndex:
        """The record that rows belong to; rows from ``index.rows`` on are implied directories."""

    @property
    def downlinks(self) -> Mapping[int, Downlink]:
        """Hard links that must be bound in the layers beneath, by row, in tar order."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is odd inside the layer under this profile, with layer index 0."""

    @property
    def passes_over(self) -> bool:
        """Whether whiteouts below what is no directory were taken for nothing."""

    def children(self, directory: int) -> Mapping[str, int]:
        """Rows of the names that the layer brings into a directory."""

    def whiteouts(self, directory: int) -> Collection[str]:
        """Names of layers beneath that the layer hides in a directory."""

    def opaque(self, directory: int) -> bool:
        """Whether the layer hides all that the layers beneath have in a directory."""

    def directory(self, row: int) -> int:
        """The number of the directory that a row is, or -1."""

    def own_row(self, directory: int) -> int:
        """The row of a directory's entry, `ABSENT` for a root without one."""

    def inode(self, row: int) -> int:
        """The row of the inode that a name shares with its hard links in the layer."""

    def applied(self, inode: int) -> Sequence[int]:
        """Rows of hard links in the layer whose headers change the inode, oldest first."""

    def repeated(self, row: int) -> Sequence[int]:
        """Rows of earlier entries for the same directory whose xattrs stay, oldest first."""

    def folded(self) -> Collection[int]:
        """Rows whose metadata is not, or not only, that of their own header."""

    def replaced_links(self) -> Collection[int]:
        """Rows of `downlinks` that later entries of the layer have replaced or hidden."""

    def names_of(self, inode: int) -> tuple[int, ...]:
        """Rows of all names that the inode has in the layer, itself first."""

    def path(self, row: int) -> str:
        """The path at which the layer has a row, relative to the root."""

    def implied(self) -> Sequence[int]:
        """Rows of the directories that the layer only implies, outermost first."""

    def above(self, row: int) -> tuple[int, str]:
        """The row of the directory that a directory stands in, `ABSENT` for the root; its name."""

    def same_as(self, other: Changeset) -> bool:
        """Whether both surely answer every question alike, wherever in a stack they stand."""


@frozen(eq=False)
class PlainChangeset:
    """The changeset of a layer whose exceptions table is empty: the tree of the index itself."""

    index: LayerIndex
    profile: Profile
    _whiteouts: Mapping[int, frozenset[str]] = field(init=False, repr=False)
    _opaque: frozenset[int] = field(init=False, repr=False)
    _names: Mapping[int, tuple[int, ...]] = field(init=False, repr=False)

    passes_over: bool = field(init=False, default=False)
    downlinks: Mapping[int, Downlink] = field(init=False, factory=dict)

    @_whiteouts.default
    def _index_whiteouts(self) -> Mapping[int, frozenset[str]]:
        names: dict[int, set[str]] = {}
        for mark in self.index.marks:
            if mark.name is not None:
                names.setdefault(mark.directory, set()).add(decode(mark.name))
        return {directory: frozenset(found) for directory, found in names.items()}

    @_opaque.default
    def _index_opaque(self) -> frozenset[int]:
        ignored = 0 if self.profile.root_opaque == "ignore" else -1
        marks = self.index.marks
        return frozenset(
            mark.directory for mark in marks if mark.name is None and mark.directory != ignored
        )

    @_names.default
    def _index_names(self) -> Mapping[int, tuple[int, ...]]:
        names: dict[int, list[int]] = {}
        for row, inode in self.index.hard.items():
            names.setdefault(inode, [inode]).append(row)
        return {inode: tuple(rows) for inode, rows in names.items()}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is odd inside the layer; an opaque root is the one case that a profile decides."""
        found = list(findings_of_notes(self.index.notes))
        found.extend(
            root_opaque_finding(mark.ordinal, self.profile)
            for mark in self.index.marks
            if mark.name is None and mark.directory == 0
        )
        return tuple(found)

    def children(self, directory: int) -> Mapping[str, int]:
        """Rows of the names that the layer brings into a directory."""
        return self.index.children(directory)

    def whiteouts(self, directory: int) -> Collection[str]:
        """Names of layers beneath that the layer hides in a directory."""
        return self._whiteouts.get(directory, ())

    def opaque(self, directory: int) -> bool:
        """Whether the layer hides all that the layers beneath have in a directory."""
        return directory in self._opaque

    def directory(self, row: int) -> int:
        """Give the number of the directory that a row is, or -1."""
        return self.index.directory(row)

    def own_row(self, directory: int) -> int:
        """Give the row of a directory's entry."""
        return self.index.own[directory]

    def inode(self, row: int) -> int:
        """Give the row of the inode that a name shares."""
        return self.index.hard.get(row, row)

    def applied(self, inode: int) -> tuple[int, ...]:  # noqa: ARG002
        """Nothing: headers that say something new are exceptions."""
        return ()

    def repeated(self, row: int) -> tuple[int, ...]:  # noqa: ARG002
        """Nothing: a layer with two entries for one path is no plain one."""
        return ()

    def folded(self) -> Collection[int]:
        """Rows of hard links, which have the metadata of their inode."""
        return self.index.hard.keys()

    def replaced_links(self) -> Collection[int]:
        """Nothing: a layer with such links is no plain one."""
        return ()

    def names_of(self, inode: int) -> tuple[int, ...]:
        """Rows of all names of the inode in the layer."""
        return self._names.get(inode, (inode,))

    def path(self, row: int) -> str:
        """Give the path at which the layer has a row."""
        return self.index.path(row)

    def implied(self) -> Sequence[int]:
        """Rows of the directories that the layer only implies, outermost first."""
        index = self.index
        index.vouch(0)
        return [
            row
            for directory, row in enumerate(index.own)
            if directory and index.ordinal[row] == ABSENT
        ]

    def above(self, row: int) -> tuple[int, str]:
        """Give the row of the directory that a directory stands in, and its name there."""
        index = self.index
        parent = index.parent(row)
        return index.own[parent] if parent else ABSENT, index.name(row)

    def same_as(self, other: Changeset) -> bool:
        """Tell whether the other is the same tree, hiding the same."""
        return (
            isinstance(other, PlainChangeset)
            and other.index.same_tar(self.index)
            and other._opaque == self._opaque
        )


def findings_of_notes(notes: tuple[Note, ...]) -> tuple[Finding, ...]:
    """Give the findings of an index, which no profile changes, with layer index 0."""
    return tuple(
        Finding(
            note.code,
            0,
            note.ordinal,
            None if note.path is None else "/" + decode(note.path),
            note.message,
            note.case,
        )
        for note in notes
    )


def root_opaque_finding(ordinal: int, profile: Profile) -> Finding:
    """Give the finding for an opaque whiteout at the root."""
    does = "hidden" if profile.root_opaque == "honour" else "still visible"
    return Finding(
        "ROOT_OPAQUE",
        0,
        ordinal,
        "/",
        f"an opaque whiteout at the root: what is beneath is {does}; overlayfs ignores it",
        "B5",
    )
