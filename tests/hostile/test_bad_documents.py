"""Every document of every form, damaged in every place: the right answer, or an exact error."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_damage import (
    TREE,
    WRONG,
    described,
    documents_of,
    edited,
    judge,
    outcome,
    places,
    replaced,
    source_of,
    twice,
)

from unionlayers.testing import FORMS, image_members

LAYOUTS = [name for name, form in FORMS.items() if form.kind != "layers"]


def cases(form: str) -> list[tuple[str, tuple[Any, ...]]]:
    return [
        (role, way)
        for role, documents in documents_of(form).items()
        for way in dict.fromkeys(way for document in documents for way in places(document))
    ]


# How many values are tried in each place, outside of the campaign.
COUNT = 1


@pytest.mark.parametrize("form", LAYOUTS)
def test_what_is_damaged_here_is_whole_before(form: str, tmp_path: Path) -> None:
    members = image_members(described(form), form=form)
    result = outcome(source_of(form, members, tmp_path))
    assert (result.tree, result.error) == (TREE, None)
    assert len(cases(form)) > 20


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("form", LAYOUTS)
def test_a_wrong_value_in_any_place_of_any_document(
    form: str, verify: bool, tmp_path: Path, seed: int, sample_size: int
) -> None:
    dice = random.Random(f"{seed} {form} {verify}")
    values = [*WRONG, KeyError]
    faults: list[str] = []
    tried = 0
    for role, way in cases(form):
        chosen = values if sample_size > 1000 else dice.sample(values, COUNT)
        for value in chosen:
            members = edited(form, role, replaced(way, value))
            source = source_of(form, members, tmp_path / str(tried))
            tried += 1
            fault = judge(outcome(source, verify=verify), members, partial=form.endswith("v1"))
            if fault is not None:
                faults.append(f"{role} {way} = {str(value)[:60]!r}: {fault}")
    assert not faults, "\n".join(faults)
    assert tried > 20


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("form", LAYOUTS)
def test_a_key_in_two_values_or_two_spellings_is_never_read_as_another_image(
    form: str, swapped: bool, tmp_path: Path, seed: int, sample_size: int
) -> None:
    dice = random.Random(f"{seed} {form} {swapped}")
    faults: list[str] = []
    for number, (role, way) in enumerate(cases(form)):
        if not way or not isinstance(way[-1], str):
            continue
        for value in WRONG if sample_size > 1000 else dice.sample(WRONG, COUNT):
            members = edited(form, role, twice(way, value, swapped=swapped))
            source = source_of(form, members, tmp_path / f"{number}")
            fault = judge(outcome(source), members)
            if fault is not None:
                faults.append(f"{role} {way} = {str(value)[:60]!r}: {fault}")
    assert not faults, "\n".join(faults)


VALUES = st.recursive(
    st.sampled_from(WRONG) | st.integers() | st.text(max_size=20) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(data=st.data())
def test_documents_that_are_damaged_in_several_places_at_once(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from([name for name in LAYOUTS if FORMS[name].kind == "archive"]))
    role, documents = data.draw(st.sampled_from(sorted(documents_of(form).items())))
    ways = sorted(places(documents[0]), key=repr)
    changes = data.draw(
        st.lists(
            st.tuples(st.sampled_from(ways), VALUES | st.just(KeyError)), min_size=1, max_size=4
        )
    )

    def edit(document: Any) -> Any:
        import json

        for way, value in changes:
            changed = replaced(way, value)(document)
            if isinstance(changed, bytes):
                try:
                    document = json.loads(changed or b"null")
                except ValueError:
                    return changed
        return json.dumps(document).encode()

    members = edited(form, role, edit)
    result = outcome(source_of(form, members, Path()))
    # Layers that were taken from manifest and config alike are rightly gone.
    assert judge(result, members, partial=True) is None
