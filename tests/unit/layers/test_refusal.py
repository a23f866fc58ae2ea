"""What a layer shows for what others are does not depend on which of them was asked first."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from cases_stacks import ROWS
from row import REFUSED, Row

from unionlayers import LayerError
from unionlayers._layers.union import Union


def told(union: Union) -> dict[str, Any]:
    """Give the type of each path, and the inode of what is no directory."""
    found: dict[str, Any] = {}
    pending = [union.root.node()]
    while pending:
        node = pending.pop()
        found[node.path] = union.form(node), None if node.directory else union.inode(node)
        pending.extend(node.directory.nodes() if node.directory is not None else ())
    return found


def answer(row: Row, profile: str, on_invalid: str, first: tuple[int, ...]) -> Any:
    with row.open(profile, on_invalid) as image:
        union = image.union()
        try:
            for slot in first:
                union.changeset(slot)
            return told(union)
        except LayerError:
            return REFUSED


@pytest.mark.parametrize("on_invalid", ["error", "warn"])
@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.case} {row.fact}")
def test_layers_may_be_asked_in_any_order(row: Row, profile: str, on_invalid: str) -> None:
    assert not callable(row.layers)
    orders = permutations(range(len(row.layers)))
    answers = [answer(row, profile, on_invalid, first) for first in orders]
    assert all(one == answers[0] for one in answers)
    assert (answers[0] == REFUSED) is (on_invalid == "error" and row.answer(profile) == REFUSED)
