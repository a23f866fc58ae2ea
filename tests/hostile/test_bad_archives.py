"""Archives of every form, cut, emptied, mixed, with members that are missing or stand twice."""

from __future__ import annotations

import io
import json
import pickle
import random
import re
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from json_damage import TREE, described, judge, outcome, source_of

from unionlayers import (
    AmbiguousImageError,
    BlobNotFoundError,
    DigestMismatchError,
    DocumentError,
    LimitError,
    Limits,
    UnionLayersError,
    list_images,
    open_image,
)
from unionlayers.testing import (
    CODECS,
    FORMS,
    Damage,
    ImageDescription,
    IndexDescription,
    RawDescriptor,
    compress,
    docker_archive,
    docker_archive_25,
    file,
    image_members,
    layer,
    oci_archive,
    write_directory,
)
from unionlayers.testing.entry import Entry

LAYOUTS = [name for name, form in FORMS.items() if form.kind != "layers"]
ARCHIVES = [name for name in LAYOUTS if FORMS[name].kind == "archive"]
OTHER = ImageDescription([[file("c", "3")]], tags=["example.org/other:1"])
OTHER_TREE = {"/c": b"3"}


def members_of(form: str) -> tuple[Entry, ...]:
    return image_members(described(form), form=form)


def files_of(form: str) -> list[int]:
    return [place for place, one in enumerate(members_of(form)) if one.typeflag == b"0"]


# -- cut and emptied -------------------------------------------------------------------------------


