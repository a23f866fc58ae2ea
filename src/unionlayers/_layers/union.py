"""
The union of a stack of layers: one tree, resolved from the top and only as far as asked.

Nothing is merged ahead of a question.  A path is followed component by component through merged
directories; hard links bind to inodes, never to paths, and say what the inode's metadata is.
"""

from __future__ import annotations

import stat
import threading
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from unionlayers._foundation.forking import renew_in_children
from unionlayers._foundation.limits import Limits
from unionlayers._foundation.names import decode
from unionlayers._layers.binding import target_of
from unionlayers._layers.buried_links import Buried
from unionlayers._layers.changeset import Changeset
from unionlayers._layers.chronicle import Chronicle
from unionlayers._layers.copied_metadata import StackedFolders, copied_from
from unionlayers._layers.derivation import derived_from
from unionlayers._layers.directory import Directory, Node
from unionlayers._layers.directory_xattrs import Kept, directory_entry
from unionlayers._layers.entry import IMPLIED_DIRECTORY, Entry, entry_of
from unionlayers._layers.profile import Profile
from unionlayers._layers.reaching import Reaching
from unionlayers._tar.index import ABSENT, LayerIndex
from unionlayers.errors import CorruptError, LayerError, LimitError, UnionLayersError

if TYPE_CHECKING:
    from unionlayers._layers.resolution import Resolution

__all__ = ["Slot", "Union"]

Inode = tuple[int, int]
"""(slot, row) of the header that made a file."""


@frozen(eq=False)
class Slot:
    """
    One layer of a stack.

    Attributes:
        layer: Index of the layer in its image.
        load: Gives its record, indexing the layer at the first call; safe from any thread.
    """

    layer: int
    load: Callable[[], LayerIndex]


