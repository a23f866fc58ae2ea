"""What `ImagePath` answers: as ``pathlib`` and the kernel do, and to what takes a Traversable."""

from __future__ import annotations

import contextlib
import errno
import gzip
import importlib.resources
import io
import json
import os
import pickle
import random
import stat
import sys
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

import unionlayers
from unionlayers import Image, ImagePath, open_image
from unionlayers.testing import (
    ImageDescription,
    block_device,
    char_device,
    directory,
    docker_archive,
    fifo,
    file,
    hardlink,
    symlink,
    whiteout,
)

LAYERS = [
    [
        directory("etc", mode=0o751, uid=3, gid=4, mtime=50),
        file("etc/passwd", "root:x:0:0::/:\nann:x:7:8::/:\n"),
        file("etc/group", "root:x:0:\nstaff:x:8:\n"),
        file("etc/gone"),
        symlink("link", "etc/passwd", uid=7, gid=8),
        symlink("dirlink", "etc"),
        symlink("dangling", "nowhere"),
        symlink("circle", "circle"),
        char_device("null", 1, 3),
        block_device("disk", 8, 1),
        fifo("pipe"),
        directory("implied"),
    ],
    [
        whiteout("etc/gone"),
        file("etc/conf.tar.gz", "text é", uid=7, gid=8, mode=0o4750, mtime_ns=1_000_000_001),
        hardlink("hard", "etc/conf.tar.gz", uid=7, gid=8, mode=0o4750, mtime_ns=1_000_000_001),
        file("etc/.hidden"),
        file(b"caf\xe9/na\xefve", "latin"),
        file("deep/er/file"),
    ],
]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "image.tar"
    path.write_bytes(docker_archive(ImageDescription(LAYERS)))
    return path


@pytest.fixture
def image(archive: Path) -> Iterator[Image]:
    with open_image(archive) as opened:
        yield opened


@pytest.fixture
def root(image: Image) -> ImagePath:
    return image.path()


# -- the path itself -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["/", "/etc", "/etc/conf.tar.gz", "/etc/.hidden", "/a/../b", "/a.", "/..", "/caf\udce9/x.y"],
)
def test_the_parts_are_those_of_pathlib(root: ImagePath, text: str) -> None:
    path, pure = root / text, PurePosixPath(text)
    for name in ("name", "stem", "suffix", "suffixes", "parts"):
        assert getattr(path, name) == getattr(pure, name), name
    assert str(path) == path.as_posix() == str(pure)
    assert str(path.parent) == str(pure.parent)
    assert [str(above) for above in path.parents] == [str(above) for above in pure.parents]
    assert path.is_absolute()
    for pattern in ("*.gz", "/etc/*", "etc/*", "b", "*"):
        assert path.match(pattern) == pure.match(pattern)


def test_a_path_is_clean_but_for_its_dots_and_the_slash_at_its_end(image: Image) -> None:
    spelled = {
        "etc": "/etc", "//etc//x": "/etc/x", "/./etc/./x": "/etc/x", "/etc/": "/etc/",
        "/etc/.": "/etc/", "": "/", ".": "/", "//": "/", "/a/../b/": "/a/../b/",
    }  # fmt: skip
    assert {text: str(image.path(text)) for text in spelled} == spelled
    assert image.path("/etc/") != image.path("/etc")
    assert image.path("/etc/").name == "etc"


def test_joining_is_that_of_pathlib(root: ImagePath) -> None:
    assert str(root / "a" / "b") == str(root.joinpath("a", "b")) == "/a/b"
    assert str(root / "a" / "/b") == "/b"
    assert str((root / "a").joinpath()) == str(root / "a" / "") == "/a"
    assert str(root / PurePosixPath("x/y")) == "/x/y"
    assert str((root / "a/") / "b") == "/a/b"
    with pytest.raises(TypeError):
        root / 1  # type: ignore[operator]


