"""What all tests share: the size of random samples, their seed, and the campaign."""

from __future__ import annotations

import gc
import os
import random
import signal

import pytest
from hypothesis import settings

__all__ = [
    "pytest_collection_finish",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_report_header",
    "sample_size",
    "seed",
]

CAMPAIGN = bool(os.environ.get("UNIONLAYERS_CAMPAIGN"))
SEED = int(os.environ.get("UNIONLAYERS_SEED") or random.SystemRandom().randrange(1 << 32))

settings.register_profile("bounded", max_examples=50, deadline=None, print_blob=True)
settings.register_profile("campaign", max_examples=5000, deadline=None, print_blob=True)
settings.load_profile("campaign" if CAMPAIGN else "bounded")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Draw from the seed of the report, use no store of a user, and let interrupts in."""
    os.environ.pop("UNIONLAYERS_CACHE", None)
    # The workers of pytest-xdist draw the same cases, else each would collect other tests.
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


@pytest.fixture
def seed() -> int:
    """Give the seed of this run, which the head of the report names."""
    return SEED


@pytest.fixture
def sample_size() -> int:
    """Give how many random cases a test tries."""
    return 10_000 if CAMPAIGN else 200
