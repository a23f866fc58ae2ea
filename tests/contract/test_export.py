"""What an export writes, what it refuses, and what is left of one that failed."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import unionlayers
from unionlayers import (
    DestinationExistsError,
    ExportError,
    LeftOut,
    LimitError,
    Limits,
    RegularFiles,
    UnionFS,
    open_image,
)
from unionlayers._views.export.beneath import WrittenFolder
from unionlayers.testing import (
    Entry,
    ImageDescription,
    char_device,
    directory,
    docker_archive,
    fifo,
    file,
    hardlink,
    oci_archive,
    sparse_file,
    symlink,
)

DEMO = Path(__file__).resolve().parent.parent.parent / "examples" / "demo-image"
NOBODY = 65_534


@contextlib.contextmanager
def shown(*layers: Sequence[Entry], **options: Any) -> Iterator[UnionFS]:
    """Open layers as a view."""
    source = io.BytesIO(oci_archive(ImageDescription(layers)))
    with open_image(source, **options) as image, image.fs() as view:
        yield view


def names_in(tar: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return archive.getnames()


def exported(view: UnionFS, **options: Any) -> bytes:
    stream = io.BytesIO()
    view.export(stream, **options)
    return stream.getvalue()


@pytest.fixture
def no_root() -> Iterator[None]:
    """Run without the rights of root, as most who export do."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give a folder that anybody may write to, on a way that anybody may go."""
    # What pytest has made for its owner alone; one folder more for a worker of pytest-xdist.
    ours = next(above for above in tmp_path.parents if above.name.startswith("pytest-of-"))
    for above in (tmp_path, *tmp_path.parents):
        if above.is_relative_to(ours):
            above.chmod(0o755)
    made = tmp_path / "place"
    made.mkdir()
    made.chmod(0o777)
    return made


# -- tars ------------------------------------------------------------------------------------------


def test_the_tar_of_a_tree_does_not_depend_on_its_layers_and_their_form(tmp_path: Path) -> None:
    entries = [directory("d"), file("d/a", b"1" * 3000), file("b", b"2"), hardlink("c", "b")]
    one = ImageDescription([entries])
    several = ImageDescription([[entry] for entry in entries[:3]] + [entries[2:]])
    tars = set()
    for archive in (
        oci_archive(one, codec="gzip"),
        oci_archive(several, codec="zstd"),
        docker_archive(several),
    ):
        with open_image(io.BytesIO(archive)) as image, image.fs() as view:
            tars.add(exported(view))
            path = tmp_path / f"{len(os.listdir(tmp_path))}.tar"
            view.export(path)
            tars.add(path.read_bytes())
    assert len(tars) == 1


def test_names_come_in_path_order_and_the_first_of_one_inode_is_the_file() -> None:
    entries = [file("z/b", b"it"), hardlink("a.x", "z/b"), directory("a"), hardlink("a/c", "z/b")]
    with shown(entries) as view:
        tar = exported(view)
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        members = {member.name: member for member in archive}
    assert list(members) == ["a", "a/c", "a.x", "z", "z/b"]
    assert members["a/c"].isreg()
    assert (members["a.x"].linkname, members["z/b"].linkname) == ("a/c", "a/c")


def test_a_tar_has_no_names_of_owners_unless_they_are_asked_for() -> None:
    passwd = file("etc/passwd", b"root:x:0:0::/:\nweb:x:7:8::/:\n")
    group = file("etc/group", "ä:x:8:\n".encode())
    with shown([passwd, group, file("a", uid=7, gid=8)]) as view:
        for names, expected in ((False, ("", "")), (True, ("web", "ä"))):
            with tarfile.open(fileobj=io.BytesIO(exported(view, names=names))) as archive:
                member = archive.getmember("a")
            assert (member.uname, member.gname) == expected


def test_access_and_change_times_are_kept() -> None:
    pax = {"atime": "1500000000.5", "ctime": "1600000000"}
    with shown([file("a", pax=pax)]) as view:
        tar = exported(view)
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        records = archive.getmember("a").pax_headers
    assert records == pax


