"""The walker of a view: PyFilesystem's answers and hooks, at a cost that grows with the tree."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from unionlayers import RegularFiles, UnionFS, open_image
from unionlayers._layers.directory import Directory
from unionlayers._views._pyfilesystem import fs
from unionlayers._views.walker import UnionWalker
from unionlayers.testing import (
    ImageDescription,
    directory,
    docker_archive,
    fifo,
    file,
    hardlink,
    opaque,
    symlink,
)

Walker = fs.walk.Walker


@contextmanager
def shown(*layers: Any) -> Iterator[UnionFS]:
    with open_image(io.BytesIO(docker_archive(ImageDescription(layers)))) as image:
        yield image.fs()


TREE = [
    file("a/b/c/deep.py"), file("a/b/x.py"), file("a/x.txt"), directory("a/skip"),
    file("a/skip/y.py"), file("z.py"), symlink("a/link", "b"), directory("empty"), fifo("pipe"),
    file(" space/ f"), file("a/b2/é"),
]  # fmt: skip

ARGUMENTS: list[dict[str, Any]] = [
    {}, {"search": "depth"}, {"filter": ["*.py"]}, {"exclude": ["*.py"]},
    {"exclude_dirs": ["skip"]}, {"filter_dirs": ["a", "b"]}, {"max_depth": 1}, {"max_depth": 2},
    {"search": "depth", "max_depth": 2}, {"search": "depth", "exclude_dirs": ["b*"]},
    {"filter": []}, {"ignore_errors": True}, {"search": "depth", "filter": ["x*"], "max_depth": 3},
]  # fmt: skip


def everything(walker: Any, view: Any, path: str) -> Any:
    return (
        list(walker.files(view, path)),
        list(walker.dirs(view, path)),
        [(found, info.raw) for found, info in walker.info(view, path)],
        [(found, info.raw) for found, info in walker.info(view, path, ["details", "access"])],
        [
            (step.path, [info.raw for info in step.dirs], [info.raw for info in step.files])
            for step in walker.walk(view, path, ["details"])
        ],
    )


@pytest.mark.parametrize("path", ["/", "", "a", "/a", "/a/", "/a/link", "/a/../a/b"])
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_walks_are_those_of_pyfilesystem(arguments: dict[str, Any], path: str) -> None:
    # From "" PyFilesystem itself loses a space that a name begins with.
    tree = [entry for entry in TREE if path or not entry.path.startswith(b" ")]
    with shown(tree, [file("a/b/new.py"), directory("a")]) as view:
        expected = everything(Walker(**arguments), view, path)
        assert everything(UnionWalker(**arguments), view, path) == expected
        assert everything(view.walk._make_walker(**arguments), view, path) == expected
        part = view.opendir("/a")
        assert everything(UnionWalker(**arguments), part, "/") == everything(
            Walker(**arguments), part, "/"
        )


def test_a_space_that_a_name_begins_with_is_kept() -> None:
    with shown(TREE) as view:
        for path in ("/", ""):
            assert f"{path} space/ f" in list(view.walk.files(path))


class Hooked(UnionWalker):
    """What somebody may write: hooks of PyFilesystem in a class of their own."""

    def check_file(self, fs_object: Any, info: Any) -> bool:
        return info.name.endswith(".py") and super().check_file(fs_object, info)

    def check_scan_dir(self, fs_object: Any, path: str, info: Any) -> bool:  # noqa: ARG002
        return bool(info.name != "skip")


class HookedRegular(RegularFiles):
    def check_open_dir(self, fs_object: Any, path: str, info: Any) -> bool:  # noqa: ARG002
        return bool(info.name != "b")


def test_hooks_of_a_walker_are_asked() -> None:
    with shown(TREE) as view:
        assert list(Hooked().files(view)) == ["/z.py", "/a/b/x.py", "/a/b/c/deep.py"]
        assert "/a/skip" in list(Hooked().dirs(view))
        assert list(HookedRegular().files(view)) == [
            "/z.py", "/ space/ f", "/a/x.txt", "/a/b2/é", "/a/skip/y.py",
        ]  # fmt: skip


class Renamed(UnionFS):
    """A subclass that lists in its own way."""

    def scandir(self, path: str, namespaces: Any = None, page: Any = None) -> Any:
        return (info for info in super().scandir(path, namespaces, page) if info.name != "a")


def test_a_subclass_that_scans_in_its_own_way_is_walked_in_that_way() -> None:
    archive = io.BytesIO(docker_archive(ImageDescription([TREE])))
    with Renamed(archive) as view:
        assert list(view.walk.files()) == ["/pipe", "/z.py", "/ space/ f"]
        assert list(view.walk.dirs()) == ["/ space", "/empty"]


@pytest.mark.parametrize("walker", [UnionWalker, RegularFiles])
def test_errors_are_those_of_the_filesystem(walker: Any) -> None:
    with shown(TREE) as view:
        for path, error in (
            ("/none", fs.errors.ResourceNotFound),
            ("/z.py", fs.errors.DirectoryExpected),
        ):
            for ask in (walker().files, walker().dirs, walker().info, walker().walk):
                with pytest.raises(error):
                    list(ask(view, path))
                assert list(getattr(walker(ignore_errors=True), ask.__name__)(view, path)) in (
                    [], [(path, [], [])],
                )  # fmt: skip


def test_a_hard_link_to_nothing_is_met_by_a_walk_and_can_be_passed_over() -> None:
    with shown([file("d/ok"), file("e/ok")], [hardlink("d/broken", "d/none")]) as view:
        for walk in (view.walk.files, view.walk.info, view.walk):
            with pytest.raises(fs.errors.OperationFailed):
                list(walk())
        met: list[str] = []

        def note(path: str, _: Exception) -> bool:
            met.append(path)
            return True

        assert "/e/ok" in list(view.walk.files(on_error=note))
        assert met == ["/d"]
        assert "/e/ok" in list(view.walk.files(ignore_errors=True))


def test_a_view_that_is_closed_is_not_walked_on() -> None:
    with shown(TREE) as view:
        part = view.opendir("/a")
        found = view.walk.files()
        next(found)
        view.close()
        with pytest.raises(fs.errors.FilesystemClosed):
            list(found)
        for ask in (view.walk.files, view.walk.info, part.walk.files):
            with pytest.raises(fs.errors.FilesystemClosed):
                list(ask())


def lookups(monkeypatch: pytest.MonkeyPatch, depth: int, walker: Any) -> int:
    """Count the look-ups of a walk through a tree that is as deep as said."""
    asked = [0]
    lookup = Directory.lookup

    def counted(self: Directory, name: str) -> Any:
        asked[0] += 1
        return lookup(self, name)

    monkeypatch.setattr(Directory, "lookup", counted)
    with shown([file("/".join(["d"] * depth) + "/f")]) as view:
        assert len(list(walker.files(view))) == 1
        assert len(list(walker.info(view, namespaces=["details"]))) == depth + 1
    monkeypatch.undo()
    return asked[0]


@pytest.mark.parametrize("search", ["breadth", "depth"])
def test_a_walk_looks_nothing_up(monkeypatch: pytest.MonkeyPatch, search: str) -> None:
    assert lookups(monkeypatch, 50, UnionWalker(search=search)) == 0
    assert lookups(monkeypatch, 50, RegularFiles(search=search)) == 0


def test_even_pyfilesystems_own_walker_costs_no_more_for_depth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shallow = lookups(monkeypatch, 100, Walker())
    assert lookups(monkeypatch, 400, Walker()) <= 4 * shallow + 8


def test_trees_of_three_thousand_levels_are_walked() -> None:
    depth = 3000
    with shown([file("/".join(["d"] * depth) + "/f")]) as view:
        assert [path.count("/") for path in view.walk.files()] == [depth + 1]
        assert sum(1 for _ in view.walk.dirs()) == depth
        assert sum(1 for _ in view.walk.info(search="depth")) == depth + 1
        assert sum(1 for _ in RegularFiles().info(view)) == depth + 1


def test_basic_facts_of_a_directory_need_no_layer_beneath_it() -> None:
    layers = [[directory("d", mode=0o700)], [file("x")], [file("d/e/f"), file("x")]]
    with open_image(io.BytesIO(docker_archive(ImageDescription(layers)))) as image:
        loaded: set[int] = set()
        view = image.fs()
        for slot in view._union.slots:
            known = slot.load

            def load(index: int = slot.layer, known: Any = known) -> Any:
                loaded.add(index)
                return known()

            object.__setattr__(slot, "load", load)
        assert view.getinfo("/d").raw == {"basic": {"name": "d", "is_dir": True}}
        assert view.getinfo("/d/e", ["basic"]).is_dir
        assert view.isdir("/d/e")
        assert view.readbytes("/x") == b""
        assert loaded == {2}
        assert view.getinfo("/d", ["access"]).permissions.mode == 0o700
        assert loaded == {0, 1, 2}


def test_what_a_view_keeps_of_paths_is_bounded() -> None:
    with shown([file(f"d{n}/f") for n in range(1500)], [opaque("d3")]) as view:
        for n in range(1500):
            assert view.exists(f"/d{n}/f") is (n != 3)
            assert len(view._directories) <= 1024
        assert view.listdir("/d3") == []
