"""What container-diff tells of images, by its names."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest

from unionlayers import ClosedError, Image, PathNotFoundError, analyze, compare, open_image
from unionlayers.testing import (
    Entry,
    HistoryStep,
    ImageDescription,
    directory,
    docker_archive,
    file,
    symlink,
    whiteout,
)

ONE = [
    [directory("d"), file("d/f", b"12345"), file("d/g", b"1"), symlink("l", "d/f")],
    [file("b", b"xyz")],
]
OTHER = [
    [directory("d"), file("d/f", b"1234567"), file("d/g", b"1", mode=0o600), symlink("l", "d/g")],
    [whiteout("b"), file("n", b"12")],
    [file("o", b"1")],
]


def opened(layers: Sequence[Sequence[Entry]], **given: Any) -> Image:
    return open_image(io.BytesIO(docker_archive(ImageDescription(layers, **given))))


def sizes(items: Any) -> list[Any]:
    return [(item.name, item.size, item.layer) for item in items]


def test_the_files_of_an_image_with_their_sizes() -> None:
    with opened(ONE) as image:
        assert sizes(analyze(image, "file")) == [
            ("/b", 3, None),
            ("/d", 6, None),
            ("/d/f", 5, None),
            ("/d/g", 1, None),
            ("/l", 3, None),
        ]
        by_size = [item.name for item in analyze(image, "file", order="size")]
        assert by_size == ["/d", "/d/f", "/b", "/l", "/d/g"]


def test_files_and_sizes_by_layer() -> None:
    with opened(OTHER) as image:
        assert sizes(analyze(image, "layer"))[-2:] == [("/n", 2, 1), ("/o", 1, 2)]
        assert sizes(analyze(image, "sizelayer")) == [("0", 11, 0), ("1", 2, 1), ("2", 1, 2)]
        assert sizes(analyze(image, "size")) == [("*", 14, None)]
        found = json.loads(analyze(image, "layer").to_json())
        assert found["AnalyzeType"] == "FileLayer"
        assert found["Analysis"][1:] == [
            [{"Name": "/n", "Size": 2}],
            [{"Name": "/o", "Size": 1}],
        ]


def test_the_history_is_that_of_the_documents() -> None:
    steps = [HistoryStep("ADD base "), HistoryStep("ENV A=1", empty_layer=True), HistoryStep("RUN")]
    with opened(ONE, history=steps) as image:
        history = analyze(image, "history")
        assert [(item.name, item.layer) for item in history] == [
            ("ADD base", 0),
            ("ENV A=1", None),
            ("RUN", 1),
        ]
        assert json.loads(history.to_json())["Analysis"] == ["ADD base", "ENV A=1", "RUN"]


def test_the_metadata_has_every_field_of_the_configuration() -> None:
    config = {
        "User": "app",
        "Env": ["A=1", "B=2"],
        "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
        "Labels": {"b": "2", "a": "1"},
        "Healthcheck": {"Test": ["CMD", "true"]},
        "WorkingDir": "/srv",
        "Tty": True,
        "Cmd": "not a list",
    }
    with opened(ONE, config={"config": config}) as image:
        fields = {item.name: item.value for item in analyze(image, "metadata")}
        lines = json.loads(analyze(image, "metadata").to_json())["Analysis"]
    assert list(fields)[:3] == ["Hostname", "Domainname", "User"]
    assert fields["Workdir"] == "/srv"
    assert fields["Hostname"] is None
    assert fields["Healthcheck"] == {"Test": ["CMD", "true"]}
    assert {"architecture", "os"} <= fields.keys()
    assert not {"config", "history", "rootfs"} & fields.keys()
    for line in (
        "Hostname: ",
        "User: app",
        "AttachStdin: false",
        "Tty: true",
        "Env: A=1,B=2",
        "ExposedPorts: [443/tcp 80/tcp]",
        "Labels: [a:1 b:2]",
        "Cmd: not a list",
        'Healthcheck: {"Test": ["CMD", "true"]}',
    ):
        assert line in lines


def test_files_that_differ_as_container_diff_sees_them() -> None:
    with opened(ONE) as one, opened(OTHER) as other:
        found = compare(one, other, "file")
        assert sizes(found.added) == [("/n", 2, None), ("/o", 1, None)]
        assert sizes(found.removed) == [("/b", 3, None)]
        # The mode of d/g is nothing that container-diff sees.
        assert [(a.name, a.size, b.size) for a, b in found.changed] == [
            ("/d/f", 5, 7),
            ("/l", 3, 3),
        ]
        assert json.loads(found.to_json())["Diff"] == {
            "Adds": [{"Name": "/n", "Size": 2}, {"Name": "/o", "Size": 1}],
            "Dels": [{"Name": "/b", "Size": 3}],
            "Mods": [
                {"Name": "/d/f", "Size1": 5, "Size2": 7},
                {"Name": "/l", "Size1": 3, "Size2": 3},
            ],
        }
        assert "+1234567" in found.text_diff("/d/f")
        with pytest.raises(PathNotFoundError):
            found.text_diff("/none")
        assert bool(found)


def test_a_directory_has_the_size_of_what_is_beneath_it() -> None:
    layers = [[file("x/y/f", b"123"), file("x/g", b"1"), file("z", b"1")]]
    with opened(layers) as one, opened([[file("z", b"1")]]) as other:
        told = [("/x", 4, None), ("/x/g", 1, None), ("/x/y", 3, None), ("/x/y/f", 3, None)]
        assert sizes(compare(one, other, "file").removed) == told
        assert sizes(compare(other, one, "file").added) == told


def test_layers_are_paired_by_index_and_those_that_one_lacks_are_told() -> None:
    with opened(ONE) as one, opened(OTHER) as other:
        found = compare(one, other, "layer", order="size")
        assert sizes(found.added) == [("/n", 2, 1), ("/o", 1, 2)]
        assert sizes(found.removed) == [("/b", 3, 1)]
        assert [(a.name, a.layer) for a, _ in found.changed] == [("/d/f", 0), ("/l", 0)]
        assert len(json.loads(found.to_json())["Diff"]["DirDiffs"]) == 3
        by_layer = compare(one, other, "sizelayer")
        assert [(a.size, b.size) for a, b in by_layer.changed] == [(9, 11), (3, 2)]
        assert sizes(by_layer.added) == [("2", 1, 2)]
        assert json.loads(by_layer.to_json())["Diff"] == [
            {"Name": "0", "Size1": 9, "Size2": 11},
            {"Name": "1", "Size1": 3, "Size2": 2},
            {"Name": "2", "Size1": -1, "Size2": 1},
        ]


def test_sizes_that_are_the_same_are_in_the_json_and_no_difference() -> None:
    with opened(ONE) as one, opened(ONE) as other:
        found = compare(one, other, "size")
        assert not found
        assert json.loads(found.to_json())["Diff"] == [{"Name": "*", "Size1": 12, "Size2": 12}]
        assert found.to_table().endswith("no difference\n")
        for kind in ("history", "metadata", "file", "layer", "sizelayer"):
            assert not compare(one, other, kind)


def test_steps_and_fields_that_differ() -> None:
    first: dict[str, Any] = {
        "history": [HistoryStep("A"), HistoryStep("B")],
        "config": {"config": {"User": "a", "Tty": True}},
    }
    second: dict[str, Any] = {
        "history": [HistoryStep("B"), HistoryStep("B")],
        "config": {"config": {"User": "b", "Env": ["E"]}},
    }
    with opened(ONE, **first) as one, opened(ONE, **second) as other:
        steps = compare(one, other, "history")
        assert [item.name for item in steps.added] == ["B"]
        assert [item.name for item in steps.removed] == ["A"]
        fields = compare(one, other, "metadata")
        assert [(a.value, b.value) for a, b in fields.changed] == [("a", "b")]
        assert [item.name for item in fields.added] == ["Env"]
        assert [item.name for item in fields.removed] == ["Tty"]
        assert json.loads(fields.to_json())["Diff"] == {
            "Adds": ["User: b", "Env: E"],
            "Dels": ["User: a", "Tty: true"],
        }
        assert "- User: a\n+ User: b\n" in fields.to_table()


def test_names_are_escaped_for_a_terminal() -> None:
    with opened([[file("a\x1b[2J", b"1")]], history=[HistoryStep("\x1b[1m")]) as image:
        assert "\x1b" not in analyze(image, "file").to_table()
        assert "\x1b" not in analyze(image, "history").to_table()


def test_what_there_is_not_is_refused() -> None:
    with opened(ONE) as image:
        with pytest.raises(ValueError, match="kind is one of history, metadata"):
            analyze(image, "apt")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="order is one of name, size"):
            compare(image, image, "file", order="age")  # type: ignore[arg-type]
    with pytest.raises(ClosedError):
        analyze(image, "history")
