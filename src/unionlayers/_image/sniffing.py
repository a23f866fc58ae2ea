"""
What a source is, told from what is in it, and the images that it holds.

Archives and folders become a `Store`; the documents in it say which layouts it has, and each
layout gives its images.  Two layouts of one archive are merged.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from attrs import evolve, frozen

from unionlayers._bytes.file import FileSource
from unionlayers._bytes.source import ByteSource
from unionlayers._bytes.spool import Spool, SpoolFolder, spool_folder
from unionlayers._bytes.stream import StreamSource
from unionlayers._codec.forward import Progress
from unionlayers._codec.sniff import SNIFF_BYTES, sniff
from unionlayers._foundation.limits import Limits
from unionlayers._image.compressed_store import CompressedStore
from unionlayers._image.dir_layout import BareNames, read_dir_layout
from unionlayers._image.docker_archive import (
    MANIFEST,
    dangling,
    document_bytes,
    read_docker_archive,
)
from unionlayers._image.docker_v1 import REPOSITORIES, read_docker_v1
from unionlayers._image.document import Document, parse_document
from unionlayers._image.folder_store import FolderStore
from unionlayers._image.joined_images import merge_layouts
from unionlayers._image.layer_files import LayerFiles
from unionlayers._image.oci_layout import INDEX, LAYOUT, read_oci_layout
from unionlayers._image.record import DocumentFinding, ImageRecord
from unionlayers._image.store import Store, Subfolder, Tally
from unionlayers._image.tar_store import TarStore
from unionlayers._layers.profile import Profile
from unionlayers._tar.header import checksum_holds
from unionlayers.errors import (
    AmbiguousImageError,
    CorruptError,
    DocumentError,
    LimitError,
    TarError,
    UnionLayersError,
    UnknownFormatError,
    UnseekableSourceError,
)

__all__ = ["Contents", "Source", "read_source"]

Source = str | os.PathLike[str] | BinaryIO | Sequence[str | os.PathLike[str]]

# What the manifest of a dir: has at least one of.
_OF_A_MANIFEST = {"schemaVersion", "mediaType", "config", "layers", "manifests", "fsLayers"}
_V1_ID = re.compile(r"[0-9a-f]{64}\Z")
# What a tag looks like, and hardly a file.
_IMAGE_NAME = re.compile(r"(?:[a-z0-9][\w.-]*/)*[a-z0-9][\w.-]*:[\w.-]+\Z")
# More folders than this at the top are those of a root filesystem, or worse.
_FOLDERS = 1000
# It stands before each name that a document has; no file system has a longer one.
_LONGEST_FOLDER = 255


@frozen
class Contents:
    """
    What a source holds.

    Attributes:
        store: Its members; the caller closes it.
        images: The images in it, and the manifests that are none.
        copied: Whether it is a copy of a stream, which cannot be had a second time.
    """

    store: Store
    images: tuple[ImageRecord, ...]
    copied: bool = False


def read_source(
    source: Source,
    *,
    verify: bool,
    limits: Limits,
    profile: Profile,
    spool: SpoolFolder = None,
    progress: Progress | None = None,
) -> Contents:
    """
    Find the images of a source; the caller closes the store.

    Raises:
        FileNotFoundError: There is no such file.
        UnknownFormatError: It is no image.
        UnseekableSourceError: It cannot seek, and no copy was asked for.
        UnionLayersError: Its documents cannot be read.

    Cost:
        The headers of the archive's members and the documents; no layer is read.
    """
    folder = spool_folder(spool)
    if isinstance(source, list | tuple):
        if not source:
            raise ValueError("the list of layer tars is empty")
        odd = [one for one in source if not isinstance(one, str | os.PathLike)]
        if odd:
            raise TypeError(f"a list of layers has their paths, not {type(odd[0]).__name__}")
        files = LayerFiles(
            [os.fspath(path) for path in source],
            lambda path: _opened_path(Path(path), folder, limits, progress),
            limits,
        )
        return Contents(files, (files.record(),), files.copied)
    if isinstance(source, str | os.PathLike) and Path(source).is_dir():
        from unionlayers._image.engine_root import read_engine_root

        engine = read_engine_root(source, verify=verify, limits=limits)
        if engine is not None:
            return Contents(*engine)
    store, copied = _store(source, folder, limits, progress)
    try:
        contents = _contents(store, verify, limits, profile)
        return evolve(_told_of_the_end(contents, store), copied=copied)
    except BaseException:
        store.close()
        raise


def _store(
    source: Source, folder: str | None, limits: Limits, progress: Progress | None
) -> tuple[Store, bool]:
    """Give the members of a source, and whether it had to be copied."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.is_dir():
            return FolderStore(path, limits), False
        label = str(path)
        opened: ByteSource = _opened_path(path, folder, limits, progress)
    elif hasattr(source, "read"):
        name = getattr(source, "name", None)
        label = name if isinstance(name, str) else "file object"
        opened = _opened_stream(source, label, folder, limits, progress)
    else:
        raise TypeError(
            "a source is a path, a binary file object or a list of paths of layer tars, "
            f"not {type(source).__name__}"
        )
    try:
        return _archive(opened, label, limits), isinstance(opened, Spool)
    except BaseException:
        opened.close()
        raise


