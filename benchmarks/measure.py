"""How a figure is measured: the sides in turn, CPU time of the process and its children."""

from __future__ import annotations

import gc
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence

from attrs import frozen

__all__ = ["Figure", "alternate", "calibrate", "command", "cpu", "peak_of", "ratio", "wall"]

Side = Callable[[], float]
"""Runs once and gives what it cost."""

_NOMINAL = 0.0365
"""Seconds of CPU that the calibration loop took on the machine for which the bars were set."""


@frozen(kw_only=True)
class Figure:
    """
    One line of the table.

    Attributes:
        name: What was measured.
        against: The yardstick, or the unit.
        value: The figure.
        bar: What it should not exceed (or reach, if *least*).
        least: Whether more is better.
        note: What a reader has to know.
    """

    name: str
    against: str
    value: float
    bar: float | None
    least: bool = False
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the bar is met."""
        if self.bar is None:
            return True
        return self.value >= self.bar if self.least else self.value <= self.bar


def cpu(work: Callable[[], object]) -> float:
    """Give the seconds of CPU that *work* takes in this process and in children it waits for."""
    gc.collect()
    before = _spent()
    kept = work()
    spent = _spent() - before
    del kept
    return spent


def wall(work: Callable[[], object]) -> float:
    """Give the seconds that *work* takes by the clock."""
    gc.collect()
    before = time.perf_counter()
    kept = work()
    spent = time.perf_counter() - before
    del kept
    return spent


def command(*words: str | os.PathLike[str]) -> Side:
    """Give a side that runs a command to its end, its output thrown away."""
    return lambda: cpu(lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL))


def alternate(rounds: int, *sides: Side) -> list[list[float]]:
    """Run the sides in turn, once unmeasured and then *rounds* times; give each side's costs."""
    for side in sides:
        side()
    costs: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for kept, side in zip(costs, sides, strict=True):
            kept.append(side())
    return costs


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Give the median of the ratios round by round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def calibrate(rounds: int) -> float:
    """
    Give how much slower this machine is now than the one for which the bars were set.

    A bar in seconds is multiplied by it, so that absolute times are judged as ratios too.
    """
    return statistics.median(cpu(_loop) for _ in range(max(rounds, 5))) / _NOMINAL


def peak_of(*words: str | os.PathLike[str]) -> int:
    """Give the peak of resident memory of a command in bytes."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{words} ended with {process.returncode}")
    return usage.ru_maxrss * 1024


def _spent() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _loop() -> int:
    table: dict[str, int] = {}
    total = 0
    for number in range(250_000):
        key = f"k{number & 1023}"
        total += table.get(key, number)
        table[key] = total & 0xFFFF
    return total
