"""
Every error that unionlayers raises, as one tree.

::

    UnionLayersError
    ├── SourceError                   the archive as a whole
    │   ├── UnknownFormatError        ValueError    not an image, empty, a lone layer tar
    │   ├── UnseekableSourceError     ValueError    a pipe or another stream that cannot seek
    │   ├── ImageNotFoundError        LookupError   no such reference or platform
    │   ├── AmbiguousImageError       LookupError   several images fit
    │   ├── BlobNotFoundError         LookupError   the archive lacks a blob it names
    │   ├── SourceChangedError        OSError       replaced or rewritten while open (ESTALE)
    │   └── SourceAccessError         PermissionError   the user may not read a file of a store
    ├── CorruptError                  OSError (EIO) the bytes contradict themselves
    │   ├── DocumentError             a JSON document of the image
    │   ├── TarError                  a header, an extended record, a truncated body
    │   ├── WhiteoutError             a marker that names nothing
    │   ├── LayerError                entries that no runtime can apply
    │   ├── StreamError               a compressed stream
    │   ├── DigestMismatchError       a digest or a size differs from what was promised
    │   └── StoreError                the folders of an on-disk store and its documents
    ├── UnsupportedError              NotImplementedError   known, and not read
    │   └── MissingExtraError         ImportError   an optional dependency is absent
    ├── LimitError                    OSError (EFBIG)  a bound of ``Limits`` was reached
    ├── PathError                     OSError       a question about one path
    │   ├── PathNotFoundError         FileNotFoundError
    │   ├── PathNotADirectoryError    NotADirectoryError
    │   ├── PathIsADirectoryError     IsADirectoryError
    │   ├── NotARegularFileError      OSError (ENXIO)   a device or FIFO was to be read
    │   ├── NotALinkError             OSError (EINVAL)  the target of something else was asked
    │   ├── LinkLoopError             OSError (ELOOP)
    │   └── ReadOnlyError             OSError (EROFS)
    ├── InvalidPathError              ValueError    a path with a NUL byte
    ├── InvalidURLError               ValueError    a URL that names no image
    ├── OptionError                   TypeError     an option of fsspec that there is not
    ├── ExportError               OSError (EPERM)  the host cannot have an entry as it should be
    │   └── DestinationExistsError    FileExistsError
    ├── MountError                OSError (EIO)  the host cannot have the image as a directory
    ├── IndexStoreError               PermissionError   others can write to an index store
    └── ClosedError                   ValueError    the image was closed

Each carries data beside its text: what is known of ``path``, ``layer``, ``entry``, ``offset``,
``member``, ``pointer``, ``expected``, ``actual``, ``candidates``, ``hint`` and ``case``; the rest
is None (or an empty tuple).  `LimitError` has ``limit`` as well.  All of them pickle.
"""

from __future__ import annotations

import errno
from typing import Any

__all__ = [
    "AmbiguousImageError",
    "BlobNotFoundError",
    "ClosedError",
    "CorruptError",
    "DestinationExistsError",
    "DigestMismatchError",
    "DocumentError",
    "ExportError",
    "ImageNotFoundError",
    "IndexStoreError",
    "InvalidPathError",
    "InvalidURLError",
    "LayerError",
    "LimitError",
    "LinkLoopError",
    "MissingExtraError",
    "MountError",
    "NotALinkError",
    "NotARegularFileError",
    "OptionError",
    "PathError",
    "PathIsADirectoryError",
    "PathNotADirectoryError",
    "PathNotFoundError",
    "ReadOnlyError",
    "SourceAccessError",
    "SourceChangedError",
    "SourceError",
    "StoreError",
    "StreamError",
    "TarError",
    "UnionLayersError",
    "UnknownFormatError",
    "UnseekableSourceError",
    "UnsupportedError",
    "WhiteoutError",
]

# What a stranger wrote may be megabytes: the attribute has it whole, the text its beginning.
_SHOWN = 300
_CONTEXT = ("member", "pointer", "path", "layer", "entry", "offset", "expected", "actual")


