"""What pages take for granted: that the package is installed as its pyproject.toml says."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from unionlayers._views._pyfilesystem import fs
from unionlayers._views.opener import LayersOpener

__all__ = ["opener_of_an_installation"]


@pytest.fixture(autouse=True)
def opener_of_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the openers, for an installation that is older than its entry points."""
    for scheme in LayersOpener.protocols:
        monkeypatch.setitem(fs.opener.registry._protocols, scheme, LayersOpener())
    if find_spec("fsspec"):
        from fsspec.registry import register_implementation

        from unionlayers._views.fsspec.layers_filesystem import LayersFileSystem

        register_implementation("layers", LayersFileSystem, clobber=True)
