"""
The whole of PyFilesystem's own suite, read through `UnionFS` from two forms and three codecs.

The suite writes before it reads: `Staging` takes the writes and builds an image from them for each
read.  Two of the combinations ask each question from eight threads of one cold view.
"""

from __future__ import annotations

import sys
import unittest
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from staging import Build, Staging

from unionlayers import UnionFS
from unionlayers._views._pyfilesystem import fs
from unionlayers.testing import docker_archive, oci_archive

SUITE: Any = pytest.importorskip("fs.test").FSTestCases
TESTS = sorted(name for name in dir(SUITE) if name.startswith("test_"))

FORMS: dict[str, Callable[..., bytes]] = {"docker": docker_archive, "oci": oci_archive}
CODECS = ("identity", "gzip", "zstd")
COMBINATIONS = [
    *((form, codec, 1) for form in FORMS for codec in CODECS),
    ("docker", "gzip", 8),
    ("oci", "zstd", 8),
]
# By name, with the reason; nothing else of the suite is left out.
SKIPPED: dict[str, str] = {}


def suite_class(build: Build, threads: int) -> type[unittest.TestCase]:
    """Give the suite as a class of test cases over one form, codec and number of threads."""

    class Case(SUITE, unittest.TestCase):  # type: ignore[misc]
        asked = 0

        def make_fs(self) -> Staging:
            self.staging = Staging(build, threads)
            return self.staging

        def destroy_fs(self, fs_object: Any) -> None:
            type(self).asked = fs_object.asked
            fs_object.close()

        if sys.version_info >= (3, 12):
            # Python 3.12 took the old spelling away, and ``test_remove`` evaluates it whether or
            # not it is needed; the name is given back, and the test says what it always said.
            assertRaisesRegexp = unittest.TestCase.assertRaisesRegex  # noqa: N815

    return Case


def label(combination: tuple[str, str, int]) -> str:
    form, codec, threads = combination
    return f"{form}-{codec}" + (f"-{threads}-threads" if threads > 1 else "")


@pytest.mark.parametrize("name", TESTS)
@pytest.mark.parametrize("combination", COMBINATIONS, ids=label)
def test_pyfilesystem_suite(
    combination: tuple[str, str, int], name: str, record_property: Callable[[str, object], None]
) -> None:
    form, codec, threads = combination
    record_property("suite", f"fs.test.FSTestCases through UnionFS, {label(combination)}")
    if name in SKIPPED:
        pytest.skip(SKIPPED[name])
    case_class = suite_class(partial(FORMS[form], codec=codec), threads)
    result = unittest.TestResult()
    case_class(name).run(result)
    broken = [text for _, text in (*result.failures, *result.errors)]
    if broken:
        pytest.fail("\n".join(broken), pytrace=False)
    for _, reason in result.skipped:
        pytest.skip(reason)
    assert result.testsRun == 1


def test_the_suite_is_whole() -> None:
    assert len(TESTS) == 79
    assert set(SKIPPED) <= set(TESTS)


@pytest.mark.parametrize("threads", [1, 8])
def test_the_suite_notices_a_wrong_reader(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr(UnionFS, "listdir", lambda _self, _path: ["wrong"])
    monkeypatch.setattr(UnionFS, "readbytes", lambda _self, _path: b"wrong")
    monkeypatch.setattr(UnionFS, "exists", lambda _self, _path: True)
    case_class = suite_class(docker_archive, threads)
    failed = set()
    for name in ("test_listdir", "test_appendbytes", "test_exists", "test_validatepath"):
        result = unittest.TestResult()
        case_class(name).run(result)
        failed |= {name} if result.failures or result.errors else set()
    assert failed == {"test_listdir", "test_appendbytes", "test_exists"}


def test_threads_that_are_told_different_things_are_noticed() -> None:
    staging = Staging(docker_archive, threads=8)
    staging.writebytes("/a", b"x")
    answers = iter(range(100))
    with pytest.raises(AssertionError):
        staging._ask(lambda _view: next(answers))
    assert staging._ask(lambda view: view.listdir("/")) == ["a"]


def test_what_is_staged_is_read_from_an_image() -> None:
    staging = Staging(docker_archive)
    staging.makedirs("/d/e")
    staging.writebytes("/d/f", b"1")
    assert staging.readbytes("/d/f") == b"1"
    staging.removetree("/d")
    staging.writebytes("/d", b"now a file")
    assert staging.listdir("/") == ["d"]
    assert staging.readbytes("/d") == b"now a file"
    view = staging._current()
    assert type(view) is UnionFS
    assert [layer.index for layer in view.image.layers] == [0, 1]
    assert isinstance(staging, fs.base.FS)
