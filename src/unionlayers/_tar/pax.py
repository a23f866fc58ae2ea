"""
The body of an extended header: records of ``length key=value``, each closed by a newline.

A record is bytes from end to end: neither ``hdrcharset`` nor any locale changes what it says
(case J12).  The first form of GNU's sparse files repeats two keys for each segment; they are
gathered into one record here, as the second form has it.
"""

from __future__ import annotations

from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._tar.number import decimal
from unionlayers.errors import TarError

__all__ = ["SPARSE_MAP", "read_records"]

SPARSE_MAP = b"GNU.sparse.map"
_SPARSE_OFFSET = b"GNU.sparse.offset"
_SPARSE_LENGTH = b"GNU.sparse.numbytes"
_SPARSE_PAIR = frozenset((_SPARSE_OFFSET, _SPARSE_LENGTH))
_NAMES = frozenset((b"path", b"linkpath", b"uname", b"gname"))
_SHORTEST = len(b"5 a=\n")


def read_records(body: bytes, limits: Limits) -> dict[bytes, bytes]:
    """
    Give the records of an extended header; of equal keys the last one holds.

    Raises:
        TarError: A record is not of the form, or a name holds a NUL.
        LimitError: There are more than ``pax_records``, or more than ``sparse_entries`` segments.

    Spec:
        POSIX.1-2017, pax, "pax Extended Header"; what is refused is what Go's archive/tar
        refuses (cases G6 and J13).

    Example:
        >>> from unionlayers._foundation.limits import Limits
        >>> read_records(b"12 path=etc\\n13 mtime=1.5\\n", Limits())
        {b'path': b'etc', b'mtime': b'1.5'}
    """
    records: dict[bytes, bytes] = {}
    segments: list[bytes] = []
    has_nul = b"\0" in body
    find = body.find
    at = 0
    end = len(body)
    count = 0
    while at < end:
        blank = find(b" ", at)
        digits = body[at:blank] if blank >= 0 else b""
        length = int(digits) if len(digits) < 8 and digits.isdigit() else _length(digits)
        stop = at + length
        if length < _SHORTEST or stop > end:
            raise TarError(
                "a record of an extended header does not begin with its length",
                expected=f"{_SHORTEST} to {end - at}",
                actual=length,
                case="J13",
            )
        if body[stop - 1] != 0x0A:
            raise TarError("a record of an extended header does not end in a newline", case="J13")
        key, equals, value = body[blank + 1 : stop - 1].partition(b"=")
        if not equals or not key:
            raise TarError("a record of an extended header has no key", case="J13")
        if has_nul and b"\0" in (value if key in _NAMES else key):
            raise TarError(
                "a record of an extended header holds a NUL where a name must not", case="G6"
            )
        if key in _SPARSE_PAIR:
            _gather(segments, key, value, limits)
        else:
            records[key] = value
            count += 1
            if count > limits.pax_records:
                exceeded("pax_records", limits.pax_records, count)
        at = stop
    if segments:
        records[SPARSE_MAP] = b",".join(segments)
    return records


def _length(digits: bytes) -> int:
    """Give the length of a record that is written in an uncommon way."""
    try:
        return decimal(digits)
    except ValueError:
        raise TarError(
            "a record of an extended header does not begin with its length",
            actual=digits[:32].hex(" ") or "no digits",
            case="J13",
        ) from None


def _gather(segments: list[bytes], key: bytes, value: bytes, limits: Limits) -> None:
    """Take one half of a segment: offset and length must take turns."""
    turn = _SPARSE_LENGTH if len(segments) % 2 else _SPARSE_OFFSET
    if key != turn or b"," in value:
        raise TarError("the records of a sparse map are out of order", case="J4")
    segments.append(value)
    if len(segments) > 2 * limits.sparse_entries:
        exceeded("sparse_entries", limits.sparse_entries, (len(segments) + 1) // 2)
