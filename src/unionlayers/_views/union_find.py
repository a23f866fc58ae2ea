"""`UnionFS.find`: by pattern and type, going down only where the pattern can match."""

from __future__ import annotations

import fnmatch
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


class _Matcher:
    """A shell pattern of a path, matched component by component; ``**`` is any number of them."""

    def __init__(self, parts: list[str]) -> None:
        self._parts = [
            None if part == "**" else re.compile(fnmatch.translate(part)) for part in parts
        ]

    def matches(self, path: str) -> bool:
        """Tell whether the whole path matches; O(components of both)."""
        reached = {0}
        for name in path.split("/")[1:]:
            reached = {
                after
                for at in self._opened(reached)
                if at < len(self._parts)
                for after in self._taken(at, name)
            }
            if not reached:
                return False
        return len(self._parts) in self._opened(reached, last=True)

    def _taken(self, at: int, name: str) -> tuple[int, ...]:
        part = self._parts[at]
        if part is None:
            return at, at + 1
        return (at + 1,) if part.match(name) else ()

    def _opened(self, reached: set[int], *, last: bool = False) -> set[int]:
        """Add what can follow when ``**`` stands for no component; at the end it never does."""
        found = set(reached)
        for at in sorted(reached):
            while at < len(self._parts) - last and self._parts[at] is None:
                at += 1
                found.add(at)
        return found


def _compiled(pattern: str | None) -> tuple[str, _Matcher | None]:
    """Give the directory that all matches are in, and what the whole path must match."""
    if pattern is None:
        return "/", None
    parts = [part for part in pattern.split("/") if part]
    literal: list[str] = []
    while parts[len(literal) :] and not _WILD.search(parts[len(literal)]):
        literal.append(parts[len(literal)])
    return "/" + "/".join(literal), _Matcher(parts)


def _matching(
    view: UnionFS, prefix: str, matcher: _Matcher | None, wanted: Collection[int]
) -> Iterator[tuple[str, Node]]:
    union = view._union
    try:
        found = resolve(union, prefix, follow=False).node
        start = resolve(union, prefix).node.directory
        if matcher is not None and prefix != "/" and matcher.matches(prefix):
            form = stat.S_IFDIR if found.directory is not None else union.entry(found).type
            if form in wanted:
                yield prefix, found
            return
    except PathError:
        return
    except UnionLayersError as error:
        raise translated(error, prefix) from error
    if start is None:
        return
    pending: list[tuple[str, Iterator[Node]]] = [(prefix.rstrip("/"), start.nodes())]
    try:
        while pending:
            path, nodes = pending[-1]
            view.check()
            node = next(nodes, None)
            if node is None:
                pending.pop()
                continue
            name = f"{path}/{node.name}"
            if node.directory is not None:
                pending.append((name, node.directory.nodes()))
            if matcher is not None and not matcher.matches(name):
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
