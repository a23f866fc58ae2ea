"""What `LayersFileSystem` answers to fsspec: links, ranges, walks, options, caching, errors."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import unionlayers
from unionlayers import OptionError, Profile, open_image
from unionlayers._layers.directory import Directory
from unionlayers.testing import (
    ImageDescription,
    char_device,
    directory,
    docker_archive,
    fifo,
    file,
    hardlink,
    layer_tars,
    oci_archive,
    oci_layout,
    symlink,
    whiteout,
)

fsspec: Any = pytest.importorskip("fsspec", reason="fsspec is not installed (the extra fsspec)")
HERE = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("UNIONLAYERS_IMAGES") or HERE.parent.parent / "shared" / "images")

LAYERS = [
    [
        directory("etc", mtime=100),
        file("etc/conf", "lower"),
        file("etc/gone", "x"),
        file("data", "0123456789", mode=0o640, uid=5, gid=6, mtime_ns=1_500_000_000),
        symlink("link", "etc/conf"),
        symlink("dirlink", "/etc"),
        symlink("up", "../../data"),
        symlink("dangling", "nowhere"),
        symlink("below", "data/x"),
        symlink("circle", "circle2"),
        symlink("circle2", "circle"),
        symlink("etc/self", "."),
        char_device("null", 1, 3, mode=0o666),
        fifo("pipe"),
    ],
    [
        file("etc/conf", "upper text", mtime=2000),
        whiteout("etc/gone"),
        hardlink("hard", "etc/conf"),
        file("deep/er/file", "deep"),
        file(b"caf\xe9", "latin"),
    ],
]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "image.tar"
    path.write_bytes(docker_archive(ImageDescription(LAYERS), codec="gzip"))
    return path


@pytest.fixture
def fs(archive: Path) -> Iterator[Any]:
    made = fsspec.filesystem("layers", fo=archive)
    yield made
    made.close()


# -- what is there ---------------------------------------------------------------------------------


def test_info_of_a_file_has_the_words_of_the_local_filesystem_and_the_layer(fs: Any) -> None:
    info = fs.info("/data")
    assert info.pop("ino") > 0
    assert info == {
        "name": "/data", "size": 10, "type": "file", "created": 1.5, "islink": False,
        "mode": stat.S_IFREG | 0o640, "uid": 5, "gid": 6, "mtime": 1.5, "nlink": 1, "layer": 0,
    }  # fmt: skip


def test_info_of_a_link_is_that_of_what_it_leads_to_with_its_text_beside(fs: Any) -> None:
    info, target = fs.info("/link"), fs.info("/etc/conf")
    assert info.pop("destination") == "etc/conf"
    assert info == {**target, "name": "/link", "islink": True}
    assert (info["size"], info["type"], info["layer"], info["nlink"]) == (10, "file", 1, 2)
    assert fs.info("/dirlink")["type"] == "directory"
    assert fs.info("/up") == {**fs.info("/data"), "name": "/up", "islink": True,
                              "destination": "../../data"}  # fmt: skip


def test_a_device_and_a_fifo_are_other_and_have_no_bytes(fs: Any) -> None:
    for path in ("/null", "/pipe"):
        assert (fs.info(path)["type"], fs.info(path)["size"]) == ("other", 0)
        assert (fs.exists(path), fs.isfile(path), fs.isdir(path)) == (True, False, False)
        with pytest.raises(OSError, match="no bytes") as caught:
            fs.open(path)
        assert caught.value.errno == errno.ENXIO


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/dangling", errno.ENOENT),
        ("/below", errno.ENOTDIR),
        ("/circle", errno.ELOOP),
        ("/none", errno.ENOENT),
        ("/data/x", errno.ENOTDIR),
    ],
)
def test_what_leads_nowhere_does_not_exist_and_says_why(fs: Any, path: str, code: int) -> None:
    assert (fs.exists(path), fs.isfile(path), fs.isdir(path)) == (False, False, False)
    for ask in (fs.info, fs.open, fs.cat_file, fs.ls, fs.checksum, fs.modified):
        with pytest.raises(OSError, match=r".") as caught:
            ask(path)
        assert (caught.value.errno, caught.value.filename) == (code, path)


def test_a_link_that_dangles_or_loops_is_listed_as_other_of_size_0(fs: Any) -> None:
    listed = {info["name"]: info for info in fs.ls("/")}
    for path, text in {"/dangling": "nowhere", "/below": "data/x", "/circle": "circle2"}.items():
        info = listed[path]
        assert (info["type"], info["size"], info["islink"], info["destination"]) == (
            "other", 0, True, text,
        )  # fmt: skip
        assert stat.S_ISLNK(info["mode"])
        assert (fs.lexists(path), fs.islink(path), fs.exists(path)) == (True, True, False)
    assert not fs.lexists("/none")
    assert not fs.islink("/none")
    assert not fs.islink("/etc")


def test_ls_gives_what_info_gives_in_byte_order(fs: Any) -> None:
    names = fs.ls("/", detail=False)
    assert names == ["/below", "/caf\udce9", "/circle", "/circle2", "/dangling", "/data", "/deep",
                     "/dirlink", "/etc", "/hard", "/link", "/null", "/pipe", "/up"]  # fmt: skip
    listed = fs.ls("/")
    assert [info["name"] for info in listed] == names
    for info in listed:
        if fs.exists(info["name"]):
            assert fs.info(info["name"]) == info
    assert fs.ls("/etc", detail=False) == ["/etc/conf", "/etc/self"]
    assert fs.ls("/dirlink", detail=False) == ["/dirlink/conf", "/dirlink/self"]
    assert fs.ls("/data") == [fs.info("/data")]
    assert fs.ls("/data", detail=False) == ["/data"]


@pytest.mark.parametrize("path", ["data", "/data", "layers://data", "layers:///data"])
def test_a_path_is_named_from_the_root_however_it_is_spelled(fs: Any, path: str) -> None:
    assert fs.info(path)["name"] == "/data"
    assert fs.cat(path) == b"0123456789"
    assert fs.unstrip_protocol("/data") == "layers:///data"


def test_dots_are_taken_after_the_link_before_them(fs: Any) -> None:
    assert fs.cat_file("/etc/../data") == b"0123456789"
    assert fs.cat_file("/deep/er/../../dirlink/conf") == b"upper text"
    assert fs.cat_file("/dirlink/../data") == b"0123456789"
    assert fs.info("/etc/./conf")["name"] == "/etc/./conf"


def test_a_trailing_slash_asks_for_a_directory(fs: Any) -> None:
    assert fs.info("/etc/")["name"] == "/etc"
    assert fs.isdir("/dirlink/")
    assert not fs.islink("/dirlink/")
    assert not fs.exists("/data/")
    for ask in (fs.info, fs.ls, fs.open, fs.cat_file, fs.checksum):
        with pytest.raises(NotADirectoryError):
            ask("/data/")


def test_a_path_with_a_nul_is_a_value_error_and_does_not_exist(fs: Any) -> None:
    assert not fs.exists("/a\0b")
    with pytest.raises(ValueError, match="NUL"):
        fs.info("/a\0b")


def test_names_that_are_not_utf_8_are_read_under_their_surrogates(fs: Any) -> None:
    assert fs.cat_file("/caf\udce9") == b"latin"
    assert os.fsencode(fs.glob("/caf*")[0]) == b"/caf\xe9"


def test_times_are_aware_and_created_is_the_change_of_status_where_the_tar_has_it(
    tmp_path: Path,
) -> None:
    from attrs import evolve

    tars = layer_tars(
        tmp_path / "layers",
        ImageDescription([[evolve(file("a", mtime=10), ctime=20), file("b", mtime=30)]]),
    )
    fs = fsspec.filesystem("layers", fo=tars)
    assert fs.modified("/a") == datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC)
    assert fs.created("/a") == datetime(1970, 1, 1, 0, 0, 20, tzinfo=UTC)
    assert fs.created("/b") == fs.modified("/b") == datetime.fromtimestamp(30, UTC)


def test_a_time_that_no_datetime_can_say_is_said(tmp_path: Path) -> None:
    tars = layer_tars(tmp_path / "layers", ImageDescription([[file("a", mtime=1 << 40)]]))
    fs = fsspec.filesystem("layers", fo=tars, profile=Profile(mtime_range="raw"))
    assert fs.info("/a")["mtime"] == 1 << 40
    with pytest.raises(unionlayers.UnsupportedError, match="no datetime"):
        fs.modified("/a")


def test_the_checksum_is_the_digest_of_the_content(fs: Any) -> None:
    expected = f"sha256:{hashlib.sha256(b'upper text').hexdigest()}"
    for path in ("/etc/conf", "/link", "/hard", "/dirlink/conf"):
        assert fs.checksum(path) == fs.ukey(path) == expected
    assert fs.checksum("/data") != expected
    with pytest.raises(IsADirectoryError):
        fs.checksum("/etc")


# -- bytes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [None, 0, 3, 10, 12, -1, -3, -12])
@pytest.mark.parametrize("end", [None, 0, 5, 10, 15, -2, -12])
def test_a_range_is_a_slice(fs: Any, start: int | None, end: int | None) -> None:
    assert fs.cat_file("/data", start, end) == b"0123456789"[start:end]


def test_many_ranges_come_in_order_and_an_error_takes_its_place(fs: Any) -> None:
    found = fs.cat_ranges(["/data", "/link", "/none"], [0, 6, 0], [2, None, 1])
    assert found[:2] == [b"01", b"text"]
    assert isinstance(found[2], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(["/none"], 0, 1, on_error="raise")


def test_a_file_seeks_and_says_its_size(fs: Any) -> None:
    with fs.open("/link", block_size=4) as opened:
        assert (opened.size, opened.mode, opened.seekable(), opened.writable()) == (
            10, "rb", True, False,
        )  # fmt: skip
        opened.seek(-4, os.SEEK_END)
        assert opened.read() == b"text"
        assert isinstance(opened, io.BufferedReader)
    assert fs.head("/data", 3) == b"012"
    assert fs.tail("/data", 3) == b"789"
    assert fs.read_block("/data", 2, 100) == b"23456789"


def test_text_is_utf_8_unless_told_otherwise(tmp_path: Path) -> None:
    tars = layer_tars(
        tmp_path / "layers", ImageDescription([[file("u", "é\r\n"), file("l", b"\xe9")]])
    )
    fs = fsspec.filesystem("layers", fo=tars)
    with fs.open("/u", "r") as opened:
        assert (opened.encoding, opened.read()) == ("utf-8", "é\n")
    assert fs.read_text("/u", newline="") == "é\r\n"
    assert fs.read_text("/l", encoding="latin-1") == "é"


def test_a_compressed_file_is_unpacked_on_request(tmp_path: Path) -> None:
    import gzip

    tars = layer_tars(
        tmp_path / "layers", ImageDescription([[file("a.gz", gzip.compress(b"inside"))]])
    )
    fs = fsspec.filesystem("layers", fo=tars)
    with fs.open("/a.gz", compression="infer") as opened:
        assert opened.read() == b"inside"


def test_a_directory_does_not_open(fs: Any) -> None:
    for path in ("/etc", "/dirlink", "/", "/etc/"):
        with pytest.raises(IsADirectoryError):
            fs.open(path)
        with pytest.raises(IsADirectoryError):
            fs.cat_file(path)


def test_a_mapper_reads_by_key(fs: Any) -> None:
    mapper = fs.get_mapper("/etc")
    assert mapper["conf"] == b"upper text"
    assert sorted(mapper) == ["conf"]
    with pytest.raises(KeyError):
        mapper["none"]


# -- down the tree ---------------------------------------------------------------------------------


def test_walks_end_before_links_and_name_those_to_directories_among_the_directories(
    fs: Any,
) -> None:
    walked = {path: (dirs, files) for path, dirs, files in fs.walk("/")}
    assert sorted(walked) == ["/", "/deep", "/deep/er", "/etc"]
    assert walked["/"][0] == ["deep", "dirlink", "etc"]
    assert walked["/etc"] == (["self"], ["conf"])
    assert "dangling" in walked["/"][1]
    assert [path for path, _, _ in fs.walk("/dirlink")] == ["/dirlink"]


def test_find_gives_what_leads_to_no_directory_without_going_through_links(fs: Any) -> None:
    assert fs.find("/") == ["/below", "/caf\udce9", "/circle", "/circle2", "/dangling", "/data",
                            "/deep/er/file", "/etc/conf", "/hard", "/link", "/null", "/pipe",
                            "/up"]  # fmt: skip
    assert fs.find("/dirlink") == ["/dirlink/conf"]
    assert fs.find("/etc", withdirs=True) == ["/etc", "/etc/conf", "/etc/self"]
    assert fs.find("/data") == ["/data"]
    assert fs.find("/none") == fs.find("/dangling") == []
    assert fs.find("/", maxdepth=1, withdirs=True)[-1] == "/up"
    detailed = fs.find("/etc", withdirs=True, detail=True)
    assert detailed == {path: fs.info(path) for path in ("/etc", "/etc/conf", "/etc/self")}
    assert fs.find("/data", detail=True) == {"/data": fs.info("/data")}


def test_du_counts_what_is_listed(fs: Any) -> None:
    sizes = fs.du("/", total=False)
    assert sizes["/dangling"] == sizes["/null"] == 0
    assert sizes["/link"] == sizes["/etc/conf"] == 10
    assert fs.du("/") == sum(sizes.values())


def test_glob_matches_whole_paths_and_goes_through_no_link(fs: Any) -> None:
    assert fs.glob("/etc/c*") == fs.glob("etc/c*") == ["/etc/conf"]
    assert fs.glob("/**/conf") == ["/etc/conf"]
    assert fs.glob("/dirlink/*") == ["/dirlink/conf", "/dirlink/self"]
    assert fs.glob("/d*/") == ["/deep", "/dirlink"]
    assert fs.glob("/none*") == []


def test_a_recursive_get_copies_what_has_bytes_and_goes_through_no_link(
    fs: Any, tmp_path: Path
) -> None:
    fs.get("/", str(tmp_path / "all"), recursive=True)
    found = {
        str(path.relative_to(tmp_path / "all")): path.read_bytes() if path.is_file() else None
        for path in (tmp_path / "all").rglob("*")
    }
    assert found == {
        "caf\udce9": b"latin", "data": b"0123456789", "deep": None, "deep/er": None,
        "deep/er/file": b"deep", "dirlink": None, "etc": None, "etc/conf": b"upper text",
        "etc/self": None, "hard": b"upper text", "link": b"upper text", "up": b"0123456789",
    }  # fmt: skip


# What a pattern matches is met, not given: a link among it is not gone through.
EXPANDED = {
    "/srv": ["/srv", "/srv/a", "/srv/in", "/srv/in/x", "/srv/up"],
    "/srv/*": ["/srv/a", "/srv/in", "/srv/in/x", "/srv/up"],
    "/srv/**": ["/srv", "/srv/a", "/srv/in", "/srv/in/x", "/srv/up"],
    "/srv/u*": ["/srv/up"],
    "/s*": ["/srv", "/srv/a", "/srv/in", "/srv/in/x", "/srv/up"],
    "/*/up": ["/srv/up"],
    "/lin[k]": ["/link"],
    "/link": ["/link", "/link/a", "/link/in", "/link/in/x", "/link/up"],
    "/link/*": ["/link/a", "/link/in", "/link/in/x", "/link/up"],
    "/link/i*": ["/link/in", "/link/in/x"],
}


@pytest.fixture
def linked(tmp_path: Path) -> Any:
    path = tmp_path / "linked.tar"
    tree = [
        file("etc/big", "big"), file("srv/a", "a"), file("srv/in/x", "x"), symlink("srv/up", ".."),
        symlink("srv/nowhere", "none"), symlink("link", "srv"),
    ]  # fmt: skip
    path.write_bytes(oci_archive(ImageDescription([tree])))
    return fsspec.filesystem("layers", fo=path)


@pytest.mark.parametrize("pattern", EXPANDED)
def test_what_a_pattern_matches_is_gone_into_unless_it_is_a_link(
    linked: Any, pattern: str, tmp_path: Path
) -> None:
    found = EXPANDED[pattern]
    assert linked.expand_path(pattern, recursive=True) == found
    files = {path for path in found if path.endswith(("/a", "/x"))}
    assert linked.cat(pattern, recursive=True).keys() == files
    target = tmp_path / "to"
    target.mkdir()
    linked.get(pattern, f"{target}/", recursive=True)
    copied = [path for path in target.rglob("*") if path.is_file()]
    assert sorted(path.name for path in copied) == sorted(path[-1] for path in files)
    # A pattern beside the link itself: the one that is named is followed.
    both = linked.expand_path([pattern, "/srv/up"], recursive=True, maxdepth=2)
    assert "/srv/up/etc" in both
    assert "/srv/up/etc/big" in both
    assert "/srv/up/srv/in/x" not in both


def test_levels_are_counted_from_each_match_of_a_pattern(linked: Any) -> None:
    def expanded(path: Any, depth: int) -> list[str]:
        found: list[str] = linked.expand_path(path, recursive=True, maxdepth=depth)
        return found

    assert expanded("/s*", 1) == ["/srv"]
    assert expanded("/s*", 2) == ["/srv", "/srv/a", "/srv/in", "/srv/up"]
    assert expanded("/s*", 3) == EXPANDED["/s*"]
    assert expanded(["/s*", "/srv/in"], 1) == ["/srv", "/srv/in", "/srv/in/x"]
    assert expanded(["/s*", "/srv/in", "/srv"], 2) == EXPANDED["/s*"]
    with pytest.raises(ValueError, match="maxdepth"):
        expanded("/s*", 0)


def test_links_to_a_tree_cost_no_more_than_a_name_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [0]
    real = Directory.nodes

    def nodes(self: Directory) -> Iterator[Any]:
        for node in real(self):
            asked[0] += 1
            yield node

    monkeypatch.setattr(Directory, "nodes", nodes)

    def cost(ask: Callable[[Any], Any], links: int) -> int:
        path = tmp_path / f"{links}.tar"
        tree = [
            *(file(f"f/{'d/' * n}x", "x") for n in range(40)),
            *(symlink(f"l/{n}", "/") for n in range(links)),
        ]
        path.write_bytes(oci_archive(ImageDescription([tree])))
        fs = fsspec.filesystem("layers", fo=path)
        asked[0] = 0
        ask(fs)
        return asked[0]

    target = str(tmp_path / "to")
    for ask in (
        lambda fs: fs.expand_path("/l/*", recursive=True),
        lambda fs: fs.expand_path("/**", recursive=True),
        lambda fs: fs.expand_path("/**", recursive=True, maxdepth=30),
        lambda fs: fs.cat("/l/*", recursive=True),
        lambda fs: fs.get("/l/*", target, recursive=True),
        lambda fs: fs.glob("/**"),
        lambda fs: fs.du("/"),
    ):
        # Each name twice: by the pattern, and below what it matched.
        assert cost(ask, 10) <= 2 * (10 + 40 + 45)
        assert cost(ask, 110) - cost(ask, 10) <= 2 * 100


def test_the_rsync_of_fsspec_goes_through_no_link(linked: Any, tmp_path: Path) -> None:
    generic = pytest.importorskip("fsspec.generic")
    generic.set_generic_fs("file")
    generic._generic_fs["layers"] = linked
    try:
        inst = {"default_method": "generic"}
        generic.rsync("layers:///srv", f"file://{tmp_path}/to", inst_kwargs=inst)
    finally:
        generic._generic_fs.clear()
    copied = {str(path.relative_to(tmp_path / "to")) for path in (tmp_path / "to").rglob("*")}
    assert copied == {"a", "in", "in/x", "up"}


@pytest.mark.skipif(not hasattr(fsspec.AbstractFileSystem, "tree"), reason="an older fsspec")
def test_a_drawn_tree_has_links_and_nothing_below_them(linked: Any) -> None:
    drawn = linked.tree("/", 20)
    assert [drawn.count(name) for name in ("big", "up", "link", "nowhere")] == [1, 1, 1, 1]
    assert linked.tree("/link").count("up") == 1


def test_names_that_look_like_patterns_are_none_once_they_were_found(tmp_path: Path) -> None:
    path = tmp_path / "odd.tar"
    tree = [file("d/a[1]", "odd"), file("d/a1", "plain"), file("d/*", "star"), directory("e")]
    path.write_bytes(oci_archive(ImageDescription([tree])))
    fs = fsspec.filesystem("layers", fo=path)
    assert fs.cat("/d", recursive=True) == {"/d/*": b"star", "/d/a1": b"plain", "/d/a[1]": b"odd"}
    assert fs.cat("/e", recursive=True) == {}
    assert fs.expand_path("/d/a[1]", assume_literal=True) == ["/d/a[1]"]
    with pytest.raises(FileNotFoundError):
        fs.cat("/none*")


def test_what_is_named_itself_and_has_no_bytes_is_an_error_of_get(fs: Any, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no bytes"):
        fs.get("/null", str(tmp_path / "null"))
    with pytest.raises(FileNotFoundError):
        fs.get("/dangling", str(tmp_path / "dangling"))
    with pytest.raises(FileNotFoundError):
        fs.get("/circ*", str(tmp_path / "to"), recursive=True)


def test_cat_of_a_directory_gives_the_files_in_it(fs: Any) -> None:
    assert fs.cat("/etc", recursive=True) == {"/etc/conf": b"upper text"}
    assert fs.cat(["/data", "/link"]) == {"/data": b"0123456789", "/link": b"upper text"}


def test_what_is_taken_out_of_a_step_is_not_gone_into(fs: Any) -> None:
    for detail in (False, True):
        paths = []
        for path, dirs, _ in fs.walk("/", detail=detail):
            paths.append(path)
            if "deep" in dirs:
                if isinstance(dirs, dict):
                    del dirs["deep"]
                else:
                    dirs.remove("deep")
        assert paths == ["/", "/etc"]


def test_a_walk_from_what_is_not_there_gives_nothing_or_raises(fs: Any) -> None:
    assert list(fs.walk("/none")) == list(fs.walk("/circle")) == []
    with pytest.raises(FileNotFoundError):
        list(fs.walk("/none", on_error="raise"))
    told: list[OSError] = []
    assert list(fs.walk("/none", on_error=told.append)) == []
    assert [error.errno for error in told] == [errno.ENOENT]
    with pytest.raises(ValueError, match="maxdepth"):
        list(fs.walk("/", maxdepth=0))
    with pytest.raises(ValueError, match="maxdepth"):
        fs.find("/", maxdepth=0)


def test_a_very_deep_tree_is_walked_without_recursion(tmp_path: Path) -> None:
    depth = 1500
    tars = layer_tars(tmp_path / "layers", ImageDescription([[file("d/" * depth + "f", "x")]]))
    fs = fsspec.filesystem("layers", fo=tars)
    assert fs.find("/") == ["/" + "d/" * depth + "f"]
    assert sum(1 for _ in fs.walk("/", topdown=False)) == depth + 1


@pytest.fixture
def local_tree(tmp_path: Path) -> Path:
    """Give a tree on this host."""
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a" / "one.txt").write_bytes(b"1")
    (root / "a" / "b" / "two.csv").write_bytes(b"22")
    (root / "three.txt").write_bytes(b"333")
    (root / "to-file").symlink_to("a/one.txt")
    (root / "a" / "to-link").symlink_to("../to-file")
    (root / "dangling").symlink_to("nowhere")
    (root / "circle").symlink_to("circle")
    (root / "a" / "b").chmod(0o750)
    os.utime(root / "three.txt", ns=(5, 1_234_567_890_123_456_789))
    os.link(root / "three.txt", root / "hard")
    return root


@pytest.fixture
def twins(local_tree: Path, tmp_path: Path) -> tuple[Any, Any, str]:
    """Give that tree through fsspec's own filesystem and through ours, and where it stands."""
    tar = tmp_path / "layer.tar"
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as made:
        made.add(local_tree, ".")
    local = fsspec.filesystem("file")
    return local, fsspec.filesystem("layers", fo=[tar]), str(local_tree)


