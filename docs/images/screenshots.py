"""
Make the pictures of the documentation: ``python docs/images/screenshots.py [FOLDER]``.

Chromium draws what the demo image shows of itself, on a light and on a dark page.  Debian's package
is ``chromium``; ``CHROMIUM`` names another one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from unionlayers import diff, open_image

__all__ = ["chromium", "main", "pages", "take"]

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent.parent / "examples" / "demo-image" / "ledger.oci.tar"

# A page that says itself whether it is light or dark, as a notebook does.
PAGE = """<!DOCTYPE html>
<html lang="en" style="color-scheme: {scheme}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{name}</title>
<style>body {{ font: 14px/1.4 "DejaVu Sans", sans-serif; margin: 16px }}</style></head>
<body>
{body}
</body></html>
"""


def chromium() -> str | None:
    """Give the program, None if there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def pages() -> dict[str, tuple[str, int, int]]:
    """Give what is shown by name: HTML, width and height in pixels."""
    with open_image(DEMO) as image:
        changes = diff((image, slice(4)), image, ignore_fields=["mtime"])
        return {
            "image": (image._repr_html_(), 760, 740),
            "tree": (_without_map(image.fs()._repr_html_()), 760, 560),
            "changes": (changes._repr_html_(), 760, 420),
        }


def _without_map(body: str) -> str:
    """Close the treemap, which another picture shows."""
    return body.replace("<details open><summary>Size", "<details><summary>Size", 1)


def take(body: str, target: Path, *, scheme: str, width: int, height: int) -> None:
    """
    Draw a page.

    Args:
        body: What stands in it.
        target: The PNG.
        scheme: ``light`` or ``dark``.
        width: In pixels, of the window.
        height: Likewise.
    """
    program = chromium()
    if program is None:
        raise SystemExit("there is no chromium; Debian has it as the package chromium")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(PAGE.format(scheme=scheme, name=target.stem, body=body), encoding="utf-8")
        command = [
            program,
            "--headless=new",
            "--no-sandbox",  # which root cannot have; the page is our own and runs nothing
            "--disable-gpu",
            "--disable-dev-shm-usage",  # small in containers
            "--disable-lcd-text",  # grey edges, and so smaller files
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            f"--user-data-dir={folder}/profile",
            f"--window-size={width},{height}",
            f"--screenshot={target}",
            page.as_uri(),
        ]
        subprocess.run(command, check=True, timeout=120, capture_output=True)


def main() -> None:
    """Draw every page, light and dark."""
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else HERE
    for name, (body, width, height) in pages().items():
        for scheme in ("light", "dark"):
            target = folder / f"{name}-{scheme}.png"
            take(body, target, scheme=scheme, width=width, height=height)


if __name__ == "__main__":
    main()
