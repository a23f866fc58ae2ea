"""What documents may say: strict where the tree would change, elsewhere with findings."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

from unionlayers import (
    BlobNotFoundError,
    DigestMismatchError,
    DocumentError,
    ImageNotFoundError,
    UnionLayersError,
    UnsupportedError,
    list_images,
    open_image,
)
from unionlayers._image.document import parse_document
from unionlayers.testing import (
    Attestation,
    Damage,
    ImageDescription,
    IndexDescription,
    LayerDescription,
    RawDescriptor,
    docker_archive,
    docker_archive_25,
    docker_archive_v1,
    file,
    foreign_layer,
    image_members,
    layer,
    oci_archive,
    windows_layer,
)

OCI = "application/vnd.oci.image"
MANIFEST = f"{OCI}.manifest.v1+json"
INDEX = f"{OCI}.index.v1+json"
IMAGE = ImageDescription([[file("a", "1")], [file("b", "2")]], tags=["app:1"])


def opened(archive: bytes, **options: Any) -> Any:
    return open_image(io.BytesIO(archive), **options)


def listed(archive: bytes) -> Any:
    return list_images(io.BytesIO(archive))


def codes(archive: bytes, **options: Any) -> list[tuple[str, int]]:
    with opened(archive, **options) as image:
        assert image.fs().listdir("/") == ["a", "b"]
        return [(finding.code, finding.layer) for finding in image.findings]


# -- where --------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"7", b"null", b'"text"'])
def test_the_pointer_of_a_whole_document_is_empty_and_shown(content: bytes) -> None:
    """RFC 6901: ``/`` would be the member whose name is empty."""
    archive = docker_archive(IMAGE, damage=Damage(edits={"manifest.json": lambda _: content}))
    with pytest.raises(DocumentError) as caught:
        opened(archive)
    assert (caught.value.member, caught.value.pointer) == ("manifest.json", "")
    assert "pointer ''" in str(caught.value)


# -- forgiven, with a finding ----------------------------------------------------------------------


@pytest.mark.parametrize("make", [docker_archive, docker_archive_25, oci_archive])
@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda c: b"\xef\xbb\xbf" + json.dumps(c).encode(), "BYTE_ORDER_MARK"),
        (lambda c: json.dumps({**c, "author": "@"}).encode().replace(b"@", b"\xe9"), "NOT_UTF8"),
        (lambda c: json.dumps({**c, "x": 1}).encode()[:-1] + b',"x":2}', "DUPLICATE_KEY"),
        (lambda c: {**c, "history": 7}, "HISTORY_MALFORMED"),
        (lambda c: {**c, "history": [7, {"empty_layer": "yes"}]}, "HISTORY_MALFORMED"),
        (lambda c: {key: c[key] for key in c if key != "rootfs"}, "NO_DIFF_IDS"),
    ],
)
def test_what_changes_nothing_in_the_tree_is_read_over(make: Any, edit: Any, code: str) -> None:
    archive = make(IMAGE, damage=Damage(edits={"config": edit}))
    assert (code, -1) in codes(archive)


def test_keys_that_stand_twice_are_counted_where_they_are_too_many_to_tell() -> None:
    for count in (20, 21, 500):
        raw = b"[" + b",".join([b'{"k": 1, "k": 2}'] * count) + b"]"
        told = [message for _, message in parse_document(raw, "x.json").oddities]
        assert len(told) == min(count, 21)
        left = re.search(r"at (\d+) more", told[-1])
        assert (int(left[1]) if left else 0) == count - 20


def test_annotations_that_are_no_texts_are_no_names() -> None:
    def odd(index: Any) -> Any:
        names = {"org.opencontainers.image.ref.name": 7, "other": ["x"]}
        return {**index, "manifests": [{**index["manifests"][0], "annotations": names}]}

    archive = oci_archive(IMAGE, damage=Damage(edits={"index.json": odd}))
    assert listed(archive)[0].references == ()
    assert codes(archive) == []


def test_a_media_type_that_lies_about_the_manifest_is_a_finding() -> None:
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    damage = Damage(edits={"manifest": lambda m: {**m, "mediaType": docker}})
    assert ("MEDIA_TYPE_MISMATCH", -1) in codes(oci_archive(IMAGE, damage=damage))


# -- two things at once ----------------------------------------------------------------------------

CONFUSED: dict[str, tuple[str, Any, str]] = {
    "a manifest with manifests": ("manifest", lambda m: {**m, "manifests": []}, "/manifests"),
    "a manifest that says index": ("manifest", lambda m: {**m, "mediaType": INDEX}, "/mediaType"),
    "an index for a manifest": (
        "manifest", lambda _: {"schemaVersion": 2, "manifests": []}, "/manifests",
    ),
    "an index with layers": ("index.json", lambda i: {**i, "layers": []}, "/layers"),
    "an index with a config": ("index.json", lambda i: {**i, "config": {}}, "/config"),
    "an index that says manifest": (
        "index.json", lambda i: {**i, "mediaType": MANIFEST}, "/mediaType",
    ),
    "Layers for layers": (
        "manifest", lambda m: {("Layers" if k == "layers" else k): m[k] for k in m}, "/layers",
    ),
    "layers and LAYERS": ("manifest", lambda m: {**m, "LAYERS": []}, "/layers"),
    "rootfs and RootFS": ("config", lambda c: {**c, "RootFS": {}}, "/rootfs"),
    "DIFF_IDS for diff_ids": (
        "config", lambda c: {**c, "rootfs": {"type": "layers", "DIFF_IDS": []}}, "/rootfs/diff_ids",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFUSED)
def test_a_document_that_is_two_things_is_refused(name: str) -> None:
    role, edit, pointer = CONFUSED[name]
    archive = oci_archive(IMAGE, damage=Damage(edits={role: edit}))
    with pytest.raises(DocumentError) as caught:
        opened(archive)
    assert caught.value.pointer == pointer
    assert caught.value.member


@pytest.mark.parametrize("make", [docker_archive, oci_archive])
@pytest.mark.parametrize("count", [1, 3])
def test_config_and_manifest_that_count_different_layers(make: Any, count: int) -> None:
    def other(config: Any) -> Any:
        ids = (config["rootfs"]["diff_ids"] * 2)[:count]
        return {**config, "rootfs": {"type": "layers", "diff_ids": ids}}

    with pytest.raises(DocumentError, match="count different layers") as caught:
        opened(make(IMAGE, damage=Damage(edits={"config": other})))
    assert (caught.value.expected, caught.value.actual) == (count, 2)


@pytest.mark.parametrize("value", [b"null", b"[]", b"{}", b"7", b'""', b"[null]"])
def test_a_manifest_json_without_images_says_so(value: bytes) -> None:
    archive = docker_archive(IMAGE, damage=Damage(edits={"manifest.json": lambda _: value}))
    with pytest.raises(UnionLayersError) as caught:
        opened(archive)
    assert isinstance(caught.value, ImageNotFoundError if value == b"[]" else DocumentError)


# -- Docker's schema 1 -----------------------------------------------------------------------------

SCHEMA_1 = {
    "schemaVersion": 1,
    "name": "old",
    "fsLayers": [{"blobSum": "sha256:" + "0" * 64}],
    "history": [],
}


@pytest.mark.parametrize("typed", [True, False])
def test_schema_1_is_refused_with_what_to_do_and_the_others_open(typed: bool) -> None:
    media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws" if typed else MANIFEST
    old = RawDescriptor({"mediaType": media_type}, json.dumps(SCHEMA_1).encode())
    archive = oci_archive(IndexDescription([old, IMAGE]))
    good, bad = sorted(listed(archive), key=lambda item: item.present, reverse=True)
    assert (good.present, bad.present) == (True, False)
    assert isinstance(bad.error, UnsupportedError)
    with pytest.raises(UnsupportedError, match="schema 1") as caught:
        opened(archive, reference=bad.digest)
    assert "skopeo copy" in str(caught.value.hint)
    with opened(archive, reference=good.digest) as image:
        assert image.fs().listdir("/") == ["a", "b"]


def test_schema_1_in_a_dir_is_refused_too(tmp_path: Any) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(SCHEMA_1))
    with pytest.raises(UnsupportedError, match="schema 1"):
        open_image(tmp_path)


# -- what is stored like an image and is none ------------------------------------------------------


def artifact(config_type: str, *layer_types: str, **fields: Any) -> ImageDescription:
    layers = [
        LayerDescription(b"anything at all", codec="identity", media_type=one)
        for one in layer_types
    ]
    manifest = {"config_media_type": config_type, "raw_config": b"{}"}
    return ImageDescription(layers, **manifest, **fields)  # type: ignore[arg-type]


HELM = artifact(
    "application/vnd.cncf.helm.config.v1+json",
    "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
)
WASM = artifact("application/vnd.wasm.config.v0+json", "application/vnd.wasm.content.layer.v1+wasm")
COSIGN = artifact(
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.dev.cosign.simplesigning.v1+json",
)


@pytest.mark.parametrize("other", [HELM, WASM, COSIGN], ids=["helm", "wasm", "cosign"])
def test_an_artifact_is_listed_opens_by_its_digest_and_is_refused_when_read(
    other: ImageDescription,
) -> None:
    archive = oci_archive(IndexDescription([other, IMAGE]))
    (item,) = [one for one in listed(archive) if one.kind == "artifact"]
    assert item.present
    assert codes(archive) == []
    with opened(archive, reference=item.digest) as image:
        assert len(image.layers) == 1
        assert image.layers[0].size == len(b"anything at all")
        for _ in range(2):
            with pytest.raises(UnsupportedError, match="no tar") as caught:
                image.fs().listdir("/")
            assert caught.value.layer == 0
            assert caught.value.actual == other.layers[0].media_type


def test_a_signature_or_other_referrer_is_an_artifact() -> None:
    for field in ({"subject": {"digest": "sha256:" + "1" * 64}}, {"artifactType": "a/b"}):

        def add(manifest: Any, field: Any = field) -> Any:
            return {**manifest, **field}

        archive = oci_archive(IMAGE, damage=Damage(edits={"manifest": add}))
        assert [one.kind for one in listed(archive)] == ["artifact"]


def test_an_attestation_opens_by_its_digest_and_is_refused_when_read() -> None:
    archive = oci_archive(IndexDescription([IMAGE, Attestation(IMAGE)], tags=["app:1"]))
    (item,) = [one for one in listed(archive) if one.kind == "attestation"]
    assert (item.present, item.platform, item.references) == (True, "unknown/unknown", ())
    with opened(archive, reference="app:1") as image:
        assert image.digest != item.digest
    with opened(archive, reference=item.digest) as image, pytest.raises(UnsupportedError):
        image.fs().listdir("/")


def test_a_descriptor_of_an_unknown_type_is_listed_and_no_error() -> None:
    for blob in (b"whatever", None):
        digest = "sha256:" + "7" * 64
        document = {"mediaType": "application/x-unknown", "size": 8, "digest": digest}
        unknown = RawDescriptor(
            {k: document[k] for k in document if not blob or k != "digest"}, blob
        )
        archive = oci_archive(IndexDescription([unknown, IMAGE]))
        assert codes(archive) == []
        (item,) = [one for one in listed(archive) if one.kind == "artifact"]
        assert (item.present, item.error) == (blob is not None, None)
        with pytest.raises(UnsupportedError if blob else BlobNotFoundError):
            opened(archive, reference=item.digest)


@pytest.mark.parametrize("ending", ["tar+gzip+encrypted", "tar+encrypted", "tar.gzip+encrypted"])
def test_an_encrypted_layer_is_listed_and_refused_when_read(ending: str) -> None:
    secret = LayerDescription(
        layer(file("a")), stored=b"cipher text", media_type=f"{OCI}.layer.v1.{ending}"
    )
    archive = oci_archive(ImageDescription([secret, [file("b")]]))
    (item,) = listed(archive)
    assert (item.kind, item.present) == ("image", True)
    with opened(archive) as image:
        assert image.layers[1].fs().listdir("/") == ["b"]
        with pytest.raises(UnsupportedError, match="encrypted"):
            image.fs().listdir("/")


@pytest.mark.parametrize("media_type", ["application/x-mine", f"{OCI}.layer.v2.tar+gzip", ""])
def test_a_layer_of_an_unknown_type_is_read_if_it_is_a_tar(media_type: str) -> None:
    one = LayerDescription(layer(file("a"), file("b")), codec="gzip", media_type=media_type)
    codes(oci_archive(ImageDescription([one])))


# -- where the bytes are ---------------------------------------------------------------------------


def test_documents_and_layers_may_stand_in_their_descriptors() -> None:
    embedded = LayerDescription(layer(file("a")), embed=True, absent=True)
    archive = oci_archive(ImageDescription([embedded, [file("b")]]))
    assert listed(archive)[0].present
    assert codes(archive) == []


def test_embedded_bytes_are_checked_like_others() -> None:
    def forged(manifest: Any) -> Any:
        manifest["layers"][0]["data"] = "Zm9yZ2Vk"
        return manifest

    archive = oci_archive(IMAGE, damage=Damage(edits={"manifest": forged}, omit=["layer:0"]))
    with opened(archive) as image, pytest.raises(DigestMismatchError) as caught:
        image.fs().exists("/none")
    assert caught.value.layer == 0

    def broken(manifest: Any) -> Any:
        manifest["layers"][0]["data"] = "no base64!"
        return manifest

    archive = oci_archive(IMAGE, damage=Damage(edits={"manifest": broken}, omit=["layer:0"]))
    with pytest.raises(DocumentError) as refused:
        opened(archive)
    assert refused.value.pointer == "/layers/0/data"


@pytest.mark.parametrize("schema", ["docker", "oci"])
def test_a_foreign_layer_is_missing_and_says_where_it_can_be_had(schema: str) -> None:
    foreign = foreign_layer(layer(file("base")), "https://example.org/base", schema=schema)
    archive = oci_archive(ImageDescription([foreign, [file("top")]], schema=schema))
    (item,) = listed(archive)
    assert (item.present, len(item.missing)) == (False, 1)
    with opened(archive) as image, pytest.raises(BlobNotFoundError) as caught:
        image.fs().listdir("/")
    assert caught.value.candidates == ("https://example.org/base",)
    with opened(archive, missing="skip") as image:
        assert image.fs().listdir("/") == ["top"]
        (finding,) = image.findings
        assert (finding.code, finding.layer) == ("LAYER_MISSING", 0)
        assert "https://example.org/base" in finding.message


def test_a_layer_without_a_chain_of_parents_stands_for_all_that_is_lost() -> None:
    members = image_members(IMAGE, form="docker-archive-v1")
    base = next(one.path.decode() for one in members if one.path.endswith(b"/json"))
    base = next(
        one.path.decode()
        for one in members
        if one.path.endswith(b"/json") and b'"parent"' not in one.content
    )
    archive = docker_archive_v1(IMAGE, damage=Damage(omit=[base]))
    (item,) = listed(archive)
    assert item.missing == (base.partition("/")[0],)
    with opened(archive) as image:
        assert len(image.layers) == 2
        with pytest.raises(BlobNotFoundError) as caught:
            image.fs().listdir("/")
        assert (caught.value.layer, caught.value.member) == (0, base)
    with opened(archive, missing="skip") as image:
        assert image.fs().listdir("/") == ["b"]


# -- digests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["sha512", "sha384"])
def test_other_digests_are_checked(algorithm: str) -> None:
    image = ImageDescription([[file("a")]], algorithm=algorithm)
    archive = oci_archive(image)
    (item,) = listed(archive)
    assert item.present
    assert item.digest.startswith(f"{algorithm}:")
    forged = oci_archive(image, damage=Damage(replace={"config": b"{}"}))
    with pytest.raises(DigestMismatchError):
        opened(forged)


def test_a_digest_that_is_not_computed_here_is_listed_and_read_unchecked() -> None:
    tar = layer(file("a"), file("b"))
    odd = LayerDescription(tar, codec="identity", digest="blake3:" + "ab" * 32)
    archive = oci_archive(ImageDescription([odd]))
    assert listed(archive)[0].present
    with opened(archive) as image:
        for _ in range(2):
            with pytest.raises(UnsupportedError, match="blake3") as caught:
                image.fs().listdir("/")
        assert "verify=False" in str(caught.value.hint)
    assert codes(archive, verify=False) == []


def test_a_config_in_a_docker_archive_is_held_against_its_name() -> None:
    other = docker_archive(IMAGE, damage=Damage(replace={"config": b'{"os":"linux"}'}))
    with pytest.raises(DigestMismatchError) as caught:
        opened(other)
    assert str(caught.value.expected)[7:] in str(caught.value.member)


# -- Windows ---------------------------------------------------------------------------------------

FILES = windows_layer(file("app.txt", "hello"))
WINDOWS = IndexDescription(
    [
        ImageDescription([FILES], os="windows", os_version=version, tags=[])
        for version in ("10.0.17763.4010", "10.0.20348.1547")
    ],
    tags=["app:1"],
)


def test_windows_images_are_told_apart_by_their_version() -> None:
    archive = oci_archive(WINDOWS)
    assert [(one.platform, one.os_version) for one in listed(archive)] == [
        ("windows/amd64", "10.0.17763.4010"),
        ("windows/amd64", "10.0.20348.1547"),
    ]
    with pytest.raises(UnionLayersError) as caught:
        opened(archive, platform="windows/amd64")
    assert "windows(10.0.17763.4010)/amd64" in str(caught.value.hint)
    for asked in ("windows(10.0.20348)/amd64", "windows(10.0.20348.1547)/amd64"):
        with opened(archive, platform=asked) as image:
            assert image.config["os.version"] == "10.0.20348.1547"
            assert image.fs().readtext("/Files/app.txt") == "hello"
    for asked in ("windows(10.0.2034)/amd64", "windows(10.0.1)/amd64"):
        with pytest.raises(ImageNotFoundError):
            opened(archive, platform=asked)


# -- two layouts -----------------------------------------------------------------------------------


def test_an_unreadable_manifest_json_beside_an_index_is_a_finding() -> None:
    for edit in (lambda _: b"{", lambda _: b"[7]", lambda m: [{**m[0], "Config": 7}]):
        archive = docker_archive_25(IMAGE, damage=Damage(edits={"manifest.json": edit}))
        with opened(archive) as image:
            assert image.fs().listdir("/") == ["a", "b"]
            (finding,) = image.findings
            assert (finding.code, finding.case) == ("LAYOUTS_DISAGREE", "L3")
            assert "manifest.json" in finding.message


def test_layouts_that_name_other_layers_are_compared_and_the_index_counts() -> None:
    def swapped(items: Any) -> Any:
        return [{**items[0], "Layers": items[0]["Layers"][::-1]}]

    archive = docker_archive_25(IMAGE, damage=Damage(edits={"manifest.json": swapped}))
    with opened(archive) as image:
        assert image.fs().listdir("/") == ["a", "b"]
        assert [one.code for one in image.findings] == ["LAYOUTS_DISAGREE"]


def test_a_layer_that_manifest_json_has_elsewhere_is_told() -> None:
    def elsewhere(items: Any) -> Any:
        return [{**items[0], "Layers": ["repositories", *items[0]["Layers"][1:]]}]

    archive = docker_archive_25(IMAGE, damage=Damage(edits={"manifest.json": elsewhere}))
    with opened(archive) as image:
        assert image.fs().listdir("/") == ["a", "b"]
        assert [one.code for one in image.findings] == ["LAYOUTS_DISAGREE"]


def test_an_image_that_only_manifest_json_has_is_listed_with_a_finding() -> None:
    other = ImageDescription([[file("c")]], tags=["other:1"])

    def first(index: Any) -> Any:
        return {**index, "manifests": index["manifests"][:1]}

    archive = docker_archive_25(IMAGE, other, damage=Damage(edits={"index.json": first}))
    assert len(listed(archive)) == 2
    with opened(archive, reference="other:1") as image:
        assert image.fs().listdir("/") == ["c"]
        assert [one.code for one in image.findings] == ["LAYOUTS_DISAGREE"]
