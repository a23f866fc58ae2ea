"""What is wrong is said alike, whichever surface it is said to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unionlayers import (
    DestinationExistsError,
    Image,
    InvalidURLError,
    MountError,
    OptionError,
    UnionFS,
    UnionLayersError,
    UnknownFormatError,
    open_image,
)
from unionlayers._views._pyfilesystem import fs
from unionlayers._views.opener import LayersOpener
from unionlayers.testing import ImageDescription, file, write_image

Opening = Callable[[str], Any]


@pytest.fixture(autouse=True)
def opener(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the openers, for an installation that is older than its entry points."""
    for scheme in LayersOpener.protocols:
        monkeypatch.setitem(fs.opener.registry._protocols, scheme, LayersOpener())


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    made = write_image(tmp_path / "a@b c%41.tar", ImageDescription([[file("etc/name", "x")]]))
    assert isinstance(made, Path)
    return made


def by_fsspec(source: str, **options: Any) -> Any:
    pytest.importorskip("fsspec", reason="fsspec is not installed (the extra fsspec)")
    from unionlayers import LayersFileSystem

    return LayersFileSystem(fo=source, skip_instance_cache=True, **options)


SURFACES: dict[str, Opening] = {
    "open_image": open_image,
    "UnionFS": UnionFS,
    "open_fs": lambda source: fs.open_fs(f"layers://{source}"),
    "fsspec": by_fsspec,
}


@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
def test_an_image_that_is_missing_is_named(surface: Opening, tmp_path: Path) -> None:
    with pytest.raises((FileNotFoundError, fs.errors.CreateFailed)) as caught:
        surface(str(tmp_path / "none.tar"))
    assert "none.tar" in str(caught.value)


@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
def test_what_is_no_image_is_our_error(surface: Opening, tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("no archive")
    with pytest.raises(UnionLayersError) as caught:
        surface(str(tmp_path / "text.tar"))
    assert isinstance(caught.value, UnknownFormatError) or isinstance(
        caught.value.__cause__, UnknownFormatError
    )


UNKNOWN: dict[str, tuple[Callable[[], Any], type[Exception]]] = {
    "open_fs": (lambda: fs.open_fs("layers://image.tar?tag=x"), InvalidURLError),
    "fsspec": (lambda: by_fsspec("image.tar", tag="x"), OptionError),
}


@pytest.mark.parametrize(("ask", "error"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_option_that_there_is_not_is_named_with_those_there_are(
    ask: Callable[[], Any], error: type[UnionLayersError]
) -> None:
    with pytest.raises(error, match="tag") as caught:
        ask()
    assert "platform" in caught.value.candidates


def test_at_signs_blanks_and_percent_signs_in_a_url_are_those_of_the_name(archive: Path) -> None:
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed (the extra fsspec)")
    from unionlayers import LayersFileSystem

    fsspec.register_implementation("layers", LayersFileSystem, clobber=True)
    with fsspec.open(f"layers://etc/name::file://{archive}", "rt") as opened:
        assert opened.read() == "x"
    with UnionFS(archive) as view:
        url = view.geturl("etc/name", purpose="fs")
    with fs.open_fs(url.rpartition("!")[0]) as again:
        assert again.readtext("etc/name") == "x"


def exporting(image: Image, place: Path) -> Any:
    return image.fs().export(place)


def mounting(image: Image, place: Path) -> Any:
    pytest.importorskip("mfusepy", reason="mfusepy is not installed (the extra fuse)")
    return image.mount(place)


@pytest.mark.parametrize(
    ("write", "error"), [(exporting, DestinationExistsError), (mounting, MountError)]
)
def test_a_destination_that_has_something_is_left_as_it_is(
    write: Callable[[Image, Path], Any], error: type[Exception], archive: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "mine").write_text("mine")
    with open_image(archive) as image, pytest.raises(error):
        write(image, place)
    assert os.listdir(place) == ["mine"]
    assert (place / "mine").read_text() == "mine"
