"""
The real images that there is a truth about: where they are, and what a runtime showed of them.

``README.md`` says which tools made the images and how the truth was written down; larger images
are tried where UNIONLAYERS_IMAGES names their folder or it stands beside the repository as
``shared/images``.
"""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

__all__ = ["CASES", "OUT_OF_RANGE", "Case", "truth"]

IMAGES = Path(__file__).resolve().parent
ROOT = IMAGES.parent.parent
DEMO = ROOT / "examples" / "demo-image"
SHARED = Path(os.environ.get("UNIONLAYERS_IMAGES") or ROOT.parent / "shared" / "images")


@frozen
class Case:
    """A source, and the name of the truth about the image in it."""

    archive: Path
    truth: str
    reference: str | None = None
    platform: str | None = None
    folder: str | None = None  # the archive holds this folder, which is what is opened

    def __str__(self) -> str:
        """Give the id of the test."""
        return " ".join(filter(None, [self.archive.name, self.reference, self.platform]))

    def source(self, place: Path) -> Path:
        """Give what is opened, unpacked into a folder if need be; skips where it is absent."""
        if not self.archive.exists():
            pytest.skip(f"{self.archive.name} is not here; UNIONLAYERS_IMAGES names its folder")
        if self.folder is None:
            return self.archive
        with tarfile.open(self.archive) as packed:
            packed.extractall(place, filter="data")
        return place / self.folder


CASES = [
    Case(DEMO / "ledger.oci.tar", "ledger"),
    Case(DEMO / "ledger.docker.tar", "ledger"),
    Case(IMAGES / "tiny.skopeo-docker-archive.tar", "tiny"),
    Case(IMAGES / "dup-layers.docker-save.tar", "dup-layers"),
    Case(IMAGES / "many-layers.docker-save.tar", "many-layers"),
    Case(IMAGES / "many-layers.docker26-save.tar", "many-layers"),
    Case(IMAGES / "many-layers.oci-gzip.tar", "many-layers"),
    Case(SHARED / "tiny.containerd-save.tar", "tiny"),
    Case(SHARED / "tiny.oci-zstd.tar", "tiny", folder="oci-zstd"),
    Case(SHARED / "tiny.skopeo-dir.tar", "tiny", folder="dir"),
    Case(SHARED / "multi.oci-index.tar", "tiny", platform="linux/amd64", folder="oci-index"),
    Case(SHARED / "multi.docker-save.tar", "tiny", "tiny:docker"),
    Case(SHARED / "multi.docker-save.tar", "dup-layers", "dup-layers:docker"),
    Case(SHARED / "multi.docker-save.tar", "many-layers", "many-layers:docker"),
    Case(SHARED / "debian-small.oci-gzip.tar", "debian-small"),
]

# Times before 1970 and after 2262: no two runtimes need agree on them (case H7).
OUT_OF_RANGE = {"srv/zoo/t-2300", "srv/zoo/t-1960"}


def truth(name: str) -> dict[str, dict[str, Any]]:
    """Give what the runtime showed, by path."""
    for folder in (IMAGES / "truth", SHARED / "truth"):
        file = folder / f"{name}.jsonl.gz"
        if file.exists():
            lines = gzip.decompress(file.read_bytes()).splitlines()
            facts = [json.loads(line) for line in lines]
            return {fact["path"]: fact for fact in facts}
    pytest.skip(f"the truth of {name} is not here")