class Union:
    """
    A stack of layers under one profile, base first.

    Args:
        slots: The layers.
        profile: How the stack is read where runtimes differ.
        on_invalid: ``"error"`` or ``"warn"``.
        limits: Bounds on links.
        judged: Whether a layer may be refused, or read otherwise, for what another layer is.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        profile: Profile,
        *,
        on_invalid: str,
        limits: Limits,
        judged: bool = True,
    ) -> None:
        self.slots = tuple(slots)
        self.top = len(self.slots)
        self.profile = profile
        self.warn = on_invalid == "warn"
        self.on_invalid = on_invalid
        self.limits = limits
        self.judged = judged
        self.renew()
        renew_in_children(self)
        self._changesets: list[Changeset | None] = [None] * self.top
        self._known = 0  # So many layers at least, from the bottom, have a changeset.
        self._failures: dict[int, UnionLayersError] = {}
        self._bound: dict[Inode, Inode | LayerError] = {}
        self._bound_to = 0  # All of the layers beneath are bound.
        self.late: dict[int, frozenset[int]] = {}  # See `directory_xattrs`.
        self.kept: dict[Inode, Kept] = {}
        self.buried: dict[int, Buried] = {}  # See `buried_links`.
        # See `copied_metadata`.
        self.stacked: StackedFolders | None = None
        self.copied: dict[Inode, tuple[int, int] | int] = {}
        self.stops_at: int | None = None
        # See `refusal`.
        self.refused_apart: dict[int, bool] = {}
        self.overlaid: Union | None = None
        self._beneath: dict[int, Directory] = {}
        # The layers with downward hard links that are known, base first, and by slot.
        self._linked: list[int] = []
        self._has_downlinks = [False] * self.top
        # What is folded from many headers is kept, with how many such layers were known then.
        self._entries: dict[Inode, tuple[int, Entry]] = {}
        self._counts: dict[Inode, tuple[int, int]] = {}
        self._reaching = Reaching(self)
        self.root = Directory(self, None, "", self.top)
        self.chronicle = Chronicle(self, None, "")
        # Paths that were followed lately: with a link at the end as such, and with it followed.
        self.followed: tuple[dict[str, Resolution], dict[str, Resolution]] = ({}, {})

    def renew(self) -> None:
        """Take new locks in a forked child."""
        self.lock = threading.RLock()
        self._guards = [threading.RLock() for _ in self.slots]

    def changeset(self, slot: int) -> Changeset:
        """
        Give the changeset of a layer, indexing the layer if no question needed it before.

        Raises:
            UnionLayersError: The layer cannot be read or applied; the same at every call.
        """
        known = self._changesets[slot]
        return known if known is not None else self._derive(slot)

    def rearranged(
        self, changesets: Sequence[Changeset], bound: Mapping[Inode, Inode | LayerError]
    ) -> Union:
        """Give the same layers with other trees, whose downward hard links are bound already."""
        other = Union(self.slots, self.profile, on_invalid=self.on_invalid, limits=self.limits)
        other._changesets[:] = changesets
        for slot, one in enumerate(changesets):
            if one.downlinks:
                other._link(slot)
        other._bound.update(bound)
        return other

    def read_as(self, profile: Profile) -> Union:
        """Give the same layers under another profile, each taken or refused for itself."""
        return Union(self.slots, profile, on_invalid="error", limits=self.limits, judged=False)

    def _derive(self, slot: int) -> Changeset:
        with self._guards[slot]:
            known = self._changesets[slot]
            if known is not None:
                return known
            index = self.slots[slot].load()
            failure = self._failures.get(slot)
            if failure is not None:
                raise failure.with_traceback(None)
            try:
                made = derived_from(self, slot, index)
                self._check_replaced_links(slot, made)
            except (CorruptError, LimitError) as error:
                if error.layer is None:
                    error.layer = self.slots[slot].layer
                    self._failures[slot] = error
                raise
            if made.downlinks:
                self._link(slot)
            self._changesets[slot] = made
            return made

    def _link(self, slot: int) -> None:
        with self.lock:
            if not self._has_downlinks[slot]:
                # A new list, for whoever goes through the one before.
                at = bisect_left(self._linked, slot)
                self._linked = [*self._linked[:at], slot, *self._linked[at:]]
                self._has_downlinks[slot] = True

    def _check_replaced_links(self, slot: int, made: Changeset) -> None:
        """
        Raise what hard links without a target are that the layer itself has replaced or hidden.

        No question meets their names any more, and no runtime gets past their entries.
        """
        for row in () if self.warn else made.replaced_links():
            bound = target_of(self, slot, made, row)
            if not isinstance(bound, LayerError) and bound[0] < slot:
                bound = self.bind(bound)
            if isinstance(bound, LayerError):
                raise bound

    # -- nodes ------------------------------------------------------------------------------------

    def root_beneath(self, slot: int) -> Directory:
        """Give the root of what the layers beneath a slot show."""
        with self.lock:
            known = self._beneath.get(slot)
            if known is None:
                known = self._beneath[slot] = Directory(self, None, "", slot)
            return known

    def knows(self, height: int) -> bool:
        """Tell whether the changesets of all layers beneath a height are known."""
        while self._known < self.top and self._changesets[self._known] is not None:
            self._known += 1
        return height <= self._known

    def beneath(self, slot: int, path: str) -> Node | None:
        """Give the node at a path in the layers beneath a slot; no link is followed."""
        directory = self.root_beneath(slot)
        node = directory.node()
        for name in path.split("/") if path else ():
            if node.directory is None:
                return None
            found = node.directory.lookup(name)
            if found is None:
                return None
            node = found
        return node

    def inode(self, node: Node) -> Inode:
        """
        Give the inode of a node that is no directory.

        Raises:
            LayerError: It is a hard link whose target no layer beneath has.
        """
        slot = node.slot
        found = slot, self.changeset(slot).inode(node.row)
        # Asked several times for every file, and hardly ever anything else.
        return self._settled(found) if self._has_downlinks[slot] else found

    def _settled(self, inode: Inode) -> Inode:
        if not self._is_downlink(inode):
            return inode
        bound = self.bind(inode)
        if isinstance(bound, LayerError):
            raise bound.with_traceback(None)
        return bound

    def bind(self, link: Inode) -> Inode | LayerError:
        """Bind a hard link to the inode that its target has in the layers beneath."""
        chain: list[Inode] = []
        found: Inode | LayerError = link
        # A link to a link to a link, each a layer further down: without recursion.
        while not isinstance(found, LayerError) and self._is_downlink(found):
            known = self._bound.get(found)
            if known is None:
                chain.append(found)
                slot, row = found
                known = target_of(self, slot, self.changeset(slot), row)
            found = known
        for passed in chain:
            self._bound[passed] = found
        return found

    def _is_downlink(self, inode: Inode) -> bool:
        return self._has_downlinks[inode[0]] and inode[1] in self.changeset(inode[0]).downlinks

    def is_failure(self, error: UnionLayersError) -> bool:
        """Tell whether an error is that of a layer as a whole."""
        return any(error is failure for failure in self._failures.values())

    def is_left_out(self, slot: int, row: int) -> bool:
        """Tell whether ``on_invalid="warn"`` leaves a hard link without a target out."""
        if not self.warn or not self._has_downlinks[slot]:
            return False
        changeset = self.changeset(slot)
        inode = changeset.inode(row)
        if inode not in changeset.downlinks:
            return False
        if (slot, inode) not in self._bound:
            self._bind_beneath(slot)
        return isinstance(self.bind((slot, inode)), LayerError)

    def _bind_beneath(self, slot: int) -> None:
        """Bind the hard links beneath a slot, base first: asked of one another they recur."""
        while self._bound_to < slot:
            at = self._bound_to
            for row in self.changeset(at).downlinks:
                self.bind((at, row))
            self._bound_to = max(self._bound_to, at + 1)

    @property
    def linked(self) -> bool:
        """Whether a layer that is known now has hard links that reach beneath it."""
        return bool(self._linked)

    def form(self, node: Node) -> int:
        """
        Give the type bits of a node, such as ``stat.S_IFREG``, and no more of its metadata.

        Raises:
            LayerError: It is a hard link whose target no layer beneath has.
        """
        if node.directory is not None:
            return stat.S_IFDIR
        slot, row = self.inode(node)
        index = self.changeset(slot).index
        return stat.S_IFMT(index.kinds[index.kind[row]][0])

    def link_text(self, node: Node) -> str | None:
        """
        Give the text of a symbolic link, None for anything else.

        Unlike `entry` it does not ask which hard links change the inode: to find that out, links
        are followed.

        Raises:
            LayerError: It is a hard link whose target no layer beneath has.
        """
        if self.form(node) != stat.S_IFLNK:
            return None
        slot, row = self.inode(node)
        index = self.changeset(slot).index
        return decode(index.texts[index.ref[row]])

    # -- metadata ---------------------------------------------------------------------------------

    def supplier(self, node: Node) -> Inode | None:
        """Give (slot, row) of the entry that gives a node its metadata; None if none does."""
        if node.directory is None:
            return self.inode(node)
        if node.parent is None and self.profile.root_entry_meta == "ignore":
            return None
        rule = self.profile.implied_dir_meta if node.parent is not None else "inherit"
        described = node.directory.described() if rule == "inherit" else node.directory.part(0)
        if described is None:
            return None
        slot, _, row = described
        index = self.changeset(slot).index
        if row < index.rows and index.ordinal[row] != ABSENT:
            return slot, row
        return copied_from(self, slot, row) if rule == "copy" else None

    def entry(self, node: Node) -> Entry:
        """
        Give the metadata of a node, hard links that change it included.

        Raises:
            LayerError: It is a hard link whose target no layer beneath has.
        """
        found = self.supplier(node)
        if found is None:
            return IMPLIED_DIRECTORY
        slot, row = found
        changeset = self.changeset(slot)
        if node.directory is not None:
            return directory_entry(self, node.directory, slot, row)
        links = changeset.applied(row)
        if not links and not self._linked:
            return entry_of(changeset.index, row)
        linked = len(self._linked)
        known = self._entries.get(found)
        if known is not None and known[0] == linked:
            return known[1]
        applied = [(changeset.index, link) for link in links]
        applied.extend(self._applied_above(found))
        entry = entry_of(changeset.index, row, applied)
        if applied:
            self._entries[found] = linked, entry
        return entry

    def reached_from_above(self, slot: int) -> Collection[int]:
        """Give the rows of inodes of a layer that hard links of upper layers reach down to."""
        return self._reaching.rows(slot, self._linked)

    def links_above(self, inode: Inode) -> Sequence[Inode]:
        """Give the hard links that are bound to an inode across entries, lowest layer first."""
        return self._reaching.links(inode, self._linked)

    def _applied_above(self, inode: Inode) -> Iterator[tuple[LayerIndex, int]]:
        if self.profile.hardlink_meta == "keep":
            return
        for slot, row in self.links_above(inode):
            if slot == inode[0]:
                continue  # A link to what comes after it in its layer (E5): that has the last word.
            changeset = self.changeset(slot)
            yield changeset.index, row
            for link in changeset.applied(row):
                yield changeset.index, link

    def names(self, inode: Inode) -> list[str]:
        """
        Give the paths that share an inode and are visible, in no order.

        Cost:
            A look-up for each name that the layers have for the inode.
        """
        found = []
        for slot, row in self.named(inode):
            path = self.changeset(slot).path(row)
            node = self.beneath(self.top, path)
            if node is not None and node.slot == slot and node.row == row:
                found.append("/" + path)
        return found

    def named(self, inode: Inode) -> list[Inode]:
        """Give slot and row of all names that the layers have for an inode, its own first."""
        slot, row = inode
        found = [(slot, other) for other in self.changeset(slot).names_of(row)]
        for above, link in self.links_above(inode):
            found.extend((above, other) for other in self.changeset(above).names_of(link))
        return found

    def link_count(self, node: Node) -> int:
        """Give the number of visible names of a node's inode; 1 for a directory."""
        if node.directory is not None:
            return 1
        inode = self.inode(node)
        if not self._linked and len(self.changeset(inode[0]).names_of(inode[1])) <= 1:
            return 1
        linked = len(self._linked)
        known = self._counts.get(inode)
        if known is None or known[0] != linked:
            known = self._counts[inode] = linked, max(1, len(self.names(inode)))
        return known[1]
