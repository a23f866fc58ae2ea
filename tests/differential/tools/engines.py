"""
Container engines of their own for the tests: a private dockerd, private stores of podman and
buildah, and the tools that need no store.

Nothing of the machine's own engines is touched: each has its own root, socket and configuration
beneath one folder.  What is absent, or needs root, skips the test by name and reason.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from attrs import field, frozen

__all__ = [
    "TOOLS",
    "Docker",
    "Storage",
    "dockerd",
    "loaded_storage",
    "need",
    "needs",
    "privileged",
    "run",
    "skopeo",
    "storage",
    "umoci",
    "version",
    "why_absent",
]

TOOLS = ("docker", "podman", "buildah", "skopeo", "umoci")
ROOT_ONLY = frozenset({"docker", "podman", "buildah"})

# Debian's client stands beside its daemon; another one may come first on the path.
PLACES = {"docker": ("/usr/bin/docker", "docker"), "dockerd": ("/usr/sbin/dockerd", "dockerd")}

# CAP_CHOWN, CAP_SYS_CHROOT, CAP_SYS_ADMIN and CAP_MKNOD: containers often lack the latter two.
CAPABILITIES = 1 << 0 | 1 << 18 | 1 << 21 | 1 << 27

POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
# How long a daemon may take to answer, and to stop, in seconds.
START = 30.0
STOP = 20.0


@cache
def tool(name: str) -> str | None:
    """Give the path of a program, None where it is absent."""
    found = (shutil.which(place) for place in PLACES.get(name, (name,)))
    return next((path for path in found if path), None)


@cache
def privileged() -> bool:
    """Tell whether this is root, of all users, with the capabilities that engines need."""
    try:
        status = Path("/proc/self/status").read_text()
        users = Path("/proc/self/uid_map").read_text().split()
    except OSError:
        return False
    match = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    held = int(match[1], 16) if match else 0
    return os.geteuid() == 0 and users[2:] == ["4294967295"] and held & CAPABILITIES == CAPABILITIES


def why_absent(name: str) -> str | None:
    """Say why a tool of `TOOLS` cannot be used here, None where it can."""
    wanted = ("docker", "dockerd") if name == "docker" else (name,)
    for program in wanted:
        if tool(program) is None:
            return f"{program} is not installed"
    if name in ROOT_ONLY and not privileged():
        return f"{name} needs root, with the capabilities to mount and to make devices"
    return None


def need(*names: str) -> None:
    """Skip the test that asks where one of these tools cannot be used."""
    for name in names:
        reason = why_absent(name)
        if reason is not None:
            pytest.skip(reason)


def needs(name: str) -> pytest.MarkDecorator:
    """Mark a test as one that needs a tool."""
    reason = why_absent(name)
    return pytest.mark.skipif(reason is not None, reason=reason or "")


@cache
def version(name: str) -> str:
    """Give the version that a tool says it is, such as ``1.9.3``; empty where it is absent."""
    program = tool("dockerd" if name == "docker" else name)
    if program is None:
        return ""
    said = run(program, "--version").decode()
    match = re.search(r"\d+(?:\.\d+)+", said)
    return match.group() if match else said.strip()


def run(*command: str | Path, env: dict[str, str] | None = None, seconds: float = 120) -> bytes:
    """Run a command that must succeed, and give what it wrote."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        capture_output=True,
        check=False,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
        env=None if env is None else {**os.environ, **env},
    )
    assert done.returncode == 0, f"{words}: {done.stderr.decode(errors='replace')}"
    return done.stdout


@frozen
class Docker:
    """
    A dockerd that runs.

    Attributes:
        folder: What it was started in.
        driver: Its storage driver.
        pid: Its process.
        remapped: The user and group that is root in its containers, None without userns-remap.
    """

    folder: Path
    driver: str
    pid: int
    remapped: int | None = None

    @property
    def data_root(self) -> Path:
        """Its ``--data-root``."""
        place = self.folder / "data"
        return place if self.remapped is None else place / f"{self.remapped}.{self.remapped}"

    def __call__(self, *words: str | Path) -> bytes:
        """Run ``docker`` against it, and give what it wrote."""
        client = tool("docker")
        assert client is not None
        config = {"DOCKER_CONFIG": str(self.folder / "config"), "DOCKER_BUILDKIT": "0"}
        return run(client, "-H", f"unix://{self.folder / 'sock'}", *words, env=config)

    def layer_folders(self, container: str) -> list[Path]:
        """Give what makes up a container, base first; of vfs only the last one counts."""
        ident = self("inspect", "--format", "{{.Id}}", container).decode().strip()
        database = self.data_root / "image" / self.driver / "layerdb"
        mount = database / "mounts" / ident
        names = [(mount / name).read_text() for name in ("mount-id", "init-id")]
        chain = (mount / "parent").read_text()
        while chain:
            place = database / chain.replace(":", "/")
            names.append((place / "cache-id").read_text())
            parent = place / "parent"
            chain = parent.read_text() if parent.exists() else ""
        return _layer_folders(self.data_root, self.driver, names)

    def answers(self) -> bool:
        """Tell whether it can be asked."""
        try:
            self("version")
        except AssertionError:
            return False
        return True


