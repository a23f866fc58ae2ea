"""
What an image is stored in: names with bytes behind them.

A `Store` answers for one archive or folder; the layouts (docker save, OCI) read their documents
and find their blobs through it and do not know which it is.  Two stores stand before another one:
`Subfolder` takes the names from inside a folder of it, and `Tally` bounds what is read at opening.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from unionlayers._bytes.source import ByteSource
from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._image.listing import Listed, Remnant

__all__ = ["Store", "Subfolder", "Tally"]


class Store(Protocol):
    """Members by name; names have no leading slash and no ``..``."""

    @property
    def label(self) -> str:
        """What errors call it, such as the path of the archive."""

    def top(self) -> dict[str, bool]:
        """Names at the top, in no particular order, and whether each is a folder."""

    def has(self, name: str) -> bool:
        """Tell whether a file or link has this name, even a link that leads nowhere."""

    def repeated(self, name: str) -> bool:
        """Tell whether the name stands more than once, so that the last one counts (case L12)."""

    def find(self, name: str) -> ByteSource | None:
        """Give the bytes of a member, links inside the store followed; None where there is none."""

    def resolved(self, name: str) -> str | None:
        """
        Give the name that a member's bytes stand under once links are followed.

        None where there is no such member, and where its links lead out of the store, to nothing
        or in a circle.
        """

    def listing(self) -> Iterator[Listed]:
        """
        Give all files, in no particular order; nothing where members are not stored as files.

        Raises:
            LimitError: There are more than ``Limits.members``.
        """

    def remnants(self) -> Iterator[Remnant]:
        """Give what an archive has beside its members; nothing for a folder."""

    def unfollowed(self, name: str) -> tuple[str, str] | None:
        """
        Give the link that keeps a member from being reached, and what it says.

        None where the member is there, and where no link stands in its way.
        """

    def close(self) -> None:
        """Let go of what the store holds."""


class Subfolder:
    """
    The names inside one folder of a store, as ``tar`` of a whole folder makes them.

    Links are followed in the store as a whole.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._prefix = f"{folder}/"
        self.label = store.label

    def top(self) -> dict[str, bool]:
        """Give no names: what is inside was looked at before."""
        return {}

    def has(self, name: str) -> bool:
        """Tell whether a file or link has this name in the folder."""
        return self._store.has(self._prefix + name)

    def repeated(self, name: str) -> bool:
        """Tell whether the name stands more than once."""
        return self._store.repeated(self._prefix + name)

    def find(self, name: str) -> ByteSource | None:
        """Give the bytes of a member of the folder."""
        return self._store.find(self._prefix + name)

    def resolved(self, name: str) -> str | None:
        """Give the name in the whole store that the bytes stand under."""
        return self._store.resolved(self._prefix + name)

    def listing(self) -> Iterator[Listed]:
        """Give all files of the whole store."""
        return self._store.listing()

    def remnants(self) -> Iterator[Remnant]:
        """Give what the store does."""
        return self._store.remnants()

    def unfollowed(self, name: str) -> tuple[str, str] | None:
        """Give the link in the way of a member of the folder."""
        return self._store.unfollowed(self._prefix + name)

    def close(self) -> None:
        """Close the store."""
        self._store.close()


class Tally:
    """A store that counts the bytes of the documents it gives, and gives only so many."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._read = 0
        self.label = store.label

    def top(self) -> dict[str, bool]:
        """Give the names of the store."""
        return self._store.top()

    def has(self, name: str) -> bool:
        """Tell what the store does."""
        return self._store.has(name)

    def repeated(self, name: str) -> bool:
        """Tell what the store does."""
        return self._store.repeated(name)

    def find(self, name: str) -> ByteSource | None:
        """
        Give the bytes of a document.

        Raises:
            LimitError: All documents together have more than ``Limits.metadata_bytes``.
        """
        found = self._store.find(name)
        # One that is too large by itself is refused by its reader, who knows what it is.
        if found is not None and found.size <= self._limits.document_bytes:
            self._read += found.size
            if self._read > self._limits.metadata_bytes:
                exceeded("metadata_bytes", self._limits.metadata_bytes, self._read, member=name)
        return found

    def resolved(self, name: str) -> str | None:
        """Give what the store does."""
        return self._store.resolved(name)

    def unfollowed(self, name: str) -> tuple[str, str] | None:
        """Give what the store does."""
        return self._store.unfollowed(name)

    def listing(self) -> Iterator[Listed]:
        """Give what the store does."""
        return self._store.listing()

    def remnants(self) -> Iterator[Remnant]:
        """Give what the store does."""
        return self._store.remnants()

    def close(self) -> None:
        """Close the store."""
        self._store.close()
