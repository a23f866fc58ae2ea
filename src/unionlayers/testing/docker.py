"""
What ``docker save`` has written over the years, and those who write in its likeness.

Docker's first format has one directory for each layer, named by an id that has nothing to do with
its digest, with a ``json`` that names its parent.  ``manifest.json`` came later, beside it; since
Docker 25 the archive is an OCI layout that keeps ``manifest.json``; with the containerd store the
layers in it are as they were pulled.  skopeo writes ``manifest.json`` with layers named by digest.
"""

from __future__ import annotations

from typing import Any

from unionlayers._foundation.digest import chain_id, digest_of
from unionlayers.testing.damage import Contents, Damage
from unionlayers.testing.document import (
    Written,
    WrittenLayer,
    created_of,
    history_of,
    platform_of,
    write,
)
from unionlayers.testing.entries import directory, file, symlink
from unionlayers.testing.entry import Entry
from unionlayers.testing.oci import Described, add_layout, flat, reference_name

__all__ = [
    "containerd_members",
    "docker_25_members",
    "docker_members",
    "skopeo_members",
    "v1_members",
]

Tagged = tuple[Written, tuple[str, ...]]


def _hex(digest: str) -> str:
    return digest.partition(":")[2]


def _written(images: tuple[Described, ...], codec: str | None, contents: Contents) -> list[Tagged]:
    return [(write(image, (codec or "identity",), contents), tags) for image, tags in flat(images)]


def _ids(image: Written) -> list[str]:
    """
    Give the ids of the first format, base first: one for each layer and all beneath it.

    That of the uppermost layer depends on the config too, as it stands for the image.
    """
    found: list[str] = []
    chain: str | None = None
    for number, one in enumerate(image.layers):
        chain = chain_id(chain, one.diff_id)
        top = number == len(image.layers) - 1
        parts = [chain, found[-1] if found else "", image.config_digest if top else ""]
        found.append(_hex(digest_of("\n".join(parts).encode())))
    return found


def _v1_json(image: Written, ids: list[str], number: int, *, history: bool) -> dict[str, Any]:
    """Make the ``json`` of one layer; only the uppermost has the config."""
    description = image.description
    found: dict[str, Any] = {"id": ids[number]}
    if number:
        found["parent"] = ids[number - 1]
    top = number == len(ids) - 1
    found["created"] = created_of(description) if top else "1970-01-01T00:00:00Z"
    command: list[str] | None = None
    if history:
        steps = [step for step in history_of(description) if not step.empty_layer]
        if number < len(steps):
            found["created"] = steps[number].created
            command = [steps[number].created_by or ""]
    found["container_config"] = {"Cmd": command}
    if top:
        found["config"] = {"Env": list(description.env), "Cmd": list(description.command)}
        found.update(platform_of(description))
    else:
        found["os"] = description.os
    return found


def _add_v1_layer(
    contents: Contents, image: Written, ids: list[str], number: int, body: Entry, *, history: bool
) -> None:
    folder = ids[number]
    contents.add("directory", directory(folder))
    contents.add("VERSION", file(f"{folder}/VERSION", b"1.0"))
    document = _v1_json(image, ids, number, history=history)
    contents.add("json", file(f"{folder}/json", contents.document("json", document)))
    if not image.layers[number].description.absent:
        contents.add(f"layer:{number}", body)


def _add_repositories(contents: Contents, tops: list[tuple[str, tuple[str, ...]]]) -> None:
    repositories: dict[str, dict[str, str]] = {}
    for top, tags in tops:
        for tag in tags:
            name, label = reference_name(tag)
            repositories.setdefault(name, {})[label] = top
    if repositories:
        data = contents.document("repositories", repositories)
        contents.add("repositories", file("repositories", data))


def _add_manifest(contents: Contents, items: list[dict[str, Any]]) -> None:
    data = contents.document("manifest.json", items)
    contents.add("manifest.json", file("manifest.json", data))


def _item(config: str, tags: tuple[str, ...], layers: list[str]) -> dict[str, Any]:
    return {"Config": config, "RepoTags": list(tags) or None, "Layers": layers}


def docker_members(
    images: tuple[Described, ...], codec: str | None, damage: Damage
) -> tuple[Entry, ...]:
    """
    Give the members of a ``docker save`` up to Docker 24.

    Source:
        moby, image/tarexport/save.go, and the archives of Docker 20.10: a layer whose diff_id
        was written before is a relative symbolic link to it.
    """
    contents = Contents(damage)
    items: list[dict[str, Any]] = []
    tops: list[tuple[str, tuple[str, ...]]] = []
    first: dict[str, str] = {}
    for image, tags in _written(images, codec, contents):
        ids = _ids(image)
        for number, one in enumerate(image.layers):
            folder = first.setdefault(one.diff_id, ids[number])
            path = f"{ids[number]}/layer.tar"
            body = file(path, one.stored)
            if folder != ids[number]:
                body = symlink(path, f"../{folder}/layer.tar")
            _add_v1_layer(contents, image, ids, number, body, history=False)
        config = f"{_hex(image.config_digest)}.json"
        contents.add("config", file(config, image.config))
        items.append(_item(config, tags, [f"{folder}/layer.tar" for folder in ids]))
        if ids:
            tops.append((ids[-1], tags))
    _add_manifest(contents, items)
    _add_repositories(contents, tops)
    return contents.finished(ordered=True)


