"""Reading content: here and there in a layer, and all of it."""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

from benchmarks.inputs import Inputs
from benchmarks.measure import Figure, alternate, calibrate, cpu, ratio
from benchmarks.yardsticks import inflate_all, unpack_and_read, unzstd_all
from unionlayers import Image, UnionFS, open_image
from unionlayers._codec.random_access import RandomSource

__all__ = ["figures"]

_PIECE = 10_000
_READS = 60


def figures(inputs: Inputs, rounds: int) -> Iterator[Figure]:
    """Give the figures of reading."""
    slower = calibrate(rounds)
    layer = inputs.libraries
    with open_image([layer.gzip], verify=False) as image:
        content = _ready(image)
        yield Figure(
            name="checkpoints of gzip",
            against="MB for each GB of plain bytes",
            value=_held(image) / layer.size * 1e3,
            bar=4,
        )
        yield from _random_gzip(content, layer.gzip, layer.size, rounds, slower)
    with open_image([layer.zstd], verify=False) as image:
        content = _ready(image)
        yield Figure(
            name="checkpoints of zstd, windows of 2 MiB",
            against="percent of the blob",
            value=100 * _held(image) / layer.zstd.stat().st_size,
            bar=15,
        )
        here = [cpu(partial(_spots, content, seed, 10)) / 10 for seed in range(rounds)]
        start = [cpu(lambda: unzstd_all(layer.zstd)) / 2 for _ in range(rounds)]
        yield Figure(
            name="random 10 KB read, single-frame zstd",
            against="milliseconds",
            value=statistics.median(here) * 1e3 / slower,
            bar=30,
        )
        yield Figure(
            name="the same",
            against="times faster than from the start (half of the stream)",
            value=1 / ratio(here, start),
            bar=20 if inputs.full else None,
            least=True,
            note="grows with the layer; the bar is for 1.5 GB",
        )
    wide = inputs.wide(layer)
    with open_image([wide], verify=False) as image:
        content = _ready(image)
        yield Figure(
            name="checkpoints of zstd, windows of 8 MiB",
            against="percent of the blob",
            value=100 * _held(image) / wide.stat().st_size,
            bar=15,
        )
        here = [cpu(partial(_spots, content, seed, 10)) / 10 for seed in range(rounds)]
        yield Figure(
            name="random 10 KB read, single-frame zstd, windows of 8 MiB",
            against="milliseconds",
            value=statistics.median(here) * 1e3 / slower,
            bar=30,
            note="64 MiB lie between checkpoints that hold 8 MiB each: closer ones would take up "
            "more than 15 % of the blob",
        )
    yield from _all_files(inputs, rounds)


def _held(image: Image) -> int:
    """Give the bytes that the checkpoints of the one layer hold, as they are stored."""
    content = image.layers[0].content()
    assert isinstance(content, RandomSource)
    return sum(len(point.window) for point in content.checkpoints)


def _ready(image: Image) -> UnionFS:
    """Give a view whose checkpoints are made."""
    view = image.fs()
    for path, _ in view.find(order="storage"):
        view.readbytes(path)
    return view


class _Spots:
    """Random stretches of the files of a view."""

    def __init__(self, view: UnionFS) -> None:
        self.view = view
        self.files = [(path, info.size) for path, info in view.find() if info.size > _PIECE]
        self.sizes = [size for _, size in self.files]


def _spots(view: UnionFS, seed: int, count: int) -> int:
    chance = random.Random(seed)
    spots = _known(view)
    total = 0
    for path, length in chance.choices(spots.files, spots.sizes, k=count):
        with view.openbin(path) as file:
            file.seek(chance.randint(0, length - _PIECE))
            total += len(file.read(_PIECE))
    return total


_spots_of: dict[int, _Spots] = {}


def _known(view: UnionFS) -> _Spots:
    return _spots_of.setdefault(id(view), _Spots(view))


def _random_gzip(
    view: UnionFS, path: Path, size: int, rounds: int, slower: float
) -> Iterator[Figure]:
    import indexed_gzip

    with indexed_gzip.IndexedGzipFile(str(path), spacing=4 << 20, buffer_size=1 << 16) as peer:
        peer.build_full_index()

        def theirs(seed: int) -> int:
            chance = random.Random(seed)
            total = 0
            for _ in range(_READS):
                peer.seek(chance.randint(0, size - _PIECE))
                total += len(peer.read(_PIECE))
            return total

        _spots(view, 0, 1)
        ours, other = [], []
        for seed in range(rounds):
            ours.append(cpu(partial(_spots, view, seed, _READS)))
            other.append(cpu(partial(theirs, seed)))
    yield Figure(
        name="random 10 KB read, gzip, checkpoints every 4 MiB",
        against="milliseconds",
        value=statistics.median(ours) / _READS * 1e3 / slower,
        bar=5,
    )
    yield Figure(
        name="the same", against="indexed_gzip, same spacing", value=ratio(ours, other), bar=0.8
    )


def _all_files(inputs: Inputs, rounds: int) -> Iterator[Figure]:
    layer = inputs.modules

    def ours(order: Literal["path", "storage"], store: str | None = None) -> int:
        total = 0
        kept: str | Literal[False] = store if store is not None else False
        with open_image([layer.gzip], verify=store is not None, index_store=kept) as image:
            view = image.fs()
            for path, _ in view.find(order=order):
                total += len(view.readbytes(path))
        return total

    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as at,
        tempfile.TemporaryDirectory() as store,
    ):
        with open_image([layer.gzip], index_store=store) as image:
            image.prepare()
        stored, sorted_by_path, known_stored, known_path, theirs = alternate(
            rounds,
            lambda: cpu(lambda: ours("storage")),
            lambda: cpu(lambda: ours("path")),
            lambda: cpu(lambda: ours("storage", store)),
            lambda: cpu(lambda: ours("path", store)),
            lambda: cpu(lambda: unpack_and_read(layer.gzip, Path(at) / "tree")),
        )
    against = "tar -xzf into memory, then reading the files"
    twice = "the layer is decompressed twice, for its index and for its content"
    for name, costs, bar, note in (
        ("all files, tar order, index in a store", known_stored, 0.3, ""),
        ("all files, path order, index in a store", known_path, 0.5, ""),
        ("all files, tar order, nothing known before", stored, 0.3, twice),
        ("all files, path order, nothing known before", sorted_by_path, 0.5, twice),
    ):
        yield Figure(name=name, against=against, value=ratio(costs, theirs), bar=bar, note=note)
    again = statistics.median(cpu(lambda: inflate_all(layer.gzip)) for _ in range(rounds))
    yield Figure(
        name="all files, tar order, nothing known before",
        against="isal over the whole stream",
        value=statistics.median(stored) / again,
        bar=None,
    )
