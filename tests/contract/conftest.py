"""What all tests of the contract share: nothing of one is left to the next."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

__all__ = ["filesystems_of_fsspec_are_closed"]


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
