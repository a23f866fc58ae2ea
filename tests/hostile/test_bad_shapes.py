"""Images that are valid and built to cost: deep trees, long chains, links that multiply."""

from __future__ import annotations

import io
from typing import Any

import pytest

from unionlayers import DocumentError, LinkLoopError, open_image
from unionlayers._image.document import parse_document
from unionlayers.testing import (
    ImageDescription,
    directory,
    docker_archive,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
)


def opened(*layers: Any, profile: str = "oci") -> Any:
    return open_image(io.BytesIO(docker_archive(ImageDescription(layers))), profile=profile)


@pytest.mark.parametrize("depth", [500, 3000])
def test_a_tree_deeper_than_the_stack_of_python_is_read(depth: int) -> None:
    path = "/".join("d" * depth)
    with opened([file(f"{path}/low", "1")], [file(f"{path}/high", "2")]) as image:
        view = image.fs()
        assert view.readtext(f"/{path}/low") == "1"
        assert view.listdir(f"/{path}") == ["high", "low"]
        assert [found for found, _ in view.find(None)] == [f"/{path}/high", f"/{path}/low"]


def test_a_deep_tree_is_deleted_by_one_mark() -> None:
    path = "/".join("d" * 2000)
    with opened([file(path)], [whiteout("d")], [file("d/new")]) as image:
        assert [found for found, _ in image.fs().find(None)] == ["/d/new"]
    with opened([file(path)], [opaque("d")]) as image:
        assert image.fs().listdir("/d") == []


def test_links_that_multiply_are_cut_at_the_limit() -> None:
    links = [symlink(f"l{n}", f"l{n - 1}/../l{n - 1}" if n else "d") for n in range(60)]
    with opened([directory("d"), file("d/f", "x"), *links]) as image:
        view = image.fs()
        assert view.readtext("/l2/f") == "x"
        with pytest.raises(LinkLoopError):
            view.readbytes("/l59/f")


def test_hard_links_from_layer_to_layer_are_one_inode() -> None:
    layers = [[file("h0", "x")]]
    layers += [[hardlink(f"h{n}", f"h{n - 1}", mode=0o600 + n % 8)] for n in range(1, 100)]
    with opened(*layers) as image:
        view = image.fs()
        assert view.readtext("/h99") == "x"
        assert view.stat("/h99") == view.stat("/h0")
        assert view.stat("/h0").st_nlink == 100
        assert view.stat("/h0").st_mode == 0o100600 + 99 % 8


def test_hard_links_through_more_layers_than_the_stack_of_python_holds() -> None:
    layers = [[file("h0", "x")]]
    layers += [[hardlink(f"h{n}", f"h{n - 1}")] for n in range(1, 400)]
    with opened(*layers) as image:
        assert image.fs().readtext("/h399") == "x"


@pytest.mark.parametrize("profile", ["oci", "sequential"])
@pytest.mark.parametrize("links", [False, True])
def test_layers_that_ask_those_beneath_are_more_than_the_stack_of_python_holds(
    profile: str, *, links: bool
) -> None:
    layers: list[Any] = [[file("h0", "x")]]
    layers += [
        [hardlink(f"d{n}/h", "h0") if links else file(f"d{n}/h", "x")] for n in range(1, 400)
    ]
    with opened(*layers, profile=profile) as image:
        assert image.fs().readtext("/d399/h") == "x"


def test_hard_links_in_one_layer_may_be_many_and_chained() -> None:
    links = [hardlink(f"h{n}", f"h{n - 1}") for n in range(1, 3000)]
    with opened([file("h0", "x"), *links]) as image:
        assert image.fs().readtext("/h2999") == "x"
        assert image.fs().stat("/h0").st_nlink == 3000


def test_many_layers_are_one_view() -> None:
    with opened(*[[file(f"d/f{number:04d}", str(number))] for number in range(600)]) as image:
        view = image.fs()
        assert len(view.listdir("/d")) == 600
        assert view.readtext("/d/f0000") == "0"


def test_a_key_that_stands_twice_is_found_in_a_large_document_without_delay() -> None:
    # A search in square time would run into the time limit of the suite.
    keys = [f'"{number}": 1' for number in range(300_000)]
    raw = f"{{{','.join([*keys, keys[-1]])}}}".encode()
    with pytest.raises(DocumentError, match="stands twice"):
        parse_document(raw, "repositories").fields()


def test_names_that_differ_in_marks_only_stay_apart() -> None:
    names = [".wh", ".wh.", "..wh.a", ".whx", "wh.a", ".WH.a"]
    with opened([file(name) for name in names if name != ".wh."]) as image:
        assert image.fs().listdir("/") == sorted(name for name in names if name != ".wh.")
        assert image.findings == ()
