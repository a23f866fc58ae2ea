"""
What `UnionFS` raises: each class is both PyFilesystem's and ours, so that either may be caught.

`translated` is the one function that turns an error of the core into its counterpart here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, Self

from unionlayers._views._pyfilesystem import errors as fs_errors
from unionlayers._views._pyfilesystem import opener_errors
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
    UnsupportedError,
)

__all__ = [
    "DirectoryExpected",
    "FileExpected",
    "FilesystemClosed",
    "IllegalBackReference",
    "InvalidCharsInPath",
    "NoSysPath",
    "NoURL",
    "NotWriteable",
    "OperationFailed",
    "ResourceInvalid",
    "ResourceNotFound",
    "ResourceReadOnly",
    "UnsupportedHash",
    "create_failed",
    "reraise",
    "translated",
    "translating",
]


class ResourceNotFound(PathNotFoundError, fs_errors.ResourceNotFound):  # type: ignore[misc]  # noqa: N818
    """Nothing is visible under the path."""


class DirectoryExpected(PathNotADirectoryError, fs_errors.DirectoryExpected):  # type: ignore[misc]  # noqa: N818
    """A directory was needed."""


class ParentIsAFile(PathNotADirectoryError, fs_errors.ResourceNotFound):  # type: ignore[misc]  # noqa: N818
    """
    Nothing can be under the path, because a component of it is no directory.

    PyFilesystem calls that not found, the kernel ENOTDIR; both are said.
    """


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


class IllegalBackReference(InvalidPathError, fs_errors.IllegalBackReference):  # type: ignore[misc]  # noqa: N818
    """A path that climbs above the root."""


class NoURL(PathError, fs_errors.NoURL):  # type: ignore[misc]  # noqa: N818
    """There is no URL for a path and a purpose."""

    purpose: str = ""

    @classmethod
    def of(cls, message: str, path: str, purpose: str) -> Self:
        """Make the error; PyFilesystem's keeps the purpose."""
        error = cls(message, path=path)
        error.purpose = purpose
        return error


class NoSysPath(PathError, fs_errors.NoSysPath):  # type: ignore[misc]  # noqa: N818
    """Nothing of an image stands on the host."""


class UnsupportedHash(UnsupportedError, fs_errors.UnsupportedHash):  # noqa: N818
    """There is no hash algorithm of that name."""


class NotWriteable(ReadOnlyError, opener_errors.NotWriteable):  # noqa: N818
    """An image was to be opened for writing."""


class OperationFailed(fs_errors.OperationFailed):
    """The data cannot be read; the class beside it says why."""


_PAIRS: tuple[tuple[type[UnionLayersError], Any], ...] = (
    (PathNotFoundError, ResourceNotFound),
    (PathNotADirectoryError, ParentIsAFile),
    (PathIsADirectoryError, FileExpected),
    (NotARegularFileError, SpecialFile),
    (LinkLoopError, ResourceInvalid),
    (NotALinkError, NotALink),
    (ReadOnlyError, ResourceReadOnly),
    (ClosedError, FilesystemClosed),
    (InvalidPathError, InvalidCharsInPath),
)
_THEIRS = (
    fs_errors.FSError,
    fs_errors.IllegalBackReference,
    fs_errors.UnsupportedHash,
)
_joined: dict[tuple[type[UnionLayersError], Any], type[UnionLayersError]] = {}


def _joined_class(cause: type[UnionLayersError], other: Any) -> type[UnionLayersError]:
    """Give the class that is both *cause* and a class of PyFilesystem's."""
    known = _joined.get((cause, other))
    if known is None:

        def reduce(error: UnionLayersError) -> tuple[Any, ...]:
            state = {key: value for key, value in error.__dict__.items() if key != "exc"}
            return _again, (cause, other, error.message, state)

        body = {"__doc__": cause.__doc__, "__reduce__": reduce, "__module__": cause.__module__}
        known = _joined[cause, other] = type(cause.__name__, (cause, other), body)
    return known


def _again(
    cause: type[UnionLayersError], other: Any, message: str, state: dict[str, Any]
) -> UnionLayersError:
    return _made(_joined_class(cause, other), message, state)


def _made(kind: type[UnionLayersError], message: str, state: dict[str, Any]) -> UnionLayersError:
    error: Any = kind.__new__(kind)
    UnionLayersError.__init__(error, message)
    error.__dict__.update(state)
    # What PyFilesystem's own classes keep.
    error._msg = message
    error.msg = message
    error.exc = None
    error.details = ""
    if error.path is None and not issubclass(kind, fs_errors.CreateFailed):
        error.path = ""
    if issubclass(kind, OSError):
        error.filename = error.path
    return error  # type: ignore[no-any-return]


def translated(error: UnionLayersError, path: str | None = None) -> UnionLayersError:
    """
    Give the error that `UnionFS` raises for an error of the core.

    A path error becomes its counterpart, anything else both its own class and
    ``fs.errors.OperationFailed``.  A component on the way that is no directory is `ParentIsAFile`;
    `DirectoryExpected` is raised where the path itself is to be listed.  Pickles.
    """
    if isinstance(error, _THEIRS):
        return error
    kind = next((theirs for ours, theirs in _PAIRS if isinstance(error, ours)), None)
    made = _made(
        kind or _joined_class(type(error), OperationFailed), error.message, dict(error.__dict__)
    )
    if path is not None and issubclass(type(error), PathError):
        setattr(made, "path", path)  # noqa: B010 - mypy takes it for a plain OSError
    return made


def create_failed(error: Exception) -> Exception:
    """
    Give what an opener raises: PyFilesystem's ``CreateFailed``, and our own class if it is ours.

    Its ``exc`` is the error itself.  Pickles.
    """
    if not isinstance(error, UnionLayersError):
        made: Exception = fs_errors.CreateFailed(str(error), exc=error)
        return made
    kind = _joined_class(_our_class(type(error)), fs_errors.CreateFailed)
    ours: Any = _made(kind, error.message, dict(error.__dict__))
    ours.exc = error
    return ours  # type: ignore[no-any-return]


def _our_class(kind: type[Exception]) -> Any:
    """Give the class of ours that an error has, without that of PyFilesystem beside it."""
    return next(
        above
        for above in kind.__mro__
        if issubclass(above, UnionLayersError) and not issubclass(above, _THEIRS)
    )


def reraise(error: UnionLayersError, path: str | None = None) -> NoReturn:
    """
    Raise what `translated` gives, from the error that it is a translation of.

    Never from itself: what follows causes, such as the pickling of Dask, would not end.
    """
    made = translated(error, path)
    if made is error:
        raise error
    raise made from error


@contextmanager
def translating(path: str) -> Iterator[None]:
    """Turn errors of the core into those that PyFilesystem users catch."""
    try:
        yield
    except UnionLayersError as error:
        reraise(error, path)
