"""
A process that outlives this one, and takes its mount away.

The kernel keeps a mount whose server was killed, and everybody who looks at it has an error.
libfuse has a watcher too, ``auto_unmount``; it first looks whether the mount is dead, which it may
not be yet when the news of the end comes, and then it leaves it there.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading

__all__ = ["Watcher"]

_SCRIPT = 'read -r word; [ "$word" = done ] || exec "$@" >/dev/null 2>&1'
_SECONDS = 30


class Watcher:
    """
    Waits for the end of a pipe, which comes with the end of this process, whatever ends it.

    Args:
        path: What is unmounted then, lazily.
    """

    def __init__(self, path: str) -> None:
        tool = shutil.which("fusermount3") or shutil.which("fusermount")
        command = ["umount", "-l", path] if tool is None else [tool, "-u", "-z", "--", path]
        self._lock = threading.Lock()
        # In a session of its own, so that no Ctrl-C of a terminal reaches it.
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            ["sh", "-c", _SCRIPT, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Let it end without doing anything; again is allowed."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            # It may have been killed, by whoever ends all processes here.
            with contextlib.suppress(BrokenPipeError):
                process.communicate(b"done\n", timeout=_SECONDS)
