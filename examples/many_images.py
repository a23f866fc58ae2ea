"""
Ask many images the same question at once, with Dask on a local cluster.

Each worker opens its images through fsspec and keeps what it learns of their layers in one index
store, so that a layer that several images share is read once, and a second run reads none::

    pip install "unionlayers[fsspec]" distributed
    python examples/many_images.py --index-store ~/.cache/layers *.tar
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

import fsspec
from attrs import frozen
from distributed import Client, LocalCluster

__all__ = ["Survey", "main", "survey"]


@frozen
class Survey:
    """
    What is told of one image.

    Attributes:
        source: Its archive.
        system: The name of its distribution, or why it could not be read.
        files: Regular files.
        size: Bytes of them.
        links: Symbolic links.
        failed: Whether it could not be read.
    """

    source: str
    system: str
    files: int = 0
    size: int = 0
    links: int = 0
    failed: bool = False

    def __str__(self) -> str:
        """Say it in a line."""
        if self.failed:
            return f"{self.source}: {self.system}"
        return (
            f"{self.source}: {self.system}, {self.files} files, {self.size} bytes, "
            f"{self.links} links"
        )


def survey(source: str, index_store: str) -> Survey:
    """Look at one image; runs in a worker."""
    try:
        fs = fsspec.filesystem("layers", fo=source, index_store=index_store)
        system = "unknown"
        if fs.exists("/etc/os-release"):
            lines = fs.read_text("/etc/os-release").splitlines()
            said = dict(line.partition("=")[::2] for line in lines if "=" in line)
            system = " ".join(shlex.split(said.get("NAME", ""))) or system
        found = fs.find("/", withdirs=True, detail=True).values()
    except (OSError, ValueError, LookupError) as error:
        return Survey(source, f"{type(error).__name__}: {error}", failed=True)
    files = [info for info in found if info["type"] == "file" and not info["islink"]]
    links = sum(info["islink"] for info in found)
    return Survey(source, system, len(files), sum(info["size"] for info in files), links)


def main(arguments: list[str]) -> int:
    """Survey the images that are named; 1 where one of them could not be read."""
    parser = argparse.ArgumentParser(description="Survey container images with Dask.")
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--index-store", required=True, type=Path, help="a folder for all workers")
    parser.add_argument("--workers", default=2, type=int)
    chosen = parser.parse_args(arguments)
    store = str(chosen.index_store.absolute())
    with (
        LocalCluster(
            n_workers=chosen.workers, threads_per_worker=2, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        sources = [str(path.absolute()) for path in chosen.images]
        told = client.gather(client.map(survey, sources, index_store=store))
    for one in told:
        print(one)
    return int(any(one.failed for one in told))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