def test_a_size_that_no_plain_header_holds_is_in_the_header_and_in_a_record() -> None:
    class EnoughError(Exception):
        pass

    def enough(done: int, total: int | None, what: str) -> None:
        raise EnoughError

    size = (8 << 30) + 5
    stream = io.BytesIO()
    with shown([sparse_file("big", [(0, b"x")], size)]) as view, pytest.raises(EnoughError):
        view.export(stream, progress=enough)
    data = stream.getvalue()
    assert b" size=%d\n" % size in data[512:1024]
    assert int.from_bytes(data[1024:1536][124:136], "big") == size | 1 << 95


def test_a_stream_that_takes_a_part_at_a_time_gets_everything() -> None:
    class Slow(io.RawIOBase):
        data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.data += bytes(data[:100])
            return min(len(data), 100)

    slow = Slow()
    with shown([file("a", b"x" * 5000)]) as view:
        view.export(slow)
        assert slow.data == exported(view)
        assert not slow.closed


def test_a_compressing_file_object_compresses(tmp_path: Path) -> None:
    with shown([file("a", b"x" * 5000)]) as view:
        with gzip.open(tmp_path / "a.tar.gz", "wb") as packed:
            view.export(packed)
        assert gzip.decompress((tmp_path / "a.tar.gz").read_bytes()) == exported(view)


# -- what is chosen --------------------------------------------------------------------------------

