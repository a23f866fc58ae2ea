"""
Where symbolic links lead once a tree stands in a folder of the host.

In a container ``/`` is the image's root, and ``..`` ends there.  In a folder neither is so: a text
that starts with a slash, or climbs above the root, leads out of it.  Counting the ``..`` of a text
does not tell, because what is before them may be a link itself; so every text is followed through
the tree, as the kernel would.

A name that is not there may be made one day, by whoever uses the folder, and then the texts that
pass it lead on; so it is taken for a directory, from which ``..`` leads back to where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, field, frozen

from unionlayers._layers.directory import Directory, Node
from unionlayers._layers.union import Union

__all__ = ["FolderLinks", "Lead", "LinkReader", "anchored", "depth_of", "is_plain"]

Link = tuple[Directory, str]


@frozen
class Lead:
    """
    Where a link leads in the image.

    Attributes:
        directory: The last directory on the way that is there; None where the way ends in a
            circle, or climbs.
        below: How many names below it the way goes on, of which the first is no directory today;
            0 if the link leads to the directory itself.
        climbs: Whether ``..`` is taken at the root on the way, in this link or one it passes.
    """

    directory: Directory | None
    below: int = 0
    climbs: bool = False


@define
class _Walk:
    """The text of one link, followed up to a place."""

    link: Link
    at: Directory
    pending: list[str]
    below: int = 0
    ended: Lead | None = None

    def passed(self, lead: Lead) -> None:
        """Go on from where a link on the way leads, or end with it."""
        if lead.directory is None:
            self.ended = lead
        else:
            self.at, self.below = lead.directory, lead.below

    def up(self) -> None:
        """Take ``..``."""
        if self.below:
            self.below -= 1
        elif self.at.parent is None:
            # What climbs is never written, so that what comes behind does not matter.
            self.ended = Lead(None, climbs=True)
        else:
            self.at = self.at.parent


def _any(_: Node) -> bool:
    return True


@define(eq=False)
class LinkReader:
    """
    Follows links in a union, each once.

    Args:
        union: The tree.
        is_there: Which links are there; any other one is a name that is missing.

    Cost:
        A look-up for each component of the text of each link, whatever they lead through: what a
        link was found to lead to is kept.  Without recursion.
    """

    union: Union
    is_there: Callable[[Node], bool] = _any
    _known: dict[Link, Lead] = field(factory=dict)

    def lead(self, node: Node) -> Lead:
        """Tell where a symbolic link leads."""
        start = _link(node)
        known = self._known.get(start)
        if known is not None:
            return known
        walks = [self._begun(node)]
        under_way = {start}
        while walks:
            walk = walks[-1]
            further = self._advance(walk, under_way)
            if further is not None:
                walks.append(self._begun(further))
                under_way.add(walks[-1].link)
                continue
            walks.pop()
            under_way.discard(walk.link)
            found = self._known[walk.link] = walk.ended or Lead(walk.at, walk.below)
            if walks:
                walks[-1].passed(found)
        return self._known[start]

    def _begun(self, node: Node) -> _Walk:
        link = _link(node)
        text = self.union.link_text(node) or ""
        return _Walk(
            link, self.union.root if text.startswith("/") else link[0], text.split("/")[::-1]
        )

    def _advance(self, walk: _Walk, under_way: set[Link]) -> Node | None:
        """Go on to the end of a text, or to a link in it that is not known yet; give that."""
        while walk.pending and walk.ended is None:
            name = walk.pending.pop()
            if name in ("", "."):
                continue
            if name == "..":
                walk.up()
                continue
            if walk.below:
                walk.below += 1
                continue
            node = walk.at.lookup(name)
            if node is not None and node.directory is not None:
                walk.at = node.directory
                continue
            if node is None or self.union.link_text(node) is None or not self.is_there(node):
                walk.below = 1
                continue
            link = walk.at, name
            known = self._known.get(link)
            if known is None and link not in under_way:
                return node
            # A circle leads nowhere, whatever is made.
            walk.passed(known or Lead(None))
        return None


class FolderLinks:
    """
    Which links of a union lead out of a folder that gets some of them.

    A link leads out if it does so where all links are, as in the image; or where those alone are
    that the folder gets, and a directory is made in the place of another one.

    Args:
        union: The tree.
        chosen: The links that are chosen, each by its directory and name.
        absolute: Whether the folder gets those with a slash in front.
    """

    def __init__(self, union: Union, chosen: set[Link], *, absolute: bool) -> None:
        self._union = union
        self._chosen = chosen
        self._absolute = absolute
        self._whole = LinkReader(union)
        self._written = LinkReader(union, self._is_written)

    def leads_out(self, node: Node) -> bool:
        """Tell whether a link climbs above the root, now or one day."""
        return self._whole.lead(node).climbs or self._written.lead(node).climbs

    def _is_written(self, node: Node) -> bool:
        if _link(node) not in self._chosen or self._whole.lead(node).climbs:
            return False
        return self._absolute or not (self._union.link_text(node) or "").startswith("/")


def _link(node: Node) -> Link:
    if node.parent is None:
        raise AssertionError("the root is no link")
    return node.parent, node.name


def depth_of(directory: Directory) -> int:
    """Give how many components the path of a directory has."""
    depth = 0
    while directory.parent is not None:
        directory = directory.parent
        depth += 1
    return depth


def anchored(text: str, depth: int) -> str:
    """
    Give an absolute text as one relative to a directory *depth* below the root.

    Example:
        >>> anchored("/usr/bin/mawk", 2), anchored("/", 0)
        ('../../usr/bin/mawk', '.')
    """
    parts: Sequence[str] = [".."] * depth
    rest = text.lstrip("/")
    return "/".join([*parts, rest]) if rest else "/".join(parts) or "."


def is_plain(text: str) -> bool:
    """
    Tell whether ``..`` stands at the start of a text only.

    Such a text cannot climb above the root, whatever its names turn out to be.

    Example:
        >>> is_plain("../../lib/x"), is_plain("lib/../../x")
        (True, False)
    """
    parts = [part for part in text.split("/") if part not in ("", ".")]
    climbing = 0
    while climbing < len(parts) and parts[climbing] == "..":
        climbing += 1
    return ".." not in parts[climbing:]
