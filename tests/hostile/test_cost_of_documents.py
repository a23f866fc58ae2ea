"""
Opening costs as much again for documents as long again, whatever of them is long.

Each shape has two parts of one document, or a document and the members beside it, whose product
something could cost: a long name and what it is the name of, say.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from counted_bytes import bytes_of
from counted_calls import calls_of

from unionlayers import Image, Limits, UnionLayersError, list_images, open_image
from unionlayers._image import layer_chain
from unionlayers.testing import Entry, file, layer, symlink

Source = bytes | Path
Shape = Callable[[int, Path], Source]

SHAPES: dict[str, Shape] = {}
LONG = 256


def shape(name: str) -> Callable[[Shape], Shape]:
    """Name a shape, of which *n* is as many of one part as the other one is long."""

    def named(make: Shape) -> Shape:
        SHAPES[name] = make
        return make

    return named


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def archive(documents: dict[str, bytes], *more: Entry) -> bytes:
    return layer(*(file(name, raw) for name, raw in documents.items()), *more)


def write(path: Path, raw: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())


def hexes(count: int, salt: str = "") -> list[str]:
    return [hashlib.sha256(f"{salt}{number}".encode()).hexdigest() for number in range(count)]


# -- Docker's first format -----------------------------------------------------------------------


def first_format(tags: dict[str, dict[str, str]], layers: dict[str, Any]) -> bytes:
    documents = {"repositories": text(tags)}
    for name, document in layers.items():
        documents[f"{name}/json"] = text(document)
        documents[f"{name}/layer.tar"] = b""
    return archive(documents)


@shape("repositories: a long repository with many tags of one image")
def _(n: int, folder: Path) -> Source:
    tags = {"r" * LONG * n: {str(number): "a" * 64 for number in range(n * 4)}}
    return first_format(tags, {"a" * 64: {}})


@shape("repositories: a long repository with many images that are not there")
def _(n: int, folder: Path) -> Source:
    return first_format({"r" * LONG * n: {f"t{n}": "../x" + n for n in hexes(n)}}, {})


@shape("repositories: a layer with a long name under many images")
def _(n: int, folder: Path) -> Source:
    tops = hexes(n)
    layers: dict[str, Any] = {top: {"parent": "m"} for top in tops}
    layers |= {"m": {"parent": "b" * LONG * n}, "b" * LONG * n: {}}
    return first_format({"r": {f"t{top}": top for top in tops}}, layers)


@shape("repositories: a layer with a long command under many images")
def _(n: int, folder: Path) -> Source:
    tops = hexes(n)
    layers: dict[str, Any] = {top: {"parent": "b"} for top in tops}
    layers["b"] = {"container_config": {"Cmd": ["word"] * n * LONG}}
    return first_format({"r": {f"t{top}": top for top in tops}}, layers)


@shape("repositories: a layer with long keys under many images")
def _(n: int, folder: Path) -> Source:
    tops = hexes(n)
    layers: dict[str, Any] = {top: {"parent": "b"} for top in tops}
    layers["b"] = {f"{'k' * n * 50}{number}": 1 for number in range(40)}
    return first_format({"r": {f"t{top}": top for top in tops}}, layers)


@shape("repositories: many images on layers in a circle")
def _(n: int, folder: Path) -> Source:
    names = hexes(n)
    parents = {
        name: {"parent": parent} for name, parent in zip(names, names[1:] + names[:1], strict=True)
    }
    return first_format({"r": {f"t{name}": name for name in names}}, parents)


# -- archives ------------------------------------------------------------------------------------


def oci(index: dict[str, Any], *blobs: bytes) -> bytes:
    documents = {"oci-layout": text({"imageLayoutVersion": "1.0.0"}), "index.json": text(index)}
    documents |= {f"blobs/sha256/{digest(blob)[7:]}": blob for blob in blobs}
    return archive(documents)


def descriptor(blob: bytes, kind: str = "manifest", **more: Any) -> dict[str, Any]:
    media_type = f"application/vnd.oci.image.{kind}.v1+json"
    return {"mediaType": media_type, "digest": digest(blob), "size": len(blob), **more}


def manifests_of(config: bytes, count: int) -> list[bytes]:
    return [
        text({"n": number, "config": descriptor(config, "config"), "layers": []})
        for number in range(count)
    ]


def named(name: str) -> dict[str, Any]:
    return {"annotations": {"org.opencontainers.image.ref.name": name}}


CONFIG = text({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": []}})


@shape("index.json: an index with a long name and many images in it")
def _(n: int, folder: Path) -> Source:
    manifests = manifests_of(CONFIG, n)
    inner = text({"manifests": [descriptor(one) for one in manifests]})
    outer = descriptor(inner, "index", **named("n" * LONG * 40 * n))
    return oci({"manifests": [outer]}, inner, CONFIG, *manifests)


@shape("index.json: one index many times, with many absent images in it")
def _(n: int, folder: Path) -> Source:
    absent = [{"digest": f"sha256:{one}", "size": 1} for one in hexes(4)]
    inner = text({"manifests": absent, "note": "x" * LONG * n})
    outer = [descriptor(inner, "index", **named(f"n{number}")) for number in range(n)]
    return oci({"manifests": outer}, inner)


@pytest.mark.parametrize("field", ["os", "architecture", "variant", "os.version"])
def test_a_platform_is_no_longer_than_a_platform(field: str) -> None:
    config = json.loads(CONFIG) | {field: "x" * 10_000}
    manifests = manifests_of(text(config), 2)
    source = oci({"manifests": [descriptor(one) for one in manifests]}, text(config), *manifests)
    errors = [item.error for item in list_images(io.BytesIO(source))]
    assert [error.pointer for error in errors if error] == [f"/{field}"] * 2


@shape("config: a long name of an architecture for many images")
def _(n: int, folder: Path) -> Source:
    config = text(json.loads(CONFIG) | {"architecture": "a" * LONG * 40 * n})
    manifests = manifests_of(config, n)
    return oci({"manifests": [descriptor(one) for one in manifests]}, config, *manifests)


@shape("manifest.json: many layers that are one link with a long target")
def _(n: int, folder: Path) -> Source:
    config = text({"os": "linux", "architecture": "amd64"})
    items = [{"Config": "c.json", "Layers": [f"l{number}" for number in range(n)]}]
    links = [symlink(f"l{number}", "far") for number in range(n)]
    documents = {"manifest.json": text(items), "c.json": config}
    return archive(documents, *links, symlink("far", "./" * LONG * n + "c.json"))


@shape("manifest.json: a layer in many folders that are not there")
def _(n: int, folder: Path) -> Source:
    item = {"Config": "config.json", "RepoTags": [], "Layers": ["a/" * n * 8 + "layer.tar"]}
    write(folder / "manifest.json", text([item]))
    config = {"rootfs": {"type": "layers", "diff_ids": [f"sha256:{'0' * 64}"]}}
    write(folder / "config.json", text(config))
    return folder


@shape("manifest.json: many layers in a folder with a long name")
def _(n: int, folder: Path) -> Source:
    config = text({"os": "linux", "architecture": "amd64"})
    items = [{"Config": "c.json", "Layers": [f"l{number}" for number in range(n * 4)]}]
    top = "f" * LONG * n
    return archive({f"{top}/manifest.json": text(items), f"{top}/c.json": config})


# -- stores of engines ---------------------------------------------------------------------------

DRIVER = "image/overlay2"


@shape("repositories.json: a long repository with many tags")
def _(n: int, folder: Path) -> Source:
    names = {"r" * LONG * n: {f"r:{number}": digest(CONFIG) for number in range(n * 4)}}
    write(folder / DRIVER / "repositories.json", text({"Repositories": names}))
    write(folder / DRIVER / "imagedb/content/sha256" / digest(CONFIG)[7:], CONFIG)
    return folder


def docker_layers(folder: Path, parents: dict[str, str]) -> None:
    for name, parent in parents.items():
        place = folder / DRIVER / "layerdb/sha256" / name
        write(place / "cache-id", name)
        write(place / "diff", f"sha256:{name}")
        write(place / "parent", f"sha256:{parent}")


def docker_containers(folder: Path, tops: dict[str, str]) -> None:
    (folder / DRIVER / "imagedb").mkdir(parents=True, exist_ok=True)
    for name, top in tops.items():
        write(folder / "containers" / name / "config.v2.json", text({"Name": f"/{name}"}))
        write(folder / DRIVER / "layerdb/mounts" / name / "parent", f"sha256:{top}")
        write(folder / DRIVER / "layerdb/mounts" / name / "mount-id", name)


@shape("layerdb: many containers on layers whose names are not made of what is beneath")
def _(n: int, folder: Path) -> Source:
    names = hexes(n)
    docker_layers(folder, dict(zip(names, names[1:] + names[:1], strict=True)))
    docker_containers(folder, dict(zip(hexes(n, "box"), names, strict=True)))
    return folder


def storage(folder: Path, **lists: list[dict[str, Any]]) -> Path:
    for name in ("images", "layers", "containers"):
        write(folder / f"overlay-{name}" / f"{name}.json", text(lists.get(name, [])))
    return folder


def ranges(count: int) -> list[dict[str, int]]:
    return [{"container_id": at, "host_id": at + 9, "size": 1} for at in range(count)]


@shape("layers.json: a layer with many ranges of ids under many images")
def _(n: int, folder: Path) -> Source:
    layers = [{"id": "b", "uidmap": ranges(n), "gidmap": ranges(n)}]
    layers += [{"id": f"l{number}", "parent": "b"} for number in range(n)]
    images = [{"id": one, "layer": f"l{number}"} for number, one in enumerate(hexes(n))]
    return storage(folder, layers=layers, images=images)


@shape("layers.json: a layer with long keys under many images")
def _(n: int, folder: Path) -> Source:
    layers: list[dict[str, Any]] = [{"id": "b"}]
    layers[0] |= {f"{'k' * n * 50}{number}": 1 for number in range(40)}
    images = [{"id": one, "layer": "b"} for one in hexes(n)]
    return storage(folder, layers=layers, images=images)


@shape("layers.json: many containers on layers in a circle")
def _(n: int, folder: Path) -> Source:
    names = hexes(n)
    layers = [
        {"id": one, "parent": other}
        for one, other in zip(names, names[1:] + names[:1], strict=True)
    ]
    boxes = [{"id": f"b{one}", "layer": one} for one in names]
    return storage(folder, layers=layers, containers=boxes)


@shape("layers.json: a container on many layers that are not called by what they are made of")
def _(n: int, folder: Path) -> Source:
    names = hexes(n)
    layers: list[dict[str, Any]] = [
        {"id": one, "parent": other, "diff-digest": f"sha256:{one[::-1]}"}
        for one, other in zip(names, ["", *names], strict=False)
    ]
    return storage(folder, layers=layers, containers=[{"id": "box", "layer": names[-1]}])


def asked(source: Source) -> None:
    """List what there is, and ask for one of it without a name, which tells the candidates."""
    # So few that what a chain may have costs less than the rest.
    limits = Limits(archive_layers=1000)
    for ask in (list_images, open_image):
        given: Any = io.BytesIO(source) if isinstance(source, bytes) else source
        try:
            found = ask(given, limits=limits)
        except UnionLayersError as error:
            str(error)
        else:
            if isinstance(found, Image):
                found.close()


@pytest.mark.skipif(not hasattr(os, "listxattr"), reason="on-disk stores need Linux")
@pytest.mark.parametrize("name", SHAPES)
def test_opening_costs_as_much_again_for_documents_as_long_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_chain, "_MOST_DIGESTS", 500, raising=False)
    figures: list[tuple[int, int, int]] = []
    for n in (25, 50, 100):
        work = partial(asked, SHAPES[name](n, tmp_path / str(n)))
        figures.append((calls_of(work), *bytes_of(work)))
    for less, more in pairwise(figures):
        for before, after in zip(less, more, strict=True):
            assert after <= 2.5 * before, figures
