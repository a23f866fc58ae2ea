"""
What is fuzzed: one function for each target, from any bytes to nothing, or to an exception.

A target fails by raising anything but what it expects itself.  Most do more than wait for a
crash: they hold one way to an answer against another.  They run without a fuzzer too, which is how
the corpus is tested (`tests/hostile/test_fuzz_corpus.py`).
"""

from __future__ import annotations

import contextlib
import io
from array import array
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from resuming import gzip_resume, zstd_resume

from unionlayers import Image, Limits, UnionFS, UnionLayersError, list_images, open_image
from unionlayers._bytes.memory import MemorySource
from unionlayers._codec.checkpoint_file import unpack_checkpoints
from unionlayers._codec.forward import open_forward
from unionlayers._codec.section_file import DamagedFileError, SectionFile, pack_sections
from unionlayers._image.document import parse_document
from unionlayers._tar.details import decode_header
from unionlayers._tar.index import LayerIndex
from unionlayers._tar.index_file import FORMAT, pack_index
from unionlayers._tar.mapped_index import MappedIndex
from unionlayers._tar.pax import SPARSE_MAP, read_records
from unionlayers._tar.reader import TarReader
from unionlayers.errors import LimitError, TarError
from unionlayers.testing import (
    Damage,
    ImageDescription,
    char_device,
    directory,
    docker_archive,
    file,
    hardlink,
    layer,
    oci_archive,
    opaque,
    pax_record,
    sparse_file,
    symlink,
    whiteout,
)

__all__ = ["TARGETS", "mended", "stored_record", "varied_layer"]

# Small enough that what is within them is done at once.
LIMITS = Limits(
    layer_bytes=8 << 20,
    document_bytes=1 << 20,
    window_bytes=1 << 20,
    sparse_entries=10_000,
    entries=20_000,
)
TYPES = ("file", "directory", "symlink", "device", "fifo")
NAMESPACES = ("basic", "details", "access", "link", "stat", "xattr", "capability", "layer", "tar")


# -- tar -------------------------------------------------------------------------------------------


def mended(data: bytes) -> bytes:
    """Give every block that could be a header the checksum that it should have."""
    out = bytearray(data)
    for at in range(0, len(out) - 511, 512):
        if any(out[at : at + 148]):
            out[at + 148 : at + 156] = b" " * 8
            out[at + 148 : at + 156] = b"%06o\0 " % sum(out[at : at + 512])
    return bytes(out)


def header(data: bytes) -> None:
    """Headers of a tar, their checksums mended where the first byte is odd."""
    tar = mended(data[1:]) if data[:1] and data[0] % 2 else data[1:]
    reader = TarReader(open_forward(MemorySource(tar), "identity", limits=LIMITS), LIMITS)
    end = 0
    try:
        for entry in reader:
            # Each has a header of its own, and none reaches into the one before it.
            assert end <= entry.header_offset < entry.data_offset <= len(tar)
            assert entry.data_offset % 512 == 0
            assert entry.size >= 0
            end = entry.data_offset + entry.stored_size
            shown = decode_header(tar[entry.start_offset : entry.data_offset], LIMITS)
            assert (shown.name, shown.mode, shown.pax) == (entry.name, entry.mode, entry.pax)
            assert shown.sparse == entry.sparse
            if entry.sparse is not None:
                last = 0
                for offset, length in entry.sparse:
                    assert last <= offset <= offset + length <= entry.size
                    last = offset + length
                assert sum(length for _, length in entry.sparse) == entry.stored_size
        # That the last content is there is told by the end, as Go's reader does.
        assert end <= len(tar)
    except (TarError, LimitError) as error:
        if error.offset is not None and not 0 <= error.offset <= len(tar):
            raise AssertionError("an error outside of the tar") from error


def pax(data: bytes) -> None:
    """The records of an extended header: what is read and written again is read the same."""
    try:
        records = read_records(data, LIMITS)
    except (TarError, LimitError):
        return
    plain = {key: value for key, value in records.items() if key != SPARSE_MAP}
    again = b"".join(pax_record(key, value) for key, value in plain.items())
    assert read_records(again, LIMITS) == plain


# -- what a store holds ----------------------------------------------------------------------------


def varied_layer() -> bytes:
    """Give a layer that puts something into every section of a stored record."""
    return layer(
        directory("./", mode=0o750),
        directory("etc"),
        file("etc/passwd", b"root", mtime_ns=1_700_000_000_123_456_789),
        file("etc/far", b"1", mtime_ns=1 << 80),
        file("etc/cap", b"1", xattrs={"security.capability": b"\1\2", "user.a": b"a"}),
        file("etc/times", b"1", pax={"atime": "5.5", "ctime": "7"}),
        hardlink("etc/shadow", "etc/passwd"),
        hardlink("etc/lower", "not/here"),
        symlink("etc/link", "../" + "x" * 120),
        char_device("dev/null", 1, 3),
        sparse_file("var/sparse", [(4096, b"x" * 512)], size=1 << 20),
        file("implied/deep/er/x", b"1"),
        whiteout("gone"),
        opaque("etc"),
        file("etc/passwd", b"again"),
        file("etc/passwd/below", b"no"),
    )


@cache
def stored_record() -> tuple[LayerIndex, bytes]:
    """Give the record of that layer, and its stored form."""
    archive = docker_archive(ImageDescription([varied_layer()]))
    with open_image(io.BytesIO(archive)) as image:
        index = image.layers[0].load()
    return index, b"".join(pack_index(index, Limits()))


