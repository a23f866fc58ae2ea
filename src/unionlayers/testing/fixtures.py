"""
Fixtures for pytest.

Import them in a ``conftest.py``: ``from unionlayers.testing.fixtures import *``.  This module
needs pytest; the rest of `unionlayers.testing` does not.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from unionlayers.testing.compression import CODECS, SHAPES
from unionlayers.testing.damage import Damage
from unionlayers.testing.description import ImageDescription, LayerLike
from unionlayers.testing.form import FORMS, WHOLE, write_image
from unionlayers.testing.oci import Described

__all__ = ["ImageBuilder", "image_builder", "image_form", "layer_storage"]


class ImageBuilder:
    """
    Writes images into a directory, each under a name of its own.

    Called with layers it writes one image of them, tagged ``test:latest``; `write` takes images.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __call__(
        self,
        *layers: LayerLike,
        form: str = "docker-archive",
        codec: str | None = None,
        outer: str = "identity",
        damage: Damage = WHOLE,
    ) -> Path | list[Path]:
        """
        Write one image of these layers, base first.

        Args:
            layers: Sequences of entries, bytes of tars, or `LayerDescription` values.
            form: A name of `FORMS`.
            codec: That of layers that name none themselves; None for what the tool does.
            outer: Codec of an archive as a whole.
            damage: What is to be wrong.

        Returns:
            What is to be opened, as `write_image` gives it.
        """
        image = ImageDescription(layers, tags=["test:latest"])
        return self.write(image, form=form, codec=codec, outer=outer, damage=damage)

    def write(
        self,
        *images: Described,
        form: str = "docker-archive",
        codec: str | None = None,
        outer: str = "identity",
        damage: Damage = WHOLE,
    ) -> Path | list[Path]:
        """Write these images; parameters and result as those of `write_image`."""
        name = f"image-{self._count}"
        self._count += 1
        if FORMS[form].kind == "archive":
            name += ".tar"
        target = self._folder / name
        return write_image(target, *images, form=form, codec=codec, outer=outer, damage=damage)


@pytest.fixture
def image_builder(tmp_path: Path) -> ImageBuilder:
    """Give a writer of images into the temporary directory of the test."""
    return ImageBuilder(tmp_path)


@pytest.fixture(params=list(FORMS))
def image_form(request: pytest.FixtureRequest) -> str:
    """Give the name of every form in turn, so that a test runs once for each."""
    form: str = request.param
    return form


@pytest.fixture(params=[*CODECS, *SHAPES])
def layer_storage(request: pytest.FixtureRequest) -> str:
    """Give every way to store a layer in turn, for `unionlayers.testing.stored_layer`."""
    storage: str = request.param
    return storage
