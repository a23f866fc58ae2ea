"""An error as what a user of the command line reads: what is wrong, and what to type instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from unionlayers._foundation.names import printable
from unionlayers.errors import PathError, UnionLayersError

__all__ = ["FAILED", "NO", "NO_PATH", "close_to", "code_of", "lines_of", "typed"]

NO = 1
"""The answer is no: it differs, is over budget, is not intact, or nothing is there."""

FAILED = 3
"""The image, or the host, does not let the question be answered."""

NO_PATH = 4
"""The image has no such path, or something else there than was asked for."""

# What the hints of the library say in Python, and how it is typed here.
_TYPED = (
    (r"limits=Limits\((\w+)=(\S+?)\)", r"--limit \1=\2"),
    (r"verify=False", "--no-verify"),
    (r"spool=True", "--spool FOLDER"),
    (r"\breference=", "--ref"),
    (r"\bon_invalid=", "--on-invalid="),
    (r"\b(\w+)=True\b", r"--\1"),
    (r"(?<![\w-])(?:--)?(\w+)=\"(\w+)\"", r"--\1 \2"),
    (r"--on-invalid=\"(\w+)\"", r"--on-invalid \1"),
    (r"(?<![\w-])([a-z]+)=(?=[\s:;,.]|$)", r"--\1"),
    (r"[Aa]sk list_images\(\) for what there is", "`unionlayers images` says what there is"),
    (r"list_images\(\)", "`unionlayers images`"),
    (r"give a list of layer tars(?:, base first)?: \[path\]", "read it with --bare"),
)


def typed(hint: str) -> str:
    """
    Give a hint of the library with options of the command line for its arguments.

    Example:
        >>> typed('Pass missing="skip" to leave such layers out, or verify=False')
        'Pass --missing skip to leave such layers out, or --no-verify'
        >>> typed("Pass a candidate as reference=, or limits=Limits(links=41)")
        'Pass a candidate as --ref, or --limit links=41'
    """
    for pattern, instead in _TYPED:
        hint = re.sub(pattern, instead, hint)
    return hint


def code_of(error: BaseException) -> int:
    """Give the number that the process ends with after an error."""
    return NO_PATH if isinstance(error, PathError) else FAILED


def lines_of(error: Exception) -> list[str]:
    """Give the lines for an error: what is wrong first, then the next step if there is one."""
    if isinstance(error, UnionLayersError):
        hint = error.hint
        error.hint = None
        try:
            text = str(error)
        finally:
            error.hint = hint
        return [text] if hint is None else [text, f"hint: {_one_line(typed(hint))}"]
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f": {printable(str(error.filename))}"
        return [_one_line(error.strerror) + where]
    return [_one_line(str(error) or type(error).__name__)]


def close_to(name: str, known: Sequence[str], *, above: str = "") -> str | None:
    """
    Give a question that names what is like *name*, or None.

    Args:
        name: What was typed.
        known: What there is.
        above: What stands before each in the question.

    Example:
        >>> close_to("os-relase", ["os-release", "passwd"], above="/etc/")
        'did you mean /etc/os-release?'
    """
    near = get_close_matches(name[:200], [one[:200] for one in known[:5000]], n=3, cutoff=0.6)
    return f"did you mean {' or '.join(printable(above + one) for one in near)}?" if near else None


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
