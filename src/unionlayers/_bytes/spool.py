"""
A stream that cannot seek, copied once into a temporary file and read from there.

Nothing is copied unless a caller asks for it.  The file has no name where the system allows that,
is bounded by ``Limits.spool_bytes``, and is gone when the source is closed.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unionlayers._bytes.file import FileSource
from unionlayers._foundation.limits import Limits, exceeded
from unionlayers.errors import UnknownFormatError

__all__ = ["Spool", "SpoolFolder", "spool_folder"]

SpoolFolder = str | os.PathLike[str] | bool | None
"""Where a copy may be made: a folder, True for that of temporary files, else nowhere."""

_CHUNK = 1 << 20


def spool_folder(spool: SpoolFolder) -> str | None:
    """
    Give the folder that copies go to, None where none are to be made.

    Raises:
        NotADirectoryError: The path that was given is no folder.
    """
    if spool is None or spool is False:
        return None
    folder = tempfile.gettempdir() if spool is True else os.fspath(spool)
    if not Path(folder).is_dir():
        raise NotADirectoryError(f"spool= takes a folder that exists, not {folder!r}")
    return folder


class Spool(FileSource):
    """
    The bytes of a stream, in a temporary file.

    Args:
        stream: Anything with ``read``; it is read to its end and not closed.
        folder: Where the file is made.
        name: What errors call the stream.
        limits: ``spool_bytes`` of it is the most that is copied.
        progress: Is told bytes done, None, and ``"spool"``.

    Raises:
        LimitError: The stream is longer than the bound.
        UnknownFormatError: It gives text, or nothing where it should wait.
        OSError: There is no room, or the stream cannot be read.

    Cost:
        The stream is read, and written, once.
    """

    __slots__ = ()

    def __init__(
        self,
        stream: Any,
        folder: str,
        name: str,
        limits: Limits,
        progress: Callable[[int, int | None, str], object] | None = None,
    ) -> None:
        with tempfile.TemporaryFile(dir=folder, prefix="unionlayers-") as file:
            done = 0
            while chunk := _chunk(stream, name):
                done += len(chunk)
                if done > limits.spool_bytes:
                    exceeded("spool_bytes", limits.spool_bytes, done)
                file.write(chunk)
                if progress is not None:
                    progress(done, None, "spool")
            file.flush()
            # The copy of the descriptor keeps the file, whose name is gone already.
            super().__init__(name, descriptor=os.dup(file.fileno()))


def _chunk(stream: Any, name: str) -> bytes:
    chunk = stream.read(_CHUNK)
    if isinstance(stream, io.TextIOBase) or isinstance(chunk, str):
        raise UnknownFormatError(
            "the file object is open in text mode, and an image is bytes",
            member=name,
            hint='Open it with mode "rb"',
        )
    if not isinstance(chunk, bytes | bytearray | memoryview):
        raise UnknownFormatError(
            "the file object gave no bytes; one that does not wait for its data cannot be read",
            member=name,
            actual=type(chunk).__name__,
        )
    return bytes(chunk)
