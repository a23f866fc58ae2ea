"""
Bytes of a tar that belong to no entry: where something can be kept that no reader shows.

A tar is filled up to blocks of 512 bytes behind each content, and to its end with zero blocks.
Writers put zeros there; nothing looks at them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from attrs import frozen

from unionlayers._bytes.source import ByteSource
from unionlayers._bytes.source_stream import SourceStream
from unionlayers._foundation.limits import Limits
from unionlayers._tar.header import BLOCK
from unionlayers._tar.reader import TarReader

__all__ = ["LooseBytes", "loose_bytes"]

_PIECE = 1 << 18


@frozen
class LooseBytes:
    """
    A stretch of a tar that is not all zero and that no entry has.

    Attributes:
        kind: ``"gap"`` behind the content of an entry, or ``"after tar"``.
        offset: Where it starts, in bytes of the tar.
        size: Bytes.
    """

    kind: Literal["gap", "after tar"]
    offset: int
    size: int


def loose_bytes(source: ByteSource, limits: Limits) -> Iterator[LooseBytes]:
    """
    Give what lies between the entries of a tar and behind its end, in order.

    Headers that say nothing of an entry (global ones, and what a global one cuts off) are headers
    and no loose bytes.

    Raises:
        TarError: The tar is damaged.
        LimitError: A header is larger than the limits allow.

    Cost:
        Reads all headers, the padding of each entry and what is behind the end, in order.
    """
    reader = TarReader(SourceStream(source), limits)
    for entry in reader:
        end = entry.data_offset + entry.stored_size
        size = -end % BLOCK
        if size and _is_used(padding := source.pread(end, size)):
            yield LooseBytes("gap", end, len(padding))
    end = source.size if reader.end_offset is None else reader.end_offset
    for offset in range(end, source.size, _PIECE):
        if _is_used(source.pread(offset, _PIECE)):
            yield LooseBytes("after tar", end, source.size - end)
            return


def _is_used(data: bytes) -> bool:
    return data.count(0) != len(data)
