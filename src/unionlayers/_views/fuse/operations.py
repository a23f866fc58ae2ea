"""
What the kernel asks of a mounted image, and the answers.

The kernel goes from component to component and follows links itself, so that every path that
comes here is one without links and ``..``.  An image never changes: what was answered once may be
kept for good.
"""

from __future__ import annotations

import errno
import itertools
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from unionlayers._bytes.source import ByteSource
from unionlayers._image.content import content_of
from unionlayers._image.image import Image
from unionlayers._layers.directory import Node
from unionlayers._layers.entry import Entry, shown_time_ns
from unionlayers._layers.resolution import resolve
from unionlayers._layers.status import stat_of
from unionlayers._layers.union import Union
from unionlayers.errors import LayerError, PathError, PathNotADirectoryError

__all__ = ["Operations"]

_BLOCK = 512
_PAGE = 4096
_LONGEST_NAME = 255
_FOR_GOOD = 86_400.0
"""Seconds for which the kernel may keep what it was told: a day, for there is no "for ever"."""


class Operations:
    """
    Answers in the shape that mfusepy asks for; safe from any thread.

    Args:
        image: Whose layers are read.
        union: The stack that is shown.
        begun: Is called once, when the kernel has the mount.
        failed: Is told each error that is no answer about one path.
    """

    use_ns = True
    """Times are integers, in nanoseconds."""

    def __init__(
        self,
        image: Image,
        union: Union,
        begun: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._image = image
        self._union = union
        self._begun = begun
        self._failed = failed
        self._numbers = itertools.count(1)
        self._open: dict[int, ByteSource] = {}

    # -- the mount --------------------------------------------------------------------------------

    def init_with_config(self, _connection: Any, config: Any) -> None:
        """Say what the kernel may keep; libfuse 2 has this in its options."""
        if config is not None:
            config.kernel_cache = 1
            config.entry_timeout = config.attr_timeout = config.negative_timeout = _FOR_GOOD
        self._begun()

    def statfs(self, _path: str) -> dict[str, int]:
        """Tell sizes: of blocks that are all taken, and of names."""
        with self._answering():
            union = self._union
            stored = sum(self._image.layers[slot.layer].size for slot in union.slots)
            entries = sum(union.changeset(slot).index.entries for slot in range(union.top))
            return {
                "f_bsize": _PAGE,
                "f_frsize": _PAGE,
                "f_blocks": -(-stored // _PAGE),
                "f_bfree": 0,
                "f_bavail": 0,
                "f_files": entries,
                "f_ffree": 0,
                "f_favail": 0,
                "f_namemax": _LONGEST_NAME,
            }

    # -- metadata ---------------------------------------------------------------------------------

    def getattr(self, path: str, _handle: int | None) -> dict[str, int]:
        """Tell what stat(2) says."""
        with self._answering():
            node = self._node(path)
            entry = self._union.entry(node)
            found = stat_of(self._union, node, entry)
            profile = self._union.profile
            accessed, changed = (
                found.st_mtime_ns if time is None else shown_time_ns(profile, time)
                for time in (entry.atime_ns, entry.ctime_ns)
            )
            return {
                "st_mode": found.st_mode,
                "st_ino": found.st_ino,
                "st_nlink": found.st_nlink,
                "st_uid": found.st_uid,
                "st_gid": found.st_gid,
                "st_size": found.st_size,
                "st_rdev": found.st_rdev,
                "st_blksize": _PAGE,
                "st_blocks": self._blocks(node, entry),
                "st_atime": accessed,
                "st_mtime": found.st_mtime_ns,
                "st_ctime": changed,
            }

    def readlink(self, path: str) -> str:
        """Give the text of a link, as stored."""
        with self._answering():
            text = self._union.link_text(self._node(path))
            if text is None:
                raise OSError(errno.EINVAL, "not a symbolic link")
            return text

    def listxattr(self, path: str) -> list[str]:
        """Give the names of the extended attributes."""
        with self._answering():
            return [name for name, _ in self._union.entry(self._node(path)).xattrs]

    def getxattr(self, path: str, name: str, *_position: int) -> bytes:
        """Give the value of an extended attribute."""
        with self._answering():
            for known, value in self._union.entry(self._node(path)).xattrs:
                if known == name:
                    return value
            raise OSError(errno.ENODATA, "no such attribute")

    def readdir(self, path: str, _handle: int) -> list[tuple[str, dict[str, int], int]]:
        """Give the names in a directory, with their types and inodes."""
        with self._answering():
            directory = self._node(path).directory
            if directory is None:
                raise PathNotADirectoryError("not a directory", path=path)
            above = directory if directory.parent is None else directory.parent
            return [
                (".", self._listed(directory.node()), 0),
                ("..", self._listed(above.node()), 0),
                *((node.name, self._listed(node), 0) for node in directory.visible()),
            ]

    # -- content ----------------------------------------------------------------------------------

    def open(self, path: str, _flags: int) -> int:
        """Open a file; the kernel has refused to write by then, as the mount is read-only."""
        with self._answering():
            source = content_of(self._image, self._union, self._node(path), path)
            handle = next(self._numbers)
            self._open[handle] = source
            return handle

    def read(self, _path: str, size: int, offset: int, handle: int) -> bytes:
        """Give bytes at an offset; fewer only at the end."""
        with self._answering():
            source = self._open[handle]
            if offset >= source.size:
                return b""
            return source.pread(offset, min(size, source.size - offset))

    def release(self, _path: str, handle: int) -> int:
        """Let go of a file."""
        del self._open[handle]
        return 0

    # -- inside -----------------------------------------------------------------------------------

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Give errors as numbers; those that are no answer about a path are told, and EIO."""
        try:
            self._image.check_open()
            yield
        except PathError as error:
            raise OSError(error.errno or errno.EIO, error.message) from error
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENODATA) and type(error) is OSError:
                raise
            self._failed(error)
            raise OSError(errno.EIO, str(error)) from error
        except Exception as error:
            self._failed(error)
            raise OSError(errno.EIO, str(error)) from error

    def _node(self, path: str) -> Node:
        return resolve(self._union, path, follow=False).node

    def _listed(self, node: Node) -> dict[str, int]:
        """Give type and inode of a name; a hard link without a target has neither until stated."""
        union = self._union
        if node.parent is None:
            return {"st_mode": stat.S_IFDIR, "st_ino": 1}
        slot, row, form = node.slot, node.row, stat.S_IFDIR
        if node.directory is None:
            try:
                slot, row = union.inode(node)
                form = union.form(node)
            except LayerError:
                form = 0
        return {"st_mode": form, "st_ino": (union.slots[slot].layer + 1) << 32 | (row + 1)}

    def _blocks(self, node: Node, entry: Entry) -> int:
        """Give the blocks of 512 bytes that hold content: of a sparse file, those with bytes."""
        if not stat.S_ISREG(entry.mode):
            return 0
        slot, row = self._union.inode(node)
        extra = self._union.changeset(slot).index.extras.get(row)
        stored = entry.size
        if extra is not None and extra.sparse is not None:
            stored = sum(length for _, length in extra.sparse)
        return -(-stored // _BLOCK)
