"""
Values of small tables packed into bytes, and taken out again with every length checked.

Numbers take seven bits a byte, the sign in the lowest bit, so that most take one or two bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from unionlayers._codec.section_file import DamagedFileError

__all__ = ["Packer", "Unpacker"]

# More than any time in nanoseconds or offset has.
_MOST_BITS = 140


class Packer:
    """Packs values one behind the other into `data`."""

    __slots__ = ("data",)

    def __init__(self) -> None:
        self.data = bytearray()

    def number(self, value: int) -> None:
        """
        Pack a number of either sign.

        Raises:
            ValueError: It has more than 139 bits.
        """
        rest = value << 1 if value >= 0 else (-value << 1) - 1
        if rest.bit_length() > _MOST_BITS:
            raise ValueError("too large to be packed")
        while rest > 0x7F:
            self.data.append(rest & 0x7F | 0x80)
            rest >>= 7
        self.data.append(rest)

    def some(self, value: int | None) -> None:
        """Pack a number or None."""
        self.data.append(value is not None)
        if value is not None:
            self.number(value)

    def numbers(self, values: Sequence[int]) -> None:
        """Pack numbers from 0 to 2⁶⁴ - 1, without how many there are."""
        self.data += struct.pack(f"<{len(values)}Q", *values)

    def raw(self, value: bytes) -> None:
        """Pack bytes."""
        self.number(len(value))
        self.data += value

    def some_raw(self, value: bytes | None) -> None:
        """Pack bytes or None."""
        self.data.append(value is not None)
        if value is not None:
            self.raw(value)

    def text(self, value: str) -> None:
        """Pack text of ours."""
        self.raw(value.encode("utf-8"))

    def some_text(self, value: str | None) -> None:
        """Pack text of ours or None."""
        self.some_raw(None if value is None else value.encode("utf-8"))


class Unpacker:
    """
    Takes values out again in the order in which they were packed.

    Every method raises `DamagedFileError` where the bytes cannot have been packed like that.
    """

    __slots__ = ("_at", "_data")

    def __init__(self, data: memoryview | bytes) -> None:
        self._data = bytes(data)
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def number(self) -> int:
        """Take a number."""
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > _MOST_BITS:
                raise DamagedFileError("a number is too large")
        return -(value >> 1) - 1 if value & 1 else value >> 1

    def natural(self) -> int:
        """Take a number that is not negative."""
        value = self.number()
        if value < 0:
            raise DamagedFileError("a number is negative")
        return value

    def count(self) -> int:
        """Take how many values follow, of which each takes a byte at least."""
        value = self.natural()
        if value > self.left:
            raise DamagedFileError("more values than bytes")
        return value

    def some(self) -> int | None:
        """Take a number or None."""
        return self.number() if self._is_there() else None

    def numbers(self, count: int) -> tuple[int, ...]:
        """Take *count* numbers of eight bytes each, not negative."""
        length = 8 * count
        if length > self.left:
            raise DamagedFileError("cut off")
        start = self._at
        self._at += length
        return struct.unpack(f"<{count}Q", self._data[start : self._at])

    def raw(self) -> bytes:
        """Take bytes."""
        length = self.count()
        start = self._at
        self._at += length
        return self._data[start : self._at]

    def some_raw(self) -> bytes | None:
        """Take bytes or None."""
        return self.raw() if self._is_there() else None

    def text(self) -> str:
        """Take text."""
        try:
            return self.raw().decode("utf-8")
        except UnicodeDecodeError as error:
            raise DamagedFileError("no text") from error

    def some_text(self) -> str | None:
        """Take text or None."""
        return self.text() if self._is_there() else None

    def end(self) -> None:
        """Be sure that nothing is left."""
        if self.left:
            raise DamagedFileError("bytes are left over")

    def _is_there(self) -> bool:
        flag = self._byte()
        if flag > 1:
            raise DamagedFileError("neither there nor absent")
        return bool(flag)

    def _byte(self) -> int:
        if self._at >= len(self._data):
            raise DamagedFileError("cut off")
        value = self._data[self._at]
        self._at += 1
        return value
