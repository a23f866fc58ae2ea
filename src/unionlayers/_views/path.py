"""A path in an image, in the shape of ``pathlib`` and ``importlib.resources``."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Mapping
from functools import total_ordering
from pathlib import PurePosixPath
from typing import IO, Any, Self

from unionlayers._foundation.names import encode
from unionlayers._image.content import content_of
from unionlayers._image.image import Image
from unionlayers._image.open_file import open_buffered
from unionlayers._image.owners import read_owners
from unionlayers._layers.directory import Node
from unionlayers._layers.path_glob import glob_below
from unionlayers._layers.resolution import resolve
from unionlayers._layers.status import Stat, stat_of
from unionlayers._layers.union import Union
from unionlayers.errors import (
    InvalidPathError,
    LinkLoopError,
    NotALinkError,
    PathNotADirectoryError,
    PathNotFoundError,
    ReadOnlyError,
)

__all__ = ["ImagePath"]

_ABSENT = (PathNotFoundError, PathNotADirectoryError, LinkLoopError, InvalidPathError)


@total_ordering
class ImagePath:
    """
    One path in the union of an image's layers; made by `Image.path`.

    Always absolute.  Links and ``..`` are taken as the kernel takes them, inside the image: ``..``
    after the link before it, and a trailing slash, which is kept, asks for a directory.  What is
    asked of no path in particular is answered without looking at the image, as ``PurePosixPath``
    does.  Fits ``importlib.resources.abc.Traversable``.  Names that are not UTF-8 come as surrogate
    escapes.  Paths are equal, hash and pickle by their text and their image, and are ordered by
    the bytes of their components.

    Example:
        >>> from unionlayers import open_image
        >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
        ...     path = image.path("/etc") / "os-release"
        ...     path.is_file(), path.readlink(), path.resolve(), path.owner(), path.layer
        (True, '../usr/lib/os-release', ImagePath('/usr/lib/os-release'), 'root', 0)
    """

    __slots__ = ("_image", "_path", "_shared")

    def __init__(self, image: Image, path: str | os.PathLike[str] = "/") -> None:
        self._image = image
        self._path = _clean(os.fspath(path))
        self._shared = _Shared(image)

    # -- the path itself --------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The last component; empty for the root."""
        return self._pure.name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self._pure.stem

    @property
    def suffix(self) -> str:
        """What the name ends with from its last dot on, such as ``.gz``; empty without."""
        return self._pure.suffix

    @property
    def suffixes(self) -> list[str]:
        """All suffixes, such as ``[".tar", ".gz"]``."""
        return self._pure.suffixes

    @property
    def parts(self) -> tuple[str, ...]:
        """The components, ``"/"`` first."""
        return self._pure.parts

    @property
    def parent(self) -> ImagePath:
        """The path without its last component; the root is its own."""
        return self._at(str(self._pure.parent))

    @property
    def parents(self) -> tuple[ImagePath, ...]:
        """The parent, its parent and so on to the root."""
        return tuple(self._at(str(above)) for above in self._pure.parents)

    def joinpath(self, *parts: str | os.PathLike[str]) -> ImagePath:
        """Give a path below this one; an absolute part starts anew, an empty one says nothing."""
        path = self._path
        for part in [os.fspath(part) for part in parts]:
            if part:
                path = part if part.startswith("/") else f"{path}/{part}"
        return self._at(path)

    def __truediv__(self, part: str | os.PathLike[str]) -> ImagePath:
        """Give a path below this one."""
        try:
            return self.joinpath(part)
        except TypeError:
            return NotImplemented

    def with_name(self, name: str) -> ImagePath:
        """Give the path with another last component."""
        return self._at(str(self._pure.with_name(name)))

    def with_stem(self, stem: str) -> ImagePath:
        """Give the path with another name before its suffix."""
        return self._at(str(self._pure.with_stem(stem)))

    def with_suffix(self, suffix: str) -> ImagePath:
        """Give the path with another suffix, or with none for an empty text."""
        return self._at(str(self._pure.with_suffix(suffix)))

    def relative_to(self, other: ImagePath | str) -> PurePosixPath:
        """
        Give what leads from another path to this one, by their components alone.

        Raises:
            ValueError: This one is not below the other.
        """
        return self._pure.relative_to(_pure_of(other))

    def is_relative_to(self, other: ImagePath | str) -> bool:
        """Tell whether this path is the other or below it, by their components alone."""
        return self._pure.is_relative_to(_pure_of(other))

    def is_absolute(self) -> bool:
        """Tell that it is: paths in an image start at its root."""
        return True

    def as_posix(self) -> str:
        """Give the path as text."""
        return self._path

    def match(self, pattern: str) -> bool:
        """Tell whether the path matches a pattern as ``PurePosixPath.match`` takes it."""
        return self._pure.match(pattern)

    # -- what is there ----------------------------------------------------------------------------

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether something is there, and with *follow_symlinks* where a link leads."""
        return self._found(follow=follow_symlinks) is not None

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether a directory is there, or where a link leads."""
        return self._form(follow=follow_symlinks) == stat.S_IFDIR

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether a regular file is there, or where a link leads."""
        return self._form(follow=follow_symlinks) == stat.S_IFREG

    def is_symlink(self) -> bool:
        """Tell whether the path itself is a symbolic link."""
        return self._form(follow=False) == stat.S_IFLNK

    def is_fifo(self) -> bool:
        """Tell whether a FIFO is there, links followed."""
        return self._form() == stat.S_IFIFO

    def is_char_device(self) -> bool:
        """Tell whether a character device is there, links followed."""
        return self._form() == stat.S_IFCHR

    def is_block_device(self) -> bool:
        """Tell whether a block device is there, links followed."""
        return self._form() == stat.S_IFBLK

    @property
    def info(self) -> Self:
        """What answers ``exists``, ``is_dir``, ``is_file`` and ``is_symlink``: the path itself."""
        return self

    @property
    def layer(self) -> int | None:
        """Index of the layer that supplies what the path leads to; None where none has an entry."""
        union = self._union
        found = union.supplier(self._node())
        return None if found is None else union.slots[found[0]].layer

    def stat(self, *, follow_symlinks: bool = True) -> Stat:
        """
        Give what ``os.stat`` would say of what the path leads to.

        Raises:
            PathNotFoundError: Nothing is there, or a link dangles.
            LinkLoopError: Links lead in a circle.
            PathNotADirectoryError: A component on the way is no directory.
        """
        node = self._node(follow=follow_symlinks)
        return stat_of(self._union, node, self._union.entry(node))

    def lstat(self) -> Stat:
        """Give what ``os.lstat`` would say of the path itself."""
        return self.stat(follow_symlinks=False)

    def owner(self, *, follow_symlinks: bool = True) -> str | None:
        """Give the user's name from the image's own ``/etc/passwd``, None if it has none."""
        found = self.stat(follow_symlinks=follow_symlinks).st_uid
        return self._shared.owners()["user"].get(found)

    def group(self, *, follow_symlinks: bool = True) -> str | None:
        """Give the group's name from the image's own ``/etc/group``, None if it has none."""
        found = self.stat(follow_symlinks=follow_symlinks).st_gid
        return self._shared.owners()["group"].get(found)

    def readlink(self) -> str:
        """
        Give the text of a symbolic link, as stored.

        Raises:
            NotALinkError: Something else is there.
        """
        target = self._union.link_text(self._node(follow=False))
        if target is None:
            raise NotALinkError("not a symbolic link", path=self._path)
        return target

    def resolve(self) -> ImagePath:
        """
        Give the path without links and ``..``.

        Raises:
            PathNotFoundError: Nothing is there, or a link dangles.
            LinkLoopError: Links lead in a circle.
        """
        return self._at(self._node().path)

    def samefile(self, other: ImagePath | str) -> bool:
        """Tell whether another path of the image leads to the same inode."""
        there = other if isinstance(other, ImagePath) else self._at(other)
        return self._same_image(there) and self.stat().st_ino == there.stat().st_ino

    # -- down the tree ----------------------------------------------------------------------------

    def iterdir(self) -> Iterator[ImagePath]:
        """
        Give the paths in a directory, in byte order.

        Raises:
            PathNotADirectoryError: Something else is there.
        """
        directory = self._node().directory
        if directory is None:
            raise PathNotADirectoryError("not a directory", path=self._path)
        return map(self.joinpath, directory.names())

    def glob(self, pattern: str) -> Iterator[ImagePath]:
        """
        Give the paths below this one that match, each once, parents first.

        ``*``, ``?``, ``[a-z]`` and ``[!a-z]`` stand for characters of one component, ``**`` for
        any number of components, none too, whatever is there; a dot is like any other character.  A
        link to a directory is gone through where a component names or matches it, never by
        ``**``.  A slash at the end asks for directories.  Where nothing is, nothing matches.

        Raises:
            ValueError: The pattern is empty, absolute, or has ``..``.

        Cost:
            Only directories in which a name can match are listed.

        Source:
            ``pathlib.Path.glob`` of Python 3.13.
        """
        node = self._found()
        if node is None or node.directory is None:
            return iter(())
        return map(self.joinpath, glob_below(self._union, node.directory, pattern))

    def rglob(self, pattern: str) -> Iterator[ImagePath]:
        """Give the paths that match at any depth below this one, as `glob` of ``**/`` with it."""
        if pattern.startswith("/") or not pattern:
            raise ValueError(f"a pattern is relative, and not empty: {pattern!r}")
        return self.glob(f"**/{pattern}")

    # -- bytes ------------------------------------------------------------------------------------

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """
        Open a regular file for reading, as text in UTF-8 unless the mode has ``b``.

        Raises:
            ReadOnlyError: The mode asks for more than reading.
            PathNotFoundError: Nothing is there, or a link dangles.
            PathIsADirectoryError: A directory is there.
            NotARegularFileError: A device or FIFO is there.
            ValueError: The mode is none.
        """
        if set(mode) & set("wax+"):
            raise ReadOnlyError("an image is read-only", path=self._path)
        if sorted(mode.replace("b", "", 1).replace("t", "", 1)) != ["r"] or {*"bt"} <= set(mode):
            raise ValueError(f"invalid mode: {mode!r}")
        source = content_of(self._image, self._union, self._node(), self._path)
        raw = open_buffered(source, self._path, self._image.check_open, buffering)
        if "b" in mode:
            return raw
        return io.TextIOWrapper(raw, encoding or "utf-8", errors, newline)

    def read_bytes(self) -> bytes:
        """Read a whole file."""
        with self.open("rb") as file:
            return bytes(file.read())

    def read_text(
        self, encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> str:
        """Read a whole file as text, UTF-8 by default."""
        with self.open("r", encoding=encoding, errors=errors, newline=newline) as file:
            return str(file.read())

    # -- as a value -------------------------------------------------------------------------------

    def __str__(self) -> str:
        """Give the path."""
        return self._path

    def __repr__(self) -> str:
        """Show the path."""
        return f"ImagePath({self._path!r})"

    def __eq__(self, other: object) -> bool:
        """Equal for the same path of the same image, as it was opened."""
        if not isinstance(other, ImagePath):
            return NotImplemented
        return self._path == other._path and self._same_image(other)

    def __hash__(self) -> int:
        """Hash by the path."""
        return hash(self._path)

    def __lt__(self, other: object) -> bool:
        """Order by the bytes of the components, of paths of one image."""
        if not isinstance(other, ImagePath) or not self._same_image(other):
            return NotImplemented
        return self._key < other._key

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the image; TypeError unless its source is a path."""
        return ImagePath, (self._image, self._path)

    # -- inside -----------------------------------------------------------------------------------

    @property
    def _pure(self) -> PurePosixPath:
        return PurePosixPath(self._path)

    @property
    def _key(self) -> list[bytes]:
        return encode(self._path).split(b"/")

    @property
    def _union(self) -> Union:
        return self._shared.union

    def _at(self, path: str) -> ImagePath:
        made = ImagePath.__new__(ImagePath)
        made._image = self._image
        made._path = _clean(path)
        made._shared = self._shared
        return made

    def _same_image(self, other: ImagePath) -> bool:
        one, two = self._image, other._image
        if one is two:
            return True
        known = one.opened_from is not None and one.opened_from == two.opened_from
        return known and (one.profile, one.options.on_invalid, one.options.missing) == (
            two.profile, two.options.on_invalid, two.options.missing,
        )  # fmt: skip

    def _node(self, *, follow: bool = True) -> Node:
        self._image.check_open()
        if "\0" in self._path:
            raise InvalidPathError("a path with a NUL byte", path=self._path)
        return resolve(self._union, self._path, follow=follow).node

    def _found(self, *, follow: bool = True) -> Node | None:
        try:
            return self._node(follow=follow)
        except _ABSENT:
            return None

    def _form(self, *, follow: bool = True) -> int | None:
        node = self._found(follow=follow)
        return None if node is None else self._union.form(node)


class _Shared:
    """What all paths that come from one have in common: the stack, and the names of owners."""

    __slots__ = ("_image", "_owners", "union")

    def __init__(self, image: Image) -> None:
        self._image = image
        self._owners: Mapping[str, Mapping[int, str]] | None = None
        self.union = image.union()

    def owners(self) -> Mapping[str, Mapping[int, str]]:
        """Give the names by number; reading them twice at once gives the same."""
        if self._owners is None:
            self._owners = read_owners(self._image, self.union)
        return self._owners


def _clean(path: str) -> str:
    """Give a path from the root, without empty components and ``.``; a trailing slash is kept."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    slash = "/" if parts and path.endswith(("/", "/.")) else ""
    return f"/{'/'.join(parts)}{slash}"


def _pure_of(path: ImagePath | str) -> PurePosixPath:
    return PurePosixPath(_clean(str(path)))
