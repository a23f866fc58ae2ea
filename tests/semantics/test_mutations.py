"""The table notices when a rule is broken: each committed fault makes its cases go red."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from catalogue import CASES
from mutations import MUTATIONS, Mutation

import unionlayers

PACKAGE = Path(unionlayers.__file__).parent
TABLE = Path(__file__).parent / "table"
# A bounded part of them for every run.
SAMPLE = MUTATIONS[:: max(1, len(MUTATIONS) // 5)]

# Cases that no fault of the package can make red, and why.
NONE = {
    "L8": "an archive names its layers, and no chain of digests leads to them; what Docker's own "
    "folder does is held by the tests of stores",
}


def named(mutation: Mutation) -> str:
    return f"{' '.join(mutation.cases)} {mutation.module} {MUTATIONS.index(mutation)}"


def red(folder: Path, mutation: Mutation) -> set[str]:
    """Give those of a mutation's cases that a copy of the package with the fault gets wrong."""
    copy = folder / "unionlayers"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    module = copy / f"{mutation.module}.py"
    text = module.read_text(encoding="utf-8")
    assert text.count(mutation.before) == 1, "the mutation is stale"
    module.write_text(text.replace(mutation.before, mutation.after), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-B", TABLE / "judge.py", *mutation.cases],
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{TABLE}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("mutation", MUTATIONS, ids=named)
def test_no_mutation_is_stale(mutation: Mutation) -> None:
    text = (PACKAGE / f"{mutation.module}.py").read_text(encoding="utf-8")
    assert text.count(mutation.before) == 1
    assert mutation.before != mutation.after
    assert set(mutation.cases) <= set(CASES)


def test_every_case_has_a_mutation_or_a_reason_why_there_is_none() -> None:
    mutated = {case for mutation in MUTATIONS for case in mutation.cases}
    assert set(CASES) - mutated == set(NONE)
    assert not mutated & set(NONE)


@pytest.mark.parametrize("mutation", SAMPLE, ids=named)
def test_a_broken_rule_makes_its_cases_red(mutation: Mutation, tmp_path: Path) -> None:
    assert red(tmp_path, mutation) == set(mutation.cases)


@pytest.mark.campaign
@pytest.mark.parametrize("mutation", MUTATIONS, ids=named)
def test_every_broken_rule_makes_its_cases_red(mutation: Mutation, tmp_path: Path) -> None:
    assert red(tmp_path, mutation) == set(mutation.cases)


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(sorted({case for one in SAMPLE for case in one.cases}), id="of the sample"),
        # The table itself is asked whole in every run.
        pytest.param(sorted(CASES), id="all", marks=pytest.mark.campaign),
    ],
)
def test_nothing_is_red_without_a_fault(cases: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-B", TABLE / "judge.py", *cases],
        env={**os.environ, "PYTHONPATH": f"{PACKAGE.parent}{os.pathsep}{TABLE}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (done.stdout, done.stderr) == ("", "")
