"""What few entries have beside their columns, and the bounds on all of it together."""

from __future__ import annotations

from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._tar.entry import TarEntry
from unionlayers._tar.index import Extra

__all__ = ["DEVICES", "ExtraTally"]

DEVICES = (ord("3"), ord("4"))
"""Type flags of the entries that have a device number."""

_XATTR = b"SCHILY.xattr."
_NOTHING = Extra()


class ExtraTally:
    """
    Makes the extras of one layer, and counts what they take.

    Args:
        limits: ``xattr_bytes`` and ``sparse_entries`` of it are held for the layer as a whole.
    """

    __slots__ = ("_limits", "_segments", "_xattr_bytes")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._xattr_bytes = 0
        self._segments = 0

    def of(self, entry: TarEntry, *, far: bool, ordinary: bool) -> Extra | None:
        """
        Give what an entry has beside its columns, None for nothing.

        Args:
            entry: The entry.
            far: Whether its extension headers begin further before it than the column holds.
            ordinary: Whether the column holds its time.

        Raises:
            LimitError: The layer has more attributes, or segments of sparse files, than allowed.
        """
        pax = entry.pax or {}
        cut = len(_XATTR)
        extra = Extra(
            xattrs=tuple(
                sorted((key[cut:], value) for key, value in pax.items() if key[:cut] == _XATTR)
            ),
            device=(entry.devmajor, entry.devminor) if entry.typeflag in DEVICES else None,
            sparse=entry.sparse,
            data_offset=(
                None if entry.data_offset == entry.header_offset + 512 else entry.data_offset
            ),
            mtime_ns=None if ordinary else entry.mtime_ns,
            start_offset=entry.start_offset if far else None,
        )
        if extra == _NOTHING:
            return None
        self._count(extra)
        return extra

    def _count(self, extra: Extra) -> None:
        limits = self._limits
        self._xattr_bytes += sum(len(key) + len(value) for key, value in extra.xattrs)
        if self._xattr_bytes > limits.xattr_bytes:
            exceeded("xattr_bytes", limits.xattr_bytes, self._xattr_bytes)
        self._segments += len(extra.sparse or ())
        if self._segments > limits.sparse_entries:
            exceeded("sparse_entries", limits.sparse_entries, self._segments)
