"""Directories as layers: what overlayfs wrote is read as it would be mounted, in place."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import truth
from facts import differences, tree_of
from overlay import mounted, need_overlay, shown

from unionlayers import (
    ClosedError,
    Image,
    LimitError,
    Limits,
    SourceChangedError,
    UnsupportedError,
    list_images,
    open_image,
)
from unionlayers.testing import directory, file, layer

pytestmark = pytest.mark.skipif(not hasattr(os, "listxattr"), reason="on-disk stores need Linux")

ROOT = getattr(os, "geteuid", lambda: -1)() == 0
# The marks that count are those of whom the directories belong to.
PREFIX = "trusted.overlay." if ROOT else "user.overlay."
needs_root = pytest.mark.skipif(not ROOT, reason="devices and trusted.* need root")


def set_xattr(path: Path, name: str, value: bytes = b"y") -> None:
    """Set an attribute; skip where the file system has none."""
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
        pytest.skip(f"attribute {name} cannot be set here: {error.strerror}")


def write(path: Path, content: str = "") -> Path:
    """Write a file, and the folders on the way to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    write(tmp_path / "lower/etc/name", "lower")
    write(tmp_path / "lower/etc/old", "old")
    write(tmp_path / "lower/top", "top")
    return tmp_path / "lower"


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    write(tmp_path / "upper/etc/name", "upper")
    return tmp_path / "upper"


def seen(*folders: Path, **options: Any) -> list[str]:
    """Give every path that a stack of directories shows."""
    with open_image(list(folders), **options) as image, image.fs() as view:
        return sorted([*view.walk.files("/"), *view.walk.dirs("/")])


