"""
Where two stacks of layers, of one image or of two, show different trees.

Both trees are walked side by side, directory by directory.  What both have from the same layers is
left out unseen (`Sharing`), so that two images with a common base cost what lies above it.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection, Iterable, Iterator

from attrs import define, evolve, field, frozen

from unionlayers._layers.comparison import FIELDS, differing_fields
from unionlayers._layers.directory import SLOT, Directory, Node
from unionlayers._layers.entry import Entry, shown_time_ns
from unionlayers._layers.ignored_paths import IgnoredPaths
from unionlayers._layers.inode_names import InodeNames
from unionlayers._layers.path_pattern import States
from unionlayers._layers.sharing import Doubt, Sharing
from unionlayers._layers.union import Inode, Union

__all__ = ["Contents", "Difference", "differences", "shown_entry"]

Contents = Callable[[Inode, Inode, str], bool]
"""Tells whether the regular files of two inodes, left and right, have the same bytes."""


@frozen(eq=False)
class Difference:
    """
    One path that two stacks do not show alike.

    Attributes:
        path: Absolute, without links on the way.
        left: What the left stack has there, None if nothing.
        right: What the right one has.
        fields: What differs, of `FIELDS` and in their order; empty where one side has nothing.
    """

    path: str
    left: Node | None
    right: Node | None
    fields: tuple[str, ...]


def differences(
    left: InodeNames,
    right: InodeNames,
    same_content: Contents,
    *,
    ignored: IgnoredPaths,
    ignored_fields: Collection[str] = (),
) -> Iterator[Difference]:
    """
    Give the paths that differ, a directory before what is in it, names in byte order.

    Args:
        left: One stack, by the names of its inodes.
        right: The other.
        same_content: Is asked of files of one size that do not come from the same entry of the
            same layer, once for two inodes.
        ignored: Paths that are not looked at, nor anything beneath them.
        ignored_fields: Fields that do not count.

    Raises:
        UnionLayersError: A layer cannot be read, or an entry cannot be applied.

    Cost:
        Indexes all layers; then linear in the names of the directories that are not shared, and
        in the hard links of the layers: what is true of an inode is found out once, however many
        names it has.  Without recursion.
    """
    sharing = Sharing(left, right)
    if sharing.is_total:
        return iter(())
    return _Walk(sharing, same_content, ignored, frozenset(ignored_fields)).run()


def shown_entry(union: Union, node: Node) -> Entry:
    """Give the metadata of a node with the time that the profile shows."""
    entry = union.entry(node)
    shown = shown_time_ns(union.profile, entry.mtime_ns)
    return entry if shown == entry.mtime_ns else evolve(entry, mtime_ns=shown)


@frozen(eq=False)
class _Pair:
    """What stands at one path in both trees, and what is known of the way to it."""

    path: str
    left: Node | None
    right: Node | None
    doubt: Doubt
    states: tuple[States, ...]


@define(eq=False)
class _Walk:
    sharing: Sharing
    same_content: Contents
    ignored: IgnoredPaths
    ignored_fields: frozenset[str]
    left: Union = field(init=False)
    right: Union = field(init=False)
    # Of two inodes with several names: whether those are the same, and whether the bytes are.
    _named_alike: dict[tuple[Inode, Inode], bool] = field(factory=dict)
    _alike_inside: dict[tuple[Inode, Inode], bool] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.left, self.right = self.sharing.left, self.sharing.right

    def run(self) -> Iterator[Difference]:
        doubt = self.sharing.doubt()
        root = _Pair("", self.left.root.node(), self.right.root.node(), doubt, self.ignored.start)
        if self.ignored.leaves_out(root.states):
            return
        # One iterator for each directory on the way, so that a tree of any depth and a directory
        # of any size cost no more than what is looked at.
        pending: list[Iterator[_Pair]] = [iter((root,))]
        while pending:
            pair = next(pending[-1], None)
            if pair is None:
                pending.pop()
                continue
            one = None if pair.left is None else pair.left.directory
            other = None if pair.right is None else pair.right.directory
            shared = (
                one is not None and other is not None and self.sharing.same_directory(one, other)
            )
            if not shared:
                found = self._weighed(pair)
                if found is not None:
                    yield found
            if one is not None or other is not None:
                names = pair.doubt if shared else self._names(one, other, pair.doubt)
                if names:
                    pending.append(self._pairs(pair, one, other, names))

    def _names(
        self, left: Directory | None, right: Directory | None, doubt: Doubt
    ) -> Collection[str]:
        """Give the names that must be looked at, of two directories that are not the same."""
        one = {} if left is None else left.merged()
        other = {} if right is None else right.merged()
        if left is None or right is None or not one or not other:
            return one.keys() | other.keys()
        lowest = left.parts[-1][0], right.parts[-1][0]
        return [
            name
            for name in one.keys() | other.keys()
            if name in doubt or not self._same_entry(one.get(name), other.get(name), lowest)
        ]

    def _same_entry(self, left: int | None, right: int | None, lowest: tuple[int, int]) -> bool:
        """Tell whether two names are the same entry of the same layer, and so is all beneath."""
        if left is None or right is None:
            return False
        slot, row = divmod(left, SLOT)
        twin, twin_row = divmod(right, SLOT)
        if row != twin_row or not self.sharing.alike(slot, twin):
            return False
        changeset = self.left.changeset(slot)
        inner = changeset.directory(row)
        # Nothing else adds to a directory of the lowest layer that no upper one has.
        return inner < 0 or ((slot, twin) == lowest and not changeset.opaque(inner))

    def _pairs(
        self,
        above: _Pair,
        left: Directory | None,
        right: Directory | None,
        names: Iterable[str],
    ) -> Iterator[_Pair]:
        for name in sorted(names, key=lambda name: name.encode("utf-8", "surrogateescape")):
            states = self.ignored.after(above.states, name)
            if self.ignored.leaves_out(states):
                continue
            yield _Pair(
                f"{above.path}/{name}",
                None if left is None else left.lookup(name),
                None if right is None else right.lookup(name),
                above.doubt.get(name, {}),
                states,
            )

    def _weighed(self, pair: _Pair) -> Difference | None:
        path = pair.path or "/"
        if pair.left is None or pair.right is None:
            if pair.left is None and pair.right is None:
                return None
            return Difference(path, pair.left, pair.right, ())
        one, other = shown_entry(self.left, pair.left), shown_entry(self.right, pair.right)
        found = set(differing_fields(one, other))
        if pair.left.directory is None and pair.right.directory is None:
            found.update(self._of_inodes(pair.left, pair.right, one, other, path))
        if "hardlink" not in self.ignored_fields and not self._same_names(
            pair.left, pair.right, path
        ):
            found.add("hardlink")
        found -= self.ignored_fields
        if not found:
            return None
        return Difference(
            path, pair.left, pair.right, tuple(name for name in FIELDS if name in found)
        )

    def _of_inodes(
        self, left: Node, right: Node, one: Entry, other: Entry, path: str
    ) -> Iterator[str]:
        """Give content if two files of one size do not have the same bytes."""
        if "content" in self.ignored_fields or one.size != other.size or not one.size:
            return
        if not (stat.S_ISREG(one.mode) and stat.S_ISREG(other.mode)):
            return
        source, twin = self.left.inode(left), self.right.inode(right)
        if not self._same_bytes(source, twin) and not self._same_content(left, right, path):
            yield "content"

    def _same_names(self, left: Node, right: Node, path: str) -> bool:
        """Tell whether two nodes have the same visible names."""
        names, others = self.sharing.left_names, self.sharing.right_names
        if self.left.link_count(left) == 1 or self.right.link_count(right) == 1:
            return names.at(left, path) == others.at(right, path)
        pair = self.left.inode(left), self.right.inode(right)
        known = self._named_alike.get(pair)
        if known is None:
            known = self._named_alike[pair] = names.of(pair[0]) == others.of(pair[1])
        return known

    def _same_content(self, left: Node, right: Node, path: str) -> bool:
        """Tell whether two files have the same bytes, read once whatever names they have."""
        pair = self.left.inode(left), self.right.inode(right)
        known = self._alike_inside.get(pair)
        if known is None:
            known = self.same_content(*pair, path)
            if self.left.link_count(left) > 1 and self.right.link_count(right) > 1:
                self._alike_inside[pair] = known
        return known

    def _same_bytes(self, left: Inode, right: Inode) -> bool:
        """Tell whether two inodes have their bytes from one place of one tar."""
        one = self.left.changeset(left[0]).index
        other = self.right.changeset(right[0]).index
        # Rows of one tar are the same entries however the layer is read.
        return left[1] == right[1] and one.same_tar(other)