TREE = [
    directory("etc", mode=0o750),
    file("etc/a.conf", b"a"),
    file("etc/b", b"b"),
    directory("usr"),
    directory("usr/lib", mode=0o711),
    file("usr/lib/a.conf", b"c"),
    hardlink("usr/lib/d", "etc/b"),
    symlink("lib", "usr/lib"),
    fifo("usr/pipe"),
]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"path": "/usr/lib"}, ["usr", "usr/lib", "usr/lib/a.conf", "usr/lib/d"]),
        ({"path": "/lib"}, ["usr", "usr/lib", "usr/lib/a.conf", "usr/lib/d"]),
        ({"path": "/etc/b"}, ["etc", "etc/b"]),
        ({"pattern": "**/*.conf"}, ["etc", "etc/a.conf", "usr", "usr/lib", "usr/lib/a.conf"]),
        ({"pattern": "lib/*.conf"}, ["usr", "usr/lib", "usr/lib/a.conf"]),
        ({"pattern": ["usr/lib/d", "etc", "etc/*.conf"]}, ["etc", "etc/a.conf", "usr", "usr/lib",
                                                          "usr/lib/d"]),
        ({"pattern": "nothing"}, []),
        ({"walker": RegularFiles()}, ["etc", "etc/a.conf", "etc/b", "usr", "usr/lib",
                                      "usr/lib/a.conf", "usr/lib/d"]),
        ({"walker": RegularFiles(filter=["*.conf"], exclude_dirs=["usr"])}, ["etc", "etc/a.conf"]),
        ({"path": "/usr", "walker": RegularFiles()}, ["usr", "usr/lib", "usr/lib/a.conf",
                                                      "usr/lib/d"]),
    ],
    ids=str,
)  # fmt: skip
def test_a_choice_comes_with_the_directories_on_the_way(
    choice: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    with shown(TREE) as view:
        assert names_in(exported(view, **choice)) == expected
        view.export(tmp_path / "folder", **choice)
        found = {
            str(path.relative_to(tmp_path / "folder")) for path in tmp_path.glob("folder/**/*")
        }
        assert found == set(expected)
        if "usr/lib" in expected:
            assert (tmp_path / "folder" / "usr" / "lib").stat().st_mode & 0o7777 == 0o711


def test_of_two_names_the_one_that_is_chosen_is_the_file() -> None:
    with shown(TREE) as view, tarfile.open(
        fileobj=io.BytesIO(exported(view, path="/usr"))
    ) as archive:  # fmt: skip
        assert archive.getmember("usr/lib/d").isreg()


@pytest.mark.parametrize(
    "options",
    [
        {"path": "/usr", "pattern": "x"},
        {"pattern": "x", "walker": RegularFiles()},
        {"links": "follow"},
        {"form": "cpio"},
        {"form": "tar", "destination": "x", "pattern": "../x"},
        {"destination": "x.tar.gz"},
        {"destination": "folder", "names": True},
        {"destination": io.BytesIO(), "form": "folder"},
        {"destination": 7},
    ],
    # An id that shows the object would be another one in each worker of pytest-xdist.
    ids=" ".join,
)
def test_options_that_exclude_each_other_are_named(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with shown(TREE) as view, pytest.raises(ValueError):
        view.export(options.pop("destination", "folder"), **options)
    assert os.listdir(tmp_path) == []


def test_what_is_not_there_cannot_be_exported(tmp_path: Path) -> None:
    with shown(TREE) as view:
        with pytest.raises(FileNotFoundError):
            view.export(tmp_path / "a.tar", path="/nothing")
        with pytest.raises(FileNotFoundError) as caught:
            view.export(tmp_path / "no" / "such.tar")
        assert caught.value.filename == str(tmp_path / "no" / "such.tar")
        assert os.listdir(tmp_path) == []
    with pytest.raises(unionlayers.ClosedError):
        view.export(tmp_path / "a.tar")


# -- folders ---------------------------------------------------------------------------------------

RISKY = [
    directory("./", mode=0o750, mtime=7),
    directory("bin", mode=0o2755, uid=3, mtime=1_500_000_000),
    file("bin/su", b"su", mode=0o6755, uid=5, mtime_ns=1_600_000_000_000_000_001),
    hardlink("bin/su2", "bin/su", mode=0o6755, uid=5, mtime_ns=1_600_000_000_000_000_001),
    file("bin/tagged", b"t", xattrs={"user.a": b"1"}, mode=0o400),
    directory("closed", mode=0o500, mtime=9),
    file("closed/f", b"f", mode=0),
    directory("sticky", mode=0o1777),
    char_device("null", 1, 3),
    fifo("pipe"),
    hardlink("pipe2", "pipe"),
    symlink("bin/absolute", "/bin/su", mtime=5),
    hardlink("deeper", "bin/absolute", mode=0o777, mtime=5),
    symlink("relative", "bin/../bin/su"),
    hardlink("relative2", "relative", mode=0o777),
    symlink("dangling", "/nowhere/../at all"),
]


def test_a_folder_made_without_root_is_as_the_rules_say(place: Path, no_root: None) -> None:
    root = place / "root"
    with shown(RISKY) as view:
        done = view.export(root)
    assert done.left_out == (
        LeftOut("/null", "device"), LeftOut("/pipe", "fifo"), LeftOut("/pipe2", "fifo"),
    )  # fmt: skip
    assert done.rewritten == ("/bin/absolute", "/dangling", "/deeper")
    assert (done.entries, done.bytes) == (12, 4)

    def mode(path: str) -> int:
        return stat.S_IMODE((root / path).lstat().st_mode)

    modes = {path: mode(path) for path in ("", "bin", "bin/su", "bin/tagged", "closed", "sticky")}
    assert modes == {
        "": 0o750, "bin": 0o755, "bin/su": 0o755, "bin/tagged": 0o400, "closed": 0o500,
        "sticky": 0o1777,
    }  # fmt: skip
    assert stat.S_IMODE((root / "closed" / "f").lstat().st_mode) == 0
    assert (root / "bin" / "su").stat().st_uid == os.geteuid()
    assert (root / "bin" / "su").samefile(root / "bin" / "su2")
    assert os.listxattr(root / "bin" / "tagged") == []
    times = [(root / path).lstat().st_mtime_ns for path in ("", "bin", "bin/su", "closed")]
    assert times == [7 * 10**9, 15 * 10**17, 1_600_000_000_000_000_001, 9 * 10**9]
    assert (root / "bin" / "absolute").lstat().st_mtime == 5
    texts = {path: os.readlink(root / path) for path in ("bin/absolute", "deeper", "dangling")}
    assert texts == {
        "bin/absolute": "../bin/su", "deeper": "bin/su", "dangling": "nowhere/../at all",
    }  # fmt: skip
    assert (root / "relative").lstat().st_ino == (root / "relative2").lstat().st_ino


def test_owners_are_given_to_root_alone(place: Path, no_root: None) -> None:
    with shown([file("a", uid=5)]) as view, pytest.raises(ExportError, match="only root"):
        view.export(place / "root", owners=True)
    with (
        shown([char_device("null", 1, 3)]) as view,
        pytest.raises(ExportError, match="may not do this"),
    ):
        view.export(place / "root", devices=True)
    assert os.listdir(place) == []


def test_a_folder_gets_everything_that_is_asked_for(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("owners and devices are root's to make")
    root = tmp_path / "root"
    with shown(RISKY) as view:
        done = view.export(root, owners=True, setuid=True, xattrs=True, devices=True, links="keep")
    assert (done.left_out, done.rewritten) == ((), ())
    found = (root / "bin" / "su").stat()
    assert (found.st_mode, found.st_uid, found.st_mtime_ns) == (
        stat.S_IFREG | 0o6755, 5, 1_600_000_000_000_000_001,
    )  # fmt: skip
    assert (root / "bin").stat().st_mode & 0o7777 == 0o2755
    assert os.getxattr(root / "bin" / "tagged", "user.a") == b"1"
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    assert (root / "pipe").samefile(root / "pipe2")
    assert os.readlink(root / "bin" / "absolute") == "/bin/su"
    assert (root / "bin" / "absolute").lstat().st_ino == (root / "deeper").lstat().st_ino


def test_an_attribute_that_the_host_refuses_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "setxattr", refuse, raising=False)
    for made in (
        file("f", xattrs={"security.capability": b"x"}),
        symlink("f", "g", xattrs={"security.capability": b"x"}),
        fifo("f", xattrs={"security.capability": b"x"}),
    ):
        with shown([made]) as view, pytest.raises(ExportError) as caught:
            view.export(tmp_path / "root", xattrs=True, devices=True)
        assert "'security.capability'" in str(caught.value)
        assert (caught.value.path, caught.value.actual) == ("/f", "EINVAL")


@pytest.mark.parametrize(
    ("text", "refused", "skipped"),
    [("/etc", True, True), ("../../etc", True, True), ("../etc", False, False),
     ("up/../etc", True, True), ("gone/../../../x", True, True), ("/../etc", True, True)],
)  # fmt: skip
def test_links_that_lead_out_are_refused_or_left_out(
    text: str, refused: bool, skipped: bool, tmp_path: Path
) -> None:
    tree = [directory("d"), symlink("d/up", ".."), symlink("d/link", text)]
    with shown(tree) as view:
        done = view.export(tmp_path / "skip", links="skip")
        assert (LeftOut("/d/link", "link") in done.left_out) == skipped
        if refused:
            with pytest.raises(ExportError) as caught:
                view.export(tmp_path / "refuse", links="refuse")
            assert (caught.value.path, caught.value.actual) == ("/d/link", text)
        else:
            view.export(tmp_path / "refuse", links="refuse")
        view.export(tmp_path / "keep", links="keep")
    assert os.readlink(tmp_path / "keep" / "d" / "link") == text


@pytest.mark.parametrize(
    ("tree", "leading_out"),
    [
        # Each of a chain goes up once, and the first of them through what is missing.
        ([("a", "t/.."), ("b", "a/.."), ("c", "b/x")], ["/b", "/c"]),
        ([("a", "t/.."), ("b", "a/../../etc/passwd")], ["/b"]),
        # Behind a missing directory and ".." is what is there: here a link that leads no deeper.
        ([("a", "."), ("b", "t/../a/..")], ["/b"]),
        ([("a", "t/u"), ("b", "a/../../c"), ("c", "b")], []),
        # What is left out is missing too; and what passes what leads out leads out itself.
        ([("a", "/d/e"), ("b", "a/../../x")], ["/a", "/b"]),
        ([("a", "../x"), ("b", "a/y"), ("d/c", "../b")], ["/a", "/b", "/d/c"]),
        ([("a", "b/../.."), ("b", "a/../..")], []),
    ],
)
def test_a_link_that_leads_out_once_a_missing_directory_is_made_leads_out(
    tree: list[tuple[str, str]], leading_out: list[str], tmp_path: Path
) -> None:
    entries = [directory("d"), directory("d/e"), *(symlink(*each) for each in tree)]
    with shown(entries) as view:
        done = view.export(tmp_path / "skip", links="skip")
        assert [left.path for left in done.left_out] == leading_out
        if leading_out and not tree[0][1].startswith("/"):
            with pytest.raises(ExportError, match="out of the destination") as caught:
                view.export(tmp_path / "root")
            assert caught.value.path == leading_out[0]
        else:
            # An absolute one is there, as a relative one.
            view.export(tmp_path / "root")


def test_a_link_that_is_not_chosen_is_missing_in_the_folder(tmp_path: Path) -> None:
    tree = [directory("d"), directory("d/e"), symlink("deep", "d/e"), symlink("x", "deep/../..")]
    with shown(tree) as view:
        view.export(tmp_path / "whole")
        with pytest.raises(ExportError) as caught:
            view.export(tmp_path / "part", pattern=["x", "d"])
        assert caught.value.path == "/x"
    with (
        shown([symlink("up", ".."), symlink("x", "up/etc")]) as view,
        pytest.raises(ExportError) as caught,
    ):
        view.export(tmp_path / "part", pattern="x")
    assert caught.value.path == "/x"


@pytest.mark.parametrize(
    "entry",
    [file("n" * 300), directory("n" * 300), symlink("l", "x" * 5000), file(b"a\xff" * 200)],
    ids=["file", "directory", "link text", "bytes"],
)
def test_what_a_file_system_cannot_have_is_refused_by_its_path(
    entry: Entry, tmp_path: Path
) -> None:
    with shown([directory("d"), file("d/a"), entry]) as view:
        with pytest.raises(ExportError) as caught:
            view.export(tmp_path / "root")
        assert caught.value.path == "/" + os.fsdecode(entry.path.rstrip(b"/"))
        assert os.listdir(tmp_path) == []


def test_on_a_file_system_blind_to_case_what_could_climb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WrittenFolder, "is_blind_to_case", lambda _: True)
    tree = [directory("d"), symlink("d/up", ".."), symlink("d/x", "UP/../etc")]
    with shown(tree) as view:
        with pytest.raises(ExportError, match="case"):
            view.export(tmp_path / "root")
        view.export(tmp_path / "plain", pattern="d/up")
    assert os.listdir(tmp_path) == ["plain"]


def test_this_file_system_is_told_from_one_that_is_blind_to_case(tmp_path: Path) -> None:
    folder = WrittenFolder(tmp_path / "root")
    assert folder.is_blind_to_case() is (tmp_path / "ROOT").exists()
    assert os.listdir(tmp_path / "root") == []
    folder.close()


def test_a_deep_tree_is_written_and_removed_without_recursion(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 1500)
    with shown([file(f"{deep}/f", b"x"), file("n" * 300)]) as view:
        with pytest.raises(ExportError):
            view.export(tmp_path / "root")
        assert os.listdir(tmp_path) == []
        done = view.export(tmp_path / "root", path="/d")
    assert done.entries == 1501
    # pytest removes its folders by recursion.
    at = os.open(tmp_path / "root", os.O_RDONLY)
    for _ in range(1500):
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    assert os.listdir(at) == ["f"]
    os.unlink("f", dir_fd=at)
    for _ in range(1500):
        above = os.open("..", os.O_RDONLY, dir_fd=at)
        os.close(at)
        os.rmdir("d", dir_fd=above)
        at = above
    os.close(at)


# -- destinations, errors --------------------------------------------------------------------------


def test_a_destination_that_is_full_or_not_writable_is_named_as_it_was_typed(
    tmp_path: Path,
) -> None:
    resource = pytest.importorskip("resource", reason="bounds on files are of POSIX")
    place = tmp_path / "out.tar"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with shown([file("large", os.urandom(100_000))]) as view:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            with pytest.raises(OSError, match="too large") as caught:
                view.export(place)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(place))
        assert os.listdir(tmp_path) == []
        for wrong in ("no/such/out.tar", "n" * 300 + ".tar"):
            with pytest.raises(OSError, match=r"No such file|too long") as caught:
                view.export(tmp_path / wrong)
            assert caught.value.filename == str(tmp_path / wrong)
        # What is added to a name while the tar is written does not make it too long.
        longest = "\u00e9" * 120 + ".tar"
        view.export(tmp_path / longest)
    assert os.listdir(tmp_path) == [longest]


