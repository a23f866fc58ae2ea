"""
Where a sparse file keeps its map: in the header, in records, or before its data.

GNU tar has had four forms over the years; all are met in the wild.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from unionlayers.testing.entry import BLOCK, Entry, Sparse
from unionlayers.testing.header import octal

__all__ = ["SparseParts", "sparse_parts"]

_IN_HEADER = 4
_IN_EXTENSION = 21


@frozen(kw_only=True)
class SparseParts:
    """
    What a sparse entry adds to a plain one.

    Attributes:
        body: What is stored after the header, as counted by its size.
        records: Pairs for the extended header, in order; keys may repeat.
        fields: Pairs of header field and bytes.
        maps: Blocks between header and body that the size does not count.
        name: A stand-in for the name in the header, None for the name itself.
    """

    body: bytes
    records: tuple[tuple[bytes, bytes], ...] = ()
    fields: tuple[tuple[str, bytes], ...] = ()
    maps: bytes = b""
    name: bytes | None = None


def sparse_parts(item: Entry) -> SparseParts:
    """
    Give what is to be written for *item*; a plain entry has its content as the body only.

    Spec:
        GNU tar manual, "Storing Sparse Files".
    """
    sparse = item.sparse
    if sparse is None:
        return SparseParts(body=item.content)
    if sparse.form == "gnu":
        return _old_gnu(sparse)
    if sparse.form == "0.0":
        return _version_0_0(sparse)
    parent, slash, name = item.path.rpartition(b"/")
    stand_in = (parent + slash + b"GNUSparseFile.0/" + name)[:100]
    if sparse.form == "0.1":
        return _version_0_1(sparse, item.path, stand_in)
    return _version_1_0(sparse, item.path, stand_in)


def _numbers(segments: Sequence[tuple[int, int]]) -> bytes:
    return b"".join(octal(number, 12) for pair in segments for number in pair)


def _old_gnu(sparse: Sparse) -> SparseParts:
    rest = sparse.segments[_IN_HEADER:]
    maps = b""
    while rest:
        block = _numbers(rest[:_IN_EXTENSION]).ljust(_IN_EXTENSION * 24, b"\0")
        rest = rest[_IN_EXTENSION:]
        maps += (block + (b"\1" if rest else b"\0")).ljust(BLOCK, b"\0")
    fields = (
        ("gnu_sparse", _numbers(sparse.segments[:_IN_HEADER])),
        ("gnu_extended", b"\1" if maps else b"\0"),
        ("gnu_realsize", octal(sparse.size, 12)),
    )
    return SparseParts(body=sparse.data, fields=fields, maps=maps)


def _version_0_0(sparse: Sparse) -> SparseParts:
    records = [
        (b"GNU.sparse.size", b"%d" % sparse.size),
        (b"GNU.sparse.numblocks", b"%d" % len(sparse.segments)),
    ]
    for offset, length in sparse.segments:
        records.append((b"GNU.sparse.offset", b"%d" % offset))
        records.append((b"GNU.sparse.numbytes", b"%d" % length))
    return SparseParts(body=sparse.data, records=tuple(records))


def _version_0_1(sparse: Sparse, name: bytes, stand_in: bytes) -> SparseParts:
    numbers = b",".join(b"%d,%d" % pair for pair in sparse.segments)
    records = (
        (b"GNU.sparse.name", name),
        (b"GNU.sparse.size", b"%d" % sparse.size),
        (b"GNU.sparse.numblocks", b"%d" % len(sparse.segments)),
        (b"GNU.sparse.map", numbers),
    )
    return SparseParts(body=sparse.data, records=records, name=stand_in)


def _version_1_0(sparse: Sparse, name: bytes, stand_in: bytes) -> SparseParts:
    lines = b"%d\n" % len(sparse.segments)
    lines += b"".join(b"%d\n%d\n" % pair for pair in sparse.segments)
    records = (
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", name),
        (b"GNU.sparse.realsize", b"%d" % sparse.size),
    )
    body = lines + bytes(-len(lines) % BLOCK) + sparse.data
    return SparseParts(body=body, records=records, name=stand_in)
