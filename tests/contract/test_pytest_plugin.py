"""The plugin for pytest, in runs of pytest of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from unionlayers.testing import ImageDescription, file, whiteout, write_image

ROOT = Path(__file__).resolve().parent.parent.parent
PLUGIN = "unionlayers._views.check.plugin"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with two images and no other configuration."""
    layers = [[file("a", "one"), file("key")], [whiteout("key")]]
    write_image(tmp_path / "one.tar", ImageDescription(layers, tags=["one:1"]))
    write_image(
        tmp_path / "two.tar",
        ImageDescription([[file("b")]], tags=["two:1"]),
        ImageDescription([[file("c", "three")]], tags=["two:2"]),
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    return tmp_path


def run(folder: Path, code: str, *words: str, plugin: bool = True) -> tuple[int, str]:
    """Run pytest on a file with this code; give its exit status and what it says."""
    (folder / "test_it.py").write_text(code)
    # By name, and not by the entry point, which an older installation does not have.
    loaded = ("-p", "no:unionlayers", *(("-p", PLUGIN) if plugin else ()))
    # Where one of these is set, pytest cuts no line of its summary and says each message twice.
    outside = {name: value for name, value in os.environ.items()
               if name not in {"CI", "BUILD_NUMBER", "PYTEST_ADDOPTS"}}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest",
         *loaded, *words],
        cwd=folder, env=outside, capture_output=True, text=True, check=False, timeout=120,
        encoding="utf-8",
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


USES = """
def test_there(image, image_check):
    assert image.references[0] == "one:1"
    image_check.exists("/a", type="file")
    image_check.absent("/key")
"""


def test_the_image_of_the_command_line_is_opened(folder: Path) -> None:
    code, said = run(folder, USES, "--image", "one.tar")
    assert code == 0, said
    assert "unionlayers: image one.tar" in said


def test_a_marker_names_another_from_the_root_folder(folder: Path) -> None:
    tests = """
import pytest

@pytest.mark.image("two.tar", reference="two:2")
class TestTwo:
    def test_two(self, image, image_check):
        assert image.references == ("two:2",)
        image_check.content("/c", equals="three")

    @pytest.mark.image("one.tar", profile="overlay")
    def test_nearer(self, image):
        assert image.profile.root_entry_meta == "ignore"
        assert image.references == ("one:1",)
"""
    (folder / "below").mkdir()
    code, said = run(folder, tests + USES, "--image", "one.tar", "--rootdir", str(folder))
    assert code == 0, said
    assert "3 passed" in said


def test_the_options_choose_one_of_several(folder: Path) -> None:
    tests = "def test(image): assert image.references == ('two:1',)\n"
    code, said = run(folder, tests, "--image=two.tar", "--image-reference=two:1",
                     "--image-profile=sequential")  # fmt: skip
    assert code == 0, said
    code, said = run(folder, tests, "--image=two.tar", "--image-platform=plan9/mips")
    assert code == 1
    assert "ImageNotFoundError" in said
    assert "linux/amd64" in said


def test_an_image_is_opened_once_and_again_if_a_test_has_closed_it(folder: Path) -> None:
    tests = """
seen = []
def test_one(image): seen.append(image)
def test_two(image):
    assert seen == [image]
    image.close()
def test_three(image):
    assert image.fs().exists("/a")
"""
    code, said = run(folder, tests, "--image", "one.tar")
    assert code == 0, said


def test_a_failure_is_told_by_layer_and_step_and_not_by_the_code_of_the_library(
    folder: Path,
) -> None:
    tests = "def test(image_check):\n    image_check.never_shipped('/key')\n"
    code, said = run(folder, tests, "--image", "one.tar")
    assert code == 1
    assert "AssertionError: 1 path is shipped that must never be" in said
    assert "layer 0 ships /key" in said
    assert "layer 1 only hides it" in said
    assert "image_check.py" not in said
    assert re.search(r"^test_it\.py:2: AssertionError", said, re.MULTILINE)


def test_no_image_is_an_error_that_says_how_to_name_one(folder: Path) -> None:
    code, said = run(folder, USES)
    assert code == 1
    assert "run pytest with --image ARCHIVE" in said
    assert "plugin.py" not in said


@pytest.mark.parametrize(("name", "told"), [("none.tar", "FileNotFoundError"),
                                            ("pytest.ini", "UnknownFormatError")])  # fmt: skip
def test_what_is_no_image_is_an_error_of_one_line(folder: Path, name: str, told: str) -> None:
    code, said = run(folder, USES, "--image", name)
    assert code == 1
    assert re.search(rf"^E? *\S*{re.escape(name)} cannot be opened: {told}", said, re.MULTILINE)
    assert "plugin.py" not in said


def test_a_marker_of_another_form_says_what_it_is_to_be(folder: Path) -> None:
    forms = ("", "'one.tar', 'two.tar'", "'one.tar', tag='x'")
    tests = "import pytest\n" + "".join(
        f"@pytest.mark.image({form})\ndef test_{number}(image): pass\n"
        for number, form in enumerate(forms)
    )
    code, said = run(folder, tests)
    assert code == 1
    assert said.count("the marker is to be as: image(source, *, reference=None, platform=None") == 3


def test_the_marker_is_known_and_the_fixtures_are_listed(folder: Path) -> None:
    assert "@pytest.mark.image(source, *" in run(folder, "", "--markers")[1]
    listed = run(folder, USES, "--fixtures")[1]
    assert "image_check" in listed


def test_a_run_that_uses_nothing_of_it_loads_nothing_of_it(folder: Path) -> None:
    tests = """
import sys

def test_light():
    heavy = {"fs", "attrs", "isal", "unionlayers._image.image", "unionlayers._views.union_fs"}
    assert heavy & set(sys.modules) == set()

def test_own_fixture(image):
    assert image == 3
"""
    (folder / "conftest.py").write_text(
        "import pytest\n\n@pytest.fixture\ndef image():\n    return 3\n"
    )
    code, said = run(folder, tests, "-W", "error")
    assert code == 0, said
    assert "unionlayers" not in said


def test_without_it_pytest_runs_as_ever(folder: Path) -> None:
    code, said = run(folder, "def test(): pass\n", plugin=False)
    assert code == 0, said
    assert run(folder, USES, plugin=False)[0] == 1


def test_the_entry_point_of_the_project_names_the_plugin() -> None:
    with open(ROOT / "pyproject.toml", "rb") as file_:
        project = tomllib.load(file_)["project"]
    assert project["entry-points"]["pytest11"] == {"unionlayers": PLUGIN}
    assert find_spec(PLUGIN) is not None


def test_the_tests_of_the_documentation_find_the_secret_of_the_demo(folder: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "test-your-image.md").read_text(encoding="utf-8")
    tests = re.search(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    shown = re.search(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert tests is not None
    assert shown is not None
    demo = ROOT / "examples" / "demo-image" / "ledger.oci.tar"
    code, said = run(folder, tests[1], "--image", str(demo))
    assert code == 1
    assert "1 failed, 4 passed" in said
    assert shown[1] in said
