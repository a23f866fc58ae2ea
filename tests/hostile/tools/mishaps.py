"""
What can go wrong around an image: interrupts at any line, and an image that meets every path.

`interrupted` raises KeyboardInterrupt when a chosen line of this library is about to run, which is
what Ctrl-C does there, but as often as one likes and at the same place each time.
"""

from __future__ import annotations

import dis
import gc
import os
import random
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import unionlayers
from unionlayers.testing import (
    ImageDescription,
    LayerDescription,
    directory,
    file,
    hardlink,
    layer,
    oci_archive,
    symlink,
    whiteout,
)

__all__ = [
    "everywhere",
    "in_child",
    "in_time",
    "interrupted",
    "lines_of",
    "nothing_left",
    "varied_image",
]

HOME = str(Path(unionlayers.__file__).parent)
Line = tuple[str, int]


@cache
def varied_image() -> bytes:
    """Give an image whose layers take a thread to hash, several pages, and a temporary file."""
    dice = random.Random(11)
    words = [dice.randbytes(dice.randint(3, 12)) for _ in range(300)]

    def text(size: int) -> bytes:
        return b"".join(dice.choices(words, k=size // 7))

    return oci_archive(
        ImageDescription(
            [
                LayerDescription(
                    layer(directory("a"), file("a/gzip", text(1_300_000)), file("gone", b"1")),
                    codec="gzip",
                ),
                LayerDescription(
                    layer(file("a/zstd", text(1_300_000)), hardlink("a/again", "a/gzip")),
                    codec="zstd",
                ),
                LayerDescription(
                    layer(whiteout("gone"), symlink("link", "a/xz"), file("a/xz", text(2_400_000))),
                    codec="xz",
                ),
                LayerDescription(layer(file("a/plain", text(5_000))), codec="identity"),
            ]
        )
    )


def _is_ours(frame: Any, within: str, outermost: Any) -> bool:
    if not frame.f_code.co_filename.startswith(within):
        return False
    # What raises in a finalizer, or in what one calls, reaches nobody, in whatever library.
    while frame is not None and frame is not outermost:
        if frame.f_code.co_name in ("__del__", "_forget") or _is_collected(frame):
            return False
        frame = frame.f_back
    return True


def _is_collected(frame: Any) -> bool:
    """Tell whether the collector, and not a call of our own, runs a `weakref.finalize`."""
    code = frame.f_code
    return (
        code is weakref.finalize.__call__.__code__
        and frame.f_locals[code.co_varnames[1]] is not None
    )


@cache
def _sheltered(code: CodeType) -> frozenset[int]:
    """
    Give the offsets where a line begins before which no signal is served.

    That is after a call or a jump back, so never before the line of a ``try``, nor between the end
    of a ``with`` block and the call of ``__exit__``.  A trace function could raise there, outside
    of what the block covers, and would keep a lock for ever.
    """
    steps = list(dis.get_instructions(code))
    found = {step.offset for step in steps if step.opname == "NOP"}
    for at in range(len(steps) - 2):
        if all(step.opname == "LOAD_CONST" and step.argval is None for step in steps[at : at + 3]):
            found.add(steps[at].offset)
            before = at - 1
            while steps[before].opname in ("NOP", "SWAP", "PUSH_NULL"):
                found.add(steps[before].offset)
                before -= 1
    return frozenset(found)


@contextmanager
def _traced(seen: Callable[[Line], None], outermost: Any, within: str = HOME) -> Iterator[None]:
    # What is not looked at costs next to nothing: other files, and the frames of the test.
    def local(frame: Any, event: str, _argument: Any) -> Any:
        if event == "line" and frame.f_lasti not in _sheltered(frame.f_code):
            seen((frame.f_code.co_filename, frame.f_lineno))
        return local

    def called(frame: Any, _event: str, _argument: Any) -> Any:
        return local if _is_ours(frame, within, outermost) else None

    before = sys.gettrace()
    sys.settrace(called)
    try:
        yield
    finally:
        sys.settrace(before)


def lines_of(work: Callable[[], object]) -> Counter[Line]:
    """Count how often each line of this library runs while *work* is done."""
    counts: Counter[Line] = Counter()

    def seen(line: Line) -> None:
        counts[line] += 1

    with _traced(seen, sys._getframe()):
        work()
    return counts


def interrupted(work: Callable[[], object], line: Line, occurrence: int) -> bool:
    """Do some work, interrupted before a line runs for the n-th time; tell whether it was."""
    count = 0

    def seen(at: Line) -> None:
        nonlocal count
        if at == line:
            count += 1
            if count == occurrence:
                raise KeyboardInterrupt

    try:
        with _traced(seen, sys._getframe(), line[0]):
            work()
    except KeyboardInterrupt:
        return True
    return False


def everywhere(
    work: Callable[[], object], dice: random.Random, most: int
) -> list[tuple[Line, int]]:
    """Choose lines that run in some work, each at one of its occurrences."""
    counts = lines_of(work)
    lines = sorted(counts)
    chosen = lines if len(lines) <= most else dice.sample(lines, most)
    return [(line, dice.randint(1, counts[line])) for line in chosen]


def in_time(work: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Do some work in a thread of its own, and give up where it does not end: a lock was lost."""
    done: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise AssertionError("no answer: somebody holds a lock that nobody gives back")
    if failed:
        raise failed[0]
    return done[0]


@contextmanager
def nothing_left() -> Iterator[None]:
    """Be sure that as many files and threads are there afterwards as before."""

    def held() -> tuple[list[str], list[str]]:
        gc.collect()
        threads = [thread.name for thread in threading.enumerate()]
        files = []
        for number in os.listdir("/proc/self/fd"):
            try:
                files.append(os.readlink(f"/proc/self/fd/{number}"))
            except FileNotFoundError:
                continue  # that of the listing itself
        return sorted(threads), sorted(files)

    before = held()
    yield
    after = held()
    assert after == before


def in_child(image: unionlayers.Image, name: str) -> tuple[list[str], int]:
    """Do in a spawned child, which finds this module where it does not find those of tests."""
    with image:
        view = image.fs()
        return view.listdir("/"), len(view.readbytes(name))
