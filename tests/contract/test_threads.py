"""Eight threads on one cold view see what one thread sees."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from unionlayers import UnionFS, open_image

IMAGES = Path(__file__).resolve().parent.parent / "images"
THREADS = 8


def everything(view: UnionFS) -> dict[str, Any]:
    """Give the stat and the content of every path."""
    types = ("file", "directory", "symlink", "device", "fifo")
    found: list[tuple[str, Any]] = list(view.find(types=types, namespaces=("stat", "layer")))
    return {
        path: (
            info.raw["stat"],
            info.raw["layer"],
            view.readbytes(path) if info.raw["details"]["type"] == 2 else None,
        )
        for path, info in found
    }


@pytest.mark.parametrize("name", ["many-layers.oci-gzip", "dup-layers.docker-save"])
def test_first_indexing_walks_and_reads_from_many_threads(name: str) -> None:
    with open_image(IMAGES / f"{name}.tar") as image:
        expected = everything(image.fs())
    with open_image(IMAGES / f"{name}.tar") as image:
        view = image.fs()
        start = Barrier(THREADS)

        def run(_: int) -> dict[str, Any]:
            start.wait()
            return everything(view)

        with ThreadPoolExecutor(THREADS) as pool:
            for found in pool.map(run, range(THREADS)):
                assert found == expected
