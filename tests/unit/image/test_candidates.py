"""Whatever an ambiguity lists means one image alone when it is given back, in every form."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_stores import digest, make_containers_root, make_docker_root

from unionlayers import AmbiguousImageError, ImageNotFoundError, list_images, open_image
from unionlayers._image.record import ImageRecord
from unionlayers._image.selection import select
from unionlayers.testing import (
    Damage,
    ImageDescription,
    IndexDescription,
    containerd_save,
    docker_archive,
    docker_archive_25,
    docker_archive_v1,
    file,
    image_members,
    oci_archive,
    skopeo_docker_archive,
    write_directory,
)

Opener = Callable[[], Any]


def image(number: int, *tags: str, **more: Any) -> ImageDescription:
    return ImageDescription([[file(f"f{number}")]], tags=tags, **more)


SETS: dict[str, list[ImageDescription]] = {
    "tagged": [image(1, "a:1"), image(2, "b:1", "b:2")],
    "untagged": [image(1), image(2), image(3)],
    "equally named": [image(1, "a:1"), image(2, "a:1"), image(3, "a:1")],
    "named and not": [image(1, "a:1"), image(2), image(3, "a:1", "b:1")],
    "short and long": [image(1, "a"), image(2, "docker.io/library/a:latest"), image(3, "a:latest")],
    "one named by the digest of another": [image(1), image(2, "sha256:" + "0" * 64)],
    "like places": [image(1, "x@1"), image(2, "y@0")],
    "places of others": [image(1, "@1"), image(2, "@0")],
    "places of others, untagged beside them": [image(1), image(2), image(3, "@0", "@1", "@00")],
}
FORMS = [
    docker_archive,
    docker_archive_25,
    docker_archive_v1,
    containerd_save,
    skopeo_docker_archive,
    oci_archive,
]


def each_works(source: Any, **asked: Any) -> int:
    """Ask for every candidate of an ambiguity, and tell how many images that were."""

    def given() -> Any:
        return io.BytesIO(source) if isinstance(source, bytes) else source

    with pytest.raises(AmbiguousImageError) as caught:
        open_image(given(), **asked)
    error = caught.value
    assert len(set(error.candidates)) == len(error.candidates) > 1
    seen = set()
    for candidate in error.candidates:
        with open_image(given(), **(asked | {"reference": candidate})) as found:
            seen.add((found.digest, found.id, found.references, tuple(found.fs([0]).listdir("/"))))
    assert len(seen) == len(error.candidates)
    return len(seen)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("make", FORMS)
def test_each_candidate_means_one_image(make: Any, name: str) -> None:
    images = SETS[name]
    if make is docker_archive_v1:
        if not all(one.tags for one in images) or name == "equally named":
            pytest.skip("the form has no image without a tag of its own")
        if name in ("one named by the digest of another", "like places", "short and long") or (
            name.startswith("places of others")
        ):
            pytest.skip("the form splits tags at their colon")
    archive = make(*images)
    assert each_works(archive) == len(images)
    if name == "equally named":
        assert each_works(archive, reference="a:1") == 3


@pytest.mark.parametrize("make", [docker_archive, skopeo_docker_archive])
def test_images_of_one_config_and_other_layers_are_told_apart_by_their_place(make: Any) -> None:
    def twice(manifest: Any) -> Any:
        other = dict(manifest[0], Layers=["elsewhere.tar"])
        return [manifest[0], other]

    archive = make(image(1), damage=Damage(edits={"manifest.json": twice}))
    with pytest.raises(AmbiguousImageError) as caught:
        open_image(io.BytesIO(archive), missing="skip")
    assert len(set(caught.value.candidates)) == 2
    present = []
    for candidate in caught.value.candidates:
        with open_image(io.BytesIO(archive), missing="skip", reference=candidate) as found:
            present.append(found.fs().listdir("/"))
    assert present == [["f1"], []]


@pytest.mark.parametrize("make", [oci_archive, containerd_save])
def test_each_candidate_among_platforms_means_one_image(make: Any) -> None:
    index = IndexDescription(
        [image(1, architecture="amd64"), image(2, architecture="arm64", variant="v8")],
        tags=["a:1"],
    )
    archive = make(index)
    assert each_works(archive) == 2
    if make is oci_archive:
        # The other has the short name in manifest.json, for one platform alone.
        assert each_works(archive, reference="a:1") == 2
    with pytest.raises(AmbiguousImageError) as caught:
        open_image(io.BytesIO(archive))
    assert "linux/amd64, linux/arm64/v8" in str(caught.value.hint)


def test_each_candidate_of_a_cut_digest_means_one_image() -> None:
    archive = oci_archive(*[image(number) for number in range(300)])
    owners: dict[str, set[str]] = {}
    for item in list_images(io.BytesIO(archive)):
        for held in (str(item.digest), str(item.id)):
            owners.setdefault(held[:11], set()).add(str(item.digest))
    prefix = next(prefix for prefix, owned in owners.items() if len(owned) > 1)
    assert each_works(archive, reference=prefix) >= 2


def test_each_candidate_of_folders_can_be_opened(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_directory(tmp_path / name, image_members(image(1, "a:1"), form="oci-layout"))
    with pytest.raises(AmbiguousImageError) as caught:
        open_image(tmp_path)
    assert len(caught.value.candidates) == 2
    for candidate in caught.value.candidates:
        open_image(candidate).close()


# -- stores of engines ----------------------------------------------------------------------------


def with_two_drivers(kind: str, folder: Path) -> Path:
    """Make a store in which two storage drivers hold the same image."""
    if kind == "docker":
        root = make_docker_root(folder).root
        shutil.copytree(root / "overlay2", root / "fuse-overlayfs")
        shutil.copytree(root / "image/overlay2", root / "image/fuse-overlayfs")
        return root
    root = make_containers_root(folder).root
    for part in ("layers", "images", "containers"):
        shutil.copytree(root / f"overlay-{part}", root / f"vfs-{part}")
    for place in (root / "overlay").iterdir():
        shutil.copytree(place / "diff", root / "vfs/dir" / place.name)
    return root


@pytest.mark.parametrize("kind", ["docker", "containers"])
def test_one_image_in_two_drivers_is_one(kind: str, tmp_path: Path) -> None:
    root = with_two_drivers(kind, tmp_path)
    images = [item for item in list_images(root) if item.kind == "image"]
    assert len(images) == 1
    with open_image(root) as found:
        assert found.fs().readtext("/etc/keep") == "kept"
        assert found.findings == ()


@pytest.mark.parametrize("kind", ["docker", "containers"])
def test_of_two_drivers_the_one_that_is_whole_counts(kind: str, tmp_path: Path) -> None:
    root = with_two_drivers(kind, tmp_path)
    for folder in root.glob("overlay*/0*/diff"):
        shutil.rmtree(folder)
    with open_image(root) as found:
        assert found.fs().readtext("/etc/keep") == "kept"


@pytest.mark.parametrize("kind", ["docker", "containers"])
def test_of_two_drivers_the_one_that_can_be_read_counts(kind: str, tmp_path: Path) -> None:
    root = with_two_drivers(kind, tmp_path)
    (whole,) = [item for item in list_images(root) if item.kind == "image"]
    for path in root.rglob("*overlay*/**/*"):
        if "fuse" not in str(path) and path.is_file() and b'"rootfs"' in path.read_bytes():
            path.unlink()
            path.mkdir()
    for reference in (None, whole.id, whole.references[0]):
        with open_image(root, reference=reference) as found:
            assert found.fs().readtext("/etc/keep") == "kept"
            (finding,) = found.findings
            assert finding.code == "STORE_NOT_READ"
            assert "a folder where the store has a document" in finding.message


@pytest.mark.parametrize("kind", ["docker", "containers"])
def test_each_candidate_among_containers_of_two_drivers_works(kind: str, tmp_path: Path) -> None:
    root = with_two_drivers(kind, tmp_path)
    with pytest.raises(AmbiguousImageError) as caught:
        open_image(root, reference="box")
    assert len(set(caught.value.candidates)) == 2
    for candidate in caught.value.candidates:
        with open_image(root, reference=candidate) as found:
            assert found.references[0] == "box"


def test_each_candidate_among_images_of_one_tag_in_two_drivers_works(tmp_path: Path) -> None:
    root = with_two_drivers("docker", tmp_path)
    database = root / "image/fuse-overlayfs"
    (config,) = (database / "imagedb/content/sha256").iterdir()
    changed = json.dumps(json.loads(config.read_bytes()) | {"author": "somebody"}).encode()
    config.unlink()
    other = digest(changed)
    config.with_name(other[7:]).write_bytes(changed)
    names = {"Repositories": {"app": {"app:1": other}}}
    (database / "repositories.json").write_text(json.dumps(names))
    assert each_works(root) == 2
    assert each_works(root, reference="app:1") == 2


# -- names with digests, and places ---------------------------------------------------------------


@pytest.mark.parametrize("make", [docker_archive_25, oci_archive, docker_archive])
def test_of_a_name_with_a_digest_the_digest_counts(make: Any) -> None:
    archive = make(image(1, "a:1"), image(2, "b:1"))
    for item in list_images(io.BytesIO(archive)):
        for held in filter(None, (item.digest, item.id)):
            for name in ("a", "docker.io/library/a:1", "elsewhere.example/b"):
                with open_image(io.BytesIO(archive), reference=f"{name}@{held}") as found:
                    assert found.id == item.id
    for wrong in (f"a@sha256:{'0' * 64}", "a@sha256:00", "@sha256:00", "a@"):
        with pytest.raises(ImageNotFoundError):
            open_image(io.BytesIO(archive), reference=wrong)


def test_a_place_in_the_list_is_a_reference() -> None:
    archive = docker_archive(image(1), image(2))
    items = list_images(io.BytesIO(archive))
    for place, item in enumerate(items):
        with open_image(io.BytesIO(archive), reference=f"@{place}") as found:
            assert found.id == item.id
    with pytest.raises(ImageNotFoundError):
        open_image(io.BytesIO(archive), reference="@2")


# -- one manifest for several platforms -----------------------------------------------------------


def test_one_manifest_that_is_listed_for_two_platforms_is_chosen_by_either() -> None:
    one = ImageDescription([[file("a")]], platform={"os": "linux", "architecture": "amd64"})
    two = ImageDescription([[file("a")]], platform={"os": "linux", "architecture": "386"})
    archive = oci_archive(IndexDescription([one, two]))
    (item,) = list_images(io.BytesIO(archive))
    assert item.platforms == ("linux/amd64", "linux/386")
    for platform in ("linux/amd64", "linux/386", "=linux/386"):
        with open_image(io.BytesIO(archive), platform=platform) as found:
            assert found.platform == platform.lstrip("=")
    with open_image(io.BytesIO(archive)) as found:
        assert found.platform == "linux/amd64"
    with pytest.raises(ImageNotFoundError) as caught:
        open_image(io.BytesIO(archive), platform="linux/arm64")
    assert "linux/386" in str(caught.value.candidates)


@pytest.mark.parametrize("make", [docker_archive, docker_archive_25, oci_archive])
def test_a_tag_that_is_spelled_as_a_digest_takes_nobody_elses(make: Any) -> None:
    """Whoever makes an archive chooses its tags: a pinned digest must not be one of them."""
    (good,) = list_images(io.BytesIO(make(image(1))))
    for held in filter(None, (good.id, good.digest)):
        for tag in (held, f"evil@{held}", held.partition(":")[2]):
            archive = make(image(1, "good:1"), image(2, tag))
            asked = (held, f"evil@{held}", f"good:1@{held}", held.partition(":")[2])
            for reference in asked:
                with open_image(io.BytesIO(archive), reference=reference) as found:
                    assert found.fs().listdir("/") == ["f1"], (tag, reference)
            assert each_works(archive) == 2


@pytest.mark.parametrize("make", [docker_archive, oci_archive, docker_archive_v1])
def test_a_digest_that_nothing_has_means_nothing_whatever_is_called_so(make: Any) -> None:
    digest = "sha256:" + "0" * 64
    archive = make(image(1, "a:1"), image(2, f"app@{digest}" if make is oci_archive else "b:1"))
    for reference in (digest, f"app@{digest}", f"a:1@{digest}", "0" * 64):
        with pytest.raises(ImageNotFoundError):
            open_image(io.BytesIO(archive), reference=reference)
    for tag in (digest, "0" * 64, f"app@{digest}"):
        if make is not docker_archive_v1:
            with pytest.raises(ImageNotFoundError):
                open_image(io.BytesIO(make(image(1), image(2, tag))), reference=tag)


def test_a_place_is_that_of_the_list_whatever_is_called_so() -> None:
    archive = docker_archive(image(1, "good:1"), image(2, "@0"), image(3))
    for place, item in enumerate(list_images(io.BytesIO(archive))):
        with open_image(io.BytesIO(archive), reference=f"@{place}") as found:
            assert found.id == item.id
    with pytest.raises(ImageNotFoundError):
        open_image(io.BytesIO(archive), reference="@\N{ARABIC-INDIC DIGIT ZERO}")


def test_a_name_comes_before_the_beginning_of_a_digest() -> None:
    (other,) = list_images(io.BytesIO(docker_archive(image(1))))
    name = str(other.id).partition(":")[2][:6]
    archive = docker_archive(image(1), image(2, f"{name}:latest"))
    with open_image(io.BytesIO(archive), reference=name) as found:
        assert found.fs().listdir("/") == ["f2"]


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("make", [docker_archive, oci_archive])
def test_each_candidate_of_a_reference_that_is_not_there_means_one_image(
    make: Any, name: str
) -> None:
    archive = make(*SETS[name])
    with pytest.raises(ImageNotFoundError) as caught:
        open_image(io.BytesIO(archive), reference="nonsuch")
    seen = set()
    for candidate in caught.value.candidates:
        with open_image(io.BytesIO(archive), reference=candidate) as found:
            seen.add(tuple(found.fs().listdir("/")))
    assert len(seen) == len(SETS[name])


def test_each_candidate_of_a_platform_that_is_not_there_is_one_that_is() -> None:
    index = IndexDescription(
        [
            image(1, architecture="amd64"),
            image(2, architecture="arm64", variant="v8"),
            image(3, os="windows", os_version="10.0.17763.1", architecture="amd64"),
        ],
        tags=["a:1"],
    )
    archive = oci_archive(index)
    with pytest.raises(ImageNotFoundError) as caught:
        open_image(io.BytesIO(archive), platform="linux/s390x")
    assert len(caught.value.candidates) == 3
    for number, candidate in enumerate(caught.value.candidates, 1):
        with open_image(io.BytesIO(archive), platform=candidate) as found:
            assert found.fs().listdir("/") == [f"f{number}"]


def test_an_engine_knows_the_digests_that_it_pulled_an_image_by_under_every_name() -> None:
    pulled, other, config = ("sha256:" + two * 32 for two in ("a1", "b2", "c3"))
    record = ImageRecord(
        layout="docker-root",
        references=("debian:latest", f"debian@{pulled}", f"debian@{other}"),
        promised_id=config,
        raw_config=b"{}",
    )
    for name in (f"debian@{pulled}", f"docker.io/library/debian@{pulled}", f"debian@{other}"):
        chosen = select([record], "store", reference=name, platform=None, partial=False)
        assert chosen is record


@pytest.mark.parametrize(
    "platforms",
    [
        ("linux/amd64/v1/more", "linux/arm64"),
        ("linux", "linux/arm64"),
        ("=linux/amd64", "linux/arm64"),
        (" linux/amd64", "linux/arm64"),
        ("linux/arm64", "linux/arm64/v8"),
        ("linux//amd64", "linux/arm64"),
    ],
)
def test_what_is_no_platform_is_not_offered_as_one(platforms: tuple[str, ...]) -> None:
    records = [
        ImageRecord(layout="layers", digest=f"sha256:{number:064x}", platform=platform)
        for number, platform in enumerate(platforms)
    ]
    for asked in (None, "windows/386"):
        with pytest.raises((AmbiguousImageError, ImageNotFoundError)) as caught:
            select(records, "x", reference=None, platform=asked, partial=False)
        if asked is None:
            assert "platform=" not in str(caught.value.hint)
            continue
        for candidate in caught.value.candidates:
            if platforms[1].endswith("/v8"):  # both serve
                with pytest.raises(AmbiguousImageError):
                    select(records, "x", reference=None, platform=candidate, partial=False)
            else:
                select(records, "x", reference=None, platform=candidate, partial=False)
