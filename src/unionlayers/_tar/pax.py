"""
Extended headers (POSIX.1-2001 pax): records, and what they change in the entry that follows.

The records are bytes.  Those of the two forms of sparse map that stand in records are gathered
under one key, in the form of the later one.
"""

from __future__ import annotations

from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._tar.entry import TarEntry
from unionlayers._tar.number import decimal, seconds

__all__ = ["SPARSE_MAP", "apply_records", "parse_records"]

SPARSE_MAP = b"GNU.sparse.map"

_SPARSE_OFFSET = b"GNU.sparse.offset"
_SPARSE_LENGTH = b"GNU.sparse.numbytes"
_TEXTS = frozenset((b"path", b"linkpath", b"uname", b"gname"))
_SHORTEST = 5


def parse_records(body: bytes, limits: Limits) -> dict[bytes, bytes]:
    """
    Split the body of an extended header into its records; a later record wins.

    Raises:
        ValueError: A record has not the length it states, no ``=``, or a NUL where none may be.
        LimitError: More records than ``Limits.pax_records``.

    Spec:
        POSIX.1-2017, pax, "pax Extended Header".
    """
    records: dict[bytes, bytes] = {}
    sparse: list[bytes] = []
    at = 0
    count = 0
    end = len(body)
    while at < end:
        count += 1
        if count > limits.pax_records:
            exceeded("pax_records", limits.pax_records, count)
        blank = body.find(b" ", at, at + 24)
        if blank < 0:
            raise ValueError("an extended record without a length")
        length = decimal(body[at:blank])
        stop = at + length
        if length < _SHORTEST or stop > end or stop - 1 <= blank or body[stop - 1] != 0x0A:
            raise ValueError("an extended record has not the length it states")
        key, equals, value = body[blank + 1 : stop - 1].partition(b"=")
        if not equals or not key or b"\0" in (value if key in _TEXTS else key):
            raise ValueError("an extended record that is no key=value")
        at = stop
        if key in (_SPARSE_OFFSET, _SPARSE_LENGTH):
            expected = _SPARSE_LENGTH if len(sparse) % 2 else _SPARSE_OFFSET
            if key != expected or b"," in value:
                raise ValueError("records of a sparse map out of order")
            sparse.append(value)
            if len(sparse) > 2 * limits.sparse_entries:
                exceeded("sparse_entries", limits.sparse_entries, len(sparse) // 2)
        else:
            records[key] = value
    if sparse:
        records[SPARSE_MAP] = b",".join(sparse)
    return records


def apply_records(entry: TarEntry, records: dict[bytes, bytes]) -> None:
    """
    Change an entry as the records of its extended header say; an empty value changes nothing.

    Raises:
        ValueError: A number or time is none.
    """
    entry.pax = records
    for key, value in records.items():
        if not value:
            continue
        if key == b"path":
            entry.name = value
        elif key == b"mtime":
            entry.mtime_ns = seconds(value)
        elif key == b"size":
            entry.size = decimal(value)
        elif key == b"linkpath":
            entry.linkname = value
        elif key == b"atime":
            entry.atime_ns = seconds(value)
        elif key == b"ctime":
            entry.ctime_ns = seconds(value)
        elif key == b"uid":
            entry.uid = decimal(value)
        elif key == b"gid":
            entry.gid = decimal(value)
        elif key == b"uname":
            entry.uname = value
        elif key == b"gname":
            entry.gname = value
