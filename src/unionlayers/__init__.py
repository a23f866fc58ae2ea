"""
A container image as one read-only filesystem, straight from the archive.

`open_image` gives an `Image`; its `fs` is a PyFilesystem over the union of its layers.  No daemon,
no root, nothing extracted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unionlayers import errors
from unionlayers._foundation.limits import Limits
from unionlayers._image.config import Step
from unionlayers._image.image import Image, provide_views
from unionlayers._image.layer import Layer, Mark
from unionlayers._image.opening import ImageSummary, list_images, open_image
from unionlayers._layers.finding import Finding
from unionlayers._layers.profile import Profile
from unionlayers._views.path import ImagePath
from unionlayers.errors import *  # noqa: F403 - the tree, which has its own __all__

if TYPE_CHECKING:
    from unionlayers._views.union_fs import UnionFS
    from unionlayers._views.walker import RegularFiles

__version__ = "0.1.0"

# Names that need PyFilesystem, which is imported when one of them is first asked for.
_LAZY = {"UnionFS": "unionlayers._views.union_fs", "RegularFiles": "unionlayers._views.walker"}

__all__ = [  # noqa: PLE0604
    *errors.__all__,
    "Finding",
    "Image",
    "ImagePath",
    "ImageSummary",
    "Layer",
    "Limits",
    "Mark",
    "Profile",
    "RegularFiles",
    "Step",
    "UnionFS",
    "list_images",
    "open_image",
]


def __getattr__(name: str) -> Any:
    """Import what needs PyFilesystem when it is asked for."""
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Give the public names."""
    return sorted(__all__)


def _view(image: Image, layers: Any, profile: Any) -> Any:
    from unionlayers._views.union_fs import UnionFS

    return UnionFS.over(image, layers, profile)


provide_views(fs=_view, path=ImagePath)
