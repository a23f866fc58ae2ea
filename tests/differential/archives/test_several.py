"""Archives of several images, several tags and several platforms, as tools write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from engines import Docker, Storage, need, privileged, run, skopeo, umoci
from facts import Facts, disagreements, facts_of
from subjects import LAYERS, RICH
from truth import describe

from unionlayers import AmbiguousImageError, list_images, open_image
from unionlayers.testing import HistoryStep, ImageDescription, IndexDescription, file, write_image

OTHER = ImageDescription(
    [LAYERS[0], [file("other", "1")]],
    tags=["localhost/second:2"],
    history=["ADD base", HistoryStep("COPY other", comment="the first layer is that of the other")],
)

ARM = ImageDescription(
    [LAYERS[0], [file("arm", "1")]],
    architecture="arm64",
    variant="v8",
    tags=["localhost/arm:1"],
    history=["ADD base", "COPY arm"],
)


def archive(path: Path, *images: ImageDescription) -> Path:
    written = write_image(path, *images)
    assert isinstance(written, Path)
    return written


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Facts, Facts]:
    """Give an archive of two images, and what the two show by themselves."""
    return (
        archive(tmp_path / "two.tar", RICH, OTHER),
        facts_of(archive(tmp_path / "one.tar", RICH)),
        facts_of(archive(tmp_path / "other.tar", OTHER)),
    )


def check(source: Path, references: dict[str, Facts]) -> None:
    """Hold every image of an archive against what it shows by itself, by every reference."""
    listed = {
        reference: image.id for image in list_images(source) for reference in image.references
    }
    assert listed == {reference: facts.id for reference, facts in references.items()}
    assert all(image.present and image.kind == "image" for image in list_images(source))
    for reference, facts in references.items():
        assert disagreements(facts, facts_of(source, reference=reference)) == {}
        assert facts.id is not None
        assert disagreements(facts, facts_of(source, reference=facts.id[7:19])) == {}
    if len(set(listed.values())) > 1:
        with pytest.raises(AmbiguousImageError) as caught:
            open_image(source)
        assert set(caught.value.candidates) <= set(references)


def test_docker_saves_several_images_and_tags_in_one_archive(
    docker: Docker, two: tuple[Path, Facts, Facts], tmp_path: Path
) -> None:
    source, rich, other = two
    docker("load", "--input", source)
    docker("tag", "localhost/source:1", "localhost/again:3")
    names = ("localhost/source:1", "localhost/again:3", "localhost/second:2")
    docker("save", "--output", tmp_path / "saved.tar", *names)
    check(tmp_path / "saved.tar", dict(zip(names, (rich, rich, other), strict=True)))
    docker("save", "--output", tmp_path / "tags.tar", *names[:2])
    check(tmp_path / "tags.tar", dict.fromkeys(names[:2], rich))


def test_podman_saves_several_images_and_tags_in_one_archive(
    podman_store: Storage, two: tuple[Path, Facts, Facts], tmp_path: Path
) -> None:
    need("podman")
    source, rich, other = two
    podman_store.podman("load", "--signature-policy", podman_store.policy, "--input", source)
    podman_store.podman("tag", "localhost/source:1", "localhost/again:3")
    names = ("localhost/source:1", "localhost/again:3", "localhost/second:2")
    podman_store.podman("save", "--quiet", "-m", "--output", tmp_path / "saved.tar", *names)
    check(tmp_path / "saved.tar", dict(zip(names, (rich, rich, other), strict=True)))


def test_skopeo_writes_several_tags_of_one_image(
    two: tuple[Path, Facts, Facts], tmp_path: Path
) -> None:
    source, rich, _ = two
    more = ("--additional-tag", "localhost/again:3")
    target = f"docker-archive:{tmp_path}/tags.tar:localhost/source:1"
    skopeo("copy", "--quiet", *more, f"docker-archive:{source}:localhost/source:1", target)
    check(tmp_path / "tags.tar", dict.fromkeys(("localhost/source:1", "localhost/again:3"), rich))


def test_umoci_keeps_several_tags_in_one_layout(
    two: tuple[Path, Facts, Facts], tmp_path: Path
) -> None:
    need("umoci")
    source, rich, other = two
    layout = tmp_path / "layout"
    for number, name in enumerate(("localhost/source:1", "localhost/second:2")):
        skopeo("copy", "--quiet", f"docker-archive:{source}:{name}", f"oci:{layout}:t{number}")
    umoci("tag", "--image", f"{layout}:t0", "again")
    seen = {reference: facts_of(layout, reference=reference) for reference in ("t0", "t1", "again")}
    converted = frozenset({"id", "config"})
    assert disagreements(rich, seen["t0"], converted) == {}
    assert disagreements(other, seen["t1"], converted) == {}
    assert disagreements(seen["t0"], seen["again"]) == {}
    check(layout, seen)


@pytest.mark.parametrize("form", ["oci", "oci-archive", "dir"])
def test_skopeo_copies_all_platforms_of_an_index(form: str, tmp_path: Path) -> None:
    index = IndexDescription([OTHER, ARM], tags=["1"])
    given = tmp_path / "given.tar"
    write_image(given, index, form="oci-archive")
    target = f"{tmp_path}/target" + ("" if form == "dir" else ":1")
    skopeo("copy", "--quiet", "--all", f"oci-archive:{given}:1", f"{form}:{target}")
    for wanted in ("linux/amd64", "linux/arm64/v8"):
        shown = facts_of(tmp_path / "target", platform=wanted)
        assert disagreements(facts_of(given, platform=wanted), shown) == {}
        assert shown.platform == wanted
    assert len(list_images(tmp_path / "target")) == 2


def test_buildah_writes_an_index_of_two_platforms(podman_store: Storage, tmp_path: Path) -> None:
    need("buildah", "skopeo")
    policy = ("--signature-policy", podman_store.policy)
    images = {"linux/amd64": OTHER, "linux/arm64/v8": ARM}
    podman_store.buildah("manifest", "create", "localhost/index:1")
    for number, image in enumerate(images.values()):
        path = archive(tmp_path / f"{number}.tar", image)
        store = f"[{podman_store.driver}@{podman_store.root}+{podman_store.runroot}]"
        name = f"localhost/platform:{number}"
        podman_store.skopeo(
            "copy", "--quiet", f"docker-archive:{path}", f"containers-storage:{store}{name}"
        )
        platform = ("--arch", image.architecture, *(("--variant", "v8") if image.variant else ()))
        podman_store.buildah(
            "manifest", "add", *platform, "localhost/index:1", f"containers-storage:{store}{name}"
        )
    layout = tmp_path / "layout"
    podman_store.buildah(
        "manifest", "push", "--quiet", "--all", *policy, "localhost/index:1", f"oci:{layout}:1"
    )
    assert {image.platform for image in list_images(layout)} == set(images)
    for number, wanted in enumerate(images):
        given = facts_of(tmp_path / f"{number}.tar")
        shown = facts_of(layout, platform=wanted)
        assert shown.platform == wanted
        # buildah keeps the manifest of Docker, whose layers are those of its store: plain.
        apart = frozenset({"id", "config", "findings:MEDIA_TYPE_MISMATCH"})
        assert disagreements(given, shown, apart) == {}
    with pytest.raises(AmbiguousImageError) as caught:
        open_image(layout)
    assert all(wanted in str(caught.value) for wanted in images)


def test_a_file_in_place_of_a_directory_as_umoci_writes_it(tmp_path: Path) -> None:
    need("umoci")
    rootless = () if privileged() else ("--rootless",)
    layout, bundle = tmp_path / "layout", tmp_path / "bundle"
    image = ("--image", f"{layout}:1")
    umoci("init", "--layout", layout)
    umoci("new", *image)
    umoci("unpack", *rootless, *image, bundle)
    replaced = bundle / "rootfs/replaced"
    (replaced / "below").mkdir(parents=True)
    (replaced / "file").write_text("1")
    umoci("repack", *image, "--refresh-bundle", bundle)
    run("rm", "-r", replaced)
    replaced.write_text("a file")
    umoci("repack", *image, "--refresh-bundle", bundle)
    with open_image(layout) as opened, opened.fs() as view:
        assert view.readbytes("/replaced") == b"a file"
        assert [fact["path"] for fact in describe(str(bundle / "rootfs"))] == [".", "replaced"]
        assert view.listdir("/") == ["replaced"]
        below = [found for found in opened.findings if found.code == "WHITEOUT_BELOW_FILE"]
        assert [(found.layer, found.path) for found in below] == [
            (1, "/replaced/.wh.below"),
            (1, "/replaced/.wh.file"),
        ]
