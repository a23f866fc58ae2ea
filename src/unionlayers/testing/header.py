"""
The 512 bytes of a tar header, and the records of an extended one.

Only the encoding is here: which header an entry needs is decided in `layer`.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["base256", "header_block", "octal", "pax_record"]

# Name of a field: its offset and its width in bytes.  GNU and star use the space of the prefix
# for fields of their own.
FIELDS = {
    "name": (0, 100),
    "mode": (100, 8),
    "uid": (108, 8),
    "gid": (116, 8),
    "size": (124, 12),
    "mtime": (136, 12),
    "chksum": (148, 8),
    "typeflag": (156, 1),
    "linkname": (157, 100),
    "magic": (257, 6),
    "version": (263, 2),
    "uname": (265, 32),
    "gname": (297, 32),
    "devmajor": (329, 8),
    "devminor": (337, 8),
    "prefix": (345, 155),
    "gnu_atime": (345, 12),
    "gnu_ctime": (357, 12),
    "gnu_sparse": (386, 96),
    "gnu_extended": (482, 1),
    "gnu_realsize": (483, 12),
    "star_prefix": (345, 131),
    "star_atime": (476, 12),
    "star_ctime": (488, 12),
    "star_trailer": (508, 4),
}


def octal(value: int, width: int) -> bytes:
    """
    Give a number as octal digits with a closing NUL.

    Raises:
        ValueError: It is negative or has more than ``width - 1`` digits.

    Example:
        >>> octal(0o644, 8)
        b'0000644\\x00'
    """
    if not 0 <= value < 8 ** (width - 1):
        raise ValueError(f"{value} does not fit {width - 1} octal digits")
    return b"%0*o\0" % (width - 1, value)


def base256(value: int, width: int) -> bytes:
    """
    Give a number in the binary form of GNU and star: two's complement, the top bit set.

    Raises:
        ValueError: It needs more than ``8 * width - 1`` bits.

    Example:
        >>> base256(-1, 8).hex(), base256(5, 8).hex()
        ('ffffffffffffffff', '8000000000000005')
    """
    bits = 8 * width - 1
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise ValueError(f"{value} does not fit {bits} bits")
    return ((value % (1 << bits)) | (1 << bits)).to_bytes(width, "big")


def pax_record(key: bytes | str, value: bytes | str) -> bytes:
    """
    Give one record of an extended header: its own length, a blank, key, ``=``, value, newline.

    Spec:
        POSIX.1-2017, pax, "pax Extended Header".

    Example:
        >>> pax_record("path", "a")
        b'9 path=a\\n'
    """
    tail = b" %b=%b\n" % tuple(
        text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        for text in (key, value)
    )
    length = len(tail)
    while length != len(tail) + len(str(length)):
        length = len(tail) + len(str(length))
    return b"%d%b" % (length, tail)


def _sum(block: bytearray, *, signed: bool) -> int:
    if signed:
        return sum(byte - 256 if byte > 127 else byte for byte in block)
    return sum(block)


def header_block(fields: Iterable[tuple[str, bytes]], *, checksum: str | bytes) -> bytes:
    """
    Lay out the fields, later ones over earlier ones, and put in the checksum.

    Args:
        fields: Name of a field, and its bytes; they are filled up with NUL.
        checksum: ``"unsigned"``, ``"signed"``, ``"wrong"`` or the eight bytes of the field.

    Raises:
        ValueError: A field is longer than its place.
        KeyError: There is no such field.
    """
    block = bytearray(512)
    for name, value in fields:
        offset, width = FIELDS[name]
        if len(value) > width:
            raise ValueError(f"{len(value)} bytes do not fit the {width} of the field {name}")
        block[offset : offset + width] = value.ljust(width, b"\0")
    offset, width = FIELDS["chksum"]
    if isinstance(checksum, bytes):
        if len(checksum) != width:
            raise ValueError("the checksum field has eight bytes")
        block[offset : offset + width] = checksum
        return bytes(block)
    if checksum not in ("unsigned", "signed", "wrong"):
        raise ValueError(f"checksum is unsigned, signed, wrong, or eight bytes, not {checksum!r}")
    block[offset : offset + width] = b" " * width
    total = _sum(block, signed=checksum == "signed") + (checksum == "wrong")
    # A signed sum may be negative, and then no writer could have made it: take it as unsigned.
    block[offset : offset + width] = b"%06o\0 " % (
        total if total >= 0 else _sum(block, signed=False)
    )
    return bytes(block)
