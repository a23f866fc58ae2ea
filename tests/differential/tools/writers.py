"""
What tools of Debian make of an image: every form and compression that each of them can write.

A `Writer` takes an image that lies in a docker-archive and an OCI archive, has its tool write it,
and names what the tool changes on the way.  All else has to stay the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import engines
import pytest
from attrs import field, frozen
from engines import Docker, Storage, run, skopeo

__all__ = ["CONVERTED", "DOCKER", "LIES", "OCI", "WRITERS", "Bench", "Writer"]

DOCKER, OCI = "docker-archive", "oci-archive"

LIES = {
    "findings:MEDIA_TYPE_MISMATCH": (
        "containers/image takes the plain layers of a docker-archive and of its own store for "
        "gzip, and says so in the manifest when it copies them as they are"
    )
}

CONVERTED = dict.fromkeys(
    ("id", "config"),
    "containers/image writes the config anew when it makes an OCI image of a Docker image: it "
    "drops the members that only Docker has, and orders the rest its own way",
)
# What a tool says of images that it cannot write in some form.
REFUSALS = ("zstd compression is not supported for",)


@frozen
class Bench:
    """
    One image to be written, and the engines to do it with.

    Attributes:
        name: What the tests call the image.
        docker_archive: It in one form.
        oci_archive: It in the other, its layers compressed.
        folder: Where writers may write.
        request: Gives the engines when they are asked for, and skips where they are absent.
    """

    name: str
    docker_archive: Path
    oci_archive: Path
    folder: Path
    request: pytest.FixtureRequest
    loaded: dict[str, str] = field(factory=dict)

    @property
    def reference(self) -> str:
        """What the image is called in the engines."""
        return f"localhost/{self.name}:1"

    @property
    def docker(self) -> Docker:
        """The daemon, with the image loaded."""
        engine: Docker = self.request.getfixturevalue("docker")
        if "docker" not in self.loaded:
            said = engine("load", "--input", self.docker_archive).decode()
            self.loaded["docker"] = said
            engine("tag", _loaded(said), self.reference)
        return engine

    @property
    def store(self) -> Storage:
        """The store of podman and buildah, with the image in it."""
        store: Storage = self.request.getfixturevalue("podman_store")
        if "store" not in self.loaded:
            store.skopeo(
                "copy",
                f"docker-archive:{self.docker_archive}",
                f"containers-storage:[{store.driver}@{store.root}+{store.runroot}]{self.reference}",
            )
            self.loaded["store"] = self.reference
        return store


def _loaded(said: str) -> str:
    """Give the reference or id that ``docker load`` says it has loaded."""
    return said.strip().splitlines()[-1].partition(": ")[2]


@frozen
class Writer:
    """
    One way of one tool to write an image.

    Attributes:
        name: Tool, form and compression.
        tools: What has to be there.
        kind: ``"archive"`` or ``"directory"``.
        write: Writes the image of a bench to a path that does not exist.
        source: Which archive of the bench it is given.
        changes: Fields of `facts.Facts` that it changes, with the reason.
    """

    name: str
    tools: tuple[str, ...]
    kind: str
    write: Callable[[Bench, Path], object]
    source: str = DOCKER
    changes: Mapping[str, str] = field(factory=dict)

    def __str__(self) -> str:
        """Give the id of a test."""
        return self.name

    def __call__(self, bench: Bench) -> Path:
        """Write, and give what is to be opened; a second call gives the first one's."""
        engines.need(*self.tools)
        target = bench.folder / self.name.replace(" ", "-")
        if not target.exists():
            try:
                self.write(bench, target)
            except AssertionError as error:
                for refusal in REFUSALS:
                    if refusal in str(error):
                        shutil.rmtree(target, ignore_errors=True)
                        pytest.skip(f"{self.name} of {bench.name}: {refusal} Docker images")
                raise
        return target


# -- skopeo ----------------------------------------------------------------------------------------


def _copied(source: str, form: str, *options: str) -> Callable[[Bench, Path], object]:
    tag = {"dir": "", "docker-archive": ":localhost/skopeo:1"}.get(form, ":1")

    def write(bench: Bench, target: Path) -> object:
        archive = bench.docker_archive if source == DOCKER else bench.oci_archive
        return skopeo("copy", "--quiet", *options, f"{source}:{archive}", f"{form}:{target}{tag}")

    return write


def _skopeo(name: str, source: str, form: str, *options: str, lies: bool = False) -> Writer:
    to_oci = form.startswith("oci") or "oci" in options
    changes = {**(CONVERTED if source == DOCKER and to_oci else {}), **(LIES if lies else {})}
    kind = "archive" if form.endswith("archive") else "directory"
    write = _copied(source, form, *options)
    return Writer(f"skopeo {form} {name} from {source}", ("skopeo",), kind, write, source, changes)


GZIP = ("--dest-compress-format", "gzip")
ZSTD = ("--dest-compress-format", "zstd")
PLAIN = "--dest-oci-accept-uncompressed-layers"

