"""The tools of PyFilesystem on an image: copies, mirrors, trees, globs, mounts, wraps, archives."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import unionlayers
from unionlayers import RegularFiles, UnionFS, open_image
from unionlayers._views._pyfilesystem import fs
from unionlayers.testing import (
    ImageDescription,
    char_device,
    directory,
    docker_archive,
    fifo,
    file,
    hardlink,
    oci_archive,
    symlink,
    whiteout,
)

HERE = Path(__file__).resolve().parent.parent
IMAGES = HERE / "images"
DEMO = HERE.parent / "examples" / "demo-image"
SHARED = HERE.parent.parent / "shared" / "images"


def tool(name: str) -> Any:
    """Give a module of PyFilesystem that the library itself has no use for."""
    return importlib.import_module(f"fs.{name}")


copy, mirror, move, tree, compress = map(tool, ("copy", "mirror", "move", "tree", "compress"))
wrap, errors = tool("wrap"), fs.errors

PLAIN = {
    "/a/one.txt": b"1\nand\n\nmore",
    "/a/b/two.bin": bytes(range(256)) * 1000,
    "/a/b/c/three.txt": b"",
    "/top.txt": b"top\n",
    "/s p\xe4ce/\U0001f40b": b"whale",
}
DIRECTORIES = {"/a", "/a/b", "/a/b/c", "/empty", "/s p\xe4ce"}


@pytest.fixture(params=["docker-identity", "docker-gzip", "oci-gzip", "oci-zstd"])
def view(request: pytest.FixtureRequest) -> Iterator[UnionFS]:
    form, _, codec = request.param.partition("-")
    build = {"docker": docker_archive, "oci": oci_archive}[form]
    lower = [
        directory("a", mtime=1), file("a/gone", "gone"), file("top.txt", "old"),
        file("a/b/two.bin", PLAIN["/a/b/two.bin"], mtime=1_600_000_000),
    ]  # fmt: skip
    upper = [
        whiteout("a/gone"), directory("empty"),
        *(file(path[1:], content, mtime=1_600_000_000, mode=0o640)
          for path, content in PLAIN.items() if path != "/a/b/two.bin"),
    ]  # fmt: skip
    data = build(ImageDescription([lower, upper]), codec=codec)
    with UnionFS(io.BytesIO(data)) as opened:
        yield opened


def shown(any_fs: Any) -> tuple[dict[str, bytes], set[str]]:
    """Give the content of each file and the set of directories, by PyFilesystem's own walker."""
    walker = fs.walk.Walker()
    files = {path: any_fs.readbytes(path) for path in walker.files(any_fs)}
    return files, set(walker.dirs(any_fs))


# -- copies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 4])
@pytest.mark.parametrize("target", ["mem://", "temp://"])
def test_copy_fs_copies_all(view: UnionFS, target: str, workers: int) -> None:
    with fs.open_fs(target) as there:
        copied: list[str] = []
        copy.copy_fs(
            view, there, workers=workers, preserve_time=True,
            on_copy=lambda _src, path, _dst, _to: copied.append(path),
        )  # fmt: skip
        assert shown(there) == (PLAIN, DIRECTORIES)
        assert sorted(copied) == sorted(PLAIN)
        found = there.getinfo("/top.txt", ["details"]).raw["details"]["modified"]
        assert found == 1_600_000_000


@pytest.mark.parametrize("workers", [0, 4])
def test_copy_dir_copies_a_part(view: UnionFS, workers: int) -> None:
    with fs.open_fs("mem://") as there:
        copy.copy_dir(view, "/a", there, "/", workers=workers)
        assert shown(there)[0] == {
            path[2:]: content for path, content in PLAIN.items() if path.startswith("/a/")
        }
        copy.copy_dir_if(view, "/a", there, "/", "newer", workers=workers)
    with fs.open_fs("mem://") as there:
        copy.copy_fs(view.opendir("/a/b"), there, workers=workers)
        assert sorted(shown(there)[0]) == ["/c/three.txt", "/two.bin"]


def test_copy_file_copies_one(view: UnionFS) -> None:
    with fs.open_fs("mem://") as there:
        copy.copy_file(view, "/top.txt", there, "/x", preserve_time=True)
        assert there.readbytes("/x") == b"top\n"
        copy.copy_file(view, "/a/b/two.bin", there, "/y")
        assert there.readbytes("/y") == PLAIN["/a/b/two.bin"]


