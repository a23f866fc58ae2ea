"""The conformance table: every row under every profile."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import fields
from catalogue import CASES, SECTIONS
from conformance import PAGE, page
from judge import facts_of, strays
from row import PROFILES, REFUSED, Row, shown, words
from rows import ROWS
from switches import SWITCHES

from unionlayers import Profile, UnionLayersError


def pairs(*, refused: bool | None = None) -> list[Any]:
    return [
        pytest.param(row, profile, id=f"{row.case} {row.fact} [{profile}]")
        for row in ROWS
        for profile in PROFILES
        if refused is None or (row.answer(profile) == REFUSED) is refused
    ]


@pytest.mark.parametrize("on_invalid", ["error", "warn"])
@pytest.mark.parametrize(("row", "profile"), pairs(refused=False))
def test_row_shows_its_tree(row: Row, profile: str, on_invalid: str) -> None:
    with row.open(profile, on_invalid) as image:
        assert shown(image.fs()) == words(row.answer(profile))
        assert not strays(row, image.fs(), row.answer(profile))
        for path, facts in row.told(profile).items():
            found = facts_of(image, path)
            assert {key: found[key] for key in facts} == facts


@pytest.mark.parametrize(("row", "profile"), pairs(refused=True))
def test_row_is_refused_with_its_case_and_the_same_each_time(row: Row, profile: str) -> None:
    said = []
    for _ in range(2):
        with pytest.raises(row.error) as caught, row.open(profile) as image:
            shown(image.fs())
        said.append(str(caught.value))
    assert said[0] == said[1]
    if isinstance(row.layers, list) and isinstance(caught.value, UnionLayersError):
        assert caught.value.layer is not None
        assert caught.value.entry is not None
        assert caught.value.case in row.cases


@pytest.mark.parametrize(("row", "profile"), pairs(refused=True))
def test_row_goes_on_under_warn_as_its_case_says(row: Row, profile: str) -> None:
    forgiven = row.forgiven(profile)
    if forgiven is None:
        with pytest.raises(row.error), row.open(profile, "warn") as image:
            shown(image.fs())
        return
    with row.open(profile, "warn") as image:
        assert shown(image.fs()) == words(forgiven)
        assert row.cases & {finding.case for finding in image.findings}


@pytest.mark.parametrize(
    ("row", "profile"), [pair for pair in pairs() if pair.values[0].finding is not None]
)
def test_row_yields_its_finding(row: Row, profile: str) -> None:
    with row.open(profile, "warn") as image:
        found = {(finding.code, finding.case) for finding in image.findings}
    assert row.finding is not None
    assert found & {(code, case) for code in row.finding.split() for case in row.cases}


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=f"{row.case} {row.fact}") for row in ROWS if row.differs],
)
def test_where_profiles_differ_each_finds_it(row: Row) -> None:
    for profile in PROFILES:
        with row.open(profile, "warn") as image:
            assert row.cases & {finding.case for finding in image.findings}


SIZES = {
    "A": 18, "B": 10, "C": 7, "D": 7, "E": 12, "F": 6, "G": 11, "H": 13, "I": 8, "J": 15, "K": 7,
    "L": 16, "M": 8, "O": 4,
}  # fmt: skip


def test_no_case_is_missing_from_the_catalogue() -> None:
    wanted = {f"{section}{n + 1}" for section, size in SIZES.items() for n in range(size)} | {"N"}
    assert set(CASES) == wanted
    assert list(SECTIONS) == sorted({case[0] for case in CASES})


def test_every_case_has_a_row() -> None:
    assert {row.case for row in ROWS} == set(CASES)


def test_no_two_rows_have_one_name() -> None:
    names = [(row.case, row.fact) for row in ROWS]
    assert len(names) == len(set(names))


def test_the_page_of_the_documentation_is_made_from_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), f"run {PAGE.name}'s script again"


def test_every_switch_and_value_has_a_meaning_and_a_case() -> None:
    switches = {field.name: field for field in fields(Profile)}
    assert list(SWITCHES) == list(switches)
    for name, values in SWITCHES.items():
        assert set(switches[name].metadata["cases"]) <= set(CASES)
        for value in values:
            chosen: dict[str, Any] = {name: value}
            assert getattr(Profile(**chosen), name) == value
        wrong: dict[str, Any] = {name: "no value of it"}
        with pytest.raises(ValueError, match=name):
            Profile(**wrong)