def compared(image: Image, expected: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Give what an image shows otherwise than the kernel."""
    with image.fs() as view:
        tree = tree_of(view)
    for fact in tree.values():
        del fact["implied"], fact["layer"]
    return differences(tree, expected)


# -- what is shown --------------------------------------------------------------------------------


def test_a_directory_shows_everything_that_stat_shows(tmp_path: Path) -> None:
    folder = tmp_path / "diff"
    write(folder / "a/b/file", "content").chmod(0o4711)
    os.utime(folder / "a/b/file", ns=(1, 1_234_567_890_123_456_789))
    os.link(folder / "a/b/file", folder / "a/other-name")
    (folder / "a/link").symlink_to("../../" + "x" * 300)
    (folder / "a" / ("n" * 250)).mkdir(mode=0o1777)
    os.mkfifo(folder / "pipe", 0o640)
    write(folder / "empty")
    os.utime(folder / "empty", ns=(0, -5_500_000_000))
    Path(os.fsdecode(bytes(folder) + b"/\xff\n\\ \xe9")).write_bytes(b"raw")
    (folder / "large").write_bytes(os.urandom(3_000_000))
    with (folder / "holes").open("wb") as holes:
        holes.seek(5_000_000)
        holes.write(b"middle")
        holes.truncate(9_000_000)
    os.truncate(write(folder / "only-hole"), 2_000_000)
    expected = shown(truth.describe(str(folder)))
    expected["empty"]["mtime"] = 0  # runtimes show no time before the epoch (case H7)
    with open_image([folder]) as image:
        assert compared(image, expected) == {}
        image.verify()
        layer = image.layers[0]
        assert (layer.digest, layer.diff_id, layer.chain_id) == (None, None, None)
        assert layer.size < 4_000_000  # holes are not read


def test_upper_directories_come_last_and_mix_with_tars(
    lower: Path, upper: Path, tmp_path: Path
) -> None:
    tar = tmp_path / "layer.tar"
    tar.write_bytes(layer(directory("etc"), file("etc/tar", "tar"), file("etc/name", "tar")))
    with open_image([lower, tar, upper]) as image, image.fs() as view:
        assert view.readtext("/etc/name") == "upper"
        assert view.listdir("/etc") == ["name", "old", "tar"]
        assert view.getinfo("/etc/tar", ["layer"]).raw["layer"]["index"] == 1
    assert list_images([lower, upper])[0].present


def test_an_opaque_directory_hides_what_is_below(lower: Path, upper: Path) -> None:
    set_xattr(upper / "etc", f"{PREFIX}opaque")
    assert seen(lower, upper) == ["/etc", "/etc/name", "/top"]
    with open_image([lower, upper]) as image:
        assert [(mark.kind, mark.path) for mark in image.layers[1].marks] == [("opaque", "/etc")]
        assert image.fs().getinfo("/etc", ["xattr"]).raw["xattr"] == {}


@needs_root
@pytest.mark.parametrize("owner", [0, 65534], ids=["root", "chowned"])
def test_an_attribute_of_the_other_owner_hides_nothing_and_is_a_finding(
    lower: Path, upper: Path, owner: int
) -> None:
    """A process in a container of root may write user.*, and owns the root of its own layer."""
    upper.parent.chmod(0o755)
    os.chown(upper, owner, owner)
    set_xattr(upper / "etc", "user.overlay.opaque")
    assert "/etc/old" in seen(lower, upper)
    with open_image([lower, upper]) as image:
        image.layers[1].load()
        assert ("OVERLAY_MARK_IGNORED", "/etc") in [(f.code, f.path) for f in image.findings]
        raw = image.fs().getinfo("/etc", ["xattr"]).raw["xattr"]
        assert raw == {"user.overlay.opaque": b"y"}


@needs_root
def test_in_directories_of_a_user_the_attribute_of_a_user_counts(
    lower: Path, upper: Path, tmp_path: Path
) -> None:
    for path in (tmp_path, upper, upper / "etc"):
        os.chown(path, 65534, 65534)
    set_xattr(upper / "etc", "user.overlay.opaque")
    assert "/etc/old" not in seen(lower, upper)


def test_an_opaque_root_hides_nothing(lower: Path, upper: Path) -> None:
    set_xattr(upper, f"{PREFIX}opaque")
    assert "/top" in seen(lower, upper)


def test_an_attribute_of_an_inner_overlay_is_shown_unescaped(upper: Path) -> None:
    set_xattr(upper / "etc", f"{PREFIX}overlay.opaque")
    with open_image([upper]) as image:
        assert image.fs().getinfo("/etc", ["xattr"]).raw["xattr"] == {f"{PREFIX}opaque": b"y"}
        assert image.layers[0].marks == ()


def test_other_attributes_are_shown(upper: Path) -> None:
    set_xattr(upper / "etc/name", "user.note", b"\0\xff=\n")
    set_xattr(upper / "etc/name", f"{PREFIX}origin", b"private")
    with open_image([upper]) as image:
        raw = image.fs().getinfo("/etc/name", ["xattr"]).raw["xattr"]
        assert raw == {"user.note": b"\0\xff=\n"}


def test_an_attribute_whose_name_no_tar_can_hold_is_a_finding(upper: Path) -> None:
    set_xattr(upper / "etc/name", "user.a=b", b"1")
    with open_image([upper]) as image:
        assert image.fs().getinfo("/etc/name", ["xattr"]).raw["xattr"] == {}
        assert ("XATTR_SKIPPED", "/etc/name") in [(f.code, f.path) for f in image.findings]


@needs_root
def test_a_device_zero_hides_a_name_and_itself(lower: Path, upper: Path) -> None:
    os.mknod(upper / "etc/old", 0o020000, os.makedev(0, 0))
    os.mknod(upper / "top", 0o020000, os.makedev(0, 0))
    assert seen(lower, upper) == ["/etc", "/etc/name"]


@needs_root
def test_an_opaque_directory_of_root_hides_what_is_below(lower: Path, upper: Path) -> None:
    set_xattr(upper / "etc", "trusted.overlay.opaque")
    assert seen(lower, upper) == ["/etc", "/etc/name", "/top"]


@needs_root
def test_whiteouts_that_are_files_with_an_attribute_hide_too(lower: Path, upper: Path) -> None:
    """Linux 6.7 and later write them where an inner overlay is to see whiteouts."""
    need_overlay()
    write(upper / "etc/old")
    set_xattr(upper / "etc/old", "trusted.overlay.whiteout")
    assert "/etc/old" in seen(lower, upper)
    set_xattr(upper / "etc", "trusted.overlay.opaque", b"x")
    assert "/etc/old" not in seen(lower, upper)


# -- what the kernel shows ------------------------------------------------------------------------

SCRIPT = r"""
rm etc/old
rm -r etc/deep; mkdir etc/deep; echo new > etc/deep/new
echo more >> etc/name
mv top moved
ln moved linked
chmod 600 etc/ping
mkdir -p one/two; ln -s ../.. one/two/up
setfattr -n user.k -v v moved
rm -r tree; echo file > tree
rm pipe; mkdir pipe; echo x > pipe/x
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    for name in ("etc/name", "etc/old", "etc/deep/old", "etc/ping", "tree/a/b/c", "top"):
        write(folder / name, name)
    os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.parametrize("options", ["index=off,redirect_dir=off,metacopy=off", "userxattr"])
def test_what_the_kernel_wrote_is_shown_as_the_kernel_shows_it(
    base: Path, tmp_path: Path, options: str
) -> None:
    need_overlay()
    for name in ("up", "work", "mount"):
        (tmp_path / name).mkdir()
    if options == "userxattr":
        for path in (tmp_path, base, tmp_path / "up"):
            os.chown(path, 65534, 65534)
    expected = mounted(
        tmp_path / "mount",
        [base],
        upper=tmp_path / "up",
        work=tmp_path / "work",
        options=options,
        script=SCRIPT,
    )
    with open_image([base, tmp_path / "up"]) as image:
        assert compared(image, expected) == {}
        assert {mark.kind for mark in image.layers[1].marks} == {"whiteout", "opaque"}
    with open_image([base, tmp_path / "up"], profile="overlay") as image:
        found = compared(image, expected)
        assert set(found) <= {"."}


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["metacopy", "redirect"])
def test_marks_whose_content_is_elsewhere_are_refused_by_name(
    lower: Path, upper: Path, mark: str
) -> None:
    set_xattr(upper / "etc/name", f"{PREFIX}{mark}", b"/elsewhere")
    with open_image([lower, upper]) as image:
        for _ in range(2):
            with image.fs() as view, pytest.raises(UnsupportedError) as caught:
                view.listdir("/")
            error = caught.value
            assert (error.layer, error.actual) == (1, f"{PREFIX}{mark}")
            assert f"{PREFIX}{mark}" in str(error)
            assert str(error.member).endswith("/etc/name")
        assert image.fs([0]).readtext("/etc/name") == "lower"
        with pytest.raises(UnsupportedError) as direct:
            image.layers[1].load()
        assert direct.value.path == "/etc/name"


