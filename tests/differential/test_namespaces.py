"""
Owners in stores of user namespaces, and what fuse-overlayfs leaves behind, on stores of engines.

What is right is what the kernel shows inside of a user namespace of the same ids, and what
fuse-overlayfs shows when it mounts the directories.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engines import Docker, Storage, dockerd, loaded_storage
from facts import Tree, differences, tree_of
from overlay import mounted, need_fuse_overlay, need_overlay

from unionlayers import Image, open_image
from unionlayers.testing import (
    ImageDescription,
    directory,
    file,
    opaque,
    symlink,
    whiteout,
    write_image,
)

FIRST = 200_000
TAG = "localhost/owned:1"
IMAGE = ImageDescription(
    [
        [
            directory("etc", mode=0o755, mtime=5),
            file("etc/shadow", "secret", uid=0, gid=42, mode=0o640, mtime=5),
            file("etc/gone", "soon", uid=7, mtime=5),
            directory("home", mtime=5),
            file("home/own", "mine", uid=1000, gid=1000, mode=0o600, mtime=5),
            symlink("home/link", "own", uid=1000, gid=50, mtime=5),
            directory("cache", mtime=5),
            file("cache/old", "old", uid=12, mtime=5),
            directory("tree", uid=3, mtime=5),
            file("tree/file", "x", uid=65_533, gid=4, mtime=5),
        ],
        [
            directory("etc", mtime=6),
            whiteout("etc/gone"),
            directory("cache", uid=9, gid=10, mtime=6),
            opaque("cache"),
            file("cache/new", "new", uid=11, mtime=6),
        ],
    ],
    tags=(TAG,),
)
CHANGES = """
rm home/own
rm -r cache; mkdir cache; chown {0}:{0} cache
echo again > cache/again; chown {1}:{2} cache/again
echo more >> tree/file
mkdir -p deep/er; chown {0}:{0} deep; chown {2}:{1} deep/er
ln -s x deep/link; chown -h {1}:{1} deep/link
echo of the host > stray
# What fuse-overlayfs shows as the time of a file that was written may be older than the file.
touch -d @1000000000 stray cache/again tree/file
"""


def changes(first: int) -> str:
    """Give a script of changes whose owners are those of a namespace."""
    return CHANGES.format(first, first + 5, first + 1000)


def disagreements(image: Image, truth: Tree) -> dict[str, Any]:
    """Give what an image shows otherwise, but for times of folders that nobody set."""
    with image.fs() as view:
        ours = tree_of(view)
    for path, fact in ours.items():
        if fact.pop("implied"):
            del fact["mtime"]
            truth.get(path, {}).pop("mtime", None)
        del fact["layer"]
    return differences(ours, truth)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "image.tar"
    write_image(path, IMAGE)
    return path


# -- docker with userns-remap ---------------------------------------------------------------------


def _passable(folder: Path) -> Path:
    """Let the root of the namespace pass through a folder, as dockerd asks."""
    folder.chmod(0o711)
    return folder


@pytest.fixture(scope="module")
def remapped(archive: Path) -> Iterator[Docker]:
    with (
        tempfile.TemporaryDirectory(prefix="ul-remap-") as folder,
        dockerd(_passable(Path(folder)), "overlay2", remap=FIRST) as docker,
    ):
        need_overlay()
        docker("load", "--input", str(archive))
        docker("create", "--name", "changed", TAG, "/x")
        docker("create", "--name", "host", "--userns", "host", TAG, "/x")
        yield docker


def test_a_remapped_container_has_the_owners_that_it_sees(remapped: Docker, tmp_path: Path) -> None:
    folders = remapped.layer_folders("changed")
    work = folders[-1].parent / "work"
    truth = mounted(
        tmp_path,
        folders[:-1],
        upper=folders[-1],
        work=work,
        script=changes(FIRST),
        ids=(FIRST, FIRST),
    )
    assert truth["cache/again"]["uid"] == 5
    assert truth["stray"]["uid"] == 65534
    with open_image(remapped.data_root, reference="changed") as image:
        assert disagreements(image, truth) == {}
        found = {finding.path for finding in image.findings if finding.code == "OWNER_UNMAPPED"}
        assert "/stray" in found
        assert [mark.path for mark in image.layers[-1].marks if mark.kind == "opaque"] == ["/cache"]


def test_a_remapped_image_has_its_own_owners_with_and_without_frames(
    remapped: Docker, tmp_path: Path
) -> None:
    folders = remapped.layer_folders("changed")[:-2]
    truth = mounted(tmp_path, folders, ids=(FIRST, FIRST))
    del truth["."]
    with open_image(remapped.data_root, reference=TAG) as image:
        image.verify()
        found = disagreements(image, truth)
        found.pop(".", None)
        assert found == {}
    frames = list(remapped.data_root.glob("image/*/layerdb/sha256/*/tar-split.json.gz"))
    try:
        for frame in frames:
            frame.rename(f"{frame}.away")
        with open_image(remapped.data_root, reference=TAG, verify=False) as image:
            found = disagreements(image, truth)
            found.pop(".", None)
            assert found == {}
    finally:
        for frame in frames:
            Path(f"{frame}.away").rename(frame)


def test_a_container_outside_of_the_namespace_shows_owners_of_the_host(remapped: Docker) -> None:
    folders = remapped.layer_folders("host")
    (folders[-1] / "made").write_text("by root of the host")
    with open_image(remapped.data_root, reference="host") as image, image.fs() as view:
        assert view.getinfo("/made", ["access"]).raw["access"]["uid"] == 0


# -- containers of podman with a namespace of their own -------------------------------------------

MAPS = ("--uidmap", f"0:{FIRST}:65536", "--gidmap", f"0:{FIRST}:65536")


@pytest.fixture(scope="module", params=["overlay", "vfs"])
def mapped(request: pytest.FixtureRequest, archive: Path) -> Iterator[Storage]:
    need_overlay()
    with loaded_storage(archive, TAG, request.param, {"mapped": MAPS}) as made:
        yield made


def test_what_a_mapped_container_has_written_has_the_owners_that_it_sees(
    mapped: Storage, tmp_path: Path
) -> None:
    folder = mapped.layer_folders("mapped")[-1]
    for place in ("new", "deep/er/file", "stray"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text("written")
    owned = {"new": (3, 4), "deep": (0, 0), "deep/er": (5, 1000), "deep/er/file": (1000, 5)}
    for place, (uid, gid) in owned.items():
        os.chown(folder / place, FIRST + uid, FIRST + gid)
    (tmp_path / "empty").mkdir()
    truth = mounted(tmp_path / "empty", [tmp_path / "empty", folder], ids=(FIRST, FIRST))
    with open_image(mapped.root, reference="mapped") as image, image.fs() as view:
        for place in (*owned, "stray"):
            found = view.getinfo(f"/{place}", ["access"]).raw["access"]
            fact = truth[place]
            assert (found["uid"], found["gid"]) == (fact["uid"], fact["gid"]), place
        assert view.getinfo("/etc/shadow", ["access"]).raw["access"]["gid"] == 42
        assert view.getinfo("/tree", ["access"]).raw["access"]["uid"] == 3
        unmapped = [item for item in image.findings if item.code == "OWNER_UNMAPPED"]
        assert all("65534" in item.message for item in unmapped)
        assert unmapped


# -- fuse-overlayfs -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fused(archive: Path) -> Iterator[Storage]:
    need_fuse_overlay()
    program = f"overlay.mount_program={shutil.which('fuse-overlayfs')}"
    containers = {"changed": (), "mapped": MAPS}
    with loaded_storage(archive, TAG, "overlay", containers, options=(program,)) as made:
        yield made


def test_an_image_that_podman_keeps_for_fuse_overlayfs_is_the_one_that_was_loaded(
    fused: Storage, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "upper").mkdir()
    (tmp_path / "m").mkdir()
    folders = fused.layer_folders("changed")[:-1]
    with open_image(fused.root, reference=TAG) as image:
        image.verify()
        assert image.findings == ()
    frames = list(fused.root.glob("*-layers/*.tar-split.gz"))
    truth = mounted(
        tmp_path / "m",
        folders,
        upper=tmp_path / "upper",
        work=tmp_path / "work",
        options="",
        fuse=True,
    )
    try:
        for frame in frames:
            frame.rename(f"{frame}.away")
        with open_image(fused.root, reference=TAG, verify=False) as image:
            found = disagreements(image, truth)
            found.pop(".", None)
            assert found == {}
    finally:
        for frame in frames:
            Path(f"{frame}.away").rename(frame)


def test_a_container_of_fuse_overlayfs_shows_what_it_mounts(fused: Storage, tmp_path: Path) -> None:
    folders = fused.layer_folders("changed")
    truth = mounted(
        tmp_path,
        folders[:-1],
        upper=folders[-1],
        work=folders[-1].parent / "work",
        options="",
        script=changes(0),
        fuse=True,
    )
    assert (folders[-1] / "cache/.wh..wh..opq").exists()
    with open_image(fused.root, reference="changed") as image:
        found = disagreements(image, truth)
        assert found == {}
        marks = {(mark.kind, mark.path) for mark in image.layers[-1].marks}
        assert {("opaque", "/cache"), ("whiteout", "/home/own")} <= marks


@pytest.fixture(scope="module")
def docker_fused(archive: Path) -> Iterator[Docker]:
    need_fuse_overlay()
    with (
        tempfile.TemporaryDirectory(prefix="ul-fused-") as folder,
        dockerd(Path(folder), "fuse-overlayfs") as docker,
    ):
        docker("load", "--input", str(archive))
        docker("create", "--name", "changed", TAG, "/x")
        yield docker


def test_an_image_and_a_container_of_docker_on_fuse_overlayfs_show_what_it_mounts(
    docker_fused: Docker, tmp_path: Path
) -> None:
    folders = docker_fused.layer_folders("changed")
    for name in ("image", "work", "upper", "container"):
        (tmp_path / name).mkdir()
    image_truth = mounted(
        tmp_path / "image",
        folders[:-2],
        upper=tmp_path / "upper",
        work=tmp_path / "work",
        options="",
        fuse=True,
    )
    truth = mounted(
        tmp_path / "container",
        folders[:-1],
        upper=folders[-1],
        work=folders[-1].parent / "work",
        options="",
        script=changes(0),
        fuse=True,
    )
    assert (folders[-1] / "cache/.wh..wh..opq").exists()
    with open_image(docker_fused.data_root, reference=TAG) as image:
        image.verify()
        found = disagreements(image, image_truth)
        found.pop(".", None)
        assert found == {}
    with open_image(docker_fused.data_root, reference="changed") as image:
        assert disagreements(image, truth) == {}
        marks = {(mark.kind, mark.path) for mark in image.layers[-1].marks}
        assert {("opaque", "/cache"), ("whiteout", "/home/own")} <= marks


def test_fuse_overlayfs_has_written_the_ids_of_the_container(fused: Storage) -> None:
    folder = fused.layer_folders("mapped")[-1]
    (folder / "new").write_text("written")
    os.chown(folder / "new", 3, 4)
    with open_image(fused.root, reference="mapped") as image, image.fs() as view:
        found = view.getinfo("/new", ["access"]).raw["access"]
        assert (found["uid"], found["gid"]) == (3, 4)
