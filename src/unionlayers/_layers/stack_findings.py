"""What is odd about a stack: inside each layer, and between a layer and those beneath it."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from attrs import evolve

from unionlayers._layers.entry import IMPLIED_DIRECTORY
from unionlayers._layers.finding import Finding
from unionlayers._layers.union import Union
from unionlayers._tar.index import ABSENT
from unionlayers.errors import LayerError

__all__ = ["stack_findings"]


def stack_findings(union: Union) -> tuple[Finding, ...]:
    """
    Give all findings of a stack, base first; the same whatever was asked before.

    Raises:
        UnionLayersError: A layer cannot be read or applied.

    Cost:
        Indexes every layer; a look-up for each implied directory and hard link downwards.
    """
    found: list[Finding] = []
    for slot in range(union.top):
        layer = union.slots[slot].layer
        changeset = union.changeset(slot)
        found.extend(evolve(finding, layer=layer) for finding in changeset.findings)
        found.extend(evolve(finding, layer=layer) for finding in _between(union, slot))
    return tuple(found)


def _between(union: Union, slot: int) -> Iterator[Finding]:
    changeset = union.changeset(slot)
    index = changeset.index
    root = changeset.own_row(0)
    if root != ABSENT and index.kinds[index.kind[root]] != (stat.S_IFDIR | 0o755, 0, 0):
        yield Finding(
            "ROOT_ENTRY",
            0,
            index.ordinal[root],
            "/",
            "an entry gives the root other metadata, which overlayfs ignores",
            "H5",
        )
    if slot:
        for path in changeset.implied().values():
            yield from _implied(union, slot, path)
    for row, link in changeset.downlinks.items():
        path = "/" + changeset.path(row)
        bound = union.bind((slot, row))
        if isinstance(bound, LayerError):
            yield Finding("HARDLINK_MISSING", 0, link.entry, path, bound.message, "E10")
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
                "E3",
            )


def _implied(union: Union, slot: int, path: str) -> Iterator[Finding]:
    below = union.beneath(slot, path)
    if below is None:
        return
    entry = union.entry(below)
    if below.directory is None and stat.S_ISLNK(entry.mode):
        yield Finding(
            "PARENT_SYMLINK_REPLACED",
            0,
            None,
            "/" + path,
            "a directory that the layer implies replaces a symbolic link of a lower layer",
            "D1",
        )
    elif below.directory is None:
        yield Finding(
            "IMPLIED_OVER_FILE",
            0,
            None,
            "/" + path,
            "a directory that the layer implies replaces a file of a lower layer",
            "C5",
        )
    elif (entry.mode, entry.uid, entry.gid) != (
        IMPLIED_DIRECTORY.mode, IMPLIED_DIRECTORY.uid, IMPLIED_DIRECTORY.gid,
    ):  # fmt: skip
        yield Finding(
            "IMPLIED_DIRECTORY",
            0,
            None,
            "/" + path,
            "a directory without an entry keeps its metadata; Docker's overlay2 resets it",
            "H2",
        )
