"""Small stores made by hand, so that documents of engines can be read and bent without root."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

from attrs import frozen

from unionlayers.testing import Entry, directory, file, hardlink, layer, symlink

__all__ = [
    "Made",
    "add_to_containers_root",
    "add_to_docker_root",
    "make_containers_root",
    "make_docker_root",
    "tar_split",
]

LAYERS: list[list[Entry]] = [
    [
        directory("etc", mtime=5),
        file("etc/name", "base", mtime=6),
        file("etc/keep", "kept", mtime=6),
        hardlink("etc/also", "etc/keep", mtime=6),
        symlink("link", "etc", mtime=6),
    ],
    [directory("etc", mode=0o700, mtime=7), file("etc/name", "upper" * 300, mtime=8)],
]


PULLED = {"app": "ab", "other": "cd"}


def digest(data: bytes) -> str:
    """Give the digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def tar_split(tar: bytes) -> bytes:
    """Write the framing of a tar as tar-split does, with the standard library as the reader."""
    lines: list[dict[str, Any]] = []
    at = 0
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for member in archive:
            frame = tar[at : member.offset_data]
            lines.append({"type": 2, "payload": base64.b64encode(frame).decode()})
            size = member.size if member.isreg() else 0
            lines.append(
                {"type": 1, "name": member.name, "payload": None} | ({"size": size} if size else {})
            )
            at = member.offset_data + size
    lines.append({"type": 2, "payload": base64.b64encode(tar[at:]).decode()})
    text = "".join(
        json.dumps(item | {"position": number}) + "\n" for number, item in enumerate(lines)
    )
    return gzip.compress(text.encode(), mtime=0)


def unpack(tar: bytes, folder: Path) -> None:
    """Unpack a layer of files, folders and links."""
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        if hasattr(tarfile, "fully_trusted_filter"):  # Python 3.11.4
            archive.extraction_filter = tarfile.fully_trusted_filter
        for member in archive:
            archive.extract(member, folder)
        for member in archive.getmembers():
            # Of links the standard library sets no times, and those of folders change later on.
            if member.isdir() or member.issym():
                times = (member.mtime, member.mtime)
                os.utime(folder / member.name, times, follow_symlinks=False)


def config_of(tars: list[bytes]) -> bytes:
    """Give the config of an image of these layers."""
    document = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]},
        "history": [{"created_by": f"step {number}"} for number in range(len(tars))],
    }
    return json.dumps(document).encode()


@frozen
class Made:
    """
    A store that was made.

    Attributes:
        root: Its root.
        id: Digest of the config of its image.
        diffs: The folder of each layer, base first.
        frames: The tar-split document of each layer.
        container: Id of its container.
    """

    root: Path
    id: str
    diffs: list[Path]
    frames: list[Path]
    container: str


