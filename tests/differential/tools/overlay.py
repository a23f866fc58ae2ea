"""
What the kernel shows of directories that are stacked: the truth for on-disk stores.

Mounts are made in a mount namespace of their own, by this file run as a program, and are gone
with it; nothing of the machine is mounted over.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

__all__ = [
    "Tree",
    "mounted",
    "need_fuse_overlay",
    "need_overlay",
    "shown",
    "why_no_overlay",
]

Tree = dict[str, dict[str, Any]]

_OFF = "index=off,metacopy=off,redirect_dir=off"


def shown(facts: list[dict[str, Any]]) -> Tree:
    """Give facts by path, hard-link groups as far as their names are visible."""
    names = defaultdict(list)
    for fact in facts:
        if "hlgroup" in fact:
            names[fact["hlgroup"]].append(fact)
    for group in names.values():
        for fact in group:
            if len(group) == 1:
                del fact["hlgroup"], fact["nlink"]
            else:
                fact["nlink"] = len(group)
    return {fact["path"]: fact for fact in facts}


def _run(folder: Path, request: dict[str, Any]) -> list[dict[str, Any]]:
    program = [sys.executable, __file__, str(folder)]
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", *program],
        input=json.dumps(request).encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    if done.returncode != 0:
        raise OSError(done.stderr.decode(errors="replace")[-500:])
    facts: list[dict[str, Any]] = json.loads(done.stdout)
    return facts


def mounted(
    folder: Path,
    lower: list[Path],
    *,
    upper: Path | None = None,
    work: Path | None = None,
    options: str = _OFF,
    script: str = "",
    fuse: bool = False,
    ids: tuple[int, int] | None = None,
) -> Tree:
    """
    Mount directories, run a script in what is shown, and give what is shown after it.

    Args:
        folder: An empty one, to mount on.
        lower: Base first.
        upper: Written to; without it the mount cannot be written.
        work: What overlayfs needs beside *upper*.
        options: More of the mount.
        script: For the shell, run in the root of the mount.
        fuse: Whether fuse-overlayfs mounts, instead of the kernel.
        ids: The user and group that are root in the user namespace in which is looked, where that
            is not the one of the host.
    """
    request = {
        "lower": [str(path) for path in lower],
        "upper": None if upper is None else str(upper),
        "work": None if work is None else str(work),
        "options": options,
        "script": script,
        "fuse": fuse,
        "ids": ids,
    }
    return shown(_run(folder, request))


@cache
def why_no_overlay() -> str | None:
    """Say why overlays cannot be mounted here, None where they can."""
    import tempfile

    if getattr(os, "geteuid", lambda: -1)() != 0:
        return "mounting an overlay needs root"
    with tempfile.TemporaryDirectory(prefix="ul-overlay-") as name:
        folder = Path(name)
        for part in ("a", "b", "m"):
            (folder / part).mkdir()
        try:
            mounted(folder / "m", [folder / "a", folder / "b"])
        except OSError as error:
            return f"no overlay can be mounted here: {str(error)[-200:]}"
    return None


def need_overlay() -> None:
    """Skip the test that asks where overlays cannot be mounted."""
    import pytest

    reason = why_no_overlay()
    if reason is not None:
        pytest.skip(reason)


@cache
def why_no_fuse_overlay() -> str | None:
    """Say why fuse-overlayfs cannot be used here, None where it can."""
    import shutil
    import tempfile

    if shutil.which("fuse-overlayfs") is None:
        return "fuse-overlayfs is not installed"
    if getattr(os, "geteuid", lambda: -1)() != 0:
        return "mounting in a namespace of its own needs root"
    with tempfile.TemporaryDirectory(prefix="ul-fuse-") as name:
        folder = Path(name)
        for part in ("a", "u", "w", "m"):
            (folder / part).mkdir()
        try:
            upper, work = folder / "u", folder / "w"
            mounted(folder / "m", [folder / "a"], upper=upper, work=work, options="", fuse=True)
        except OSError as error:
            return f"fuse-overlayfs cannot mount here: {str(error)[-200:]}"
    return None


def need_fuse_overlay() -> None:
    """Skip the test that asks where fuse-overlayfs cannot mount."""
    import pytest

    reason = why_no_fuse_overlay()
    if reason is not None:
        pytest.skip(reason)


def _enter(ids: tuple[int, int]) -> None:
    """Enter a user namespace; the parent, whose rights it takes, writes its maps."""
    import ctypes

    ready, read = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        os.read(ready[0], 1)
        for name, first in zip(("uid", "gid"), ids, strict=True):
            Path(f"/proc/{os.getppid()}/{name}_map").write_text(f"0 {first} 65536")
        os.write(read[1], b"1")
        os._exit(0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000) != 0:  # CLONE_NEWUSER
        raise OSError(ctypes.get_errno(), "no user namespace can be made")
    os.write(ready[1], b"1")
    os.close(read[1])
    os.read(read[0], 1)
    os.waitpid(child, 0)


def main(folder: str) -> None:
    """Do what standard input asks for."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "images"))
    import truth

    request = json.load(sys.stdin)
    options = [f"lowerdir={':'.join(reversed(request['lower']))}"]
    if request["upper"]:
        options += [f"upperdir={request['upper']}", f"workdir={request['work']}"]
    else:
        options.append("ro")
    if request["options"]:
        options.append(request["options"])
    mount = ["mount", "-t", "overlay", "overlay", "-o", ",".join(options), folder]
    if request["fuse"]:
        mount = ["fuse-overlayfs", "-o", ",".join(options), folder]
    subprocess.run(mount, check=True, stdout=sys.stderr)
    if request["script"]:
        script = ["sh", "-euc", request["script"]]
        subprocess.run(script, check=True, cwd=folder, stdout=sys.stderr)
    if request["ids"]:
        os.chdir(folder)
        _enter(tuple(request["ids"]))
        folder = "."
    json.dump(truth.describe(folder), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