def test_names_are_replaced_and_paths_compared_as_pathlib_does(root: ImagePath) -> None:
    path = root / "etc/conf.tar.gz"
    assert str(path.with_name("x")) == "/etc/x"
    assert str(path.with_stem("x")) == "/etc/x.gz"
    assert str(path.with_suffix(".xz")) == "/etc/conf.tar.xz"
    with pytest.raises(ValueError, match="empty name"):
        root.with_name("x")
    assert path.relative_to("/etc") == PurePosixPath("conf.tar.gz")
    assert path.relative_to(root / "etc/") == PurePosixPath("conf.tar.gz")
    assert path.is_relative_to(root)
    assert not path.is_relative_to("/et")
    with pytest.raises(ValueError, match="subpath"):
        path.relative_to("/usr")


# -- what is there ---------------------------------------------------------------------------------

KINDS = {
    "/etc": "is_dir", "/etc/passwd": "is_file", "/null": "is_char_device",
    "/disk": "is_block_device", "/pipe": "is_fifo",
}  # fmt: skip


@pytest.mark.parametrize("path", KINDS)
def test_every_kind_is_told(root: ImagePath, path: str) -> None:
    asked = ["is_dir", "is_file", "is_char_device", "is_block_device", "is_fifo", "is_symlink"]
    assert [name for name in asked if getattr(root / path, name)()] == [KINDS[path]]


def test_links_are_followed_unless_told_otherwise(root: ImagePath) -> None:
    link, folder = root / "link", root / "dirlink"
    assert link.is_file()
    assert link.is_symlink()
    assert not link.is_file(follow_symlinks=False)
    assert folder.is_dir()
    assert not folder.is_dir(follow_symlinks=False)
    assert (root / "dirlink/").is_dir(follow_symlinks=False)
    for name in ("dangling", "circle"):
        path = root / name
        assert (path.exists(), path.is_file(), path.is_dir(), path.is_symlink()) == (
            False, False, False, True,
        )  # fmt: skip
        assert path.exists(follow_symlinks=False)
        assert path.lstat().st_size == len(path.readlink())
    assert link.readlink() == "etc/passwd"
    assert folder.resolve() == root / "etc"
    assert (root / "dirlink/../link").resolve() == root / "etc/passwd"


def test_info_answers_what_path_info_of_python_3_14_asks(root: ImagePath) -> None:
    info = (root / "dirlink").info
    assert (info.exists(follow_symlinks=False), info.is_dir(), info.is_symlink()) == (
        True, True, True,
    )  # fmt: skip
    assert not info.is_file(follow_symlinks=True)
    if sys.version_info >= (3, 14):
        from pathlib.types import PathInfo

        assert isinstance(info, PathInfo)


def test_stat_and_lstat_have_the_names_of_os_stat(root: ImagePath) -> None:
    found = (root / "etc/conf.tar.gz").stat()
    assert found.st_mode == stat.S_IFREG | 0o4750
    assert (found.st_uid, found.st_gid, found.st_size) == (7, 8, 7)
    assert (found.st_mtime_ns, found.st_mtime, found.st_nlink) == (1_000_000_001, 1.000000001, 2)
    assert (root / "hard").stat() == found
    assert (root / "hard").samefile(root / "etc/conf.tar.gz")
    assert (root / "hard").samefile("/etc/conf.tar.gz")
    assert not (root / "hard").samefile("/link")
    assert os.major((root / "null").stat().st_rdev) == 1
    assert (root / "link").stat() == (root / "etc/passwd").stat()
    assert stat.S_ISLNK((root / "link").lstat().st_mode)
    assert (root / "link").stat(follow_symlinks=False) == (root / "link").lstat()


def test_owners_have_their_names_from_the_image(root: ImagePath) -> None:
    assert ((root / "link").owner(), (root / "link").group()) == ("root", "root")
    link = root / "link"
    assert link.owner(follow_symlinks=False) == "ann"
    assert link.group(follow_symlinks=False) == "staff"
    assert ((root / "etc").owner(), (root / "etc").group()) == (None, None)


