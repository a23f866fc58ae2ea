"""One path that two trees do not show alike: what each side has there, and where from."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Literal

from attrs import field, frozen

from unionlayers._image.config import Step
from unionlayers._image.content import content_at
from unionlayers._image.open_file import open_buffered
from unionlayers._image.state import State
from unionlayers._layers.absence import Absences
from unionlayers._layers.answer import Kind, kind_of
from unionlayers._layers.capability import capability_text
from unionlayers._layers.difference import Difference, shown_entry
from unionlayers._layers.directory import Node
from unionlayers._layers.inode_names import InodeNames
from unionlayers._layers.path_history import Cause
from unionlayers._tar.index import ABSENT
from unionlayers.errors import NotARegularFileError, PathNotFoundError

__all__ = ["Change", "ChangeKind", "Side", "Sides"]

ChangeKind = Literal["added", "removed", "changed"]


@frozen(kw_only=True)
class Side:
    """
    What one of two trees has at a path, or that it has nothing and why.

    Attributes:
        path: Absolute path, without links on the way.
        type: ``"file"``, ``"directory"``, ``"symlink"``, ``"fifo"``, ``"character device"`` or
            ``"block device"``; ``"absent"`` where nothing is.
        layer: Index of the layer in its image, base first from 0, that has the name; of a
            directory, the one whose entry describes it.  Of what is absent, the layer that took
            it away; None where no layer of this side ever had it.
        digest: Digest of that layer's blob, None where none names it.
        step: The build step that made that layer, None where the history does not tell.
        entry: Ordinal of the tar entry, or of the marker that took the path away; None where no
            single one can be named.
        cause: What took an absent path away, else None.
        size: Bytes of content; of a link, of its text.
        mode: Permission bits.
        uid: Owner.
        gid: Group.
        mtime_ns: Modification time, nanoseconds since the epoch.
        target: Text of a symbolic link, or None.
        device: Major and minor number of a device, or None.
        xattrs: Pairs of name and value, sorted by name.
        names: All paths of the inode in this tree, sorted: more than one for hard links.
    """

    path: str
    type: Kind
    layer: int | None = None
    digest: str | None = None
    step: Step | None = None
    entry: int | None = None
    cause: Cause | None = None
    size: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    target: str | None = None
    device: tuple[int, int] | None = None
    xattrs: tuple[tuple[str, bytes], ...] = ()
    names: tuple[str, ...] = ()
    _open: Callable[[], io.BufferedReader] | None = field(default=None, repr=False, eq=False)

    @property
    def present(self) -> bool:
        """Whether something is there."""
        return self.type != "absent"

    @property
    def capability(self) -> str | None:
        """File capabilities as text, such as ``cap_net_raw=ep``; None without."""
        value = dict(self.xattrs).get("security.capability")
        return None if value is None else capability_text(value)

    def open(self) -> io.BufferedReader:
        """
        Open the content that this side has.

        Raises:
            PathNotFoundError: Nothing is there.
            NotARegularFileError: It is no regular file.
            ClosedError: The image was closed.
        """
        if not self.present:
            raise PathNotFoundError("this side has nothing there", path=self.path)
        if self._open is None:
            raise NotARegularFileError(
                "it has no bytes in an image", path=self.path, layer=self.layer, actual=self.type
            )
        return self._open()


@frozen(kw_only=True)
class Change:
    """
    One path that differs.

    Attributes:
        kind: ``"added"`` (only the right side has it), ``"removed"`` (only the left one) or
            ``"changed"``.
        path: Absolute path, without links on the way.
        fields: What is not the same, for a changed one: of type, content, size, mode, uid, gid,
            mtime, link, xattr, capability, device and hardlink (other names of the inode).
        left: What the first tree has.
        right: What the second tree has.
    """

    kind: ChangeKind
    path: str
    fields: tuple[str, ...]
    left: Side
    right: Side


class Sides:
    """
    Makes the sides of one tree.

    Attributes:
        names: The visible names of its inodes.
    """

    def __init__(self, state: State) -> None:
        self.names = InodeNames(state.union)
        self._state = state
        self._absences = Absences(state.union)
        self._steps = {step.layer: step for step in state.image.history if step.layer is not None}

    def of(self, difference: Difference, node: Node | None) -> Side:
        """Give what the tree has at a path that differs."""
        if node is None:
            return self._absent(difference.path)
        return self._present(difference.path, node)

    def _absent(self, path: str) -> Side:
        taken = self._absences.of(path)
        if taken is None:
            return Side(path=path, type="absent")
        layer = self._state.union.slots[taken.slot].layer
        return Side(
            path=path,
            type="absent",
            layer=layer,
            digest=self._state.image.layers[layer].digest,
            step=self._steps.get(layer),
            entry=taken.cause.entry,
            cause=taken.cause,
        )

    def _present(self, path: str, node: Node) -> Side:
        union, image = self._state.union, self._state.image
        entry = shown_entry(union, node)
        slot, row = node.slot, node.row
        if node.directory is not None:
            slot, row = union.supplier(node) or (slot, row)
        layer = union.slots[slot].layer if union.slots else None
        ordinal = None
        if layer is not None:
            index = union.changeset(slot).index
            if 0 <= row < index.rows and index.ordinal[row] != ABSENT:
                ordinal = index.ordinal[row]
        kind = kind_of(entry.mode)

        def opened() -> io.BufferedReader:
            image.check_open()
            source = content_at(image, union, union.inode(node), path)
            return open_buffered(source, path, image.check_open, -1)

        return Side(
            path=path,
            type=kind,
            layer=layer,
            digest=None if layer is None else image.layers[layer].digest,
            step=None if layer is None else self._steps.get(layer),
            entry=ordinal,
            size=entry.size,
            mode=entry.mode & 0o7777,
            uid=entry.uid,
            gid=entry.gid,
            mtime_ns=entry.mtime_ns,
            target=entry.target,
            device=entry.device,
            xattrs=entry.xattrs,
            names=self.names.at(node, path),
            open=opened if kind == "file" else None,
        )
