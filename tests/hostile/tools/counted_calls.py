"""What work costs, in calls: the same on every machine and at every load."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

__all__ = ["calls_of"]


def calls_of(work: Callable[[], object]) -> int:
    """Count the functions, of Python and of C, that *work* calls."""
    count = 0

    def counted(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1

    gc.collect()
    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count