def test_the_layer_is_that_which_has_what_the_path_leads_to(root: ImagePath) -> None:
    layers = {path: (root / path).layer for path in ("etc", "link", "hard", "deep", "deep/er/file")}
    assert layers == {"etc": 0, "link": 0, "hard": 1, "deep": None, "deep/er/file": 1}


ERRORS: list[tuple[str, Callable[[ImagePath], Any], str, int, type[OSError]]] = [
    ("nothing", ImagePath.stat, "none", errno.ENOENT, FileNotFoundError),
    ("a link that dangles", ImagePath.stat, "dangling", errno.ENOENT, FileNotFoundError),
    ("a dangling link resolved", ImagePath.resolve, "dangling", errno.ENOENT, FileNotFoundError),
    ("a circle", ImagePath.read_bytes, "circle", errno.ELOOP, OSError),
    ("below a file", ImagePath.lstat, "link/x", errno.ENOTDIR, NotADirectoryError),
    ("a file with a slash", ImagePath.stat, "link/", errno.ENOTDIR, NotADirectoryError),
    ("a file as a directory", ImagePath.iterdir, "link", errno.ENOTDIR, NotADirectoryError),
    ("a directory as a file", ImagePath.read_text, "etc", errno.EISDIR, IsADirectoryError),
    ("a device", ImagePath.read_bytes, "null", errno.ENXIO, OSError),
    ("no link", ImagePath.readlink, "etc", errno.EINVAL, OSError),
    ("writing", lambda path: path.open("w"), "none", errno.EROFS, OSError),
    ("appending", lambda path: path.open("ab"), "link", errno.EROFS, OSError),
    ("reading and writing", lambda path: path.open("r+"), "link", errno.EROFS, OSError),
]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "path", "code", "builtin"), [case[1:] for case in ERRORS], ids=[c[0] for c in ERRORS]
)
def test_errors_are_those_of_the_kernel(
    root: ImagePath, ask: Callable[[ImagePath], Any], path: str, code: int, builtin: type[OSError]
) -> None:
    with pytest.raises(builtin) as caught:
        ask(root / path)
    error = caught.value
    assert isinstance(error, unionlayers.PathError)
    assert (error.errno, error.filename) == (code, f"/{path}")


def test_a_nul_is_a_value_error_and_does_not_exist(root: ImagePath) -> None:
    path = root / "a\0b"
    assert not path.exists()
    assert not path.is_file()
    with pytest.raises(ValueError, match="NUL"):
        path.stat()


def test_a_closed_image_is_said(image: Image) -> None:
    path = image.path("/etc/passwd")
    image.close()
    for ask in (path.exists, path.stat, path.read_text, path.is_dir, path.parent.iterdir):
        with pytest.raises(unionlayers.ClosedError):
            ask()
    with pytest.raises(unionlayers.ClosedError):
        list(path.parent.glob("*"))


def test_damage_is_raised_and_never_told_as_absence(tmp_path: Path) -> None:
    bad = file("a", "text")
    tar = docker_archive(ImageDescription([[bad]]))
    at = tar.index(b"text")
    source = io.BytesIO(tar[:at] + b"TEXT" + tar[at + 4 :])
    with open_image(source) as image:
        for ask in (image.path("/a").exists, image.path("/a").is_file, image.path("/").is_dir):
            with pytest.raises(unionlayers.DigestMismatchError):
                ask()


# -- bytes -----------------------------------------------------------------------------------------


