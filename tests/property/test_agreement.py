"""Agreement against walking every view to its end: exactly the paths that differ are listed."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given, note, settings
from random_stacks import Stack, opened, stacks

from unionlayers import CorruptError, Image, LayerError, Profile
from unionlayers._image.content import content_of
from unionlayers._layers.entry import shown_time_ns
from unionlayers._layers.scan import scan
from unionlayers._layers.union import Union

CAMPAIGN = bool(os.environ.get("UNIONLAYERS_CAMPAIGN"))
EXAMPLES = 5000 if CAMPAIGN else 100

PRESETS = ("oci", "overlay", "sequential")
OWN = {
    "oci": Profile(),
    "reset": Profile(implied_dir_meta="reset", overlay_xattrs="honour"),
    "keep": Profile(hardlink_meta="keep", root_opaque="ignore", mtime_range="raw"),
    "follow": Profile(symlinked_parent="follow", whiteout_then_dir="merge"),
}


def walked(image: Image, union: Union) -> dict[str, Any]:
    """Give all that a union shows, by path: metadata, content, number of links, or the error."""
    found: dict[str, Any] = {}
    pending = [union.root.node()]
    while pending:
        node = pending.pop()
        directory = node.directory
        if directory is not None:
            inner = [directory.lookup(name) for name in directory.names()]
            pending.extend(item for item in inner if item is not None)
        try:
            entry = union.entry(node)
        except LayerError as error:
            found[node.path] = error.message
            continue
        times = (entry.mtime_ns, entry.atime_ns, entry.ctime_ns)
        is_file = directory is None and entry.type == 0o100000
        source = content_of(image, union, node, node.path) if is_file else None
        found[node.path] = (
            (entry.mode, entry.uid, entry.gid, entry.size, entry.target, entry.device),
            entry.xattrs,
            [time if time is None else shown_time_ns(union.profile, time) for time in times],
            union.link_count(node),
            None if source is None else source.pread(0, source.size),
        )
    return found


def check(stack: Stack, profiles: Any, on_invalid: str) -> None:
    with opened(stack, on_invalid=on_invalid) as image:
        named = profiles if isinstance(profiles, dict) else {name: name for name in profiles}
        trees = {}
        refusing = {}
        unmet = set()
        for name, profile in named.items():
            try:
                # Every layer is known before the first answer, as after a full walk.
                union = image.union(None, profile)
                for slot in range(union.top):
                    union.changeset(slot)
                trees[name] = walked(image, union)
            except CorruptError as error:
                refusing[name] = error
            try:
                for _ in scan(image.union(None, profile)):
                    pass
            except CorruptError:
                unmet.add(name)
        expected = {
            path
            for path in set().union(*trees.values())
            if any(
                tree.get(path) != next(iter(trees.values())).get(path) for tree in trees.values()
            )
        }
        agreement = image.agreement(profiles)
        note(str([(item.path, item.fields, item.cases) for item in agreement]))
        # A walk of all names raises what no runtime could apply, seen or hidden.
        assert set(agreement.refused) == unmet >= set(refusing)
        extra = [item for item in agreement if item.path not in expected]
        # A walk does not meet hard links without a target that are hidden by what is above, and a
        # runtime fails at them all the same: told where others show something, and not where
        # these fail at the same link.
        unseen = [item for item in extra if any(one.error for one in item.answers.values())]
        assert len(extra) - len(unseen) <= len(refusing)
        for path in expected - set(agreement.paths):
            shown = [tree[path] for tree in trees.values() if path in tree]
            assert isinstance(shown[0], str)
            assert shown.count(shown[0]) == len(shown)
        for item in agreement:
            assert item.fields
            assert item.cases, item


@given(stacks(least=2))
@settings(max_examples=EXAMPLES, deadline=None)
def test_the_presets_differ_exactly_where_their_walks_do(stack: Any) -> None:
    check(stack, PRESETS, "error")


@given(stacks(least=2))
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_is_forgiven_is_compared_as_well(stack: Any) -> None:
    check(stack, PRESETS, "warn")


@given(stacks(least=2))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_profiles_differ_exactly_where_their_walks_do(stack: Any) -> None:
    check(stack, OWN, "warn")
