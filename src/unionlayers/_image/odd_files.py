"""
What stands in an engine's store where a document or a folder is expected, and whose fault that is.

A store is shared by all images and containers in it.  Something else in place of one of its files
is the fault of those that need the file, and leaves the others as they are.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from attrs import evolve

from unionlayers._bytes.file import FileSource
from unionlayers._bytes.rooted import RootedFolder, is_absent
from unionlayers._foundation.limits import WHOLE
from unionlayers._image.record import ImageRecord
from unionlayers.errors import (
    CorruptError,
    LimitError,
    SourceError,
    StoreError,
    UnionLayersError,
    UnknownFormatError,
    UnseekableSourceError,
    UnsupportedError,
)

__all__ = [
    "attempt",
    "expects",
    "faults",
    "opened_document",
    "read_document",
    "require_content",
    "told_of",
]

_Made = TypeVar("_Made")

_HINT = (
    "Put back what the engine had written there; what does not need it can be opened all the same"
)
_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}
_FAULTS = (CorruptError, UnsupportedError, LimitError, SourceError)
# What a disk or a file system says of one file; the rest, such as EMFILE, is not the file's fault.
_UNREADABLE = {
    errno.EIO, errno.ENXIO, errno.ENODEV, errno.EBADMSG, errno.ESTALE,
    getattr(errno, "EUCLEAN", errno.EIO),
}  # fmt: skip


def expects(root: RootedFolder, name: str, kind: int) -> bool:
    """
    Tell whether something of a kind has a name; nothing of that name is no fault.

    Args:
        root: The root of the store.
        name: The name in it.
        kind: ``stat.S_IFREG`` or ``stat.S_IFDIR``.

    Raises:
        StoreError: Something of another kind has the name, or stands for a folder on the way.
        SourceAccessError: The user may not look.
    """
    path = os.fsencode(name)
    found = root.kind(path)
    if found is not None:
        if found != kind:
            raise _odd(root, path, _KINDS.get(found, "something else"), kind)
        return True
    parts = path.split(b"/")
    for depth in range(1, len(parts)):
        above = b"/".join(parts[:depth])
        found = root.kind(above)
        if found is None:
            break
        if found != stat.S_IFDIR:
            raise _odd(root, above, _KINDS.get(found, "something else"), stat.S_IFDIR)
    return False


def opened_document(root: RootedFolder, name: str) -> FileSource | None:
    """
    Open a document, None where there is none; what is no file is not opened at all.

    Raises:
        StoreError: Something else than a file has its name, or the host cannot read it.
        SourceAccessError: The user may not read it.
    """
    if not expects(root, name, stat.S_IFREG):
        return None
    path = os.fsencode(name)
    try:
        source = FileSource(root.called(path), descriptor=root.open_file(path))
    except (UnknownFormatError, UnseekableSourceError) as error:
        raise _odd(root, path, "no file by now", stat.S_IFREG) from error
    except OSError as error:
        if is_absent(error):
            raise _odd(root, path, "nothing by now", stat.S_IFREG) from error
        _require_readable(root, path, error)
        raise
    return source


def require_content(root: RootedFolder, name: str, source: FileSource) -> None:
    """Raise `StoreError` for a document that is empty, as a power cut leaves them."""
    if not source.size:
        raise _odd(root, os.fsencode(name), "an empty file", stat.S_IFREG)


def read_document(root: RootedFolder, name: str, source: FileSource) -> bytes:
    """Give all bytes of a document; raises like `opened_document`."""
    try:
        return source.pread(0, source.size)
    except OSError as error:
        _require_readable(root, os.fsencode(name), error)
        raise


def _require_readable(root: RootedFolder, path: bytes, error: OSError) -> None:
    """Raise the error for a file that the host cannot read, nothing where it is none of these."""
    if not isinstance(error, UnionLayersError) and error.errno in _UNREADABLE:
        raise StoreError(
            f"a document of the store cannot be read: {error.strerror}",
            member=root.called(path),
            hint=_HINT,
        ) from error


def _odd(root: RootedFolder, path: bytes, what: str, wanted: int) -> StoreError:
    where = "a folder" if wanted == stat.S_IFDIR else "a document"
    return StoreError(f"{what} where the store has {where}", member=root.called(path), hint=_HINT)


def attempt(make: Callable[[], _Made]) -> tuple[_Made | None, UnionLayersError | None]:
    """
    Give what *make* gives, or why documents do not let it.

    Raises:
        LimitError: A bound on all documents together was reached.
    """
    try:
        return make(), None
    except _FAULTS as error:
        if isinstance(error, LimitError) and error.limit in WHOLE:
            raise
        return None, error


def faults(record: ImageRecord, make: Callable[[], ImageRecord]) -> ImageRecord:
    """
    Give what *make* gives; where documents are at fault, *record* with the error.

    The fault of one image so leaves the others of the store as they are.
    """
    made, error = attempt(make)
    return evolve(record, error=error) if made is None else made


def told_of(what: str, layout: str, records: Iterable[ImageRecord]) -> Iterator[ImageRecord]:
    """
    Give records; where that which names them cannot be read, one with the error in their place.

    Args:
        what: What is named there, as `ImageRecord.hides` says it.
        layout: The layout of the records.
        records: Made while they are taken.

    Raises:
        LimitError: There are too many, or what names them is too large.
    """
    try:
        yield from records
    except LimitError:
        raise
    except _FAULTS as error:
        yield ImageRecord(layout=layout, kind="index", hides=what, error=error)