def test_files_are_read_as_bytes_and_as_text(root: ImagePath) -> None:
    path = root / "etc/conf.tar.gz"
    assert path.read_bytes() == "text é".encode()
    assert path.read_text() == path.read_text("utf-8") == "text é"
    assert path.read_text("ascii", "replace").startswith("text ")
    with path.open("rb", 16) as binary:
        assert isinstance(binary, io.BufferedReader)
        binary.seek(5)
        assert binary.read().decode() == "é"
    with path.open(encoding="latin-1", newline="") as text:
        assert text.read(6) == "text Ã"
    for mode in ("", "b", "rt", "rb", "tr", "br", "rbt", "rr", "q", "rU"):
        if mode in {"rt", "tr", "rb", "br"}:
            path.open(mode).close()
        else:
            with pytest.raises(ValueError, match="mode"):
                path.open(mode)


# -- as a value ------------------------------------------------------------------------------------


def test_paths_are_values_of_their_image(image: Image, archive: Path) -> None:
    one, two = image.path("/etc"), image.path("etc")
    assert one == two
    assert len({one, two, image.path() / "etc", image.path("/etc/passwd").parent}) == 1
    assert one != "/etc"
    with open_image(archive) as again, open_image(archive, profile="overlay") as other:
        assert again.path("/etc") == one
        assert other.path("/etc") != one
        with pytest.raises(TypeError):
            sorted([one, other.path("/a")])
    with open_image(io.BytesIO(archive.read_bytes())) as anonymous:
        assert anonymous.path("/etc") != one
    with pytest.raises(TypeError):
        one < "/etc"  # noqa: B015


def test_paths_are_ordered_by_the_bytes_of_their_components(root: ImagePath) -> None:
    given = ["/a", "/a/b", "/a-b", "/a.b", "/\udcff", "/é", "/a/b/c", "/"]
    expected = sorted(given, key=lambda path: os.fsencode(path).split(b"/"))
    random.Random(1).shuffle(given)
    assert [str(path) for path in sorted(root / path for path in given)] == expected
    assert root / "a" <= root / "a"
    assert root / "b" > root / "a"
    assert root / "b" >= root / "a"


def test_a_path_pickles_with_its_image(image: Image) -> None:
    path = image.path("/etc/passwd")
    again = pickle.loads(pickle.dumps(path))
    with contextlib.closing(again._image):
        assert again == path
        assert hash(again) == hash(path)
        assert again.read_text() == path.read_text()


def test_names_that_are_not_utf_8_are_found_and_listed(root: ImagePath) -> None:
    path = root / os.fsdecode(b"caf\xe9") / os.fsdecode(b"na\xefve")
    assert path.read_text() == "latin"
    assert [os.fsencode(str(found)) for found in root.glob("caf*/*")] == [b"/caf\xe9/na\xefve"]


# -- what takes a Traversable ----------------------------------------------------------------------


def test_it_is_a_traversable(root: ImagePath) -> None:
    assert isinstance(root, Traversable)


def test_importlib_resources_makes_a_file_of_it(root: ImagePath) -> None:
    with importlib.resources.as_file(root / "link") as made:
        assert made.read_bytes() == (root / "etc/passwd").read_bytes()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="before 3.12 as_file takes files alone")
def test_importlib_resources_makes_a_folder_of_it(root: ImagePath) -> None:
    with importlib.resources.as_file(root / "dirlink") as made:
        assert sorted(path.name for path in made.iterdir()) == [
            ".hidden", "conf.tar.gz", "group", "passwd",
        ]  # fmt: skip
        assert (made / "conf.tar.gz").read_text("utf-8") == "text é"


def test_code_that_walks_a_traversable_walks_it(root: ImagePath) -> None:
    def sizes(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, int]]:
        for child in folder.iterdir():
            if child.is_dir():
                yield from sizes(child, f"{prefix}{child.name}/")
            elif child.is_file():
                yield prefix + child.name, len(child.read_bytes())

    found = dict(sizes(root))
    assert found["deep/er/file"] == 0
    assert found["dirlink/passwd"] == found["etc/passwd"] == found["link"]
    assert root.joinpath("etc", "passwd").read_text().startswith("root:")


