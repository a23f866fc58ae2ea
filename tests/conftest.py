"""
What all tests share: the size of random samples, their seed, the campaign, and what is summed up.

Nothing here may differ between the workers of pytest-xdist, which collect the same tests each; and
what is said at the end is said here, since the process that says it collects none.
"""

from __future__ import annotations

import gc
import os
import random
import signal
from collections import Counter
from typing import Any

import pytest
from hypothesis import settings

__all__ = [
    "pytest_collection_finish",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_report_header",
    "pytest_terminal_summary",
    "sample_size",
    "seed",
]

CAMPAIGN = bool(os.environ.get("UNIONLAYERS_CAMPAIGN"))
SEED = int(os.environ.get("UNIONLAYERS_SEED") or random.SystemRandom().randrange(1 << 32))

settings.register_profile("bounded", max_examples=30, deadline=None, print_blob=True)
settings.register_profile("campaign", max_examples=5000, deadline=None, print_blob=True)
settings.load_profile("campaign" if CAMPAIGN else "bounded")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Draw from the seed of the report, use no store of a user, and let interrupts in."""
    os.environ.pop("UNIONLAYERS_CACHE", None)
    # For the workers, which are started later and draw the same cases.
    os.environ["UNIONLAYERS_SEED"] = str(SEED)
    # A shell that runs this in the background ignores SIGINT, and so would every child of a test.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(SEED)


def pytest_report_header() -> list[str]:
    """Say how large the samples are and how to repeat them."""
    counts = "full counts" if CAMPAIGN else "bounded samples (make campaign: full counts)"
    return [f"unionlayers: {counts}, UNIONLAYERS_SEED={SEED}"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what is marked as campaign to the campaign."""
    if CAMPAIGN:
        return
    for item in items:
        if item.get_closest_marker("campaign"):
            item.add_marker(pytest.mark.skip(reason="campaign: run by `make campaign`"))


def pytest_collection_finish() -> None:
    """Spare the tests that look for leaks a walk over all that pytest itself holds.

    Ten thousand items make each full collection ten times as long, and each fork too.
    """
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many tests of each foreign suite ran, what was compared with, and the slow files."""
    reports = [
        (outcome, report)
        for outcome in ("passed", "failed", "error", "skipped", "xfailed", "")
        for report in terminalreporter.stats.get(outcome, ())
    ]
    _say_suites(terminalreporter, reports)
    _say_tools(terminalreporter, reports)
    _say_files(terminalreporter, reports)


def _say_suites(terminal: Any, reports: list[tuple[str, Any]]) -> None:
    counts: dict[str, Counter[str]] = {}
    for outcome, report in reports:
        suite = dict(getattr(report, "user_properties", ())).get("suite")
        if suite is not None and outcome in ("passed", "failed", "skipped"):
            counts.setdefault(str(suite), Counter())[outcome] += 1
    if counts:
        terminal.section("contract suites")
    for suite, found in sorted(counts.items()):
        said = ", ".join(f"{found[outcome]} {outcome}" for outcome in sorted(found))
        terminal.write_line(f"{suite}: {sum(found.values())} tests, {said}")


def _say_tools(terminal: Any, reports: list[tuple[str, Any]]) -> None:
    """Name the tools that were compared with, and those that were not, with the reason."""
    if not any(report.nodeid.startswith("tests/differential/") for _, report in reports):
        return
    import engines

    for name in engines.TOOLS:
        reason = engines.why_absent(name)
        said = f"{name} {engines.version(name)}" if reason is None else f"skipped: {reason}"
        terminal.write_line(f"compared with {said}" if reason is None else said)


def _say_files(terminal: Any, reports: list[tuple[str, Any]]) -> None:
    """Say which files took longest, as many as `--durations` asks for of the tests."""
    most = terminal.config.getoption("durations")
    if not most:
        return
    seconds: Counter[str] = Counter()
    for _, report in reports:
        # That of a collection, an error among them, has no duration.
        seconds[report.nodeid.partition("::")[0]] += getattr(report, "duration", 0)
    terminal.section(f"slowest {most} files")
    for path, took in seconds.most_common(most):
        terminal.write_line(f"{took:.2f}s {path}")


@pytest.fixture
def seed() -> int:
    """Give the seed of this run, which the head of the report names."""
    return SEED


@pytest.fixture
def sample_size() -> int:
    """Give how many random cases a test tries."""
    return 10_000 if CAMPAIGN else 200
