"""
The original tar of a layer from what an engine kept of it: tar-split, and the unpacked files.

Docker and containers/storage unpack a layer and keep its framing, that is headers, padding and
the order of entries, byte for byte beside it.  Frame and files together are the tar again as it
was registered, and its diff_id shows whether it is.

Source:
    The format of github.com/vbatts/tar-split, ``tar/storage``: one JSON object a line, of type 1
    for the content of a file, of type 2 for bytes of the frame.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

from unionlayers._bytes.assembled import Assembly
from unionlayers._bytes.source import ByteSource
from unionlayers._codec.forward import ForwardStream, open_forward
from unionlayers._codec.sniff import SNIFF_BYTES, sniff
from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._foundation.names import clean_entry_name, encode
from unionlayers._tar.header import BLOCK, checksum_holds, read_field
from unionlayers._tar.pax import read_records
from unionlayers.errors import DocumentError, TarError

__all__ = ["assemble_tar"]

_EXTENSIONS = frozenset(b"xgLK")
_EXTENDED = ord("x")
# Frames between two files are as long as extended headers, rarely more than a few blocks.
_HELD = 4 << 20
_FILE = 1
_FRAME = 2
_CHUNK = 256 * 1024


def assemble_tar(source: ByteSource, member: str, limits: Limits) -> Assembly | None:
    """
    Read a tar-split document and give the tar as an assembly of frame and files.

    Args:
        source: The document as stored, compressed or not.
        member: What errors call it.
        limits: ``document_bytes`` bounds one line, ``entries`` the lines for files, and
            ``layer_bytes`` the frame and the tar.

    Returns:
        The assembly, or None where frame and files are not the tar: of a sparse file its readers
        keep the content with the holes, where the tar had none, and Docker refuses to save it.

    Raises:
        DocumentError: A line is none of tar-split; its pointer names the line, from 0.
        StreamError: The compressed document is damaged or ends early.
        LimitError: A bound was reached.

    Cost:
        One pass over the document; no file of the layer is opened.
    """
    codec = sniff(source.pread(0, SNIFF_BYTES))
    assembly = Assembly()
    last = b""
    with open_forward(source, codec, limits=limits, what="tar-split") as stream:
        for number, line in enumerate(_lines(stream, limits)):
            name, data = _line(line, member, number)
            if name is None:
                last = last + data if len(last) < _HELD else data
                assembly.add(data)
                continue
            if data:
                size = int(data)
                if not _announces(last, -(assembly.size - len(last)) % BLOCK, size, limits):
                    return None
                _add_file(assembly, name, size, member, number, limits)
            last = b""
            if assembly.size > limits.layer_bytes:
                exceeded("layer_bytes", limits.layer_bytes, assembly.size)
        stream.drain()
    return assembly


def _lines(stream: ForwardStream, limits: Limits) -> Iterator[bytes]:
    pending: list[bytes] = []
    length = 0
    while chunk := stream.take(_CHUNK):
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            pending.append(line)
            joined = b"".join(pending)
            pending.clear()
            length = 0
            if joined:
                yield joined
        pending.append(rest)
        length += len(rest)
        if length > limits.document_bytes:
            exceeded("document_bytes", limits.document_bytes, length)
    if last := b"".join(pending):
        yield last


def _line(line: bytes, member: str, number: int) -> tuple[bytes | None, bytes]:
    """Give name and size, in digits, of a file, or None and bytes of the frame."""
    try:
        entry = json.loads(line)
        kind = entry["type"]
        if kind == _FRAME:
            return None, base64.b64decode(entry.get("payload") or "", validate=True)
        if kind != _FILE:
            raise ValueError("an entry of an unknown type")
        size = entry.get("size") or 0
        if type(size) is not int or size < 0:
            raise ValueError("a size that is none")
        # Names that are not UTF-8 stand in a field of their own.
        name = entry.get("name") or ""
        raw = encode(name) or base64.b64decode(entry.get("name_raw") or "", validate=True)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DocumentError(
            f"not a line of tar-split: {error}", member=member, pointer=f"/{number}"
        ) from error
    return raw, b"%d" % size if size else b""


def _add_file(
    assembly: Assembly, name: bytes, size: int, member: str, number: int, limits: Limits
) -> None:
    if len(assembly.start) >= limits.entries:
        exceeded("entries", limits.entries, len(assembly.start) + 1)
    path, _ = clean_entry_name(name)
    if not path or b"\0" in path:
        raise DocumentError(
            "tar-split names no file of the layer", member=member, pointer=f"/{number}/name"
        )
    assembly.add_file(path, size)


def _announces(frame: bytes, at: int, size: int, limits: Limits) -> bool:
    """
    Tell whether bytes of the frame end in the header of an entry of that size.

    Args:
        frame: What stands between two files.
        at: Where in it the first header is, behind the padding of the file before.
        size: Bytes of the file that follows.
        limits: Bounds on extended headers.
    """
    records: dict[bytes, bytes] = {}
    try:
        while at < len(frame):
            header = frame[at : at + BLOCK]
            if not checksum_holds(header):
                return False
            at += BLOCK
            told = read_field("size", header[124:136])
            if header[156] not in _EXTENSIONS:
                if at == len(frame):
                    return int(records.get(b"size", told)) == size
                records = {}
                continue
            if header[156] == _EXTENDED:
                records = read_records(frame[at : at + told], limits)
            at += told + -told % BLOCK
    except (TarError, ValueError):
        pass
    return False
