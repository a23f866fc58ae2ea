"""One image at a time, which every tool is to write."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from subjects import CAMPAIGN, MAKERS, Subject
from writers import Bench

__all__ = ["subject"]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[pytest.mark.campaign] if name in CAMPAIGN else [])
        for name in MAKERS
    ],
)
def subject(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    """Give an image that every tool is to write."""
    folder = tmp_path_factory.mktemp(request.param)
    made = MAKERS[request.param](folder, request)
    yield Subject(Bench(request.param, made.docker, made.oci, folder, request), made)
    shutil.rmtree(folder)
