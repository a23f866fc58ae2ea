"""``unionlayers tree``: a directory and what is beneath it, drawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from unionlayers._cli.entries import Tree, absolute, mode_text
from unionlayers._cli.opening import Opening, Session
from unionlayers._cli.options import image_argument, json_option, opening_options, paths_argument
from unionlayers._cli.output import Output, count, size_text
from unionlayers._cli.path_faults import PathFaults
from unionlayers._foundation.names import printable
from unionlayers._layers.directory import Directory, Node

__all__ = ["tree"]

_LINES = ("├── ", "└── ", "│   ", "    ")
_ASCII = ("|-- ", "`-- ", "|   ", "    ")


@click.command()
@image_argument()
@paths_argument(required=False)
@click.option("-a", "--all", "hidden", is_flag=True, help="Names that begin with a dot too.")
@click.option("-d", "--directories", is_flag=True, help="Directories alone.")
@click.option("-L", "--depth", type=click.IntRange(1), help="No deeper than this.")
@click.option("-l", "--long", "long", is_flag=True, help="Layer, mode and size too.")
@json_option
@opening_options
def tree(
    opening: Opening,
    image: str,
    paths: tuple[str, ...],
    hidden: bool,
    directories: bool,
    depth: int | None,
    long: bool,
    as_json: bool,
) -> int:
    """
    Draw directories of IMAGE, / if no PATH is given, with all that is beneath.

    Links are not followed.  With --json each entry is a JSON object on a line of its own, with its
    depth.
    """
    session = Session.of(opening, json=as_json)
    with session.image(image, index=True) as opened:
        shown = Tree(opened, opened.union(opening.indexes(opened)))
        faults = PathFaults(session.out, shown)
        drawing = _Drawing(session.out, shown, faults, hidden, directories, depth, long)
        for path in map(absolute, paths):
            with faults.catching(path):
                drawing.draw(path)
        drawing.end()
        return faults.code


class _Drawing:
    def __init__(
        self,
        out: Output,
        tree: Tree,
        faults: PathFaults,
        hidden: bool,
        directories: bool,
        depth: int | None,
        long: bool,
    ) -> None:
        self.out = out
        self.tree = tree
        self.faults = faults
        self.hidden = hidden
        self.directories = directories
        self.depth = depth
        self.long = long
        self.seen = [0, 0]
        try:
            "├└│─".encode(sys.stdout.encoding or "ascii")
            self.signs = _LINES
        except UnicodeEncodeError:
            self.signs = _ASCII

    def draw(self, path: str) -> None:
        node = self.tree.find(path, follow=True)
        if not self.out.json:
            self.out.line(f"{self._told(node, path)}{printable(path)}")
        if node.directory is None:
            self._count(node)
            return
        pending = [("", path.rstrip("/"), self._nodes(node.directory))]
        while pending:
            lead, above, nodes = pending[-1]
            inner = next(nodes, None)
            if inner is None:
                pending.pop()
                continue
            found, last = inner
            at = f"{above}/{found.name}"
            with self.faults.catching(at):
                self._line(found, at, lead, last, len(pending))
            goes_on = self.depth is None or len(pending) < self.depth
            if found.directory is not None and goes_on:
                step = self.signs[3 if last else 2]
                pending.append((lead + step, at, self._nodes(found.directory)))

    def end(self) -> None:
        if not self.out.json:
            told = count(self.seen[0], "directory", "directories")
            files = "" if self.directories else f", {count(self.seen[1], 'file')}"
            self.out.line(f"\n{told}{files}")

    def _nodes(self, directory: Directory) -> Iterator[tuple[Node, bool]]:
        """Give what is shown of a directory, and whether it is the last."""
        before: Node | None = None
        for node in directory.nodes():
            if node.name.startswith(".") and not self.hidden:
                continue
            if self.directories and node.directory is None:
                continue
            if before is not None:
                yield before, False
            before = node
        if before is not None:
            yield before, True

    def _line(self, node: Node, path: str, lead: str, last: bool, depth: int) -> None:
        self._count(node)
        facts = self.tree.facts(node, path)
        if self.out.json:
            self.out.item({"depth": depth, **facts.document(self.tree.image)})
            return
        sign = self.signs[1 if last else 0]
        self.out.line(f"{self._told(node, path)}{lead}{sign}{facts.shown(self.out)}")

    def _told(self, node: Node, path: str) -> str:
        if not self.long:
            return ""
        facts = self.tree.facts(node, path)
        layer = "-" if facts.layer is None else str(facts.layer)
        return f"{layer:>3} {mode_text(facts.entry.mode)} {size_text(facts.entry.size):>5}  "

    def _count(self, node: Node) -> None:
        self.seen[0 if node.directory is not None else 1] += 1
