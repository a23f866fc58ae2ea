"""A scan of a whole tree says the same as asking for every name."""

from __future__ import annotations

import io
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from unionlayers import open_image
from unionlayers._layers.resolution import resolve
from unionlayers._layers.scan import scan
from unionlayers._layers.union import Union
from unionlayers.errors import LayerError
from unionlayers.testing import (
    Entry,
    ImageDescription,
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

STACKS: dict[str, Sequence[Sequence[Entry]]] = {
    "one layer of every type": [
        [
            directory("d", mode=0o1777, uid=3),
            file("d/f", b"abc", mtime=7),
            symlink("d/l", "f"),
            fifo("d/p"),
            char_device("d/c", 1, 3),
            hardlink("d/h", "d/f"),
            file("implied/x", b"1"),
        ]
    ],
    "directories that several layers share": [
        [directory("a", mode=0o700), file("a/1", b"1"), directory("a/b"), file("a/b/2", b"22")],
        [file("a/3", b"333"), whiteout("a/1")],
        [directory("a/b", mode=0o711), opaque("a/b"), file("a/b/4", b"4")],
    ],
    "an opaque layer that implies a directory with metadata beneath": [
        [directory("a", mode=0o700, uid=9), file("a/old", b"o")],
        [opaque("a"), file("a/new", b"n")],
    ],
    "a hard link of an upper layer changes an inode of the lowest": [
        [directory("d"), file("d/f", b"abc", mode=0o600), file("d/g", b"g")],
        [hardlink("up", "d/f", mode=0o4755, uid=7)],
    ],
    "hard links with headers of their own": [
        [file("f", b"abc"), hardlink("g", "f", mode=0o4755, mtime=99), symlink("s", "f")],
    ],
    "times that no column holds": [[file("f", b"", mtime=2**40)]],
    "a whiteout and a directory of one name": [
        [directory("d"), file("d/old", b"o")],
        [whiteout("d"), directory("d"), file("d/new", b"n")],
    ],
    "an opaque root without an entry": [[file("old", b"o")], [opaque(""), file("new", b"n")]],
    "an opaque directory that its own layer replaces": [
        [file("a/old", b"o"), file("b", b"1")],
        [opaque("a"), file("a", b"n")],
    ],
    "nothing at all": [[]],
}


def one_by_one(union: Union) -> dict[str, Any]:
    """Ask for every name by itself."""
    found = {}
    pending = [union.root]
    while pending:
        for node in pending.pop().nodes():
            entry = union.entry(node)
            handle = node.slot << 32 | node.row
            kind = entry.mode, entry.uid, entry.gid
            found[node.path] = (kind, entry.size, entry.mtime_ns, handle)
            if node.directory is not None:
                pending.append(node.directory)
    return found


def at_once(union: Union) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, names in scan(union):
        assert path in {"", *found}, "a directory comes after the one it is in"
        for name, *facts in names:
            assert f"{path}/{name}" not in found
            found[f"{path}/{name}"] = tuple(facts)
    return found


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
@pytest.mark.parametrize("layers", STACKS.values(), ids=STACKS)
def test_a_scan_says_what_single_questions_say(
    layers: Sequence[Sequence[Entry]], profile: str
) -> None:
    archive = docker_archive(ImageDescription(layers))
    with open_image(io.BytesIO(archive), profile=profile, on_invalid="warn") as image:
        assert at_once(image.union()) == one_by_one(image.union())


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_a_scan_of_a_real_image_says_what_single_questions_say(path: Path) -> None:
    with open_image(path) as image:
        assert at_once(image.union()) == one_by_one(image.union())


def test_a_link_without_a_target_is_raised_or_left_out() -> None:
    archive = docker_archive(ImageDescription([[directory("d"), hardlink("d/h", "none")]]))
    with open_image(io.BytesIO(archive)) as image, pytest.raises(LayerError):
        at_once(image.union())
    with open_image(io.BytesIO(archive), on_invalid="warn") as image:
        assert list(at_once(image.union())) == ["/d"]


def test_a_link_that_is_left_out_does_not_part_the_directories_above_and_beneath_it() -> None:
    layers = [[file("d/old", b"1")], [hardlink("d", "none")], [file("d/new", b"2")]]
    archive = docker_archive(ImageDescription(layers))
    with open_image(io.BytesIO(archive), on_invalid="warn") as image:
        assert image.fs(layers=slice(2)).listdir("/d") == ["old"]
        assert image.fs().listdir("/d") == ["new", "old"]
        assert [one.kind for one in image.history_of("/d/old")] == ["added"]
        assert len(image.hidden()) == 0


def test_a_scan_may_start_anywhere() -> None:
    with open_image(
        io.BytesIO(docker_archive(ImageDescription(STACKS["one layer of every type"])))
    ) as image:
        union = image.union()
        start = resolve(union, "/d").node.directory
        ((path, names),) = scan(union, start)
        assert path == ""
        assert sorted(name for name, *_ in names) == ["c", "f", "h", "l", "p"]


def test_a_deep_tree_is_walked_without_recursion() -> None:
    depth = 3000
    archive = docker_archive(ImageDescription([[file("d/" * depth + "f", b"x")]]))
    with open_image(io.BytesIO(archive)) as image:
        walked = list(scan(image.union()))
    assert len(walked) == depth + 1
    assert stat.S_ISREG(walked[-1][1][0][1][0])
