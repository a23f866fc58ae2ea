"""What work costs, in calls: the same on every machine and at every load."""

from __future__ import annotations

import cProfile
import gc
from collections.abc import Callable

__all__ = ["calls_of"]


def calls_of(work: Callable[[], object]) -> int:
    """Count the functions, of Python and of C, that *work* calls."""
    # A hook in Python would take longer than the work.
    profile = cProfile.Profile()
    gc.collect()
    profile.enable()
    try:
        work()
    finally:
        profile.disable()
    return sum(entry.callcount for entry in profile.getstats())