def test_info_is_that_of_the_local_filesystem(twins: tuple[Any, Any, str]) -> None:
    local, ours, root = twins
    paths = ["/a", "/a/b", "/a/b/two.csv", "/three.txt", "/hard", "/to-file", "/a/to-link"]
    for path in paths:
        expected, found = local.info(root + path), ours.info(path)
        assert set(expected) <= set(found)
        for key in set(expected) - {"name", "ino", "created"}:
            if key in {"size", "nlink"} and expected["type"] == "directory":
                continue  # bytes and names of a directory are those of the host's own filesystem
            assert found[key] == expected[key], (path, key)
    assert (ours.info("/three.txt")["ino"] == ours.info("/hard")["ino"]) is True
    for path in (*paths, "/dangling", "/circle", "/none", "/", "/three.txt/x"):
        for ask in ("exists", "isfile", "isdir", "islink", "lexists"):
            answer = getattr(ours, ask)(path)
            assert answer == getattr(local, ask)(root + path), (ask, path)


def test_walk_find_and_glob_are_those_of_the_local_filesystem(twins: tuple[Any, Any, str]) -> None:
    local, ours, root = twins

    def named(found: Any) -> Any:
        return [path.removeprefix(root) or "/" for path in found]

    for depth in (None, 1, 2):
        for topdown in (True, False):
            ways = {"maxdepth": depth, "topdown": topdown}
            found = {p: (sorted(d), sorted(f)) for p, d, f in ours.walk("/", **ways)}
            expected = {
                p.removeprefix(root) or "/": (sorted(d), sorted(f))
                for p, d, f in local.walk(root, **ways)
            }
            assert found == expected
        assert ours.find("/", maxdepth=depth) == named(local.find(root, maxdepth=depth))
        dirs = {"maxdepth": depth, "withdirs": True}
        assert ours.find("/", **dirs) == named(local.find(root, **dirs))
    order = [path for path, _, _ in ours.walk("/", topdown=False)]
    assert order == ["/a/b", "/a", "/empty", "/"]
    for pattern in ("/*", "/**/*.txt", "/a/*", "/*/", "/a/**", "/[ht]*", "/a/b/two.???"):
        assert ours.glob(pattern) == named(local.glob(root + pattern)), pattern