@pytest.mark.parametrize(
    ("condition", "there_already", "copied"),
    [("always", True, True), ("newer", True, False), ("newer", False, True), ("older", True, True),
     ("exists", True, True), ("exists", False, False), ("not_exists", True, False),
     ("not_exists", False, True)],
)  # fmt: skip
def test_copies_can_depend_on_what_is_there(
    view: UnionFS, condition: str, there_already: bool, copied: bool
) -> None:
    with fs.open_fs("mem://") as there:
        if there_already:
            there.writetext("/top.txt", "newer than the image")
        assert copy.copy_file_if(view, "/top.txt", there, "/top.txt", condition) is copied
    with fs.open_fs("mem://") as there:
        if there_already:
            there.writetext("/top.txt", "newer than the image")
        seen: list[str] = []
        copy.copy_fs_if(
            view, there, condition, on_copy=lambda _src, path, _dst, _to: seen.append(path)
        )
        assert ("/top.txt" in seen) is copied


def test_structures_are_copied(view: UnionFS) -> None:
    with fs.open_fs("mem://") as there:
        copy.copy_structure(view, there)
        assert shown(there) == ({}, DIRECTORIES)


@pytest.mark.parametrize("workers", [0, 4])
def test_a_mirror_is_made_equal_and_copies_nothing_twice(view: UnionFS, workers: int) -> None:
    with fs.open_fs("temp://") as there:
        there.makedirs("/gone/deep")
        there.writetext("/empty", "a file in the way")
        there.writetext("/a", "another")
        mirror.mirror(view, there, workers=workers, preserve_time=True)
        assert shown(there) == (PLAIN, DIRECTORIES)
        before = os.stat(there.getsyspath("/top.txt")).st_ino
        there.writebytes("/top.txt", b"top!")
        mirror.mirror(view, there, workers=workers)
        # The same size and newer: as PyFilesystem compares, it stays.
        assert there.readbytes("/top.txt") == b"top!"
        assert os.stat(there.getsyspath("/top.txt")).st_ino == before


def test_downloads_and_uploads_pass_the_bytes(view: UnionFS) -> None:
    target = io.BytesIO()
    view.download("/a/b/two.bin", target, chunk_size=1000)
    assert target.getvalue() == PLAIN["/a/b/two.bin"]
    with fs.open_fs("mem://") as there, view.openbin("/a/b/two.bin") as source:
        there.upload("/x", source)
        assert there.readbytes("/x") == PLAIN["/a/b/two.bin"]


# -- what writes is refused ------------------------------------------------------------------------

INTO: dict[str, Callable[[UnionFS, Any], Any]] = {
    "move_file": lambda v, m: move.move_file(v, "/top.txt", m, "/x"),
    "move_dir": lambda v, m: move.move_dir(v, "/a", m, "/"),
    "move_fs": move.move_fs,
    "move_fs of a part": lambda v, m: move.move_fs(v.opendir("/a"), m),
    "move_file into it": lambda v, m: move.move_file(m, "/m", v, "/m"),
    "copy_file into it": lambda v, m: copy.copy_file(m, "/m", v, "/m"),
    "copy_fs into it": lambda v, m: copy.copy_fs(m, v),
    "copy_fs into it by workers": lambda v, m: copy.copy_fs(m, v, workers=4),
    "mirror into it": lambda v, m: mirror.mirror(m, v),
    "removal by glob": lambda v, _: v.glob("**/*.txt").remove(),
    "a part": lambda v, _: v.opendir("/a").writetext("new", "x"),
    "a part's directory": lambda v, _: v.opendir("/a").makedir("new"),
    "a part removed": lambda v, _: v.opendir("/a").removetree("/b"),
}


@pytest.mark.parametrize("name", INTO)
def test_tools_that_would_write_are_refused_and_nothing_is_lost(view: UnionFS, name: str) -> None:
    with fs.open_fs("mem://") as there:
        there.writetext("/m", "kept")
        with pytest.raises(errors.ResourceReadOnly):
            INTO[name](view, there)
        assert there.readtext("/m") == "kept"
    assert shown(view) == (PLAIN, DIRECTORIES)


# -- looks -----------------------------------------------------------------------------------------


def test_the_tree_is_drawn(view: UnionFS) -> None:
    drawn = io.StringIO()
    assert tree.render(view, file=drawn, with_color=False) == (5, 5)
    assert drawn.getvalue().splitlines()[:6] == [
        "|-- a", "|   |-- b", "|   |   |-- c", "|   |   |   `-- three.txt", "|   |   `-- two.bin",
        "|   `-- one.txt",
    ]  # fmt: skip
    drawn = io.StringIO()
    view.tree(file=drawn, max_levels=1, filter=["*.txt"])
    assert "top.txt" in drawn.getvalue()


