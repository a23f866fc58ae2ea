"""What is wrong is told in a line or two, with what to do, a number, and never a traceback."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mounting import device_or_skip
from real_images import CASES

from unionlayers._cli.faults import typed
from unionlayers.testing import ImageDescription, file, oci_archive

Cli = Callable[..., Any]

ROOT = Path(__file__).resolve().parent.parent.parent
MANY = str(next(case.archive for case in CASES if case.archive.name.endswith("oci-gzip.tar")))

# What is typed; how it ends; what the lines have.  DEMO, EMPTY, TEXT, CUT, FOLDER are made below.
TABLE = [
    ((), 2, "Usage: unionlayers"),
    (("lss", "DEMO"), 2, "did you mean ls?"),
    (("nothing-like-it",), 2, "there is no command 'nothing-like-it'"),
    (("ls",), 2, "Missing argument 'IMAGE'"),
    (("cat", "DEMO"), 2, "Missing argument 'PATH...'"),
    (("ls", "DEMO", "--profil", "oci"), 2, "--profile"),
    (("waste", "DEMO", "--min-efficiency", "nan"), 2, "nan is no number from 0 to 1"),
    (("ls", "DEMO", "--profile", "docker"), 2, "'docker' is not one of 'oci', 'overlay'"),
    (("ls", "DEMO", "--platform", "a/b/c/d"), 2, "write os/architecture"),
    (("ls", "DEMO", "--platform", "linux/arm64"), 3, "no image is for this platform"),
    (("ls", "DEMO", "--ref", "example.org/leger:1.0"), 3, "Did you mean example.org/ledger:1.0?"),
    (("ls", "DEMO", "--layers", "7"), 2, "there is no layer 7; the layers are 0 to 6"),
    (("ls", "DEMO", "--layers", "first"), 2, "'first' names no layers; write 3, 0-3"),
    (("ls", "DEMO", "--limit", "links"), 2, "'links' is not name=value"),
    (("ls", "DEMO", "--limit", "lnks=3"), 2, "did you mean links?"),
    (("ls", "DEMO", "--limit", "links=many"), 2, "'many' is no size"),
    (("ls", "DEMO", "--limit", "entries=3", "--no-cache"), 3, "--limit entries="),
    (("ls", "DEMO", "--cache", "x", "--no-cache"), 2, "exclude each other"),
    (("ls", "/nowhere.tar"), 3, "No such file or directory: /nowhere.tar"),
    (("ls", "example.org/app:1"), 3, "docker save -o image.tar example.org/app:1"),
    (("ls", "EMPTY"), 3, "the file is empty"),
    (("ls", "TEXT"), 3, "not an image"),
    (("ls", "CUT"), 3, "member"),
    (("verify", "CUT"), 1, "not intact: "),
    (("verify", "TEXT"), 3, "not an image"),
    (("ls", "FOLDER"), 3, "neither manifest.json, index.json nor repositories"),
    (("ls", "TWO"), 3, "candidates: app:1, app:2"),
    (("ls", "DEMO", "/etc/os-relase"), 4, "did you mean /etc/os-release?"),
    (("explain", "DEMO", "etc/os-relese"), 1, "did you mean /etc/os-release?"),
    (("history", "DEMO", "etc/os-relese"), 1, "did you mean /etc/os-release?"),
    (("export", "DEMO", "/nowhere/x.tar", "--path", "/ect"), 4, "did you mean /etc?"),
    (("cat", "DEMO", "/srv/ledger/deploy-token"), 4, "took it away (whiteout); --layers :4"),
    (("ls", "DEMO", "/ect/passwd"), 4, "did you mean /etc?"),
    (("ls", "DEMO", "/etc/passwd/x"), 4, "a component of the path is no directory"),
    (("cat", "DEMO", "/etc"), 4, "is a directory (path /etc)"),
    (("cat", "DEMO", "/run/ledger.fifo"), 4, "device or FIFO"),
    (("stat", "DEMO", "/nope"), 4, "no such file"),
    (("tree", "DEMO", "/nope"), 4, "no such file"),
    (("find", "DEMO", "/nope"), 4, "no such file"),
    (("find", "DEMO", "-type", "x"), 2, "'x' is no type; the types are f, d, l"),
    (("find", "DEMO", "-perm", "rwx"), 2, "'rwx' is no mode"),
    (("find", "DEMO", "-size", "big"), 2, "'big' is no size"),
    (("find", "DEMO", "-user", "nobody-here"), 2, "the image has no user 'nobody-here'"),
    (("find", "DEMO", "-newer", "yesterday"), 2, "'yesterday' is no time"),
    (("find", "DEMO", "-newer", "/nope"), 4, "no such file"),
    (("find", "DEMO", "-layer", "12"), 2, "there is no layer 12"),
    (("find", "DEMO", "-capability", "cap_nothing"), 2, "'cap_nothing' is no capability"),
    (("find", "DEMO", "-path", "../etc"), 2, "'..'"),
    (("explain", "DEMO"), 2, "Missing argument"),
    (("agreement", "DEMO", "--profiles", "oci"), 2, "two or three of oci, overlay, sequential"),
    (("diff", "DEMO"), 2, "--layers2"),
    (("diff", "DEMO", "-"), 2, "a pipe is the first image"),
    (("diff", "DEMO", "DEMO", "-t", "apt"), 2, "'apt' is not one of"),
    (("diff", "DEMO", "DEMO", "-t", "file", "--ignore", "x"), 2, "leave it out"),
    (("diff", "DEMO", "DEMO", "--ignore-field", "date"), 2, "there is no field 'date'"),
    (("diff", "DEMO", "DEMO", "-f", "/nope"), 4, "neither side has it"),
    (("analyze", "DEMO", "--layers", "1"), 2, "whole images"),
    (("waste", "DEMO", "--max", "shadow=1k"), 2, "did you mean shadowed?"),
    (("waste", "DEMO", "--max", "share=200%"), 2, "is no share"),
    (("export", "DEMO", "FULL"), 3, "Name an empty folder, or one that does not exist"),
    (("export", "DEMO", "/nowhere/x.tar"), 3, "No such file or directory"),
    (("export", "DEMO", "-", "--form", "folder"), 2, "takes a tar, and no folder"),
    (("mount", "DEMO", "/nowhere"), 3, "/nowhere"),
    (("mount", "DEMO", "FULL"), 3, "not empty"),
    (("mount", "DEMO", "TEXT"), 3, "Not a directory"),
    (("images", "DEMO", "--ref", "x"), 2, "--ref: all images are listed"),
    (("verify", "DEMO", "--layers", "1"), 2, "--layers: the whole image is verified"),
    (("unreferenced", "DEMO", "--above", "x"), 2, "--above: the whole source is looked at"),
    (("timeline", "DEMO", "--bodyfile", "--json"), 2, "two formats"),
    (("ls", "DEMO", "--above", "/nowhere.tar"), 3, "No such file or directory: /nowhere.tar"),
    (("ls", "DEMO", "--above", "DEMO", "--layers", "1"), 2, "exclude each other"),
    (("cache", "show", "--cache", "TEXT"), 3, "the index store is no folder"),
    (("cache", "prune"), 2, "Missing option '--to'"),
    (("ls", "DEMO", "--cache", "OPEN"), 3, "others can write to the folder"),
    (("completion", "tcsh"), 2, "'tcsh' is not one of"),
]  # fmt: skip


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, demo: str) -> dict[str, str]:
    """Make the sources that something is wrong with."""
    folder = tmp_path_factory.mktemp("wrong")
    names = ("EMPTY", "TEXT", "CUT", "FOLDER", "FULL", "TWO", "OPEN")
    found = {name: str(folder / name.lower()) for name in names}
    Path(found["EMPTY"]).touch()
    Path(found["TEXT"]).write_text("no image\n" * 200)
    data = Path(demo).read_bytes()
    Path(found["CUT"]).write_bytes(data[: len(data) // 2])
    for name in ("FOLDER", "FULL", "OPEN"):
        Path(found[name]).mkdir()
        (Path(found[name]) / "file").touch()
    Path(found["OPEN"]).chmod(0o777)
    two = [ImageDescription([[file("a", tag)]], tags=[f"app:{tag}"]) for tag in ("1", "2")]
    Path(found["TWO"]).write_bytes(oci_archive(*two))
    return {**found, "DEMO": demo}


@pytest.mark.parametrize(
    ("words", "code", "told"), TABLE, ids=[" ".join(row[0]) or "nothing" for row in TABLE]
)
def test_what_is_wrong_is_told(
    words: tuple[str, ...], code: int, told: str, cli: Cli, places: dict[str, str]
) -> None:
    if words[:1] == ("mount",):
        device_or_skip()
    done = cli(*(places.get(word, word) for word in words))
    said = " ".join((done.err + done.out).split())
    assert told in said
    assert done.code == code, said
    assert "Traceback" not in said
    assert not re.search(r"\b\w+=(True|False|\")|\w\(\)", said), "Python is not what is typed"


def test_every_hint_of_the_library_can_be_typed() -> None:
    hints = set()
    for source in (ROOT / "src" / "unionlayers").rglob("*.py"):
        if "_cli" in source.parts or "testing" in source.parts or "fsspec" in source.parts:
            continue
        text = source.read_text(encoding="utf-8")
        hints.update(re.findall(r"\bhint ?= ?f?(?:\"([^\"\n]+)\"|'([^'\n]+)')", text))
        hints.update(re.findall(r"_HINT = (?:\"([^\"\n]+)\")()", text))
    assert len(hints) > 15
    said = [typed(next(filter(None, hint))) for hint in hints]
    # Those of URLs and of file objects are about what the command line does not take.
    python = re.compile(r"\b(?!layers)\w+=|\w\(\)|\[path\]")
    assert [hint for hint in said if python.search(hint) and "{" not in hint] == []


def test_a_bound_that_was_reached_is_lifted_by_what_the_hint_says(cli: Cli, demo: str) -> None:
    refused = cli("find", demo, "--limit", "image_entries=50", "--no-cache")
    assert refused.code == 3
    option = re.search(r"--limit (image_entries=\d+)", refused.err)
    assert option is not None


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("command", [("find",), ("tree", "--json")])
def test_a_reader_that_has_seen_enough_ends_it_quietly(command: tuple[str, ...]) -> None:
    words = [sys.executable, "-m", "unionlayers", command[0], MANY, *command[1:]]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(1)
        running.stdout.close()
        said = running.stderr.read()
        assert running.wait(timeout=60) in (0, 141)
    assert said == b""


@pytest.mark.skipif(os.name == "nt", reason="streams are closed by a shell of POSIX")
@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        ("diff DEMO DEMO --quiet 2>&-", 0, ""),
        ("ls DEMO /srv/ledger 2>&-", 0, "settings.toml"),
        ("verify DEMO 2>&-", 0, ""),
        ("ls nope.tar 2>&-", 3, ""),
        ("ls DEMO / >&-", 0, ""),
        ("ls DEMO / >&- 2>&- <&-", 0, ""),
        ("ls - <&-", 2, "standard input is closed"),
    ],
)
def test_a_stream_that_is_closed_changes_no_answer(
    typed: str, code: int, said: str, demo: str
) -> None:
    command = f'exec "$0" -m unionlayers {typed.replace("DEMO", shlex.quote(demo))}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == code, done.stderr
    assert said.encode() in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_disk_that_is_full_is_told(demo: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "unionlayers", "find", demo],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 3
    assert done.stderr.startswith(b"unionlayers: ")
    assert done.stderr.count(b"\n") == 1


# How a command ends, and what it writes, whatever becomes of what it tells beside.
ENDINGS = [
    (("ls", "DEMO", "/etc"), 0, "os-release"),
    (("ls", "-", "/etc"), 0, "os-release"),  # it is said that the pipe is copied
    (("diff", "DEMO", "--layers", "0", "--layers2", ":"), 1, "passwd"),
    (("lss",), 2, ""),
    (("ls", "DEMO", "--profile", "docker"), 2, ""),
    (("ls", "nope.tar"), 3, ""),
    (("ls", "DEMO", "--limit", "entries=3", "--no-cache"), 3, ""),
    (("ls", "DEMO", "/etc", "/nope"), 4, "os-release"),
    (("cat", "DEMO", "/nope", "/etc/passwd"), 4, ""),
]


def lost(state: str) -> tuple[int, int | None]:
    """Give a descriptor to which nothing can be written, and one to close only at the end."""
    if state == "full":
        if not Path("/dev/full").exists():
            pytest.skip("no /dev/full")
        return os.open("/dev/full", os.O_WRONLY), None
    if state == "for reading":
        return os.open(os.devnull, os.O_RDONLY), None
    theirs, ours = os.pipe()
    if state == "nobody reads":
        os.close(theirs)
        return ours, None
    # A pipe that is full already, and does not wait.
    os.set_blocking(ours, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(ours, b"x" * 4096)
    return ours, theirs


def ended(
    words: tuple[str, ...], demo: str, stderr: int, unbuffered: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """Run a command with a given standard error."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "unionlayers",
            *(demo if word == "DEMO" else word for word in words),
        ],
        input=Path(demo).read_bytes() if "-" in words else b"",
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        check=False,
        timeout=60,
    )


