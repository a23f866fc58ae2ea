"""Every block of Python in the documentation runs, and a session prints what stands there."""

from __future__ import annotations

import doctest
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(pycon|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Pages that are about an extra.
EXTRAS = {"fsspec.md": "fsspec", "notebook.md": "pandas"}
OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def with_blocks() -> list[Path]:
    """Give the pages that have Python in them."""
    return [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", with_blocks(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_the_page_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page run one after the other, and share their names."""
    extra = EXTRAS.get(page.name)
    if extra is not None and find_spec(extra) is None:
        pytest.skip(f"{extra} is not installed")
    monkeypatch.chdir(ROOT)
    text = page.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "__page__"}
    said: list[str] = []
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start(2))
        if block[1] == "python":
            exec(compile("\n" * line + block[2], page, "exec"), names)
            continue
        test = doctest.DocTestParser().get_doctest(block[2], names, page.name, str(page), line)
        test.globs = names  # and not a copy, so that the next block goes on from here
        doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=said.append, clear_globs=False)
    if said:
        pytest.fail("".join(said), pytrace=False)
