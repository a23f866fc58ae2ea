"""A link that is not followed is said to be one, with where it leads, and never called absence."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from unionlayers import (
    BlobNotFoundError,
    DocumentError,
    UnionLayersError,
    UnsupportedError,
    list_images,
    open_image,
)
from unionlayers.testing import (
    Damage,
    ImageDescription,
    docker_archive,
    docker_archive_v1,
    file,
    image_members,
    oci_archive,
    symlink,
    write_directory,
)

IMAGE = ImageDescription([[file("a", "1")], [file("b", "2")]], tags=["app:1"])
FOLDERS = [
    "oci-layout",
    "docker-directory",
    "docker-directory-25",
    "docker-directory-v1",
    "skopeo-dir",
]
UNREAD = {
    "oci-layout": ["oci-layout"],
    "docker-directory": ["json", "VERSION", "repositories"],
    "docker-directory-25": ["manifest.json", "oci-layout", "repositories"],
    "docker-directory-v1": ["VERSION"],
    "skopeo-dir": ["version"],
}
"""What is read over in each form, or only compared with another layout."""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need no rights elsewhere")


def moved_out(path: Path, outside: Path) -> Path:
    """Leave a link in place of a file or folder of a source."""
    outside.mkdir(exist_ok=True)
    target = outside / f"{path.name}-moved"
    shutil.move(path, target)
    path.symlink_to(target)
    return target


def made(form: str, folder: Path) -> Path:
    return write_directory(folder / "source", image_members(IMAGE, form=form))


def members(source: Path) -> list[Path]:
    return sorted(path for path in source.rglob("*") if path.is_file() and not path.is_symlink())


def told(source: Path) -> str | None:
    """Ask for everything, and give what the error says, None where nothing is lacking."""
    try:
        # Without their documents two layouts cannot be told to be of one image.
        reference = "app:1" if len(list_images(source)) > 1 else None
        with open_image(source, reference=reference) as image:
            image.prepare()
            assert image.fs().listdir("/") == ["a", "b"]
    except UnionLayersError as error:
        return str(error)
    return None


@pytest.mark.parametrize("form", FOLDERS)
def test_each_file_that_is_a_link_out_is_said_to_be_one(form: str, tmp_path: Path) -> None:
    count = len(members(made(form, tmp_path / "count")))
    for number in range(count):
        source = made(form, tmp_path / str(number))
        path = members(source)[number]
        target = moved_out(path, tmp_path / f"outside-{number}")
        said = told(source)
        if said is None:
            # Nothing is read of it, or the other layout has all that is needed.
            assert path.name in UNREAD[form] or form.endswith("-25"), path
            continue
        assert target.name in said, (path, said)
        assert "link" in said


@pytest.mark.parametrize("form", ["oci-layout", "docker-directory-25"])
@pytest.mark.parametrize("where", ["blobs", "blobs/sha256"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_folder_that_is_a_link_is_said_to_be_one(
    form: str, where: str, inside: bool, tmp_path: Path
) -> None:
    source = made(form, tmp_path)
    target = moved_out(source / where, source / "elsewhere" if inside else tmp_path / "outside")
    said = told(source)
    assert said is not None
    assert target.name in said
    assert "link" in said
    assert not any(item.present for item in list_images(source))


def test_a_layer_that_is_a_link_out_says_so_when_it_is_read(tmp_path: Path) -> None:
    source = made("oci-layout", tmp_path)
    with open_image(source) as image:
        digest = str(image.layers[1].digest or image.record.layers[1].digest)
    target = moved_out(source / "blobs" / digest.replace(":", "/"), tmp_path / "outside")
    with open_image(source) as image:
        assert [item.code for item in image.record.findings] == ["LINK_NOT_FOLLOWED"]
        with pytest.raises(BlobNotFoundError) as caught:
            image.layers[1].load()
    error = caught.value
    assert (error.layer, error.actual, error.expected) == (1, str(target), digest)
    assert error.member == "blobs/" + digest.replace(":", "/")


def test_a_link_out_of_an_archive_is_said_to_be_one() -> None:
    archive = oci_archive(IMAGE)
    with open_image(io.BytesIO(archive)) as image:
        name = str(image.record.layers[0].member)
    link = Damage(omit=[name], after=[symlink(name, "../../../elsewhere/blob")])
    archive = oci_archive(IMAGE, damage=link)
    with open_image(io.BytesIO(archive)) as image, pytest.raises(BlobNotFoundError) as caught:
        image.layers[0].load()
    assert caught.value.actual == "../../../elsewhere/blob"


@pytest.mark.parametrize("name", ["manifest.json", "index.json"])
def test_a_document_that_is_a_link_says_where_it_leads(name: str, tmp_path: Path) -> None:
    source = made("docker-directory" if name == "manifest.json" else "oci-layout", tmp_path)
    target = moved_out(source / name, tmp_path / "outside")
    with pytest.raises(DocumentError) as caught:
        open_image(source)
    assert (caught.value.member, caught.value.actual) == (name, str(target))


def test_a_circle_of_links_is_no_absence(tmp_path: Path) -> None:
    source = made("docker-directory", tmp_path)
    (source / "manifest.json").unlink()
    (source / "manifest.json").symlink_to("other")
    (source / "other").symlink_to("manifest.json")
    with pytest.raises(DocumentError, match="link"):
        open_image(source)


# -- smaller things -------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [{}, {"a": 1}])
def test_a_manifest_json_that_is_some_object_says_what_was_expected(content: Any) -> None:
    archive = docker_archive(IMAGE, damage=Damage(edits={"manifest.json": lambda _: content}))
    with pytest.raises(DocumentError, match="an array of images, or the manifest of one") as caught:
        open_image(io.BytesIO(archive))
    assert (caught.value.member, caught.value.pointer) == ("manifest.json", "")
    assert caught.value.actual == "an object"


def test_a_manifest_of_schema_1_in_a_dir_is_listed_and_refused(tmp_path: Path) -> None:
    document = {
        "schemaVersion": 1,
        "fsLayers": [{"blobSum": "sha256:" + "0" * 64}],
        "history": [{"v1Compatibility": "{}"}],
        "signatures": [],
    }
    (tmp_path / "version").write_text("Directory Transport Version: 1.1\n")
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    (item,) = list_images(tmp_path)
    assert isinstance(item.error, UnsupportedError)
    assert not item.present
    with pytest.raises(UnsupportedError, match="schema 1") as caught:
        open_image(tmp_path)
    assert "skopeo copy" in str(caught.value.hint)
    assert (caught.value.member, caught.value.pointer) == ("manifest.json", "/fsLayers")


@pytest.mark.parametrize("make", [docker_archive, oci_archive, docker_archive_v1])
def test_bytes_behind_a_whole_archive_that_is_compressed_are_a_finding(make: Any) -> None:
    plain = make(IMAGE)
    for behind, codes in ((b"garbage" * 3, ["DATA_AFTER_STREAM"]), (bytes(600), [])):
        with open_image(io.BytesIO(gzip.compress(plain) + behind)) as image:
            found = [item for item in image.findings if item.code == "DATA_AFTER_STREAM"]
            assert [item.code for item in found] == codes
            assert all("21 bytes" in item.message for item in found)


def test_a_parent_that_is_absent_says_which_is_expected() -> None:
    parent = "f" * 64

    def bent(document: Any) -> Any:
        return document if "parent" in document else {**document, "parent": parent}

    archive = docker_archive_v1(IMAGE, damage=Damage(edits={"json": bent}))
    with open_image(io.BytesIO(archive)) as image:
        (finding,) = (item for item in image.record.findings if item.code == "LAYER_UNKNOWN")
        assert parent in finding.message
        assert "/parent" in finding.message
        with pytest.raises(BlobNotFoundError) as caught:
            image.layers[0].load()
    assert caught.value.expected == f"{parent}/json"
