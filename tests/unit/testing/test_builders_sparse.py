"""The four forms of sparse files, expanded by tools that know them."""

from __future__ import annotations

import io
import tarfile

import pytest
from attrs import evolve
from oracles import listing, needs, unpacked

from unionlayers.testing import Sparse, file, layer, sparse_file

FORMS = ["gnu", "0.0", "0.1", "1.0"]
BLOCK = b"0123456789abcdef" * 32
SHAPES = {
    "a hole in front": ([(4096, b"end")], 4099),
    "a hole behind": ([(0, b"start")], 9000),
    "nothing but a hole": ([], 5000),
    "no hole": ([(0, b"all")], 3),
    "five stretches, more than a header holds": ([(k * 1024, BLOCK) for k in range(5)], 5000),
    "sixty stretches, more than a block holds": ([(k * 1024, BLOCK) for k in range(60)], 61440),
}


def expanded(segments: list[tuple[int, bytes]], size: int) -> bytes:
    whole = bytearray(size)
    for offset, data in segments:
        whole[offset : offset + len(data)] = data
    return bytes(whole)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("segments", "size"), SHAPES.values(), ids=SHAPES.keys())
def test_the_standard_library_expands(
    segments: list[tuple[int, bytes]], size: int, form: str
) -> None:
    tar = layer(sparse_file("d/s", segments, size, form=form), file("next", "n"))
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert archive.getnames() == ["d/s", "next"]
        found = archive.extractfile("d/s")
        assert found is not None
        assert found.read() == expanded(segments, size)


@pytest.mark.parametrize("tool", [pytest.param(t, marks=needs(t)) for t in ("tar", "bsdtar")])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("format", ["pax", "gnu"])
def test_other_tools_expand(form: str, tool: str, format: str) -> None:
    for segments, size in SHAPES.values():
        made = sparse_file("d/s", segments, size, form=form)
        tar = layer(made, file("next", "n"), format=format)
        assert listing(tool, tar) == ["d/s", "next"]
        assert unpacked(tool, tar, "d/s") == expanded(segments, size)


@pytest.mark.parametrize("form", FORMS)
def test_stretches_need_not_be_whole_blocks(form: str) -> None:
    # GNU tar would look for each of them at the start of a block; all others read on.
    made = sparse_file("s", [(10, b"abc"), (20, b"de")], 22, form=form)
    with tarfile.open(fileobj=io.BytesIO(layer(made))) as archive:
        found = archive.extractfile("s")
        assert found is not None
        assert found.read() == expanded([(10, b"abc"), (20, b"de")], 22)


def test_a_map_may_claim_what_is_not_there() -> None:
    lie = Sparse(segments=((1 << 40, 5), (0, 3)), data=b"x", size=1, form="1.0")
    made = evolve(sparse_file("s", [], 1), sparse=lie)
    assert b"2\n1099511627776\n5\n0\n3\n" in layer(made)


def test_a_form_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="form"):
        sparse_file("s", [], 1, form="2.0")