class UnionLayersError(Exception):
    """
    What every error of this library derives from.

    Args:
        message: What is wrong, in one sentence without a full stop.
        path: The path inside the image, as text.
        layer: The index of the layer in the image, base first from 0.
        entry: The ordinal of the tar entry in its layer, from 0.
        offset: Bytes from the start of the stream that was being read.
        member: The archive member, blob or document that was being read.
        pointer: The place inside a JSON document (RFC 6901).
        expected: What was promised, such as a digest or a size.
        actual: What was found instead.
        candidates: What could have been meant; a tuple of text.
        hint: The next step that a user can take, as one sentence.
        case: Id of the case in the conformance table that decides it.
    """

    errno_default: int | None = None

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        layer: int | None = None,
        entry: int | None = None,
        offset: int | None = None,
        member: str | None = None,
        pointer: str | None = None,
        expected: object = None,
        actual: object = None,
        candidates: tuple[str, ...] = (),
        hint: str | None = None,
        case: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.layer = layer
        self.entry = entry
        self.offset = offset
        self.member = member
        self.pointer = pointer
        self.expected = expected
        self.actual = actual
        self.candidates = tuple(candidates)
        self.hint = hint
        self.case = case
        if issubclass(type(self), OSError):
            for name, value in (
                ("errno", self.errno_default),
                ("strerror", message),
                ("filename", path),
            ):
                setattr(self, name, value)

    def __str__(self) -> str:
        """Give message, place, candidates and hint as one line that a terminal can show."""
        parts = [self.message]
        known = [(name, getattr(self, name)) for name in _CONTEXT]
        places = ", ".join(f"{name} {_shown(value)}" for name, value in known if value is not None)
        if places:
            parts.append(f" ({places})")
        if self.candidates:
            shown = ", ".join(_shown(item) for item in self.candidates[:20])
            more = len(self.candidates) - 20
            parts.append(f"; candidates: {shown}" + (f" and {more} more" if more > 0 else ""))
        if self.hint:
            parts.append(f". {self.hint}")
        return _one_line("".join(parts))

    def __repr__(self) -> str:
        """Show the class and the text."""
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the class, the message and the data."""
        return _rebuild, (type(self), self.message, dict(self.__dict__))


def _shown(value: object) -> str:
    """Spell a value so that names with control characters cannot reach a terminal."""
    text = value if isinstance(value, str) else str(value)
    if len(text) > _SHOWN:
        text = f"{text[:_SHOWN]}..."
    if text.isprintable() and text and " " not in text:
        return text
    return ascii(text)


def _one_line(text: str) -> str:
    """Escape what a message or a hint has quoted from an image without looking at it."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _rebuild(cls: type[UnionLayersError], message: str, state: dict[str, Any]) -> UnionLayersError:
    error = cls(message)
    error.__dict__.update(state)
    if issubclass(cls, OSError):
        setattr(error, "filename", error.path)  # noqa: B010 - not every class has it
    return error


class SourceError(UnionLayersError):
    """The archive as a whole cannot serve the question."""


class UnknownFormatError(SourceError, ValueError):
    """The source is not an image in a form that is read here."""


class UnseekableSourceError(SourceError, ValueError):
    """The file object cannot seek, so that nothing can be read at an offset."""


class ImageNotFoundError(SourceError, LookupError):
    """No image of the source fits; ``candidates`` has those that are there."""


class AmbiguousImageError(SourceError, LookupError):
    """Several images fit; ``candidates`` has them."""


class BlobNotFoundError(SourceError, LookupError):
    """The source names a blob that it does not hold; ``expected`` has its digest."""


class SourceChangedError(SourceError, OSError):
    """The file was replaced, truncated or rewritten while it was open."""

    errno_default = errno.ESTALE


class SourceAccessError(SourceError, PermissionError):
    """The user may not read a file or folder of the source; ``member`` names it."""

    errno_default = errno.EACCES


class CorruptError(UnionLayersError, OSError):
    """The bytes contradict themselves or what was promised of them."""

    errno_default = errno.EIO


class DocumentError(CorruptError):
    """A JSON document of the image cannot be read; ``member`` and ``pointer`` say where."""


class TarError(CorruptError):
    """A tar header, an extended record or a body cannot be read; ``offset`` says where."""


class WhiteoutError(CorruptError):
    """A whiteout marker names nothing that could be hidden."""


class LayerError(CorruptError):
    """An entry that no container runtime could apply where it stands."""


class StreamError(CorruptError):
    """A compressed stream is damaged or ends early; ``offset`` counts compressed bytes."""


