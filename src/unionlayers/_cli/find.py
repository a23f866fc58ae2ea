"""``unionlayers find``: paths by name, type, mode, size, owner, time, layer and capability."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import click

from unionlayers._cli.criteria import TYPES, Criteria, Mode, Size, owner_of, time_of
from unionlayers._cli.entries import Facts, Tree, absolute, mode_text, time_text
from unionlayers._cli.layer_choice import LayerChoice
from unionlayers._cli.opening import Opening, Session
from unionlayers._cli.options import (
    LAYERS,
    image_argument,
    json_option,
    opening_options,
    paths_argument,
)
from unionlayers._cli.output import Output
from unionlayers._cli.path_faults import PathFaults
from unionlayers._foundation.names import printable
from unionlayers._layers.directory import Node
from unionlayers._layers.path_pattern import PathPattern

__all__ = ["find"]

_KEYS: dict[str, Callable[[Facts], int]] = {
    "size": lambda facts: -facts.entry.size,
    "time": lambda facts: -facts.mtime_ns,
    "layer": lambda facts: -1 if facts.layer is None else facts.layer,
}


@click.command()
@image_argument()
@paths_argument(required=False)
@click.option("--name", "-name", "names", multiple=True, metavar="GLOB", help="Last component.")
@click.option("--path", "-path", "pattern", metavar="GLOB", help="Whole path; ** is any depth.")
@click.option("--type", "-type", "types", metavar="LETTERS", help="f, d, l, b, c or p; or several.")
@click.option("--perm", "-perm", "modes", multiple=True, metavar="MODE",
              help="644: exactly; -644: all of them; /6000: any.")  # fmt: skip
@click.option("--setuid", "-setuid", is_flag=True, help="setuid or setgid files.")
@click.option("--capability", "-capability", metavar="NAME", help="cap_net_raw, or any.")
@click.option("--size", "-size", "sizes", multiple=True, metavar="[+-]N[ckMG]",
              help="+10M: more; -4k: less; bytes without a unit.")  # fmt: skip
@click.option("--user", "-user", "--owner", "user", metavar="NAME", help="Name or number.")
@click.option("--group", "-group", metavar="NAME", help="Name or number.")
@click.option("--newer", "-newer", metavar="TIME", help="2024-05-01, @SECONDS or a path.")
@click.option("--older", "-older", metavar="TIME", help="Likewise.")
@click.option("--layer", "-layer", "layer", type=LAYERS, help="Layers that the path comes from.")
@click.option("--maxdepth", "-maxdepth", type=click.IntRange(0), help="No deeper than this.")
@click.option("--order", type=click.Choice(["path", *_KEYS]), default="path", show_default=True,
              help="Largest, newest or lowest layer first.")  # fmt: skip
@click.option("-r", "--reverse", is_flag=True, help="The other way round.")
@click.option("-l", "--long", "-ls", "long", is_flag=True, help="Layer, mode, owner, size, time.")
@click.option("-print0", "--print0", "-0", "null", is_flag=True,
              help="A zero byte behind each path, not a newline.")  # fmt: skip
@json_option
@opening_options
def find(
    opening: Opening,
    image: str,
    paths: tuple[str, ...],
    names: tuple[str, ...],
    pattern: str | None,
    types: str | None,
    modes: tuple[str, ...],
    setuid: bool,
    capability: str | None,
    sizes: tuple[str, ...],
    user: str | None,
    group: str | None,
    newer: str | None,
    older: str | None,
    layer: LayerChoice | None,
    maxdepth: int | None,
    order: str,
    reverse: bool,
    long: bool,
    null: bool,
    as_json: bool,
) -> int:
    """
    Search IMAGE below each PATH, / if none is given; what fits all tests is listed.

    Links are not followed.  Paths are written as ls does; after -print0 they are byte for byte in
    any case.  With --json each entry is a JSON object on a line of its own.  The end is 0 whether
    something is found or not.
    """
    session = Session.of(opening, json=as_json)
    with session.image(image, index=True) as opened:
        tree = Tree(opened, opened.union(opening.indexes(opened)))
        try:
            wanted = Criteria(
                names=names,
                forms={_form(one) for one in (types or "f" * setuid).replace(",", "")},
                modes=tuple(map(Mode.of, (*modes, *(("/6000",) if setuid else ())))),
                sizes=tuple(map(Size.of, sizes)),
                uid=user if user is None else owner_of(user, _numbers(tree, "user"), "user"),
                gid=group if group is None else owner_of(group, _numbers(tree, "group"), "group"),
                newer=newer if newer is None else time_of(newer, tree),
                older=older if older is None else time_of(older, tree),
                layers=None if layer is None else layer.indexes(len(opened.layers)),
                capability=capability,
            )
            whole = None if pattern is None else PathPattern(pattern)
        except ValueError as error:
            if isinstance(error, OSError):
                raise
            raise click.UsageError(str(error)) from None
        faults = PathFaults(session.out, tree)
        found = _below(tree, faults, map(absolute, paths), wanted, whole, maxdepth)
        if order != "path":
            found = iter(sorted(found, key=lambda item: _KEYS[order](item.facts)))
        if reverse:
            found = reversed(list(found))
        for item in found:
            with faults.catching(item.path):
                _write(session.out, item, long=long, null=null)
        return faults.code


class _Found:
    """A path that is wanted, with facts that are looked up when they are first asked for."""

    __slots__ = ("_facts", "_node", "path", "tree")

    def __init__(self, tree: Tree, node: Node, path: str) -> None:
        self.tree = tree
        self.path = path
        self._node = node
        self._facts: Facts | None = None

    @property
    def facts(self) -> Facts:
        if self._facts is None:
            self._facts = self.tree.facts(self._node, self.path)
        return self._facts


def _below(
    tree: Tree,
    faults: PathFaults,
    paths: Iterable[str],
    wanted: Criteria,
    pattern: PathPattern | None,
    maxdepth: int | None,
) -> Iterator[_Found]:
    for path in paths:
        with faults.catching(path):
            start = tree.find(path, follow=path.endswith("/"))
            for node, at in _walk(tree, start, path, pattern, maxdepth):
                if not wanted.name_fits(node.name):
                    continue
                with faults.catching(at):
                    if wanted.forms and tree.union.form(node) not in wanted.forms:
                        continue
                    item = _Found(tree, node, at)
                    if not wanted.asks_facts or wanted.fits(item.facts):
                        yield item


def _walk(
    tree: Tree, start: Node, path: str, pattern: PathPattern | None, maxdepth: int | None
) -> Iterator[tuple[Node, str]]:
    """Give what is at a path and beneath, as far as the pattern can match there."""
    states = [pattern.begin] if pattern is not None else []

    def matches(node: Node, depth: int) -> bool:
        if pattern is None:
            return True
        del states[depth:]
        states.append(pattern.after(states[-1], node.name))
        return pattern.accepts(states[-1])

    def enter(_: Node, depth: int) -> bool:
        deep = maxdepth is None or depth < maxdepth
        return deep and (pattern is None or pattern.goes_on(states[-1]))

    if pattern is None:
        yield start, path
    else:
        for name in start.path.split("/"):
            if name:
                states[0] = pattern.after(states[0], name)
        if pattern.accepts(states[0]):
            yield start, path
    if start.directory is None or not enter(start, 0):
        return
    for node, at, depth in tree.below(start.directory, path, enter=enter):
        if matches(node, depth):
            yield node, at


def _write(out: Output, item: _Found, *, long: bool, null: bool) -> None:
    if out.json:
        out.item(item.facts.document(item.tree.image))
    elif null:
        out.name(item.path, end=b"\0")
    elif long:
        facts, entry = item.facts, item.facts.entry
        layer = "-" if facts.layer is None else str(facts.layer)
        mode = mode_text(entry.mode) + ("+" if facts.capability else " ")
        owner = (
            f"{printable(facts.user or str(entry.uid))} {printable(facts.group or str(entry.gid))}"
        )
        size, time = facts.size(human=False), time_text(facts.mtime_ns)
        line = f"{layer:>3} {mode} {facts.links:>2} {owner:<11} {size:>10} {time}"
        out.line(f"{line} {facts.shown(out, item.path)}")
    else:
        out.name(item.path)


def _form(letter: str) -> int:
    form = TYPES.get(letter)
    if form is None:
        raise ValueError(f"{letter!r} is no type; the types are {', '.join(TYPES)}")
    return form


def _numbers(tree: Tree, what: str) -> dict[str, int]:
    return {name: number for number, name in tree.owners[what].items()}
