"""Every Python session of the documentation runs, and prints what stands there."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```pycon\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def session(page: Path) -> str:
    """Give the blocks of a page as one text, each on the line where it stands."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for number, line in enumerate(block[1].splitlines(), first):
            lines[number] = line
    return "\n".join(lines) + "\n"


def with_sessions() -> list[Path]:
    """Give the pages that have a Python session."""
    return [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", with_sessions(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_sessions_of_the_page_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    test = doctest.DocTestParser().get_doctest(session(page), {}, page.name, str(page), 0)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=said.append)
    assert "".join(said) == ""


def test_python_stands_in_sessions_alone() -> None:
    """A block of Python that is no session would never be run."""
    assert [page.name for page in PAGES if "```python" in page.read_text(encoding="utf-8")] == []
