"""The documentation is complete, and what it copies is still what it copied."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import attrs

import unionlayers
from unionlayers import Limits, errors

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_public_name_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\.\. auto\w+:: unionlayers\.(\w+)$", text, re.MULTILINE))
    assert sorted(set(unionlayers.__all__) - documented - set(errors.__all__)) == []
    # What needs an extra is public, and no star import asks for it.
    assert sorted(documented - set(unionlayers.__all__)) == ["LayersFileSystem"]


def test_every_error_is_at_the_top_level_and_in_the_drawing() -> None:
    assert sorted(set(errors.__all__) - set(unionlayers.__all__)) == []
    drawing = errors.__doc__ or ""
    assert [name for name in errors.__all__ if not re.search(rf"\b{name}\b", drawing)] == []


def test_the_table_of_limits_is_that_of_the_class() -> None:
    # Behind this heading stands what real images need.
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("\n### How")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", text, re.MULTILINE)
    expected = {field.name: field.default for field in attrs.fields(Limits)}
    assert {name: int(value.replace(",", "")) for name, value in rows} == expected


def test_the_readme_shows_what_the_demo_prints() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^\$ make demo\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert block[1].count("\n") > 5
    done = subprocess.run(
        [sys.executable, "examples/demo.py", "examples/demo-image/ledger.oci.tar"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    printed = iter(line.rstrip() for line in done.stdout.splitlines())
    # A line of dots alone stands for what is left out; all else comes in this order.
    shown = [line.rstrip() for line in block[1].splitlines() if line.strip() not in {"", "…"}]
    assert [line for line in shown if line not in printed] == []


def test_markdown_has_no_host_or_path_of_one_machine() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")]
    found = [
        (page.name, word)
        for page in pages
        for word in ("/root/", "/tmp/", "localhost")
        if word in page.read_text(encoding="utf-8")
    ]
    assert found == []
