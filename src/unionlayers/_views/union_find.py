"""`UnionFS.find`: by pattern and type, going down only where the pattern can match."""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from unionlayers._layers.directory import Node
from unionlayers._layers.resolution import resolve
from unionlayers._views._pyfilesystem import fs
from unionlayers._views.errors import translated
from unionlayers.errors import PathError, UnionLayersError

if TYPE_CHECKING:
    from unionlayers._views.union_fs import UnionFS

__all__ = ["find_in"]

_TYPES = {
    "file": (stat.S_IFREG,),
    "directory": (stat.S_IFDIR,),
    "symlink": (stat.S_IFLNK,),
    "device": (stat.S_IFCHR, stat.S_IFBLK),
    "fifo": (stat.S_IFIFO,),
}
_WILD = re.compile(r"[*?\[]")


def find_in(
    view: UnionFS,
    pattern: str | None,
    *,
    types: Collection[str],
    namespaces: Collection[str],
    order: str,
) -> Iterator[tuple[str, Any]]:
    """Give (path, Info) of what matches; see `UnionFS.find`."""
    view.check()
    unknown = set(types) - set(_TYPES)
    if unknown or order not in ("path", "storage"):
        raise ValueError(
            f"types are of {', '.join(_TYPES)}, and order is path or storage; not "
            f"{', '.join(sorted(unknown)) or order}"
        )
    wanted = {form for name in types for form in _TYPES[name]}
    prefix, matcher = _compiled(pattern)
    found = _matching(view, prefix, matcher, wanted)
    if order == "storage":
        found = iter(sorted(found, key=lambda pair: _stored(view, pair[1])))
    return _described(view, found, frozenset({"details", "link", *namespaces}))


def _compiled(pattern: str | None) -> tuple[str, re.Pattern[str] | None]:
    """Give the directory that all matches are in, and the expression for the whole path."""
    if pattern is None:
        return "/", None
    parts = [part for part in pattern.split("/") if part]
    literal: list[str] = []
    while parts[len(literal) : -1] and not _WILD.search(parts[len(literal)]):
        literal.append(parts[len(literal)])
    expression = ""
    for part in parts[:-1]:
        expression += "(?:/[^/]+)*" if part == "**" else "/" + _segment(part)
    if parts:
        expression += "(?:/[^/]+)+" if parts[-1] == "**" else "/" + _segment(parts[-1])
    return "/" + "/".join(literal), re.compile(expression + r"\Z", re.DOTALL)


def _segment(part: str) -> str:
    """Translate one component of a shell pattern; its wildcards stop at a slash."""
    out = ""
    position = 0
    while position < len(part):
        char = part[position]
        position += 1
        if char == "*":
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "[" and (end := part.find("]", position + 1)) > 0:
            body = part[position:end].replace("\\", "\\\\")
            out += f"[{'^' + body[1:] if body[0] in '!^' else body}]"
            position = end + 1
        else:
            out += re.escape(char)
    return out


def _matching(
    view: UnionFS, prefix: str, matcher: re.Pattern[str] | None, wanted: Collection[int]
) -> Iterator[tuple[str, Node]]:
    union = view._union
    try:
        start = resolve(union, prefix).node.directory
    except PathError:
        return
    if start is None:
        return
    pending: list[tuple[str, Iterator[Node]]] = [(prefix.rstrip("/"), start.nodes())]
    try:
        while pending:
            path, nodes = pending[-1]
            node = next(nodes, None)
            if node is None:
                pending.pop()
                continue
            name = f"{path}/{node.name}"
            if node.directory is not None:
                pending.append((name, node.directory.nodes()))
            if matcher is not None and not matcher.match(name):
                continue
            form = stat.S_IFDIR if node.directory is not None else union.entry(node).type
            if form in wanted:
                yield name, node
    except UnionLayersError as error:
        raise translated(error) from error


def _stored(view: UnionFS, node: Node) -> tuple[int, int]:
    if node.directory is not None:
        return -1, 0
    slot, row = view._union.inode(node)
    return slot, view._union.changeset(slot).index.block[row]


def _described(
    view: UnionFS, found: Iterator[tuple[str, Node]], names: frozenset[str]
) -> Iterator[tuple[str, Any]]:
    for path, node in found:
        try:
            yield path, fs.info.Info(view._raw(node, names))
        except UnionLayersError as error:
            raise translated(error, path) from error
