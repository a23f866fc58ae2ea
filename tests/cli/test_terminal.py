"""Commands on a terminal: wide, narrow, without colours, with names that would command it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unionlayers.testing import (
    HistoryStep,
    ImageDescription,
    directory,
    docker_archive,
    file,
    symlink,
    whiteout,
)

Terminal = Callable[..., Any]

SGR = re.compile(r"\x1b\[[0-9;]*m")
EVIL = "red\x1b[31m\x1b]0;title\x07\r\nnew\u202egpj"
SHOWN = r"red\x1b[31m\x1b]0;title\x07\x0d\x0anew\u202egpj"
# What may reach a terminal: text, line ends, and the colours that the command line sets itself.
HARMLESS = re.compile(
    r"(?:[^\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]|\x1b\[[0-9;]*m)*"
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image whose names, links, contents and steps hold escape sequences."""
    layers = [
        [
            directory("d"),
            file(f"d/{EVIL}", b"text\x1b[2J\xc2\x9b31m\xff\n"),
            file("d/gone" + EVIL, b"1"),
            symlink("d/link", EVIL),
            file(b"d/caf\xe9", b"1"),
        ],
        [whiteout("d/gone" + EVIL)],
    ]
    history = [HistoryStep(f"RUN {EVIL}"), HistoryStep("RUN true")]
    tags = ["example.org/evil:1", f"example.org/{EVIL}:2"]
    image = ImageDescription(layers, history=history, tags=tags)
    path = tmp_path_factory.mktemp("hostile") / "image.tar"
    path.write_bytes(docker_archive(image))
    return str(path)