class DigestMismatchError(CorruptError):
    """A digest or size differs; ``expected`` and ``actual`` have both."""


class StoreError(CorruptError):
    """The folders of an on-disk store contradict its documents; ``member`` names the file."""


class UnsupportedError(UnionLayersError, NotImplementedError):
    """A form that is known and deliberately not read."""


class MissingExtraError(UnsupportedError, ImportError):
    """An optional dependency is absent; ``hint`` has the command that installs it."""


class LimitError(UnionLayersError, OSError):
    """
    A bound of `Limits` was reached.

    ``limit`` is the name of the field of `Limits`, ``expected`` the bound, ``actual`` the value
    that passed it, and ``hint`` says how to lift it.  Where a document of the image has passed it,
    ``member`` and ``pointer`` say which and where.

    Args:
        message: What is wrong, in one sentence without a full stop.
        limit: The name of the field of `Limits`.
        path: As for every error.
        layer: As for every error.
        entry: As for every error.
        offset: As for every error.
        member: As for every error.
        pointer: As for every error.
        expected: The bound.
        actual: The value that passed it.
        candidates: As for every error.
        hint: How to lift it.
        case: As for every error.
    """

    errno_default = errno.EFBIG

    def __init__(
        self,
        message: str,
        *,
        limit: str | None = None,
        path: str | None = None,
        layer: int | None = None,
        entry: int | None = None,
        offset: int | None = None,
        member: str | None = None,
        pointer: str | None = None,
        expected: object = None,
        actual: object = None,
        candidates: tuple[str, ...] = (),
        hint: str | None = None,
        case: str | None = None,
    ) -> None:
        super().__init__(
            message,
            path=path,
            layer=layer,
            entry=entry,
            offset=offset,
            member=member,
            pointer=pointer,
            expected=expected,
            actual=actual,
            candidates=candidates,
            hint=hint,
            case=case,
        )
        self.limit = limit


class PathError(UnionLayersError, OSError):
    """A question about one path has this answer; ``path`` is the path as asked."""

    errno_default = errno.EINVAL


class PathNotFoundError(PathError, FileNotFoundError):
    """Nothing is visible under the path, or a link on the way dangles."""

    errno_default = errno.ENOENT


class PathNotADirectoryError(PathError, NotADirectoryError):
    """A directory was needed, and something else is there."""

    errno_default = errno.ENOTDIR


class PathIsADirectoryError(PathError, IsADirectoryError):
    """A file was needed, and a directory is there."""

    errno_default = errno.EISDIR


class NotARegularFileError(PathError):
    """A device or FIFO has no bytes in an image."""

    errno_default = errno.ENXIO


class NotALinkError(PathError):
    """The target of a symbolic link was asked of something else."""

    errno_default = errno.EINVAL


class LinkLoopError(PathError):
    """More links than the limit were followed."""

    errno_default = errno.ELOOP


class ReadOnlyError(PathError):
    """An image is never written."""

    errno_default = errno.EROFS


class InvalidPathError(UnionLayersError, ValueError):
    """No path can be spelled like this."""


class InvalidURLError(UnionLayersError, ValueError):
    """A URL with an unknown scheme or parameter; ``candidates`` has those there are."""


class OptionError(UnionLayersError, TypeError):
    """An option that is lacking, or that there is not; ``candidates`` has those there are."""


class ExportError(UnionLayersError, OSError):
    """
    What an export cannot or will not write; ``path`` is in the image, ``member`` the destination.

    Where the host has refused it, ``actual`` is the name of its error, such as ``"ENAMETOOLONG"``.
    """

    errno_default = errno.EPERM


class DestinationExistsError(ExportError, FileExistsError):
    """The destination of an export is there already; ``member`` names it."""

    errno_default = errno.EEXIST


class MountError(UnionLayersError, OSError):
    """
    An image cannot be mounted or unmounted; ``member`` is the directory.

    ``actual`` is the name of the host's error, such as ``"ENOTEMPTY"`` or ``"EBUSY"``.
    """

    errno_default = errno.EIO


class IndexStoreError(UnionLayersError, PermissionError):
    """The folder of an index store could be written by others, so that nothing in it is used."""

    errno_default = errno.EACCES


class ClosedError(UnionLayersError, ValueError):
    """The image, or the view it was asked of, was closed."""
