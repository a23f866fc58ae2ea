"""Down a tree, directory by directory: links are listed and never gone through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import define

from unionlayers._layers.directory import Directory
from unionlayers._layers.union import Union
from unionlayers._views.fsspec.description import described, leads_to

__all__ = ["Listing", "below", "listed"]


@define(eq=False)
class Listing:
    """
    What stands in one directory.

    Attributes:
        path: The directory, as it is named.
        dirs: What leads to a directory, by name.
        files: Everything else, by name.
        inner: Of `dirs` those that are no links.
    """

    path: str
    dirs: dict[str, Any]
    files: dict[str, Any]
    inner: dict[str, Directory]

    def child(self, name: str) -> str:
        """Give the path of a name."""
        return f"{self.path.rstrip('/')}/{name}"


def listed(union: Union, path: str, directory: Directory, *, detail: bool) -> Listing:
    """Give the names in a directory, in byte order, each with its description or its path."""
    listing = Listing(path, {}, {}, {})
    for node in directory.nodes():
        shown = leads_to(union, node)
        name = listing.child(node.name)
        is_directory = shown is not None and shown.directory is not None
        kind = listing.dirs if is_directory else listing.files
        kind[node.name] = described(union, name, node) if detail else name
        if node.directory is not None:
            listing.inner[node.name] = node.directory
    return listing


def below(
    path: str,
    directory: Directory,
    look: Callable[[str, Directory], Listing | None],
    *,
    maxdepth: int | None,
    topdown: bool,
) -> Iterator[Listing]:
    """
    Give a directory and those below it, without recursion, whatever the depth.

    Args:
        path: How the directory is named.
        directory: Where to start.
        look: Lists a directory; None for one that is to be left out.
        maxdepth: How many levels, None for all.
        topdown: Whether a directory comes before those in it; what is taken out of its ``dirs`` is
            then not gone into.
    """
    pending: list[tuple[Listing | None, str, Directory, int | None]] = [
        (None, path, directory, maxdepth)
    ]
    while pending:
        done, here, found, left = pending.pop()
        if done is not None:
            yield done
            continue
        listing = look(here, found)
        if listing is None:
            continue
        if topdown:
            yield listing
        else:
            pending.append((listing, here, found, left))
        if left is None or left > 1:
            pending.extend(
                (None, listing.child(name), listing.inner[name], None if left is None else left - 1)
                for name in reversed(listing.dirs)
                if name in listing.inner
            )
