"""An image, or some of its layers, as one read-only PyFilesystem."""

from __future__ import annotations

import errno
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO, Literal, Self

from attrs import frozen

from unionlayers._bytes.source import ByteSource
from unionlayers._codec.forward import Progress
from unionlayers._foundation.limits import Limits
from unionlayers._image.content import content_of
from unionlayers._image.image import Image, LayerChoice
from unionlayers._image.open_file import open_buffered
from unionlayers._image.opening import Source, open_image
from unionlayers._layers.directory import Node
from unionlayers._layers.finding import Finding
from unionlayers._layers.profile import Profile
from unionlayers._layers.resolution import Link, Resolution, resolve
from unionlayers._layers.stack_findings import stack_findings
from unionlayers._views._pyfilesystem import errors as fs_errors
from unionlayers._views._pyfilesystem import fs
from unionlayers._views.errors import (
    FilesystemClosed,
    ResourceReadOnly,
    translated,
)
from unionlayers._views.info import Stat, namespaces_of, stat_of
from unionlayers._views.owners import read_owners
from unionlayers._views.read_only import ReadOnlyFS
from unionlayers._views.walker import UnionWalker
from unionlayers.errors import (
    ClosedError,
    PathError,
    PathNotADirectoryError,
    UnionLayersError,
)

__all__ = ["RealPath", "UnionFS"]

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


@frozen
class RealPath:
    """
    Where a path led.

    Attributes:
        path: The absolute path without links.
        links: The symbolic links on the way, in the order they were followed.
    """

    path: str
    links: tuple[Link, ...]


@contextmanager
def _translating(path: str) -> Iterator[None]:
    """Turn errors of the core into those that PyFilesystem users catch."""
    try:
        yield
    except UnionLayersError as error:
        raise translated(error, path) from error


