"""
A tar entry as a value: what a layer, or an image archive, is to hold.

An `Entry` says everything about one entry, down to single header fields; the functions of
`entries` make the common ones from short descriptions.  It knows nothing of the format it will be
written in: `layer` decides that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TypeAlias

from attrs import field, frozen
from attrs.validators import in_, instance_of, optional

__all__ = [
    "Entry",
    "Name",
    "Records",
    "Seconds",
    "Sparse",
    "Xattrs",
    "seconds",
    "texts",
    "to_bytes",
]

Name: TypeAlias = str | bytes
Seconds: TypeAlias = int | float | Fraction
Xattrs: TypeAlias = Mapping[str, bytes] | Iterable[tuple[Name, bytes]]
Records: TypeAlias = Mapping[str, Name | None] | Iterable[tuple[Name, Name | None]]

BLOCK = 512


def to_bytes(name: Name) -> bytes:
    """Give a name as bytes; surrogate escapes stand for bytes that are not UTF-8."""
    return name.encode("utf-8", "surrogateescape") if isinstance(name, str) else bytes(name)


def texts(given: Iterable[str]) -> tuple[str, ...]:
    """Give texts as a tuple; a lone one, itself a sequence of texts, is a mistake."""
    if isinstance(given, str):
        raise TypeError(f"a sequence of texts is wanted, not the lone text {given!r}")
    return tuple(given)


def seconds(value: Seconds) -> Fraction:
    """Give a time exactly; a float is taken as the decimal number it prints as."""
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(value)


def _some_seconds(value: Seconds | None) -> Fraction | None:
    return None if value is None else seconds(value)


def _pairs(given: Xattrs | None) -> tuple[tuple[bytes, bytes], ...]:
    items = given.items() if isinstance(given, Mapping) else given or ()
    return tuple((to_bytes(key), bytes(value)) for key, value in items)


def _records(given: Records | None) -> tuple[tuple[bytes, bytes | None], ...]:
    items = given.items() if isinstance(given, Mapping) else given or ()
    return tuple(
        (to_bytes(key), None if value is None else to_bytes(value)) for key, value in items
    )


def _fields(given: Mapping[str, bytes] | None) -> tuple[tuple[str, bytes], ...]:
    return tuple((given or {}).items())


@frozen(kw_only=True)
class Sparse:
    """
    A file with holes, as one of the four forms that tar knows.

    The map is a claim: nothing checks that it fits the data, so that hostile maps can be written.

    Attributes:
        segments: Offset and length, in bytes, of each stretch of data.
        data: The bytes of all stretches back to back.
        size: Bytes of the file with its holes.
        form: ``"gnu"`` (type S), ``"0.0"``, ``"0.1"`` or ``"1.0"`` (PAX records).
    """

    segments: tuple[tuple[int, int], ...]
    data: bytes
    size: int
    form: str = field(default="1.0", validator=in_(("gnu", "0.0", "0.1", "1.0")))


@frozen(kw_only=True)
class Entry:
    """
    One tar entry, or bytes to be written in the place of one.

    ``attrs.evolve(entry, ...)`` gives a changed copy; that is how the rarer fields of an entry
    from `file` and its like are set.

    Attributes:
        path: The name, as bytes and as written.
        typeflag: One byte.
        content: The body; it is padded to whole blocks unless *pad* is false.
        mode: Permission bits, as in ``st_mode & 0o7777``; other bits are written too.
        uid: Numeric owner.
        gid: Numeric group.
        mtime: Seconds since the epoch, exactly.
        atime: The same for the last access, None for none.
        ctime: The same for the last change of status, None for none.
        linkname: Target of a link, as written.
        uname: Name of the owner.
        gname: Name of the group.
        major: Major device number.
        minor: Minor device number.
        size: The size that the header claims; None for the length of what is stored.
        xattrs: Pairs of name and value, written as ``SCHILY.xattr.`` records.
        pax: Pairs for the extended header, after those that are needed.  A key that is given
            replaces the needed record of that key; the value None leaves it out.
        pax_body: The whole body of the extended header, in place of all records.
        sparse: The holes of a sparse file.
        fields: Pairs of header field and its raw bytes, put in before the checksum is made.
        checksum: ``"unsigned"``, ``"signed"``, ``"wrong"``, or the eight bytes of the field.
        format: Format of this entry, None for that of the layer.
        pad: Whether the body is filled up to a whole block.
        raw: Bytes to write as they are; then everything else is ignored.
    """

    path: bytes = field(default=b"", converter=to_bytes)
    typeflag: bytes = field(default=b"0", validator=instance_of(bytes))
    content: bytes = field(default=b"", converter=bytes, repr=lambda data: f"<{len(data)} bytes>")
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: Fraction = field(default=Fraction(0), converter=seconds)
    atime: Fraction | None = field(default=None, converter=_some_seconds)
    ctime: Fraction | None = field(default=None, converter=_some_seconds)
    linkname: bytes = field(default=b"", converter=to_bytes)
    uname: bytes = field(default=b"", converter=to_bytes)
    gname: bytes = field(default=b"", converter=to_bytes)
    major: int = 0
    minor: int = 0
    size: int | None = None
    xattrs: tuple[tuple[bytes, bytes], ...] = field(default=None, converter=_pairs)
    pax: tuple[tuple[bytes, bytes | None], ...] = field(default=None, converter=_records)
    pax_body: bytes | None = None
    sparse: Sparse | None = None
    fields: tuple[tuple[str, bytes], ...] = field(default=None, converter=_fields)
    checksum: str | bytes = "unsigned"
    format: str | None = field(
        default=None, validator=optional(in_(("pax", "ustar", "gnu", "v7", "star")))
    )
    pad: bool = True
    raw: bytes | None = None

    @typeflag.validator
    def _one_byte(self, _attribute: object, value: bytes) -> None:
        if len(value) != 1:
            raise ValueError(f"a typeflag is one byte, not {value!r}")
