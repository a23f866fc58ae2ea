"""What is shipped and not shown, added up by reason, without reading content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from attrs import frozen

from unionlayers._layers.hidden import hidden_names
from unionlayers._layers.shipped import seen_names
from unionlayers._layers.union import Union
from unionlayers._views.display.bar import Part, bar
from unionlayers._views.display.markup import amount, block, counted, note

__all__ = ["REASONS", "HiddenBytes", "hidden_bars", "hidden_bytes"]

REASONS = {
    "whiteout": "deleted by a whiteout",
    "opaque": "deleted by an opaque directory",
    "replaced": "replaced by another entry",
    "type change": "replaced by another type",
    "duplicate": "twice in its own layer",
}


@frozen(eq=False)
class HiddenBytes:
    """
    Bytes and entries that are not shown.

    Attributes:
        sizes: Bytes by reason, as ``HiddenEntry`` has it.
        entries: Entries by reason, those without bytes of their own too.
    """

    sizes: Mapping[str, int]
    entries: Mapping[str, int]


def hidden_bytes(union: Union) -> HiddenBytes:
    """
    Add up what a stack hides.

    Raises:
        UnionLayersError: A layer cannot be read or applied.

    Cost:
        Linear in entries; what a hard link still shows counts no bytes, as in ``Hidden.size``.
    """
    sizes: Counter[str] = Counter()
    entries: Counter[str] = Counter()
    for name in hidden_names(union):
        entries[name.reason] += 1
        changeset = union.changeset(name.slot)
        size = changeset.index.length[name.row]
        own = changeset.directory(name.row) < 0 and changeset.inode(name.row) == name.row
        if size and own and name.row not in changeset.downlinks and not seen_names(union, name):
            sizes[name.reason] += size
    return HiddenBytes(sizes, entries)


def hidden_bars(found: HiddenBytes) -> str:
    """Give a bar of the bytes by reason, and the same as a table."""
    total = sum(found.sizes.values())
    if not found.entries:
        return note("Everything that is shipped is shown.")
    looks = {reason: f"g{at}" for at, reason in enumerate(REASONS)}
    parts = [
        Part(found.sizes.get(reason, 0), looks[reason], reason, told)
        for reason, told in REASONS.items()
    ]
    rows = [
        (
            f'<span class="chip {looks[reason]}">{reason}</span>',
            REASONS[reason],
            f"{found.entries[reason]:,}",
            amount(found.sizes.get(reason, 0)),
        )
        for reason in REASONS
        if found.entries.get(reason)
    ]
    hidden = counted(sum(found.entries.values()), "entry")
    return (
        f"<p>{hidden} with {amount(total)} of their own are shipped and not shown.</p>\n"
        + bar(parts, "Bytes that are shipped and not shown, by reason")
        + block(("reason", "", "entries", "bytes"), rows, "Hidden, by reason", numeric=(2, 3))
    )
