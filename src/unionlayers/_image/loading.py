"""Work that takes in many layers: indexing ahead of the questions, and verifying."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from unionlayers._codec.forward import Progress
from unionlayers._image.layer import Layer
from unionlayers._image.meter import Meter, StoppedError

__all__ = ["load_all", "load_in_turn"]

_MOST_THREADS = 4


def load_all(layers: Sequence[Layer], progress: Progress | None) -> None:
    """
    Index layers, several at once where there are cores for it, the largest first.

    What stops one of them, an interrupt of the waiting thread too, stops the others where they
    report next, and no thread is left when this returns.

    Args:
        layers: Layers of one image.
        progress: Is told of all of them together, as ``"layers"``.

    Raises:
        UnionLayersError: A layer cannot be read.
    """
    waiting = sorted(layers, key=lambda layer: -layer.size)
    meter = Meter(progress, sum(layer.size for layer in waiting), "layers")
    workers = min(len(waiting), os.cpu_count() or 1, _MOST_THREADS)
    if workers <= 1:
        for layer in waiting:
            _load(layer, meter)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="unionlayers") as pool:
        jobs: list[Future[None]] = []
        try:
            jobs += [pool.submit(_load, layer, meter) for layer in waiting]
            for job in as_completed(jobs):
                job.result()
        except StoppedError as error:
            pool.shutdown(wait=True, cancel_futures=True)
            raise _first(error, jobs) from None
        finally:
            # Nothing, where all is done; else the others stop where they report next.
            meter.stop()
            pool.shutdown(wait=True, cancel_futures=True)


def load_in_turn(layers: Sequence[Layer], progress: Progress | None) -> None:
    """
    Index layers one after the other.

    Args:
        layers: Layers of one image.
        progress: Is told of all of them together, as ``"verify"``.

    Raises:
        UnionLayersError: A layer cannot be read.
    """
    meter = Meter(progress, sum(layer.size for layer in layers), "verify")
    for layer in layers:
        _load(layer, meter)


def _load(layer: Layer, meter: Meter) -> None:
    report = meter.part(layer.size)
    layer.load(report)
    # One that was indexed before has reported nothing.
    report(layer.size, None, "")


def _first(stopped: StoppedError, jobs: Sequence[Future[None]]) -> BaseException:
    """Give what has stopped the work, where *stopped* only says that something did."""
    for job in jobs:
        other = None if job.cancelled() else job.exception()
        if other is not None and not isinstance(other, StoppedError):
            return other
    return stopped