def test_globs_match_as_pyfilesystem_says(view: UnionFS) -> None:
    assert sorted(match.path for match in view.glob("**/*.txt")) == [
        "/a/b/c/three.txt", "/a/one.txt", "/top.txt",
    ]  # fmt: skip
    assert sorted(match.path for match in view.glob("*/")) == ["/a/", "/empty/", "/s p\xe4ce/"]
    counts = view.glob("**/*.txt").count()
    assert (counts.files, counts.directories, counts.data) == (3, 0, 15)
    lines = view.glob("**/*.txt").count_lines()
    assert (lines.lines, lines.non_blank) == (5, 4)


def test_hashes_are_those_of_the_content(view: UnionFS) -> None:
    for name in ("md5", "sha1", "sha256", "blake2b"):
        for path, content in PLAIN.items():
            assert view.hash(path, name) == hashlib.new(name, content).hexdigest()


def test_a_part_is_a_filesystem_of_its_own(view: UnionFS) -> None:
    part = view.opendir("/a/b")
    assert part.listdir("/") == ["c", "two.bin"]
    assert sorted(part.walk.files()) == ["/c/three.txt", "/two.bin"]
    assert sorted(part.walk.dirs()) == ["/c"]
    assert [(p, i.size) for p, i in part.walk.info(namespaces=["details"]) if not i.is_dir] == [
        ("/two.bin", 256_000), ("/c/three.txt", 0),
    ]  # fmt: skip
    deeper = part.opendir("c")
    assert list(deeper.walk.files()) == ["/three.txt"]
    with pytest.raises(errors.ResourceNotFound):
        part.openbin("/one.txt")
    part.close()
    assert view.exists("/a")


def test_images_are_mounted_beside_other_filesystems(view: UnionFS) -> None:
    mounted = tool("mountfs").MountFS()
    with fs.open_fs("mem://") as memory, mounted:
        memory.writetext("/m", "memory")
        mounted.mount("image/deep", view.opendir("/a"))
        mounted.mount("memory", memory)
        assert mounted.listdir("/") == ["image", "memory"]
        assert mounted.readbytes("/image/deep/b/two.bin") == PLAIN["/a/b/two.bin"]
        assert sorted(mounted.walk.files("/image")) == [
            "/image/deep/b/c/three.txt", "/image/deep/b/two.bin", "/image/deep/one.txt",
        ]  # fmt: skip
        with pytest.raises(errors.ResourceReadOnly):
            mounted.writetext("/image/deep/new", "x")
        with pytest.raises(errors.ResourceNotFound):
            mounted.readbytes("/image/none")


def test_images_are_stacked_with_other_filesystems(view: UnionFS) -> None:
    stacked = tool("multifs").MultiFS()
    memory = fs.open_fs("mem://")
    with stacked:
        memory.writetext("/top.txt", "memory")
        memory.writetext("/m", "memory")
        stacked.add_fs("image", view)
        stacked.add_fs("memory", memory, write=True, priority=1)
        assert stacked.readtext("/top.txt") == "memory"
        assert stacked.readbytes("/a/one.txt") == PLAIN["/a/one.txt"]
        assert set(stacked.listdir("/")) == {"a", "empty", "m", "s p\xe4ce", "top.txt"}
        assert stacked.which("/a/one.txt")[0] == "image"
        stacked.writetext("/new", "x")
        assert not view.exists("/new")


@pytest.mark.parametrize("wrapper", ["cache_directory", "read_only"])
def test_wraps_show_the_same(view: UnionFS, wrapper: str) -> None:
    wrapped = getattr(wrap, wrapper)(view)
    assert shown(wrapped) == (PLAIN, DIRECTORIES)
    assert wrapped.getinfo("/top.txt", ["details"]).size == 4
    assert wrapped.isfile("/top.txt")
    assert wrapped.isdir("/a")
    assert sorted(RegularFiles().files(wrapped)) == sorted(PLAIN)
    assert sorted(wrapped.walk.files()) == sorted(PLAIN)
    with pytest.raises(errors.ResourceReadOnly):
        wrapped.writetext("/new", "x")


def test_an_image_is_packed_into_archives_and_read_back(view: UnionFS) -> None:
    packed = io.BytesIO()
    compress.write_tar(view, packed)
    packed.seek(0)
    with tool("tarfs").TarFS(packed) as again:
        assert shown(again) == (PLAIN, DIRECTORIES)
        facts = again.getinfo("/top.txt", ["details", "access"])
        assert facts.raw["details"]["modified"] == 1_600_000_000
        assert facts.permissions.mode == 0o640
    packed = io.BytesIO()
    with fs.open_fs("mem://") as dated:
        # The ZIP format has no time before 1980, which a directory of the image may have.
        copy.copy_fs(view, dated)
        compress.write_zip(dated, packed)
    with zipfile.ZipFile(packed) as zipped:
        assert zipped.read("a/one.txt") == PLAIN["/a/one.txt"]


