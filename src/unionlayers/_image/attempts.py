"""What is read of documents that images share, or why it cannot be read: each is tried once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from unionlayers._foundation.limits import WHOLE
from unionlayers.errors import (
    CorruptError,
    LimitError,
    SourceError,
    UnionLayersError,
    UnsupportedError,
)

__all__ = ["FAULTS", "Attempts"]

FAULTS = (CorruptError, UnsupportedError, LimitError, SourceError)
"""What is the fault of those images that need a document, and of no others."""

_Made = TypeVar("_Made")


class Attempts(Generic[_Made]):
    """
    What came of each attempt, by what was read.

    A damaged document is so read once as well, whatever the number of images that need it.
    """

    def __init__(self) -> None:
        self._made: dict[Hashable, _Made] = {}
        self._failed: dict[Hashable, UnionLayersError] = {}

    def get(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """
        Give what *make* gives, or gave for this key.

        Raises:
            UnionLayersError: What it raises, or raised.
        """
        if key in self._failed:
            raise self._failed[key].with_traceback(None)
        if key not in self._made:
            try:
                self._made[key] = make()
            except FAULTS as error:
                if not isinstance(error, LimitError) or error.limit not in WHOLE:
                    self._failed[key] = error
                raise
        return self._made[key]
