"""
All that an image shows, as values to be compared: the tree, and what the documents say.

`tree_of` has the shape of ``tests/images/truth.py``, which describes what a runtime unpacked.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import fields, frozen

from unionlayers import Image, UnionFS, open_image

__all__ = ["Facts", "Tree", "differences", "disagreements", "facts_of", "tree_of"]

Tree = dict[str, dict[str, Any]]

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}

NAMESPACES = ["basic", "details", "link", "stat", "xattr", "layer"]


def _digest(view: UnionFS, path: str) -> str:
    """Give the SHA-256 of a file, read in pieces."""
    total = hashlib.sha256()
    with view.openbin(path) as file:
        while piece := file.read(1 << 20):
            total.update(piece)
    return total.hexdigest()


def _shown(view: UnionFS) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what a view shows, but for the hard-link groups."""
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
            "layer": raw["layer"]["index"],
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
            fact["sha256"] = _digest(view, "/" + path)
            assert raw["details"]["size"] == facts["st_size"]
        elif kind == "symlink":
            fact["linkname"] = raw["link"]["target"]
        elif kind in {"char", "block"}:
            fact["rdev"] = f"{os.major(facts['st_rdev'])}:{os.minor(facts['st_rdev'])}"
        if raw["xattr"]:
            fact["xattrs"] = {name: value.hex() for name, value in raw["xattr"].items()}
        yield path or ".", fact


def tree_of(view: UnionFS) -> Tree:
    """
    Give every path of a view with all its metadata and the digest of its content.

    Beside the keys of the truth it has ``implied`` and ``layer``; inode numbers are replaced by
    the first path of each group of hard links.
    """
    facts = dict(_shown(view))
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
    for fact in facts.values():
        del fact["ino"]
    return facts


def differences(left: Tree, right: Tree) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Give what two trees say differently, by path and key; a missing path says nothing."""
    found = {}
    for path in sorted(left.keys() | right.keys()):
        one, other = left.get(path, {}), right.get(path, {})
        if one != other:
            found[path] = {
                key: (one.get(key), other.get(key))
                for key in one.keys() | other.keys()
                if one.get(key) != other.get(key)
            }
    return found


@frozen
class Facts:
    """
    What one form of an image shows.

    Attributes:
        tree: Of the whole stack, as `tree_of` gives it.
        id: Digest of the config.
        diff_ids: Of the layers, base first.
        history: Every step: time, command, whether it made no layer, and the layer it made.
        created_by: What made each layer.
        platform: As the image says.
        config: As parsed.
        findings: Code, layer and path of each.
        marks: The whiteouts of each layer.
    """

    tree: Tree
    id: str | None
    diff_ids: tuple[str | None, ...]
    history: tuple[Any, ...]
    created_by: tuple[str | None, ...]
    platform: str | None
    config: Mapping[str, Any]
    findings: tuple[tuple[str, int, str | None], ...]
    marks: tuple[tuple[Any, ...], ...]


def facts_of(
    source: Path | list[Path] | Image, *, reference: str | None = None, platform: str | None = None
) -> Facts:
    """Open what was written, verified, and give all that it shows."""
    if not isinstance(source, Image):
        with open_image(source, reference=reference, platform=platform) as image:
            return facts_of(image)
    image = source
    image.verify()
    with image.fs() as view:
        tree = tree_of(view)
    return Facts(
        tree=tree,
        id=image.id,
        diff_ids=tuple(layer.diff_id for layer in image.layers),
        history=tuple(
            (step.created, step.created_by, step.empty_layer, step.layer) for step in image.history
        ),
        created_by=tuple(layer.created_by for layer in image.layers),
        platform=image.platform,
        config=image.config,
        findings=tuple((found.code, found.layer, found.path) for found in image.findings),
        marks=tuple(layer.marks for layer in image.layers),
    )


def disagreements(
    left: Facts, right: Facts, apart_from: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """
    Give the fields in which two forms of one image differ, *apart_from* those named.

    A name with a colon leaves out the findings of one code only: ``findings:CODE``.
    """
    found: dict[str, Any] = {}
    codes = {name.partition(":")[2] for name in apart_from}
    for attribute in fields(Facts):
        name = attribute.name
        one, other = getattr(left, name), getattr(right, name)
        if name == "findings":
            one, other = ([item for item in each if item[0] not in codes] for each in (one, other))
        if one != other and name not in apart_from:
            found[name] = differences(one, other) if name == "tree" else (one, other)
    return found
