"""``unionlayers timeline`` and ``unreferenced``: when entries were changed, and loose bytes."""

from __future__ import annotations

import click

from unionlayers._cli.entries import mode_text, time_text
from unionlayers._cli.opening import Opening, Session
from unionlayers._cli.options import image_argument, json_option, opening_options
from unionlayers._cli.output import size_text
from unionlayers._foundation.names import printable
from unionlayers._image.timeline import TimelineItem

__all__ = ["timeline", "unreferenced"]


@click.command()
@image_argument()
@click.option("--bodyfile", is_flag=True, help="The format that mactime of The Sleuth Kit reads.")
@json_option
@opening_options
def timeline(opening: Opening, image: str, bodyfile: bool, as_json: bool) -> None:
    """
    List every entry of every layer of IMAGE by its time, oldest first, hidden ones too.

    With --json each entry is a JSON object on a line of its own.
    """
    if bodyfile and as_json:
        raise click.UsageError("--bodyfile and --json are two formats")
    session = Session.of(opening, json=as_json)
    with session.image(image, index=True) as opened:
        for item in opened.timeline(layers=opening.indexes(opened)):
            if as_json:
                session.out.item(_document(item))
            else:
                session.out.line(item.bodyfile_line() if bodyfile else _line(item))


@click.command()
@image_argument()
@json_option
@opening_options
def unreferenced(opening: Opening, image: str, as_json: bool) -> None:
    """
    List what the archive or folder IMAGE holds and no image of it leads to.

    Blobs and files without a name, and bytes behind the end of tars and streams, or between.
    """
    opening.refuse("layers", "above", because="the whole source is looked at")
    session = Session.of(opening, json=as_json)
    with session.image(image) as opened:
        found = opened.unreferenced()
    if as_json:
        items = [
            {
                "kind": item.kind,
                "name": item.name,
                "layer": item.layer,
                "offset": item.offset,
                "size": item.size,
            }
            for item in found
        ]
        session.out.document("unreferenced", {"items": items})
        return
    session.out.table(
        ("size", "what", "layer", "offset", "name"),
        [
            (
                size_text(item.size),
                item.kind,
                "-" if item.layer is None else str(item.layer),
                str(item.offset),
                printable(item.name),
            )
            for item in found
        ],
        right=("size", "layer", "offset"),
        empty="an image leads to everything",
    )


def _line(item: TimelineItem) -> str:
    hidden = "" if item.hidden is None else f" ({item.hidden})"
    mode = "whiteout  " if item.type in ("whiteout", "opaque") else mode_text(item.mode)
    target = "" if item.target is None else f" -> {printable(item.target)}"
    facts = f"{item.layer:>3} {mode} {item.uid}:{item.gid} {size_text(item.size):>5}"
    return f"{time_text(item.mtime_ns)} {facts} {printable(item.path)}{target}{hidden}"


def _document(item: TimelineItem) -> dict[str, object]:
    return {
        "path": item.path,
        "layer": item.layer,
        "entry": item.entry,
        "type": item.type,
        "size": item.size,
        "mode": f"{item.mode & 0o7777:04o}",
        "uid": item.uid,
        "gid": item.gid,
        "mtime_ns": item.mtime_ns,
        "atime_ns": item.atime_ns,
        "ctime_ns": item.ctime_ns,
        "target": item.target,
        "hidden": item.hidden,
        "inode": item.inode,
    }
