"""Errors of single paths: told one by one, while the others go on, and counted in the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from unionlayers._cli.entries import Tree
from unionlayers._cli.faults import close_to, code_of, lines_of
from unionlayers._cli.output import Output
from unionlayers.errors import LayerError, PathError, PathNotFoundError, UnionLayersError

__all__ = ["PathFaults", "near_to"]


class PathFaults:
    """
    Tells what is wrong with paths of one tree.

    Args:
        out: What has been written there comes first.
        tree: Where near names are looked for.

    Attributes:
        code: What the process is to end with.
    """

    def __init__(self, out: Output, tree: Tree) -> None:
        self.code = 0
        self._out = out
        self._tree = tree

    @contextmanager
    def catching(self, path: str) -> Iterator[None]:
        """Tell an error that belongs to one path; all others go through."""
        try:
            yield
        except (PathError, LayerError) as error:
            if error.path is None:
                error.path = path
            self._tell(error)

    def _tell(self, error: UnionLayersError) -> None:
        self._out.before()
        sys.stdout.flush()
        first, *more = lines_of(error)
        if isinstance(error, PathNotFoundError):
            told = self._taken(error.path or "") or near_to(self._tree, error.path or "")
            if told is not None:
                more.append(told)
        sys.stderr.write(f"unionlayers: {first}\n" + "".join(f"  {line}\n" for line in more))
        self.code = max(self.code, code_of(error))

    def _taken(self, path: str) -> str | None:
        """Say which layer has taken a path away, and how to see what was there."""
        layers = [slot.layer for slot in self._tree.union.slots]
        try:
            absence = self._tree.image.explain(path, layers=layers).absence
        except UnionLayersError:
            return None  # this error is of its own, and the one that is told is enough
        if absence is None or absence.layer is None:
            return None
        return (
            f"layer {absence.layer} took it away ({absence.reason}); "
            f"--layers :{absence.layer} shows what was there"
        )


def near_to(tree: Tree, path: str) -> str | None:
    """
    Ask for a name like the first one of a path that is not there; None where there is none.

    Args:
        tree: Where it is looked for.
        path: From the root.
    """
    above = ""
    for part in path.split("/"):
        if part in ("", "."):
            continue
        try:
            directory = tree.find(above, follow=True).directory
            if directory is None:
                return None
            if directory.lookup(part) is None:
                return close_to(part, directory.names(), above=f"{above}/")
        except PathError:
            return None
        above = f"{above}/{part}"
    return None
