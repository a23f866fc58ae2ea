"""What PyFilesystem asks of its own archives, asked of an image in every form and codec."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from unionlayers import UnionFS
from unionlayers._views._pyfilesystem import fs
from unionlayers.testing import (
    Entry,
    ImageDescription,
    containerd_save,
    directory,
    docker_archive,
    docker_archive_25,
    file,
    oci_archive,
    oci_layout,
    skopeo_dir,
    skopeo_docker_archive,
)

FORMS: dict[str, Callable[..., Any]] = {
    "docker": docker_archive,
    "docker 25": docker_archive_25,
    "docker with containerd": containerd_save,
    "skopeo docker-archive": skopeo_docker_archive,
    "skopeo dir": skopeo_dir,
    "oci archive": oci_archive,
    "oci layout": oci_layout,
}
IN_FOLDERS = {"skopeo dir", "oci layout"}
CODECS = ("identity", "gzip", "zstd")


def source() -> Any:
    """Give a filesystem with what archives get wrong: depth, nothing, and names of all kinds."""
    made = fs.open_fs("mem://")
    made.makedirs("foo/bar/baz")
    made.makedirs("empty")
    made.makedirs("d\xe9p\xf4t/\u2600")
    made.writetext("top.txt", "Hello, World")
    made.writetext("top2.txt", "\u2600 sun\n", encoding="utf-8")
    made.writebytes("foo/bar/egg", b"\x00\xff" * 70_000)
    made.writetext("foo/bar/baz/spam", "")
    made.writetext("d\xe9p\xf4t/\u2600/\U0001f40b", "whale")
    return made


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=FORMS)
def view(request: pytest.FixtureRequest, codec: str, tmp_path: Path) -> Iterator[UnionFS]:
    """Give the source as an image of two layers, with directories implied by files alone."""
    written = source()
    entries: list[Entry] = [
        file(path[1:], written.readbytes(path)) for path in sorted(written.walk.files())
    ]
    entries.append(directory("empty"))
    image = ImageDescription([entries[::2], entries[1::2]], tags=["app:1"])
    build = FORMS[request.param]
    if request.param in IN_FOLDERS:
        where: Any = build(tmp_path / "image", image, codec=codec)
    else:
        where = io.BytesIO(build(image, codec=codec))
    with UnionFS(where) as opened:
        yield opened


def test_the_whole_is_equal_to_its_source(view: UnionFS) -> None:
    written = source()
    assert sorted(view.walk.files()) == sorted(written.walk.files())
    assert sorted(view.walk.dirs()) == sorted(written.walk.dirs())
    for path in written.walk.files():
        assert view.readbytes(path) == written.readbytes(path)
        assert view.getsize(path) == written.getsize(path)
        assert view.hash(path, "md5") == written.hash(path, "md5")


def test_it_says_that_it_is_read_only_and_refuses(view: UnionFS) -> None:
    assert view.getmeta()["read_only"] is True
    for ask in (
        lambda: view.makedir("newdir"),
        lambda: view.remove("top.txt"),
        lambda: view.removedir("foo/bar/baz"),
        lambda: view.openbin("top.txt", "w"),
        lambda: view.open("top.txt", "a"),
        lambda: view.setinfo("foo", {}),
    ):
        with pytest.raises(fs.errors.ResourceReadOnly):
            ask()


def test_it_gives_infos(view: UnionFS) -> None:
    root = view.getinfo("/")
    assert (root.name, root.is_dir) == ("", True)
    bar = view.getinfo("foo/bar", ["details", "access", "tar"])
    assert (bar.name, bar.is_dir, bar.type) == ("bar", True, fs.ResourceType.directory)
    top = view.getinfo("top.txt", ["details", "access", "tar"])
    assert (top.size, top.type) == (12, fs.ResourceType.file)
    assert top.permissions.mode == 0o644
    assert top.raw["tar"]["size"] == 12
    with pytest.raises(fs.errors.ResourceNotFound):
        view.getinfo("none")


def test_it_lists(view: UnionFS) -> None:
    assert view.listdir("/") == ["d\xe9p\xf4t", "empty", "foo", "top.txt", "top2.txt"]
    assert view.listdir("foo/bar") == ["baz", "egg"]
    assert view.listdir("empty") == []
    with pytest.raises(fs.errors.DirectoryExpected):
        view.listdir("top.txt")
    with pytest.raises(fs.errors.ResourceNotFound):
        view.listdir("nothere")


def test_it_opens_files(view: UnionFS) -> None:
    with view.open("top.txt") as text:
        assert text.read() == "Hello, World"
    with view.open("top2.txt", encoding="utf-8") as text:
        assert text.read() == "\u2600 sun\n"
    with view.openbin("foo/bar/egg") as opened:
        opened.seek(100_001)
        assert opened.read(2) == b"\xff\x00"
        assert opened.tell() == 100_003
    with pytest.raises(fs.errors.ResourceNotFound):
        view.open("nothere.txt")
    with pytest.raises(fs.errors.FileExpected):
        view.openbin("foo")


def test_it_gives_contents(view: UnionFS) -> None:
    assert view.readtext("top.txt") == "Hello, World"
    assert view.readbytes("foo/bar/baz/spam") == b""
    assert view.readtext("d\xe9p\xf4t/\u2600/\U0001f40b") == "whale"
    target = io.BytesIO()
    view.download("foo/bar/egg", target)
    assert target.getvalue() == b"\x00\xff" * 70_000


def test_directories_that_only_files_imply_are_there(view: UnionFS) -> None:
    for path in ("foo", "foo/bar", "foo/bar/baz", "d\xe9p\xf4t/\u2600"):
        assert view.isdir(path)
        assert view.gettype(path) == fs.ResourceType.directory
        assert view.getinfo(path, ["layer"]).raw["layer"]["implied"] is True
        assert view.getinfo(path, ["tar"]).raw["tar"] == {}
    assert view.getinfo("empty", ["layer"]).raw["layer"]["implied"] is False


def test_names_are_found_by_what_they_are(view: UnionFS) -> None:
    assert view.exists("foo/bar/egg")
    assert view.isfile("foo/bar/egg")
    assert not view.isdir("foo/bar/egg")
    assert not view.exists("FOO")
    assert view.isempty("empty")
    assert not view.isempty("foo")


def test_it_closes(view: UnionFS) -> None:
    view.close()
    view.close()
    for ask in (lambda: view.listdir("/"), lambda: view.open("top.txt"), lambda: view.exists("x")):
        with pytest.raises(fs.errors.FilesystemClosed):
            ask()
