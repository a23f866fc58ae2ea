"""Index stores that are killed, full, read-only, broken or not the user's own."""

from __future__ import annotations

import errno
import io
import os
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest
from answers import answers

from unionlayers import DirectoryIndexStore, IndexStoreError, open_image
from unionlayers.testing import ImageDescription, directory, file, hardlink, oci_archive, whiteout

IMAGES = Path(__file__).resolve().parent.parent / "images"

posix = pytest.mark.skipif(os.name != "posix", reason="owners, modes and fork are POSIX")
as_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root changes owners and mounts"
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "image.tar"
    image = ImageDescription(
        [
            [directory("etc"), file("etc/passwd", "root"), file("b", b"b" * 5000)],
            [hardlink("etc/users", "etc/passwd"), whiteout("b")],
        ]
    )
    path.write_bytes(oci_archive(image, codec="gzip"))
    return path


@pytest.fixture(autouse=True)
def told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sources be noted that were just written, so that these files are written too."""
    from unionlayers._image import stored_layers

    monkeypatch.setattr(stored_layers, "_SETTLED_NS", -1)


# -- killed ----------------------------------------------------------------------------------------

KILLED = textwrap.dedent(
    """
    import gc, os, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[3])
    from answers import answers
    from unionlayers._image import stored_layers

    stored_layers._SETTLED_NS = -1
    archive, base = sys.argv[1], Path(sys.argv[2])
    expected = answers(archive)
    calls = 0

    def dying(name, at, how):
        original = getattr(os, name)

        def call(*args, **options):
            global calls
            if name == "open" and not args[1] & os.O_CREAT:
                return original(*args, **options)
            calls += 1
            if calls == at:
                if how == "half" and name == "write":
                    original(args[0], args[1][: len(args[1]) // 2])
                try:
                    if how == "after":
                        original(*args, **options)
                finally:
                    os._exit(9)
            return original(*args, **options)

        setattr(os, name, call)

    killed = 0
    for how in ("before", "half", "after"):
        at = 0
        while True:
            at += 1
            folder = base / f"{how}-{at}"
            # No record is left in memory, so that each child indexes anew.
            gc.collect()
            child = os.fork()
            if not child:
                for name in ("open", "write", "replace", "mkdir"):
                    dying(name, at, how)
                os._exit(0 if answers(archive, index_store=folder) == expected else 3)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert code in (0, 9), (how, at, code)
            gc.collect()
            assert answers(archive, index_store=folder) == expected, (how, at)
            for path in folder.glob("[!.]*.*.*"):
                assert path.read_bytes()[:8] == b"\\x93UNIONL\\n", path
            if code == 0:
                break
            killed += 1
    print(killed)
    """
)


@posix
def test_a_writer_that_is_killed_at_any_write_leaves_a_usable_store(
    archive: Path, tmp_path: Path
) -> None:
    base = tmp_path / "stores"
    base.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(archive), str(base), str(IMAGES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # A look for the folder, the folder, two calls for its tag, and two records and two notes on
    # sources, each opened, written and renamed.
    assert int(done.stdout) == 3 * 16


# -- full, read-only, broken -----------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, name: str, code: int, *, at: int = 1) -> None:
    """Let the n-th and every later call that changes something fail."""
    original = getattr(os, name)
    calls = 0

    def call(*args: Any, **options: Any) -> Any:
        nonlocal calls
        if name == "open" and not args[1] & os.O_CREAT:
            return original(*args, **options)
        calls += 1
        if calls >= at:
            raise OSError(code, os.strerror(code))
        return original(*args, **options)

    monkeypatch.setattr(os, name, call)


@pytest.mark.parametrize("name", ["open", "write", "replace", "mkdir"])
@pytest.mark.parametrize("code", ["ENOSPC", "EIO", "EROFS", "EACCES", "EDQUOT"])
def test_a_store_that_cannot_be_written_changes_no_answer_and_says_so(
    name: str, code: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answers(archive)
    store = DirectoryIndexStore(tmp_path / "s")
    with monkeypatch.context() as patch:
        failing(patch, name, getattr(errno, code))
        assert answers(archive, index_store=store) == expected
    assert {error.errno for error in store.failures} == {getattr(errno, code)}
    assert all(error.filename for error in store.failures)
    assert not list(tmp_path.glob("s/*.index"))
    assert not list(tmp_path.glob("s/.*"))
    # And as soon as it can be written again, it is.
    assert answers(archive, index_store=store) == expected
    assert len(list(tmp_path.glob("s/*.index"))) == 2


@pytest.mark.parametrize("at", range(2, 7))
def test_a_disk_that_fills_up_in_the_middle_changes_no_answer(
    at: int, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answers(archive)
    store = DirectoryIndexStore(tmp_path / "s")
    with monkeypatch.context() as patch:
        failing(patch, "write", errno.ENOSPC, at=at)
        assert answers(archive, index_store=store) == expected
    assert answers(archive, index_store=store) == expected


def test_writes_that_take_only_a_part_are_gone_on_with(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.write
    monkeypatch.setattr(os, "write", lambda to, data: original(to, bytes(data[:7])))
    expected = answers(archive)
    store = DirectoryIndexStore(tmp_path / "s")
    assert [answers(archive, index_store=store) for _ in range(2)] == [expected, expected]
    assert store.failures == ()


@pytest.mark.parametrize("name", ["open", "read", "fstat"])
def test_a_store_that_cannot_be_read_changes_no_answer_and_says_so(
    name: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryIndexStore(tmp_path / "s")
    expected = answers(archive, index_store=store)
    original = getattr(os, name)
    own: set[int] = set()

    def call(*args: Any, **options: Any) -> Any:
        ours = args[0] in own or (name == "open" and str(store.path) in str(args[0]))
        if ours and not (name == "open" and args[1] & os.O_CREAT):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return original(*args, **options)

    opened = os.open

    def opening(path: Any, *args: Any, **options: Any) -> int:
        descriptor = opened(path, *args, **options)
        (own.add if str(store.path) in str(path) else own.discard)(descriptor)
        return descriptor

    with monkeypatch.context() as patch:
        if name != "open":
            patch.setattr(os, "open", opening)
        patch.setattr(os, name, call)
        assert answers(archive, index_store=store) == expected
    assert {error.errno for error in store.failures} == {errno.EIO}


@as_root
def test_a_file_system_that_is_full_or_read_only_changes_no_answer(
    archive: Path, tmp_path: Path
) -> None:
    mount = tmp_path / "mount"
    mount.mkdir(mode=0o700)
    code = textwrap.dedent(
        f"""
        import errno, os, subprocess, sys
        sys.path.insert(0, {str(IMAGES)!r})
        from answers import answers
        from unionlayers import DirectoryIndexStore

        expected = answers({str(archive)!r})
        # A folder, and room for one block.
        store = DirectoryIndexStore({str(mount / "s")!r})
        assert answers({str(archive)!r}, index_store=store) == expected
        assert {{error.errno for error in store.failures}} == {{errno.ENOSPC}}, store.failures
        subprocess.run(["mount", "-o", "remount,size=1m", {str(mount)!r}], check=True)
        assert answers({str(archive)!r}, index_store=store) == expected
        held = sorted(os.listdir(store.path))
        subprocess.run(["mount", "-o", "remount,ro", {str(mount)!r}], check=True)
        store = DirectoryIndexStore({str(mount / "s")!r})
        assert answers({str(archive)!r}, index_store=store) == expected
        assert {{error.errno for error in store.failures}} <= {{errno.EROFS}}, store.failures
        assert sorted(os.listdir(store.path)) == held
        """
    )
    mounted = f"mount -t tmpfs -o size=4k,mode=700 tmpfs {mount} || exit 77"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mounted}; exec "$0" -c "$1"', sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no file system can be mounted here")
    assert done.returncode == 0, done.stderr


@posix
def test_a_folder_that_is_read_only_is_used_for_what_it_holds(
    archive: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    expected = answers(archive, index_store=folder)
    before = sorted(folder.iterdir())
    folder.chmod(0o500)
    try:
        assert answers(archive, index_store=folder) == expected
        assert sorted(folder.iterdir()) == before
    finally:
        folder.chmod(0o700)


# -- whose it is -----------------------------------------------------------------------------------


@posix
def test_what_is_made_is_for_the_user_alone_whatever_the_umask(
    archive: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    before = os.umask(0)
    try:
        answers(archive, index_store=folder)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.iterdir())
    assert len(files) > 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


@posix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o702, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused(
    mode: int, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(IndexStoreError, match="others can write") as caught:
        DirectoryIndexStore(folder)
    assert caught.value.member == str(folder)
    assert isinstance(caught.value, PermissionError)
    with pytest.raises(IndexStoreError):
        open_image(archive, index_store=folder)
    monkeypatch.setenv("UNIONLAYERS_CACHE", str(folder))
    with pytest.raises(IndexStoreError):
        open_image(archive)
    open_image(archive, index_store=False).close()


@posix
def test_a_folder_that_others_can_only_read_is_taken(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    answers(archive, index_store=folder)
    assert list(folder.glob("*.index"))


@as_root
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    with pytest.raises(IndexStoreError):
        DirectoryIndexStore(folder)


@as_root
@pytest.mark.parametrize("how", ["owner", "mode", "link"])
def test_a_file_that_somebody_else_may_have_written_is_not_read_and_is_replaced(
    how: str, archive: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    expected = answers(archive, index_store=folder)
    names = sorted(path.name for path in folder.glob("*.*.*"))
    for name in names:
        path = folder / name
        if how == "owner":
            os.chown(path, 12345, 12345)
        elif how == "mode":
            path.chmod(0o666)
        else:
            elsewhere = tmp_path / name
            path.replace(elsewhere)
            path.symlink_to(elsewhere)
    store = DirectoryIndexStore(folder)
    assert [store.get(name) for name in names] == [None] * len(names)
    assert answers(archive, index_store=folder) == expected
    for path in folder.glob("*.index"):
        found = path.lstat()
        assert stat.S_ISREG(found.st_mode)
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o600)


@posix
@pytest.mark.parametrize("mode", [0o700, 0o770, 0o777])
def test_a_folder_behind_a_link_is_judged_by_what_the_link_leads_to(
    mode: int, archive: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    (tmp_path / "link").symlink_to(folder)
    if mode != 0o700:
        with pytest.raises(IndexStoreError):
            DirectoryIndexStore(tmp_path / "link")
        return
    expected = answers(archive, index_store=tmp_path / "link")
    assert list(folder.glob("*.index"))
    assert answers(archive, index_store=tmp_path / "link") == expected


@posix
def test_a_link_to_nothing_makes_no_folder_where_it_leads(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    store = DirectoryIndexStore(tmp_path / "link")
    assert answers(archive, index_store=store) == answers(archive)
    assert not (tmp_path / "elsewhere").exists()
    assert store.failures


def forged(archive: Path, folder: Path) -> None:
    """Fill a folder with records of another image, under the names of those of *archive*."""
    other = archive.with_name("other.tar")
    image = ImageDescription([[file("etc/passwd", "forged")], [file("more", "forged")]])
    other.write_bytes(oci_archive(image, codec="gzip"))
    answers(archive, index_store=folder)
    theirs = folder.with_name("theirs")
    answers(other, index_store=theirs)
    for kind in ("index", "source", "checkpoints"):
        names = sorted(path.name for path in folder.glob(f"*.{kind}"))
        for name, path in zip(names, sorted(theirs.glob(f"*.{kind}")), strict=False):
            (folder / name).write_bytes(path.read_bytes())


@as_root
@pytest.mark.parametrize("when", ["before", "while open"])
def test_a_folder_that_another_user_has_put_in_place_injects_nothing(
    when: str, archive: Path, tmp_path: Path
) -> None:
    expected = answers(archive)
    planted = tmp_path / "planted"
    forged(archive, planted)
    for path in (planted, *planted.iterdir()):
        os.chown(path, 12345, 12345)
    folder = tmp_path / "s"
    if when == "before":
        planted.rename(folder)
        with pytest.raises(IndexStoreError):
            open_image(archive, index_store=folder)
        return
    store = DirectoryIndexStore(folder)
    answers(archive, index_store=store)
    folder.rename(tmp_path / "away")
    planted.rename(folder)
    assert answers(archive, index_store=store) == expected
    with pytest.raises(IndexStoreError):
        DirectoryIndexStore(folder)


def test_records_of_other_layers_under_the_names_of_these_inject_nothing(
    archive: Path, tmp_path: Path
) -> None:
    expected = answers(archive)
    folder = tmp_path / "s"
    forged(archive, folder)
    assert answers(archive, index_store=folder) == expected
    with open_image(archive, index_store=folder) as image:
        image.verify()


OTHER_USER = textwrap.dedent(
    """
    import os, sys
    from pathlib import Path

    folder = Path(sys.argv[1])
    os.setgid(12345)
    os.setuid(12345)
    done = []
    for attempt in (
        lambda: os.listdir(folder),
        lambda: (folder / sys.argv[2]).read_bytes(),
        lambda: (folder / sys.argv[2]).write_bytes(b"forged"),
        lambda: (folder / "new.1.index").write_bytes(b"forged"),
        lambda: (folder / sys.argv[2]).unlink(),
        lambda: os.link("/etc/hostname", folder / "link.1.index"),
    ):
        try:
            attempt()
        except OSError:
            continue
        done.append(attempt)
    sys.exit(len(done))
    """
)


@as_root
def test_another_user_can_neither_read_nor_write_a_store(archive: Path) -> None:
    # Not below the folder of pytest, which nobody else may enter.
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        folder = Path(top) / "s"
        answers(archive, index_store=folder)
        name = next(folder.glob("*.index")).name
        done = subprocess.run(
            [sys.executable, "-c", OTHER_USER, str(folder), name], check=False, cwd="/"
        )
        assert done.returncode == 0
        assert len(list(folder.glob("*.index"))) == 2


def test_a_store_that_is_a_file_is_refused(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"")
    with pytest.raises(IndexStoreError, match="no folder"):
        open_image(archive, index_store=path)


def test_a_folder_that_is_deleted_while_it_is_used_is_made_again(
    archive: Path, tmp_path: Path
) -> None:
    store = DirectoryIndexStore(tmp_path / "s")
    expected = answers(archive, index_store=store)
    for path in store.path.iterdir():
        path.unlink()
    store.path.rmdir()
    assert answers(archive, index_store=store) == expected
    assert len(list(store.path.glob("*.index"))) == 2
    assert store.failures == ()


# -- damage in the middle of a session -------------------------------------------------------------


def test_any_byte_of_a_stored_record_may_be_wrong_and_the_answers_are_right(
    tmp_path: Path, seed: int, sample_size: int
) -> None:
    import random

    entries = [file(f"d{n % 7}/f{n}", f"{n}") for n in range(60)]
    data = oci_archive(ImageDescription([entries]), codec="gzip")
    store = DirectoryIndexStore(tmp_path / "s")
    expected = answers(io.BytesIO(data), index_store=store)
    (record,) = store.path.glob("*.index")
    sound = record.read_bytes()
    randomly = random.Random(seed)
    for _ in range(sample_size // 5):
        damaged = bytearray(sound)
        place = randomly.randrange(len(sound))
        damaged[place] ^= randomly.randrange(1, 256)
        record.write_bytes(damaged)
        assert answers(io.BytesIO(data), index_store=store) == expected, place
        healed = record.read_bytes()
        # What is between the sections is not looked at, and not healed.
        assert healed in (sound, bytes(damaged)), place
    assert store.failures == ()
