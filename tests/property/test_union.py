"""
The union against a second reading of the specification: forty plain lines over a dictionary.

Random stacks of all entry types, whiteouts, opaque whiteouts, hard links and type changes.  Marks
come first in each layer here; the order of marks and entries is the semantics table's.
"""

from __future__ import annotations

import io
import itertools
import os
import stat
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from unionlayers import UnionFS, open_image
from unionlayers.testing import (
    Entry,
    ImageDescription,
    directory,
    fifo,
    file,
    hardlink,
    oci_archive,
    opaque,
    symlink,
    whiteout,
)

CAMPAIGN = bool(os.environ.get("UNIONLAYERS_CAMPAIGN"))
EXAMPLES = 5000 if CAMPAIGN else 150

names = st.sampled_from(["a", "b", "é"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
modes = st.sampled_from([0o644, 0o4755, 0o1777])
entries = st.one_of(
    st.tuples(st.just("file"), paths, modes, st.sampled_from([b"", b"one", b"two"])),
    st.tuples(st.just("dir"), paths, modes),
    st.tuples(st.just("link"), paths, st.sampled_from(["a", "/b/a", "../b", "nowhere"])),
    st.tuples(st.just("fifo"), paths, modes),
    st.tuples(st.just("hard"), paths, paths),
)
marks = st.one_of(
    st.tuples(st.just("hide"), paths), st.tuples(st.just("empty"), paths | st.just(""))
)
layers = st.tuples(st.lists(marks, max_size=3), st.lists(entries, max_size=8))

Tree = dict[str, dict[str, Any]]


def above(path: str) -> list[str]:
    """Give the directories that a path is in, the root first."""
    return ["", *itertools.accumulate(path.split("/")[:-1], lambda a, b: f"{a}/{b}")]


def replay(
    lower: Tree, marked: list[Any], brought: list[Any], met: set[str]
) -> tuple[Tree, list[Entry]]:
    """
    Apply one layer to a dictionary, as the specification says; gives the entries it kept.

    *met* has what layers beneath are: "alone" where overlayfs cannot unpack one by itself, or only
    containerd can, "crosses" where one goes on below what is no directory beneath it.  Of an image
    that is both, all is read in sequence: the semantics table's (cases E3, F3, D1, C5).
    """
    hidden: set[str] = set()
    emptied: set[str] = set()
    upper: Tree = {}
    kept: list[Entry] = []

    def takes(*, alone: bool, crosses: bool) -> bool:
        """Tell whether the stack is not yet what it may not be together with that."""
        found = {"alone"} if alone else set()
        found |= {"crosses"} if crosses else set()
        if len(met | found) > 1:
            return False
        met.update(found)
        return True

    def imply(path: str) -> bool:
        if any(p in upper and upper[p]["type"] != "dir" for p in above(path)[1:]):
            return False
        for p in above(path)[1:]:
            upper.setdefault(p, {"type": "dir", "mode": 0o755, "implied": True})
        return True

    def over(path: str) -> bool:
        """Tell whether lower layers have something on the way that is no directory."""
        return any(lower.get(p, {"type": "dir"})["type"] != "dir" for p in above(path)[1:])

    def seen(path: str) -> bool:
        return path in lower and not (hidden & {path, *above(path)} or emptied & set(above(path)))

    def there(path: str) -> bool:
        return seen(path) and lower[path]["type"] == "dir"

    for kind, path in sorted(marked, key=lambda mark: mark[1].count("/") + (mark[0] == "empty")):
        inside = [*above(path), path] if kind == "empty" else above(path)
        if hidden & set(inside):
            continue
        again = path in (hidden if kind == "hide" else emptied)
        # Where a layer cannot be unpacked alone a mark makes no directories (case A3).
        if not takes(alone=again, crosses=not all(map(there, inside[1:]))):
            continue
        imply(path if kind == "hide" else f"{path}/x" if path else "x")
        (hidden if kind == "hide" else emptied).add(path)
        kept.append(whiteout(path) if kind == "hide" else opaque(path))
    for kind, path, *rest in brought:
        inside = [p for p in upper if f"{p}/".startswith(f"{path}/")]
        named = [p for p in inside if upper[p]["type"] == "dir" and "implied" not in upper[p]]
        alone = kind != "dir" and bool(named)
        alone = alone or any(p in hidden and p not in upper for p in above(path))
        alone = alone or "implied" not in upper.get(path, {"implied": True})
        reaches = kind == "hard" and rest[0] not in upper
        crosses = over(path) or (reaches and over(rest[0]))
        if kind == "hard":
            target = rest[0]
            if any(p in upper and upper[p]["type"] != "dir" for p in above(target)[1:]):
                # Through a link of its own layer: the semantics table's (case D3).
                continue
            node = upper.get(target) or (lower[target] if seen(target) else None)
            if node is None or node["type"] == "dir" or f"{path}/".startswith(f"{target}/"):
                continue
            if target.startswith(f"{path}/"):
                # In place of the directory its target is in: the semantics table's (case E10).
                continue
            if node["type"] == "link" or any(
                p in upper and upper[p]["type"] != "dir" for p in above(path)
            ):
                continue
            if not takes(alone=alone or reaches, crosses=crosses) or not imply(path):
                continue
            entry = hardlink(path, target, mode=node["mode"])
        elif any(p in upper and upper[p]["type"] != "dir" for p in above(path)):
            continue
        elif kind == "dir" and upper.get(path, {"type": "dir"})["type"] != "dir":
            # A directory after something else of its name: the semantics table's (case F3).
            continue
        elif not takes(alone=alone, crosses=crosses) or not imply(path):
            continue
        elif kind == "file":
            node = {"type": "file", "mode": rest[0], "data": rest[1]}
            entry = file(path, rest[1], mode=rest[0])
        elif kind == "dir":
            node, entry = {"type": "dir", "mode": rest[0]}, directory(path, mode=rest[0])
        elif kind == "fifo":
            node, entry = {"type": "fifo", "mode": rest[0]}, fifo(path, mode=rest[0])
        else:
            node = {"type": "link", "mode": 0o777, "target": rest[0]}
            entry = symlink(path, rest[0])
        if kind != "dir" or upper.get(path, node)["type"] != "dir":
            for inner in [p for p in upper if p.startswith(path + "/")]:
                del upper[inner]
        upper[path] = node
        kept.append(entry)
    merged = {
        path: node
        for path, node in lower.items()
        if seen(path)
        and not any(upper.get(p, {"type": "dir"})["type"] != "dir" for p in above(path))
        and not any(p in upper and lower.get(p, upper[p])["type"] != "dir" for p in above(path)[1:])
    }
    for path, node in upper.items():
        inherits = node.get("implied") and merged.get(path, {}).get("type") == "dir"
        if not inherits:
            merged[path] = node
    return merged, kept


def shown(view: UnionFS) -> Tree:
    """Give what a view shows in the shape of the dictionary, with inode numbers."""
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo"}
    tree: Tree = {}
    for path, info in view.find(None, types=("file", "directory", "symlink", "fifo"),
                                namespaces=("stat",)):  # fmt: skip
        facts: Any = info.raw["stat"]
        node = {
            "type": kinds[stat.S_IFMT(facts["st_mode"])],
            "mode": stat.S_IMODE(facts["st_mode"]),
            "inode": facts["st_ino"],
            "nlink": facts["st_nlink"],
        }
        if node["type"] == "file":
            node["data"] = view.readbytes(path)
        if node["type"] == "link":
            node["target"] = info.raw["link"]["target"]
        tree[path[1:]] = node
    return tree


@given(st.lists(layers, min_size=1, max_size=5))
@settings(max_examples=EXAMPLES, deadline=None)
def test_the_union_of_any_stack_is_what_replaying_it_on_a_dictionary_gives(stack: Any) -> None:
    expected: Tree = {}
    described: list[list[Entry]] = []
    met: set[str] = set()
    for marked, brought in stack:
        expected, kept = replay(expected, marked, brought, met)
        described.append(kept)
    note(str(described))
    archive = oci_archive(ImageDescription(described), codec="identity")
    with open_image(io.BytesIO(archive)) as image:
        found = shown(image.fs())
    assert sorted(found) == sorted(expected)
    for path, node in expected.items():
        same = {p for p, other in expected.items() if other is node}
        wanted = {key: value for key, value in node.items() if key != "implied"}
        got = {key: found[path][key] for key in wanted}
        assert (path, got) == (path, wanted)
        assert {p for p in found if found[p]["inode"] == found[path]["inode"]} == same, path
        assert found[path]["nlink"] == (1 if node["type"] == "dir" else len(same))


@given(st.lists(layers, min_size=2, max_size=4), st.data())
@settings(max_examples=EXAMPLES // 3, deadline=None)
def test_what_a_view_shows_does_not_depend_on_what_was_asked_before(stack: Any, data: Any) -> None:
    expected: Tree = {}
    described: list[list[Entry]] = []
    met: set[str] = set()
    for marked, brought in stack:
        expected, kept = replay(expected, marked, brought, met)
        described.append(kept)
    archive = oci_archive(ImageDescription(described), codec="gzip")
    questions = data.draw(st.lists(paths, max_size=6))
    with open_image(io.BytesIO(archive)) as image:
        cold, warm = image.fs(), image.fs()
        for path in questions:
            there = path in expected
            link = there and expected[path]["type"] == "link"
            if not link and not any(
                expected.get(p, {}).get("type") == "link" for p in above(path)[1:]
            ):
                assert warm.exists(path) == there, path
        assert shown(cold) == shown(warm)
