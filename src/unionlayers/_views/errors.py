"""
What `UnionFS` raises: each class is both PyFilesystem's and ours, so that either may be caught.

`translated` is the one function that turns an error of the core into its counterpart here.
"""

from __future__ import annotations

from typing import Any

from unionlayers._views._pyfilesystem import errors as fs_errors
from unionlayers.errors import (
    ClosedError,
    InvalidPathError,
    LinkLoopError,
    NotALinkError,
    NotARegularFileError,
    PathError,
    PathIsADirectoryError,
    PathNotADirectoryError,
    PathNotFoundError,
    ReadOnlyError,
    UnionLayersError,
)

__all__ = [
    "DirectoryExpected",
    "FileExpected",
    "FilesystemClosed",
    "InvalidCharsInPath",
    "OperationFailed",
    "ResourceInvalid",
    "ResourceNotFound",
    "ResourceReadOnly",
    "translated",
]


class ResourceNotFound(PathNotFoundError, fs_errors.ResourceNotFound):  # type: ignore[misc]  # noqa: N818
    """Nothing is visible under the path."""


class DirectoryExpected(PathNotADirectoryError, fs_errors.DirectoryExpected):  # type: ignore[misc]  # noqa: N818
    """A directory was needed."""


class FileExpected(PathIsADirectoryError, fs_errors.FileExpected):  # type: ignore[misc]  # noqa: N818
    """A file was needed, and a directory is there."""


class SpecialFile(NotARegularFileError, fs_errors.FileExpected):  # type: ignore[misc]  # noqa: N818
    """A file was needed, and a device or FIFO is there."""


class ResourceInvalid(LinkLoopError, fs_errors.ResourceInvalid):  # type: ignore[misc]  # noqa: N818
    """Links lead in a circle."""


class NotALink(NotALinkError, fs_errors.ResourceInvalid):  # type: ignore[misc]  # noqa: N818
    """The target of something that is no link was asked."""


class ResourceReadOnly(ReadOnlyError, fs_errors.ResourceReadOnly):  # type: ignore[misc]  # noqa: N818
    """An image is never written."""


class FilesystemClosed(ClosedError, fs_errors.FilesystemClosed):  # noqa: N818
    """The view, or the image below it, was closed."""


class InvalidCharsInPath(InvalidPathError, fs_errors.InvalidCharsInPath):  # type: ignore[misc]  # noqa: N818
    """A path with a NUL byte."""


class OperationFailed(fs_errors.OperationFailed):
    """The data cannot be read; the class beside it says why."""


_PAIRS: tuple[tuple[type[UnionLayersError], Any], ...] = (
    (PathNotFoundError, ResourceNotFound),
    (PathNotADirectoryError, DirectoryExpected),
    (PathIsADirectoryError, FileExpected),
    (NotARegularFileError, SpecialFile),
    (LinkLoopError, ResourceInvalid),
    (NotALinkError, NotALink),
    (ReadOnlyError, ResourceReadOnly),
    (ClosedError, FilesystemClosed),
    (InvalidPathError, InvalidCharsInPath),
)
_failed: dict[type[UnionLayersError], type[UnionLayersError]] = {}


def _failed_class(cause: type[UnionLayersError]) -> type[UnionLayersError]:
    """Give the class that is both *cause* and PyFilesystem's ``OperationFailed``."""
    known = _failed.get(cause)
    if known is None:

        def reduce(error: UnionLayersError) -> tuple[Any, ...]:
            return _again, (cause, error.message, dict(error.__dict__))

        body = {"__doc__": cause.__doc__, "__reduce__": reduce, "__module__": cause.__module__}
        known = _failed[cause] = type(cause.__name__, (cause, OperationFailed), body)
    return known


def _again(cause: type[UnionLayersError], message: str, state: dict[str, Any]) -> UnionLayersError:
    return _made(_failed_class(cause), message, state)


def _made(kind: type[UnionLayersError], message: str, state: dict[str, Any]) -> UnionLayersError:
    error: Any = kind.__new__(kind)
    UnionLayersError.__init__(error, message)
    error.__dict__.update(state)
    # What PyFilesystem's own classes keep.
    error._msg = message
    error.msg = message
    error.exc = None
    error.details = ""
    if error.path is None:
        error.path = ""
    if issubclass(kind, OSError):
        error.filename = error.path
    return error  # type: ignore[no-any-return]


def translated(error: UnionLayersError, path: str | None = None) -> UnionLayersError:
    """
    Give the error that `UnionFS` raises for an error of the core.

    A path error becomes its counterpart; anything else becomes both its own class and
    ``fs.errors.OperationFailed``.  Pickles.
    """
    if isinstance(error, fs_errors.FSError):
        return error
    kind = next((theirs for ours, theirs in _PAIRS if isinstance(error, ours)), None)
    made = _made(kind or _failed_class(type(error)), error.message, dict(error.__dict__))
    if path is not None and issubclass(type(error), PathError):
        setattr(made, "path", path)  # noqa: B010 - mypy takes it for a plain OSError
    return made
