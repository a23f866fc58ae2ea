"""
One count of bytes done for work that goes on in several layers, perhaps in several threads.

What a caller is told never falls, and once something has stopped the work, be it an exception from
the callback or an interrupt, every other part of it stops where it reports next.
"""

from __future__ import annotations

import threading

from unionlayers._codec.forward import Progress

__all__ = ["Meter", "StoppedError"]


class StoppedError(Exception):
    """Another part of the same work was stopped; its error is the one that reaches the caller."""


class Meter:
    """
    Adds up what is done of several parts.

    Args:
        progress: Is told bytes done, bytes in all, and *what*; by one thread at a time.
        total: Bytes of all parts together.
        what: What is being done.
    """

    def __init__(self, progress: Progress | None, total: int, what: str) -> None:
        self._progress = progress
        self._total = total
        self._what = what
        self._lock = threading.Lock()
        self._done = 0
        self._stopped = False

    def part(self, size: int) -> Progress:
        """Give what one part of *size* bytes reports to; its own count never counts twice."""
        reached = 0

        def report(done: int, _total: int | None, _what: str) -> None:
            nonlocal reached
            with self._lock:
                if self._stopped:
                    raise StoppedError
                done = min(done, size)
                if done <= reached:
                    return
                self._done += done - reached
                reached = done
                self._tell()

        return report

    def stop(self) -> None:
        """Let every part stop where it reports next."""
        with self._lock:
            self._stopped = True

    def _tell(self) -> None:
        if self._progress is None:
            return
        try:
            self._progress(self._done, self._total, self._what)
        except BaseException:
            self._stopped = True
            raise
