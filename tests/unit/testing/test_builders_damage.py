"""What is to be wrong is wrong, and nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from unionlayers.testing import (
    FORMS,
    Damage,
    Entry,
    ImageDescription,
    file,
    image_members,
)

IMAGE = ImageDescription([[file("a", "1")], [file("b", "2")]], tags=["app:1"])


def damaged(form: str, damage: Damage) -> dict[str, Entry]:
    return {entry.path.decode(): entry for entry in image_members(IMAGE, form=form, damage=damage)}


def test_an_edited_document_is_hashed_after_the_edit() -> None:
    def edit(config: dict[str, Any]) -> dict[str, Any]:
        return {**config, "os": "plan9"}

    members = damaged("oci-archive", Damage(edits={"config": edit}))
    index = json.loads(members["index.json"].content)
    manifest = json.loads(members["blobs/sha256/" + index["manifests"][0]["digest"][7:]].content)
    data = members["blobs/sha256/" + manifest["config"]["digest"][7:]].content
    assert json.loads(data)["os"] == "plan9"
    assert hashlib.sha256(data).hexdigest() == manifest["config"]["digest"][7:]


def test_an_edit_may_give_bytes() -> None:
    members = damaged("docker-archive", Damage(edits={"manifest.json": lambda _: b"null"}))
    assert members["manifest.json"].content == b"null"


@pytest.mark.parametrize(
    ("form", "role"),
    [
        ("oci-archive", "config"),
        ("oci-archive", "manifest"),
        ("oci-archive", "index.json"),
        ("oci-archive", "oci-layout"),
        ("docker-archive", "json"),
        ("docker-archive", "repositories"),
        ("docker-archive-25", "json"),
        ("docker-archive-25", "manifest"),
        ("skopeo-dir", "version"),
        ("skopeo-dir", "manifest"),
        ("docker-archive-v1", "json"),
    ],
)
def test_every_document_can_be_edited(form: str, role: str) -> None:
    members = damaged(form, Damage(edits={role: lambda _: b"edited"}))
    assert any(entry.content == b"edited" for entry in members.values())


@pytest.mark.parametrize("form", [form for form in FORMS if form != "layer-tars"])
@pytest.mark.parametrize("role", ["layer:0", "config", "manifest", "index.json", "manifest.json"])
def test_what_is_replaced_keeps_its_name(form: str, role: str) -> None:
    whole = damaged(form, Damage())
    members = damaged(form, Damage(replace={role: b"other"}))
    assert list(whole) == list(members)
    changed = [name for name in whole if whole[name] != members[name]]
    assert len(changed) <= 1
    assert all(members[name].content == b"other" for name in changed)


def test_what_is_omitted_is_named_still() -> None:
    members = damaged("oci-archive", Damage(omit=["layer:1", "oci-lay*"]))
    assert len(damaged("oci-archive", Damage())) - len(members) == 2
    assert "oci-layout" not in members


def test_members_are_added_at_either_end() -> None:
    damage = Damage(before=[file("oci-layout", "{}")], after=[file("../out", "x")])
    names = [entry.path for entry in image_members(IMAGE, form="oci-archive", damage=damage)]
    assert names[0] == b"oci-layout"
    assert names[-1] == b"../out"
    assert names.count(b"oci-layout") == 2
