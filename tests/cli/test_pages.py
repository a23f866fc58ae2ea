"""What the documentation shows of the command line is what it says."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
SGR = re.compile(r"\x1b\[[0-9;]*m")


def loaded(name: str) -> ModuleType:
    """Import a script of the documentation."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Give the commands of a page, and the lines that stand below each."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.rstrip("\n").split("\n")
            if "unionlayers " in command and "pip install" not in command:
                yield command, lines


PAGES = [DOCS / "how-to" / "command-line.md", ROOT / "README.md"]
SHOWN = [(page.name, *one) for page in PAGES for one in shown(page)]


@pytest.mark.parametrize(
    ("command", "lines"), [one[1:] for one in SHOWN], ids=[f"{one[0]} {one[1]}" for one in SHOWN]
)
def test_a_command_says_what_the_page_shows(
    command: str,
    lines: list[str],
    cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(ROOT)
    if "|" not in command:
        done = cli(*shlex.split(command)[1:])
        said = (done.out + done.err).splitlines()
    else:
        tool = tmp_path / "unionlayers"
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m unionlayers "$@"\n')
        tool.chmod(0o755)
        ran = subprocess.run(
            ["sh", "-c", f'PATH="{tmp_path}:$PATH"; {command}'],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        said = (ran.stdout + ran.stderr).splitlines()
    pattern = "\n".join(re.escape(line) for line in lines).replace("…", r"[\s\S]*")
    assert re.fullmatch(pattern, "\n".join(line.rstrip() for line in said)), said


def test_the_reference_is_what_the_commands_say() -> None:
    script = loaded("commands")
    page = (DOCS / "reference" / "command-line.md").read_text(encoding="utf-8")
    assert script.with_commands(page) == page, "python docs/commands.py writes it anew"


def test_the_reference_names_each_number_and_each_member_of_the_json(demo: str) -> None:
    page = (DOCS / "reference" / "command-line.md").read_text(encoding="utf-8")
    golden = Path(__file__).resolve().parent / "golden"
    for file in sorted(golden.glob("*.json")):
        for name in re.findall(r'^ {1,5}"(\w+)":', file.read_text(encoding="utf-8"), re.MULTILINE):
            # Some members have container-diff's names, others those of profiles.
            known = name.istitle() or name in ("oci", "overlay", "sequential")
            assert known or f"`{name}`" in page, f"{name} of {file.name}"
    for code in (0, 1, 2, 3, 4, 130, 141):
        assert f"| {code} |" in page


def test_the_recorded_session_is_what_the_commands_say(
    on_terminal: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = loaded("record_session")
    monkeypatch.chdir(script.IMAGES)
    recorded = script.RECORD.read_text(encoding="utf-8")
    assert [line[2:] for line in recorded.splitlines() if line.startswith("$ ")] == [
        *script.COMMANDS
    ]
    for command, part in zip(
        script.COMMANDS, re.split(r"^\$ .*\n", recorded, flags=re.MULTILINE)[1:], strict=True
    ):
        done = on_terminal(*command.split()[1:], columns=script.COLUMNS)
        said = "".join(line.rstrip() for line in SGR.sub("", done.out).splitlines())
        assert "".join(part.split()) == "".join(said.split()), command
