"""
What the layers of a stack ship and the whole stack does not show.

Each layer's tree is gone through beside those of the layers above it, directory by directory; the
lowest layer above that takes a name away is the one that hides it, whatever those further up do
to its directory.  Only names with content of their own, links and special files count, and
directories that are gone: one that an upper layer gives other metadata is still there.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator, Mapping

from attrs import define, field, frozen

from unionlayers._layers.changeset import Changeset, PlainChangeset
from unionlayers._layers.derived import DerivedChangeset, Place
from unionlayers._layers.union import Inode, Union
from unionlayers._tar.index import ABSENT
from unionlayers.errors import LayerError

__all__ = ["HiddenName", "hidden_names", "union_of_hidden"]


@frozen
class HiddenName:
    """
    One entry of a layer that the stack does not show.

    Attributes:
        slot: Position of its layer.
        row: Its row there.
        hidden_by: Position of the layer that hides it; its own for what a later entry of the same
            layer replaces.
        reason: ``"whiteout"``, ``"opaque"``, ``"replaced"`` (by another entry of its name and
            kind), ``"type change"``, or ``"duplicate"`` (by its own layer).
    """

    slot: int
    row: int
    hidden_by: int
    reason: str
    _changeset: Changeset = field(repr=False, eq=False)

    @property
    def path(self) -> str:
        """
        Where it would be, without a leading slash.

        Cost:
            O(components): in a deep tree the paths of all are far more than the tree, and whoever
            only counts asks for none.
        """
        return self._changeset.path(self.row)


@frozen
class _Above:
    """A directory of an upper layer that lies over the one that is looked at."""

    slot: int
    number: int


@frozen
class _End:
    """What takes a name away, and where."""

    slot: int
    reason: str


@frozen
class _Over:
    """
    What layers above have over a directory.

    Attributes:
        above: Those that have it as well, lowest first, up to the one that ends it.
        end: What takes away what is in the directory and none of those does; None if it is shown.
        again: Number of the directory that the layer of *end* has in its place, or -1.
    """

    above: list[_Above]
    end: _End | None = None
    again: int = -1


def hidden_names(union: Union) -> Iterator[HiddenName]:
    """
    Give all entries that are shipped and not shown, base first, in no order within a layer.

    Raises:
        UnionLayersError: A layer cannot be read or applied.

    Cost:
        Indexes every layer; then linear in the entries of each layer and in how many layers above
        share their directories.  Without recursion.
    """
    for slot in range(union.top):
        yield from _hidden_in(union, slot)
        yield from _lost_in(union, slot)


def _hidden_in(union: Union, slot: int) -> Iterator[HiddenName]:
    changeset = union.changeset(slot)
    above = [_Above(upper, 0) for upper in range(slot + 1, union.top)]
    pending = [(0, _Over(above))]
    while pending:
        number, over = pending.pop()
        children = changeset.children(number)
        touched = children.keys() if over.end else _touched(union, over.above, children)
        for name, row in children.items():
            if name not in touched and changeset.directory(row) < 0:
                continue
            if union.is_left_out(slot, row):
                continue
            inner = changeset.directory(row)
            if inner >= 0:
                ended, beneath = _followed(union, over, name)
                pending.append((inner, beneath))
            else:
                ended = _ending(union, over, name)
            if ended is not None and (inner < 0 or _has_entry(changeset, row)):
                yield HiddenName(slot, row, ended.slot, ended.reason, changeset)


def _touched(union: Union, above: list[_Above], names: Mapping[str, int]) -> Collection[str]:
    """Give the names that upper layers can end: few, and found without asking for each."""
    touched: set[str] = set()
    for upper in above:
        changeset = union.changeset(upper.slot)
        if changeset.opaque(upper.number):
            return names.keys()
        touched.update(names.keys() & changeset.children(upper.number).keys())
        touched.update(names.keys() & changeset.whiteouts(upper.number))
    return touched


def _followed(union: Union, over: _Over, name: str) -> tuple[_End | None, _Over]:
    """Give what ends a directory, and what layers above have over it."""
    beside: list[_Above] = []
    for upper in over.above:
        mark = _mark(union, upper, name)
        row = _row_of(union, upper.slot, upper.number, name)
        inner = -1 if row is None else union.changeset(upper.slot).directory(row)
        if mark is None and (row is None or inner >= 0):
            if row is not None:
                beside.append(_Above(upper.slot, inner))
            continue
        # A mark takes away what is beneath, even where something else has the name.
        end = mark or _End(upper.slot, "type change")
        own = _End(upper.slot, "type change") if row is not None and inner < 0 else end
        return own, _Over(beside, end, inner)
    if over.end is None:
        return None, _Over(beside)
    row = _row_of(union, over.end.slot, over.again, name)
    inner = -1 if row is None else union.changeset(over.end.slot).directory(row)
    own = over.end if row is None or inner >= 0 else _End(over.end.slot, "type change")
    return own, _Over(beside, over.end, inner)


def _ending(union: Union, over: _Over, name: str) -> _End | None:
    """Give what ends a name that is no directory."""
    for upper in over.above:
        ended = _placed(union, upper.slot, upper.number, name) or _mark(union, upper, name)
        if ended is not None:
            return ended
    if over.end is None:
        return None
    return _placed(union, over.end.slot, over.again, name) or over.end


def _placed(union: Union, slot: int, number: int, name: str) -> _End | None:
    """Give the end of a name that is no directory by what a layer has in its place."""
    row = _row_of(union, slot, number, name)
    if row is None:
        return None
    inner = union.changeset(slot).directory(row)
    return _End(slot, "replaced" if inner < 0 else "type change")


def _mark(union: Union, upper: _Above, name: str) -> _End | None:
    """Give the end of a name by a mark in a directory of an upper layer."""
    changeset = union.changeset(upper.slot)
    if name in changeset.whiteouts(upper.number):
        return _End(upper.slot, "whiteout")
    return _End(upper.slot, "opaque") if changeset.opaque(upper.number) else None


def _row_of(union: Union, slot: int, number: int, name: str) -> int | None:
    """Give the row of a name in a directory of a layer; -1 is a directory that has none."""
    row = union.changeset(slot).children(number).get(name) if number >= 0 else None
    return None if row is None or union.is_left_out(slot, row) else row


def _has_entry(changeset: Changeset, row: int) -> bool:
    index = changeset.index
    return row < index.rows and index.ordinal[row] != ABSENT


def _lost_in(union: Union, slot: int) -> Iterator[HiddenName]:
    """Give what a layer has entries for and itself does not show."""
    changeset = union.changeset(slot)
    index = changeset.index
    marks = {mark.row for mark in index.marks}
    own = changeset.own_row(0)
    if isinstance(changeset, PlainChangeset) and index.loose.keys() <= {own, *marks}:
        return  # The tree of the index as it stands: all of it has a place.
    shown: set[int] = set()
    pending = [0]
    while pending:
        for row in changeset.children(pending.pop()).values():
            shown.add(row)
            inner = changeset.directory(row)
            if inner >= 0:
                pending.append(inner)
    for row in range(index.rows):
        if row in shown or row in marks or row == own or index.ordinal[row] == ABSENT:
            continue
        if index.loose.get(row) == b"":
            continue  # An entry for the root itself.
        mode = index.kinds[index.kind[row]][0]
        if stat.S_ISDIR(mode) or (stat.S_ISCHR(mode) and _is_whiteout(changeset, row)):
            continue
        yield HiddenName(slot, row, slot, "duplicate", changeset)


def _is_whiteout(changeset: Changeset, row: int) -> bool:
    """Tell whether a device is read as a whiteout (case I2)."""
    extra = changeset.index.extras.get(row)
    return extra is not None and extra.device == (0, 0)


def union_of_hidden(union: Union, names: list[HiddenName]) -> Union:
    """
    Give a tree of what is hidden: a directory for each layer, by its index, with its names in it.

    Directories on the way are there too, with their own metadata where the layer has them.
    """
    changesets = []
    for slot in range(union.top):
        tree = _Tree(union.changeset(slot), str(union.slots[slot].layer))
        changesets.append(tree)
    bound: dict[Inode, Inode | LayerError] = {}
    for name in names:
        changesets[name.slot].place(name)
        original = union.changeset(name.slot)
        if name.row < original.index.rows and original.inode(name.row) in original.downlinks:
            link = name.slot, original.inode(name.row)
            bound[link] = union.bind(link)
    return union.rearranged([tree.made for tree in changesets], bound)


@define(eq=False)
class _Tree:
    """The hidden names of one layer as a changeset of their own."""

    original: Changeset
    name: str
    made: DerivedChangeset = field(init=False)
    _inodes: set[int] = field(factory=set)
    _places: dict[str, Place] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.made = DerivedChangeset(self.original.index)

    def place(self, name: HiddenName) -> None:
        original, made = self.original, self.made
        parent, _, base = name.path.rpartition("/")
        place = self._place(parent)
        if original.directory(name.row) >= 0:
            self._place(name.path, name.row)
            return
        # Of two entries of one name in a layer the later one has the place.
        made.add(place, base, name.row)
        inode = original.inode(name.row)
        if inode != name.row:
            made.bind(name.row, inode)
        if inode not in self._inodes:
            self._inodes.add(inode)
            for row in original.applied(inode):
                made.apply(inode, row)
        if inode in original.downlinks:
            made.downlinks.setdefault(inode, original.downlinks[inode])

    def _place(self, path: str, row: int | None = None) -> Place:
        top = self._places.get("")
        if top is None:
            top = self._places[""] = self.made.add_directory(self.made.root, self.name, None)
        known = self._places.get(path)
        if known is not None:
            if row is not None and known.row >= self.original.index.rows:
                self.made.adopt(known, row, keep_xattrs=False)
                self.made.repeat(row, self.original.repeated(row))
            return known
        missing = []
        at = path
        while at not in self._places:
            missing.append(at)
            at = at.rpartition("/")[0]
        place = self._places[at]
        for at in reversed(missing):
            base = at.rpartition("/")[2]
            own = row if at == path and row is not None else self._row_of(at)
            if base in place.children:
                # A file of the same layer had the name before it was a directory.
                self.made.remove(place, base)
            place = self._places[at] = self.made.add_directory(place, base, own)
            if own is not None:
                self.made.repeat(own, self.original.repeated(own))
        return place

    def _row_of(self, path: str) -> int | None:
        """Give the entry that the layer has for a directory, None where it only implies it."""
        directory, row = 0, ABSENT
        for name in path.split("/"):
            row = self.original.children(directory).get(name, ABSENT)
            directory = -1 if row == ABSENT else self.original.directory(row)
            if directory < 0:
                return None
        return row if _has_entry(self.original, row) else None
