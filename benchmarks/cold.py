"""The first look at a layer: one pass over its bytes."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any
from unittest import mock

from benchmarks.inputs import Inputs, Layer
from benchmarks.measure import Figure, alternate, calibrate, command, cpu, ratio, wall
from benchmarks.passes import index, index_and_store, pass_with_checkpoints
from benchmarks.yardsticks import inflate_all, names_by_tarfile, ratarmount_index, unzstd_all

__all__ = ["figures"]

_FAST_US, _PLAIN_US = 4, 8


def plainly(work: Callable[[], object]) -> float:
    """Give the seconds of CPU that *work* takes without NumPy."""
    hidden: dict[str, Any] = {"numpy": None}
    with mock.patch.dict(sys.modules, hidden):
        return cpu(work)


def figures(inputs: Inputs, rounds: int) -> Iterator[Figure]:
    """Give the figures of the cold index."""
    import_module("numpy")
    slower = calibrate(rounds)
    for layer in (inputs.libraries, inputs.modules, inputs.tiny):
        yield from _layer(layer, rounds, slower * 1e-6)
    modules = inputs.modules
    ours, whole, listing, plain, peer = alternate(
        rounds,
        command(sys.executable, "-m", "benchmarks.worker", "checkpoints", modules.gzip),
        command(sys.executable, "-m", "benchmarks.worker", "index", modules.gzip),
        command("tar", "-tzf", modules.gzip),
        lambda: cpu(lambda: names_by_tarfile(modules.gzip)),
        lambda: cpu(lambda: ratarmount_index(modules.gzip)),
    )
    for what, costs, bars in (
        (f"whole process: index and checkpoints of {modules.name}", ours, (0.5, 0.35, 0.4)),
        ("the same with both digests, into a store", whole, (None, None, None)),
    ):
        for against, theirs, bar in zip(
            ("tar -tzf", "tarfile", "ratarmount's index"), (listing, plain, peer), bars, strict=True
        ):
            yield Figure(name=what, against=against, value=ratio(costs, theirs), bar=bar)


def _layer(layer: Layer, rounds: int, microsecond: float) -> Iterator[Figure]:
    fast = layer.entries * _FAST_US * microsecond
    free = layer.entries * _PLAIN_US * microsecond
    vectors, entered, bare, full, both, whole = alternate(
        rounds,
        lambda: cpu(lambda: index(layer.gzip, verify=False)),
        lambda: cpu(lambda: pass_with_checkpoints(layer.gzip)),
        lambda: plainly(lambda: index(layer.gzip, verify=False)),
        lambda: cpu(lambda: index_and_store(layer.gzip)),
        lambda: cpu(lambda: index(layer.gzip, verify=True)),
        lambda: cpu(lambda: inflate_all(layer.gzip)),
    )

    def share(
        ours: list[float], times: float, allowed: float, stream: list[float] = whole
    ) -> float:
        """Give the cost as a share of what the bar allows."""
        return statistics.median(
            a / (times * b + allowed) for a, b in zip(ours, stream, strict=True)
        )

    def apiece(ours: list[float]) -> str:
        beside = statistics.median(a - b for a, b in zip(ours, whole, strict=True))
        return f"{beside / layer.entries / microsecond:.1f} µs an entry beside isal"

    many = layer.entries > 10_000
    for name, costs, times, apart, bar in (
        ("metadata only, with `fast`", vectors, 1.1, _FAST_US, 1),
        ("checkpoints every 4 MiB, with `fast`", entered, 1.5, _FAST_US, 1),
        ("metadata only, without NumPy", bare, 1.1, _PLAIN_US, 1),
        ("both digests, with `fast`", both, 2.5, _FAST_US, 1),
        ("both digests, checkpoints, into a store", full, 2.5, _FAST_US, None),
    ):
        yield Figure(
            name=f"cold index of {layer.name}, gzip, {name}",
            against=f"{times} × isal over the whole stream and {apart} µs an entry",
            value=share(costs, times, fast if apart == _FAST_US else free),
            bar=bar,
            note=apiece(costs) if many and costs in (vectors, bare) else "",
        )
    quick, checked = alternate(
        rounds,
        lambda: wall(lambda: index(layer.gzip, verify=False)),
        lambda: wall(lambda: index(layer.gzip, verify=True)),
    )
    yield Figure(
        name=f"cold index of {layer.name} with both digests, wall",
        against="without digests, wall",
        value=ratio(checked, quick),
        bar=1.3,
        note="needs two idle cores",
    )
    framed, stream = alternate(
        rounds,
        lambda: cpu(lambda: index(layer.zstd, verify=False)),
        lambda: cpu(lambda: unzstd_all(layer.zstd)),
    )
    yield Figure(
        name=f"cold index of {layer.name}, zstd, metadata only, with `fast`",
        against=f"1.15 × zstd over the whole stream and {_FAST_US} µs an entry",
        value=share(framed, 1.15, fast, stream),
        bar=1,
    )