# -- whole images ----------------------------------------------------------------------------------


def odd() -> bytes:
    return docker_archive(
        ImageDescription(
            [
                [
                    directory("d"), file("d/f", "data"), hardlink("d/hard", "d/f"),
                    symlink("d/link", "f"), symlink("d/dangling", "none"), symlink("d/up", ".."),
                    symlink("d/loop", "loop"), char_device("d/null", 1, 3), fifo("d/pipe"),
                    symlink("dirlink", "d"), file(b"d/\xff", "raw"),
                ],
            ]
        )
    )  # fmt: skip


def test_what_opens_is_what_regular_files_yields() -> None:
    with UnionFS(io.BytesIO(odd())) as view:
        found = list(RegularFiles().files(view))
        assert found == ["/d/f", "/d/hard", "/d/\udcff"]
        assert all(view.readbytes(path) for path in found)
        assert list(RegularFiles().dirs(view)) == ["/d"]
        (_, dirs, top), (_, _, inner) = RegularFiles().walk(view)
        assert [info.name for info in dirs] == ["d"]
        assert top == []
        assert [info.name for info in inner] == ["f", "hard", "\udcff"]
        assert list(RegularFiles(filter=["h*"]).files(view)) == ["/d/hard"]
        assert list(RegularFiles(search="depth").files(view)) == found
        bound = RegularFiles.bind(view)
        assert list(bound.files()) == found
        assert list(RegularFiles().files(view.opendir("/dirlink"))) == ["/f", "/hard", "/\udcff"]


