"""Changes as text for people: a terminal's lines, Markdown, and a page of HTML."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from html import escape
from itertools import islice
from typing import TYPE_CHECKING

from unionlayers._foundation.names import printable
from unionlayers._image.change import Change, ChangeKind, Side

if TYPE_CHECKING:
    from unionlayers._image.changes import Changes

__all__ = ["causes_of", "facts_of", "html_page", "markdown_table", "text_table"]

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_KINDS: tuple[ChangeKind, ...] = ("added", "removed", "changed")
_STEP_CHARACTERS = 80

_STYLE = """
:root { color-scheme: light dark }
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em }
main { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top }
th, td { padding: .25em .6em; border-bottom: 1px solid #8886 }
td.path { font-family: ui-monospace, monospace; overflow-wrap: anywhere; min-width: 12em }
td.kind { font-weight: 600; white-space: nowrap }
tr.added td.kind { color: light-dark(#0b5cad, #7ab8ff) }
tr.removed td.kind { color: light-dark(#a33a00, #ff9e5e) }
tr.changed td.kind { color: light-dark(#665500, #e8d44d) }
td small { opacity: .85; overflow-wrap: anywhere }
@media (max-width: 36rem) { body { margin: .8em } }
""".strip()


def text_table(changes: Changes, limit: int | None) -> str:
    """Give lines of text: sign and path, then what differs and the layers."""
    lines = [f"--- {printable(changes.left)}", f"+++ {printable(changes.right)}"]
    lines.extend(_remarks(changes))
    for change in islice(changes, limit):
        told = "; ".join((*facts_of(change), *causes_of(change)))
        lines.append(f"{_SIGNS[change.kind]} {printable(change.path)}  {told}".rstrip())
    lines.append(_ending(changes, limit))
    return "\n".join(lines) + "\n"


def markdown_table(changes: Changes, limit: int | None) -> str:
    """Give a heading, remarks and a table in Markdown (GitHub's dialect)."""
    lines = [f"**{_cell(printable(changes.left))}** → **{_cell(printable(changes.right))}**", ""]
    for remark in _remarks(changes):
        lines.extend((_cell(remark), ""))
    lines.extend(("| | path | what | where |", "|---|---|---|---|"))
    lines.extend(
        f"| {change.kind} | {_cell(printable(change.path))} "
        f"| {_cell('; '.join(facts_of(change)))} | {_cell('; '.join(causes_of(change)))} |"
        for change in islice(changes, limit)
    )
    lines.extend(("", _cell(_ending(changes, limit))))
    return "\n".join(lines) + "\n"


def html_page(changes: Changes, limit: int | None) -> str:
    """Give a page of HTML that loads nothing."""
    title = f"{printable(changes.left)} → {printable(changes.right)}"
    rows = [
        f'<tr class="{change.kind}"><td class="kind">{_SIGNS[change.kind]} {change.kind}</td>'
        f'<td class="path">{escape(printable(change.path))}</td>'
        f"<td>{'<br>'.join(map(escape, facts_of(change)))}</td>"
        f"<td><small>{'<br>'.join(map(escape, causes_of(change)))}</small></td></tr>"
        for change in islice(changes, limit)
    ]
    remarks = "".join(f"<p>{escape(remark)}</p>\n" for remark in _remarks(changes))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{remarks}<p>{escape(_ending(changes, limit))}</p>\n"
        "<table>\n<thead><tr><th>Change</th><th>Path</th><th>What</th><th>Where</th></tr></thead>\n"
        "<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>\n</body>\n</html>\n"
    )


def _remarks(changes: Changes) -> Iterator[str]:
    for note in changes.notes:
        yield f"Note: {printable(note)}"
    for pattern in changes.unused_ignores:
        yield f"Note: the pattern {printable(pattern)} matches nothing on either side"


def _ending(changes: Changes, limit: int | None) -> str:
    kinds = Counter(change.kind for change in changes)
    told = ", ".join(f"{kinds[kind]} {kind}" for kind in _KINDS)
    if limit is not None and kinds.total() > limit:
        return f"{told}; {kinds.total() - limit} of them are not shown"
    return told


def facts_of(change: Change) -> tuple[str, ...]:
    """Give what is to be said of a change, one text for each fact."""
    left, right = change.left, change.right
    if change.kind != "changed":
        return (_what(right if change.kind == "added" else left),)
    return tuple(_fact(name, left, right) for name in change.fields)


def _fact(name: str, left: Side, right: Side) -> str:
    if name == "content":
        return "content"
    if name == "xattr":
        one, other = dict(left.xattrs), dict(right.xattrs)
        differing = sorted(
            key for key in one.keys() | other.keys() if one.get(key) != other.get(key)
        )
        return f"xattr {', '.join(map(printable, differing))}"
    return f"{name} {_told(name, left)} → {_told(name, right)}"


def _told(name: str, side: Side) -> str:
    if name == "mode":
        return f"{side.mode:04o}"
    if name == "mtime":
        return _time(side.mtime_ns)
    if name == "link":
        return "none" if side.target is None else printable(side.target)
    if name == "device":
        return "none" if side.device is None else f"{side.device[0]}:{side.device[1]}"
    if name == "hardlink":
        others = (printable(name) for name in side.names if name != side.path)
        more = f" and {len(side.names) - 4} more" if len(side.names) > 4 else ""
        return f"{', '.join(islice(others, 3))}{more}" if len(side.names) > 1 else "none"
    if name == "capability":
        return side.capability or "none"
    return str({"type": side.type, "size": side.size, "uid": side.uid, "gid": side.gid}[name])


def _what(side: Side) -> str:
    if side.type == "symlink":
        return f"symlink to {printable(side.target or '')}"
    size = f", {side.size} bytes" if side.type == "file" else ""
    return f"{side.type} {side.mode:04o} {side.uid}:{side.gid}{size}"


def causes_of(change: Change) -> tuple[str, ...]:
    """Give where each side comes from, a side that never had the path left out."""
    return tuple(
        f"{name} {_cause(side)}"
        for name, side in (("left", change.left), ("right", change.right))
        if side.layer is not None
    )


def _cause(side: Side) -> str:
    told = f"layer {side.layer}"
    if side.cause is not None:
        told += f" took it away ({side.cause.reason} at {printable(side.cause.path)})"
    if side.step is not None and side.step.created_by:
        command = printable(" ".join(side.step.created_by.split()))
        shortened = command[:_STEP_CHARACTERS]
        told += f": {shortened}{'…' if shortened != command else ''}"
    return told


def _time(time_ns: int) -> str:
    """Give a time in UTC; a number of seconds where no calendar has it."""
    seconds, rest = divmod(time_ns, 10**9)
    try:
        time = dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s"
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{time:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _cell(text: str) -> str:
    """Escape what Markdown or HTML in it would take for markup."""
    escaped = escape(text, quote=False)
    for character in "\\`*_[]|~#":
        escaped = escaped.replace(character, f"\\{character}")
    return escaped
