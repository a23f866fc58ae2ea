"""
The JSON of each command on the demo image, word for word.

``UNIONLAYERS_GOLDEN=write`` writes the files anew; what has changed is then a matter of review.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).resolve().parent / "golden"

DOCUMENTS = {
    "images": ("images", "{}"),
    "layers": ("layers", "{}", "--long"),
    "history": ("history", "{}"),
    "history-path": ("history", "{}", "/srv/ledger/deploy-token"),
    "hidden": ("hidden", "{}"),
    "verify": ("verify", "{}"),
    "agreement": ("agreement", "{}"),
    "diff": ("diff", "{}", "--layers", ":4", "--layers2", ":5"),
    "diff-file": ("diff", "{}", "{}", "--type", "file", "--type", "metadata"),
    "analyze": ("analyze", "{}", "--type", "history", "--type", "sizelayer"),
    "sizes": ("sizes", "{}"),
    "unreferenced": ("unreferenced", "{}"),
    "waste": ("waste", "{}", "--max", "20k", "--max", "share=50%"),
}
LINES = {
    "ls": ("ls", "{}", "-a", "/srv/ledger", "/etc"),
    "tree": ("tree", "{}", "/srv/ledger"),
    "stat": ("stat", "{}", "/etc/os-release", "/usr/bin/ping", "/run/ledger.fifo", "/"),
    "timeline": ("timeline", "{}", "--layers", "3-4"),
    "find": ("find", "{}", "--newer", "2026-03-02T09:06:30"),
    "explain": ("explain", "{}", "/etc/passwd", "/srv/ledger/deploy-token", "/bin/sh"),
}


def told(name: str, found: Any, demo: str) -> None:
    """Compare with what stands in the golden file, the path of the archive left out."""
    text = json.dumps(found, indent=1, sort_keys=True).replace(json.dumps(demo)[1:-1], "IMAGE")
    file = GOLDEN / f"{name}.json"
    if os.environ.get("UNIONLAYERS_GOLDEN") == "write":
        file.write_text(f"{text}\n", encoding="utf-8")
    assert json.loads(text) == json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_one_document(name: str, cli: Callable[..., Any], demo: str) -> None:
    arguments = [part.format(demo) for part in DOCUMENTS[name]]
    found = cli(*arguments, "--json").document()
    if isinstance(found, dict):
        assert (found["command"], found["format"]) == (arguments[0], 1)
    told(name, found, demo)


@pytest.mark.parametrize("name", LINES)
def test_a_document_on_each_line(name: str, cli: Callable[..., Any], demo: str) -> None:
    told(name, cli(*(part.format(demo) for part in LINES[name]), "--json").items(), demo)


def test_what_is_written_is_told_too(cli: Callable[..., Any], demo: str, tmp_path: Path) -> None:
    found = cli("export", demo, str(tmp_path / "out"), "--path", "/run", "--json").document()
    assert found == {
        "command": "export",
        "format": 1,
        "entries": 1,
        "bytes": 0,
        "left_out": [{"path": "/run/ledger.fifo", "reason": "fifo"}],
        "rewritten": [],
    }


def test_the_cache_is_told_and_emptied(cli: Callable[..., Any], demo: str, tmp_path: Path) -> None:
    folder = str(tmp_path / "cache")
    assert cli("cache", "show", "--cache", folder, "--json").document()["files"] == 0
    cli("ls", demo, "--cache", folder)
    shown = cli("cache", "show", "--cache", folder, "--json").document()
    assert shown["folder"] == folder
    assert 0 < shown["bytes"] < shown["max_bytes"]
    pruned = cli("cache", "prune", "--to", "8k", "--cache", folder, "--json").document()
    left = cli("cache", "show", "--cache", folder, "--json").document()
    assert (left["files"] + pruned["files"], left["bytes"] <= 8192) == (shown["files"], True)
    assert cli("cache", "clear", "--cache", folder, "--json").document()["files"] == left["files"]
    assert cli("cache", "show", "--cache", folder).lines[1] == "0 files, 0 of 1.0G"


def test_a_damaged_layer_is_told_in_json(
    cli: Callable[..., Any], tmp_path: Path, demo: str
) -> None:
    data = bytearray(Path(demo).read_bytes())
    data[len(data) // 2] ^= 0xFF
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(data)
    found = cli("verify", str(damaged), "--json").document()
    assert found["intact"] is False
    assert found["error"]["class"].endswith("Error")
