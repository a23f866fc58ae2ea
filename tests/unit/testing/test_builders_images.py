"""Every form has the members that its tool writes, and its documents fit together."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from oracles import needs, run

from unionlayers.testing import (
    FORMS,
    Attestation,
    Entry,
    HistoryStep,
    ImageDescription,
    IndexDescription,
    LayerDescription,
    RawDescriptor,
    compress,
    containerd_save,
    directory,
    docker_archive,
    docker_archive_25,
    docker_archive_v1,
    file,
    foreign_layer,
    image_members,
    layer,
    layer_tars,
    oci_archive,
    oci_layout,
    skopeo_dir,
    skopeo_docker_archive,
    whiteout,
    write_directory,
    write_image,
)
from unionlayers.testing.fixtures import ImageBuilder

BASE = [directory("etc"), file("etc/a", "1")]
IMAGE = ImageDescription(
    [BASE, [whiteout("etc/a")], BASE],
    tags=["app:1", "localhost:5000/x/y:2"],
    history=["ADD base", HistoryStep("ENV a=b", empty_layer=True), "RUN rm", "ADD base again"],
)
ARM = ImageDescription([[file("arm")]], architecture="arm64", variant="v8")
INDEX = IndexDescription([IMAGE, ARM, Attestation(IMAGE)], tags=["multi:1"])


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def contents(form: str, *images: ImageDescription | IndexDescription) -> dict[str, Entry]:
    return {entry.path.decode(): entry for entry in image_members(*images, form=form)}


def load(members: dict[str, Entry], name: str) -> Any:
    return json.loads(members[name].content)


def blob(members: dict[str, Entry], descriptor: dict[str, Any]) -> bytes:
    algorithm, _, encoded = descriptor["digest"].partition(":")
    data = members[f"blobs/{algorithm}/{encoded}"].content
    assert descriptor["size"] == len(data)
    assert encoded == hashlib.new(algorithm, data).hexdigest()
    return data


def files(written: Path | list[Path]) -> list[bytes]:
    paths = written if isinstance(written, list) else [written, *sorted(written.rglob("*"))]
    return [path.read_bytes() for path in paths if path.is_file()]


def diff_ids(image: ImageDescription) -> list[str]:
    return [f"sha256:{sha256(one.data)}" for one in image.layers]


@pytest.mark.parametrize("form", [name for name, form in FORMS.items() if form.has_config])
def test_one_description_has_one_config_in_all_forms(form: str) -> None:
    configs = [
        entry.content
        for entry in image_members(IMAGE, form=form)
        if b'"rootfs"' in entry.content and b'"diff_ids"' in entry.content
    ]
    assert configs == [contents("oci-layout", IMAGE)[f"blobs/sha256/{sha256(configs[0])}"].content]
    config = json.loads(configs[0])
    assert config["rootfs"]["diff_ids"] == diff_ids(IMAGE)
    assert [step.get("empty_layer", False) for step in config["history"]] == [
        False, True, False, False,
    ]  # fmt: skip


def test_docker_archive_has_a_directory_for_each_layer_and_links_for_repeated_ones() -> None:
    members = contents("docker-archive", IMAGE)
    (item,) = load(members, "manifest.json")
    assert item["RepoTags"] == ["app:1", "localhost:5000/x/y:2"]
    assert item["Config"] == sha256(members[item["Config"]].content) + ".json"
    ids = [path.partition("/")[0] for path in item["Layers"]]
    assert len(set(ids)) == 3
    assert [members[path].typeflag for path in item["Layers"]] == [b"0", b"0", b"2"]
    assert members[item["Layers"][2]].linkname.decode() == f"../{ids[0]}/layer.tar"
    parents = [load(members, f"{one}/json").get("parent") for one in ids]
    assert parents == [None, ids[0], ids[1]]
    assert load(members, "repositories") == {
        "app": {"1": ids[2]},
        "localhost:5000/x/y": {"2": ids[2]},
    }
    assert list(members) == sorted(members)
    assert members[f"{ids[0]}/VERSION"].content == b"1.0"


def test_docker_archive_25_is_a_layout_too() -> None:
    members = contents("docker-archive-25", IMAGE)
    (item,) = load(members, "manifest.json")
    assert item["Layers"] == [f"blobs/sha256/{one[7:]}" for one in diff_ids(IMAGE)]
    assert list(item["LayerSources"]) == list(dict.fromkeys(diff_ids(IMAGE)))
    first, second = load(members, "index.json")["manifests"]
    assert first["digest"] == second["digest"]
    assert first["annotations"] == {
        "io.containerd.image.name": "docker.io/library/app:1",
        "org.opencontainers.image.ref.name": "1",
    }
    assert second["annotations"]["io.containerd.image.name"] == "localhost:5000/x/y:2"
    manifest = json.loads(blob(members, first))
    assert blob(members, manifest["config"]) == members[item["Config"]].content
    for one in manifest["layers"]:
        blob(members, one)
    assert {"oci-layout", "repositories", "blobs/", "blobs/sha256/"} <= set(members)


def test_docker_archive_v1_has_parents_and_no_manifest() -> None:
    members = contents("docker-archive-v1", IMAGE)
    assert "manifest.json" not in members
    top = load(members, "repositories")["app"]["1"]
    commands, one = [], top
    while one is not None:
        document = load(members, f"{one}/json")
        commands.append(document["container_config"]["Cmd"][0])
        assert members[f"{one}/layer.tar"].typeflag == b"0"
        one = document.get("parent")
    assert commands == ["ADD base again", "RUN rm", "ADD base"]
    assert load(members, f"{top}/json")["architecture"] == "amd64"


def test_containerd_save_mixes_compression_behind_manifest_json() -> None:
    members = contents("containerd-save", IMAGE)
    (item,) = load(members, "manifest.json")
    heads = [members[path].content[:4].hex() for path in item["Layers"]]
    assert heads == ["1f8b0800", b"etc/".hex(), "28b52ffd"]
    assert "repositories" not in members


def test_containerd_save_names_images_that_it_lacks() -> None:
    absent = ImageDescription([BASE], architecture="s390x", absent=True)
    members = contents("containerd-save", IndexDescription([IMAGE, absent], tags=["m:1"]))
    index = json.loads(blob(members, load(members, "index.json")["manifests"][0]))
    held, lacking = index["manifests"]
    blob(members, held)
    assert f"blobs/sha256/{lacking['digest'][7:]}" not in members
    assert lacking["platform"]["architecture"] == "s390x"
    assert len(load(members, "manifest.json")) == 1


def test_skopeo_docker_archive_has_layers_by_digest_and_links_to_them() -> None:
    members = contents("skopeo-docker-archive", IMAGE)
    (item,) = load(members, "manifest.json")
    assert item["Layers"] == [f"{one[7:]}.tar" for one in diff_ids(IMAGE)]
    links = [entry for entry in members.values() if entry.typeflag == b"2"]
    assert [link.linkname.decode() for link in links] == [f"../{name}" for name in item["Layers"]]
    assert not any(entry.typeflag == b"5" for entry in members.values())


def test_oci_layout_holds_what_its_descriptors_say() -> None:
    members = contents("oci-archive", IMAGE)
    assert load(members, "oci-layout") == {"imageLayoutVersion": "1.0.0"}
    for descriptor in load(members, "index.json")["manifests"]:
        manifest = json.loads(blob(members, descriptor))
        config = json.loads(blob(members, manifest["config"]))
        stored = [gzip.decompress(blob(members, one)) for one in manifest["layers"]]
        assert config["rootfs"]["diff_ids"] == [f"sha256:{sha256(one)}" for one in stored]
        assert manifest["layers"][0]["mediaType"].endswith(".v1.tar+gzip")


def test_an_index_has_platforms_and_attestations() -> None:
    members = contents("oci-archive", INDEX)
    index = json.loads(blob(members, load(members, "index.json")["manifests"][0]))
    amd64, arm64, attestation = index["manifests"]
    assert amd64["platform"] == {"architecture": "amd64", "os": "linux"}
    assert arm64["platform"] == {"architecture": "arm64", "os": "linux", "variant": "v8"}
    assert attestation["platform"] == {"architecture": "unknown", "os": "unknown"}
    assert attestation["annotations"]["vnd.docker.reference.digest"] == amd64["digest"]
    statement = json.loads(blob(members, attestation))["layers"][0]
    assert b"in-toto" in blob(members, statement)


def test_indexes_nest_and_hold_raw_descriptors() -> None:
    raw = RawDescriptor({"mediaType": "application/x.unknown"}, b"anything")
    missing = RawDescriptor({"mediaType": "a/b", "digest": "sha256:" + "0" * 64, "size": 1})
    inner = IndexDescription([raw, missing], schema="docker")
    members = contents("oci-layout", IndexDescription([inner], annotations={"k": "v"}))
    outer = json.loads(blob(members, load(members, "index.json")["manifests"][0]))
    assert outer["annotations"] == {"k": "v"}
    index = json.loads(blob(members, outer["manifests"][0]))
    assert outer["manifests"][0]["mediaType"].endswith("manifest.list.v2+json")
    assert blob(members, index["manifests"][0]) == b"anything"
    assert index["manifests"][1] == missing.document


def test_skopeo_dir_has_bare_digests_and_one_manifest() -> None:
    members = contents("skopeo-dir", IMAGE)
    manifest = load(members, "manifest.json")
    for one in [manifest["config"], *manifest["layers"]]:
        assert sha256(members[one["digest"][7:]].content) == one["digest"][7:]
    assert members["version"].content == b"Directory Transport Version: 1.1\n"
    whole = contents("skopeo-dir", INDEX)
    for one in load(whole, "manifest.json")["manifests"]:
        assert sha256(whole[f"{one['digest'][7:]}.manifest.json"].content) == one["digest"][7:]


def test_several_images_share_an_archive_and_its_layers() -> None:
    other = ImageDescription([BASE, [file("b")]], tags=["other:1"])
    for form, several in FORMS.items():
        if not several.several:
            with pytest.raises(ValueError, match="one image"):
                image_members(IMAGE, other, form=form)
            continue
        members = contents(form, IMAGE, other)
        if "manifest.json" in members:
            assert len(load(members, "manifest.json")) == 2
        names = [entry.path for entry in members.values()]
        assert len(names) == len(set(names))


def test_the_functions_are_the_forms() -> None:
    for form, function in {
        "docker-archive": docker_archive,
        "docker-archive-25": docker_archive_25,
        "docker-archive-v1": docker_archive_v1,
        "containerd-save": containerd_save,
        "skopeo-docker-archive": skopeo_docker_archive,
        "oci-archive": oci_archive,
    }.items():
        plain = layer(*image_members(IMAGE, form=form))
        assert function(IMAGE) == plain
        assert function(IMAGE, outer="xz") == compress(plain, "xz")
        assert function(IMAGE, codec="zstd") == layer(
            *image_members(IMAGE, form=form, codec="zstd")
        )


def test_directories_hold_the_same_as_archives(tmp_path: Path) -> None:
    found = oci_layout(tmp_path / "layout", IMAGE)
    for name, entry in contents("oci-archive", IMAGE).items():
        if entry.typeflag == b"0":
            assert (found / name).read_bytes() == entry.content
    assert (skopeo_dir(tmp_path / "dir", IMAGE) / "manifest.json").is_file()
    docker = write_image(tmp_path / "docker", IMAGE, form="docker-directory")
    assert isinstance(docker, Path)
    assert sum(path.is_symlink() for path in docker.rglob("layer.tar")) == 1
    assert all(path.read_bytes() for path in docker.rglob("layer.tar"))


def test_layer_tars_come_base_first(tmp_path: Path) -> None:
    paths = layer_tars(tmp_path, IMAGE, codec="gzip")
    assert [path.name for path in paths] == [f"layer-{number:03d}.tar.gz" for number in range(3)]
    assert [gzip.decompress(path.read_bytes()) for path in paths] == [
        one.data for one in IMAGE.layers
    ]


def test_every_form_is_written_and_always_the_same(
    image_builder: ImageBuilder, image_form: str
) -> None:
    first, second = (files(image_builder.write(IMAGE, form=image_form)) for _ in range(2))
    assert first == second
    assert first


def test_the_fixture_takes_layers(image_builder: ImageBuilder) -> None:
    path = image_builder([file("a", "1")], [whiteout("a")], outer="gzip")
    assert isinstance(path, Path)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(path.read_bytes()))) as archive:
        found = archive.extractfile("manifest.json")
        assert found is not None
        assert json.load(found)[0]["RepoTags"] == ["test:latest"]


def test_layers_are_described_in_three_ways() -> None:
    tar = layer(*BASE)
    image = ImageDescription([BASE, tar, LayerDescription(tar, codec="xz")])
    assert [one.data for one in image.layers] == [tar, tar, tar]
    members = contents("oci-archive", image)
    (descriptor,) = load(members, "index.json")["manifests"]
    types = [one["mediaType"] for one in json.loads(blob(members, descriptor))["layers"]]
    assert [kind.rpartition("+")[2] for kind in types] == ["gzip", "gzip", "xz"]


def test_claims_are_written_as_given() -> None:
    lying = LayerDescription(
        layer(*BASE),
        media_type="application/x.lie",
        digest="sha512:" + "1" * 128,
        size=7,
        diff_id="sha256:" + "2" * 64,
        annotations={"k": "v"},
        urls=["https://example.org/layer"],
        embed=True,
    )
    members = contents("oci-archive", ImageDescription([lying], config_size=3, labels={"a": "b"}))
    manifest = json.loads(blob(members, load(members, "index.json")["manifests"][0]))
    (descriptor,) = manifest["layers"]
    assert descriptor["mediaType"] == "application/x.lie"
    assert (descriptor["digest"], descriptor["size"]) == (lying.digest, 7)
    assert descriptor["urls"] == ["https://example.org/layer"]
    assert "data" in descriptor
    assert f"blobs/sha512/{'1' * 128}" in members
    assert manifest["config"]["size"] == 3


def test_a_foreign_layer_is_named_and_absent() -> None:
    image = ImageDescription([foreign_layer(b"tar", "https://example.org/l"), BASE], os="windows")
    for form in FORMS:
        members = contents(form, image)
        assert not any(entry.content == b"tar" for entry in members.values())
    members = contents("docker-archive-25", image)
    sources = load(members, "manifest.json")[0]["LayerSources"]
    assert "foreign" in sources[f"sha256:{sha256(b'tar')}"]["mediaType"]


def test_other_algorithms_name_the_blobs() -> None:
    members = contents("oci-archive", ImageDescription([BASE], algorithm="sha512"))
    assert "blobs/sha512/" in members
    blob(members, load(members, "index.json")["manifests"][0])


def test_a_text_is_not_taken_for_a_sequence() -> None:
    with pytest.raises(TypeError, match="lone text"):
        ImageDescription([BASE], tags="app:1")
    with pytest.raises(TypeError, match="sequence of entries"):
        ImageDescription([file("a")])  # type: ignore[list-item]


def test_a_directory_refuses_names_that_lead_out(tmp_path: Path) -> None:
    for name in ("../a", "/a", "a/../../b", "./a"):
        with pytest.raises(ValueError, match="cannot be written"):
            write_directory(tmp_path, (file(name),))


def test_a_directory_is_not_compressed_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="as a whole"):
        write_image(tmp_path / "a", IMAGE, form="oci-layout", outer="gzip")
    with pytest.raises(ValueError, match="form is one of"):
        write_image(tmp_path / "a", IMAGE, form="floppy")


SKOPEO = {
    "docker-archive": "docker-archive:{path}:app:1",
    "docker-archive-25": "docker-archive:{path}:app:1",
    "containerd-save": "docker-archive:{path}:app:1",
    "skopeo-docker-archive": "docker-archive:{path}:app:1",
    "oci-archive": "oci-archive:{path}:app:1",
    "oci-layout": "oci:{path}:app:1",
    "skopeo-dir": "dir:{path}",
}


@needs("skopeo")
@pytest.mark.parametrize(("form", "reference"), SKOPEO.items(), ids=SKOPEO)
def test_skopeo_reads(tmp_path: Path, form: str, reference: str) -> None:
    path = write_image(tmp_path / "image", IMAGE, form=form)
    # A copy reads every layer and checks every digest.
    source = reference.format(path=path)
    run("skopeo", "--insecure-policy", "copy", source, f"dir:{tmp_path / 'copy'}")
    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_bytes())
    config = json.loads((tmp_path / "copy" / manifest["config"]["digest"][7:]).read_bytes())
    assert config["rootfs"]["diff_ids"] == diff_ids(IMAGE)
    assert len(config["history"]) == 4


@needs("skopeo")
def test_skopeo_finds_a_platform_in_an_index(tmp_path: Path) -> None:
    path = write_image(tmp_path / "image", INDEX, form="oci-archive")
    shown = run(
        "skopeo", "--override-arch", "arm64", "--override-variant", "v8", "inspect",
        f"oci-archive:{path}:multi:1",
    )  # fmt: skip
    assert json.loads(shown)["Architecture"] == "arm64"


@needs("umoci")
def test_umoci_unpacks(tmp_path: Path) -> None:
    image = ImageDescription([BASE, [whiteout("etc/a"), file("b", "2")]], tags=["latest"])
    path = write_image(tmp_path / "image", image, form="oci-layout")
    run("umoci", "unpack", "--rootless", "--image", f"{path}:latest", tmp_path / "bundle")
    root = tmp_path / "bundle" / "rootfs"
    assert sorted(str(one.relative_to(root)) for one in root.rglob("*")) == ["b", "etc"]