def _layer_folders(root: Path, driver: str, names: list[str]) -> list[Path]:
    """Give where a driver has what it calls so, the last one first."""
    if driver == "vfs":
        return [root / "vfs" / "dir" / name for name in reversed(names)]
    return [root / driver / name / "diff" for name in reversed(names)]


def _said(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    wrong = [line for line in lines if "level=error" in line or "level=fatal" in line] or lines
    return (wrong or lines or ["nothing"])[-1][-300:]


def _stopped(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Stop a daemon, and the containerd it started if that should be left."""
    process.terminate()
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        pid = folder / "exec" / "containerd" / "containerd.pid"
        if pid.exists():
            os.kill(int(pid.read_text()), signal.SIGKILL)


def _remapping(place: Path, first: int | None) -> tuple[str, ...]:
    """Give what runs a daemon with other lists of subordinate ids than those of the machine."""
    if first is None:
        return ()
    for name in ("/etc/subuid", "/etc/subgid"):
        if not Path(name).exists():
            pytest.skip(f"there is no {name}, which userns-remap needs")
    lists = place / "subids"
    lists.write_text(f"nobody:{first}:65536\nnogroup:{first}:65536\n")
    script = 'mount --bind "$0" /etc/subuid && mount --bind "$0" /etc/subgid && exec "$@"'
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(lists))


@contextmanager
def dockerd(folder: Path, *drivers: str, remap: int | None = None) -> Iterator[Docker]:
    """
    Run a private dockerd while the context lasts.

    Args:
        folder: An absolute one, empty or absent, with a short path: a socket is made in it.
        drivers: Storage drivers to try in turn; overlay2 by default.
        remap: The first of the ids that its containers have on the host, for userns-remap.

    Skips:
        Docker is absent, this is not root, or no daemon of these drivers can run here; with the
        last error of its log.
    """
    need("docker")
    program = tool("dockerd")
    assert program is not None
    reasons = []
    for driver in drivers or ("overlay2",):
        place = folder / driver
        place.mkdir(parents=True)
        log = place / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *_remapping(place, remap),
                    # So that none is left where the tests are killed.
                    *(("setpriv", "--pdeathsig", "TERM") if tool("setpriv") else ()),
                    program,
                    *("--data-root", place / "data", "--exec-root", place / "exec"),
                    *("-H", f"unix://{place / 'sock'}", "--pidfile", place / "pid"),
                    *("--storage-driver", driver, "--iptables=false", "--bridge=none"),
                    "--ip-forward=false",
                    *(("--userns-remap=nobody:nogroup",) if remap is not None else ()),
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        try:
            engine = Docker(place, driver, process.pid, remap)
            end = time.monotonic() + START
            while process.poll() is None and time.monotonic() < end:
                if (place / "sock").exists() and engine.answers():
                    yield engine
                    return
                time.sleep(0.05)
            reasons.append(f"{driver}: {_said(log)}")
        finally:
            _stopped(process, place)
    pytest.skip(f"no dockerd can run here: {'; '.join(reasons)}")


@frozen
class Storage:
    """
    A private root of containers/storage, for podman and buildah alike.

    Attributes:
        folder: What it stands in.
        driver: Its storage driver.
        options: More of ``--storage-opt``.
    """

    folder: Path
    driver: str
    options: tuple[str, ...] = ()
    policy: Path = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Write the configuration."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.policy.write_text(POLICY)
        (self.folder / "tmp").mkdir()
        (self.folder / "registries.conf").write_text("unqualified-search-registries = []\n")
        (self.folder / "storage.conf").write_text(
            f'[storage]\ndriver = "{self.driver}"\n'
            f'graphroot = "{self.root}"\nrunroot = "{self.runroot}"\n'
        )

    @policy.default
    def _policy(self) -> Path:
        return self.folder / "policy.json"

    @property
    def root(self) -> Path:
        """Its ``--root``."""
        return self.folder / "root"

    @property
    def runroot(self) -> Path:
        """Its ``--runroot``."""
        return self.folder / "runroot"

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.folder / "registries.conf"),
            "TMPDIR": str(self.folder / "tmp"),
        }

    @property
    def _store(self) -> tuple[str, ...]:
        return (
            *("--root", str(self.root), "--runroot", str(self.runroot)),
            *("--storage-driver", self.driver),
            *(f"--storage-opt={option}" for option in self.options),
        )

    def podman(self, *words: str | Path) -> bytes:
        """Run podman on this store, and give what it wrote."""
        need("podman")
        place = ("--tmpdir", str(self.folder / "libpod"), "--cgroup-manager", "cgroupfs")
        events = ("--events-backend", "file")
        return run("podman", *self._store, *place, *events, *words, env=self._environment)

    def buildah(self, *words: str | Path) -> bytes:
        """Run buildah on this store, and give what it wrote."""
        need("buildah")
        return run("buildah", *self._store, *words, env=self._environment)

    def layer_folders(self, container: str) -> list[Path]:
        """Give what makes up a container, base first; of vfs only the last one counts."""
        listed, layers = (
            json.loads((self.root / f"{self.driver}-{what}/{what}.json").read_bytes())
            for what in ("containers", "layers")
        )
        parents = {layer["id"]: layer.get("parent") for layer in layers}
        top = next(item["layer"] for item in listed if container in item["names"])
        names = []
        while top:
            names.append(top)
            top = parents[top]
        return _layer_folders(self.root, self.driver, names)

    def skopeo(self, *words: str | Path) -> bytes:
        """Run skopeo so that ``containers-storage:`` means this store."""
        need("skopeo")
        return run("skopeo", "--policy", self.policy, *words, env=self._environment)


@contextmanager
def storage(folder: Path, *drivers: str, options: tuple[str, ...] = ()) -> Iterator[Storage]:
    """
    Give a private store while the context lasts.

    Args:
        folder: An absolute one.
        drivers: Storage drivers to try in turn; overlay by default.
        options: More of ``--storage-opt``.

    Skips:
        Neither podman nor buildah is there, this is not root, or no store of these drivers can be
        made here; with what the tool said.
    """
    asking = "podman" if why_absent("podman") is None else "buildah"
    need(asking)
    reasons = []
    for driver in drivers or ("overlay",):
        found = Storage(folder / driver, driver, options)
        try:
            found.podman("images") if asking == "podman" else found.buildah("images")
        except AssertionError as error:
            reasons.append(f"{driver}: {str(error)[-300:]}")
            continue
        yield found
        return
    pytest.skip(f"no store of {asking} can be made here: {'; '.join(reasons)}")


@contextmanager
def loaded_storage(
    archive: Path,
    tag: str,
    driver: str,
    containers: Mapping[str, tuple[str, ...]],
    options: tuple[str, ...] = (),
) -> Iterator[Storage]:
    """
    Give a private store of podman with an image and containers of it while the context lasts.

    Args:
        archive: What is loaded.
        tag: What the image in it is called.
        driver: The storage driver.
        containers: Names of containers, which never run, with the options that they are made with.
        options: More of ``--storage-opt``.

    Skips:
        Where podman is absent, or cannot make such a store here.
    """
    need("podman")
    with (
        tempfile.TemporaryDirectory(prefix="ul-store-") as folder,
        storage(Path(folder), driver, options=options) as made,
    ):
        made.podman("load", "--signature-policy", made.policy, "--input", archive)
        for name, words in containers.items():
            made.podman("create", "--name", name, *words, tag, "/x")
        yield made


def skopeo(*words: str | Path) -> bytes:
    """Run skopeo, which needs no store and no root, and give what it wrote."""
    need("skopeo")
    return run("skopeo", "--insecure-policy", *words)


def umoci(*words: str | Path) -> bytes:
    """Run umoci, and give what it wrote; without root, its commands want ``--rootless``."""
    need("umoci")
    return run("umoci", *words)
