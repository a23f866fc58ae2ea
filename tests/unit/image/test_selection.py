"""Which image is meant: tags, ref names, digests, prefixes and platforms, in every form."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from unionlayers import AmbiguousImageError, ImageNotFoundError, list_images, open_image
from unionlayers._image.platform import canonical_platform, platform_rank
from unionlayers.testing import (
    Attestation,
    ImageDescription,
    IndexDescription,
    containerd_save,
    docker_archive,
    docker_archive_25,
    file,
    layer_tars,
    oci_archive,
    skopeo_docker_archive,
)

ONE = ImageDescription([[file("one")]], tags=["app:1", "example.org/team/app:one"])
TWO = ImageDescription([[file("two")]], tags=["app:latest"])
ARCHIVES = [docker_archive, docker_archive_25, containerd_save, skopeo_docker_archive, oci_archive]


def names_in(archive: bytes, **options: Any) -> list[str]:
    with open_image(io.BytesIO(archive), **options) as image:
        return list(image.fs().listdir("/"))


@pytest.mark.parametrize("make", ARCHIVES)
@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("app:1", "one"),
        ("docker.io/library/app:1", "one"),
        ("example.org/team/app:one", "one"),
        ("app:latest", "two"),
        ("app", "two"),
        ("docker.io/library/app", "two"),
    ],
)
def test_a_tag_names_its_image_in_short_and_in_full(
    make: Any, reference: str, expected: str
) -> None:
    assert names_in(make(ONE, TWO), reference=reference) == [expected]


@pytest.mark.parametrize("make", ARCHIVES)
def test_digests_name_an_image_whole_cut_and_without_their_algorithm(make: Any) -> None:
    archive = make(ONE, TWO)
    for item in list_images(io.BytesIO(archive)):
        for digest in filter(None, (item.id, item.digest)):
            bare = digest.removeprefix("sha256:")
            for reference in (digest, digest[:30], bare, bare[:12]):
                with open_image(io.BytesIO(archive), reference=reference) as image:
                    assert image.id == item.id, reference


@pytest.mark.parametrize("make", ARCHIVES)
def test_both_layouts_of_an_archive_are_listed_as_one(make: Any) -> None:
    items = list_images(io.BytesIO(make(ONE, TWO)))
    assert len(items) == 2
    assert all(item.present and item.missing == () for item in items)
    assert [item.platform for item in items] == ["linux/amd64"] * 2
    assert {item.kind for item in items} == {"image"}


def test_the_id_of_an_image_is_the_same_in_every_form() -> None:
    ids = set()
    for make in ARCHIVES:
        with open_image(io.BytesIO(make(ONE))) as image:
            ids.add(image.id)
            assert image.platform == "linux/amd64"
            assert image.raw_config is not None
    assert len(ids) == 1


def test_the_digest_of_an_index_names_its_only_image_for_the_platform() -> None:
    index = IndexDescription(
        [
            ImageDescription([[file("amd")]], architecture="amd64"),
            ImageDescription([[file("arm")]], architecture="arm64", variant="v8"),
        ],
        tags=["app:1"],
    )
    archive = oci_archive(index)
    assert names_in(archive, platform="linux/amd64") == ["amd"]
    assert names_in(archive, reference="app:1", platform="linux/aarch64") == ["arm"]
    with pytest.raises(AmbiguousImageError):
        open_image(io.BytesIO(archive), reference="app:1")


def test_attestations_are_listed_and_never_taken_for_the_image() -> None:
    subject = ImageDescription([[file("real")]])
    archive = oci_archive(IndexDescription([subject, Attestation(subject)], tags=["app:1"]))
    assert sorted(item.kind for item in list_images(io.BytesIO(archive))) == [
        "attestation",
        "image",
    ]
    assert names_in(archive) == ["real"]


def test_an_absent_image_is_listed_with_its_digest_and_platform() -> None:
    index = IndexDescription(
        [
            ImageDescription([[file("here")]], architecture="amd64"),
            ImageDescription([[file("there")]], architecture="s390x", absent=True),
        ]
    )
    archive = oci_archive(index)
    absent = next(item for item in list_images(io.BytesIO(archive)) if not item.present)
    assert absent.platform == "linux/s390x"
    assert absent.missing == (absent.digest,)
    assert names_in(archive) == ["here"]


def test_layer_tars_are_an_image_without_documents(tmp_path: Path) -> None:
    paths = layer_tars(tmp_path, ImageDescription([[file("a")], [file("b")]]))
    with open_image(paths) as image:
        assert image.fs().listdir("/") == ["a", "b"]
        assert (image.id, image.digest, image.raw_config, image.raw_manifest) == (None,) * 4
        assert image.config == {}
        image.prepare()
        assert all(layer.diff_id and layer.diff_id == layer.digest for layer in image.layers)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("Linux/ARM64", "linux/arm64"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
    ],
)
def test_platforms_are_folded(text: str, expected: str) -> None:
    assert canonical_platform(text) == expected


@pytest.mark.parametrize("text", ["", "linux/", "/amd64", "a/b/c/d", "linux//v8"])
def test_a_text_that_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="platform"):
        canonical_platform(text)


@pytest.mark.parametrize(
    ("wanted", "found", "rank"),
    [
        ("linux/amd64", "linux/amd64", 0),
        ("linux/arm64", "linux/arm64/v8", 0),
        ("linux/arm64/v8", "linux/arm64", 0),
        ("linux/arm/v7", "linux/arm/v7", 0),
        ("linux/arm/v7", "linux/arm/v6", 1),
        ("linux/arm/v6", "linux/arm/v7", None),
        ("linux/amd64/v3", "linux/amd64", 2),
        ("linux/amd64", "linux/amd64/v2", None),
        ("linux/amd64", "windows/amd64", None),
        ("linux/amd64", None, None),
        ("linux/arm/soft", "linux/arm/v7", None),
    ],
)
def test_variants_serve_those_above_them(wanted: str, found: str | None, rank: int | None) -> None:
    assert platform_rank(wanted, found) == rank


def test_of_several_variants_the_nearest_is_taken() -> None:
    index = IndexDescription(
        [
            ImageDescription([[file(f"v{number}")]], architecture="arm", variant=f"v{number}")
            for number in (5, 6, 7)
        ]
    )
    archive = oci_archive(index)
    assert names_in(archive, platform="linux/arm/v6") == ["v6"]
    assert names_in(archive, platform="linux/arm") == ["v7"]
    assert names_in(archive, platform="linux/arm/v8") == ["v7"]
    with pytest.raises(ImageNotFoundError):
        open_image(io.BytesIO(archive), platform="linux/arm/v4")


def test_with_an_equals_sign_no_other_variant_serves() -> None:
    index = IndexDescription(
        [
            ImageDescription([[file(f"v{number}")]], architecture="arm", variant=f"v{number}")
            for number in (5, 6)
        ]
    )
    archive = oci_archive(index)
    assert names_in(archive, platform="linux/arm/v7") == ["v6"]
    assert names_in(archive, platform="=linux/arm/v6") == ["v6"]
    with pytest.raises(ImageNotFoundError) as caught:
        open_image(io.BytesIO(archive), platform="=linux/arm/v7")
    assert "without the =" in str(caught.value.hint)


def test_exact_platforms_know_what_a_platform_has_anyway() -> None:
    archive = oci_archive(ImageDescription([[file("a")]], architecture="arm64", variant="v8"))
    for platform in ("=linux/arm64", "=linux/arm64/v8", "=linux/aarch64"):
        assert names_in(archive, platform=platform) == ["a"]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("app:11", "app:1"), ("ap:1", "app:1"), ("example.org/app:one", "example.org/team/app:one")],
)
@pytest.mark.parametrize("make", ARCHIVES)
def test_a_reference_that_is_nearly_right_brings_the_right_one(
    make: Any, asked: str, meant: str
) -> None:
    with pytest.raises(ImageNotFoundError) as caught:
        open_image(io.BytesIO(make(ONE, TWO)), reference=asked)
    assert meant in str(caught.value.hint)
    assert caught.value.actual == asked


def test_a_prefix_of_several_digests_is_ambiguous_with_all_of_them() -> None:
    many = [ImageDescription([[file(f"{number}")]]) for number in range(500)]
    archive = oci_archive(*many)
    owners: dict[str, set[str]] = {}
    for item in list_images(io.BytesIO(archive)):
        for digest in (str(item.digest), str(item.id)):
            owners.setdefault(digest[:11], set()).add(str(item.digest))
    prefix, owned = next((prefix, owned) for prefix, owned in owners.items() if len(owned) > 1)
    for reference in (prefix, prefix.removeprefix("sha256:")):
        with pytest.raises(AmbiguousImageError) as caught:
            open_image(io.BytesIO(archive), reference=reference)
        assert all(digest in str(caught.value.candidates) for digest in owned)


def test_a_prefix_of_the_digest_of_an_index_means_its_images() -> None:
    subject = ImageDescription([[file("real")]])
    archive = oci_archive(IndexDescription([subject, Attestation(subject)]))
    with open_image(io.BytesIO(archive)) as image:
        (digest,) = image.record.indexes
    for reference in (digest, digest[:20], digest[7:30]):
        assert names_in(archive, reference=reference) == ["real"]


def test_one_image_for_two_platforms_is_listed_once() -> None:
    one = ImageDescription([[file("a")]], platform={"os": "linux", "architecture": "amd64"})
    two = ImageDescription([[file("a")]], platform={"os": "linux", "architecture": "386"})
    archive = oci_archive(IndexDescription([one, two]))
    assert len(list_images(io.BytesIO(archive))) == 1


@pytest.mark.parametrize("wrong", [{"reference": 5}, {"platform": 5}, {"limits": 3}])
def test_arguments_of_another_type_are_named(wrong: Any) -> None:
    ((name, _),) = wrong.items()
    with pytest.raises(TypeError, match=f"^{name} is of the type"):
        open_image(io.BytesIO(docker_archive(ImageDescription())), **wrong)


def test_limits_of_another_type_are_named_by_the_list_too() -> None:
    with pytest.raises(TypeError, match=r"^limits is of the type Limits"):
        list_images(io.BytesIO(docker_archive(ImageDescription())), limits=3)  # type: ignore[arg-type]
