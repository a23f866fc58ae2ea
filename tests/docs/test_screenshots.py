"""The pictures of the documentation are made by their script, and are all there."""

from __future__ import annotations

import importlib.util
import re
import struct
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
IMAGES = ROOT / "docs" / "images"
LARGEST = 100_000


@pytest.fixture
def screenshots() -> ModuleType:
    spec = importlib.util.spec_from_file_location("screenshots", IMAGES / "screenshots.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_a_small_picture_for_each_page_of_the_script(screenshots: ModuleType) -> None:
    names = {
        f"{name}-{scheme}.png": (width, height)
        for name, (_, width, height) in screenshots.pages().items()
        for scheme in ("light", "dark")
    }
    found = {path.name: path for path in IMAGES.glob("*.png")}
    assert found.keys() == names.keys()
    for name, path in found.items():
        data = path.read_bytes()
        assert struct.unpack(">II", data[16:24]) == names[name]
        assert len(data) < LARGEST


def test_every_picture_that_is_shown_is_there_and_every_one_there_is_shown() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {
        name
        for page in pages
        for name in re.findall(r"images/([\w-]+\.png)", page.read_text(encoding="utf-8"))
    }
    assert shown == {path.name for path in IMAGES.glob("*.png")}


@pytest.mark.campaign
def test_a_browser_draws_a_light_page_light_and_a_dark_one_dark(
    screenshots: ModuleType, tmp_path: Path
) -> None:
    if screenshots.chromium() is None:
        pytest.skip("chromium is not installed")
    body, width, height = screenshots.pages()["image"]
    pictures = []
    for scheme in ("light", "dark"):
        target = tmp_path / f"{scheme}.png"
        screenshots.take(body, target, scheme=scheme, width=width, height=height)
        pictures.append(target.read_bytes())
        assert struct.unpack(">II", pictures[-1][16:24]) == (width, height)
        assert len(pictures[-1]) > 10_000
    assert pictures[0] != pictures[1]
