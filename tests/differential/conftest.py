"""Engines that are started once for all tests that compare with them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import engines
import pytest

__all__ = ["docker", "podman_store"]


@pytest.fixture(scope="session")
def docker() -> Iterator[engines.Docker]:
    """Give a private dockerd; the driver is the first of overlay2 and vfs that runs here."""
    # pytest's own folders have paths too long for a socket.
    with (
        tempfile.TemporaryDirectory(prefix="ul-docker-") as folder,
        engines.dockerd(Path(folder), "overlay2", "vfs") as engine,
    ):
        yield engine


@pytest.fixture(scope="session")
def podman_store() -> Iterator[engines.Storage]:
    """Give a private store for podman and buildah, overlay or vfs, whichever works here."""
    with (
        tempfile.TemporaryDirectory(prefix="ul-store-") as folder,
        engines.storage(Path(folder), "overlay", "vfs") as store,
    ):
        yield store
