"""
The same real image in every form that it was saved in: one tree, one id, one history.

``images/README.md`` says which tools made them; larger ones are compared where UNIONLAYERS_IMAGES
names their folder or it stands beside the repository as ``shared/images``.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import field, frozen
from engines import run
from facts import Facts, disagreements, facts_of

from unionlayers import list_images

HERE = Path(__file__).resolve().parent.parent
IMAGES = HERE / "images"
SHARED = Path(os.environ.get("UNIONLAYERS_IMAGES") or HERE.parent.parent / "shared" / "images")

# skopeo wrote the config of Docker's images anew for OCI.
CONVERTED = frozenset({"id", "config"})
# BuildKit built the two apart: the layers of eStargz have its table in them, and another digest.
BUILT_APART = frozenset({"id", "config", "diff_ids", "findings:DATA_AFTER_END"})


@frozen
class Form:
    """One file that holds the image; packed directories are named by what is in them."""

    name: str
    changes: frozenset[str] = frozenset()
    reference: str | None = field(default=None, kw_only=True)
    platform: str | None = field(default=None, kw_only=True)
    directory: str | None = field(default=None, kw_only=True)


FORMS = {
    "tiny": [
        Form("tiny.skopeo-docker-archive.tar", CONVERTED),
        Form("tiny.containerd-save.tar"),
        Form("tiny.oci-zstd.tar", CONVERTED, directory="oci-zstd"),
        Form("tiny.skopeo-dir.tar", CONVERTED, directory="dir"),
        Form("multi.oci-index.tar", CONVERTED, platform="linux/amd64", directory="oci-index"),
        Form("multi.docker-save.tar", reference="tiny:docker"),
        Form("multi.docker-save.tar", reference="localhost/tiny:busybox"),
    ],
    "dup-layers": [
        Form("dup-layers.docker-save.tar"),
        Form("multi.docker-save.tar", reference="dup-layers:docker"),
    ],
    "many-layers": [
        Form("many-layers.docker-save.tar"),
        Form("many-layers.docker26-save.tar"),
        Form("many-layers.oci-gzip.tar", CONVERTED),
        Form("multi.docker-save.tar", reference="many-layers:docker"),
    ],
    "buildkit": [
        Form("buildkit.estargz.tar", BUILT_APART, platform="linux/amd64"),
        Form("buildkit.zstd.tar", platform="linux/amd64"),
    ],
    "debian-small": [Form("debian-small.oci-gzip.tar")],
}


def found(name: str) -> Path:
    """Give a file of real images; the test is skipped where it is absent."""
    for folder in (IMAGES, SHARED):
        if (folder / name).exists():
            return folder / name
    pytest.skip(f"{name} is not here; UNIONLAYERS_IMAGES names the folder of real images")


def opened(form: Form, folder: Path) -> Iterator[Facts]:
    """Give what a form shows; a packed directory as it is, and unpacked."""
    source = found(form.name)
    yield facts_of(source, reference=form.reference, platform=form.platform)
    if form.directory is not None:
        run("tar", "-C", folder, "-xf", source, form.directory)
        unpacked = folder / form.directory
        yield facts_of(unpacked, reference=form.reference, platform=form.platform)


@pytest.mark.parametrize("image", FORMS)
def test_all_forms_of_a_real_image_agree_pairwise(image: str, tmp_path: Path) -> None:
    seen: list[tuple[Form, Facts]] = []
    for form in FORMS[image]:
        try:
            seen += [(form, facts) for facts in opened(form, tmp_path)]
        except pytest.skip.Exception:
            continue
    if not seen:
        pytest.skip(f"no file of {image} is here; UNIONLAYERS_IMAGES names their folder")
    for (left, one), (right, other) in itertools.combinations(seen, 2):
        assert disagreements(one, other, left.changes ^ right.changes) == {}, (left, right)
    assert all(facts.tree for _, facts in seen)


@pytest.mark.parametrize("name", sorted({form.name for forms in FORMS.values() for form in forms}))
def test_every_image_of_a_real_file_is_whole_and_opens_by_its_digest(name: str) -> None:
    source = found(name)
    images = list_images(source)
    assert images
    assert all(image.present for image in images)
    for image in images:
        if image.kind == "image":
            assert facts_of(source, reference=image.digest or image.id).id == image.id
