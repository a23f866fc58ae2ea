"""The union against the specification over a dictionary, with all metadata."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from facts import differences, tree_of
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_replay import Tree, replay
from random_stacks import apart, layers, opened

CAMPAIGN = bool(os.environ.get("UNIONLAYERS_CAMPAIGN"))
EXAMPLES = 5000 if CAMPAIGN else 100

KINDS = {b"0": "file", b"2": "symlink", b"3": "char", b"4": "block", b"5": "dir", b"6": "fifo"}

stacks = st.builds(apart, st.lists(layers(odd=False), min_size=1, max_size=5), st.booleans())


def told(tree: Tree) -> dict[str, dict[str, Any]]:
    """Give a tree of the dictionary in the shape in which views are told."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(tree):
        node = tree[path]
        kind = KINDS[node["type"]]
        fact: dict[str, Any] = {"path": os.fsdecode(path) or ".", "type": kind}
        fact["mode"] = "0777" if kind == "symlink" else f"{node['mode']:04o}"
        fact.update(uid=node["uid"], gid=node["gid"], mtime=int(node["mtime"] * 1_000_000_000))
        if kind == "file":
            fact["size"] = len(node["content"])
            fact["sha256"] = hashlib.sha256(node["content"]).hexdigest()
        elif kind == "symlink":
            fact["linkname"] = os.fsdecode(node["target"])
        elif kind in ("char", "block"):
            fact["rdev"] = "{}:{}".format(*node["device"])
        if node["xattrs"]:
            fact["xattrs"] = {os.fsdecode(key): data.hex() for key, data in node["xattrs"].items()}
        same = [other for other in sorted(tree) if tree[other] is node]
        if kind != "dir" and len(same) > 1:
            fact.update(nlink=len(same), hlgroup=os.fsdecode(same[0]))
        found[fact["path"]] = fact
    return found


@given(stacks)
@settings(max_examples=EXAMPLES, deadline=None)
def test_the_union_of_a_stack_is_what_replaying_it_plainly_gives(stack: Any) -> None:
    expected: Tree = {}
    expected = replay(expected, [])
    for brought in stack:
        expected = replay(expected, brought)
    with opened(stack) as image, image.fs() as view:
        tree = tree_of(view)
    for fact in tree.values():
        del fact["layer"], fact["implied"]
    wanted = told(expected)
    if "." not in wanted:
        del tree["."]
    assert differences(wanted, tree) == {}
