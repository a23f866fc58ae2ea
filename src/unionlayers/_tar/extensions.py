"""
What stands before an entry or behind its header and changes it: records, long names, maps.

Extension headers are taken in one after the other as they come; when the header of the entry itself
has come, it is settled with all of them in the order that Go's archive/tar has: records, long
names, the type, the map of a sparse file.
"""

from __future__ import annotations

from collections.abc import Callable

from unionlayers._foundation.limits import Limits
from unionlayers._foundation.names import decode
from unionlayers._tar.entry import TarEntry
from unionlayers._tar.header import HEADER_ONLY, read_field
from unionlayers._tar.number import decimal, nanoseconds
from unionlayers._tar.pax import read_records
from unionlayers._tar.sparse import (
    checked,
    map_form,
    read_block_map,
    read_data_map,
    read_record_map,
)
from unionlayers.errors import TarError

__all__ = ["Extensions"]

_REGULAR = ord("0")
_DIRECTORY = ord("5")
_OLD_SPARSE = ord("S")
_EXTENDED = ord("x")
_LONG_NAME = ord("L")


class Extensions:
    """
    The extension headers since the last entry.

    Attributes:
        start: Where the first of them starts, or None without any.
    """

    __slots__ = ("_long_link", "_long_name", "_records", "start")

    def __init__(self) -> None:
        self.start: int | None = None
        self._records: dict[bytes, bytes] | None = None
        self._long_name = b""
        self._long_link = b""

    def take_in(self, flag: int, body: bytes, offset: int, limits: Limits) -> None:
        """
        Add one; it replaces an earlier one of its type, records included.

        Args:
            flag: Its type: x, L or K.
            body: Its content.
            offset: Where it starts.
            limits: Bounds on records.

        Raises:
            TarError: It has something else than records.
            LimitError: It has too many.
        """
        if self.start is None:
            self.start = offset
        if flag == _EXTENDED:
            self._records = read_records(body, limits)
        elif flag == _LONG_NAME:
            self._long_name = body.partition(b"\0")[0]
        else:
            self._long_link = body.partition(b"\0")[0]

    def forget(self) -> None:
        """Drop all of them."""
        self.start = None
        self._records = None
        self._long_name = self._long_link = b""

    def applied(
        self,
        entry: TarEntry,
        size: int,
        block: bytes,
        take: Callable[[int], bytes],
        limits: Limits,
    ) -> tuple[TarEntry, int]:
        """
        Settle an entry, and forget what was taken in for it.

        Args:
            entry: What its own header says.
            size: The size in that header.
            block: That header.
            take: Gives the bytes behind it.
            limits: Bounds on a map.

        Returns:
            The entry, and the size that its headers declare, whether or not its type has content.

        Raises:
            TarError: A record or a map cannot be.
            LimitError: A map is too large.
        """
        (
            ordinal, name, flag, mode, uid, gid, _, mtime_ns, linkname, devmajor, devminor,
            offset, start, body, _, _, atime_ns, ctime_ns, _, uname, gname,
        ) = entry  # fmt: skip
        records = self._records
        mapped = False
        for key, value in records.items() if records else ():
            if not value:
                continue  # the header stands (case G7)
            try:
                if key == b"mtime":
                    mtime_ns = nanoseconds(value)
                elif key == b"path":
                    name = value
                elif key == b"atime":
                    atime_ns = nanoseconds(value)
                elif key == b"ctime":
                    ctime_ns = nanoseconds(value)
                elif key == b"size":
                    size = decimal(value)
                elif key == b"linkpath":
                    linkname = value
                elif key == b"uid":
                    uid = decimal(value)
                elif key == b"gid":
                    gid = decimal(value)
                elif key == b"uname":
                    uname = value
                elif key == b"gname":
                    gname = value
                elif key[:11] == b"GNU.sparse.":
                    mapped = True
            except ValueError as error:
                raise TarError(
                    f"the record {decode(key)} is not a number: {error}",
                    actual=value[:64].hex(" "),
                    case="J10",
                ) from None
        # A long name of GNU comes after the records, so that it holds against them (case J2).
        name = self._long_name or name
        linkname = self._long_link or linkname
        if self.start is not None:
            start = self.start
            self.forget()
        if flag == 0:
            flag = _DIRECTORY if name[-1:] == b"/" else _REGULAR
        stored = 0 if flag in HEADER_ONLY else size
        if stored < 0:
            raise TarError("the size in an extended header is negative", actual=size, case="J10")
        segments = None
        if flag == _OLD_SPARSE:
            if block[257:265] != b"ustar  \0":
                raise TarError(
                    "a sparse file of a kind that is not GNU's", path=decode(name), case="J4"
                )
            size = read_field("real size", block[483:495])
            segments, used = read_block_map(block, take, limits)
            body += used
        elif mapped and records and (form := map_form(records)) is not None:
            if flag in HEADER_ONLY:
                raise TarError(
                    "a sparse map for a type without content", path=decode(name), case="J4"
                )
            name = records.get(b"GNU.sparse.name") or name
            if b"\0" in name:
                raise TarError(
                    "the true name of a sparse file holds a NUL", path=decode(name), case="G6"
                )
            size = _true_size(records, size)
            if form == "records":
                segments = read_record_map(records, limits)
            else:
                segments, used = read_data_map(take, stored, limits)
                body += used
                stored -= used
        sparse = None
        shown = stored
        if segments is not None:
            sparse = checked(segments, size, stored)
            shown = size
        settled = tuple.__new__(
            TarEntry,
            (
                ordinal, name, flag, mode, uid, gid, shown, mtime_ns, linkname, devmajor,
                devminor, offset, start, body, stored, sparse, atime_ns, ctime_ns, records,
                uname, gname,
            ),
        )  # fmt: skip
        return settled, size


def _true_size(records: dict[bytes, bytes], stored: int) -> int:
    """Give the size of a sparse file, which its map's records say, else that of the header."""
    text = records.get(b"GNU.sparse.size") or records.get(b"GNU.sparse.realsize")
    if not text:
        return stored
    try:
        return decimal(text)
    except ValueError as error:
        raise TarError(
            f"the size of a sparse file is not a number: {error}",
            actual=text[:64].hex(" "),
            case="J4",
        ) from None
