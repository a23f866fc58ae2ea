"""UnionFS as its contract has it: namespaces, links, identity, layers, closing, errors."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import pickle
import random
import stat
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import unionlayers
from unionlayers import Image, ImagePath, Limits, Profile, UnionFS, open_image
from unionlayers._views._pyfilesystem import fs
from unionlayers.testing import (
    Damage,
    ImageDescription,
    block_device,
    char_device,
    directory,
    docker_archive,
    fifo,
    file,
    hardlink,
    oci_archive,
    opaque,
    symlink,
    whiteout,
)

FS = fs.base.FS
ResourceType = fs.ResourceType

NAMESPACES = ("basic", "details", "access", "link", "stat", "xattr", "capability", "layer", "tar")
NET_RAW = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)

BASE = [
    directory("etc", mode=0o750, uid=1, gid=2, mtime=5),
    file("etc/passwd", "root:x:0:0::/:/bin/sh\nweb:x:33:44::/:/bin/sh\nagain:x:33:0::/:\n"),
    file("etc/group", "root:x:0:\nwww:x:44:web\n"),
    file(
        "etc/conf", "text", mode=0o4755, uid=33, gid=44, mtime_ns=1_500_000_000_250_000_001,
        xattrs={"user.note": b"\x00\xff", "security.capability": NET_RAW},
    ),
    file("etc/orphan", "", uid=99, gid=98),
    directory("dev"),
    char_device("dev/null", 1, 3, mode=0o666),
    block_device("dev/disk", 259, 300),
    fifo("dev/pipe"),
    symlink("link", "etc/conf"),
    symlink("dirlink", "/etc"),
    symlink("dangling", "no/where"),
    symlink("circle", "circle2"),
    symlink("circle2", "circle"),
    symlink("up", "../../../etc"),
    hardlink("etc/conf2", "etc/conf", mode=0o4755, uid=33, gid=44,
             mtime_ns=1_500_000_000_250_000_001,
             xattrs={"user.note": b"\x00\xff", "security.capability": NET_RAW}),
]  # fmt: skip
TOP = [
    opaque("var"),
    file("implied/deep/file", "deep"),
    whiteout("etc/orphan"),
]
LAYERS = [BASE, [directory("var"), file("var/old", "old")], TOP]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "image.tar"
    path.write_bytes(docker_archive(ImageDescription(LAYERS, tags=["app:1"])))
    return path


@pytest.fixture
def image(archive: Path) -> Iterator[Image]:
    with open_image(archive) as opened:
        yield opened


@pytest.fixture
def view(image: Image) -> UnionFS:
    return image.fs()


def layered(*layers: Any, **options: Any) -> Image:
    return open_image(io.BytesIO(docker_archive(ImageDescription(layers))), **options)


# -- namespaces ------------------------------------------------------------------------------------


def test_it_is_a_pyfilesystem(view: UnionFS) -> None:
    assert isinstance(view, FS)
    meta = view.getmeta()
    assert meta["read_only"] is True
    assert meta["case_insensitive"] is False
    assert meta["invalid_path_chars"] == "\0"


def test_basic_is_there_unasked_and_nothing_else(view: UnionFS) -> None:
    assert view.getinfo("/etc/conf").raw == {"basic": {"name": "conf", "is_dir": False}}
    assert view.getinfo("/").raw == {"basic": {"name": "", "is_dir": True}}


def test_namespaces_that_nobody_knows_are_left_out(view: UnionFS) -> None:
    assert set(view.getinfo("/etc/conf", ["details", "lstat", "zip"]).raw) == {"basic", "details"}


@pytest.mark.parametrize(
    ("path", "kind", "size"),
    [
        ("/etc", ResourceType.directory, 0),
        ("/etc/conf", ResourceType.file, 4),
        ("/link", ResourceType.symlink, len("etc/conf")),
        ("/dev/null", ResourceType.character, 0),
        ("/dev/disk", ResourceType.block_special_file, 0),
        ("/dev/pipe", ResourceType.fifo, 0),
        ("/implied", ResourceType.directory, 0),
    ],
)
def test_details_have_type_and_size(
    view: UnionFS, path: str, kind: ResourceType, size: int
) -> None:
    info = view.getinfo(path, ["details"])
    assert (info.type, info.size) == (kind, size)
    assert isinstance(info.raw["details"]["type"], int)
    assert view.gettype(path) == kind


def test_modified_is_seconds_since_the_epoch(view: UnionFS) -> None:
    modified = view.getinfo("/etc/conf", ["details"]).raw["details"]["modified"]
    assert isinstance(modified, float)
    assert modified == pytest.approx(1_500_000_000.25)
    assert view.getinfo("/implied", ["details"]).raw["details"]["modified"] == 0


def test_times_of_access_and_change_are_there_where_the_tar_has_them() -> None:
    from attrs import evolve

    times = evolve(file("a", "", mtime=3), atime=5, ctime=7)
    with layered([times, file("b")]) as image:
        full = image.fs().getinfo("/a", ["details"]).raw["details"]
        bare = image.fs().getinfo("/b", ["details"]).raw["details"]
    assert (full["accessed"], full["metadata_changed"]) == (5.0, 7.0)
    assert set(bare) == {"type", "size", "modified"}


def test_access_has_permissions_and_owners_by_number_and_name(view: UnionFS) -> None:
    info = view.getinfo("/etc/conf", ["access"])
    assert info.permissions.mode == 0o4755
    raw = info.raw["access"]
    assert set(raw) == {"permissions", "uid", "gid", "user", "group"}
    assert (raw["uid"], raw["gid"], raw["user"], raw["group"]) == (33, 44, "web", "www")
    assert all(isinstance(name, str) for name in raw["permissions"])


def test_owners_without_a_line_have_no_name(image: Image) -> None:
    raw = image.layers[0].fs().getinfo("/etc/orphan", ["access"]).raw["access"]
    assert (raw["user"], raw["group"]) == (None, None)


def test_names_of_owners_are_those_of_the_view_and_never_of_the_host_or_the_tar() -> None:
    from attrs import evolve

    named = evolve(file("a", uid=0, gid=0), uname=b"tarname", gname=b"targroup")
    with layered([named], [file("etc/passwd", "boss:x:0:0::/:\n")]) as image:
        raw = image.fs().getinfo("/a", ["access"]).raw["access"]
        alone = image.layers[0].fs().getinfo("/a", ["access"]).raw["access"]
    assert (raw["user"], raw["group"]) == ("boss", None)
    assert (alone["user"], alone["group"]) == (None, None)


def test_a_passwd_that_is_too_large_gives_no_names() -> None:
    huge = b"root:x:0:0::/:\n" + b"#" * (5 << 20)
    with layered([file("etc/passwd", huge), file("a")]) as image:
        assert image.fs().getinfo("/a", ["access"]).raw["access"]["user"] is None


def test_a_passwd_that_is_odd_harms_nothing() -> None:
    odd = b"\xff:x:0\n::\n\nx:y:z\nn:x:99999999999999999999:\nlast:x:7:7"
    with layered([file("etc/passwd", odd), file("a", uid=7), symlink("etc/group", "group")]) as im:
        raw = im.fs().getinfo("/a", ["access"]).raw["access"]
    assert (raw["user"], raw["group"]) == ("last", None)


@pytest.mark.parametrize(
    ("path", "target"),
    [("/link", "etc/conf"), ("/up", "../../../etc"), ("/dangling", "no/where"), ("/etc", None),
     ("/etc/conf", None), ("/etc/conf2", None)],
)  # fmt: skip
def test_link_has_the_text_as_stored(view: UnionFS, path: str, target: str | None) -> None:
    info = view.getinfo(path, ["link"])
    assert info.raw["link"] == {"target": target}
    assert info.is_link is (target is not None)


def test_stat_has_what_os_stat_has(view: UnionFS) -> None:
    raw = view.getinfo("/etc/conf", ["stat"]).raw["stat"]
    assert set(raw) == {
        "st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size", "st_mtime", "st_mtime_ns",
        "st_rdev",
    }  # fmt: skip
    assert raw["st_mode"] == stat.S_IFREG | 0o4755
    assert raw["st_mtime_ns"] == 1_500_000_000_250_000_001
    assert (raw["st_uid"], raw["st_gid"], raw["st_size"], raw["st_rdev"]) == (33, 44, 4, 0)
    assert all(isinstance(value, int) for name, value in raw.items() if name != "st_mtime")
    assert isinstance(raw["st_mtime"], float)


def test_device_numbers_are_packed_as_linux_packs_them(view: UnionFS) -> None:
    for path, major, minor in (("/dev/null", 1, 3), ("/dev/disk", 259, 300)):
        found = view.stat(path).st_rdev
        assert (os.major(found), os.minor(found)) == (major, minor)


def test_xattr_are_bytes(view: UnionFS) -> None:
    raw = view.getinfo("/etc/conf", ["xattr"]).raw["xattr"]
    assert raw == {"user.note": b"\x00\xff", "security.capability": NET_RAW}
    assert view.getinfo("/etc", ["xattr"]).raw["xattr"] == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (NET_RAW, "cap_net_raw=ep"),
        (struct.pack("<5I", 0x02000000, 1 << 13, 0, 0, 0), "cap_net_raw=p"),
        (struct.pack("<5I", 0x02000001, 1 << 10 | 1 << 12, 0, 0, 0),
         "cap_net_bind_service,cap_net_admin=ep"),
        (struct.pack("<5I", 0x02000001, 0, 0, 1 << 7, 0), "cap_bpf=ep"),
        (struct.pack("<6I", 0x03000001, 1 << 13, 0, 0, 0, 1000), "cap_net_raw=ep"),
        (struct.pack("<3I", 0x01000001, 1 << 13, 0), "cap_net_raw=ep"),
    ],
)  # fmt: skip
def test_capabilities_are_spelled_as_getcap_spells_them(value: bytes, text: str) -> None:
    with layered([file("a", xattrs={"security.capability": value})]) as image:
        found = image.fs().getinfo("/a", ["capability"]).raw["capability"]["text"]
    # getcap adds the user namespace's root to version 3.
    assert found.split(" ")[0] == text


@pytest.mark.parametrize("value", [b"", b"\x01", b"\xff" * 20, NET_RAW[:-1]])
def test_capabilities_that_are_none_have_no_text(value: bytes) -> None:
    with layered([file("a", xattrs={"security.capability": value})]) as image:
        raw = image.fs().getinfo("/a", ["capability", "xattr"]).raw
    assert raw["capability"]["text"] is None
    assert raw["xattr"]["security.capability"] == value


def test_a_file_without_capabilities_has_none(view: UnionFS) -> None:
    assert view.getinfo("/etc", ["capability"]).raw["capability"] == {"text": None}


def test_layer_says_who_supplies_a_path(image: Image, view: UnionFS) -> None:
    raw = view.getinfo("/etc/conf", ["layer"]).raw["layer"]
    first = image.layers[0]
    assert raw == {
        "index": 0,
        "digest": first.digest,
        "diff_id": first.diff_id,
        "created_by": first.created_by,
        "implied": False,
        "opaque": False,
    }
    assert first.diff_id is not None
    assert first.diff_id.startswith("sha256:")
    deep = view.getinfo("/implied/deep", ["layer"]).raw["layer"]
    assert (deep["index"], deep["implied"]) == (2, True)


def test_a_directory_emptied_by_an_upper_layer_is_opaque_there() -> None:
    with layered([directory("d"), file("d/old")], [directory("d"), opaque("d")]) as image:
        raw = image.fs().getinfo("/d", ["layer"]).raw["layer"]
    assert (raw["index"], raw["opaque"]) == (1, True)


def test_tar_has_the_header_as_it_was_written(image: Image, view: UnionFS) -> None:
    raw = view.getinfo("/etc/conf", ["tar"]).raw["tar"]
    assert raw["name"] == "etc/conf"
    assert raw["raw_name"] == b"etc/conf"
    assert (raw["mode"], raw["uid"], raw["gid"], raw["size"]) == (0o4755, 33, 44, 4)
    assert raw["mtime_ns"] == 1_500_000_000_250_000_001
    assert raw["pax_headers"]["SCHILY.xattr.user.note"] == b"\x00\xff"
    assert image.layers[0].content().pread(raw["offset_data"], 4) == b"text"
    for name in (
        "type", "linkname", "uname", "gname", "devmajor", "devminor", "is_file", "is_dir",
        "is_symlink", "is_link", "is_device", "is_fifo", "is_sparse",
    ):  # fmt: skip
        assert name in raw


def test_tar_of_an_implied_directory_is_empty(view: UnionFS) -> None:
    assert view.getinfo("/implied", ["tar"]).raw["tar"] == {}


def test_tar_of_a_hard_link_is_the_header_of_its_own_name(view: UnionFS) -> None:
    raw = view.getinfo("/etc/conf2", ["tar"]).raw["tar"]
    assert (raw["name"], raw["linkname"], raw["is_link"]) == ("etc/conf2", "etc/conf", True)


def test_all_but_xattr_and_tar_goes_into_json(view: UnionFS) -> None:
    names = [name for name in NAMESPACES if name not in ("xattr", "tar")]
    for _, info in view.find(None, types=("file", "directory", "symlink", "device", "fifo"),
                             namespaces=names):  # fmt: skip
        assert set(names) <= set(info.raw)
        assert json.loads(json.dumps(info.raw)) == info.raw


# -- links -----------------------------------------------------------------------------------------


def test_what_describes_a_path_does_not_follow_it(view: UnionFS) -> None:
    for path in ("/link", "/dirlink", "/dangling", "/circle"):
        assert view.gettype(path) == ResourceType.symlink
        assert not view.getinfo(path).is_dir
        assert view.getdetails(path).type == ResourceType.symlink


def test_islink_tells_symbolic_links(view: UnionFS) -> None:
    for path in ("/link", "/dirlink", "/dangling", "/circle", "/dirlink/../link"):
        assert view.islink(path)
    assert not view.islink("/etc/conf")


def test_what_opens_or_measures_a_path_follows_it(view: UnionFS) -> None:
    assert view.readbytes("/link") == b"text"
    assert view.readtext("/link") == "text"
    with view.openbin("/link") as opened, view.open("/link") as text:
        assert (opened.read(), text.read()) == (b"text", "text")
    assert view.getsize("/link") == 4
    assert view.isfile("/link")
    assert not view.isdir("/link")
    assert view.isdir("/dirlink")
    assert not view.isfile("/dirlink")
    assert view.exists("/link")


@pytest.mark.parametrize("path", ["/dangling", "/circle", "/dangling/x", "/etc/conf/x"])
def test_a_link_that_leads_nowhere_is_not_there_and_can_be_described(
    view: UnionFS, path: str
) -> None:
    assert not view.exists(path)
    assert not view.isfile(path)
    assert not view.isdir(path)


def test_links_on_the_way_are_always_followed(view: UnionFS) -> None:
    assert view.getinfo("/dirlink/conf", ["stat"]).raw["stat"]["st_size"] == 4
    assert view.readbytes("/up/conf") == b"text"


def test_a_link_to_a_directory_is_scanned_and_its_entries_are_not_followed(view: UnionFS) -> None:
    assert view.listdir("/dirlink") == view.listdir("/etc")
    assert [info.name for info in view.scandir("/dirlink")] == view.listdir("/etc")
    entries = {info.name: info for info in view.scandir("/", ["details", "link"])}
    assert entries["dirlink"].is_dir is False
    assert entries["dirlink"].type == ResourceType.symlink
    assert entries["dirlink"].target == "/etc"


def test_opendir_follows_a_link_to_a_directory(view: UnionFS) -> None:
    assert view.opendir("/dirlink").readtext("conf") == "text"


def test_opendir_gives_a_part_of_the_view(view: UnionFS) -> None:
    part = view.opendir("/etc")
    assert part.readtext("conf") == "text"
    with pytest.raises(fs.errors.DirectoryExpected):
        view.opendir("/etc/conf")


def test_walks_end_although_links_lead_in_circles() -> None:
    with layered(
        [directory("d"), symlink("d/self", "."), symlink("d/up", ".."), file("d/f")]
    ) as im:
        view = im.fs()
        assert sorted(view.walk.files("/")) == ["/d/f", "/d/self", "/d/up"]
        assert [match.path for match in view.glob("**/f")] == ["/d/f"]


def test_realpath_has_the_path_and_the_links_in_order() -> None:
    with layered(
        [directory("a"), symlink("a/one", "../b/two"), directory("b"), symlink("b/two", "/c"),
         directory("c"), file("c/f", "x")]
    ) as image:  # fmt: skip
        found = image.fs().realpath("/a/one/f")
        assert found.path == "/c/f"
        assert [link.path for link in found.links] == ["/a/one", "/b/two"]
        assert image.fs().realpath("/c/f").links == ()


def test_links_are_taken_physically_and_paths_lexically() -> None:
    with layered(
        [directory("x/y"), file("x/m", "inner"), file("m", "outer"), symlink("s", "x/y"),
         symlink("through", "s/../m")]
    ) as image:  # fmt: skip
        assert image.fs().readtext("/through") == "inner"
        assert image.fs().readtext("/s/../m") == "outer"
        assert image.path("/s/../m").read_text() == "inner"


def test_forty_links_are_followed_and_one_more_is_a_loop() -> None:
    chain = [symlink(f"l{n}", f"l{n + 1}") for n in range(41)]
    with layered([*chain, file("l41", "end")]) as image:
        assert image.fs().readtext("/l1") == "end"
        with pytest.raises(fs.errors.ResourceInvalid) as caught:
            image.fs().readtext("/l0")
        looped: Any = caught.value
        assert looped.errno == errno.ELOOP
    with layered([*chain, file("l41", "end")], limits=Limits(links=41)) as image:
        assert image.fs().readtext("/l0") == "end"


def test_stat_follows_unless_told_otherwise(view: UnionFS) -> None:
    assert stat.S_ISREG(view.stat("/link").st_mode)
    assert view.stat("/link") == view.stat("/etc/conf")
    assert stat.S_ISLNK(view.stat("/link", follow=False).st_mode)
    assert stat.S_ISLNK(view.stat("/dangling", follow=False).st_mode)
    with pytest.raises(fs.errors.ResourceNotFound):
        view.stat("/dangling")


# -- order and identity ----------------------------------------------------------------------------


def test_names_come_in_the_order_of_their_bytes() -> None:
    names = [b"b", b"B", b"a.b", b"a", b"a-b", b"\xff", b"\xc3\xa9", b"\xf0\x9f\x90\x8b",
             b"\xef\xbf\xbd", b"a\xe9", b"~"]  # fmt: skip
    shuffled = names[:]
    random.Random(1).shuffle(shuffled)
    with layered([file(b"d/" + name) for name in shuffled]) as image:
        view = image.fs()
        found = view.listdir("/d")
        assert [os.fsencode(name) for name in found] == sorted(names)
        assert [info.name for info in view.scandir("/d")] == found
        assert [path.name for path in image.path("/d").iterdir()] == found


def test_names_of_several_layers_come_in_one_order() -> None:
    with layered([file("d/b"), file("d/z")], [file("d/c"), file("d/a")]) as image:
        assert image.fs().listdir("/d") == ["a", "b", "c", "z"]


def test_pages_of_scandir_are_slices_of_it(view: UnionFS) -> None:
    names = view.listdir("/")
    assert [info.name for info in view.scandir("/", page=(1, 3))] == names[1:3]
    assert [info.name for info in view.scandir("/", page=(100, 200))] == []


def test_inode_numbers_are_equal_exactly_for_names_of_one_inode(view: UnionFS) -> None:
    found: dict[int, list[str]] = {}
    for path, info in view.find(None, types=("file", "directory", "symlink", "device", "fifo"),
                                namespaces=("stat",)):  # fmt: skip
        found.setdefault(info.raw["stat"]["st_ino"], []).append(path)
    assert 0 not in found
    assert [paths for paths in found.values() if len(paths) > 1] == [["/etc/conf", "/etc/conf2"]]
    assert view.stat("/").st_ino not in found


def test_inode_numbers_are_the_same_when_the_image_is_opened_again(archive: Path) -> None:
    def numbers() -> dict[str, int]:
        with UnionFS(archive) as view:
            return {path: view.stat(path, follow=False).st_ino for path, _ in view.find(None)}

    assert numbers() == numbers()


def test_links_are_counted_by_the_names_that_a_view_shows() -> None:
    layers = [
        [file("a", "1"), hardlink("b", "a"), hardlink("c", "a")],
        [whiteout("b")],
        [file("c", "new")],
    ]
    with layered(*layers) as image:
        assert image.fs([0]).stat("/a").st_nlink == 3
        assert image.fs([0, 1]).stat("/a").st_nlink == 2
        assert image.fs([0, 2]).stat("/b").st_nlink == 2
        assert image.fs().stat("/a").st_nlink == 1
        assert image.fs().stat("/c").st_nlink == 1
        assert image.fs([0, 1]).stat("/a").st_ino == image.fs([0, 1]).stat("/c").st_ino


def test_a_hard_link_across_layers_is_one_inode_and_metadata_reaches_both_names() -> None:
    with layered([file("a", "1", mode=0o600)], [hardlink("b", "a", mode=0o4711)]) as image:
        view = image.fs()
        assert view.stat("/a") == view.stat("/b")
        assert view.stat("/a").st_mode == stat.S_IFREG | 0o4711
        assert view.stat("/a").st_nlink == 2
        assert image.fs([0]).stat("/a").st_mode == stat.S_IFREG | 0o600


# -- layers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, [0, 1, 2, 3]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, -1), [0, 1, 2, 3]),
        (slice(None, None, 2), [0, 2]),
        (slice(9, 12), []),
        ([2, 0], [0, 2]),
        ([-1], [3]),
        ((), []),
        (range(2), [0, 1]),
        (lambda layer: layer.index % 2 == 1, [1, 3]),
    ],
)
def test_layers_are_chosen_by_slice_index_or_predicate_in_the_order_of_the_stack(
    choice: Any, expected: list[int]
) -> None:
    layers = [[file(f"only-{n}"), file("all", str(n))] for n in range(4)]
    with layered(*layers) as image:
        view = image.fs(choice)
        assert [name for name in view.listdir("/") if name != "all"] == [
            f"only-{n}" for n in expected
        ]
        if expected:
            assert view.readtext("/all") == str(expected[-1])
            raw = view.getinfo("/all", ["layer"]).raw["layer"]
            assert raw["index"] == expected[-1]


@pytest.mark.parametrize("choice", [[4], [-5], [0, 99]])
def test_a_layer_out_of_range_is_an_index_error(choice: list[int]) -> None:
    with (
        layered(*[[file(f"f{n}")] for n in range(4)]) as image,
        pytest.raises(IndexError, match=f"no layer {choice[-1]}: the image has 4 layers"),
    ):
        image.fs(choice)


@pytest.mark.parametrize("choice", [[1, 1], [0, -4]])
def test_a_layer_that_is_chosen_twice_is_refused(choice: list[int]) -> None:
    with (
        layered(*[[file(f"f{n}")] for n in range(4)]) as image,
        pytest.raises(ValueError, match="t"),
    ):
        image.fs(choice)


def test_an_empty_stack_is_an_empty_root(image: Image) -> None:
    view = image.fs([])
    assert view.listdir("/") == []
    assert view.isdir("/")
    assert view.getinfo("/", NAMESPACES).is_dir
    assert view.findings == ()


def test_marks_are_never_names_in_a_tree(image: Image) -> None:
    for layer in image.layers:
        for path, _ in layer.fs().find(None, types=("file", "directory", "symlink")):
            assert ".wh." not in path
    assert {(mark.path, mark.kind) for mark in image.layers[2].marks} == {
        ("/var", "opaque"),
        ("/etc/orphan", "whiteout"),
    }


def test_one_layer_is_shown_as_it_would_be_alone(image: Image) -> None:
    assert image.layers[2].fs().listdir("/") == ["etc", "implied", "var"]
    assert image.layers[2].fs().listdir("/etc") == []


def test_a_profile_can_be_given_for_one_view() -> None:
    with layered([file("a", "1")], [opaque(""), file("b", "2")]) as image:
        assert image.fs().listdir("/") == ["b"]
        assert image.fs(profile="overlay").listdir("/") == ["a", "b"]
        assert image.fs(profile=Profile(root_opaque="ignore")).listdir("/") == ["a", "b"]
        with pytest.raises(ValueError, match="profile"):
            image.fs(profile="nobody")


def test_findings_do_not_depend_on_what_was_asked_before() -> None:
    layers = [[file("d/old")], [whiteout("d"), directory("d")], [file("x"), file("x")]]
    with layered(*layers) as cold, layered(*layers) as warm:
        first = cold.fs().findings
        view = warm.fs()
        list(view.find(None))
        assert view.findings == first == warm.findings
    assert [finding.code for finding in first][:1] == ["WHITEOUT_THEN_DIR"]
    for finding in first:
        assert isinstance(finding.code, str)
        assert isinstance(finding.layer, int)
        assert isinstance(finding.message, str)
    assert pickle.loads(pickle.dumps(first)) == first


def test_findings_of_a_view_are_those_of_its_layers() -> None:
    with layered([file("d/old")], [whiteout("d"), directory("d")], [file("x")]) as image:
        assert image.fs([0, 2]).findings == ()
        assert image.fs([0, 1]).findings != ()


# -- closing and pickling --------------------------------------------------------------------------


def test_closing_a_view_leaves_the_image_and_other_views_open(image: Image) -> None:
    one, two = image.fs(), image.fs()
    one.close()
    one.close()
    assert one.isclosed()
    assert two.readtext("/etc/conf") == "text"
    with pytest.raises(fs.errors.FilesystemClosed):
        one.listdir("/")


def test_closing_a_view_made_from_a_path_closes_its_image(archive: Path) -> None:
    view = UnionFS(archive)
    opened = view.openbin("/etc/conf")
    view.close()
    assert view.image.closed
    with pytest.raises(ValueError, match="closed"):
        opened.read()
    opened.close()


def test_closing_the_image_closes_its_views(image: Image) -> None:
    view = image.fs()
    opened = view.openbin("/etc/conf")
    image.close()
    image.close()
    asks: list[Callable[[], Any]] = [
        lambda: view.listdir("/"),
        lambda: view.exists("/etc"),
        lambda: view.getinfo("/etc"),
        lambda: view.readbytes("/etc/conf"),
        lambda: view.stat("/etc"),
        lambda: view.realpath("/etc"),
        lambda: list(view.scandir("/")),
    ]
    for ask in asks:
        with pytest.raises(fs.errors.FilesystemClosed) as caught:
            ask()
        assert isinstance(caught.value, unionlayers.ClosedError)
    with pytest.raises(unionlayers.ClosedError):
        opened.read()
    with pytest.raises(unionlayers.ClosedError):
        image.fs()
    opened.close()


def test_a_view_keeps_its_image_alive(archive: Path) -> None:
    import gc

    view = open_image(archive).fs()
    gc.collect()
    assert view.readtext("/etc/conf") == "text"
    view.image.close()


def test_the_file_object_of_the_caller_is_never_closed() -> None:
    source = io.BytesIO(docker_archive(ImageDescription(LAYERS)))
    with open_image(source) as image:
        image.fs().listdir("/")
    with UnionFS(source) as view:
        view.listdir("/")
    assert not source.closed
    with pytest.raises(unionlayers.UnionLayersError):
        open_image(io.BytesIO(b""))


def test_image_layer_view_and_path_pickle_if_the_source_is_a_path(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(archive.parent)
    with open_image(archive.name) as image:
        view = image.fs([0, 2], profile="overlay")
        path = image.path("/etc/conf")
        pickled = pickle.dumps((image, view, path))
    monkeypatch.chdir("/")
    image2, view2, path2 = pickle.loads(pickled)
    with contextlib.closing(image2), contextlib.closing(view2.image):
        assert isinstance(image2, Image)
        assert isinstance(view2, UnionFS)
        assert isinstance(path2, ImagePath)
        assert view2.listdir("/") == ["circle", "circle2", "dangling", "dev", "dirlink", "etc",
                                      "implied", "link", "up", "var"]  # fmt: skip
        assert view2.readtext("/etc/conf") == path2.read_text() == "text"
        assert image2.fs().readtext("/implied/deep/file") == "deep"


def test_a_layer_pickles_if_the_source_is_a_path(image: Image) -> None:
    layer = pickle.loads(pickle.dumps(image.layers[2]))
    assert layer.index == 2
    assert layer.diff_id == image.layers[2].diff_id
    assert layer.fs().exists("/implied/deep/file")


@pytest.mark.parametrize("what", ["image", "layer", "view", "path"])
def test_what_was_opened_from_a_file_object_does_not_pickle(what: str) -> None:
    with layered([file("a")]) as image:
        made = {
            "image": image,
            "layer": image.layers[0],
            "view": image.fs(),
            "path": image.path("/a"),
        }
        with pytest.raises(TypeError, match=r"path|pickle"):
            pickle.dumps(made[what])


# -- errors ----------------------------------------------------------------------------------------

ERRORS: list[tuple[str, Callable[[UnionFS], Any], Any, Any, Any]] = [
    ("no such path", lambda v: v.openbin("/none"), fs.errors.ResourceNotFound,
     unionlayers.PathNotFoundError, FileNotFoundError),
    ("a dangling link", lambda v: v.readbytes("/dangling"), fs.errors.ResourceNotFound,
     unionlayers.PathNotFoundError, FileNotFoundError),
    ("nothing to describe", lambda v: v.getinfo("/none"), fs.errors.ResourceNotFound,
     unionlayers.PathNotFoundError, FileNotFoundError),
    ("nothing to list", lambda v: v.listdir("/none"), fs.errors.ResourceNotFound,
     unionlayers.PathNotFoundError, FileNotFoundError),
    ("a directory to read", lambda v: v.openbin("/etc"), fs.errors.FileExpected,
     unionlayers.PathIsADirectoryError, IsADirectoryError),
    ("a device to read", lambda v: v.openbin("/dev/null"), fs.errors.FileExpected,
     unionlayers.NotARegularFileError, OSError),
    ("a file to list", lambda v: v.listdir("/etc/conf"), fs.errors.DirectoryExpected,
     unionlayers.PathNotADirectoryError, NotADirectoryError),
    ("a file to scan", lambda v: list(v.scandir("/etc/conf")), fs.errors.DirectoryExpected,
     unionlayers.PathNotADirectoryError, NotADirectoryError),
    ("links in a circle", lambda v: v.readbytes("/circle"), fs.errors.ResourceInvalid,
     unionlayers.LinkLoopError, OSError),
    ("a file opened for writing", lambda v: v.openbin("/etc/conf", "w"),
     fs.errors.ResourceReadOnly, unionlayers.ReadOnlyError, OSError),
]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "theirs", "ours", "builtin"),
    [case[1:] for case in ERRORS],
    ids=[case[0] for case in ERRORS],
)
def test_errors_are_those_of_pyfilesystem_ours_and_the_builtin_and_pickle(
    view: UnionFS, ask: Any, theirs: Any, ours: Any, builtin: Any
) -> None:
    with pytest.raises(theirs) as caught:
        ask(view)
    error: Any = caught.value
    for kind in (ours, builtin, unionlayers.UnionLayersError):
        assert isinstance(error, kind)
    assert error.path
    assert error.errno == ours.errno_default
    assert error.__cause__ is not error
    again: Any = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.path, again.errno) == (str(error), error.path, error.errno)


@pytest.mark.parametrize("path", ["/etc/conf/x", "/etc/conf/x/y", "/link/x"])
def test_a_component_that_is_a_file_is_a_path_that_is_not_there(view: UnionFS, path: str) -> None:
    for ask in (view.getinfo, view.listdir, view.openbin, view.readbytes, view.stat, view.scandir):
        with pytest.raises(fs.errors.ResourceNotFound) as caught:
            ask(path)
        refused: Any = caught.value
        assert unionlayers.PathNotADirectoryError in type(refused).__mro__
        assert (refused.path, refused.errno) == (path, errno.ENOTDIR)
        assert type(pickle.loads(pickle.dumps(refused))) is type(refused)
    assert not view.exists(path)


@pytest.mark.parametrize("path", ["/a\0b", "\0", "/etc/\0"])
def test_a_path_with_nul_is_no_path(view: UnionFS, path: str) -> None:
    for ask in (view.getinfo, view.listdir, view.openbin, view.stat):
        with pytest.raises(fs.errors.InvalidCharsInPath):
            ask(path)


def test_the_error_of_a_path_with_nul_is_ours_too(view: UnionFS) -> None:
    with pytest.raises(unionlayers.UnionLayersError):
        view.getinfo("/a\0b")


def test_a_path_that_climbs_out_is_refused_by_pyfilesystem(view: UnionFS) -> None:
    for ask in (view.getinfo, view.listdir, view.openbin, view.stat, view.exists):
        with pytest.raises(fs.errors.IllegalBackReference) as caught:
            ask("/../etc")
        assert unionlayers.InvalidPathError in type(caught.value).__mro__
        again: Any = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), again.path) == (type(caught.value), "/../etc")


def test_paths_are_normalised(view: UnionFS) -> None:
    for path in ("etc/conf", "/etc//conf", "/etc/./conf", "/etc/../etc/conf", "etc/conf/"):
        assert view.readtext(path) == "text"


MUTATIONS: dict[str, Callable[[UnionFS], Any]] = {
    "makedir": lambda v: v.makedir("/new"),
    "makedirs": lambda v: v.makedirs("/new/deep"),
    "makedirs of what is there": lambda v: v.makedirs("/etc", recreate=True),
    "remove": lambda v: v.remove("/etc/conf"),
    "removedir": lambda v: v.removedir("/etc"),
    "removetree": lambda v: v.removetree("/etc"),
    "setinfo": lambda v: v.setinfo("/etc/conf", {"details": {"modified": 1}}),
    "settimes": lambda v: v.settimes("/etc/conf"),
    "touch of what is there": lambda v: v.touch("/etc/conf"),
    "touch": lambda v: v.touch("/new"),
    "create": lambda v: v.create("/new"),
    "writebytes": lambda v: v.writebytes("/new", b""),
    "writetext": lambda v: v.writetext("/new", ""),
    "writefile": lambda v: v.writefile("/new", io.BytesIO(b"")),
    "appendbytes": lambda v: v.appendbytes("/etc/conf", b""),
    "appendtext": lambda v: v.appendtext("/etc/conf", ""),
    "upload": lambda v: v.upload("/new", io.BytesIO(b"")),
    "open w": lambda v: v.open("/new", "w"),
    "open a": lambda v: v.open("/etc/conf", "a"),
    "open r+": lambda v: v.open("/etc/conf", "r+"),
    "openbin w": lambda v: v.openbin("/new", "w"),
    "openbin x": lambda v: v.openbin("/new", "x"),
    "openbin r+": lambda v: v.openbin("/etc/conf", "r+"),
    "copy": lambda v: v.copy("/etc/conf", "/new"),
    "copydir": lambda v: v.copydir("/etc", "/new", create=True),
    "move": lambda v: v.move("/etc/conf", "/new"),
    "copy over what is there": lambda v: v.copy("/etc/conf", "/etc/passwd"),
    "copydir without create": lambda v: v.copydir("/etc", "/new"),
    "move over what is there": lambda v: v.move("/etc/conf", "/etc/passwd"),
    "movedir without create": lambda v: v.movedir("/etc", "/new"),
    "glob remove": lambda v: v.glob("**/conf").remove(),
    "makedir of what is there": lambda v: v.makedir("/etc", recreate=True),
    "removetree of all": lambda v: v.removetree("/"),
    "create over what is there": lambda v: v.create("/etc/conf", wipe=True),
    "movedir": lambda v: v.movedir("/etc", "/new", create=True),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_whatever_changes_a_filesystem_is_refused(view: UnionFS, name: str) -> None:
    with pytest.raises(fs.errors.ResourceReadOnly) as caught:
        MUTATIONS[name](view)
    refused: Any = caught.value
    assert isinstance(refused, unionlayers.ReadOnlyError)
    assert refused.errno == errno.EROFS
    assert view.readtext("/etc/conf") == "text"


def test_there_is_no_path_on_the_host_and_no_url(view: UnionFS) -> None:
    assert not view.hassyspath("/etc/conf")
    with pytest.raises(fs.errors.NoSysPath) as caught:
        view.getsyspath("/etc/conf")
    assert unionlayers.PathError in type(caught.value).__mro__
    with pytest.raises(fs.errors.NoURL):
        view.geturl("/etc/conf")


def test_an_unknown_hash_is_unsupported(view: UnionFS) -> None:
    with pytest.raises(fs.errors.UnsupportedHash) as caught:
        view.hash("/etc/conf", "rot13")
    assert isinstance(caught.value, unionlayers.UnsupportedError)
    assert view.hash("/etc/conf", "md5") == "1cb251ec0d568de6a929b520c4aed8d1"


def test_a_damaged_layer_is_an_operation_that_failed_and_ours_and_eio() -> None:
    damage = Damage(replace={"layer:0": b"x" * 2048})
    archive = docker_archive(ImageDescription([[file("a")], [file("b", "2")]]), damage=damage)
    with open_image(io.BytesIO(archive)) as image:
        view = image.fs()
        assert view.readtext("/b") == "2"
        with pytest.raises(fs.errors.OperationFailed) as caught:
            view.readtext("/a")
        error: Any = caught.value
        assert isinstance(error, unionlayers.CorruptError)
        assert (error.errno, error.layer) == (errno.EIO, 0)
        again: Any = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert (str(again), again.layer) == (str(error), 0)
        assert view.readtext("/b") == "2"


# -- reading ---------------------------------------------------------------------------------------


def test_an_open_file_seeks_reads_and_tells_as_any_other() -> None:
    data = random.Random(7).randbytes(300_000)
    archive = oci_archive(ImageDescription([[file("a", data)]]), codec="gzip")
    with open_image(io.BytesIO(archive)) as image, image.fs().openbin("/a") as opened:
        assert opened.readable()
        assert opened.seekable()
        assert not opened.writable()
        opened.seek(-10, os.SEEK_END)
        assert opened.read() == data[-10:]
        opened.seek(150_001)
        assert opened.read(7) == data[150_001:150_008]
        assert opened.tell() == 150_008
        opened.seek(0)
        assert opened.read() == data
        assert opened.read(1) == b""


def test_a_file_is_iterated_over_although_nothing_keeps_it(view: UnionFS) -> None:
    lines = list(view.open("/etc/passwd", "rb"))
    assert len(lines) == 3
    assert list(view.open("/etc/passwd")) == [line.decode() for line in lines]


def test_text_is_opened_as_python_opens_it() -> None:
    content = "naïve\r\nline\n".encode("latin-1")
    with layered([file("a", content)]) as image:
        view = image.fs()
        with view.open("/a", encoding="latin-1") as opened:
            assert isinstance(opened, io.TextIOWrapper)
            assert (opened.mode, opened.name, opened.encoding) == ("r", "/a", "latin-1")
            assert opened.read() == "naïve\r\nline\n"
        with view.open("/a", "rt", encoding="latin-1", newline=None) as opened:
            assert opened.readlines() == ["naïve\n", "line\n"]
        with view.open("/a", errors="replace") as opened:
            assert "\ufffd" in opened.read()
        with view.open("/a") as opened, pytest.raises(UnicodeDecodeError):
            opened.read()
        with view.open("/a", "rb") as opened:
            assert isinstance(opened, io.BufferedReader)
        for mode in ("", "q", "rbt", "b"):
            with pytest.raises(ValueError, match="mode"):
                view.open("/a", mode)


def peak_of(path: Path, ask: Callable[[Image], None]) -> int:
    """Give the most bytes that Python held while an image was opened and asked."""
    with open_image(path, limits=BOMB) as warm:
        ask(warm)
    tracemalloc.start()
    try:
        with open_image(path, limits=BOMB) as image:
            ask(image)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


BOMB = Limits(expansion=1 << 20)
BIG = 96 << 20


def big_archive(path: Path, codec: str) -> Path:
    content = bytes(range(256)) * (BIG // 256)
    described = ImageDescription([[file("big", content), file("last", "end")]])
    path.write_bytes(oci_archive(described, codec=codec))
    return path


def read_through(image: Image) -> None:
    view = image.fs()
    done = 0
    with view.openbin("/big") as opened:
        while data := opened.read(1 << 16):
            done += len(data)
    assert done == BIG
    assert view.readtext("/last") == "end"


@pytest.mark.parametrize("codec", ["identity", "gzip", "zstd"])
def test_indexing_a_big_layer_never_holds_it_whole(codec: str, tmp_path: Path) -> None:
    path = big_archive(tmp_path / "big.tar", codec)
    peak = peak_of(path, lambda image: image.prepare())
    assert peak < 24 << 20, peak


@pytest.mark.parametrize("codec", ["identity", "gzip", "zstd"])
def test_reading_a_big_layer_holds_the_cache_of_pages_and_little_more(
    codec: str, tmp_path: Path
) -> None:
    path = big_archive(tmp_path / "big.tar", codec)
    peak = peak_of(path, read_through)
    # The cache of pages has 64 MiB; an uncompressed layer needs none.
    assert peak < (8 << 20 if codec == "identity" else 80 << 20), peak
