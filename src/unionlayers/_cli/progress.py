"""A progress bar on standard error: where a person looks at it, and only for what takes a while."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from unionlayers._cli.output import is_dumb

__all__ = ["PATIENCE_SECONDS", "Bar"]

PATIENCE_SECONDS = 0.5
"""How long work may take before a bar is drawn."""

_SAYINGS = {
    "export": "writing",
    "layers": "reading layers",
    "spool": "copying the pipe",
    "verify": "verifying",
}


class Bar:
    """
    What `open_image` takes as its callback; safe from any thread.

    Nothing is drawn in the first half second, nor where standard error is no terminal.

    Args:
        wanted: Whether a bar is to be shown at all.
    """

    def __init__(self, *, wanted: bool) -> None:
        self.wanted = wanted and sys.stderr.isatty() and not is_dumb()
        self._lock = threading.RLock()
        self._begun = time.monotonic()
        self._what: str | None = None
        self._shown: Any = None
        self._task: Any = None

    def __call__(self, done: int, total: int | None, what: str) -> None:
        """Take bytes done, bytes in all or None, and what is done."""
        if not self.wanted:
            return
        with self._lock:
            if what != self._what:
                self.stop()
                self._what = what
                self._begun = time.monotonic()
            if total is not None and done >= total:
                self.stop()
                return
            if self._shown is None:
                if time.monotonic() - self._begun < PATIENCE_SECONDS:
                    return
                self._show(what, total)
            self._shown.update(self._task, completed=done, total=total)

    def stop(self) -> None:
        """Take the bar away, if there is one."""
        if self._shown is None:
            return
        with self._lock:
            if self._shown is not None:
                self._shown.stop()
                self._shown = None

    def _show(self, what: str, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._shown = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._shown.add_task(_SAYINGS.get(what, f"reading {what}"), total=total)
        self._shown.start()
