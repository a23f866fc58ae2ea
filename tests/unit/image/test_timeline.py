"""All entries by time, and the bodyfile that mactime reads."""

from __future__ import annotations

import io
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from unionlayers import ClosedError, Image, open_image
from unionlayers.testing import (
    Entry,
    ImageDescription,
    block_device,
    char_device,
    directory,
    docker_archive,
    fifo,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
)

IMAGES = sorted((Path(__file__).parents[2] / "images").glob("*.tar"))


def opened(layers: Sequence[Sequence[Entry]], **given: Any) -> Image:
    return open_image(io.BytesIO(docker_archive(ImageDescription(layers))), **given)


def test_every_entry_of_every_layer_is_there_oldest_first() -> None:
    layers = [
        [directory("d", mtime=30), file("d/f", b"12", mtime=10), file("g", mtime=20)],
        [whiteout("g", mtime=50), file("d/f", b"1", mtime=5), directory("d", mtime=40)],
    ]
    with opened(layers) as image:
        found = [
            (one.mtime_ns // 10**9, one.path, one.layer, one.entry, one.type, one.hidden)
            for one in image.timeline()
        ]
        assert len(image.timeline()) == 6
    assert found == [
        (5, "/d/f", 1, 1, "file", None),
        (10, "/d/f", 0, 1, "file", "replaced"),
        (20, "/g", 0, 2, "file", "whiteout"),
        (30, "/d", 0, 0, "directory", None),
        (40, "/d", 1, 2, "directory", None),
        (50, "/.wh.g", 1, 0, "whiteout", "marker"),
    ]


def test_the_lines_of_a_bodyfile() -> None:
    layers = [
        [
            file("f", b"123", mode=0o4755, uid=7, gid=8, mtime_ns=1_500_000_000),
            hardlink("g", "f", mode=0o4755, uid=7, gid=8, mtime=1),
            symlink("l", "f", mtime=2),
            fifo("p", mode=0o600, mtime=3),
            char_device("c", 1, 3, mode=0o666, mtime=4),
            block_device("b", 8, 0, mode=0o660, mtime=5),
            directory("d", mode=0o1777, mtime=6),
            opaque("d", mode=0o644, mtime=7),
            file("old", b"1", mode=0o644, mtime=-5),
        ],
        [whiteout("old", mode=0, mtime=9)],
    ]
    with opened(layers) as image:
        assert image.timeline().bodyfile().splitlines() == [
            "0|/old (deleted)|0-8|r/rrw-r--r--|0|0|1|0|-5|0|0",
            "0|/g|0-0|r/rrwsr-xr-x|7|8|0|0|1|0|0",
            "0|/f|0-0|r/rrwsr-xr-x|7|8|3|0|1|0|0",
            "0|/l -> f|0-2|l/lrwxrwxrwx|0|0|1|0|2|0|0",
            "0|/p|0-3|p/prw-------|0|0|0|0|3|0|0",
            "0|/c|0-4|c/crw-rw-rw-|0|0|0|0|4|0|0",
            "0|/b|0-5|b/brw-rw----|0|0|0|0|5|0|0",
            "0|/d|0-6|d/drwxrwxrwt|0|0|0|0|6|0|0",
            "0|/d/.wh..wh..opq|0-7|w/wrw-r--r--|0|0|0|0|7|0|0",
            "0|/.wh.old|1-0|w/w---------|0|0|0|0|9|0|0",
        ]


def test_a_name_cannot_make_a_field_or_a_line() -> None:
    names = [
        "a|b",
        "50%7C",
        "new\nline",
        "back\\slash",
        b"caf\xe9".decode(errors="surrogateescape"),
    ]
    with opened([[file(name, mtime=number) for number, name in enumerate(names)]]) as image:
        lines = image.timeline().bodyfile().splitlines()
    assert [line.split("|")[1] for line in lines] == [
        "/a%7Cb",
        "/50%257C",
        "/new\\x0aline",
        "/back\\\\slash",
        "/caf\\xe9",
    ]
    assert all(line.count("|") == 10 for line in lines)


def test_times_are_those_of_the_tar_whatever_is_shown() -> None:
    with opened([[file("f", mtime=-1)]]) as image:
        (item,) = image.timeline()
        assert item.mtime_ns == -(10**9)
        assert image.fs().getinfo("/f", ["stat"]).raw["stat"]["st_mtime"] == 0


def test_a_layer_whose_entries_have_no_place_has_them_all_the_same() -> None:
    layers = [[file("f/x", b"1"), hardlink("f", "none"), file("f", b"2"), directory("f")]]
    with opened(layers, on_invalid="warn") as image:
        assert sorted(one.entry for one in image.timeline()) == [0, 1, 2, 3]


@pytest.mark.parametrize("archive", IMAGES, ids=lambda path: path.name)
def test_real_images_have_one_item_for_each_tar_entry(archive: Path) -> None:
    with open_image(archive) as image:
        timeline = image.timeline()
        assert len(timeline) == sum(one.load().entries for one in image.layers)
        places = {(one.layer, one.entry) for one in timeline}
        assert len(places) == len(timeline)
        times = [one.mtime_ns for one in timeline]
        assert times == sorted(times)
        hidden = {(one.layer, one.entry): one.reason for one in image.hidden()}
        found = {(one.layer, one.entry): one.hidden for one in timeline if one.hidden}
        assert hidden == {key: why for key, why in found.items() if why != "marker"}
        assert all(stat.S_IFMT(one.mode) for one in timeline)


@pytest.mark.skipif(shutil.which("mactime") is None, reason="mactime is not installed")
def test_mactime_reads_it_with_the_names_as_they_were(tmp_path: Path) -> None:
    body = tmp_path / "body"
    layers = [[file("a|b%41", b"12", mode=0o640, mtime=1_600_000_000)], [whiteout("a|b%41")]]
    with opened(layers) as image:
        body.write_text(image.timeline().bodyfile())
    ran = subprocess.run(
        ["mactime", "-b", str(body), "-d", "-y", "-z", "UTC"],
        check=True,
        capture_output=True,
        text=True,
    )
    row = next(line for line in ran.stdout.splitlines() if "a|b" in line and ",m...," in line)
    assert row.startswith("2020-09-13T12:26:40Z,2,m...,r/rrw-r-----,0,0,0-0,")
    assert row.endswith('"/a|b%41 (deleted)"')


def test_a_closed_image_says_so() -> None:
    with opened([[file("f")]]) as image:
        pass
    with pytest.raises(ClosedError):
        image.timeline()
