"""What two images share from the base up."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from unionlayers import ClosedError, Image, diff, open_image
from unionlayers.testing import (
    Entry,
    ImageDescription,
    LayerDescription,
    docker_archive,
    file,
    layer,
    oci_archive,
)

BASE = [[file("etc/release", b"1")], [file("bin/sh", b"2")]]


def opened(layers: Sequence[Sequence[Entry]]) -> Image:
    return open_image(io.BytesIO(docker_archive(ImageDescription(layers))))


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (BASE, BASE, 2),
        ([*BASE, [file("app", b"3")]], BASE, 2),
        (BASE, [*BASE, [file("app", b"3")]], 2),
        ([*BASE, [file("app", b"3")]], [*BASE, [file("app", b"4")]], 2),
        (BASE, BASE[1:], 0),
        ([BASE[0], [file("x")], BASE[1]], BASE, 1),
        ([], BASE, 0),
    ],
)
def test_the_leading_layers_with_equal_diff_ids_are_shared(
    one: Sequence[Sequence[Entry]], other: Sequence[Sequence[Entry]], shared: int
) -> None:
    with opened(one) as image, opened(other) as base:
        assert image.base_of(base) == image.layers[:shared]
        own = image.layers[image.own_layers(base)]
        assert image.base_of(base) + own == image.layers


def test_own_layers_show_what_an_image_adds_to_its_base() -> None:
    with opened([*BASE, [file("app", b"3")]]) as image, opened(BASE) as base:
        own = image.own_layers(base)
        assert image.fs(layers=own).listdir("/") == ["app"]
        assert [change.path for change in diff((image, slice(own.start)), image)] == ["/app"]
        assert base.fs(layers=base.own_layers(image)).listdir("/") == []


def test_how_a_layer_is_compressed_does_not_matter() -> None:
    layers = [LayerDescription(layer(*entries), codec="gzip") for entries in BASE]
    archive = oci_archive(ImageDescription(layers))
    with open_image(io.BytesIO(archive)) as image, opened(BASE) as base:
        assert image.base_of(base) == image.layers


def test_bare_layers_are_indexed_for_it(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.tar" for number in range(2)]
    for path, entries in zip(paths, BASE, strict=True):
        path.write_bytes(layer(*entries))
    with open_image([str(path) for path in paths]) as image, opened(BASE) as base:
        assert image.base_of(base) == image.layers


def test_what_was_not_hashed_is_not_shared(tmp_path: Path) -> None:
    path = tmp_path / "layer.tar"
    path.write_bytes(layer(*BASE[0]))
    with open_image([str(path)], verify=False) as image, opened(BASE) as base:
        assert image.base_of(base) == ()


def test_a_closed_image_says_so() -> None:
    with opened(BASE) as image, opened(BASE) as base:
        pass
    with opened(BASE) as other:
        for one, two in ((image, other), (other, base)):
            with pytest.raises(ClosedError):
                one.base_of(two)
