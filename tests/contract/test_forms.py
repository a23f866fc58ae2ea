"""One image in every form that people have lying around: one tree, one history."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from unionlayers import UnionFS, UnknownFormatError, list_images, open_image
from unionlayers.testing import (
    CODECS,
    FORMS,
    HistoryStep,
    ImageDescription,
    LayerDescription,
    directory,
    file,
    hardlink,
    layer,
    opaque,
    symlink,
    whiteout,
    write_image,
)

LAYERS = (
    [directory("etc"), file("etc/a", b"1"), file("etc/b", b"2", mode=0o4755), symlink("l", "etc")],
    [whiteout("etc/a"), file("usr/x", b"x" * 5000, uid=7), hardlink("usr/y", "usr/x")],
    [file("d/old", b"")],
    [opaque("d"), file("d/new", b"new")],
)
HISTORY = tuple(HistoryStep(f"step {number}") for number in range(len(LAYERS)))
IMAGE = ImageDescription(LAYERS, history=HISTORY, tags=("app:1",))


def shown(view: UnionFS) -> dict[str, Any]:
    """Give all that can be seen, with the content of files."""
    tree = {}
    types = ("file", "directory", "symlink")
    for path, info in view.find(types=types, namespaces=("access", "stat", "layer")):
        facts: Any = info.raw
        is_file = stat.S_ISREG(facts["stat"]["st_mode"])
        content = view.readbytes(path) if is_file else None
        tree[path] = facts["stat"], facts["link"], facts["layer"]["index"], content
    return tree


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give what the form that is tested most shows."""
    path = tmp_path_factory.mktemp("forms") / "image.tar"
    with open_image(write_image(path, IMAGE, form="oci-archive")) as image:
        return shown(image.fs())


@pytest.mark.parametrize("codec", [None, *CODECS])
@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_shows_the_same(
    form: str, codec: str | None, expected: dict[str, Any], tmp_path: Path
) -> None:
    source = write_image(tmp_path / "image", IMAGE, form=form, codec=codec)
    with open_image(source) as image:
        assert shown(image.fs()) == expected
        if FORMS[form].has_config:
            assert [step.created_by for step in image.history] == [s.created_by for s in HISTORY]
            assert image.id is not None
        assert len(image.layers) == len(LAYERS)


@pytest.mark.parametrize("outer", [codec for codec in CODECS if codec != "identity"])
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_an_archive_compressed_as_a_whole_shows_the_same(
    form: str, outer: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    source = write_image(tmp_path / "image", IMAGE, form=form, outer=outer)
    with open_image(source) as image:
        assert shown(image.fs()) == expected
    assert [summary.present for summary in list_images(source)] == [True]


def test_layers_of_every_codec_in_one_image(expected: dict[str, Any], tmp_path: Path) -> None:
    mixed = [
        LayerDescription(layer(*entries), codec=codec)
        for entries, codec in zip(LAYERS, ("zstd", "gzip", "xz", "bzip2"), strict=True)
    ]
    source = write_image(tmp_path / "image", ImageDescription(mixed), form="oci-archive")
    with open_image(source) as image:
        assert shown(image.fs()) == expected
        assert [f.code for f in image.findings].count("UNUSUAL_COMPRESSION") == 2


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
