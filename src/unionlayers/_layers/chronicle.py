"""
What the layers of a stack say of the names in one directory, each name's layers in order.

Looking a name up from the top asks one layer after the other.  That is all there is to do for a
few questions, and the square of the layers for as many questions as there are layers.  Here the
layers are asked once, base first, and what they said is found by bisection from any height.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import define, field

from unionlayers._tar.index import ABSENT

if TYPE_CHECKING:
    from unionlayers._layers.union import Union

__all__ = ["Chronicle", "Saying"]

Saying = tuple[int, int, int, int]
"""
What one layer says of a name.

Its slot; the row that it has there, `ABSENT` where it only hides the name; the lowest slot whose
share a directory of the name has, looked at from here; and the uppermost slot up to here that says
something and has no directory there, -1 if none.
"""


@define(eq=False)
class Chronicle:
    """
    One path in all layers of a union, as far up as was asked for; no link is followed.

    Attributes:
        parent: That of the directory it stands in, None for the root.
        shares: (slot, directory number, row) of each layer that has a directory there, base first,
            whether layers above hide it or not.
        opaque: Slots of the shares that hide what is beneath them.
    """

    union: Union
    parent: Chronicle | None
    name: str
    shares: list[tuple[int, int, int]] = field(factory=list)
    opaque: tuple[int, ...] | list[int] = ()
    # By share: the position of the uppermost one up to it that has an entry of its own, or -1.
    _described: list[int] = field(factory=list)
    _covered: int = 0
    _inner: dict[str, Chronicle] = field(factory=dict)
    _said: dict[str, list[Saying]] = field(factory=dict)
    # How many shares each name was asked of; of how many all names were asked; what both cost.
    _asked: dict[str, int] | None = None
    _told: int = 0
    _weighed: int = 0
    _weight: int = 0
    _looks: int = 0

    def inner(self, name: str) -> Chronicle:
        """Give that of a directory in this one."""
        known = self._inner.get(name)
        if known is None:
            with self.union.lock:
                known = self._inner.setdefault(name, Chronicle(self.union, self, name))
        return known

    def cover(self, height: int) -> None:
        """
        Ask the layers beneath a height; the union knows the changesets of all of them.

        Cost:
            A step for each layer that has the directory and was not asked before, and for those
            above it.  Without recursion.
        """
        if self._covered >= height:
            return
        way = [self]
        above = self.parent
        while above is not None and above._covered < height:
            way.append(above)
            above = above.parent
        with self.union.lock:
            for chronicle in reversed(way):
                chronicle._extend(height)

    def said_of(self, name: str, height: int) -> Sequence[Saying]:
        """
        Give what the layers say of a name, base first: those beneath a height, and maybe more.

        Cost:
            A look in each share that was not asked before; where that comes to more than all names
            of all shares, those are gone through once.
        """
        self.cover(height)
        if self._told < len(self.shares):
            with self.union.lock:
                self._ask(name)
        return self._said.get(name, ())

    def up_to(self, slot: int) -> int:
        """Give the position of the uppermost share up to a slot, -1 if there is none."""
        return bisect_left(self.shares, (slot + 1,)) - 1

    def opaque_up_to(self, slot: int) -> int:
        """Give the slot of the uppermost share up to a slot that is opaque, -1 if none is."""
        at = bisect_left(self.opaque, slot + 1)
        return self.opaque[at - 1] if at else -1

    def described_up_to(self, position: int) -> tuple[int, int, int] | None:
        """Give the uppermost share up to a position that has an entry, None if none has."""
        at = self._described[position]
        return None if at < 0 else self.shares[at]

    # -- asking; under the lock of the union, and whole again if it ends in the middle ------------

    def _extend(self, height: int) -> None:
        union = self.union
        if self.parent is None:
            for slot in range(self._covered, height):
                changeset = union.changeset(slot)
                for row in changeset.downlinks if union.warn else ():
                    # Asked of one another later, thousands of them would be a recursion.
                    union.bind((slot, row))
                self._take(slot, 0, changeset.own_row(0))
                self._covered = slot + 1
            return
        said = self.parent.said_of(self.name, height)
        for at in range(bisect_left(said, (self._covered,)), len(said)):
            slot, row, _, _ = said[at]
            number = -1 if row == ABSENT else union.changeset(slot).directory(row)
            if number >= 0:
                self._take(slot, number, row)
        self._covered = max(height, self._covered)

    def _take(self, slot: int, number: int, row: int) -> None:
        if self.shares and self.shares[-1][0] >= slot:
            return
        changeset = self.union.changeset(slot)
        if changeset.opaque(number) and slot not in self.opaque[-1:]:
            # Most have none, and hold no list for it.
            opaque = list(self.opaque) if isinstance(self.opaque, tuple) else self.opaque
            opaque.append(slot)
            self.opaque = opaque
        position = len(self.shares)
        index = changeset.index
        if row < index.rows and index.ordinal[row] != ABSENT:
            described = position
        else:
            described = self._described[position - 1] if position else -1
        self._described[position:] = [described]
        self.shares.append((slot, number, row))

    def _ask(self, name: str) -> None:
        """Ask the shares that were not asked for a name, and once that pays for all names."""
        last = len(self.shares)
        asked = self._asked or {}
        first = max(asked.get(name, 0), self._told)
        for at in range(first, last):
            self._say(at, name)
        asked[name] = last
        self._asked = asked
        self._looks += last - first
        if self._looks <= self._weight:
            return
        for at in range(self._told, last):
            slot, number, _ = self.shares[at]
            changeset = self.union.changeset(slot)
            for each in (*changeset.children(number), *changeset.whiteouts(number)):
                self._say(at, each)
            self._told = at + 1
        self._asked = None

    def _say(self, at: int, name: str) -> None:
        slot, number, _ = self.shares[at]
        changeset = self.union.changeset(slot)
        children, marks = changeset.children(number), changeset.whiteouts(number)
        if at >= self._weighed:
            self._weight += 1 + len(children) + len(marks)
            self._weighed = at + 1
        said = self._said.get(name, ())
        if said and said[-1][0] >= slot:
            return
        row = children.get(name, ABSENT)
        marked = name in marks
        if row != ABSENT and self.union.is_left_out(slot, row):
            row = ABSENT
        if row == ABSENT and not marked:
            return
        solid = row == ABSENT or changeset.directory(row) < 0
        low, top_solid = said[-1][2:] if said else (0, -1)
        self._said.setdefault(name, []).append(
            (slot, row, slot if marked or solid else low, slot if solid else top_solid)
        )
