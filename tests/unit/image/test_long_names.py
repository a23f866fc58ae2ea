"""A name that is longer than any reference is told of and is none; its image opens all the same."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_stores import make_containers_root, make_docker_root

from unionlayers import DocumentError, ImageNotFoundError, list_images, open_image
from unionlayers._image import layer_chain
from unionlayers._image.document import parse_document
from unionlayers._image.image_names import LONGEST_NAME
from unionlayers.testing import (
    Damage,
    ImageDescription,
    docker_archive,
    docker_archive_v1,
    file,
    oci_archive,
)

FITS = "r/" + "n" * (LONGEST_NAME - 4) + ":1"
LONGER = "r/" + "n" * (LONGEST_NAME - 3) + ":1"


def docker(*names: str) -> bytes:
    return docker_archive(ImageDescription([[file("a")]], tags=names))


def first_format(*names: str) -> bytes:
    tags: dict[str, dict[str, str]] = {}

    def edit(document: Any) -> Any:
        (ident,) = {tag for known in document.values() for tag in known.values()}
        for name in names:
            repository, _, tag = name.rpartition(":")
            tags.setdefault(repository, {})[tag] = ident
        return tags

    one = ImageDescription([[file("a")]], tags=["x:1"])
    return docker_archive_v1(one, damage=Damage(edits={"repositories": edit}))


def oci(*names: str) -> bytes:
    def edit(index: Any) -> Any:
        (one,) = index["manifests"]
        key = "org.opencontainers.image.ref.name"
        return {**index, "manifests": [{**one, "annotations": {key: name}} for name in names]}

    damage = Damage(edits={"index.json": edit})
    return oci_archive(ImageDescription([[file("a")]]), damage=damage)


@pytest.mark.parametrize("make", [docker, first_format, oci])
def test_a_name_as_long_as_a_reference_can_be_is_one(make: Callable[..., bytes]) -> None:
    assert len(FITS) == 782
    with open_image(io.BytesIO(make(FITS)), reference=FITS) as image:
        assert image.references == (FITS,)
        assert "NAME_TOO_LONG" not in {item.code for item in image.findings}


@pytest.mark.parametrize("make", [docker, first_format, oci])
def test_a_reference_on_a_host_with_a_long_name_is_one(make: Callable[..., bytes]) -> None:
    host = ".".join(["h" * 61] * 4) + ":65535"
    name = f"{host}/{'p' * 255}:{'t' * 128}"
    with open_image(io.BytesIO(make(name)), reference=name) as image:
        assert image.references == (name,)


@pytest.mark.parametrize("make", [docker, first_format, oci])
@pytest.mark.parametrize("others", [(), ("r:2",)])
def test_a_longer_name_is_a_finding_and_no_reference(
    make: Callable[..., bytes], others: tuple[str, ...]
) -> None:
    archive = make(*others, LONGER)
    with open_image(io.BytesIO(archive)) as image:
        assert image.references == others
        (told,) = (item for item in image.findings if item.code == "NAME_TOO_LONG")
        assert image.fs().exists("/a")
    assert "'r/nnn" in told.message
    assert len(told.message) < 300
    with pytest.raises(ImageNotFoundError):
        open_image(io.BytesIO(archive), reference=LONGER)


@pytest.mark.skipif(not hasattr(os, "listxattr"), reason="on-disk stores need Linux")
@pytest.mark.parametrize("kind", ["docker", "storage"])
def test_longer_names_in_stores_are_findings_too(kind: str, tmp_path: Path) -> None:
    made = make_docker_root(tmp_path) if kind == "docker" else make_containers_root(tmp_path)
    if kind == "docker":
        listed = made.root / "image/overlay2/repositories.json"
        names: Any = {"Repositories": {"r": {LONGER: made.id, "r:1": made.id}}}
        box = made.root / "containers" / made.container / "config.v2.json"
        box.write_text(json.dumps({**json.loads(box.read_text()), "Name": f"/{LONGER}"}))
    else:
        listed = made.root / "overlay-images/images.json"
        names = [{**one, "names": [LONGER, "r:1"]} for one in json.loads(listed.read_text())]
        box = made.root / "overlay-containers/containers.json"
        boxes = [{**one, "names": [LONGER]} for one in json.loads(box.read_text())]
        box.write_text(json.dumps(boxes))
    listed.write_text(json.dumps(names))
    assert {item.references for item in list_images(made.root)} == {("r:1",), (made.container,)}
    for reference in ("r:1", made.container):
        with open_image(made.root, reference=reference) as image:
            codes = [item.code for item in image.record.findings]
        assert codes.count("NAME_TOO_LONG") == 1


@pytest.mark.skipif(not hasattr(os, "listxattr"), reason="on-disk stores need Linux")
@pytest.mark.parametrize("most", [0, 1000])
def test_names_that_are_too_many_to_compare_are_told_of(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_chain, "_MOST_DIGESTS", most)
    made = make_containers_root(tmp_path)
    (made.root / "overlay-images/images.json").write_text("[]")
    listed = made.root / "overlay-layers/layers.json"
    layers = json.loads(listed.read_text())
    layers[0]["diff-digest"] = "sha256:" + "7" * 64  # its name is then made of nothing there is
    listed.write_text(json.dumps(layers))
    with open_image(made.root, reference="box") as image:
        told = [item for item in image.record.findings if "too many" in item.message]
    assert len(told) == (most == 0)


def test_of_a_very_long_key_a_pointer_has_the_beginning() -> None:
    document = parse_document(json.dumps({"k" * 5000: {"a/b": 7}}).encode(), "x.json")
    with pytest.raises(DocumentError) as caught:
        document.at("k" * 5000).at("a/b").digest()
    assert caught.value.pointer == "/" + "k" * 1000 + "…/a~1b"
