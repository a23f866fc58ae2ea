"""Short descriptions become the entries that they say."""

from __future__ import annotations

from fractions import Fraction

import pytest
from attrs import evolve
from attrs.exceptions import FrozenInstanceError

from unionlayers.testing import (
    Entry,
    block_device,
    char_device,
    directory,
    entry,
    fifo,
    file,
    global_header,
    hardlink,
    opaque,
    raw,
    raw_block,
    symlink,
    whiteout,
)


@pytest.mark.parametrize(
    ("made", "path", "typeflag"),
    [
        pytest.param(file("a"), b"a", b"0", id="a file"),
        pytest.param(file(b"\xff\n"), b"\xff\n", b"0", id="a name in bytes"),
        pytest.param(file("\udcff"), b"\xff", b"0", id="a name with a surrogate escape"),
        pytest.param(file("./../a//"), b"./../a//", b"0", id="a file name is not cleaned"),
        pytest.param(file("/"), b"/", b"0", id="a lone slash"),
        pytest.param(file(""), b"", b"0", id="an empty name"),
        pytest.param(directory("d"), b"d/", b"5", id="a directory gets its slash"),
        pytest.param(directory("d/"), b"d/", b"5", id="but not a second one"),
        pytest.param(directory("d", slash=False), b"d", b"5", id="nor one that is not wanted"),
        pytest.param(directory("."), b"./", b"5", id="the root as a dot"),
        pytest.param(directory("/"), b"/", b"5", id="the root as a slash"),
        pytest.param(directory(""), b"", b"5", id="the root as nothing"),
        pytest.param(symlink("a", "b"), b"a", b"2", id="a symbolic link"),
        pytest.param(hardlink("a", "b"), b"a", b"1", id="a hard link"),
        pytest.param(fifo("a"), b"a", b"6", id="a pipe"),
        pytest.param(char_device("a", 0, 0), b"a", b"3", id="a character device"),
        pytest.param(block_device("a", 8, 0), b"a", b"4", id="a block device"),
        pytest.param(entry("a", "V"), b"a", b"V", id="any type"),
        pytest.param(global_header({}), b"pax_global_header", b"g", id="a global header"),
        pytest.param(whiteout("a"), b".wh.a", b"0", id="a whiteout at the root"),
        pytest.param(whiteout("d/a"), b"d/.wh.a", b"0", id="a whiteout in a directory"),
        pytest.param(whiteout("/a"), b"/.wh.a", b"0", id="a whiteout of an absolute name"),
        pytest.param(whiteout("d/"), b"d/.wh.", b"0", id="a whiteout of the empty name"),
        pytest.param(whiteout("d/."), b"d/.wh..", b"0", id="a whiteout of a dot"),
        pytest.param(opaque("d"), b"d/.wh..wh..opq", b"0", id="an opaque directory"),
        pytest.param(opaque("d/"), b"d/.wh..wh..opq", b"0", id="an opaque name with a slash"),
        pytest.param(opaque(""), b".wh..wh..opq", b"0", id="an opaque root"),
    ],
)
def test_names_are_written_as_given(made: Entry, path: bytes, typeflag: bytes) -> None:
    assert (path, typeflag) == (made.path, made.typeflag)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(file("a", mtime=-5), Fraction(-5), id="before the epoch"),
        pytest.param(file("a", mtime=0.1), Fraction(1, 10), id="a float is its decimal number"),
        pytest.param(file("a", mtime=Fraction(1, 3)), Fraction(1, 3), id="a fraction"),
        pytest.param(file("a", mtime_ns=1), Fraction(1, 10**9), id="nanoseconds"),
    ],
)
def test_times_are_exact(made: Entry, expected: Fraction) -> None:
    assert expected == made.mtime


def test_text_is_written_as_utf_8() -> None:
    assert file("a", "ü").content == b"\xc3\xbc"


def test_entries_are_frozen_and_change_by_copy() -> None:
    made = file("a")
    with pytest.raises(FrozenInstanceError):
        made.mode = 0  # type: ignore[misc]
    assert evolve(made, uname="me").uname == b"me"
    assert evolve(made, mode=0o600) == file("a", mode=0o600)
    assert hash(made) == hash(file("a"))


def test_a_typeflag_is_one_byte() -> None:
    with pytest.raises(ValueError, match="one byte"):
        entry("a", "00")


def test_raw_bytes_stay_and_raw_blocks_are_filled_up() -> None:
    assert raw(b"abc").raw == b"abc"
    assert raw_block(b"abc").raw == b"abc" + bytes(509)


def test_attributes_keep_their_order_and_repeat_as_pairs() -> None:
    made = file("a", xattrs={"user.b": b"1", "user.a": b"2"}, pax=[("k", "1"), ("k", "2")])
    assert made.xattrs == ((b"user.b", b"1"), (b"user.a", b"2"))
    assert made.pax == ((b"k", b"1"), (b"k", b"2"))
