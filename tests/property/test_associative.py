"""
The fold is associative: a stack may be cut anywhere, and each side folded on its own first.

What a side folds to is one layer: the entries of its union, and the whiteouts that still hide
something of whatever may be put beneath.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Any

from facts import differences, tree_of
from hypothesis import example, given, note, settings
from hypothesis import strategies as st
from random_stacks import apart, layers, opened

from unionlayers import Image
from unionlayers._image.content import content_of
from unionlayers._layers.directory import Directory, Node
from unionlayers._layers.union import Inode, Union
from unionlayers.testing import (
    Entry,
    block_device,
    char_device,
    directory,
    fifo,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
)

CAMPAIGN = bool(os.environ.get("UNIONLAYERS_CAMPAIGN"))
EXAMPLES = 5000 if CAMPAIGN else 100


def hidden_in(merged: Directory) -> set[str]:
    """Give the names of a directory of which nothing beneath the whole union may be seen."""
    hidden: set[str] = set()
    passed: set[str] = set()
    union = merged.union
    for slot, number, _ in merged.all_parts():
        changeset = union.changeset(slot)
        for name, row in changeset.children(number).items():
            if changeset.directory(row) < 0 and name in passed:
                # A directory that replaced something else is merged with nothing beneath that.
                hidden.add(name)
            passed.add(name)
        hidden.update(changeset.whiteouts(number))
    return hidden


def written(
    image: Image, union: Union, node: Node, first: dict[Inode, bytes], *, implied: bool
) -> Entry | None:
    """Describe one node as an entry; one that is only implied may go without, unless *implied*."""
    entry = union.entry(node)
    path = os.fsencode(node.path[1:])
    facts: dict[str, Any] = {"uid": entry.uid, "gid": entry.gid, "mtime_ns": entry.mtime_ns}
    if entry.type == stat.S_IFLNK:
        kept: dict[str, Any] = facts
    else:
        facts["mode"] = stat.S_IMODE(entry.mode)
        kept = {**facts, "xattrs": dict(entry.xattrs)}
    if node.directory is not None:
        return None if entry.implied and not implied else directory(path or b"./", **kept)
    inode = union.inode(node)
    if inode in first:
        return hardlink(path, first[inode], **facts)
    first[inode] = path
    if entry.type == stat.S_IFREG:
        source = content_of(image, union, node, node.path)
        return file(path, source.pread(0, source.size), **kept)
    if entry.type == stat.S_IFLNK:
        assert entry.target is not None
        return symlink(path, os.fsencode(entry.target), **kept)
    if entry.type == stat.S_IFIFO:
        return fifo(path, **kept)
    assert entry.device is not None
    kind = char_device if entry.type == stat.S_IFCHR else block_device
    return kind(path, *entry.device, **kept)


def folded(stack: Sequence[Sequence[Entry]]) -> list[Entry]:
    """Fold a stack into one layer."""
    marks: list[Entry] = []
    brought: list[Entry] = []
    with opened(stack) as image:
        union = image.union()
        first: dict[Inode, bytes] = {}
        pending = [(union.root.node(), False)]
        while pending:
            node, covered = pending.pop()
            entry = written(image, union, node, first, implied=covered)
            if entry is not None:
                brought.append(entry)
            merged = node.directory
            if merged is None:
                continue
            path = os.fsencode(node.path[1:])
            prefix = path + b"/" if path else path
            hidden = hidden_in(merged)
            if not covered:
                # Below what the layer hides, marks would say it twice (case A9).
                parts = merged.all_parts()
                if any(union.changeset(slot).opaque(number) for slot, number, _ in parts):
                    marks.append(opaque(path))
                marks.extend(whiteout(prefix + os.fsencode(name)) for name in sorted(hidden))
            pending.extend((inner, covered or inner.name in hidden) for inner in merged.nodes())
    return [*marks, *brought]


def shown(stack: Sequence[Sequence[Entry]]) -> dict[str, dict[str, Any]]:
    """Give all that a stack shows, but for the layers that it comes from."""
    with opened(stack) as image, image.fs() as view:
        tree = tree_of(view)
    for fact in tree.values():
        del fact["layer"], fact["implied"]
    return tree


# Marks come first: a layer is a set, and what their order decides is in the conformance table.
stacks = st.builds(apart, st.lists(layers(odd=False), min_size=2, max_size=5), st.booleans())


# A directory that replaces a file which replaced a directory: rare among the random ones.
@example([[directory("a"), file("a/x")], [file("a")], [directory("a")]], 1)
@given(stacks, st.integers(0, 5))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_stack_may_be_folded_in_two_parts_first(stack: Any, cut: int) -> None:
    lower, upper = folded(stack[:cut]), folded(stack[cut:])
    note(f"lower {[(e.typeflag, e.path, e.linkname) for e in lower]}")
    note(f"upper {[(e.typeflag, e.path, e.linkname) for e in upper]}")
    assert differences(shown(stack), shown([lower, upper])) == {}


@given(stacks)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_stack_folds_to_one_layer_that_shows_the_same(stack: Any) -> None:
    assert differences(shown(stack), shown([folded(stack)])) == {}
