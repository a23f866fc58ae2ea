"""What is exported and opened again is the same tree, and a folder leads nowhere outside."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from facts import differences, tree_of
from hypothesis import given, settings
from hypothesis import strategies as st
from random_stacks import applicable, opened, stacks

from unionlayers import ExportError, UnionFS, open_image
from unionlayers._views.export.links import LinkReader
from unionlayers.testing import Entry, directory, file, symlink

EXAMPLES = settings.default.max_examples if settings.default else 50


def told(view: UnionFS) -> dict[str, dict[str, Any]]:
    """Give what a view shows, apart from the layer that has it."""
    tree = tree_of(view)
    for fact in tree.values():
        del fact["layer"], fact["implied"]
    return tree


@given(stacks(), st.sampled_from(["oci", "overlay", "sequential"]))
@settings(max_examples=EXAMPLES, deadline=None)
def test_an_exported_tar_opens_as_a_layer_with_the_same_tree(
    stack: Sequence[Sequence[Entry]], profile: str
) -> None:
    below: set[bytes] = set()
    kept = [applicable(layer, "umoci", below) for layer in stack]
    with opened(kept, "warn") as image, image.fs(profile=profile) as view:
        expected = told(view)
        stream = io.BytesIO()
        exported = view.export(stream)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "exported.tar")
            assert view.export(path) == exported
            assert os.listdir(folder) == ["exported.tar"]
            assert path.read_bytes() == stream.getvalue()
            with open_image([path], profile=profile) as again, again.fs() as other:
                assert differences(expected, told(other)) == {}
                assert [each.code for each in other.findings if each.code != "ROOT_ENTRY"] == []
                once_more = io.BytesIO()
                other.export(once_more)
    assert once_more.getvalue() == stream.getvalue()


names = st.sampled_from(["a", "b", "c"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
texts = st.lists(st.sampled_from(["a", "b", "c", "..", "..", ".", ""]), min_size=1, max_size=6).map(
    "/".join
)
trees = st.lists(
    st.one_of(
        st.builds(directory, paths),
        st.builds(file, paths),
        st.builds(symlink, paths, texts.filter(bool)),
    ),
    min_size=1,
    max_size=12,
)


def stations(path: str) -> Iterator[str]:
    """
    Give the places that the kernel passes on the way along a path, up to one that is not there.

    Python's own `realpath` goes on by the text behind a name that is missing, or in a circle.
    """
    place = "/"
    pending = path.split("/")[::-1]
    links = 0
    while pending and links <= 40:
        name = pending.pop()
        if name in ("", "."):
            continue
        place = os.path.dirname(place) if name == ".." else os.path.join(place, name)
        if not os.path.lexists(place):
            return
        if os.path.islink(place):
            links += 1
            text = os.readlink(place)
            place = "/" if text.startswith("/") else os.path.dirname(place)
            pending.extend(text.split("/")[::-1])
        elif pending and not os.path.isdir(place):
            return
        else:
            yield place


@pytest.mark.timeout(1800)  # the whole campaign of it takes minutes, more on a busy machine
@given(trees)
@settings(max_examples=EXAMPLES * 4, deadline=None)
def test_every_link_of_a_folder_leads_where_it_does_in_the_image_and_never_out(
    entries: list[Entry],
) -> None:
    with (
        opened([entries], "warn") as image,
        image.fs() as view,
        tempfile.TemporaryDirectory() as above,
    ):
        root = os.path.realpath(os.path.join(above, "root"))
        # What a link that leads out could lead to.
        for name in ("a", "b", "c"):
            os.mkdir(os.path.join(above, name))
        reader = LinkReader(view._union)
        try:
            view.export(root)
        except ExportError:
            links = [path for path, _ in view.find(types=("symlink",))]
            assert any(reader.lead(view._node(path, follow=False)).climbs for path in links)
            return
        for path, _ in view.find(types=("symlink",)):
            written = root + path
            assert stat.S_ISLNK(os.lstat(written).st_mode)
            on_the_way = list(stations(written))[root.count("/") :]
            assert all((place + "/").startswith(root + "/") for place in on_the_way)
            assert os.path.exists(written) == view.exists(path)
            if view.exists(path):
                assert os.path.realpath(written) == (root + view.realpath(path).path).rstrip("/")
        for path, _ in view.find(types=("file",)):
            assert Path(root + path).read_bytes() == view.readbytes(path)


# -- what might be there one day -------------------------------------------------------------------

# "t" and "u" are in no tree: links through them dangle, until somebody makes them.
steps = st.one_of(
    st.builds("{}/..".format, st.sampled_from(["a", "b", "c", "t"])),
    st.sampled_from(["a", "b", "c", "t", "u", "..", ".", "t/u", "b/../.."]),
)
dangling = st.lists(steps, min_size=1, max_size=3).map("/".join)
places = st.one_of(names, names, st.builds("{}/{}".format, names, names))
chains = st.lists(
    st.one_of(
        st.builds(symlink, places, dangling),
        st.builds(symlink, places, dangling),
        st.builds(symlink, places, dangling.map("/{}".format)),
        st.builds(directory, places),
    ),
    min_size=2,
    max_size=8,
)


def leads_out(root: str, path: str, wanted: Callable[[str], bool]) -> bool:
    """
    Follow a path in a folder name by name, and tell whether it leaves it.

    A text with a slash in front starts at the folder, as in a container.  Of the directories that
    are missing on the way those that are *wanted* are made.
    """
    place: list[str] = []
    pending = path.split("/")[::-1]
    passed = set()
    while pending:
        name = pending.pop()
        if name in ("", "."):
            continue
        if name == "..":
            if not place:
                return True
            place.pop()
            continue
        place.append(name)
        here = "/".join([root, *place])
        if os.path.islink(here):
            state = (here, tuple(pending))
            if state in passed or len(pending) > 500:
                return False  # a circle, at each turn of which the same or more is left
            passed.add(state)
            text = os.readlink(here)
            place = [] if text.startswith("/") else place[:-1]
            pending.extend(text.split("/")[::-1])
        elif not os.path.lexists(here):
            if not wanted(here):
                return False
            os.mkdir(here)
    return False


def links_of(root: str) -> list[str]:
    """Give all links of a folder, relative to it."""
    return sorted(
        os.path.relpath(os.path.join(above, name), root)
        for above, directories, files in os.walk(root)
        for name in [*directories, *files]
        if os.path.islink(os.path.join(above, name))
    )


@given(chains, st.sampled_from(["*", "**/a", "b/**", None]), st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_link_of_a_folder_leads_out_whatever_missing_directories_are_made(
    entries: list[Entry], pattern: str | None, choice: Random
) -> None:
    with (
        opened([entries], "warn") as image,
        image.fs() as view,
        tempfile.TemporaryDirectory() as above,
    ):
        for links in ("inside", "skip"):
            # Some of the missing directories, and then all of them.
            root = os.path.join(above, links)
            try:
                view.export(root, links=links, pattern=pattern)
            except ExportError:
                assert links == "inside"
                continue
            for wanted in (lambda _: choice.random() < 0.5, lambda _: True):
                for path in links_of(root):
                    assert not os.readlink(os.path.join(root, path)).startswith("/")
                    assert not leads_out(root, path, wanted)


@given(chains)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_link_is_refused_only_if_it_leads_out_once_the_missing_directories_are_made(
    entries: list[Entry],
) -> None:
    with (
        opened([entries], "warn") as image,
        image.fs() as view,
        tempfile.TemporaryDirectory() as above,
    ):
        root = os.path.join(above, "root")
        view.export(root, links="keep")
        try:
            view.export(os.path.join(above, "inside"))
            refused = None
        except ExportError as error:
            refused = error.path
        out = [path for path in links_of(root) if leads_out(root, path, lambda _: True)]
        assert (refused is not None) == bool(out)
        assert refused is None or refused[1:] in out