@pytest.mark.parametrize(
    ("options", "script", "path", "mark"),
    [
        ("metacopy=on,redirect_dir=on,index=off", "chmod 600 top", "/top", "metacopy"),
        ("redirect_dir=on,index=off", "mv etc moved", "/moved", "redirect"),
    ],
)
def test_what_the_kernel_redirects_is_refused(
    lower: Path, tmp_path: Path, options: str, script: str, path: str, mark: str
) -> None:
    need_overlay()
    for name in ("up", "work", "mount"):
        (tmp_path / name).mkdir()
    mounted(
        tmp_path / "mount",
        [lower],
        upper=tmp_path / "up",
        work=tmp_path / "work",
        options=options,
        script=script,
    )
    with open_image([lower, tmp_path / "up"]) as image, pytest.raises(UnsupportedError) as caught:
        image.layers[1].load()
    assert (caught.value.path, caught.value.actual) == (path, f"trusted.overlay.{mark}")


@pytest.mark.parametrize("name", [".wh.top", ".wh..wh..opq", ".wh.", ".wh.folder/"])
def test_a_real_name_that_reads_like_a_whiteout_is_refused(upper: Path, name: str) -> None:
    if name.endswith("/"):
        (upper / name).mkdir()
    else:
        write(upper / name)
    with open_image([upper]) as image, pytest.raises(UnsupportedError, match="A13") as caught:
        image.layers[0].load()
    assert caught.value.path == f"/{name.rstrip('/')}"


