"""
Something else where a layer has a file: an exact error, in time, and all else as before.

Every kind of thing that can stand in place of a file is put there, before the image is opened and
while it is open, in both kinds of store.
"""

from __future__ import annotations

import errno
import os
import pickle
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from made_stores import Made

from unionlayers import (
    SourceAccessError,
    SourceChangedError,
    StoreError,
    UnionLayersError,
    list_images,
    open_image,
)
from unionlayers._bytes import assembled

pytestmark = pytest.mark.skipif(not hasattr(os, "listxattr"), reason="on-disk stores need Linux")

PATH = "/etc/keep"


@pytest.fixture(autouse=True)
def _nothing_is_waited_for() -> Iterator[None]:
    """Fail what blocks: on a FIFO or a device it would do so for ever."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError("something was waited for")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def bind(place: Path) -> None:
    """Make a socket, whose whole path may be too long."""
    before = os.getcwd()
    os.chdir(place.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(place.name)
    finally:
        os.chdir(before)


def device(kind: int, major: int, minor: int) -> Callable[[Path], None]:
    """Give what makes a device, which needs root."""

    def make(place: Path) -> None:
        try:
            os.mknod(place, kind | 0o600, os.makedev(major, minor))
        except PermissionError:
            pytest.skip("devices need root")

    return make


# What is put in place of the file, and what it is called.
ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "socket": (bind, "a socket"),
    "fifo": (os.mkfifo, "a FIFO"),
    "folder": (Path.mkdir, "a folder"),
    "link": (lambda place: place.symlink_to("name"), "a link"),
    "dangling link": (lambda place: place.symlink_to("none"), "a link"),
    "whiteout": (device(stat.S_IFCHR, 0, 0), "a character device"),
    # It gives no end of bytes to whoever opens it.
    "zeros": (device(stat.S_IFCHR, 1, 5), "a character device"),
    "block device": (device(stat.S_IFBLK, 7, 250), "a block device"),
    "nothing": (lambda _: None, "lacks a file"),
}


def replaced(made: Made, odd: str) -> Path:
    """Put something in place of the file."""
    place = made.diffs[0] / "etc/keep"
    place.unlink()
    ODD[odd][0](place)
    return place


def check(error: UnionLayersError, place: Path, what: str) -> None:
    assert isinstance(error, StoreError)
    assert what in error.message
    assert (error.member, error.path, error.layer) == (str(place), PATH, 0)
    assert error.hint is not None
    assert "spool" not in error.hint
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_file_is_told_when_the_layer_is_verified(either: Made, odd: str) -> None:
    place = replaced(either, odd)
    with open_image(either.root, reference=either.id) as image, image.fs() as view:
        ways: tuple[Callable[[], object], ...] = (
            image.layers[0].load,
            image.verify,
            lambda: view.readbytes(PATH),
            lambda: image.path(PATH).read_bytes(),
        )
        for way in ways:
            with pytest.raises(StoreError) as caught:
                way()
            check(caught.value, place, ODD[odd][1])
        # The image lives on: another layer is read, and so is this one once it is whole again.
        assert image.layers[1].fs().readtext("/etc/name") == "upper" * 300
    assert len(list_images(either.root)) == 2


@pytest.mark.parametrize("odd", ODD)
def test_unverified_what_is_no_file_fails_alone(either: Made, odd: str) -> None:
    place = replaced(either, odd)
    with open_image(either.root, reference=either.id, verify=False) as image, image.fs() as view:
        for _ in range(2):
            with pytest.raises(StoreError) as caught:
                view.readbytes(PATH)
            check(caught.value, place, ODD[odd][1])
        with view.openbin(PATH) as opened, pytest.raises(StoreError) as caught:
            opened.read(1)
        check(caught.value, place, ODD[odd][1])
        with pytest.raises(StoreError) as caught:
            image.path("/etc/also").read_bytes()  # the other name of the inode
        check(caught.value, place, ODD[odd][1])
        assert view.readtext("/etc/name") == "upper" * 300
        assert view.listdir("/etc") == ["also", "keep", "name"]
        if odd != "folder":
            place.unlink(missing_ok=True)
            place.write_text("kept")
            assert view.readtext(PATH) == "kept"


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_file_any_more_was_changed(
    either: Made, odd: str, verify: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembled, "_FILES_AT_HAND", 1)
    with open_image(either.root, reference="box", verify=verify) as image, image.fs() as view:
        assert view.readtext(PATH) == "kept"
        assert image.layers[0].fs().readtext("/etc/name") == "base"  # takes the one place there is
        place = replaced(either, odd)
        with pytest.raises(SourceChangedError) as caught:
            view.readbytes(PATH)
        assert (caught.value.path, caught.value.layer) == (PATH, 0)
        assert caught.value.member == str(place)
        assert view.readtext("/new") == "written"


@pytest.mark.parametrize("odd", [name for name in ODD if name not in ("link", "dangling link")])
def test_an_own_layer_of_a_container_shows_what_stands_there(either: Made, odd: str) -> None:
    """There it is what the container has made: only what vanishes after the look is an error."""
    written = next(either.root.glob("overlay*/*/diff/new"))
    written.unlink()
    ODD[odd][0](written)
    with open_image(either.root, reference="box") as image, image.fs() as view:
        assert view.readtext(PATH) == "kept"
        assert view.exists("/new") is (odd not in ("nothing", "socket", "whiteout"))


def failing(patch: pytest.MonkeyPatch, call: str, place: Path, number: int) -> None:
    """Let the host fail one call for one file, as a bad sector does."""
    real = getattr(os, call)
    wanted = place.lstat()

    def fails(where: Any, *more: Any, **options: Any) -> Any:
        try:
            if isinstance(where, int):
                seen = os.fstat(where)
            else:
                seen = os.lstat(where, dir_fd=options.get("dir_fd"))
        except OSError:
            return real(where, *more, **options)
        if (seen.st_dev, seen.st_ino) == (wanted.st_dev, wanted.st_ino):
            raise OSError(number, os.strerror(number))
        return real(where, *more, **options)

    patch.setattr(os, call, fails)
    patch.setattr(os, "supports_dir_fd", {*os.supports_dir_fd, fails})


@pytest.mark.parametrize("number", [errno.EIO, errno.EBADMSG, errno.ESTALE])
@pytest.mark.parametrize("call", ["open", "pread", "stat"])
@pytest.mark.parametrize("verify", [True, False])
def test_what_the_disk_cannot_read_is_told(
    either: Made, verify: bool, call: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = either.diffs[0] / "etc/keep"
    with open_image(either.root, reference=either.id, verify=verify) as image, image.fs() as view:
        with monkeypatch.context() as patch:
            failing(patch, call, place, number)
            with pytest.raises(StoreError) as caught:
                view.readbytes(PATH)
        check(caught.value, place, f"cannot be read: {os.strerror(number)}")
        if not verify:
            assert view.readtext(PATH) == "kept"


@pytest.mark.parametrize("call", ["listxattr", "readlink", "stat", "open", "scandir"])
def test_what_the_disk_cannot_read_of_a_containers_own_layer_is_told(
    either: Made, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = next(either.root.glob("overlay*/*/diff/new")).parent
    place = written / "sub"
    if call == "readlink":
        place.symlink_to("x")
    else:
        place.mkdir()
    with open_image(either.root, reference="box") as image, image.fs() as view:
        with monkeypatch.context() as patch:
            failing(patch, call, place, errno.EIO)
            with pytest.raises(StoreError, match="cannot be read: Input/output error") as caught:
                view.listdir("/")
        assert caught.value.member == str(place)
        assert caught.value.layer == len(image.layers) - 1


def test_too_many_open_files_are_not_the_fault_of_a_store(
    either: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = either.diffs[0] / "etc/keep"
    with open_image(either.root, reference=either.id, verify=False) as image, image.fs() as view:
        with monkeypatch.context() as patch:
            failing(patch, "open", place, errno.EMFILE)
            with pytest.raises(OSError, match="Too many open files") as caught:
                view.readbytes(PATH)
        assert not isinstance(caught.value, UnionLayersError)
        assert view.readtext(PATH) == "kept"


def test_what_the_user_may_not_read_says_the_layer(
    either: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = either.diffs[0] / "etc/keep"
    for verify in (True, False):
        with (
            open_image(either.root, reference=either.id, verify=verify) as image,
            image.fs() as view,
            monkeypatch.context() as patch,
        ):
            failing(patch, "open", place, errno.EACCES)
            with pytest.raises(SourceAccessError) as caught:
                view.readbytes(PATH)
            found = caught.value
            assert (found.member, found.path, found.layer) == (str(place), PATH, 0)
