"""
Standard output as commands see it: lines, columns and JSON, fit for a terminal or for a pipe.

What an image says of itself reaches a terminal with everything escaped that is not printable.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Literal
from unicodedata import east_asian_width

from attrs import define

from unionlayers._foundation.names import encode, printable

__all__ = ["Output", "coloured", "count", "is_dumb", "size_text", "step_text", "width_of"]

_UNITS = ("", "K", "M", "G", "T", "P", "E")


def is_dumb() -> bool:
    """Tell whether the terminal can do nothing but show characters."""
    return os.environ.get("TERM", "") in ("dumb", "unknown")


def coloured(stream: Any) -> bool:
    """
    Tell whether colours may be written to a stream.

    Source:
        no-color.org: the variable counts unless it is empty.
    """
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and not is_dumb()


def width_of(text: str) -> int:
    """
    Give the cells that a text takes on a terminal.

    Example:
        >>> width_of("abc"), width_of("日本")
        (3, 4)
    """
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(one) in "WF" else 1 for one in text)


def size_text(size: int) -> str:
    """
    Give bytes in a few characters, by powers of 1024.

    Example:
        >>> size_text(999), size_text(1536), size_text(20 << 20)
        ('999', '1.5K', '20M')
    """
    value = float(size)
    for unit in _UNITS:
        if abs(value) < 1000 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.0f}{unit}" if not unit or abs(value) >= 9.95 else f"{value:.1f}{unit}"


def count(number: int, one: str, many: str | None = None) -> str:
    """
    Give a number of things in words.

    Example:
        >>> count(1, "entry", "entries"), count(2, "layer")
        ('1 entry', '2 layers')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def step_text(created_by: str | None) -> str:
    """
    Give a build step as one printable line, without what Docker's first builder puts before it.

    Example:
        >>> step_text('/bin/sh -c #(nop)  CMD ["/bin/sh"]'), step_text("/bin/sh -c rm /f")
        ('CMD ["/bin/sh"]', 'RUN rm /f')
    """
    text = " ".join((created_by or "").split())
    text = text.removeprefix("/bin/sh -c #(nop) ")
    if text.startswith("/bin/sh -c "):
        text = f"RUN {text.removeprefix('/bin/sh -c ')}"
    return printable(text)


@define
class Output:
    """
    Where a command writes.

    Attributes:
        json: Whether JSON was asked for.
        before: Is called before anything is written: a progress bar goes away.
    """

    json: bool = False
    before: Callable[[], object] = lambda: None

    @property
    def terminal(self) -> bool:
        """Whether a person looks at it."""
        return sys.stdout.isatty()

    @property
    def colour(self) -> bool:
        """Whether colours may be used."""
        return coloured(sys.stdout)

    @property
    def width(self) -> int:
        """Cells of a line; 80 where the terminal does not say."""
        return shutil.get_terminal_size((80, 24)).columns or 80

    # -- text -------------------------------------------------------------------------------------

    def raw(self, data: bytes | memoryview) -> None:
        """Write bytes as they are."""
        self.before()
        sys.stdout.flush()
        sys.stdout.buffer.write(data)

    def line(self, text: str = "") -> None:
        """Write a line of text that is printable already."""
        self.before()
        encoding = sys.stdout.encoding or "utf-8"
        data = f"{text}\n".encode(encoding, "backslashreplace")
        sys.stdout.buffer.write(data)

    def name(self, text: str, *, end: bytes = b"\n") -> None:
        """Write a name: escaped for a person, byte for byte for a program."""
        if self.terminal and end == b"\n":
            self.line(printable(text))
        else:
            self.raw(encode(text) + end)

    def paint(self, text: str, colour: str | None) -> str:
        """Give text in a colour (the parameters of SGR) where colours may be used."""
        return f"\x1b[{colour}m{text}\x1b[0m" if colour and self.colour else text

    def flush(self) -> None:
        """Let out what was written."""
        sys.stdout.flush()

    def remark(self, text: str) -> None:
        """Write a line to standard error."""
        self.before()
        sys.stderr.write(f"unionlayers: {text}\n")

    # -- columns ----------------------------------------------------------------------------------

    def table(
        self,
        headings: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        right: Collection[str] = (),
        empty: str | None = None,
    ) -> None:
        """
        Write rows in columns; a terminal that is too narrow has long cells folded.

        Args:
            headings: One for each column.
            rows: Cells, printable already.
            right: Headings of the columns that are aligned on the right.
            empty: What is said where there are no rows.
        """
        held = [tuple(row) for row in rows]
        if not held and empty is not None:
            self.line(empty)
            return
        widths = [
            max(width_of(row[place]) for row in (tuple(headings), *held))
            for place in range(len(headings))
        ]
        if self.terminal and sum(widths) + 2 * len(widths) > self.width:
            self._folded(headings, held, right)
            return
        for number, row in enumerate((tuple(headings), *held)):
            cells = [
                " " * (width - width_of(cell)) + cell
                if heading in right
                else cell + " " * (width - width_of(cell))
                for heading, cell, width in zip(headings, row, widths, strict=True)
            ]
            text = "  ".join(cells).rstrip()
            self.line(self.paint(text, "1") if number == 0 else text)

    def _folded(
        self, headings: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str]
    ) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD if self.width >= 60 else None, pad_edge=False)
        for heading in headings:
            table.add_column(
                Text(heading), overflow="fold", justify="right" if heading in right else "left"
            )
        for row in rows:
            table.add_row(*map(Text, row))
        self.before()
        sys.stdout.flush()
        colours: Literal["standard"] | None = "standard" if self.colour else None
        console = Console(
            file=sys.stdout, width=self.width, color_system=colours, highlight=False, emoji=False
        )
        console.print(table)

    # -- JSON -------------------------------------------------------------------------------------

    def document(self, command: str, members: dict[str, Any]) -> None:
        """Write the one JSON document of a command."""
        self.line(json.dumps({"command": command, "format": 1, **members}, indent=2))

    def item(self, members: dict[str, Any]) -> None:
        """Write one of many JSON documents, each on a line of its own."""
        self.line(json.dumps(members))
