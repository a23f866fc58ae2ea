"""What docs/reference/formats.md says is not read: the error of each, and its next step."""

from __future__ import annotations

import io
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unionlayers import (
    BlobNotFoundError,
    UnknownFormatError,
    UnseekableSourceError,
    UnsupportedError,
    list_images,
    open_image,
)
from unionlayers.testing import (
    ImageDescription,
    IndexDescription,
    LayerDescription,
    RawDescriptor,
    file,
    foreign_layer,
    layer,
    oci_archive,
)

LZ4 = b"\x04\x22\x4d\x18" + bytes(600)
COMPRESS = b"\x1f\x9d" + bytes(600)
LZMA = lzma.compress(bytes(9000), format=lzma.FORMAT_ALONE)
SINGULARITY = b"#!/usr/bin/env run-singularity\n" + bytes(600)
ZIP = b"PK\3\4" + bytes(600)


@pytest.mark.parametrize("data", [LZ4, COMPRESS, LZMA, SINGULARITY, ZIP])
def test_other_files_are_no_image_and_show_their_first_bytes(data: bytes) -> None:
    with pytest.raises(UnknownFormatError, match="neither a tar archive nor a compress") as caught:
        open_image(io.BytesIO(data))
    assert caught.value.actual == repr(data[:16])
    assert "docker save" in str(caught.value)


def test_a_pipe_says_how_to_copy_it() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with open(reading, "rb") as pipe, pytest.raises(UnseekableSourceError, match="spool=True"):
        open_image(pipe)


def test_a_lone_layer_says_to_give_a_list() -> None:
    with pytest.raises(UnknownFormatError, match="give a list of layer tars"):
        open_image(io.BytesIO(layer(file("a"))))


def test_an_empty_file_says_so() -> None:
    with pytest.raises(UnknownFormatError, match="empty"):
        open_image(io.BytesIO(b""))


@pytest.mark.parametrize("name", ["debian:12", "docker://debian:12"])
def test_the_name_of_an_image_is_no_file(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="debian:12"):
        open_image(name)


def test_schema_1_is_listed_and_says_how_to_convert_it() -> None:
    descriptor = RawDescriptor(
        {"mediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws"},
        b'{"schemaVersion":1,"fsLayers":[],"history":[]}',
    )
    archive = oci_archive(IndexDescription([descriptor], tags=["old:1"]))
    assert [image.present for image in list_images(io.BytesIO(archive))] == [False]
    with pytest.raises(UnsupportedError, match="skopeo copy"):
        open_image(io.BytesIO(archive))


def test_an_image_that_the_archive_lacks_is_listed_and_cannot_be_opened() -> None:
    archive = oci_archive(ImageDescription([[file("a")]], absent=True))
    (listed,) = list_images(io.BytesIO(archive))
    assert not listed.present
    assert listed.missing == (listed.digest,)
    with pytest.raises(BlobNotFoundError, match="Save or copy it again"):
        open_image(io.BytesIO(archive))


OCI = "application/vnd.oci.image.layer.v1.tar"
TAR = layer(file("a"))
UNREADABLE: list[tuple[LayerDescription, type[Exception], str]] = [
    (
        LayerDescription(TAR, stored=b"\x93" * 600, media_type=f"{OCI}+gzip+encrypted"),
        UnsupportedError,
        "encrypted",
    ),
    (
        LayerDescription(b"\0asm", media_type="application/vnd.wasm.content.layer.v1+wasm"),
        UnsupportedError,
        "vnd.wasm",
    ),
    (foreign_layer(TAR, "https://example.org/base"), BlobNotFoundError, "https://example.org/base"),
]


@pytest.mark.parametrize(("description", "error", "text"), UNREADABLE)
def test_an_image_with_a_layer_that_cannot_be_read_opens_and_tells_when_it_is_asked(
    description: LayerDescription, error: type[Exception], text: str
) -> None:
    archive = oci_archive(ImageDescription([[file("below", "1")], description]))
    with open_image(io.BytesIO(archive)) as image:
        assert image.layers[0].fs().readbytes("/below") == b"1"
        assert image.layers[1].media_type == description.media_type
        for ask in (image.layers[1].load, lambda: image.fs().listdir("/")):
            question: Callable[[], Any] = ask
            with pytest.raises(error) as caught:
                question()
            assert text in str(caught.value)


def test_a_folder_without_documents_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    with pytest.raises(UnknownFormatError, match=r"manifest\.json, index\.json"):
        open_image(tmp_path)
