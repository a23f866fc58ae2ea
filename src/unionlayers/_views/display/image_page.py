"""What an image, a view and a layer show of themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unionlayers._image.image import Image
from unionlayers._image.layer import Layer, Mark
from unionlayers._layers.union import Union
from unionlayers._views.display.census import LARGEST, Census, census_of, rows_of
from unionlayers._views.display.hidden_bytes import hidden_bars, hidden_bytes
from unionlayers._views.display.layer_table import layer_table, shown_bar, stored_bar, stored_size
from unionlayers._views.display.markup import (
    amount,
    block,
    counted,
    facts,
    foldable,
    note,
    page,
    text,
)
from unionlayers._views.display.palette import chip
from unionlayers._views.display.tree import tree
from unionlayers._views.display.treemap import treemap
from unionlayers.errors import UnionLayersError

__all__ = ["UNREAD", "image_page", "layer_page", "view_page"]

UNREAD = 32 << 20
"""Stored bytes of layers that are indexed for a page alone: about a second's work."""

_MOST_MARKS = 100
_MOST_REFERENCES = 8


def image_page(image: Image) -> str:
    """Give the page of an image."""
    chosen = [layer.index for layer in image.layers]
    parts = [facts(_image_facts(image))]
    if image.closed:
        return page(_title(image), [*parts, note("The image was closed.")])
    body = _Body(image, chosen, lambda: image.union(profile=image.profile))
    parts.append(body.layers(opened=True))
    if body.ready():
        parts.extend((body.map(), body.tree(), body.hidden()))
    else:
        parts.append(body.unread())
    return page(_title(image), parts)


def view_page(image: Image, union: Union, *, what: str, closed: bool) -> str:
    """Give the page of a view."""
    chosen = [slot.layer for slot in union.slots]
    which = "all layers" if len(chosen) == len(image.layers) else _which(chosen)
    title = f"{text(what)} of {_name(image)}, {which}"
    if closed:
        return page(title, [note("The view was closed.")])
    body = _Body(image, chosen, lambda: union)
    if not body.ready():
        return page(title, [body.layers(opened=True), body.unread()])
    return page(title, [body.map(), body.tree(opened=True), body.layers()])


def layer_page(layer: Layer) -> str:
    """Give the page of a layer."""
    image = layer.image
    size = stored_size(layer)
    title = f"{chip(layer.index)} Layer {layer.index} of {_name(image)}"
    step = " ".join((layer.created_by or "").split())
    pairs = [
        ("build step", f"<code>{text(step, 400)}</code>" if step else ""),
        ("created", "" if layer.created is None else text(layer.created.isoformat())),
        ("stored", "absent" if size is None else amount(size)),
        ("digest", _digest(layer.digest)),
        ("diff_id", _digest(layer.diff_id)),
        ("media type", text(layer.media_type or "")),
    ]
    parts = [facts(pairs)]
    if image.closed:
        return page(title, [*parts, note("The image was closed.")])
    body = _Body(image, [layer.index], lambda: image.union([layer.index]))
    if not body.ready():
        return page(title, [*parts, body.unread()])
    parts.extend((_guarded("What it deletes", lambda: _marks(layer.marks)), body.map()))
    parts.append(body.tree(opened=True))
    return page(title, parts)


