"""
Images as values: what is to be written, whatever the form.

An `ImageDescription` has layers and the few fields of a config that change what readers do; every
form is written from the same value, so that a test can hold one reading against another.  A claim
(a digest, a size, a diff_id, a media type) that differs from the truth is written as given, which
is how wrong archives are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import evolve, field, frozen
from attrs.validators import in_, optional

from unionlayers.testing.compression import CODECS, SHAPES
from unionlayers.testing.entry import Entry, texts
from unionlayers.testing.layer import layer

__all__ = [
    "Attestation",
    "HistoryStep",
    "ImageDescription",
    "IndexDescription",
    "LayerDescription",
    "RawDescriptor",
    "foreign_layer",
    "stored_layer",
]

EPOCH = "1970-01-01T00:00:00Z"


@frozen
class LayerDescription:
    """
    One layer of an image: its tar, how it is stored, and what the documents claim of it.

    Attributes:
        data: The uncompressed tar, or any other bytes.
        codec: How it is stored; None for what the form, or its writer's caller, decides.
        stored: The bytes of the blob, in place of compressing *data*.
        media_type: The one in the manifest; None for that of the codec.
        digest: Claimed digest of the stored bytes, and the name they are stored by.
        size: Claimed number of stored bytes.
        diff_id: Claimed digest of the uncompressed bytes.
        urls: Where the blob is said to be found.
        annotations: Those of the descriptor.
        embed: Whether the descriptor holds the stored bytes in its ``data`` field.
        absent: Whether the archive lacks the blob.
    """

    data: bytes
    codec: str | None = field(default=None, validator=optional(in_(CODECS)), kw_only=True)
    stored: bytes | None = field(default=None, kw_only=True)
    media_type: str | None = field(default=None, kw_only=True)
    digest: str | None = field(default=None, kw_only=True)
    size: int | None = field(default=None, kw_only=True)
    diff_id: str | None = field(default=None, kw_only=True)
    urls: tuple[str, ...] = field(default=(), converter=texts, kw_only=True)
    annotations: Mapping[str, str] = field(factory=dict, kw_only=True)
    embed: bool = field(default=False, kw_only=True)
    absent: bool = field(default=False, kw_only=True)


@frozen
class HistoryStep:
    """
    One step of the build.

    Attributes:
        created_by: The command.
        empty_layer: Whether it made no layer.
        created: Time in RFC 3339, None for none.
        comment: Free text, None for none.
        author: Who did it, None for none.
    """

    created_by: str | None = None
    empty_layer: bool = field(default=False, kw_only=True)
    created: str | None = field(default=EPOCH, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    author: str | None = field(default=None, kw_only=True)


LayerLike: TypeAlias = LayerDescription | bytes | Sequence[Entry]


def _layers(given: Iterable[LayerLike]) -> tuple[LayerDescription, ...]:
    return tuple(_layer(one) for one in given)


def _layer(given: LayerLike) -> LayerDescription:
    if isinstance(given, LayerDescription):
        return given
    if isinstance(given, bytes | bytearray | memoryview):
        return LayerDescription(bytes(given))
    if isinstance(given, Entry):
        raise TypeError("a layer is a sequence of entries, not a lone one")
    return LayerDescription(layer(*given))


def _steps(given: Iterable[HistoryStep | str] | None) -> tuple[HistoryStep, ...] | None:
    if given is None:
        return None
    return tuple(step if isinstance(step, HistoryStep) else HistoryStep(step) for step in given)


@frozen
class ImageDescription:
    """
    An image.

    Attributes:
        layers: Base first; each a `LayerDescription`, the bytes of a tar, or a sequence of
            entries.
        architecture: As Go names it.
        os: As Go names it.
        variant: Of the CPU, None for none.
        os_version: For Windows, None for none.
        env: ``NAME=value`` for each variable.
        command: The words of the command.
        labels: Those of the config.
        created: Time in RFC 3339, None for none.
        author: Who made it, None for none.
        history: Steps of the build, oldest first, a text being one with a layer; None gives one
            step for each layer, and an empty sequence none at all.
        tags: References, such as ``example.org/app:1``.
        annotations: Those of the manifest.
        schema: Which media types the manifest has, ``"oci"`` or ``"docker"`` (schema 2).
        algorithm: Of every digest.
        config: Members put into the config, over those that are made.
        raw_config: The whole config, in place of what would be made.
        raw_manifest: The whole manifest, where the form has one.
        config_digest: Claimed digest of the config, and the name it is stored by.
        config_size: Claimed bytes of the config.
        config_media_type: The one in the manifest; None for that of the schema.
        platform: The platform of the descriptor in an index; None for what the config says, and
            an empty mapping for none.
        absent: Whether the archive lacks manifest, config and layers, and only names them.
    """

    layers: tuple[LayerDescription, ...] = field(default=(), converter=_layers)
    architecture: str = field(default="amd64", kw_only=True)
    os: str = field(default="linux", kw_only=True)
    variant: str | None = field(default=None, kw_only=True)
    os_version: str | None = field(default=None, kw_only=True)
    env: tuple[str, ...] = field(default=("PATH=/usr/bin:/bin",), converter=texts, kw_only=True)
    command: tuple[str, ...] = field(default=("/bin/sh",), converter=texts, kw_only=True)
    labels: Mapping[str, str] = field(factory=dict, kw_only=True)
    created: str | None = field(default=EPOCH, kw_only=True)
    author: str | None = field(default=None, kw_only=True)
    history: tuple[HistoryStep, ...] | None = field(default=None, converter=_steps, kw_only=True)
    tags: tuple[str, ...] = field(default=(), converter=texts, kw_only=True)
    annotations: Mapping[str, str] = field(factory=dict, kw_only=True)
    schema: str = field(default="oci", validator=in_(("oci", "docker")), kw_only=True)
    algorithm: str = field(default="sha256", kw_only=True)
    config: Mapping[str, Any] = field(factory=dict, kw_only=True)
    raw_config: bytes | None = field(default=None, kw_only=True)
    raw_manifest: bytes | None = field(default=None, kw_only=True)
    config_digest: str | None = field(default=None, kw_only=True)
    config_size: int | None = field(default=None, kw_only=True)
    config_media_type: str | None = field(default=None, kw_only=True)
    platform: Mapping[str, Any] | None = field(default=None, kw_only=True)
    absent: bool = field(default=False, kw_only=True)


@frozen
class Attestation:
    """
    What BuildKit puts beside an image: a manifest of statements about it.

    Attributes:
        subject: The image that it speaks of, as it stands in the same index.
        statement: The in-toto document.
    """

    subject: ImageDescription
    statement: bytes = field(default=b'{"_type":"https://in-toto.io/Statement/v0.1"}', kw_only=True)


@frozen
class RawDescriptor:
    """
    A descriptor given as it is to stand in an index, and the blob behind it, if any.

    Attributes:
        document: The descriptor; a missing digest and size are those of *blob*.
        blob: Its bytes; None where the archive lacks them.
    """

    document: Mapping[str, Any]
    blob: bytes | None = None


Inner: TypeAlias = "ImageDescription | IndexDescription | Attestation | RawDescriptor"


def _manifests(given: Iterable[Inner]) -> tuple[Inner, ...]:
    return tuple(given)


@frozen
class IndexDescription:
    """
    An index: images of several platforms, and whatever else stands beside them.

    Attributes:
        manifests: Images, attestations, raw descriptors and further indexes.
        tags: References.
        annotations: Those of the index.
        schema: Which media type it has, ``"oci"`` or ``"docker"`` (a manifest list).
        algorithm: Of its digest.
    """

    manifests: tuple[Inner, ...] = field(default=(), converter=_manifests)
    tags: tuple[str, ...] = field(default=(), converter=texts, kw_only=True)
    annotations: Mapping[str, str] = field(factory=dict, kw_only=True)
    schema: str = field(default="oci", validator=in_(("oci", "docker")), kw_only=True)
    algorithm: str = field(default="sha256", kw_only=True)


def foreign_layer(data: bytes, *urls: str, schema: str = "docker") -> LayerDescription:
    """
    Describe a layer that may not be passed on: named, with addresses, and absent.

    Spec:
        OCI image-spec v1.1, layer.md, "Non-Distributable Layers".
    """
    media_type = (
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        if schema == "docker"
        else "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    )
    return LayerDescription(data, codec="gzip", media_type=media_type, urls=urls, absent=True)


def stored_layer(given: LayerLike, storage: str) -> LayerDescription:
    """
    Describe a layer that is stored in one certain way.

    Args:
        given: A sequence of entries, the bytes of a tar, or a description to be stored otherwise.
        storage: A name of `CODECS` or `SHAPES`.

    Raises:
        ValueError: There is no such way.

    Example:
        >>> from unionlayers.testing import file
        >>> stored_layer([file("a")], "zstd-skippable").stored[:4].hex()
        '5e2a4d18'
    """
    described = _layer(given)
    if storage in CODECS:
        return evolve(described, codec=storage, stored=None)
    if storage not in SHAPES:
        raise ValueError(f"storage is one of {', '.join((*CODECS, *SHAPES))}, not {storage!r}")
    shape = SHAPES[storage]
    return evolve(described, codec=shape.codec, stored=shape.write(described.data))
