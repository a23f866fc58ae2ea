"""
Numbers and strings in tar headers, as Go's reader takes them.

Octal digits with blanks or NULs around them, base-256 where the first bit is set, decimal in
extended headers.  Python's own ``int`` is too kind for all three.
"""

from __future__ import annotations

import re

__all__ = ["cut", "decimal", "numeric", "octal", "seconds"]

_OCTAL = re.compile(rb"[0-7]+\Z")
_DECIMAL = re.compile(rb"[+-]?[0-9]+\Z")
_INT64 = 1 << 63


def cut(field: bytes) -> bytes:
    """Give a string field up to its first NUL."""
    end = field.find(b"\0")
    return field if end < 0 else field[:end]


def octal(field: bytes) -> int:
    """
    Give an octal field; an empty one is 0.

    Raises:
        ValueError: It has something else than octal digits.

    Example:
        >>> octal(b"0000644\\0"), octal(b"  17 \\0"), octal(bytes(8))
        (420, 15, 0)
    """
    digits = cut(field.strip(b" \0"))
    if not digits:
        return 0
    if not _OCTAL.match(digits):
        raise ValueError("not an octal number")
    value = int(digits, 8)
    if value >> 64:
        raise ValueError("a number that does not fit in 64 bits")
    # Go's reader takes an unsigned number and keeps its 64 bits as a signed one.
    return value - (1 << 64) if value >= _INT64 else value


def numeric(field: bytes) -> int:
    """
    Give a field that is octal or, where its first bit is set, base-256 in two's complement.

    Raises:
        ValueError: It is neither, or does not fit in 64 bits.

    Example:
        >>> numeric(b"\\x80" + bytes(6) + b"\\x05"), numeric(b"\\xff" * 8)
        (5, -1)
    """
    if not field[:1] > b"\x7f":
        return octal(field)
    value = int.from_bytes(field, "big")
    bits = 8 * len(field)
    # The first bit is the mark, the second the sign.
    value &= (1 << (bits - 1)) - 1
    if value >> (bits - 2):
        value -= 1 << (bits - 1)
    if not -_INT64 <= value < _INT64:
        raise ValueError("a number that does not fit in 64 bits")
    return value


def decimal(text: bytes) -> int:
    """
    Give a decimal number with an optional sign, as extended headers have it.

    Raises:
        ValueError: It is none, or does not fit in 64 bits.
    """
    if len(text) > 4096 or not _DECIMAL.match(text):
        raise ValueError("not a decimal number")
    value = int(text)
    if not -_INT64 <= value < _INT64:
        raise ValueError("a number that does not fit in 64 bits")
    return value


def seconds(text: bytes) -> int:
    """
    Give a decimal time as nanoseconds since the epoch; digits past the ninth are dropped.

    Raises:
        ValueError: It is none.

    Example:
        >>> seconds(b"1.5"), seconds(b"-1.25"), seconds(b"7")
        (1500000000, -1250000000, 7000000000)
    """
    whole, dot, fraction = text.partition(b".")
    value = decimal(whole) * 1_000_000_000
    if not dot or not fraction:
        return value
    if not fraction.isdigit():
        raise ValueError("not a decimal number")
    part = int(fraction[:9].ljust(9, b"0"))
    return value - part if whole[:1] == b"-" else value + part
