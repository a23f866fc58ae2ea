"""
The difference of two trees against plain dictionaries of what a view shows.

Random stacks with all that layers can hold; the dictionaries come from PyFilesystem's walk, which
knows nothing of the comparison.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given, note
from hypothesis import strategies as st
from random_stacks import Stack, layers, opened, stacks

from unionlayers import Image, Side, UnionFS, UnionLayersError, diff
from unionlayers._layers.path_history import path_events
from unionlayers.testing import Entry

Facts = dict[str, Any]
Tree = dict[str, Facts]


def tree_of(view: UnionFS) -> Tree:
    """Give every path with what can be seen of it; names of one inode have one set of names."""
    found: Tree = {}
    inodes: dict[int, list[str]] = {}
    names = ["details", "access", "link", "stat", "xattr"]
    everything = [("/", view.getinfo("/", names))]
    everything.extend(
        view.find(None, types=("file", "directory", "symlink", "device", "fifo"), namespaces=names)
    )
    for path, info in everything:
        raw = info.raw
        form = raw["stat"]["st_mode"] & 0o170000
        regular, device = form == 0o100000, form in (0o020000, 0o060000)
        found[path] = {
            "form": form,
            "size": raw["stat"]["st_size"] if regular else 0,
            "content": view.readbytes(path) if regular else b"",
            "mode": raw["stat"]["st_mode"] & 0o7777 if form != 0o120000 else 0,
            "uid": raw["stat"]["st_uid"],
            "gid": raw["stat"]["st_gid"],
            "mtime": raw["stat"]["st_mtime_ns"],
            "link": raw["link"]["target"],
            "device": raw["stat"]["st_rdev"] if device else 0,
            "xattr": dict(raw["xattr"]),
        }
        if form != 0o040000:
            inodes.setdefault(raw["stat"]["st_ino"], []).append(path)
    for group in inodes.values():
        for path in group:
            found[path]["hardlink"] = tuple(sorted(group))
    for path, facts in found.items():
        facts.setdefault("hardlink", (path,))
    return found


FORMS = {
    "file": 0o100000,
    "directory": 0o040000,
    "symlink": 0o120000,
    "fifo": 0o010000,
    "character device": 0o020000,
    "block device": 0o060000,
}


def facts_of(side: Side) -> Facts:
    """Give what a side of a change says, in the shape of the dictionary."""
    regular = side.type == "file"
    return {
        "form": FORMS[side.type],
        "size": side.size if regular else 0,
        "content": side.open().read() if regular else b"",
        "mode": side.mode if side.type != "symlink" else 0,
        "uid": side.uid,
        "gid": side.gid,
        "mtime": side.mtime_ns,
        "link": side.target,
        "device": 0 if side.device is None else os.makedev(*side.device),
        "xattr": dict(side.xattrs),
        "hardlink": side.names,
    }


def expected_changes(left: Tree, right: Tree) -> list[tuple[str, str, tuple[str, ...]]]:
    """Compare two dictionaries."""
    order = (
        "form",
        "content",
        "size",
        "mode",
        "uid",
        "gid",
        "mtime",
        "link",
        "xattr",
        "device",
        "hardlink",
    )
    found: list[tuple[str, str, tuple[str, ...]]] = []
    for path in left.keys() | right.keys():
        if path not in left:
            found.append((path, "added", ()))
        elif path not in right:
            found.append((path, "removed", ()))
        else:
            one, other = left[path], right[path]
            forms = {one["form"], other["form"]}
            # Only two files have content to compare, and the mode of a link means nothing.
            left_out = set() if forms == {0o100000} else {"content", "size"}
            left_out |= {"mode"} if 0o120000 in forms else set()
            fields = tuple(
                name for name in order if one[name] != other[name] and name not in left_out
            )
            if fields:
                found.append((path, "changed", fields))
    return sorted(
        found,
        key=lambda item: [
            part.encode("utf-8", "surrogateescape") for part in item[0].split("/") if part
        ],
    )


def settled(image: Image) -> bool:
    """Tell whether the stack can be applied, and every name be stated."""
    try:
        view = image.fs()
        list(view.find(None, namespaces=["stat"]))
    except UnionLayersError:
        return False
    return True


def related(draw: Any) -> tuple[Stack, Stack]:
    """Give two stacks that may begin with the same layers."""
    base = draw(stacks(least=0, most=3))
    return [*base, *draw(stacks(least=0, most=2))], [*base, *draw(stacks(least=0, most=2))]


pairs = st.composite(related)()


@given(pairs, st.sampled_from(["oci", "overlay", "sequential"]))
def test_a_difference_is_that_of_the_dictionaries_and_leads_from_one_to_the_other(
    pair: tuple[Stack, Stack], profile: str
) -> None:
    note(repr(pair))
    with opened(pair[0] or [[]], "warn") as one, opened(pair[1] or [[]], "warn") as other:
        if not (settled(one) and settled(other)):
            return
        left, right = one.fs(profile=profile), other.fs(profile=profile)
        try:
            before, after = tree_of(left), tree_of(right)
        except UnionLayersError:
            return
        changes = list(diff(left, right))
        told = [
            (change.path, change.kind, tuple("form" if f == "type" else f for f in change.fields))
            for change in changes
        ]
        # What differs in the dictionaries is told, in order, and nothing else.
        assert told == expected_changes(before, after)
        # The changes, applied to the one tree, give the other.
        for change in changes:
            assert change.left.present == (change.kind != "added")
            assert change.right.present == (change.kind != "removed")
            if change.left.present:
                assert facts_of(change.left) == before[change.path]
            if change.right.present:
                before[change.path] = facts_of(change.right)
            else:
                del before[change.path]
        assert before == after
        # Told from the other side it is the same.
        swapped = {"added": "removed", "removed": "added", "changed": "changed"}
        assert [
            (c.path, swapped[c.kind], c.fields, c.right, c.left) for c in diff(right, left)
        ] == [(c.path, c.kind, c.fields, c.left, c.right) for c in changes]


@given(stacks(), st.data())
def test_nothing_differs_from_itself(stack: Stack, data: Any) -> None:
    with opened(stack, "warn") as one, opened(stack, "warn") as other:
        if not settled(one):
            return
        assert list(diff(one, one)) == []
        assert list(diff(one, other)) == []
        chosen = data.draw(st.sets(st.sampled_from(range(len(stack)))))
        try:
            tree_of(one.fs(sorted(chosen)))
        except UnionLayersError:
            return
        assert list(diff((one, sorted(chosen)), (other, sorted(chosen)))) == []


@given(st.lists(layers(), min_size=2, max_size=4))
def test_what_a_side_lacks_names_the_layer_that_its_history_names(stack: list[list[Entry]]) -> None:
    with opened(stack, "warn") as image:
        if not settled(image):
            return
        for change in diff((image, [0]), image):
            if change.kind != "removed":
                continue
            union = image.union()
            events = path_events(union, change.path)
            if any(union.refused_apart.values()):
                # Beneath a layer that overlayfs refuses the lowest shows something else than alone.
                return
            last = events[-1]
            assert (last.slot, last.after, last.cause) == (
                change.right.layer,
                None,
                change.right.cause,
            )
