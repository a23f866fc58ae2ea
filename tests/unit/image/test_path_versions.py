"""What each layer did to a path, told in a table."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pytest

from unionlayers import ClosedError, NotARegularFileError, open_image
from unionlayers.testing import (
    Entry,
    HistoryStep,
    ImageDescription,
    directory,
    docker_archive,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
)

HISTORIES: dict[str, tuple[str, Sequence[Sequence[Entry]], list[tuple[Any, ...]]]] = {
    "a file that one layer adds": ("/f", [[file("f", b"1")]], [(0, "added", ())]),
    "a file that is changed": (
        "/f",
        [[file("f", b"1", mode=0o600)], [], [file("f", b"22", mode=0o4600)]],
        [(0, "added", ()), (2, "changed", ("content", "size", "mode"))],
    ),
    "a file of the same size and other content": (
        "/f",
        [[file("f", b"1")], [file("f", b"2")]],
        [(0, "added", ()), (1, "changed", ("content",))],
    ),
    "a file that is shipped once more": (
        "/f",
        [[file("f", b"1")], [file("f", b"1")]],
        [(0, "added", ()), (1, "rewritten", ())],
    ),
    "an owner that is changed, with the content shipped again": (
        "/f",
        [[file("f", b"1")], [file("f", b"1", uid=5, gid=6)]],
        [(0, "added", ()), (1, "changed", ("uid", "gid"))],
    ),
    "a whiteout, and the file once more": (
        "/d/f",
        [[file("d/f", b"1")], [whiteout("d/f")], [file("d/f", b"1")]],
        [(0, "added", ()), (1, "hidden", ()), (2, "re-added", ())],
    ),
    "a whiteout of a directory above": (
        "/a/b/c",
        [[file("a/b/c", b"1")], [whiteout("a")]],
        [(0, "added", ()), (1, "hidden", ())],
    ),
    "an opaque whiteout": (
        "/a/b/c",
        [[file("a/b/c", b"1")], [opaque("a"), file("a/new", b"")]],
        [(0, "added", ()), (1, "hidden", ())],
    ),
    "a directory on the way that becomes a file": (
        "/a/b",
        [[file("a/b", b"1")], [file("a", b"")]],
        [(0, "added", ()), (1, "hidden", ())],
    ),
    "a file that becomes a link": (
        "/f",
        [[file("f", b"1", mode=0o777)], [symlink("f", "g")]],
        [(0, "added", ()), (1, "replaced", ("type", "link"))],
    ),
    "a directory whose mode is changed, and which others only imply": (
        "/d",
        [[directory("d", mode=0o700)], [file("d/x", b"")], [directory("d", mode=0o711)]],
        [(0, "added", ()), (2, "changed", ("mode",))],
    ),
    "a hard link above that changes the inode": (
        "/f",
        [[file("f", b"1", mode=0o600)], [hardlink("g", "f", mode=0o4755)]],
        [(0, "added", ()), (1, "changed", ("mode",))],
    ),
    "a file that was linked and is shipped once more by itself": (
        "/f",
        [[file("f", b"1"), hardlink("g", "f")], [file("f", b"1")]],
        [(0, "added", ()), (1, "changed", ("hardlink",))],
    ),
    "a file that is shipped once more with all its links": (
        "/g",
        [[file("f", b"1"), hardlink("g", "f")], [file("f", b"1"), hardlink("g", "f")]],
        [(0, "added", ()), (1, "rewritten", ())],
    ),
    "a layer that unlinks another name": (
        "/f",
        [[file("f", b"1"), hardlink("g", "f")], [whiteout("g")]],
        [(0, "added", ())],
    ),
    "a path that no layer has": ("/none", [[file("f", b"1")]], []),
    "the root": ("/", [[file("f", b"1")]], [(0, "added", ())]),
}


def opened(layers: Sequence[Sequence[Entry]]) -> Any:
    return open_image(io.BytesIO(docker_archive(ImageDescription(layers))))


@pytest.mark.parametrize(("path", "layers", "told"), HISTORIES.values(), ids=HISTORIES)
def test_the_history_of_a_path(
    path: str, layers: Sequence[Sequence[Entry]], told: list[tuple[Any, ...]]
) -> None:
    with opened(layers) as image:
        found = [(v.layer, v.kind, v.fields) for v in image.history_of(path)]
    assert found == told


def test_every_version_with_content_opens_and_the_hidden_one_says_why_not() -> None:
    with opened([[file("f", b"one")], [file("f", b"two")], [whiteout("f")]]) as image:
        first, second, hidden = image.history_of("/f")
        with first.open() as old, second.open() as new:
            assert (old.read(), new.read()) == (b"one", b"two")
        with pytest.raises(NotARegularFileError) as caught:
            hidden.open()
    assert caught.value.layer == 2
    assert hidden.cause.reason == "whiteout"
    assert (hidden.cause.path, hidden.entry) == ("/f", 0)


def test_a_version_names_the_step_and_the_entry() -> None:
    steps = [
        HistoryStep("ADD base"),
        HistoryStep("ENV A=1", empty_layer=True),
        HistoryStep("RUN b"),
    ]
    described = ImageDescription(
        [[file("f", b"1")], [file("e", b""), file("f", b"2")]],
        history=steps,
    )
    with open_image(io.BytesIO(docker_archive(described))) as image:
        versions = image.history_of("f")
    assert [(v.step.created_by, v.entry) for v in versions if v.step] == [
        ("ADD base", 0),
        ("RUN b", 1),
    ]


ABSENCES: dict[str, tuple[str, Sequence[Sequence[Entry]], tuple[Any, ...]]] = {
    "a whiteout": ("/f", [[file("f", b"")], [whiteout("f")]], ("whiteout", 1, 0, "/f")),
    "a whiteout above": ("/a/b", [[file("a/b", b"")], [whiteout("a")]], ("whiteout", 1, 0, "/a")),
    "an opaque whiteout": (
        "/a/b/c",
        [[file("a/b/c", b"")], [file("a/n", b""), opaque("a")]],
        ("opaque", 1, 1, "/a"),
    ),
    "an opaque whiteout of the root": (
        "/a",
        [[file("a", b"")], [opaque("")]],
        ("opaque", 1, 0, "/"),
    ),
    "a directory that became a file": (
        "/a/b",
        [[file("a/b", b"")], [file("x", b""), file("a", b"")]],
        ("type change", 1, 1, "/a"),
    ),
    "a path through a file": ("/f/x/y", [[file("f", b"")]], ("not a directory", None, None, "/f")),
    "a file that is asked for as a directory": (
        "/f/",
        [[file("f", b"")]],
        ("not a directory", None, None, "/f"),
    ),
    "a link to a file, asked for as a directory": (
        "/l/",
        [[file("f", b""), symlink("l", "f")]],
        ("not a directory", None, None, "/f"),
    ),
    "a way up out of a file": (
        "/f/../g",
        [[file("f", b""), file("g", b"")]],
        ("not a directory", None, None, "/f"),
    ),
    "a way up out of what is not there": (
        "/d/none/../f",
        [[file("d/f", b"")]],
        ("missing parent", None, None, "/d"),
    ),
    "links that lead in a circle": (
        "/a/x",
        [[symlink("a", "b"), symlink("b", "a")]],
        ("link loop", None, None, "/b"),
    ),
    "a parent that no layer has": (
        "/d/e/f",
        [[file("d/x", b"")]],
        ("missing parent", None, None, "/d"),
    ),
    "a name that no layer has": ("/d/f", [[file("d/x", b"")]], ("never", None, None, "/d")),
}


@pytest.mark.parametrize(("path", "layers", "told"), ABSENCES.values(), ids=ABSENCES)
def test_why_a_path_is_absent(
    path: str, layers: Sequence[Sequence[Entry]], told: tuple[Any, ...]
) -> None:
    with opened(layers) as image:
        explained = image.explain(path)
    absence = explained.absence
    assert absence is not None
    assert not explained.present
    assert explained.version is None
    assert (absence.reason, absence.layer, absence.entry, absence.path) == told
    assert "nothing" in str(explained)


@pytest.mark.parametrize("path", ["d/f", "//d//f", "/d/./f", "/d/../d/f", "/../d/f", "./d/f"])
def test_a_path_may_be_spelt_in_any_way(path: str) -> None:
    with opened([[file("d/f", b"1")]]) as image:
        explained = image.explain(path)
        assert (explained.path, explained.real_path, explained.present) == (path, "/d/f", True)
        assert [version.path for version in image.history_of(path)] == ["/d/f"]


def test_what_is_not_there_by_way_of_something_else_has_no_history_of_it() -> None:
    with opened([[file("f", b"1")]]) as image:
        for path in ("/f/", "/none/../f", "/f/."):
            assert image.history_of(path) == ()
            assert image.explain(path).shadowed == ()


def test_an_image_that_was_closed_says_so() -> None:
    with opened([[file("f", b"1")]]) as image:
        (version,) = image.history_of("/f")
    for ask in (image.explain, image.history_of):
        with pytest.raises(ClosedError):
            ask("/f")
    with pytest.raises(ClosedError):
        version.open()


def test_links_on_the_way_are_followed_and_told() -> None:
    layers = [
        [directory("usr/lib"), file("usr/lib/x", b"old"), symlink("lib", "usr/lib")],
        [file("usr/lib/x", b"new"), symlink("usr/lib/y", "x"), symlink("usr/lib/z", "nowhere")],
    ]
    with opened(layers) as image:
        explained = image.explain("/lib/x")
        link = image.explain("/lib/y")
        dangling = image.explain("/lib/z")
    assert explained.real_path == "/usr/lib/x"
    assert [(found.path, found.target) for found in explained.links] == [("/lib", "usr/lib")]
    assert explained.version is not None
    assert explained.version.layer == 1
    assert [version.layer for version in explained.shadowed] == [0]
    assert link.leads_to == "/usr/lib/x"
    assert dangling.leads_to is None
    assert "leads to nothing" in str(dangling)


def test_what_a_deleted_path_was_is_told() -> None:
    with opened([[file("f", b"secret")], [whiteout("f")]]) as image:
        explained = image.explain("f")
    assert [version.size for version in explained.shadowed] == [6]
    assert explained.digest == image.layers[1].digest
    assert "beneath: file 0644 0:0, 6 bytes" in str(explained)


def test_names_are_escaped() -> None:
    with opened([[file("a\x1b[31m\n", b"")]]) as image:
        told = str(image.explain("a\x1b[31m\n"))
    assert told.splitlines()[0] == r"/a\x1b[31m\x0a: file 0644 0:0, 0 bytes"


def test_findings_about_the_path_are_told_and_others_not() -> None:
    layers = [
        [directory("usr/lib"), symlink("lib", "usr/lib"), symlink("bin", "usr/bin")],
        [file("lib/y", b""), file("bin/z", b"")],
    ]
    with opened(layers) as image:
        findings = image.explain("/lib/y").findings
    assert [(finding.code, finding.path) for finding in findings] == [
        ("PARENT_SYMLINK_REPLACED", "/lib")
    ]


def test_what_is_odd_in_the_metadata_of_a_directory_is_no_matter_to_what_is_in_it() -> None:
    with opened([[directory("", mode=0o711), directory("d", mtime=-1), file("d/f")]]) as image:
        codes = {
            path: [finding.code for finding in image.explain(path).findings]
            for path in ("/", "/d", "/d/f")
        }
    assert codes == {"/": ["ROOT_ENTRY"], "/d": ["MTIME_OUT_OF_RANGE"], "/d/f": []}


def test_an_opaque_whiteout_further_up_is_named_though_the_layer_has_the_directory_again() -> None:
    with opened([[file("d/e/f", b"1")], [opaque("d"), directory("d/e")]]) as image:
        absence = image.explain("/d/e/f").absence
        assert absence is not None
        assert (absence.reason, absence.path, absence.layer, absence.entry) == (
            "opaque",
            "/d",
            1,
            0,
        )
