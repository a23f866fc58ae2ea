"""``unionlayers ls``: directories as ls lists them, each name with the layer it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from unionlayers._cli.entries import Facts, Tree, absolute, mode_text, time_text
from unionlayers._cli.opening import Opening, Session
from unionlayers._cli.options import image_argument, json_option, opening_options, paths_argument
from unionlayers._cli.output import width_of
from unionlayers._cli.path_faults import PathFaults
from unionlayers._foundation.names import printable
from unionlayers._layers.directory import Directory, Node

__all__ = ["ls"]


@click.command()
@image_argument()
@paths_argument(required=False)
@click.option("-l", "--long", "long", is_flag=True, help="Mode, owner, size, time and layer too.")
@click.option("-a", "--all", "-A", "hidden", is_flag=True, help="Names that begin with a dot too.")
@click.option("-R", "--recursive", is_flag=True, help="Directories in them too.")
@click.option("-d", "--directory", "itself", is_flag=True, help="Directories themselves.")
@click.option("-n", "--numeric", is_flag=True, help="Numbers of users and groups, not names.")
@click.option("-H", "--human", is_flag=True, help="Sizes such as 1.5K and 20M.")
@click.option("-i", "--inode", is_flag=True, help="Numbers of inodes too.")
@click.option("-S", "by_size", is_flag=True, help="Largest first.")
@click.option("-t", "by_time", is_flag=True, help="Newest first.")
@click.option("-r", "--reverse", is_flag=True, help="The other way round.")
@click.option("-1", "single", is_flag=True, help="One name on a line, as in a pipe.")
@json_option
@opening_options
def ls(
    opening: Opening,
    image: str,
    paths: tuple[str, ...],
    long: bool,
    hidden: bool,
    recursive: bool,
    itself: bool,
    numeric: bool,
    human: bool,
    inode: bool,
    by_size: bool,
    by_time: bool,
    reverse: bool,
    single: bool,
    as_json: bool,
) -> int:
    """
    List directories of IMAGE, / if no PATH is given.

    A link that a PATH ends with is followed, but with -l only if a slash is behind it.  Times are
    UTC.  In a pipe a name is on each line, byte for byte; on a terminal what is not printable is
    escaped.  With --json each entry is a JSON object on a line of its own.
    """
    session = Session.of(opening, json=as_json)
    with session.image(image, index=True) as opened:
        tree = Tree(opened, opened.union(opening.indexes(opened)))
        listing = _Listing(
            session=session,
            tree=tree,
            long=long,
            hidden=hidden,
            numeric=numeric,
            human=human,
            inode=inode,
            by="size" if by_size else "time" if by_time else "name",
            reverse=reverse,
            single=single,
        )
        return listing.run(paths, recursive=recursive, itself=itself)


class _Listing:
    """How one call of ls shows things."""

    def __init__(
        self,
        *,
        session: Session,
        tree: Tree,
        long: bool,
        hidden: bool,
        numeric: bool,
        human: bool,
        inode: bool,
        by: str,
        reverse: bool,
        single: bool,
    ) -> None:
        self.out = session.out
        self.tree = tree
        self.long = long
        self.hidden = hidden
        self.numeric = numeric
        self.human = human
        self.inode = inode
        self.by = by
        self.reverse = reverse
        self.single = single
        self.faults = PathFaults(session.out, tree)
        self._first = True

    def run(self, paths: Sequence[str], *, recursive: bool, itself: bool) -> int:
        alone: list[tuple[Node, str]] = []
        directories: list[tuple[Directory, str]] = []
        for path in map(absolute, paths):
            with self.faults.catching(path):
                node = self.tree.find(path, follow=not (itself or self.long))
                if node.directory is None or itself:
                    alone.append((node, path))
                else:
                    directories.append((node.directory, path))
        if alone:
            self._show(list(self._facts(alone)), named=True)
        headed = recursive or len(paths) > 1
        for directory, path in directories:
            for inner, at in self._levels(directory, path, recursive=recursive):
                with self.faults.catching(at):
                    self._list(inner, at, headed=headed)
        return self.faults.code

    def _levels(
        self, directory: Directory, path: str, *, recursive: bool
    ) -> Iterator[tuple[Directory, str]]:
        """Give a directory and, in the order of ls -R, those beneath it."""
        pending = [(directory, path)]
        while pending:
            directory, path = pending.pop()
            yield directory, path
            if recursive:
                nodes = [node for node in directory.nodes() if self._wanted(node)]
                pending.extend(
                    (node.directory, _joined(path, node.name))
                    for node in (nodes if self.reverse else reversed(nodes))
                    if node.directory is not None
                )

    def _wanted(self, node: Node) -> bool:
        return self.hidden or not node.name.startswith(".")

    def _list(self, directory: Directory, path: str, *, headed: bool) -> None:
        nodes = [(node, _joined(path, node.name)) for node in directory.nodes()]
        wanted = [(node, at) for node, at in nodes if self._wanted(node)]
        if headed and not self.out.json:
            if not self._first:
                self.out.line()
            self.out.name(f"{path}:")
        self._first = False
        if self.by == "name" and not (self.long or self.inode or self.out.json or self.out.colour):
            # Nothing but names is asked for: no entry need be looked at.
            names = [node.name for node, _ in wanted]
            self._names(names[::-1] if self.reverse else names)
            return
        self._show(list(self._facts(wanted)), named=False)

    def _facts(self, nodes: Sequence[tuple[Node, str]]) -> Iterator[Facts]:
        for node, path in nodes:
            with self.faults.catching(path):
                yield self.tree.facts(node, path)

    def _show(self, facts: list[Facts], *, named: bool) -> None:
        if self.by == "size":
            facts.sort(key=lambda fact: -fact.entry.size)
        elif self.by == "time":
            facts.sort(key=lambda fact: -fact.mtime_ns)
        if self.reverse:
            facts.reverse()
        self._first = False
        if self.out.json:
            for fact in facts:
                self.out.item(fact.document(self.tree.image))
        elif self.long or self.inode:
            self._long(facts, named=named)
        else:
            colours = [fact.colour for fact in facts]
            self._names([fact.path if named else fact.name for fact in facts], colours)

    def _long(self, facts: Sequence[Facts], *, named: bool) -> None:
        rows = [self._cells(fact) for fact in facts]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for fact, cells in zip(facts, rows, strict=True):
            padded = [
                cell.rjust(width) if right else cell.ljust(width)
                for (cell, right), width in zip(
                    ((cell, cell[:1].isdecimal()) for cell in cells), widths, strict=True
                )
            ]
            self.out.line(" ".join((*padded, fact.shown(self.out, fact.path if named else None))))

    def _cells(self, fact: Facts) -> list[str]:
        cells = [str(fact.inode)] if self.inode else []
        if not self.long:
            return cells
        entry = fact.entry
        user = None if self.numeric else fact.user
        group = None if self.numeric else fact.group
        return [
            *cells,
            mode_text(entry.mode) + ("+" if fact.capability else ""),
            str(fact.links),
            printable(user) if user else str(entry.uid),
            printable(group) if group else str(entry.gid),
            fact.size(human=self.human),
            time_text(fact.mtime_ns),
            "-" if fact.layer is None else str(fact.layer),
        ]

    def _names(self, names: Sequence[str], colours: Sequence[str | None] | None = None) -> None:
        out = self.out
        if not out.terminal or self.single:
            for name in names:
                out.name(name)
            return
        cells = list(map(printable, names))
        painted = (
            cells
            if colours is None
            else [out.paint(cell, colour) for cell, colour in zip(cells, colours, strict=True)]
        )
        widths = list(map(width_of, cells))
        rows = _rows(widths, out.width)
        for row in range(rows):
            line = ""
            for column in range(row, len(cells), rows):
                gap = max(widths[column - column % rows : column - column % rows + rows]) + 2
                last = column + rows >= len(cells)
                line += painted[column] + ("" if last else " " * (gap - widths[column]))
            out.line(line)


def _rows(widths: Sequence[int], width: int) -> int:
    """Give the fewest rows in which columns of these widths, read downwards, fit."""
    for rows in range(1, len(widths)):
        columns = [max(widths[at : at + rows]) + 2 for at in range(0, len(widths), rows)]
        if sum(columns) - 2 <= width:
            return rows
    return max(1, len(widths))


def _joined(path: str, name: str) -> str:
    return f"{path.rstrip('/')}/{name}"
