"""
Records a first session with a real image on a terminal, as text: ``how-to/first-session.txt``.

``python docs/record_session.py`` types the commands into a shell in tmux, on a screen of 100
columns, waits for each to end, and writes what the screen shows in the end.  A test holds that the
commands still say what stands there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

__all__ = ["COLUMNS", "COMMANDS", "IMAGES", "RECORD"]

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "tests" / "images"
RECORD = Path(__file__).resolve().parent / "how-to" / "first-session.txt"
COLUMNS = 100
_LINES = 400
_SECONDS = 60

IMAGE = "many-layers.oci-gzip.tar"
COMMANDS = (
    f"unionlayers images {IMAGE}",
    f"unionlayers ls {IMAGE}",
    f"unionlayers ls -l {IMAGE} /data",
    f"unionlayers ls {IMAGE} /data/d1",
    f"unionlayers history {IMAGE} /data/d1/f17",
    f"unionlayers cat {IMAGE} /data/d1/f17",
    f"unionlayers cat {IMAGE} /data/d1/f17 --layers :4",
    f"unionlayers find {IMAGE} -type f --layer 105: -l",
    f"unionlayers diff {IMAGE} --layers :107 --layers2 :108 --ignore-field mtime",
    f"unionlayers waste {IMAGE} --top 5 --max share=10%",
    f"unionlayers verify {IMAGE}",
)


def _prompts(lines: list[str]) -> int:
    return sum(line == "$" or line.startswith("$ ") for line in lines)


def record() -> str:
    """Type the commands and give what the terminal shows."""
    with tempfile.TemporaryDirectory() as folder:
        socket = str(Path(folder) / "tmux")
        tool = Path(folder) / "unionlayers"
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m unionlayers "$@"\n')
        tool.chmod(0o755)
        # A shell that knows nothing of its user.
        settings = Path(folder) / "bashrc"
        settings.write_text("PS1='$ '\n")
        environment = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "HOME": folder,
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "UNIONLAYERS_CACHE": str(Path(folder) / "cache"),
        }

        def tmux(*words: str) -> str:
            done = subprocess.run(
                ["tmux", "-S", socket, "-f", "/dev/null", *words],
                env=environment,
                cwd=IMAGES,
                capture_output=True,
                text=True,
                check=True,
                timeout=_SECONDS,
            )
            return done.stdout

        shell = f"bash --noprofile --rcfile {settings} -i"
        tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(_LINES), shell)
        prompts = 0

        def ready() -> str:
            """Wait for one more prompt, and give what is on the screen."""
            end = time.monotonic() + _SECONDS
            while time.monotonic() < end:
                shown = tmux("capture-pane", "-p").rstrip()
                lines = shown.splitlines()
                if lines and lines[-1] == "$" and _prompts(lines) > prompts:
                    return shown
                time.sleep(0.05)
            raise TimeoutError("the shell does not come back")

        try:
            shown = ready()
            for command in COMMANDS:
                prompts = _prompts(shown.splitlines())
                tmux("send-keys", "-l", command)
                tmux("send-keys", "Enter")
                shown = ready()
        finally:
            tmux("kill-server")
    lines = [line.rstrip() for line in shown.rstrip().splitlines()]
    return "\n".join(lines).removesuffix("\n$") + "\n"


if __name__ == "__main__":
    RECORD.write_text(record(), encoding="utf-8")
    sys.stdout.write(f"{RECORD} is written\n")
