"""
Small faults that the table must notice: for each rule, what to change, and which cases go red.

They stand in ``mutations.txt``: after ``@@`` the module and the cases, then the text to find, each
line after ``-``, and the text in its place, each line after ``+``.  A last line that is empty
stands for a newline at the end.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

__all__ = ["MUTATIONS", "Mutation"]


@frozen
class Mutation:
    """
    One fault.

    Attributes:
        module: The module inside the package, as a path without its ending.
        cases: Ids of the cases of which each must have a row that no longer holds.
        before: Text that stands there once.
        after: What stands there instead.
    """

    module: str
    cases: tuple[str, ...]
    before: str
    after: str


def _read() -> list[Mutation]:
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    found = []
    for block in ("\n" + text).split("\n@@ ")[1:]:
        head, *lines = block.split("\n")
        module, *cases = head.split()
        before = "\n".join(line[1:] for line in lines if line[:1] == "-")
        after = "\n".join(line[1:] for line in lines if line[:1] == "+")
        found.append(Mutation(module, tuple(cases), before, after))
    return found


MUTATIONS = _read()
