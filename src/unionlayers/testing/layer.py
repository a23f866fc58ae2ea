"""
Layer tars from entries.

`layer` writes what it is told, well-formed or not, in the format that is asked for; an extended
header appears only where the format has it and the entry needs it.  The same entries always give
the same bytes.  It is a writer of its own: it shares no code with the reader that it is used to
test, nor with the standard library's ``tarfile``.
"""

from __future__ import annotations

from fractions import Fraction

from attrs import evolve

from unionlayers.testing.entry import BLOCK, Entry
from unionlayers.testing.header import base256, header_block, octal, pax_record
from unionlayers.testing.sparse import sparse_parts

__all__ = ["layer", "windows_layer"]

_ENDS = {"two-blocks": 2, "one-block": 1, "none": 0}
_MAGIC = {
    "pax": (b"ustar\0", b"00"),
    "ustar": (b"ustar\0", b"00"),
    "star": (b"ustar\0", b"00"),
    "gnu": (b"ustar ", b" \0"),
    "v7": (b"", b""),
}


def layer(
    *entries: Entry,
    format: str = "pax",
    end: str = "two-blocks",
    blocking: int = 0,
) -> bytes:
    """
    Write a tar of these entries, in this order.

    Args:
        entries: What it holds.
        format: ``"pax"`` (ustar headers, an extended one where a value does not fit or a name
            is not ASCII), ``"ustar"`` (what does not fit is an error), ``"gnu"`` (long names as
            types L and K, large numbers in binary), ``"star"`` (a prefix of 131 bytes, times in
            the header) or ``"v7"`` (no magic, a directory known by its slash only).
        end: ``"two-blocks"``, ``"one-block"`` or ``"none"``.
        blocking: Blocks of 512 bytes to round the length up to, 0 for none; GNU tar has 20.

    Returns:
        The uncompressed tar.

    Raises:
        ValueError: A value does not fit the format, or there is no such format or end.

    Example:
        >>> from unionlayers.testing import directory, file, whiteout
        >>> tar = layer(directory("etc"), file("etc/hostname", "box"), whiteout("etc/motd"))
        >>> len(tar), tar[:4]
        (3072, b'etc/')
    """
    if end not in _ENDS:
        raise ValueError(f"end is one of {', '.join(_ENDS)}, not {end!r}")
    body = b"".join(_written(item, item.format or format) for item in entries)
    body += bytes(_ENDS[end] * BLOCK)
    return body + bytes(-len(body) % (blocking * BLOCK)) if blocking else body


def windows_layer(*entries: Entry) -> bytes:
    """
    Write a layer as Windows has it: everything beneath ``Files/``, beside an empty ``Hives/``.

    Names and targets of hard links get the prefix, and entries the attribute record that Windows
    sets; marks of whiteouts are handled as names.
    """

    def moved(item: Entry) -> Entry:
        attribute = b"16" if item.typeflag == b"5" else b"32"
        return evolve(
            item,
            path=b"Files/" + item.path,
            linkname=b"Files/" + item.linkname if item.typeflag == b"1" else item.linkname,
            pax=((b"MSWINDOWS.fileattr", attribute), *item.pax),
        )

    roots = (Entry(path=name, typeflag=b"5", mode=0o755) for name in (b"Files/", b"Hives/"))
    return layer(*roots, *(moved(item) for item in entries))


def _written(item: Entry, format: str) -> bytes:
    if item.raw is not None:
        return item.raw
    if format not in _MAGIC:
        raise ValueError(f"format is one of {', '.join(_MAGIC)}, not {format!r}")
    if item.typeflag in b"gx" and not item.content:
        body = _body(item, [])
        return _header(item, format, len(body) if item.size is None else item.size) + _padded(
            body, item.pad
        )
    parts = sparse_parts(item)
    if parts.name is not None:
        item = evolve(item, path=parts.name)
    size = len(parts.body) if item.size is None else item.size
    records = _needed(item, format)
    if format == "pax" and size >= 8**11:
        records[b"size"] = b"%d" % size
    extended = _body(item, [*records.items(), *parts.records])
    out = b""
    if format == "gnu":
        out += _long(b"K", item.linkname) + _long(b"L", item.path)
    if extended:
        out += _extended(item, extended, format)
    head = _header(item, format, size, extra=parts.fields)
    return out + head + parts.maps + _padded(parts.body, item.pad)


def _padded(body: bytes, pad: bool) -> bytes:
    return body + bytes(-len(body) % BLOCK) if pad else body


def _needed(item: Entry, format: str) -> dict[bytes, bytes]:
    """Give the records without which the entry could not be said in this format."""
    records: dict[bytes, bytes] = {}
    if format != "pax":
        _refuse(item, format)
        return records
    if not item.path.isascii() or _split(item.path, 155) is None:
        records[b"path"] = item.path
    if not item.linkname.isascii() or len(item.linkname) > 100:
        records[b"linkpath"] = item.linkname
    owners = ((b"uname", item.uname), (b"gname", item.gname))
    records.update({key: text for key, text in owners if not text.isascii() or len(text) > 32})
    for key, number in ((b"uid", item.uid), (b"gid", item.gid)):
        if not 0 <= number < 8**7:
            records[key] = b"%d" % number
    for key, number in ((b"SCHILY.devmajor", item.major), (b"SCHILY.devminor", item.minor)):
        if not 0 <= number < 8**7:
            records[key] = b"%d" % number
    if item.mtime.denominator != 1 or not 0 <= item.mtime < 8**11:
        records[b"mtime"] = _decimal(item.mtime)
    for key, time in ((b"atime", item.atime), (b"ctime", item.ctime)):
        if time is not None:
            records[key] = _decimal(time)
    for name, value in item.xattrs:
        records[b"SCHILY.xattr." + name] = value
    return records