def test_a_socket_is_left_out_with_a_finding() -> None:
    # A socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="ul-") as name, socket.socket(socket.AF_UNIX) as it:
        it.bind(f"{name}/socket")
        with open_image([name]) as image:
            assert image.fs().listdir("/") == []
            assert ("SOCKET_SKIPPED", "/socket") in [(f.code, f.path) for f in image.findings]


# -- what a stranger may do -----------------------------------------------------------------------


def test_links_are_shown_and_never_followed_out(upper: Path, tmp_path: Path) -> None:
    write(tmp_path / "secret/file", "secret")
    (upper / "file").symlink_to(tmp_path / "secret/file")
    (upper / "folder").symlink_to(tmp_path / "secret")
    with open_image([upper]) as image, image.fs() as view:
        assert view.getinfo("/folder", ["link"]).target == str(tmp_path / "secret")
        assert not view.exists("/file")
        assert not view.isdir("/folder")
        assert sorted(view.walk.files("/")) == ["/etc/name", "/file", "/folder"]


def test_a_directory_swapped_for_a_link_meanwhile_is_an_error(upper: Path, tmp_path: Path) -> None:
    write(tmp_path / "secret/name", "upper")
    with open_image([upper]) as image, image.fs() as view:
        assert view.listdir("/etc") == ["name"]
        (upper / "etc").rename(tmp_path / "away")
        (upper / "etc").symlink_to(tmp_path / "secret")
        with pytest.raises(SourceChangedError):
            view.readtext("/etc/name")


@pytest.mark.parametrize("how", ["rewritten", "replaced", "removed", "fifo", "touched"])
def test_a_file_that_changed_meanwhile_is_an_error(upper: Path, how: str) -> None:
    path = upper / "etc/name"
    write(upper / "etc/other", "other")
    with open_image([upper]) as image, image.fs() as view:
        assert view.exists("/etc/name")
        if how == "rewritten":
            path.write_text("UPPER")
        elif how == "touched":
            os.utime(path, ns=(0, 0))
        else:
            path.unlink()
            if how == "replaced":
                path.write_text("upper")
            elif how == "fifo":
                os.mkfifo(path)
        for _ in range(2):
            with pytest.raises(SourceChangedError) as caught:
                view.readtext("/etc/name")
            assert str(caught.value.member).endswith("etc/name")
        assert view.readtext("/etc/other") == "other"


def test_a_file_that_changed_between_two_reads_is_an_error(upper: Path) -> None:
    with open_image([upper]) as image, image.fs() as view:
        assert view.readtext("/etc/name") == "upper"
        (upper / "etc/name").write_text("later")
        with pytest.raises(SourceChangedError):
            view.readtext("/etc/name")


def test_a_deep_tree_takes_neither_recursion_nor_descriptors(tmp_path: Path) -> None:
    at = os.open(tmp_path, os.O_RDONLY)
    (tmp_path / "deep").mkdir()
    depth = 1800
    try:
        below = os.open("deep", os.O_RDONLY, dir_fd=at)
        for _ in range(depth):
            os.mkdir("d", dir_fd=below)
            inner = os.open("d", os.O_RDONLY, dir_fd=below)
            os.close(below)
            below = inner
        os.close(os.open("leaf", os.O_WRONLY | os.O_CREAT, dir_fd=below))
        os.close(below)
        before = len(os.listdir("/proc/self/fd"))
        with open_image([tmp_path / "deep"]) as image:
            assert image.layers[0].load().entries == depth + 2
            assert len(os.listdir("/proc/self/fd")) < before + 60
            assert image.fs().exists("/" + "d/" * depth + "leaf")
        assert len(os.listdir("/proc/self/fd")) == before
        bounded = open_image([tmp_path / "deep"], limits=Limits(depth=100))
        with bounded, pytest.raises(LimitError):
            bounded.layers[0].load()
    finally:
        os.close(at)
        subprocess.run(["rm", "-rf", str(tmp_path / "deep")], check=True)