def write(path: Path, content: str | bytes) -> Path:
    """Write a file, and the folders on the way to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def make_docker_root(folder: Path) -> Made:
    """Make a data-root of Docker with an image of two layers and a container."""
    return _docker_stack(folder / "docker", "app", LAYERS, "0", "box", "c" * 64)


def add_to_docker_root(made: Made) -> Made:
    """Add an image of one layer, ``other:1``, and a container of it, ``spare``."""
    entries = [[file("other", "another image", mtime=6)]]
    return _docker_stack(made.root, "other", entries, "a", "spare", "d" * 64)


def _docker_stack(
    root: Path, name: str, stack: list[list[Entry]], first: str, box: str, container: str
) -> Made:
    tars = [layer(*entries) for entries in stack]
    config = config_of(tars)
    ident = digest(config)
    database = root / "image/overlay2"
    write(database / "imagedb/content/sha256" / ident[7:], config)
    listed = database / "repositories.json"
    names = json.loads(listed.read_bytes())["Repositories"] if listed.exists() else {}
    names[name] = {f"{name}:1": ident, f"{name}@sha256:" + PULLED[name] * 32: ident}
    write(listed, json.dumps({"Repositories": names}))
    diffs, frames = [], []
    chain = ""
    for number, tar in enumerate(tars):
        parent, chain = chain, digest(f"{chain} {digest(tar)}".encode()) if chain else digest(tar)
        place = database / "layerdb/sha256" / chain[7:]
        cache = f"{int(first, 16) + number:x}" * 64
        write(place / "cache-id", cache)
        write(place / "diff", digest(tar))
        write(place / "size", "1")
        write(root / "overlay2" / cache / "link", f"SHORT{first}{number}")
        if parent:
            write(place / "parent", parent)
            write(root / "overlay2" / cache / "lower", "l/SHORT")
        frames.append(write(place / "tar-split.json.gz", tar_split(tar)))
        diffs.append(root / "overlay2" / cache / "diff")
        unpack(tar, diffs[-1])
    mount = database / "layerdb/mounts" / container
    own = "mount" if box == "box" else box
    for part in ("init", "rw"):
        write(mount / {"init": "init-id", "rw": "mount-id"}[part], f"{own}-{part}")
        (root / "overlay2" / f"{own}-{part}" / "diff").mkdir(parents=True)
    write(mount / "parent", chain)
    write(root / f"overlay2/{own}-rw/diff/new", "written")
    os.chmod(root / f"overlay2/{own}-rw/diff", 0o755)
    state = {"ID": container, "Name": f"/{box}", "Image": ident, "Driver": "overlay2"}
    write(root / "containers" / container / "config.v2.json", json.dumps(state))
    write(root / "containers" / container / "hostconfig.json", "{}")
    return Made(root, ident, diffs, frames, container)


def make_containers_root(folder: Path) -> Made:
    """Make a root of containers/storage with an image of two layers and a container."""
    return _containers_stack(folder / "storage", "app", LAYERS, "0", "box", "c" * 64)


def add_to_containers_root(made: Made) -> Made:
    """Add an image of one layer, ``localhost/other:1``, and a container of it, ``spare``."""
    entries = [[file("other", "another image", mtime=6)]]
    return _containers_stack(made.root, "other", entries, "a", "spare", "d" * 64)


def _containers_stack(
    root: Path, called: str, stack: list[list[Entry]], first: str, box: str, container: str
) -> Made:
    tars = [layer(*entries) for entries in stack]
    config = config_of(tars)
    ident = digest(config)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": ident,
                "size": len(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": digest(tar),
                    "size": len(tar),
                }
                for tar in tars
            ],
        }
    ).encode()
    diffs, frames, items = [], [], []
    top = "top" if box == "box" else box
    parent = ""
    for number, tar in enumerate(tars):
        name = f"{int(first, 16) + number:x}" * 64
        items.append(
            {"id": name, "diff-digest": digest(tar), "diff-size": len(tar)}
            | ({"parent": parent} if parent else {})
        )
        parent = name
        frames.append(write(root / "overlay-layers" / f"{name}.tar-split.gz", tar_split(tar)))
        diffs.append(root / "overlay" / name / "diff")
        unpack(tar, diffs[-1])
        write(root / "overlay" / name / "link", f"SHORT{first}{number}")
        write(root / "overlay" / name / "lower", "l/SHORT")
    items.append({"id": top, "parent": parent})
    write(root / "overlay" / top / "diff/new", "written")
    _listed(root / "overlay-layers/layers.json", *items)
    keys = {ident: config, "manifest": manifest, f"manifest-{digest(manifest)}": manifest}
    for key, content in keys.items():
        name = key if key == "manifest" else "=" + base64.b64encode(key.encode()).decode()
        write(root / "overlay-images" / ident[7:] / name, content)
    image = {
        "id": ident[7:],
        "digest": digest(manifest),
        "names": [f"localhost/{called}:1"],
        "layer": parent,
        "big-data-names": list(keys),
    }
    _listed(root / "overlay-images/images.json", image)
    _listed(
        root / "overlay-containers/containers.json",
        {"id": container, "names": [box], "image": ident[7:], "layer": top},
    )
    return Made(root, ident, diffs, frames, container)


def _listed(path: Path, *items: dict[str, Any]) -> None:
    """Add items to a list, which need not be there yet."""
    before = json.loads(path.read_bytes()) if path.exists() else []
    write(path, json.dumps([*before, *items]))
