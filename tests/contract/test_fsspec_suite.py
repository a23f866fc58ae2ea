"""
The suite of fsspec for filesystems that are read: its abstract Get tests, on an image.

The suite makes what it reads; here that stands in images that are built beforehand, in two forms
and three codecs.  Nothing of it is left out.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from unionlayers.testing import (
    Entry,
    ImageDescription,
    directory,
    docker_archive,
    file,
    oci_archive,
    symlink,
    whiteout,
)

pytest.importorskip("fsspec", reason="fsspec is not installed (the extra fsspec)")
abstract: Any = pytest.importorskip("fsspec.tests.abstract")

FORMS: dict[str, Callable[..., bytes]] = {"docker": docker_archive, "oci": oci_archive}
CODECS = ("identity", "gzip", "zstd")


def tree(root: str, *paths: str) -> list[Entry]:
    """Give files without content, with the directories above them."""
    made: dict[str, Entry] = {}
    for path in (f"{root}/{path}" for path in paths):
        parts = path.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            made.setdefault(above, directory(above))
        made[path] = file(path)
    return list(made.values())


BULK = tree("bulk/source", "file1", "file2", "subdir/subfile1", "subdir/subfile2",
            "subdir/nesteddir/nestedfile")  # fmt: skip
EDGES = tree("edges/source", "file1", "file2", "subdir0/subfile1", "subdir0/subfile2",
             "subdir0/nesteddir/nestedfile", "subdir1/subfile1", "subdir1/subfile2",
             "subdir1/nesteddir/nestedfile")  # fmt: skip
PREFIX = tree("prefix/source", "subdir.txt", "subdir/subfile.txt")
MADE = tree("made", "src/file")
HASHED = [
    file(f"hashed/source/{hashlib.md5(str(i).encode()).hexdigest()}.txt", str(i)) for i in range(10)
]
# What lies below must not be seen: a second layer takes it away or replaces it.
BENEATH = [
    file("bulk/source/file3"),
    file("edges/source/subdir1", "a file"),
    symlink("hashed", "x"),
]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """Give the same image in every form and codec."""
    folder = tmp_path_factory.mktemp("archives")
    made = {}
    for form, build in FORMS.items():
        for codec in CODECS:
            path = folder / f"{form}-{codec}.tar"
            layers = [
                BENEATH,
                [*BULK, whiteout("bulk/source/file3")],
                [*EDGES, *PREFIX, *MADE, *HASHED],
            ]
            path.write_bytes(build(ImageDescription(layers), codec=codec))
            made[form, codec] = path
    return made


def fixtures(form: str, codec: str, *, threads: bool) -> type:
    """Give what tells the suite where the scenarios are."""

    class Fixtures(abstract.AbstractFixtures):  # type: ignore[misc]
        @pytest.fixture
        def fs(
            self,
            archives: dict[tuple[str, str], Path],
            record_property: Callable[[str, object], None],
            tmp_path_factory: pytest.TempPathFactory,
        ) -> Any:
            import fsspec

            name = f"fsspec.tests.abstract Get through LayersFileSystem, {form}-{codec}"
            record_property("suite", f"{name}, from 8 threads" if threads else name)
            if threads:
                cold = fsspec.filesystem(
                    "layers", fo=archives[form, codec], skip_instance_cache=True
                )
                return asking_from_eight_threads(cold, tmp_path_factory.mktemp("others"))
            return fsspec.filesystem("layers", fo=archives[form, codec])

        @pytest.fixture
        def local_fs(self) -> Any:
            # Older suites declare it in a way that pytest of today refuses.
            from fsspec.implementations.local import LocalFileSystem

            return LocalFileSystem(auto_mkdir=True)

        @pytest.fixture
        def fs_path(self) -> str:
            return "/"

        @pytest.fixture
        def fs_bulk_operations_scenario_0(self) -> str:
            return "/bulk/source"

        @pytest.fixture
        def fs_glob_edge_cases_files(self) -> str:
            return "/edges/source"

        @pytest.fixture
        def fs_dir_and_file_with_same_name_prefix(self) -> str:
            return "/prefix/source"

        @pytest.fixture
        def fs_10_files_with_hashed_names(self) -> str:
            return "/hashed/source"

    return Fixtures


def asking_from_eight_threads(fs: Any, folder: Path) -> Any:
    """Have each question of `get` asked by eight threads at once, who must be told the same."""
    pool = ThreadPoolExecutor(8)
    expand, fetch = fs.expand_path, fs.get_file
    fetched = itertools.count()

    def expand_path(*args: Any, **kwargs: Any) -> Any:
        told = list(pool.map(lambda _: expand(*args, **kwargs), range(8)))
        assert all(one == told[0] for one in told)
        return told[0]

    def get_file(rpath: str, lpath: str, *args: Any, **kwargs: Any) -> None:
        targets = [lpath, *(str(folder / f"{next(fetched)}") for _ in range(7))]
        list(pool.map(lambda target: fetch(rpath, target, *args, **kwargs), targets))
        if Path(lpath).is_file():
            contents = {Path(target).read_bytes() for target in targets}
            assert contents == {fs.cat_file(rpath)}

    fs.expand_path, fs.get_file = expand_path, get_file
    return fs


def suite(form: str, codec: str, *, threads: bool = False) -> type:
    """Give the suite over one form and codec, which eight threads ask of a cold filesystem."""

    class Suite(abstract.AbstractGetTests, fixtures(form, codec, threads=threads)):  # type: ignore[misc]
        def test_get_directory_recursive(
            self,
            fs: Any,
            fs_join: Any,
            local_fs: Any,
            local_join: Any,
            local_target: Any,
            monkeypatch: pytest.MonkeyPatch,
        ) -> None:
            # Its body makes ``src/file``, which the image has already.
            monkeypatch.setattr(type(fs), "mkdir", lambda _self, _path: None)
            monkeypatch.setattr(type(fs), "touch", lambda _self, _path: None)
            super().test_get_directory_recursive(
                fs, fs_join, "/made", local_fs, local_join, local_target
            )

    return Suite


class TestGetDockerIdentity(suite("docker", "identity")):  # type: ignore[misc]
    """The suite on a docker archive, plain."""


class TestGetDockerGzip(suite("docker", "gzip")):  # type: ignore[misc]
    """The suite on a docker archive, gzip."""


class TestGetDockerZstd(suite("docker", "zstd")):  # type: ignore[misc]
    """The suite on a docker archive, zstd."""


class TestGetOciIdentity(suite("oci", "identity")):  # type: ignore[misc]
    """The suite on an OCI archive, plain."""


class TestGetOciGzip(suite("oci", "gzip")):  # type: ignore[misc]
    """The suite on an OCI archive, gzip."""


class TestGetOciZstd(suite("oci", "zstd")):  # type: ignore[misc]
    """The suite on an OCI archive, zstd."""


class TestGetOciGzipFromThreads(suite("oci", "gzip", threads=True)):  # type: ignore[misc]
    """The suite on an OCI archive, gzip, from eight threads."""


def test_the_suite_is_whole() -> None:
    names = {name for name in dir(abstract.AbstractGetTests) if name.startswith("test_")}
    # What fsspec has beside Get writes throughout; that it is refused, test_fsspec.py says.
    assert len(names) == 14


def test_the_suite_notices_a_wrong_reader(
    archives: dict[tuple[str, str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    fs = fsspec.filesystem("layers", fo=archives["docker", "identity"])
    local = LocalFileSystem(auto_mkdir=True)
    tests = abstract.AbstractGetTests()
    arguments = (fs, "{}/{}".format, "/bulk/source", local, "{}/{}".format, str(tmp_path / "to"))
    monkeypatch.setattr(type(fs), "isdir", lambda _self, _path: False)
    with pytest.raises((AssertionError, OSError)):
        tests.test_get_directory_to_existing_directory(*arguments)
