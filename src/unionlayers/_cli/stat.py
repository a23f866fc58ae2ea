"""``unionlayers stat``: everything that is known of a path."""

from __future__ import annotations

from collections.abc import Iterator

import click

from unionlayers._cli.entries import Facts, Tree, absolute, mode_text, time_text
from unionlayers._cli.opening import Opening, Session
from unionlayers._cli.options import image_argument, json_option, opening_options, paths_argument
from unionlayers._cli.output import step_text
from unionlayers._cli.path_faults import PathFaults
from unionlayers._foundation.names import printable
from unionlayers._image.image import Image
from unionlayers._layers.answer import kind_of
from unionlayers._layers.resolution import resolve

__all__ = ["stat"]


@click.command()
@image_argument()
@paths_argument(required=True)
@click.option("-L", "--dereference", "follow", is_flag=True, help="Follow a link at the end.")
@json_option
@opening_options
def stat(opening: Opening, image: str, paths: tuple[str, ...], follow: bool, as_json: bool) -> int:
    """
    Say everything about paths of IMAGE, with the layer and build step they come from.

    With --json each path is a JSON object on a line of its own.
    """
    session = Session.of(opening, json=as_json)
    out = session.out
    with session.image(image) as opened:
        tree = Tree(opened, opened.union(opening.indexes(opened)))
        faults = PathFaults(out, tree)
        for number, path in enumerate(map(absolute, paths)):
            with faults.catching(path):
                found = resolve(tree.union, path, follow=follow)
                facts = tree.facts(found.node, path)
                real = found.node.path
                if as_json:
                    out.item({**facts.document(opened, full=True), "real_path": real})
                    continue
                if number:
                    out.line()
                for name, value in _lines(opened, facts, real):
                    out.line(f"{name:>10}: {value}")
        return faults.code


def _lines(image: Image, facts: Facts, real: str) -> Iterator[tuple[str, str]]:
    entry = facts.entry
    yield "path", printable(facts.path)
    if real != facts.path:
        yield "real path", printable(real)
    yield "type", kind_of(entry.mode)
    if entry.target is not None:
        yield "leads to", printable(entry.target)
    if entry.device is not None:
        yield "device", "{}, {}".format(*entry.device)
    yield "size", f"{entry.size}"
    yield "mode", f"{entry.mode & 0o7777:04o} {mode_text(entry.mode)}"
    yield "owner", f"{entry.uid} {printable(facts.user or '-')}"
    yield "group", f"{entry.gid} {printable(facts.group or '-')}"
    yield "modified", f"{time_text(facts.mtime_ns)}.{facts.mtime_ns % 10**9:09d} UTC"
    yield "inode", f"{facts.inode}, {facts.links} name{'' if facts.links == 1 else 's'}"
    if facts.capability:
        yield "capability", printable(facts.capability)
    for name, value in entry.xattrs:
        yield "attribute", f"{printable(name)} = {value[:64].hex()}{'…' if value[64:] else ''}"
    if facts.layer is not None:
        layer = image.layers[facts.layer]
        implied = ", implied by what is in it" if entry.implied else ""
        yield "layer", f"{facts.layer} {layer.digest or layer.diff_id or ''}{implied}".rstrip()
        if layer.created_by:
            yield "made by", step_text(layer.created_by)
