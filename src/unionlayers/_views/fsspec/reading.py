"""What fsspec asks of a filesystem that is only read, answered from a union of layers."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from unionlayers._bytes.source import ByteSource
from unionlayers._image.content import content_of
from unionlayers._image.image import Image
from unionlayers._image.open_file import BufferedFile, open_buffered
from unionlayers._layers.directory import Directory, Node
from unionlayers._layers.resolution import resolve
from unionlayers._layers.union import Inode, Union
from unionlayers._views.fsspec._fsspec import stringify_path
from unionlayers._views.fsspec.description import described
from unionlayers._views.fsspec.expansion import Starts, is_pattern, with_bytes_below
from unionlayers._views.fsspec.read_only import ReadOnlyFileSystem
from unionlayers._views.fsspec.tree import Listing, below, listed
from unionlayers.errors import (
    InvalidPathError,
    LinkLoopError,
    PathNotADirectoryError,
    PathNotFoundError,
    ReadOnlyError,
    UnionLayersError,
    UnsupportedError,
)

__all__ = ["ReadingFileSystem"]

_ABSENT = (PathNotFoundError, PathNotADirectoryError, LinkLoopError)
_BLOCK = 1 << 20
_MOST_DIGESTS = 65_536
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ReadingFileSystem(ReadOnlyFileSystem):
    """The questions that read; `LayersFileSystem` says which image they are asked of."""

    root_marker = "/"
    _image: Image
    _union: Union
    _digests: dict[Inode, str]

    # -- what is there ----------------------------------------------------------------------------

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:  # noqa: ARG002
        """
        Describe what a path leads to.

        Returns:
            ``name``, ``size`` in bytes (a directory or device: 0), ``type`` (``"file"``,
            ``"directory"``, ``"other"``), ``mode``, ``uid``, ``gid``, ``ino``, ``nlink``,
            ``mtime`` and ``created`` in seconds since the epoch, ``layer`` (index in the image,
            None where no layer has an entry), ``islink``, and of a link ``destination``, its text.

        Raises:
            FileNotFoundError: Nothing is there, or the link dangles.
            OSError: Links lead in a circle (ELOOP), or a component is no directory (ENOTDIR).
        """
        name, asked = self._named(path)
        self._node(asked)
        return described(self._union, name, self._node(asked, follow=False))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:  # noqa: ARG002
        """
        Give what is in a directory, in byte order: as `info`, or paths alone; a file is itself.

        Raises:
            FileNotFoundError: Nothing is there.
        """
        name, asked = self._named(path)
        directory = self._node(asked).directory
        if directory is None:
            return [self.info(path)] if detail else [name]
        prefix = name.rstrip("/")
        if not detail:
            return [f"{prefix}/{child}" for child in directory.names()]
        return [described(self._union, f"{prefix}/{node.name}", node) for node in directory.nodes()]

    def exists(self, path: str, **kwargs: Any) -> bool:  # noqa: ARG002
        """Tell whether a path leads to something; damage of the image is raised."""
        return self._found(path) is not None

    def lexists(self, path: str, **kwargs: Any) -> bool:  # noqa: ARG002
        """Tell whether a name is there, links that dangle too."""
        return self._found(path, follow=False) is not None

    def isdir(self, path: str) -> bool:
        """Tell whether a path leads to a directory."""
        node = self._found(path)
        return node is not None and node.directory is not None

    def isfile(self, path: str) -> bool:
        """Tell whether a path leads to a regular file."""
        node = self._found(path)
        return node is not None and described(self._union, "", node)["type"] == "file"

    def islink(self, path: str) -> bool:
        """Tell whether a path itself is a symbolic link."""
        node = self._found(path, follow=False)
        return (
            node is not None and node.directory is None and self._union.link_text(node) is not None
        )

    def modified(self, path: str) -> datetime:
        """Give the modification time of what a path leads to, aware, in UTC."""
        return _moment(path, self.info(path)["mtime"])

    def created(self, path: str) -> datetime:
        """Give the time of the status change where the tar has one, else that of modification."""
        return _moment(path, self.info(path)["created"])

    def checksum(self, path: str) -> str:
        """
        Give the digest of a file's content, ``sha256:<hex>``.

        Cost:
            Reads the file, once for each inode.
        """
        name, asked = self._named(path)
        node = self._node(asked)
        source = content_of(self._image, self._union, node, name)
        inode = self._union.inode(node)
        known = self._digests.get(inode)
        if known is None:
            hashed = hashlib.sha256()
            for offset in range(0, source.size, _BLOCK):
                hashed.update(source.pread(offset, _BLOCK))
            if len(self._digests) >= _MOST_DIGESTS:
                self._digests.clear()
            known = self._digests[inode] = f"sha256:{hashed.hexdigest()}"
        return known

    def ukey(self, path: str) -> str:
        """Give what tells whether a file has changed: the digest of its content."""
        return self.checksum(path)

    # -- down the tree ----------------------------------------------------------------------------

    def walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: Literal["omit", "raise"] | Callable[[OSError], None] = "omit",
        **kwargs: Any,
    ) -> Iterator[tuple[str, Any, Any]]:
        """
        Give (path, directories, files) of a directory and those below it, as ``os.walk``.

        A link to a directory stands among the directories and is not gone into.  What is taken out
        of the directories of a step is not gone into either.

        Args:
            path: Where to start; a link is followed.
            maxdepth: How many levels.
            topdown: Whether a directory comes before those in it.
            on_error: For a path that is not there: ``"omit"`` gives nothing, ``"raise"`` raises.
                Damage of the image is raised with both; what is called instead is told of
                either.
            kwargs: ``detail=True`` gives dictionaries of `info` by name instead of names.
        """
        detail = bool(kwargs.get("detail"))
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        name, asked = self._named(path)
        try:
            directory = self._node(asked).directory
        except UnionLayersError as error:
            if callable(on_error) and isinstance(error, OSError):
                on_error(error)
            elif on_error == "raise" or not isinstance(error, _ABSENT):
                raise
            return

        def look(here: str, found: Directory) -> Listing | None:
            try:
                return listed(self._union, here, found, detail=detail)
            except UnionLayersError as error:
                if callable(on_error) and isinstance(error, OSError):
                    on_error(error)
                    return None
                raise

        if directory is None:
            yield (name, {}, {"": self.info(path)}) if detail else (name, [], [""])
            return
        for step in below(name, directory, look, maxdepth=maxdepth, topdown=topdown):
            if detail:
                yield step.path, step.dirs, step.files
            else:
                dirs = list(step.dirs)
                yield step.path, dirs, list(step.files)
                step.dirs = dict.fromkeys(dirs)

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,  # noqa: ARG002
    ) -> Any:
        """
        Give the paths of everything below a path that leads to no directory, sorted.

        Args:
            path: Where to start; a link is followed, those met on the way are not.
            maxdepth: How many levels.
            withdirs: Whether what leads to a directory is given too, and the start itself.
            detail: Whether a dictionary of `info` by path is given.
            kwargs: Nothing; fsspec passes on what callers of `glob` say.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        name, asked = self._named(path)
        node = self._found(asked)
        found: dict[str, Any] = {}
        if node is not None and (node.directory is None or withdirs):
            found[name] = self.info(asked) if detail else None
        if node is not None and node.directory is not None:

            def look(here: str, inside: Directory) -> Listing:
                return listed(self._union, here, inside, detail=detail)

            for step in below(name, node.directory, look, maxdepth=maxdepth, topdown=True):
                for kind in (step.dirs, step.files) if withdirs else (step.files,):
                    found.update((step.child(child), about) for child, about in kind.items())
        return {one: found[one] for one in sorted(found)} if detail else sorted(found)

    def du(
        self,
        path: str,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        **kwargs: Any,  # noqa: ARG002
    ) -> Any:
        """Give the bytes of what is below a path, in all or by path; a link counts its target."""
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    def expand_path(
        self,
        path: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """
        Give the paths that patterns and directories stand for, as `get` copies them.

        With *recursive* everything below is there too, but nothing below a link unless that is
        named itself: what a pattern matches is met, as is what stands in a directory.  What is
        met and has no bytes, such as a link that dangles or a device, is left out; named itself
        it is kept.

        Args:
            path: A path or pattern, or several.
            recursive: Whether what is below is given.
            maxdepth: How many levels, those of ``**`` and of what a pattern matches among them.
            kwargs: As fsspec has them; ``assume_literal`` takes patterns for paths.

        Raises:
            FileNotFoundError: There is nothing.

        Cost:
            Linear in what is looked at: each directory once, however many matches it is below.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        literal = bool(kwargs.pop("assume_literal", False))
        levels = math.inf if maxdepth is None else maxdepth
        given = [path] if isinstance(path, str | os.PathLike) else path
        kept: set[str] = set()
        starts: Starts = {}
        for one in map(self._strip_protocol, given):
            if literal or not is_pattern(one):
                matches = [one] if not recursive or self.exists(one) else []
                kept.update(matches)
                deep = levels
            else:
                told = self.glob(one, maxdepth=maxdepth, detail=True, **kwargs)
                kept.update(
                    name for name, info in told.items() if not recursive or info["type"] != "other"
                )
                matches = [name for name, info in told.items() if not info["islink"]]
                deep = levels - 1
            if not recursive or deep <= 0:
                continue
            for name in matches:
                directory = self._node(name).directory
                if directory is not None:
                    _, other = starts.get(name, (directory, 0))
                    starts[name] = directory, max(deep, other)
        kept.update(with_bytes_below(self._union, starts))
        if not kept:
            lacking = "nothing there has bytes" if recursive else "no such file or directory"
            raise PathNotFoundError(lacking, path=str(path))
        return sorted(kept)

    def tree(self, path: str = "/", recursion_limit: int = 2, *rest: Any, **options: Any) -> str:
        """Draw a tree as text; a link to a directory stands in it and is not gone into."""
        met = options.get("first") is False and self.islink(path)
        drawn: str = super().tree(path, 0 if met else recursion_limit, *rest, **options)
        return drawn

    # -- bytes ------------------------------------------------------------------------------------

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: Any = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """
        Open a regular file for reading, as text in UTF-8 unless told otherwise; links are followed.

        Args:
            path: The path.
            mode: ``"rb"``, or ``"r"`` for text.
            block_size: Bytes of the buffer.
            cache_options: Not needed; a file of an image is read at any place.
            compression: How the file itself is compressed, or ``"infer"``.
            kwargs: ``encoding``, ``errors`` and ``newline`` of text.

        Raises:
            FileNotFoundError: Nothing is there, or a link dangles.
            IsADirectoryError: A directory is there.
            OSError: A mode that writes (EROFS), a device (ENXIO), a file with a trailing slash.
        """
        if "b" not in mode:
            _check_mode(mode, path)
            kwargs["encoding"] = kwargs.get("encoding") or "utf-8"
        elif "r" in mode:
            _, asked = self._named(path)
            if asked.endswith("/"):
                self._node(asked)
        return super().open(path, mode, block_size, cache_options, compression, **kwargs)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> BufferedFile:
        _check_mode(mode, path)
        size = -1 if block_size is None else int(block_size)
        return open_buffered(self._content(path), path, self._image.check_open, size)

    def cat_file(
        self,
        path: str,
        start: int | None = None,
        end: int | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> bytes:
        """Give the bytes of a file from *start* to *end*, both as in a slice."""
        source = self._content(path)
        first, last, _ = slice(start, end).indices(source.size)
        return source.pread(first, max(0, last - first))

    def cat(
        self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any
    ) -> Any:
        """
        Give the bytes of one file, or by path those of several; directories have none.

        Patterns, and *recursive*, are those of `expand_path`; what these gave is no pattern again.
        """
        if recursive:
            path = [one for one in self.expand_path(path, recursive=True) if not self.isdir(one)]
            if not path:
                return {}
            kwargs["assume_literal"] = True
        return super().cat(path, False, on_error, **kwargs)

    # -- inside -----------------------------------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        bare: str = super()._strip_protocol(path)
        return bare if bare.startswith("/") else f"/{bare}"

    def _named(self, path: Any) -> tuple[str, str]:
        """Give a path as it is named, and as it is asked for: with its trailing slash."""
        text = stringify_path(path)
        name: str = self._strip_protocol(text)
        return name, f"{name}/" if text.endswith("/") and name != "/" else name

    def _node(self, path: str, *, follow: bool = True) -> Node:
        self._image.check_open()
        if "\0" in path:
            raise InvalidPathError("a path with a NUL byte", path=path)
        return resolve(self._union, path, follow=follow).node

    def _found(self, path: str, *, follow: bool = True) -> Node | None:
        try:
            return self._node(self._named(path)[1], follow=follow)
        except (*_ABSENT, InvalidPathError):
            return None

    def _content(self, path: str) -> ByteSource:
        name, asked = self._named(path)
        return content_of(self._image, self._union, self._node(asked), name)


def _moment(path: str, seconds: float) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError as error:
        raise UnsupportedError(
            "a time that no datetime can say", path=path, actual=seconds
        ) from error


def _check_mode(mode: str, path: str) -> None:
    if set(mode) & set("wax+"):
        raise ReadOnlyError("an image is read-only", path=path)
    if "r" not in mode or set(mode) - set("rbt"):
        raise ValueError(f"invalid mode: {mode!r}")
