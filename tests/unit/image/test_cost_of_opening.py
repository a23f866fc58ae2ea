"""What is named often is read once, and what many images have in common is told of once."""

from __future__ import annotations

import io
import json
import tarfile
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from counted_bytes import bytes_of

from unionlayers import DocumentError, LimitError, Limits, list_images, open_image
from unionlayers._image.document import Document, parse_document
from unionlayers._image.joined_images import merge_layouts
from unionlayers._image.record import ImageRecord, LayerRecord
from unionlayers.testing import (
    Damage,
    ImageDescription,
    docker_archive,
    docker_archive_v1,
    file,
    layer,
    oci_archive,
)

LAYERS = [[file(f"f{number}")] for number in range(30)]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the sizes of the documents that are parsed from now on."""
    sizes: list[int] = []
    real: Callable[..., Any] = json.loads

    def counting(text: str, **options: Any) -> Any:
        sizes.append(len(text))
        return real(text, **options)

    monkeypatch.setattr(json, "loads", counting)
    return sizes


def test_one_manifest_under_many_descriptors_is_read_once(parsed: list[int]) -> None:
    def many(index: Any) -> Any:
        (one,) = index["manifests"]
        index["manifests"] = [
            {
                **one,
                "platform": {"os": "linux", "architecture": f"a{number}"},
                "annotations": {"org.opencontainers.image.ref.name": f"t{number}"},
            }
            for number in range(400)
        ]
        return index

    archive = oci_archive(ImageDescription(LAYERS), damage=Damage(edits={"index.json": many}))
    parsed.clear()
    (item,) = list_images(io.BytesIO(archive))
    assert len(parsed) <= 4  # oci-layout, index.json, the manifest and the config
    assert len(item.references) == len(item.platforms) == 400
    with open_image(io.BytesIO(archive), platform="linux/a399", reference="t7") as image:
        assert image.platform == "linux/a399"


def test_a_config_that_many_manifests_share_is_read_once(parsed: list[int]) -> None:
    archive = oci_archive(*(ImageDescription(LAYERS, tags=[f"t:{n}"]) for n in range(3)))
    parsed.clear()
    assert len(list_images(io.BytesIO(archive))) == 1
    before = len(parsed)

    images = [ImageDescription(LAYERS, annotations={"number": str(n)}) for n in range(40)]
    archive = oci_archive(*images)
    parsed.clear()
    assert len(list_images(io.BytesIO(archive))) == 40
    assert len(parsed) == before + 39


def test_a_config_that_many_items_share_is_read_once(parsed: list[int]) -> None:
    def many(manifest: Any) -> Any:
        return [{**manifest[0], "RepoTags": [f"t:{number}"]} for number in range(400)]

    damage = Damage(edits={"manifest.json": many})
    archive = docker_archive(ImageDescription(LAYERS), damage=damage)
    parsed.clear()
    (item,) = list_images(io.BytesIO(archive))
    assert len(item.references) == 400
    assert len(parsed) <= 3


def test_a_layer_that_many_images_of_the_first_format_have_is_read_once(parsed: list[int]) -> None:
    images = [ImageDescription(LAYERS[: n + 1], tags=[f"t:{n}"]) for n in range(30)]
    archive = docker_archive_v1(*images)
    parsed.clear()
    items = list_images(io.BytesIO(archive))
    assert len(items) == 30
    names = {name for name in names_in(archive) if name.endswith("/json")}
    assert len(parsed) == len(names) + 1


def names_in(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return opened.getnames()


@pytest.mark.parametrize("make", [docker_archive, oci_archive, docker_archive_v1])
def test_layers_of_all_images_together_are_bounded(make: Any) -> None:
    images = [ImageDescription([[file(f"{n}")], [file("b")]], tags=[f"t:{n}"]) for n in range(5)]
    archive = make(*images)
    assert len(list_images(io.BytesIO(archive), limits=Limits(archive_layers=10))) == 5
    with pytest.raises(LimitError) as caught:
        list_images(io.BytesIO(archive), limits=Limits(archive_layers=9))
    error = caught.value
    assert (error.limit, error.expected, error.actual) == ("archive_layers", 9, 10)
    assert error.member in ("index.json", "manifest.json", "repositories")


@pytest.mark.parametrize("make", [docker_archive, oci_archive])
def test_members_that_stand_twice_are_one_finding(make: Any) -> None:
    archive = make(ImageDescription(LAYERS, tags=["a:1"]))
    with open_image(io.BytesIO(archive)) as image:
        members = [str(one.member) for one in image.record.layers]
    again = Damage(after=[file(name, layer(file("x"))) for name in members])
    archive = make(ImageDescription(LAYERS, tags=["a:1"]), damage=again)
    with open_image(io.BytesIO(archive)) as image:
        told = [item for item in image.record.findings if item.code == "DUPLICATE_MEMBER"]
    assert len(told) == 1
    assert members[0] in told[0].message
    assert "29 more" in told[0].message


class Name(str):
    """A name that counts how often it is looked up."""

    __slots__ = ()
    looked = 0

    def __hash__(self) -> int:
        Name.looked += 1
        return super().__hash__()


def test_what_one_image_is_called_is_gathered_once() -> None:
    one = ImageRecord(layout="docker", id="sha256:" + "0" * 64)
    records = [evolve(one, references=(Name(f"t:{number}"),)) for number in range(2000)]
    Name.looked = 0
    (joined,) = merge_layouts([], records, "docker")
    assert len(joined.references) == 2000
    assert Name.looked <= 3 * len(records)


def test_items_of_one_config_are_merged_with_its_image_once() -> None:
    one = ImageRecord(layout="docker", id="sha256:" + "0" * 64)
    index = evolve(one, layout="oci", digest="sha256:" + "1" * 64)
    records = [
        evolve(
            one,
            references=tuple(Name(f"t{item}:{number}") for number in range(20)),
            layers=(LayerRecord(member=f"{item}.tar"),),
        )
        for item in range(100)
    ]
    Name.looked = 0
    (merged,) = merge_layouts([index], records, "oci")
    assert len(merged.references) == 2000
    assert Name.looked <= 3 * 2000


def test_an_item_is_compared_with_an_image_by_no_more_layers_than_it_has() -> None:
    one = ImageRecord(layout="docker", id="sha256:" + "0" * 64)
    index = evolve(one, layout="oci", layers=tuple(LayerRecord(member=None) for _ in range(5000)))
    items = [evolve(one, layers=(LayerRecord(member=f"{number}"),)) for number in range(200)]
    taken, _ = bytes_of(lambda: merge_layouts([index], items, "oci"))
    # A reference to each layer for each item would be 8 MB.
    assert taken < 4 << 20


def test_items_that_cannot_be_read_are_told_of_in_one_finding() -> None:
    one = ImageRecord(layout="oci", id="sha256:" + "0" * 64)
    broken = ImageRecord(layout="docker", error=DocumentError("it is broken", member="x"))
    (merged,) = merge_layouts([one], [broken] * 500, "oci")
    assert [finding.code for finding in merged.findings] == ["LAYOUTS_DISAGREE"]
    assert "nor 499 more" in merged.findings[0].message


class Key(Name):
    """A key that counts how often it is looked at without regard to case."""

    __slots__ = ()
    folded = 0

    def casefold(self) -> str:
        Key.folded += 1
        return super().casefold()


def test_the_keys_of_a_large_object_are_folded_once() -> None:
    document = Document({Key(f"k{number}"): 1 for number in range(1000)}, "x.json")
    for _ in range(100):
        assert document.at("absent").value is None
    assert Key.folded == 1000
    with pytest.raises(DocumentError, match="only some readers"):
        document.at("K7")


def test_repeated_keys_are_looked_up_by_what_they_are() -> None:
    raw = json.dumps({f"k{number}": 1 for number in range(100)})[:-1]
    raw += "".join(f', "K{number}": 2' for number in range(100)) + ', "here": 3}'
    document = parse_document(raw.encode(), "x.json")
    assert document.at("here").value == 3
    with pytest.raises(DocumentError, match="a key stands twice"):
        document.at("k7")


def test_places_of_repeated_keys_cost_no_more_than_the_document() -> None:
    inner = b'{"k": 1, "K": 2}'
    for _ in range(100):
        inner = b'{"z": 1, "' + b"q" * 10_000 + b'": ' + inner + b"}"
    many = b"[" + b",".join([inner] + [b'{"k": 1, "K": 2}'] * 20_000) + b"]"
    for raw in (inner, many):
        tracemalloc.start()
        try:
            document = parse_document(raw, "x.json")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 40 * len(raw)
        assert 1 <= len(document.oddities) <= 21
        assert max(len(message) for _, message in document.oddities) < 2000
