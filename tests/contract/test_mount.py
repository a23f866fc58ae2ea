"""An image as a directory: what a program that knows nothing of images sees there, and its end."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from types import ModuleType
from typing import Any

import pytest
from mounting import device_or_skip, is_mounted, mounted

from unionlayers import (
    ClosedError,
    DigestMismatchError,
    LayerError,
    MissingExtraError,
    MountError,
    SourceChangedError,
    UnsupportedError,
    open_image,
)
from unionlayers._views.fuse import mountpoint
from unionlayers.testing import (
    ImageDescription,
    block_device,
    char_device,
    directory,
    entry,
    fifo,
    file,
    hardlink,
    sparse_file,
    symlink,
    whiteout,
    write_image,
)

ROOT = Path(__file__).resolve().parent.parent.parent
DEMO = ROOT / "examples" / "demo-image" / "ledger.oci.tar"
PING = bytes.fromhex("0100000200200000" + 24 * "0")
LATIN = os.fsdecode(b"caf\xe9")

fuse = pytest.mark.usefixtures("device")


@pytest.fixture
def device() -> None:
    device_or_skip()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Give a folder, and leave no mount on it that a broken test has left: it harms others."""
    made = tmp_path / "place"
    made.mkdir()
    yield made
    if is_mounted(made):
        subprocess.run(["umount", "-l", made], check=False)


def number_of(ask: Callable[[], Any]) -> int | None:
    """Give the number of the error that a question has as its answer."""
    with pytest.raises(OSError) as caught:
        ask()
    return caught.value.errno


# -- what is there ---------------------------------------------------------------------------------

SECOND = 1_000_000_000
TREE = [
    directory("dir", mode=0o1777, uid=7, gid=8),
    file("dir/file", b"0123456789" * 1000, mode=0o4751, uid=1000, gid=3_000_000_000 - 1,
         mtime=1_600_000_000.25),
    hardlink("dir/other", "dir/file"),
    symlink("link", "dir/../dir/file"),
    symlink("absolute", "/dir/file"),
    char_device("null", 1, 3, mode=0o666),
    block_device("disk", 259, 300_000),
    fifo("pipe"),
    file(b"caf\xe9", "latin"),
    file("ping", "x", xattrs={"security.capability": PING, "user.note": b"\0\xff"}),
    sparse_file("sparse", [(0, b"a" * 512), (1 << 19, b"b" * 1024)], 1 << 20),
]  # fmt: skip


@fuse
def test_stat_says_what_the_view_says(tmp_path: Path) -> None:
    with mounted(tmp_path, TREE) as (image, mount), image.fs() as view:
        for path in ("/", *(path for path, _ in view.find(types=("file", "directory", "symlink",
                     "device", "fifo")))):  # fmt: skip
            expected = view.stat(path, follow=False)
            found = os.lstat(os.fsencode(mount.path + path))
            for field in ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size",
                          "st_mtime_ns", "st_rdev"):  # fmt: skip
                assert getattr(found, field) == getattr(expected, field), (path, field)
        assert mount.errors == ()


