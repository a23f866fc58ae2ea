"""The tar writer, held against GNU tar, bsdtar and the standard library."""

from __future__ import annotations

import io
import tarfile

import pytest
from attrs import evolve
from oracles import listing, needs, run, unpacked

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
    octal,
    pax_record,
    raw,
    raw_block,
    symlink,
    windows_layer,
)

LONG = "d/" * 60 + "x" * 90
LONGER = "n" * 150
EVERYTHING = [
    directory("./"),
    directory("etc", mode=0o1777, uid=5, gid=6),
    file("etc/a", "hello", mode=0o4755, mtime=7),
    hardlink("etc/h", "etc/a"),
    symlink("sl", "etc/a"),
    fifo("p"),
    char_device("c", 1, 3),
    file(LONG, "1"),
    file("last", "z" * 512),
]
BEYOND_USTAR = [
    file(LONGER, "2"),
    symlink("long", "t" * 200),
    file("old", mtime=-5),
    file("big", uid=4_000_000_000),
]
FORMATS = ["pax", "gnu", "ustar", "star"]


def read(tar: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return archive.getmembers()


def only(tar: bytes) -> tarfile.TarInfo:
    (found,) = read(tar)
    return found


def body_of_extended(tar: bytes) -> bytes:
    assert tar[156:157] == b"x"
    return tar[512 : 512 + int(tar[124:135], 8)]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("tool", [pytest.param(t, marks=needs(t)) for t in ("tar", "bsdtar")])
def test_every_kind_of_entry_is_read_by_other_tools(tool: str, format: str) -> None:
    entries = EVERYTHING + (BEYOND_USTAR if format in ("pax", "gnu") else [])
    tar = layer(*entries, format=format)
    assert [one.path.decode() for one in entries] == listing(tool, tar)
    assert unpacked(tool, tar, "etc/a") == b"hello"
    assert unpacked(tool, tar, "last") == b"z" * 512


@needs("tar")
@pytest.mark.parametrize("format", FORMATS)
def test_gnu_tar_shows_owner_mode_and_time(format: str) -> None:
    shown = run(
        "tar", "--utc", "--full-time", "-tvf", "-", data=layer(EVERYTHING[2], format=format)
    )
    assert shown.decode().split() == [
        "-rwsr-xr-x", "0/0", "5", "1970-01-01", "00:00:07", "etc/a",
    ]  # fmt: skip


def test_what_needs_no_extended_header_has_none() -> None:
    tar = layer(*EVERYTHING)
    assert len(tar) == 512 * (len(EVERYTHING) + 3 + 2)


@pytest.mark.parametrize(
    ("made", "records"),
    [
        pytest.param(file(LONGER), pax_record("path", LONGER), id="a name without a slash"),
        pytest.param(file("ü"), pax_record("path", "ü"), id="a name that is not ASCII"),
        pytest.param(symlink("a", "t" * 101), pax_record("linkpath", "t" * 101), id="a target"),
        pytest.param(file("a", uid=8**7), pax_record("uid", str(8**7)), id="an owner"),
        pytest.param(file("a", gid=8**7), pax_record("gid", str(8**7)), id="a group"),
        pytest.param(file("a", mtime=1.5), pax_record("mtime", "1.5"), id="half a second"),
        pytest.param(file("a", mtime=-0.25), pax_record("mtime", "-0.25"), id="before the epoch"),
        pytest.param(file("a", mtime=8**11), pax_record("mtime", str(8**11)), id="far ahead"),
        pytest.param(
            file("a", mtime_ns=10**9 + 1), pax_record("mtime", "1.000000001"), id="a nanosecond"
        ),
        pytest.param(entry("a", atime=3), pax_record("atime", "3"), id="an access time"),
        pytest.param(entry("a", size=8**11), pax_record("size", str(8**11)), id="a size"),
        pytest.param(
            file("a", xattrs={"user.x": b"\0\n="}),
            pax_record("SCHILY.xattr.user.x", b"\0\n="),
            id="an attribute with bytes of any kind",
        ),
        pytest.param(file("a", pax={"comment": "c"}), pax_record("comment", "c"), id="a given one"),
        pytest.param(file("a", pax={"path": "b"}), pax_record("path", "b"), id="another name"),
        pytest.param(
            file(LONGER, pax={"path": "b"}), pax_record("path", "b"), id="another for a long one"
        ),
        pytest.param(
            file("a", pax=[("k", "1"), ("k", "2")]),
            pax_record("k", "1") + pax_record("k", "2"),
            id="one key twice",
        ),
        pytest.param(entry("a", pax_body=b"junk"), b"junk", id="a body that is no record"),
    ],
)
def test_an_extended_header_holds(made: Entry, records: bytes) -> None:
    assert records == body_of_extended(layer(made))


def test_a_needed_record_can_be_left_out() -> None:
    assert only(layer(file(LONGER, pax={"path": None}))).name == "n" * 100


def test_records_count_their_own_length() -> None:
    for size in range(1, 1100):
        record = pax_record("k", "v" * size)
        assert int(record.partition(b" ")[0]) == len(record)


@pytest.mark.parametrize(
    ("made", "format", "what"),
    [
        pytest.param(file(LONGER), "ustar", "name", id="a long name in ustar"),
        pytest.param(
            file("p" * 140 + "/" + LONGER[:90]),
            "star",
            "name",
            id="a long prefix in star",
        ),
        pytest.param(file(LONG), "v7", "name", id="a prefix in v7"),
        pytest.param(symlink("a", "t" * 101), "ustar", "target", id="a long target in ustar"),
        pytest.param(file("a", uid=8**7), "ustar", "octal", id="a large owner in ustar"),
        pytest.param(file("a", mtime=-1), "ustar", "octal", id="a negative time in ustar"),
        pytest.param(file("a", mtime=0.5), "gnu", "whole seconds", id="half a second in gnu"),
        pytest.param(file("a", xattrs={"a": b""}), "gnu", "attributes", id="attributes in gnu"),
        pytest.param(entry("a", atime=1), "ustar", "times", id="an access time in ustar"),
        pytest.param(entry("a", uname="me"), "v7", "owners", id="a user's name in v7"),
        pytest.param(char_device("a", 1, 3), "v7", "device", id="a device in v7"),
        pytest.param(file("a"), "cpio", "format is", id="a format that is none"),
    ],
)
def test_what_a_format_cannot_say_is_refused(made: Entry, format: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        layer(made, format=format)


def test_gnu_writes_long_names_and_targets_as_entries_of_their_own() -> None:
    tar = layer(symlink(LONGER, "t" * 101), format="gnu")
    assert [tar[start + 156 : start + 157] for start in (0, 1024, 2048)] == [b"K", b"L", b"2"]
    assert only(tar).name == LONGER
    assert only(tar).linkname == "t" * 101


def test_gnu_and_star_keep_times_in_the_header() -> None:
    for format, offset in (("gnu", 345), ("star", 476)):
        tar = layer(entry("a", atime=7, ctime=9), format=format)
        assert tar[offset : offset + 24] == b"%011o\0%011o\0" % (7, 9)
    assert tar[508:512] == b"tar\0"


def test_v7_has_no_magic_and_knows_directories_by_their_slash() -> None:
    tar = layer(directory("d"), file("f"), format="v7")
    assert tar[156:157] == tar[512 + 156 : 512 + 157] == b"\0"
    assert tar[257:265] == bytes(8)
    assert [one.isdir() for one in read(tar)] == [True, False]


def test_an_entry_may_have_a_format_of_its_own() -> None:
    tar = layer(file("a"), evolve(file("b"), format="gnu"))
    assert tar[257:265] == b"ustar\x0000"
    assert tar[512 + 257 : 512 + 265] == b"ustar  \0"


@pytest.mark.parametrize("value", [-(1 << 62), -1, 0, 5, 8**7, (1 << 62) - 1])
def test_binary_numbers_are_read_by_the_standard_library(value: int) -> None:
    assert tarfile.nti(base256(value, 12)) == value  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [-1, 8**7])
def test_octal_numbers_have_their_bounds(value: int) -> None:
    with pytest.raises(ValueError, match="octal"):
        octal(value, 8)


def test_binary_numbers_have_their_bounds() -> None:
    with pytest.raises(ValueError, match="63 bits"):
        base256(1 << 62, 8)


def test_a_field_can_be_written_raw() -> None:
    tar = layer(entry("a", fields={"mtime": b"-0000000005", "uid": base256(5, 8)}))
    assert tar[136:148] == b"-0000000005\0"
    assert only(tar).uid == 5
    with pytest.raises(ValueError, match="do not fit"):
        layer(entry("a", fields={"uid": b"123456789"}))


def test_both_checksums_are_accepted_and_a_wrong_one_is_not() -> None:
    plain = layer(file("é"), format="gnu")
    signed = layer(evolve(file("é"), checksum="signed"), format="gnu")
    assert plain[148:156] != signed[148:156]
    assert only(plain).name == only(signed).name == "é"
    with pytest.raises(tarfile.ReadError):
        read(layer(evolve(file("a"), checksum="wrong")))
    assert layer(evolve(file("a"), checksum=b"12345678"))[148:156] == b"12345678"
    with pytest.raises(ValueError, match="checksum"):
        layer(evolve(file("a"), checksum="none"))
    with pytest.raises(ValueError, match="eight"):
        layer(evolve(file("a"), checksum=b"1"))


@pytest.mark.parametrize(
    ("end", "blocks"), [("two-blocks", 2), ("one-block", 1), ("none", 0)], ids=str
)
def test_a_tar_ends_as_asked(end: str, blocks: int) -> None:
    assert len(layer(file("a", "1"), end=end)) == 1024 + 512 * blocks
    assert layer(end=end) == bytes(512 * blocks)


def test_a_tar_is_filled_up_as_asked() -> None:
    assert len(layer(file("a"), blocking=20)) == 10240
    with pytest.raises(ValueError, match="end is one of"):
        layer(end="three-blocks")


def test_a_body_need_not_be_filled_up() -> None:
    assert layer(evolve(file("a", "1"), pad=False), end="none")[512:] == b"1"


def test_a_size_may_lie() -> None:
    tar = layer(entry("a", "0", b"1", size=5))
    assert tar[124:136] == octal(5, 12)
    assert len(tar) == 2048


def test_a_hard_link_may_have_size_and_data() -> None:
    assert layer(hardlink("h", "a", size=9))[124:136] == octal(9, 12)
    assert layer(hardlink("h", "a", content=b"data"))[512:516] == b"data"


def test_raw_bytes_stand_where_they_are_put() -> None:
    tar = layer(file("a"), raw_block(b"junk"), raw(b"x"), end="none")
    assert tar[512:1024] == b"junk" + bytes(508)
    assert tar[1024:1025] == b"x"


def test_a_global_header_holds_its_records() -> None:
    tar = layer(global_header({"comment": "c"}), file("a"))
    assert tar[156:157] == b"g"
    assert tar[512:526].startswith(pax_record("comment", "c"))
    assert only(tar).pax_headers == {"comment": "c"}


def test_a_windows_layer_is_moved_beneath_files() -> None:
    found = read(windows_layer(directory("d"), file("d/a"), hardlink("h", "d/a")))
    assert [one.name for one in found] == ["Files", "Hives", "Files/d", "Files/d/a", "Files/h"]
    assert found[4].linkname == "Files/d/a"
    assert found[2].pax_headers == {"MSWINDOWS.fileattr": "16"}


def test_the_same_entries_give_the_same_bytes() -> None:
    assert layer(*EVERYTHING, *BEYOND_USTAR) == layer(*EVERYTHING, *BEYOND_USTAR)
