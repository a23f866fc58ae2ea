"""What a process costs: memory and imports."""

from __future__ import annotations

import gc
import statistics
import sys
import tracemalloc
from collections.abc import Iterator

from benchmarks.inputs import Inputs, Layer
from benchmarks.measure import Figure, alternate, calibrate, command, peak_of
from benchmarks.tree import core_walk
from unionlayers import open_image

__all__ = ["figures"]


def _held_after_walk(layer: Layer) -> float:
    """Give the bytes an entry that are held when every directory was visited once."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    with open_image([layer.tar], verify=False) as image:
        union = image.union()
        core_walk(union)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return held / layer.entries


def figures(inputs: Inputs, rounds: int) -> Iterator[Figure]:
    """Give the figures of whole processes."""
    slower = calibrate(rounds)
    for layer, bar in ((inputs.modules, 200), (inputs.tiny, 600)):
        peak = peak_of(sys.executable, "-m", "benchmarks.worker", "index", layer.gzip)
        yield Figure(
            name=f"peak memory, cold index of {layer.name}, {layer.entries:,} entries",
            against="megabytes",
            value=peak / 1e6,
            bar=bar if inputs.full else None,
        )
    layer = inputs.modules
    yield Figure(
        name=f"memory after a full walk of {layer.name}, index included",
        against="bytes an entry",
        value=_held_after_walk(layer),
        bar=200,
    )
    ours, empty = alternate(
        max(rounds, 9),
        command(sys.executable, "-c", "import unionlayers"),
        command(sys.executable, "-c", "pass"),
    )
    yield Figure(
        name="import unionlayers",
        against="milliseconds",
        value=statistics.median(a - b for a, b in zip(ours, empty, strict=True)) * 1e3 / slower,
        bar=60,
    )
