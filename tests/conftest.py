"""What all tests share: the size of random samples, their seed, and the campaign."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import settings

__all__ = [
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
    """Let hypothesis draw from the seed that the head of the report names."""
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


@pytest.fixture
def seed() -> int:
    """Give the seed of this run, which the head of the report names."""
    return SEED


@pytest.fixture
def sample_size() -> int:
    """Give how many random cases a test tries."""
    return 10_000 if CAMPAIGN else 200
