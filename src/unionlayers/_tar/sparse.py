"""
Sparse maps in their four forms, decoded to (offset, length) of the stored segments.

Old GNU headers carry the first four segments and go on in blocks behind the header; the forms 0.0
and 0.1 of PAX carry them in records, form 1.0 in front of the content.
"""

from __future__ import annotations

from collections.abc import Callable

from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._tar.entry import TarEntry
from unionlayers._tar.header import BLOCK
from unionlayers._tar.number import decimal, numeric
from unionlayers._tar.pax import SPARSE_MAP

__all__ = ["apply_names", "check_segments", "old_gnu_segments", "pax_version", "read_map_1_0", "record_segments"]

Segments = list[tuple[int, int]]

_INT64 = 1 << 63


def pax_version(records: dict[bytes, bytes]) -> str | None:
    """Tell the form of a sparse map in PAX records, ``"0"`` or ``"1.0"``; None for no map."""
    version = (records.get(b"GNU.sparse.major", b""), records.get(b"GNU.sparse.minor", b""))
    if version in ((b"0", b"0"), (b"0", b"1")):
        return "0"
    if version == (b"1", b"0"):
        return "1.0"
    if version != (b"", b""):
        return None
    return "0" if records.get(SPARSE_MAP) else None


def apply_names(entry: TarEntry, records: dict[bytes, bytes]) -> None:
    """Give a sparse file its true name and size, which PAX keeps in records of their own."""
    name = records.get(b"GNU.sparse.name")
    if name:
        entry.name = name
    size = records.get(b"GNU.sparse.size") or records.get(b"GNU.sparse.realsize")
    if size:
        entry.size = decimal(size)


def record_segments(records: dict[bytes, bytes], limits: Limits) -> Segments:
    """Give the segments that records list (forms 0.0 and 0.1)."""
    count = decimal(records.get(b"GNU.sparse.numblocks", b""))
    if count < 0 or count > _INT64 // 2:
        raise ValueError("a sparse map with an impossible number of segments")
    if count > limits.sparse_entries:
        exceeded("sparse_entries", limits.sparse_entries, count)
    text = records.get(SPARSE_MAP, b"")
    numbers = text.split(b",")
    if len(numbers) == 1 and not numbers[0]:
        numbers = []
    if len(numbers) != 2 * count:
        raise ValueError("a sparse map with another number of segments than it states")
    values = [decimal(number) for number in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


def old_gnu_segments(
    block: bytes, next_block: Callable[[], bytes], limits: Limits
) -> tuple[Segments, int]:
    """Give the segments and the true size that an old GNU header and its extensions have."""
    size = numeric(block[483:495])
    segments: Segments = []
    part, room, extended = block[386:482], 4, block[482]
    while True:
        for at in range(0, 24 * room, 24):
            offset, length = part[at : at + 12], part[at + 12 : at + 24]
            if not offset[0]:
                break
            segments.append((numeric(offset), numeric(length)))
        if len(segments) > limits.sparse_entries:
            exceeded("sparse_entries", limits.sparse_entries, len(segments))
        if not extended:
            return segments, size
        block = next_block()
        part, room, extended = block, 21, block[504]


def read_map_1_0(take: Callable[[int], bytes], limits: Limits) -> tuple[Segments, int]:
    """Read the map in front of the content (form 1.0); gives it and the bytes it took."""
    taken = 0
    buffer = b""

    def line() -> bytes:
        nonlocal buffer, taken
        pieces: list[bytes] = []
        while b"\n" not in buffer:
            pieces.append(buffer)
            if len(pieces) > limits.header_bytes // BLOCK:
                exceeded("header_bytes", limits.header_bytes, len(pieces) * BLOCK)
            buffer = take(BLOCK)
            taken += len(buffer)
            if len(buffer) != BLOCK:
                raise ValueError("a sparse map that is cut off")
        head, _, rest = buffer.partition(b"\n")
        buffer = rest
        return b"".join((*pieces, head))

    count = decimal(line())
    if count < 0:
        raise ValueError("a sparse map with an impossible number of segments")
    if count > limits.sparse_entries:
        exceeded("sparse_entries", limits.sparse_entries, count)
    return [(decimal(line()), decimal(line())) for _ in range(count)], taken


def check_segments(segments: Segments, size: int, stored: int) -> None:
    """Raise `ValueError` unless the segments are in order, inside the file, and all stored."""
    if size < 0:
        raise ValueError("a negative size")
    before = 0
    total = 0
    for offset, length in segments:
        if offset < 0 or length < 0 or offset + length >= _INT64:
            raise ValueError("a sparse segment that cannot be")
        if offset + length > size or offset < before:
            raise ValueError("sparse segments that overlap or reach past the end")
        before = offset + length
        total += length
    if total != stored:
        raise ValueError("a sparse map that does not fit the stored bytes")
