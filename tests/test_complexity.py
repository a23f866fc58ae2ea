"""What things cost, in counted operations and counted bytes, never in seconds."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import pytest

from unionlayers import open_image
from unionlayers._layers.changeset import PlainChangeset
from unionlayers.testing import (
    Entry,
    ImageDescription,
    LayerDescription,
    directory,
    docker_archive,
    file,
    layer,
    symlink,
)


def node_modules(packages: int) -> list[Entry]:
    """Give a tree like those that npm makes: many small files in many folders."""
    entries = [directory("app"), directory("app/node_modules")]
    for number in range(packages):
        root = f"app/node_modules/package-{number}"
        entries.append(directory(root))
        entries.append(directory(f"{root}/lib"))
        entries.extend(
            file(f"{root}/lib/module-{part}.js", b"x" * part, mtime=1_700_000_000 + number)
            for part in range(12)
        )
        entries.append(file(f"{root}/package.json", b"{}"))
        entries.append(symlink(f"{root}/main.js", "lib/module-0.js"))
    return entries


def opened(*layers: Any) -> Any:
    """Give an image of layers that are stored plain."""
    return open_image(io.BytesIO(docker_archive(ImageDescription(layers))))


def test_the_index_takes_at_most_75_bytes_for_an_entry() -> None:
    with opened(node_modules(300)) as image:
        index = image.layers[0].load()
    assert index.entries == 300 * 16 + 2
    assert index.nbytes / index.entries <= 75


def test_times_with_fractions_and_long_names_stay_within_75_bytes() -> None:
    tar = layer(*(file(f"d/{'n' * 20}{n}", mtime_ns=10**18 + n) for n in range(2000)))
    with opened(tar) as image:
        index = image.layers[0].load()
    assert index.nbytes / index.entries <= 75


def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the directories of layers that are looked at."""
    counted: list[int] = []
    original = PlainChangeset.children

    def children(self: PlainChangeset, number: int) -> Any:
        counted.append(number)
        return original(self, number)

    monkeypatch.setattr(PlainChangeset, "children", children)
    return counted


@pytest.mark.parametrize("others", [10, 100])
def test_a_path_costs_no_more_in_a_tall_stack_of_layers_that_do_not_hold_it(
    others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [[file("deep/er/still/x", b"1")], *([file(f"other{n}")] for n in range(others))]
    with opened(*layers) as image:
        view = image.fs()
        assert view.readbytes("/deep/er/still/x") == b"1"
        counted = looked_at(monkeypatch)
        assert view.readbytes("/deep/er/still/x") == b"1"
        # Each component below the first is asked of the one layer that has it.
        assert len(counted) <= others + 5


def test_a_tree_of_four_thousand_levels_is_walked_without_recursion() -> None:
    deep = "/".join(["d"] * 4000)
    with opened([file(f"{deep}/x", b"1")], [file("top")]) as image:
        view = image.fs()
        assert [path for path, _ in view.find()] == [f"/{deep}/x", "/top"]
        assert view.readbytes(f"/{deep}/x") == b"1"
        assert view.stat(f"/{deep}").st_mode == 0o040755


@pytest.mark.parametrize("codec", ["identity", "gzip"])
def test_reading_a_large_layer_holds_a_bounded_part_of_it(codec: str) -> None:
    size = 160 << 20
    big = LayerDescription(layer(file("big", bytes(size)), file("z", b"end")), codec=codec)
    archive = docker_archive(ImageDescription([big]))
    del big
    tracemalloc.start()
    try:
        with open_image(io.BytesIO(archive)) as image:
            view = image.fs()
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            total = 0
            with view.openbin("/big") as stream:
                while piece := stream.read(1 << 20):
                    total += len(piece)
            peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert total == size
    # 32 MiB of pages and what decoders hold, whatever the size of the layer.
    assert peak < 48 << 20, peak
