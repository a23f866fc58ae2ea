"""The records of an extended header are read strictly, and are bytes."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unionlayers._foundation.limits import Limits
from unionlayers._tar.pax import read_records
from unionlayers.errors import LimitError, TarError
from unionlayers.testing import pax_record


@pytest.mark.parametrize(
    ("body", "records"),
    [
        pytest.param(b"", {}, id="J13 nothing"),
        pytest.param(b"9 path=a\n", {b"path": b"a"}, id="J13 one record"),
        pytest.param(b"011 path=a\n", {b"path": b"a"}, id="J13 zeros before the length"),
        pytest.param(b"+11 path=a\n", {b"path": b"a"}, id="J13 a plus sign before the length"),
        pytest.param(b"9 path=a\n9 path=b\n", {b"path": b"b"}, id="J13 the last one holds"),
        pytest.param(b"8 path=\n", {b"path": b""}, id="G7 an empty value is kept as such"),
        pytest.param(b"7 a=b=\n", {b"a": b"b="}, id="J13 the first equals sign divides"),
        pytest.param(b"9 a=b\nc=\n", {b"a": b"b\nc="}, id="J13 a newline inside a value"),
        pytest.param(b"6 a=\xff\n", {b"a": b"\xff"}, id="J12 no text encoding is looked at"),
        pytest.param(b"7 a=b\0\n", {b"a": b"b\0"}, id="G6 a NUL in a value that is no name"),
    ],
)
def test_records(body: bytes, records: dict[bytes, bytes]) -> None:
    assert read_records(body, Limits()) == records


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"path=a\n", "begin with its length", id="J13 no length"),
        pytest.param(b"x path=a\n", "begin with its length", id="J13 a length that is none"),
        pytest.param(b" 9 path=a\n", "begin with its length", id="J13 a blank before it"),
        pytest.param(b"-9 path=a\n", "begin with its length", id="J13 a negative length"),
        pytest.param(b"99 path=a\n", "begin with its length", id="J13 longer than the header"),
        pytest.param(b"8 path=a\n", "newline", id="J13 shorter than the record"),
        pytest.param(b"4 a=\n", "begin with its length", id="J13 too short for any record"),
        pytest.param(b"9 path=ab", "newline", id="J13 no newline"),
        pytest.param(b"00000005 a=b\n", "newline", id="J13 the length ends in itself"),
        pytest.param(b"7 path\n", "no key", id="J13 no equals sign"),
        pytest.param(b"5 =a\n", "no key", id="J13 an empty key"),
        pytest.param(b"9 path=a\n\0", "begin with its length", id="J13 padding inside the size"),
        pytest.param(b"9 path=\0\n", "NUL", id="G6 a NUL in a path"),
        pytest.param(b"14 linkpath=\0\n", "NUL", id="G6 a NUL in a link target"),
        pytest.param(b"11 uname=\0\n", "NUL", id="G6 a NUL in a user's name"),
        pytest.param(b"7 a\0=b\n", "NUL", id="G6 a NUL in a key"),
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(TarError, match=message):
        read_records(body, Limits())


def spans(*pairs: tuple[str, str]) -> bytes:
    return b"".join(pax_record("GNU.sparse." + key, value) for key, value in pairs)


def test_j4_the_first_sparse_form_is_gathered_into_one_record() -> None:
    body = spans(("offset", "0"), ("numbytes", "5"), ("offset", "9"), ("numbytes", "1"))
    assert read_records(body, Limits()) == {b"GNU.sparse.map": b"0,5,9,1"}


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param([("numbytes", "5")], id="J4 a length first"),
        pytest.param([("offset", "0"), ("offset", "5")], id="J4 two offsets"),
        pytest.param([("offset", "0,5")], id="J4 a comma in an offset"),
    ],
)
def test_j4_segments_out_of_order_are_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(TarError, match="out of order"):
        read_records(spans(*pairs), Limits())


def test_the_limit_on_records_lets_the_bound_itself_pass() -> None:
    body = b"".join(pax_record(f"k{number}", "v") for number in range(5))
    assert len(read_records(body, Limits(pax_records=5))) == 5
    with pytest.raises(LimitError) as caught:
        read_records(body, Limits(pax_records=4))
    assert (caught.value.limit, caught.value.expected) == ("pax_records", 4)


def test_records_of_one_key_count_each() -> None:
    with pytest.raises(LimitError):
        read_records(b"9 path=a\n" * 5, Limits(pax_records=4))


def test_the_limit_on_segments_counts_pairs() -> None:
    body = spans(*[("offset", "0"), ("numbytes", "0")] * 5)
    assert read_records(body, Limits(sparse_entries=5, pax_records=0))
    with pytest.raises(LimitError) as caught:
        read_records(body, Limits(sparse_entries=4))
    assert (caught.value.limit, caught.value.actual) == ("sparse_entries", 5)


KEYS = st.binary(min_size=1, max_size=20).filter(
    lambda key: b"=" not in key and b"\0" not in key and not key.startswith(b"GNU.sparse.")
)


NAMES = {b"path", b"linkpath", b"uname", b"gname"}
# Of the four names none has a NUL (G6); Hypothesis knows them from the source, and draws them.
RECORDS = st.tuples(KEYS, st.binary(max_size=120)).filter(
    lambda record: record[0] not in NAMES or b"\0" not in record[1]
)


@given(st.lists(RECORDS, max_size=8))
def test_records_come_back(pairs: list[tuple[bytes, bytes]]) -> None:
    body = b"".join(pax_record(key, value) for key, value in pairs)
    assert read_records(body, Limits()) == dict(pairs)


@given(st.binary(max_size=200))
def test_any_bytes_are_records_or_refused(body: bytes) -> None:
    with suppress(TarError):
        assert isinstance(read_records(body, Limits()), dict)