@fuse
def test_times_are_those_of_the_entry_and_else_the_one_it_has(tmp_path: Path) -> None:
    """No program sees when a host looked at a file, which would differ from run to run."""
    half = SECOND // 2
    tree = [
        entry("all", content=b"x", mtime=100.5, atime=200.5, ctime=300.5),
        entry("read", mtime=100.5, atime=200.5),
        entry("changed", mtime=100.5, ctime=300.5),
        entry("plain", mtime=100.5),
        directory("dir", mtime=7),
        symlink("link", "all", mtime=8),
        entry("early", mtime=-5),
    ]
    expected = {
        "all": (200 * SECOND + half, 100 * SECOND + half, 300 * SECOND + half),
        "read": (200 * SECOND + half, 100 * SECOND + half, 100 * SECOND + half),
        "changed": (100 * SECOND + half, 100 * SECOND + half, 300 * SECOND + half),
        "plain": (100 * SECOND + half,) * 3,
        "dir": (7 * SECOND,) * 3,
        "link": (8 * SECOND,) * 3,
        "early": (0, 0, 0),  # case H7
    }

    def times(mount: Any) -> dict[str, tuple[int, int, int]]:
        stats = {name: os.lstat(Path(mount.path, name)) for name in expected}
        return {
            name: (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
            for name, found in stats.items()
        }

    with mounted(tmp_path, tree) as (_, mount):
        assert times(mount) == expected
        assert Path(mount.path, "all").read_text() == "x"
        os.listdir(Path(mount.path, "dir"))
        assert times(mount) == expected


@fuse
def test_names_of_one_inode_have_its_number_and_others_do_not(tmp_path: Path) -> None:
    with mounted(tmp_path, TREE) as (_, mount):
        found = {entry.name: entry.inode() for entry in os.scandir(f"{mount.path}/dir")}
        assert found["file"] == found["other"] == os.stat(f"{mount.path}/dir/file").st_ino
        top = [entry.inode() for entry in os.scandir(mount.path)]
        assert len({*top, found["file"]}) == len(top) + 1


@fuse
def test_listing_has_the_type_of_each_name(tmp_path: Path) -> None:
    with mounted(tmp_path, TREE) as (_, mount):
        found = {entry.name: entry for entry in os.scandir(mount.path)}
        assert found.keys() == {"dir", "link", "absolute", "null", "disk", "pipe", LATIN, "ping",
                                "sparse"}  # fmt: skip
        assert found["dir"].is_dir(follow_symlinks=False)
        assert found["link"].is_symlink()
        assert found["sparse"].is_file(follow_symlinks=False)


@fuse
def test_a_name_that_is_not_utf8_is_found_by_its_bytes(tmp_path: Path) -> None:
    with mounted(tmp_path, TREE) as (_, mount):
        assert b"caf\xe9" in os.listdir(os.fsencode(mount.path))
        with open(os.fsencode(mount.path) + b"/caf\xe9", "rb") as opened:
            assert opened.read() == b"latin"


@fuse
def test_links_are_as_stored_and_the_kernel_follows_them(tmp_path: Path) -> None:
    with mounted(tmp_path, TREE) as (_, mount):
        assert os.readlink(f"{mount.path}/absolute") == "/dir/file"
        assert os.readlink(f"{mount.path}/link") == "dir/../dir/file"
        assert os.stat(f"{mount.path}/link").st_size == 10_000
        assert number_of(lambda: os.readlink(f"{mount.path}/dir")) == errno.EINVAL


@fuse
def test_dots_and_slashes_at_the_end_are_the_kernels(tmp_path: Path) -> None:
    entries = [file("a/b/file", "x"), symlink("up", "a/b"), symlink("gone", "nowhere")]
    with mounted(tmp_path, entries) as (_, mount):
        root = mount.path
        assert os.listdir(f"{root}/up/..") == ["b"]
        assert os.path.samefile(f"{root}/a/b/../..", root)
        assert os.path.samefile(f"{root}/..", tmp_path)
        assert os.listdir(f"{root}/up/") == ["file"]
        assert number_of(lambda: os.stat(f"{root}/a/b/file/")) == errno.ENOTDIR
        assert number_of(lambda: os.stat(f"{root}/a/b/file/x")) == errno.ENOTDIR
        assert number_of(lambda: os.stat(f"{root}/gone")) == errno.ENOENT
        assert number_of(lambda: os.listdir(f"{root}/none")) == errno.ENOENT
        assert number_of(Path(root, "a").read_bytes) == errno.EISDIR


@fuse
def test_attributes_are_those_of_the_image_with_their_bytes(tmp_path: Path) -> None:
    with mounted(tmp_path, TREE) as (_, mount):
        path = f"{mount.path}/ping"
        assert sorted(os.listxattr(path)) == ["security.capability", "user.note"]
        assert os.getxattr(path, "security.capability") == PING
        assert os.getxattr(path, "user.note") == b"\0\xff"
        assert number_of(lambda: os.getxattr(path, "user.none")) == errno.ENODATA
        assert os.listxattr(f"{mount.path}/sparse") == []


@fuse
def test_a_sparse_file_reads_whole_and_takes_the_blocks_that_it_has(tmp_path: Path) -> None:
    with mounted(tmp_path, TREE) as (_, mount):
        found = os.stat(f"{mount.path}/sparse")
        assert (found.st_size, found.st_blocks) == (1 << 20, 3)
        assert os.stat(f"{mount.path}/dir/file").st_blocks == 20
        with open(f"{mount.path}/sparse", "rb") as opened:
            data = opened.read()
        assert data == b"a" * 512 + bytes((1 << 19) - 512) + b"b" * 1024 + bytes((1 << 19) - 1024)


@fuse
def test_whiteouts_hide_and_are_no_names(tmp_path: Path) -> None:
    layers = [file("a/one"), file("a/two"), file("b/three")], [whiteout("a/one"), whiteout("b")]
    with mounted(tmp_path, *layers) as (_, mount):
        assert os.listdir(mount.path) == ["a"]
        assert os.listdir(f"{mount.path}/a") == ["two"]


@fuse
def test_some_of_the_layers_or_another_profile_can_be_mounted(tmp_path: Path) -> None:
    layers = [file("a")], [whiteout("a"), file("b")]
    with mounted(tmp_path, *layers, layers=[0], profile="overlay") as (_, mount):
        assert os.listdir(mount.path) == ["a"]


@fuse
def test_nothing_can_be_written(tmp_path: Path) -> None:
    with mounted(tmp_path, TREE) as (_, mount):
        root = mount.path
        attempts: list[Callable[[], Any]] = [
            lambda: os.open(f"{root}/new", os.O_WRONLY | os.O_CREAT),
            lambda: os.open(f"{root}/ping", os.O_RDWR),
            lambda: os.mkdir(f"{root}/new"),
            lambda: os.unlink(f"{root}/ping"),
            lambda: os.rename(f"{root}/ping", f"{root}/pong"),
            lambda: os.symlink("x", f"{root}/new"),
            lambda: os.link(f"{root}/ping", f"{root}/new"),
            lambda: os.chmod(f"{root}/ping", 0o600),
            lambda: os.chown(f"{root}/ping", 1, 1),
            lambda: os.utime(f"{root}/ping"),
            lambda: os.truncate(f"{root}/ping", 0),
            lambda: os.setxattr(f"{root}/ping", "user.x", b""),
            lambda: os.removexattr(f"{root}/ping", "user.note"),
        ]
        assert [number_of(attempt) for attempt in attempts] == [errno.EROFS] * len(attempts)
        assert mount.errors == ()


@fuse
def test_devices_are_shown_and_neither_they_nor_setuid_bits_do_anything(tmp_path: Path) -> None:
    with mounted(tmp_path, TREE) as (_, mount):
        assert stat.S_ISCHR(os.stat(f"{mount.path}/null").st_mode)
        assert number_of(lambda: os.open(f"{mount.path}/null", os.O_RDONLY)) == errno.EACCES
        flags = os.statvfs(mount.path).f_flag
        assert flags & os.ST_NOSUID
        assert flags & os.ST_NODEV
        assert flags & os.ST_RDONLY


@fuse
def test_the_file_system_says_that_it_is_full(tmp_path: Path) -> None:
    with mounted(tmp_path, TREE) as (image, mount):
        found = os.statvfs(mount.path)
        assert (found.f_bfree, found.f_bavail, found.f_ffree, found.f_favail) == (0, 0, 0, 0)
        assert (found.f_namemax, found.f_files) == (255, len(TREE))
        assert found.f_frsize == found.f_bsize
        stored = sum(layer.size for layer in image.layers)
        assert 0 <= found.f_blocks * found.f_frsize - stored < found.f_frsize
        assert found.f_flag & os.ST_RDONLY
        usage = shutil.disk_usage(mount.path)
        assert (usage.free, usage.used) == (0, usage.total)


@fuse
def test_eight_threads_read_the_same_bytes(tmp_path: Path) -> None:
    contents = {f"f{number}": os.urandom(300_000) for number in range(8)}
    start = Barrier(8)
    with mounted(tmp_path, [file(name, data) for name, data in contents.items()]) as (_, mount):

        def run(_: int) -> dict[str, bytes]:
            start.wait()
            return {name: Path(mount.path, name).read_bytes() for name in contents}

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(run, range(8))) == [contents] * 8