def v1_members(
    images: tuple[Described, ...], codec: str | None, damage: Damage
) -> tuple[Entry, ...]:
    """
    Give the members of a ``docker save`` before Docker 1.10: no ``manifest.json``, no config.

    Source:
        moby, image/spec/v1.md.
    """
    contents = Contents(damage)
    tops: list[tuple[str, tuple[str, ...]]] = []
    for image, tags in _written(images, codec, contents):
        ids = _ids(image)
        for number in reversed(range(len(ids))):
            body = file(f"{ids[number]}/layer.tar", image.layers[number].stored)
            _add_v1_layer(contents, image, ids, number, body, history=True)
        if ids:
            tops.append((ids[-1], tags))
    _add_repositories(contents, tops)
    return contents.finished(ordered=False)


def skopeo_members(
    images: tuple[Described, ...], codec: str | None, damage: Damage
) -> tuple[Entry, ...]:
    """
    Give the members of the docker-archive of skopeo, podman and buildah.

    Layers are ``<digest>.tar``, repeated ones once; the directories of the first format hold
    symbolic links to them, and have no entries of their own.
    """
    contents = Contents(damage)
    items: list[dict[str, Any]] = []
    tops: list[tuple[str, tuple[str, ...]]] = []
    for image, tags in _written(images, codec, contents):
        names = [f"{_hex(one.diff_id)}.tar" for one in image.layers]
        for number, one in enumerate(image.layers):
            if not one.description.absent:
                contents.add(f"layer:{number}", file(names[number], one.stored, mode=0o444))
        config = f"{_hex(image.config_digest)}.json"
        contents.add("config", file(config, image.config, mode=0o444))
        ids = _ids(image)
        for number, folder in enumerate(ids):
            contents.add("link", symlink(f"{folder}/layer.tar", f"../{names[number]}", mode=0))
            contents.add("VERSION", file(f"{folder}/VERSION", b"1.0", mode=0o444))
            document = contents.document("json", _v1_json(image, ids, number, history=False))
            contents.add("json", file(f"{folder}/json", document, mode=0o444))
        items.append(_item(config, tags, names))
        if ids:
            tops.append((ids[-1], tags))
    _add_manifest(contents, items)
    _add_repositories(contents, tops)
    return contents.finished(ordered=False)


def _blob(digest: str) -> str:
    algorithm, _, encoded = digest.partition(":")
    return f"blobs/{algorithm}/{encoded}"


def _docker_item(image: Written, tags: tuple[str, ...]) -> dict[str, Any]:
    layers = [_blob(one.digest) for one in image.layers]
    return _item(_blob(image.config_digest), tags, layers)


def _source(one: WrittenLayer) -> dict[str, Any]:
    return {"mediaType": one.media_type, "size": one.size, "digest": one.digest}


def docker_25_members(
    images: tuple[Described, ...], codec: str | None, damage: Damage
) -> tuple[Entry, ...]:
    """
    Give the members of a ``docker save`` since Docker 25: an OCI layout, and ``manifest.json``.

    The documents of the first format are blobs too, and ``repositories`` names its ids.
    """
    contents = Contents(damage)
    layout = add_layout(contents, images, (codec or "identity",), containerd=True)
    items: list[dict[str, Any]] = []
    tops: list[tuple[str, tuple[str, ...]]] = []
    for (_, tags), written in zip(flat(images), layout, strict=True):
        ids = _ids(written)
        for number in range(len(ids)):
            data = contents.document("json", _v1_json(written, ids, number, history=False))
            contents.add("json", file(_blob(digest_of(data)), data))
        item = _docker_item(written, tags)
        item["LayerSources"] = {one.diff_id: _source(one) for one in written.layers}
        items.append(item)
        if ids:
            tops.append((ids[-1], tags))
    _add_manifest(contents, items)
    _add_repositories(contents, tops)
    return contents.finished(ordered=True)


def containerd_members(
    images: tuple[Described, ...], codec: str | None, damage: Damage
) -> tuple[Entry, ...]:
    """
    Give the members of a ``docker save`` from the containerd store.

    Layers are stored as they came, here gzip, plain and zstd in turn unless told otherwise; an
    index may name images that the archive lacks, and ``manifest.json`` has only those it holds.
    """
    contents = Contents(damage)
    codecs = (codec,) if codec else ("gzip", "identity", "zstd")
    layout = add_layout(contents, images, codecs, containerd=True)
    items = [
        _docker_item(written, tags)
        for (image, tags), written in zip(flat(images), layout, strict=True)
        if not image.absent
    ]
    _add_manifest(contents, items)
    return contents.finished(ordered=True)
