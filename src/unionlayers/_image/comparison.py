"""
What container-diff tells of two images, by its own names.

Source:
    container-diff 0.19, ``differs/`` and ``util/diff_utils.go``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

from attrs import evolve, field, frozen

from unionlayers._foundation.names import printable
from unionlayers._image.analysis import (
    AnalysisItem,
    AnalysisKind,
    Order,
    analyze,
    check_choice,
    item_document,
    item_text,
    ordered,
    title_of,
)
from unionlayers._image.change import Side
from unionlayers._image.changes import Changes, diff
from unionlayers._image.image import Image
from unionlayers._layers.comparison import FIELDS

__all__ = ["Comparison", "compare"]

Pair = tuple[AnalysisItem, AnalysisItem]

# What container-diff sees of a path: whether it is there, its content, and where a link leads.
_UNSEEN = tuple(name for name in FIELDS if name not in ("type", "content", "size", "link"))


@frozen
class Comparison:
    """
    What is told of two images; made by `compare`.  True if anything differs.

    Attributes:
        kind: What was asked for.
        left: What the left image is, for people.
        right: What the right one is.
        added: What only the right image has.
        removed: What only the left image has.
        changed: Pairs, left and right, of what both have and is not the same.
    """

    kind: AnalysisKind
    left: str
    right: str
    added: tuple[AnalysisItem, ...]
    removed: tuple[AnalysisItem, ...]
    changed: tuple[Pair, ...]
    _same: tuple[Pair, ...] = field(repr=False)
    _layers: int = field(repr=False)
    _changes: Callable[[], Changes] = field(repr=False, eq=False)

    def __bool__(self) -> bool:
        """Tell whether anything differs."""
        return bool(self.added or self.removed or self.changed)

    def text_diff(self, path: str, *, context: int = 3, limit: int = 1 << 20) -> str:
        """
        Give the unified diff of one file, as `Changes.text_diff` does.

        Raises:
            PathNotFoundError: Neither image has it.
            PathIsADirectoryError: A directory is there.
            NotARegularFileError: A device or FIFO is there.
        """
        return self._changes().text_diff(path, context=context, limit=limit)

    def to_json(self, *, indent: int | None = None) -> str:
        """
        Give it as JSON with the keys of container-diff; *indent* as for ``json.dumps``.

        A changed field of the configuration stands in both lists, and a layer that one image
        lacks has the size -1 there.
        """
        document = {
            "Image1": self.left,
            "Image2": self.right,
            "DiffType": title_of(self.kind),
            "Diff": self._document(),
        }
        return json.dumps(document, indent=indent)

    def to_table(self) -> str:
        """Give it as lines of text for a terminal, names escaped."""
        lines = [
            f"-----{title_of(self.kind)}-----",
            f"--- {printable(self.left)}",
            f"+++ {printable(self.right)}",
        ]
        lines.extend(f"- {item_text(self.kind, item)}" for item in self.removed)
        for one, other in self.changed:
            if self.kind == "metadata":
                lines.append(f"- {item_text(self.kind, one)}")
                lines.append(f"+ {item_text(self.kind, other)}")
            else:
                lines.append(f"~ {item_text(self.kind, other)} (was {one.size})")
        lines.extend(f"+ {item_text(self.kind, item)}" for item in self.added)
        if not self:
            lines.append("no difference")
        return "\n".join(lines) + "\n"

    def _document(self) -> Any:
        if self.kind in ("history", "metadata"):
            added = [*(other for _, other in self.changed), *self.added]
            removed = [*(one for one, _ in self.changed), *self.removed]
            return {
                "Adds": [item_document(self.kind, item) for item in added],
                "Dels": [item_document(self.kind, item) for item in removed],
            }
        if self.kind in ("size", "sizelayer"):
            return [
                {"Name": name, "Size1": one, "Size2": other} for name, one, other in self._sizes()
            ]
        if self.kind == "file":
            return self._directory(None)
        return {"DirDiffs": [self._directory(layer) for layer in range(self._layers)]}

    def _sizes(self) -> Iterator[tuple[str, int, int]]:
        pairs = [(one.name, one.size or 0, other.size or 0) for one, other in self.changed]
        pairs += [(one.name, one.size or 0, other.size or 0) for one, other in self._same]
        pairs += [(item.name, -1, item.size or 0) for item in self.added]
        pairs += [(item.name, item.size or 0, -1) for item in self.removed]
        return iter(sorted(pairs, key=lambda pair: (len(pair[0]), pair[0])))

    def _directory(self, layer: int | None) -> dict[str, Any]:
        return {
            "Adds": [item_document("file", item) for item in self.added if item.layer == layer],
            "Dels": [item_document("file", item) for item in self.removed if item.layer == layer],
            "Mods": [
                {"Name": one.name, "Size1": one.size, "Size2": other.size}
                for one, other in self.changed
                if one.layer == layer
            ],
        }


def compare(
    a: Image, b: Image, kind: AnalysisKind = "size", *, order: Order = "name"
) -> Comparison:
    """
    Tell of two images what container-diff does.

    Files count as changed if their type, content or link text differs; `diff` sees owner, mode,
    times, attributes and hard links as well, and says which layer and step are the cause.

    Args:
        a: The left image.
        b: The right one.
        kind: As for `analyze`.  ``"layer"`` and ``"sizelayer"`` pair layers by their index; what
            one image has more layers of is added or removed.
        order: ``"size"`` has the largest first.

    Returns:
        History and configuration are compared as container-diff does, but for the order of
        steps: a step that has only moved is no difference.

    Raises:
        ValueError: There is no such kind or order.
        ClosedError: An image was closed.
        UnionLayersError: A layer cannot be read, or an entry cannot be applied.

    Cost:
        As `diff` for files, for each pair of layers where it goes by layers; else as `analyze`.

    Example:
        >>> from unionlayers import compare, open_image
        >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
        ...     bool(compare(image, image, "file"))
        False
    """
    check_choice("kind", kind, get_args(AnalysisKind))
    check_choice("order", order, get_args(Order))
    added: list[AnalysisItem] = []
    removed: list[AnalysisItem] = []
    pairs: list[Pair] = []
    whole = diff(a, b, ignore_fields=_UNSEEN)
    if kind == "file":
        _take(whole, None, added, removed, pairs)
    elif kind == "layer":
        for layer in range(max(len(a.layers), len(b.layers))):
            sides = [(image, [layer] if layer < len(image.layers) else []) for image in (a, b)]
            changes = diff(*sides, ignore_fields=_UNSEEN)
            _take(changes, layer, added, removed, pairs)
    else:
        one, other = (analyze(image, kind, order="name").items for image in (a, b))
        if kind == "history":
            added, removed = _only_in(other, one), _only_in(one, other)
        else:
            _paired(one, other, added, removed, pairs)
    changed = [pair for pair in pairs if pair[0] != pair[1] or kind in ("file", "layer")]
    if order == "size":
        added, removed = ordered(added, order), ordered(removed, order)
        changed.sort(key=lambda pair: -max(item.size or 0 for item in pair))
    return Comparison(
        kind=kind,
        left=whole.left,
        right=whole.right,
        added=tuple(added),
        removed=tuple(removed),
        changed=tuple(changed),
        same=tuple(pair for pair in pairs if pair not in changed) if "size" in kind else (),
        layers=max(len(a.layers), len(b.layers)),
        changes=lambda: whole,
    )


def _take(
    changes: Changes,
    layer: int | None,
    added: list[AnalysisItem],
    removed: list[AnalysisItem],
    changed: list[Pair],
) -> None:
    """Sort changes of paths into what is added, removed and changed."""
    only: dict[str, list[AnalysisItem]] = {"added": [], "removed": []}
    for change in changes:
        left = _of_path(change.path, change.left, layer)
        right = _of_path(change.path, change.right, layer)
        if change.kind == "changed":
            changed.append((left, right))
        else:
            only[change.kind].append(right if change.kind == "added" else left)
    added.extend(_with_directories(only["added"]))
    removed.extend(_with_directories(only["removed"]))


def _with_directories(items: Sequence[AnalysisItem]) -> Iterator[AnalysisItem]:
    """Give directories the bytes of what is beneath them, all of which only one side has too."""
    sizes = {item.name: item.size or 0 for item in items}
    for item in reversed(items):
        parent = item.name.rpartition("/")[0]
        if parent in sizes:
            sizes[parent] += sizes[item.name]
    for item in items:
        yield evolve(item, size=sizes[item.name])


def _of_path(path: str, side: Side, layer: int | None) -> AnalysisItem:
    return AnalysisItem(path, size=side.size if side.present else None, layer=layer)


def _only_in(items: Sequence[AnalysisItem], others: Sequence[AnalysisItem]) -> list[AnalysisItem]:
    """Give the items that the others lack, each as often as it stands there more often."""
    left = Counter(item.name for item in others)
    found = []
    for item in items:
        if left[item.name]:
            left[item.name] -= 1
        else:
            found.append(item)
    return found


def _paired(
    one: Sequence[AnalysisItem],
    other: Sequence[AnalysisItem],
    added: list[AnalysisItem],
    removed: list[AnalysisItem],
    pairs: list[Pair],
) -> None:
    """Pair fields and layers by name; an absent field is like one that is not there."""
    known = {item.name: item for item in one if item.value is not None or item.size is not None}
    for item in other:
        if item.value is None and item.size is None:
            continue
        twin = known.pop(item.name, None)
        if twin is None:
            added.append(item)
        else:
            pairs.append((twin, item))
    removed.extend(known.values())
