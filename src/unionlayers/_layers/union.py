"""
The union of a stack of layers: one tree, resolved from the top and only as far as asked.

Nothing is merged ahead of a question.  A path is followed component by component through merged
directories; hard links bind to inodes, in their own layer or in the layers beneath, never to
paths; metadata of an inode includes what the headers of its hard links say.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from unionlayers._foundation.limits import Limits
from unionlayers._layers.changeset import Changeset, PlainChangeset
from unionlayers._layers.directory import Directory, Node
from unionlayers._layers.entry import IMPLIED_DIRECTORY, Entry, entry_of
from unionlayers._layers.profile import Profile
from unionlayers._layers.replay import replay
from unionlayers._tar.index import ABSENT, LayerIndex
from unionlayers.errors import CorruptError, LayerError, UnionLayersError

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
    """

    def __init__(
        self, slots: Sequence[Slot], profile: Profile, *, on_invalid: str, limits: Limits
    ) -> None:
        self.slots = tuple(slots)
        self.top = len(self.slots)
        self.profile = profile
        self.warn = on_invalid == "warn"
        self.on_invalid = on_invalid
        self.limits = limits
        self.lock = threading.RLock()
        self._changesets: list[Changeset | None] = [None] * self.top
        self._guards = [threading.RLock() for _ in self.slots]
        self._failures: dict[int, UnionLayersError] = {}
        self._bound: dict[Inode, Inode | LayerError] = {}
        self._beneath: dict[int, Directory] = {}
        self._linked: tuple[int, ...] = ()
        # What is folded from many headers is kept, with the layers that were known then.
        self._entries: dict[tuple[Inode, tuple[int, ...]], Entry] = {}
        self._counts: dict[tuple[Inode, tuple[int, ...]], int] = {}
        self._reaching: dict[tuple[int, ...], dict[Inode, list[Inode]]] = {}
        self.root = Directory(self, None, "")

    # -- layers -----------------------------------------------------------------------------------

    def changeset(self, slot: int) -> Changeset:
        """
        Give the changeset of a layer, indexing the layer if no question needed it before.

        Raises:
            UnionLayersError: The layer cannot be read or applied; the same at every call.
        """
        known = self._changesets[slot]
        return known if known is not None else self._derive(slot)

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
                made = self._made(slot, index)
            except CorruptError as error:
                if error.layer is None:
                    error.layer = self.slots[slot].layer
                    self._failures[slot] = error
                raise
            if made.downlinks:
                with self.lock:
                    self._linked = tuple(sorted((*self._linked, slot)))
            self._changesets[slot] = made
            return made

    def _made(self, slot: int, index: LayerIndex) -> Changeset:
        profile = self.profile
        if not index.oddities and profile.windows == "raw":
            plain = PlainChangeset(index, profile)
            if not self._meets_beneath(slot, plain):
                return plain
        asks = profile.symlinked_parent == "follow" or profile.implied_over_file == "error"
        return replay(
            index,
            profile,
            on_invalid=self.on_invalid,
            limits=self.limits,
            beneath=(lambda path: self._form_beneath(slot, path)) if asks and slot else None,
        )

    def _meets_beneath(self, slot: int, plain: PlainChangeset) -> bool:
        """Tell whether a directory that the layer implies is something else in those beneath."""
        profile = self.profile
        if slot == 0 or (
            profile.symlinked_parent != "follow" and profile.implied_over_file != "error"
        ):
            return False
        for path in plain.implied().values():
            below = self._form_beneath(slot, path)
            if below is not None and not stat.S_ISDIR(below[0]):
                return True
        return False

    def _form_beneath(self, slot: int, path: str) -> tuple[int, str | None] | None:
        node = self.beneath(slot, path)
        if node is None:
            return None
        if node.directory is not None:
            return stat.S_IFDIR, None
        entry = self.entry(node)
        return entry.type, entry.target

    # -- nodes ------------------------------------------------------------------------------------

    def root_beneath(self, slot: int) -> Directory:
        """Give the root of what the layers beneath a slot show."""
        with self.lock:
            known = self._beneath.get(slot)
            if known is None:
                known = self._beneath[slot] = Directory(self, None, "")
                # The root counts its shares from the top of the whole stack.
                known._next = self.top - slot
            return known

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
        row = self.changeset(node.slot).inode(node.row)
        return self._settled((node.slot, row))

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
                known = self._target(found)
            found = known
        for passed in chain:
            self._bound[passed] = found
        return found

    def _is_downlink(self, inode: Inode) -> bool:
        return inode[0] in self._linked and inode[1] in self.changeset(inode[0]).downlinks

    def _target(self, link: Inode) -> Inode | LayerError:
        slot, row = link
        changeset = self.changeset(slot)
        downlink = changeset.downlinks[row]
        path = "/" + changeset.path(row)
        layer = self.slots[slot].layer

        def refused(message: str, case: str) -> LayerError:
            return LayerError(
                f"{message} (case {case})",
                path=path,
                layer=layer,
                entry=downlink.entry,
                expected="/" + downlink.target,
                hint='Pass on_invalid="warn" to leave it out',
            )

        if self.profile.hardlink_to_lower == "error" and not self.warn:
            return refused("a hard link whose target is not in its own layer", "E3")
        node = None if downlink.hidden else self.beneath_followed(slot, downlink.target)
        if node is not None and node.directory is not None:
            return refused("a hard link to a directory", "E9")
        if node is not None:
            return node.slot, self.changeset(node.slot).inode(node.row)
        if self.warn and downlink.late is not None:
            late = changeset.inode(downlink.late)
            if late not in changeset.downlinks:
                return slot, late
        return refused("a hard link whose target does not exist", "E10")

    def beneath_followed(self, slot: int, path: str) -> Node | None:
        """Give the node at a path beneath a slot; links on the way are followed, the last not."""
        from unionlayers._layers.resolution import resolve_in

        try:
            return resolve_in(self, self.root_beneath(slot), "/" + path, follow=False).node
        except OSError as error:
            if isinstance(error, LayerError):
                raise
            return None

    def is_left_out(self, slot: int, row: int) -> bool:
        """Tell whether ``on_invalid="warn"`` leaves a hard link without a target out."""
        if not self.warn or slot not in self._linked:
            return False
        changeset = self.changeset(slot)
        inode = changeset.inode(row)
        return inode in changeset.downlinks and isinstance(self.bind((slot, inode)), LayerError)

    # -- metadata ---------------------------------------------------------------------------------

    def supplier(self, node: Node) -> Inode | None:
        """Give (slot, row) of the entry that gives a node its metadata; None if none does."""
        if node.directory is None:
            return self.inode(node)
        if node.parent is None and self.profile.root_entry_meta == "ignore":
            return None
        directory: Directory | None = node.directory
        while directory is not None:
            position = 0
            while (part := directory.part(position)) is not None:
                slot, _, row = part
                index = self.changeset(slot).index
                if row < index.rows and index.ordinal[row] != ABSENT:
                    return slot, row
                if self.profile.implied_dir_meta == "reset" and node.parent is not None:
                    return None
                position += 1
            directory = directory.continued() if position else None
        return None

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
        links = changeset.applied(row)
        if node.directory is not None or not (links or self._linked):
            return entry_of(changeset.index, row)
        key = found, self._linked
        known = self._entries.get(key)
        if known is None:
            applied = [(changeset.index, link) for link in links]
            applied.extend(self._applied_above(found))
            known = entry_of(changeset.index, row, applied)
            if applied:
                self._entries[key] = known
        return known

    def _links_above(self, inode: Inode) -> Iterator[Inode]:
        """Give the hard links of upper layers that reach down to an inode, lowest layer first."""
        linked = tuple(slot for slot in self._linked if slot > inode[0])
        reaching = self._reaching.get(linked)
        if reaching is None:
            reaching = {}
            for slot in linked:
                for row in self.changeset(slot).downlinks:
                    bound = self.bind((slot, row))
                    if not isinstance(bound, LayerError):
                        reaching.setdefault(bound, []).append((slot, row))
            self._reaching[linked] = reaching
        yield from reaching.get(inode, ())

    def _applied_above(self, inode: Inode) -> Iterator[tuple[LayerIndex, int]]:
        if self.profile.hardlink_meta == "keep":
            return
        for slot, row in self._links_above(inode):
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
        slot, row = inode
        candidates = [(slot, other) for other in self.changeset(slot).names_of(row)]
        for above, link in self._links_above(inode) if self._linked else ():
            candidates.extend((above, other) for other in self.changeset(above).names_of(link))
        found = []
        for above, other in candidates:
            path = self.changeset(above).path(other)
            if self._shows(path, above, other):
                found.append("/" + path)
        return found

    def link_count(self, node: Node) -> int:
        """Give the number of visible names of a node's inode; 1 for a directory."""
        if node.directory is not None:
            return 1
        inode = self.inode(node)
        if not self._linked and len(self.changeset(inode[0]).names_of(inode[1])) <= 1:
            return 1
        key = inode, self._linked
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = max(1, len(self.names(inode)))
        return count

    def _shows(self, path: str, slot: int, row: int) -> bool:
        node = self.beneath(self.top, path)
        return node is not None and (node.slot, node.row) == (slot, row)
