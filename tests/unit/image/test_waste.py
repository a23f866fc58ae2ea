"""What is shipped for nothing, what is shown, and dive's score of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from unionlayers import ClosedError, Image, open_image
from unionlayers.testing import (
    Entry,
    HistoryStep,
    ImageDescription,
    directory,
    docker_archive,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
)

IMAGES = sorted((Path(__file__).parents[2] / "images").glob("*.tar"))


def opened(layers: Sequence[Sequence[Entry]], **given: Any) -> Image:
    return open_image(
        io.BytesIO(docker_archive(ImageDescription(layers, **given))), on_invalid="warn"
    )


WASTE: dict[str, tuple[Sequence[Sequence[Entry]], list[tuple[Any, ...]]]] = {
    "nothing": ([[file("f", b"12"), symlink("l", "f"), directory("d")]], []),
    "other content over a file": (
        [[file("f", b"12")], [file("f", b"345")]],
        [("shadowed", "/f", 0, 2, 1, None)],
    ),
    "a directory over a file": (
        [[file("f", b"12")], [directory("f")]],
        [("shadowed", "/f", 0, 2, 1, None)],
    ),
    "a whiteout": ([[file("f", b"12")], [whiteout("f")]], [("deleted", "/f", 0, 2, 1, None)]),
    "an opaque directory": (
        [[file("d/f", b"12")], [directory("d"), opaque("d")]],
        [("deleted", "/d/f", 0, 2, 1, None)],
    ),
    "a file that is shipped once more with another mode": (
        [[file("f", b"12", mode=0o600)], [file("f", b"12", mode=0o644)]],
        [("rewritten", "/f", 0, 2, 1, "/f")],
    ),
    "a file that goes before its directory does": (
        [[file("d/f", b"12")], [whiteout("d/f")], [whiteout("d")]],
        [("deleted", "/d/f", 0, 2, 1, None)],
    ),
    "a file that is replaced before its directory goes": (
        [[file("d/f", b"1234")], [file("d/f", b"345")], [whiteout("d")]],
        [("shadowed", "/d/f", 0, 4, 1, None), ("deleted", "/d/f", 1, 3, 2, None)],
    ),
    "a file that is shipped once more beside a whiteout of its directory": (
        [[file("d/f", b"12")], [whiteout("d"), file("d/f", b"12", mode=0o600)]],
        [("rewritten", "/d/f", 0, 2, 1, "/d/f")],
    ),
    "a file of the same size and other content": (
        [[file("f", b"12")], [file("f", b"21")]],
        [("shadowed", "/f", 0, 2, 1, None)],
    ),
    "a file that its own layer ships twice": (
        [[file("f", b"12"), file("f", b"12")]],
        [("rewritten", "/f", 0, 2, 0, "/f")],
    ),
    "the same content at three paths": (
        [[file("b", b"12"), file("a", b"12")], [file("c", b"12"), file("d", b"21")]],
        [("duplicates", "/a", 0, 2, 0, "/b"), ("duplicates", "/c", 1, 2, 1, "/b")],
    ),
    "hard links ship nothing": ([[file("f", b"12"), hardlink("g", "f")]], []),
    "a file that a hard link keeps": (
        [[file("f", b"12"), hardlink("g", "f")], [whiteout("f")]],
        [],
    ),
    "a file that is gone with all its links": (
        [[file("f", b"12"), hardlink("g", "f")], [whiteout("f"), whiteout("g")]],
        [("deleted", "/f", 0, 2, 1, None)],
    ),
    "content that is hidden and shown elsewhere counts once": (
        [[file("f", b"12")], [whiteout("f"), file("g", b"12")]],
        [("deleted", "/f", 0, 2, 1, None)],
    ),
    "the lowest layer that hides is the cause": (
        [[file("f", b"12")], [whiteout("f")], [file("f", b"3")], [whiteout("f")]],
        [("deleted", "/f", 0, 2, 1, None), ("deleted", "/f", 2, 1, 3, None)],
    ),
}


@pytest.mark.parametrize(("layers", "told"), WASTE.values(), ids=WASTE)
def test_what_is_shipped_for_nothing_and_why(
    layers: Sequence[Sequence[Entry]], told: list[tuple[Any, ...]]
) -> None:
    with opened(layers) as image:
        waste = image.waste()
        sizes = image.sizes()
    found = [(i.kind, i.path, i.layer, i.size, i.caused_by, i.same_as) for i in waste]
    assert found == told
    assert len(waste) == len(told)
    assert waste.total == sum(item[3] for item in told)
    # What is shipped is shown, or hidden and useless.
    assert sizes.shipped == waste.shipped == sizes.total + waste.total - waste.duplicates


def test_waste_adds_up_by_layer_step_and_directory() -> None:
    steps = [HistoryStep("ADD base"), HistoryStep("RUN chmod"), HistoryStep("RUN rm")]
    layers = [
        [file("srv/a/f", b"x" * 100), file("srv/b/g", b"y" * 30), file("h", b"z" * 7)],
        [file("srv/a/f", b"x" * 100, mode=0o600), file("srv/b/g", b"w")],
        [whiteout("h")],
    ]
    with opened(layers, history=steps) as image:
        waste = image.waste()
    assert (waste.total, waste.rewritten, waste.shadowed, waste.deleted) == (137, 100, 30, 7)
    assert waste.duplicates == 0
    assert waste.shipped == 238
    assert waste.share == 137 / 238
    assert waste.by_layer == {0: 137}
    by_step = {step and step.created_by: size for step, size in waste.by_step.items()}
    assert by_step == {"RUN chmod": 130, "RUN rm": 7}
    assert list(waste.by_directory.items()) == [
        ("/", 137),
        ("/srv", 130),
        ("/srv/a", 100),
        ("/srv/b", 30),
    ]
    told = str(waste).splitlines()
    assert told[0].startswith("137 of 238 bytes are shipped for nothing: 30 shadowed, 7 deleted, ")
    assert told[1] == "         100 rewritten /srv/a/f in layer 0, made useless by layer 1"


def test_no_content_is_compared_among_what_is_shown_unless_asked() -> None:
    layers = [[file("a", b"12"), file("b", b"12"), file("c", b"3")], [file("c", b"3", mode=0o600)]]
    with opened(layers) as image:
        assert image.waste().duplicates == 2
        assert [item.kind for item in image.waste(duplicates=False)] == ["rewritten"]


def test_waste_is_of_the_layers_that_are_asked_for() -> None:
    with opened([[file("f", b"1")], [file("f", b"22")], [whiteout("f")]]) as image:
        assert image.waste(layers=slice(1)).total == 0
        assert image.waste(layers=slice(2)).total == 1
        assert [(i.layer, i.caused_by) for i in image.waste(layers=[0, 2])] == [(0, 2)]


SCORES: dict[str, tuple[Sequence[Sequence[Entry]], float]] = {
    "nothing at all": ([[]], 1.0),
    "each path once": ([[file("a", b"12345"), file("b", b"1")]], 1.0),
    # a: 6 + 4 bytes, the smallest 4; b: 10 bytes once.
    "a path in two layers": (
        [[file("a", b"x" * 6), file("b", b"y" * 10)], [file("a", b"z" * 4)]],
        14 / 20,
    ),
    # a: 6 bytes and a whiteout, the smallest 0; b: 10 bytes once.
    "a file that is deleted": (
        [[file("a", b"x" * 6), file("b", b"y" * 10)], [whiteout("a")]],
        10 / 16,
    ),
    # d/f: 6 bytes once; d: a whiteout that weighs 6 bytes on both sides; b: 4 + 2, the smallest 2.
    "a directory that is deleted": (
        [
            [directory("d"), file("d/f", b"x" * 6), file("b", b"y" * 4)],
            [whiteout("d"), file("b", b"zz")],
        ],
        (6 + 6 + 2) / (6 + 6 + 6),
    ),
    "an opaque directory hides nothing": (
        [[file("d/f", b"x" * 6)], [directory("d"), opaque("d")]],
        1.0,
    ),
    "hard links weigh nothing": ([[file("a", b"123456"), hardlink("b", "a")]], 1.0),
    "a whiteout of nothing": ([[file("a", b"123456")], [whiteout("b")]], 1.0),
}


@pytest.mark.parametrize(("layers", "score"), SCORES.values(), ids=SCORES)
def test_the_score_is_that_of_dive(layers: Sequence[Sequence[Entry]], score: float) -> None:
    with opened(layers) as image:
        assert image.waste().efficiency == pytest.approx(score)


@pytest.mark.parametrize("archive", IMAGES, ids=lambda path: path.name)
def test_real_images_ship_what_they_show_and_what_they_waste(archive: Path) -> None:
    with open_image(archive) as image:
        waste, sizes = image.waste(), image.sizes()
        hidden = image.hidden()
        assert waste.total - waste.duplicates == hidden.size
        assert sizes.shipped == sizes.total + hidden.size
        assert sizes.by_directory["/"] == sum(sizes.by_step.values()) == sizes.total
        assert 0.0 <= waste.efficiency <= 1.0


def test_sizes_count_an_inode_once_at_its_first_name() -> None:
    layers = [
        [file("b/f", b"12345"), hardlink("a/g", "b/f"), file("c", b"1")],
        [hardlink("z/h", "b/f"), directory("e")],
    ]
    with opened(layers) as image:
        sizes = image.sizes()
    assert sizes.total == sizes.shipped == 6
    assert sizes.by_directory == {"/": 6, "/a": 5}
    assert [(one.layer, one.shipped, one.shown) for one in sizes.by_layer] == [(0, 6, 6), (1, 0, 0)]
    assert [(one.entries, one.shown_entries) for one in sizes.by_layer] == [(3, 3), (2, 2)]
    assert all(one.stored > 0 for one in sizes.by_layer)


def test_a_closed_image_says_so() -> None:
    with opened([[file("f", b"1")]]) as image:
        pass
    with pytest.raises(ClosedError):
        image.waste()
    with pytest.raises(ClosedError):
        image.sizes()
