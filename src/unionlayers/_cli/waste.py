"""``unionlayers waste`` and ``sizes``: where bytes are, and which are shipped for nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import click
from attrs import frozen

from unionlayers._cli.faults import NO, close_to
from unionlayers._cli.opening import Opening, Session
from unionlayers._cli.options import SIZE, image_argument, json_option, opening_options
from unionlayers._cli.origins import step_document
from unionlayers._cli.output import Output, count, size_text, step_text
from unionlayers._foundation.names import printable
from unionlayers._image.config import Step
from unionlayers._image.waste import Waste

__all__ = ["Budget", "sizes", "waste"]

_KINDS = ("shadowed", "deleted", "rewritten", "duplicates")


@frozen
class Budget:
    """
    A bound on waste.

    Attributes:
        name: ``"total"``, one of the kinds, ``"share"`` (0 to 1) or ``"efficiency"``.
        bound: The most, or for the efficiency the least, that is still good.
    """

    name: str
    bound: float

    @classmethod
    def of(cls, text: str) -> Budget:
        """
        Read ``20M``, ``deleted=1M`` or ``share=5%``.

        Raises:
            click.BadParameter: It is none of these.
        """
        name, sign, value = text.rpartition("=")
        name = name if sign else "total"
        known = ("total", *_KINDS, "share")
        if name not in known:
            near = close_to(name, known)
            raise click.BadParameter(f"there is no {name!r}; {near or ', '.join(known)}")
        if name != "share":
            return cls(name, float(SIZE.convert(value, None, None)))
        part = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", value)
        if part is None or not 0 <= float(part[1]) <= (100 if part[2] else 1):
            raise click.BadParameter(f"{value!r} is no share; write 5% or 0.05")
        return cls(name, float(part[1]) / (100 if part[2] else 1))

    def actual(self, waste: Waste) -> float:
        """Give what it is a bound of."""
        return float(getattr(waste, self.name))

    def kept(self, waste: Waste) -> bool:
        """Tell whether the waste is within it."""
        actual = self.actual(waste)
        return actual >= self.bound if self.name == "efficiency" else actual <= self.bound

    def told(self, waste: Waste) -> str:
        """Say by how much it is passed."""
        actual = self.actual(waste)
        if self.name == "efficiency":
            return f"the efficiency is {actual:.4f}, and at least {self.bound:.4f} was asked for"
        if self.name == "share":
            return f"the share is {actual:.2%}, and at most {self.bound:.2%} was asked for"
        most = count(int(self.bound), "byte")
        return f"{self.name}: {count(int(actual), 'byte')}, and at most {most}"


def _budgets(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[Budget, ...]:
    return tuple(map(Budget.of, values))


@click.command()
@image_argument()
@click.option("--max", "budgets", multiple=True, callback=_budgets, metavar="[NAME=]SIZE",
              help="Budget: 20M in all, deleted=1M of one kind, share=5%.")  # fmt: skip
@click.option("--min-efficiency", "--lowestEfficiency", "efficiency", type=click.FloatRange(0, 1),
              help="Budget by the score of dive.")  # fmt: skip
@click.option("--by", type=click.Choice(["item", "directory", "layer", "step"]), default="item",
              show_default=True, help="What a line is about.")  # fmt: skip
@click.option("--top", type=click.IntRange(0), default=20, show_default=True,
              help="How many lines; 0 is all.")  # fmt: skip
@click.option(
    "--no-duplicates", is_flag=True, help="Do not look for equal files, which reads them."
)
@json_option
@opening_options
def waste(
    opening: Opening,
    image: str,
    budgets: tuple[Budget, ...],
    efficiency: float | None,
    by: str,
    top: int,
    no_duplicates: bool,
    as_json: bool,
) -> int:
    """
    Say which bytes IMAGE ships for nothing: shadowed, deleted, rewritten, duplicates.

    Ends with 1 if a budget is passed.  --json has all items, whatever --by and --top say.
    """
    if efficiency is not None:
        if math.isnan(efficiency):
            raise click.BadParameter("nan is no number from 0 to 1", param_hint="--min-efficiency")
        budgets = (*budgets, Budget("efficiency", efficiency))
    session = Session.of(opening, json=as_json)
    with session.image(image, index=True) as opened:
        found = opened.waste(layers=opening.indexes(opened), duplicates=not no_duplicates)
        passed = [budget for budget in budgets if not budget.kept(found)]
        if as_json:
            session.out.document("waste", _document(found, budgets))
        else:
            _write(session.out, found, by, top)
            for budget in passed:
                session.out.line(f"over budget: {budget.told(found)}")
    return NO if passed else 0


@click.command()
@image_argument()
@click.option("--by", type=click.Choice(["layer", "directory", "step"]), default="layer",
              show_default=True, help="What a line is about.")  # fmt: skip
@click.option("--top", type=click.IntRange(0), default=20, show_default=True,
              help="How many directories or steps; 0 is all.")  # fmt: skip
@json_option
@opening_options
def sizes(opening: Opening, image: str, by: str, top: int, as_json: bool) -> None:
    """
    Say where the bytes of IMAGE are: by layer, by directory or by build step.

    Content counts, each inode once.  --json has all three, whatever --by and --top say.
    """
    session = Session.of(opening, json=as_json)
    out = session.out
    with session.image(image, index=True) as opened:
        found = opened.sizes(layers=opening.indexes(opened))
    if as_json:
        layers = [
            {
                "layer": one.layer,
                "stored": one.stored,
                "shipped": one.shipped,
                "shown": one.shown,
                "entries": one.entries,
                "shown_entries": one.shown_entries,
                "step": step_document(one.step),
            }
            for one in found.by_layer
        ]
        members = {"total": found.total, "shipped": found.shipped, "by_layer": layers}
        steps = [{"step": step_document(step), "size": size} for step, size in _steps(found)]
        out.document("sizes", {**members, "by_directory": dict(found.by_directory),
                               "by_step": steps})  # fmt: skip
        return
    if by == "layer":
        out.table(
            ("layer", "stored", "shipped", "shown", "entries", "made by"),
            [
                (
                    str(one.layer),
                    size_text(one.stored),
                    size_text(one.shipped),
                    size_text(one.shown),
                    str(one.entries),
                    _step_text(one.step),
                )
                for one in found.by_layer
            ],
            right=("layer", "stored", "shipped", "shown", "entries"),
            empty="no layers",
        )
    elif by == "directory":
        _pairs(out, "directory", ((printable(p), s) for p, s in found.by_directory.items()), top)
    else:
        _pairs(out, "made by", ((_step_text(step), size) for step, size in _steps(found)), top)
    out.line(f"\n{count(found.total, 'byte')} shown, {count(found.shipped, 'byte')} shipped")


def _steps(found: Any) -> Iterator[tuple[Step | None, int]]:
    yield from found.by_step.items()


def _write(out: Output, found: Waste, by: str, top: int) -> None:
    if by == "item":
        items = found.items[: top or None]
        out.table(
            ("size", "what", "layer", "by layer", "path"),
            [
                (
                    size_text(item.size),
                    item.kind,
                    str(item.layer),
                    str(item.caused_by),
                    printable(item.path)
                    + (f" (as {printable(item.same_as)})" if item.kind == "duplicates"
                       and item.same_as else ""),
                )
                for item in items
            ],
            right=("size", "layer", "by layer"),
            empty="nothing is shipped for nothing",
        )  # fmt: skip
        if len(found.items) > len(items):
            out.line(f"and {len(found.items) - len(items)} smaller ones (--top 0 has all)")
    elif by == "layer":
        _pairs(out, "layer", ((str(key), size) for key, size in found.by_layer.items()), top)
    elif by == "directory":
        _pairs(out, "directory", ((printable(p), s) for p, s in found.by_directory.items()), top)
    else:
        _pairs(out, "made by", ((_step_text(step), s) for step, s in found.by_step.items()), top)
    kinds = ", ".join(f"{size_text(size)} {kind}" for kind, size in found.by_kind.items())
    of = f"{size_text(found.total)} of {size_text(found.shipped)} ({found.share:.1%})"
    out.line(f"\n{of} for nothing: {kinds}; dive's efficiency {found.efficiency:.4f}")


def _pairs(out: Output, heading: str, pairs: Iterator[tuple[str, int]], top: int) -> None:
    rows = [(size_text(size), name) for name, size in pairs]
    shown = rows[: top or None]
    out.table(("size", heading), shown, right=("size",), empty="nothing")
    if len(rows) > len(shown):
        out.line(f"and {len(rows) - len(shown)} smaller ones (--top 0 has all)")


def _step_text(step: Step | None) -> str:
    return "-" if step is None else step_text(step.created_by)


def _document(found: Waste, budgets: tuple[Budget, ...]) -> dict[str, Any]:
    return {
        "total": found.total,
        "shipped": found.shipped,
        "share": found.share,
        "efficiency": found.efficiency,
        "by_kind": dict(found.by_kind),
        "items": [
            {
                "kind": item.kind,
                "path": item.path,
                "layer": item.layer,
                "entry": item.entry,
                "size": item.size,
                "caused_by": item.caused_by,
                "step": step_document(item.step),
                "same_as": item.same_as,
            }
            for item in found.items
        ],
        "budgets": [
            {
                "name": budget.name,
                "bound": budget.bound,
                "actual": budget.actual(found),
                "kept": budget.kept(found),
            }
            for budget in budgets
        ],
    }
