"""What commands say of real images is what a real runtime made of them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real_images import CASES, Case, truth

CASES_HERE = [case for case in CASES if case.folder is None and case.archive.exists()]
IDS = [f"{case.archive.name}-{case.reference or ''}" for case in CASES_HERE]

pytestmark = pytest.mark.parametrize("case", CASES_HERE, ids=IDS)


def arguments(case: Case) -> list[str]:
    found = [str(case.archive)]
    if case.reference is not None:
        found += ["--ref", case.reference]
    if case.platform is not None:
        found += ["--platform", case.platform]
    return found


def expected(case: Case) -> dict[str, dict[str, Any]]:
    return {f"/{path}": fact for path, fact in truth(case.truth).items() if path != "."}


def test_find_gives_every_path_byte_for_byte(case: Case, cli: Callable[..., Any]) -> None:
    done = cli("find", *arguments(case), "-print0")
    paths = done.raw.decode("utf-8", "surrogateescape").split("\0")[:-1]
    assert (done.code, sorted(set(paths) - {"/"})) == (0, sorted(expected(case)))


def test_ls_gives_type_mode_owner_and_size(case: Case, cli: Callable[..., Any]) -> None:
    facts = expected(case)
    found = {item["path"]: item for item in cli("ls", *arguments(case), "-aR", "--json").items()}
    assert found.keys() == facts.keys()
    for path, item in found.items():
        fact = facts[path]
        assert (item["uid"], item["gid"]) == (fact["uid"], fact["gid"]), path
        if item["type"] != "symlink":
            assert int(item["mode"], 8) == int(str(fact["mode"]), 8), path
        if item["type"] == "file":
            assert item["size"] == fact["size"], path
        assert item["target"] == (fact.get("linkname") or None), path


def test_tree_draws_as_many_names(case: Case, cli: Callable[..., Any]) -> None:
    facts = expected(case)
    lines = cli("tree", *arguments(case), "-a").lines
    directories = sum(fact["type"] == "dir" for fact in facts.values())
    assert len(lines) == len(facts) + 3
    assert lines[-1].startswith(f"{directories} director")


def test_cat_writes_what_is_in_files(case: Case, cli: Callable[..., Any]) -> None:
    files = [
        (path, fact["sha256"])
        for path, fact in expected(case).items()
        if fact.get("sha256") and path.isascii()
    ]
    for path, digest in files[:: max(1, len(files) // 4)]:
        done = cli("cat", *arguments(case), path)
        assert (done.code, hashlib.sha256(done.raw).hexdigest()) == (0, digest), path


def test_export_writes_a_tar_to_a_pipe(case: Case, cli: Callable[..., Any]) -> None:
    done = cli("export", *arguments(case), "-")
    assert done.code == 0
    with tarfile.open(fileobj=io.BytesIO(done.raw)) as packed:
        names = {f"/{one.name}".rstrip("/") or "/" for one in packed}
    assert {name.replace("/./", "/") for name in names} - {"/", "/."} == set(expected(case))


def test_verify_finds_them_intact(case: Case, cli: Callable[..., Any]) -> None:
    done = cli("verify", *arguments(case))
    assert (done.code, done.lines[-1][:7]) == (0, "intact:")


def test_what_is_said_of_layers_is_said_of_steps(case: Case, cli: Callable[..., Any]) -> None:
    layers = cli("layers", *arguments(case), "--json").document()["layers"]
    steps = cli("history", *arguments(case), "--json").document()["steps"]
    made = {step["layer"]: step["created_by"] for step in steps if step["layer"] is not None}
    assert {one["index"]: one["created_by"] for one in layers} == made


def test_a_path_is_explained_by_the_layer_that_stat_names(
    case: Case, cli: Callable[..., Any]
) -> None:
    paths = [path for path, fact in expected(case).items() if fact["type"] != "dir"]
    some = paths[:: max(1, len(paths) // 6)]
    told = cli("stat", *arguments(case), *some, "--json").items()
    explained = cli("explain", *arguments(case), *some, "--json").items()
    assert [one["version"]["layer"] for one in explained] == [one["layer"] for one in told]


def test_all_commands_say_something(case: Case, cli: Callable[..., Any], tmp_path: Path) -> None:
    for command in ("images", "layers", "history", "hidden", "agreement"):
        done = cli(command, *arguments(case)) if command != "images" else cli(command, case.archive)
        assert done.code in (0, 1), (command, done.err)
        assert done.out, command
    done = cli("export", *arguments(case), str(tmp_path / "all.tar"))
    assert (done.code, done.err) == (0, "")
