"""Looking things up and walking: the union, and the filesystem over it."""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.inputs import Inputs
from benchmarks.measure import Figure, alternate, calibrate, cpu, ratio
from benchmarks.yardsticks import walk_and_lstat
from unionlayers import Image, diff, open_image
from unionlayers._layers.resolution import resolve
from unionlayers._layers.scan import scan
from unionlayers._layers.union import Union

__all__ = ["figures"]

_LOOKUPS = 2000


def core_walk(union: Union) -> int:
    """Visit every name of a union with its metadata, as os.walk and lstat do."""
    return sum(len(found) for _, found in scan(union))


def figures(inputs: Inputs, rounds: int) -> Iterator[Figure]:
    """Give the figures of the union."""
    slower = calibrate(rounds)
    layer = inputs.modules
    real = inputs.extracted(layer)
    with open_image([layer.tar], verify=False) as image:
        image.prepare()
        yield from _walks(image, real, "one layer", 8, rounds)
        walk, core = alternate(
            rounds,
            lambda: cpu(lambda: sum(1 for _ in image.fs().walk.files())),
            lambda: cpu(lambda: core_walk(image.union())),
        )
        yield Figure(
            name="UnionFS.walk.files(), one layer",
            against="walk of the union with metadata",
            value=ratio(walk, core),
            bar=2,
        )
    with open_image(inputs.stack(10), verify=False) as image:
        image.prepare()
        yield from _walks(image, real, "ten layers", 4, rounds)
        ten = _resolving(image, rounds)
    yield Figure(
        name="resolve a path, ten layers, warm",
        against="microseconds",
        value=statistics.median(ten[0]) * 1e6 / slower,
        bar=8,
    )
    yield Figure(
        name="resolve the same path again",
        against="microseconds",
        value=statistics.median(ten[1]) * 1e6 / slower,
        bar=0.5,
    )
    with (
        open_image(inputs.stack(10), verify=False) as few,
        open_image(inputs.stack(120), verify=False) as many,
    ):
        few.prepare()
        many.prepare()
        deep = ratio(_resolving(many, rounds)[0], _resolving(few, rounds)[0])
    yield Figure(
        name="resolve a path that one layer has, 120 layers, warm",
        against="10 layers",
        value=deep,
        bar=1.5,
    )
    yield from _warm(inputs, rounds, slower)
    yield from _diff(inputs, rounds, slower)


def _walks(image: Image, real: Path, what: str, bar: float, rounds: int) -> Iterator[Figure]:
    counted = core_walk(image.union())
    ours, theirs = alternate(
        rounds,
        lambda: cpu(lambda: core_walk(image.union())),
        lambda: cpu(lambda: walk_and_lstat(real)),
    )
    names = walk_and_lstat(real)
    yield Figure(
        name=f"walk with metadata, {what}",
        against="os.walk + lstat of the extracted tree, names a second",
        value=1 / ratio([cost / counted for cost in ours], [cost / names for cost in theirs]),
        bar=bar,
        least=True,
        note=f"{counted / statistics.median(ours) / 1e6:.2f} million names a second",
    )


def _resolving(image: Image, rounds: int) -> tuple[list[float], list[float]]:
    union = image.union()
    paths = [path for path, _ in image.fs().find()]
    some = random.Random(3).sample(paths, min(_LOOKUPS, len(paths)))
    for path in some:
        resolve(union, path)
    first, again = [], []
    for _ in range(rounds):
        fresh = image.union()
        for path in some:
            resolve(fresh, path.rpartition("/")[0])
        # Warm: the directories are merged, the paths themselves were not asked for.
        ask = partial(_resolve_all, fresh, some)
        first.append(cpu(ask) / len(some))
        again.append(cpu(ask) / len(some))
    return first, again


def _resolve_all(union: Union, paths: list[str]) -> None:
    for path in paths:
        resolve(union, path)


def _warm(inputs: Inputs, rounds: int, slower: float) -> Iterator[Figure]:
    layer = inputs.hundred_thousand
    with tempfile.TemporaryDirectory() as folder:
        with open_image([layer.gzip], index_store=folder) as image:
            image.prepare()
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())

        def warm() -> object:
            with open_image([layer.gzip], index_store=folder) as image:
                return image.fs().getinfo("app/node_modules/package-3", ["details"]).size

        warm()
        costs = [cpu(warm) for _ in range(max(rounds, 9))]
    yield Figure(
        name=f"warm open and first stat, {layer.entries:,} entries",
        against="milliseconds",
        value=statistics.median(costs) * 1e3 / slower,
        bar=2,
    )
    yield Figure(name="index on disk", against="bytes an entry", value=size / layer.entries, bar=75)


def _diff(inputs: Inputs, rounds: int, slower: float) -> Iterator[Figure]:
    base = inputs.hundred_thousand
    uppers = [inputs.upper(number) for number in (1, 2)]
    with tempfile.TemporaryDirectory() as folder:

        def opened(upper: Path) -> Image:
            return open_image([base.gzip, upper], index_store=folder)

        for upper in uppers:
            with opened(upper) as image:
                image.prepare()

        def compared() -> int:
            with opened(uppers[0]) as one, opened(uppers[1]) as other:
                return len(diff(one, other))

        changes = compared()
        costs = [cpu(compared) for _ in range(rounds)]
    yield Figure(
        name=f"diff of two images of {base.entries:,} entries with one base, warm index",
        against="milliseconds",
        value=statistics.median(costs) * 1e3 / slower,
        bar=1000,
        note=f"{changes:,} changes",
    )
