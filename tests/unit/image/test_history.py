"""History, times and identities: what the documents say of layers."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from unionlayers import DocumentError, open_image
from unionlayers._image.config import time_of
from unionlayers._image.document import parse_document
from unionlayers.testing import HistoryStep, ImageDescription, docker_archive, file, layer


def opened(description: ImageDescription) -> Any:
    return open_image(io.BytesIO(docker_archive(description)))


def test_steps_that_made_no_layer_stand_in_the_history_only() -> None:
    history = [
        HistoryStep("ADD base", created="2024-05-01T10:20:30Z"),
        HistoryStep("ENV a=b", empty_layer=True),
        HistoryStep("COPY app", created=None),
    ]
    with opened(ImageDescription([[file("a")], [file("b")]], history=history)) as image:
        assert [(step.created_by, step.empty_layer, step.layer) for step in image.history] == [
            ("ADD base", False, 0),
            ("ENV a=b", True, None),
            ("COPY app", False, 1),
        ]
        assert [one.created_by for one in image.layers] == ["ADD base", "COPY app"]
        assert image.layers[0].created == datetime(2024, 5, 1, 10, 20, 30, tzinfo=UTC)
        assert image.layers[1].created is None
        assert image.findings == ()


def test_a_history_of_another_length_names_no_layer_and_is_found() -> None:
    history = [HistoryStep("one"), HistoryStep("two"), HistoryStep("three")]
    with opened(ImageDescription([[file("a")], [file("b")]], history=history)) as image:
        assert [step.layer for step in image.history] == [None, None, None]
        assert [one.created_by for one in image.layers] == [None, None]
        assert [finding.code for finding in image.findings] == ["HISTORY_MISMATCH"]


def test_no_history_is_no_finding() -> None:
    with opened(ImageDescription([[file("a")]], history=[])) as image:
        assert image.history == ()
        assert image.findings == ()


def test_chain_ids_are_those_of_the_specification() -> None:
    tars = [layer(file(name)) for name in "abc"]
    ids = ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars]
    chains = [ids[0]]
    for diff_id in ids[1:]:
        text = f"{chains[-1]} {diff_id}".encode()
        chains.append("sha256:" + hashlib.sha256(text).hexdigest())
    with opened(ImageDescription(tars)) as image:
        assert [one.diff_id for one in image.layers] == ids
        assert [one.chain_id for one in image.layers] == chains
        assert [one.index for one in image.layers] == [0, 1, 2]
        assert [one.size for one in image.layers] == [len(tar) for tar in tars]
        assert [one.empty for one in image.layers] == [False, False, False]


def test_a_layer_without_entries_is_empty() -> None:
    with opened(ImageDescription([[file("a")], layer()])) as image:
        assert [one.empty for one in image.layers] == [False, True]
        assert image.layers[1].fs().listdir("/") == []
        assert image.fs().listdir("/") == ["a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01T10:20:30Z", datetime(2024, 5, 1, 10, 20, 30, tzinfo=UTC)),
        ("2024-05-01T10:20:30.5Z", datetime(2024, 5, 1, 10, 20, 30, 500_000, tzinfo=UTC)),
        ("2024-05-01T10:20:30.123456789Z", datetime(2024, 5, 1, 10, 20, 30, 123_456, tzinfo=UTC)),
        ("2024-05-01T12:20:30+02:00", datetime(2024, 5, 1, 10, 20, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("2024-05-01T10:20:30", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (17, None),
        ("2024-13-01T00:00:00Z", None),
    ],
)
def test_times_are_aware_or_none(text: object, expected: datetime | None) -> None:
    found = time_of(text)
    assert found == expected
    assert found is None or found.utcoffset() is not None


def test_offsets_of_times_are_kept() -> None:
    found = time_of("2024-05-01T12:20:30.25-03:30")
    assert found is not None
    assert found.utcoffset() == -timedelta(hours=3, minutes=30)


def test_the_place_of_a_wrong_value_is_a_json_pointer() -> None:
    document = parse_document(b'{"a/b": [{"~": 7}]}', "config")
    with pytest.raises(DocumentError) as caught:
        document.at("a/b").items()[0].at("~").text()
    assert caught.value.pointer == "/a~1b/0/~0"
    assert caught.value.member == "config"
    assert caught.value.actual == "a number '7'"


@pytest.mark.parametrize("value", [b"true", b"-1", b"1.5", b'"7"', b"[]"])
def test_a_size_is_a_whole_number_that_is_not_negative(value: bytes) -> None:
    document = parse_document(b'{"size": ' + value + b"}", "manifest")
    with pytest.raises(DocumentError):
        document.at("size").size()


def test_a_byte_order_mark_before_a_document_is_read_over() -> None:
    assert parse_document(b'\xef\xbb\xbf{"a": 1}', "config").value == {"a": 1}