# -- what is wrong ---------------------------------------------------------------------------------


@fuse
def test_an_entry_that_cannot_be_applied_is_an_input_error_of_its_name_alone(
    tmp_path: Path,
) -> None:
    entries = [file("good", "x"), hardlink("bad", "nowhere")]
    with mounted(tmp_path, entries) as (_, mount):
        assert sorted(os.listdir(mount.path)) == ["bad", "good"]
        assert number_of(lambda: os.stat(f"{mount.path}/bad")) == errno.EIO
        assert number_of(lambda: os.stat(f"{mount.path}/bad")) == errno.EIO
        assert Path(mount.path, "good").read_bytes() == b"x"
        (kept,) = mount.errors
        assert isinstance(kept, LayerError)
        assert kept.layer == 0


@fuse
def test_an_archive_that_changes_beneath_is_an_input_error_and_kept(
    tmp_path: Path, place: Path
) -> None:
    data = os.urandom(3 << 20)
    archive = write_image(tmp_path / "image.tar", ImageDescription([[file("big", data)]]))
    assert isinstance(archive, Path)
    with open_image(archive) as image, image.mount(place) as mount:
        with open(archive, "r+b") as changed:
            changed.truncate(1000)
        with open(place / "big", "rb") as opened:
            assert number_of(opened.read) == errno.EIO
        assert any(isinstance(error, SourceChangedError) for error in mount.errors)
        assert os.listdir(place) == ["big"]
    assert not is_mounted(place)


