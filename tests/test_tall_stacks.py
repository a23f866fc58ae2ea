"""What the questions cost in stacks of many layers, in counted operations, never in seconds."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from counted_calls import calls_of

from unionlayers import LinkLoopError, Profile, diff, open_image
from unionlayers.testing import (
    Entry,
    ImageDescription,
    directory,
    docker_archive,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
)

Stack = list[list[Entry]]

CAMPAIGN = bool(os.environ.get("UNIONLAYERS_CAMPAIGN"))

# How many layers; the first stack loads what is loaded late.
FEW = (3, 20, 40, 80)
COUNTS = (5, 30, 60, 120) if CAMPAIGN else FEW
# More than Python has frames, also in `make test`; following such links takes the square of it.
THOUSANDS = 3000 if CAMPAIGN else 1200


@cache
def archive_of(stack_of: Callable[[int], Stack], count: int) -> bytes:
    """Give an archive of layers that are stored plain; making one takes longer than opening it."""
    return docker_archive(ImageDescription(stack_of(count)))


def opened(stack_of: Callable[[int], Stack], count: int, **options: Any) -> Any:
    return open_image(io.BytesIO(archive_of(stack_of, count)), **options)


def grows_evenly(costs: list[int]) -> bool:
    """Tell whether four times the layers cost no more than five times as much, from n to 4 n."""
    small, middle, large = costs
    return middle <= 2.5 * small and large <= 2.5 * middle


# -- stacks of a stranger --------------------------------------------------------------------------


def made_anew(count: int) -> Stack:
    """Give a directory that every layer hides and makes again."""
    return [[whiteout("d"), file(f"d/f{n}", "x")] for n in range(count)]


def emptied(count: int) -> Stack:
    """Give a directory that every layer makes opaque."""
    return [[opaque("d"), file(f"d/e/f{n}", "x")] for n in range(count)]


def link_and_back(count: int) -> Stack:
    """Give a directory that becomes a link and a directory again, layer by layer."""
    both = [directory("d"), file("d/x", "1")], [symlink("d", "t")]
    return [[file("t/x", "1")], *(both[n % 2] for n in range(count))]


def names_of_a_lower_file(count: int) -> Stack:
    """Give a file of which every layer makes another name."""
    return [[file("f", "1")], *([hardlink(f"h{n}", "f", mtime=n)] for n in range(count))]


def one_name_linked_again(count: int) -> Stack:
    """Give a file to which every layer links the same name."""
    return [[file("f", "1")], *([hardlink("h", "f", mtime=n)] for n in range(count))]


def links_to_links(count: int) -> Stack:
    """Give a file, and in each layer a hard link to the one of the layer beneath."""
    return [[file("h0", "1")], *([hardlink(f"h{n + 1}", f"h{n}")] for n in range(count))]


def links_in_turn(count: int) -> Stack:
    """Give two files to which every layer links one name in turn, and one that stays."""
    return [
        [file("f0", "1"), file("f1", "1")],
        *([hardlink("h", f"f{n % 2}"), hardlink(f"n{n}", f"f{n % 2}")] for n in range(count)),
    ]


def deep_and_renamed(count: int) -> Stack:
    """Give a tree of many levels that every layer has under another name."""
    deep = "/".join("d" * 60)
    return [
        [whiteout(f"a{n - 1}"), file(f"a{n}/{deep}/f", "x")] if n else [file(f"a0/{deep}/f", "x")]
        for n in range(count)
    ]


def a_link_in_each(count: int) -> Stack:
    """Give symbolic links, each of a layer of its own, that lead one to the next."""
    return [[file("l0", "x")], *([symlink(f"l{n + 1}", f"l{n}")] for n in range(count))]


def a_file_in_each(count: int) -> Stack:
    """Give a directory to which every layer adds a file and a directory."""
    return [[directory(f"d/e{n}"), file(f"d/e{n}/f", "x"), file(f"d/f{n}")] for n in range(count)]


def written_again(count: int) -> Stack:
    """Give a file that every layer replaces."""
    return [[file("a/b/f", "x", mtime=n)] for n in range(count)]


STACKS = [
    made_anew, emptied, link_and_back, names_of_a_lower_file, one_name_linked_again,
    links_to_links, links_in_turn, deep_and_renamed, a_link_in_each, a_file_in_each, written_again,
]  # fmt: skip


@pytest.mark.parametrize("stack_of", STACKS)
def test_what_is_hidden_costs_as_much_again_for_as_many_layers_again(
    stack_of: Callable[[int], Stack],
) -> None:
    costs = []
    for count in COUNTS:
        with opened(stack_of, count) as image:
            image.prepare()
            costs.append(calls_of(lambda: (list(image.hidden()), image.waste(), image.timeline())))
    assert grows_evenly(costs[1:]), costs


def asked(image: Any, paths: tuple[str, ...], ask: str) -> Callable[[], object]:
    return lambda: [str(getattr(image, ask)(path)) for path in paths]


# In `make test` each question goes through some of the stacks, and each stack through some of them.
WHY = [
    pytest.param(ask, stack_of, marks=[] if (row + column) % 2 == 0 else [pytest.mark.campaign])
    for row, ask in enumerate(["explain", "history_of"])
    for column, stack_of in enumerate(STACKS)
]


@pytest.mark.parametrize(("ask", "stack_of"), WHY)
def test_why_a_path_is_there_costs_as_much_again_for_as_many_layers_again(
    ask: str, stack_of: Callable[[int], Stack]
) -> None:
    paths = ("/f", "/f0", "/h", "/h0", "/h3", "/d", "/d/x", "/d/f0", "/d/e/f0", "/l3", "/a/b/f")
    costs = []
    for count in COUNTS:
        with opened(stack_of, count) as image:
            image.prepare()
            costs.append(calls_of(asked(image, (*paths, "/none/at/all", "/d/none"), ask)))
    assert grows_evenly(costs[1:]), costs


def each_looked_up(view: Any, count: int) -> list[bool]:
    return [view.exists(f"/d/f{number}") for number in range(count)]


QUESTIONS: dict[str, Callable[[Any], object]] = {
    "prepare": lambda image: image.prepare(),
    "agreement": lambda image: image.agreement(),
    "find": lambda image: [info.raw for _, info in image.fs().find(namespaces=["stat", "layer"])],
    "walk": lambda image: list(image.fs().walk.files()),
    "look up": lambda image: each_looked_up(image.fs(), len(image.layers)),
    "findings": lambda image: image.findings,
    "sizes": lambda image: image.sizes(),
    "diff": lambda image: list(diff(image, (image, slice(0, -1)))),
    "hidden view": lambda image: list(image.hidden().fs.walk.files()),
    "efficiency": lambda image: image.waste().efficiency,
    "export": lambda image: image.fs().export(io.BytesIO()),
    "unreferenced": lambda image: image.unreferenced(),
    "verify": lambda image: image.verify(),
}


OTHERS = [
    pytest.param(
        question,
        stack_of,
        marks=[] if (row + column) % 6 == 0 else [pytest.mark.campaign],
    )
    for row, question in enumerate(QUESTIONS)
    for column, stack_of in enumerate(STACKS)
]


@pytest.mark.parametrize(("question", "stack_of"), OTHERS)
def test_other_questions_cost_as_much_again_for_as_many_layers_again(
    question: str, stack_of: Callable[[int], Stack]
) -> None:
    costs = []
    for count in FEW:
        with opened(stack_of, count) as image:
            costs.append(calls_of(lambda: QUESTIONS[question](image)))
    assert grows_evenly(costs[1:]), costs


XATTRS: dict[str, Callable[[int], dict[str, bytes]]] = {
    "the same one": lambda n: {"user.a": b"%d" % n},
    "another one": lambda n: {f"user.a{n}": b"1"},
    "one beneath all": lambda n: {} if n else {"user.a": b"1"},
}
KEEPING: dict[str, Callable[[Any], object]] = {
    "findings": QUESTIONS["findings"],
    "find": lambda image: [info.raw for _, info in image.fs().find(namespaces=["xattr"])],
    "explain": lambda image: image.explain("/d"),
    "history_of": lambda image: image.history_of("/d"),
}


@pytest.mark.parametrize(
    "is_opaque",
    [pytest.param(False, id="open"), pytest.param(True, id="opaque", marks=pytest.mark.campaign)],
)
@pytest.mark.parametrize("xattrs", XATTRS)
@pytest.mark.parametrize("question", KEEPING)
def test_xattrs_that_stay_are_gathered_once_for_all_heights(
    question: str, xattrs: str, is_opaque: bool
) -> None:
    costs = []
    hidden = [opaque("d")] if is_opaque else []
    # The first one loads what is loaded late.
    for count in (3, 30, 60, 120):
        layers = [
            [directory("d", mtime=n, xattrs=XATTRS[xattrs](n)), *hidden] for n in range(count)
        ]
        archive = docker_archive(ImageDescription(layers))
        with open_image(io.BytesIO(archive), profile=Profile(lower_dir_xattrs="keep")) as image:
            image.prepare()
            costs.append(calls_of(lambda: KEEPING[question](image)))
    assert grows_evenly(costs[1:]), costs


@pytest.mark.parametrize("on_invalid", ["error", "warn"])
@pytest.mark.parametrize("profile", ["oci", "sequential"])
def test_thousands_of_layers_that_lead_to_one_another_are_no_recursion(
    profile: str, on_invalid: str
) -> None:
    with opened(links_to_links, THOUSANDS, profile=profile, on_invalid=on_invalid) as image:
        assert image.fs().readtext(f"/h{THOUSANDS}") == "1"
        assert [version.kind for version in image.history_of("/h7")] == ["added"]
    with opened(a_link_in_each, THOUSANDS, profile=profile, on_invalid=on_invalid) as image:
        assert image.fs().readtext("/l7") == "x"
        with pytest.raises(LinkLoopError):
            image.fs().stat(f"/l{THOUSANDS}")
        assert image.explain(f"/l{THOUSANDS}").leads_to is None
