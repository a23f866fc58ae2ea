"""
Stores that real engines made on disk show what the kernel shows of them.

One crafted image goes into Docker's data-root (overlay2 and vfs) and into a root of
containers/storage (overlay and vfs); a container on top of it is changed through a mount of its
own, so that whiteouts and opaque marks are those that the kernel writes.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engines import Docker, Storage, dockerd, loaded_storage
from facts import Tree, differences, disagreements, facts_of, tree_of
from overlay import mounted, need_overlay, shown

from unionlayers import (
    AmbiguousImageError,
    DigestMismatchError,
    Image,
    ImageNotFoundError,
    StoreError,
    UnsupportedError,
    list_images,
    open_image,
)
from unionlayers.testing import (
    HistoryStep,
    ImageDescription,
    block_device,
    char_device,
    directory,
    fifo,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
    write_image,
)

NET_RAW = bytes.fromhex("0100000200200000000000000000000000000000")
TAG = "localhost/crafted:1"
IMAGE = ImageDescription(
    [
        [
            directory("etc", mode=0o755, mtime=100),
            file("etc/os-release", "ID=crafted\n", mtime_ns=123_456_789_012_345_678),
            file("etc/gone", "soon", mtime=5),
            file("etc/changed", "old", mtime=5),
            directory("bin", mtime=100),
            file("bin/tool", b"\x7fELF" * 100, mode=0o4755, mtime=7),
            hardlink("bin/alias", "bin/tool", mode=0o4755, mtime=7),
            file("bin/ping", "ping", mode=0o755, xattrs={"security.capability": NET_RAW}),
            symlink("sbin", "bin", mtime=9),
            symlink("etc/absolute", "/etc/os-release", mtime=9),
            directory("cache", mode=0o1777, mtime=100),
            file("cache/old", "old", uid=12, gid=34, mtime=5),
            directory("cache/deep", mtime=100),
            file("cache/deep/old", "old", mtime=5),
            directory("tree", mtime=100),
            file("tree/file", "x", mtime=5),
        ],
        [
            directory("etc", mode=0o711, mtime=200),
            whiteout("etc/gone"),
            file("etc/changed", "new content", mtime=6),
            directory("cache", mode=0o700, uid=4_000_000_000, mtime=200),
            opaque("cache"),
            file(
                "cache/new", "new", mtime=6, xattrs={"user.note": b"\x00\xffbin", "trusted.t": b"1"}
            ),
            file("tree", "a file now", mtime=6),
        ],
        [
            directory("odd", mtime=300),
            file(b"odd/\xff\xfe", "not UTF-8", mtime=1),
            file("odd/a b\n\\", "blanks", mtime=1),
            file("odd/" + "n" * 200, "long", mtime=1),
            symlink("odd/dangling", b"\xff/nowhere", mtime=1),
            char_device("odd/null", 1, 3, mode=0o666, mtime=1),
            block_device("odd/loop", 7, 0, mode=0o660, gid=6, mtime=1),
            fifo("odd/pipe", mode=0o600, mtime=1),
            file("odd/empty", "", mtime=1),
            file("odd/large", bytes(range(256)) * 9000, mtime=1),
        ],
    ],
    tags=(TAG,),
    history=(
        HistoryStep(created_by="ADD base"),
        HistoryStep(created_by="RUN change"),
        HistoryStep(created_by="ENV A=b", empty_layer=True),
        HistoryStep(created_by="COPY odd"),
    ),
)

CHANGES = r"""
rm etc/changed
rm -r cache; mkdir -m 750 cache; echo again > cache/again
echo more >> bin/tool
ln odd/empty odd/empty2
rm tree; mkdir tree; echo x > tree/inside
chown 77:88 etc/os-release
setfattr -n user.added -v yes odd/large
mknod dev0 c 5 1
mkfifo newpipe
printf '' > etc/.hidden
ln -s ../../.. etc/up
mkdir -p new/deep/er; echo file > new/deep/er/file
touch -d '2001-02-03 04:05:06.123456789' new/deep/er/file
truncate -s 3000000 new/sparse
printf end | dd of=new/sparse bs=1 seek=2000000 conv=notrunc status=none
"""


def compared(
    image: Image, truth: Tree, *, but: frozenset[str] = frozenset(), copied: bool = False
) -> dict[str, Any]:
    """
    Give what an image shows otherwise than the kernel, but for times of directories nobody set.

    Args:
        image: What is tested.
        truth: What the kernel shows.
        but: Paths that are left out.
        copied: Whether an engine copied the tree, and user.* or trusted.* were lost: Docker keeps
            security.capability alone, podman all but trusted.*.
    """
    with image.fs() as view:
        tree = tree_of(view)
    ours = {path: fact for path, fact in tree.items() if path not in but}
    theirs = {path: dict(fact) for path, fact in truth.items() if path not in but}
    for path, fact in ours.items():
        if fact.pop("implied"):
            fact.pop("mtime")
            theirs.get(path, {}).pop("mtime", None)
        fact.pop("layer")
    if copied:
        for tree in (ours, theirs):
            for fact in tree.values():
                kept = {
                    name: value
                    for name, value in fact.pop("xattrs", {}).items()
                    if name.startswith("security.")
                }
                if kept:
                    fact["xattrs"] = kept
    return differences(ours, theirs)


ROOT = frozenset(["."])
"""Engines make the root of a layer themselves; an image says nothing of it."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "image.tar"
    write_image(path, IMAGE)
    return path


