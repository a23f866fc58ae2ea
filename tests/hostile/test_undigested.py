"""
What no digest covers: the names that SECURITY.md lists can be changed unseen, and no others.

The documents at the top of an archive are what digests hang from, and nothing hangs above them.
"""

from __future__ import annotations

import io
import json
import os
import random
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unionlayers import UnionLayersError, list_images, open_image
from unionlayers.testing import (
    Damage,
    ImageDescription,
    file,
    image_members,
    layer,
)

CAMPAIGN = bool(os.environ.get("UNIONLAYERS_CAMPAIGN"))
PAGE = Path(__file__).parents[2] / "SECURITY.md"
IMAGE = ImageDescription(
    [[file("a", "1")], [file("b", "2")]],
    tags=["example.org/app:1"],
    annotations={"k": "v"},
    labels={"l": "m"},
)
# Forms by the words of the page.
ROWS = {
    "OCI layout": ["oci-archive"],
    "docker save before 25": ["docker-archive", "skopeo-docker-archive"],
    "docker save since 25": ["docker-archive-25", "containerd-save"],
    "skopeo's dir:": ["skopeo-dir"],
}
TOP = ("index.json", "manifest.json", "oci-layout", "repositories", "version")


def listed() -> dict[str, set[str]]:
    """Give the table of the page."""
    text = PAGE.read_text("utf-8").partition("## What no digest covers")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|`]+?) \| (`[^|]+) \|$", text, re.MULTILINE)
    return {form: set(re.findall(r"`(\w+)`", names)) for form, names in rows}


def archive(form: str, **damage: Any) -> bytes:
    return layer(*image_members(IMAGE, form=form, damage=Damage(**damage)))


def said(data: bytes) -> dict[str, Any]:
    """Give all that is said of the only image of an archive."""
    found: dict[str, Any] = {"images": len(list_images(io.BytesIO(data)))}
    if found["images"] != 1:
        with open_image(io.BytesIO(data), reference="example.org/app:1") as image:
            return found | {"tree": tree_of(image)}
    (item,) = list_images(io.BytesIO(data))
    for name in ("references", "id", "digest", "platform", "platforms", "kind", "missing"):
        found[name] = getattr(item, name)
    with open_image(io.BytesIO(data)) as image:
        found |= {
            "config": image.config,
            "manifest": image.manifest,
            "history": image.history,
            "findings": image.findings,
            "layers": [(one.digest, one.diff_id, one.size) for one in image.layers],
            "tree": tree_of(image),
        }
    return found


def tree_of(image: Any) -> dict[str, Any]:
    view = image.fs()
    found = view.find(None, namespaces=("stat",))
    return {path: (info.raw["stat"], view.readbytes(path)) for path, info in found}


def changed(data: bytes, expected: dict[str, Any]) -> set[str]:
    """Give the names that an archive answers differently, without an error."""
    try:
        found = said(data)
    except UnionLayersError:
        return set()
    return {name for name, answer in found.items() if answer != expected[name]}


def documents(data: bytes) -> list[int]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        spans = [(one.offset_data, one.size) for one in tar if one.name in TOP]
    assert spans
    return [at for start, size in spans for at in range(start, start + size)]


@pytest.mark.parametrize("row", ROWS)
def test_a_flipped_byte_of_the_documents_changes_no_other_name(row: str, seed: int) -> None:
    allowed = listed()[row] | {"images"}
    dice = random.Random(f"{seed} {row}")
    for form in ROWS[row]:
        whole = archive(form)
        expected = said(whole)
        flips = [(at, 1 << bit) for at in documents(whole) for bit in range(8)]
        for at, mask in flips if CAMPAIGN else dice.sample(flips, 150):
            data = bytearray(whole)
            data[at] ^= mask
            names = changed(bytes(data), expected)
            assert names <= allowed, (form, at, mask)


def item(**fields: Any) -> Callable[[Any], Any]:
    return lambda items: [{**items[0], **fields}]


def descriptor(**fields: Any) -> Callable[[Any], Any]:
    def edit(index: Any) -> Any:
        return {**index, "manifests": [{**index["manifests"][0], **fields}]}

    return edit


def marked(document: Any) -> bytes:
    """Give a document behind a byte order mark."""
    return b"\xef\xbb\xbf" + json.dumps(document).encode()


def not_utf8(document: Any) -> bytes:
    return json.dumps({**document, "more": "x"}).encode().replace(b'"x"', b'"\xff"')


NO_MANIFESTS: dict[str, Any] = {"schemaVersion": 2, "manifests": []}
ARM = {"architecture": "arm64", "os": "linux"}
OTHER = {"org.opencontainers.image.ref.name": "example.org/other:2"}
EDITS: dict[tuple[str, str], tuple[str, Callable[[Any], Any]]] = {
    ("OCI layout", "references"): ("index.json", descriptor(annotations=OTHER)),
    ("OCI layout", "platform"): ("index.json", descriptor(platform=ARM)),
    ("OCI layout", "platforms"): ("index.json", descriptor(platform=ARM)),
    ("OCI layout", "findings"): ("index.json", marked),
    ("docker save before 25", "references"): ("manifest.json", item(RepoTags=["other:2"])),
    ("docker save before 25", "manifest"): ("manifest.json", item(RepoTags=["other:2"])),
    ("docker save before 25", "findings"): ("manifest.json", marked),
    ("docker save since 25", "references"): ("manifest.json", item(RepoTags=["other:2"])),
    ("docker save since 25", "platform"): ("index.json", descriptor(platform=ARM)),
    ("docker save since 25", "platforms"): ("index.json", descriptor(platform=ARM)),
    ("docker save since 25", "digest"): ("index.json", lambda _: NO_MANIFESTS),
    ("docker save since 25", "manifest"): ("index.json", lambda _: NO_MANIFESTS),
    ("docker save since 25", "findings"): ("manifest.json", lambda _: b"{}"),
    ("skopeo's dir:", "digest"): ("manifest", lambda old: {**old, "annotations": {"a": "b"}}),
    ("skopeo's dir:", "manifest"): ("manifest", lambda old: {**old, "annotations": {"a": "b"}}),
    ("skopeo's dir:", "findings"): ("manifest", not_utf8),
}


@pytest.mark.parametrize(("row", "name"), EDITS)
def test_a_name_that_is_listed_can_be_changed_unseen(row: str, name: str) -> None:
    role, edit = EDITS[row, name]
    for form in ROWS[row]:
        names = changed(archive(form, edits={role: edit}), said(archive(form)))
        assert name in names
        assert names <= listed()[row]


def test_every_name_that_is_listed_has_an_edit() -> None:
    assert {(row, name) for row, names in listed().items() for name in names} == set(EDITS)


@pytest.mark.parametrize("form", [form for forms in ROWS.values() for form in forms])
def test_an_image_that_is_asked_for_by_its_digest_is_that_one_or_none(form: str, seed: int) -> None:
    whole = archive(form)
    (item,) = list_images(io.BytesIO(whole))
    wanted = item.digest or item.id
    assert wanted is not None
    expected = said(whole)
    dice = random.Random(f"{seed} {form}")
    places = documents(whole)
    for at in places if CAMPAIGN else dice.sample(places, 60):
        data = bytearray(whole)
        data[at] ^= 1 << dice.randrange(8)
        try:
            with open_image(io.BytesIO(data), reference=wanted) as image:
                tree = tree_of(image)
        except UnionLayersError:
            continue
        assert (tree, image.config) == (expected["tree"], expected["config"])
        assert wanted in (image.digest, image.id)
