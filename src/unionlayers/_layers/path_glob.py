"""
Shell patterns below one directory, as ``pathlib`` takes them: component by component.

Links are gone through where a component names or matches them, and never by ``**``.
"""

from __future__ import annotations

import fnmatch
import re
import stat
from collections.abc import Callable, Iterator

from unionlayers._layers.directory import Directory, Node
from unionlayers._layers.resolution import resolve
from unionlayers._layers.union import Union
from unionlayers.errors import PathError

__all__ = ["glob_below", "parts_of_pattern"]

_WILD = re.compile(r"[*?\[]")

Part = str | Callable[[str], object] | None
"""A name, what matches names, or None for ``**``."""


def parts_of_pattern(pattern: str) -> tuple[list[Part], bool]:
    """
    Give the components of a pattern, and whether only directories match.

    Raises:
        ValueError: It is empty or absolute, or has ``..`` in it, which is no name.
    """
    names = [name for name in pattern.split("/") if name not in ("", ".")]
    if not names or pattern.startswith("/"):
        raise ValueError(f"a pattern is relative, and not empty: {pattern!r}")
    if ".." in names:
        raise ValueError(f"no name is '..', and a pattern cannot have it: {pattern!r}")
    parts: list[Part] = []
    for name in names:
        if name == "**":
            if not parts or parts[-1] is not None:
                parts.append(None)
        elif _WILD.search(name):
            parts.append(re.compile(fnmatch.translate(name)).match)
        else:
            parts.append(name)
    return parts, pattern.endswith("/")


def glob_below(union: Union, start: Directory, pattern: str) -> Iterator[str]:
    """
    Give the paths below a directory that match, relative to it, each once, parents first.

    Cost:
        The directories that the pattern can reach; a name in it is looked up, not searched for.
    """
    parts, only_directories = parts_of_pattern(pattern)
    seen: set[tuple[str, int]] = set()
    # What is to be done, the next last: a path, the node there, and the parts that are left.
    pending: list[tuple[str, Node, int]] = [("", start.node(), 0)]
    while pending:
        path, node, done = pending.pop()
        if (path, done) in seen:
            continue
        seen.add((path, done))
        if done == len(parts):
            if not only_directories or _directory(union, node) is not None:
                yield path
            continue
        directory = _directory(union, node)
        if directory is None:
            continue
        part = parts[done]
        if part is None:
            ends = done == len(parts) - 1 and not only_directories
            pending.extend(_everywhere(path, directory, done, ends=ends))
        elif isinstance(part, str):
            found = directory.lookup(part)
            if found is not None:
                pending.append((_joined(path, part), found, done + 1))
        else:
            matching = [one for one in directory.nodes() if part(one.name) is not None]
            pending.extend((_joined(path, one.name), one, done + 1) for one in reversed(matching))


def _everywhere(
    path: str, directory: Directory, done: int, *, ends: bool
) -> Iterator[tuple[str, Node, int]]:
    """
    Give what is done for ``**`` in one directory: below each one in it, and then in itself.

    Where it ends the pattern it stands for what is no directory too.
    """
    for node in reversed(list(directory.nodes())):
        inner = _joined(path, node.name)
        if node.directory is not None:
            yield inner, node, done
        elif ends:
            yield inner, node, done + 1
    yield path, directory.node(), done + 1


def _directory(union: Union, node: Node) -> Directory | None:
    """Give the directory that a node is or leads to."""
    if node.directory is not None or union.form(node) != stat.S_IFLNK:
        return node.directory
    try:
        return resolve(union, node.path).node.directory
    except PathError:
        return None


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