@functools.cache
def undisturbed(words: tuple[str, ...], demo: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command whose standard error is read."""
    return ended(words, demo, subprocess.PIPE)


STATES = [
    ("full", ""),
    ("full", "1"),
    ("nobody reads", ""),
    ("for reading", ""),
    ("does not wait", ""),
]
# In `make test` each command meets some of the states, and each state some of the commands.
LOST = [
    pytest.param(
        *ending,
        *state,
        id="-".join([" ".join(ending[0]), *filter(None, state)]),
        marks=[]
        if row % len(STATES) in (column, (column + 2) % len(STATES))
        else [pytest.mark.campaign],
    )
    for row, ending in enumerate(ENDINGS)
    for column, state in enumerate(STATES)
]


@pytest.mark.skipif(os.name == "nt", reason="streams of POSIX")
@pytest.mark.parametrize(("words", "code", "said", "state", "unbuffered"), LOST)
def test_standard_error_that_fails_changes_no_answer(
    words: tuple[str, ...], code: int, said: str, state: str, unbuffered: str, demo: str
) -> None:
    descriptor, kept = lost(state)
    try:
        done = ended(words, demo, descriptor, unbuffered)
    finally:
        os.close(descriptor)
        if kept is not None:
            os.close(kept)
    whole = undisturbed(words, demo)
    assert (whole.returncode, bool(whole.stderr)) == (code, code > 1 or "-" in words)
    assert (done.returncode, done.stdout) == (code, whole.stdout)
    assert said.encode() in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_both_streams_on_a_full_disk_end_as_one_does(unbuffered: str, demo: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "unionlayers", "find", demo],
            stdout=full,
            stderr=full,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
            timeout=60,
        )
    assert done.returncode == 3


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupt_ends_it_with_130_and_no_traceback() -> None:
    # It waits for a pipe that nobody writes to.
    with subprocess.Popen(
        [sys.executable, "-m", "unionlayers", "ls", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stderr is not None
        assert b"is copied" in running.stderr.readline()
        time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert (running.returncode, said.strip()) == (130, b"")


def test_a_missing_extra_is_one_line_that_names_it(process: Cli, tmp_path: Path) -> None:
    # A folder that hides the extra's packages behind ones that are not there.
    code = (
        "import importlib.util, sys\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name in ('click', 'rich') "
        "else real(name, *more)\n"
        "from unionlayers._cli.entry import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "ls"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 3
    assert done.stderr == (
        "unionlayers: the command line needs the extra cli (click, rich not found): "
        "pip install 'unionlayers[cli]'\n"
    )


def test_ls_imports_little() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['unionlayers', 'ls', 'examples/demo-image/ledger.oci.tar']\n"
        "from unionlayers._cli.entry import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert ended.code == 0\n"
        "heavy = {'fs', 'rich', 'numpy', 'pandas', 'fsspec', 'pkg_resources', 'tarfile'}\n"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
