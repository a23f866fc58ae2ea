"""Every case of sections E, G, H, I and J that the headers decide: what is read, what refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unionlayers._foundation.limits import Limits
from unionlayers._tar.reader import TarReader, read_entries
from unionlayers.errors import LimitError, TarError
from unionlayers.testing import (
    Entry,
    base256,
    char_device,
    directory,
    entry,
    fifo,
    file,
    global_header,
    hardlink,
    layer,
    pax_record,
    raw,
    symlink,
)

Read = Callable[..., list[Any]]
Make = Callable[..., TarReader]

SECOND = 1_000_000_000


def long(kind: bytes, body: bytes) -> Entry:
    """The entry of GNU tar that carries a long name or link target."""
    return entry("././@LongLink", kind, body, format="gnu")


def extended(*pairs: tuple[str, str], path: str = "PaxHeaders/x") -> Entry:
    """An extended header by itself."""
    body = b"".join(pax_record(key, value) for key, value in pairs)
    return entry(path, b"x", body)


def both(entries: list[Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(getattr(one, name) for name in names) for one in entries]


# -- one entry, many ways --------------------------------------------------------------------------

SHOWN: list[Any] = [
    pytest.param([file("./a//b/", b"")], {"name": b"./a//b/"}, id="G1 names are left as written"),
    pytest.param([file("../up")], {"name": b"../up"}, id="G2 also those that climb"),
    pytest.param([file(b"\xff\xfe")], {"name": b"\xff\xfe"}, id="G4 names are bytes"),
    pytest.param([file("ä")], {"name": "ä".encode()}, id="G4 in records too"),
    pytest.param([file(" a\\b\n")], {"name": b" a\\b\n"}, id="G5 blanks, backslash, newline"),
    pytest.param(
        [file("a", pax={"path": ""})], {"name": b"a"}, id="G7 an empty path keeps the header's"
    ),
    pytest.param(
        [file("a", uid=5, mtime=7, pax={"uid": "", "mtime": "", "size": ""})],
        {"uid": 5, "mtime_ns": 7 * SECOND, "size": 0},
        id="G7 and so do all others",
    ),
    pytest.param([file("")], {"name": b""}, id="G8 an empty name"),
    pytest.param([file("d" * 300)], {"name": b"d" * 300}, id="G9 a long component"),
    pytest.param([file("d/" * 900 + "f")], {"name": b"d/" * 900 + b"f"}, id="G9 a long path"),
    pytest.param(
        [file("a", mtime_ns=1_500_000_000_123_456_789)],
        {"mtime_ns": 1_500_000_000_123_456_789},
        id="H7 nanoseconds",
    ),
    pytest.param([file("a", mtime=-5)], {"mtime_ns": -5 * SECOND}, id="H7 a negative time"),
    pytest.param(
        [file("a", pax={"mtime": "-1.5"})], {"mtime_ns": -SECOND * 3 // 2}, id="H7 and fraction"
    ),
    pytest.param(
        [entry("a", mtime=-5, format="gnu")], {"mtime_ns": -5 * SECOND}, id="H7 in binary"
    ),
    pytest.param(
        [file("a", pax={"mtime": "99999999999999999.5"})],
        {"mtime_ns": 99999999999999999 * SECOND + SECOND // 2},
        id="H7 beyond what 64 bits of nanoseconds hold",
    ),
    pytest.param(
        [entry("a", atime=3, ctime=4)],
        {"atime_ns": 3 * SECOND, "ctime_ns": 4 * SECOND},
        id="H7 other times",
    ),
    pytest.param([file("a")], {"atime_ns": None, "ctime_ns": None}, id="H7 or none"),
    pytest.param(
        [file("a", uid=4_000_000_000, gid=-2)],
        {"uid": 4_000_000_000, "gid": -2},
        id="H8 owners in records",
    ),
    pytest.param(
        [entry("a", uid=4_000_000_000, gid=-2, format="gnu")],
        {"uid": 4_000_000_000, "gid": -2},
        id="H8 owners in binary",
    ),
    pytest.param(
        [entry("a", uname="u" * 40, gname="grüße")],
        {"uname": b"u" * 40, "gname": "grüße".encode()},
        id="H8 names of owners",
    ),
    pytest.param([file("a", mode=0o7777)], {"mode": 0o7777}, id="H9 all twelve bits"),
    pytest.param(
        [entry("a", fields={"mode": b"0100644\0"})], {"mode": 0o100644}, id="H9 and those beyond"
    ),
    pytest.param(
        [file("a", xattrs={"user.a": b"\0\xff", "user.e": b""})],
        {"pax": {b"SCHILY.xattr.user.a": b"\0\xff", b"SCHILY.xattr.user.e": b""}},
        id="H10 attributes are bytes, empty ones stay",
    ),
    pytest.param(
        [file("a", xattrs={"security.capability": b"\1\0\0\2" + bytes(16)})],
        {"pax": {b"SCHILY.xattr.security.capability": b"\1\0\0\2" + bytes(16)}},
        id="H11 capabilities are bytes",
    ),
    pytest.param(
        [file("a", pax={"LIBARCHIVE.xattr.user.a": "YQ==", "SCHILY.fflags": "x", "comment": "c"})],
        {
            "pax": {
                b"LIBARCHIVE.xattr.user.a": b"YQ==",
                b"SCHILY.fflags": b"x",
                b"comment": b"c",
            }
        },
        id="H12 H13 other records are kept",
    ),
    pytest.param([fifo("a")], {"typeflag": ord("6"), "size": 0}, id="I1 a FIFO"),
    pytest.param(
        [char_device("a", 5, 260)],
        {"typeflag": ord("3"), "devmajor": 5, "devminor": 260},
        id="I1 a device",
    ),
    pytest.param(
        [entry("a", b"3", major=1 << 40, format="gnu")],
        {"devmajor": 1 << 40},
        id="I1 device numbers of any size",
    ),
    pytest.param([char_device("a", 0, 0)], {"typeflag": ord("3")}, id="I2 device 0:0"),
    pytest.param([entry("a", b"7", b"xyz")], {"typeflag": ord("7"), "size": 3}, id="I4 contiguous"),
    pytest.param([entry("a", b"Q", b"xyz")], {"typeflag": ord("Q"), "size": 3}, id="I4 unknown"),
    pytest.param(
        [entry("a", b"D", b"Yfile\0\0", format="gnu")],
        {"typeflag": ord("D"), "size": 7},
        id="I4 I8 a dump of a directory",
    ),
    pytest.param([entry("d/", b"\0")], {"typeflag": ord("5"), "name": b"d/"}, id="I5 NUL, slash"),
    pytest.param([entry("f", b"\0", b"x")], {"typeflag": ord("0"), "size": 1}, id="I5 NUL"),
    pytest.param(
        [entry("f", b"\0", pax={"path": "d/"})],
        {"typeflag": ord("5")},
        id="I5 the slash may be in the record",
    ),
    pytest.param(
        [long(b"L", b"d/\0"), entry("f", b"\0")],
        {"typeflag": ord("5")},
        id="I5 or in the long name",
    ),
    pytest.param(
        [entry("f/", b"0", uid=1 << 30)],
        {"typeflag": ord("0"), "name": b"f/"},
        id="I5 0 and a slash with an extended header",
    ),
    pytest.param([entry("f/", b"0")], {"typeflag": ord("0"), "name": b"f/"}, id="I5 0 and a slash"),
    pytest.param(
        [long(b"L", b"gnu\0"), file("a", pax={"path": "pax"})],
        {"name": b"gnu"},
        id="J2 the long name holds against the record",
    ),
    pytest.param(
        [extended(("path", "pax")), long(b"L", b"gnu\0"), file("a")],
        {"name": b"gnu"},
        id="J2 whichever comes first",
    ),
    pytest.param(
        [extended(("linkpath", "pax")), long(b"K", b"gnu\0"), symlink("a", "b")],
        {"linkname": b"gnu"},
        id="J2 and so do link targets",
    ),
    pytest.param(
        [extended(("uid", "7")), long(b"L", b"gnu\0"), file("a")],
        {"uid": 7, "name": b"gnu"},
        id="J2 records reach over a long name",
    ),
    pytest.param(
        [extended(("uid", "7")), extended(("gid", "8")), file("a", uid=1, gid=1)],
        {"uid": 1, "gid": 8, "pax": {b"gid": b"8"}},
        id="J2 a later extended header replaces an earlier one",
    ),
    pytest.param(
        [long(b"L", b"one\0"), long(b"L", b"two\0"), file("a")],
        {"name": b"two"},
        id="J2 a later long name replaces an earlier one",
    ),
    pytest.param(
        [long(b"L", b"one\0two\0"), file("a")], {"name": b"one"}, id="J13 a long name ends at NUL"
    ),
    pytest.param([long(b"L", b"one"), file("a")], {"name": b"one"}, id="J13 or without one"),
    pytest.param([long(b"L", b"\0"), file("a")], {"name": b"a"}, id="J13 an empty one is none"),
    pytest.param(
        [extended(("uid", "7"), ("path", "b")), global_header({"gid": "9"}), file("a")],
        {"uid": 0, "gid": 0, "name": b"a", "pax": None},
        id="J3 what a global header follows is lost",
    ),
    pytest.param(
        [long(b"L", b"b\0"), global_header({}), file("a")],
        {"name": b"a"},
        id="J3 a long name too",
    ),
    pytest.param(
        [file("a", pax={"hdrcharset": b"BINARY", "path": b"\xe4"})],
        {"name": b"\xe4"},
        id="J12 hdrcharset changes nothing",
    ),
    pytest.param(
        [entry("a", checksum="signed", fields={"uname": b"\xe4"})],
        {"uname": b"\xe4"},
        id="J10 a checksum of signed bytes",
    ),
    pytest.param(
        [entry("p" * 90 + "/" + "n" * 90, format="star", atime=5)],
        {"name": b"p" * 90 + b"/" + b"n" * 90, "atime_ns": 5 * SECOND, "ctime_ns": 0},
        id="J11 star",
    ),
    pytest.param(
        [entry("a", format="gnu", atime=5, ctime=-6)],
        {"name": b"a", "atime_ns": 5 * SECOND, "ctime_ns": -6 * SECOND},
        id="J11 times of GNU",
    ),
    pytest.param(
        [entry("a", format="gnu", fields={"prefix": b"usr/share"})],
        {"name": b"usr/share/a", "atime_ns": None},
        id="J11 a prefix where GNU has times",
    ),
    pytest.param(
        [extended(("atime", "9")), entry("a", format="star", atime=5)],
        {"atime_ns": 9 * SECOND},
        id="J11 records hold against the times in a header",
    ),
    pytest.param(
        [entry("a", format="v7", fields={"prefix": b"p", "devmajor": b"junk"})],
        {"name": b"a", "devmajor": 0, "uname": b""},
        id="J14 the oldest tar",
    ),
    pytest.param(
        [entry("a", fields={"name": b"x\0y"})], {"name": b"x"}, id="J13 a name ends at NUL"
    ),
    pytest.param(
        [entry("a", fields={"name": b"n" * 100, "prefix": b"p" * 155})],
        {"name": b"p" * 155 + b"/" + b"n" * 100},
        id="J11 fields filled to the last byte",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "expected"), SHOWN)
def test_what_an_entry_shows(entries: list[Entry], expected: dict[str, Any], read: Read) -> None:
    after = file("after", b"content")
    found, last = read(layer(*entries, after))
    assert {name: getattr(found, name) for name in expected} == expected
    assert (last.name, last.size, last.pax) == (b"after", 7, None)


# -- types without content -------------------------------------------------------------------------


@pytest.mark.parametrize("typeflag", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_e11_i8_a_size_is_ignored_where_there_can_be_no_content(
    typeflag: bytes, reader: Make
) -> None:
    tar = reader(layer(entry("a", typeflag, size=4096), file("b", b"x")))
    entries = iter(tar)
    first = next(entries)
    assert (first.size, first.stored_size, tar.declared_size) == (0, 0, 4096)
    assert next(entries).name == b"b"


def test_e11_content_that_is_stored_all_the_same_is_refused_with_the_reason(read: Read) -> None:
    stored = hardlink("a", "b", size=20, content=b"not a header at all!")
    with pytest.raises(TarError, match="its checksum is wrong") as caught:
        read(layer(stored, file("c")))
    assert caught.value.offset == 512
    assert "has a size of 20, yet its type has no content" in str(caught.value.hint)


def test_e11_the_reason_is_given_there_only(read: Read) -> None:
    with pytest.raises(TarError, match="its checksum is wrong") as caught:
        read(layer(hardlink("a", "b", size=20), file("b"), raw(b"junk".ljust(512)), file("c")))
    assert caught.value.hint is None


def test_i5_a_directory_by_its_slash_has_no_content(read: Read) -> None:
    header = entry("d/", b"\0", size=20)
    assert [one.name for one in read(layer(header, file("b")))] == [b"d/", b"b"]


def test_i8_the_dump_of_a_directory_is_skipped(read: Read) -> None:
    dump = entry("d/", b"D", b"Yfile\0" * 200, format="gnu")
    assert [one.name for one in read(layer(dump, file("b")))] == [b"d/", b"b"]


# -- where things are ------------------------------------------------------------------------------


def test_offsets_of_a_plain_entry(read: Read) -> None:
    found = read(layer(file("a", b"x" * 513), file("b", b"yy"), directory("c")))
    assert both(
        found, "ordinal", "start_offset", "header_offset", "data_offset", "stored_size"
    ) == [
        (0, 0, 0, 512, 513),
        (1, 1536, 1536, 2048, 2),
        (2, 2560, 2560, 3072, 0),
    ]


def test_offsets_begin_at_the_first_extension(read: Read) -> None:
    entries = [long(b"K", b"t" * 600), extended(("uid", "1")), long(b"L", b"n"), file("a", b"x")]
    (found,) = read(layer(*entries))
    assert (found.start_offset, found.header_offset) == (0, 512 + 1024 + 1024 + 1024)
    assert found.data_offset == found.header_offset + 512


def test_extensions_of_an_entry_are_not_those_of_the_next(read: Read) -> None:
    first, second = read(layer(file("ä", mtime_ns=5), file("b")))
    assert (second.start_offset, second.pax) == (second.header_offset, None)
    assert (first.pax or {}).keys() == {b"path", b"mtime"}


def test_what_a_global_header_makes_lost_does_not_count_as_the_start(read: Read) -> None:
    (found,) = read(layer(extended(("uid", "1")), global_header({"a": "b"}), file("a")))
    assert found.start_offset == found.header_offset == 2048


def test_global_headers_are_kept_but_change_nothing(reader: Make) -> None:
    tar = reader(layer(global_header({"uid": "7", "path": "x"}), file("a"), global_header({})))
    (found,) = tar
    assert (found.name, found.uid, found.ordinal) == (b"a", 0, 0)
    assert tar.globals[0] == (0, {b"uid": b"7", b"path": b"x"})
    assert tar.global_count == 2


def test_global_headers_without_end_are_counted_but_not_kept(reader: Make) -> None:
    tar = reader(layer(*[global_header({"k": "v" * 400})] * 50), header_bytes=4096)
    assert list(tar) == []
    assert tar.global_count == 50
    assert len(tar.globals) < 6


def test_a_pass_is_one_pass(reader: Make) -> None:
    tar = reader(layer(file("a"), file("b"), file("c")))
    assert next(iter(tar)).name == b"a"
    assert [one.name for one in tar] == [b"b", b"c"]
    assert list(tar) == []


def test_content_may_be_taken_on_the_way(stream: Any) -> None:
    tar = stream(layer(file("a", b"x" * 600), file("b", b"all"), file("c", b"none")))
    seen = {}
    for one in read_entries(tar, Limits()):
        seen[one.name] = tar.take({b"a": 7, b"b": 3, b"c": 0}[one.name])
    assert seen == {b"a": b"x" * 7, b"b": b"all", b"c": b""}


def test_content_is_skipped_and_not_read(stream: Any) -> None:
    tar = stream(layer(*(file(f"f{number}", b"x" * 100_000) for number in range(5))))
    assert len(list(read_entries(tar, Limits()))) == 5
    assert tar.taken == 512 * (5 + 2)


def test_a_stream_need_not_start_at_zero(stream: Any) -> None:
    tar = stream(b"y" * 100 + layer(file("a", b"x"), file("b")))
    tar.take(100)
    found = list(read_entries(tar, Limits()))
    assert both(found, "name", "header_offset") == [(b"a", 100), (b"b", 1124)]


# -- sizes -----------------------------------------------------------------------------------------


def test_j1_a_size_in_the_records_is_the_one_to_skip(read: Read) -> None:
    hidden = layer(file("hidden"), end="none").ljust(1024, b"\0")
    outer = entry("outer", content=hidden, size=0, pax={"size": str(len(hidden))})
    assert [one.name for one in read(layer(outer, file("after")))] == [b"outer", b"after"]


def test_j1_it_is_not_the_size_of_a_long_name_before_the_entry(read: Read) -> None:
    entries = [extended(("size", "5")), long(b"L", b"name\0"), file("a", b"12345")]
    (found,) = read(layer(*entries))
    assert (found.name, found.size) == (b"name", 5)


def test_j10_a_negative_size_is_refused(read: Read) -> None:
    with pytest.raises(TarError, match="negative"):
        read(layer(entry("a", fields={"size": base256(-1, 12)})))
    with pytest.raises(TarError, match="negative"):
        read(layer(file("a", pax={"size": "-1"})))
    with pytest.raises(TarError, match="negative"):
        read(layer(entry("a", b"x", fields={"size": base256(-1, 12)})))


def test_j10_a_negative_size_is_nothing_to_a_directory(read: Read) -> None:
    (found,) = read(layer(entry("d/", b"5", fields={"size": base256(-1, 12)})))
    assert found.size == 0


def test_a_binary_size_beyond_octal(read: Read) -> None:
    with pytest.raises(TarError, match="ends inside the content") as caught:
        read(layer(entry("a", fields={"size": base256(1 << 40, 12)})))
    assert caught.value.expected == 1 << 40


# -- the end ---------------------------------------------------------------------------------------

ONE = layer(file("a", b"content"), end="none")

ENDS: list[Any] = [
    pytest.param(b"", 0, id="J9 no bytes at all"),
    pytest.param(bytes(1024), 0, id="J9 zeros only"),
    pytest.param(bytes(512), 0, id="J9 one zero block only"),
    pytest.param(ONE + bytes(1024), 1, id="J5 two zero blocks"),
    pytest.param(ONE + bytes(512), 1, id="J5 one zero block and the end"),
    pytest.param(ONE, 1, id="J5 the end on a boundary"),
    pytest.param(ONE[:519], 1, id="J5 without the last padding"),
    pytest.param(ONE[:600], 1, id="J5 in the middle of the last padding"),
    pytest.param(ONE + bytes(1024) + ONE, 1, id="J6 another tar behind the end"),
    pytest.param(ONE + bytes(1024) + b"junk", 1, id="J6 junk behind the end"),
    pytest.param(
        ONE + layer(extended(("uid", "1")), end="none"), 1, id="J5 an extended header at the end"
    ),
    pytest.param(
        ONE + layer(long(b"L", b"name"), end="none")[:516], 1, id="J5 a long name, unpadded"
    ),
]


@pytest.mark.parametrize(("data", "count"), ENDS)
def test_where_an_archive_may_end(data: bytes, count: int, read: Read) -> None:
    assert len(read(data)) == count


@pytest.mark.parametrize(
    ("data", "message", "offset"),
    [
        pytest.param(
            ONE + bytes(512) + ONE, "follows a single zero block", 1536, id="J5 data after one zero"
        ),
        pytest.param(ONE + bytes(512) + ONE[:9], "inside a header", 1536, id="J5 and less of it"),
        pytest.param(ONE + bytes(700), "inside a header", 1536, id="J5 a part of a zero block"),
        pytest.param(ONE + bytes(100), "inside a header", 1024, id="J5 less than a zero block"),
        pytest.param(ONE + b"x" * 512, "checksum is wrong", 1024, id="J7 a wrong checksum"),
        pytest.param(
            ONE + layer(entry("b", checksum="wrong")), "checksum is wrong", 1024, id="J7 by one"
        ),
        pytest.param(
            ONE + layer(entry("b", checksum=b"zzzzzzzz")), "checksum", 1024, id="J7 no checksum"
        ),
        pytest.param(ONE + ONE[:100], "inside a header", 1024, id="J8 in a header"),
        pytest.param(ONE + ONE[:515], "inside the content", 1024, id="J8 in the content"),
        pytest.param(ONE + ONE[:512], "inside the content", 1024, id="J8 before the content"),
        pytest.param(
            ONE + layer(extended(("uid", "1")))[:515],
            "inside an extended header",
            1024,
            id="J8 in an extended header",
        ),
        pytest.param(
            ONE + layer(entry("b", fields={"mode": b"9"})), "field mode", 1024, id="J10 a number"
        ),
    ],
)
def test_where_an_archive_must_not_end(
    data: bytes, message: str, offset: int, reader: Make
) -> None:
    tar = reader(data)
    with pytest.raises(TarError, match=message) as caught:
        list(tar)
    assert caught.value.offset == offset
    assert caught.value.entry == 1
    assert tar.end_offset is None


def test_j8_an_error_in_content_says_whose(read: Read) -> None:
    with pytest.raises(TarError) as caught:
        read(ONE + ONE[:515])
    error = caught.value
    assert (error.path, error.entry, error.expected, error.actual) == ("a", 1, 7, 3)


@pytest.mark.parametrize(
    ("rest", "size", "nonzero"),
    [
        pytest.param(b"", 0, False, id="J6 nothing"),
        pytest.param(bytes(9000), 9000, False, id="J6 padding to a record"),
        pytest.param(bytes(600_000) + b"x", 600_001, True, id="J6 something far behind"),
        pytest.param(ONE, 1024, True, id="J6 another tar"),
    ],
)
def test_j6_what_follows_the_end_is_measured(
    rest: bytes, size: int, nonzero: bool, reader: Make
) -> None:
    tar = reader(ONE + bytes(1024) + rest)
    assert len(list(tar)) == 1
    assert tar.end_offset == 2048
    tar.drain()
    assert (tar.trailing_size, tar.trailing_nonzero) == (size, nonzero)


def test_nothing_follows_an_end_that_is_not_reached(reader: Make) -> None:
    tar = reader(ONE)
    with pytest.raises(ValueError, match="not read to the end"):
        tar.drain()


# -- extensions that are refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        pytest.param([file("a", pax={"path": "a\0b"})], "holds a NUL", id="G6 a NUL in a path"),
        pytest.param([file("a", pax={"mtime": "soon"})], "record mtime", id="J10 a time"),
        pytest.param([file("a", pax={"uid": "1_0"})], "record uid", id="J10 an owner"),
        pytest.param([file("a", pax={"gid": "9" * 20})], "record gid", id="J10 too many digits"),
        pytest.param([file("a", pax={"size": "0x5"})], "record size", id="J10 a size"),
        pytest.param(
            [entry("a", pax_body=b"99 path=a\n")], "begin with its length", id="J13 a length"
        ),
        pytest.param(
            [entry("g", b"g", b"99 path=a\n")], "begin with its length", id="J13 in a global header"
        ),
    ],
)
def test_extensions_that_are_refused(entries: list[Entry], message: str, read: Read) -> None:
    with pytest.raises(TarError, match=message) as caught:
        read(layer(file("before"), *entries, file("after")))
    assert caught.value.entry == 1


def test_j3_a_record_that_is_no_number_is_nothing_in_a_global_header(read: Read) -> None:
    assert len(read(layer(global_header({"mtime": "soon"}), file("a")))) == 1


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_j13_the_size_of_an_extension_is_bounded(kind: bytes, read: Read) -> None:
    body = {b"x": pax_record("k", "v" * 990), b"g": pax_record("k", "v" * 990)}.get(
        kind, b"n" * 997
    )
    data = layer(entry("h", kind, body, format="gnu"), file("a"))
    assert len(read(data, header_bytes=len(body))) == 1
    with pytest.raises(LimitError) as caught:
        read(data, header_bytes=len(body) - 1)
    assert (caught.value.limit, caught.value.offset) == ("header_bytes", 0)
    assert caught.value.actual == len(body)


def test_j13_a_size_beyond_the_bound_is_not_read(stream: Any) -> None:
    tar = stream(layer(entry("h", b"x", bytes(2 << 20))))
    with pytest.raises(LimitError):
        list(read_entries(tar, Limits()))
    assert tar.taken == 512


# -- whatever comes --------------------------------------------------------------------------------


@given(
    data=st.one_of(
        st.binary(max_size=2000),
        st.builds(
            lambda at, value: ONE[:at] + value + ONE[at + 1 :],
            st.integers(0, len(ONE) - 1),
            st.binary(min_size=1, max_size=1),
        ),
    )
)
def test_any_bytes_are_entries_or_an_error_with_its_place(data: bytes, stream: Any) -> None:
    place = None
    try:
        for found in TarReader(stream(data), Limits()):
            assert 0 <= found.data_offset <= len(data)
            assert min(found.size, found.stored_size) >= 0
    except TarError as error:
        place = error.offset, error.entry
    assert place is None or None not in place


@given(
    names=st.lists(
        st.binary(min_size=1, max_size=300).map(lambda name: name.replace(b"\0", b"x")), max_size=5
    ),
    sizes=st.lists(st.integers(0, 1500), min_size=5, max_size=5),
    format=st.sampled_from(["pax", "gnu"]),
)
def test_what_the_builders_write_comes_back(
    names: list[bytes], sizes: list[int], format: str, stream: Any
) -> None:
    files = [entry(name, content=b"x" * size) for name, size in zip(names, sizes, strict=False)]
    found = list(TarReader(stream(layer(*files, format=format)), Limits()))
    assert [one.name for one in found] == names
    assert [one.size for one in found] == sizes[: len(names)]
