"""Whether an image can be mounted here, and mounts of images that a test describes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from unionlayers import Image, Mount, UnionLayersError, open_image
from unionlayers.testing import Entry, ImageDescription, file, write_image

__all__ = ["device_or_skip", "is_mounted", "mounted", "needs"]


@cache
def _lacking() -> str | None:
    """Say what keeps images from being mounted here, None if nothing does."""
    with TemporaryDirectory(prefix="ul-mount-") as folder:
        place = Path(folder) / "place"
        place.mkdir()
        archive = write_image(Path(folder) / "image.tar", ImageDescription([[file("a", "1")]]))
        try:
            with open_image(archive) as image, image.mount(place):
                seen = os.listdir(place)
        except (UnionLayersError, OSError) as error:
            return f"no FUSE here: {error}"
    return None if seen == ["a"] else f"no FUSE here: the mount shows {seen}"


def device_or_skip() -> None:
    """Skip the test where images cannot be mounted, with the reason."""
    lacking = _lacking()
    if lacking is not None:
        pytest.skip(lacking)


def needs(*programs: str) -> None:
    """Skip the test where a program is absent."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def is_mounted(path: str | Path) -> bool:
    """Tell whether the kernel has one of our mounts on a path."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return any(line.split(" ")[4] == str(path) and " fuse.unionlayers " in line for line in lines)


@contextmanager
def mounted(
    folder: Path, *layers: Sequence[Entry], options: dict[str, Any] | None = None, **asked: Any
) -> Iterator[tuple[Image, Mount]]:
    """Mount layers on the folder ``place`` of *folder*."""
    place = folder / "place"
    place.mkdir()
    archive = write_image(folder / "image.tar", ImageDescription(layers, tags=["test:latest"]))
    with open_image(archive, **(options or {})) as image, image.mount(place, **asked) as mount:
        yield image, mount
