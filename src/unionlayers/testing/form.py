"""
Every form an image is found in, by name, and how it gets onto a disk.

`FORMS` is for tests that are to hold for each of them; the functions are for those that want one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from attrs import frozen

from unionlayers.testing.compression import compress
from unionlayers.testing.damage import Contents, Damage
from unionlayers.testing.description import ImageDescription
from unionlayers.testing.docker import (
    containerd_members,
    docker_25_members,
    docker_members,
    skopeo_members,
    v1_members,
)
from unionlayers.testing.document import write
from unionlayers.testing.entries import file
from unionlayers.testing.entry import Entry
from unionlayers.testing.layer import layer
from unionlayers.testing.oci import Described, dir_members, flat, layout_members

__all__ = [
    "FORMS",
    "Form",
    "containerd_save",
    "docker_archive",
    "docker_archive_25",
    "docker_archive_v1",
    "image_members",
    "layer_tars",
    "oci_archive",
    "oci_layout",
    "skopeo_dir",
    "skopeo_docker_archive",
    "write_directory",
    "write_image",
]

WHOLE = Damage()


@frozen
class Form:
    """
    One form.

    Attributes:
        name: As in `FORMS`.
        kind: ``"archive"`` (a tar), ``"directory"``, or ``"layers"`` (bare layer tars).
        several: Whether it holds more than one image.
        has_config: Whether it holds the config as a document of its own, and so the image's id.
        members: Gives the members of these images, with this codec and damage.
    """

    name: str
    kind: str
    several: bool
    has_config: bool
    members: Callable[[tuple[Described, ...], str | None, Damage], tuple[Entry, ...]]


_SUFFIXES = {"identity": "", "gzip": ".gz", "zstd": ".zst", "xz": ".xz", "bzip2": ".bz2"}


def _layer_members(
    images: tuple[Described, ...], codec: str | None, damage: Damage
) -> tuple[Entry, ...]:
    described = flat(images)
    if len(described) != 1:
        raise ValueError("bare layer tars are those of one image")
    contents = Contents(damage)
    written = write(described[0][0], (codec or "identity",), contents)
    for number, one in enumerate(written.layers):
        if not one.description.absent:
            name = f"layer-{number:03d}.tar{_SUFFIXES[one.codec]}"
            contents.add(f"layer:{number}", file(name, one.stored))
    return contents.finished(ordered=False)


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        form.name: form
        for form in (
            Form("docker-archive", "archive", True, True, docker_members),
            Form("docker-archive-25", "archive", True, True, docker_25_members),
            Form("docker-archive-v1", "archive", True, False, v1_members),
            Form("docker-directory", "directory", True, True, docker_members),
            Form("docker-directory-25", "directory", True, True, docker_25_members),
            Form("docker-directory-v1", "directory", True, False, v1_members),
            Form("containerd-save", "archive", True, True, containerd_members),
            Form("skopeo-docker-archive", "archive", True, True, skopeo_members),
            Form("oci-archive", "archive", True, True, layout_members),
            Form("oci-layout", "directory", True, True, layout_members),
            Form("skopeo-dir", "directory", False, True, dir_members),
            Form("layer-tars", "layers", False, False, _layer_members),
        )
    }
)
"""Every form by its name."""


def image_members(
    *images: Described, form: str, codec: str | None = None, damage: Damage = WHOLE
) -> tuple[Entry, ...]:
    """
    Give the members of an archive or directory as entries, for changes of one's own.

    ``layer(*members)`` makes the archive of them, `write_directory` the directory.

    Args:
        images: What it holds.
        form: A name of `FORMS`.
        codec: That of layers that name none themselves; None for what the tool does.
        damage: What is to be wrong.

    Raises:
        ValueError: The form holds one image only, or there is no such form.
    """
    return _form(form).members(images, codec, damage)


def _form(name: str) -> Form:
    if name not in FORMS:
        raise ValueError(f"form is one of {', '.join(FORMS)}, not {name!r}")
    return FORMS[name]


def _archive(
    form: str, images: tuple[Described, ...], codec: str | None, outer: str, damage: Damage
) -> bytes:
    return compress(layer(*FORMS[form].members(images, codec, damage)), outer)


def docker_archive(
    *images: Described, codec: str | None = None, outer: str = "identity", damage: Damage = WHOLE
) -> bytes:
    """
    Write what ``docker save`` wrote up to Docker 24.

    Args:
        images: What the archive holds.
        codec: That of layers that name none themselves; None for what the tool does.
        outer: Codec of the archive as a whole.
        damage: What is to be wrong.

    Example:
        >>> from unionlayers.testing import ImageDescription, file
        >>> tar = docker_archive(ImageDescription([[file("a", "1")]], tags=["app:1"]))
        >>> len(tar) % 512
        0
    """
    return _archive("docker-archive", images, codec, outer, damage)


def docker_archive_25(
    *images: Described, codec: str | None = None, outer: str = "identity", damage: Damage = WHOLE
) -> bytes:
    """Write what ``docker save`` has written since Docker 25; parameters as `docker_archive`."""
    return _archive("docker-archive-25", images, codec, outer, damage)


def docker_archive_v1(
    *images: Described, codec: str | None = None, outer: str = "identity", damage: Damage = WHOLE
) -> bytes:
    """Write what ``docker save`` wrote before Docker 1.10; parameters as `docker_archive`."""
    return _archive("docker-archive-v1", images, codec, outer, damage)


def skopeo_docker_archive(
    *images: Described, codec: str | None = None, outer: str = "identity", damage: Damage = WHOLE
) -> bytes:
    """Write what skopeo and podman call docker-archive; parameters as `docker_archive`."""
    return _archive("skopeo-docker-archive", images, codec, outer, damage)


def containerd_save(
    *images: Described, codec: str | None = None, outer: str = "identity", damage: Damage = WHOLE
) -> bytes:
    """Write a ``docker save`` from the containerd store; parameters as `docker_archive`."""
    return _archive("containerd-save", images, codec, outer, damage)


def oci_archive(
    *images: Described, codec: str | None = None, outer: str = "identity", damage: Damage = WHOLE
) -> bytes:
    """Write a tar of an OCI layout; parameters as `docker_archive`."""
    return _archive("oci-archive", images, codec, outer, damage)


def oci_layout(
    path: str | os.PathLike[str],
    *images: Described,
    codec: str | None = None,
    damage: Damage = WHOLE,
) -> Path:
    """Write an OCI layout into the directory *path*; parameters as `docker_archive`."""
    return write_directory(
        path, image_members(*images, form="oci-layout", codec=codec, damage=damage)
    )


def skopeo_dir(
    path: str | os.PathLike[str],
    image: Described,
    *,
    codec: str | None = None,
    damage: Damage = WHOLE,
) -> Path:
    """Write the ``dir:`` of skopeo into the directory *path*; parameters as `docker_archive`."""
    return write_directory(
        path, image_members(image, form="skopeo-dir", codec=codec, damage=damage)
    )


def layer_tars(
    path: str | os.PathLike[str],
    image: ImageDescription,
    *,
    codec: str | None = None,
    damage: Damage = WHOLE,
) -> list[Path]:
    """
    Write the bare layers of *image* into the directory *path*.

    Returns:
        The files, base first.
    """
    members = image_members(image, form="layer-tars", codec=codec, damage=damage)
    folder = write_directory(path, members)
    return [folder / os.fsdecode(entry.path) for entry in members]


def write_directory(path: str | os.PathLike[str], members: tuple[Entry, ...]) -> Path:
    """
    Write members as files, directories and symbolic links beneath *path*, which is made.

    Modes, owners and times are not set: a layout has none that matter.

    Raises:
        ValueError: A name leads out of *path*, or an entry is of another type.
    """
    root = Path(path)
    root.mkdir(parents=True, exist_ok=True)
    for entry in members:
        parts = entry.path.decode("utf-8", "surrogateescape").rstrip("/").split("/")
        if {"", "..", "."} & set(parts):
            raise ValueError(f"the name {entry.path!r} cannot be written into a directory")
        target = root.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.typeflag == b"5":
            target.mkdir(exist_ok=True)
        elif entry.typeflag == b"2":
            target.unlink(missing_ok=True)
            target.symlink_to(os.fsdecode(entry.linkname))
        elif entry.typeflag == b"0" and entry.raw is None:
            target.unlink(missing_ok=True)
            target.write_bytes(entry.content)
        else:
            raise ValueError(f"the entry {entry.path!r} cannot be written into a directory")
    return root


def write_image(
    path: str | os.PathLike[str],
    *images: Described,
    form: str = "docker-archive",
    codec: str | None = None,
    outer: str = "identity",
    damage: Damage = WHOLE,
) -> Path | list[Path]:
    """
    Write images in any form, and give what is to be opened.

    Args:
        path: The archive to write, or the directory.
        images: What it holds.
        form: A name of `FORMS`.
        codec: That of layers that name none themselves; None for what the tool does.
        outer: Codec of an archive as a whole.
        damage: What is to be wrong.

    Returns:
        *path*; for ``"layer-tars"`` the list of files, base first.

    Raises:
        ValueError: The form does not hold that many images, there is no such form, or *outer* is
            given for a directory.
    """
    chosen = _form(form)
    members = chosen.members(images, codec, damage)
    target = Path(path)
    if chosen.kind == "archive":
        target.write_bytes(compress(layer(*members), outer))
        return target
    if outer != "identity":
        raise ValueError(f"the form {form} is a directory and cannot be compressed as a whole")
    write_directory(target, members)
    if chosen.kind == "layers":
        return [target / os.fsdecode(entry.path) for entry in members]
    return target
