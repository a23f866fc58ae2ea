"""The command ``unionlayers``: its commands, each imported when it is called, and how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from unionlayers._cli.faults import close_to, code_of, lines_of
from unionlayers.errors import UnionLayersError

__all__ = ["COMMANDS", "COMPLETION", "program", "run"]

COMPLETION = "_UNIONLAYERS_COMPLETE"

# In the order of the help: where each command is, and what it is for.
COMMANDS = {
    "images": ("documents", "images", "List the images of an archive, folder or store."),
    "layers": ("documents", "layers", "List the layers of an image, base first."),
    "ls": ("ls", "ls", "List directories."),
    "tree": ("tree", "tree", "Draw a directory as a tree."),
    "cat": ("cat", "cat", "Write the content of files."),
    "stat": ("stat", "stat", "Say everything about paths."),
    "find": ("find", "find", "Search by name, type, mode, owner, time, layer, capability."),
    "explain": ("origins", "explain", "Say why a path is there, or is not."),
    "history": ("origins", "history", "Show the build steps, or the versions of a path."),
    "hidden": ("origins", "hidden", "List what is shipped and not shown."),
    "timeline": ("evidence", "timeline", "List all entries by time, hidden ones too."),
    "unreferenced": ("evidence", "unreferenced", "List what no image leads to."),
    "diff": ("comparing", "diff", "Compare two images, or states of one."),
    "analyze": ("comparing", "analyze", "Tell what container-diff tells of an image."),
    "sizes": ("waste", "sizes", "Say where the bytes are, by layer, directory or step."),
    "waste": ("waste", "waste", "Say which bytes are shipped for nothing; with budgets."),
    "verify": ("checks", "verify", "Compare all digests, and list what is odd."),
    "agreement": ("checks", "agreement", "List what runtimes read differently."),
    "export": ("export", "export", "Write the files to a tar or a folder."),
    "mount": ("mount", "mount", "Show an image as a directory of the host."),
    "cache": ("cache", "cache", "Look after the cache of indexes."),
    "completion": ("completion", "completion", "Write the completion of a shell."),
}


class _Program(click.Group):
    """Finds commands by name without importing the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        found: click.Command = getattr(import_module(f"unionlayers._cli.{module}"), name)
        return found

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, _, told) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = close_to(name, list(COMMANDS))
            ctx.fail(f"there is no command {name!r}" + (f"; {near}" if near else ""))
        return super().resolve_command(ctx, args)


@click.command(
    cls=_Program,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Ends with 0 if all is well, 1 if the answer is no (differs, over budget, damaged, not "
    "there), 2 for wrong usage, 3 if the image or the host stands in the way, 4 for a path that "
    "the image does not have.",
)
@click.version_option(package_name="unionlayers", message="%(prog)s %(version)s")
def program() -> None:
    """
    Look into container images: no daemon, no root, nothing extracted.

    IMAGE is what docker save, podman save or skopeo copy wrote, an OCI layout, or the store of an
    engine; "-" reads it from a pipe.  Layers are counted from 0, the base.
    """


def run(arguments: Sequence[str]) -> int:
    """
    Run a command.

    Args:
        arguments: What was typed behind the name of the program.

    Returns:
        What the process ends with.

    Raises:
        BrokenPipeError: Nobody reads what is written any more.
        KeyboardInterrupt: The user has stopped it.
    """
    instruction = os.environ.get(COMPLETION)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(program, {}, "unionlayers", COMPLETION, instruction)
    try:
        # What click's own `main` adds is another number for a broken pipe, and tracebacks.
        with program.make_context("unionlayers", list(arguments)) as context:
            ended: Any = program.invoke(context)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except BrokenPipeError:
        raise
    except (UnionLayersError, OSError) as error:
        # What was written before stands before the error also where both go to one place.
        sys.stdout.flush()
        first, *more = lines_of(error)
        sys.stderr.write(f"unionlayers: {first}\n" + "".join(f"  {line}\n" for line in more))
        return code_of(error)
    return ended if isinstance(ended, int) else 0
