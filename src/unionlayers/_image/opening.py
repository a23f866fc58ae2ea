"""From a path, a file object or a list of layer tars to an `Image`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from attrs import evolve

from unionlayers._bytes.spool import SpoolFolder
from unionlayers._codec.forward import Progress
from unionlayers._foundation.limits import Limits, limits_named
from unionlayers._image.image import Image, Options
from unionlayers._image.selection import select
from unionlayers._image.sniffing import Source, read_source
from unionlayers._image.stored_layers import IndexChoice, store_named
from unionlayers._layers.profile import Profile, profile_named

__all__ = ["open_image"]


def open_image(
    source: Source,
    *,
    reference: str | None = None,
    platform: str | None = None,
    profile: Profile | str = "oci",
    on_invalid: Literal["error", "warn"] = "error",
    missing: Literal["error", "skip"] = "error",
    verify: bool = True,
    limits: Limits | None = None,
    index_store: IndexChoice = None,
    progress: Progress | None = None,
    spool: SpoolFolder = None,
) -> Image:
    """
    Open one image of an archive; no layer is read yet.

    Args:
        source: A path of an archive, a folder or the root of an engine's store, a seekable binary
            file object (never closed here), or a list of paths of layer tars and overlay diff
            directories, base first.  What cannot seek needs *spool*.
        reference: A tag, ref name, or digest of a manifest, index or config, or an unambiguous
            prefix of one; ``name@digest``, of which the digest counts; ``@0`` for the first item
            of `list_images`; None for the only image.
        platform: ``os/architecture[/variant]``; None for the only one there is, never the host's.
            A lower variant serves where there is no better one; with ``=`` in front none but the
            variant itself does.  ``windows(10.0.17763)/amd64`` asks for a version as well.
        profile: ``"oci"``, ``"overlay"``, ``"sequential"`` or a `Profile`.
        on_invalid: ``"error"`` raises what no runtime could apply: in a layer, by each question
            that needs the layer; a hard link without a target, where it is stated or opened, and
            where a directory is scanned that has it, or in which a layer above hides it; all of
            it where the whole tree is walked, prepared or verified.  ``"warn"`` records a finding
            and goes on.
        missing: ``"skip"`` leaves layers out that the source lacks, with a finding.
        verify: Whether digests and sizes are compared before the first answer from a layer.
        limits: Bounds, `Limits` by default.
        index_store: Where records of layers are kept between processes: the path of a folder, an
            `IndexStore`, or False for nowhere; None takes the folder that the environment variable
            ``UNIONLAYERS_CACHE`` names, if it names one.
        progress: Is told bytes done, bytes in all or None, and what, from any thread.
        spool: Where a pipe, a device or a file object that cannot seek is copied to, once: a
            folder, or True for the folder of temporary files.  The copy has no name where the
            system allows that, holds at most ``Limits.spool_bytes``, and is gone when the image
            is closed.  What can seek is never copied.  None and False copy nothing.

    Returns:
        The image; close it, or use it as a context manager.

    Raises:
        UnknownFormatError: The source is no image, is empty, or is a lone layer tar.
        UnseekableSourceError: The source cannot seek, and *spool* was not given.
        ImageNotFoundError: No image fits; it has the candidates.
        AmbiguousImageError: Several fit; it has the candidates.
        BlobNotFoundError: The image that fits is not in the source.
        DocumentError: A document cannot be read.
        DigestMismatchError: A document is not what was promised.
        TarError: The archive is damaged or cut off.
        IndexStoreError: Others can write to the folder of the index store.
        TypeError: An argument is of another type.

    Cost:
        The headers of the archive's members and a few documents.

    Example:
        >>> from unionlayers import open_image
        >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
        ...     len(image.layers)
        7
    """
    for name, value, allowed in (
        ("on_invalid", on_invalid, ("error", "warn")),
        ("missing", missing, ("error", "skip")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} is {allowed[0]!r} or {allowed[1]!r}, not {value!r}")
    for name, given in (("reference", reference), ("platform", platform)):
        if given is not None and not isinstance(given, str):
            raise TypeError(f"{name} is of the type str, not {type(given).__name__}")
    options = Options(
        profile=profile_named(profile),
        on_invalid=on_invalid,
        missing=missing,
        verify=verify,
        limits=limits_named(limits),
        progress=progress,
        index_store=store_named(index_store),
    )
    contents = read_source(
        source,
        verify=verify,
        limits=options.limits,
        profile=options.profile,
        spool=spool,
        progress=progress,
    )
    try:
        record = select(
            contents.images,
            contents.store.label,
            reference=reference,
            platform=platform,
            partial=missing == "skip",
        )
    except BaseException:
        contents.store.close()
        raise
    again = None if contents.copied else _absolute(source)
    reopen = (
        None
        if again is None
        else (_reopened, (again, reference, platform, evolve(options, progress=None)))
    )
    return Image(contents.store, record, options, reopen=reopen)


def _absolute(source: Source) -> str | list[str] | None:
    """Give the paths of a source as any folder can open them; None for a file object."""
    if isinstance(source, str | os.PathLike):
        return str(Path(source).absolute())
    if isinstance(source, list | tuple):
        return [str(Path(path).absolute()) for path in source]
    return None


def _reopened(
    source: str | list[str], reference: str | None, platform: str | None, options: Options
) -> Image:
    """Open an image again where a pickle is loaded."""
    return open_image(
        source,
        reference=reference,
        platform=platform,
        profile=options.profile,
        on_invalid=options.on_invalid,
        missing=options.missing,
        verify=options.verify,
        limits=options.limits,
        index_store=options.index_store or False,
        progress=options.progress,
    )
