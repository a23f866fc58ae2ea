"""Pieces of HTML: everything from an image is escaped here, and bounded in length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from unionlayers._foundation.names import printable
from unionlayers._views.display.style import STYLE

__all__ = [
    "Row",
    "amount",
    "block",
    "counted",
    "facts",
    "foldable",
    "note",
    "page",
    "text",
]

_LONGEST = 160
Row = Sequence[str]
"""The cells of a line of a table, as HTML."""


def text(told: object, longest: int = _LONGEST) -> str:
    r"""
    Give text of an image as HTML that says nothing but the text, in at most *longest* characters.

    Control characters, marks that turn the direction of writing and bytes that are no UTF-8 are
    spelled out; of what is too long the middle is left out.

    Example:
        >>> text("<b>\u202e&"), text("0123456789", longest=5)
        ('&lt;b&gt;\\u202e&amp;', '01…89')
    """
    given = str(told)
    if len(given) > 4 * longest:
        # So that a megabyte of a name is not gone through character by character.
        given = given[: 2 * longest] + given[-2 * longest :]
    shown = printable(given)
    if len(shown) > longest:
        half = longest // 2
        shown = f"{shown[:half]}…{shown[-half:]}"
    return escape(shown)


def amount(size: int) -> str:
    """
    Give a number of bytes for people, in powers of ten.

    Example:
        >>> amount(999), amount(1_234_567), amount(10**16)
        ('999 B', '1.2 MB', '10,000.0 TB')
    """
    if size < 1000:
        return f"{size} B"
    shown = size / 1000
    for unit in ("kB", "MB", "GB"):
        if round(shown, 1) < 1000:
            return f"{shown:.1f} {unit}"
        shown /= 1000
    return f"{shown:,.1f} TB"


def counted(number: int, noun: str) -> str:
    """
    Give a number with its noun.

    Example:
        >>> counted(1, "layer"), counted(1200, "entry")
        ('1 layer', '1,200 entries')
    """
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else many}"


def block(head: Row, rows: Iterable[Row], caption: str, *, numeric: Iterable[int] = ()) -> str:
    """
    Give a table, in a box that scrolls by itself where it is too wide.

    Args:
        head: The headings, as text.
        rows: Cells, as HTML.
        caption: What the table is, for those who do not see it.
        numeric: Columns that stand to the right.
    """
    right = frozenset(numeric)
    classes = ['class="n"' if at in right else "" for at in range(len(head))]
    heads = "".join(f'<th scope="col" {classes[at]}>{name}</th>' for at, name in enumerate(head))
    lines = "".join(
        "<tr>"
        + "".join(f"<td {classes[at]}>{cell}</td>" for at, cell in enumerate(row))
        + "</tr>\n"
        for row in rows
    )
    return (
        f'<div class="wide" role="region" aria-label="{escape(caption)}" tabindex="0">'
        f"<table><thead><tr>{heads}</tr></thead>\n<tbody>{lines}</tbody></table></div>\n"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Give names with what they are, as HTML; those with nothing are left out."""
    told = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs if value)
    return f"<dl>{told}</dl>\n" if told else ""


def foldable(title: str, inside: str, *, opened: bool = False) -> str:
    """Give a part that opens and closes without a script, by mouse and by keyboard."""
    state = " open" if opened else ""
    return f"<details{state}><summary>{title}</summary>\n{inside}</details>\n"


def note(told: str) -> str:
    """Give a remark, from HTML."""
    return f'<p class="note">{told}</p>\n'


def page(title: str, parts: Iterable[str]) -> str:
    """
    Give the whole of what an object shows.

    Args:
        title: As HTML.
        parts: As HTML.
    """
    inside = "".join(parts)
    return (
        f"<style>{STYLE}</style>\n"
        f'<div class="unionlayers"><p class="title">{title}</p>\n{inside}</div>\n'
    )
