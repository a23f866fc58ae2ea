"""One process as root in a mount namespace of its own, that applies layers with other tools."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from engines import need

from unionlayers.testing import Entry, ImageDescription, layer, write_image

__all__ = ["RefusedError", "Unpackers", "unpackers"]

TESTS = Path(__file__).parents[2]


class RefusedError(Exception):
    """The tool would not apply the stack."""


@define
class Unpackers:
    """
    The process, and the folder through which it is given layers.

    Attributes:
        folder: Where layers are written.
        process: The process that applies them.
    """

    folder: Path
    process: subprocess.Popen[str]
    _count: int = field(default=0)

    def __call__(self, by: str, stack: Sequence[Sequence[Entry]]) -> dict[str, dict[str, Any]]:
        """
        Give the tree that a tool makes of a stack, in the shape of ``truth.py``.

        Args:
            by: ``"umoci"``, ``"overlay"`` or ``"sequence"``.
            stack: The layers.

        Raises:
            RefusedError: The tool refuses the stack.
        """
        self._count += 1
        place = self.folder / str(self._count)
        if by == "umoci":
            write_image(
                place, ImageDescription(stack, tags=("it",)), form="oci-layout", codec="gzip"
            )
            layers = [f"{place}:it"]
        else:
            place.mkdir()
            layers = []
            for number, entries in enumerate(stack):
                (place / f"{number}.tar").write_bytes(layer(*entries))
                layers.append(str(place / f"{number}.tar"))
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"by": by, "layers": layers}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        shutil.rmtree(place)
        assert line, "the process that applies layers has ended"
        answer = json.loads(line)
        if "refused" in answer:
            raise RefusedError(answer["refused"])
        assert "tree" in answer, answer["fault"]
        return {fact.pop("path"): fact for fact in answer["tree"]}


@contextmanager
def unpackers(folder: Path, *tools: str) -> Iterator[Unpackers]:
    """
    Run the process while the context lasts.

    Skips:
        This is not root, a program is absent, or no tmpfs can be mounted in a private namespace.
    """
    if os.geteuid() != 0:
        pytest.skip("applying layers with other tools needs root")
    for program in ("unshare", "mount", "umount", "ldd", "tar", *tools):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if "umoci" in tools:
        need("umoci")
    base = folder / "private"
    base.mkdir()
    path = os.pathsep.join(str(TESTS / part) for part in ("images", "differential/tools"))
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", sys.executable,
             str(TESTS / "differential" / "tools" / "unpacker.py"), str(base)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        try:
            found = Unpackers(folder, process)
            try:
                found("sequence", [[]])
            except (AssertionError, BrokenPipeError, RefusedError) as error:
                log.seek(0, io.SEEK_SET)
                said = log.read()[-300:] or str(error)
                pytest.skip(f"no layer can be applied in a private mount namespace: {said}")
            yield found
        finally:
            process.communicate()