def test_regular_files_walks_any_filesystem(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    # PyFilesystem's OSFS itself cannot give details of a link that dangles.
    (tmp_path / "link").symlink_to("f")
    os.mkfifo(tmp_path / "pipe")
    with fs.open_fs(str(tmp_path)) as there:
        assert sorted(RegularFiles().files(there)) == ["/f", "/link"]
        assert sorted(there.walk.files()) == ["/f", "/link", "/pipe"]


@pytest.mark.parametrize(
    ("path", "error"),
    [("/d/dangling", errors.ResourceNotFound), ("/d/up", errors.FileExpected),
     ("/d/loop", errors.ResourceInvalid), ("/d/null", errors.FileExpected),
     ("/d/pipe", errors.FileExpected), ("/dirlink", errors.FileExpected)],
)  # fmt: skip
def test_the_default_walker_yields_what_does_not_open(path: str, error: Any) -> None:
    with UnionFS(io.BytesIO(odd())) as view, fs.open_fs("mem://") as there:
        assert path in set(view.walk.files())
        with pytest.raises(error):
            copy.copy_file(view, path, there, "/x")


@pytest.mark.parametrize("workers", [0, 4])
def test_copies_by_the_default_walker_stop_at_what_does_not_open(workers: int) -> None:
    stops = (errors.FSError, tool("errors").BulkCopyFailed)
    with UnionFS(io.BytesIO(odd())) as view:
        with fs.open_fs("mem://") as there, pytest.raises(stops):
            copy.copy_fs(view, there, workers=workers)
        with fs.open_fs("mem://") as there:
            copy.copy_fs(view, there, walker=RegularFiles(), workers=workers)
            assert shown(there) == (
                {"/d/f": b"data", "/d/hard": b"data", "/d/\udcff": b"raw"}, {"/d"},
            )  # fmt: skip
        with fs.open_fs("temp://") as there:
            mirror.mirror(view, there, walker=RegularFiles(), workers=workers)
            assert sorted(there.walk.files()) == ["/d/f", "/d/hard", "/d/\udcff"]


REAL = [
    (DEMO / "ledger.oci.tar", "ledger"),
    (IMAGES / "dup-layers.docker-save.tar", "dup-layers"),
    (IMAGES / "many-layers.oci-gzip.tar", "many-layers"),
    (IMAGES / "tiny.skopeo-docker-archive.tar", "tiny"),
    (SHARED / "debian-small.oci-gzip.tar", "debian-small"),
]
# Times that no two runtimes need agree on (case H7).
OUT_OF_RANGE = {"/srv/zoo/t-2300", "/srv/zoo/t-1960"}


def truth(name: str) -> dict[str, dict[str, Any]]:
    for folder in (IMAGES / "truth", SHARED / "truth"):
        packed = folder / f"{name}.jsonl.gz"
        if packed.exists():
            facts = [json.loads(line) for line in gzip.decompress(packed.read_bytes()).splitlines()]
            return {"/" + fact["path"]: fact for fact in facts if fact["path"] != "."}
    pytest.skip(f"the truth of {name} is not here")


def real(archive: Path, name: str) -> tuple[Path, dict[str, str], dict[str, int], set[str]]:
    """Give the archive, and of its truth the hashes and times of files, and the directories."""
    if not archive.exists():
        pytest.skip(f"{archive.name} is not here")
    facts = truth(name)
    hashes = {path: fact["sha256"] for path, fact in facts.items() if fact["type"] == "file"}
    times = {path: facts[path]["mtime"] for path in hashes if path not in OUT_OF_RANGE}
    return archive, hashes, times, {p for p, fact in facts.items() if fact["type"] == "dir"}


def on_disk(root: Path) -> tuple[dict[str, str], dict[str, int], set[str]]:
    hashes: dict[str, str] = {}
    times: dict[str, int] = {}
    folders: set[str] = set()
    for above, names, files in os.walk(root):
        shown_above = "/" + os.path.relpath(above, root) if above != str(root) else ""
        folders.update(f"{shown_above}/{name}" for name in names)
        for name in files:
            full = os.path.join(above, name)
            found = os.lstat(full)
            assert stat.S_ISREG(found.st_mode), full
            with open(full, "rb") as opened:
                hashes[f"{shown_above}/{name}"] = hashlib.file_digest(opened, "sha256").hexdigest()
            times[f"{shown_above}/{name}"] = found.st_mtime_ns
    return hashes, times, folders


@pytest.mark.parametrize(("archive", "name"), REAL, ids=[name for _, name in REAL])
def test_a_whole_image_is_copied_by_workers_as_a_runtime_unpacks_it(
    archive: Path, name: str, tmp_path: Path
) -> None:
    archive, hashes, times, folders = real(archive, name)
    with open_image(archive) as image, fs.open_fs(str(tmp_path)) as there:
        copy.copy_fs(image.fs(), there, walker=RegularFiles(), workers=4, preserve_time=True)
    found, dated, made = on_disk(tmp_path)
    assert found == hashes
    assert made == folders
    # PyFilesystem passes times on as a float of seconds.
    late = {path for path, ns in times.items() if abs(dated[path] - ns) > 1000}
    assert late == set()


@pytest.mark.parametrize(("archive", "name"), REAL, ids=[name for _, name in REAL])
def test_a_whole_image_is_mirrored_as_a_runtime_unpacks_it(
    archive: Path, name: str, tmp_path: Path
) -> None:
    archive, hashes, _, folders = real(archive, name)
    (tmp_path / "stale").mkdir()
    (tmp_path / "etc").write_text("in the way")
    with open_image(archive) as image, fs.open_fs(str(tmp_path)) as there:
        mirror.mirror(image.fs(), there, walker=RegularFiles())
        found, _, made = on_disk(tmp_path)
        assert (found, made) == (hashes, folders)


@pytest.mark.parametrize(("archive", "name"), REAL, ids=[name for _, name in REAL])
def test_a_whole_image_hashes_as_a_runtime_unpacks_it(archive: Path, name: str) -> None:
    archive, hashes, _, folders = real(archive, name)
    with open_image(archive) as image:
        view = image.fs()
        found = {path: view.hash(path, "sha256") for path in RegularFiles().files(view)}
        assert found == hashes
        assert set(view.walk.dirs()) == folders


@pytest.mark.parametrize(("archive", "name"), REAL, ids=[name for _, name in REAL])
def test_our_walker_yields_what_pyfilesystems_does_in_its_order(archive: Path, name: str) -> None:
    archive, _, _, _ = real(archive, name)
    with open_image(archive) as image:
        view = image.fs()
        theirs = fs.walk.Walker()
        assert list(view.walk.files()) == list(theirs.files(view))
        assert list(view.walk.dirs()) == list(theirs.dirs(view))
        for search in ("breadth", "depth"):
            asked: dict[str, Any] = {"search": search, "exclude_dirs": ["share"], "max_depth": 4}
            assert [
                (step.path, [i.raw for i in step.dirs], [i.raw for i in step.files])
                for step in view.walk("/usr" if view.isdir("/usr") else "/", ["details"], **asked)
            ] == [
                (step.path, [i.raw for i in step.dirs], [i.raw for i in step.files])
                for step in fs.walk.Walker(**asked).walk(
                    view, "/usr" if view.isdir("/usr") else "/", ["details"]
                )
            ]
    assert unionlayers.RegularFiles is RegularFiles
