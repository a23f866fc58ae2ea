"""`UnionFS.find`: by pattern and metadata, looking only where the pattern can match."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Self

from attrs import frozen

from unionlayers._foundation.names import encode
from unionlayers._layers.capability import CAPABILITIES, capabilities, capability_text
from unionlayers._layers.directory import Directory, Node
from unionlayers._layers.path_pattern import PathPattern, States
from unionlayers._layers.resolution import resolve
from unionlayers._layers.union import Union
from unionlayers._views._pyfilesystem import fs
from unionlayers._views.errors import reraise
from unionlayers.errors import PathError, UnionLayersError

if TYPE_CHECKING:
    from unionlayers._views.union_fs import UnionFS

__all__ = ["Wanted", "find_in", "matching"]

_TYPES = {
    "file": (stat.S_IFREG,),
    "directory": (stat.S_IFDIR,),
    "symlink": (stat.S_IFLNK,),
    "device": (stat.S_IFCHR, stat.S_IFBLK),
    "fifo": (stat.S_IFIFO,),
}


@frozen
class Wanted:
    """
    What a node must be, whatever its path.

    Attributes:
        forms: Type bits, any of them.
        mode: Permission bits of which any is set, or None.
        capability: A capability by name, True for any, False for none, or None.
    """

    forms: frozenset[int]
    mode: int | None
    capability: str | bool | None

    @classmethod
    def of(cls, *, types: Collection[str], mode: int | None, capability: str | bool | None) -> Self:
        """
        Check what was asked for.

        Raises:
            ValueError: Something that no node can be.
        """
        unknown = ", ".join(sorted(set(types) - set(_TYPES)))
        if unknown or isinstance(types, str):
            raise ValueError(f"types are of {', '.join(_TYPES)}; not {unknown or types!r}")
        if mode is not None and not 0 < mode <= 0o7777:
            raise ValueError(f"a mode has permission bits such as 0o4000, not {mode!r}")
        if isinstance(capability, str) and capability not in CAPABILITIES:
            raise ValueError(f"capabilities are {', '.join(CAPABILITIES)}; not {capability!r}")
        forms = frozenset(form for name in types for form in _TYPES[name])
        return cls(forms, mode, capability)

    def fits(self, union: Union, node: Node) -> bool:
        """Tell whether a node is wanted; its metadata is looked at only as far as needed."""
        if union.form(node) not in self.forms:
            return False
        if self.mode is None and self.capability is None:
            return True
        entry = union.entry(node)
        if self.mode is not None and not entry.mode & self.mode:
            return False
        if self.capability is None:
            return True
        value = dict(entry.xattrs).get("security.capability")
        if isinstance(self.capability, str):
            return value is not None and self.capability in capabilities(value)
        return (value is not None and capability_text(value) is not None) is self.capability


def find_in(
    view: UnionFS,
    pattern: str | None,
    *,
    wanted: Wanted,
    namespaces: Collection[str],
    order: str,
) -> Iterator[tuple[str, Any]]:
    """Give (path, Info) of what matches; see `UnionFS.find`."""
    view.check()
    if order not in ("path", "storage"):
        raise ValueError(f"order is path or storage, not {order!r}")
    if pattern is None:
        found = _everything(view, wanted)
    else:
        found = matching(view, PathPattern(pattern), wanted)
    if order == "storage":
        found = iter(sorted(found, key=lambda pair: _stored(view, pair[1])))
    return _described(view, found, frozenset({"details", "link", *namespaces}))


def _everything(view: UnionFS, wanted: Wanted) -> Iterator[tuple[str, Node]]:
    union = view._union
    # One path is held, and cut on the way up: all on the way together grow with the depth squared.
    prefix = "/"
    pending: list[tuple[int, Iterator[Node]]] = []
    try:
        pending.append((len(prefix), union.root.nodes()))
        while pending:
            length, nodes = pending[-1]
            prefix = prefix[:length]
            view.check()
            for node in nodes:
                path = prefix + node.name
                if wanted.fits(union, node):
                    yield path, node
                if node.directory is not None:
                    prefix = path + "/"
                    pending.append((len(prefix), node.directory.nodes()))
                    break
            else:
                pending.pop()
    except UnionLayersError as error:
        reraise(error)


def matching(view: UnionFS, pattern: PathPattern, wanted: Wanted) -> Iterator[tuple[str, Node]]:
    """Give path and node of what matches, parents first and in byte order."""
    union = view._union
    prefix = "".join(f"/{name}" for name in pattern.prefix)
    try:
        start = resolve(union, prefix).node.directory
    except PathError:
        return
    except UnionLayersError as error:
        reraise(error, prefix)
    if start is None or not pattern.goes_on(pattern.start):
        return
    prefix += "/"
    pending: list[tuple[int, States, Iterator[Node]]] = []
    try:
        first = _candidates(start, pattern, pattern.start)
        pending.append((len(prefix), pattern.start, first))
        while pending:
            length, states, nodes = pending[-1]
            prefix = prefix[:length]
            view.check()
            for node in nodes:
                reached = pattern.after(states, node.name)
                if not reached:
                    continue
                path = prefix + node.name
                if pattern.accepts(reached) and wanted.fits(union, node):
                    yield path, node
                inner = node.directory
                if inner is not None and pattern.goes_on(reached):
                    prefix = path + "/"
                    pending.append((len(prefix), reached, _candidates(inner, pattern, reached)))
                    break
            else:
                pending.pop()
    except UnionLayersError as error:
        reraise(error)


def _candidates(directory: Directory, pattern: PathPattern, states: States) -> Iterator[Node]:
    """Give the nodes that can match: those of the names that the pattern has, or all."""
    names = pattern.only(states)
    if names is None:
        return directory.nodes()
    found = (directory.lookup(name) for name in sorted(names, key=encode))
    return (node for node in found if node is not None)


def _stored(view: UnionFS, node: Node) -> tuple[int, int]:
    if node.directory is not None:
        return -1, 0
    slot, row = view._union.inode(node)
    return slot, view._union.changeset(slot).index.block[row]


def _described(
    view: UnionFS, found: Iterator[tuple[str, Node]], names: frozenset[str]
) -> Iterator[tuple[str, Any]]:
    make = fs.info.Info
    for path, node in found:
        try:
            info = make(view._raw(node, names))
        except UnionLayersError as error:
            reraise(error, path)
        yield path, info
