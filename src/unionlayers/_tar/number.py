"""
How numbers are written in tar: octal or binary in header fields, decimal in extended records.

Each function takes the bytes of a field and gives an int or raises ``ValueError``.  Python's own
``int`` is too kind for any of them: it takes underscores, prefixes and blanks, which no tar
reader does, and what one reader takes for a number and another for damage hides files.
"""

from __future__ import annotations

__all__ = ["decimal", "nanoseconds", "numeric", "octal"]

_INT64 = 1 << 63
_OCTAL = b"01234567"
_DIGITS = b"0123456789"
# No signed 64-bit number has more digits; int() of very long digits is slow, or refused.
_MOST_DIGITS = 19


def octal(field: bytes) -> int:
    """
    Read octal digits between blanks and NULs; an empty field is zero.

    Raises:
        ValueError: There is something else in it, before the first NUL that follows a digit.

    Source:
        Go's archive/tar, and so case J10.

    Example:
        >>> octal(b" 0000644"), octal(b"17\\0junk"), octal(b"\\0\\0\\0")
        (420, 15, 0)
    """
    digits = field.strip(b" \0").partition(b"\0")[0]
    if digits.strip(_OCTAL):
        raise ValueError("not octal")
    return int(digits, 8) if digits else 0


def numeric(field: bytes) -> int:
    """
    Read a number of a header: octal, or big-endian two's complement below a set top bit.

    Raises:
        ValueError: It is neither, or needs more than 64 bits.

    Source:
        GNU and star for the binary form; Go's archive/tar for its bounds (case J10).

    Example:
        >>> numeric(b"0000644\\0"), numeric(b"\\x80\\0\\0\\0\\0\\0\\1\\0"), numeric(b"\\xff" * 8)
        (420, 256, -1)
    """
    if field[0] < 0x80:
        return octal(field)
    bits = 8 * len(field) - 1
    value = int.from_bytes(field, "big") - (1 << bits)
    if field[0] & 0x40:
        value -= 1 << bits
    if not -_INT64 <= value < _INT64:
        raise ValueError("more than 64 bits")
    return value


def decimal(text: bytes) -> int:
    """
    Read a decimal number with an optional sign that fits 64 bits.

    Raises:
        ValueError: It has anything but digits, none at all, or does not fit.

    Example:
        >>> decimal(b"-007"), decimal(b"+5")
        (-7, 5)
    """
    digits = text[1:] if text[:1] in (b"+", b"-") else text
    if not digits.isdigit():
        raise ValueError("not a decimal number")
    digits = digits.lstrip(b"0")
    if len(digits) > _MOST_DIGITS:
        raise ValueError("more than 64 bits")
    value = int(digits or b"0")
    if text[:1] == b"-":
        value = -value
    if not -_INT64 <= value < _INT64:
        raise ValueError("more than 64 bits")
    return value


def nanoseconds(text: bytes) -> int:
    """
    Read a time of an extended record, seconds with a decimal fraction, as nanoseconds.

    The ninth digit of the fraction is the last that counts.  The sign is that of the whole.

    Raises:
        ValueError: It is no such number, or its seconds do not fit 64 bits.

    Spec:
        POSIX.1-2017, pax, "mtime"; negative ones as Go's archive/tar reads them.

    Example:
        >>> nanoseconds(b"1.5"), nanoseconds(b"-0.25"), nanoseconds(b"7.")
        (1500000000, -250000000, 7000000000)
    """
    # The common form, nine digits behind the point, is the number once the point is gone.
    digits = text.replace(b".", b"", 1)
    if text[-10:-9] == b"." and 9 < len(digits) < 28 and digits.isdigit():
        return int(digits)
    whole, _, fraction = text.partition(b".")
    value = decimal(whole) * 1_000_000_000
    if not fraction:
        return value
    if fraction.strip(_DIGITS):
        raise ValueError("the fraction is not decimal")
    rest = int(fraction[:9].ljust(9, b"0"))
    return value - rest if whole[:1] == b"-" else value + rest
