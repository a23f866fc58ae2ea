"""The JSON documents of stores, damaged in every place: the right tree, or an exact error."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from json_damage import WRONG, places, replaced, twice
from made_stores import Made

from unionlayers import (
    LimitError,
    PathError,
    UnionFS,
    UnionLayersError,
    list_images,
    open_image,
)

LISTS = (
    "image/overlay2/repositories.json",
    "containers/*/config.v2.json",
    "overlay-images/images.json",
    "overlay-layers/layers.json",
    "overlay-containers/containers.json",
)


def documents(made: Made) -> Iterator[Path]:
    for pattern in LISTS:
        yield from made.root.glob(pattern)


def tree(made: Made, reference: str, *, verify: bool = True) -> dict[str, bytes] | UnionLayersError:
    """Give the files of an image or a container, or why it cannot be opened or read."""
    try:
        with open_image(made.root, reference=reference, verify=verify) as image, image.fs() as view:
            return {path: content(view, path) for path in view.walk.files()}
    except UnionLayersError as error:
        return error


@pytest.mark.parametrize("verify", [True, False])
def test_a_list_that_is_damaged_in_any_place_gives_no_other_tree(
    either: Made, verify: bool, seed: int, sample_size: int
) -> None:
    dice = random.Random(f"{seed} {either.root.name} {verify}")
    asked = (either.id, either.container)
    right = {reference: tree(either, reference, verify=verify) for reference in asked}
    assert all(isinstance(one, dict) for one in right.values())
    faults: list[str] = []
    tried = opened = 0
    for path in documents(either):
        before = path.read_bytes()
        known = sorted(set(re.findall(r'"((?:sha256:)?[0-9a-f]{64})"', before.decode())))
        for way in list(places(json.loads(before))):
            for edit in edits(way, known, dice, every=sample_size > 1000):
                changed = edit(json.loads(before))
                if not isinstance(changed, bytes) or changed == before:
                    continue
                path.write_bytes(changed)
                where = f"{path.name} {way} {changed[:300]!r}"
                tried += 1
                assert len(list_images(either.root)) > 0, where
                for reference in asked:
                    found = tree(either, reference, verify=verify)
                    opened += found == right[reference]
                    if isinstance(found, LimitError) or found == right[reference]:
                        continue
                    if isinstance(found, dict):
                        faults.append(f"{reference[:8]} has another tree: {where}")
                    elif not found.candidates and found.member is None:
                        faults.append(f"{reference[:8]}: {found!r} names nothing: {where}")
        path.write_bytes(before)
    assert not faults, "\n".join(faults)
    assert tried > 30
    assert opened > 10


def content(view: UnionFS, path: str) -> bytes:
    try:
        return view.readbytes(path)
    except PathError as error:  # links that lead nowhere, and devices
        return repr(error).encode()


def edits(
    way: tuple[Any, ...], known: list[str], dice: random.Random, *, every: bool
) -> Iterator[Any]:
    """Take a value away, and put others there: wrong ones, and those of other places."""
    yield replaced(way, KeyError)
    for values in (WRONG, known):
        for value in values if every else dice.sample(values, min(2, len(values))):
            yield replaced(way, value)
            if way and isinstance(way[-1], str):
                yield twice(way, value, swapped=dice.random() < 0.5)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"[", b"{}", b"null", b'"x"', b"[[]]"])
def test_a_list_that_is_none_costs_what_it_lists(either: Made, content: bytes) -> None:
    for path in documents(either):
        before = path.read_bytes()
        path.write_bytes(content)
        assert list_images(either.root)
        for reference in (either.id, either.container):
            found = tree(either, reference)
            assert isinstance(found, UnionLayersError) or found
        path.write_bytes(before)
