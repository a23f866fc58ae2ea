"""
One directory of a union: the directories of its layers, looked at from the top and only as needed.

A merged directory is a list of parts, the uppermost first.  The list grows only when a question
needs the next part: a name that an upper layer has, or hides, never makes a lower layer be read.
A part ends the list where its layer hides what is beneath: an opaque whiteout, a whiteout of the
directory, or anything in the way that is no directory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from attrs import define, field

from unionlayers._layers.buried_links import check_listed

if TYPE_CHECKING:
    from unionlayers._layers.union import Union

__all__ = ["SLOT", "Directory", "Node"]

SLOT = 1 << 32
"""A name of a merged directory is one integer: the slot of its layer times this, plus its row."""


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


@define(eq=False)
class Directory:
    """
    A merged directory.

    Attributes:
        union: The stack it belongs to.
        parent: The directory it stands in, None for the root.
        name: Its name there.
        parts: (slot, directory number, row) of each layer's share found so far, uppermost first.
    """

    union: Union
    parent: Directory | None
    name: str
    parts: list[tuple[int, int, int]] = field(factory=list)
    done: bool = False
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
        slot, number, _ = self.all_parts()[-1]
        if not self.union.changeset(slot).opaque(number):
            return None
        if self.parent is not None:
            above = next(part[1] for part in self.parent.parts if part[0] == slot)
            if self.name in self.union.changeset(slot).whiteouts(above):
                return None
        beneath = Directory(self.union, self.parent, self.name)
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

    def lookup(self, name: str) -> Node | None:
        """
        Give the node of a name, or None where nothing is visible under it.

        Cost:
            One look-up in each layer that has the directory, from the top, until one has or
            hides the name.
        """
        inner = self._inner.get(name)
        if inner is not None:
            slot, _, row = inner.parts[0]
            return Node(self, name, slot, row, inner)
        union = self.union
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
        with self.union.lock:
            inner = self._inner.get(name)
            if inner is None:
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
        slot = self.union.top - 1 - self._next
        if slot >= 0:
            self.union.changeset(slot)
        with self.union.lock:
            if self.done or slot != self.union.top - 1 - self._next:
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
