"""A layer has one index, whether its headers are read one by one, many at once, or by NumPy."""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from index_ways import by_batch, by_entry, same_by_all_ways
from random_stacks import layers

from unionlayers._bytes.memory import MemorySource
from unionlayers._codec.forward import open_forward
from unionlayers._foundation.limits import Limits
from unionlayers._tar import batch_placer
from unionlayers._tar.index_builder import IndexBuilder
from unionlayers._tar.plain_headers import read_plain
from unionlayers._tar.reader import TarReader
from unionlayers.errors import LimitError, TarError
from unionlayers.testing import Entry, directory, entry, file, hardlink, layer, symlink, whiteout

SPELLINGS = st.sampled_from(
    [b"%b", b"./%b", b"/%b", b".//%b", b"%b/", b"x/../%b", b"../%b", b".%b"]
)
BOUNDS: st.SearchStrategy[Any] = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {},
        optional={
            "entries": st.integers(0, 12),
            "name_bytes": st.integers(0, 60),
            "depth": st.integers(1, 3),
            "component_bytes": st.integers(1, 4),
        },
    ),
)


@st.composite
def spelled(draw: st.DrawFn) -> list[Entry]:
    """Give a layer whose paths are spelled in many ways, some of them more than once."""
    found = draw(layers())
    again = draw(st.lists(st.sampled_from(found), max_size=4)) if found else []
    return [
        evolve(one, path=draw(SPELLINGS) % one.path) if one.path and draw(st.booleans()) else one
        for one in (*found, *again)
    ]


@given(spelled(), BOUNDS, st.integers(0, 1 << 32))
def test_each_way_gives_one_index_or_one_error(
    entries: list[Entry], bounds: Any, seed: int
) -> None:
    same_by_all_ways(layer(*entries), Limits(**bounds), random.Random(seed))


