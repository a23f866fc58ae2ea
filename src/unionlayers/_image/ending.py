"""What is done when an image is closed, or is dropped without being closed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

__all__ = ["Ending"]


class Ending:
    """
    Does what is left to be done, and then closes the source.

    It knows nothing of the image, so that it can be called when the image is gone.

    Args:
        close: Closes the source.
    """

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._before: list[Callable[[], None]] = []

    def first(self, last: Callable[[], None]) -> None:
        """Have something done before the source is closed."""
        self._before.append(last)

    def finish(self) -> None:
        """Do what is left to be done, once; the source stays open."""
        while self._before:
            self._before.pop()()

    def __call__(self) -> None:
        """
        Do everything, once.

        `Image.close` has called `finish` by then.  Where something is left, nobody closed the
        image, and nobody can be told of what goes wrong: at the end of the process it would be a
        traceback on the terminal of a user whose program went well.
        """
        while self._before:
            # fsspec's blockcache over a local file, for one, raises when its file is closed.
            with suppress(Exception):
                self._before.pop()()
        self._close()