def _refuse(item: Entry, format: str) -> None:
    """Raise for what a format without records would drop."""
    lost = {
        "extended attributes": bool(item.xattrs),
        "access and change times": (item.atime, item.ctime) != (None, None)
        and format not in ("gnu", "star"),
        "device numbers": (item.major, item.minor) != (0, 0) and format == "v7",
        "names of owners": bool(item.uname or item.gname) and format == "v7",
        "names of owners of more than 32 bytes": max(len(item.uname), len(item.gname)) > 32,
    }
    for what, wanted in lost.items():
        if wanted:
            raise ValueError(f"the format {format} has no {what}")


def _decimal(time: Fraction) -> bytes:
    """Give a time as PAX writes it, exact to the nanosecond and cut below it."""
    nanoseconds = int(abs(time) * 10**9)
    whole, rest = divmod(nanoseconds, 10**9)
    digits = f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
    return (f"-{digits}" if time < 0 else digits).encode()


def _body(item: Entry, needed: list[tuple[bytes, bytes]]) -> bytes:
    if item.pax_body is not None:
        return item.pax_body
    given = {key for key, _ in item.pax}
    records = [pair for pair in needed if pair[0] not in given]
    records += [(key, value) for key, value in item.pax if value is not None]
    return b"".join(pax_record(key, value) for key, value in records)


def _extended(item: Entry, body: bytes, format: str) -> bytes:
    parent, slash, name = item.path.rstrip(b"/").rpartition(b"/")
    path = (parent + slash + b"PaxHeaders.0/" + name)[:100]
    carrier = Entry(path=path, typeflag=b"x")
    return _header(carrier, "gnu" if format == "gnu" else "ustar", len(body)) + _padded(body, True)


def _long(typeflag: bytes, text: bytes) -> bytes:
    """Give the entry of GNU tar that carries a name of more than 100 bytes."""
    if len(text) <= 100:
        return b""
    body = text + b"\0"
    return _header(Entry(path=b"././@LongLink", typeflag=typeflag), "gnu", len(body)) + _padded(
        body, True
    )


def _split(path: bytes, width: int) -> tuple[bytes, bytes] | None:
    """Cut a path into prefix and name at a slash, the name as long as it may be."""
    if len(path) <= 100:
        return b"", path
    for cut in range(max(0, len(path) - 101), min(width, len(path) - 2) + 1):
        if path[cut : cut + 1] == b"/" and cut:
            return path[:cut], path[cut + 1 :]
    return None


def _number(value: int, width: int, format: str) -> bytes:
    if 0 <= value < 8 ** (width - 1):
        return octal(value, width)
    if format == "pax":
        return octal(0, width)  # the extended header holds it
    if format in ("gnu", "star"):
        return base256(value, width)
    return octal(value, width)


def _whole(time: Fraction, format: str) -> int:
    if time.denominator != 1 and format != "pax":
        raise ValueError(f"the format {format} has whole seconds only, not {time}")
    return int(time // 1)


def _header(
    item: Entry, format: str, size: int, extra: tuple[tuple[str, bytes], ...] = ()
) -> bytes:
    typeflag = item.typeflag
    if format == "v7" and typeflag in b"05":
        typeflag = b"\0"
    names = _split(item.path, 131 if format == "star" else 155)
    if names is None or format in ("gnu", "v7"):
        if len(item.path) > 100 and format not in ("pax", "gnu"):
            raise ValueError(f"the format {format} has no place for a name like {item.path!r}")
        names = b"", item.path[:100]
    link = item.linkname
    if len(link) > 100 and format not in ("pax", "gnu"):
        raise ValueError(f"the format {format} has no place for a link target of {len(link)} bytes")
    magic, version = _MAGIC[format]
    fields = [
        ("name", names[1]),
        ("mode", octal(item.mode, 8)),
        ("uid", _number(item.uid, 8, format)),
        ("gid", _number(item.gid, 8, format)),
        ("size", _number(size, 12, format)),
        ("mtime", _number(_whole(item.mtime, format), 12, format)),
        ("typeflag", typeflag),
        ("linkname", link[:100]),
    ]
    if format != "v7":
        fields += [
            ("magic", magic),
            ("version", version),
            ("uname", item.uname[:32]),
            ("gname", item.gname[:32]),
            ("devmajor", _number(item.major, 8, format)),
            ("devminor", _number(item.minor, 8, format)),
        ]
    if names[0]:
        fields.append(("star_prefix" if format == "star" else "prefix", names[0]))
    if format in ("gnu", "star"):
        for name, time in (("atime", item.atime), ("ctime", item.ctime)):
            if time is not None or format == "star":
                value = _number(_whole(time or Fraction(0), format), 12, format)
                fields.append((f"{format}_{name}", value))
    if format == "star":
        fields.append(("star_trailer", b"tar\0"))
    return header_block([*fields, *extra, *item.fields], checksum=item.checksum)
