"""Paths are followed as the kernel follows them, inside the root of the image."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from unionlayers import (
    Image,
    LinkLoopError,
    NotALinkError,
    PathIsADirectoryError,
    PathNotADirectoryError,
    PathNotFoundError,
    ReadOnlyError,
    open_image,
)
from unionlayers.testing import ImageDescription, directory, docker_archive, file, symlink

TREE = [
    directory("etc"),
    file("etc/passwd", "image"),
    file("f", "file"),
    directory("a/b"),
    file("a/m", "inner"),
    file("m", "outer"),
    symlink("s", "a/b"),
    symlink("abs", "/etc/passwd"),
    symlink("climb", "../../../../../../etc/passwd"),
    symlink("etc/up", "../f"),
    symlink("slash", "etc/"),
    symlink("fslash", "f/"),
    symlink("dots", "././etc/./passwd"),
    symlink("root", "/"),
    symlink("rootdots", "/.."),
    symlink("loop", "loop"),
    symlink("ping", "pong"),
    symlink("pong", "ping"),
    symlink("dangling", "none"),
    symlink("through", "s/../m"),
    symlink("chain", "etc/up"),
    symlink("host", "/proc/self/root/etc/hostname"),
]


@pytest.fixture
def image() -> Iterator[Image]:
    archive = docker_archive(ImageDescription([TREE]))
    with open_image(io.BytesIO(archive)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/etc/passwd", "image"),
        ("etc/passwd", "image"),
        ("//etc///passwd", "image"),
        ("/etc/./passwd", "image"),
        ("/etc/../etc/passwd", "image"),
        ("/../../etc/passwd", "image"),
        ("/abs", "image"),
        ("/climb", "image"),
        ("/etc/up", "file"),
        ("/slash/passwd", "image"),
        ("/dots", "image"),
        ("/root/etc/passwd", "image"),
        ("/root/root/root/f", "file"),
        ("/rootdots/f", "file"),
        ("/s/../m", "inner"),
        ("/a/b/../m", "inner"),
        ("/through", "inner"),
        ("/chain", "file"),
    ],
)
def test_a_path_leads_to(image: Image, path: str, expected: str) -> None:
    assert image.path(path).read_text() == expected


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/none", PathNotFoundError),
        ("/none/..", PathNotFoundError),
        ("/dangling", PathNotFoundError),
        ("/f/", PathNotADirectoryError),
        ("/f/x", PathNotADirectoryError),
        ("/f/..", PathNotADirectoryError),
        ("/fslash", PathNotADirectoryError),
        ("/loop", LinkLoopError),
        ("/ping", LinkLoopError),
        ("/loop/x", LinkLoopError),
        ("/etc", PathIsADirectoryError),
        ("/s", PathIsADirectoryError),
        ("/host", PathNotFoundError),
    ],
)
def test_a_path_leads_nowhere(image: Image, path: str, error: type[OSError]) -> None:
    with pytest.raises(error) as caught:
        image.path(path).read_bytes()
    assert str(path) in str(caught.value)


def test_resolve_gives_the_path_without_links(image: Image) -> None:
    assert str(image.path("/s/../m").resolve()) == "/a/m"
    assert str(image.path("/chain").resolve()) == "/f"
    assert str(image.path("/root").resolve()) == "/"


def test_a_link_is_told_from_what_it_leads_to(image: Image) -> None:
    path = image.path("/abs")
    assert path.is_symlink()
    assert path.is_file()
    assert path.readlink() == "/etc/passwd"
    assert path.stat().st_size == 5
    assert path.lstat().st_size == len("/etc/passwd")
    assert not image.path("/dangling").exists()
    assert image.path("/dangling").is_symlink()
    assert image.path("/loop").is_symlink()
    with pytest.raises(NotALinkError):
        image.path("/f").readlink()


def test_a_path_is_joined_listed_and_compared(image: Image) -> None:
    etc = image.path("/etc")
    assert etc / "passwd" == image.path("/etc/passwd")
    assert hash(etc / "passwd") == hash(image.path("/etc/passwd"))
    assert etc.joinpath("..", "f").read_text() == "file"
    assert (etc / "/f").read_text() == "file"
    assert [path.name for path in etc.iterdir()] == ["passwd", "up"]
    assert (etc.name, str(etc.parent), str(etc)) == ("etc", "/", "/etc")
    with pytest.raises(PathNotADirectoryError):
        image.path("/f").iterdir()


@pytest.mark.parametrize("mode", ["w", "a", "x", "r+", "wb"])
def test_a_path_is_never_opened_for_writing(image: Image, mode: str) -> None:
    with pytest.raises(ReadOnlyError):
        image.path("/f").open(mode)
