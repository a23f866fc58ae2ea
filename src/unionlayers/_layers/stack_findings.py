"""What is odd about a stack: inside each layer, and between a layer and those beneath it."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator, Sequence

from attrs import evolve

from unionlayers._layers.changeset import Changeset
from unionlayers._layers.directory import Node
from unionlayers._layers.directory_xattrs import directories_with_xattrs, lost_xattrs
from unionlayers._layers.entry import IMPLIED_DIRECTORY, Entry, entry_of
from unionlayers._layers.finding import Finding
from unionlayers._layers.lower_view import LowerView
from unionlayers._layers.union import Union
from unionlayers._tar.index import ABSENT
from unionlayers.errors import LayerError

__all__ = ["findings_at", "stack_findings"]

# What is odd about a directory itself, and no matter to what is in it.
_OF_METADATA = frozenset(
    {"DIRECTORY_XATTRS", "IMPLIED_DIRECTORY", "MTIME_OUT_OF_RANGE", "ROOT_ENTRY"}
)


def stack_findings(union: Union) -> tuple[Finding, ...]:
    """
    Give all findings of a stack, base first; the same whatever was asked before.

    Raises:
        UnionLayersError: A layer cannot be read or applied.

    Cost:
        Indexes every layer; a look-up for each implied directory and hard link downwards.
    """
    found: list[Finding] = []
    with_xattrs: set[str] = set()
    for slot in range(union.top):
        layer = union.slots[slot].layer
        changeset = union.changeset(slot)
        found.extend(evolve(finding, layer=layer) for finding in changeset.findings)
        found.extend(
            evolve(finding, layer=layer) for finding in _between(union, slot, changeset.implied())
        )
        found.extend(evolve(finding, layer=layer) for finding in _again(union, slot, with_xattrs))
        with_xattrs.update(directories_with_xattrs(changeset))
    return tuple(found)


def findings_at(union: Union, path: str) -> tuple[Finding, ...]:
    """
    Give the findings about an absolute path, or about a directory on the way to it.

    What is odd in the metadata of such a directory alone, as the time of the root, is left out.

    Raises:
        UnionLayersError: A layer cannot be read or applied.

    Cost:
        Indexes every layer; a look-up in each for the components of the path, and a look at the
        findings and downward hard links of each.
    """
    names = [part for part in path.split("/") if part]
    whole = "".join(f"/{name}" for name in names)
    found: list[Finding] = []
    for slot in range(union.top):
        layer = union.slots[slot].layer
        changeset = union.changeset(slot)
        about = (
            *changeset.findings,
            *_between(union, slot, _implied_on(changeset, names)),
            *_again(union, slot, (whole[1:],) if slot else ()),
        )
        found.extend(
            evolve(one, layer=layer)
            for one in about
            if one.path == (whole or "/")
            or (one.code not in _OF_METADATA and _is_above(one.path, whole))
        )
    return tuple(found)


def _is_above(path: str | None, whole: str) -> bool:
    """Tell whether *path* is *whole*, the root, or a directory on the way."""
    return path == "/" or (path is not None and f"{whole}/".startswith(f"{path}/"))


def _implied_on(changeset: Changeset, names: Sequence[str]) -> list[int]:
    """Give the rows of directories on a way that a layer has without an entry for them."""
    index = changeset.index
    found: list[int] = []
    directory = 0
    for name in names:
        row = changeset.children(directory).get(name, ABSENT)
        directory = -1 if row == ABSENT else changeset.directory(row)
        if directory < 0:
            break
        if row >= index.rows or index.ordinal[row] == ABSENT:
            found.append(row)
    return found


def _again(union: Union, slot: int, paths: Collection[str]) -> Iterator[Finding]:
    oddities = union.changeset(slot).index.oddities if slot else ()
    late = {oddity.ordinal for oddity in oddities if oddity.code == "after-children"}
    for path, entry in lost_xattrs(union, slot, paths):
        yield Finding(
            "DIRECTORY_XATTRS",
            0,
            entry,
            f"/{path}",
            "a directory that comes again without xattrs it has beneath: containerd's native "
            "snapshotter and podman's vfs keep them",
            "H1",
        )
        if entry in late:
            yield Finding(
                "DIRECTORY_XATTRS",
                0,
                entry,
                f"/{path}",
                "a directory whose entry comes after what is in it, without xattrs it has beneath: "
                "containerd's overlayfs snapshotter keeps them",
                "H2",
            )


def _between(union: Union, slot: int, implied: Sequence[int]) -> Iterator[Finding]:
    changeset = union.changeset(slot)
    lower = LowerView(union, slot)
    index = changeset.index
    root = changeset.own_row(0)
    if root != ABSENT and evolve(entry_of(index, root), implied=True) != IMPLIED_DIRECTORY:
        yield Finding(
            "ROOT_ENTRY",
            0,
            index.ordinal[root],
            "/",
            "an entry gives the root other metadata, which overlayfs ignores",
            "H5",
        )
    if slot:
        for row in implied:
            yield from _implied(lower, changeset, row)
        # A directory whose entry came after its children was implied when they came.
        for oddity in index.oddities:
            if oddity.code == "after-children" and changeset.directory(oddity.row) >= 0:
                yield from _implied(lower, changeset, oddity.row, late=True)
    for row, link in changeset.downlinks.items():
        path = "/" + changeset.path(row)
        bound = union.bind((slot, row))
        if isinstance(bound, LayerError):
            yield Finding("HARDLINK_MISSING", 0, link.entry, path, bound.message, bound.case)
        elif bound[0] == slot:
            yield Finding(
                "HARDLINK_FORWARD",
                0,
                link.entry,
                path,
                "a hard link before its target, which no runtime applies",
                "E5",
            )
        else:
            yield Finding(
                "HARDLINK_TO_LOWER",
                0,
                link.entry,
                path,
                "a hard link to a file of a lower layer, which overlayfs cannot apply",
                "E3" if link.late is None else "E5",
            )
            beneath = union.changeset(bound[0]).index
            own = entry_of(beneath, bound[1])
            if entry_of(beneath, bound[1], [(index, row)]) != own:
                yield Finding(
                    "HARDLINK_METADATA",
                    0,
                    link.entry,
                    path,
                    "the header of a hard link has other metadata than its inode",
                    "E7",
                )


def _implied(
    lower: LowerView, changeset: Changeset, row: int, *, late: bool = False
) -> Iterator[Finding]:
    below = lower.node(changeset, row)
    if below is None:
        return
    union = lower.union
    if below.directory is None and _is_link(union, below):
        for case in _wanted_by(changeset, row):
            yield Finding(
                "PARENT_SYMLINK_REPLACED",
                0,
                None,
                "/" + changeset.path(row),
                "a directory that the layer implies replaces a symbolic link of a lower layer",
                case,
            )
    elif below.directory is None:
        yield Finding(
            "IMPLIED_OVER_FILE",
            0,
            None,
            "/" + changeset.path(row),
            "a directory that the layer implies replaces a file of a lower layer",
            "C5",
        )
    elif not late and _owned(union.entry(below)) != _owned(IMPLIED_DIRECTORY):
        yield Finding(
            "IMPLIED_DIRECTORY",
            0,
            None,
            "/" + changeset.path(row),
            "a directory without an entry keeps its metadata; Docker's overlay2 resets it",
            "H2",
        )


def _owned(entry: Entry) -> tuple[int, int, int]:
    return entry.mode, entry.uid, entry.gid


def _is_link(union: Union, node: Node) -> bool:
    try:
        return union.form(node) == stat.S_IFLNK
    except LayerError:
        # A hard link to nothing, which has a finding of its own.
        return False


def _wanted_by(changeset: Changeset, row: int) -> list[str]:
    """Tell by the cases what a directory is implied for: entries, whiteouts, opaque whiteouts."""
    found = set()
    pending = [changeset.directory(row)]
    while pending:
        directory = pending.pop()
        if changeset.whiteouts(directory):
            found.add("A16")
        if changeset.opaque(directory):
            found.add("B8")
        for child in changeset.children(directory).values():
            inner = changeset.directory(child)
            if inner >= 0:
                pending.append(inner)
            if inner < 0 or changeset.own_row(inner) < changeset.index.rows:
                found.add("D1")
    return sorted(found) or ["D1"]
