"""What PyFilesystem asks of a filesystem that is only read, answered from a union of layers."""

from __future__ import annotations

import errno
import io
import stat
import threading
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import IO, Any, BinaryIO

from unionlayers._bytes.source import ByteSource
from unionlayers._foundation.forking import renew_in_children
from unionlayers._image.content import content_of, read_content
from unionlayers._image.image import Image
from unionlayers._image.open_file import open_buffered
from unionlayers._image.owners import read_owners
from unionlayers._image.view_makers import view_maker
from unionlayers._layers.directory import Directory, Node
from unionlayers._layers.resolution import resolve
from unionlayers._layers.scan import Found, Scanner
from unionlayers._layers.union import Union
from unionlayers._views._pyfilesystem import fs
from unionlayers._views.errors import (
    DirectoryExpected,
    FilesystemClosed,
    ResourceReadOnly,
    reraise,
    translating,
)
from unionlayers._views.info import namespaces_of
from unionlayers._views.read_only import ReadOnlyFS
from unionlayers._views.walker import UnionWalker
from unionlayers.errors import (
    ClosedError,
    PathError,
    UnionLayersError,
)

__all__ = ["ReadingFS"]
_META: dict[str, str | int | bool | None] = {
    "case_insensitive": False,
    "invalid_path_chars": "\0",
    "max_path_length": None,
    "network": False,
    "read_only": True,
    "supports_rename": False,
    "thread_safe": True,
    "unicode_paths": True,
    "virtual": False,
}