def test_a_destination_that_exists_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    taken = tmp_path / "taken.tar"
    taken.write_text("mine")
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").touch()
    (tmp_path / "link").symlink_to(full)
    (tmp_path / "dangling.tar").symlink_to(tmp_path / "elsewhere")
    before = sorted(os.listdir(tmp_path))
    with shown(TREE) as view:
        for destination in (taken, full, tmp_path / "link", tmp_path / "dangling.tar"):
            with pytest.raises(FileExistsError) as caught:
                view.export(destination)
            assert isinstance(caught.value, DestinationExistsError)
            assert caught.value.member == str(destination)
        with pytest.raises(DestinationExistsError):
            view.export(taken, form="folder")
        with pytest.raises(FileNotFoundError):
            view.export(tmp_path / "no" / "such" / "place")
    assert taken.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == before
    assert os.listdir(full) == ["mine"]


def test_an_empty_folder_is_filled_and_keeps_what_is_said_of_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir(0o705)
    root.chmod(0o705)
    with shown(RISKY) as view:
        view.export(root)
    assert stat.S_IMODE(root.stat().st_mode) == 0o705


def test_a_tar_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"

    def meanwhile(done: int, total: int | None, what: str) -> None:
        path.write_text("theirs")

    with shown(TREE) as view, pytest.raises(DestinationExistsError):
        view.export(path, progress=meanwhile)
    assert (path.read_text(), os.listdir(tmp_path)) == ("theirs", ["a.tar"])


