"""What no runtime could apply and a layer above hides: which questions raise it, which do not."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from unionlayers import CorruptError, Image, LayerError, open_image
from unionlayers._layers.scan import scan
from unionlayers.testing import (
    Entry,
    ImageDescription,
    directory,
    docker_archive,
    file,
    hardlink,
    opaque,
    whiteout,
)

f, d, hl, wh, op = file, directory, hardlink, whiteout, opaque
Layers = Sequence[Sequence[Entry]]

# The layers, the directory whose listing meets the link, and one that does not have its layer.
HIDDEN: list[tuple[str, Layers, str]] = [
    ("hidden", [[f("a"), d("o"), f("o/x")], [hl("b", "none")], [wh("b")]], "/"),
    ("replaced", [[f("a"), d("o"), f("o/x")], [hl("d/b", "none")], [f("d/b", "2")]], "/d"),
    ("a file above", [[f("a"), d("o"), f("o/x")], [hl("d/b", "none")], [f("d", "2")]], "/"),
    ("opaque above", [[f("a"), d("o"), f("o/x")], [hl("d/b", "none")], [op("d")]], "/"),
    ("deeper", [[f("a"), d("o"), f("o/x")], [hl("d/e/g/b", "none")], [f("d/e/g", "2")]], "/d/e"),
    ("made again", [[f("a"), d("o"), f("o/x")], [hl("d/b", "no")], [wh("d"), d("d")]], "/"),
    ("an opaque root", [[f("b"), hl("b", "none")], [op(""), d("o"), f("o/x")]], "/"),
]
WHOLE: dict[str, Callable[[Image], Any]] = {
    "prepare": lambda image: image.prepare(),
    "verify": lambda image: image.verify(),
    "walk.files": lambda image: list(image.fs().walk.files()),
    "walk.info": lambda image: list(image.fs().walk.info(namespaces=["details"])),
    "find": lambda image: list(image.fs().find()),
    "glob": lambda image: list(image.fs().glob("**")),
    "sizes": lambda image: image.sizes(),
    "export": lambda image: image.fs().export(io.BytesIO()),
    "columns": lambda image: list(scan(image.union())),
}


def opened(layers: Layers, **options: Any) -> Image:
    return open_image(io.BytesIO(docker_archive(ImageDescription(layers))), **options)


rows = pytest.mark.parametrize(
    ("layers", "place"), [row[1:] for row in HIDDEN], ids=[row[0] for row in HIDDEN]
)


@pytest.mark.parametrize("ask", WHOLE.values(), ids=WHOLE)
@rows
def test_what_asks_for_everything_raises_it(
    layers: Layers, place: str, ask: Callable[[Image], Any]
) -> None:
    del place
    with opened(layers) as image:
        said = []
        for _ in range(2):
            with pytest.raises((LayerError, OSError)) as caught:
                ask(image)
            said.append(str(caught.value))
        assert said[0] == said[1]
        assert "hard link" in said[0]
    with opened(layers, on_invalid="warn") as image:
        ask(image)


@rows
def test_the_listing_of_the_directory_that_hides_it_raises_it(layers: Layers, place: str) -> None:
    with opened(layers) as image:
        view = image.fs()
        assert [info.name for info in view.scandir("/o")] == ["x"]
        above = place
        while above != "/":
            above = above.rpartition("/")[0] or "/"
            assert list(view.scandir(above)), above
        assert view.listdir(place)
        with pytest.raises(OSError, match="hard link"):
            list(view.scandir(place))
        assert view.readbytes("/o/x") == b""
        assert not view.exists("/none")


@rows
def test_findings_and_agreement_tell_it(layers: Layers, place: str) -> None:
    del place
    with opened(layers) as image:
        try:
            told = [item.case for item in image.findings if item.code == "HARDLINK_MISSING"]
        except CorruptError as error:
            told = [error.case]
        assert told == ["E10"]
        agreement = image.agreement()
        assert agreement.complete
        assert {error.case for error in agreement.refused.values()} == {"E10"}
        assert list(agreement.refused) == ["oci", "overlay", "sequential"]
    with opened(layers, on_invalid="warn") as image:
        assert "E10" in {item.case for item in image.findings}
        assert not image.agreement().refused


def test_a_link_that_one_profile_alone_refuses_is_told_of_that_one() -> None:
    layers = [[f("a", "1")], [hl("b", "a")], [wh("b")]]
    with opened(layers) as image:
        assert list(image.agreement().refused) == ["overlay"]
        assert [info.name for info in image.fs().scandir("/")] == ["a"]
        with image.fs(profile="overlay") as view, pytest.raises(OSError, match="hard link"):
            list(view.scandir("/"))


def test_some_layers_are_prepared_without_what_they_lack() -> None:
    with opened([[f("a", "1")], [hl("b", "a")]]) as image:
        image.prepare([1])
        image.prepare()
