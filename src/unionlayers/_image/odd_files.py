"""
What stands in an engine's store where a document or a folder is expected, and whose fault that is.

A store is shared by all images and containers in it.  Something else in place of one of its files
is the fault of those that need the file, and leaves the others as they are.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from attrs import evolve

from unionlayers._bytes.file import FileSource
from unionlayers._bytes.odd_file import PUT_BACK, kind_named, require_readable
from unionlayers._bytes.rooted import RootedFolder, is_absent
from unionlayers._foundation.limits import WHOLE
from unionlayers._image.attempts import FAULTS
from unionlayers._image.record import ImageRecord
from unionlayers.errors import (
    LimitError,
    StoreError,
    UnionLayersError,
    UnknownFormatError,
    UnseekableSourceError,
)

__all__ = [
    "attempt",
    "expects",
    "faults",
    "opened_document",
    "read_document",
    "readable",
    "require_content",
    "told_of",
]

_Made = TypeVar("_Made")


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
            raise _odd(root, path, kind_named(found), kind)
        return True
    parts = path.split(b"/")
    for depth in range(1, len(parts)):
        above = b"/".join(parts[:depth])
        found = root.kind(above)
        if found is None:
            break
        if found != stat.S_IFDIR:
            raise _odd(root, above, kind_named(found), stat.S_IFDIR)
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
        raise
    return source


def require_content(root: RootedFolder, name: str, source: FileSource) -> None:
    """Raise `StoreError` for a document that is empty, as a power cut leaves them."""
    if not source.size:
        raise _odd(root, os.fsencode(name), "an empty file", stat.S_IFREG)


def read_document(root: RootedFolder, name: str, source: FileSource) -> bytes:
    """Give all bytes of a document; raises like `opened_document`."""
    with readable(root, name):
        return source.pread(0, source.size)


@contextmanager
def readable(root: RootedFolder, name: str) -> Iterator[None]:
    """Raise `StoreError` for what the host cannot read of a document or a folder."""
    try:
        yield
    except OSError as error:
        require_readable(error, root.called(os.fsencode(name)))
        raise


def _odd(root: RootedFolder, path: bytes, what: str, wanted: int) -> StoreError:
    where = "a folder" if wanted == stat.S_IFDIR else "a document"
    return StoreError(
        f"{what} where the store has {where}", member=root.called(path), hint=PUT_BACK
    )


def attempt(make: Callable[[], _Made]) -> tuple[_Made | None, UnionLayersError | None]:
    """
    Give what *make* gives, or why documents do not let it.

    Raises:
        LimitError: A bound on all documents together was reached.
    """
    try:
        return make(), None
    except FAULTS as error:
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
    except FAULTS as error:
        yield ImageRecord(layout=layout, kind="index", hides=what, error=error)
