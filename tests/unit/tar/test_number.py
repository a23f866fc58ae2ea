"""Numbers in tar are read strictly, each in its own way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unionlayers._tar.number import decimal, nanoseconds, numeric, octal
from unionlayers.testing import base256
from unionlayers.testing import octal as written_octal


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param(b"0000644\0", 0o644, id="J10 digits and a NUL"),
        pytest.param(b"0000644 ", 0o644, id="J10 digits and a blank"),
        pytest.param(b"   644 \0", 0o644, id="J10 blanks before"),
        pytest.param(b"\0\0 644 \0", 0o644, id="J10 NULs and blanks before"),
        pytest.param(b"77777777", 0o77777777, id="J10 all places are digits"),
        pytest.param(b"\0" * 8, 0, id="J10 empty is zero"),
        pytest.param(b"        ", 0, id="J10 blank is zero"),
        pytest.param(b"17\x00junk!", 0o17, id="J10 what follows a NUL does not count"),
    ],
)
def test_octal_fields(field: bytes, value: int) -> None:
    assert octal(field) == value
    assert numeric(field) == value


@pytest.mark.parametrize(
    "field",
    [b"8", b"1_0", b"0o17", b"+17", b"-7", b"0x1", b"1 7", b"1\t", b"x", b"\xb2", b"1.", b"1\xff"],
)
def test_what_is_no_octal_number_is_refused(field: bytes) -> None:
    with pytest.raises(ValueError, match="not octal"):
        octal(field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param(b"\x80" + bytes(6) + b"\5", 5, id="J10 positive"),
        pytest.param(b"\xff" * 8, -1, id="J10 negative"),
        pytest.param(b"\xff" * 11 + b"\xfb", -5, id="J10 negative in twelve bytes"),
        pytest.param(b"\xc0" + bytes(7), -(1 << 62), id="J10 the second bit is the sign"),
        pytest.param(b"\x80\0\0\0" + b"\x7f" + b"\xff" * 7, (1 << 63) - 1, id="J10 the largest"),
        pytest.param(b"\xff\xff\xff\xff\x80" + bytes(7), -(1 << 63), id="J10 the smallest"),
    ],
)
def test_binary_fields(field: bytes, value: int) -> None:
    assert numeric(field) == value


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(b"\x80\0\0\0\x80" + bytes(7), id="J10 one more than 63 bits"),
        pytest.param(b"\xff\xff\xff\xff\x7f" + b"\xff" * 7, id="J10 one less than 63 bits"),
        pytest.param(b"\xbf" + b"\xff" * 11, id="J10 all of a wide field"),
    ],
)
def test_binary_fields_that_overflow_are_refused(field: bytes) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        numeric(field)


@given(st.integers(0, 8**11 - 1))
def test_octal_fields_come_back(value: int) -> None:
    assert numeric(written_octal(value, 12)) == value


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_binary_fields_come_back(value: int) -> None:
    assert numeric(base256(value, 12)) == value


@given(st.integers(-(1 << 62), (1 << 62) - 1))
def test_binary_fields_of_eight_bytes_come_back(value: int) -> None:
    assert numeric(base256(value, 8)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"0", 0),
        (b"+5", 5),
        (b"-5", -5),
        (b"-0", 0),
        (b"0" * 5000 + b"7", 7),
        (b"9223372036854775807", (1 << 63) - 1),
        (b"-9223372036854775808", -(1 << 63)),
    ],
)
def test_decimal_numbers(text: bytes, value: int) -> None:
    assert decimal(text) == value


@pytest.mark.parametrize(
    "text",
    [b"", b"+", b"-", b" 1", b"1 ", b"1_0", b"0x1", b"1.0", b"--1", b"9223372036854775808",
     b"-9223372036854775809", b"1" * 5000, b"\xd9\xa1"],
)  # fmt: skip
def test_what_is_no_decimal_number_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"decimal|64 bits"):
        decimal(text)


SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param(b"1", SECOND, id="H7 whole seconds"),
        pytest.param(b"1.", SECOND, id="H7 a point and nothing behind it"),
        pytest.param(b"1.5", SECOND * 3 // 2, id="H7 a fraction"),
        pytest.param(b"12345678901.000000001", 12345678901 * SECOND + 1, id="H7 a nanosecond"),
        pytest.param(b"1.1234567899", 1_123_456_789, id="H7 the tenth digit is cut off"),
        pytest.param(b"-1.5", -SECOND * 3 // 2, id="H7 the sign is that of the whole"),
        pytest.param(b"-0.000000001", -1, id="H7 a negative zero has a sign too"),
        pytest.param(b"+1.123456789", 1_123_456_789, id="H7 a plus sign"),
        pytest.param(b"-1.123456789", -1_123_456_789, id="H7 nine digits of a negative time"),
        pytest.param(b"9223372036854775807.9", (1 << 63) * SECOND - SECOND // 10, id="H7 exact"),
    ],
)
def test_times_of_extended_headers(text: bytes, value: int) -> None:
    assert nanoseconds(text) == value


@pytest.mark.parametrize(
    "text",
    [b"", b".", b".5", b".123456789", b"1.5x", b"1.5.5", b"1.-5", b"x", b"1e3", b"1,5",
     b"1.1234567.9", b"9223372036854775808.000000000"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"decimal|64 bits"):
        nanoseconds(text)


@pytest.mark.parametrize("function", [decimal, nanoseconds])
@given(text=st.binary(max_size=30))
def test_any_bytes_are_a_number_or_refused(function: Callable[[bytes], int], text: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(function(text), int)
