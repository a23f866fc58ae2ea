"""
A container image as one read-only filesystem, straight from the archive.

`open_image` gives an `Image`; its `fs` is a PyFilesystem over the union of its layers.  No daemon,
no root, nothing extracted.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unionlayers import errors
from unionlayers._image.view_makers import provide_views
from unionlayers.errors import *  # noqa: F403 - the tree, which has its own __all__

if TYPE_CHECKING:
    from unionlayers._foundation.limits import Limits
    from unionlayers._image.analysis import Analysis, AnalysisItem, analyze
    from unionlayers._image.change import Change, Side
    from unionlayers._image.changes import Changes, diff
    from unionlayers._image.comparison import Comparison, compare
    from unionlayers._image.config import Step
    from unionlayers._image.explanation import Absence, Explanation
    from unionlayers._image.exported import Exported, LeftOut
    from unionlayers._image.hidden import Hidden, HiddenEntry
    from unionlayers._image.image import Image
    from unionlayers._image.index_store import DirectoryIndexStore, IndexStore
    from unionlayers._image.layer import Layer, Mark
    from unionlayers._image.opening import open_image
    from unionlayers._image.path_versions import Version
    from unionlayers._image.sizes import LayerSize, Sizes
    from unionlayers._image.summary import ImageSummary, list_images
    from unionlayers._image.timeline import Timeline, TimelineItem
    from unionlayers._image.unreferenced import Unreferenced
    from unionlayers._image.waste import Waste, WasteItem
    from unionlayers._layers.answer import Agreement, Answer, Disagreement
    from unionlayers._layers.finding import Finding
    from unionlayers._layers.path_history import Cause
    from unionlayers._layers.profile import Profile
    from unionlayers._layers.resolution import Link
    from unionlayers._views.check.image_check import ImageCheck
    from unionlayers._views.fsspec.layers_filesystem import LayersFileSystem as LayersFileSystem
    from unionlayers._views.fuse.mount import Mount
    from unionlayers._views.path import ImagePath
    from unionlayers._views.union_fs import UnionFS
    from unionlayers._views.walker import RegularFiles

__version__ = "0.1.0"

# What needs an extra: no star import asks for it.
_EXTRAS = {"LayersFileSystem": "_views.fsspec.layers_filesystem"}

# Where each name is; a module is imported when a name of it is first asked for, so that importing
# the package costs little and PyFilesystem is only loaded by those who use it.
_HOMES = {
    "Absence": "_image.explanation",
    "Agreement": "_layers.answer",
    "Analysis": "_image.analysis",
    "AnalysisItem": "_image.analysis",
    "Answer": "_layers.answer",
    "Cause": "_layers.path_history",
    "Change": "_image.change",
    "Changes": "_image.changes",
    "Comparison": "_image.comparison",
    "DirectoryIndexStore": "_image.index_store",
    "Disagreement": "_layers.answer",
    "Explanation": "_image.explanation",
    "Exported": "_image.exported",
    "Finding": "_layers.finding",
    "Hidden": "_image.hidden",
    "HiddenEntry": "_image.hidden",
    "Image": "_image.image",
    "ImageCheck": "_views.check.image_check",
    "ImagePath": "_views.path",
    "ImageSummary": "_image.summary",
    "IndexStore": "_image.index_store",
    "Layer": "_image.layer",
    "LayerSize": "_image.sizes",
    "LeftOut": "_image.exported",
    "Limits": "_foundation.limits",
    "Link": "_layers.resolution",
    "Mark": "_image.layer",
    "Mount": "_views.fuse.mount",
    "Profile": "_layers.profile",
    "RegularFiles": "_views.walker",
    "Side": "_image.change",
    "Sizes": "_image.sizes",
    "Step": "_image.config",
    "Timeline": "_image.timeline",
    "TimelineItem": "_image.timeline",
    "UnionFS": "_views.union_fs",
    "Unreferenced": "_image.unreferenced",
    "Version": "_image.path_versions",
    "Waste": "_image.waste",
    "WasteItem": "_image.waste",
    "analyze": "_image.analysis",
    "compare": "_image.comparison",
    "diff": "_image.changes",
    "list_images": "_image.summary",
    "open_image": "_image.opening",
}

__all__ = [  # noqa: PLE0604
    *errors.__all__,
    "Absence",
    "Agreement",
    "Analysis",
    "AnalysisItem",
    "Answer",
    "Cause",
    "Change",
    "Changes",
    "Comparison",
    "DirectoryIndexStore",
    "Disagreement",
    "Explanation",
    "Exported",
    "Finding",
    "Hidden",
    "HiddenEntry",
    "Image",
    "ImageCheck",
    "ImagePath",
    "ImageSummary",
    "IndexStore",
    "Layer",
    "LayerSize",
    "LeftOut",
    "Limits",
    "Link",
    "Mark",
    "Mount",
    "Profile",
    "RegularFiles",
    "Side",
    "Sizes",
    "Step",
    "Timeline",
    "TimelineItem",
    "UnionFS",
    "Unreferenced",
    "Version",
    "Waste",
    "WasteItem",
    "analyze",
    "compare",
    "diff",
    "list_images",
    "open_image",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    module = _HOMES.get(name) or _EXTRAS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Give the public names."""
    return sorted((*__all__, *_EXTRAS))


def _view(image: Image, layers: Any, profile: Any) -> Any:
    from unionlayers._views.union_fs import UnionFS

    return UnionFS.over(image, layers, profile)


def _view_over(image: Image, union: Any) -> Any:
    from unionlayers._views.reading import ReadingFS

    return ReadingFS(image, union)


def _path(image: Image, path: str) -> Any:
    from unionlayers._views.path import ImagePath

    return ImagePath(image, path)


def _export(image: Image, union: Any, nodes: Any, destination: Any, **options: Any) -> Any:
    from unionlayers._views.export.destination import export

    return export(image, union, nodes, destination, **options)


def _mount(image: Image, directory: Any, layers: Any, **options: Any) -> Any:
    from unionlayers._views.fuse.mount import mount

    return mount(image, directory, layers, **options)


def _html(shown: Any) -> str:
    from unionlayers._views.display.face import html_of

    return html_of(shown)


def _html_of_view(image: Image, union: Any, **options: Any) -> str:
    from unionlayers._views.display.face import html_of_view

    return html_of_view(image, union, **options)


def _frame(image: Image, union: Any) -> Any:
    from unionlayers._views.frame import frame_of

    return frame_of(image, union)


provide_views(
    fs=_view,
    over=_view_over,
    path=_path,
    export=_export,
    mount=_mount,
    html=_html,
    html_of_view=_html_of_view,
    frame=_frame,
)
