"""``unionlayers mount``: an image as a directory of the host, for as long as the command runs."""

from __future__ import annotations

import subprocess

import click

from unionlayers._cli.faults import FAILED, lines_of
from unionlayers._cli.opening import Opening, Session
from unionlayers._cli.options import image_argument, json_option, opening_options
from unionlayers._foundation.names import printable

__all__ = ["mount"]

_NOT_FOUND = 127
_SIGNALLED = 128


@click.command()
@image_argument()
@click.argument("directory", type=click.Path(readable=False))
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.option("--allow-other", is_flag=True, help="Let other users in, by the image's own modes.")
@json_option
@opening_options
def mount(
    opening: Opening,
    image: str,
    directory: str,
    command: tuple[str, ...],
    allow_other: bool,
    as_json: bool,
) -> int:
    """
    Show IMAGE as a read-only DIRECTORY, which is empty, until it is unmounted or by Ctrl-C.

    With a COMMAND it stays as long as that runs, and its number is the end.  Needs the extra
    fuse.  What readers have had as an input/output error is told in the end, which is then 3.
    """
    session = Session.of(opening, json=as_json)
    code = 0
    with session.image(image, index=True) as opened:
        made = opened.mount(directory, opening.indexes(opened), allow_other=allow_other)
        with made:
            if command:
                code = _run(session, command)
            else:
                try:
                    # Whoever reads this may end it at once.
                    if as_json:
                        session.out.item({"mounted": made.path})
                    else:
                        session.out.line(f"{printable(made.path)} shows the image; Ctrl-C ends it")
                    session.out.flush()
                    made.wait()
                except KeyboardInterrupt:
                    # The way that it was told of.
                    code = 0
        for error in made.errors:
            said = lines_of(error) if isinstance(error, Exception) else [type(error).__name__]
            session.out.remark(said[0])
            code = code or FAILED
    return code


def _run(session: Session, command: tuple[str, ...]) -> int:
    """Run a program while the image is mounted, and give what it ends with, as a shell does."""
    session.out.flush()
    try:
        ended = subprocess.run(command, check=False).returncode
    except FileNotFoundError:
        session.out.remark(f"there is no program {printable(command[0])}")
        return _NOT_FOUND
    return ended if ended >= 0 else _SIGNALLED - ended
