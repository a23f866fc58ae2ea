"""
What two stacks of layers surely show alike, so that a comparison need not look.

Layers of one tar that are read alike say the same wherever they stand.  Where a directory has its
shares from the same layers in both stacks, everything beneath it is the same, but for what comes
from elsewhere: a hard link of an upper layer changes an inode or names it, and a name of an inode
is hidden in one of the stacks.  Those paths are known before the walk begins.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field

from unionlayers._layers.directory import Directory
from unionlayers._layers.inode_names import InodeNames
from unionlayers._layers.union import Inode, Union
from unionlayers.errors import LayerError

__all__ = ["Doubt", "Sharing"]

Doubt = dict[str, "Doubt"]
"""Names at which two trees may differ though their directory is shared, and those beneath."""

_RULES = (
    "implied_dir_meta",
    "lower_dir_xattrs",
    "root_entry_meta",
    "hardlink_meta",
    "mtime_range",
)


@define(eq=False)
class Sharing:
    """Answers for two unions; which layers are alike is found out once."""

    left_names: InodeNames
    right_names: InodeNames
    left: Union = field(init=False)
    right: Union = field(init=False)
    _alike: dict[tuple[int, int], bool] = field(factory=dict)
    _same_rules: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.left, self.right = self.left_names.union, self.right_names.union
        one, other = self.left.profile, self.right.profile
        self._same_rules = self.left.warn == self.right.warn and all(
            getattr(one, rule) == getattr(other, rule) for rule in _RULES
        )

    @property
    def is_total(self) -> bool:
        """Whether both surely are one stack: the same layers in the same order."""
        return self.left is self.right or (
            self.left.top == self.right.top
            and self._same_rules
            and all(self.alike(slot, slot) for slot in range(self.left.top))
        )

    def alike(self, left: int, right: int) -> bool:
        """Tell whether a layer of each stack surely say the same."""
        known = self._alike.get((left, right))
        if known is None:
            one, other = self.left.changeset(left), self.right.changeset(right)
            known = self._same_rules and one.index.same_tar(other.index) and one.same_as(other)
            self._alike[left, right] = known
        return known

    def same_directory(self, left: Directory, right: Directory) -> bool:
        """Tell whether two directories and all beneath are surely the same, doubts set aside."""
        one, other = left.all_parts(), right.all_parts()
        if len(one) != len(other) or not one:
            return False
        for (slot, number, row), (twin, twin_number, twin_row) in zip(one, other, strict=True):
            if number != twin_number or row != twin_row or not self.alike(slot, twin):
                return False
        if self.left.profile.implied_dir_meta == "copy" and not all(
            self.alike(slot, slot) for slot in range(max(one[0][0], other[0][0]))
        ):
            return False
        slot, number, _ = one[-1]
        # What is beneath an opaque directory may still give metadata.
        return not self.left.changeset(slot).opaque(number)

    def doubt(self) -> Doubt:
        """
        Give the paths that must be looked at wherever they are.

        Cost:
            Linear in the hard links of the layers that both stacks have.
        """
        paths = {
            *_reached(self.left_names),
            *_reached(self.right_names),
            *self._regrouped(),
        }
        found: Doubt = {}
        for path in paths:
            below = found
            for name in path.split("/")[1:]:
                below = below.setdefault(name, {})
        return found

    def _regrouped(self) -> Iterator[str]:
        """Give the names of inodes that are not shown under the same names in both stacks."""
        for slot in range(self.left.top):
            changeset = self.left.changeset(slot)
            inodes = {changeset.inode(row) for row in changeset.folded()}
            if not inodes:
                continue
            for twin in range(self.right.top):
                if not self.alike(slot, twin):
                    continue
                for row in inodes:
                    names = self.left_names.of((slot, row))
                    others = self.right_names.of((twin, row))
                    if names != others:
                        yield from names
                        yield from others


def _reached(names: InodeNames) -> Iterator[str]:
    """Give the names of hard links to lower layers, and of what they are bound to."""
    union = names.union
    reached: set[Inode] = set()
    for slot in range(union.top):
        changeset = union.changeset(slot)
        for row in changeset.downlinks:
            yield from (f"/{changeset.path(name)}" for name in changeset.names_of(row))
            bound = union.bind((slot, row))
            if not isinstance(bound, LayerError):
                reached.add(bound)
    for inode in reached:
        yield from names.of(inode)
