"""
Maps of sparse files in the four forms that tar has for them.

The old form of GNU tar keeps the map in the header and in blocks behind it; the three of PAX keep
it in records (0.0 and 0.1) or in front of the data (1.0).  All give the same: the segments that
are stored, which must lie in order inside the file and be as long together as what is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._tar.header import BLOCK, read_field
from unionlayers._tar.number import decimal
from unionlayers._tar.pax import SPARSE_MAP
from unionlayers.errors import TarError

__all__ = [
    "Segments",
    "checked",
    "map_form",
    "read_block_map",
    "read_data_map",
    "read_record_map",
]

Segments = list[tuple[int, int]]
"""(offset in the file, length) of what is stored."""

_IN_HEADER = slice(386, 483)
_PAIR = 24


def map_form(records: Mapping[bytes, bytes]) -> str | None:
    """
    Tell where the records say that a map is: in the ``"records"``, the ``"data"``, or nowhere.

    Versions that nobody has defined are no sparse files, as Go's archive/tar has it.
    """
    major = records.get(b"GNU.sparse.major", b"")
    minor = records.get(b"GNU.sparse.minor", b"")
    if major == b"0" and minor in (b"0", b"1"):
        return "records"
    if major == b"1" and minor == b"0":
        return "data"
    if not major and not minor and records.get(SPARSE_MAP):
        return "records"
    return None


def read_record_map(records: Mapping[bytes, bytes], limits: Limits) -> Segments:
    """
    Read the map of the PAX forms 0.0 and 0.1.

    Raises:
        TarError: Count and map disagree, or hold something else than numbers.
        LimitError: It has more segments than ``sparse_entries``.
    """
    count = _number(records.get(b"GNU.sparse.numblocks", b""))
    text = records.get(SPARSE_MAP, b"")
    numbers = text.split(b",") if text else []
    if count < 0 or len(numbers) != 2 * count:
        raise TarError(
            "the sparse map has another number of segments than it says",
            expected=count,
            actual=len(numbers) / 2,
            case="J4",
        )
    if count > limits.sparse_entries:
        exceeded("sparse_entries", limits.sparse_entries, count)
    values = [_number(number) for number in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


def read_data_map(
    take: Callable[[int], bytes], stored: int, limits: Limits
) -> tuple[Segments, int]:
    """
    Read the map of the PAX form 1.0, which the data begin with.

    Args:
        take: Gives the next bytes of the data.
        stored: Bytes of the data, map included.
        limits: Bound on segments.

    Returns:
        The segments, and how many bytes the map took, a multiple of 512.

    Raises:
        TarError: The map does not end inside the data, or holds something else than numbers.
        LimitError: It has more segments than ``sparse_entries``.
    """
    numbers: list[int] = []
    wanted = 1
    used = 0
    text = b""
    while len(numbers) < wanted:
        if stored - used < BLOCK:
            raise TarError("the sparse map does not end inside the data")
        block = take(BLOCK)
        if len(block) < BLOCK:
            raise TarError("the archive ends inside a sparse map")
        used += BLOCK
        *lines, text = (text + block).split(b"\n")
        if len(text) > limits.header_bytes:
            exceeded("header_bytes", limits.header_bytes, len(text))
        for line in lines:
            if len(numbers) == wanted:
                break
            numbers.append(_number(line))
            if len(numbers) == 1:
                wanted = _announced(numbers[0], limits)
    return list(zip(numbers[1::2], numbers[2::2], strict=True)), used


def _announced(count: int, limits: Limits) -> int:
    """Give how many numbers a map of *count* segments has, the count included."""
    if count < 0:
        raise TarError("the sparse map has a negative number of segments", actual=count)
    if count > limits.sparse_entries:
        exceeded("sparse_entries", limits.sparse_entries, count)
    return 1 + 2 * count


def read_block_map(
    header: bytes, take: Callable[[int], bytes], limits: Limits
) -> tuple[Segments, int]:
    """
    Read the map of the old form of GNU tar, from the header and the blocks behind it.

    Args:
        header: The 512 bytes of the header.
        take: Gives the bytes behind it.
        limits: Bound on segments.

    Returns:
        The segments, and how many bytes the further blocks took.

    Raises:
        TarError: The archive ends in the map, or it holds something else than numbers.
        LimitError: It has more segments than ``sparse_entries``.
    """
    segments: Segments = []
    used = 0
    area = header[_IN_HEADER]
    while True:
        room = len(area) // _PAIR * _PAIR
        for at in range(0, room, _PAIR):
            if not area[at]:
                break
            offset = read_field("sparse offset", area[at : at + 12])
            length = read_field("sparse length", area[at + 12 : at + 24])
            segments.append((offset, length))
        if len(segments) > limits.sparse_entries:
            exceeded("sparse_entries", limits.sparse_entries, len(segments))
        if not area[room]:
            return segments, used
        area = take(BLOCK)
        if len(area) < BLOCK:
            raise TarError("the archive ends inside a sparse map")
        used += BLOCK


def checked(segments: Segments, size: int, stored: int) -> tuple[tuple[int, int], ...]:
    """
    Hold a map against the size of its file and the bytes that are stored.

    Returns:
        The segments without empty ones.

    Raises:
        TarError: They overlap, are out of order, leave the file, or are not as long together as
            what is stored.
    """
    if size < 0:
        raise TarError("the size of a sparse file is negative", actual=size)
    end = 0
    for offset, length in segments:
        if length < 0 or offset < end or offset + length > size:
            raise TarError(
                "a segment of the sparse map overlaps another or leaves the file",
                expected=f"{end} to {size}",
                actual=f"{offset} to {offset + length}",
            )
        end = offset + length
    kept = tuple(pair for pair in segments if pair[1])
    total = sum(length for _, length in kept)
    if total != stored:
        raise TarError(
            "the sparse map names more data than are stored"
            if total > stored
            else "the sparse map leaves stored data out",
            expected=total,
            actual=stored,
        )
    return kept


def _number(text: bytes) -> int:
    try:
        return decimal(text)
    except ValueError:
        raise TarError(
            "the sparse map holds something else than a number", actual=text[:32].hex(" ")
        ) from None