class _Body:
    """The parts that pages have in common; a part that cannot be made says why."""

    def __init__(self, image: Image, chosen: Sequence[int], union: Callable[[], Union]) -> None:
        self._image = image
        self._chosen = chosen
        self._union = union
        self._made: Union | None = None
        self._census: Census | None = None
        self._counted = False

    def _unread(self) -> list[Layer]:
        return [
            layer
            for index in self._chosen
            if not (layer := self._image.layers[index]).loaded
            and not self._image.lacks(layer.index)
        ]

    def ready(self) -> bool:
        """Tell whether what is not indexed yet is little enough to be indexed for a page."""
        return sum(stored_size(layer) or 0 for layer in self._unread()) <= UNREAD

    def unread(self) -> str:
        """Say what is not there, and how to have it."""
        unread = self._unread()
        size = amount(sum(stored_size(layer) or 0 for layer in unread))
        return note(
            f"{counted(len(unread), 'layer')} of {size} not indexed yet: "
            "<code>image.prepare()</code> does so, and then files are shown here."
        )

    def stack(self) -> Union:
        """Give what is shown."""
        if self._made is None:
            self._made = self._union()
        return self._made

    def census(self) -> Census | None:
        """Count the tree once; None if there is too much of it."""
        if not self._counted:
            if rows_of(self.stack()) <= LARGEST:
                self._census = census_of(self.stack())
            self._counted = True
        return self._census

    def _census_or_none(self) -> Census | None:
        """Give the census for what does without as well; why there is none stands above."""
        try:
            return self.census()
        except UnionLayersError:
            return None

    def layers(self, *, opened: bool = False) -> str:
        """Give the bar and the table of the layers."""
        layers = [self._image.layers[index] for index in self._chosen]
        title = f"{counted(len(layers), 'layer')}, base first"
        return foldable(
            title, stored_bar(layers) + layer_table(self._image, self._chosen, None), opened=opened
        )

    def map(self) -> str:
        """Give the treemap."""

        def made() -> str:
            census = self.census()
            if census is None:
                return note(
                    f"There are more than {LARGEST:,} entries: <code>image.sizes()</code> "
                    "counts them."
                )
            drawn = treemap(census, self._image)
            if not drawn:
                return note("No file has content.")
            whole = counted(census.root.names, "name")
            told = f"<p>{amount(census.root.size)} are shown in {whole}; by layer:</p>\n"
            return told + shown_bar(self._image, census.root.layers) + drawn

        return _guarded("Size by directory", made, opened=True)

    def tree(self, *, opened: bool = False) -> str:
        """Give the tree."""
        return _guarded(
            "Tree",
            lambda: tree(self.stack(), self._image, self._census_or_none()),
            opened=opened,
        )

    def hidden(self) -> str:
        """Give what is not shown, by reason."""

        def made() -> str:
            if rows_of(self.stack()) > LARGEST:
                return note(
                    f"There are more than {LARGEST:,} entries: <code>image.hidden()</code> "
                    "goes through them."
                )
            return hidden_bars(hidden_bytes(self.stack())) + note(
                "<code>image.hidden()</code> lists them; <code>image.waste()</code> compares "
                "contents as well, and names the build step that is to blame."
            )

        return _guarded("Shipped and not shown", made)


def _guarded(title: str, made: Callable[[], str], *, opened: bool = False) -> str:
    """Give a part; one whose layers cannot be read says so, and leaves the others alone."""
    try:
        return foldable(title, made(), opened=opened)
    except UnionLayersError as error:
        told = f"<strong>{type(error).__name__}</strong>: {text(error, 400)}"
        return foldable(title, f'<p class="error">{told}</p>\n', opened=True)


def _image_facts(image: Image) -> list[tuple[str, str]]:
    return [
        ("platform", text(image.platform or "")),
        ("manifest", _digest(image.digest)),
        ("config", _digest(image.id)),
    ]


def _title(image: Image) -> str:
    return f"Image {_name(image)}"


def _name(image: Image) -> str:
    shown = ", ".join(text(name, 80) for name in image.references[:_MOST_REFERENCES])
    if len(image.references) > _MOST_REFERENCES:
        shown += f" and {len(image.references) - _MOST_REFERENCES:,} more names"
    return shown or _digest(image.digest or image.id) or text(image.label, 80)


def _which(chosen: Sequence[int]) -> str:
    if not chosen:
        return "no layer"
    if len(chosen) == 1:
        return f"layer {chosen[0]} alone"
    if list(chosen) == list(range(chosen[0], chosen[-1] + 1)):
        return f"layers {chosen[0]} to {chosen[-1]}"
    return f"{len(chosen):,} of the layers"


def _digest(digest: str | None) -> str:
    """Give the start of a digest, the whole when pointed at."""
    if not digest:
        return ""
    algorithm, _, rest = digest.partition(":")
    return f'<code title="{text(digest)}">{text(f"{algorithm}:{rest[:12]}")}</code>'


def _marks(marks: Sequence[Mark]) -> str:
    if not marks:
        return note("It has no whiteouts.")
    rows = [(mark.kind, f"<code>{text(mark.path)}</code>") for mark in marks[:_MOST_MARKS]]
    left = len(marks) - len(rows)
    more = f"<p>… {counted(left, 'whiteout')} more: <code>layer.marks</code> has all.</p>\n"
    return block(("mark", "hides"), rows, "Whiteouts") + (more if left else "")
