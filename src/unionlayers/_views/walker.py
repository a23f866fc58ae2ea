"""
Walkers: the one that every view uses, and one that yields only what opens.

PyFilesystem's own walker asks for every directory by its path, so that a walk costs the depth of
each directory again.  Over a view of an image this one goes from directory to directory instead,
in the same order, with the same hooks and the same answers; anything else is walked as ever.
"""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar

from unionlayers._layers.directory import Directory
from unionlayers._views._pyfilesystem import errors as fs_errors
from unionlayers._views._pyfilesystem import fs

__all__ = ["RegularFiles", "UnionWalker"]

_KIND = 0o170000
"""The bits of a mode that are the type."""

_HOOKS = (
    "_check_open_dir",
    "_check_scan_dir",
    "_scan",
    "_walk_breadth",
    "check_file",
    "check_open_dir",
    "check_scan_dir",
)


class UnionWalker(fs.walk.Walker):
    """PyFilesystem's walker, bound so that views of an image keep their own."""

    form: ClassVar[int | None] = None
    """The one type of what is no directory, such as ``stat.S_IFREG``; None for all of them."""

    @classmethod
    def bind(cls, fs_object: Any) -> Any:
        """Give the walker of a filesystem; PyFilesystem's own forgets the class here."""
        return fs.walk.BoundWalker(fs_object, walker_class=cls)

    def files(self, fs_object: Any, path: str = "/") -> Iterator[str]:
        """Yield the paths of files: of everything that is no directory."""
        view, start = self._plain(fs_object, path)
        if start is None:
            yield from super().files(fs_object, path=path)
            return
        top, wanted = path.rstrip("/"), self.form
        for below, found in view.listings(start):
            prefix = f"{top}{below}/" if path else f"{below}/"[1:]
            for name, kind, _, _, _ in found:
                form = kind[0] & _KIND
                if form != stat.S_IFDIR and (wanted is None or form == wanted):
                    yield prefix + name

    def dirs(self, fs_object: Any, path: str = "/") -> Iterator[str]:
        """Yield the paths of directories."""
        view, start = self._plain(fs_object, path)
        if start is None:
            yield from super().dirs(fs_object, path=path)
            return
        top = path.rstrip("/")
        for below, found in view.listings(start):
            prefix = f"{top}{below}/" if path else f"{below}/"[1:]
            for name, kind, _, _, _ in found:
                if kind[0] & _KIND == stat.S_IFDIR:
                    yield prefix + name

    def _plain(self, fs_object: Any, path: str) -> tuple[Any, Directory | None]:
        """Give where to start from if nothing is filtered and no hook is asked; else None."""
        plain = self.search == "breadth" and not (
            self.filter or self.exclude or self.filter_dirs or self.exclude_dirs
        )
        if (
            not plain
            or self.max_depth is not None
            or self.on_error != self._raise_errors
            or self._is_hooked()
        ):
            return None, None
        try:
            return _start(fs_object, path)
        except fs_errors.FSError:
            # The walk that asks for each path raises it again.
            return None, None

    def _is_hooked(self) -> bool:
        kind = type(self)
        return any(
            getattr(kind, name) not in (getattr(fs.walk.Walker, name), getattr(UnionWalker, name))
            for name in _HOOKS
        )

    def check_file(self, fs_object: Any, info: Any) -> bool:
        """Tell whether something that is no directory is yielded."""
        if not super().check_file(fs_object, info):
            return False
        return self.form is None or info.type == _RESOURCE_TYPES[self.form]

    def _scan(self, fs_object: Any, dir_path: str, namespaces: Any = None) -> Iterator[Any]:
        return super()._scan(fs_object, dir_path, namespaces=self._needed(namespaces))

    def _needed(self, namespaces: Any) -> Any:
        """Give the namespaces that the walk itself needs beside those that were asked for."""
        return namespaces if self.form is None else {*(namespaces or ()), "details"}

    def _scanned(
        self, view: Any, directory: Directory, path: str, namespaces: Any
    ) -> Iterator[tuple[Any, Directory | None]]:
        try:
            yield from view.scan(directory, namespaces)
        except fs_errors.FSError as error:
            if not self.on_error(path, error):
                raise

    def _walk_breadth(
        self, fs_object: Any, path: str, namespaces: Any = None
    ) -> Iterator[tuple[str, Any]]:
        view, start = self._begin(fs_object, path)
        if start is None:
            yield from super()._walk_breadth(fs_object, path, namespaces=namespaces)
            return
        wanted = self._needed(namespaces)
        queue = deque([(path, start, 1)])
        while queue:
            above, directory, depth = queue.popleft()
            for info, inner in self._scanned(view, directory, above, wanted):
                if inner is None:
                    if self.check_file(fs_object, info):
                        yield above, info
                elif self._check_open_dir(fs_object, above, info):
                    yield above, info
                    if self._check_scan_dir(fs_object, above, info, depth):
                        queue.append((_below(above, info.name), inner, depth + 1))
            yield above, None

    def _walk_depth(
        self, fs_object: Any, path: str, namespaces: Any = None
    ) -> Iterator[tuple[str, Any]]:
        view, start = self._begin(fs_object, path)
        if start is None:
            yield from super()._walk_depth(fs_object, path, namespaces=namespaces)
            return
        wanted = self._needed(namespaces)
        stack: list[tuple[str, Iterator[tuple[Any, Directory | None]], Any]] = [
            (path, self._scanned(view, start, path, wanted), None)
        ]
        while stack:
            above, found, parent = stack[-1]
            info, inner = next(found, (None, None))
            if info is None:
                if parent is not None:
                    yield parent
                yield above, None
                stack.pop()
            elif inner is None:
                if self.check_file(fs_object, info):
                    yield above, info
            elif self._check_open_dir(fs_object, above, info):
                if self._check_scan_dir(fs_object, above, info, len(stack)):
                    below = _below(above, info.name)
                    stack.append((below, self._scanned(view, inner, below, wanted), (above, info)))
                else:
                    yield above, info

    def _begin(self, fs_object: Any, path: str) -> tuple[Any, Directory | None]:
        """Give where to start from; None where PyFilesystem's own walk has to ask by path."""
        if type(self)._scan is not UnionWalker._scan:
            return None, None
        try:
            return _start(fs_object, path)
        except fs_errors.FSError:
            return None, None


class RegularFiles(UnionWalker):
    """
    A walker that yields only regular files, so that all of what it yields opens.

    The default walker yields everything that is no directory: links that dangle or lead to a
    directory, devices and FIFOs too, on which ``fs.copy`` stops.  Links to files are left out as
    well: what they lead to is met under its own name.  Walks any filesystem that says types.

    Example:
        >>> import unionlayers
        >>> with unionlayers.UnionFS("examples/demo-image/ledger.oci.tar") as view:
        ...     files = list(unionlayers.RegularFiles().files(view))
    """

    form: ClassVar[int | None] = stat.S_IFREG


_RESOURCE_TYPES = {stat.S_IFREG: fs.enums.ResourceType.file}


def _below(path: str, name: str) -> str:
    """Join a directory and a name; PyFilesystem's ``combine`` loses spaces after an empty path."""
    return f"{path.rstrip('/')}/{name}" if path else name


def _start(fs_object: Any, path: str) -> tuple[Any, Directory | None]:
    """Give the view below a filesystem, and the directory that a path is there."""
    while type(fs_object) in (fs.subfs.SubFS, fs.subfs.ClosingSubFS):
        fs_object.check()
        fs_object, path = fs_object.delegate_path(path)
    ask = getattr(fs_object, "directory_of", None)
    return fs_object, None if ask is None else ask(path)
