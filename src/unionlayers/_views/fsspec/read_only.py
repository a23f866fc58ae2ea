"""The half of fsspec that an image refuses: whatever would change it."""

from __future__ import annotations

from typing import Any, NoReturn

from unionlayers._views.fsspec._fsspec import AbstractFileSystem
from unionlayers.errors import ReadOnlyError

__all__ = ["ReadOnlyFileSystem"]


class ReadOnlyFileSystem(AbstractFileSystem):
    """
    A filesystem of which every change raises `ReadOnlyError`, an ``OSError`` with ``EROFS``.

    Before anything else is looked at: fsspec itself would first complain about a source that is
    not there, or do nothing where a list is empty.
    """

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        """Raise `ReadOnlyError`."""
        _refuse(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> NoReturn:  # noqa: ARG002
        """Raise `ReadOnlyError`."""
        _refuse(path)

    def rmdir(self, path: str) -> NoReturn:
        """Raise `ReadOnlyError`."""
        _refuse(path)

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        """Raise `ReadOnlyError`."""
        _refuse(path)

    def pipe(self, path: Any, value: bytes | None = None, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        """Raise `ReadOnlyError`."""
        _refuse(path)

    def pipe_file(self, path: str, value: bytes, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        """Raise `ReadOnlyError`."""
        _refuse(path)

    def write_text(self, path: str, value: str, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        """Raise `ReadOnlyError`."""
        _refuse(path)

    def put(self, lpath: Any, rpath: Any, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        """Raise `ReadOnlyError`."""
        _refuse(rpath)

    def put_file(self, lpath: Any, rpath: str, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        """Raise `ReadOnlyError`."""
        _refuse(rpath)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        """Raise `ReadOnlyError`."""
        _refuse(path2)

    def copy(self, path1: Any, path2: Any, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        """Raise `ReadOnlyError`."""
        _refuse(path2)

    def mv(self, path1: Any, path2: Any, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        """Raise `ReadOnlyError`."""
        _refuse(path1)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> NoReturn:  # noqa: ARG002
        """Raise `ReadOnlyError`."""
        _refuse(path)

    def rm_file(self, path: str) -> NoReturn:
        """Raise `ReadOnlyError`."""
        _refuse(path)

    def _rm(self, path: str) -> NoReturn:
        _refuse(path)


def _refuse(path: Any) -> NoReturn:
    raise ReadOnlyError("an image is read-only", path=str(path))
