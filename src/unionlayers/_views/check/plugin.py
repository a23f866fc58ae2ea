"""
The plugin for pytest: an image from the command line or a marker, and demands on it.

pytest loads this module at every start where unionlayers is installed; what costs time is
imported by the fixtures, that is, by tests that ask for an image.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from unionlayers.errors import UnionLayersError

if TYPE_CHECKING:
    from unionlayers._image.image import Image
    from unionlayers._views.check.image_check import ImageCheck

__all__ = [
    "image",
    "image_check",
    "pytest_addoption",
    "pytest_configure",
    "pytest_report_header",
    "unionlayers_images",
]

_OPTIONS = ("reference", "platform", "profile")
_MARKER = (
    "image(source, *, reference=None, platform=None, profile=None): "
    "the container image that the fixture `image` opens; a path is relative to the root folder"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what says which image is tested."""
    group = parser.getgroup("unionlayers", "container images")
    group.addoption("--image", metavar="ARCHIVE", help="what the fixture `image` opens")
    group.addoption("--image-reference", metavar="NAME", help="which image of several in it")
    group.addoption("--image-platform", metavar="PLATFORM", help="such as linux/arm64/v8")
    group.addoption("--image-profile", metavar="PROFILE", help="oci, overlay or sequential")


def pytest_configure(config: pytest.Config) -> None:
    """Say what the marker is."""
    config.addinivalue_line("markers", _MARKER)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which image is tested, if one is named."""
    source = config.getoption("image")
    return None if source is None else f"unionlayers: image {source}"


class _Images:
    """The images of a session, each opened once."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._open: dict[tuple[Any, ...], Image] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def give(self, source: Path, options: dict[str, str | None]) -> Image:
        from unionlayers._image.opening import open_image

        key = (source, *options.items())
        known = self._open.get(key)
        if known is None or known.closed:
            opened = open_image(
                source,
                reference=options["reference"],
                platform=options["platform"],
                profile=options["profile"] or "oci",
            )
            known = self._open[key] = self._stack.enter_context(opened)
        return known


@pytest.fixture(scope="session")
def unionlayers_images() -> Iterator[_Images]:
    """Keep the images that tests have asked for open until the session ends."""
    with _Images() as images:
        yield images


@pytest.fixture
def image(request: pytest.FixtureRequest, unionlayers_images: _Images) -> Image:
    """
    Give the image that the marker of the test names, else that of ``--image``.

    It is opened once for all tests and closed at the end.
    """
    config = request.config
    marker = request.node.get_closest_marker("image")
    if marker is not None:
        if len(marker.args) != 1 or not set(marker.kwargs) <= set(_OPTIONS):
            pytest.fail(f"the marker is to be as: {_MARKER}", pytrace=False)
        source = config.rootpath / marker.args[0]
        options = {name: marker.kwargs.get(name) for name in _OPTIONS}
    elif config.getoption("image") is not None:
        source = config.invocation_params.dir / config.getoption("image")
        options = {name: config.getoption(f"image_{name}") for name in _OPTIONS}
    else:
        pytest.fail(
            "no image to test: run pytest with --image ARCHIVE, or mark the test with "
            '@pytest.mark.image("ARCHIVE")',
            pytrace=False,
        )
    try:
        return unionlayers_images.give(source, options)
    except (UnionLayersError, OSError, ValueError) as error:
        pytest.fail(f"{source} cannot be opened: {type(error).__name__}: {error}", pytrace=False)


@pytest.fixture
def image_check(image: Image) -> ImageCheck:
    """Give the demands on the image: `ImageCheck`."""
    from unionlayers._views.check.image_check import ImageCheck

    return ImageCheck(image)
