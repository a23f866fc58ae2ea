"""Paths lead where the kernel leads them, in a folder that is taken for the root."""

from __future__ import annotations

import ctypes
import errno
import io
import os
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unionlayers import PathError, open_image
from unionlayers._layers.resolution import resolve
from unionlayers._layers.union import Union
from unionlayers.testing import Entry, ImageDescription, directory, docker_archive, file, symlink

OPENAT2 = 437
IN_ROOT = 0x10
O_PATH = getattr(os, "O_PATH", 0)


def opened_in(root: int, path: str, *, follow: bool) -> int | str:
    """Open a path beneath a folder as a root; gives a descriptor, or the name of the error."""
    flags = O_PATH | (0 if follow else os.O_NOFOLLOW)
    how = struct.pack("QQQ", flags, 0, IN_ROOT)
    libc = ctypes.CDLL(None, use_errno=True)
    found: int = libc.syscall(OPENAT2, root, path.encode(), how, len(how))
    return found if found >= 0 else errno.errorcode[ctypes.get_errno()]


def why_not() -> str | None:
    if not sys.platform.startswith("linux"):
        return "openat2 is a call of Linux"
    root = os.open("/", os.O_RDONLY)
    try:
        found = opened_in(root, "/", follow=True)
    finally:
        os.close(root)
    if isinstance(found, str):
        return f"openat2 cannot be called here: {found}"
    os.close(found)
    return None


NAMES = st.sampled_from(["a", "b", "c", "d"])
PARTS = st.sampled_from(["a", "b", "c", "d", "..", ".", ""])
PATHS = st.builds(
    lambda slash, parts, end: slash + "/".join(parts) + end,
    st.sampled_from(["", "/", "//"]),
    st.lists(PARTS, min_size=1, max_size=6),
    st.sampled_from(["", "", "/", "/.", "/.."]),
)
PLACES = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(
    PLACES,
    st.one_of(st.just("file"), st.just("directory"), st.tuples(st.just("link"), PATHS)),
    min_size=3,
    max_size=12,
)


def laid_out(wanted: dict[str, object]) -> dict[str, object]:
    """Leave out what has something else than a directory on its way."""
    kept: dict[str, object] = {}
    for place in sorted(wanted, key=lambda place: place.count("/")):
        above = [place[:end] for end, char in enumerate(place) if char == "/"]
        if all(kept.get(folder, "directory") == "directory" for folder in above):
            kept.update(dict.fromkeys(above, "directory"))
            target = wanted[place]
            if not (isinstance(target, tuple) and not target[1]):
                kept.setdefault(place, target)
    return kept


def entries(tree: dict[str, object]) -> Iterator[Entry]:
    for place, what in tree.items():
        if isinstance(what, tuple):
            yield symlink(place, what[1])
        else:
            yield directory(place) if what == "directory" else file(place, place)


@contextmanager
def on_disk(tree: dict[str, object]) -> Iterator[tuple[int, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        for place, what in tree.items():
            path = Path(folder, place)
            if isinstance(what, tuple):
                path.symlink_to(what[1])
            elif what == "directory":
                path.mkdir()
            else:
                path.write_text(place)
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield root, Path(folder)
        finally:
            os.close(root)


def by_kernel(root: int, folder: Path, path: str, *, follow: bool) -> str:
    found = opened_in(root, path, follow=follow)
    if isinstance(found, str):
        return found
    try:
        place = os.readlink(f"/proc/self/fd/{found}")
    finally:
        os.close(found)
    return place.removeprefix(str(folder.resolve())) or "/"


def by_us(union: Union, path: str, *, follow: bool) -> str:
    try:
        return resolve(union, path, follow=follow).node.path
    except PathError as error:
        return errno.errorcode[error.errno or 0]


REASON = why_not()


@pytest.mark.skipif(REASON is not None, reason=REASON or "")
@given(wanted=TREES, paths=st.lists(PATHS, min_size=1, max_size=8))
def test_a_path_leads_where_the_kernel_leads_it(
    wanted: dict[str, object], paths: list[str]
) -> None:
    tree = laid_out(wanted)
    archive = docker_archive(ImageDescription([list(entries(tree))]))
    with open_image(io.BytesIO(archive)) as image, on_disk(tree) as (root, folder):
        union = image.fs()._union
        for path in paths:
            for follow in (True, False):
                ours = by_us(union, path, follow=follow)
                assert ours == by_kernel(root, folder, path or "/", follow=follow), (path, follow)


@pytest.mark.skipif(REASON is not None, reason=REASON or "")
@pytest.mark.parametrize("links", [39, 40, 41])
def test_as_many_links_are_followed_as_by_the_kernel(links: int) -> None:
    tree: dict[str, object] = {f"l{n}": ("link", f"l{n + 1}") for n in range(links)}
    tree[f"l{links}"] = "file"
    archive = docker_archive(ImageDescription([list(entries(tree))]))
    with open_image(io.BytesIO(archive)) as image, on_disk(tree) as (root, folder):
        theirs = by_kernel(root, folder, "/l0", follow=True)
        assert by_us(image.fs()._union, "/l0", follow=True) == theirs
        assert (theirs == "ELOOP") is (links > 40)
