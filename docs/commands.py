"""
Writes the part of the reference that the commands say themselves: usage, help, options.

``python docs/commands.py`` writes it into ``reference/command-line.md``, between two marks; a test
holds that what stands there is what the commands say.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from unionlayers._cli.options import common_options
from unionlayers._cli.program import COMMANDS, program

__all__ = ["BEGIN", "END", "commands_text", "with_commands"]

BEGIN = "<!-- What follows is written by docs/commands.py. -->"
END = "<!-- What stands above was written by docs/commands.py. -->"
PAGE = Path(__file__).resolve().parent / "reference" / "command-line.md"


def _plain(text: str) -> str:
    """Escape what Markdown would take for markup."""
    return re.sub(r"([*_|<>\\`])", r"\\\1", " ".join(text.split()))


def _option(option: click.Option) -> str:
    """Give the row of an option, without what click spells by itself, which changes with it."""
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    value = ""
    if not option.is_flag:
        choices = getattr(option.type, "choices", None)
        known = "|".join(choices) if choices else "N" if "range" in option.type.name else None
        value = f" {_plain(option.metavar or known or option.type.name.upper())}"
    default = f" Default: {option.default}." if option.show_default and value else ""
    return f"| {names}{value} | {_plain((option.help or '') + default)} |"


def _table(options: list[click.Option]) -> Iterator[str]:
    if options:
        yield "| option | |"
        yield "|---|---|"
        yield from (_option(option) for option in options)
        yield ""


def _section(command: click.Command, context: click.Context, name: str) -> Iterator[str]:
    common = {option.name for option in common_options()}
    level = "###" if " " not in name else "####"
    yield f"{level} {name}"
    yield ""
    yield "```text"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"unionlayers {name} {usage}"
    yield "```"
    yield ""
    for paragraph in re.split(r"\n\s*\n", command.help or ""):
        yield from re.split(r"(?<=\.)\s{1,2}(?=[A-Z])", _plain(paragraph))
        yield ""
    own = [
        option
        for option in command.params
        if isinstance(option, click.Option) and option.name not in common
    ]
    takes_common = any(option.name == "ref" for option in command.params)
    yield from _table(own)
    if takes_common:
        yield "It takes the [common options](#common-options) too."
        yield ""
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                below = click.Context(found, info_name=inner, parent=context)
                yield from _section(found, below, f"{name} {inner}")


def commands_text() -> str:
    """Give the part of the page that is written here."""
    top = click.Context(program, info_name="unionlayers")
    lines = ["### Common options", ""]
    lines.extend(_table(common_options()))
    for name in COMMANDS:
        command = program.get_command(top, name)
        if command is not None:
            context = click.Context(command, info_name=name, parent=top)
            lines.extend(_section(command, context, name))
    return "\n".join(lines).rstrip() + "\n"


def with_commands(page: str) -> str:
    """Give the page with that part written anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{commands_text()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_commands(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is written\n")
