"""The URL of a path in a view: what opens the same image, the same layers and the same path."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from unionlayers._image.image import Image
from unionlayers._image.image_url import ImageURL
from unionlayers._layers.profile import PROFILES, Profile, profile_named
from unionlayers._views.errors import NoURL

__all__ = ["url_of"]


def url_of(
    image: Image, chosen: tuple[int, ...], profile: Profile | str | None, path: str
) -> ImageURL:
    """
    Give the URL of a path in a view.

    Args:
        image: The image of the view.
        chosen: The indexes of the layers that the view is over.
        profile: The profile of the view, None for that of the image.
        path: An absolute path.

    Raises:
        fs.errors.NoURL: The image was opened from something that no URL names.
    """
    opened = image.opened_from
    if opened is None or not isinstance(opened[0], str):
        raise NoURL.of("only an image that was opened from a path has a URL", path, "fs")
    source, reference, platform = opened
    shown = image.profile if profile is None else profile_named(profile)
    scheme = "layers"
    if image.profile.prefer_layout == "docker":
        # A scheme that names a layout is the one way to say which of two counts.
        scheme = "docker-archive"
        shown = evolve(shown, prefer_layout="oci")
        if Path(source).is_dir() or image.record.layout not in ("docker", "v1"):
            raise NoURL.of("no URL says which layout of a folder counts", path, "fs")
    name = next((name for name, preset in PROFILES.items() if preset == shown), None)
    if name is None or image.profile.compression != shown.compression:
        raise NoURL.of("only a preset of Profile has a name in a URL", path, "fs")
    every = tuple(layer.index for layer in image.chosen(None))
    options = image.options
    return ImageURL(
        scheme=scheme,
        source=source,
        reference=reference,
        platform=platform,
        profile=None if name == "oci" else name,
        layers=None if chosen == every else chosen,
        on_invalid=options.on_invalid,
        missing=options.missing,
        verify=options.verify,
        inner=path,
    )
