"""
What a layer does, said once more and plainly: the specification over a dictionary.

Nothing of the package is imported.  A tree is a dictionary from path to node; names of one inode
hold one node.  In a layer marks come first, and what no runtime applies was left out.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Node", "Tree", "replay"]

Node = dict[str, Any]
Tree = dict[bytes, Node]


def replay(lower: Tree, layer: list[Any]) -> Tree:
    """Apply a layer to a tree, and give the tree that comes of it."""
    hidden: set[bytes] = set()
    emptied: set[bytes] = set()
    upper: Tree = {}
    marks = [entry for entry in layer if name(entry.path).startswith(b".wh.")]
    for entry in sorted(marks, key=lambda entry: entry.path.count(b"/")):
        opaque = name(entry.path) == b".wh..wh..opq"
        place, target = parent(entry.path), name(entry.path)[4:]
        path = place if opaque else place + b"/" + target if place else target
        if not hidden & {*above(path), *([path] if opaque else [])}:
            imply(upper, path + b"/x" if opaque else path)
            (emptied if opaque else hidden).add(path)
    for entry in layer:
        if entry in marks:
            continue
        path = b"" if entry.path == b"./" else entry.path.rstrip(b"/")
        imply(upper, path)
        node = {"type": entry.typeflag, "xattrs": dict(entry.xattrs), "content": entry.content}
        node.update(target=entry.linkname, device=(entry.major, entry.minor))
        if entry.typeflag == b"1":
            node = upper[entry.linkname]
        node.update(mode=entry.mode, uid=entry.uid, gid=entry.gid, mtime=entry.mtime)
        upper[path] = node
    merged = {}
    for path, node in lower.items():
        gone = hidden & {path, *above(path)} or emptied & {b"", *above(path)} - {path}
        covered = any(upper.get(p, IMPLIED)["type"] != b"5" for p in [path, *above(path)])
        if not gone and not covered:
            merged[path] = node
    for path, node in upper.items():
        if node is not IMPLIED or merged.get(path, node)["type"] != b"5":
            merged[path] = node
        else:
            merged.setdefault(path, node)
    return merged


IMPLIED: Node = {
    "type": b"5", "xattrs": {}, "content": b"", "target": b"", "device": (0, 0),
    "mode": 0o755, "uid": 0, "gid": 0, "mtime": 0,
}  # fmt: skip


def name(path: bytes) -> bytes:
    """Give the last component."""
    return path.rpartition(b"/")[2]


def parent(path: bytes) -> bytes:
    """Give all but the last component."""
    return path.rpartition(b"/")[0]


def above(path: bytes) -> list[bytes]:
    """Give the directories that a path is in, but for the root."""
    return [path[:at] for at, byte in enumerate(path) if byte == ord("/")]


def imply(upper: Tree, path: bytes) -> None:
    """Bring the directories that a path is in."""
    for directory in above(path):
        upper.setdefault(directory, IMPLIED)
