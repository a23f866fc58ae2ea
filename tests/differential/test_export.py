"""
The tar of every real image, unpacked by other tools as root, is what a runtime unpacked.

Crafted trees too: what GNU tar and bsdtar make of an exported tar is what the view shows.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from facts import Tree, differences, tree_of
from real_images import CASES, OUT_OF_RANGE, Case, truth

from unionlayers import open_image
from unionlayers.testing import (
    ImageDescription,
    block_device,
    char_device,
    directory,
    fifo,
    file,
    hardlink,
    oci_archive,
    sparse_file,
    symlink,
)

TESTS = Path(__file__).resolve().parent.parent
TOOLS = ("tar", "bsdtar")
# GNU tar takes every name as bytes in any case, and says that it does not know who asks for it.
NOT_KNOWN = "tar: Ignoring unknown extended header keyword 'hdrcharset'\n"


def unpacked(tool: str, archive: Path, folder: Path) -> Tree:
    """Give what a tool unpacks in a mount namespace of its own; it has nothing to say about it."""
    if os.geteuid() != 0:
        pytest.skip("owners and devices are unpacked by root alone")
    for program in ("unshare", "mount", tool):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    place = folder / "place"
    place.mkdir()
    facts = folder / "facts.json"
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private", sys.executable),
            *(TESTS / "differential" / "tools" / "unpacked.py", tool, archive, place, facts),
        ],
        env={**os.environ, "PYTHONPATH": str(TESTS / "images")},
        capture_output=True,
        text=True,
        check=False,
    )
    if not facts.exists():
        pytest.skip(f"no tmpfs in a private mount namespace: {done.stderr[-300:]}")
    found = json.loads(facts.read_text())
    said = found["said"].replace(NOT_KNOWN, "")
    assert (found["code"], said) == (0, "")
    return {fact["path"]: fact for fact in found["tree"]}


def compared(left: Tree, right: Tree, *, root_is_implied: bool) -> dict[str, Any]:
    """Give where two trees differ, apart from what nobody says of the root."""
    for facts in (left, right):
        for fact in facts.values():
            fact.pop("implied", None)
            fact.pop("layer", None)
        if root_is_implied:
            facts["."].pop("mode")
            facts["."].pop("mtime")
    return differences(left, right)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gnu_tar_unpacks_the_tar_of_a_real_image_to_the_truth(case: Case, tmp_path: Path) -> None:
    source = case.source(tmp_path)
    expected = truth(case.truth)
    archive = tmp_path / "exported.tar"
    with (
        open_image(source, reference=case.reference, platform=case.platform) as image,
        image.fs() as view,
    ):
        view.export(archive)
        root_is_implied = view.getinfo("/", ["layer"]).raw["layer"]["implied"]
    actual = unpacked("tar", archive, tmp_path)
    for facts in (expected, actual):
        for path in OUT_OF_RANGE & facts.keys():
            del facts[path]["mtime"]
    assert compared(expected, actual, root_is_implied=root_is_implied) == {}


PING = bytes.fromhex("0100000200200000" + 24 * "0")

CRAFTED = [
    directory("./", mode=0o711, mtime=1_500_000_000),
    directory("bin", mode=0o2750, uid=3, gid=4, mtime_ns=1_600_000_000_000_000_001),
    file("bin/su", b"su", mode=0o4755, xattrs={"user.note": b"\0=\n"}),
    file("bin/ping", b"ping", xattrs={"security.capability": PING}),
    hardlink("bin/ping6", "bin/ping", mode=0o644, xattrs={"security.capability": PING}),
    hardlink("a", "bin/su", mode=0o4755, xattrs={"user.note": b"\0=\n"}),
    symlink("link", "../../etc/passwd"),
    symlink("long", "x/" * 150),
    hardlink("link2", "link", mode=0o777),
    fifo("pipe", mode=0o600),
    char_device("tty", 5, 300, mode=0o620, gid=5),
    block_device("disk", 259, 70_000, uid=1_000_000),
    file("n" * 100, b"1"),
    file("n" * 101, b"2"),
    directory("d" * 99),
    directory("d" * 100),
    file(b"\xff\xfe" * 20, b"3"),
    file(b"\xff/" + b"\xfe" * 120, b"4"),
    file("é" * 60, b"5"),
    file("new\nline", b"6", mtime_ns=1_234_567_890_123_456_789),
    file(" -rf ", b"7", mode=0),
    file("owner", b"8", uid=4_000_000_000, gid=3_000_000_000),
    file("empty"),
    file("zeros", bytes(3000)),
    sparse_file("sparse", [(1 << 20, b"data"), ((1 << 22) - 4, b"tail")], 1 << 22),
]  # fmt: skip


@pytest.mark.parametrize("tool", TOOLS)
def test_other_tools_unpack_what_the_view_shows(tool: str, tmp_path: Path) -> None:
    source = io.BytesIO(oci_archive(ImageDescription([CRAFTED])))
    archive = tmp_path / "exported.tar"
    with open_image(source) as image, image.fs() as view:
        view.export(archive)
        expected = tree_of(view)
    actual = unpacked(tool, archive, tmp_path)
    # bsdtar gives the folder that it unpacks into no time.
    if tool == "bsdtar":
        del expected["."]["mtime"], actual["."]["mtime"]
    assert compared(expected, actual, root_is_implied=False) == {}