COMMANDS = {
    "ls": ("ls", "{}", "-a", "d"),
    "ls -l": ("ls", "{}", "-la", "d"),
    "ls -R": ("ls", "{}", "-aR"),
    "tree": ("tree", "{}", "-al"),
    "find": ("find", "{}"),
    "find -l": ("find", "{}", "-l"),
    "cat": ("cat", "{}", f"/d/{EVIL}"),
    "stat": ("stat", "{}", f"/d/{EVIL}", "/d/link"),
    "explain": ("explain", "{}", f"/d/{EVIL}", f"/d/gone{EVIL}"),
    "layers": ("layers", "{}"),
    "history": ("history", "{}"),
    "history of a path": ("history", "{}", f"/d/gone{EVIL}"),
    "hidden": ("hidden", "{}"),
    "images": ("images", "{}"),
    "verify": ("verify", "{}"),
    "agreement": ("agreement", "{}"),
    "diff": ("diff", "{}", "--layers", "0", "--layers2", ":"),
    "diff of a file": ("diff", "{}", "--layers", "0", "--layers2", "1", "-f", f"/d/{EVIL}"),
    "timeline": ("timeline", "{}"),
    "bodyfile": ("timeline", "{}", "--bodyfile"),
    "unreferenced": ("unreferenced", "{}"),
    "analyze": ("analyze", "{}", "-t", "file", "-t", "history"),
    "waste": ("waste", "{}"),
    "sizes": ("sizes", "{}", "--by", "step"),
    "a path that is not there": ("cat", "{}", f"/d/{EVIL}x"),
    "a reference that is not there": ("ls", "{}", "--ref", EVIL),
    "an archive that is not there": ("ls", f"/nowhere/{EVIL}"),
    "a command that is not there": (f"ls{EVIL}",),
    "an option that is not there": ("ls", "{}", f"--{EVIL}"),
    "a value that is not there": ("ls", "{}", "--profile", EVIL),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_of_an_image_commands_the_terminal(
    name: str, on_terminal: Callable[..., Any], hostile: str
) -> None:
    done = on_terminal(*(part.format(hostile) for part in COMMANDS[name]))
    assert HARMLESS.fullmatch(done.out), repr(done.out)
    assert len(done.out) > 5


def test_names_are_spelled_so_that_they_can_be_read(terminal: Terminal, hostile: str) -> None:
    listed = terminal("ls", hostile, "d").out
    assert SHOWN in listed
    assert r"caf\xe9" in listed


def test_a_pipe_has_names_byte_for_byte(cli: Callable[..., Any], hostile: str) -> None:
    assert b"/d/caf\xe9\n" in cli("find", hostile).raw
    assert f"/d/{EVIL}\0".encode() in cli("find", hostile, "-print0").raw
    assert cli("cat", hostile, f"/d/{EVIL}").raw == b"text\x1b[2J\xc2\x9b31m\xff\n"
    assert SHOWN in cli("ls", hostile, "-l", "d").out
    assert cli("ls", hostile, "d", "--json").raw.isascii()


def test_colours_are_there_only_where_they_are_welcome(
    on_terminal: Callable[..., Any], terminal: Terminal, demo: str
) -> None:
    assert SGR.search(terminal("ls", demo, "/usr/bin").out)
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert not SGR.search(on_terminal("ls", demo, "/usr/bin", env=env).out)
        assert not SGR.search(on_terminal("history", demo, columns=30, env=env).out)
    assert SGR.search(on_terminal("ls", demo, "/usr/bin", env={"NO_COLOR": ""}).out)


@pytest.mark.parametrize("columns", [20, 40, 200])
def test_columns_fit(columns: int, on_terminal: Callable[..., Any], demo: str) -> None:
    lines = SGR.sub("", on_terminal("ls", demo, "/", columns=columns).out).splitlines()
    assert max(map(len, lines)) <= columns
    assert sorted(" ".join(lines).split())[:3] == ["bin", "dev", "etc"]
    table = SGR.sub("", on_terminal("history", demo, columns=columns).out).splitlines()
    assert max(map(len, table)) <= columns
    assert "attrs" in "".join("".join(table).split())


@pytest.mark.parametrize("columns", [0, 20])
def test_columns_fit_a_real_terminal(columns: int, terminal: Terminal, demo: str) -> None:
    table = SGR.sub("", terminal("history", demo, columns=columns).out).splitlines()
    assert len(table) > 11
    assert max(map(len, table)) <= (columns or 80)


def test_a_terminal_has_a_tree_with_what_its_encoding_can_say(
    terminal: Terminal, demo: str
) -> None:
    plain = terminal("tree", demo, "/run", env={"PYTHONIOENCODING": "ascii"})
    assert "`-- " in plain.out


def test_a_tar_is_not_written_to_a_terminal(terminal: Terminal, demo: str) -> None:
    done = terminal("export", demo, "-")
    assert (done.code, "a tar is not written to a terminal" in done.out) == (2, True)


def test_a_terminal_is_no_image(terminal: Terminal) -> None:
    done = terminal("ls", "-")
    assert (done.code, "standard input is a terminal" in done.out) == (2, True)


def test_a_bar_is_shown_for_what_takes_a_while_and_goes_away(
    on_terminal: Callable[..., Any], demo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unionlayers._cli import progress

    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    slow = on_terminal("verify", demo)
    assert slow.code == 0
    assert "verifying" in slow.out
    assert "\x1b[2K" in slow.out  # the line is cleared again
    assert slow.out.rstrip().splitlines()[-1].startswith("intact: 7 layers")
    for quiet in ({"TERM": "dumb"}, {}):
        done = on_terminal("verify", demo, *([] if quiet else ["--no-progress"]), env=quiet)
        assert "verifying" not in done.out


def test_a_file_on_a_terminal_is_raw_when_that_is_asked(terminal: Terminal, hostile: str) -> None:
    assert "\x1b[2J" in terminal("cat", hostile, f"/d/{EVIL}", "--raw").out


def test_the_terminal_is_left_as_it_was(terminal: Terminal, demo: str, tmp_path: Path) -> None:
    done = terminal("export", demo, str(tmp_path / "out.tar"))
    assert done.out == f"95 entries, 222448 bytes to {tmp_path / 'out.tar'}\n"
    assert os.listdir(tmp_path) == ["out.tar"]
