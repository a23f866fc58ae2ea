"""
The stored form of the record of a layer: its columns as they are, the tables packed.

A record is written as one file of sections (`unionlayers._codec.section_file`) and comes back as a
`MappedIndex`, which looks at a section when it is first asked for.  The same layer gives the same
bytes on every machine.  The file knows no profile and no reaction to what is invalid; it knows the
limits that the layer kept, because what is within them would not be within tighter ones.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from unionlayers._codec.checkpoint import Checkpoint
from unionlayers._codec.packed import Packer, Unpacker
from unionlayers._codec.section_file import (
    Column,
    DamagedFileError,
    Section,
    SectionFile,
    pack_sections,
)
from unionlayers._foundation.limits import Limits
from unionlayers._tar.index import ABSENT, LayerIndex
from unionlayers._tar.index_tables import (
    Texts,
    joined,
    pack_extra,
    pack_marks,
    pack_notes,
    pack_oddities,
    unpack_marks,
    unpack_notes,
    unpack_oddities,
)

__all__ = ["FORMAT", "LAZY", "IndexFacts", "open_index", "pack_index", "read_facts"]

FORMAT = 2
"""Version of the form; files of another one are not read, and no longer used ones are evicted."""

_KIND = "indx"
_KINDS = struct.Struct("<Iqq")

# Column of the record, tag of its section, typecode.
_ROWS = (
    ("ordinal", "ordi", "I"),
    ("block", "bloc", "I"),
    ("extension", "exte", "H"),
    ("length", "leng", "Q"),
    ("mtime", "mtim", "q"),
    ("kind", "kind", "I"),
    ("ref", "refs", "I"),
)
_TIMES = (("atime", "atim", "q"), ("ctime", "ctim", "q"))
_DIRECTORIES = (
    ("start", "star", "I"),
    ("subdirectories", "subd", "I"),
    ("own", "ownr", "I"),
    ("name_start", "nsta", "Q"),
)
# The bounds that one layer is held against; `image_entries` and the others are not among them.
_BOUNDS = (
    "entries",
    "name_bytes",
    "xattr_bytes",
    "header_bytes",
    "pax_records",
    "sparse_entries",
    "layer_bytes",
    "expansion",
    "window_bytes",
    "depth",
    "component_bytes",
)


@frozen(kw_only=True)
class IndexFacts:
    """
    What a stored record says of the whole layer.

    Attributes:
        codec: Name of the compression.
        blob_digest: Digest of the blob as stored.
        diff_id: Digest of the uncompressed tar.
        blob_size: Bytes of the blob.
        size: Bytes of the uncompressed stream.
        entries: Tar entries.
        bounds: Limits within which the layer is known to be, by the name of the field.
    """

    codec: str
    blob_digest: str
    diff_id: str
    blob_size: int
    size: int
    entries: int
    bounds: Mapping[str, int]

    def within(self, limits: Limits) -> bool:
        """Tell whether the layer is known to be within *limits*."""
        return all(self.bounds[name] <= getattr(limits, name) for name in _BOUNDS)

    def tightened(self, limits: Limits) -> Mapping[str, int]:
        """Give the bounds of one who has also seen it be within *limits*."""
        return {name: min(self.bounds[name], getattr(limits, name)) for name in _BOUNDS}


def pack_index(
    index: LayerIndex, limits: Limits, *, bounds: Mapping[str, int] | None = None
) -> list[bytes]:
    """
    Give the file of a record as pieces to be written one after the other.

    Args:
        index: A record with both digests.
        limits: What the layer was read within.
        bounds: Tighter ones within which it is known to be.

    Raises:
        ValueError: It has not both digests, or a number that no file can hold.

    Cost:
        A copy of the columns.
    """
    if index.blob_digest is None or index.diff_id is None:
        raise ValueError("a record without digests is not stored")
    facts = Packer()
    for text in (index.codec, index.blob_digest, index.diff_id):
        facts.text(text)
    for number in (index.blob_size, index.size, index.entries):
        facts.number(number)
    for name in _BOUNDS:
        facts.number(getattr(limits, name) if bounds is None else bounds[name])
    sections: list[Section] = [("fact", bytes(facts.data))]
    for name, tag, code in (*_DIRECTORIES, *_ROWS, *_TIMES):
        column = getattr(index, name)
        if column is not None:
            sections.append((tag, array(code, column)))
    extras = sorted(index.extras.items())
    extra_starts, extra_data = joined([pack_extra(extra) for _, extra in extras])
    loose_starts, loose_data = joined(list(index.loose.values()))
    text_starts, text_data = joined(list(index.texts))
    free = [point for point in index.checkpoints if not point.window]
    sections += [
        ("name", bytes(index.names)),
        ("knds", b"".join(_KINDS.pack(*kind) for kind in index.kinds)),
        ("tsta", text_starts),
        ("text", text_data),
        ("hrow", array("I", index.hard)),
        ("htgt", array("I", index.hard.values())),
        ("xrow", array("I", (row for row, _ in extras))),
        ("xsta", extra_starts),
        ("xtra", extra_data),
        ("lrow", array("I", index.loose)),
        ("lsta", loose_starts),
        ("loos", loose_data),
        ("mark", pack_marks(index.marks)),
        ("odds", pack_oddities(index.oddities)),
        ("note", pack_notes(index.notes)),
        ("fbit", array("Q", (point.bit_offset for point in free))),
        ("foff", array("Q", (point.offset for point in free))),
    ]
    return pack_sections(_KIND, FORMAT, sections)


def open_index(data: memoryview) -> SectionFile:
    """
    Open the file of a record, and check that its sections fit each other.

    Raises:
        DamagedFileError: It is not as `pack_index` made it, as far as the table of sections shows.

    Cost:
        The same for every size.
    """
    file = SectionFile(data, _KIND, FORMAT)
    rows = file.count("kind")
    directories = file.count("star") - 1
    expected = {tag: rows for _, tag, _ in _ROWS}
    expected |= {tag: rows for _, tag, _ in _TIMES if tag in file}
    expected |= {"subd": directories, "ownr": directories, "nsta": directories + 1}
    expected |= {
        "htgt": file.count("hrow"),
        "xsta": file.count("xrow") + 1,
        "lsta": file.count("lrow") + 1,
        "foff": file.count("fbit"),
    }
    if directories < 1 or any(file.count(tag) != count for tag, count in expected.items()):
        raise DamagedFileError("sections do not fit each other")
    return file


def read_facts(file: SectionFile) -> IndexFacts:
    """
    Give what a stored record says of the whole layer.

    Raises:
        DamagedFileError: The section is not as it was written.
    """
    taken = Unpacker(file.raw("fact"))
    codec, blob_digest, diff_id = taken.text(), taken.text(), taken.text()
    blob_size, size, entries = taken.natural(), taken.natural(), taken.natural()
    bounds = {name: taken.natural() for name in _BOUNDS}
    taken.end()
    if codec not in ("identity", "gzip", "zstd", "xz", "bzip2"):
        raise DamagedFileError("a compression that is not known")
    return IndexFacts(
        codec=codec,
        blob_digest=blob_digest,
        diff_id=diff_id,
        blob_size=blob_size,
        size=size,
        entries=entries,
        bounds=bounds,
    )


# -- sections, one at a time ----------------------------------------------------------------------


def _times(file: SectionFile, tag: str) -> Column | None:
    return file.column(tag, "q") if tag in file else None


def _kinds(file: SectionFile) -> tuple[tuple[int, int, int], ...]:
    data = file.raw("knds")
    if len(data) % _KINDS.size or not data:
        raise DamagedFileError("kinds do not fill their section")
    return tuple(_KINDS.iter_unpack(data))


def _texts(file: SectionFile) -> Texts:
    return Texts(file.column("tsta", "Q"), file.raw("text"))


def _hard(file: SectionFile) -> Mapping[int, int]:
    rows, targets = file.column("hrow", "I"), file.column("htgt", "I")
    most = file.count("kind")
    for row in rows:
        if row >= most:
            raise DamagedFileError("a hard link outside of the record")
    for target in targets:
        if target >= most and target != ABSENT:
            raise DamagedFileError("a hard link to outside of the record")
    return dict(zip(rows, targets, strict=True))


def _loose(file: SectionFile) -> Mapping[int, bytes]:
    rows = file.column("lrow", "I")
    paths = Texts(file.column("lsta", "Q"), file.raw("loos"))
    if len(rows) and max(rows) >= file.count("kind"):
        raise DamagedFileError("a loose row outside of the record")
    return dict(zip(rows, paths, strict=True))


def _marks(file: SectionFile) -> object:
    marks = unpack_marks(file.raw("mark"))
    rows = set(file.column("lrow", "I"))
    directories = file.count("ownr")
    for mark in marks:
        if mark.row not in rows or not (mark.directory < directories or mark.directory == ABSENT):
            raise DamagedFileError("a mark outside of the record")
    return marks


def _oddities(file: SectionFile) -> object:
    oddities = unpack_oddities(file.raw("odds"))
    rows = file.count("kind")
    for oddity in oddities:
        if oddity.row >= rows and oddity.row != ABSENT:
            raise DamagedFileError("an exception outside of the record")
    return oddities


def _checkpoints(file: SectionFile) -> tuple[Checkpoint, ...]:
    places = zip(file.column("fbit", "Q"), file.column("foff", "Q"), strict=True)
    return tuple(Checkpoint(bit, offset, b"") for bit, offset in places)


def _column(tag: str, code: str) -> Callable[[SectionFile], Column]:
    return lambda file: file.column(tag, code)


LAZY: Mapping[str, Callable[[SectionFile], Any]] = {
    **{name: _column(tag, code) for name, tag, code in (*_ROWS, *_DIRECTORIES)},
    "atime": lambda file: _times(file, "atim"),
    "ctime": lambda file: _times(file, "ctim"),
    "names": lambda file: file.raw("name"),
    "kinds": _kinds,
    "texts": _texts,
    "hard": _hard,
    "loose": _loose,
    "marks": _marks,
    "oddities": _oddities,
    "notes": lambda file: unpack_notes(file.raw("note")),
    "checkpoints": _checkpoints,
}
"""How each attribute of a record is taken from its file; raises `DamagedFileError`."""
