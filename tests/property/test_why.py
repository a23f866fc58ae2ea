"""On any stack: histories end in what is shown, and hidden and visible are all that is shipped."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from random_stacks import above, layers, mark_of, opened, stacks

from unionlayers import HiddenEntry, Image, UnionLayersError
from unionlayers._foundation.names import decode
from unionlayers._image.content import read_content
from unionlayers._layers.comparison import type_name
from unionlayers._layers.path_history import cause_in, locate, path_events
from unionlayers._layers.resolution import resolve
from unionlayers._layers.scan import scan
from unionlayers._layers.union import Union
from unionlayers.testing import directory, file, hardlink, opaque, whiteout


def settled(image: Image) -> bool:
    """Tell whether the stack can be applied at all."""
    try:
        assert image.findings is not None
        for _ in scan(image.union()):
            pass
    except UnionLayersError:
        return False
    return True


def named(stack: Any) -> set[str]:
    """Give every path that an entry or marker speaks of, and those on the way."""
    found = {b""}
    for brought in stack:
        for entry in brought:
            path = (mark_of(entry) or entry.path).strip(b"/").removeprefix(b"./")
            found.update((path, *above(path)))
    return {"/" + decode(path) for path in found}


@given(stacks())
def test_a_history_ends_in_what_is_shown(stack: Any) -> None:
    with opened(stack, "warn") as image:
        if not settled(image):
            return
        union = image.union()
        for path in named(stack):
            place = locate(union, path)
            history = image.history_of(path)
            explained = image.explain(path)
            assert explained.real_path == place.path
            assert explained.present is place.found
            if not place.found:
                assert not history or history[-1].kind == "hidden"
                assert explained.version is None
                assert explained.absence is not None
                continue
            assert explained.absence is None
            assert all(version.kind != "hidden" for version in history[-1:])
            if not history:
                # Only implied, and nothing has anything to say of it.
                continue
            node = resolve(union, place.path, follow=False).node
            entry = union.entry(node)
            last = history[-1]
            assert explained.version == last
            assert (last.type, last.size, last.mode, last.uid, last.gid, last.mtime_ns) == (
                type_name(entry),
                entry.size,
                entry.mode & 0o7777,
                entry.uid,
                entry.gid,
                entry.mtime_ns,
            )
            assert (last.target, last.xattrs) == (entry.target, entry.xattrs)
            if last.type == "file":
                with last.open() as content:
                    assert content.read() == read_content(image, union, node, path)


@given(stacks())
def test_a_history_tells_each_change_once_and_in_order(stack: Any) -> None:
    with opened(stack, "warn") as image:
        if not settled(image):
            return
        for path in named(stack):
            history = image.history_of(path)
            order = [version.layer for version in history]
            assert order == sorted(set(order))
            there, ever = False, False
            for version in history:
                expected = {
                    (False, False): {"added"},
                    (False, True): {"re-added"},
                    (True, True): {"changed", "replaced", "rewritten", "hidden"},
                }[there, ever]
                assert version.kind in expected
                assert (version.kind == "replaced") is ("type" in version.fields)
                assert bool(version.fields) is (version.kind in ("changed", "replaced"))
                there, ever = version.kind != "hidden", True


@given(stacks())
def test_hidden_and_visible_are_all_that_is_shipped_byte_for_byte(stack: Any) -> None:
    with opened(stack, "warn") as image:
        if not settled(image):
            return
        shipped: Counter[bytes] = Counter()
        for brought in stack:
            for entry in brought:
                if mark_of(entry) is None and entry.typeflag == b"0" and entry.content:
                    shipped[entry.content] += 1
        union = image.union()
        shown: Counter[bytes] = Counter()
        seen = set()
        for folder, names in scan(union):
            for name, *_ in names:
                path = f"{folder}/{name}"
                node = resolve(union, path, follow=False).node
                if node.directory is not None or type_name(union.entry(node)) != "file":
                    continue
                inode = union.inode(node)
                if inode not in seen:
                    seen.add(inode)
                    shown[read_content(image, union, node, path)] += 1
        hidden = image.hidden()
        lost: Counter[bytes] = Counter()
        for one in hidden:
            if one.size and one.seen_as is None:
                with one.open() as content:
                    lost[content.read()] += 1
        del shown[b""]
        assert shown + lost == shipped
        waste, sizes = image.waste(), image.sizes()
        size = sum(len(data) * count for data, count in shipped.items())
        assert waste.shipped == sizes.shipped == size
        assert waste.total - waste.duplicates == hidden.size == size - sizes.total
        assert waste.duplicates == sum(
            len(data) * (count - 1) for data, count in shown.items() if count
        )
        assert sizes.by_directory["/"] == sizes.total if sizes.total else not sizes.by_directory
        assert 0.0 <= waste.efficiency <= 1.0
        timeline = image.timeline()
        assert len(timeline) == sum(len(brought) for brought in stack)
        assert timeline.bodyfile().count("\n") == len(timeline)


PROFILES = st.sampled_from(["oci", "overlay", "sequential"])

# Of few names, so that much goes that something else has changed or taken away before.
few = st.sampled_from(["a", "a/b", "a/b/c", "a/b/d", "a/d", "e"])
brought = st.one_of(
    st.builds(file, few, st.sampled_from([b"1", b"22"])),
    st.builds(directory, few),
    st.builds(whiteout, few),
    st.builds(opaque, few),
    st.builds(hardlink, few, few),
)
crowded = st.lists(st.lists(brought, max_size=4), min_size=2, max_size=6)


@given(st.one_of(crowded, stacks(most=5)), PROFILES)
def test_what_hides_an_entry_is_what_the_history_of_its_path_tells_next(
    stack: Any, profile: str
) -> None:
    with opened(stack, "warn") as image:
        if not settled(image):
            return
        union = image.union(profile=profile)
        try:
            hidden = image.hidden(profile=profile)
        except UnionLayersError:
            # A layer that this profile alone does not apply.
            return
        for one in hidden:
            if one.hidden_by == one.layer or one.reason == "duplicate":
                assert (one.hidden_by, one.reason) == (one.layer, "duplicate")
                continue
            assert (one.hidden_by, one.reason) == ended(union, one), one.path
            if locate(union, one.path).path != one.path:
                continue
            # No link on the way leads elsewhere: what is asked by path tells the same.
            told = [
                version
                for version in image.history_of(one.path, profile=profile)
                if one.layer < version.layer <= one.hidden_by
            ]
            if one.type != "directory":
                assert told[-1].layer == one.hidden_by
                # A hard link of a layer between may change the inode, and hides nothing.
                assert all(version.kind == "changed" for version in told[:-1])
            for version in told:
                if version.kind == "hidden":
                    assert version.cause is not None
                    assert (version.layer, version.cause.reason) == (one.hidden_by, one.reason)


def ended(union: Union, hidden: HiddenEntry) -> tuple[int, str] | None:
    """Give the first layer that ends an entry, and how."""
    path = hidden.path.strip("/")
    if hidden.type == "directory":
        for slot in range(hidden.layer + 1, union.top):
            cause = cause_in(union.changeset(slot), path)
            node = union.beneath(slot + 1, path)
            if node is not None and node.directory is None:
                return slot, "type change"
            # One that is made again beside the mark is another one, whatever gives its metadata.
            if cause is not None and (node is None or cause.reason != "type change"):
                return slot, cause.reason
        return None
    for event in path_events(union, hidden.path):
        if event.slot <= hidden.layer:
            continue
        if event.after is None:
            return None if event.cause is None else (event.slot, event.cause.reason)
        if event.after.inode is None:
            return event.slot, "type change"
        if event.after.slot == event.slot:
            return event.slot, "replaced"
    return None


@given(layers())
def test_of_one_layer_nothing_is_hidden_but_by_itself(brought: Any) -> None:
    with opened([brought], "warn") as image:
        if not settled(image):
            return
        assert {one.reason for one in image.hidden()} <= {"duplicate"}
        assert all(len(image.history_of(path)) <= 1 for path in named([brought]))
