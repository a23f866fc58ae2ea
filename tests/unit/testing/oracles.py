"""Tools that nobody here wrote, asked for a second opinion; skipped by name where absent."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

__all__ = ["listing", "needs", "run", "unpacked"]


def needs(tool: str) -> pytest.MarkDecorator:
    """Skip a test where *tool* is absent."""
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


def run(*command: str | Path, data: bytes | None = None) -> bytes:
    """Run a command that must succeed, and give what it wrote."""
    done = subprocess.run(
        [str(word) for word in command], input=data, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def listing(tool: str, tar: bytes) -> list[str]:
    """Give the names in a tar, as ``tar`` or ``bsdtar`` prints them."""
    return run(tool, "-tf", "-", data=tar).decode().splitlines()


def unpacked(tool: str, tar: bytes, name: str) -> bytes:
    """Give the content of one file of a tar, as ``tar`` or ``bsdtar`` unpacks it."""
    with tempfile.TemporaryDirectory() as folder:
        # Not to the standard output: GNU tar does not write the holes of sparse files there.
        run(tool, "-xf", "-", "-C", folder, name, data=tar)
        return (Path(folder) / name).read_bytes()
