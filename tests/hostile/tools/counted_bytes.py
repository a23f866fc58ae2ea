"""What work takes of memory in all, what is given back at once included."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable

__all__ = ["bytes_of"]


def bytes_of(work: Callable[[], object]) -> tuple[int, int]:
    """
    Count the bytes that *work* takes, and those that it holds at once at most.

    Memory is looked at before and after each function that is called, so that a text counts that
    is made, handed on and dropped; a loop inside one function counts once.
    """
    taken = last = 0

    def counted(_frame: object, _event: str, _argument: object) -> None:
        nonlocal taken, last
        now = tracemalloc.get_traced_memory()[0]
        if now > last:
            taken += now - last
        last = now

    gc.collect()
    tracemalloc.start()
    try:
        sys.setprofile(counted)
        try:
            work()
        finally:
            sys.setprofile(None)
        return taken, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
