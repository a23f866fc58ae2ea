"""
What an image is stored in: names with bytes behind them.

A `Store` answers for one archive or folder; the layouts (docker save, OCI) read their documents
and find their blobs through it and do not know which it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from unionlayers._bytes.source import ByteSource

__all__ = ["Store"]


class Store(Protocol):
    """Members by name; names have no leading slash and no ``..``."""

    @property
    def label(self) -> str:
        """What errors call it, such as the path of the archive."""

    def names(self) -> Iterable[str]:
        """Names of all members that are files or links, in no particular order."""

    def find(self, name: str) -> ByteSource | None:
        """
        Give the bytes of a member, links inside the store followed; None where there is none.

        Raises:
            LinkLoopError: Links that lead in a circle, or too many of them.
        """

    def resolved(self, name: str) -> str | None:
        """Give the name that a member's bytes stand under once links are followed."""

    def close(self) -> None:
        """Let go of what the store holds."""
