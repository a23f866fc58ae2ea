"""An image as a table of pandas: a row for each path that is shown and each entry that is not."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from unionlayers._image.image import Image
from unionlayers._image.owners import read_owners
from unionlayers._layers.comparison import type_name
from unionlayers._layers.directory import Directory
from unionlayers._layers.entry import Entry, entry_of, shown_time_ns
from unionlayers._layers.hidden import hidden_names
from unionlayers._layers.supplying import supplying_slot
from unionlayers._layers.union import Union
from unionlayers.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame_of"]

_EARLIEST, _LATEST = -(1 << 63) + 1, (1 << 63) - 1
_NO_TIME = -(1 << 63)  # what pandas takes for NaT


class _Line(NamedTuple):
    """One row; the names are those of the columns."""

    path: str
    type: str
    size: int
    mode: int
    owner: str
    mtime: int
    layer: int
    step: str | None
    visible: bool
    hidden_by: int | None
    reason: str | None
    uid: int
    gid: int


def frame_of(image: Image, union: Union) -> pd.DataFrame:
    """
    Make the table; see ``Image.to_frame``.

    Raises:
        MissingExtraError: pandas is not installed.
        UnionLayersError: A layer cannot be read or applied.
    """
    try:
        import numpy as np
        import pandas as pd
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("numpy", "pandas"):
            raise
        raise MissingExtraError(
            "pandas is not installed",
            expected="pandas",
            hint='Install it with: pip install "unionlayers[pandas]"',
        ) from error
    lines = sorted(_lines(image, union), key=itemgetter(0, 6))
    columns: dict[str, Any] = {
        name: [line[at] for line in lines] for at, name in enumerate(_Line._fields)
    }
    # A name that is not UTF-8 has lone surrogates, which pandas' own type for text refuses.
    kept: dict[str, Any] = {"path": object, "owner": object, "step": object}
    types: dict[str, Any] = {
        "type": "category",
        "size": "int64" if all(size <= _LATEST for size in columns["size"]) else object,
        "mode": "uint16",
        "layer": "int64",
        "visible": bool,
        "hidden_by": "Int64",
        "reason": "category",
        "uid": "int64",
        "gid": "int64",
    }
    made = {name: pd.Series(columns[name], dtype=type) for name, type in {**kept, **types}.items()}
    # As integers all the way: a float has no nanoseconds.
    times = [time if _EARLIEST <= time <= _LATEST else _NO_TIME for time in columns["mtime"]]
    instants = np.array(times, dtype="int64").view("datetime64[ns]")
    made["mtime"] = pd.Series(instants).dt.tz_localize("UTC")
    return pd.DataFrame({name: made[name] for name in _Line._fields})


def _lines(image: Image, union: Union) -> Iterator[_Line]:
    users = read_owners(image, union)["user"]
    steps = {layer.index: layer.created_by for layer in image.layers}

    def line(
        path: str,
        entry: Entry,
        slot: int,
        hidden_by: int | None = None,
        reason: str | None = None,
    ) -> _Line:
        layer = union.slots[slot].layer
        return _Line(
            path,
            type_name(entry),
            entry.size,
            stat.S_IMODE(entry.mode),
            users.get(entry.uid) or str(entry.uid),
            shown_time_ns(union.profile, entry.mtime_ns),
            layer,
            steps[layer],
            hidden_by is None,
            hidden_by,
            reason,
            entry.uid,
            entry.gid,
        )

    yield from _shown(union, line)
    for name in hidden_names(union):
        index = union.changeset(name.slot).index
        by = union.slots[name.hidden_by].layer
        yield line(f"/{name.path}", entry_of(index, name.row), name.slot, by, name.reason)


def _shown(union: Union, line: Callable[..., _Line]) -> Iterator[_Line]:
    if not union.slots:
        return
    root = union.root.node()
    yield line("/", union.entry(root), supplying_slot(union, root))
    pending: list[tuple[str, Directory]] = [("", union.root)]
    while pending:
        above, directory = pending.pop()
        for node in directory.nodes():
            path = f"{above}/{node.name}"
            yield line(path, union.entry(node), supplying_slot(union, node))
            if node.directory is not None:
                pending.append((path, node.directory))
