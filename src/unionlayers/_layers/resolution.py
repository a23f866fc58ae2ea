"""
From a path to a node, as the kernel follows it inside the root of an image.

Components are taken one by one on the merged tree; ``..`` is taken after the link before it and
stops at the root; an absolute link starts at the root of the image; a trailing slash asks for a
directory.  The host's filesystem is never asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from unionlayers._foundation.limits import exceeded
from unionlayers._foundation.names import split_path
from unionlayers._layers.directory import Directory, Node
from unionlayers.errors import LinkLoopError, PathNotADirectoryError, PathNotFoundError

if TYPE_CHECKING:
    from unionlayers._layers.union import Union

__all__ = ["Link", "Resolution", "resolve", "resolve_in"]


_KEPT = 16_384
"""How many paths a union remembers."""


@frozen
class Link:
    """One symbolic link on the way: where it stands, and its text."""

    path: str
    target: str


@frozen(eq=False)
class Resolution:
    """Where a path led: the node, and the links that were followed, in order."""

    node: Node
    links: tuple[Link, ...]


def resolve(union: Union, path: str, *, follow: bool = True) -> Resolution:
    """
    Follow *path* in a union.

    Args:
        union: The stack.
        path: Any path; relative ones start at the root.
        follow: Whether a link at the end is followed; a trailing slash follows it in any case.

    Raises:
        PathNotFoundError: Nothing is there, or a link on the way dangles.
        PathNotADirectoryError: A component before the last is no directory.
        LinkLoopError: More links than the limit (40, as Linux).
        LimitError: Links have more components together than a path may have.

    Cost:
        A look-up in each directory on the way; one look-up in all for a path asked for lately.

    Source:
        path_resolution(7).
    """
    lately = union.followed[follow]
    known = lately.get(path)
    if known is None:
        known = resolve_in(union, union.root, path, follow=follow)
        if len(lately) >= _KEPT:
            lately.clear()
        lately[path] = known
    return known


def resolve_in(union: Union, root: Directory, path: str, *, follow: bool = True) -> Resolution:
    """Follow *path* from a root of the union, such as that of the layers beneath one of them."""
    pending = split_path(path)
    pending.reverse()
    node = root.node()
    links: list[Link] = []
    while pending:
        name = pending.pop()
        directory = node.directory
        if directory is None:
            raise PathNotADirectoryError("a component of the path is no directory", path=path)
        if name == ".":
            continue
        if name == "..":
            if node.parent is not None:
                node = node.parent.node()
            continue
        found = directory.lookup(name)
        if found is None:
            hint = None
            if links:
                hint = f"The link {links[-1].path!r} leads to {links[-1].target!r}"
            raise PathNotFoundError("no such file or directory", path=path, hint=hint)
        if found.directory is None and (pending or follow):
            target = union.link_text(found)
            if target is not None:
                if len(links) >= union.limits.links:
                    raise LinkLoopError(
                        "too many symbolic links",
                        path=path,
                        expected=union.limits.links,
                        candidates=tuple(link.path for link in links[-3:]),
                    )
                links.append(Link(found.path, target))
                if not target:
                    raise PathNotFoundError("a symbolic link has no text", path=path)
                if target.startswith("/"):
                    node = root.node()
                pending.extend(reversed(split_path(target)))
                if len(pending) > union.limits.depth:
                    exceeded("depth", union.limits.depth, len(pending))
                continue
        node = found
    return Resolution(node, tuple(links))
