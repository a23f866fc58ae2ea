"""What lists show of themselves: changes, hidden entries, waste, and the images of a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import nlargest
from itertools import islice

from unionlayers._image.change_tables import causes_of, facts_of
from unionlayers._image.changes import Changes
from unionlayers._image.hidden import Hidden
from unionlayers._image.summary import ImageSummary
from unionlayers._image.waste import Waste
from unionlayers._views.display.bar import Part, bar
from unionlayers._views.display.hidden_bytes import HiddenBytes, hidden_bars
from unionlayers._views.display.markup import (
    amount,
    block,
    counted,
    foldable,
    note,
    page,
    text,
)
from unionlayers._views.display.palette import chip
from unionlayers.errors import UnionLayersError

__all__ = ["changes_page", "hidden_page", "images_page", "waste_page"]

_MOST_ROWS = 100
_MOST_COUNTED = 10_000
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_KIND_LOOKS = {"shadowed": "g0", "deleted": "g1", "rewritten": "g2", "duplicates": "g3"}


def changes_page(changes: Changes) -> str:
    """
    Give the page of changes; no more are found than are counted on it.

    Files of one size are compared to find a change, so that a page may read content.
    """
    title = f"Changes from {text(changes.left)} to {text(changes.right)}"
    parts = [note(text(told, 400)) for told in changes.notes]
    try:
        found = list(islice(changes, _MOST_COUNTED + 1))
    except UnionLayersError as error:
        told = f"<strong>{type(error).__name__}</strong>: {text(error, 400)}"
        return page(title, [*parts, f'<p class="error">{told}</p>\n'])
    if not found:
        return page(title, [*parts, note("Nothing differs.")])
    kinds: Counter[str] = Counter(change.kind for change in found[:_MOST_COUNTED])
    more = len(found) > _MOST_COUNTED
    marks = ", ".join(
        f"{_mark(kind)} {'more than ' if more else ''}{kinds[kind]:,}"
        for kind in _SIGNS
        if kind in kinds
    )
    rows = [
        (
            _mark(change.kind),
            f"<code>{text(change.path)}</code>",
            _told(text(fact) for fact in facts_of(change)),
            _side_chips(change.left.layer, change.right.layer),
            _told(text(cause, 200) for cause in causes_of(change)),
        )
        for change in found[:_MOST_ROWS]
    ]
    head = ("change", "path", "what", "layers", "where from")
    parts.extend((f"<p>{marks}</p>\n", block(head, rows, "Changes, by path")))
    if len(found) > len(rows):
        left = f"at least {len(found) - len(rows):,}" if more else f"{len(found) - len(rows):,}"
        parts.append(note(f"… {left} more: iterate, or <code>to_html()</code>, for all."))
    return page(title, parts)


def _mark(kind: str) -> str:
    return f'<span class="kind">{_SIGNS[kind]} {kind}</span>'


def _side_chips(left: int | None, right: int | None) -> str:
    sides = ("–" if layer is None else chip(layer) for layer in (left, right))
    return f'<span class="one">{" → ".join(sides)}</span>'


def _told(lines: Iterable[str]) -> str:
    return f'<span class="told">{"<br>".join(lines)}</span>'


def hidden_page(hidden: Hidden) -> str:
    """Give the page of what is hidden, the largest first."""
    sizes: Counter[str] = Counter()
    entries: Counter[str] = Counter()
    for entry in hidden.entries:
        entries[entry.reason] += 1
        if entry.seen_as is None:
            sizes[entry.reason] += entry.size
    largest = nlargest(_MOST_ROWS, hidden.entries, key=lambda entry: entry.size)
    rows = [
        (
            f"<code>{text(entry.path)}</code>",
            entry.type,
            amount(entry.size),
            chip(entry.layer),
            chip(entry.hidden_by),
            entry.reason
            + (f", seen as <code>{text(entry.seen_as)}</code>" if entry.seen_as else ""),
        )
        for entry in largest
    ]
    parts = [hidden_bars(HiddenBytes(sizes, entries))]
    if rows:
        head = ("path", "type", "size", "in layer", "hidden by", "reason")
        table = block(head, rows, "Hidden entries, the largest first", numeric=(2,))
        left = len(hidden) - len(rows)
        more = note(f"… {left:,} smaller ones: iterate for all.") if left else ""
        parts.append(foldable("The largest", table + more, opened=True))
    return page("Shipped and not shown", parts)


def waste_page(waste: Waste) -> str:
    """Give the page of what is shipped for nothing."""
    share = f"{waste.share:.1%}"
    told = f"{amount(waste.total)} of {amount(waste.shipped)} ({share}) are shipped for nothing."
    parts = [f"<p>{told}</p>\n"]
    if not waste.items:
        return page("Waste", parts)
    kinds = waste.by_kind
    parts.append(
        bar(
            [Part(size, _KIND_LOOKS[kind], kind, kind) for kind, size in kinds.items()],
            "Waste by kind",
        )
    )
    parts.append(
        "<p>"
        + " ".join(
            f'<span class="chip {_KIND_LOOKS[kind]}">{kind}</span> {amount(size)}'
            for kind, size in kinds.items()
        )
        + "</p>\n"
    )
    steps = list(waste.by_step.items())
    rows = [
        (
            "unknown"
            if step is None
            else f"<code>{text(' '.join(step.created_by.split()) or 'unknown')}</code>",
            "" if step is None or step.layer is None else chip(step.layer),
            amount(size),
        )
        for step, size in steps[:20]
    ]
    parts.append(
        foldable(
            "By build step",
            block(
                ("build step that made them useless", "layer", "bytes"),
                rows,
                "Waste by build step",
                numeric=(2,),
            )
            + _more(steps, rows),
            opened=True,
        )
    )
    lines = [
        (
            f'<span class="chip {_KIND_LOOKS[item.kind]}">{item.kind}</span>',
            f"<code>{text(item.path)}</code>",
            amount(item.size),
            chip(item.layer),
            chip(item.caused_by),
            f"<code>{text(item.same_as)}</code>" if item.same_as else "",
        )
        for item in waste.items[:_MOST_ROWS]
    ]
    head = ("kind", "path", "bytes", "in layer", "because of", "same as")
    table = block(head, lines, "Waste, the largest first", numeric=(2,))
    parts.append(foldable("The largest", table + _more(waste.items, lines)))
    return page("Waste", parts)


def _more(whole: Sequence[object], shown: Sequence[object]) -> str:
    left = len(whole) - len(shown)
    return note(f"… {left:,} smaller ones.") if left else ""


def images_page(images: Iterable[ImageSummary]) -> str:
    """Give the page of what a source holds."""
    found = list(images)
    rows = [
        (
            _names(image.references),
            text(image.kind),
            text(image.platform or "") + (f" {text(image.os_version)}" if image.os_version else ""),
            _short(image.digest or image.id),
            _state(image),
        )
        for image in found[:_MOST_ROWS]
    ]
    if not rows:
        return page("Images", [note("The source holds no image.")])
    head = ("references", "kind", "platform", "digest", "state")
    parts = [block(head, rows, "Images of a source")]
    left = len(found) - len(rows)
    if left:
        parts.append(note(f"… {counted(left, 'item')} more: iterate for all."))
    return page(counted(len(found), "item"), parts)


def _names(references: Sequence[str]) -> str:
    shown = "<br>".join(f"<code>{text(name)}</code>" for name in references[:4])
    left = len(references) - 4
    return shown + (f"<br>… {left:,} more" if left > 0 else "")


def _short(digest: str | None) -> str:
    if digest is None:
        return ""
    return f'<code title="{text(digest)}">{text(digest[:19])}</code>'


def _state(image: ImageSummary) -> str:
    if image.error is not None:
        return f"{type(image.error).__name__}: {text(image.error, 200)}"
    if image.present:
        return "complete"
    return f"lacks {counted(len(image.missing), 'blob')}" if image.missing else "incomplete"
