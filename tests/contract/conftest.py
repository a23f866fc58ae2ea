"""How many tests of each foreign suite ran, at the end of the report."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

__all__ = ["filesystems_of_fsspec_are_closed", "pytest_terminal_summary"]


@pytest.fixture(autouse=True)
def filesystems_of_fsspec_are_closed() -> Iterator[None]:
    """Close what fsspec keeps for good, and with it the archives of a test that is over."""
    yield
    module = sys.modules.get("unionlayers._views.fsspec.layers_filesystem")
    if module is not None:
        kept = module.LayersFileSystem._cache
        for made in list(kept.values()):
            made.close()
        kept.clear()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say for each suite how many of its tests passed, failed or were left out."""
    counts: dict[str, Counter[str]] = {}
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            suite = dict(getattr(report, "user_properties", ())).get("suite")
            if suite is not None:
                counts.setdefault(str(suite), Counter())[outcome] += 1
    if counts:
        terminalreporter.section("contract suites")
    for suite, found in sorted(counts.items()):
        said = ", ".join(f"{found[outcome]} {outcome}" for outcome in sorted(found))
        terminalreporter.write_line(f"{suite}: {sum(found.values())} tests, {said}")
