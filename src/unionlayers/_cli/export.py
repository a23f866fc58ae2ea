"""``unionlayers export``: what an image shows, as a tar or a folder."""

from __future__ import annotations

import sys
from typing import Any, Literal

import click

from unionlayers._cli.entries import Tree, absolute
from unionlayers._cli.opening import Opening, Session
from unionlayers._cli.options import IMAGE_PATH, image_argument, json_option, opening_options
from unionlayers._cli.output import count
from unionlayers._cli.path_faults import PathFaults
from unionlayers._foundation.names import printable

__all__ = ["export"]


@click.command()
@image_argument()
@click.argument("destination", type=click.Path(allow_dash=True, readable=False))
@click.option("--path", type=IMAGE_PATH, help="Only this directory or file.")
@click.option("--pattern", "patterns", multiple=True, metavar="GLOB",
              help="Only what matches: usr/**/*.so; may be given several times.")  # fmt: skip
@click.option(
    "--form", type=click.Choice(["tar", "folder"]), help="Whatever DESTINATION ends with."
)
@click.option("--links", type=click.Choice(["inside", "refuse", "skip", "keep"]), default="inside",
              show_default=True, help="Absolute links, and those that lead out of a folder.",
              )  # fmt: skip
@click.option("--owners", is_flag=True, help="A folder gets owners, as root.")
@click.option("--setuid", is_flag=True, help="A folder gets setuid and setgid bits.")
@click.option("--xattrs", is_flag=True, help="A folder gets extended attributes.")
@click.option("--devices", is_flag=True, help="A folder gets devices, as root, and FIFOs.")
@click.option("--names", is_flag=True, help="A tar gets names of users and groups.")
@json_option
@opening_options
def export(
    opening: Opening,
    image: str,
    destination: str,
    path: str | None,
    patterns: tuple[str, ...],
    form: Literal["tar", "folder"] | None,
    links: Literal["inside", "refuse", "skip", "keep"],
    owners: bool,
    setuid: bool,
    xattrs: bool,
    devices: bool,
    names: bool,
    as_json: bool,
) -> int:
    """
    Write the files of IMAGE to DESTINATION: a new tar, a new or empty folder, or - for a tar.

    A tar holds everything: owners, times, attributes, hard links.  A folder gets what is safe,
    and nothing in it leads out; more is asked for by the options.
    """
    session = Session.of(opening, json=as_json)
    out = session.out
    streamed = destination == "-"
    if streamed and sys.stdout.isatty():
        raise click.UsageError("a tar is not written to a terminal; name a file or use a pipe")
    if streamed and form == "folder":
        raise click.UsageError("standard output takes a tar, and no folder")
    target: Any = sys.stdout.buffer if streamed else destination
    if patterns and path is not None:
        raise click.UsageError("--pattern is matched against the whole path; leave --path out")
    with session.image(image, index=True) as opened:
        chosen = opening.indexes(opened)
        view = opened.fs(chosen)
        below = "/" if path is None else absolute(path)
        faults = PathFaults(out, Tree(opened, opened.union(chosen)))
        try:
            with faults.catching(below):
                done = view.export(
                    target,
                    form=form,
                    path=below,
                    pattern=patterns or None,
                    links=links,
                    owners=owners,
                    setuid=setuid,
                    xattrs=xattrs,
                    devices=devices,
                    names=names,
                    progress=session.bar,
                )
        except ValueError as error:
            if isinstance(error, OSError):
                raise
            raise click.UsageError(str(error)) from None
    session.bar.stop()
    if streamed or faults.code:
        return faults.code
    if as_json:
        left = [{"path": one.path, "reason": one.reason} for one in done.left_out]
        members = {"entries": done.entries, "bytes": done.bytes, "left_out": left}
        out.document("export", {**members, "rewritten": list(done.rewritten)})
        return 0
    told = count(done.entries, "entry", "entries")
    out.line(f"{told}, {count(done.bytes, 'byte')} to {printable(destination)}")
    for one in done.left_out:
        out.line(f"left out, as it is a {one.reason}: {printable(one.path)}")
    if done.rewritten:
        out.line(f"made relative: {count(len(done.rewritten), 'absolute link')}")
    return 0