def _sections(stored: bytes) -> dict[str, bytes]:
    found = SectionFile(memoryview(stored), "indx", FORMAT)
    tags = (
        *("fact", "star", "subd", "ownr", "nsta", "ordi", "bloc", "exte", "leng", "mtim", "kind"),
        *("refs", "atim", "ctim", "name", "knds", "tsta", "text", "hrow", "htgt", "xrow", "xsta"),
        *("xtra", "lrow", "lsta", "loos", "mark", "odds", "note", "fbit", "foff"),
    )
    return {tag: bytes(found.raw(tag)) for tag in tags}


def _asked(index: LayerIndex) -> None:
    """Ask a record everything that a union asks."""
    directories = range(len(index.own))
    for number in directories:
        for row in index.children(number).values():
            index.path(row)
            index.header_range(row)
            index.data_offset(row)
    for row, _ in index.paths():
        index.path(row)
        index.directory(row)
        index.extras.get(row)
    for name in ("marks", "oddities", "notes", "checkpoints", "hard", "loose", "kinds"):
        getattr(index, name)
    tuple(index.texts)


def index_file(data: bytes) -> None:
    """A stored record: as it is, or one section of a sound one changed and its checksum mended."""
    fresh, stored = stored_record()
    kind, rest = data[:1], data[1:]
    if kind == b"k":
        with contextlib.suppress(DamagedFileError):
            unpack_checkpoints(
                memoryview(rest), blob_digest="sha256:0", codec="gzip", blob_size=1000, size=5000
            )
        return
    if kind == b"s" and rest:
        sections = _sections(stored)
        tag = sorted(sections)[rest[0] % len(sections)]
        at = int.from_bytes(rest[1:3], "little") % (len(sections[tag]) + 1)
        changed = bytearray(sections[tag])
        changed[at : at + len(rest) - 3] = rest[3:]
        known = SectionFile(memoryview(stored), "indx", FORMAT)
        codes = {name: known._lines[name][0] for name in sections}
        whole = b"".join(_packed({**sections, tag: bytes(changed)}, codes))
    elif kind == b"f" and len(rest) >= 3:
        out = bytearray(stored)
        at = int.from_bytes(rest[:2], "little") % len(out)
        out[at : at + len(rest) - 2] = rest[2:]
        whole = bytes(out)
    else:
        whole = rest
    with contextlib.suppress(DamagedFileError):
        _asked(MappedIndex(memoryview(whole), lambda: fresh))


def _packed(sections: Mapping[str, bytes], codes: Mapping[str, str]) -> list[bytes]:
    made: list[tuple[str, Any]] = []
    for tag, content in sections.items():
        code = codes[tag]
        if code in ("B", "b"):
            made.append((tag, content))
        else:
            column = array(code)
            column.frombytes(content[: len(content) // column.itemsize * column.itemsize])
            made.append((tag, column))
    return pack_sections("indx", FORMAT, made)


# -- documents -------------------------------------------------------------------------------------

ROLES = (
    ("index.json", oci_archive),
    ("manifest", oci_archive),
    ("config", oci_archive),
    ("oci-layout", oci_archive),
    ("manifest.json", docker_archive),
    ("config", docker_archive),
    ("repositories", docker_archive),
)


def _open_all(archive: bytes) -> None:
    """List what an archive holds, open it, and ask everything."""
    try:
        for summary in list_images(io.BytesIO(archive), limits=LIMITS):
            str(summary)
    except UnionLayersError:
        pass
    for verify in (True, False):
        try:
            image = open_image(io.BytesIO(archive), verify=verify, limits=LIMITS)
        except UnionLayersError as error:
            str(error)
            continue
        with image:
            _ask_all(image)


def _tried(question: Callable[[], object]) -> None:
    try:
        question()
    except UnionLayersError as error:
        if not str(error).isprintable():
            raise AssertionError("an error that no terminal should see") from error


def _peek(view: UnionFS, path: str) -> None:
    with view.openbin(path) as opened:
        opened.read(1 << 16)


def _walk(view: UnionFS) -> None:
    for path, info in view.find(None, types=TYPES, namespaces=NAMESPACES):
        assert path.startswith("/")
        if info.raw["details"]["type"] == 2:
            _tried(partial(_peek, view, path))


def _ask_all(image: Image) -> None:
    for step in image.history:
        str(step)
    view = image.fs()
    for one in image.layers:
        _tried(partial(getattr, one, "marks"))
        _tried(one.findings)
    _tried(partial(_walk, view))
    _tried(lambda: view.findings)
    _tried(lambda: image.findings)
    _tried(image.verify)


def documents(data: bytes) -> None:
    """One document of an image, everything else sound; digests above it are made anew."""
    role, make = ROLES[data[0] % len(ROLES)] if data else ROLES[0]
    raw = data[1:]
    try:
        parse_document(raw, role)
    except UnionLayersError as error:
        if error.member != role:
            raise AssertionError("an error that does not name its document") from error
    image = ImageDescription([[file("a", b"1")], [file("b", b"2")]], tags=["example.org/app:1"])
    _open_all(make(image, damage=Damage(edits={role: lambda _: raw})))


# -- all of it -------------------------------------------------------------------------------------


def whole_image(data: bytes) -> None:
    """An archive as a whole, or the tars of two layers in a sound one."""
    kind, rest = data[:1], data[1:]
    if kind == b"l" and len(rest) >= 2:
        cut = int.from_bytes(rest[:2], "little") % max(len(rest), 1) // 512 * 512
        tars = rest[2:]
        layers = [mended(tars[:cut]), mended(tars[cut:])]
        _open_all(docker_archive(ImageDescription([varied_layer(), *layers])))
    elif kind == b"m":
        _open_all(mended(rest))
    else:
        _open_all(rest)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "header": header,
    "pax": pax,
    "gzip-resume": gzip_resume,
    "zstd-resume": zstd_resume,
    "index-file": index_file,
    "documents": documents,
    "whole-image": whole_image,
}
"""Each target by its name, which is that of the folder of its corpus too."""