def test_entries_are_bounded_while_they_are_listed(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(50):
        (folder / str(number)).touch()
    with open_image([folder], limits=Limits(entries=20)) as image, pytest.raises(LimitError):
        image.layers[0].load()


# -- how it is opened -----------------------------------------------------------------------------


def test_opening_looks_at_no_file(upper: Path) -> None:
    with open_image([upper]) as image:
        (upper / "etc/name").unlink()
        write(upper / "etc/late", "late")
        assert image.fs().listdir("/etc") == ["late"]


def test_asking_for_metadata_opens_no_file(upper: Path) -> None:
    opened: list[str] = []
    sys.addaudithook(lambda event, found: opened.append(str(found[0])) if event == "open" else None)
    with open_image([upper]) as image, image.fs() as view:
        opened.clear()
        assert view.getsize("/etc/name") == 5
        assert not [name for name in opened if "name" in name]


def test_it_pickles_and_closes(upper: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with open_image([upper]) as image, pickle.loads(pickle.dumps(image)) as again:
        view = again.fs()
        assert view.readtext("/etc/name") == "upper"
        again.close()
        with pytest.raises(ClosedError):
            view.readtext("/etc/name")
    assert len(os.listdir("/proc/self/fd")) == before


def test_eight_threads_read_more_files_than_are_kept_open(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    names = [f"d{number % 7}/f{number}" for number in range(100)]
    for name in names:
        write(tmp_path / "diff" / name, name * 50)
    with open_image([tmp_path / "diff"]) as image, image.fs() as view:

        def read(shift: int) -> bool:
            return all(
                view.readtext("/" + name) == name * 50 for name in names[shift:] + names[:shift]
            )

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(read, range(0, 80, 10)))


# -- rights ---------------------------------------------------------------------------------------

UNPRIVILEGED = """
import ctypes, os, sys
from unionlayers import SourceAccessError, open_image
# What is imported late may not be readable later.
with open_image([sys.argv[1]]) as image, image.fs() as view:
    assert view.readtext("/open") and image.findings is not None
    try:
        view.readtext("/absent")
    except OSError:
        pass
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    # As exec() would: a process that gave its rights up may look at its own /proc again.
    assert ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0
with open_image([sys.argv[1]]) as image, image.fs() as view:
    print(view.listdir("/"), view.getsize("/closed"))
    print(view.readtext("/open"))
    for path in ("/closed", "/closed"):
        try:
            view.readtext(path)
        except SourceAccessError as error:
            print(type(error).__name__, error.member.rpartition("/")[2], bool(error.hint))
    print("TRUSTED_XATTRS_UNSEEN" in {finding.code for finding in image.findings})
try:
    with open_image([sys.argv[2]]) as image:
        image.fs().listdir("/")
except PermissionError as error:
    print(type(error).__name__, error.member.rpartition("/")[2])
"""


def test_without_rights_names_are_listed_and_contents_refused() -> None:
    with tempfile.TemporaryDirectory(prefix="ul-rights-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        write(folder / "one/open", "open")
        write(folder / "one/closed", "closed").chmod(0)
        write(folder / "two/inner/file", "x")
        (folder / "two/inner").chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, str(folder / "one"), str(folder / "two")],
            capture_output=True,
            check=False,
            text=True,
        )
        (folder / "two/inner").chmod(0o755)
    assert done.stdout.splitlines() == [
        "['closed', 'open'] 6",
        "open",
        "SourceAccessError closed True",
        "SourceAccessError closed True",
        "True",
        "SourceAccessError inner",
    ], done.stderr


@needs_root
def test_owners_in_a_directory_of_somebody_else_are_told_to_be_those_of_the_host(
    lower: Path, upper: Path
) -> None:
    os.chown(upper, 65534, 65533)
    with open_image([lower, upper]) as image:
        image.prepare()
        told = [item for item in image.findings if item.code == "OWNERS_OF_HOST"]
        assert [(item.layer, item.path) for item in told] == [(1, "/")]
        assert "65534:65533" in told[0].message
