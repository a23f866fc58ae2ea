"""
The images that every tool is to write: crafted ones, real ones, and ones that tools build here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import engines
import pytest
from attrs import evolve, field, frozen
from engines import Storage, skopeo, umoci
from facts import Facts, Tree, facts_of
from truth import describe
from writers import CONVERTED, OCI, Bench, Writer

from unionlayers.testing import (
    Entry,
    HistoryStep,
    ImageDescription,
    LayerDescription,
    char_device,
    directory,
    fifo,
    file,
    hardlink,
    layer,
    opaque,
    symlink,
    whiteout,
    write_image,
)

__all__ = ["CAMPAIGN", "HISTORY", "LAYERS", "MAKERS", "MIXED", "RICH", "Subject"]

HERE = Path(__file__).resolve().parent
IMAGES = HERE.parent.parent / "images"

NET_RAW = bytes.fromhex("0100000200200000000000000000000000000000")

# No hard link to an inode of a lower layer: Docker on overlay2 refuses it (case D6).
LAYERS: tuple[list[Entry], ...] = (
    [
        directory("etc", mtime=1_600_000_000),
        file("etc/passwd", "root:x:0:0::/:/bin/sh\n", mtime=1_600_000_001),
        file("etc/shadow", "x", mode=0o640, gid=42),
        directory("usr"),
        directory("usr/bin"),
        file("usr/bin/su", b"\x7fELF", mode=0o4755),
        hardlink("usr/bin/sudo", "usr/bin/su", mode=0o4755),
        symlink("bin", "usr/bin"),
        symlink("dangling", "/nowhere/at/all"),
        directory("tmp", mode=0o1777),
        file("tmp/old", "old"),
        directory("var"),
        directory("var/cache"),
        file("var/cache/a", "a"),
        file("var/cache/b", "b"),
        directory("opt"),
        directory("opt/x"),
        file("opt/x/y", "y"),
        directory("home"),
        directory("home/" + "n" * 120),
        file("home/" + "n" * 120 + "/" + "m" * 140, "long", uid=1000, gid=1000),
        file("large", b"0123456789abcdef" * 20_000, mtime_ns=1_700_000_000_123_456_789),
        directory("run"),
        fifo("run/fifo"),
        directory("dev"),
        char_device("dev/null", 1, 3, mode=0o666),
        file("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "UTF-8"),
        file(b"latin-\xe9", "no UTF-8"),
        file("xattr", "x", xattrs={"user.note": b"kept\0whole"}),
        file("owner", uid=3_000_000, gid=3_000_001),
        file("ping", xattrs={"security.capability": NET_RAW}),
    ],
    [
        whiteout("tmp/old"),
        opaque("var/cache"),
        file("var/cache/new", "new"),
        file("opt/x", "now a file"),
        directory("etc", mode=0o700, mtime=1_600_000_100),
    ],
    [file("again", "same")],
    [],
    [file("again", "same")],
    [whiteout("usr/bin/su"), whiteout("etc/passwd"), symlink("etc/passwd-", "shadow")],
)
HISTORY = (
    "ADD base",
    HistoryStep("ENV A=1", empty_layer=True),
    "RUN clean",
    HistoryStep("COPY again", comment="buildkit.dockerfile.v0", author="somebody"),
    "RUN true",
    "COPY again",
    HistoryStep("CMD", empty_layer=True, created="2024-01-02T03:04:05.123456789Z"),
    "RUN rm",
)
RICH = ImageDescription(
    LAYERS,
    tags=["localhost/source:1"],
    labels={"maintainer": "somebody"},
    env=["A=1", "PATH=/usr/bin"],
    created="2024-01-02T03:04:05Z",
    history=HISTORY,
)
MIXED = ImageDescription(
    [
        LayerDescription(layer(*entries), codec=codec)
        for entries, codec in zip(
            LAYERS, ("zstd", "gzip", "identity", "gzip", "zstd", "zstd"), strict=True
        )
    ],
    tags=["localhost/source:1"],
    history=HISTORY,
)


@frozen
class Made:
    """
    An image as it is given to the tools.

    Attributes:
        docker: A docker-archive.
        oci: An OCI archive.
        converted: Whether a tool made the OCI archive of the other, with a config of its own.
        mounted: The tree where an engine has mounted or unpacked it; None where none has.
        whole_seconds: Whether the engine cuts or rounds the times of what it builds to seconds.
    """

    docker: Path
    oci: Path
    converted: bool = False
    mounted: Tree | None = None
    whole_seconds: bool = False


Maker = Callable[[Path, pytest.FixtureRequest], Made]


@frozen
class Subject:
    """
    An image to be written by every tool, and what its forms show.

    Attributes:
        bench: Where it lies.
        made: The image as it is given.
        known: What its forms show, by the name of the writer.
    """

    bench: Bench
    made: Made
    known: dict[str, Facts] = field(factory=dict)

    def given(self, writer: Writer) -> Facts:
        """Give what the archive shows that the tool was given."""
        if writer.source not in self.known:
            source = self.made.oci if writer.source == OCI else self.made.docker
            self.known[writer.source] = facts_of(source)
        return self.known[writer.source]

    def facts(self, writer: Writer) -> Facts:
        """Have the tool write it, once, and give what we see; skips where the tool is absent."""
        if writer.name not in self.known:
            self.known[writer.name] = facts_of(writer(self.bench))
        return self.known[writer.name]

    def changes(self, writer: Writer) -> frozenset[str]:
        """Give in which fields the form differs from the docker-archive, by its makers' nature."""
        before = CONVERTED if self.made.converted and writer.source == OCI else {}
        return frozenset({*writer.changes, *before})


