"""A bar of one line, cut into parts of the length of their values."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from attrs import frozen

from unionlayers._views.display.markup import amount

__all__ = ["Part", "bar"]

_MOST = 64
_WRITTEN = 0.03


@frozen
class Part:
    """
    One part of a bar.

    Attributes:
        size: Bytes.
        look: Class names of its colour.
        label: A few characters, as HTML.
        told: What it is, as HTML; the bytes are added.
    """

    size: int
    look: str
    label: str
    told: str


def bar(parts: Sequence[Part], title: str) -> str:
    """
    Give the bar, nothing if all parts are empty.

    Of very many parts the smallest are drawn as one.

    Args:
        parts: In their order; what is empty is not drawn.
        title: What the bar is, as text, for those who do not see it.
    """
    drawn = [part for part in parts if part.size > 0]
    total = sum(part.size for part in drawn)
    if not drawn:
        return ""
    rest = 0
    if len(drawn) > _MOST:
        least = sorted((part.size for part in drawn), reverse=True)[_MOST - 2]
        kept = [part for part in drawn if part.size > least]
        kept.extend([part for part in drawn if part.size == least][: _MOST - 1 - len(kept)])
        chosen = set(map(id, kept))
        rest = len(drawn) - len(kept)
        others = sum(part.size for part in drawn if id(part) not in chosen)
        drawn = [part for part in drawn if id(part) in chosen]
        drawn.append(Part(others, "f7", "…", f"{rest} smaller ones"))
    spans = "".join(
        f'<span class="{part.look}" style="flex-grow:{max(part.size * 10_000 // total, 1)}" '
        f'title="{part.told}: {amount(part.size)}">'
        f"{part.label if part.size >= _WRITTEN * total else ''}</span>"
        for part in drawn
    )
    largest = sorted(drawn, key=lambda part: -part.size)[:5]
    said = "; ".join(f"{part.told} {amount(part.size)}" for part in largest)
    return f'<div class="bar" role="img" aria-label="{escape(title)}: {said}">{spans}</div>\n'
