"""
Every path of real images against what a real runtime unpacked from them.

``images/README.md`` says which tools made the images and how the truth was written down; larger
images are tried where a folder ``shared`` stands beside the repository.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import stat
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from unionlayers import UnionFS, open_image

HERE = Path(__file__).resolve().parent
IMAGES = HERE / "images"
DEMO = HERE.parent / "examples" / "demo-image"
SHARED = HERE.parent.parent / "shared" / "images"


@frozen
class Case:
    """A source, and the name of the truth about the image in it."""

    archive: Path
    truth: str
    reference: str | None = None
    platform: str | None = None
    folder: str | None = None  # the archive holds this folder, which is what is opened

    def __str__(self) -> str:
        """Give the id of the test."""
        return " ".join(filter(None, [self.archive.name, self.reference, self.platform]))


CASES = [
    Case(DEMO / "ledger.oci.tar", "ledger"),
    Case(DEMO / "ledger.docker.tar", "ledger"),
    Case(IMAGES / "tiny.skopeo-docker-archive.tar", "tiny"),
    Case(IMAGES / "dup-layers.docker-save.tar", "dup-layers"),
    Case(IMAGES / "many-layers.docker-save.tar", "many-layers"),
    Case(IMAGES / "many-layers.docker26-save.tar", "many-layers"),
    Case(IMAGES / "many-layers.oci-gzip.tar", "many-layers"),
    Case(SHARED / "tiny.containerd-save.tar", "tiny"),
    Case(SHARED / "tiny.oci-zstd.tar", "tiny", folder="oci-zstd"),
    Case(SHARED / "tiny.skopeo-dir.tar", "tiny", folder="dir"),
    Case(SHARED / "multi.oci-index.tar", "tiny", platform="linux/amd64", folder="oci-index"),
    Case(SHARED / "multi.docker-save.tar", "tiny", "tiny:docker"),
    Case(SHARED / "multi.docker-save.tar", "dup-layers", "dup-layers:docker"),
    Case(SHARED / "multi.docker-save.tar", "many-layers", "many-layers:docker"),
    Case(SHARED / "debian-small.oci-gzip.tar", "debian-small"),
]

# Times before 1970 and after 2262: no two runtimes need agree on them (case H7).
OUT_OF_RANGE = {"srv/zoo/t-2300", "srv/zoo/t-1960"}

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}

NAMESPACES = ["basic", "details", "link", "stat", "xattr", "layer"]


def truth(name: str) -> dict[str, dict[str, Any]]:
    """Give what the runtime showed, by path."""
    for folder in (IMAGES / "truth", SHARED / "truth"):
        file = folder / f"{name}.jsonl.gz"
        if file.exists():
            lines = gzip.decompress(file.read_bytes()).splitlines()
            facts = [json.loads(line) for line in lines]
            return {fact["path"]: fact for fact in facts}
    pytest.skip(f"the truth of {name} is not here")


def digest(view: UnionFS, path: str) -> str:
    """Give the SHA-256 of a file, read in pieces."""
    total = hashlib.sha256()
    with view.openbin(path) as file:
        while piece := file.read(1 << 20):
            total.update(piece)
    return total.hexdigest()


def shown(view: UnionFS) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what a view shows, in the shape of the truth, but for the hard-link groups."""
    waiting = [("", view.getinfo("/", NAMESPACES).raw)]
    while waiting:
        path, raw = waiting.pop()
        facts = raw["stat"]
        kind = KINDS[stat.S_IFMT(facts["st_mode"])]
        fact: dict[str, Any] = {
            "path": path or ".",
            "type": kind,
            "mode": f"{stat.S_IMODE(facts['st_mode']):04o}",
            "uid": facts["st_uid"],
            "gid": facts["st_gid"],
            "mtime": facts["st_mtime_ns"],
            "ino": facts["st_ino"],
            "implied": raw["layer"]["implied"],
        }
        assert raw["basic"]["is_dir"] == (kind == "dir")
        if kind == "dir":
            below = [
                (f"{path}/{info.name}".lstrip("/"), info.raw)
                for info in view.scandir("/" + path, NAMESPACES)
            ]
            assert [name for name, _ in below] == [
                f"{path}/{name}".lstrip("/") for name in view.listdir("/" + path)
            ]
            waiting.extend(below)
        elif facts["st_nlink"] > 1:
            fact["nlink"] = facts["st_nlink"]
        if kind == "file":
            fact["size"] = facts["st_size"]
            fact["sha256"] = digest(view, "/" + path)
            assert raw["details"]["size"] == facts["st_size"]
        elif kind == "symlink":
            fact["linkname"] = raw["link"]["target"]
        elif kind in {"char", "block"}:
            fact["rdev"] = f"{os.major(facts['st_rdev'])}:{os.minor(facts['st_rdev'])}"
        if raw["xattr"]:
            fact["xattrs"] = {name: value.hex() for name, value in raw["xattr"].items()}
        yield path or ".", fact


def with_groups(facts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Replace inode numbers by the first path of each group of hard links."""
    names = defaultdict(list)
    for path, fact in facts.items():
        if fact["type"] != "dir":
            names[fact["ino"]].append(path)
    for group in names.values():
        group.sort(key=os.fsencode)
        for path in group:
            assert facts[path].get("nlink", 1) == len(group), (path, group)
            if len(group) > 1:
                facts[path]["hlgroup"] = group[0]
    return facts


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_path_is_as_the_runtime_showed_it(case: Case, tmp_path: Path) -> None:
    if not case.archive.exists():
        pytest.skip(f"{case.archive.name} is not here")
    expected = truth(case.truth)
    source = case.archive
    if case.folder:
        with tarfile.open(source) as packed:
            packed.extractall(tmp_path, filter="data")
        source = tmp_path / case.folder
    with (
        open_image(source, reference=case.reference, platform=case.platform) as image,
        image.fs() as view,
    ):
        actual = with_groups(dict(shown(view)))
    root_is_implied = actual["."]["implied"]
    for fact in actual.values():
        del fact["ino"], fact["implied"]
    for facts in (expected, actual):
        if root_is_implied:
            del facts["."]["mode"], facts["."]["mtime"]
        for path in OUT_OF_RANGE & facts.keys():
            del facts[path]["mtime"]
    assert sorted(actual.keys() - expected.keys()) == []
    assert sorted(expected.keys() - actual.keys()) == []
    differences = {
        path: {
            key: (fact.get(key), actual[path].get(key))
            for key in fact.keys() | actual[path].keys()
            if fact.get(key) != actual[path].get(key)
        }
        for path, fact in expected.items()
        if fact != actual[path]
    }
    assert differences == {}
