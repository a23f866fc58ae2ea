"""
A file of named sections, each with its checksum: the form of everything that a store keeps.

A header and a table of sections are checked when the file is opened, and each section when it is
first asked for, so that opening costs the same for a large file as for a small one.  Whatever is
not as it was written is a `DamagedFileError`, which those who read answer by making the file anew;
no length and no offset of a file is believed before it is checked.

All numbers are little-endian, so that the same content is the same file on every machine.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from unionlayers._codec.engines import crc32

__all__ = ["Column", "DamagedFileError", "Section", "SectionFile", "pack_sections"]

_MAGIC = b"\x93UNIONL\n"
# Magic, kind of file, version, number of sections, bytes of the whole file; then the digest of
# this and of the table.
_HEAD = struct.Struct("<8s4sHHQ")
_DIGEST_BYTES = 16
# Tag, typecode, offset, bytes, CRC-32.
_LINE = struct.Struct("<4sc3xQQI4x")
_CODES = {b"B": 1, b"H": 2, b"I": 4, b"Q": 8, b"q": 8}
_MOST_SECTIONS = 64

Column = Sequence[int]
"""Numbers of one section."""

Section = tuple[str, "array[int] | bytes"]
"""A tag of four ASCII characters and what stands under it."""


class DamagedFileError(Exception):
    """A file of a store is not as it was written."""


def pack_sections(kind: str, version: int, sections: Iterable[Section]) -> list[bytes]:
    """
    Give a file as pieces to be written one after the other.

    Args:
        kind: Four ASCII characters.
        version: Of the form that the sections of this kind have.
        sections: Tags, each once, and their contents.
    """
    named = [(tag.encode("ascii"), *_little(content)) for tag, content in sections]
    offset = _HEAD.size + _DIGEST_BYTES + _LINE.size * len(named)
    lines: list[bytes] = []
    pieces: list[bytes] = []
    for tag, code, data in named:
        lines.append(_LINE.pack(tag, code, offset, len(data), crc32(data, 0)))
        padding = bytes(-len(data) % 8)
        pieces.extend((data, padding))
        offset += len(data) + len(padding)
    head = _HEAD.pack(_MAGIC, kind.encode("ascii"), version, len(named), offset)
    table = b"".join(lines)
    return [head, _digest(head, table), table, *filter(None, pieces)]


class SectionFile:
    """
    A file that `pack_sections` made, from its bytes.

    Args:
        data: The whole file; it is held as long as any section that was asked for.
        kind: What it must be.
        version: The only version that is read.

    Raises:
        DamagedFileError: The header or the table is not as it was written, or of another kind or
            version, or the file is longer or shorter.

    Cost:
        The same for every size of file.
    """

    __slots__ = ("_checked", "_data", "_lines")

    def __init__(self, data: memoryview, kind: str, version: int) -> None:
        start = _HEAD.size + _DIGEST_BYTES
        if len(data) < start:
            raise DamagedFileError("shorter than a header")
        head = bytes(data[: _HEAD.size])
        magic, found, stands, count, size = _HEAD.unpack(head)
        if magic != _MAGIC or found != kind.encode("ascii") or stands != version:
            raise DamagedFileError("another kind of file")
        end = start + count * _LINE.size
        if count > _MOST_SECTIONS or size != len(data) or end > size:
            raise DamagedFileError("cut off, or longer than it was")
        table = bytes(data[start:end])
        if _digest(head, table) != data[_HEAD.size : start]:
            raise DamagedFileError("the table of sections is damaged")
        self._data = data
        self._checked: set[str] = set()
        self._lines: dict[str, tuple[str, int, int, int]] = {}
        for tag, code, offset, length, crc in _LINE.iter_unpack(table):
            width = _CODES.get(code)
            if width is None or length % width or offset < end or offset + length > size:
                raise DamagedFileError("a section lies outside of the file")
            name = tag.decode("latin-1")
            self._lines[name] = (code.decode("ascii"), offset, length, crc)

    def release(self) -> None:
        """Let go of the bytes; there are no sections from now on."""
        self._data = memoryview(b"")
        self._lines = {}

    def __contains__(self, tag: str) -> bool:
        """Tell whether there is such a section."""
        return tag in self._lines

    def count(self, tag: str) -> int:
        """
        Tell how many numbers a section has, without looking at it.

        Raises:
            DamagedFileError: There is no such section.
        """
        code, _, length, _ = self._line(tag)
        return length // _CODES[code.encode("ascii")]

    def raw(self, tag: str) -> memoryview:
        """
        Give the bytes of a section.

        Raises:
            DamagedFileError: They are not as they were written, or there is no such section.

        Cost:
            One pass over them at the first call.
        """
        _, offset, length, crc = self._line(tag)
        data = self._data[offset : offset + length]
        if tag not in self._checked:
            if crc32(data, 0) != crc:
                raise DamagedFileError(f"the section {tag} is damaged")
            self._checked.add(tag)
        return data

    def column(self, tag: str, code: str) -> memoryview | array[int]:
        """
        Give the numbers of a section, straight from the file where the machine is little-endian.

        Raises:
            DamagedFileError: As for `raw`, or the section has other numbers than *code* says.
        """
        if self._line(tag)[0] != code:
            raise DamagedFileError(f"the section {tag} has other numbers")
        data = self.raw(tag)
        if sys.byteorder == "little":
            return data.cast(code)  # type: ignore[call-overload, no-any-return]
        column = array(code, bytes(data))
        column.byteswap()
        return column

    def _line(self, tag: str) -> tuple[str, int, int, int]:
        line = self._lines.get(tag)
        if line is None:
            raise DamagedFileError(f"there is no section {tag}")
        return line


def _digest(head: bytes, table: bytes) -> bytes:
    return blake2b(head + table, digest_size=_DIGEST_BYTES).digest()


def _little(content: array[int] | bytes) -> tuple[bytes, bytes]:
    """Give the typecode and the bytes of a section."""
    if isinstance(content, bytes):
        return b"B", content
    if sys.byteorder != "little":
        content = array(content.typecode, content)
        content.byteswap()
    return content.typecode.encode("ascii"), content.tobytes()
