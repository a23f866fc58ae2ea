"""From a path, a file object or a list of layer tars to an `Image`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from attrs import evolve, frozen

from unionlayers._bytes.file import FileSource
from unionlayers._bytes.source import ByteSource
from unionlayers._bytes.stream import StreamSource
from unionlayers._codec.forward import Progress
from unionlayers._codec.sniff import SNIFF_BYTES, sniff
from unionlayers._foundation.limits import Limits
from unionlayers._image.compressed_store import CompressedStore
from unionlayers._image.dir_layout import BareNames, read_dir_layout
from unionlayers._image.docker_archive import MANIFEST, document_bytes, read_docker_archive
from unionlayers._image.docker_v1 import REPOSITORIES, read_docker_v1
from unionlayers._image.document import parse_document
from unionlayers._image.folder_store import FolderStore
from unionlayers._image.image import Image, Options
from unionlayers._image.layer_files import LayerFiles
from unionlayers._image.oci_layout import INDEX, LAYOUT, read_oci_layout
from unionlayers._image.record import ImageRecord
from unionlayers._image.selection import merge_layouts, select
from unionlayers._image.store import Store
from unionlayers._image.tar_store import TarStore
from unionlayers._layers.profile import Profile, profile_named
from unionlayers._tar.header import checksum_holds
from unionlayers.errors import TarError, UnionLayersError, UnknownFormatError, UnsupportedError

__all__ = ["ImageSummary", "Source", "list_images", "open_image"]

Source = str | os.PathLike[str] | BinaryIO | Sequence[str | os.PathLike[str]]


@frozen(kw_only=True)
class ImageSummary:
    """
    One image of a source, as `list_images` gives it.

    Attributes:
        references: Tags and ref names.
        id: Digest of the config, None where the config is absent.
        digest: Digest of the manifest, None where there is none.
        platform: ``os/architecture[/variant]``, or None.
        kind: ``"image"``, ``"attestation"`` or ``"artifact"``.
        present: Whether the config and all layers are there.
        missing: Digests that the documents name and the source lacks.
    """

    references: tuple[str, ...]
    id: str | None
    digest: str | None
    platform: str | None
    kind: str
    present: bool
    missing: tuple[str, ...]


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
    index_store: object = None,
    progress: Progress | None = None,
) -> Image:
    """
    Open one image of an archive; no layer is read yet.

    Args:
        source: A path, a seekable binary file object (never closed here), or a list of paths of
            layer tars, base first.
        reference: A tag, ref name, or digest of a manifest, index or config, or an unambiguous
            prefix of one; None for the only image.
        platform: ``os/architecture[/variant]``; None for the only one there is, never the host's.
        profile: ``"oci"``, ``"overlay"``, ``"sequential"`` or a `Profile`.
        on_invalid: ``"error"`` raises what no runtime could apply, ``"warn"`` records a finding
            and goes on.
        missing: ``"skip"`` leaves layers out that the source lacks, with a finding.
        verify: Whether digests and sizes are compared before the first answer from a layer.
        limits: Bounds, `Limits` by default.
        index_store: Where records of layers are kept between processes; nothing is stored yet,
            only None and False are taken.
        progress: Is told bytes done, bytes in all or None, and what, from any thread.

    Returns:
        The image; close it, or use it as a context manager.

    Raises:
        UnknownFormatError: The source is no image, is empty, or is a lone layer tar.
        ImageNotFoundError: No image fits; it has the candidates.
        AmbiguousImageError: Several fit; it has the candidates.
        BlobNotFoundError: The image that fits is not in the source.
        DocumentError: A document cannot be read.
        DigestMismatchError: A document is not what was promised.
        TarError: The archive is damaged or cut off.

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
    if index_store not in (None, False):
        raise UnsupportedError("records of layers are not stored between processes yet")
    options = Options(
        profile=profile_named(profile),
        on_invalid=on_invalid,
        missing=missing,
        verify=verify,
        limits=limits or Limits(),
        progress=progress,
    )
    contents = _read(source, verify=verify, limits=options.limits, profile=options.profile)
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
    reopen = (
        None
        if hasattr(source, "read")
        else (
            _reopened,
            (_absolute(source), reference, platform, evolve(options, progress=None)),
        )
    )
    return Image(contents.store, record, options, reopen=reopen)


def _absolute(source: Source) -> str | list[str]:
    if isinstance(source, list | tuple):
        return [str(Path(path).absolute()) for path in source]
    return str(Path(source).absolute())  # type: ignore[arg-type]


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
        progress=options.progress,
    )


