"""What a source holds and no image of it leads to."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from unionlayers import ClosedError, Image, LimitError, Limits, open_image
from unionlayers.testing import (
    ImageDescription,
    LayerDescription,
    containerd_save,
    docker_archive,
    docker_archive_25,
    docker_archive_v1,
    file,
    layer,
    oci_archive,
    skopeo_docker_archive,
)

BASE = [[file("f", b"content")], [file("g", b"1")]]
SECRET = b"a token that nobody sees"


def told(image: Image) -> list[tuple[Any, ...]]:
    return [(one.kind, one.layer, one.size, one.open().read()) for one in image.unreferenced()]


def with_members(archive: bytes, *members: tuple[str, bytes]) -> bytes:
    """Add members to a tar."""
    opened = io.BytesIO(archive)
    with tarfile.open(fileobj=opened, mode="a") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return opened.getvalue()


def blob(data: bytes) -> tuple[str, bytes]:
    return f"blobs/sha256/{sha256(data).hexdigest()}", data


def opened(archive: bytes, **given: Any) -> Image:
    return open_image(io.BytesIO(archive), **given)


@pytest.mark.parametrize(
    "form", [docker_archive, skopeo_docker_archive, docker_archive_v1, containerd_save, oci_archive]
)
def test_nothing_is_left_in_an_archive_as_it_is_written(form: Any) -> None:
    with opened(form(ImageDescription(BASE, tags=["a:1"]))) as image:
        assert image.unreferenced() == ()


def test_docker_25_leaves_a_configuration_of_each_layer_that_nothing_names() -> None:
    with opened(docker_archive_25(ImageDescription(BASE))) as image:
        assert [one.kind for one in image.unreferenced()] == ["blob", "blob"]
        assert all(b'"container_config"' in one.open().read() for one in image.unreferenced())


def test_blobs_that_no_manifest_names_and_other_members() -> None:
    archive = oci_archive(ImageDescription(BASE))
    with opened(with_members(archive, blob(SECRET), ("notes.txt", b"todo"))) as image:
        assert told(image) == [("blob", None, 24, SECRET), ("member", None, 4, b"todo")]
        assert [one.name for one in image.unreferenced()] == [blob(SECRET)[0], "notes.txt"]


def test_what_another_image_of_the_archive_needs_is_referenced() -> None:
    images = [
        ImageDescription(BASE, tags=["a:1"]),
        ImageDescription(BASE[:1], tags=["b:1"]),
    ]
    with opened(docker_archive(*images), reference="a:1") as image:
        assert image.unreferenced() == ()


def test_what_a_manifest_inside_an_index_names_is_referenced() -> None:
    config = blob(b"{}")
    signature = blob(b"signed")
    manifest = blob(
        json.dumps(
            {
                "config": {"digest": f"sha256:{config[0][-64:]}"},
                "layers": [{"digest": f"sha256:{signature[0][-64:]}"}],
            }
        ).encode()
    )
    nested = blob(
        json.dumps(
            {"manifests": [{"digest": f"sha256:{manifest[0][-64:]}", "size": len(manifest[1])}]}
        ).encode()
    )
    archive = with_members(oci_archive(ImageDescription(BASE)), config, signature, manifest, nested)
    with opened(archive) as image:
        assert {one.name for one in image.unreferenced()} == {
            name for name, _ in (config, signature, manifest, nested)
        }
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        read = tar.extractfile("index.json")
        assert read is not None
        index = json.load(read)
    index["manifests"].append(
        {
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": f"sha256:{nested[0][-64:]}",
            "size": len(nested[1]),
        }
    )
    with opened(
        with_members(archive, ("index.json", json.dumps(index).encode())), platform="linux/amd64"
    ) as image:
        assert [one.kind for one in image.unreferenced()] == ["repeated member"]


def test_a_member_that_a_later_one_replaces() -> None:
    archive = docker_archive(ImageDescription(BASE))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        read = tar.extractfile("manifest.json")
        assert read is not None
        manifest = read.read()
    with opened(with_members(archive, ("manifest.json", manifest))) as image:
        assert told(image) == [("repeated member", None, len(manifest), manifest)]


def test_bytes_behind_the_end_of_the_archive() -> None:
    archive = docker_archive(ImageDescription(BASE))
    with opened(archive + bytes(4096)) as image:
        assert image.unreferenced() == ()
    with opened(archive + SECRET) as image:
        ((kind, number, size, data),) = told(image)
    assert (kind, number) == ("after tar", None)
    assert data == data[: size - len(SECRET)] + SECRET


def test_bytes_behind_the_stream_of_an_archive_that_is_compressed_as_a_whole() -> None:
    archive = gzip.compress(docker_archive(ImageDescription(BASE)))
    with opened(archive + SECRET) as image:
        assert told(image) == [("after stream", None, 24, SECRET)]
        assert image.unreferenced()[0].offset == len(archive)


def test_bytes_behind_the_tar_of_a_layer() -> None:
    tar = layer(*BASE[1])
    archive = docker_archive(ImageDescription([BASE[0], LayerDescription(tar + SECRET)]))
    with opened(archive) as image:
        ((kind, number, size, data),) = told(image)
        start = image.unreferenced()[0].offset
    assert (kind, number) == ("after tar", 1)
    assert data.endswith(SECRET)
    assert start + size == len(tar) + len(SECRET)


def test_bytes_behind_the_compressed_stream_of_a_layer() -> None:
    tar = layer(*BASE[1])
    stored = gzip.compress(tar) + SECRET
    description = LayerDescription(tar, codec="gzip", stored=stored)
    with opened(oci_archive(ImageDescription([BASE[0], description]))) as image:
        assert told(image) == [("after stream", 1, 24, SECRET)]


def test_bytes_that_fill_a_block_behind_the_content_of_an_entry() -> None:
    tar = bytearray(layer(file("a", b"12345"), file("b", b"1")))
    tar[512 + 5 : 512 + 5 + len(SECRET)] = SECRET
    with opened(docker_archive(ImageDescription([LayerDescription(bytes(tar))]))) as image:
        ((kind, number, size, data),) = told(image)
        assert image.unreferenced()[0].offset == 517
    assert (kind, number, size) == ("gap", 0, 507)
    assert data.startswith(SECRET)


def test_files_of_a_folder(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(oci_archive(ImageDescription(BASE)))) as tar:
        tar.extractall(tmp_path, filter="data")
    name, data = blob(SECRET)
    (tmp_path / name).write_bytes(data)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "notes").write_bytes(b"todo")
    (tmp_path / "link").symlink_to(name)
    with open_image(tmp_path) as image:
        assert told(image) == [("blob", None, 24, SECRET), ("member", None, 4, b"todo")]
    with (
        open_image(tmp_path, limits=Limits(members=5)) as image,
        pytest.raises(LimitError, match="members"),
    ):
        image.unreferenced()


def test_what_is_kept_must_be_open_to_be_read() -> None:
    with opened(with_members(docker_archive(ImageDescription(BASE)), ("x", b"1"))) as image:
        (found,) = image.unreferenced()
    with pytest.raises(ClosedError):
        found.open()
    with pytest.raises(ClosedError):
        image.unreferenced()


def test_bare_layers_are_all_needed(tmp_path: Path) -> None:
    path = tmp_path / "layer.tar"
    path.write_bytes(layer(*BASE[0]))
    with open_image([str(path)]) as image:
        assert image.unreferenced() == ()
