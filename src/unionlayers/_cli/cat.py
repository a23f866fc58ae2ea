"""``unionlayers cat``: the content of files."""

from __future__ import annotations

import codecs

import click

from unionlayers._bytes.source import ByteSource
from unionlayers._cli.entries import Tree
from unionlayers._cli.opening import Opening, Session
from unionlayers._cli.options import image_argument, opening_options, paths_argument
from unionlayers._cli.output import Output
from unionlayers._cli.path_faults import PathFaults
from unionlayers._image.content import content_of

__all__ = ["cat"]

_CHUNK = 1 << 20


@click.command()
@image_argument()
@paths_argument(required=True)
@click.option("--raw", is_flag=True, help="Bytes as they are on a terminal too.")
@opening_options
def cat(opening: Opening, image: str, paths: tuple[str, ...], raw: bool) -> int:
    """
    Write the content of files of IMAGE, one behind the other.

    Links are followed inside the image.  In a pipe all bytes are written as they are; on a
    terminal what could command it is escaped, unless --raw is given.  What a layer has deleted is
    read below it, as with --layers :4.
    """
    session = Session.of(opening)
    with session.image(image) as opened:
        tree = Tree(opened, opened.union(opening.indexes(opened)))
        faults = PathFaults(session.out, tree)
        for path in paths:
            with faults.catching(path):
                content = content_of(opened, tree.union, tree.find(path, follow=True), path)
                _write(session.out, content, escaped=session.out.terminal and not raw)
        return faults.code


def _write(out: Output, content: ByteSource, *, escaped: bool) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    for offset in range(0, content.size, _CHUNK):
        data = content.pread(offset, _CHUNK)
        if not escaped:
            out.raw(data)
            continue
        text = decoder.decode(data, final=offset + _CHUNK >= content.size)
        out.raw("".join(map(_harmless, text)).encode())


def _harmless(character: str) -> str:
    if character.isprintable() or character in "\n\t":
        return character
    return character.encode("unicode_escape").decode()
