"""Sparse files give the same segments in all four forms, and maps that cannot be are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from unionlayers._foundation.limits import Limits
from unionlayers._tar.reader import TarReader
from unionlayers._tar.sparse import checked, map_form, read_block_map, read_data_map
from unionlayers.errors import LimitError, TarError
from unionlayers.testing import Entry, Sparse, entry, file, layer, pax_record, sparse_file

Read = Callable[..., list[Any]]

FORMS = ["gnu", "0.0", "0.1", "1.0"]


def content(data: bytes, read: Any) -> bytes:
    """Put a file together as its map says."""
    whole = bytearray(read.size)
    at = read.data_offset
    for offset, length in read.sparse:
        whole[offset : offset + length] = data[at : at + length]
        at += length
    assert at == read.data_offset + read.stored_size
    return bytes(whole)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("segments", "size"),
    [
        pytest.param([], 0, id="J4 an empty file"),
        pytest.param([], 5000, id="J4 nothing but a hole"),
        pytest.param([(0, b"data")], 4, id="J4 no hole at all"),
        pytest.param([(0, b"data")], 5000, id="J4 a hole at the end"),
        pytest.param([(4096, b"data")], 4100, id="J4 a hole at the start"),
        pytest.param([(1, b"a"), (2, b"b"), (9, b"c")], 10, id="J4 segments that touch"),
        pytest.param([(i * 1000, b"%d" % i) for i in range(4)], 3500, id="J4 four segments"),
        pytest.param([(i * 1000, b"%d" % i) for i in range(5)], 9000, id="J4 five segments"),
        pytest.param([(i * 10, b"%03d" % i) for i in range(60)], 900, id="J4 sixty segments"),
    ],
)
def test_a_sparse_file_is_expanded(
    form: str, segments: list[tuple[int, bytes]], size: int, read: Read
) -> None:
    data = layer(sparse_file("true/name", segments, size, form=form), file("next", b"n"))
    first, following = read(data)
    expected = bytearray(size)
    for offset, part in segments:
        expected[offset : offset + len(part)] = part
    assert (first.name, first.size) == (b"true/name", size)
    assert content(data, first) == expected
    assert following.name == b"next"


def test_the_old_form_keeps_its_type(read: Read) -> None:
    (only,) = read(layer(sparse_file("a", [(0, b"x")], 9, form="gnu")))
    assert (only.typeflag, only.size, only.stored_size) == (ord("S"), 9, 1)


def test_a_map_in_front_of_the_data_is_no_data(read: Read) -> None:
    (only,) = read(layer(sparse_file("a", [(0, b"x")], 9, form="1.0")))
    assert only.data_offset == only.header_offset + 1024
    assert only.stored_size == 1


def test_empty_segments_are_left_out(read: Read) -> None:
    (only,) = read(layer(sparse_file("a", [(0, b"x"), (5, b"")], 9)))
    assert only.sparse == ((0, 1),)


def claimed(form: str, spans: list[tuple[int, int]], size: int, data: bytes) -> bytes:
    """Write a map that need not be true."""
    whole = sparse_file("a", [(0, b"")], 1, form=form)
    sparse = Sparse(segments=tuple(spans), data=data, size=size, form=form)
    return layer(evolve(whole, sparse=sparse), file("next"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("spans", "size", "data", "message"),
    [
        pytest.param([(5, 2), (0, 2)], 9, b"1234", "overlaps", id="J4 out of order"),
        pytest.param([(0, 3), (2, 2)], 9, b"12345", "overlaps", id="J4 overlapping"),
        pytest.param([(0, 4)], 3, b"1234", "leaves the file", id="J4 past the end"),
        pytest.param([(9, 0)], 8, b"", "leaves the file", id="J4 an empty one past the end"),
        pytest.param([(0, 4)], 9, b"123", "more data than are stored", id="J4 data missing"),
        pytest.param([(0, 2)], 9, b"123", "leaves stored data out", id="J4 data left over"),
    ],
)
def test_a_map_that_cannot_be_is_refused(
    form: str, spans: list[tuple[int, int]], size: int, data: bytes, message: str, read: Read
) -> None:
    with pytest.raises(TarError, match=message):
        read(claimed(form, spans, size, data))


@pytest.mark.parametrize("form", ["gnu", "1.0"])
def test_data_without_any_segment_are_refused(form: str, read: Read) -> None:
    with pytest.raises(TarError, match="leaves stored data out"):
        read(claimed(form, [], 0, b"1"))


def test_a_count_of_none_and_no_map_is_a_plain_file(read: Read) -> None:
    only, _ = read(claimed("0.1", [], 0, b"1"))
    assert (only.sparse, only.size) == (None, 1)


@pytest.mark.parametrize(
    ("segments", "size"),
    [
        pytest.param([(-1, 1)], 9, id="J4 a negative offset"),
        pytest.param([(5, -1)], 9, id="J4 a negative length"),
        pytest.param([((1 << 63) - 1, (1 << 63) - 1)], (1 << 63) - 1, id="J4 past 64 bits"),
    ],
)
def test_segments_that_cannot_be_are_refused(segments: list[tuple[int, int]], size: int) -> None:
    with pytest.raises(TarError, match="overlaps another or leaves the file"):
        checked(segments, size, 0)


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(TarError, match="negative"):
        checked([], -1, 0)


# -- which form ----------------------------------------------------------------------------------

MAP = (b"GNU.sparse.map", b"0,1")


@pytest.mark.parametrize(
    ("records", "form"),
    [
        ({}, None),
        ({b"GNU.sparse.major": b"0", b"GNU.sparse.minor": b"0"}, "records"),
        ({b"GNU.sparse.major": b"0", b"GNU.sparse.minor": b"1"}, "records"),
        ({b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0"}, "data"),
        ({b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"1"}, None),
        ({b"GNU.sparse.major": b"2", b"GNU.sparse.minor": b"0"}, None),
        (dict([MAP]), "records"),
        ({MAP[0]: b""}, None),
        ({**dict([MAP]), b"GNU.sparse.major": b"7"}, None),
        ({**dict([MAP]), b"GNU.sparse.major": b"", b"GNU.sparse.minor": b""}, "records"),
    ],
)
def test_a_form_is_known_by_its_version_or_its_map(
    records: dict[bytes, bytes], form: str | None
) -> None:
    assert map_form(records) == form


def with_records(*pairs: tuple[str, str], typeflag: bytes = b"0", body: bytes = b"") -> Entry:
    return entry("stand-in", typeflag, body, pax=[("GNU.sparse." + k, v) for k, v in pairs])


def test_an_unknown_version_is_a_plain_file(read: Read) -> None:
    odd = with_records(("major", "2"), ("minor", "0"), ("name", "true"), ("size", "9"), body=b"x")
    (only,) = read(layer(odd))
    assert (only.name, only.size, only.sparse) == (b"stand-in", 1, None)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        pytest.param([("map", "0,1")], "not a number|something else", id="J4 no count"),
        pytest.param(
            [("numblocks", "2"), ("map", "0,1")], "another number", id="J4 count too high"
        ),
        pytest.param([("numblocks", "1"), ("map", "0")], "another number", id="J4 half a segment"),
        pytest.param([("numblocks", "-1"), ("map", "0,1")], "another number", id="J4 negative"),
        pytest.param([("numblocks", "1"), ("map", "0,x")], "something else", id="J4 letters"),
        pytest.param(
            [("numblocks", "1"), ("map", "0,1"), ("size", "x")], "not a number", id="J4 size"
        ),
    ],
)
def test_records_that_are_no_map_are_refused(
    pairs: list[tuple[str, str]], message: str, read: Read
) -> None:
    with pytest.raises(TarError, match=message):
        read(layer(with_records(*pairs, body=b"x")))


def test_realsize_is_the_size_where_size_is_missing(read: Read) -> None:
    odd = with_records(("numblocks", "1"), ("map", "0,1"), ("realsize", "7"), body=b"x")
    assert read(layer(odd))[0].size == 7
    both = with_records(("numblocks", "1"), ("map", "0,1"), ("realsize", "7"), ("size", "8"),
                        body=b"x")  # fmt: skip
    assert read(layer(both))[0].size == 8


@pytest.mark.parametrize("typeflag", [b"1", b"2", b"5", b"6"])
def test_a_map_for_what_has_no_content_is_refused(typeflag: bytes, read: Read) -> None:
    odd = with_records(("numblocks", "0"), ("major", "0"), ("minor", "1"), typeflag=typeflag)
    with pytest.raises(TarError, match="a type without content"):
        read(layer(odd))


def test_g6_a_nul_in_the_true_name_is_refused(read: Read) -> None:
    odd = with_records(("numblocks", "1"), ("map", "0,1"), ("name", "a\0b"), body=b"x")
    with pytest.raises(TarError, match="true name of a sparse file holds a NUL"):
        read(layer(odd))


def test_the_true_name_holds_against_a_long_name(read: Read) -> None:
    odd = with_records(("numblocks", "1"), ("map", "0,1"), ("name", "true"), body=b"x")
    long = entry("././@LongLink", b"L", b"long\0", format="gnu")
    assert read(layer(long, odd))[0].name == b"true"


@pytest.mark.parametrize("format", ["ustar", "v7", "star"])
def test_the_old_form_is_gnus_alone(format: str, read: Read) -> None:
    with pytest.raises(TarError, match="not GNU's"):
        read(layer(entry("a", b"S", format=format)))


# -- maps that end too early, or never -----------------------------------------------------------


def data_map(text: bytes, **limits: int) -> tuple[list[tuple[int, int]], int]:
    blocks = iter([text[at : at + 512] for at in range(0, len(text), 512)])
    return read_data_map(lambda _: next(blocks, b""), len(text), Limits(**limits))


def test_a_map_in_front_of_the_data_takes_whole_blocks() -> None:
    text = b"2\n0\n5\n10\n7\n"
    assert data_map(text.ljust(512, b"\0") + b"data" * 128) == ([(0, 5), (10, 7)], 512)


def test_a_map_may_need_several_blocks() -> None:
    text = b"300\n" + b"".join(b"%d\n1\n" % (2 * at) for at in range(300))
    segments, used = data_map(text + bytes(-len(text) % 512))
    assert segments == [(2 * at, 1) for at in range(300)]
    assert used == len(text) + -len(text) % 512


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(b"", "does not end", id="J4 nothing"),
        pytest.param(b"1\n0\n".ljust(512, b" "), "does not end", id="J4 half a segment"),
        pytest.param(b"1\n0\n5\n", "does not end", id="J4 less than a block"),
        pytest.param(b"x\n".ljust(512, b"\0"), "something else", id="J4 a count that is none"),
        pytest.param(b"-1\n".ljust(512, b"\0"), "negative", id="J4 a negative count"),
        pytest.param(b"1\n0 \n5\n".ljust(512, b"\0"), "something else", id="J4 a blank"),
    ],
)
def test_a_map_in_front_of_the_data_that_is_none(text: bytes, message: str) -> None:
    with pytest.raises(TarError, match=message):
        data_map(text)


def test_a_map_cut_off_with_the_archive_is_refused() -> None:
    with pytest.raises(TarError, match="the archive ends inside a sparse map"):
        read_data_map(lambda _: b"1\n", 512, Limits())
    with pytest.raises(TarError, match="the archive ends inside a sparse map"):
        read_block_map(bytes(482) + b"\1" + bytes(29), lambda _: b"", Limits())


def test_an_old_map_may_have_blocks_without_segments() -> None:
    blocks = iter([bytes(504) + b"\1" + bytes(7), bytes(512)])
    found = read_block_map(bytes(482) + b"\1" + bytes(29), lambda _: next(blocks), Limits())
    assert found == ([], 1024)


# -- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_the_limit_on_segments_lets_the_bound_itself_pass(form: str, reader: Any) -> None:
    data = layer(sparse_file("a", [(at * 10, b"x") for at in range(6)], 51, form=form))
    assert len(next(iter(reader(data, sparse_entries=6))).sparse) == 6
    with pytest.raises(LimitError) as caught:
        list(reader(data, sparse_entries=5))
    assert caught.value.limit == "sparse_entries"


def test_an_announced_count_is_believed_to_be_too_large_before_it_is_read() -> None:
    with pytest.raises(LimitError) as caught:
        data_map(b"4611686018427387903\n".ljust(512, b"\0"))
    assert caught.value.actual == 4611686018427387903


def test_a_number_without_end_is_not_gathered() -> None:
    with pytest.raises(LimitError) as caught:
        data_map(b"1" * 512 * 10, header_bytes=2000)
    assert caught.value.limit == "header_bytes"


@given(
    spans=st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), max_size=30),
    hole=st.integers(0, 99),
    form=st.sampled_from(FORMS),
)
def test_any_map_comes_back(
    spans: list[tuple[int, int]], hole: int, form: str, stream: Any
) -> None:
    segments: list[tuple[int, bytes]] = []
    end = 0
    for gap, length in spans:
        segments.append((end + gap, bytes(range(length))))
        end += gap + length
    data = layer(sparse_file("a", segments, end + hole, form=form))
    (only,) = TarReader(stream(data), Limits())
    assert only.sparse == tuple((offset, len(part)) for offset, part in segments)
    assert only.size == end + hole


def test_records_of_the_first_form_need_no_version(read: Read) -> None:
    body = b"".join(
        pax_record("GNU.sparse." + key, value)
        for key, value in (("size", "9"), ("numblocks", "1"), ("offset", "4"), ("numbytes", "2"))
    )
    (only,) = read(layer(entry("a", content=b"xy", pax_body=body)))
    assert (only.sparse, only.size) == (((4, 2),), 9)
    assert only.pax[b"GNU.sparse.map"] == b"4,2"
