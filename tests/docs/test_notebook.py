"""The example notebook runs from its first cell to its last, and is kept without what it shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import unionlayers

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOK = ROOT / "examples" / "explore.ipynb"
NEEDED = ("ipykernel", "nbclient", "nbformat", "pandas")

# In a process of its own: a kernel, its sockets and their event loop are nothing for ours.
RUN = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
client = NotebookClient(
    notebook, timeout=240, startup_timeout=240, kernel_name="python3",
    resources={"metadata": {"path": sys.argv[2]}},
)
client.execute()
nbformat.write(notebook, sys.argv[3])
"""


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"]] == []


def test_the_notebook_answers_its_question(tmp_path: Path) -> None:
    absent = [name for name in NEEDED if find_spec(name) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)} not installed")
    made = tmp_path / "executed.ipynb"
    source = Path(unionlayers.__file__).parent.parent
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")]),
        "HOME": str(tmp_path),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(NOTEBOOK), str(NOTEBOOK.parent), str(made)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    cells = {
        cell["id"]: cell["outputs"]
        for cell in json.loads(made.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    }
    for name in ("open", "image", "show-waste", "frame", "by-step", "changes"):
        assert "<table" in data_of(cells[name], "text/html"), name
        assert data_of(cells[name], "text/plain"), name
    for name in ("image", "show-waste", "changes"):
        assert 'class="unionlayers"' in data_of(cells[name], "text/html")
    assert "not-a-real-token-0000" in data_of(cells["read"], "text/plain")
    said = "".join(line for output in cells["say"] for line in output["text"])
    assert "RUN rm /srv/ledger/deploy-token" in said
    assert "COPY deploy-token /srv/ledger/" in said


def data_of(outputs: list[dict[str, Any]], form: str) -> str:
    """Give what a cell shows in one form; nothing else may have come of it."""
    [output] = outputs
    assert output["output_type"] == "execute_result", output
    return "".join(output["data"][form])