def _crafted(image: ImageDescription) -> Maker:
    def make(folder: Path, request: pytest.FixtureRequest) -> Made:
        docker = write_image(folder / "source.docker.tar", image, form="docker-archive")
        oci = write_image(folder / "source.oci.tar", image, form="oci-archive")
        assert isinstance(docker, Path)
        assert isinstance(oci, Path)
        return Made(docker, oci)

    return make


def _from_docker(archive: Path, folder: Path) -> Made:
    oci = folder / "source.oci.tar"
    skopeo("copy", "--quiet", f"docker-archive:{archive}", f"oci-archive:{oci}:1")
    return Made(archive, oci, converted=True)


def _from_oci(archive: Path, folder: Path, mounted: Tree | None = None) -> Made:
    docker = folder / "source.docker.tar"
    skopeo("copy", "--quiet", f"oci-archive:{archive}", f"docker-archive:{docker}:localhost/a:1")
    return Made(docker, archive, mounted=mounted)


def _file(name: str) -> Maker:
    def make(folder: Path, request: pytest.FixtureRequest) -> Made:
        if "oci" in name:
            return _from_oci(IMAGES / name, folder)
        return _from_docker(IMAGES / name, folder)

    return make


def _first(root: Path) -> None:
    """Fill a tree with what an engine is to make a layer of; needs root."""
    for name in ("bin", "gone", "replaced", "opaque", "deep/er"):
        (root / name).mkdir(parents=True)
    (root / "bin/x").write_bytes(b"\x7fELF")
    os.link(root / "bin/x", root / "bin/y")
    os.setxattr(root / "bin/x", "user.note", b"kept\0whole")
    (root / "bin/link").symlink_to("x")
    for name in ("gone/a", "gone/b", "replaced/a", "opaque/old", "deep/er/file", "deleted"):
        (root / name).write_text(name)
    os.chown(root / "deep/er/file", 1000, 3_000_000)
    os.utime(root / "deep/er/file", ns=(1, 1_234_567_890_123_456_789))
    (root / "deep").chmod(0o1777)
    os.mknod(root / "null", 0o20666, os.makedev(1, 3))
    os.mkfifo(root / "fifo")
    with (root / "sparse").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")