@pytest.fixture(scope="module", params=["overlay2", "vfs"])
def engine(request: pytest.FixtureRequest, archive: Path) -> Iterator[tuple[Docker, str]]:
    """Give a dockerd with the image and a changed container; and the id of the container."""
    with (
        tempfile.TemporaryDirectory(prefix="ul-root-") as folder,
        dockerd(Path(folder), request.param) as docker,
    ):
        need_overlay()
        docker("load", "--input", str(archive))
        ident = docker("create", "--name", "changed", TAG, "/bin/tool").decode().strip()
        docker("create", "--name", "untouched", TAG, "/bin/tool")
        yield docker, ident


def changed(folders: list[Path], place: Path) -> Tree:
    """Change a container through a mount, as a process in it would, and give what it shows."""
    work = folders[-1].parent / "work"
    return mounted(place, folders[:-1], upper=folders[-1], work=work, script=CHANGES)


def truth_of(folder: Path, script: str = "") -> Tree:
    """Give what a plain folder shows, after a script."""
    import subprocess

    import truth

    if script:
        subprocess.run(["sh", "-euc", script], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return shown(truth.describe(str(folder)))


# -- docker ---------------------------------------------------------------------------------------


def test_docker_image_shows_what_the_kernel_shows(
    engine: tuple[Docker, str], tmp_path: Path
) -> None:
    docker, ident = engine
    folders = docker.layer_folders(ident)[:-2]
    truth = mounted(tmp_path, folders) if docker.driver == "overlay2" else truth_of(folders[-1])
    with open_image(docker.data_root, reference=TAG) as image:
        assert compared(image, truth, but=ROOT, copied=docker.driver == "vfs") == {}


def test_docker_image_is_the_one_that_was_loaded(engine: tuple[Docker, str], archive: Path) -> None:
    docker, _ = engine
    ours = facts_of(docker.data_root, reference=TAG)
    assert disagreements(ours, facts_of(archive)) == {}
    assert ours.created_by == ("ADD base", "RUN change", "COPY odd")


def test_docker_root_lists_images_and_containers(engine: tuple[Docker, str]) -> None:
    docker, ident = engine
    listed = list_images(docker.data_root)
    assert [(item.kind, item.references[0], item.present) for item in listed][:1] == [
        ("image", TAG, True)
    ]
    containers = {item.references for item in listed if item.kind == "container"}
    assert ("changed", ident) in containers
    assert len({item.id for item in listed}) == 1


@pytest.mark.parametrize("spelled", ["tag", "id", "short", "hex"])
def test_docker_image_is_found_by(engine: tuple[Docker, str], spelled: str) -> None:
    docker, _ = engine
    ident = docker("inspect", "--format", "{{.Id}}", TAG).decode().strip()
    names = {"tag": TAG, "id": ident, "short": ident[7:19], "hex": ident[7:]}
    with open_image(docker.data_root, reference=names[spelled]) as image:
        assert (image.id, image.references) == (ident, (TAG,))


def test_docker_container_shows_what_the_kernel_shows(
    engine: tuple[Docker, str], tmp_path: Path
) -> None:
    docker, ident = engine
    folders = docker.layer_folders(ident)
    if docker.driver == "overlay2":
        truth = changed(folders, tmp_path)
    else:
        truth = truth_of(folders[-1], CHANGES)
    for reference in ("changed", ident, ident[:12]):
        with open_image(docker.data_root, reference=reference) as image:
            assert image.references == ("changed", ident)
            assert compared(image, truth) == {}
    with open_image(docker.data_root, reference="changed") as image:
        assert len(image.layers) == 5
        assert [step.layer for step in image.history] == [0, 1, None, 2]
        view = image.fs()
        assert view.getinfo("/new/deep/er/file", ["layer"]).raw["layer"]["index"] == 4
        assert view.getinfo("/odd/null", ["layer"]).raw["layer"]["index"] == 2
        assert not view.exists("/etc/changed")
        assert not [finding for finding in image.findings if finding.code == "HISTORY_MISMATCH"]


def test_docker_root_whose_file_was_changed_is_refused(engine: tuple[Docker, str]) -> None:
    docker, ident = engine
    path = docker.layer_folders(ident)[0] / "etc" / "gone"
    before = path.read_bytes()
    times = path.stat()
    try:
        path.write_bytes(b"evil")
        with open_image(docker.data_root, reference=TAG) as image, image.fs([0]) as view:
            with pytest.raises(DigestMismatchError) as caught:
                view.readbytes("/etc/gone")
            assert caught.value.expected == image.layers[0].diff_id
        path.write_bytes(b"longer")
        with (
            open_image(docker.data_root, reference=TAG) as image,
            image.fs([0]) as view,
            pytest.raises(StoreError, match="size"),
        ):
            view.readbytes("/etc/gone")
        path.unlink()
        with (
            open_image(docker.data_root, reference=TAG, verify=False) as image,
            image.fs([0]) as view,
        ):
            assert view.readtext("/etc/os-release") == "ID=crafted\n"
            with pytest.raises(StoreError, match="lacks"):
                view.readbytes("/etc/gone")
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_docker_layer_without_its_frame_is_read_unverified(
    engine: tuple[Docker, str], tmp_path: Path
) -> None:
    docker, ident = engine
    folders = docker.layer_folders(ident)[:-2]
    truth = mounted(tmp_path, folders) if docker.driver == "overlay2" else truth_of(folders[-1])
    frames = list(docker.data_root.glob("image/*/layerdb/sha256/*/tar-split.json.gz"))
    try:
        for frame in frames:
            frame.rename(f"{frame}.away")
        with open_image(docker.data_root, reference=TAG) as image, image.fs() as view:
            with pytest.raises(UnsupportedError) as caught:
                view.listdir("/")
            assert caught.value.expected in [layer.diff_id for layer in image.layers]
            assert "verify=False" in str(caught.value.hint)
        with open_image(docker.data_root, reference=TAG, verify=False) as image:
            assert compared(image, truth) == {}
            assert [layer.diff_id for layer in image.layers] == image.config["rootfs"]["diff_ids"]
    finally:
        for frame in frames:
            Path(f"{frame}.away").rename(frame)


def test_docker_container_named_like_an_image_is_ambiguous(
    engine: tuple[Docker, str], archive: Path
) -> None:
    docker, _ = engine
    docker("tag", TAG, "untouched:latest")
    try:
        with pytest.raises(AmbiguousImageError):
            open_image(docker.data_root, reference="untouched")
        open_image(docker.data_root, reference="untouched:latest").close()
    finally:
        docker("rmi", "untouched:latest")
    with pytest.raises(ImageNotFoundError) as caught:
        open_image(docker.data_root, reference="absent")
    assert any("changed" in name for name in caught.value.candidates)


# -- containers/storage ---------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["overlay", "vfs"])
def store(request: pytest.FixtureRequest, archive: Path) -> Iterator[Storage]:
    need_overlay()
    with loaded_storage(archive, TAG, request.param, {"changed": ()}) as made:
        yield made


def test_podman_image_shows_what_the_kernel_shows(store: Storage, tmp_path: Path) -> None:
    folders = store.layer_folders("changed")[:-1]
    truth = mounted(tmp_path, folders) if store.driver == "overlay" else truth_of(folders[-1])
    with open_image(store.root, reference=TAG) as image:
        assert compared(image, truth, but=ROOT, copied=store.driver == "vfs") == {}


def test_podman_image_is_the_one_that_was_loaded(store: Storage, archive: Path) -> None:
    ours = facts_of(store.root, reference=TAG)
    assert disagreements(ours, facts_of(archive)) == {}
    digest = store.podman("inspect", "--format", "{{.Digest}}", TAG).decode().strip()
    with open_image(store.root, reference=digest) as image:
        assert image.digest == digest
        assert image.raw_manifest is not None
        assert image.references == (TAG,)


def test_podman_store_lists_images_and_containers(store: Storage) -> None:
    image, container = list_images(store.root)
    assert (image.kind, image.references, image.present) == ("image", (TAG,), True)
    assert (container.kind, container.references[0]) == ("container", "changed")
    assert container.id == image.id


def test_podman_container_shows_what_the_kernel_shows(store: Storage, tmp_path: Path) -> None:
    folders = store.layer_folders("changed")
    if store.driver == "overlay":
        truth = changed(folders, tmp_path)
    else:
        truth = truth_of(folders[-1], CHANGES)
    with open_image(store.root, reference="changed") as image:
        assert compared(image, truth) == {}
        assert len(image.layers) == 4
        assert image.fs().getinfo("/newpipe", ["layer"]).raw["layer"]["index"] == 3


def test_podman_layer_without_its_frame_is_read_unverified(store: Storage, tmp_path: Path) -> None:
    folders = store.layer_folders("changed")[:-1]
    truth = mounted(tmp_path, folders) if store.driver == "overlay" else truth_of(folders[-1])
    frames = list(store.root.glob("*-layers/*.tar-split.gz"))
    try:
        for frame in frames:
            frame.rename(f"{frame}.away")
        with open_image(store.root, reference=TAG, verify=False) as image:
            assert compared(image, truth) == {}
    finally:
        for frame in frames:
            Path(f"{frame}.away").rename(frame)


# -- what a real engine has written of what stands on what ----------------------------------------


def stands_by_what_engines_write(root: Path, folder: Path, reference: str, listed: Path) -> None:
    """
    Bend what an engine has written, and see that it is compared.

    Args:
        root: The root of the store.
        folder: The container's own layer.
        reference: The container.
        listed: Names the image, whose configuration nobody knows without it.
    """

    def codes() -> set[str]:
        with open_image(root, reference=reference) as image:
            return {item.code for item in image.findings} & {"LOWER_MISMATCH", "STORE_NOT_READ"}

    lower = folder.parent / "lower"
    whole, away = lower.read_text(), listed.with_name(listed.name + ".away")
    assert codes() == set()
    try:
        lower.write_text(":".join(whole.split(":")[::-1]))
        assert codes() == {"LOWER_MISMATCH"}
        listed.rename(away)
        with pytest.raises(StoreError) as caught:
            open_image(root, reference=reference)
        assert (caught.value.member, caught.value.expected) == (str(lower), whole[:200])
        lower.write_text(whole)
        # Chains, or ids, tell alone that all is well.
        assert codes() == set()
    finally:
        lower.write_text(whole)
        if away.exists():
            away.rename(listed)


def test_what_docker_has_written_stands_together(engine: tuple[Docker, str]) -> None:
    docker, ident = engine
    if docker.driver == "vfs":
        pytest.skip("vfs keeps no names of the layers beneath")
    with open_image(docker.data_root, reference=TAG) as image:
        config = str(image.id)[7:]
    listed = docker.data_root / "image/overlay2/imagedb/content/sha256" / config
    stands_by_what_engines_write(
        docker.data_root, docker.layer_folders(ident)[-1], "changed", listed
    )


def test_what_podman_has_written_stands_together(store: Storage) -> None:
    if store.driver == "vfs":
        pytest.skip("vfs keeps no names of the layers beneath")
    listed = store.root / "overlay-images/images.json"
    stands_by_what_engines_write(store.root, store.layer_folders("changed")[-1], "changed", listed)


def test_podmans_ids_tell_the_parent_without_the_image(store: Storage) -> None:
    """What is pulled has ids that are made of digests, with either driver."""
    images = store.root / f"{store.driver}-images/images.json"
    layers = store.root / f"{store.driver}-layers/layers.json"
    whole, kept = layers.read_bytes(), images.read_bytes()
    items = json.loads(whole)
    top = next(item for item in items if item.get("diff-digest") and item.get("parent"))
    parent = top.pop("parent")
    try:
        images.write_text("[]")
        open_image(store.root, reference="changed").close()
        layers.write_text(json.dumps(items))
        with pytest.raises(StoreError) as caught:
            open_image(store.root, reference="changed")
        assert (caught.value.expected, caught.value.actual) == (parent, "nothing")
    finally:
        images.write_bytes(kept)
        layers.write_bytes(whole)