@fuse
def test_errors_that_are_kept_are_bounded(tmp_path: Path) -> None:
    entries = [hardlink(f"bad{number}", f"nowhere{number}") for number in range(150)]
    with mounted(tmp_path, entries) as (_, mount):
        for number in range(150):
            assert number_of(partial(os.stat, f"{mount.path}/bad{number}")) == errno.EIO
        assert len(mount.errors) == 100


@fuse
def test_a_layer_that_cannot_be_read_is_an_error_of_the_mount_and_nothing_is_mounted(
    tmp_path: Path, place: Path
) -> None:
    archive = tmp_path / "image.tar"
    source = write_image(archive, ImageDescription([[file("a", "1")]]))
    assert isinstance(source, Path)
    raw = bytearray(source.read_bytes())
    at = raw.index(b"ustar")
    at = raw.index(b"1" + bytes(511), at)
    raw[at] = ord("2")
    source.write_bytes(raw)
    with open_image(source) as image:
        with pytest.raises(DigestMismatchError):
            image.mount(place)
        assert not is_mounted(place)
        assert image.layers[0].index == 0


def test_the_directory_is_there_and_is_one_and_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mfusepy", ModuleType("mfusepy"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").touch()
    with open_image(DEMO) as image:
        with pytest.raises(FileNotFoundError):
            image.mount(tmp_path / "absent")
        with pytest.raises(NotADirectoryError):
            image.mount(tmp_path / "full" / "thing")
        with pytest.raises(MountError, match="not empty") as caught:
            image.mount(tmp_path / "full")
        assert caught.value.actual == "ENOTEMPTY"
        assert caught.value.candidates == ("thing",)
        assert isinstance(caught.value, OSError)


@fuse
def test_a_place_that_has_an_image_takes_no_other(tmp_path: Path) -> None:
    with mounted(tmp_path, [file("a")]) as (image, mount):
        with pytest.raises(MountError, match="mounted there already") as caught:
            image.mount(mount.path)
        assert caught.value.actual == "EBUSY"
        assert os.listdir(mount.path) == ["a"]


def test_without_a_device_the_error_says_how_to_get_one(
    place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mountpoint, "_DEVICE", tmp_path / "none")
    monkeypatch.setitem(sys.modules, "mfusepy", ModuleType("mfusepy"))
    with open_image(DEMO) as image, pytest.raises(MountError, match="--device") as caught:
        image.mount(place)
    assert caught.value.actual == "ENOENT"


def test_without_the_extra_the_error_names_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mfusepy", None)
    with open_image(DEMO) as image, pytest.raises(MissingExtraError, match=r"unionlayers\[fuse\]"):
        image.mount(place)