def test_where_there_are_no_hard_links_a_tar_takes_its_place_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refused)
    with shown(TREE) as view:
        view.export(tmp_path / "a.tar")
        assert os.listdir(tmp_path) == ["a.tar"]
        assert (tmp_path / "a.tar").read_bytes() == exported(view)

        def meanwhile(done: int, total: int | None, what: str) -> None:
            (tmp_path / "b.tar").touch()

        with pytest.raises(DestinationExistsError):
            view.export(tmp_path / "b.tar", progress=meanwhile)
    assert (tmp_path / "b.tar").read_bytes() == b""


@pytest.mark.parametrize("name", ["a.tar", "folder", "empty"])
def test_progress_counts_content_and_an_exception_from_it_leaves_nothing(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    tree = [directory("d"), file("a", b"x" * 3_000_000), hardlink("b", "a"), file("d/c", b"y")]
    told: list[tuple[int, int | None, str]] = []

    def stop(done: int, total: int | None, what: str) -> None:
        if done > 2_000_000:
            raise KeyboardInterrupt

    with shown(tree) as view:
        with pytest.raises(KeyboardInterrupt):
            view.export(tmp_path / name, progress=stop)
        assert os.listdir(tmp_path) == ["empty"]
        assert os.listdir(tmp_path / "empty") == []
        done = view.export(tmp_path / name, progress=lambda *told_now: told.append(told_now))
    assert told[-1] == (3_000_001, 3_000_001, "export") == (done.bytes, done.bytes, "export")
    assert told == sorted(told)


def test_a_file_that_promises_more_than_the_limits_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    with shown(
        [sparse_file("s", [(0, b"x")], 1 << 40)], limits=Limits(layer_bytes=1 << 30)
    ) as view:
        for destination in (tmp_path / "a.tar", tmp_path / "folder", io.BytesIO()):
            with pytest.raises(LimitError):
                view.export(destination)
            if isinstance(destination, io.BytesIO):
                assert destination.getvalue() == b""
    assert os.listdir(tmp_path) == []


def test_damage_in_a_layer_is_raised_and_nothing_is_left(tmp_path: Path) -> None:
    good = oci_archive(ImageDescription([[file("a", bytes(range(256)) * 4000)]]), codec="gzip")
    at = good.index(b"\x1f\x8b") + 2000
    bad = good[:at] + bytes(byte ^ 255 for byte in good[at : at + 8]) + good[at + 8 :]
    with open_image(io.BytesIO(bad), verify=False) as image, image.fs() as view:
        for name in ("a.tar", "folder"):
            with pytest.raises(unionlayers.CorruptError):
                view.export(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_the_error_of_a_hard_link_without_a_target_comes_before_the_first_byte() -> None:
    stream = io.BytesIO()
    with shown([file("a", b"x"), hardlink("z", "nothing")]) as view:
        with pytest.raises(unionlayers.LayerError):
            view.export(stream)
        assert stream.getvalue() == b""
        view.export(stream, path="/a")


def test_an_empty_image_gives_an_empty_tar_and_an_empty_folder(tmp_path: Path) -> None:
    with shown([]) as view:
        assert exported(view) == bytes(1024)
        done = view.export(tmp_path / "folder")
    assert (done.entries, os.listdir(tmp_path / "folder")) == (0, [])
