"""
Random stacks of layers, for everything that is compared on them.

Each draw is a list of plain builder calls, so that what hypothesis shrinks a failure to can be
pasted into a test.  Nothing is filtered here: marks and entries stand in any order, parents may be
missing, links or files, and hard links may name anything.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from hypothesis import strategies as st

from unionlayers import Image, open_image
from unionlayers.testing import (
    Entry,
    ImageDescription,
    block_device,
    char_device,
    directory,
    fifo,
    file,
    hardlink,
    oci_archive,
    opaque,
    symlink,
    whiteout,
)

__all__ = [
    "Stack",
    "above",
    "apart",
    "applicable",
    "layers",
    "mark_of",
    "opened",
    "paths",
    "stacks",
]

Stack = Sequence[Sequence[Entry]]

names = st.sampled_from([b"a", b"b", b"c d", "é\n".encode(), b"\xff"])
paths = st.lists(names, min_size=1, max_size=3).map(b"/".join)

modes = st.sampled_from([0o644, 0o755, 0o4755, 0o2711, 0o1777, 0])
owners = st.sampled_from([0, 7, 1000, 70_000])
times = st.sampled_from([0, 1_500_000_000_000_000_000, 1_600_000_000_123_456_789])
contents = st.sampled_from([b"", b"one", b"two", b"x" * 1500])
targets = st.sampled_from(["a", "/b/a", "../b", "nowhere", "b", "."])
numbers = st.sampled_from([(1, 3), (8, 0), (300, 70_000)])
attributes = st.sampled_from([{}, {}, {"user.a": b"1"}, {"trusted.k": b"\0\xff"}])

facts = st.fixed_dictionaries(
    {"mode": modes}, optional={"uid": owners, "gid": owners, "mtime_ns": times}
)
plain = st.fixed_dictionaries(
    {"mode": modes},
    optional={"uid": owners, "gid": owners, "mtime_ns": times, "xattrs": attributes},
)
unmoded = st.fixed_dictionaries({}, optional={"uid": owners, "gid": owners, "mtime_ns": times})

entries = st.one_of(
    st.builds(lambda path, data, kw: file(path, data, **kw), paths, contents, plain),
    st.builds(lambda path, kw: directory(path, **kw), paths, plain),
    st.builds(lambda path, to, kw: symlink(path, to, **kw), paths, targets, unmoded),
    st.builds(lambda path, to, kw: hardlink(path, to, **kw), paths, paths, facts),
    st.builds(lambda path, kw: fifo(path, **kw), paths, facts),
    st.builds(lambda path, n, kw: char_device(path, *n, **kw), paths, numbers, facts),
    st.builds(lambda path, n, kw: block_device(path, *n, **kw), paths, numbers, facts),
)
marks = st.one_of(st.builds(whiteout, paths), st.builds(opaque, paths))
root_marks = st.just(opaque(""))


def layers(*, root: bool = True, odd: bool = True) -> st.SearchStrategy[list[Entry]]:
    """
    Give one layer.

    Args:
        root: Whether the image's root may be opaque or have an entry.
        odd: Whether marks may stand after entries.
    """
    mark = st.one_of(marks, root_marks) if root else marks
    brought = entries
    if root:
        brought = st.one_of(entries, st.builds(lambda kw: directory("./", **kw), facts))
    if odd:
        return st.lists(st.one_of(brought, brought, mark), max_size=8)
    return st.builds(
        lambda first, then: [*first, *then],
        st.lists(mark, max_size=3),
        st.lists(brought, max_size=7),
    )


def stacks(
    *, least: int = 1, most: int = 4, root: bool = True, odd: bool = True
) -> st.SearchStrategy[list[list[Entry]]]:
    """Give a stack of layers, base first."""
    return st.lists(layers(root=root, odd=odd), min_size=least, max_size=most)


def opened(stack: Stack, on_invalid: str = "error") -> Image:
    """Open a stack as an image."""
    archive = oci_archive(ImageDescription(stack), codec="identity")
    return open_image(io.BytesIO(archive), on_invalid=on_invalid)  # type: ignore[arg-type]


def above(path: bytes) -> list[bytes]:
    """Give the directories that a path is in, but for the root."""
    parts = path.split(b"/")
    return [b"/".join(parts[:number]) for number in range(1, len(parts))]


def mark_of(entry: Entry) -> bytes | None:
    """Give the path that a whiteout hides, with a slash at the end if it is an opaque one."""
    parent, slash, name = entry.path.rpartition(b"/")
    if not name.startswith(b".wh."):
        return None
    return parent + b"/" if name == b".wh..wh..opq" else parent + slash + name[4:]


def applicable(brought: Sequence[Entry], by: str, below: set[bytes]) -> list[Entry]:
    """
    Leave out of a layer what every runtime refuses (F3, F4, E9, E10), and what this one does.

    On overlayfs those are hard links to lower layers (E3), entries and whiteouts below what the
    layer hides (A6, A9).  *below* has what is no directory of what layers beneath brought, and gets
    that of this one.
    """
    own: dict[bytes, bool] = {}
    kept: list[Entry] = []
    hidden = {mark for entry in brought if (mark := mark_of(entry)) and not mark.endswith(b"/")}
    for entry in brought:
        path = entry.path.rstrip(b"/")
        if mark_of(entry) is not None or path == b".":
            kept.append(entry)
            continue
        is_directory = entry.typeflag == b"5"
        if not all(own.get(parent, True) for parent in above(path)):
            continue
        if path in own and own[path] != is_directory:
            continue
        if by == "overlay" and any(p in hidden and p not in own for p in above(path)):
            continue
        if entry.typeflag == b"1":
            target = entry.linkname
            if target == path or not all(own.get(parent, True) for parent in above(target)):
                continue
            if own.get(target, by == "overlay" or target not in below):
                continue
        for parent in above(path):
            own.setdefault(parent, True)
        own[path] = is_directory
        kept.append(entry)

    below.update(path for path, is_directory in own.items() if not is_directory)
    seen: set[bytes] = set()

    def stands(entry: Entry) -> bool:
        mark = mark_of(entry)
        if mark is None:
            return True
        place = [*above(mark.rstrip(b"/")), *([mark.rstrip(b"/")] if mark.endswith(b"/") else [])]
        if by == "overlay" and hidden & set(place):
            return False
        if by == "umoci" and any(parent in below for parent in place):
            # A3, C5: umoci makes no directories for a whiteout, and so none over a file.
            return False
        if by == "overlay" and mark in seen:
            # F1: the kernel makes no device twice.
            return False
        seen.add(mark)
        return all(own.get(parent, True) for parent in place)

    return [entry for entry in kept if stands(entry)]


def apart(stack: Sequence[Sequence[Entry]], crossing: bool) -> list[list[Entry]]:
    """
    Leave out of a stack what has its layers read in sequence: what overlayfs refuses.

    containerd alone takes two entries for one path (F1), and not all entries below what is no
    directory in lower layers (C5, D1): *crossing* says which of the two stay.
    """
    below: set[bytes] = set()
    kept: list[list[Entry]] = []
    for layer in stack:
        brought: list[Entry] = []
        seen: set[bytes] = set()
        for entry in applicable(layer, "overlay", set()):
            path = (mark_of(entry) or entry.path).rstrip(b"/")
            inside = [*above(path), *([path] if (mark_of(entry) or b"").endswith(b"/") else [])]
            if (path in seen) if crossing else bool(below & set(inside)):
                continue
            seen.add(path)
            brought.append(entry)
        for entry in brought:
            if entry.typeflag != b"5":
                below.add(mark_of(entry) or entry.path)
        kept.append(brought)
    return kept
