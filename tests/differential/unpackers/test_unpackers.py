"""
Our profiles against GNU tar, kernel overlayfs and umoci, which apply the same layers as root.

Every difference that is known is named by its case where it is forgiven; anything else is a fault
of ours.  What a procedure is not like is said by a switch of the profile it is held against.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from facts import differences, tree_of
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from private import RefusedError, Unpackers, unpackers
from random_stacks import above, applicable, layers, opened

from unionlayers import CorruptError, Finding, Profile
from unionlayers._layers.profile import PROFILES
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
EXAMPLES = 2000 if CAMPAIGN else 50
# Times in the stacks are older, those that a tool makes are newer (nanoseconds).
NOW = 1_700_000_000_000_000_000

Tree = dict[str, dict[str, Any]]

# E7: tar and umoci leave an inode as its first header made it.
# D1, A16, I2, H7: umoci follows links of lower layers, knows no device 0:0, and clamps no time.
HELD_AGAINST: dict[str, Profile] = {
    # tar sets the xattrs of a directory when its archive ends, those of its last entry alone (F2).
    "overlay": evolve(PROFILES["overlay"], hardlink_meta="keep", repeated_dir_xattrs="replace"),
    "sequence": evolve(PROFILES["sequential"], hardlink_meta="keep", repeated_dir_xattrs="replace"),
    "umoci": evolve(
        PROFILES["oci"],
        hardlink_meta="keep",
        symlinked_parent="follow",
        implied_over_file="error",
        chardev_0_0="device",
        aufs_metadata="show",
        mtime_range="raw",
    ),
}


@pytest.fixture(scope="session")
def private() -> Iterator[Unpackers]:
    """Give the process that applies layers in a private mount namespace."""
    with tempfile.TemporaryDirectory(prefix="ul-unpack-") as folder, unpackers(Path(folder)) as it:
        yield it


@pytest.fixture(scope="session")
def private_umoci() -> Iterator[Unpackers]:
    """Give one that has umoci."""
    with (
        tempfile.TemporaryDirectory(prefix="ul-unpack-") as folder,
        unpackers(Path(folder), "umoci") as it,
    ):
        yield it


# -- which stacks a procedure can be asked -------------------------------------------------------


def stacks_for(by: str) -> st.SearchStrategy[list[list[Entry]]]:
    """Give random stacks that a procedure can be asked; marks come first in each layer."""

    def all_applicable(stack: list[list[Entry]]) -> list[list[Entry]]:
        below: set[bytes] = set()
        if by == "sequence":
            stack = without_entries_over_a_link_on_their_way(stack)
        return [applicable(brought, by, below) for brought in stack]

    layer = layers(root=by != "overlay", odd=False)
    return st.lists(layer, min_size=1, max_size=4).map(all_applicable)


def without_entries_over_a_link_on_their_way(stack: list[list[Entry]]) -> list[list[Entry]]:
    """
    Leave out what may take the place of a link that it is reached through.

    With ``a/b`` a link to ``.``, GNU tar removes the link where ``a/b/b`` leads, and then makes a
    directory in its place; runtimes that apply layers look the place up once.
    """
    links = {
        entry.path.rpartition(b"/")[2]
        for brought in stack
        for entry in brought
        if entry.typeflag in (b"1", b"2")
    }

    def is_left(entry: Entry) -> bool:
        *above, last = entry.path.rstrip(b"/").split(b"/")
        return last not in links or last not in above

    return [list(filter(is_left, brought)) for brought in stack]


# -- what is compared ----------------------------------------------------------------------------


def implied_above(path: str, stack: Sequence[Sequence[Entry]]) -> bool:
    """Tell whether a layer implies a directory without an entry for it."""
    raw = os.fsencode(path)
    for brought in reversed(stack):
        names = {entry.path.rstrip(b"/") for entry in brought}
        if raw in names:
            return False
        if any(name.startswith(raw + b"/") for name in names):
            return True
    return False


def has_set_group_id(
    directories: Sequence[bytes], tree: Tree, stack: Sequence[Sequence[Entry]]
) -> bool:
    """Tell whether the root or one of these directories has that bit, or had it on the way."""
    had = {
        entry.path.rstrip(b"/")
        for brought in stack
        for entry in brought
        if entry.typeflag == b"5" and entry.mode & 0o2000
    }
    return any(
        directory in had or int(tree.get(os.fsdecode(directory), {"mode": "0"})["mode"], 8) & 0o2000
        for directory in (b".", *directories)
    )


def comparable(tree: Tree) -> Tree:
    """Leave out what no tool promises, and count hard links by the names that are visible."""
    found: Tree = {}
    groups = Counter(fact["hlgroup"] for fact in tree.values() if "hlgroup" in fact)
    for path, fact in tree.items():
        kept = {key: fact[key] for key in fact.keys() - {"path", "implied", "layer", "nlink"}}
        if groups[fact.get("hlgroup", "")] < 2:
            kept.pop("hlgroup", None)
        if fact["type"] == "symlink":
            kept.pop("mode")
        found[path] = kept
    return found


def forgive(theirs: Tree, ours: Tree, by: str, stack: Sequence[Sequence[Entry]]) -> None:
    """Level the differences that are known."""
    for path in [*theirs]:
        fact = theirs[path]
        mine = ours.get(path)
        if mine is None or fact["type"] != "dir" or mine["type"] != "dir":
            continue
        if fact["mtime"] > NOW:
            # H3, H4: a directory is as new as the last change to it.
            fact["mtime"] = mine["mtime"]
        if int(fact["mode"], 8) == int(mine["mode"], 8) | 0o2000 and has_set_group_id(
            above(os.fsencode(path)), theirs, stack
        ):
            # H3: what a tool makes below a directory with the set-group-ID bit inherits it, and
            # GNU tar does not set a mode that it has just made the directory with.
            gid = mine["gid"] if implied_above(path, stack) else fact["gid"]
            theirs[path] = fact = {**fact, "mode": mine["mode"], "gid": gid}
        if by == "overlay" and (path == "." or implied_above(path, stack)):
            # H2, H5: containerd copies the metadata of the directory beneath, and no layer gives
            # the root of a container its own; tar knows neither.
            theirs[path] = mine
    if by == "umoci":
        # A3, B4: umoci makes no directories for the sake of whiteouts.
        for path in sorted(ours.keys() - theirs.keys(), key=len, reverse=True):
            fact = ours[path]
            empty = not any(other.startswith(f"{path}/") for other in ours)
            if fact["type"] == "dir" and empty and implied_above(path, stack):
                del ours[path]


def compare(private: Unpackers, by: str, stack: Sequence[Sequence[Entry]]) -> str:
    """Let a tool and us apply a stack, and compare all that is there then; says what came of it."""
    said: Sequence[Finding] = ()
    ours: Tree | str
    theirs: Tree | str
    with opened(stack) as image, image.fs(profile=HELD_AGAINST[by]) as view:
        try:
            ours = comparable(tree_of(view))
            # A tool that binds every link stops at one without a target, whatever hides it later.
            said = view.findings
            lost = [item for item in said if item.code == "HARDLINK_MISSING"]
            ours = lost[0].message if lost else ours
        except CorruptError as error:
            ours = str(error)
            if ours.startswith("containerd refuses layer"):
                # F1: containerd refuses another entry of the image; the kernel sees none of that.
                return "refused as its runtimes do"
    try:
        theirs = comparable(private(by, stack))
    except RefusedError as refused:
        theirs = str(refused)
    if isinstance(ours, str) or isinstance(theirs, str):
        if isinstance(theirs, str) and any(item.code == "PARENT_SYMLINK_FOLLOWED" for item in said):
            # D4: containerd makes the directory that such a link leads to; tar, umoci do not.
            return "refused by the tool"
        assert isinstance(ours, str), f"only {by} refuses: {theirs}"
        assert isinstance(theirs, str), f"only we refuse: {ours}"
        return "refused by both"
    forgive(theirs, ours, by, stack)
    found = differences(theirs, ours)
    assert not found, f"{by} and we differ: {found}"
    return "compared"


def compare_random(private: Unpackers, by: str, stack: Sequence[Sequence[Entry]]) -> None:
    """Do the same, and tell hypothesis what to print of a failure."""
    note(str([[(e.typeflag, e.path, e.linkname) for e in brought] for brought in stack]))
    event(compare(private, by, stack))


f, d, ln, hl, wh, op = file, directory, symlink, hardlink, whiteout, opaque
OLD = [d("d", mode=0o1777, uid=3, mtime=5), f("d/old", "o")]
USR = [d("usr"), d("usr/lib"), f("usr/lib/x", "x"), ln("lib", "usr/lib")]

# Crafted stacks by the case they are of; the procedures are those that can be asked.
EVERY = "overlay sequence umoci"
CRAFTED = [
    ("A1", [OLD, [wh("d/old")]], EVERY),
    ("A1 a directory", [OLD, [wh("d")]], EVERY),
    ("A2", [OLD, [wh("nothing")]], EVERY),
    ("A3", [[f("b")], [wh("no/such/x")]], "sequence umoci"),
    ("A4", [[f("a", "1")], [wh("a"), f("a", "2")]], EVERY),
    ("A5", [OLD, [wh("d"), d("d"), f("d/new", "n")]], EVERY),
    ("A6", [OLD, [wh("d"), f("d/new", "n")]], "sequence umoci"),
    ("A7", [[f("a", "1")], [f("a", "2"), wh("a")]], "umoci"),
    ("A8", [OLD, [d("d"), f("d/new"), wh("d")]], "umoci"),
    ("A9", [OLD, [wh("d"), wh("d/old")]], "sequence umoci"),
    ("A16", [USR, [wh("lib/x")]], EVERY),
    ("A17", [USR, [wh("lib")]], EVERY),
    ("A18", [[f("a", "1")], [f("b")], [wh("a")], [f("c")]], EVERY),
    ("B1", [OLD, [op("d"), d("d"), f("d/new", "n")]], EVERY),
    ("B2", [OLD, [d("d"), f("d/new", "n"), op("d")]], "overlay umoci"),
    ("B3", [[d("a"), f("a/z")], [f("a/b/c/foo", "n"), op("a")]], "overlay umoci"),
    ("B4", [OLD, [op("d")]], EVERY),
    ("B4 absent below", [OLD, [op("n")]], EVERY),
    ("B5", [[f("a")], [op(""), f("b")]], EVERY),
    ("B7", [OLD, [op("d"), d("d", mode=0o700)]], EVERY),
    ("B8", [USR, [op("lib")]], "overlay umoci"),
    ("C1", [OLD, [f("d", "1")]], EVERY),
    ("C2", [[f("d")], [d("d")]], EVERY),
    ("C3", [OLD, [ln("d", "x")]], EVERY),
    ("C4", [USR, [d("lib")]], EVERY),
    ("C5", [[f("d", "1")], [f("d/x", "2")]], EVERY),
    ("C6", [OLD, [d("d", mode=0o700), f("d/new")]], EVERY),
    ("C7", [OLD, [fifo("d")], [char_device("c", 1, 3)], [block_device("c", 8, 1)]], EVERY),
    ("D1", [USR, [f("lib/y", "y")]], EVERY),
    ("D1 absolute", [[d("u"), ln("lib", "/u")], [f("lib/y", "y")]], EVERY),
    ("D2", [USR, [d("lib"), f("lib/y", "y")]], EVERY),
    ("D3", [[*USR, f("lib/y", "y")]], EVERY),
    ("D3 absolute", [[d("u"), ln("lib", "/u"), f("lib/y", "y")]], EVERY),
    ("D7", [[d("a"), d("a/b"), ln("s", "a/b"), f("s/m", "1")]], EVERY),
    ("E1", [[f("a", "1"), hl("b", "a")]], EVERY),
    ("E2", [[f("a", "1"), hl("b", "/a")]], EVERY),
    ("E3", [[f("a", "1")], [hl("b", "a")]], EVERY),
    ("E4", [[f("a", "1"), hl("b", "a")], [wh("a")], [f("a", "2")]], EVERY),
    ("E4 from above", [[f("a", "1")], [hl("b", "a")], [f("a", "2")]], "sequence umoci"),
    ("E5", [[f("a", "1")], [hl("b", "a"), f("a", "2")]], "sequence umoci"),
    ("E6", [[f("a", "1"), hl("b", "a"), f("a", "2")]], EVERY),
    ("E8", [[ln("a", "x"), hl("b", "a")]], EVERY),
    ("E9", [[d("a"), hl("b", "a")]], EVERY),
    ("E10", [[hl("b", "a")]], EVERY),
    ("F1", [[f("a", "1"), f("a", "2")]], EVERY),
    ("F2", [[d("a", mode=0o700), f("a/x"), d("a", mode=0o711)]], EVERY),
    ("F4", [[f("a"), f("a/x")]], EVERY),
    ("F5", [[f("a")], [wh("a")], [f("a")]], EVERY),
    ("F6", [[f("a/x"), d("a", mode=0o700, mtime=7)]], EVERY),
    ("G1", [[f("./a"), d("b/"), f("b//c")]], EVERY),
    ("G4", [[f(b"\xff\xfe", "1"), f("é\n", "2")]], EVERY),
    ("G5", [[f("a\\b"), f(" x"), f("n\nl")]], EVERY),
    ("H1", [OLD, [d("d", mode=0o2750, uid=9, gid=8, mtime=77)]], EVERY),
    ("H2", [OLD, [f("d/new")]], "sequence umoci"),
    ("H3", [[f("a/b/c")]], EVERY),
    ("H5", [[d("./", mode=0o711, uid=4), f("a")]], "sequence umoci"),
    ("H8", [[f("a", uid=4_000_000_000, gid=70_000)]], EVERY),
    ("H9", [[f("a", mode=0o6755), d("b", mode=0o1777)]], EVERY),
    ("H10", [[f("a", xattrs={"user.x": b"\0\xff", "trusted.y": b"1"})]], EVERY),
    ("I1", [[fifo("p"), char_device("c", 5, 1), block_device("b", 300, 70_000)]], EVERY),
]
ASKED = [(case, stack, by) for case, stack, every in CRAFTED for by in every.split()]


@pytest.mark.parametrize(
    ("case", "stack", "by"), ASKED, ids=[f"{case} by {by}" for case, _, by in ASKED]
)
def test_a_crafted_stack_is_what_the_tool_makes_of_it(
    request: pytest.FixtureRequest, case: str, stack: Any, by: str
) -> None:
    found = request.getfixturevalue("private_umoci" if by == "umoci" else "private")
    compare(found, by, stack)


RANDOM = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@given(stacks_for("overlay"))
@RANDOM
def test_a_random_stack_is_what_overlayfs_shows_of_it(private: Unpackers, stack: Any) -> None:
    compare_random(private, "overlay", stack)


@given(stacks_for("sequence"))
@RANDOM
def test_a_random_stack_is_what_tar_over_tar_leaves(private: Unpackers, stack: Any) -> None:
    compare_random(private, "sequence", stack)


@given(stacks_for("umoci"))
@RANDOM
def test_a_random_stack_is_what_umoci_unpacks(private_umoci: Unpackers, stack: Any) -> None:
    compare_random(private_umoci, "umoci", stack)
