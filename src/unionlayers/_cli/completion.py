"""Completion on the command line: the script for a shell, and what is in an image."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unionlayers._cli.opening import Opening, Session
from unionlayers._foundation.names import printable
from unionlayers.errors import UnionLayersError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["completion", "paths_in_image", "references_in"]

_MOST = 500


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """
    Write the completion of a shell to standard output.

    For bash it belongs into ~/.local/share/bash-completion/completions/unionlayers, for zsh into a
    file _unionlayers in a folder of $fpath, for fish into
    ~/.config/fish/completions/unionlayers.fish.

    Commands, options, references of an image and paths inside it are completed.
    """
    from click.shell_completion import get_completion_class

    from unionlayers._cli.program import COMPLETION, program

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"there is no completion for {shell}")
    made = found(program, {}, "unionlayers", COMPLETION)
    # What `source` does, less the look at the version of a bash that may not be here.
    click.echo(made.source_template % made.source_vars())


def paths_in_image(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Give what the directory that is being typed has, as far as the image can be read."""
    from click.shell_completion import CompletionItem

    from unionlayers._cli.entries import Tree, absolute

    image = _image(context)
    if image is None:
        return []
    above, slash, begun = incomplete.rpartition("/")
    found = []
    try:
        session = Session.of(_opening(context.params))
        with session.image(image) as opened:
            tree = Tree(opened, opened.union())
            directory = tree.find(absolute(above + slash), follow=True).directory
            if directory is None:
                return []
            for node in directory.nodes():
                if node.name.startswith(begun) and printable(node.name) == node.name:
                    end = "/" if node.directory is not None else ""
                    found.append(CompletionItem(f"{above}{slash}{node.name}{end}"))
                if len(found) >= _MOST:
                    break
    except (UnionLayersError, OSError):
        # A shell that asks for completion has no place for an error; the command will tell it.
        return []
    return found


def references_in(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Give the references of a source that begin with what is typed."""
    from click.shell_completion import CompletionItem

    image = _image(context)
    if image is None:
        return []
    try:
        summaries = Session.of(_opening({})).summaries(image)
    except (UnionLayersError, OSError):
        return []  # likewise
    known = dict.fromkeys(name for one in summaries for name in one.references)
    return [
        CompletionItem(name)
        for name in known
        if name.startswith(incomplete) and printable(name) == name
    ]


def _image(context: click.Context) -> str | None:
    """Give the image that is typed already, None for what is read once or without end."""
    # While the value of an option is typed, click has not yet told arguments apart.
    image = context.params.get("image") or next(iter(context.args), None)
    if not isinstance(image, str) or image == "-":
        return None
    try:
        mode = Path(image).stat().st_mode
    except (OSError, ValueError):
        return None
    return image if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else None


def _opening(params: Mapping[str, Any]) -> Opening:
    return Opening(reference=params.get("ref"), platform=params.get("platform"), quiet=True)
