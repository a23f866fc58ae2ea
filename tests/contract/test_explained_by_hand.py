"""
Twenty paths each of two real images, their stories read off the layer tars by hand.

Of every layer ``tar --list --verbose --full-time --numeric-owner`` was read, GNU tar 1.34, and
where two entries have the same size, their bytes were compared with ``cmp``.  A line is
(layer, what happened, ordinal of the tar entry, then type and size, or the reason).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from real_images import CASES

from unionlayers import Image, open_image

ARCHIVES = {case.archive.name: case for case in CASES}

Story = tuple[tuple[int, str, int, str, int], ...]


def added(
    layer: int, entry: int, kind: str = "file", size: int = 0
) -> tuple[int, str, int, str, int]:
    return layer, "added", entry, kind, size


def again(
    layer: int, entry: int, kind: str = "file", size: int = 0
) -> tuple[int, str, int, str, int]:
    return layer, "re-added", entry, kind, size


def changed(
    layer: int, entry: int, kind: str = "file", size: int = 0
) -> tuple[int, str, int, str, int]:
    return layer, "changed", entry, kind, size


def replaced(layer: int, entry: int, kind: str, size: int = 0) -> tuple[int, str, int, str, int]:
    return layer, "replaced", entry, kind, size


def gone(layer: int, entry: int, reason: str) -> tuple[int, str, int, str, int]:
    return layer, "hidden", entry, reason, 0


MANY_LAYERS: dict[str, Story] = {
    "/data/moved77": (added(76, 6, "directory"),),
    "/data/moved37/f28": (added(38, 22, size=5),),
    "/bin/mkpasswd": (added(0, 136, "symlink", 7),),
    "/data/d6/f18": (added(1, 198, size=5), gone(6, 6, "opaque")),
    "/data/d5/f0": (added(1, 157, size=4), gone(15, 4, "whiteout")),
    "/data/d4/f15": (added(1, 133, size=5), changed(34, 4, size=8), gone(63, 8, "opaque")),
    "/data/d0/f6": (added(1, 28, size=4), changed(24, 2, size=7), gone(29, 2, "whiteout")),
    "/data/d6/f23": (added(1, 204, size=5), gone(6, 6, "opaque"), again(106, 3, size=4)),
    "/data/d9/f16": (added(1, 289, size=5), gone(9, 9, "whiteout"), again(76, 5, size=3)),
    "/data/d4/f12": (
        added(1, 130, size=5),
        changed(59, 4, size=8),
        gone(63, 8, "opaque"),
        again(101, 2, size=4),
    ),
    "/data/d4/f23": (
        added(1, 142, size=5),
        gone(63, 8, "opaque"),
        again(77, 2, size=3),
        changed(92, 2, size=6),
    ),
    "/data/d6/f2": (
        added(1, 200, size=4),
        gone(6, 6, "opaque"),
        again(73, 7, size=3),
        gone(83, 6, "opaque"),
    ),
    "/data/d7/f0": (
        added(1, 219, size=4),
        gone(15, 6, "opaque"),
        again(71, 6, size=3),
        gone(86, 5, "whiteout"),
    ),
    "/data/d1/f8": (
        added(1, 61, size=4),
        gone(38, 1, "whiteout"),
        again(60, 4, size=3),
        changed(62, 4, size=6),
    ),
    "/data/d4/f6": (
        added(1, 152, size=4),
        gone(34, 5, "whiteout"),
        again(41, 5, size=3),
        gone(63, 8, "opaque"),
    ),
    "/data/d5/f1": (
        added(1, 158, size=4),
        gone(28, 3, "whiteout"),
        again(68, 5, size=3),
        gone(76, 3, "whiteout"),
    ),
    "/data/d0/f10": (
        added(1, 4, size=5),
        changed(46, 2, size=8),
        gone(62, 2, "whiteout"),
        again(93, 2, size=3),
        gone(95, 1, "whiteout"),
    ),
    "/data/d7/f8": (
        added(1, 247, size=4),
        gone(15, 6, "opaque"),
        again(88, 4, size=3),
        gone(102, 6, "opaque"),
        again(107, 4, size=4),
    ),
    "/data/d5/f29": (
        added(1, 179, size=5),
        gone(28, 3, "whiteout"),
        again(31, 8, size=3),
        gone(76, 3, "whiteout"),
        again(95, 3, size=3),
    ),
    "/data/d0/f2": (
        added(1, 14, size=4),
        gone(2, 2, "whiteout"),
        again(26, 2, size=3),
        changed(69, 2, size=6),
        changed(74, 2, size=9),
        gone(95, 1, "whiteout"),
    ),
}

DEBIAN_SMALL: dict[str, Story] = {
    "/dev/tty": (added(0, 12, "device"),),
    "/srv/zoo/fifo": (added(3, 44, "fifo"),),
    # A hard link to keep/f3, which the same layer has once more.
    "/srv/zoo/keep-f3-link": (added(8, 9, size=7),),
    "/srv/zoo/dev-null": (added(3, 42, "device"), replaced(7, 4, "file", 6)),
    "/tmp": (added(0, 194, "directory"), changed(2, 8, "directory")),
    "/srv/zoo/becomes-file": (added(3, 2, "directory"), replaced(7, 2, "file", 11)),
    "/srv/zoo/becomes-symlink/sub": (added(3, 18, "directory"), gone(7, 3, "type change")),
    "/steps": (added(1, 0, "directory"), gone(10, 0, "whiteout")),
    "/srv/zoo/fifo2": (added(3, 45, "fifo"), replaced(7, 5, "directory")),
    "/var/cache/debconf/config.dat": (
        added(0, 5549, size=4401),
        (2, "rewritten", 47, "file", 4401),
    ),
    "/srv/zoo/many/n57": (added(3, 248, size=3), gone(6, 8, "opaque")),
    "/usr/bin/lesspipe": (added(2, 17, size=9047), gone(5, 124, "whiteout")),
    # The same bytes, and no longer the same file as hl3-a.
    "/srv/zoo/hl3-b": (added(3, 69, size=4), changed(8, 5, size=4)),
    "/srv/zoo/symlink-becomes-dir": (added(3, 352, "symlink", 4), replaced(7, 13, "directory")),
    "/srv/zoo/l-dir": (added(3, 86, "symlink", 4), changed(4, 13, "symlink", 4)),
    "/srv/zoo/tree": (
        added(3, 359, "directory"),
        changed(6, 115, "directory"),
        replaced(9, 25, "symlink", 4),
    ),
    "/var/cache/apt/archives": (
        added(0, 5545, "directory"),
        changed(2, 38, "directory"),
        gone(10, 4, "whiteout"),
    ),
    "/srv/zoo/gone": (
        added(3, 49, "directory"),
        gone(5, 11, "whiteout"),
        again(9, 10, "directory"),
    ),
    "/srv/zoo/file-becomes-dir": (
        added(3, 46, size=5),
        replaced(7, 8, "directory"),
        gone(9, 9, "whiteout"),
    ),
    "/srv/zoo/deep/sub/subsub": (
        added(3, 36, "directory"),
        changed(4, 6, "directory"),
        changed(5, 9, "directory"),
        gone(6, 4, "opaque"),
        again(9, 7, "directory"),
    ),
}


def check(image: Image, stories: dict[str, Story]) -> None:
    assert len(stories) == 20
    for path, story in stories.items():
        told = [
            (
                version.layer,
                version.kind,
                version.entry,
                version.cause.reason if version.cause else version.type,
                version.size,
            )
            for version in image.history_of(path)
        ]
        assert told == list(story), path
        explained = image.explain(path)
        layer, kind, entry, last, _ = story[-1]
        assert explained.real_path == path
        if kind == "hidden":
            assert explained.absence is not None
            found = (explained.absence.reason, explained.absence.layer, explained.absence.entry)
            assert found == (last, layer, entry)
        else:
            assert explained.version is not None
            assert (explained.version.layer, explained.version.entry) == (layer, entry)


@pytest.mark.parametrize(
    "name",
    [
        "many-layers.docker-save.tar",
        "many-layers.docker26-save.tar",
        "many-layers.oci-gzip.tar",
    ],
)
def test_many_layers(name: str, tmp_path: Path) -> None:
    with open_image(ARCHIVES[name].source(tmp_path)) as image:
        check(image, MANY_LAYERS)


def test_debian_small(tmp_path: Path) -> None:
    with open_image(ARCHIVES["debian-small.oci-gzip.tar"].source(tmp_path)) as image:
        check(image, DEBIAN_SMALL)
