"""A path in an image, in the shape of ``pathlib`` and ``importlib.resources``."""

from __future__ import annotations

import io
import posixpath
import stat
from collections.abc import Iterator
from typing import IO, Any

from unionlayers._image.content import content_of
from unionlayers._image.image import Image
from unionlayers._image.open_file import open_buffered
from unionlayers._layers.directory import Node
from unionlayers._layers.entry import Entry
from unionlayers._layers.resolution import resolve
from unionlayers._layers.union import Union
from unionlayers.errors import (
    LinkLoopError,
    NotALinkError,
    PathNotADirectoryError,
    PathNotFoundError,
    ReadOnlyError,
)

__all__ = ["ImagePath"]


class ImagePath:
    """
    One path in the union of an image's layers; made by `Image.path`.

    Links and ``..`` are taken as the kernel takes them, inside the image.  Fits
    ``importlib.resources.abc.Traversable``.

    Example:
        >>> from unionlayers import open_image
        >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
        ...     (image.path("/etc") / "os-release").is_file()
        True
    """

    def __init__(self, image: Image, path: str = "/", *, union: Union | None = None) -> None:
        self._image = image
        self._path = path if path.startswith("/") else f"/{path}"
        self._union = union if union is not None else image.union()

    @property
    def name(self) -> str:
        """The last component; empty for the root."""
        return posixpath.basename(self._path.rstrip("/"))

    @property
    def parent(self) -> ImagePath:
        """The path without its last component."""
        return self._at(posixpath.dirname(self._path.rstrip("/")) or "/")

    @property
    def layer(self) -> int | None:
        """Index of the layer that supplies what the path leads to; None where none has an entry."""
        found = self._union.supplier(self._node())
        return None if found is None else self._union.slots[found[0]].layer

    def joinpath(self, *parts: str) -> ImagePath:
        """Give a path below this one."""
        return self._at(posixpath.join(self._path, *parts))

    def __truediv__(self, part: str) -> ImagePath:
        """Give a path below this one."""
        return self.joinpath(part)

    def iterdir(self) -> Iterator[ImagePath]:
        """Give the paths in a directory, in byte order."""
        directory = self._node().directory
        if directory is None:
            raise PathNotADirectoryError("not a directory", path=self._path)
        return iter([self.joinpath(name) for name in directory.names()])

    def exists(self) -> bool:
        """Tell whether the path leads to something, links followed."""
        return self._found() is not None

    def is_dir(self) -> bool:
        """Tell whether the path leads to a directory, links followed."""
        node = self._found()
        return node is not None and node.directory is not None

    def is_file(self) -> bool:
        """Tell whether the path leads to a regular file, links followed."""
        node = self._found()
        return node is not None and stat.S_ISREG(self._union.entry(node).mode)

    def is_symlink(self) -> bool:
        """Tell whether the path itself is a symbolic link."""
        node = self._found(follow=False)
        return node is not None and stat.S_ISLNK(self._union.entry(node).mode)

    def readlink(self) -> str:
        """Give the text of a symbolic link."""
        target = self.lstat().target
        if target is None:
            raise NotALinkError("not a symbolic link", path=self._path)
        return target

    def resolve(self) -> ImagePath:
        """Give the path without links."""
        return self._at(self._node().path)

    def stat(self) -> Entry:
        """Give the metadata of what the path leads to."""
        return self._union.entry(self._node())

    def lstat(self) -> Entry:
        """Give the metadata of the path itself."""
        return self._union.entry(self._node(follow=False))

    def open(self, mode: str = "r", *, encoding: str | None = None) -> IO[Any]:
        """Open a regular file for reading, as text unless the mode has ``b``."""
        if set(mode) - set("rbt"):
            raise ReadOnlyError("an image is read-only", path=self._path)
        source = content_of(self._image, self._union, self._node(), self._path)
        raw = open_buffered(source, self._path, self._image.check_open, -1)
        return raw if "b" in mode else io.TextIOWrapper(raw, encoding=encoding or "utf-8")

    def read_bytes(self) -> bytes:
        """Read a whole file."""
        with self.open("rb") as file:
            return bytes(file.read())

    def read_text(self, encoding: str | None = None) -> str:
        """Read a whole file as text, UTF-8 by default."""
        with self.open("r", encoding=encoding) as file:
            return str(file.read())

    def __str__(self) -> str:
        """Give the path."""
        return self._path

    def __repr__(self) -> str:
        """Show the path."""
        return f"ImagePath({self._path!r})"

    def __eq__(self, other: object) -> bool:
        """Equal for the same path of the same image."""
        if not isinstance(other, ImagePath):
            return NotImplemented
        return self._path == other._path and self._image is other._image

    def __hash__(self) -> int:
        """Hash by the path."""
        return hash(self._path)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the image."""
        return ImagePath, (self._image, self._path)

    def _at(self, path: str) -> ImagePath:
        return ImagePath(self._image, path, union=self._union)

    def _node(self, *, follow: bool = True) -> Node:
        self._image.check_open()
        return resolve(self._union, self._path, follow=follow).node

    def _found(self, *, follow: bool = True) -> Node | None:
        try:
            return self._node(follow=follow)
        except (PathNotFoundError, PathNotADirectoryError, LinkLoopError):
            return None