class UnionFS(ReadOnlyFS):
    """
    A read-only filesystem over a stack of layers.

    Nothing is extracted and nothing is read before a question needs it.  Paths are normalised
    lexically, as PyFilesystem demands.  Links on the way are followed inside the image; a link at
    the end is followed by what opens or measures (`openbin`, `readbytes`, `isdir`, `isfile`,
    `exists`, `getsize`, `listdir`, `scandir`), not by what describes (`getinfo`, `islink`,
    `gettype`).  Names that are not UTF-8 come as surrogate escapes.

    Args:
        source: What `open_image` takes; closing this filesystem then closes it.
        layers: A slice, distinct indexes or a predicate over `Layer`.
        profile: How the stack is read where runtimes differ.

    The other arguments are those of `open_image`.

    Example:
        >>> from unionlayers import UnionFS
        >>> with UnionFS("examples/demo-image/ledger.oci.tar") as view:
        ...     view.isdir("/etc")
        True
    """

    _meta = _META
    walker_class = UnionWalker

    def __init__(
        self,
        source: Source,
        *,
        layers: LayerChoice = None,
        reference: str | None = None,
        platform: str | None = None,
        profile: Profile | str | None = None,
        on_invalid: Literal["error", "warn"] = "error",
        missing: Literal["error", "skip"] = "error",
        verify: bool = True,
        limits: Limits | None = None,
        index_store: object = None,
        progress: Progress | None = None,
    ) -> None:
        image = open_image(
            source,
            reference=reference,
            platform=platform,
            profile="oci" if profile is None else profile,
            on_invalid=on_invalid,
            missing=missing,
            verify=verify,
            limits=limits,
            index_store=index_store,
            progress=progress,
        )
        try:
            self._setup(image, layers, None, owns=True)
        except BaseException:
            image.close()
            raise

    @classmethod
    def over(cls, image: Image, layers: LayerChoice, profile: Profile | str | None) -> UnionFS:
        """Give a view over an open image; closing the view leaves the image open."""
        view = cls.__new__(cls)
        view._setup(image, layers, profile, owns=False)
        return view

    def _setup(
        self, image: Image, layers: LayerChoice, profile: Profile | str | None, *, owns: bool
    ) -> None:
        super().__init__()
        self._image = image
        self._owns = owns
        self._chosen = tuple(layer.index for layer in image.chosen(layers))
        self._profile = profile
        self._union = image.union(self._chosen, profile)
        self._owners: Mapping[str, Mapping[int, str]] | None = None
        self._owners_lock = threading.Lock()

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
        with _translating(path):
            node = self._find(path, follow=False).node
            return fs.info.Info(self._raw(node, _names(namespaces)))

    def listdir(self, path: str) -> list[str]:
        """
        Give the names in a directory, in byte order; a link to a directory is followed.

        Raises:
            fs.errors.DirectoryExpected: Something else is there.
            fs.errors.ResourceNotFound: Nothing is there.
        """
        with _translating(path):
            directory = self._find(path, follow=True).node.directory
            if directory is None:
                raise PathNotADirectoryError("not a directory", path=path)
            return directory.names()

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
        with _translating(path):
            directory = self._find(path, follow=True).node.directory
            if directory is None:
                raise PathNotADirectoryError("not a directory", path=path)
            nodes = directory.nodes()
        found = self._scan(nodes, _names(namespaces))
        return islice(found, *page) if page is not None else found

    def _scan(self, nodes: Iterator[Node], names: frozenset[str]) -> Iterator[Any]:
        make = fs.info.Info
        try:
            for node in nodes:
                self.check()
                yield make(self._raw(node, names))
        except UnionLayersError as error:
            raise translated(error) from error

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

    def opendir(self, path: str, factory: Any = None) -> Any:
        """
        Give a directory as a filesystem of its own; a link to one is followed.

        Raises:
            fs.errors.DirectoryExpected: Something else is there.
            fs.errors.ResourceNotFound: Nothing is there.
        """
        with _translating(path):
            if self._find(path, follow=True).node.directory is None:
                raise PathNotADirectoryError("not a directory", path=path)
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
        with _translating(path):
            return self._union.entry(self._find(path, follow=False).node).target is not None

    def getsize(self, path: str) -> int:
        """Give the bytes of what a path leads to, links followed."""
        with _translating(path):
            return self._union.entry(self._find(path, follow=True).node).size

    def readbytes(self, path: str) -> bytes:
        """Read a whole file; a link to one is followed."""
        with _translating(path):
            source = self._content(path)
            return source.pread(0, source.size)

    # -- beyond PyFilesystem ----------------------------------------------------------------------

    @property
    def image(self) -> Image:
        """The image that this is a view of."""
        return self._image

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is odd about this stack under its profile; indexes what is missing."""
        self.check()
        with _translating("/"):
            return stack_findings(self._union)

    def stat(self, path: str, *, follow: bool = True) -> Stat:
        """
        Give what ``os.stat`` would say, or ``os.lstat`` without *follow*.

        Raises:
            fs.errors.ResourceNotFound: Nothing is there.
        """
        with _translating(path):
            node = self._find(path, follow=follow).node
            return stat_of(self._union, node, self._union.entry(node))

    def realpath(self, path: str) -> RealPath:
        """
        Give the path without links, and the links that were followed on the way.

        Raises:
            fs.errors.ResourceNotFound: A link dangles.
            fs.errors.ResourceInvalid: Links lead in a circle.
        """
        with _translating(path):
            found = self._find(path, follow=True)
            return RealPath(found.node.path, found.links)

    def find(
        self,
        pattern: str | None = None,
        *,
        types: Collection[str] = ("file",),
        namespaces: Collection[str] = (),
        order: Literal["path", "storage"] = "path",
    ) -> Iterator[tuple[str, Any]]:
        """
        Give (path, Info) of what matches, without following links.

        Args:
            pattern: Shell pattern of the whole path; ``**`` matches any number of directories;
                None matches everything.
            types: Any of file, directory, symlink, device, fifo.
            namespaces: What each ``Info`` holds beside basic, details and link.
            order: ``"path"``: parents first, byte order; ``"storage"``: as the layers store them,
                so that reading each file as it comes decompresses every layer once.

        Raises:
            ValueError: An unknown type or order.

        Cost:
            The directories below the part of the pattern that has no wildcard.
        """
        from unionlayers._views.union_find import find_in

        return find_in(self, pattern, types=types, namespaces=namespaces, order=order)

    def __enter__(self) -> Self:
        """Give the view itself."""
        return self

    def close(self) -> None:
        """Close the view, and the source if it was opened here; closing twice is allowed."""
        if getattr(self, "_owns", False) and not self.isclosed():
            self._image.close()
        super().close()

    def geturl(self, path: str, purpose: str = "download") -> str:
        """Raise ``NoURL``: a view is no place that can be downloaded from."""
        self.validatepath(path)
        raise fs_errors.NoURL(path, purpose)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as what opens it again; the source must be a path."""
        return _opened_again, (self._image, self._chosen, self._profile)

    def __str__(self) -> str:
        """Show the source."""
        return f"<UnionFS {self._image.label!r}>"

    def __repr__(self) -> str:
        """Show the source and the layers."""
        return f"UnionFS({self._image.label!r}, layers={list(self._chosen)})"

    # -- inside -----------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise ``FilesystemClosed`` if the view or its image was closed."""
        if self._closed or self._image.closed:
            raise FilesystemClosed("the filesystem was closed")

    def _path(self, path: str) -> str:
        """Normalise a path lexically; clean ones take the short way."""
        self.check()
        if not isinstance(path, str) or "\0" in path or "//" in path or "." in path:
            return self.validatepath(path)
        return path

    def _find(self, path: str, *, follow: bool) -> Resolution:
        clean = self._path(path)
        return resolve(self._union, clean.rstrip("/"), follow=follow)

    def _lookup(self, path: str) -> Node | None:
        try:
            return self._find(path, follow=True).node
        except PathError as error:
            if error.errno in _ABSENT:
                return None
            raise translated(error, path) from error
        except UnionLayersError as error:
            raise translated(error, path) from error

    def _content(self, path: str) -> ByteSource:
        with _translating(path):
            node = self._find(path, follow=True).node
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


def _opened_again(image: Image, layers: tuple[int, ...], profile: Profile | str | None) -> UnionFS:
    """Open a view again where a pickle is loaded; the image is its own there."""
    view = UnionFS.over(image, layers, profile)
    view._owns = True
    return view


def _names(namespaces: Collection[str] | None) -> frozenset[str]:
    return frozenset(namespaces or ())


_NOBODY: Mapping[str, Mapping[int, str]] = {"user": {}, "group": {}}
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