def _opened_path(
    path: Path, folder: str | None, limits: Limits, progress: Progress | None
) -> FileSource:
    """Open a file; a pipe or device is copied if that was asked, and else not even opened."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        if _IMAGE_NAME.match(str(path)):
            error.strerror = (
                f"No such file; images are not opened by name: docker save -o image.tar {path}"
            )
        raise
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return FileSource(path)
    if folder is None or stat.S_ISSOCK(mode):
        kinds = (
            (stat.S_ISFIFO, "a pipe"),
            (stat.S_ISSOCK, "a socket"),
            (stat.S_ISCHR, "a character device"),
            (stat.S_ISBLK, "a block device"),
        )
        what = next((name for holds, name in kinds if holds(mode)), "no regular file")
        raise UnseekableSourceError(
            f"the source is {what}, where nothing can be read at an offset",
            member=str(path),
            hint="Pass spool=True to copy it into a temporary file once, or copy it yourself",
        )
    with path.open("rb", buffering=0) as stream:
        return Spool(stream, folder, str(path), limits, progress)


def _opened_stream(
    stream: Any, label: str, folder: str | None, limits: Limits, progress: Progress | None
) -> ByteSource:
    try:
        return StreamSource(stream)
    except UnseekableSourceError as error:
        if folder is None:
            error.member = label
            raise
    return Spool(stream, folder, label, limits, progress)


def _archive(opened: ByteSource, label: str, limits: Limits) -> Store:
    if opened.size == 0:
        raise UnknownFormatError(
            "the file is empty", member=label, hint="Save the image again: nothing was written"
        )
    codec = sniff(opened.pread(0, SNIFF_BYTES))
    try:
        if codec != "identity":
            return CompressedStore(opened, codec, label, limits)
        return TarStore(opened, label, limits)
    except (CorruptError, LimitError) as error:
        if isinstance(error, TarError):
            head = opened.pread(0, 512).ljust(512, b"\0")
            if codec == "identity" and not checksum_holds(head):
                raise UnknownFormatError(
                    "not an image: neither a tar archive nor a compressed one",
                    member=label,
                    actual=repr(head[:16]),
                    expected="docker save, an OCI layout or dir:",
                    hint="Save the image with docker save or skopeo copy, and open that file",
                ) from error
            if codec != "identity" and error.offset == 0:
                raise UnknownFormatError(
                    f"not an image: what {codec} has compressed is no tar archive",
                    member=label,
                    expected="docker save, an OCI layout or dir:",
                    hint="Save the image with docker save or skopeo copy, and open that file",
                ) from error
        if error.member is None:
            error.member = label
        raise


def _contents(store: Store, verify: bool, limits: Limits, profile: Profile) -> Contents:
    if not _is_layout(store):
        store = _inner(store, limits)
    tally = Tally(store, limits)
    if _is_oci(store):
        oci = read_oci_layout(tally, verify=verify, limits=limits)
        docker = _docker_beside(tally, oci, verify, limits, profile)
        return Contents(store, tuple(merge_layouts(oci, docker, profile.prefer_layout)))
    if not store.has(MANIFEST):
        return Contents(store, tuple(read_docker_v1(tally, limits=limits)))
    raw = document_bytes(tally, MANIFEST, limits)
    if raw is None:
        raise dangling(tally, MANIFEST)
    document = parse_document(raw, MANIFEST)
    if isinstance(document.value, dict):
        if not _OF_A_MANIFEST & document.value.keys():
            raise document.wrong("an array of images, or the manifest of one")
        records = read_dir_layout(BareNames(tally), document, raw, verify=verify, limits=limits)
        return Contents(BareNames(store), tuple(records))
    docker = read_docker_archive(tally, document, verify=verify, limits=limits)
    return Contents(store, tuple(merge_layouts([], docker, profile.prefer_layout)))


def _told_of_the_end(contents: Contents, store: Store) -> Contents:
    """Tell of bytes behind a whole archive that is compressed, which belong to no image."""
    trailing = store.trailing if isinstance(store, CompressedStore) else 0
    if not trailing:
        return contents
    message = f"{trailing} bytes behind the end of the compressed archive"
    finding = DocumentFinding("DATA_AFTER_STREAM", -1, message, "K3")
    images = [evolve(one, findings=(*one.findings, finding)) for one in contents.images]
    return evolve(contents, images=tuple(images))


def _docker_beside(
    store: Store, oci: list[ImageRecord], verify: bool, limits: Limits, profile: Profile
) -> list[ImageRecord]:
    """Read manifest.json beside an OCI layout, where its faults are findings (case L3)."""
    if not store.has(MANIFEST):
        return []
    try:
        raw = document_bytes(store, MANIFEST, limits)
        if raw is None:
            raise dangling(store, MANIFEST)
        document = parse_document(raw, MANIFEST)
        found = read_docker_archive(store, document, verify=verify, limits=limits)
    except UnionLayersError as error:
        if profile.prefer_layout == "docker":
            raise
        fault = DocumentFinding(
            "LAYOUTS_DISAGREE", -1, f"manifest.json beside index.json is unreadable: {error}", "L3"
        )
        oci[:] = [evolve(record, findings=(*record.findings, fault)) for record in oci]
        return []
    return found


def _is_oci(store: Store) -> bool:
    return store.has(INDEX) and (store.has(LAYOUT) or store.top().get("blobs", False))


def _is_layout(store: Store) -> bool:
    return _is_oci(store) or any(store.has(name) for name in (MANIFEST, REPOSITORIES))


def _inner(store: Store, limits: Limits) -> Store:
    """
    Give the layout that sits in a folder at the top, as where a whole folder was archived.

    It is taken only if that folder is alone: in a tar of several it may be a file of a layer.
    """
    top = store.top()
    folders = sorted(name for name, is_folder in islice(top.items(), _FOLDERS) if is_folder)
    holding = [name for name in folders if len(name) <= _LONGEST_FOLDER and _is_inner(store, name)]
    if len(holding) == 1 and len(folders) == 1 and _is_certain(store, holding[0], limits):
        return Subfolder(store, holding[0])
    if len(holding) > 1 and isinstance(store, FolderStore):
        raise AmbiguousImageError(
            "several folders at the top hold an image layout",
            member=store.label,
            candidates=tuple(str(Path(store.label, name)) for name in holding),
            hint="Open one of them",
        )
    if len(holding) > 1:
        raise UnknownFormatError(
            "not one image layout: several folders at the top hold one",
            member=store.label,
            candidates=tuple(holding),
            hint="Unpack it, and open one of the folders",
        )
    if holding and len(folders) > 1:
        raise UnknownFormatError(
            "not an image at the top, though a folder among others looks like one",
            member=store.label,
            candidates=tuple(holding),
            hint="Open that folder; or, if this is a layer, give a list of layer tars: [path]",
        )
    hint = "If it is a layer, give a list of layer tars, base first: [path]"
    if isinstance(store, FolderStore):
        hint = "Open the folder that has one of them, or the archive itself"
    elif any(_V1_ID.match(name) and store.has(f"{name}/json") for name in folders):
        hint = "It has layers of docker save: it may be cut off, and has to be saved again"
    raise UnknownFormatError(
        "not an image: it has neither manifest.json, index.json nor repositories",
        member=store.label,
        candidates=tuple(sorted(islice(top, _FOLDERS)))[:5],
        hint=hint,
    )


def _is_inner(store: Store, folder: str) -> bool:
    known = (INDEX, LAYOUT, MANIFEST, REPOSITORIES)
    names = {name for name in known if store.has(f"{folder}/{name}")}
    return {INDEX, LAYOUT} <= names or bool(names & {MANIFEST, REPOSITORIES})


def _is_certain(store: Store, folder: str, limits: Limits) -> bool:
    """Tell a layout from a web application, say, that has a manifest.json as well."""
    inner = Subfolder(store, folder)
    if _is_oci(inner):
        return True
    for name, shape in ((MANIFEST, _is_manifest), (REPOSITORIES, _is_repositories)):
        try:
            raw = document_bytes(inner, name, limits)
            if raw is not None and shape(parse_document(raw, name)):
                return True
        except DocumentError:
            continue  # no document of an image, and so none that could be at fault
    return False


def _is_manifest(document: Document) -> bool:
    value = document.value
    if isinstance(value, dict):
        return "schemaVersion" in value
    return isinstance(value, list) and all(
        isinstance(item, dict) and "Config" in item and "Layers" in item for item in value
    )


def _is_repositories(document: Document) -> bool:
    value = document.value
    return isinstance(value, dict) and all(isinstance(tags, dict) for tags in value.values())
