"""
Apply layers with GNU tar, kernel overlayfs and umoci; run as root by `private.Unpackers`.

Reads one JSON object a line, writes one a line.  It runs in a mount namespace of its own, on a
tmpfs that is gone with it.  GNU tar runs with the tree it fills as its root directory, so that a
link inside a crafted layer leads nowhere else: its program and libraries are bound there.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from truth import describe

__all__ = ["serve"]

HOST = ".host"
OPAQUE = ".wh..wh..opq"
PREFIX = ".wh."
TAR = (
    *(f"/{HOST}/loader", "--library-path", f"/{HOST}", f"/{HOST}/tar", "--extract"),
    *("--numeric-owner", "--same-owner", "--preserve-permissions", "--absolute-names"),
    *("--delay-directory-restore", "--xattrs", "--xattrs-include=*", "--exclude=.wh.*"),
)


class RefusedError(Exception):
    """What a tool said when it would not go on."""


def run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        raise RefusedError(done.stderr.decode(errors="replace").strip()[-400:])


class Unpackers:
    """The procedures, each from a list of tar files to the facts of a tree."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.tools = os.path.join(base, "tools")
        self.counter = 0
        os.mkdir(self.tools)
        program = shutil.which("tar")
        assert program is not None
        shutil.copy(program, os.path.join(self.tools, "tar"))
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            path = next((word for word in line.split() if word.startswith("/")), None)
            if path is not None:
                loader = "/ld-" in path or "/ld64" in path
                name = "loader" if loader else os.path.basename(path)
                shutil.copy(os.path.realpath(path), os.path.join(self.tools, name))

    def folder(self) -> str:
        self.counter += 1
        path = os.path.join(self.base, str(self.counter))
        os.mkdir(path, 0o755)
        return path

    @contextmanager
    def hosted(self, root: str) -> Iterator[None]:
        """Lend a tree the programs that must run with it as their root."""
        place = os.path.join(root, HOST)
        os.mkdir(place)
        run("mount", "--bind", self.tools, place)
        try:
            yield
        finally:
            run("umount", place)
            os.rmdir(place)

    def untar(self, root: str, layer: str, *options: str) -> None:
        """Let GNU tar extract everything but marks, with *root* as its root directory."""
        if os.path.getsize(layer) == 0:
            return
        with open(layer, "rb") as archive:
            done = subprocess.run(
                [*TAR, *options, "--directory=/", "--file=-"],
                stdin=archive,
                capture_output=True,
                check=False,
                preexec_fn=lambda: os.chroot(root),
                env={"LC_ALL": "C"},
            )
        if done.returncode:
            raise RefusedError(done.stderr.decode(errors="replace").strip()[-400:])

    def inside(self, root: str, task: Callable[[], None]) -> None:
        """Do something with *root* as the root directory, in a process of its own."""
        child = os.fork()
        if child == 0:
            try:
                os.chroot(root)
                os.chdir("/")
                task()
            except OSError:
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            raise RefusedError("a whiteout could not be applied")

    # -- the procedures ---------------------------------------------------------------------------

    def sequence(self, layers: list[str]) -> list[dict[str, object]]:
        """Delete what a layer's marks name, then let tar extract the rest, layer upon layer."""
        root = self.folder()
        with self.hosted(root):
            for layer in layers:
                found, files = marks(layer), others(layer)
                self.inside(root, partial(delete, found, files))
                self.untar(root, layer)
        return self.told(root)

    def overlay(self, layers: list[str]) -> list[dict[str, object]]:
        """Extract each layer alone, make marks those of overlayfs, and let the kernel merge."""
        lowers = []
        for layer in layers:
            root = self.folder()
            os.chmod(root, 0o755)
            with self.hosted(root):
                self.untar(root, layer)
                found = marks(layer)
                if found:
                    self.inside(root, partial(translate, found))
            lowers.append(root)
        bottom, merged = self.folder(), self.folder()
        stacked = ":".join([*reversed(lowers), bottom])
        run("mount", "-t", "overlay", "-o", f"ro,lowerdir={stacked}", "overlay", merged)
        try:
            return describe(merged)
        finally:
            run("umount", merged)
            for root in (*lowers, bottom, merged):
                shutil.rmtree(root)

    def umoci(self, layers: list[str]) -> list[dict[str, object]]:
        """Let ``umoci raw unpack`` do all of it; the one item of *layers* is a layout."""
        root = self.folder()
        os.rmdir(root)
        run("umoci", "raw", "unpack", "--image", layers[0], root)
        return self.told(root)

    def told(self, root: str) -> list[dict[str, object]]:
        try:
            return describe(root)
        finally:
            shutil.rmtree(root)


def marks(layer: str) -> list[str]:
    """Give the paths of the marks of a layer, as the tar has them."""
    with tarfile.open(layer, encoding="utf-8", errors="surrogateescape") as archive:
        names = [member.name for member in archive]
    return [name for name in names if os.path.basename(name).startswith(PREFIX)]


def others(layer: str) -> list[str]:
    """Give the paths of what is neither a mark nor a directory."""
    with tarfile.open(layer, encoding="utf-8", errors="surrogateescape") as archive:
        names = [member.name for member in archive if not member.isdir()]
    return [name for name in names if not os.path.basename(name).startswith(PREFIX)]


def remove(path: str) -> None:
    found = os.lstat(path)
    if stat.S_ISDIR(found.st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def delete(found: list[str], files: list[str]) -> None:
    """Remove what marks name, and directories that something else replaces, which tar would not."""
    for mark in found:
        parent, name = os.path.split("/" + mark)
        os.makedirs(parent, 0o755, exist_ok=True)
        if name == OPAQUE:
            for inner in os.listdir(parent):
                if (parent, inner) != ("/", HOST):
                    remove(os.path.join(parent, inner))
        elif os.path.lexists(os.path.join(parent, name[len(PREFIX) :])):
            remove(os.path.join(parent, name[len(PREFIX) :]))
    for path in files:
        try:
            found_there = os.lstat("/" + path)
        except OSError:
            continue
        if stat.S_ISDIR(found_there.st_mode):
            shutil.rmtree("/" + path)


def translate(found: list[str]) -> None:
    for mark in found:
        parent, name = os.path.split("/" + mark)
        times: dict[str, tuple[int, int]] = {}
        os.makedirs(parent, 0o755, exist_ok=True)
        before = os.stat(parent)
        times[parent] = before.st_atime_ns, before.st_mtime_ns
        if name == OPAQUE:
            os.setxattr(parent, "trusted.overlay.opaque", b"y")
        else:
            hidden = os.path.join(parent, name[len(PREFIX) :])
            if not os.path.lexists(hidden):
                os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0))
        for path, pair in times.items():
            os.utime(path, ns=pair)


def serve(base: str) -> None:
    """Answer requests until the input ends."""
    os.umask(0o022)
    run("mount", "-t", "tmpfs", "-o", "mode=0755,size=256m", "tmpfs", base)
    unpackers = Unpackers(base)
    for line in sys.stdin:
        asked = json.loads(line)
        answer: dict[str, Any]
        try:
            answer = {"tree": getattr(unpackers, asked["by"])(asked["layers"])}
        except RefusedError as refused:
            answer = {"refused": str(refused)}
        except (OSError, ValueError, tarfile.TarError):
            answer = {"fault": traceback.format_exc()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
