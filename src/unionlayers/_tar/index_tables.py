"""
The tables of few lines that stand beside the columns of a stored record, packed and unpacked.

Exceptions, marks, notes, and what single entries have beyond the columns.  They are unpacked when
they are first asked for; what single entries have, one entry at a time.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar, overload

from unionlayers._codec.packed import Packer, Unpacker
from unionlayers._codec.section_file import Column, DamagedFileError
from unionlayers._tar.index import Extra, MarkRow, Note, Oddity

__all__ = [
    "Extras",
    "Texts",
    "joined",
    "pack_extra",
    "pack_marks",
    "pack_notes",
    "pack_oddities",
    "unpack_marks",
    "unpack_notes",
    "unpack_oddities",
]


_T = TypeVar("_T")


def joined(values: Sequence[bytes]) -> tuple[array[int], bytes]:
    """Give where each of *values* starts, and the end, and all of them behind each other."""
    starts = array("Q", [0])
    total = 0
    for value in values:
        total += len(value)
        starts.append(total)
    return starts, b"".join(values)


class Texts(Sequence[bytes]):
    """
    Byte strings that `joined` has put behind each other.

    Raises:
        DamagedFileError: The starts do not fit the bytes.
    """

    __slots__ = ("_data", "_starts")

    def __init__(self, starts: Column, data: memoryview) -> None:
        self._starts = starts
        self._data = data
        if not starts or starts[0] != 0 or starts[-1] != len(data):
            raise DamagedFileError("texts do not fill their section")

    def __len__(self) -> int:
        """Tell how many there are."""
        return len(self._starts) - 1

    @overload
    def __getitem__(self, position: int) -> bytes: ...

    @overload
    def __getitem__(self, position: slice) -> tuple[bytes, ...]: ...

    def __getitem__(self, position: int | slice) -> bytes | tuple[bytes, ...]:
        """Give one of them, or a tuple of them for a slice."""
        if isinstance(position, slice):
            return tuple(self[number] for number in range(*position.indices(len(self))))
        if not 0 <= position < len(self):
            raise IndexError(position)
        return bytes(self._data[self._starts[position] : self._starts[position + 1]])

    def __iter__(self) -> Iterator[bytes]:
        """Yield all of them in order."""
        return (self[position] for position in range(len(self)))


# -- what single entries have ---------------------------------------------------------------------


def pack_extra(extra: Extra) -> bytes:
    """Pack what one entry has beyond the columns."""
    packer = Packer()
    packer.some(extra.data_offset)
    packer.some(extra.mtime_ns)
    packer.some(extra.start_offset)
    packer.data.append(extra.device is not None)
    for number in extra.device or ():
        packer.number(number)
    packer.number(len(extra.xattrs))
    for key, value in extra.xattrs:
        packer.raw(key)
        packer.raw(value)
    if extra.sparse is None:
        packer.number(-1)
    else:
        packer.number(len(extra.sparse))
        packer.numbers([part for pair in extra.sparse for part in pair])
    return bytes(packer.data)


def _unpack_extra(data: bytes) -> Extra:
    taken = Unpacker(data)
    data_offset, mtime_ns, start_offset = taken.some(), taken.some(), taken.some()
    flag = taken.number()
    device = None if flag == 0 else (taken.number(), taken.number())
    xattrs = tuple((taken.raw(), taken.raw()) for _ in range(taken.count()))
    segments = taken.number()
    sparse: tuple[tuple[int, int], ...] | None = None
    if segments >= 0:
        numbers = taken.numbers(2 * segments)
        sparse = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    taken.end()
    return Extra(xattrs, device, sparse, data_offset, mtime_ns, start_offset)


class Extras(Mapping[int, Extra]):
    """
    What single entries have beyond the columns, each unpacked when it is asked for.

    Args:
        rows: The rows that have something, rising.
        packed: What each of them has.
        healed: Gives what is asked instead where something was not packed by `pack_extra`.

    Raises:
        DamagedFileError: Rows and extras are not equally many.
    """

    __slots__ = ("_healed", "_packed", "_rows")

    def __init__(
        self, rows: Column, packed: Texts, healed: Callable[[], Mapping[int, Extra]]
    ) -> None:
        self._rows = rows
        self._packed = packed
        self._healed = healed
        if len(rows) != len(packed):
            raise DamagedFileError("rows without extras")

    def __getitem__(self, row: int) -> Extra:
        """Give what a row has."""
        place = bisect_left(self._rows, row)
        if place == len(self._rows) or self._rows[place] != row:
            raise KeyError(row)
        return self._at(place, row)

    def __contains__(self, row: object) -> bool:
        """Tell whether a row has something."""
        if not isinstance(row, int):
            return False
        place = bisect_left(self._rows, row)
        return place < len(self._rows) and self._rows[place] == row

    @overload
    def get(self, row: int, default: None = None, /) -> Extra | None: ...

    @overload
    def get(self, row: int, default: _T, /) -> Extra | _T: ...

    def get(self, row: int, default: object = None, /) -> object:
        """Give what a row has, or *default*."""
        # Asked for every entry, and seldom there: no exception is raised on the way.
        place = bisect_left(self._rows, row)
        if place == len(self._rows) or self._rows[place] != row:
            return default
        return self._at(place, row)

    def __iter__(self) -> Iterator[int]:
        """Yield the rows."""
        return iter(self._rows)

    def __len__(self) -> int:
        """Tell how many rows have something."""
        return len(self._rows)

    def _at(self, place: int, row: int) -> Extra:
        try:
            return _unpack_extra(self._packed[place])
        except DamagedFileError:
            return self._healed()[row]


# -- tables that are taken as a whole -------------------------------------------------------------


def pack_marks(marks: Sequence[MarkRow]) -> bytes:
    """Pack the whiteouts."""
    packer = Packer()
    packer.number(len(marks))
    for mark in marks:
        packer.number(mark.ordinal)
        packer.number(mark.row)
        packer.number(mark.directory)
        packer.some_raw(mark.name)
    return bytes(packer.data)


def unpack_marks(data: memoryview) -> tuple[MarkRow, ...]:
    """
    Give the whiteouts that `pack_marks` packed.

    Raises:
        DamagedFileError: It did not pack these bytes.
    """
    taken = Unpacker(data)
    found = tuple(
        MarkRow(taken.natural(), taken.natural(), taken.natural(), taken.some_raw())
        for _ in range(taken.count())
    )
    taken.end()
    return found


def pack_oddities(oddities: Sequence[Oddity]) -> bytes:
    """Pack the exceptions."""
    packer = Packer()
    codes = sorted({oddity.code for oddity in oddities})
    packer.number(len(codes))
    for code in codes:
        packer.text(code)
    numbers = {code: number for number, code in enumerate(codes)}
    packer.number(len(oddities))
    for oddity in oddities:
        packer.number(oddity.ordinal)
        packer.number(oddity.row)
        packer.number(numbers[oddity.code])
    return bytes(packer.data)


def unpack_oddities(data: memoryview) -> tuple[Oddity, ...]:
    """
    Give the exceptions that `pack_oddities` packed.

    Raises:
        DamagedFileError: It did not pack these bytes.
    """
    taken = Unpacker(data)
    codes = [taken.text() for _ in range(taken.count())]
    found = []
    for _ in range(taken.count()):
        ordinal, row, code = taken.natural(), taken.natural(), taken.natural()
        if code >= len(codes):
            raise DamagedFileError("an exception without a code")
        found.append(Oddity(ordinal, row, codes[code]))
    taken.end()
    return tuple(found)


def pack_notes(notes: Sequence[Note]) -> bytes:
    """Pack the findings that no profile changes."""
    packer = Packer()
    packer.number(len(notes))
    for note in notes:
        packer.text(note.code)
        packer.some(note.ordinal)
        packer.some_raw(note.path)
        packer.text(note.message)
        packer.some_text(note.case)
    return bytes(packer.data)


def unpack_notes(data: memoryview) -> tuple[Note, ...]:
    """
    Give the findings that `pack_notes` packed.

    Raises:
        DamagedFileError: It did not pack these bytes.
    """
    taken = Unpacker(data)
    found = tuple(
        Note(taken.text(), taken.some(), taken.some_raw(), taken.text(), taken.some_text())
        for _ in range(taken.count())
    )
    taken.end()
    return found
