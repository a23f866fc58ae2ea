"""Facts of single cases that a row of the table has no place for."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pytest
from row import shown

from unionlayers import Image, NotARegularFileError, open_image
from unionlayers.testing import (
    Entry,
    ImageDescription,
    block_device,
    char_device,
    directory,
    docker_archive,
    entry,
    fifo,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
)

Layers = Sequence[Sequence[Entry]]
f, d, ln, hl, wh, op = file, directory, symlink, hardlink, whiteout, opaque


def opened(layers: Layers, profile: str, on_invalid: Any = "error") -> Image:
    archive = docker_archive(ImageDescription(layers))
    return open_image(io.BytesIO(archive), profile=profile, on_invalid=on_invalid)


def fact_of(layers: Layers, path: str, profile: str = "oci", **options: Any) -> Any:
    with opened(layers, profile, **options) as image:
        view = image.fs()
        names = ["stat", "xattr", "layer", "access", "tar", "details", "link"]
        return view.getinfo(path, names).raw


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
def test_b7_an_opaque_directory_without_an_entry_keeps_its_attributes(profile: str) -> None:
    raw = fact_of([[d("d", mode=0o2750, uid=5), f("d/old")], [op("d")]], "/d", profile)
    assert (raw["stat"]["st_mode"] & 0o7777, raw["stat"]["st_uid"]) == (0o2750, 5)


def test_h2_a_hard_link_that_is_left_out_takes_no_metadata_away() -> None:
    layers = [[d("t", mode=0o1777, uid=3)], [hl("t", "none")], [f("t/x")]]
    raw = fact_of(layers, "/t", "overlay", on_invalid="warn")
    assert (raw["stat"]["st_mode"] & 0o7777, raw["stat"]["st_uid"]) == (0o1777, 3)


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
def test_e7_the_header_of_a_hard_link_changes_the_inode_for_both_names(profile: str) -> None:
    layers = [[f("a", "1", mode=0o600, uid=1, mtime=1, xattrs={"user.a": b"1"}),
               hl("b", "a", mode=0o4755, uid=7, mtime=9)]]  # fmt: skip
    one, two = (fact_of(layers, path, profile)["stat"] for path in ("/a", "/b"))
    assert one == two
    assert (one["st_mode"], one["st_uid"], one["st_mtime"], one["st_nlink"]) == (0o104755, 7, 9, 2)


def test_e3_a_hard_link_to_a_lower_layer_shares_its_inode() -> None:
    layers = [[f("a", "1")], [hl("b", "a")]]
    one, two = (fact_of(layers, path)["stat"] for path in ("/a", "/b"))
    assert one == two
    assert one["st_nlink"] == 2


def test_e4_a_name_left_alone_counts_one_link() -> None:
    layers = [[f("a", "1"), hl("b", "a")], [f("a", "2")]]
    assert [fact_of(layers, path)["stat"]["st_nlink"] for path in ("/a", "/b")] == [1, 1]


def test_e8_metadata_is_not_sent_through_a_hard_link_to_a_symlink() -> None:
    layers = [[f("t", "1", mode=0o600), ln("l", "t"), hl("m", "l", mode=0o4777)]]
    assert fact_of(layers, "/t")["stat"]["st_mode"] == 0o100600
    assert fact_of(layers, "/l")["stat"]["st_mode"] == 0o120777


def test_f2_the_last_metadata_of_a_directory_counts() -> None:
    layers = [[d("d", mode=0o700), f("d/x"), d("d", mode=0o711)]]
    assert fact_of(layers, "/d")["stat"]["st_mode"] == 0o40711


def test_f6_metadata_of_a_directory_after_its_children_counts() -> None:
    raw = fact_of([[f("d/x"), d("d", mode=0o700)]], "/d")
    assert raw["stat"]["st_mode"] == 0o40700
    assert raw["layer"]["implied"] is False


def test_g4_names_that_are_no_utf8_keep_their_bytes() -> None:
    with opened([[f(b"caf\xe9", "1"), f(b"caf\xc3\xa9", "2"), f(b"z\xff/\xfe", "3")]], "oci") as im:
        view = im.fs()
        assert view.listdir("/") == ["caf\u00e9", "caf\udce9", "z\udcff"]
        assert view.readbytes("/caf\udce9") == b"1"
        assert view.readbytes("/z\udcff/\udcfe") == b"3"
        assert view.getinfo("/caf\udce9", ["tar"]).raw["tar"]["raw_name"] == b"caf\xe9"


def test_g4_names_are_neither_folded_nor_normalised() -> None:
    with opened([[f("A"), f("a"), f("\u00e9"), f("e\u0301")]], "oci") as image:
        assert image.fs().listdir("/") == ["A", "a", "e\u0301", "\u00e9"]


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
def test_h1_a_directory_that_comes_again_has_the_metadata_of_its_last_entry(profile: str) -> None:
    layers = [
        [d("d", mode=0o700, uid=1, gid=2, mtime=3, xattrs={"user.old": b"o"})],
        [d("d", mode=0o1777, uid=4, gid=5, mtime=6, xattrs={"user.new": b"n"})],
    ]
    raw = fact_of(layers, "/d", profile)
    got = raw["stat"]
    assert (got["st_mode"], got["st_uid"], got["st_gid"], got["st_mtime"]) == (0o41777, 4, 5, 6)
    kept = {"user.old": b"o"} if profile == "sequential" else {}
    assert raw["xattr"] == {"user.new": b"n", **kept}


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
def test_h2_an_implied_directory_inherits_from_beneath(profile: str) -> None:
    layers = [[d("tmp", mode=0o1777, uid=3, mtime=8)], [f("tmp/y")]]
    raw = fact_of(layers, "/tmp", profile)
    assert (raw["stat"]["st_mode"], raw["stat"]["st_uid"]) == (0o41777, 3)
    assert raw["layer"]["index"] == 0


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
def test_h3_an_implied_directory_that_is_new_is_plain_and_says_so(profile: str) -> None:
    raw = fact_of([[f("n/y", uid=9, mtime=9)]], "/n", profile)
    got = raw["stat"]
    assert (got["st_mode"], got["st_uid"], got["st_gid"], got["st_mtime"]) == (0o40755, 0, 0, 0)
    assert raw["layer"]["implied"] is True


def test_h4_the_time_of_a_directory_is_the_last_explicit_one() -> None:
    raw = fact_of([[d("d", mtime=7)], [f("d/x", mtime=99)], [wh("d/x")]], "/d")
    assert raw["stat"]["st_mtime"] == 7


@pytest.mark.parametrize(
    ("profile", "mode"), [("oci", 0o40711), ("overlay", 0o40755), ("sequential", 0o40711)]
)
def test_h5_an_entry_for_the_root(profile: str, mode: int) -> None:
    raw = fact_of([[d("./", mode=0o711, uid=6), f("a")]], "/", profile)
    assert raw["stat"]["st_mode"] == mode
    assert raw["stat"]["st_uid"] == (6 if mode == 0o40711 else 0)


def test_h5_a_root_without_an_entry_is_plain() -> None:
    raw = fact_of([[f("a")]], "/")
    assert (raw["stat"]["st_mode"], raw["stat"]["st_uid"]) == (0o40755, 0)


def test_h6_overlay_ignores_a_root_that_is_no_directory() -> None:
    with opened([[entry("./", "2", linkname="/etc"), f("a", "1")]], "overlay") as image:
        assert shown(image.fs()) == ["a=1"]


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
@pytest.mark.parametrize("mtime_ns", [-5_000_000_000, 1 << 63, 10**20])
def test_h7_times_that_no_runtime_keeps_are_zero_and_raw_in_the_tar(
    profile: str, mtime_ns: int
) -> None:
    raw = fact_of([[f("a", mtime_ns=mtime_ns)]], "/a", profile)
    assert raw["stat"]["st_mtime_ns"] == 0
    assert raw["details"]["modified"] == 0
    assert raw["tar"]["mtime_ns"] == mtime_ns


@pytest.mark.parametrize("mtime_ns", [0, 1_500_000_001, (1 << 63) - 1])
def test_h7_times_keep_their_nanoseconds(mtime_ns: int) -> None:
    assert fact_of([[f("a", mtime_ns=mtime_ns)]], "/a")["stat"]["st_mtime_ns"] == mtime_ns


@pytest.mark.parametrize("number", [0, 2**21 - 1, 2**21, 4_000_000_000, 2**32 - 2])
def test_h8_owners_of_any_size(number: int) -> None:
    got = fact_of([[f("a", uid=number, gid=number)]], "/a")["stat"]
    assert (got["st_uid"], got["st_gid"]) == (number, number)


@pytest.mark.parametrize("mode", [0, 0o7777, 0o4755, 0o2755, 0o1644])
def test_h9_all_twelve_bits_of_the_mode(mode: int) -> None:
    assert fact_of([[f("a", mode=mode)]], "/a")["stat"]["st_mode"] == 0o100000 | mode


def test_h9_bits_of_the_type_in_the_mode_field_do_not_count() -> None:
    assert fact_of([[f("a", mode=0o060644)]], "/a")["stat"]["st_mode"] == 0o100644


def test_h9_the_mode_of_a_symlink_is_0777() -> None:
    assert fact_of([[ln("l", "t", mode=0o600)]], "/l")["stat"]["st_mode"] == 0o120777


def test_i3_overlay_xattrs_are_shown_as_plain_ones() -> None:
    raw = fact_of([[d("d", xattrs={"trusted.overlay.opaque": b"y"})]], "/d")
    assert raw["xattr"] == {"trusted.overlay.opaque": b"y"}
    assert raw["layer"]["opaque"] is False


@pytest.mark.parametrize("path", ["/c", "/b", "/p"])
def test_i1_devices_and_fifos_have_no_bytes_to_read(path: str) -> None:
    layers = [[char_device("c", 1, 3), block_device("b", 8, 1), fifo("p")]]
    with opened(layers, "oci") as image:
        view = image.fs()
        assert view.getsize(path) == 0
        with pytest.raises(NotARegularFileError):
            view.readbytes(path)
        with pytest.raises(NotARegularFileError):
            view.openbin(path)
