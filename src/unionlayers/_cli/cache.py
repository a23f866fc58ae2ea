"""``unionlayers cache``: where indexes of layers are kept, how much they take, and their end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from unionlayers._cli.opening import ENVIRONMENT, cache_folder
from unionlayers._cli.options import SIZE, cache_options, json_option
from unionlayers._cli.output import Output, count, size_text
from unionlayers._foundation.names import printable
from unionlayers._image.index_store import DirectoryIndexStore

__all__ = ["cache"]

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def cache() -> None:
    """
    Look after the cache: what is known of layers, so that they are not read again.

    It is in the user's cache folder, or where the variable UNIONLAYERS_CACHE says; an empty one
    means that nothing is kept.  The least recently used files go first beyond 1 GiB.
    """


def _output_options(command: Command) -> Command:
    return cache_options(json_option(command))


@cache.command()
@_output_options
def show(cache: str | None, as_json: bool) -> None:
    """Say where the cache is and what it takes."""
    store = _store(cache)
    files, size = (0, 0) if store is None else store.usage()
    out = Output(json=as_json)
    if as_json:
        out.document(
            "cache show",
            {
                "folder": None if store is None else str(store.path),
                "files": files,
                "bytes": size,
                "max_bytes": None if store is None else store.max_bytes,
            },
        )
    elif store is None:
        out.line(f"nothing is kept: {ENVIRONMENT} is empty")
    else:
        out.line(printable(str(store.path)))
        bound = size_text(store.max_bytes)
        out.line(f"{count(files, 'file')}, {size_text(size)} of {bound}")


@cache.command()
@_output_options
def clear(cache: str | None, as_json: bool) -> None:
    """Remove all that is kept; nothing else in the folder is touched."""
    _prune(cache, 0, as_json, "cache clear")


@cache.command()
@click.option("--to", "size", type=SIZE, required=True, help="What may stay, such as 200M.")
@_output_options
def prune(cache: str | None, size: int, as_json: bool) -> None:
    """Remove the least recently used files until the others fit."""
    _prune(cache, size, as_json, "cache prune")


def _prune(folder: str | None, size: int, as_json: bool, command: str) -> None:
    store = _store(folder)
    files, removed = (0, 0) if store is None else store.prune(size)
    out = Output(json=as_json)
    if as_json:
        out.document(command, {"files": files, "bytes": removed})
    else:
        out.line(f"removed {count(files, 'file')}, {size_text(removed)}")


def _store(folder: str | None) -> DirectoryIndexStore | None:
    path = cache_folder() if folder is None else Path(folder)
    return None if path is None else DirectoryIndexStore(path)
