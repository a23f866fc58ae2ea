"""
Hard links without a target that layers above hide or replace, and so no look-up meets.

A runtime applies layer after layer, and fails at such a link whatever comes above it.  It is
raised where a listing meets it: by that of the directory in which a layer above hides it, or
hides a directory on its way.  A question that needs less of its layer does not raise it, as with
all that is invalid in a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from unionlayers.errors import LayerError

if TYPE_CHECKING:
    from unionlayers._layers.directory import Directory
    from unionlayers._layers.union import Union

__all__ = ["Buried", "check_applies", "check_listed", "first_refused_link"]

Buried = Mapping[int, list[int]]
"""Rows of hard links by the number of the directory, in their layer, that hides them."""


def check_listed(directory: Directory) -> None:
    """
    Raise what a listing of a directory meets that no name in it says.

    Those are the hard links without a target that are hidden there; and at the root, which a layer
    may make opaque, all that the layers beneath that one are refused for.

    Raises:
        LayerError: A hard link has no target.
        UnionLayersError: A layer cannot be read or applied.

    Cost:
        Nothing, where no layer that has the directory has hard links downwards; else once a
        look-up for each of these and for each directory on their way, and the layers beneath
        where one is hidden.
    """
    union = directory.union
    if union.warn:
        return
    parts = directory.all_parts()
    if directory.parent is None:
        shares = [(slot, 0) for slot in reversed(range(union.top))]
        for slot, _ in shares[len(parts) :]:
            union.changeset(slot)
    else:
        shares = [(slot, number) for slot, number, _ in parts] if union.linked else []
    for slot, number in shares if union.linked else ():
        for row in _buried_in(union, slot).get(number, ()):
            bound = union.bind((slot, row))
            if isinstance(bound, LayerError):
                raise bound.with_traceback(None)


def check_applies(union: Union) -> None:
    """
    Raise the first thing, base first, for which a stack is refused; ask for no name.

    Raises:
        UnionLayersError: A layer cannot be read or applied.

    Cost:
        Indexes every layer; a look-up for each component of the targets of downward hard links.
    """
    for slot in range(union.top):
        union.changeset(slot)
    error = first_refused_link(union)
    if error is not None and not union.warn:
        raise error.with_traceback(None)


def first_refused_link(union: Union) -> LayerError | None:
    """Give the error of the first hard link without a target, base first; None if all have one."""
    for slot in range(union.top):
        for row in union.changeset(slot).downlinks:
            bound = union.bind((slot, row))
            if isinstance(bound, LayerError):
                return bound
    return None


def _buried_in(union: Union, slot: int) -> Buried:
    known = union.buried.get(slot)
    if known is None:
        changeset = union.changeset(slot)
        found: dict[int, list[int]] = {}
        if changeset.downlinks:
            search = _Search(union, slot)
            # Those that the layer itself has replaced were looked at when it was derived.
            replaced = set(changeset.replaced_links())
            for row in changeset.downlinks:
                at = None if row in replaced else search.hides(row)
                if at is not None:
                    found.setdefault(at, []).append(row)
        known = union.buried[slot] = found
    return known


class _Search:
    """Looks for the directories of one layer in a union, each once."""

    def __init__(self, union: Union, slot: int) -> None:
        self.changeset = union.changeset(slot)
        self.slot = slot
        root = union.root
        # By number: the directory in the union if it has this layer's share, and the number of
        # the nearest one that has.
        self.known: dict[int, tuple[Directory | None, int]] = {
            0: (root if root.has_share(slot) else None, 0)
        }

    def hides(self, row: int) -> int | None:
        """Give the number of the directory in which a name is hidden, None where it is visible."""
        above, name = self.changeset.above(row)
        directory, nearest = self._place(above)
        node = None if directory is None else directory.lookup(name)
        visible = node is not None and (node.slot, node.row) == (self.slot, row)
        return None if visible else nearest

    def _place(self, row: int) -> tuple[Directory | None, int]:
        way: list[tuple[int, str]] = []
        number = self._number(row)
        while number not in self.known:
            above, name = self.changeset.above(row)
            way.append((number, name))
            row = above
            number = self._number(row)
        found = self.known[number]
        for number, name in reversed(way):
            directory, nearest = found
            node = None if directory is None else directory.lookup(name)
            inner = None if node is None else node.directory
            if inner is not None and inner.has_share(self.slot):
                found = inner, number
            else:
                found = None, nearest
            self.known[number] = found
        return found

    def _number(self, row: int) -> int:
        return max(0, self.changeset.directory(row))