def _second(root: Path) -> None:
    """Change what `_first` made: deletions, another mode, other content, a new hard link."""
    (root / "deleted").unlink()
    shutil.rmtree(root / "gone")
    shutil.rmtree(root / "opaque")
    (root / "opaque").mkdir()
    (root / "opaque/new").write_text("new")
    (root / "bin/x").chmod(0o4755)
    (root / "deep/er/file").write_text("changed")
    (root / "hard").write_text("two names")
    os.link(root / "hard", root / "deep/hard")


def _built(root: str) -> Tree:
    return {str(fact["path"]): fact for fact in describe(root)}


def _by_buildah(*options: str) -> Maker:
    def make(folder: Path, request: pytest.FixtureRequest) -> Made:
        engines.need("buildah", "skopeo")
        store: Storage = request.getfixturevalue("podman_store")
        policy = ("--signature-policy", store.policy)
        name = "localhost/" + "-".join(["built", *(option.strip("-") for option in options)])
        context = folder / "context"
        (context / "sub").mkdir(parents=True)
        (context / "sub/file").write_text("copied")

        first = store.buildah("from", "scratch").decode().strip()
        store.buildah("copy", first, context, "/copied")
        store.buildah("add", first, context / "sub/file", "/added/file")
        store.buildah("config", "--env", "A=b", "--label", "c=d", "--history-comment", "e", first)
        _first(Path(store.buildah("mount", first).decode().strip()))
        store.buildah("commit", "--quiet", *policy, first, f"{name}:1")
        second = store.buildah("from", *policy, f"{name}:1").decode().strip()
        root = store.buildah("mount", second).decode().strip()
        _second(Path(root))
        shutil.rmtree(Path(root) / "replaced")
        (Path(root) / "replaced").write_text("now a file")
        mounted = _built(root)
        store.buildah("commit", "--quiet", *policy, *options, second, f"{name}:2")
        store.buildah("umount", first, second)
        archive = folder / "source.oci.tar"
        store.buildah("push", "--quiet", *policy, f"{name}:2", f"oci-archive:{archive}:1")
        store.buildah("rm", first, second)
        return evolve(_from_oci(archive, folder, mounted), whole_seconds=True)

    return make


def _by_umoci(folder: Path, request: pytest.FixtureRequest) -> Made:
    # No file in place of a directory here: Docker refuses what umoci makes of that (case F4).
    engines.need("umoci", "skopeo")
    if not engines.privileged():
        pytest.skip("umoci needs root to make devices and owners")
    layout = folder / "layout"
    image = ("--image", f"{layout}:1")
    bundle = folder / "bundle"
    again = ("--refresh-bundle", bundle)
    umoci("init", "--layout", layout)
    umoci("new", *image)
    umoci("unpack", *image, bundle)
    _first(bundle / "rootfs")
    umoci("repack", *image, "--history.created_by", "the first", *again)
    _second(bundle / "rootfs")
    umoci("repack", *image, "--history.comment", "the second", *again)
    inserted = folder / "inserted"
    inserted.mkdir()
    (inserted / "file").write_text("inserted")
    umoci("insert", *image, "--opaque", inserted, "/deep")
    umoci("insert", *image, "--whiteout", "/fifo")
    umoci("config", *image, "--config.env", "A=b", "--history.created_by", "ENV A=b")
    umoci("unpack", *image, folder / "last")
    archive = folder / "source.oci.tar"
    skopeo("copy", "--quiet", f"oci:{layout}:1", f"oci-archive:{archive}:1")
    return _from_oci(archive, folder, _built(str(folder / "last/rootfs")))


MAKERS: dict[str, Maker] = {
    "rich": _crafted(RICH),
    "mixed": _crafted(MIXED),
    "tiny": _file("tiny.skopeo-docker-archive.tar"),
    "dup-layers": _file("dup-layers.docker-save.tar"),
    "by-buildah": _by_buildah(),
    "by-buildah-squashed": _by_buildah("--squash"),
    "by-umoci": _by_umoci,
    "many-layers": _file("many-layers.oci-gzip.tar"),
}

# Larger, or much like another one.
CAMPAIGN = frozenset({"tiny", "by-buildah-squashed", "many-layers"})
