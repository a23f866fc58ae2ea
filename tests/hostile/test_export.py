"""Nothing of an export is ever written outside of its folder, whatever somebody does meanwhile."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from unionlayers import ExportError, open_image
from unionlayers._views.export.beneath import WrittenFolder
from unionlayers.testing import (
    ImageDescription,
    directory,
    fifo,
    file,
    hardlink,
    oci_archive,
    symlink,
)

TREE = [
    directory("a", mode=0o755),
    directory("a/b", mode=0o755),
    file("a/b/secret", b"new"),
    file("a/passwd", b"new"),
    hardlink("a/b/hard", "a/passwd"),
    symlink("a/b/soft", "../passwd"),
    fifo("a/b/pipe"),
    directory("a/b/c"),
]
STEPS = ("directory", "file", "symbolic_link", "special", "hard_link", "folder")


def outside_of(place: Path) -> Path:
    """Make a folder that must not change, in the shape of what is exported."""
    outside = place / "outside"
    (outside / "b").mkdir(parents=True)
    (outside / "passwd").write_text("old")
    (outside / "b" / "passwd").write_text("old")
    return outside


def facts(folder: Path) -> dict[str, Any]:
    """Give all that could have changed in a folder; times of reading are no matter."""
    return {
        str(path): (
            (found := path.lstat()).st_mode,
            found.st_uid,
            found.st_nlink,
            found.st_mtime_ns,
            found.st_ctime_ns,
            path.read_bytes() if path.is_file() else None,
        )
        for path in [folder, *sorted(folder.rglob("*"))]
    }


def swapping(
    attack: Callable[[], None], at: int, counted: list[int]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have something happen once, before the step of a number."""

    def around(step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(self: WrittenFolder, *arguments: Any) -> Any:
            counted[0] += 1
            if counted[0] == at:
                attack()
                # Nothing is at hand any more: every folder is opened once again.
                self._folders.close()
            return step(self, *arguments)

        return stepped

    return around


@pytest.mark.parametrize("victim", ["a", "a/b"])
def test_a_link_in_place_of_a_directory_at_any_moment_leads_no_write_out(
    victim: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = refused = 0
    archive = oci_archive(ImageDescription([TREE]))
    for at in range(1, 200):
        place = tmp_path / str(at)
        place.mkdir()
        outside, root = outside_of(place), place / "root"
        before = facts(outside)
        counted = [0]
        swapped: list[int] = []

        def attack(
            root: Path = root, outside: Path = outside, swapped: list[int] = swapped
        ) -> None:
            if (root / victim).is_dir():
                (root / victim).rename(root / "moved")
                (root / victim).symlink_to(outside)
                swapped.append(1)

        with monkeypatch.context() as patched, open_image(io.BytesIO(archive)) as image:
            for name in STEPS:
                around = swapping(attack, at, counted)
                patched.setattr(WrittenFolder, name, around(getattr(WrittenFolder, name)))
            try:
                image.fs().export(root, devices=True)
            except (ExportError, OSError):
                refused += 1
        assert facts(outside) == before, at
        tried += len(swapped)
        if counted[0] < at:
            break
    assert tried > 10
    assert refused > 5


def test_a_file_or_link_that_is_there_first_is_neither_opened_nor_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = outside_of(tmp_path)
    before = facts(outside)
    step = WrittenFolder.file

    def placed(self: WrittenFolder, path: bytes) -> int:
        (tmp_path / "root" / os.fsdecode(path)).symlink_to(outside / "passwd")
        return step(self, path)

    monkeypatch.setattr(WrittenFolder, "file", placed)
    with (
        open_image(io.BytesIO(oci_archive(ImageDescription([TREE])))) as image,
        pytest.raises(ExportError) as caught,
    ):
        image.fs().export(tmp_path / "root")
    assert caught.value.actual == "EEXIST"
    assert facts(outside) == before


HOSTILE = [
    [directory("up"), symlink("up/out", "../../outside"), file("up/out/planted", b"x")],
    [symlink("out", "../outside"), hardlink("hard", "out"), file("out/planted", b"x")],
    [symlink("out", "../outside")],
    [symlink("x", "../outside/passwd"), file("x", b"x", mode=0o777), hardlink("y", "x")],
    [file("../outside/planted", b"x"), file("/../../outside/passwd", b"x")],
    [symlink("A", "../outside"), directory("a"), file("a/planted", b"x")],
    [directory("d"), symlink("d/up", ".."), symlink("d/out", "up/../outside")],
]


@pytest.mark.parametrize("links", ["inside", "skip", "keep"])
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_layers_write_nothing_outside(number: int, links: Any, tmp_path: Path) -> None:
    outside = outside_of(tmp_path)
    before = facts(outside)
    layers = [[entry] for entry in HOSTILE[number]] if number == 0 else [HOSTILE[number]]
    archive = oci_archive(ImageDescription(layers))
    with open_image(io.BytesIO(archive), on_invalid="warn") as image:
        refused = nullcontext() if links != "inside" else suppress(ExportError)
        with refused:
            image.fs().export(tmp_path / "root", links=links)
    assert facts(outside) == before
    assert set(os.listdir(tmp_path)) <= {"outside", "root"}


WRITES = re.compile(
    r"^(?:\d+ +)?(open|openat|openat2|creat|mkdir|mkdirat|symlink|symlinkat|link|linkat|rename\w*|"
    r"mknod|mknodat|unlink|unlinkat|chmod|fchmodat|chown|lchown|fchownat|utimensat|truncate|"
    r"setxattr|lsetxattr|rmdir)\((.*)$"
)


def test_the_kernel_is_asked_for_single_names_beneath_descriptors_only(tmp_path: Path) -> None:
    """What strace saw: no call that writes takes a path with a slash, but to make the folder."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    archive = tmp_path / "image.tar"
    archive.write_bytes(oci_archive(ImageDescription([[*TREE, symlink("abs", "/a/b")]])))
    code = (
        "import sys, unionlayers, unionlayers._views.export.destination\n"
        "with unionlayers.UnionFS(sys.argv[1]) as view:\n"
        "    view.listdir('/')\n"
        "    sys.stdout.write('begin'); sys.stdout.flush()\n"
        "    view.export(sys.argv[2])\n"
        "    sys.stdout.write('finish'); sys.stdout.flush()\n"
    )
    log = tmp_path / "log"
    done = subprocess.run(
        ["strace", "-f", "-o", log, sys.executable, "-c", code, archive, tmp_path / "root"],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr.lower():
        pytest.skip("strace may not trace here")
    assert done.stdout == "beginfinish", done.stderr
    during = log.read_text().partition('"begin"')[2].partition('"finish"')[0].splitlines()
    calls = [found for line in during if (found := WRITES.match(line))]
    wanted = 0
    for call in calls:
        name, words = call[1], call[2]
        paths = re.findall(r'"((?:[^"\\]|\\.)*)"', words)
        if name.startswith("open") and "O_WRONLY" not in words and "O_CREAT" not in words:
            # A descriptor of a directory, or something that Python reads.
            if words.startswith("AT_FDCWD"):
                assert str(tmp_path / "root") != paths[0] or "O_NOFOLLOW" in words
                continue
            assert "O_NOFOLLOW" in words
        elif name == "mkdir" and paths == [str(tmp_path / "root")]:
            continue
        wanted += 1
        if name.startswith("symlink"):
            paths = paths[1:]
        assert all("/" not in path for path in paths), call[0]
        assert "AT_FDCWD" not in words or name == "symlinkat", call[0]
        assert not name.startswith("open") or "O_NOFOLLOW" in words, call[0]
    assert wanted >= 10


def test_a_hard_link_changes_no_owner_of_what_is_written_and_sets_no_bits(tmp_path: Path) -> None:
    # CVE-2026-4360: tarfile set what the header of a hard link says, whatever filter was asked for.
    entries = [
        file("a", b"x", uid=4242, gid=4242, mode=0o644),
        hardlink("h", "a", uid=4343, gid=4343, mode=0o6777),
    ]
    with open_image(io.BytesIO(oci_archive(ImageDescription([entries])))) as image:
        assert image.fs().stat("/a").st_uid == 4343
        image.fs().export(tmp_path / "out")
    own = (tmp_path / "out").stat()
    for name in ("a", "h"):
        found = (tmp_path / "out" / name).lstat()
        assert (found.st_uid, found.st_gid) == (own.st_uid, own.st_gid)
        assert found.st_mode & 0o7000 == 0
        assert found.st_nlink == 2