# -- nothing writes --------------------------------------------------------------------------------

WRITES: dict[str, Callable[[Any], Any]] = {
    "open w": lambda f: f.open("/data", "w"),
    "open wb": lambda f: f.open("/new", "wb"),
    "open ab": lambda f: f.open("/data", "ab"),
    "open xb": lambda f: f.open("/new", "xb"),
    "open r+b": lambda f: f.open("/data", "r+b"),
    "open w, no such folder": lambda f: f.open("/none/none", "wt"),
    "mkdir": lambda f: f.mkdir("/new"),
    "makedir": lambda f: f.makedir("/new"),
    "makedirs": lambda f: f.makedirs("/etc", exist_ok=True),
    "mkdirs": lambda f: f.mkdirs("/etc", exist_ok=True),
    "rmdir": lambda f: f.rmdir("/etc"),
    "touch": lambda f: f.touch("/data"),
    "touch, not truncated": lambda f: f.touch("/data", truncate=False),
    "pipe": lambda f: f.pipe("/new", b""),
    "pipe nothing": lambda f: f.pipe({}),
    "pipe_file": lambda f: f.pipe_file("/new", b"", mode="create"),
    "write_text": lambda f: f.write_text("/new", ""),
    "write_bytes": lambda f: f.write_bytes("/new", b""),
    "put": lambda f: f.put(__file__, "/new"),
    "put what is not there": lambda f: f.put("/no/such/file", "/new"),
    "put_file": lambda f: f.put_file(__file__, "/new"),
    "upload": lambda f: f.upload(__file__, "/new"),
    "cp": lambda f: f.cp("/data", "/new"),
    "copy": lambda f: f.copy("/none", "/new"),
    "cp_file": lambda f: f.cp_file("/data", "/new"),
    "mv": lambda f: f.mv("/data", "/new"),
    "mv to itself": lambda f: f.mv("/data", "/data"),
    "move": lambda f: f.move("/data", "/new"),
    "rename": lambda f: f.rename("/data", "/new"),
    "rm": lambda f: f.rm("/none"),
    "rm all": lambda f: f.rm("/", recursive=True),
    "rm_file": lambda f: f.rm_file("/data"),
    "_rm": lambda f: f._rm("/data"),
    "delete": lambda f: f.delete("/data"),
    "mapper": lambda f: f.get_mapper("/etc").__setitem__("conf", b""),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_nothing_writes(fs: Any, write: Callable[[Any], Any]) -> None:
    with pytest.raises(OSError, match="read-only") as caught:
        write(fs)
    assert caught.value.errno == errno.EROFS
    assert isinstance(caught.value, unionlayers.ReadOnlyError)


@pytest.mark.parametrize("mode", ["q", "rq", "", "b"])
def test_a_mode_that_is_none_is_a_value_error(fs: Any, mode: str) -> None:
    with pytest.raises(ValueError, match="mode"):
        fs.open("/data", mode)


# -- what is opened --------------------------------------------------------------------------------


def test_a_chained_url_names_a_path_in_an_archive(archive: Path) -> None:
    with fsspec.open(f"layers://etc/conf::file://{archive}", "r") as opened:
        assert opened.read() == "upper text"
    with fsspec.open(f"layers://link::{archive}") as opened:
        assert opened.read() == b"upper text"
    files = fsspec.open_files(f"layers://etc/*::file://{archive}")
    assert [one.path for one in files] == ["/etc/conf"]


def test_the_image_may_be_named_in_every_way(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(archive.parent)
    monkeypatch.setenv("HOME", str(archive.parent))
    folder = oci_layout(tmp_path / "layout", ImageDescription(LAYERS))
    fsspec.filesystem("memory").pipe("/image.tar", archive.read_bytes())
    tars = layer_tars(tmp_path / "layers", ImageDescription([[file("etc/conf", "upper text")]]))
    kinds: list[Any] = [
        archive, str(archive), "image.tar", "~/image.tar", f"file://{archive}", folder,
        "memory://image.tar", "simplecache::memory://image.tar", tars, [str(tar) for tar in tars],
        io.BytesIO(archive.read_bytes()),
    ]  # fmt: skip
    for fo in kinds:
        fs = fsspec.filesystem("layers", fo=fo)
        assert fs.cat_file("/etc/conf") == b"upper text", fo
    fs = fsspec.filesystem("layers", fo="image.tar", target_protocol="memory")
    assert fs.cat_file("/etc/conf") == b"upper text"
    with fsspec.open("layers://etc/conf::simplecache::memory://image.tar") as opened:
        assert opened.read() == b"upper text"


def test_the_file_of_another_filesystem_is_closed_with_the_image(archive: Path) -> None:
    fsspec.filesystem("memory").pipe("/image.tar", archive.read_bytes())
    fs = fsspec.filesystem("layers", fo="memory://image.tar", skip_instance_cache=True)
    assert fs.cat_file("/data", 0, 1) == b"0"
    fs.close()
    with pytest.raises(unionlayers.ClosedError):
        fs.cat_file("/data")


def test_the_options_of_open_image_are_those_of_the_filesystem(tmp_path: Path) -> None:
    path = tmp_path / "two.tar"
    images = [
        ImageDescription([[file("one")]], tags=["one:1"]),
        ImageDescription([[file("two")]], tags=["two:1"]),
    ]
    path.write_bytes(docker_archive(*images))
    with pytest.raises(unionlayers.AmbiguousImageError):
        fsspec.filesystem("layers", fo=path)
    store = tmp_path / "store"
    fs = fsspec.filesystem("layers", fo=path, reference="two:1", index_store=store,
                           profile="overlay", on_invalid="warn", missing="skip", verify=True,
                           platform=None, limits=None, progress=None, spool=None)  # fmt: skip
    assert fs.ls("/", detail=False) == ["/two"]
    assert (fs.image.profile, fs.image.options.on_invalid) == (
        unionlayers.open_image(path, reference="two:1", profile="overlay").profile, "warn",
    )  # fmt: skip
    assert list(store.iterdir())


def test_some_of_the_layers_are_looked_at(archive: Path) -> None:
    lower = fsspec.filesystem("layers", fo=archive, layers=[0])
    assert lower.cat_file("/etc/conf") == b"lower"
    assert lower.exists("/etc/gone")
    upper = fsspec.filesystem("layers", fo=archive, layers=slice(1, None))
    assert upper.info("/etc/conf")["layer"] == 1
    assert not upper.exists("/data")
    # In a URL the name of the protocol stands for all of its options.
    options = {"layers": {"layers": [0]}}
    with fsspec.open(f"layers://etc/conf::file://{archive}", **options) as opened:
        assert opened.read() == b"lower"


def test_an_unknown_option_is_named_with_those_there_are(archive: Path) -> None:
    with pytest.raises(OptionError, match="refrence") as caught:
        fsspec.filesystem("layers", fo=archive, refrence="x")
    assert isinstance(caught.value, TypeError)
    assert {"fo", "reference", "layers", "target_protocol"} <= set(caught.value.candidates)
    with pytest.raises(OptionError, match="tag"), fsspec.open(f"layers://a::{archive}", tag="x"):
        pass
    fsspec.filesystem("layers", fo=archive, use_listings_cache=False)


def test_no_image_and_an_image_that_is_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no image is named") as caught:
        fsspec.filesystem("layers")
    assert "fo=" in str(caught.value.hint)
    with pytest.raises(FileNotFoundError, match=r"none\.tar"):
        fsspec.filesystem("layers", fo=tmp_path / "none.tar")
    with pytest.raises(FileNotFoundError):
        fsspec.filesystem("layers", fo="memory://none.tar")


def test_a_missing_extra_is_named_with_the_command_that_installs_it() -> None:
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "fsspec":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import unionlayers
try:
    unionlayers.LayersFileSystem
except unionlayers.MissingExtraError as error:
    print(isinstance(error, ImportError), error)
from unionlayers import *
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("True fsspec is not installed")
    assert 'pip install "unionlayers[fsspec]"' in done.stdout


def test_the_class_is_at_the_top_level_and_found_by_its_protocol() -> None:
    assert fsspec.get_filesystem_class("layers") is unionlayers.LayersFileSystem
    assert "LayersFileSystem" in dir(unionlayers)
    assert not unionlayers.LayersFileSystem.async_impl


# -- caching and pickling --------------------------------------------------------------------------


def test_equal_options_give_one_instance_and_a_pickle_gives_it_back(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(archive.parent)
    fs = fsspec.filesystem("layers", fo=archive)
    assert fsspec.filesystem("layers", fo=str(archive)) is fs
    assert fsspec.filesystem("layers", fo="image.tar") is fs
    assert unionlayers.LayersFileSystem(archive) is fs
    assert fsspec.filesystem("layers", fo=archive, profile="overlay") is not fs
    assert pickle.loads(pickle.dumps(fs)) is fs
    assert type(fs).from_json(fs.to_json()) is fs
    _, again, _ = fsspec.get_fs_token_paths(f"layers://etc::{archive}")
    assert again is not None


def test_a_pickle_opens_in_another_process_and_folder(archive: Path) -> None:
    fs = fsspec.filesystem("layers", fo=archive, layers=[0], progress=lambda *_: None)
    code = (
        "import pickle, sys\n"
        "fs = pickle.load(sys.stdin.buffer)\n"
        "print(fs.cat_file('/etc/conf'), fs.storage_options['layers'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        input=pickle.dumps(fs), capture_output=True, check=False, cwd="/", timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr, done.stdout) == (0, b"", b"b'lower' [0]\n")


def test_a_filesystem_over_a_file_object_is_kept_by_nobody_and_does_not_pickle(
    archive: Path,
) -> None:
    source = io.BytesIO(archive.read_bytes())
    fs = fsspec.filesystem("layers", fo=source)
    assert fsspec.filesystem("layers", fo=source) is not fs
    assert fs.cat_file("/data", 0, 2) == b"01"
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(fs)
    fs.close()
    assert not source.closed


def test_a_relative_path_is_that_of_the_folder_in_which_it_was_said(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "image.tar").write_bytes(docker_archive(ImageDescription([[file("other")]])))
    monkeypatch.chdir(archive.parent)
    assert fsspec.filesystem("layers", fo="image.tar").exists("/data")
    monkeypatch.chdir(other)
    assert fsspec.filesystem("layers", fo="image.tar").ls("/", detail=False) == ["/other"]


def test_a_file_that_was_replaced_is_opened_anew(archive: Path, tmp_path: Path) -> None:
    before = fsspec.filesystem("layers", fo=archive)
    assert before.exists("/data")
    new = tmp_path / "new.tar"
    new.write_bytes(oci_archive(ImageDescription([[file("new")]])))
    new.replace(archive)
    after = fsspec.filesystem("layers", fo=archive)
    assert after.ls("/", detail=False) == ["/new"]
    assert fsspec.filesystem("layers", fo=archive) is after
    assert before.image is not after.image


def test_a_closed_filesystem_says_so_and_the_next_one_is_open(archive: Path) -> None:
    fs = fsspec.filesystem("layers", fo=archive)
    opened = fs.open("/data")
    fs.close()
    for ask in (fs.info, fs.ls, fs.cat_file, fs.exists, fs.find):
        with pytest.raises(unionlayers.ClosedError):
            ask("/data")
    with pytest.raises(ValueError, match="closed"):
        opened.read()
    assert fsspec.filesystem("layers", fo=archive).cat_file("/data", 0, 1) == b"0"


def test_threads_have_filesystems_of_their_own_over_one_image(archive: Path) -> None:
    def image_of(_: int) -> Any:
        return fsspec.filesystem("layers", fo=archive)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(image_of, range(32)))
    assert len({id(fs.image) for fs in made}) == 1


def test_eight_threads_of_one_cold_filesystem_are_told_the_same(archive: Path) -> None:
    def answers(fs: Any) -> list[Any]:
        return [
            fs.find("/", withdirs=True, detail=True),
            list(fs.walk("/")),
            fs.cat_file("/link"),
            fs.checksum("/data"),
            fs.cat_ranges(["/data"] * 5, list(range(5)), 7),
            fs.glob("/**"),
        ]

    fs = fsspec.filesystem("layers", fo=archive, skip_instance_cache=True)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(answers, [fs] * 16))
    assert all(one == told[0] for one in told)
    assert told[0] == answers(fsspec.filesystem("layers", fo=archive))


@pytest.mark.parametrize("fo", [None, "", 5, b"x", ["a.tar", 5]])
def test_what_cannot_name_an_image_is_an_option_error(fo: Any) -> None:
    with pytest.raises(OptionError):
        fsspec.filesystem("layers", fo=fo)


def test_a_source_that_cannot_be_closed_is_no_traceback_at_the_end_of_a_process(
    archive: Path,
) -> None:
    program = """if True:
        import io, sys, fsspec
        class Stuck(io.BytesIO):
            asked = False
            def close(self):
                if not self.asked:
                    self.asked = True
                    raise AttributeError("no setter")
                super().close()
        class Odd(fsspec.AbstractFileSystem):
            protocol = "odd"
            def open(self, path, mode="rb", **kwargs):
                return Stuck(open(sys.argv[1], "rb").read())
        fsspec.register_implementation("odd", Odd)
        print(fsspec.filesystem("layers", fo="odd://image.tar").cat_file("/data"))
    """
    done = subprocess.run(
        [sys.executable, "-c", program, str(archive)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("b'0123456789'\n", "")
    odd = fsspec.filesystem("layers", fo=archive, skip_instance_cache=True)
    odd.image.on_closing(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        odd.close()


# -- damage ----------------------------------------------------------------------------------------


def test_damage_is_raised_by_every_question_and_never_an_empty_answer(tmp_path: Path) -> None:
    path = tmp_path / "damaged.tar"
    data = bytearray(oci_archive(ImageDescription([[file("a", "x" * 3000)]]), codec="gzip"))
    good = open_image(io.BytesIO(bytes(data)))
    digest = str(good.layers[0].digest).partition(":")[2].encode()
    start = data.index(b"\x1f\x8b", data.index(digest + b"\0"))
    data[start + 20] ^= 0xFF
    path.write_bytes(data)
    fs = fsspec.filesystem("layers", fo=path)
    asked: list[Callable[[str], Any]] = [
        fs.exists, fs.isdir, fs.isfile, fs.info, fs.ls, fs.find, fs.du, fs.lexists,
        lambda path: list(fs.walk(path)), lambda path: fs.glob(path + "*"),
    ]  # fmt: skip
    for ask in asked:
        with pytest.raises(unionlayers.CorruptError):
            ask("/")
    told: list[OSError] = []
    assert list(fs.walk("/", on_error=told.append)) == []
    assert [type(error).__name__ for error in told] == ["DigestMismatchError"]


# -- real images -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["many-layers", "debian-small"])
def test_a_whole_real_image_is_copied_as_the_runtime_showed_it(name: str, tmp_path: Path) -> None:
    import gzip
    import json

    folders = [HERE / "images", SHARED]
    archives = [folder / f"{name}.oci-gzip.tar" for folder in folders]
    source = next((path for path in archives if path.exists()), None)
    if source is None:
        pytest.skip(f"{name} is not here; UNIONLAYERS_IMAGES names the folder of real images")
    truth = source.parent / "truth" / f"{name}.jsonl.gz"
    facts = {
        "/" + fact["path"]: fact
        for fact in map(json.loads, gzip.decompress(truth.read_bytes()).splitlines())
        if fact["path"] != "."
    }
    fs = fsspec.filesystem("layers", fo=source)
    found = fs.find("/", withdirs=True, detail=True)
    assert sorted(found) == sorted(["/", *facts])
    kinds = {"file": "file", "dir": "directory", "char": "other", "block": "other", "fifo": "other"}
    for path, fact in facts.items():
        info = found[path]
        assert info["islink"] == (fact["type"] == "symlink")
        if info["islink"]:
            assert info["destination"] == fact["linkname"]
            continue
        assert (info["type"], info["uid"], info["gid"]) == (
            kinds[fact["type"]], fact["uid"], fact["gid"],
        )  # fmt: skip
        assert f"{stat.S_IMODE(info['mode']):04o}" == fact["mode"]
        if fact["type"] == "file":
            assert info["size"] == fact["size"]
    target = tmp_path / "all"
    fs.get("/", str(target), recursive=True)
    for path, fact in facts.items():
        if fact["type"] == "file":
            content = (target / path[1:]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == fact["sha256"], path
    shutil.rmtree(target)