class ReadingFS(ReadOnlyFS):
    """The questions of PyFilesystem that read; `UnionFS` opens, and adds what is our own."""

    _meta = _META
    walker_class = UnionWalker
    _shown_as = "Hidden files"

    def __init__(self, image: Image, union: Union) -> None:
        super().__init__()
        self._image = image
        self._union = union
        self._owners: Mapping[str, Mapping[int, str]] | None = None
        self._owners_lock = threading.Lock()
        renew_in_children(self)
        self._directories: dict[str, Directory] = {}
        self._scanner = Scanner(union)

    def renew(self) -> None:
        """Take new locks in a forked child."""
        self._owners_lock = threading.Lock()
        # That of `fs.base.FS`.
        self._lock = threading.RLock()

    # -- what PyFilesystem asks for ---------------------------------------------------------------

    def getinfo(self, path: str, namespaces: Collection[str] | None = None) -> Any:
        """
        Describe a path; a link at the end is not followed.

        Args:
            path: A path.
            namespaces: Any of details, access, link, stat, xattr, capability, layer, tar.

        Raises:
            fs.errors.ResourceNotFound: Nothing is there.
        """
        with translating(path):
            node = self._node(path, follow=False)
            return fs.info.Info(self._raw(node, _names(namespaces)))

    def listdir(self, path: str) -> list[str]:
        """
        Give the names in a directory, in byte order; a link to a directory is followed.

        Raises:
            fs.errors.DirectoryExpected: Something else is there.
            fs.errors.ResourceNotFound: Nothing is there.
        """
        with translating(path):
            return self._listed(path).names()

    def scandir(
        self,
        path: str,
        namespaces: Collection[str] | None = None,
        page: tuple[int, int] | None = None,
    ) -> Iterator[Any]:
        """
        Give an ``Info`` for each name in a directory, in byte order; links are not followed.

        Raises:
            fs.errors.DirectoryExpected: Something else is there.
            fs.errors.ResourceNotFound: Nothing is there.
        """
        with translating(path):
            nodes = self._listed(path).nodes()
        found = self._scan(nodes, _names(namespaces))
        return islice(found, *page) if page is not None else found

    def compared(self) -> tuple[Image, Union]:
        """
        Give the image and the stack that are shown: what `unionlayers.diff` compares.

        Raises:
            fs.errors.FilesystemClosed: The view was closed.
        """
        self.check()
        return self._image, self._union

    def directory_of(self, path: str) -> Directory | None:
        """
        Give the directory that a walk starts from; None where a subclass scans in its own way.

        Raises:
            fs.errors.DirectoryExpected: Something else is there.
            fs.errors.ResourceNotFound: Nothing is there.
        """
        if type(self).scandir is not ReadingFS.scandir:
            return None
        with translating(path):
            return self._listed(path)

    def scan(
        self, directory: Directory, namespaces: Collection[str] | None
    ) -> Iterator[tuple[Any, Directory | None]]:
        """Give what `scandir` does, and beside each directory what a walk goes on with."""
        names = _names(namespaces)
        make = fs.info.Info
        try:
            for node in directory.nodes():
                self.check()
                yield make(self._raw(node, names)), node.directory
        except UnionLayersError as error:
            reraise(error)

    def listings(self, start: Directory) -> Iterator[tuple[str, list[Found]]]:
        """
        Give what is in each directory, breadth first and in byte order, for walks without facts.

        Args:
            start: Where to begin.

        Returns:
            Pairs of the path below the start, empty for itself, and its names.
        """
        try:
            for path, found in self._scanner.breadth(start):
                self.check()
                yield path, found
        except UnionLayersError as error:
            reraise(error)

    def _scan(self, nodes: Iterator[Node], names: frozenset[str]) -> Iterator[Any]:
        make = fs.info.Info
        try:
            for node in nodes:
                self.check()
                yield make(self._raw(node, names))
        except UnionLayersError as error:
            reraise(error)

    def openbin(
        self,
        path: str,
        mode: str = "r",
        buffering: int = -1,
        **options: Any,  # noqa: ARG002 - the signature is PyFilesystem's
    ) -> BinaryIO:
        """
        Open a regular file for reading; a link to one is followed.

        Raises:
            fs.errors.ResourceReadOnly: The mode asks for more than reading.
            fs.errors.FileExpected: A directory, device or FIFO is there.
            fs.errors.ResourceNotFound: Nothing is there, or a dangling link.
        """
        opened = fs.mode.Mode(mode)
        opened.validate_bin()
        self.check()
        if opened.writing:
            raise ResourceReadOnly("an image is read-only", path=path)
        source = self._content(path)
        return open_buffered(source, path, self._check_source, buffering)

    def open(
        self,
        path: str,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = "",
        line_buffering: bool = False,
        **options: Any,
    ) -> IO[Any]:
        """
        Open a regular file for reading, as text in UTF-8 unless told otherwise; links are followed.

        What comes is a file of Python's own ``io``: PyFilesystem's wrapper closes a file under
        whoever iterates over it without keeping it.

        Raises:
            fs.errors.ResourceReadOnly: The mode asks for more than reading.
            fs.errors.FileExpected: A directory, device or FIFO is there.
            fs.errors.ResourceNotFound: Nothing is there, or a dangling link.
            ValueError: The mode is none.
        """
        fs.mode.validate_open_mode(mode)
        opened = self.openbin(path, mode.replace("t", ""), buffering, **options)
        if "b" in mode:
            return opened
        text = io.TextIOWrapper(
            opened, encoding or "utf-8", errors, newline, line_buffering=line_buffering
        )
        setattr(text, "mode", mode)  # noqa: B010 - the checker takes it for read-only
        return text

    def opendir(self, path: str, factory: Any = None) -> Any:
        """
        Give a directory as a filesystem of its own; a link to one is followed.

        Raises:
            fs.errors.DirectoryExpected: Something else is there.
            fs.errors.ResourceNotFound: Nothing is there.
        """
        with translating(path):
            self._listed(path)
        return (factory or self.subfs_class or fs.subfs.SubFS)(self, path)

    # -- quick answers ----------------------------------------------------------------------------

    def exists(self, path: str) -> bool:
        """Tell whether a path leads to something, links followed."""
        return self._lookup(path) is not None

    def isdir(self, path: str) -> bool:
        """Tell whether a path leads to a directory, links followed."""
        node = self._lookup(path)
        return node is not None and node.directory is not None

    def isfile(self, path: str) -> bool:
        """Tell whether a path leads to anything but a directory, links followed."""
        node = self._lookup(path)
        return node is not None and node.directory is None

    def islink(self, path: str) -> bool:
        """
        Tell whether a path itself is a symbolic link.

        Raises:
            fs.errors.ResourceNotFound: Nothing is there.
        """
        with translating(path):
            node = self._node(path, follow=False)
            return node.directory is None and self._union.form(node) == stat.S_IFLNK

    def getsize(self, path: str) -> int:
        """Give the bytes of what a path leads to, links followed."""
        with translating(path):
            return self._union.entry(self._node(path, follow=True)).size

    def readbytes(self, path: str) -> bytes:
        """Read a whole file; a link to one is followed."""
        try:
            node = self._node(path, follow=True)
            return read_content(self._image, self._union, node, path)
        except UnionLayersError as error:
            reraise(error, path)

    def _repr_html_(self) -> str:
        """Show the tree in a notebook."""
        shown: str = view_maker("html_of_view")(
            self._image,
            self._union,
            what=self._shown_as,
            closed=self._closed or self._image.closed,
        )
        return shown

    # -- inside -----------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise ``FilesystemClosed`` if the view or its image was closed."""
        if self._closed or self._image.closed:
            raise FilesystemClosed("the filesystem was closed")

    def _path(self, path: str) -> str:
        """Normalise a path lexically; clean ones take the short way."""
        self.check()
        if (
            not isinstance(path, str)
            or "\0" in path
            or "/." in path
            or "//" in path
            or path[:1] == "."
        ):
            path = self.validatepath(path)
        return path.rstrip("/")

    def _node(self, path: str, *, follow: bool) -> Node:
        """Find a path, going on from what its directory was found to be before."""
        clean = self._path(path)
        above, _, name = clean.rpartition("/")
        if name:
            directory = self._directories.get(above) or self._directory(above)
            found = None if directory is None else directory.lookup(name)
            if found is not None and (
                found.directory is not None or not follow or self._union.form(found) != stat.S_IFLNK
            ):
                return found
        # A link at the end, or an error, which belongs to the whole path.
        return resolve(self._union, clean, follow=follow).node

    def _directory(self, path: str) -> Directory | None:
        """Find a directory and keep it; None if something else or nothing is there."""
        try:
            found = resolve(self._union, path).node.directory
        except PathError:
            return None
        if found is not None:
            self._keep(path, found)
        return found

    def _keep(self, path: str, directory: Directory) -> None:
        if len(self._directories) >= _MOST_DIRECTORIES:
            self._directories.clear()
        self._directories[path] = directory

    def _listed(self, path: str) -> Directory:
        """Find the directory that is to be listed."""
        directory = self._node(path, follow=True).directory
        if directory is None:
            raise DirectoryExpected("not a directory", path=path)
        self._keep(self._path(path), directory)
        return directory

    def _lookup(self, path: str) -> Node | None:
        try:
            return self._node(path, follow=True)
        except PathError as error:
            if error.errno in _ABSENT:
                return None
            reraise(error, path)
        except UnionLayersError as error:
            reraise(error, path)

    def _content(self, path: str) -> ByteSource:
        with translating(path):
            node = self._node(path, follow=True)
            return content_of(self._image, self._union, node, path)

    def _check_source(self) -> None:
        if self._image.closed:
            raise ClosedError("the image was closed")

    def _raw(self, node: Node, names: frozenset[str]) -> dict[str, dict[str, Any]]:
        owners = self._known_owners() if "access" in names else _NOBODY
        return namespaces_of(self._image, self._union, node, names, owners)

    def _known_owners(self) -> Mapping[str, Mapping[int, str]]:
        if self._owners is None:
            with self._owners_lock:
                self._owners = self._owners or read_owners(self._image, self._union)
        return self._owners


def _names(namespaces: Collection[str] | None) -> frozenset[str]:
    return frozenset(namespaces or ())


_NOBODY: Mapping[str, Mapping[int, str]] = {"user": {}, "group": {}}
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_MOST_DIRECTORIES = 1024
