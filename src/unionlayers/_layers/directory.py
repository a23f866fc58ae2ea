"""
One directory of a union: the directories of its layers, looked at from the top and only as needed.

A merged directory is a list of parts, the uppermost first.  The list grows only when a question
needs the next part: a name that an upper layer has, or hides, never makes a lower layer be read.
A part ends the list where its layer hides what is beneath: an opaque whiteout, a whiteout of the
directory, or anything in the way that is no directory.

Once all layers that lie beneath are known, the parts and names are those of the `Chronicle` of the
path: then no question asks one layer after the other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from unionlayers._layers.buried_links import check_listed
from unionlayers._tar.index import ABSENT

if TYPE_CHECKING:
    from unionlayers._layers.chronicle import Chronicle
    from unionlayers._layers.union import Union

__all__ = ["SLOT", "TALL", "Directory", "Node"]

SLOT = 1 << 32
"""A name of a merged directory is one integer: the slot of its layer times this, plus its row."""

TALL = 24
"""Up to so many layers are as well asked one after the other, which holds less in memory."""


@define(eq=False)
class Node:
    """
    One name in a union.

    Attributes:
        parent: The directory it stands in, None for the root.
        name: Its name there, empty for the root.
        slot: Position of the layer that has it in the stack of the union.
        row: Its row in that layer.
        directory: The merged directory if it is one.
    """

    parent: Directory | None
    name: str
    slot: int
    row: int
    directory: Directory | None

    @property
    def path(self) -> str:
        """The absolute path, without links on the way."""
        parts = [self.name]
        above = self.parent
        while above is not None:
            parts.append(above.name)
            above = above.parent
        return "/".join(reversed(parts)) or "/"


@frozen(eq=False)
class _Span:
    """
    The part of a chronicle that a directory is.

    Attributes:
        chronicle: Of the path.
        top: Position of the uppermost share.
        low: Lowest slot whose names count.
        base: Lowest slot whose metadata counts.
    """

    chronicle: Chronicle
    top: int
    low: int
    base: int


@define(eq=False)
class Directory:
    """
    A merged directory.

    Attributes:
        union: The stack it belongs to.
        parent: The directory it stands in, None for the root.
        name: Its name there.
        height: Of a root, the number of layers that it is over.
        parts: (slot, directory number, row) of each layer's share found so far, uppermost first.
    """

    union: Union
    parent: Directory | None
    name: str
    height: int = 0
    parts: list[tuple[int, int, int]] = field(factory=list)
    done: bool = False
    _span: _Span | None = None
    _next: int = 0
    _inner: dict[str, Directory] = field(factory=dict)
    _merged: dict[str, int] | None = None

    def part(self, position: int) -> tuple[int, int, int] | None:
        """
        Give the share at a position, or None past the last one.

        Cost:
            O(1) for a share found before; else a look-up in the next layer for this directory and
            those above it.  Without recursion, whatever the depth.
        """
        while position >= len(self.parts) and not self.done:
            if self._span is not None:
                self._step_down(self._span)
                continue
            chain = [self]
            above = self.parent
            while above is not None and not above.done and chain[-1]._next >= len(above.parts):
                chain.append(above)
                above = above.parent
            for directory in reversed(chain):
                directory._step()
        return self.parts[position] if position < len(self.parts) else None

    def all_parts(self) -> list[tuple[int, int, int]]:
        """Give all shares, uppermost first."""
        while not self.done:
            self.part(len(self.parts))
        return self.parts

    def continued(self) -> Directory | None:
        """
        Give what the layers beneath an opaque whiteout have of this directory, None if nothing.

        Its names are hidden, and its metadata still counts where the opaque layer only implies
        the directory (case B7).
        """
        span = self._spanned()
        if span is not None:
            if span.low <= span.base:
                return None
            beneath = Directory(self.union, self.parent, self.name, self.height)
            beneath._lay(span.chronicle, span.low - 1, span.base)
            return beneath if beneath.part(0) is not None else None
        slot, number, _ = self.all_parts()[-1]
        if not self.union.changeset(slot).opaque(number):
            return None
        if self.parent is not None:
            above = next(part[1] for part in self.parent.parts if part[0] == slot)
            if self.name in self.union.changeset(slot).whiteouts(above):
                return None
        beneath = Directory(self.union, self.parent, self.name, self.height)
        beneath._next = self._next
        return beneath if beneath.part(0) is not None else None

    def shares(self) -> Iterator[tuple[int, int, int]]:
        """Give all shares, uppermost first, with those whose names an opaque whiteout hides."""
        directory: Directory | None = self
        while directory is not None:
            position = 0
            while (part := directory.part(position)) is not None:
                yield part
                position += 1
            directory = directory.continued() if position else None

    def described(self) -> tuple[int, int, int] | None:
        """
        Give the uppermost share that has an entry of its own, None if none has.

        Cost:
            O(1) where all layers beneath are known; else that of `shares`.
        """
        span = self._spanned()
        if span is not None:
            found = span.chronicle.described_up_to(span.top) if span.top >= 0 else None
            return found if found is not None and found[0] >= span.base else None
        for slot, number, row in self.shares():
            index = self.union.changeset(slot).index
            if row < index.rows and index.ordinal[row] != ABSENT:
                return slot, number, row
        return None

    def has_share(self, slot: int) -> bool:
        """Tell whether a layer has a share; no layer beneath it is asked."""
        span = self._spanned()
        if span is not None:
            at = span.chronicle.up_to(slot)
            return (
                span.low <= slot and 0 <= at <= span.top and (span.chronicle.shares[at][0] == slot)
            )
        position = 0
        while (part := self.part(position)) is not None and part[0] >= slot:
            if part[0] == slot:
                return True
            position += 1
        return False

    def lookup(self, name: str) -> Node | None:
        """
        Give the node of a name, or None where nothing is visible under it.

        Cost:
            One look-up in each layer that has the directory, from the top, until one has or
            hides the name; where all layers beneath are known, a bisection of those that say
            something of the name.
        """
        # First: it may let go of what was found one layer after the other.
        span = self._span or self._spanned()
        inner = self._inner.get(name)
        if inner is not None:
            slot, _, row = inner.parts[0]
            return Node(self, name, slot, row, inner)
        union = self.union
        if span is not None:
            found_at = self._found(span, name)
            return None if found_at is None else self._node(name, *found_at, 0)
        position = 0
        while (part := self.part(position)) is not None:
            slot, number, _ = part
            changeset = union.changeset(slot)
            found = changeset.children(number).get(name)
            if found is not None and not union.is_left_out(slot, found):
                return self._node(name, slot, found, position)
            if name in changeset.whiteouts(number):
                return None
            position += 1
            if position > TALL:
                self._span_from_root()
        return None

    def names(self) -> list[str]:
        """Give the names that are visible, in byte order."""
        names = list(self.merged())
        if "".join(names).isascii():
            names.sort()
        else:
            names.sort(key=lambda name: name.encode("utf-8", "surrogateescape"))
        return names

    def nodes(self) -> Iterator[Node]:
        """
        Give the nodes of all names that are visible, in byte order of the names.

        Raises:
            LayerError: A layer above hides a hard link here that has no target.
        """
        check_listed(self)
        yield from self.visible()

    def visible(self) -> Iterator[Node]:
        """Give the same nodes, whatever else is in the directory and cannot be applied."""
        merged = self.merged()
        slots = {part[0]: position for position, part in enumerate(self.parts)}
        for name in self.names():
            slot, row = divmod(merged[name], SLOT)
            yield self._node(name, slot, row, slots[slot])

    def node(self) -> Node:
        """Give the node of the directory itself."""
        if self.parent is None:
            part = self.part(0)
            slot, _, row = part if part is not None else (0, 0, -1)
            return Node(None, "", slot, row, self)
        slot, _, row = self.parts[0]
        return Node(self.parent, self.name, slot, row, self)

    def _node(self, name: str, slot: int, row: int, position: int) -> Node:
        number = self.union.changeset(slot).directory(row)
        if number < 0:
            return Node(self, name, slot, row, None)
        span = self._spanned()
        with self.union.lock:
            inner = self._inner.get(name)
            if inner is None and span is not None:
                inner = Directory(self.union, self, name)
                inner._lay_in(span, slot)
                inner.part(0)
                self._inner[name] = inner
            elif inner is None:
                inner = Directory(self.union, self, name)
                inner._take(slot, number, row)
                inner._next = position + 1
                if not inner.done and name in self.union.changeset(slot).whiteouts(
                    self.parts[position][1]
                ):
                    inner.done = True
                self._inner[name] = inner
        return Node(self, name, slot, row, inner)

    def merged(self) -> Mapping[str, int]:
        """Give every visible name with its slot and row, as ``slot * SLOT + row``, in no order."""
        if self._merged is None:
            merged: dict[str, int] = {}
            union = self.union
            for slot, number, _ in reversed(self.all_parts()):
                changeset = union.changeset(slot)
                for name in changeset.whiteouts(number):
                    merged.pop(name, None)
                first = slot * SLOT
                for name, row in changeset.children(number).items():
                    if not union.is_left_out(slot, row):
                        merged[name] = first + row
            self._merged = merged
        return self._merged

    # -- where all layers beneath are known -------------------------------------------------------

    def _spanned(self) -> _Span | None:
        """Give the part of the chronicle; a root finds out whether it can have one."""
        if self._span is not None or self.parent is not None:
            return self._span
        union = self.union
        if self.height <= TALL or not union.knows(self.height):
            return None
        with union.lock:
            if self._span is None:
                self._lay(union.chronicle, self.height - 1, 0)
                # Those that were found one layer after the other would go on so.
                self._inner = {}
        return self._span

    def _span_from_root(self) -> None:
        """Let directories that were found one layer after the other have the chronicle's parts."""
        way = [self]
        while way[-1]._span is None and way[-1].parent is not None:
            way.append(way[-1].parent)
        if way[-1]._spanned() is None:
            return
        with self.union.lock:
            for directory in reversed(way[:-1]):
                above = None if directory.parent is None else directory.parent._span
                if above is None:
                    return
                slot = directory.parts[0][0]
                directory._lay_in(above, slot)
                directory._inner = {}

    def _lay_in(self, above: _Span, slot: int) -> None:
        """Take the shares from a slot down that count in the directory above."""
        said = above.chronicle.said_of(self.name, slot + 1)
        floor = said[bisect_left(said, (slot + 1,)) - 1][2]
        self._lay(above.chronicle.inner(self.name), slot, max(floor, above.low))

    def _lay(self, chronicle: Chronicle, slot: int, base: int) -> None:
        """Take the shares of a chronicle from a slot down."""
        chronicle.cover(slot + 1)
        low = max(base, chronicle.opaque_up_to(slot))
        self._span = _Span(chronicle, chronicle.up_to(slot), low, base)

    def _step_down(self, span: _Span) -> None:
        with self.union.lock:
            at = span.top - len(self.parts)
            if at < 0 or span.chronicle.shares[at][0] < span.low:
                self.done = True
            else:
                self.parts.append(span.chronicle.shares[at])

    def _found(self, span: _Span, name: str) -> tuple[int, int] | None:
        """Give slot and row of what is visible under a name."""
        if span.top < 0:
            return None
        height = span.chronicle.shares[span.top][0] + 1
        said = span.chronicle.said_of(name, height)
        at = bisect_left(said, (height,)) - 1
        if at < 0:
            return None
        slot, row, _, _ = said[at]
        return None if slot < span.low or row == ABSENT else (slot, row)

    # -- where they are not -----------------------------------------------------------------------

    def _step(self) -> None:
        """Look at one more layer; finds at most one share."""
        parent = self.parent
        if parent is None:
            self._step_root()
            return
        at = self._next
        ends = at < len(parent.parts) and self._ends_in(parent.parts[at])
        with self.union.lock:
            if self.done or at != self._next:
                return
            if at >= len(parent.parts):
                self.done = parent.done
                return
            slot, number, _ = parent.parts[at]
            self._next += 1
            changeset = self.union.changeset(slot)
            row = changeset.children(number).get(self.name)
            inner = -1 if row is None else changeset.directory(row)
            if row is not None and inner >= 0:
                self._take(slot, inner, row)
            if ends or self.name in changeset.whiteouts(number):
                self.done = True

    def _ends_in(self, part: tuple[int, int, int]) -> bool:
        """Tell whether a layer has something else than a directory under the name."""
        slot, number, _ = part
        changeset = self.union.changeset(slot)
        row = changeset.children(number).get(self.name)
        if row is None or changeset.directory(row) >= 0:
            return False
        # Asked without the lock: the layers beneath may have to be derived for it.
        return not self.union.is_left_out(slot, row)

    def _step_root(self) -> None:
        slot = self.height - 1 - self._next
        if slot >= 0:
            self.union.changeset(slot)
        with self.union.lock:
            if self.done or slot != self.height - 1 - self._next:
                return
            if slot < 0:
                self.done = True
                return
            self._next += 1
            self._take(slot, 0, self.union.changeset(slot).own_row(0))

    def _take(self, slot: int, number: int, row: int) -> None:
        self.parts.append((slot, number, row))
        if self.union.changeset(slot).opaque(number):
            self.done = True
