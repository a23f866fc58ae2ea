"""The builders write what the tools write: the same members, and documents of the same shape."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from engines import Docker, need, run, skopeo
from subjects import RICH

from unionlayers.testing import write_image


def unpacked(source: Path, folder: Path) -> Path:
    """Give a folder of the members, unpacked by GNU tar."""
    if source.is_dir():
        return source
    folder.mkdir()
    run("tar", "-C", folder, "-xf", source)
    return folder


def anonymous(text: str) -> str:
    """Write H for every digest and id, which depend on the tool, and n for sizes."""
    return re.sub(r'"size":\d+', '"size":n', re.sub(r"[0-9a-f]{64}", "H", text))


def members(folder: Path) -> list[tuple[str, str]]:
    """Give the name of every member with what kind it is, or where it links to."""
    found = []
    for path in folder.rglob("*"):
        kind = "directory" if path.is_dir() else "file"
        if path.is_symlink():
            kind = str(path.readlink())
        found.append((anonymous(str(path.relative_to(folder))), anonymous(kind)))
    return sorted(found)


def documents(folder: Path) -> dict[str, Any]:
    """Give the documents whose names say what they are."""
    names = ("manifest.json", "repositories", "index.json", "oci-layout", "version")
    found = {}
    for path in map(folder.joinpath, names):
        if path.exists():
            text = (
                anonymous(json.dumps(json.loads(path.read_bytes()), separators=(",", ":")))
                if (path.name != "version")
                else path.read_text()
            )
            found[path.name] = text.replace(
                '"mediaType":"application/vnd.oci.image.index.v1+json",',
                "",  # optional, and new
            )
    return found


def compare(by_tool: Path, form: str, folder: Path) -> None:
    ours = write_image(folder / "ours", RICH, form=form)
    assert isinstance(ours, Path)
    theirs = unpacked(by_tool, folder / "theirs-unpacked")
    ours = unpacked(ours, folder / "ours-unpacked")
    assert members(ours) == members(theirs)
    assert documents(ours) == documents(theirs)


def test_docker_archive(docker: Docker, tmp_path: Path) -> None:
    docker("load", "--input", str(write_image(tmp_path / "given.tar", RICH)))
    docker("save", "--output", tmp_path / "saved.tar", "localhost/source:1")
    compare(tmp_path / "saved.tar", "docker-archive", tmp_path)


def test_skopeo_docker_archive(tmp_path: Path) -> None:
    need("skopeo")
    given = write_image(tmp_path / "given.tar", RICH)
    target = f"docker-archive:{tmp_path}/copied.tar:localhost/source:1"
    skopeo("copy", "--quiet", f"docker-archive:{given}", target)
    compare(tmp_path / "copied.tar", "skopeo-docker-archive", tmp_path)


def test_oci_archive_and_layout(tmp_path: Path) -> None:
    need("skopeo")
    given = write_image(tmp_path / "given.tar", RICH, form="oci-archive")
    for number, form in enumerate(("oci-archive", "oci")):
        folder = tmp_path / str(number)
        folder.mkdir()
        target = f"{form}:{folder}/copied:localhost/source:1"
        skopeo("copy", "--quiet", f"oci-archive:{given}", target)
        compare(folder / "copied", "oci-layout" if form == "oci" else form, folder)


def test_skopeo_dir(tmp_path: Path) -> None:
    need("skopeo")
    given = write_image(tmp_path / "given.tar", RICH, form="oci-archive")
    skopeo("copy", "--quiet", f"oci-archive:{given}", f"dir:{tmp_path}/copied")
    compare(tmp_path / "copied", "skopeo-dir", tmp_path)
