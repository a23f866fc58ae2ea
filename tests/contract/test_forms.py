"""One image in every form that people have lying around: one tree, one id, one history."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from facts import Facts, disagreements, facts_of
from subjects import HISTORY, LAYERS, RICH

from unionlayers import UnknownFormatError, list_images, open_image
from unionlayers.testing import (
    CODECS,
    FORMS,
    SHAPES,
    ImageDescription,
    LayerDescription,
    file,
    hardlink,
    layer,
    stored_layer,
    write_image,
)

TARS = [*(layer(*entries) for entries in LAYERS), layer(hardlink("usr/bin/doas", "usr/bin/sudo"))]


MIXES = {
    # The third layer and the fifth are one: some forms store it once.
    "mixed": ("zstd", "gzip", "xz", "identity", "xz", "bzip2", "zstd"),
    "mixed plain": ("identity", "identity", "gzip", "identity", "gzip", "zstd", "identity"),
}
STORAGE = ("as the tool does", *CODECS, *SHAPES, *MIXES)

# What some forms have no place for.
LOST = {
    "docker-archive-v1": {"id", "config", "history"},
    "docker-directory-v1": {"id", "config", "history"},
    "layer-tars": {"id", "config", "history", "created_by", "platform"},
}


def described(storage: str) -> ImageDescription:
    """Give the image, its layers stored in one way."""
    layers: list[LayerDescription | bytes] = []
    for number, tar in enumerate(TARS):
        way = MIXES[storage][number] if storage in MIXES else storage
        layers.append(stored_layer(tar, way) if way != "as the tool does" else tar)
    return ImageDescription(
        layers,
        tags=["localhost/app:1"],
        labels=RICH.labels,
        created=RICH.created,
        history=[*HISTORY, "RUN ln"],
    )


IMAGE = described("as the tool does")


def written(path: Path, form: str, storage: str, outer: str = "identity") -> Path | list[Path]:
    return write_image(path, described(storage), form=form, outer=outer)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Facts]:
    """Give a function that writes the image and gives what it shows, once for each way."""
    folder = tmp_path_factory.mktemp("forms")
    found: dict[tuple[str, str], Facts] = {}

    def facts(form: str, storage: str) -> Facts:
        if (form, storage) not in found:
            source = written(folder / f"{form} {storage}", form, storage)
            found[form, storage] = facts_of(source)
        return found[form, storage]

    return facts


def unusual(storage: str) -> list[int]:
    """Give the layers whose compression becomes a finding."""
    codec = SHAPES[storage].codec if storage in SHAPES else storage
    codecs = MIXES.get(storage, (codec,) * len(TARS))
    return [number for number, codec in enumerate(codecs) if codec in ("xz", "bzip2")]


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_shows_the_same(
    form: str, storage: str, known: Callable[[str, str], Facts]
) -> None:
    facts = known(form, storage)
    apart = frozenset({"findings:UNUSUAL_COMPRESSION", *LOST.get(form, ())})
    assert disagreements(known("oci-archive", "gzip"), facts, apart) == {}
    found = [index for code, index, _ in facts.findings if code == "UNUSUAL_COMPRESSION"]
    assert found == unusual(storage)
    if FORMS[form].has_config:
        assert [step[1] for step in facts.history if not step[2]] == list(facts.created_by)
        assert [step[1] for step in facts.history] == [
            step.created_by for step in IMAGE.history or ()
        ]
    assert len(facts.diff_ids) == len(TARS)


def test_all_forms_agree_pairwise(known: Callable[[str, str], Facts]) -> None:
    wrong = {}
    ways = list(itertools.product(FORMS, STORAGE))
    for left, right in itertools.combinations(ways, 2):
        lost = LOST.get(left[0], set()) | LOST.get(right[0], set())
        apart = frozenset({"findings:UNUSUAL_COMPRESSION", *lost})
        if differing := disagreements(known(*left), known(*right), apart):
            wrong[left, right] = differing
    assert wrong == {}


@pytest.mark.parametrize("outer", [codec for codec in CODECS if codec != "identity"])
@pytest.mark.parametrize("form", [form for form in FORMS if FORMS[form].kind == "archive"])
def test_an_archive_compressed_as_a_whole_shows_the_same(
    form: str, outer: str, known: Callable[[str, str], Facts], tmp_path: Path
) -> None:
    source = written(tmp_path / "image", form, "as the tool does", outer)
    assert isinstance(source, Path)
    assert disagreements(known(form, "as the tool does"), facts_of(source)) == {}
    assert [summary.present for summary in list_images(source)] == [True]
    with source.open("rb") as opened, open_image(opened) as image:
        assert disagreements(known(form, "as the tool does"), facts_of(image)) == {}


def test_a_folder_that_is_no_image_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("")
    with pytest.raises(UnknownFormatError, match=r"manifest\.json"):
        open_image(tmp_path)


def test_a_blob_that_is_a_link_out_of_the_layout_is_not_followed(tmp_path: Path) -> None:
    source = write_image(tmp_path / "layout", IMAGE, form="oci-layout")
    assert isinstance(source, Path)
    outside = tmp_path / "outside"
    blobs = source / "blobs" / "sha256"
    blobs.rename(outside)
    blobs.symlink_to(outside)
    assert [summary.present for summary in list_images(source)] == [False]


def test_several_images_of_one_layout_are_no_disagreement(tmp_path: Path) -> None:
    other = ImageDescription([[file("other", b"")]], tags=("other:1",))
    source = write_image(tmp_path / "image", IMAGE, other, form="docker-archive")
    with open_image(source, reference="other:1") as image:
        assert image.findings == ()
