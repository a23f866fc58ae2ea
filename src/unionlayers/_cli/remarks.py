"""
Standard error that never fails, as what is told there changes no answer.

Its disk may be full, or whoever reads it may be gone; what was asked is then answered all the
same, and the process ends with the number that it would have ended with.
"""

from __future__ import annotations

import io
import sys
from typing import Any

__all__ = ["never_fail"]


class _Unfailing(io.RawIOBase):
    """
    The raw side of a stream, from which no error comes when it is written to.

    Args:
        raw: The stream; it stays open when this is closed.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__()
        self._raw = raw
        self.name = getattr(raw, "name", None)
        self.mode = "wb"

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def fileno(self) -> int:
        """Give the number of its descriptor."""
        return self._raw.fileno()

    def isatty(self) -> bool:
        """Tell whether a person looks at it."""
        return self._raw.isatty()

    def write(self, data: Any) -> int:
        """Write bytes; those that cannot be written are lost."""
        try:
            written = self._raw.write(data)
        except OSError:
            written = None
        # None is also what a full pipe that does not block gives.
        return len(data) if written is None else written


def never_fail() -> None:
    """Let standard error of the process lose what cannot be written to it."""
    stream = sys.__stderr__
    if stream is None or sys.stderr is not stream:
        return
    buffer: object = stream.buffer
    # With PYTHONUNBUFFERED there is no buffer between.
    raw = getattr(buffer, "raw", buffer)
    if not isinstance(raw, io.RawIOBase):
        return
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(_Unfailing(raw)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=True,
    )