@pytest.mark.parametrize("outer", ["identity", "gzip", "zstd"])
@pytest.mark.parametrize("form", ARCHIVES)
def test_an_archive_cut_anywhere(form: str, outer: str, seed: int, sample_size: int) -> None:
    members = members_of(form)
    whole = compress(layer(*members), outer)
    dice = random.Random(f"{seed} {form} {outer}")
    cuts = {1, 511, 512, len(whole) - 1, *(dice.randrange(1, len(whole)) for _ in range(15))}
    if outer == "identity":
        cuts |= {dice.randrange(1, len(whole) // 512) * 512 for _ in range(15)}
    if sample_size > 1000:
        cuts |= set(range(1, len(whole), 97))
    faults = []
    for cut in sorted(cuts):
        result = outcome(io.BytesIO(whole[:cut]))
        fault = judge(result, members)
        if fault is not None:
            faults.append(f"cut at {cut}: {fault}")
    assert not faults, "\n".join(faults)


def test_a_list_of_layers_cut_anywhere(tmp_path: Path) -> None:
    for codec in CODECS:
        whole = compress(layer(file("a", bytes(2000)), file("b", "2")), codec)
        for cut in (0, 1, len(whole) // 2, len(whole) - 3):
            path = tmp_path / f"{codec}-{cut}"
            path.write_bytes(whole[:cut])
            result = outcome([path])
            if result.error is None:
                # A tar without its end is read, as all runtimes do; an empty file is no entry.
                assert result.tree in ({}, {"/a": bytes(2000), "/b": b"2"})
            else:
                assert isinstance(result.error, UnionLayersError), (codec, cut)
                assert result.error.layer == 0


@pytest.mark.parametrize("form", LAYOUTS)
def test_a_member_that_is_empty_or_cut(form: str, tmp_path: Path) -> None:
    members = members_of(form)
    faults = []
    for place in files_of(form):
        for content in (b"", members[place].content[: len(members[place].content) // 2]):
            damaged = list(members)
            damaged[place] = evolve(members[place], content=content)
            folder = tmp_path / f"{place}-{len(content)}"
            result = outcome(source_of(form, tuple(damaged), folder))
            fault = judge(result, members, partial=form.endswith("v1"))
            if fault is not None:
                faults.append(f"{members[place].path!r} of {len(content)} bytes: {fault}")
    assert not faults, "\n".join(faults)


# -- missing and repeated --------------------------------------------------------------------------


@pytest.mark.parametrize("form", LAYOUTS)
def test_a_member_that_is_missing(form: str, tmp_path: Path) -> None:
    members = members_of(form)
    faults = []
    for place in files_of(form):
        left = (*members[:place], *members[place + 1 :])
        result = outcome(source_of(form, left, tmp_path / str(place)))
        name = members[place].path.decode()
        fault = judge(result, members)
        if fault is not None:
            faults.append(f"without {name}: {fault}")
        if isinstance(result.error, BlobNotFoundError):
            bare = name.rpartition("/")[2].partition(".")[0]
            told = f"{result.error.expected} {result.error.member}"
            if bare not in told and name not in told:
                faults.append(f"without {name}: not named by {result.error}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("form", ARCHIVES)
def test_of_a_member_that_stands_twice_the_last_counts_and_a_finding_says_so(form: str) -> None:
    members = members_of(form)
    found = 0
    for place in files_of(form):
        wrong = evolve(members[place], content=b"wrong")
        result = outcome(io.BytesIO(layer(wrong, *members)))
        assert (result.tree, result.error) == (TREE, None)
        with open_image(io.BytesIO(layer(wrong, *members))) as image:
            codes = [one for one in image.findings if one.code == "DUPLICATE_MEMBER"]
        found += len(codes)
        if codes:
            assert members[place].path.decode() in codes[0].message
            assert codes[0].case == "L12"
        fault = judge(outcome(io.BytesIO(layer(*members, wrong))), members)
        assert fault is None, members[place].path
    assert found >= (1 if form.endswith("v1") else 4)


# -- mixed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), list(permutations(ARCHIVES, 2)))
def test_two_archives_in_one_are_two_images_or_an_error(first: str, second: str) -> None:
    both = (*members_of(first), *image_members(OTHER, form=second))
    archive = layer(*both)
    names = {one.references for one in list_images(io.BytesIO(archive)) if one.kind == "image"}
    assert names
    result = outcome(io.BytesIO(archive))
    if isinstance(result.error, AmbiguousImageError):
        assert len(result.error.candidates) >= 2
        assert "reference=" in str(result.error.hint)
    elif result.error is not None:
        assert isinstance(result.error, UnionLayersError)
        assert result.error.member
    else:
        assert result.tree in (TREE, OTHER_TREE)
    for reference, tree in (("example.org/app:1", TREE), ("example.org/other:1", OTHER_TREE)):
        chosen = outcome(io.BytesIO(archive), reference=reference)
        if chosen.error is None:
            assert chosen.tree == tree
        else:
            assert isinstance(chosen.error, UnionLayersError)


# -- names that clash ------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [docker_archive, docker_archive_25, oci_archive])
def test_one_tag_on_two_images_is_ambiguous_and_each_opens_by_its_digest(make: Any) -> None:
    images = [ImageDescription([[file(name)]], tags=["app:1"]) for name in ("one", "two")]
    archive = make(*images)
    with pytest.raises(AmbiguousImageError) as caught:
        open_image(io.BytesIO(archive), reference="app:1")
    assert len(set(caught.value.candidates)) == 2
    items = list_images(io.BytesIO(archive))
    shown = []
    for item in items:
        with open_image(io.BytesIO(archive), reference=item.digest or item.id) as image:
            shown += image.fs().listdir("/")
    assert sorted(shown) == ["one", "two"]


@pytest.mark.parametrize("make", [docker_archive, docker_archive_25, oci_archive])
def test_two_tags_on_one_image_are_one_item(make: Any) -> None:
    archive = make(ImageDescription([[file("a")]], tags=["app:1", "other:2"]))
    (item,) = list_images(io.BytesIO(archive))
    assert {"app:1", "other:2"} <= set(item.references)
    with open_image(io.BytesIO(archive)) as image:
        assert image.findings == ()


def test_two_items_of_manifest_json_with_one_config_are_one_image() -> None:
    def doubled(items: Any) -> Any:
        return [*items, {**items[0], "RepoTags": ["again:1"]}, {**items[0], "RepoTags": None}]

    archive = docker_archive(
        ImageDescription([[file("a")]], tags=["app:1"]),
        damage=Damage(edits={"manifest.json": doubled}),
    )
    (item,) = list_images(io.BytesIO(archive))
    assert item.references == ("app:1", "again:1")


# -- digests that are paths ------------------------------------------------------------------------

PATHS = [
    "sha256:../../../../etc/passwd",
    "sha256:" + "A" * 64,
    "sha256:" + "0" * 63 + "/",
    "sha256/" + "0" * 64,
    "../../etc/passwd",
    "sha256:" + "0" * 64 + "\n",
    "SHA256:" + "0" * 64,
    "sha256:",
    ":" + "0" * 64,
]


@pytest.mark.parametrize("digest", PATHS)
@pytest.mark.parametrize("where", ["manifest", "config", "layer", "diff_id"])
def test_a_digest_that_is_none_is_refused_before_it_names_a_file(
    where: str, digest: str, tmp_path: Path
) -> None:
    def index(document: Any) -> Any:
        document["manifests"][0]["digest"] = digest
        return document

    def config(document: Any) -> Any:
        document["config"]["digest"] = digest
        return document

    def one_layer(document: Any) -> Any:
        document["layers"][0]["digest"] = digest
        return document

    def diff_id(document: Any) -> Any:
        document["rootfs"]["diff_ids"][0] = digest
        return document

    role, edit, pointer = {
        "manifest": ("index.json", index, "/manifests/0/digest"),
        "config": ("manifest", config, "/config/digest"),
        "layer": ("manifest", one_layer, "/layers/0/digest"),
        "diff_id": ("config", diff_id, "/rootfs/diff_ids/0"),
    }[where]
    image = ImageDescription([[file("a")]])
    members = image_members(image, form="oci-layout", damage=Damage(edits={role: edit}))
    folder = write_directory(tmp_path / "layout", members)
    with pytest.raises(DocumentError) as caught:
        open_image(folder)
    assert caught.value.pointer == pointer
    assert caught.value.actual == digest


# -- how much --------------------------------------------------------------------------------------


def many(role: str, edit: Any) -> bytes:
    make = docker_archive if role in ("manifest.json", "config") else oci_archive
    return make(ImageDescription([[file("a")]]), damage=Damage(edits={role: edit}))


MILLION = 1_000_000
TOO_MANY: dict[str, tuple[str, str, Any]] = {
    "manifests in index.json": (
        "images", "index.json",
        lambda _: b'{"schemaVersion":2,"manifests":[' + b"{}," * MILLION + b"{}]}",
    ),
    "images in manifest.json": (
        "images", "manifest.json", lambda _: b"[" + b"{}," * MILLION + b"{}]",
    ),
    "layers in a manifest": (
        "layers", "manifest",
        lambda _: b'{"schemaVersion":2,"config":{},"layers":[' + b"{}," * MILLION + b"{}]}",
    ),
    "layers in manifest.json": (
        "layers", "manifest.json",
        lambda _: b'[{"Config":"x","Layers":[' + b'"",' * MILLION + b'""]}]',
    ),
    "bytes of a document": ("document_bytes", "index.json", lambda _: b" " * (21 << 20) + b"{}"),
    "bytes of a config": ("document_bytes", "config", lambda _: b" " * (21 << 20) + b"{}"),
}  # fmt: skip


PLACES = {
    "manifests in index.json": "/manifests",
    "images in manifest.json": "",
    "layers in a manifest": "/layers",
    "layers in manifest.json": "/0/Layers",
}


@pytest.mark.parametrize("name", TOO_MANY)
def test_too_many_of_something_names_the_limit(name: str) -> None:
    limit, role, edit = TOO_MANY[name]
    archive = many(role, edit)
    with pytest.raises(LimitError) as caught:
        open_image(io.BytesIO(archive))
    error = caught.value
    assert error.limit == limit
    assert f"the limit {limit} is reached" in str(error)
    assert f"Limits({limit}=" in str(error)
    # The document, and the place in it; the blobs of an OCI layout have digests for names.
    member = error.member or ""
    assert member == role or (role in ("manifest", "config") and re.search("[0-9a-f]{64}", member))
    assert error.pointer == PLACES.get(name)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.limit, copy.member, str(copy)) == (limit, error.member, str(error))


def test_a_document_that_is_nested_too_deeply_says_where() -> None:
    deep = b'{"a":"[[[","b":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    archive = many("index.json", lambda _: deep)
    with pytest.raises(DocumentError, match="nested too deeply") as caught:
        open_image(io.BytesIO(archive))
    assert (caught.value.member, caught.value.offset) == ("index.json", 15 + 99_999)


@pytest.mark.timeout(60)  # a way that grows with the square takes days for these
@pytest.mark.parametrize("text", [b'"' + b'\\"' * 1_000_000, b'"' + b'\\"' * 1_000_000 + b"\\"])
@pytest.mark.parametrize("role", ["index.json", "manifest", "config"])
def test_a_text_that_never_ends_in_a_document_that_is_nested_too_deeply_is_read_once(
    role: str, text: bytes
) -> None:
    archive = many(role, lambda _: b"[" * 20_000 + text)
    with pytest.raises(DocumentError, match="nested too deeply") as caught:
        open_image(io.BytesIO(archive))
    assert caught.value.offset == 19_999


def test_all_documents_together_are_bounded() -> None:
    images = [ImageDescription([[file(f"f{n}")]], labels={"x": "y" * 5000}) for n in range(20)]
    archive = oci_archive(*images)
    assert len(list_images(io.BytesIO(archive), limits=Limits(metadata_bytes=200_000))) == 20
    with pytest.raises(LimitError) as caught:
        list_images(io.BytesIO(archive), limits=Limits(metadata_bytes=100_000))
    assert caught.value.limit == "metadata_bytes"


def nested(depth: int) -> IndexDescription:
    inner = IndexDescription([ImageDescription([[file("a")]])])
    for _ in range(depth - 1):
        inner = IndexDescription([inner])
    return inner


def test_indexes_nest_as_deep_as_the_limit_and_no_deeper() -> None:
    with open_image(io.BytesIO(oci_archive(nested(8)))) as image:
        assert image.fs().listdir("/") == ["a"]
    with pytest.raises(LimitError) as caught:
        open_image(io.BytesIO(oci_archive(nested(9))))
    assert caught.value.limit == "nesting"
    assert (caught.value.member or "").startswith("blobs/sha256/")
    assert caught.value.pointer == "/manifests/0"
    (item,) = list_images(io.BytesIO(oci_archive(nested(9))))
    assert (item.kind, item.present) == ("index", False)
    assert isinstance(item.error, LimitError)


def test_an_index_that_is_too_deep_leaves_the_images_beside_it() -> None:
    good = ImageDescription([[file("good")]], tags=["good:1"])
    with open_image(io.BytesIO(oci_archive(nested(9), good)), reference="good:1") as image:
        assert image.fs().listdir("/") == ["good"]


def test_an_index_that_contains_itself_is_an_error_of_that_index() -> None:
    media_type = "application/vnd.oci.image.index.v1+json"
    digest = "sha256:" + "5" * 64
    inner = {"schemaVersion": 2, "manifests": [{"mediaType": media_type, "digest": digest}]}
    own = RawDescriptor(
        {"mediaType": media_type, "digest": digest, "size": len(json.dumps(inner))},
        json.dumps(inner).encode(),
    )
    index = IndexDescription([own, ImageDescription([[file("a")]], tags=["app:1"])])
    archive = oci_archive(index)
    with open_image(io.BytesIO(archive), reference=None, platform="linux/amd64") as image:
        assert image.fs().listdir("/") == ["a"]
    with pytest.raises(DigestMismatchError):
        open_image(io.BytesIO(archive), reference=digest)
    with pytest.raises(DocumentError, match="contains itself"):
        open_image(io.BytesIO(archive), reference=digest, verify=False)


def test_indexes_that_share_an_index_are_counted_and_not_followed_without_end() -> None:
    inner = IndexDescription([ImageDescription([[file("a")]])])
    for _ in range(7):
        inner = IndexDescription([inner, inner, inner])
    with pytest.raises(LimitError) as caught:
        open_image(io.BytesIO(oci_archive(inner)), limits=Limits(images=1000))
    assert caught.value.limit == "images"
