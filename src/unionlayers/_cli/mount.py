"""``unionlayers mount``: an image as a directory of the host, for as long as the command runs."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click
from attrs import define, field

from unionlayers._cli.faults import FAILED, lines_of
from unionlayers._cli.opening import Opening, Session
from unionlayers._cli.options import image_argument, json_option, opening_options
from unionlayers._foundation.names import printable

__all__ = ["mount"]

_NOT_FOUND = 127
_SIGNALLED = 128
_ENDING = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
]


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

    With a COMMAND it stays as long as that runs, and its number is the end; signals that would
    end it go on to the COMMAND.  Needs the extra fuse.  What readers have had as an input/output
    error is told in the end, which is then 3.
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
    with _passed_on() as running:
        try:
            with subprocess.Popen(command) as process:
                running.begin(process)
                try:
                    ended = process.wait()
                except BaseException:
                    # Ctrl-C has reached it too, and it has had its moment.
                    process.kill()
                    raise
        except FileNotFoundError:
            session.out.remark(f"there is no program {printable(command[0])}")
            return _NOT_FOUND
    return ended if ended >= 0 else _SIGNALLED - ended


@define
class _Signals:
    """Signals that are for a program as well, also those that come before it runs."""

    process: subprocess.Popen[bytes] | None = None
    pending: list[int] = field(factory=list)

    def begin(self, process: subprocess.Popen[bytes]) -> None:
        """Send what came so far, and from now on at once."""
        self.process = process
        for number in self.pending:
            process.send_signal(number)

    def take(self, number: int, _frame: FrameType | None) -> None:
        """Send a signal on."""
        if self.process is None:
            self.pending.append(number)
        else:
            self.process.send_signal(number)


@contextmanager
def _passed_on() -> Iterator[_Signals]:
    """Give signals that would end this process to a program, with whose end it then ends."""
    running = _Signals()
    held: list[int] = []
    if threading.current_thread() is threading.main_thread():
        held = [one for one in _ENDING if signal.getsignal(one) is signal.SIG_DFL]
    try:
        for one in held:
            signal.signal(one, running.take)
        yield running
    finally:
        for one in held:
            signal.signal(one, signal.SIG_DFL)