def test_without_libfuse_the_error_names_the_package(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "mfusepy":
                raise OSError("Unable to find libfuse")

    monkeypatch.delitem(sys.modules, "mfusepy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with open_image(DEMO) as image, pytest.raises(UnsupportedError, match="fuse3"):
        image.mount(place)


def test_a_closed_image_is_not_mounted(place: Path) -> None:
    image = open_image(DEMO)
    image.close()
    with pytest.raises(ClosedError):
        image.mount(place)


# -- its end ---------------------------------------------------------------------------------------


@fuse
def test_the_process_keeps_its_folder_and_its_signals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def taken() -> int:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        mask = next(line for line in lines if line.startswith("SigCgt"))
        # Without those that the C library keeps to itself, for the ends of threads.
        return int(mask.split()[1], 16) & 0x7FFF_FFFF

    monkeypatch.chdir(tmp_path)
    before = taken()
    with mounted(tmp_path, [file("a")]) as (_, mount):
        assert os.getcwd() == str(tmp_path)
        assert taken() == before
        assert os.listdir("place") == ["a"]
        assert mount.is_mounted
    assert taken() == before
    assert threading.active_count() < 50
    assert not any(thread.name == "unionlayers-mount" for thread in threading.enumerate())
    assert capfd.readouterr() == ("", "")


@fuse
def test_the_end_of_the_block_unmounts_and_leaves_the_image_open(
    tmp_path: Path, place: Path
) -> None:
    with open_image(DEMO) as image:
        with image.mount(place) as mount:
            assert is_mounted(place)
            assert repr(mount) == f"<Mount {str(place)!r}>"
        assert not is_mounted(place)
        assert os.listdir(place) == []
        assert not mount.is_mounted
        mount.unmount()
        assert "unmounted" in repr(mount)
        assert image.fs().exists("/etc/os-release")
        with image.mount(place):
            assert (place / "etc" / "os-release").exists()


@fuse
def test_closing_the_image_unmounts(place: Path) -> None:
    image = open_image(DEMO)
    mount = image.mount(place)
    image.close()
    assert not is_mounted(place)
    assert not mount.is_mounted


@fuse
def test_two_images_are_mounted_at_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with mounted(tmp_path / "one", [file("1")]) as (_, one):
        with mounted(tmp_path / "two", [file("2")]) as (_, two):
            assert (os.listdir(one.path), os.listdir(two.path)) == (["1"], ["2"])
        assert os.listdir(one.path) == ["1"]


@fuse
def test_a_mount_in_use_stays_unless_it_is_unmounted_lazily(tmp_path: Path) -> None:
    with mounted(tmp_path, [file("a", b"x" * 10)]) as (_, mount):
        opened = os.open(f"{mount.path}/a", os.O_RDONLY)
        with pytest.raises(MountError, match="cannot be taken away") as caught:
            mount.unmount()
        assert caught.value.actual == "EBUSY"
        assert is_mounted(mount.path)
        assert os.listdir(mount.path) == ["a"]
        mount.unmount(lazy=True)
        assert not is_mounted(mount.path)
        assert not mount.is_mounted
        assert os.listdir(mount.path) == []
        assert os.read(opened, 100) == b"x" * 10
        os.close(opened)


@fuse
def test_the_end_of_the_block_does_not_wait_for_open_files(tmp_path: Path) -> None:
    with mounted(tmp_path, [file("a", b"x" * 10)]) as (_, mount):
        opened = os.open(f"{mount.path}/a", os.O_RDONLY)
    assert not is_mounted(mount.path)
    os.close(opened)


@fuse
def test_what_somebody_else_unmounts_is_unmounted(tmp_path: Path) -> None:
    tool = shutil.which("fusermount3") or pytest.skip("fusermount3 is not installed")
    with mounted(tmp_path, [file("a")]) as (_, mount):
        waiting = threading.Thread(target=mount.wait)
        waiting.start()
        subprocess.run([tool, "-u", mount.path], check=True)
        waiting.join(30)
        assert not waiting.is_alive()
        assert not mount.is_mounted
        mount.unmount()


PROGRAM = """
import sys
from unionlayers import open_image
image = open_image(sys.argv[1])
mount = image.mount(sys.argv[2])
print("mounted", flush=True)
{}
"""


def started(place: Path, last: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(last), str(DEMO), str(place)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "mounted\n"
    assert is_mounted(place)
    return process


def is_gone(place: Path) -> bool:
    """Tell whether a mount goes: at once, or by the process that watches over it."""
    deadline = time.monotonic() + 60
    while is_mounted(place) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_mounted(place)


@fuse
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_program_that_waits_unmounts_at_a_signal_and_ends_by_it(
    number: signal.Signals, place: Path
) -> None:
    process = started(place, "mount.wait()")
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == -number
    assert is_gone(place)
    if number == signal.SIGINT:
        assert said.strip().endswith("KeyboardInterrupt")
    else:
        assert said == ""


@fuse
def test_waiting_unmounts_before_it_lets_a_signal_end_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver, delivered = os.kill, []
    with mounted(tmp_path, [file("a")]) as (_, mount):

        def note(process: int, number: int) -> None:
            delivered.append((process, number, is_mounted(mount.path)))

        def end() -> None:
            while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                time.sleep(0.01)
            deliver(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(os, "kill", note)
        before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            threading.Thread(target=end).start()
            mount.wait()
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        finally:
            signal.signal(signal.SIGTERM, before)
    assert delivered == [(os.getpid(), signal.SIGTERM, False)]


@fuse
def test_a_program_that_ends_leaves_no_mount(place: Path) -> None:
    process = started(place, "sys.stdin.read()")
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
    assert not is_mounted(place)


@fuse
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_that_is_killed_leaves_no_mount(number: signal.Signals, place: Path) -> None:
    process = started(place, "import time; time.sleep(600)")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == -number
    assert is_gone(place)


@fuse
def test_a_forked_child_that_ends_leaves_the_mount_to_its_parent(place: Path) -> None:
    last = """
sys.stdin.read()
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
child = os.fork()
if child == 0:
    assert not mount.is_mounted
    image.close()
    os._exit(0)
os.waitpid(child, 0)
assert os.listdir(mount.path)
print("still there")
"""
    process = started(place, last)
    told, said = process.communicate(timeout=60)
    assert (told, said, process.returncode) == ("still there\n", "", 0)