def test_a_wheel_in_an_image_is_read_as_metadata(tmp_path: Path) -> None:
    """Code that was written for the folder of an installation reads one in an image."""
    from importlib.metadata import PathDistribution

    info = "usr/lib/python3/dist-packages/demo-1.0.dist-info"
    metadata = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Dist: attrs\n"
    path = tmp_path / "image.tar"
    path.write_bytes(docker_archive(ImageDescription([[file(f"{info}/METADATA", metadata)]])))
    with open_image(path) as image:
        found = [PathDistribution(item) for item in image.path().rglob("*.dist-info")]
        assert [(one.name, one.version, one.requires) for one in found] == [
            ("demo", "1.0", ["attrs"]),
        ]  # fmt: skip


# -- against pathlib and the kernel ----------------------------------------------------------------


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Give a tree on this host, without links that leave it."""
    tree = tmp_path / "tree"
    (tree / "a" / "b" / "c").mkdir(parents=True)
    (tree / "empty").mkdir()
    for name in ("a/one.txt", "a/b/two.txt", "a/b/c/three.csv", "a/b/.dot", "x.txt", "[x]"):
        (tree / name).write_text(name)
    for name, target in {
        "to-a": "a", "a/up": "..", "a/b/here": ".", "to-file": "a/one.txt", "a/chain": "../to-file",
        "dangling": "nowhere", "circle": "circle2", "circle2": "circle", "a/b/dots": "../../to-a/b",
    }.items():  # fmt: skip
        (tree / name).symlink_to(target)
    return tree


@pytest.fixture
def twin(host: Path, tmp_path: Path) -> Iterator[ImagePath]:
    """Give that tree as an image."""
    tar = tmp_path / "layer.tar"
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as made:
        made.add(host, ".")
    with open_image([tar]) as image:
        yield image.path()


PATTERNS = [
    "*", "*.txt", "**/*.txt", "a/*", "a/**/*.csv", "**/b/*", "*/*", "*/b/*.txt", "to-a/*", "*/up/*",
    "**/here/*.txt", "a/b/two.txt", "none/*", "x.txt/*", "**/", "*/", "a/**/", "**/**/two.txt",
    "[[]x]", "?.txt", "[!a]*", "**/.*", "**/c/..three", "to-a/b/c/*", "a/./b/*", "**/*/*.csv",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_glob_is_that_of_pathlib(host: Path, twin: ImagePath, pattern: str) -> None:
    found = [str(path).rstrip("/") for path in twin.glob(pattern)]
    assert len(found) == len(set(found))
    expected = {str(path).removeprefix(str(host)) for path in host.glob(pattern)}
    assert set(found) == expected
    recursive = {str(path).removeprefix(str(host)) for path in host.rglob(pattern)}
    assert {str(path) for path in twin.rglob(pattern)} == {path or "/" for path in recursive}


def test_two_stars_at_the_end_are_everything_below_parents_first(twin: ImagePath) -> None:
    found = [str(path) for path in (twin / "a/b").glob("**")]
    assert found == ["/a/b", "/a/b/.dot", "/a/b/c", "/a/b/c/three.csv", "/a/b/dots", "/a/b/here",
                     "/a/b/two.txt"]  # fmt: skip
    assert list((twin / "none").glob("**")) == list((twin / "x.txt").glob("*")) == []


@pytest.mark.parametrize("pattern", ["", "/etc", "../x", "a/../b"])
def test_a_pattern_that_leads_elsewhere_is_refused(twin: ImagePath, pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        list(twin.glob(pattern))
    with pytest.raises(ValueError, match="pattern"):
        list(twin.rglob(pattern))


def test_a_pattern_of_many_stars_takes_no_time_that_grows_with_their_ways(tmp_path: Path) -> None:
    tree = file("d/" * 60 + "f")
    path = tmp_path / "image.tar"
    path.write_bytes(docker_archive(ImageDescription([[tree]])))
    with open_image(path) as image:
        # Sixty directories and twelve free choices among them are 10**12 ways.
        assert [found.name for found in image.path().glob("**/d/" * 12 + "**/f")] == ["f"]


def test_a_very_deep_tree_is_searched_without_recursion(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(docker_archive(ImageDescription([[file("d/" * 1500 + "f")]])))
    with open_image(path) as image:
        assert sum(1 for _ in image.path().rglob("f")) == 1


def test_any_path_leads_where_the_kernel_goes(
    host: Path, twin: ImagePath, seed: int, sample_size: int
) -> None:
    """Random paths with ``..``, links and slashes: the same file, or the same errno."""
    names = ["a", "b", "c", "to-a", "up", "here", "..", ".", "", "to-file", "chain", "dangling",
             "circle", "one.txt", "two.txt", "dots", "x.txt", "none"]  # fmt: skip
    drawn = random.Random(seed)
    asked = 0
    for _ in range(sample_size * 5):
        path = "/" + "/".join(drawn.choices(names, k=drawn.randrange(1, 7)))
        if _leaves(host, path):
            continue  # in an image ".." stops at the root
        asked += 1
        for follow in (True, False):
            try:
                expected: Any = os.stat(f"{host}{path}", follow_symlinks=follow)
                there: Any = (stat.S_IFMT(expected.st_mode), expected.st_mode)
            except OSError as error:
                there = error.errno
            try:
                found = (twin / path).stat(follow_symlinks=follow)
                here: Any = (stat.S_IFMT(found.st_mode), found.st_mode)
            except OSError as error:
                here = error.errno
            assert here == there, (path, follow)
    assert asked > sample_size


def _leaves(host: Path, path: str) -> bool:
    """Tell whether a path climbs above the tree on its way on the host."""
    here = str(host)
    for name in path.split("/"):
        here = os.path.realpath(f"{here}/{name}")
        if not (here + "/").startswith(f"{host}/"):
            return True
    return False


def test_eight_threads_of_one_cold_image_are_told_the_same(archive: Path) -> None:
    def answers(path: ImagePath) -> list[Any]:
        return [
            [str(found) for found in path.rglob("*")],
            (path / "link").read_text(),
            (path / "etc").stat(),
            (path / "hard").owner(),
            [child.layer for child in path.iterdir() if child.exists()],
        ]

    with open_image(archive) as image, open_image(archive) as other:
        path = image.path()
        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(answers, [path] * 16))
        assert all(one == told[0] for one in told)
        assert told[0] == answers(other.path())


SHARED = Path(
    os.environ.get("UNIONLAYERS_IMAGES")
    or Path(__file__).resolve().parent.parent.parent.parent / "shared" / "images"
)


def test_a_whole_real_image_is_as_the_runtime_showed_it() -> None:
    source = SHARED / "debian-small.oci-gzip.tar"
    if not source.exists():
        pytest.skip(f"{source.name} is not here; UNIONLAYERS_IMAGES names its folder")
    truth = gzip.decompress((SHARED / "truth" / "debian-small.jsonl.gz").read_bytes())
    facts = {"/" + fact["path"]: fact for fact in map(json.loads, truth.splitlines())}
    facts["/"] = facts.pop("/.")
    with open_image(source) as image:
        root = image.path()
        assert {str(path) for path in root.glob("**")} == set(facts)
        for path, fact in facts.items():
            found = (root / path).lstat()
            assert (found.st_uid, found.st_gid) == (fact["uid"], fact["gid"])
            if fact["type"] == "symlink":
                assert (root / path).readlink() == fact["linkname"]
            elif path != "/":
                assert f"{stat.S_IMODE(found.st_mode):04o}" == fact["mode"], path
            if fact["type"] == "file":
                assert found.st_size == fact["size"]
        assert (root / "srv/zoo/l-dotdot").read_text() == (root / "etc/passwd").read_text()
        assert (root / "etc/passwd").owner() == "root"