def list_images(source: Source) -> list[ImageSummary]:
    """
    Give what a source holds: one item per manifest, or image of manifest.json.

    Raises:
        UnknownFormatError: The source is no image.
        UnionLayersError: Its documents cannot be read.

    Example:
        >>> from unionlayers import list_images
        >>> [image.kind for image in list_images("examples/demo-image/ledger.oci.tar")]
        ['image']
    """
    contents = _read(source, verify=True, limits=Limits(), profile=Profile())
    contents.store.close()
    return [
        ImageSummary(
            references=record.references,
            id=record.id,
            digest=record.digest,
            platform=record.platform,
            kind=record.kind,
            present=record.present,
            missing=record.missing,
        )
        for record in contents.images
    ]


@frozen
class _Contents:
    """What a source holds: the store, and the images in it."""

    store: Store
    images: tuple[ImageRecord, ...]


def _read(source: Source, *, verify: bool, limits: Limits, profile: Profile) -> _Contents:
    """
    Find the images of a source; the caller closes the store.

    Raises:
        FileNotFoundError: There is no such file.
        UnknownFormatError: It is no image.
        UnionLayersError: Its documents cannot be read.

    Cost:
        The headers of the archive's members and the documents; no layer is read.
    """
    if isinstance(source, list | tuple):
        if not source:
            raise ValueError("the list of layer tars is empty")
        files = LayerFiles([os.fspath(path) for path in source])
        return _Contents(files, (files.record(),))
    store = _store(source, limits)
    try:
        return _contents(store, verify=verify, limits=limits, profile=profile)
    except BaseException:
        store.close()
        raise


def _store(source: Source, limits: Limits) -> Store:
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.is_dir():
            return FolderStore(path, limits)
        opened: ByteSource = FileSource(path)
        label = str(path)
    elif not hasattr(source, "read"):
        raise TypeError(
            f"a source is a path, a binary file object or a list of paths, not {source!r}"
        )
    else:
        opened = StreamSource(source)  # type: ignore[arg-type]
        name = getattr(source, "name", None)
        label = name if isinstance(name, str) else "file object"
    try:
        return _archive(opened, label, limits)
    except BaseException:
        opened.close()
        raise


def _archive(opened: ByteSource, label: str, limits: Limits) -> Store:
    if opened.size == 0:
        raise UnknownFormatError("the file is empty", member=label)
    codec = sniff(opened.pread(0, SNIFF_BYTES))
    try:
        if codec != "identity":
            return CompressedStore(opened, codec, label, limits)
        return TarStore(opened, label, limits)
    except TarError as error:
        if codec == "identity" and not checksum_holds(opened.pread(0, 512).ljust(512, b"\0")):
            raise UnknownFormatError(
                "not an image: neither a tar archive nor a compressed one",
                member=label,
                actual=repr(opened.pread(0, 16)),
                expected="docker save, an OCI layout or dir:",
            ) from error
        raise


def _contents(store: Store, *, verify: bool, limits: Limits, profile: Profile) -> _Contents:
    names = set(store.names())
    is_oci = INDEX in names and (LAYOUT in names or any(n.startswith("blobs/") for n in names))
    if not is_oci and MANIFEST in names:
        document = parse_document(document_bytes(store, MANIFEST, limits) or b"", MANIFEST)
        if isinstance(document.value, dict):
            bare = BareNames(store)
            record = read_dir_layout(bare, document, verify=verify, limits=limits)
            return _Contents(bare, (record,))
    elif not is_oci and REPOSITORIES in names:
        return _Contents(store, tuple(read_docker_v1(store, limits=limits)))
    elif not is_oci:
        raise UnknownFormatError(
            "not an image: it has neither manifest.json, index.json nor repositories",
            member=store.label,
            candidates=tuple(sorted(names)[:5]),
            hint="If it is a layer, give a list of layer tars, base first: [path]",
        )
    oci = read_oci_layout(store, verify=verify, limits=limits) if is_oci else []
    docker = _docker(store, oci, verify=verify, limits=limits) if MANIFEST in names else []
    return _Contents(store, tuple(merge_layouts(oci, docker, profile.prefer_layout)))


def _docker(
    store: Store, oci: list[ImageRecord], *, verify: bool, limits: Limits
) -> list[ImageRecord]:
    """Read manifest.json; beside an OCI layout its faults do not count (case L3)."""
    try:
        return read_docker_archive(store, verify=verify, limits=limits)
    except UnionLayersError:
        if any(record.kind == "image" and record.present for record in oci):
            return []
        raise
