"""Commands run in this process, in one of their own, and on a terminal; each with a cache."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

__all__ = [
    "Ended",
    "cache",
    "cli",
    "collect_ignore_glob",
    "demo",
    "on_terminal",
    "process",
    "terminal",
]

ROOT = Path(__file__).resolve().parent.parent.parent
LACKING = [name for name in ("click", "platformdirs", "rich") if not importlib.util.find_spec(name)]
collect_ignore_glob = ["test_*.py"] if LACKING else []


@frozen
class Ended:
    """How a command ended, and what it wrote."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode("utf-8", "surrogateescape")

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    def document(self) -> Any:
        """Give the one JSON document."""
        assert self.code in (0, 1), self.err
        return json.loads(self.out)

    def items(self) -> list[Any]:
        """Give the JSON document of each line."""
        return [json.loads(line) for line in self.lines]


@pytest.fixture(scope="session")
def demo() -> str:
    return str(ROOT / "examples" / "demo-image" / "ledger.oci.tar")


@pytest.fixture(scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    folder.chmod(0o700)
    return folder


@pytest.fixture(autouse=True)
def cache(_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the cache of these tests apart from that of the user."""
    monkeypatch.setenv("UNIONLAYERS_CACHE", str(_cache))
    monkeypatch.delenv("NO_COLOR", raising=False)
    return _cache


@pytest.fixture
def cli() -> Callable[..., Ended]:
    """Run a command in this process; *stdin* is what comes through a pipe."""
    from click.testing import CliRunner

    from unionlayers._cli.program import run

    def ran(*arguments: str, stdin: bytes = b"") -> Ended:
        with CliRunner().isolation(input=stdin) as streams:
            code = run([str(one) for one in arguments])
            sys.stdout.flush()
            sys.stderr.flush()
            return Ended(code, streams[0].getvalue(), streams[1].getvalue().decode())

    return ran


@pytest.fixture
def process() -> Callable[..., Ended]:
    """Run a command in a process of its own, in pipes."""

    def ran(*arguments: str, env: dict[str, str] | None = None, **options: Any) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "unionlayers", *arguments],
            capture_output=True,
            env={**os.environ, **(env or {})},
            timeout=120,
            check=False,
            **options,
        )
        return Ended(done.returncode, done.stdout, done.stderr.decode())

    return ran


@pytest.fixture
def terminal() -> Callable[..., Ended]:
    """Run a command on a terminal of so many columns; both streams come as one."""
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")

    def ran(*arguments: str, columns: int = 80, env: dict[str, str] | None = None) -> Ended:
        import fcntl
        import struct
        import termios

        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", **(env or {})}
        for name in ("COLUMNS", "LINES"):
            environment.pop(name, None)
        with subprocess.Popen(
            # A bar would be shown where the machine is slow, and nowhere else.
            [sys.executable, "-m", "unionlayers", *arguments, "--no-progress"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        ) as running:
            os.close(theirs)
            parts = []
            while True:
                try:
                    part = os.read(ours, 1 << 16)
                except OSError:
                    break  # Linux says so when nobody has the other side any more
                if not part:
                    break
                parts.append(part)
            os.close(ours)
            code = running.wait(timeout=120)
        return Ended(code, b"".join(parts).replace(b"\r\n", b"\n"), "")

    return ran


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Run a command in this process, with streams that say they are a terminal."""
    import io

    from unionlayers._cli import progress
    from unionlayers._cli.program import run

    # A bar would be shown where the machine is slow, and nowhere else.
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 3600.0)

    class Screen(io.BytesIO):
        def isatty(self) -> bool:
            return True

    def ran(*arguments: str, columns: int = 80, env: dict[str, str] | None = None) -> Ended:
        screen = Screen()
        with monkeypatch.context() as patch:
            for name, value in {"TERM": "xterm", "COLUMNS": str(columns), **(env or {})}.items():
                patch.setenv(name, value)
            text = io.TextIOWrapper(screen, "utf-8", errors="strict", write_through=True)
            for stream in ("stdout", "stderr"):
                patch.setattr(sys, stream, text)
            code = run(list(arguments))
            text.flush()
            return Ended(code, screen.getvalue(), "")

    return ran
