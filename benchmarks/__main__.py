"""
Run the benchmarks: ``make bench``, or ``python -m benchmarks --full`` for the published figures.

Every figure is a ratio against a yardstick that runs in turn with it, in CPU time, the median of
the rounds; times stand beside a calibration loop of the same run and are scaled by it.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import cold, process, reads, tree
from benchmarks.inputs import Inputs
from benchmarks.measure import Figure, calibrate

ROOMS = {
    "cold": cold.figures,
    "reads": reads.figures,
    "tree": tree.figures,
    "process": process.figures,
}


def main() -> int:
    """Measure, print the table, and write it where asked."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("rooms", nargs="*", metavar="room", help=f"of {', '.join(ROOMS)}; all")
    parser.add_argument("--full", action="store_true", help="the sizes of the published figures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--inputs", type=Path, default=Path(tempfile.gettempdir()) / "unionlayers-bench"
    )
    parser.add_argument("--write", type=Path, help="a Markdown file for the table")
    chosen = parser.parse_args()
    inputs = Inputs(chosen.inputs, full=chosen.full)
    found: list[Figure] = []
    started = time.monotonic()
    for room in chosen.rooms or ROOMS:
        for figure in ROOMS[room](inputs, chosen.rounds):
            found.append(figure)
            print(_line(figure), flush=True)
    print(f"{time.monotonic() - started:.0f} s in all")
    if chosen.write:
        chosen.write.write_text(_page(found, chosen.full, chosen.rounds), encoding="utf-8")
    return 0


def _line(figure: Figure) -> str:
    return " | ".join(("", *_cells(figure), "")).strip()


def _cells(figure: Figure) -> tuple[str, ...]:
    if figure.bar is None:
        bar = ""
    else:
        bar = (
            f"{'≥' if figure.least else '≤'} {figure.bar:g}{'' if figure.holds else ' **missed**'}"
        )
    return figure.name, figure.against, f"{figure.value:.3g}", bar, figure.note


def _page(found: list[Figure], full: bool, rounds: int) -> str:
    sizes = "the full" if full else "small"
    machine = f"CPython {platform.python_version()} on {sys.platform} {platform.machine()}"
    made = (
        f"Made by `make bench` with {sizes} inputs and {rounds} rounds, {machine}, on a virtual "
        "machine of two cores that others used too; the calibration loop took "
        f"{calibrate(rounds):.2f} of its nominal time."
    )
    ratios = (
        "Figures are ratios of CPU time, ours to the yardstick, run in turn, medians of the "
        "rounds; smaller is better unless the bar says ≥."
    )
    times = (
        "Milliseconds and microseconds are CPU time divided by how much slower than nominal the "
        "calibration loop ran in the same run, and so are the microseconds allowed for an entry."
    )
    lines = (
        "# Benchmarks",
        "",
        made,
        "",
        ratios,
        times,
        "Figures that say *wall* are by the clock, and want an idle machine.",
        "",
        "| what | against | figure | bar | note |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {' | '.join(_cells(figure))} |" for figure in found),
        "",
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
