"""A header is known by its checksum, and its back by its magic."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unionlayers._tar.header import BLOCK, checksum_holds, read_back
from unionlayers.errors import TarError
from unionlayers.testing.header import header_block

USTAR = [("magic", b"ustar\0"), ("version", b"00")]
GNU = [("magic", b"ustar "), ("version", b" \0")]


def back(*fields: tuple[str, bytes]) -> bytes:
    return header_block(fields, checksum="unsigned")[157:]


def plain_sums(block: bytes) -> tuple[int, int]:
    """The two sums, as slowly as they are defined."""
    blanked = block[:148] + b" " * 8 + block[156:]
    return sum(blanked), sum(byte - 256 if byte > 127 else byte for byte in blanked)


@given(
    content=st.one_of(
        st.binary(min_size=BLOCK, max_size=BLOCK),
        st.integers(0, 1 << 32).map(lambda seed: random.Random(seed).randbytes(BLOCK)),
        st.just(b"\xff" * BLOCK),
        st.just(bytes(BLOCK)),
        st.binary(max_size=200).map(lambda part: part.ljust(BLOCK, b"\0")),
    ),
    offset=st.sampled_from([0, 0, 0, 1, -1, 255, 65521, -65521, 65536]),
    signed=st.booleans(),
)
def test_a_checksum_holds_exactly_for_the_two_sums(
    content: bytes, offset: int, signed: bool
) -> None:
    wanted = plain_sums(content)[signed] + offset
    if not 0 <= wanted < 8**7:
        return
    block = content[:148] + b"%07o\0" % wanted + content[156:]
    assert checksum_holds(block) == (wanted in plain_sums(block))


@pytest.mark.parametrize("length", [0, 1, 511])
def test_a_block_cut_short_is_no_header(length: int) -> None:
    assert not checksum_holds(header_block(USTAR, checksum="unsigned")[:length])


@pytest.mark.parametrize(
    ("field", "holds"),
    [
        pytest.param(b"%06o\0 ", True, id="J10 six digits, NUL, blank"),
        pytest.param(b"%07o\0", True, id="J10 seven digits and NUL"),
        pytest.param(b" %06o ", True, id="J10 blanks around"),
        pytest.param(b"%08o", True, id="J10 eight digits"),
        pytest.param(b"%06o\0x", True, id="J10 junk after a NUL"),
        pytest.param(b"%06ox ", False, id="J10 junk after the digits"),
        pytest.param(b"+%06o\0", False, id="J10 a sign"),
        pytest.param(b"0o%05o\0", False, id="J10 a prefix"),
    ],
)
def test_how_a_checksum_is_written(field: bytes, holds: bool) -> None:
    total = plain_sums(header_block(USTAR, checksum="unsigned"))[0]
    block = header_block(USTAR, checksum=field % total)
    assert checksum_holds(block) == holds


def test_a_binary_checksum_is_none() -> None:
    total = plain_sums(header_block(USTAR, checksum="unsigned"))[0]
    block = header_block(USTAR, checksum=b"\x80" + total.to_bytes(7, "big"))
    assert not checksum_holds(block)


FIELDS = [
    ("linkname", b"to\0junk"),
    ("uname", b"root"),
    ("gname", b"wheel"),
    ("devmajor", b"0000010\0"),
    ("devminor", b"0000003\0"),
]


def test_ustar_has_names_device_numbers_and_a_prefix() -> None:
    read = read_back(back(*USTAR, *FIELDS, ("prefix", b"p" * 155)))
    assert read == (b"to", b"root", b"wheel", 8, 3, b"p" * 155, None, None, "ustar")


def test_j11_any_version_of_ustar_is_ustar() -> None:
    read = read_back(back(("magic", b"ustar\0"), ("version", b"??"), ("prefix", b"p")))
    assert (read.form, read.prefix) == ("ustar", b"p")


@pytest.mark.parametrize(
    ("magic", "version"),
    [(b"", b""), (b"ustar ", b"00"), (b"ustar", b" \0"[:1]), (b"USTAR\0", b"00")],
)
def test_j14_another_magic_is_the_oldest_tar(magic: bytes, version: bytes) -> None:
    fields = [("magic", magic), ("version", version), *FIELDS, ("prefix", b"p")]
    if (magic, version[:1]) == (b"ustar", b" "):
        fields = [("magic", b"ustar?"), *FIELDS, ("prefix", b"p")]
    assert read_back(back(*fields)) == (b"to", b"", b"", 0, 0, b"", None, None, "v7")


def test_j14_the_oldest_tar_has_no_numbers_that_could_be_wrong() -> None:
    assert read_back(back(("devmajor", b"junk"))).form == "v7"


def test_j11_star_has_a_shorter_prefix_and_times() -> None:
    times = [("star_atime", b"00000000005\0"), ("star_trailer", b"tar\0")]
    read = read_back(back(*USTAR, ("star_prefix", b"p" * 131), *times))
    assert (read.form, read.prefix, read.atime, read.ctime) == ("star", b"p" * 131, 5, 0)


def test_j11_gnu_has_times_and_no_prefix() -> None:
    read = read_back(back(*GNU, ("gnu_atime", b"00000000005\0"), ("gnu_ctime", b"\xff" * 12)))
    assert (read.form, read.prefix, read.atime, read.ctime) == ("gnu", b"", 5, -1)


def test_j11_gnu_without_times_has_none() -> None:
    read = read_back(back(*GNU))
    assert (read.prefix, read.atime, read.ctime) == (b"", None, None)


@pytest.mark.parametrize(
    ("area", "prefix"),
    [
        pytest.param(b"usr/share/doc", b"usr/share/doc", id="J11 a prefix under the GNU magic"),
        pytest.param(b"usr/\xc3\xa4", b"", id="J11 that is not ASCII is dropped"),
        pytest.param(b"00000000005\0x", b"00000000005", id="J11 one bad time is enough"),
    ],
)
def test_j11_times_that_are_none_are_a_prefix(area: bytes, prefix: bytes) -> None:
    read = read_back(back(*GNU, ("prefix", area)))
    assert (read.prefix, read.atime, read.ctime) == (prefix, None, None)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("devmajor", [*USTAR, ("devmajor", b"9")]),
        ("devminor", [*GNU, ("devminor", b"x")]),
        ("atime", [*USTAR, ("star_atime", b"x"), ("star_trailer", b"tar\0")]),
        ("ctime", [*USTAR, ("star_ctime", b"x"), ("star_trailer", b"tar\0")]),
    ],
)
def test_a_number_that_is_none_is_named(name: str, fields: list[tuple[str, bytes]]) -> None:
    with pytest.raises(TarError, match=re.escape(f"the header field {name} is not a number")):
        read_back(back(*fields))
