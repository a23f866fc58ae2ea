"""Whatever the layers are, a mounted image is what its view shows."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

from facts import Tree, differences, tree_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mounting import device_or_skip
from random_stacks import applicable, opened, stacks
from truth import describe

from unionlayers.testing import Entry

EXAMPLES = max(10, (settings.default.max_examples if settings.default else 50) // 5)


def told(tree: Tree) -> dict[str, dict[str, Any]]:
    """Give a tree apart from what a mount does not say."""
    return {
        path: {name: value for name, value in fact.items() if name not in {"layer", "implied"}}
        for path, fact in tree.items()
    }


@given(stacks(), st.sampled_from(["oci", "overlay", "sequential"]))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_mount_is_what_the_view_shows(stack: Sequence[Sequence[Entry]], profile: str) -> None:
    device_or_skip()
    below: set[bytes] = set()
    kept = [applicable(layer, "umoci", below) for layer in stack]
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(kept, "warn") as image,
        image.fs(profile=profile) as view,
        image.mount(folder, profile=profile) as mount,
    ):
        found = {str(fact["path"]): fact for fact in describe(mount.path)}
        assert differences(told(tree_of(view)), found) == {}
        assert mount.errors == ()
