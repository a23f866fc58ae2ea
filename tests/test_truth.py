"""
Every path of real images against what a real runtime unpacked from them.

``images/real_images.py`` says which, and ``images/README.md`` which tools made them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from facts import differences, tree_of
from real_images import CASES, OUT_OF_RANGE, Case, truth

from unionlayers import open_image


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_path_is_as_the_runtime_showed_it(case: Case, tmp_path: Path) -> None:
    source = case.source(tmp_path)
    expected = truth(case.truth)
    with (
        open_image(source, reference=case.reference, platform=case.platform) as image,
        image.fs() as view,
    ):
        actual = tree_of(view)
    root_is_implied = actual["."]["implied"]
    for fact in actual.values():
        del fact["implied"], fact["layer"]
    for facts in (expected, actual):
        if root_is_implied:
            del facts["."]["mode"], facts["."]["mtime"]
        for path in OUT_OF_RANGE & facts.keys():
            del facts[path]["mtime"]
    assert sorted(actual.keys() - expected.keys()) == []
    assert sorted(expected.keys() - actual.keys()) == []
    assert differences(expected, actual) == {}
