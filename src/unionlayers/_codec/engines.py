"""
Which library inflates, chosen once.

isal inflates at more than twice the speed of zlib and has the same interface; where there is no
wheel for it the standard library does the work on the same code path.  Zstandard came into the
standard library with Python 3.14 and has a backport with the same interface.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["INFLATE_ERRORS", "Inflater", "crc32", "new_inflater", "zstd"]


class Inflater(Protocol):
    """What is used of a decompressor object of zlib."""

    @property
    def eof(self) -> bool:
        """Whether the end of the member was reached."""

    @property
    def unused_data(self) -> bytes:
        """What was given past the end of the member."""

    @property
    def unconsumed_tail(self) -> bytes:
        """What was given and not taken, because enough came out."""

    def decompress(self, data: bytes | memoryview, max_length: int = 0, /) -> bytes:
        """Take *data* and give at most *max_length* bytes, any number if that is 0."""


def _engine() -> ModuleType:
    try:
        from isal import isal_zlib
    except ImportError:
        # No wheel of isal exists for Windows on ARM64.
        return zlib
    return isal_zlib


INFLATE_ERRORS: tuple[type[Exception], ...] = (_engine().error, zlib.error)
"""What `Inflater.decompress` raises for damaged data."""

crc32: Callable[[bytes | memoryview, int], int] = _engine().crc32
"""The CRC of gzip: of *data*, after what had the CRC given second."""

_make: Callable[..., Inflater] = _engine().decompressobj


def new_inflater(wbits: int, window: bytes = b"") -> Inflater:
    """
    Give a fresh decompressor object.

    Args:
        wbits: 31 for a gzip member, -15 for bare deflate blocks.
        window: The up to 32 KiB before the first block, for bare deflate blocks.
    """
    return _make(wbits, zdict=window) if window else _make(wbits)
