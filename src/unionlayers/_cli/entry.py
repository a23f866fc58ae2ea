"""
Where the script starts and how it ends: every way out has one line and one number.

Nothing of the extra is imported before it is known to be there.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import NoReturn

from unionlayers._cli.remarks import never_fail

__all__ = ["main"]

_EXTRA = ("click", "platformdirs", "rich")
_FAILED = 3
_INTERRUPTED = 130
_BROKEN_PIPE = 141


def main() -> NoReturn:
    """Run the command that the arguments name, and end the process with its number."""
    _let_nothing_take_the_place_of_what_is_closed()
    never_fail()
    lacking = [name for name in _EXTRA if find_spec(name) is None]
    if lacking:
        sys.stderr.write(
            f"unionlayers: the command line needs the extra cli ({', '.join(lacking)} not found): "
            "pip install 'unionlayers[cli]'\n"
        )
        sys.exit(_FAILED)
    try:
        from unionlayers._cli.program import run

        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough.
        code = _BROKEN_PIPE
        _discard_output()
    except KeyboardInterrupt:
        code = _INTERRUPTED
        _discard_output()
    except OSError as error:
        # What was written could not be: the disk is full.
        sys.stderr.write(f"unionlayers: standard output: {error.strerror or error}\n")
        code = _FAILED
        _discard_output()
    sys.exit(code)


def _let_nothing_take_the_place_of_what_is_closed() -> None:
    """
    Let what goes to a closed stream go nowhere; cron and daemons start programs so.

    A file that is opened later would get the number of the closed one, and what is written there.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - to the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - to the end


def _discard_output() -> None:
    """Let what is still buffered go nowhere, so that it is not tried again at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