_SKOPEO = (
    _skopeo("plain", DOCKER, "docker-archive"),
    _skopeo("plain", OCI, "docker-archive"),
    *(
        _skopeo(codec, source, form, *options)
        for source in (DOCKER, OCI)
        for form in ("oci", "oci-archive")
        for codec, options in (("gzip", GZIP), ("zstd", ZSTD))
    ),
    _skopeo("unchanged", DOCKER, "oci", PLAIN, lies=True),
    _skopeo("unchanged", DOCKER, "oci-archive", PLAIN, lies=True),
    _skopeo("unchanged", OCI, "oci", PLAIN),
    _skopeo("unchanged", DOCKER, "dir", lies=True),
    _skopeo("unchanged", OCI, "dir"),
    _skopeo("gzip", DOCKER, "dir", "--dest-compress", *GZIP),
    _skopeo("zstd", OCI, "dir", "--dest-compress", *ZSTD),
    _skopeo("plain", OCI, "dir", "--dest-decompress"),
    _skopeo("schema2", OCI, "dir", "--format", "v2s2", "--dest-compress"),
    _skopeo("as-oci", DOCKER, "dir", "--format", "oci", "--dest-compress"),
)


# -- docker ----------------------------------------------------------------------------------------


def _docker_save(bench: Bench, target: Path) -> None:
    bench.docker("save", "--output", target, bench.reference)


def _docker_save_by_id(bench: Bench, target: Path) -> None:
    found = bench.docker("image", "inspect", "--format", "{{.Id}}", bench.reference)
    bench.docker("save", "--output", target, found.decode().strip())


def _docker_save_unpacked(bench: Bench, target: Path) -> None:
    packed = target.with_name(f"{target.name}.tar")
    _docker_save(bench, packed)
    target.mkdir()
    run("tar", "-C", target, "-xf", packed)


def _from_daemon(bench: Bench, target: Path) -> None:
    host = f"unix://{bench.docker.folder / 'sock'}"
    source = f"docker-daemon:{bench.reference}"
    skopeo("copy", "--quiet", "--src-daemon-host", host, source, f"oci-archive:{target}:1")


_DOCKER = (
    Writer("docker save", ("docker",), "archive", _docker_save),
    Writer("docker save by id", ("docker",), "archive", _docker_save_by_id),
    Writer("docker save unpacked", ("docker",), "directory", _docker_save_unpacked),
    Writer(
        "skopeo oci-archive from the daemon",
        ("docker", "skopeo"),
        "archive",
        _from_daemon,
        changes=CONVERTED,
    ),
)


# -- podman and buildah ----------------------------------------------------------------------------


def _podman(form: str, *options: str, lies: bool = False) -> Writer:
    changes = {**(CONVERTED if "oci" in form else {}), **(LIES if lies else {})}

    def write(bench: Bench, target: Path) -> None:
        words = ("save", "--quiet", "--format", form, *options)
        bench.store.podman(*words, "--output", target, bench.reference)

    kind = "archive" if form.endswith("archive") else "directory"
    name = " ".join(["podman", form, *(option.lstrip("-") for option in options)])
    return Writer(name, ("podman", "skopeo"), kind, write, changes=changes)


def _buildah(name: str, form: str, *options: str, lies: bool = False) -> Writer:
    to_oci = form.startswith("oci") or "oci" in options
    changes = {**(CONVERTED if to_oci else {}), **(LIES if lies else {})}
    tag = {"dir": "", "docker-archive": ":localhost/buildah:1"}.get(form, ":1")

    def write(bench: Bench, target: Path) -> None:
        store = bench.store
        words = ("push", "--quiet", "--signature-policy", str(store.policy), *options)
        store.buildah(*words, bench.reference, f"{form}:{target}{tag}")

    kind = "archive" if form.endswith("archive") else "directory"
    title = f"buildah {form} {name}"
    return Writer(title, ("buildah", "skopeo"), kind, write, changes=changes)


def _codec(name: str) -> tuple[str, str]:
    return "--compression-format", name


_PODMAN = (
    _podman("docker-archive"),
    _podman("oci-archive"),
    _podman("oci-archive", "--uncompressed", lies=True),
    _podman("oci-dir"),
    _podman("docker-dir", lies=True),
    _podman("docker-dir", "--compress"),
)
_BUILDAH = (
    _buildah("plain", "docker-archive"),
    *(
        _buildah(codec, form, *_codec(codec))
        for form in ("oci", "oci-archive")
        for codec in ("gzip", "zstd")
    ),
    _buildah("gzip", "dir", *_codec("gzip")),
    _buildah("as-oci", "dir", "--format", "oci"),
    _buildah("unchanged", "dir", "--disable-compression", lies=True),
)


# -- umoci -----------------------------------------------------------------------------------------


def _umoci(bench: Bench, target: Path) -> None:
    """Have umoci write index.json anew: it tags and collects garbage, and copies no layer."""
    _copied(OCI, "oci", *GZIP)(bench, target)
    engines.umoci("tag", "--image", f"{target}:1", "again")
    engines.umoci("rm", "--image", f"{target}:1")
    engines.umoci("gc", "--layout", target)


_UMOCI = (Writer("umoci oci tagged", ("umoci", "skopeo"), "directory", _umoci, OCI),)

WRITERS = (*_SKOPEO, *_DOCKER, *_PODMAN, *_BUILDAH, *_UMOCI)
"""Every writer; their names are different."""

assert len({writer.name for writer in WRITERS}) == len(WRITERS)
