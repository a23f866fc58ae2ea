"""
The page ``docs/conformance.md``, made from the table itself.

Run as a program it writes the page; a test holds that the page is what it writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import fields
from catalogue import CASES, SECTIONS
from row import PROFILES, REFUSED, Row
from rows import ROWS
from switches import SWITCHES

from unionlayers import Profile
from unionlayers._layers.profile import PROFILES as PRESETS
from unionlayers.testing import Entry

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"

HEAD = Path(__file__).with_name("conformance-head.md")


def page() -> str:
    """Give the text of the page."""
    head = HEAD.read_text(encoding="utf-8")
    return head + _switch_table() + _meanings() + "".join(_section(key) for key in SECTIONS)


def _switch_table() -> str:
    lines = ["| switch | oci | overlay | sequential | cases |", "|---|---|---|---|---|"]
    for field in fields(Profile):
        chosen = [f"`{getattr(PRESETS[name], field.name)}`" for name in PROFILES]
        cases = ", ".join(field.metadata["cases"])
        lines.append(f"| `{field.name}` | {' | '.join(chosen)} | {cases} |")
    return "\n".join(lines) + "\n\n"


def _meanings() -> str:
    lines = ["| switch | value | meaning |", "|---|---|---|"]
    for name, values in SWITCHES.items():
        lines.extend(f"| `{name}` | `{value}` | {text} |" for value, text in values.items())
    return "\n".join(lines) + "\n\n"


def _section(key: str) -> str:
    parts = [f"## {key}. {SECTIONS[key]}\n\n"]
    for case, rule in CASES.items():
        if case[0] != key:
            continue
        parts.append(f"### {case}\n\n{rule.rule}\nEvidence: {rule.evidence}.\n\n")
        parts.append(
            "| row | layers | oci | overlay | sequential | finding |\n|---|---|---|---|---|---|\n"
        )
        parts.extend(_line(row) for row in ROWS if row.case == case)
        parts.append("\n")
    return "".join(parts)


def _line(row: Row) -> str:
    answers = [_answer(row, profile) for profile in PROFILES]
    findings = ", ".join(f"`{code}`" for code in (row.finding or "").split())
    return f"| {row.fact} | {_layers(row)} | {' | '.join(answers)} | {findings} |\n"


def _answer(row: Row, profile: str) -> str:
    answer = row.answer(profile)
    said = ", ".join(
        f"{path}: {_fact(key, value)}"
        for path, found in row.told(profile).items()
        for key, value in found.items()
    )
    if answer == REFUSED:
        shown = f"*refused*: `{row.error.__name__}`"
        forgiven = row.forgiven(profile)
        return shown if forgiven is None else f"{shown}, {_code(forgiven)}"
    return f"{_code(answer)} {_code(said)}" if said else _code(answer)


def _fact(key: str, value: Any) -> str:
    if key == "mode":
        return f"mode {value:04o}"
    if key == "xattrs":
        return "xattrs " + (" ".join(value) or "none")
    return f"{key} {value}"


def _layers(row: Row) -> str:
    if callable(row.layers):
        return "an archive" + "".join(f", `{key}`" for key in row.options)
    return " ⊕ ".join(
        f"{len(layer)} bytes" if isinstance(layer, bytes) else _code(" ".join(map(_entry, layer)))
        for layer in row.layers
    )


def _entry(entry: Entry) -> str:
    if entry.raw is not None:
        return f"({len(entry.raw)} bytes)"
    name = entry.path.decode("utf-8", "backslashreplace") or "''"
    target = entry.linkname.decode("utf-8", "backslashreplace")
    content = entry.content.decode("utf-8", "backslashreplace")
    kinds = {
        b"0": f"{name}={content}" if ".wh." not in name or content else name,
        b"1": f"{name}~{target}",
        b"2": f"{name}->{target}",
        b"3": f"{name}#{entry.major}:{entry.minor}",
        b"4": f"{name}#{entry.major}:{entry.minor}",
        b"5": name,
        b"6": f"{name}|",
    }
    flag = entry.typeflag.decode("latin-1").replace("\0", "\\0")
    return kinds.get(entry.typeflag, f"{name}({flag})").replace("\n", "\\n").replace("\0", "\\0")


def _code(text: str) -> str:
    """Give a text as code inside a table, cut where it is long."""
    text = text.encode("utf-8", "backslashreplace").decode() or "∅"
    text = text.replace("|", "\\|").replace("`", "'")
    return f"`{text if len(text) <= 120 else text[:110] + ' …'}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
