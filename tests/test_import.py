"""
What an import costs and says, each case in a process of its own.

``fs`` was written against a ``pkg_resources`` that setuptools has since removed; here stands that
users never notice, whichever setuptools they have.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"

USE_FS = """
import sys
import unionlayers
from unionlayers import UnionFS
import fs, fs.base, fs.opener
assert issubclass(UnionFS, fs.base.FS)
with fs.open_fs("mem://") as memory:
    memory.writetext("a", "b")
"""


def run(
    code: str, *options: str, path: Sequence[Path] = (SOURCE,)
) -> subprocess.CompletedProcess[str]:
    """Run *code* in a fresh interpreter that finds modules on *path* first."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def assert_silent(done: subprocess.CompletedProcess[str]) -> None:
    """Fail unless the process succeeded and printed nothing."""
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture(scope="module")
def without_setuptools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with links to what unionlayers depends on, setuptools left out."""
    folder = tmp_path_factory.mktemp("packages")
    wanted = ["attrs", "fs", "six", "appdirs", "isal", "backports.zstd"]
    for name in wanted:
        try:
            files = importlib.metadata.files(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # not needed on this platform or Python
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            link = folder / top
            if not link.exists():
                link.symlink_to(Path(str(importlib.metadata.distribution(name).locate_file(top))))
    return folder


@pytest.fixture(scope="module")
def newest_setuptools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder that holds a setuptools without ``pkg_resources``."""
    folder = tmp_path_factory.mktemp("setuptools")
    command = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--target",
    ]
    done = subprocess.run(
        [sys.executable, *command, str(folder), "setuptools>=82"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        pytest.skip("pip could not install setuptools>=82 (is there a package index?)")
    assert not (folder / "pkg_resources").exists()
    return folder


def test_import_is_silent_with_the_filters_of_every_day() -> None:
    assert_silent(run(USE_FS))


def test_import_passes_where_every_warning_is_an_error() -> None:
    assert_silent(run(USE_FS, "-W", "error"))


@pytest.mark.parametrize("options", [(), ("-W", "error")], ids=["default", "warnings-are-errors"])
def test_import_works_without_setuptools(
    without_setuptools: Path, options: tuple[str, ...]
) -> None:
    absent = "import importlib.util as u\nassert u.find_spec('pkg_resources') is None\n"
    # -S: the packages of the environment, setuptools among them, are out of reach.
    assert_silent(run(absent + USE_FS, "-S", *options, path=[SOURCE, without_setuptools]))


@pytest.mark.parametrize("options", [(), ("-W", "error")], ids=["default", "warnings-are-errors"])
def test_import_works_beside_the_newest_setuptools(
    without_setuptools: Path, newest_setuptools: Path, options: tuple[str, ...]
) -> None:
    newest = (
        "import importlib.metadata as m, importlib.util as u\n"
        "assert int(m.version('setuptools').split('.')[0]) >= 82\n"
        "assert u.find_spec('pkg_resources') is None\n"
    )
    path = [SOURCE, newest_setuptools, without_setuptools]
    assert_silent(run(newest + USE_FS, "-S", *options, path=path))


def test_a_plain_import_loads_nothing_heavy() -> None:
    code = """
import sys
before = set(sys.modules)
import unionlayers
heavy = {"fs", "numpy", "pandas", "tarfile", "pkg_resources", "setuptools", "fsspec"}
print(sorted(heavy & (set(sys.modules) - before)))
"""
    done = run(code)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


def test_the_name_union_fs_loads_fs_when_it_is_asked_for() -> None:
    code = """
import sys
import unionlayers
assert "fs" not in sys.modules
assert "UnionFS" in dir(unionlayers) and "UnionFS" in unionlayers.__all__
assert "fs" not in sys.modules
unionlayers.UnionFS
assert "fs" in sys.modules
"""
    assert_silent(run(code))


def test_the_stand_in_for_pkg_resources_is_gone_after_the_import(without_setuptools: Path) -> None:
    code = USE_FS + "assert 'pkg_resources' not in sys.modules\n"
    assert_silent(run(code, "-S", path=[SOURCE, without_setuptools]))


def test_a_pkg_resources_that_was_there_is_left_alone() -> None:
    code = f"""
import sys, types
theirs = sys.modules["pkg_resources"] = types.ModuleType("pkg_resources")
{USE_FS}
assert sys.modules["pkg_resources"] is theirs
"""
    assert_silent(run(code))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    done = run("import unionlayers\nunionlayers.NoSuchName")
    assert done.returncode == 1
    assert "AttributeError" in done.stderr
    assert "NoSuchName" in done.stderr


def test_every_public_name_can_be_imported() -> None:
    code = """
import unionlayers
assert len(set(unionlayers.__all__)) == len(unionlayers.__all__)
for name in unionlayers.__all__:
    assert getattr(unionlayers, name) is not None, name
"""
    assert_silent(run(code, "-W", "error"))
