"""`UnionFS.export`: which nodes of a view are written; the export itself is a view of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from attrs import frozen

from unionlayers._foundation.names import encode
from unionlayers._image.view_makers import view_maker
from unionlayers._layers.directory import Node
from unionlayers._layers.path_pattern import PathPattern
from unionlayers._views.errors import translating
from unionlayers._views.union_find import Wanted, matching

if TYPE_CHECKING:
    from unionlayers._views.union_fs import UnionFS

__all__ = ["Choice", "export_of"]

_ALL_TYPES = ("file", "directory", "symlink", "device", "fifo")


@frozen
class Choice:
    """
    What of a view is written.

    Attributes:
        path: The directory or file below which everything is.
        patterns: Patterns of which one matches, or None.
        walker: What yields it, or None.
    """

    path: str
    patterns: tuple[str, ...] | None
    walker: Any

    @classmethod
    def of(cls, *, path: str, pattern: str | Collection[str] | None, walker: Any) -> Self:
        """
        Check what was asked for.

        Raises:
            ValueError: A pattern beside a path or a walker.
        """
        if pattern is None:
            return cls(path, None, walker)
        if walker is not None or path != "/":
            raise ValueError("a pattern is matched against the whole path; give it alone")
        return cls(path, (pattern,) if isinstance(pattern, str) else tuple(pattern), None)

    def nodes(self, view: UnionFS) -> Iterable[Node]:
        """Give the nodes in path order: parents first, in byte order within a directory."""
        if self.patterns is not None:
            wanted = Wanted.of(types=_ALL_TYPES, mode=None, capability=None)
            found = [
                (node for _, node in matching(view, PathPattern(pattern), wanted))
                for pattern in self.patterns
            ]
            return (
                found[0] if len(found) == 1 else _in_order(node for each in found for node in each)
            )
        if self.walker is not None:
            paths = (path for path, _ in self.walker.info(view, path=self.path))
            return _in_order(view._node(path, follow=False) for path in paths)
        return _below(view._node(self.path, follow=True))


def _below(start: Node) -> Iterator[Node]:
    yield start
    if start.directory is None:
        return
    pending = [start.directory.nodes()]
    while pending:
        for node in pending[-1]:
            yield node
            if node.directory is not None:
                pending.append(node.directory.nodes())
                break
        else:
            pending.pop()


def _in_order(nodes: Iterable[Node]) -> list[Node]:
    """Sort nodes by the path that they have without links, each once."""
    found = {node.path: node for node in nodes}
    return [found[path] for path in sorted(found, key=lambda path: encode(path).split(b"/"))]


def export_of(
    view: UnionFS,
    choice: Choice,
    destination: Any,
    *,
    names: bool,
    options: Mapping[str, Any],
) -> Any:
    """Write what was chosen; see `UnionFS.export`."""
    view.check()
    with translating(choice.path):
        # Nothing is written before it is known that there is something to write.
        view._node(choice.path, follow=True)
        return view_maker("export")(
            view._image,
            view._union,
            lambda: choice.nodes(view),
            destination,
            names=view._known_owners if names else None,
            check=view.check,
            **options,
        )
