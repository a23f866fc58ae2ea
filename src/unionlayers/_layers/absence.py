"""Which layer took a path away that a stack does not show."""

from __future__ import annotations

import stat
from functools import partial

from attrs import define, field, frozen

from unionlayers._foundation.names import decode
from unionlayers._layers.changeset import Changeset
from unionlayers._layers.path_history import Cause, cause_in
from unionlayers._layers.union import Union

__all__ = ["Absences", "Taken"]


@frozen
class Taken:
    """The layer that took a path away, by its position in the stack, and how it did."""

    slot: int
    cause: Cause


@define(eq=False)
class Absences:
    """Answers about many paths of one stack; markers are gone through once for each layer."""

    union: Union
    _markers: dict[int, dict[tuple[str, str | None], int]] = field(factory=dict)

    def of(self, path: str) -> Taken | None:
        """
        Give what took a path away, None where no layer has ever shown it.

        Args:
            path: Absolute, without links on the way; the stack does not show it.

        Cost:
            A few look-ups for each layer, and one on the way to the path for each that hides it.
        """
        union = self.union
        inside = path.strip("/")
        for slot in range(union.top - 1, 0, -1):
            cause = cause_in(union.changeset(slot), inside, partial(self._marker, slot))
            if cause is not None and union.beneath(slot, inside) is not None:
                return Taken(slot, cause)
        return None

    def _marker(self, slot: int, changeset: Changeset, parent: str, name: str | None) -> int | None:
        known = self._markers.get(slot)
        if known is None:
            known = self._markers[slot] = _markers_of(changeset)
        return known.get((parent.strip("/"), name))


def _markers_of(changeset: Changeset) -> dict[tuple[str, str | None], int]:
    """Give the ordinals of a layer's markers by directory and by what they hide there."""
    index = changeset.index
    found: dict[tuple[str, str | None], int] = {}
    for row, extra in index.extras.items():
        # A character device 0:0 is a whiteout too (case I2): it stands under the name itself.
        if extra.device == (0, 0) and stat.S_ISCHR(index.kinds[index.kind[row]][0]):
            parent, _, name = index.path(row).rpartition("/")
            found[parent, name] = index.ordinal[row]
    for mark in index.marks:
        parent = decode(index.loose[mark.row]).rpartition("/")[0]
        hidden = None if mark.name is None else decode(mark.name)
        found.setdefault((parent, hidden), mark.ordinal)
    return found
