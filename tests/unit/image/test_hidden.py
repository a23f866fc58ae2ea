"""What is shipped and not shown."""

from __future__ import annotations

import io
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from unionlayers import Image, open_image
from unionlayers._layers.hidden import hidden_names
from unionlayers._layers.scan import scan
from unionlayers.testing import (
    Entry,
    ImageDescription,
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


def opened(layers: Sequence[Sequence[Entry]]) -> Image:
    return open_image(io.BytesIO(docker_archive(ImageDescription(layers))), on_invalid="warn")


HIDDEN: dict[str, tuple[Sequence[Sequence[Entry]], list[tuple[Any, ...]]]] = {
    "nothing": ([[file("f", b"1")], [file("g", b"2")]], []),
    "a whiteout": ([[file("f", b"1")], [whiteout("f")]], [("/f", 0, 1, "whiteout", 1)]),
    "a file that is replaced, twice": (
        [[file("f", b"1")], [file("f", b"22")], [file("f", b"333")]],
        [("/f", 0, 1, "replaced", 1), ("/f", 1, 2, "replaced", 2)],
    ),
    "a directory that goes with all in it": (
        [[directory("d"), file("d/a/f", b"1"), symlink("d/l", "a")], [whiteout("d")]],
        [
            ("/d", 0, 1, "whiteout", 0),
            ("/d/a/f", 0, 1, "whiteout", 1),
            ("/d/l", 0, 1, "whiteout", 0),
        ],
    ),
    "an opaque directory": (
        [
            [directory("d"), file("d/f", b"1"), fifo("d/p")],
            [directory("d"), opaque("d"), file("d/f", b"2")],
        ],
        [("/d/f", 0, 1, "replaced", 1), ("/d/p", 0, 1, "opaque", 0)],
    ),
    "a directory that becomes a file, and a file that becomes a directory": (
        [[file("d/f", b"1"), file("e", b"22")], [file("d", b"3"), file("e/g", b"4")]],
        [("/d/f", 0, 1, "type change", 1), ("/e", 0, 1, "type change", 2)],
    ),
    "a file that its own layer ships twice": (
        [[file("f", b"1"), file("f", b"22")]],
        [("/f", 0, 0, "duplicate", 1)],
    ),
    "a file that goes before its directory does": (
        [[directory("d"), file("d/a", b"1")], [whiteout("d/a")], [whiteout("d")]],
        [("/d", 0, 2, "whiteout", 0), ("/d/a", 0, 1, "whiteout", 1)],
    ),
    "a file that is replaced before its directory goes": (
        [[file("d/e/a", b"1")], [file("d/e/a", b"22")], [whiteout("d")]],
        [("/d/e/a", 0, 1, "replaced", 1), ("/d/e/a", 1, 2, "whiteout", 2)],
    ),
    "a directory that goes before the one it is in, by another mark": (
        [
            [directory("d/e"), file("d/e/f", b"1"), file("d/g", b"1")],
            [directory("d/e"), opaque("d/e")],
            [file("d/e", b"22")],
            [whiteout("d")],
        ],
        [
            ("/d/e", 0, 2, "type change", 0),
            ("/d/e/f", 0, 1, "opaque", 1),
            ("/d/g", 0, 3, "whiteout", 1),
            ("/d/e", 1, 2, "type change", 0),
            ("/d/e", 2, 3, "whiteout", 2),
        ],
    ),
    "a directory that goes with its directory, which is made again": (
        [
            [directory("d/e"), file("d/e/f", b"1"), file("d/e/g", b"1"), directory("d/h")],
            [whiteout("d"), file("d/e/f", b"22"), file("d/h", b"333")],
        ],
        [
            ("/d/e", 0, 1, "whiteout", 0),
            ("/d/e/f", 0, 1, "replaced", 1),
            ("/d/e/g", 0, 1, "whiteout", 1),
            ("/d/h", 0, 1, "type change", 0),
        ],
    ),
    "a directory in the place of which its layer puts a file beside the mark": (
        [
            [directory("p/d"), file("p/d/f", b"1")],
            [directory("p"), opaque("p"), file("p/d", b"22")],
        ],
        [("/p/d", 0, 1, "type change", 0), ("/p/d/f", 0, 1, "opaque", 1)],
    ),
    "a directory that only gets other metadata": (
        [[directory("d", mode=0o700)], [directory("d", mode=0o711)]],
        [],
    ),
}


@pytest.mark.parametrize(("layers", "told"), HIDDEN.values(), ids=HIDDEN)
def test_what_is_hidden_and_by_what(
    layers: Sequence[Sequence[Entry]], told: list[tuple[Any, ...]]
) -> None:
    with opened(layers) as image:
        hidden = image.hidden()
    assert [(e.path, e.layer, e.hidden_by, e.reason, e.size) for e in hidden] == told
    assert len(hidden) == len(told)


def test_what_is_hidden_opens_and_lies_in_a_folder_for_each_layer() -> None:
    layers = [
        [directory("etc", mode=0o750), file("etc/passwd", b"old", mode=0o600, uid=9)],
        [file("etc/passwd", b"new")],
        [whiteout("etc/passwd")],
    ]
    with opened(layers) as image:
        hidden = image.hidden()
        contents = []
        for entry in hidden:
            with entry.open() as file_of_it:
                contents.append(file_of_it.read())
        view = hidden.fs
        assert view.listdir("/") == ["0", "1"]
        assert view.readbytes("/0/etc/passwd") == b"old"
        assert view.readbytes("/1/etc/passwd") == b"new"
        info = view.getinfo("/0/etc/passwd", ["access"])
        assert (info.uid, info.permissions.mode) == (9, 0o600)
        assert view.getinfo("/0/etc", ["access"]).permissions.mode == 0o750
        assert hidden.size == 6
    assert contents == [b"old", b"new"]


def test_content_that_a_hard_link_still_shows_is_not_counted_as_lost() -> None:
    layers = [
        [file("a", b"content"), hardlink("b", "a")],
        [whiteout("a")],
        [hardlink("c", "b"), whiteout("b")],
    ]
    with opened(layers) as image:
        hidden = image.hidden()
        assert [(e.path, e.size, e.seen_as) for e in hidden] == [("/a", 7, "/c"), ("/b", 0, "/c")]
        assert hidden.size == 0
        assert hidden.fs.readbytes("/0/b") == b"content"


def test_a_hidden_hard_link_to_a_lower_layer_opens() -> None:
    with opened([[file("a", b"content")], [hardlink("b", "a")], [whiteout("b")]]) as image:
        hidden = image.hidden()
        (entry,) = hidden
        with entry.open() as content:
            assert content.read() == b"content"
        assert (entry.size, entry.seen_as) == (0, "/a")
        assert hidden.fs.readbytes("/1/b") == b"content"


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_hidden_and_visible_are_all_that_a_real_image_ships(path: Path, profile: str) -> None:
    with open_image(path, profile=profile) as image:
        shipped_and_shown(image)


def shipped_and_shown(image: Image) -> None:
    """Hold hidden and visible entries against all entries of the layers."""
    union = image.union()
    visible = {
        divmod(handle, 1 << 32)
        for _, names in scan(union)
        for _, (mode, *_), _, _, handle in names
        if not stat.S_ISDIR(mode)
    }
    hidden = [(name.slot, name.row) for name in hidden_names(union)]
    assert len(set(hidden)) == len(hidden)
    assert not visible & set(hidden)
    shipped = set()
    for slot, layer in enumerate(image.layers):
        index = layer.load()
        marks = {mark.row for mark in index.marks}
        for row, _ in index.paths():
            mode = index.kinds[index.kind[row]][0]
            if row not in marks and not stat.S_ISDIR(mode):
                shipped.add((slot, row))
    files = {
        (slot, row)
        for slot, row in hidden
        if not stat.S_ISDIR(image.layers[slot].load().kinds[image.layers[slot].load().kind[row]][0])
    }
    assert visible | files == shipped
