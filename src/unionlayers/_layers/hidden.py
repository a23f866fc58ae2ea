"""
What the layers of a stack ship and the whole stack does not show.

The trees of all layers are gone through side by side, directory by directory and each once; the
lowest layer above that takes a name away is the one that hides it, whatever those further up do
to its directory.  Only names with content of their own, links and special files count, and
directories that are gone: one that an upper layer gives other metadata is still there.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence

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
class _End:
    """What takes a name away, and where."""

    slot: int
    reason: str


@frozen(eq=False)
class _Share:
    """
    What one layer has at the path of a directory.

    Attributes:
        slot: Position of the layer.
        number: The directory there.
        end: What takes away all that it has in the directory; None if nothing above does.
    """

    slot: int
    number: int
    end: _End | None


@frozen(eq=False)
class _Said:
    """
    What one layer says of a name.

    Attributes:
        share: Of its directory.
        row: What the layer has there, -1 if nothing.
        inner: The number of that if it is a directory, else -1.
        marked: Whether the layer hides what is beneath.
    """

    share: _Share
    row: int
    inner: int
    marked: bool


def hidden_names(union: Union) -> Iterator[HiddenName]:
    """
    Give all entries that are shipped and not shown, base first, in no order within a layer.

    Raises:
        UnionLayersError: A layer cannot be read or applied.

    Cost:
        Indexes every layer; then linear in the entries of all layers together, however many share
        a directory.  Without recursion.
    """
    for slot in range(union.top):
        union.changeset(slot)
    found: list[list[HiddenName]] = [[] for _ in range(union.top)]
    for name in _hidden(union):
        found[name.slot].append(name)
    for slot, names in enumerate(found):
        yield from names
        names.clear()
        yield from _lost_in(union, slot)


def _hidden(union: Union) -> Iterator[HiddenName]:
    """
    Give what upper layers take away: each path that several layers have is looked at once.

    A directory that one layer alone has is passed by where nothing ends it.
    """
    pending = [[_Share(slot, 0, None) for slot in range(union.top)]]
    while pending:
        shares = pending.pop()
        opaque = _next_opaque(union, shares)
        for said in _said(union, shares, whole=bool(opaque)):
            inner: list[_Share] = []
            above = _Above(opaque)
            # From the top: what ends a name is what was met last.
            for one in reversed(said):
                own = above.end_of(one)
                if own is not None and one.row >= 0:
                    changeset = union.changeset(one.share.slot)
                    if one.inner < 0 or _has_entry(changeset, one.row):
                        yield HiddenName(one.share.slot, one.row, own.slot, own.reason, changeset)
                if one.inner >= 0:
                    inner.append(_Share(one.share.slot, one.inner, above.end_inside(one)))
                above.meet(one)
            if len(inner) > 1 or (inner and inner[0].end is not None):
                inner.reverse()
                pending.append(inner)


def _next_opaque(union: Union, shares: Sequence[_Share]) -> Mapping[int, int]:
    """Give, by the slot of each share, the lowest one above it that makes the directory opaque."""
    found: dict[int, int] = {}
    at = -1
    for share in reversed(shares):
        if at >= 0:
            found[share.slot] = at
        if union.changeset(share.slot).opaque(share.number):
            at = share.slot
    return found


def _said(union: Union, shares: Sequence[_Share], *, whole: bool) -> Iterable[list[_Said]]:
    """Give what the layers say of each name of a directory, lowest first."""
    whole = whole or any(share.end is not None for share in shares)
    if len(shares) < 2 and not whole:
        return ()
    once: dict[str, _Share] = {}
    found: dict[str, list[_Said]] = {}
    for share in shares:
        changeset = union.changeset(share.slot)
        children, marks = changeset.children(share.number), changeset.whiteouts(share.number)
        for name in (*children, *(mark for mark in marks if mark not in children)):
            said = found.get(name)
            if said is None and not whole:
                # Of what one layer alone has nothing is hidden, and it may be all of a large one.
                first = once.setdefault(name, share)
                if first is share:
                    continue
                said = found[name] = [_say(union, first, name)]
            elif said is None:
                said = found[name] = []
            said.append(_say(union, share, name))
    return found.values()


def _say(union: Union, share: _Share, name: str) -> _Said:
    changeset = union.changeset(share.slot)
    row = changeset.children(share.number).get(name)
    marked = name in changeset.whiteouts(share.number)
    if row is None or union.is_left_out(share.slot, row):
        return _Said(share, -1, -1, marked)
    return _Said(share, row, changeset.directory(row), marked)


@define(eq=False)
class _Above:
    """
    What layers above say of a name, met from the top.

    Attributes:
        opaque: By the slot of a layer, the next one above that makes the directory opaque.
        said: The lowest that says anything.
        ends: The lowest that ends a directory of the name.
    """

    opaque: Mapping[int, int]
    said: _Said | None = None
    ends: _Said | None = None

    def meet(self, one: _Said) -> None:
        """Go on below a layer."""
        if one.row >= 0 or one.marked:
            self.said = one
        if one.marked or (one.row >= 0 and one.inner < 0):
            self.ends = one

    def end_of(self, one: _Said) -> _End | None:
        """Give what takes away what a layer has under the name, None if nothing does."""
        by = self.ends if one.inner >= 0 else self.said
        at, whole = self._lowest(one, by), one.share.end
        if whole is not None and (at < 0 or at >= whole.slot):
            # Something else may have the place in the layer that ends the directory itself.
            return self._placed(one, whole.slot) or whole
        return None if at < 0 else self._placed(one, at) or self._marked(one, by, at)

    def end_inside(self, one: _Said) -> _End | None:
        """Give what takes away all that is in a directory; something else may keep its name."""
        at, whole = self._lowest(one, self.ends), one.share.end
        if whole is not None and (at < 0 or at >= whole.slot):
            return whole
        return None if at < 0 else self._marked(one, self.ends, at)

    def _lowest(self, one: _Said, by: _Said | None) -> int:
        """Give the lowest slot that ends it, -1 if none does."""
        opaque = self.opaque.get(one.share.slot, -1)
        if by is None or 0 <= opaque < by.share.slot:
            return opaque
        return by.share.slot

    def _placed(self, one: _Said, slot: int) -> _End | None:
        """Give the end by what a layer has in its place; a directory only gives way to others."""
        by = self.ends if one.inner >= 0 else self.said
        if by is None or by.share.slot != slot or by.row < 0:
            return None
        if one.inner < 0:
            return _End(slot, "replaced" if by.inner < 0 else "type change")
        return _End(slot, "type change") if by.inner < 0 else None

    def _marked(self, one: _Said, by: _Said | None, slot: int) -> _End:
        """Give the end by a mark; a mark takes away what is beneath, whatever has its name."""
        if by is not None and by.share.slot == slot and by.marked:
            return _End(slot, "whiteout")
        return _End(slot, "opaque" if self.opaque.get(one.share.slot) == slot else "type change")


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
