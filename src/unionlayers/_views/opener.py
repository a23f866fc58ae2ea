"""What ``fs.open_fs`` calls for ``layers://``, ``docker-archive://``, ``oci://``, ``oci-archive://``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import evolve

from unionlayers._image.image import Image
from unionlayers._image.image_url import SCHEMES, ImageURL
from unionlayers._layers.profile import profile_named
from unionlayers._views._pyfilesystem import fs
from unionlayers._views.errors import NotWriteable, create_failed
from unionlayers._views.union_fs import UnionFS
from unionlayers.errors import UnionLayersError, UnknownFormatError

__all__ = ["LayersOpener"]

_LAYOUTS = {
    "docker-archive": ("docker", "v1"),
    "oci": ("oci",),
    "oci-archive": ("oci",),
}


class LayersOpener(fs.opener.Opener):
    """
    Opens an image by its URL.

    ``layers://`` takes whatever `open_image` does; the other schemes, the names of the transports
    of containers/image, refuse what is something else, and of an archive with both layouts take
    their own.  A path inside that leads to a directory gives that directory as a filesystem of
    its own; one that leads to a file gives the whole image, and ``fs.opener.registry.open`` gives
    the path beside it, as PyFilesystem has it, still quoted.
    """

    protocols = list(SCHEMES)  # noqa: RUF012 - as PyFilesystem declares it

    def open_fs(
        self,
        fs_url: str,
        parse_result: Any,  # noqa: ARG002 - it takes any ``@`` for a password and unquotes twice
        writeable: bool,
        create: bool,
        cwd: str,
    ) -> Any:
        """
        Open the filesystem of a URL; closing it closes the source.

        Raises:
            fs.opener.errors.NotWriteable: It was to be written or created.
            fs.errors.CreateFailed: It cannot be opened; also the error that `open_image` raises.
        """
        if writeable or create:
            raise NotWriteable("an image is read-only", actual=fs_url)
        try:
            url = ImageURL.parsed(fs_url)
            view = _opened(url, Path(cwd) / Path(url.source).expanduser())
        except (UnionLayersError, OSError, ValueError, IndexError) as error:
            raise create_failed(error) from error
        if url.inner is None:
            return view
        try:
            if view.isdir(url.inner):
                return view.opendir(url.inner, factory=fs.subfs.ClosingSubFS)
            if not view.exists(url.inner):
                # Say what is wrong with it: absent, a link that dangles, a circle.
                view.stat(url.inner)
        except (UnionLayersError, ValueError) as error:
            view.close()
            raise create_failed(error) from error
        return view


def _opened(url: ImageURL, path: Path) -> UnionFS:
    profile = profile_named(url.profile or "oci")
    if url.scheme == "docker-archive":
        profile = evolve(profile, prefer_layout="docker")
    view = UnionFS(
        path,
        layers=url.layers,
        reference=url.reference,
        platform=url.platform,
        profile=profile,
        on_invalid="warn" if url.on_invalid == "warn" else "error",
        missing="skip" if url.missing == "skip" else "error",
        verify=url.verify,
    )
    try:
        _check_scheme(url, view.image, is_folder=path.is_dir())
    except BaseException:
        view.close()
        raise
    return view


def _check_scheme(url: ImageURL, image: Image, *, is_folder: bool) -> None:
    if url.scheme == "layers":
        return
    layout = image.record.layout
    if layout in _LAYOUTS[url.scheme] and is_folder == (url.scheme == "oci"):
        return
    fitting = [
        scheme
        for scheme, layouts in _LAYOUTS.items()
        if layout in layouts and is_folder == (scheme == "oci")
    ]
    raise UnknownFormatError(
        f"not what {url.scheme}:// names",
        member=image.label,
        expected=url.scheme,
        actual=fitting[0] if fitting else f"{layout} in {'a folder' if is_folder else 'a file'}",
        candidates=(*fitting, "layers"),
        hint="layers:// opens whatever is there",
    )
