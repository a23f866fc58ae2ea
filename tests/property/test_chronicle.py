"""A stack looked at by bisection shows what it shows when one layer is asked after the other."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest

from unionlayers import UnionLayersError, diff, open_image
from unionlayers._layers import directory as directories
from unionlayers.testing import (
    Entry,
    ImageDescription,
    directory,
    docker_archive,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
)

NAMESPACES = ("basic", "details", "access", "link", "stat", "xattr", "layer")


def some_path(dice: random.Random) -> str:
    return "/".join(dice.choice("abc") for _ in range(dice.choice((1, 1, 2, 2, 3))))


def some_entry(dice: random.Random) -> Entry:
    path = some_path(dice)
    kind = dice.randrange(12)
    if kind < 3:
        return file(path, "x" * dice.randrange(3), uid=dice.randrange(3))
    if kind < 5:
        xattrs = {f"user.{dice.choice('ab')}": b"1"} if dice.randrange(2) else {}
        return directory(path, mode=dice.choice((0o755, 0o700)), xattrs=xattrs)
    if kind < 6:
        return symlink(path, some_path(dice))
    if kind < 8:
        return whiteout(path)
    if kind < 10:
        return opaque(path)
    return hardlink(path, some_path(dice), uid=dice.randrange(3))


def told(question: Any) -> Any:
    try:
        return question()
    except UnionLayersError as error:
        return type(error), str(error)


def answers(archive: bytes, profile: str, on_invalid: Any) -> list[Any]:
    """Give what a stack shows, asked cold and asked when all layers are known."""
    paths = ["/", *(f"/{one}" for one in "abc"), "/a/b", "/b/a", "/c/c/c", "/a/none/x"]

    def shown(image: Any, *, known: bool) -> Any:
        if known:
            image.prepare()
        view = image.fs()
        cold = [told(lambda path=path: view.getinfo(path, NAMESPACES).raw) for path in paths]
        return cold, [(path, info.raw) for path, info in view.find(namespaces=NAMESPACES)]

    with open_image(io.BytesIO(archive), profile=profile, on_invalid=on_invalid) as image:
        return [
            told(lambda: shown(image, known=False)),
            told(lambda: shown(image, known=True)),
            [told(lambda path=path: str(image.explain(path))) for path in paths],
            told(lambda: image.findings),
            told(lambda: [(one.path, one.seen_as) for one in image.hidden()]),
            told(lambda: [(one.path, one.fields) for one in diff(image, (image, slice(0, 2)))]),
        ]


@pytest.mark.parametrize("on_invalid", ["error", "warn"])
@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
def test_both_ways_show_the_same(
    profile: str, on_invalid: str, seed: int, monkeypatch: pytest.MonkeyPatch, sample_size: int
) -> None:
    for number in range(sample_size // 10):
        dice = random.Random(f"{seed} {number}")
        layers = [
            [some_entry(dice) for _ in range(dice.choice((1, 2, 4, 7)))]
            for _ in range(dice.choice((2, 3, 4, 6)))
        ]
        archive = docker_archive(ImageDescription(layers))
        stepped = answers(archive, profile, on_invalid)
        with monkeypatch.context() as patched:
            patched.setattr(directories, "TALL", 0)
            assert answers(archive, profile, on_invalid) == stepped, f"{seed} {number}"
