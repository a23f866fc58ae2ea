"""Small stores made by hand, without root: what the tests here ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_stores import Made, make_containers_root, make_docker_root

__all__ = ["containers_root", "docker_root", "either"]


@pytest.fixture
def docker_root(tmp_path: Path) -> Made:
    """Make a data-root of Docker with an image of two layers and a container."""
    return make_docker_root(tmp_path)


@pytest.fixture
def containers_root(tmp_path: Path) -> Made:
    """Make a root of containers/storage with an image of two layers and a container."""
    return make_containers_root(tmp_path)


@pytest.fixture(params=["docker_root", "containers_root"])
def either(request: pytest.FixtureRequest) -> Made:
    """Give a root of Docker, then one of containers/storage."""
    made: Made = request.getfixturevalue(request.param)
    return made
