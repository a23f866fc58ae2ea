"""What the benchmarks run as a process of its own: ``python -m benchmarks.worker WHAT LAYER``."""

from __future__ import annotations

import sys
from pathlib import Path


def main(what: str, layer: str) -> None:
    """Do one piece of work on a layer tar and end."""
    if what == "nothing":
        return
    if what == "checkpoints":
        from benchmarks.passes import index_and_checkpoints

        index_and_checkpoints(Path(layer))
        return
    if what == "index":
        from benchmarks.passes import index_and_store

        index_and_store(Path(layer))
        return
    from benchmarks.tree import core_walk
    from unionlayers import open_image

    with open_image([layer], verify=False) as image:
        core_walk(image.union())


if __name__ == "__main__":
    main(*sys.argv[1:])
