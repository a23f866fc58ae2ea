"""Bytes that an image ships for nothing: what they are, where they lie, and which step is why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, TypeVar

from attrs import field, frozen

from unionlayers._foundation.names import printable
from unionlayers._image.config import Step
from unionlayers._image.content_digests import content_digests
from unionlayers._image.layer_stack import LayerStack
from unionlayers._image.view_makers import view_maker
from unionlayers._layers.efficiency import efficiency_of
from unionlayers._layers.hidden import HiddenName, hidden_names
from unionlayers._layers.shipped import Shipped, replacement_of, seen_names, shipped_in
from unionlayers._layers.union import Inode, Union

__all__ = ["Waste", "WasteItem", "bytes_by_directory", "steps_by_layer", "waste_of"]

WasteKind = Literal["shadowed", "deleted", "rewritten", "duplicates"]

_KINDS: tuple[WasteKind, ...] = ("shadowed", "deleted", "rewritten", "duplicates")
_DELETED = ("whiteout", "opaque")
_SHOWN_ITEMS = 20
_Key = TypeVar("_Key")


@frozen(kw_only=True)
class WasteItem:
    """
    The content of one entry that is shipped for nothing.

    Attributes:
        kind: ``"shadowed"`` (other content or something else has its place), ``"deleted"`` (by a
            whiteout or opaque whiteout), ``"rewritten"`` (the same content has its place: a layer
            changed owner, mode or time) or ``"duplicates"`` (the same content is shown elsewhere).
        path: Where its layer has it, absolute.
        layer: Index of the layer that has the bytes.
        entry: Ordinal of the tar entry there.
        size: Bytes.
        caused_by: Index of the layer that made them useless; for a duplicate, its own.
        step: The build step that made that layer, None where the history does not tell.
        same_as: A path that has the same content, for what is rewritten or a duplicate.
    """

    kind: WasteKind
    path: str
    layer: int
    entry: int
    size: int
    caused_by: int
    step: Step | None
    same_as: str | None = None


@frozen(kw_only=True)
class Waste:
    """
    What an image ships for nothing; no byte counts twice.

    Iterate over it for `WasteItem` values, the largest first; ``str()`` of it is readable.

    Attributes:
        items: All of them.
        shipped: Bytes of content that all layers have.
    """

    items: tuple[WasteItem, ...]
    shipped: int
    _efficiency: Callable[[], float] = field(repr=False, eq=False)

    @property
    def total(self) -> int:
        """Bytes that are shipped for nothing, of all four kinds."""
        return sum(item.size for item in self.items)

    @property
    def shadowed(self) -> int:
        """Bytes whose place something else has."""
        return self.by_kind["shadowed"]

    @property
    def deleted(self) -> int:
        """Bytes that whiteouts and opaque whiteouts hide."""
        return self.by_kind["deleted"]

    @property
    def rewritten(self) -> int:
        """Bytes that a layer ships once more, as where it only changes an owner or a mode."""
        return self.by_kind["rewritten"]

    @property
    def duplicates(self) -> int:
        """Bytes that are shown at another path as well."""
        return self.by_kind["duplicates"]

    @property
    def share(self) -> float:
        """The part of the shipped bytes that is waste, from 0.0 to 1.0."""
        return self.total / self.shipped if self.shipped else 0.0

    @property
    def efficiency(self) -> float:
        """
        The score of dive, 1.0 at best, by its own formula.

        For every path, the sizes that the layers have there are added up and the smallest is
        noted, a whiteout being of size 0; the score is the sum of the smallest by the sum of all.
        Only what stands in a path's own layers counts: duplicates elsewhere do not, and what is
        odd in dive is kept (deleted directories weigh on both sides, opaque whiteouts nothing).

        Source:
            dive 0.12, ``filetree/efficiency.go``.

        Cost:
            Linear in the entries of all layers.
        """
        return self._efficiency()

    @property
    def by_kind(self) -> Mapping[WasteKind, int]:
        """Bytes of each of the four kinds."""
        counted: Counter[WasteKind] = Counter(dict.fromkeys(_KINDS, 0))
        for item in self.items:
            counted[item.kind] += item.size
        return dict(counted)

    @property
    def by_layer(self) -> Mapping[int, int]:
        """Bytes by the layer that has them, the largest first; layers without waste are absent."""
        return _summed((item.layer, item.size) for item in self.items)

    @property
    def by_step(self) -> Mapping[Step | None, int]:
        """Bytes by the step that made them useless, the largest first."""
        return _summed((item.step, item.size) for item in self.items)

    @property
    def by_directory(self) -> Mapping[str, int]:
        """Bytes by directory, with all that is beneath it, the largest first."""
        return bytes_by_directory((item.path, item.size) for item in self.items)

    def __iter__(self) -> Iterator[WasteItem]:
        """Give the items."""
        return iter(self.items)

    def __len__(self) -> int:
        """Count the items."""
        return len(self.items)

    def _repr_html_(self) -> str:
        """Show it by kind and build step, and the largest in a notebook."""
        shown: str = view_maker("html")(self)
        return shown

    def __str__(self) -> str:
        """Tell it in lines, the largest items by name."""
        told = ", ".join(f"{size} {kind}" for kind, size in self.by_kind.items())
        lines = [f"{self.total} of {self.shipped} bytes are shipped for nothing: {told}"]
        for item in self.items[:_SHOWN_ITEMS]:
            by = "" if item.caused_by == item.layer else f", made useless by layer {item.caused_by}"
            like = f", as {printable(item.same_as or '')}" if item.kind == "duplicates" else ""
            path = printable(item.path)
            lines.append(f"{item.size:>12} {item.kind} {path} in layer {item.layer}{by}{like}")
        if len(self.items) > _SHOWN_ITEMS:
            lines.append(f"and {len(self.items) - _SHOWN_ITEMS} smaller ones")
        return "\n".join(lines)


def steps_by_layer(image: LayerStack) -> dict[int, Step]:
    """Give the build step of each layer that the history tells of."""
    return {step.layer: step for step in image.history if step.layer is not None}


def bytes_by_directory(sizes: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    """
    Add sizes up for every directory on the way to their paths, the largest first.

    Example:
        >>> bytes_by_directory([("/a/b/f", 2), ("/a/g", 1)])
        {'/': 3, '/a': 3, '/a/b': 2}
    """
    direct: defaultdict[str, int] = defaultdict(int)
    for path, size in sizes:
        direct[path.rpartition("/")[0]] += size
    found: defaultdict[str, int] = defaultdict(int)
    for path, size in direct.items():
        at = path
        while at:
            found[at] += size
            at = at.rpartition("/")[0]
        found["/"] += size
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _summed(pairs: Iterable[tuple[_Key, int]]) -> dict[_Key, int]:
    found: defaultdict[_Key, int] = defaultdict(int)
    for key, size in pairs:
        found[key] += size
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


@frozen
class _Lost:
    """Content that nothing shows, and what took it away."""

    shipped: Shipped
    name: HiddenName
    replaced_by: Inode | None


def waste_of(image: LayerStack, union: Union, *, duplicates: bool) -> Waste:
    """
    Give what a stack of the layers of an image ships for nothing.

    Args:
        image: The image.
        union: The stack.
        duplicates: Whether content that is shown is compared among itself.
    """
    shown = {item.inode: item for slot in range(union.top) for item in shipped_in(union, slot)}
    shipped = sum(item.size for item in shown.values())
    lost: list[_Lost] = []
    for name in hidden_names(union):
        item = shown.get((name.slot, name.row))
        if item is None:
            continue
        names = seen_names(union, name)
        if names:
            shown[item.inode] = Shipped(item.inode, min(names), item.size)
            continue
        del shown[item.inode]
        lost.append(_Lost(item, name, _replacement(union, item, name)))
    groups = _of_one_size(shown.values()) if duplicates else []
    digests = content_digests(
        image,
        union,
        (
            *(item.inode for group in groups for item in group),
            *(
                inode
                for one in lost
                if one.replaced_by is not None
                for inode in (one.shipped.inode, one.replaced_by)
            ),
        ),
    )
    steps = steps_by_layer(image)
    found = [
        *(_lost_item(union, steps, digests, one) for one in lost),
        *(item for group in groups for item in _copies(union, steps, digests, group)),
    ]
    found.sort(key=lambda item: (-item.size, item.path, item.layer, item.entry))
    return Waste(items=tuple(found), shipped=shipped, efficiency=lambda: efficiency_of(union))


def _replacement(union: Union, item: Shipped, name: HiddenName) -> Inode | None:
    """Give the file of the same size that has the place of a lost one, if there is one."""
    if name.reason not in ("replaced", "duplicate"):
        return None
    found = replacement_of(union, name)
    if found is None or union.changeset(found[0]).index.length[found[1]] != item.size:
        return None
    return found


def _of_one_size(items: Iterable[Shipped]) -> list[list[Shipped]]:
    groups: defaultdict[int, list[Shipped]] = defaultdict(list)
    for item in items:
        groups[item.size].append(item)
    return [group for group in groups.values() if len(group) > 1]


def _lost_item(
    union: Union, steps: Mapping[int, Step], digests: Mapping[Inode, bytes], lost: _Lost
) -> WasteItem:
    item, name, other = lost.shipped, lost.name, lost.replaced_by
    same = other is not None and digests[item.inode] == digests[other]
    kind: WasteKind = "deleted" if name.reason in _DELETED else "shadowed"
    cause = union.slots[name.hidden_by].layer
    return WasteItem(
        kind="rewritten" if same else kind,
        path=item.path,
        layer=union.slots[item.inode[0]].layer,
        entry=union.changeset(item.inode[0]).index.ordinal[item.inode[1]],
        size=item.size,
        caused_by=cause,
        step=steps.get(cause),
        same_as=item.path if same else None,
    )


def _copies(
    union: Union,
    steps: Mapping[int, Step],
    digests: Mapping[Inode, bytes],
    group: Iterable[Shipped],
) -> Iterator[WasteItem]:
    """Give all but the first of those that have the same content, in the order of the layers."""
    first: dict[bytes, Shipped] = {}
    for item in sorted(group, key=lambda item: (item.inode[0], _ordinal(union, item))):
        kept = first.setdefault(digests[item.inode], item)
        if kept is item:
            continue
        layer = union.slots[item.inode[0]].layer
        yield WasteItem(
            kind="duplicates",
            path=item.path,
            layer=layer,
            entry=_ordinal(union, item),
            size=item.size,
            caused_by=layer,
            step=steps.get(layer),
            same_as=kept.path,
        )


def _ordinal(union: Union, item: Shipped) -> int:
    slot, row = item.inode
    return union.changeset(slot).index.ordinal[row]