@given(spelled(), st.integers(0, 1 << 32))
def test_each_way_tells_of_damage_in_one_way(entries: list[Entry], seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(layer(*entries))
    for _ in range(dice.randint(1, 3)):
        block = dice.randrange(len(data) // 512) * 512
        data[
            block + dice.choice((0, 100, 107, 124, 130, 135, 136, 148, 155, 156, 157, 345, 500))
        ] ^= 1 << dice.randrange(8)
    if dice.random() < 0.3:
        del data[dice.randrange(len(data)) :]
    same_by_all_ways(bytes(data), Limits(), dice)


def many(seed: int) -> list[Entry]:
    """Give more entries than one batch holds, odd ones among them."""
    dice = random.Random(seed)
    found: list[Entry] = []
    for number in range(5000):
        folder = f"d{dice.randrange(40)}/e{dice.randrange(20)}"
        kind = dice.random()
        if kind < 0.03:
            found.append(directory(folder, mode=dice.choice((0o755, 0o700))))
        elif kind < 0.05:
            found.append(symlink(f"{folder}/l{number}", "x"))
        elif kind < 0.06 and found:
            found.append(hardlink(f"{folder}/h{number}", found[-1].path))
        elif kind < 0.07:
            found.append(whiteout(f"{folder}/f{dice.randrange(number + 1)}"))
        elif kind < 0.09:
            found.append(file(f"{folder}/p{number}", b"x", mtime_ns=number * 10**9 + 1))
        elif kind < 0.11:
            found.append(file(f"{folder}/{'n' * 90}/{'m' * 90}{number}"))
        else:
            name = f"{folder}/{'.' * (dice.random() < 0.05)}f{dice.randrange(4500)}"
            found.append(file(name, b"y" * dice.choice((0, 1, 700)), mtime=number, uid=number % 50))
    return found


def test_each_way_gives_one_index_of_a_layer_of_many_batches(seed: int) -> None:
    same_by_all_ways(layer(*many(seed)), Limits(), random.Random(seed))


@pytest.mark.parametrize("damaged", ["checksum", "time", "owner", "size"])
def test_the_first_damaged_header_is_told_whatever_follows(damaged: str, seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(layer(*(file(f"f{number}", b"x") for number in range(600))))
    at = dice.randrange(300) * 1024
    data[at + {"checksum": 3, "time": 140, "owner": 110, "size": 128}[damaged]] ^= 0x40
    # Behind it a header that ends the pass in another way.
    data[450 * 1024 + 156] = ord("x")
    kind, text, *_ = same_by_all_ways(bytes(data), Limits(), dice)
    assert kind is TarError
    assert f"offset {at})" in text


@pytest.mark.parametrize(
    ("bound", "enough"),
    [
        ("entries", 1001),  # with the directory that is implied
        ("name_bytes", 6992),
        ("component_bytes", 7),
        ("depth", 3),
    ],
)
def test_a_bound_holds_at_the_very_entry_that_exceeds_it(
    bound: str, enough: int, seed: int
) -> None:
    dice = random.Random(seed)
    some = [file(f"d/f{number:04}") for number in range(995)]
    last = [directory("d/e"), file("d/g6"), file("d/g567890"), file("d/e/f"), file("d/g4")]
    data = layer(*some, *last)
    assert isinstance(same_by_all_ways(data, Limits(**{bound: enough}), dice)[0], bytes)
    assert same_by_all_ways(data, Limits(**{bound: enough - 1}), dice)[0] is LimitError


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([whiteout("a"), file("a")], id="a whiteout before its own file"),
        pytest.param([whiteout("d/a"), file("d/a/b")], id="a whiteout before what implies it"),
        pytest.param([file("a"), whiteout("a"), directory("a")], id="a whiteout between"),
        pytest.param(
            [file(".wh..wh.plnk/x"), file(".wh..wh.plnk/y"), file(".wh..wh.orph")],
            id="what aufs leaves",
        ),
        pytest.param([file(".wh."), file("d/.wh..wh..opq"), file("d/.wh.b", b"x")], id="bad marks"),
        pytest.param([file("a"), directory("a"), file("a/b"), file("a")], id="types that change"),
        pytest.param([file("d/a"), directory("d"), directory("d")], id="a directory after"),
        pytest.param([file("f"), file("f/x"), file("f/y/z")], id="files below a file"),
        pytest.param([entry("a", fields={"name": b"b\0c"}), file("d")], id="a name behind a NUL"),
        pytest.param([entry("a", fields={"name": bytes(100)}), file("d")], id="no name"),
        pytest.param([directory("."), directory("./"), file("./.")], id="the root"),
        pytest.param([file("../a"), file("d/../../a"), file("/a"), file("//a")], id="climbers"),
        pytest.param([file("x/.a"), file(".a/x"), file("./.a/y"), file("...")], id="dots"),
        pytest.param(
            [entry("a", "0", bytes(10), fields={"size": b"000000000012"}), file("b")],
            id="a size of twelve digits",
        ),
        pytest.param(
            [entry("a", fields={"mtime": b"777777777777"}), entry("b", linkname="x")],
            id="a time of twelve digits and a link of a file",
        ),
        pytest.param(
            [file("d" * 100 + "/" + "e" * 54 + "/" + "f" * 100), file("g/" + "h" * 101)],
            id="the longest names",
        ),
        pytest.param(
            [entry("a", checksum="signed"), file(b"\xc3\xa4"), file(b"\xff")], id="high bytes"
        ),
    ],
)
def test_each_way_places_what_is_odd_in_one_way(entries: list[Entry], seed: int) -> None:
    tar = layer(*entries, file("last"))
    assert isinstance(same_by_all_ways(tar, Limits(), random.Random(seed))[0], bytes)


def test_content_that_its_type_cannot_have_is_named_where_the_next_header_is_missed(
    seed: int,
) -> None:
    # What stands there looks like the header of a file but for its checksum.
    inner = b"#" + layer(file("x"))[1:512]
    data = layer(file("a"), entry("d", "5", inner), file("b"))
    found = same_by_all_ways(data, Limits(), random.Random(seed))
    assert found[0] is TarError
    assert "a size of 512, yet its type has no content" in str(found)
    data = layer(file("a"), entry("l", "2", size=512), entry("b", "0", inner, size=0))
    found = same_by_all_ways(data, Limits(), random.Random(seed))
    assert found[0] is TarError
    assert "has no content" not in str(found)


def test_ordinary_headers_are_not_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # Else the two ways compared above would be one.
    data = layer(*(file(f"d/f{number}") for number in range(500)))
    blocks: list[int] = []

    def counted(headers: list[bytes]) -> Any:
        blocks.append(len(headers))
        return read_plain(headers)

    assert by_batch(data, Limits(), random.Random(1), counted)[0] == by_entry(data, Limits())[0]
    assert sum(blocks) > 400


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[1].joinpath("images").glob("*.tar")), ids=lambda p: p.name
)
def test_each_way_gives_one_index_of_a_real_archive(path: Path, seed: int) -> None:
    same_by_all_ways(path.read_bytes(), Limits(), random.Random(seed))


@pytest.mark.parametrize(
    ("loaded", "installed", "used"),
    [(True, True, 1), (False, True, 2), (False, False, None)],
    ids=["is there from the start", "is worth an import later", "is not installed"],
)
def test_numpy_is_used_where_it(
    loaded: bool, installed: bool, used: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numpy", reason="the extra `fast` is not installed")
    if not loaded:
        monkeypatch.delitem(sys.modules, "numpy")
    numpy = importlib.import_module if installed else None
    asked: list[str] = []

    def imported(name: str) -> object:
        asked.append(name)
        if numpy is None:
            raise ImportError(name)
        return numpy("json")

    read: list[int] = []

    def vectors(blocks: list[bytes]) -> Any:
        read.append(len(blocks))
        return read_plain(blocks)

    monkeypatch.setattr(batch_placer, "import_module", imported)
    monkeypatch.setattr(batch_placer, "_WORTH_AN_IMPORT", 3000)
    monkeypatch.setattr("unionlayers._tar.vector_headers.read_plain", vectors)
    stream = MemorySource(layer(*(file(f"f{number}") for number in range(9000))))
    with open_forward(stream, "identity", limits=Limits()) as forward:
        builder = IndexBuilder(Limits())
        placer = batch_placer.BatchPlacer(builder)
        for batch in TarReader(forward, Limits()).batches(forward.at_hand):
            placer.place(batch)
    assert builder.entries == 9000
    assert asked == ["numpy"]
    if used is None:
        assert read == []
    elif used == 1:
        assert sum(read) > 8900
    else:
        assert 0 < sum(read) < 7000
