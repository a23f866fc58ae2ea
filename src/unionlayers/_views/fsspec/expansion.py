"""What patterns and directories stand for when they are copied: everything below, each once."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from unionlayers._layers.directory import Directory
from unionlayers._layers.union import Union
from unionlayers._views.fsspec.description import leads_to

__all__ = ["Starts", "is_pattern", "with_bytes_below"]

Starts = dict[str, tuple[Directory, float]]
"""Directories by the path they are named by, each with how many levels below it are looked at."""


def is_pattern(path: str) -> bool:
    """Tell whether fsspec takes a path for a pattern."""
    return not set("*?[").isdisjoint(path)


def with_bytes_below(union: Union, starts: Starts) -> Iterator[str]:
    """
    Give what is below directories and leads to a file or a directory, without going through links.

    Args:
        union: The stack.
        starts: Where to begin; one may be below another.

    Cost:
        Looks at each directory once for each name that the starts give it, and not once for each
        of them that is above it.
    """
    waiting = dict(starts)
    # What is above comes before what is below it.
    for start in sorted(starts):
        if start not in waiting:
            continue
        pending = [(start, *waiting.pop(start))]
        while pending:
            path, directory, levels = pending.pop()
            for node in directory.nodes():
                shown = leads_to(union, node)
                if shown is None:
                    continue
                if shown.directory is None and union.form(shown) != stat.S_IFREG:
                    continue
                child = f"{path.rstrip('/')}/{node.name}"
                yield child
                if node.directory is None:
                    continue
                _, own = waiting.pop(child, (node.directory, 0))
                if (left := max(levels - 1, own)) > 0:
                    pending.append((child, node.directory, left))
