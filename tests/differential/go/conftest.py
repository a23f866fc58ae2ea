"""Go's tar reader as a program that is asked many questions, and ours in the same words."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from index_ways import same_by_all_ways

from unionlayers._bytes.memory import MemorySource
from unionlayers._codec.forward import open_forward
from unionlayers._foundation.limits import Limits
from unionlayers._tar.entry import TarEntry
from unionlayers._tar.reader import TarReader
from unionlayers.errors import LimitError, TarError

# As tarjson.go has it: larger contents are not compared.
MOST = 1 << 22
GIGA = 1_000_000_000
# The time that Go's reader shows where there is none: the first second of year 1.
UNSET = -62_135_596_800 * GIGA

Answer = dict[str, Any]


def moment(nanoseconds: int | None) -> tuple[int, int] | None:
    """Give a time as Go keeps it: seconds wrap at 64 bits (case H7)."""
    if nanoseconds is None or nanoseconds == UNSET:
        return None
    seconds, rest = divmod(nanoseconds, GIGA)
    return (seconds + (1 << 63)) % (1 << 64) - (1 << 63), rest


def content_sum(data: bytes, entry: TarEntry) -> int | None:
    if entry.size >= MOST:
        return None
    if entry.sparse is None:
        return zlib.crc32(data[entry.data_offset : entry.data_offset + entry.stored_size])
    whole = bytearray(entry.size)
    at = entry.data_offset
    for offset, length in entry.sparse:
        whole[offset : offset + length] = data[at : at + length]
        at += length
    return zlib.crc32(whole)


def ours(data: bytes, limits: Limits) -> Answer:
    """Give what our reader reads, in the words of the Go program."""
    reader = TarReader(open_forward(MemorySource(data), "identity", limits=limits), limits)
    answer: Answer = {"entries": [], "error": None}
    try:
        for entry in reader:
            answer["entries"].append(
                {
                    "name": entry.name.hex(),
                    "linkname": entry.linkname.hex(),
                    "typeflag": entry.typeflag,
                    "size": reader.declared_size,
                    "mode": entry.mode,
                    "uid": entry.uid,
                    "gid": entry.gid,
                    "uname": entry.uname.hex(),
                    "gname": entry.gname.hex(),
                    "devmajor": entry.devmajor,
                    "devminor": entry.devminor,
                    "mtime": moment(entry.mtime_ns),
                    "atime": moment(entry.atime_ns),
                    "ctime": moment(entry.ctime_ns),
                    "records": None
                    if entry.pax is None
                    else {key.hex(): value.hex() for key, value in entry.pax.items()},
                    "crc": content_sum(data, entry),
                }
            )
    except (TarError, LimitError) as error:
        answer["error"] = error
    answer["globals"] = reader.global_count
    return answer


def explained(theirs: Answer, mine: Answer) -> str | None:
    """Give the case that allows the two to disagree on whether an archive is one, or None."""
    error = mine["error"]
    if isinstance(error, LimitError):
        return "SECURITY 2"  # limits that Go's reader has not, or has elsewhere
    if error is None:
        return None
    if "true name of a sparse file holds a NUL" in str(error):
        return "G6"  # Go lets it pass here, and every runtime fails at the system call
    unread = [
        entry
        for entry in theirs["entries"][len(mine["entries"]) :]
        if entry["crc"] is None and not entry["failed"]
    ]
    if unread and "sparse map" in str(error):
        return "J4"  # Go finds out while reading, and the program stopped before the end
    return None


class GoTar:
    """The running program."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=-1
        )

    def read(self, data: bytes) -> Answer:
        """Give what Go's reader reads."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(struct.pack(">I", len(data)) + data)
        process.stdin.flush()
        answer: Answer = json.loads(process.stdout.readline())
        for entry in answer["entries"]:
            for time in ("mtime", "atime", "ctime"):
                entry[time] = entry[time] and tuple(entry[time])
        return answer

    def close(self) -> None:
        """End the program."""
        self._process.communicate()


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoTar]:
    if shutil.which("go") is None:
        pytest.skip("Go is not installed (Debian: apt-get install golang-go)")
    import fcntl

    folder = tmp_path_factory.getbasetemp() / "go"
    if "PYTEST_XDIST_WORKER" in os.environ:
        # One worker builds for all, which takes longer than the tests: their folders lie in one.
        folder = folder.parent.parent / "go"
    folder.mkdir(exist_ok=True)
    program = folder / "tarjson"
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "GOPROXY": "off",
        "GOCACHE": str(folder / "cache"),
        "GOPATH": str(folder / "path"),
        "CGO_ENABLED": "0",
    }
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            subprocess.run(
                ["go", "build", "-o", program, Path(__file__).with_name("tarjson.go")],
                check=True,
                env=environment,
            )
    running = GoTar(program)
    yield running
    running.close()


@pytest.fixture(scope="session")
def agree(go: GoTar) -> Callable[..., str]:
    """Compare the two readers on one archive; tell how it went."""

    def compare(data: bytes, limits: Limits | None = None) -> str:
        # Whatever is compared here is also indexed in all ways that there are to index a layer.
        same_by_all_ways(data, limits or Limits(), random.Random(len(data)))
        theirs = go.read(data)
        mine = ours(data, limits or Limits())
        case = explained(theirs, mine)
        if case is not None:
            return f"explained by {case}"
        known, seen = theirs["entries"], mine["entries"]
        shown = data.hex() if len(data) < 1 << 16 else f"{len(data)} bytes"
        message = f"Go: {theirs['error']!r}; we: {mine['error']!r}; of {shown}"
        assert bool(theirs["error"]) == (mine["error"] is not None), message
        if mine["error"] is None:
            assert len(known) == len(seen), message
            assert theirs["globals"] == mine["globals"], message
        # Go hands out an entry before it has read it, and so may we.
        assert abs(len(known) - len(seen)) <= 1, message
        for one, other in zip(known, seen, strict=False):
            if one.pop("failed"):
                del one["crc"], other["crc"]
            assert one == other, message
        return "refused" if theirs["error"] else "read"

    return compare


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What GNU tar writes of one folder in each of its formats."""
    if shutil.which("tar") is None:
        pytest.skip("tar is not installed")
    folder = tmp_path_factory.mktemp("written")
    (folder / "dir").mkdir()
    (folder / "dir" / "plain").write_bytes(b"text\n" * 200)
    (folder / "dir" / ("long" * 40)).write_bytes(b"")
    (folder / "dir" / "größe").write_bytes(b"1")
    (folder / "link").symlink_to("dir/" + "target" * 20)
    (folder / "hard").hardlink_to(folder / "dir" / "plain")
    os.mkfifo(folder / "fifo")
    with (folder / "holes").open("wb") as file:
        for at in range(1, 14, 2):
            file.seek(at * 8192)
            file.write(b"data" * 1024)
        file.truncate(130_000)
    os.utime(folder / "dir" / "plain", ns=(1_500_000_000_123_456_789, -1_500_000_000))
    options = {
        "v7": ["--format=v7", "--exclude=long*"],
        "oldgnu": ["--format=oldgnu"],
        "gnu": ["--format=gnu"],
        "gnu sparse": ["--format=gnu", "--sparse"],
        "oldgnu sparse": ["--format=oldgnu", "--sparse"],
        "gnu incremental": ["--format=gnu", "--incremental"],
        "ustar": ["--format=ustar", "--exclude=long*", "--exclude=link"],
        "pax": ["--format=pax"],
        "pax sparse 0.0": ["--format=pax", "--sparse", "--sparse-version=0.0"],
        "pax sparse 0.1": ["--format=pax", "--sparse", "--sparse-version=0.1"],
        "pax sparse 1.0": ["--format=pax", "--sparse", "--sparse-version=1.0"],
        "pax global": ["--format=pax", "--pax-option=globexthdr.name=g,comment=hello"],
    }
    out = {}
    for name, words in options.items():
        command = ["tar", "--blocking-factor=1", *words, "-cf", "-", "."]
        run = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        if run.stdout:
            out[name] = run.stdout
    return out
