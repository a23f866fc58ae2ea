"""The versions of a path through the layers of an image, and why it is there or not."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

from attrs import field, frozen

from unionlayers._bytes.source import ByteSource
from unionlayers._image.config import Step
from unionlayers._image.content import content_at
from unionlayers._image.layer_stack import LayerStack
from unionlayers._image.open_file import open_buffered
from unionlayers._layers.comparison import differing_fields, type_name
from unionlayers._layers.growing_inodes import GrowingInodes
from unionlayers._layers.path_history import Cause, PathEvent, PathState, path_events
from unionlayers._layers.union import Union
from unionlayers._tar.index import ABSENT
from unionlayers.errors import NotARegularFileError

__all__ = ["Version", "versions_of"]

_PIECE = 1 << 18


@frozen(kw_only=True)
class Version:
    """
    What one layer did to a path, and what stood there after it.

    Attributes:
        path: Absolute path, without links on the way.
        layer: Index of the layer in the image, base first from 0.
        step: The build step that made the layer, None where the history does not tell.
        kind: ``"added"``, ``"changed"``, ``"replaced"`` (by another type), ``"hidden"``,
            ``"re-added"`` or ``"rewritten"`` (shipped once more, nothing new).
        fields: What is new beside the version before: of type, content, size, mode, uid, gid,
            mtime, link, xattr, capability, device and hardlink (another inode, which shares its
            content with other paths than the one before; a layer that only links or unlinks other
            paths has no version).
        entry: Ordinal of the tar entry in the layer that says so, None where none does.
        type: ``"file"``, ``"directory"``, ``"symlink"``, ``"device"`` or ``"fifo"``; None when
            hidden.
        size: Bytes of content; of a link, of its text.
        mode: Permission bits.
        uid: Owner.
        gid: Group.
        mtime_ns: Modification time, nanoseconds since the epoch.
        target: Text of a symbolic link, or None.
        xattrs: Pairs of name and value.
        cause: What hid the path, for a hidden one.
    """

    path: str
    layer: int
    step: Step | None
    kind: str
    fields: tuple[str, ...] = ()
    entry: int | None = None
    type: str | None = None
    size: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    target: str | None = None
    xattrs: tuple[tuple[str, bytes], ...] = ()
    cause: Cause | None = None
    _content: Callable[[], ByteSource] | None = field(default=None, repr=False, eq=False)

    def open(self) -> io.BufferedReader:
        """
        Open the content that this version has.

        Raises:
            NotARegularFileError: It is no regular file, or hidden.
            ClosedError: The image was closed.
        """
        if self._content is None:
            raise NotARegularFileError(
                f"layer {self.layer} has no content for it",
                path=self.path,
                layer=self.layer,
                actual=self.type or "hidden",
            )
        return open_buffered(self._content(), self.path, lambda: None, -1)


def versions_of(image: LayerStack, union: Union, path: str) -> tuple[Version, ...]:
    """
    Give what each layer did to a path, oldest first.

    Args:
        image: The image.
        union: A stack of its layers.
        path: Absolute, without links on the way.
    """
    return tuple(_versions(image, union, path))


def _versions(image: LayerStack, union: Union, path: str) -> Iterator[Version]:
    steps = {step.layer: step for step in image.history if step.layer is not None}
    existed = False
    inodes = GrowingInodes(union)
    for event in path_events(union, path, inodes):
        layer = union.slots[event.slot].layer
        kind, fields = _told(image, inodes, event, path, existed=existed)
        existed = existed or event.after is not None
        if event.after is None:
            cause = event.cause
            yield Version(
                path=path,
                layer=layer,
                step=steps.get(layer),
                kind=kind,
                entry=None if cause is None else cause.entry,
                cause=cause,
            )
            continue
        state = event.after
        entry = state.entry
        content = None
        if type_name(entry) == "file" and state.inode is not None:
            content = _opener(image, union, state, path)
        yield Version(
            path=path,
            layer=layer,
            step=steps.get(layer),
            kind=kind,
            fields=fields,
            entry=_ordinal(union, event),
            type=type_name(entry),
            size=entry.size,
            mode=entry.mode & 0o7777,
            uid=entry.uid,
            gid=entry.gid,
            mtime_ns=entry.mtime_ns,
            target=entry.target,
            xattrs=entry.xattrs,
            content=content,
        )


def _opener(
    image: LayerStack, union: Union, state: PathState, path: str
) -> Callable[[], ByteSource]:
    inode = state.inode
    if inode is None:
        raise AssertionError("a directory has no content")

    def content() -> ByteSource:
        image.check_open()
        return content_at(image, union, inode, path)

    return content


def _ordinal(union: Union, event: PathEvent) -> int | None:
    """Give the entry of the event's own layer that speaks of the path, if one does."""
    state = event.after
    if state is None or state.slot != event.slot:
        return None
    index = union.changeset(state.slot).index
    if state.row >= index.rows or index.ordinal[state.row] == ABSENT:
        return None
    return index.ordinal[state.row]


def _told(
    image: LayerStack, inodes: GrowingInodes, event: PathEvent, path: str, *, existed: bool
) -> tuple[str, tuple[str, ...]]:
    before, after = event.before, event.after
    if after is None:
        return "hidden", ()
    if before is None:
        return "re-added" if existed else "added", ()
    fields = list(differing_fields(before.entry, after.entry))
    if "type" in fields:
        return "replaced", tuple(fields)
    if before.inode != after.inode and "content" not in fields:
        compared = after.entry.size and type_name(after.entry) == "file"
        if compared and not _same(image, inodes.union, before, after, path):
            fields.insert(0, "content")
    if _relinked(inodes, before, after, event.slot):
        fields.append("hardlink")
    return ("changed" if fields else "rewritten"), tuple(fields)


def _relinked(inodes: GrowingInodes, before: PathState, after: PathState, slot: int) -> bool:
    """Tell whether another inode has the path, and shares it with other paths."""
    if before.inode == after.inode:
        return False
    if before.inode is None or after.inode is None:
        return True
    return not inodes.named_alike(before.inode, after.inode, slot)


def _same(image: LayerStack, union: Union, one: PathState, other: PathState, path: str) -> bool:
    if one.inode is None or other.inode is None:
        return one.inode == other.inode
    left = content_at(image, union, one.inode, path)
    right = content_at(image, union, other.inode, path)
    for offset in range(0, left.size, _PIECE):
        if left.pread(offset, _PIECE) != right.pread(offset, _PIECE):
            return False
    return True
