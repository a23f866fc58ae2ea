"""Changes as JSON."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from attrs import define, field

from unionlayers._image.change import Change, Side

if TYPE_CHECKING:
    from unionlayers._image.changes import Changes

__all__ = ["MOST_NAMES", "changes_json"]

MOST_NAMES = 16
"""Of how many names of an inode each change tells all."""


def changes_json(changes: Changes, indent: int | None) -> str:
    """Give all changes as one JSON object."""
    document = {
        "left": changes.left,
        "right": changes.right,
        "notes": list(changes.notes),
        "ignored": list(changes.ignored),
        "ignored_fields": list(changes.ignored_fields),
        "unused_ignores": list(changes.unused_ignores),
        "changes": list(_documents(changes)),
    }
    return json.dumps(document, indent=indent)


def _documents(changes: Iterable[Change]) -> Iterator[dict[str, Any]]:
    """Give each change as what JSON can say."""
    left, right = _Groups(), _Groups()
    for change in changes:
        yield {
            "kind": change.kind,
            "path": change.path,
            "fields": list(change.fields),
            "left": _side(change.left, left),
            "right": _side(change.right, right),
        }


@define
class _Groups:
    """The names of inodes that one side has told, by the first of them."""

    _told: dict[str, str] = field(factory=dict)

    def names(self, side: Side) -> dict[str, Any]:
        """Give the names, of many only once: told at each, they would grow with their square."""
        if len(side.names) > MOST_NAMES:
            at = self._told.setdefault(side.names[0], side.path)
            if at != side.path:
                return {"names": None, "names_at": at}
        return {"names": list(side.names)}


def _side(side: Side, groups: _Groups) -> dict[str, Any]:
    step = side.step
    found: dict[str, Any] = {
        "type": side.type,
        "layer": side.layer,
        "digest": side.digest,
        "created_by": None if step is None else step.created_by,
        "created": None if step is None or step.created is None else step.created.isoformat(),
        "entry": side.entry,
    }
    if side.cause is not None:
        found["cause"] = {"reason": side.cause.reason, "path": side.cause.path}
    if side.present:
        found.update(
            size=side.size,
            mode=f"{side.mode:04o}",
            uid=side.uid,
            gid=side.gid,
            mtime_ns=side.mtime_ns,
            target=side.target,
            device=side.device,
            xattrs={name: b64encode(value).decode() for name, value in side.xattrs},
            capability=side.capability,
            **groups.names(side),
        )
    return found
