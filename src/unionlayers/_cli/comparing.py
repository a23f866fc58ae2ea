"""``unionlayers diff`` and ``analyze``: what differs, and what container-diff tells of images."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click
from attrs import evolve

from unionlayers._cli.entries import absolute
from unionlayers._cli.faults import NO
from unionlayers._cli.layer_choice import LayerChoice
from unionlayers._cli.opening import Opening, Session
from unionlayers._cli.options import (
    IMAGE_PATH,
    LAYERS,
    image_argument,
    json_option,
    opening_options,
)
from unionlayers._cli.output import Output
from unionlayers._image.analysis import AnalysisKind, Order
from unionlayers._image.changes import Changes

__all__ = ["analyze", "diff"]

_KINDS = ("history", "metadata", "file", "layer", "size", "sizelayer")
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_DIFF_COLOURS = {"+": "32", "-": "31", "@": "36", "~": "33"}

_TYPES = click.option("-t", "--type", "kinds", type=click.Choice(_KINDS), multiple=True,
                      help="What container-diff calls so; may be given several times.")  # fmt: skip
_ORDER = click.option("-o", "--order", "by_size", is_flag=True, help="The largest first.")
_WRITTEN = click.option("-w", "--output", metavar="FILE", help="Write to this new file.")
_FORCE = click.option("--force", is_flag=True, help="Write over the file of --output.")


@click.command()
@image_argument()
@_TYPES
@_ORDER
@_WRITTEN
@_FORCE
@json_option
@opening_options
def analyze(
    opening: Opening,
    image: str,
    kinds: tuple[AnalysisKind, ...],
    by_size: bool,
    output: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """
    Tell of IMAGE what container-diff does: its history, metadata, files, layers and sizes.

    Without --type it is the size.  --json has container-diff's own form, an array with an object
    for each type.
    """
    from unionlayers._image.analysis import analyze as analyzed

    opening.refuse("layers", "above", because="container-diff's types are of whole images")
    session = Session.of(opening, json=as_json)
    with session.image(image, index=True) as opened:
        order: Order = "size" if by_size else "name"
        found = [analyzed(opened, kind, order=order) for kind in kinds or ("size",)]
        texts = [one.to_json() if as_json else one.to_table() for one in found]
    with _target(session.out, output, force=force) as target:
        target.write(_array(texts) if as_json else "\n".join(texts))


@click.command()
@image_argument()
@click.argument("other", type=click.Path(readable=False), required=False, metavar="[OTHER]")
@_TYPES
@click.option("-f", "--filename", type=IMAGE_PATH, help="Only this file, line by line.")
@_ORDER
@click.option("--ignore", "ignored", multiple=True, metavar="GLOB",
              help="Leave out what matches, with all beneath: var/cache.")  # fmt: skip
@click.option("--ignore-field", "fields", multiple=True, metavar="NAME",
              help="Leave out such differences: mtime.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["text", "markdown", "html"]), default="text",
              show_default=True, help="Form of the table.")  # fmt: skip
@_WRITTEN
@_FORCE
@click.option("-q", "--quiet", is_flag=True, help="Write nothing; only the end says it.")
@click.option("--ref2", metavar="NAME", help="Like --ref, for OTHER.")
@click.option("--platform2", metavar="OS/ARCH[/VARIANT]", help="Like --platform, for OTHER.")
@click.option("--layers2", type=LAYERS, help="Like --layers, for OTHER.")
@json_option
@opening_options
def diff(
    opening: Opening,
    image: str,
    other: str | None,
    kinds: tuple[AnalysisKind, ...],
    filename: str | None,
    by_size: bool,
    ignored: tuple[str, ...],
    fields: tuple[str, ...],
    form: Literal["text", "markdown", "html"],
    output: str | None,
    force: bool,
    quiet: bool,
    ref2: str | None,
    platform2: str | None,
    layers2: LayerChoice | None,
    as_json: bool,
) -> int:
    """
    Compare IMAGE with OTHER, or with other layers of itself by --layers and --layers2.

    Without --type everything counts: type, content, mode, owner, time, link, attributes,
    capabilities, hard links; each change names the layer and step of both sides.  With --type it
    is what container-diff tells, and --json then has its form.  Ends with 1 if anything differs.
    """
    session = Session.of(opening, json=as_json)
    right = evolve(
        opening,
        reference=ref2 if other is not None or ref2 else opening.reference,
        platform=platform2 or opening.platform,
        layers=layers2,
        above=None,
    )
    if other is None and (ref2, platform2, layers2) == (None, None, None):
        raise click.UsageError("name OTHER, or what of IMAGE it is compared with: --layers2 :3")
    if other == "-" or (image == "-" and other is None):
        raise click.UsageError("a pipe is the first image, and can be only one of the two")
    if kinds and (
        ignored or fields or form != "text" or opening.layers or opening.above or layers2
    ):
        raise click.UsageError("--type compares whole images as container-diff does; leave it out")
    if filename is not None and (as_json or ignored or fields or form != "text"):
        raise click.UsageError("--filename writes a unified diff of one file, and nothing else")
    with (
        session.image(image, index=filename is None) as one,
        session.image(other or image, right, index=filename is None) as two,
    ):
        differs, text = False, ""
        if kinds and filename is None:
            from unionlayers._image.comparison import compare

            found = [compare(one, two, kind, order="size" if by_size else "name") for kind in kinds]
            differs = any(map(bool, found))
            if not quiet:
                texts = [each.to_json() if as_json else each.to_table() for each in found]
                text = _array(texts) if as_json else "\n".join(texts)
        else:
            from unionlayers._image.changes import diff as compared

            try:
                changes = compared(
                    (one, opening.indexes(one)),
                    (two, right.indexes(two)),
                    ignore=ignored,
                    ignore_fields=fields,
                )
            except ValueError as error:
                raise click.UsageError(str(error)) from None
            if filename is not None:
                text = _harmless(changes.text_diff(absolute(filename)), session.out, output)
                differs = bool(text)
            else:
                differs = bool(changes)
                text = "" if quiet else _told(changes, form, as_json=as_json, by_size=by_size)
    session.bar.stop()
    if not quiet:
        with _target(session.out, output, force=force) as target:
            target.write(text)
    return NO if differs else 0


class _Target:
    """Where a text goes: standard output, with signs in colour, or a file."""

    def __init__(self, out: Output | None, file: Any = None) -> None:
        self._out = out
        self._file = file

    def write(self, text: str) -> None:
        if self._out is None:
            self._file.write(text)
            return
        for line in text.removesuffix("\n").split("\n") if text else ():
            self._out.line(self._out.paint(line, _DIFF_COLOURS.get(line[:1])))


@contextmanager
def _target(out: Output, output: str | None, *, force: bool) -> Iterator[_Target]:
    if output is None:
        yield _Target(None if out.json else out, sys.stdout)
        return
    try:
        with Path(output).open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            yield _Target(None, file)
    except FileExistsError as error:
        raise FileExistsError(
            error.errno, "the file is there already, and --force writes over it", output
        ) from None


def _told(
    changes: Changes, form: Literal["text", "markdown", "html"], *, as_json: bool, by_size: bool
) -> str:
    if as_json:
        document = json.loads(changes.to_json())
        if by_size:
            document["changes"].sort(key=lambda one: -_size(one["left"], one["right"]))
        return json.dumps({"command": "diff", "format": 1, **document}, indent=2) + "\n"
    if form == "markdown":
        return changes.to_markdown()
    if form == "html":
        return changes.to_html()
    text = changes.to_table()
    if not by_size:
        return text
    lines = text.splitlines(keepends=True)
    sizes = [-max(change.left.size, change.right.size) for change in changes]
    first = next((at for at, line in enumerate(lines) if _is_change(line)), len(lines))
    rows = lines[first : first + len(sizes)]
    ordered = [row for _, row in sorted(zip(sizes, rows, strict=True), key=lambda pair: pair[0])]
    return "".join([*lines[:first], *ordered, *lines[first + len(sizes) :]])


def _is_change(line: str) -> bool:
    return line[:2] in {f"{sign} " for sign in _SIGNS.values()}


def _size(*sides: dict[str, Any]) -> int:
    return max(side.get("size") or 0 for side in sides)


def _harmless(text: str, out: Output, output: str | None) -> str:
    """Escape what could command a terminal in lines of files; a pipe and a file get them as is."""
    if not out.terminal or output is not None:
        return text
    return re.sub(
        r"[^\n\t]", lambda one: one[0] if one[0].isprintable() else ascii(one[0])[1:-1], text
    )


def _array(texts: list[str]) -> str:
    return json.dumps([json.loads(text) for text in texts], indent=2) + "\n"
