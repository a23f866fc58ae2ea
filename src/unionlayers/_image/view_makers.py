"""What makes the views of an image: said once from above, so that no import points upwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

__all__ = ["provide_views", "view_maker"]

_views: dict[str, Callable[..., Any]] = {}


def provide_views(
    *,
    fs: Callable[..., Any],
    over: Callable[..., Any],
    path: Callable[..., Any],
    export: Callable[..., Any],
    mount: Callable[..., Any],
    html: Callable[..., Any],
    html_of_view: Callable[..., Any],
    frame: Callable[..., Any],
) -> None:
    """
    Say what makes the views of an image.

    The package's face calls this; what is given may import the views when it is called.

    Args:
        fs: Makes a filesystem from (image, layers, profile).
        over: Makes one from (image, union), for a stack of another shape.
        path: Makes a path object from (image, path).
        export: Writes nodes of a union to the host, from (image, union, nodes, destination) and
            options.
        mount: Mounts on a directory of the host, from (image, directory, layers) and options.
        html: Gives what an object shows in a notebook.
        html_of_view: Gives what a view shows there, from (image, union) and options.
        frame: Makes a table of pandas from (image, union).
    """
    _views.update(
        fs=fs,
        over=over,
        path=path,
        export=export,
        mount=mount,
        html=html,
        html_of_view=html_of_view,
        frame=frame,
    )


def view_maker(
    name: Literal["fs", "over", "path", "export", "mount", "html", "html_of_view", "frame"],
) -> Callable[..., Any]:
    """Give what makes a kind of view."""
    return _views[name]
