"""What commands do with their options, in a pipe."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mounting import device_or_skip

from unionlayers.testing import ImageDescription, file, oci_archive, write_image

Cli = Callable[..., Any]


def test_ls_is_sorted_hides_dots_and_names_the_layer(cli: Cli, demo: str) -> None:
    assert cli("ls", demo, "/srv/ledger/data").lines == ["2026-03.csv"]
    assert cli("ls", demo, "-l", "/srv/ledger/data").lines == [
        "-rw-r--r-- 1 ledger ledger 22 2026-03-02 09:08:00 5 2026-03.csv"
    ]
    assert cli("ls", demo, "-n", "-l", "/srv/ledger/data").lines[0].split()[2:4] == ["1000"] * 2
    assert cli("ls", demo, "-r").lines == cli("ls", demo).lines[::-1]
    assert cli("ls", demo, "-d", "/etc", "-l").lines[0].endswith(" /etc")
    assert cli("ls", demo, "-S", "/etc").lines[0] == "passwd"
    assert cli("ls", demo, "-t", "/srv/ledger").lines[0] == "static"
    assert cli("ls", demo, "etc", "/usr/bin").lines[:2] == ["/etc:", "group"]


def test_ls_follows_a_link_as_ls_does(cli: Cli, demo: str) -> None:
    plain = cli("ls", demo, "/bin").lines
    assert "sh" in plain
    assert cli("ls", demo, "-l", "/bin").lines == [cli("ls", demo, "-ld", "/bin").lines[0]]
    assert len(cli("ls", demo, "-l", "/bin/").lines) == len(plain)


def test_ls_goes_down_in_order(cli: Cli, demo: str) -> None:
    headings = [line for line in cli("ls", demo, "-R", "/srv").lines if line.endswith(":")]
    assert headings[:3] == ["/srv:", "/srv/ledger:", "/srv/ledger/data:"]
    assert headings[3:] == [f"/srv/ledger/{name}:" for name in ("plugins", "static", "vendor")]


@pytest.mark.parametrize(
    ("tests", "paths"),
    [
        (["-setuid"], ["/usr/bin/su"]),
        (["-perm", "/6000", "-type", "f"], ["/usr/bin/su"]),
        (["-perm", "4755"], ["/usr/bin/su"]),
        (["-perm", "-4001", "-type", "f"], ["/usr/bin/su"]),
        (["-capability", "any"], ["/usr/bin/ping"]),
        (["-capability", "cap_net_raw"], ["/usr/bin/ping"]),
        (["-capability", "cap_sys_admin"], []),
        (["-type", "p"], ["/run/ledger.fifo"]),
        (["-type", "l", "-path", "/etc/*"], ["/etc/ledger.toml", "/etc/os-release"]),
        (["-name", "*.csv", "-name", "*.toml", "-type", "f"],
         ["/srv/ledger/data/2026-03.csv", "/srv/ledger/settings.toml"]),
        (["-user", "ledger", "-type", "f"], ["/srv/ledger/data/2026-03.csv"]),
        (["-group", "1000", "-type", "f"], ["/srv/ledger/data/2026-03.csv"]),
        (["-layer", "6", "-type", "f"], ["/srv/ledger/static/style.css"]),
        (["-newer", "/run/ledger.fifo", "-type", "f"], ["/srv/ledger/static/style.css"]),
        (["-newer", "2026-03-02T09:08:30Z", "-type", "f"], ["/srv/ledger/static/style.css"]),
        (["-older", "@0"], []),
        (["-path", "usr/lib/**/setters.pyi"],
         ["/usr/lib/python3.11/site-packages/attr/setters.pyi"]),
        (["-size", "+14k", "-maxdepth", "4"], []),
        (["--maxdepth", "0"], ["/"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_find(tests: list[str], paths: list[str], cli: Cli, demo: str) -> None:
    done = cli("find", demo, *tests)
    assert (done.code, done.lines) == (0, paths)


def test_find_orders_by_size_and_reversed(cli: Cli, demo: str) -> None:
    sizes = [
        one["size"] for one in cli("find", demo, "-type", "f", "--order", "size", "--json").items()
    ]
    assert sizes == sorted(sizes, reverse=True)
    found = cli("find", demo, "--order", "layer", "-r", "--json").items()
    assert [one["layer"] for one in found] == sorted((one["layer"] for one in found), reverse=True)
    assert cli("find", demo, "-type", "f", "-size", "+14k", "-l").lines[0].split()[0] == "1"


def test_layers_are_chosen_as_they_are_typed(cli: Cli, demo: str) -> None:
    token = "/srv/ledger/deploy-token"
    for below in (":4", "0-3", "0,1,2,3", ":-3"):
        assert cli("cat", demo, token, "--layers", below).out.startswith("token = ")
    assert cli("find", demo, "-type", "f", "--layers", "-1").lines == [
        "/srv/ledger/static/style.css"
    ]


def test_tree_is_drawn_with_lines_and_counts(cli: Cli, demo: str) -> None:
    lines = cli("tree", demo, "/srv/ledger/static", "/run").lines
    assert lines == [
        "/srv/ledger/static",
        "└── style.css",
        "/run",
        "└── ledger.fifo",
        "",
        "0 directories, 2 files",
    ]
    assert cli("tree", demo, "-d", "-L", "1").lines[-1] == "11 directories"


def test_cat_of_several_and_of_what_is_no_file(cli: Cli, demo: str) -> None:
    done = cli("cat", demo, "/etc/hostname", "/etc", "/nope", "/run/ledger.fifo", "/etc/hostname")
    assert (done.code, done.out) == (4, 2 * cli("cat", demo, "/etc/hostname").out)
    assert done.err.count("unionlayers: ") == 3


def test_an_image_comes_through_a_pipe(cli: Cli, demo: str) -> None:
    data = Path(demo).read_bytes()
    done = cli("cat", "-", "/etc/hostname", stdin=data)
    assert (done.code, done.out) == (0, cli("cat", demo, "/etc/hostname").out)


def test_a_pipe_that_cannot_seek_is_copied_and_that_is_said(process: Cli, demo: str) -> None:
    data = Path(demo).read_bytes()
    done = process("ls", "-", input=data)
    assert done.code == 0
    assert "standard input cannot seek and is copied to a temporary file" in done.err
    assert "spool_bytes" in done.err
    bounded = process("ls", "-", "--limit", "spool_bytes=4k", "--no-progress", input=data)
    assert "is copied" not in bounded.err
    assert bounded.code == 3
    assert "--limit spool_bytes=" in bounded.err


def test_a_lone_layer_and_a_stack_of_layers(cli: Cli, demo: str, tmp_path: Path) -> None:
    tars = []
    for layer in (0, 5):
        tars.append(str(tmp_path / f"{layer}.tar"))
        assert cli("export", demo, tars[-1], "--layers", str(layer)).code == 0
    alone = cli("ls", "--bare", tars[1], "/etc")
    assert (alone.code, alone.lines) == (0, ["group", "passwd"])
    both = cli("ls", "--lower", tars[0], tars[1], "/etc")
    assert both.lines == ["group", "hostname", "os-release", "passwd", "shadow"]
    refused = cli("ls", tars[1])
    assert (refused.code, "--bare" in refused.err) == (3, True)


def test_the_cache_makes_the_second_call_read_no_layer(
    cli: Cli, demo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIONLAYERS_CACHE", str(tmp_path / "kept"))
    assert cli("ls", demo).code == 0
    assert len(list((tmp_path / "kept").iterdir())) > 7
    monkeypatch.setenv("UNIONLAYERS_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert cli("ls", demo).code == 0
    assert not (tmp_path / "home").exists()
    monkeypatch.delenv("UNIONLAYERS_CACHE")
    assert cli("ls", demo, "--no-cache").code == 0
    assert not (tmp_path / "home").exists()
    assert cli("ls", demo).code == 0
    assert (tmp_path / "home" / "unionlayers").is_dir()


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_a_usual_cache_that_others_can_write_to_is_left_alone(
    cli: Cli, demo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNIONLAYERS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "unionlayers"
    folder.mkdir()
    folder.chmod(0o777)
    done = cli("ls", demo)
    assert (done.code, "going on without the cache: others can write" in done.err) == (0, True)
    assert not list(folder.iterdir())


def test_export_to_a_folder_a_tar_and_a_pipe(cli: Cli, demo: str, tmp_path: Path) -> None:
    done = cli("export", demo, str(tmp_path / "root"))
    assert (done.code, "left out, as it is a fifo: /run/ledger.fifo" in done.lines) == (0, True)
    assert (tmp_path / "root" / "etc" / "hostname").read_text() == "pocket\n"
    again = cli("export", demo, str(tmp_path / "root"))
    assert (again.code, "not empty" in again.err) == (3, True)
    done = cli("export", demo, "-", "--pattern", "etc/*-release")
    with tarfile.open(fileobj=io.BytesIO(done.raw)) as packed:
        assert [one.name for one in packed if one.issym()] == ["etc/os-release"]


def test_diff_of_two_states_names_the_cause(cli: Cli, demo: str) -> None:
    done = cli("diff", demo, "--layers", ":4", "--layers2", ":5")
    assert done.code == 1
    assert "took it away (whiteout at /srv/ledger/deploy-token)" in done.out
    assert cli("diff", demo, demo).code == 0
    quiet = cli("diff", demo, "-q", "--layers", ":4", "--layers2", ":5")
    assert (quiet.code, quiet.out) == (1, "")


def test_diff_writes_other_forms_and_into_a_file(cli: Cli, demo: str, tmp_path: Path) -> None:
    states = (demo, "--layers", ":4", "--layers2", ":5")
    assert cli("diff", *states, "--format", "markdown").lines[2].startswith("| | path")
    page = str(tmp_path / "page.html")
    assert (
        cli("diff", *states, "--format", "html", "-w", page).out,
        Path(page).stat().st_size > 999,
    ) == ("", True)
    refused = cli("diff", *states, "-w", page)
    assert (refused.code, "--force writes over it" in refused.err) == (3, True)
    assert cli("diff", *states, "-w", page, "--force").code == 1
    assert Path(page).read_text().startswith("---")


def test_diff_of_one_file(cli: Cli, demo: str) -> None:
    done = cli("diff", demo, "--layers", ":4", "--layers2", ":6", "--filename", "etc/passwd")
    assert done.code == 1
    assert done.lines[-1].startswith("+ledger:x:1000")
    same = cli("diff", demo, demo, "--filename", "/etc/passwd")
    assert (same.code, same.out) == (0, "")


def test_waste_is_held_against_budgets(cli: Cli, demo: str) -> None:
    assert (
        cli("waste", demo, "--max", "1M", "--max", "share=50%", "--min-efficiency", "0.5").code == 0
    )
    over = cli("waste", demo, "--max", "deleted=1k")
    assert over.code == 1
    assert over.lines[-1].startswith("over budget: deleted: ")
    assert cli("waste", demo, "--lowestEfficiency", "1").code == 1


def test_the_layers_above_a_base_are_those_it_does_not_share(
    cli: Cli, demo: str, tmp_path: Path
) -> None:
    shared = [file("from-base", "1")]
    for name, layers in (("base", [shared]), ("app", [shared, [file("own", "2")]])):
        (tmp_path / name).write_bytes(oci_archive(ImageDescription(layers)))
    app, base = str(tmp_path / "app"), str(tmp_path / "base")
    assert cli("ls", app).lines == ["from-base", "own"]
    assert cli("ls", app, "--above", base).lines == ["own"]
    assert cli("ls", demo, "--above", demo).lines == []


def test_a_timeline_has_what_is_hidden(cli: Cli, demo: str) -> None:
    lines = cli("timeline", demo).lines
    assert any(line.endswith("/srv/ledger/deploy-token (whiteout)") for line in lines)
    body = cli("timeline", demo, "--bodyfile").lines
    assert {line.count("|") for line in body} == {10}
    assert len(body) == len(lines)


def test_loose_bytes_are_listed(cli: Cli, demo: str, tmp_path: Path) -> None:
    assert cli("unreferenced", demo).lines == ["an image leads to everything"]
    loose = tmp_path / "loose.tar"
    loose.write_bytes(Path(demo).read_bytes() + b"hello".ljust(512, b"."))
    assert "after tar" in cli("unreferenced", str(loose)).lines[1]


def test_an_image_is_mounted_while_a_command_runs(process: Cli, demo: str, tmp_path: Path) -> None:
    device_or_skip()
    place = tmp_path / "place"
    place.mkdir()
    done = process("mount", demo, str(place), "--", "cat", str(place / "etc" / "hostname"))
    assert (done.code, done.out, done.err) == (0, "pocket\n", "")
    assert process("mount", demo, str(place), "--", "sh", "-c", "exit 7").code == 7
    assert not list(place.iterdir())


def test_a_mount_ends_by_an_interrupt(demo: str, tmp_path: Path) -> None:
    device_or_skip()
    words = [sys.executable, "-m", "unionlayers", "mount", demo, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert b"shows the image; Ctrl-C ends it" in running.stdout.readline()
        assert (tmp_path / "etc" / "hostname").read_text() == "pocket\n"
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (0, b"")
    assert not list(tmp_path.iterdir())


# What runs on a mount, how it takes a signal, and what the command line then ends with.
SIGNALLED = [
    ("trap 'echo got; exit 7' TERM HUP", 7, b"got\n"),
    (":", None, b""),
    # It goes on for a while, and the mount with it.
    ("trap 'cat PLACE/etc/hostname; exit 0' TERM HUP", 0, b"pocket\n"),
]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("trap", "code", "said"), SIGNALLED)
def test_a_signal_goes_on_to_the_command_of_a_mount(
    trap: str, code: int | None, said: bytes, number: signal.Signals, demo: str, tmp_path: Path
) -> None:
    device_or_skip()
    script = f"{trap}; echo $$; while :; do sleep 0.05; done".replace("PLACE", str(tmp_path))
    words = [sys.executable, "-m", "unionlayers", "mount", demo, str(tmp_path), "--"]
    with subprocess.Popen(
        [*words, "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        inner = int(running.stdout.readline())
        try:
            assert (tmp_path / "etc" / "hostname").read_text() == "pocket\n"
            running.send_signal(number)
            out, err = running.communicate(timeout=60)
            assert (out, err) == (said, b"")
            assert running.returncode == (128 + number if code is None else code)
            with pytest.raises(ProcessLookupError):
                os.kill(inner, 0)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(inner, signal.SIGKILL)
    assert not list(tmp_path.iterdir())


def test_explain_ends_with_1_where_nothing_is(cli: Cli, demo: str) -> None:
    assert cli("explain", demo, "/etc/passwd").code == 0
    gone = cli("explain", demo, "/etc/passwd", "/srv/ledger/deploy-token")
    assert (gone.code, "a whiteout in layer 4 hides" in gone.out) == (1, True)
    assert cli("history", demo, "/nope").code == 1


def test_verify_counts_what_is_odd_when_asked(cli: Cli, demo: str) -> None:
    assert cli("verify", demo).code == 0
    assert cli("verify", demo, "--strict").code == 1


def test_the_program_and_each_command_have_help(cli: Cli) -> None:
    from unionlayers._cli.program import COMMANDS

    told = cli("--help")
    assert told.code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in told.out
        done = cli(command, "--help")
        assert (done.code, done.lines[0].split()[:3]) == (0, ["Usage:", "unionlayers", command])
    assert cli("--version").out.startswith("unionlayers ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(shell: str, cli: Cli) -> None:
    done = cli("completion", shell)
    assert (done.code, "_UNIONLAYERS_COMPLETE" in done.out) == (0, True)
    how = {"bash": "complete ", "zsh": "#compdef unionlayers", "fish": "complete "}[shell]
    assert [line for line in done.lines if line.strip().startswith(how) and "unionlayers" in line]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["hid"], ["hidden"]),
        (["ls", "{}", "--prof"], ["--profile"]),
        (["ls", "{}", "--profile", "ove"], ["overlay"]),
        (["ls", "{}", "--limit", "index_l"], ["index_links="]),
        (["cat", "{}", "/etc/os"], ["/etc/os-release"]),
        (["cat", "{}", "/srv/le"], ["/srv/ledger/"]),
        (["cat", "{}", "/nope/le"], []),
        (["cat", "/nope.tar", "/"], []),
        (["ls", "{}", "--ref", "exa"], ["example.org/ledger:1.0"]),
    ],
    ids=" ".join,
)
def test_completion(
    words: list[str], found: list[str], cli: Cli, demo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = ["unionlayers", *(word.format(demo) for word in words)]
    monkeypatch.setenv("_UNIONLAYERS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(typed))
    monkeypatch.setenv("COMP_CWORD", str(len(typed) - 1))
    done = cli()
    assert [line.partition(",")[2] for line in done.lines if line] == found


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_completion_reads_nothing_that_can_be_read_once(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("_UNIONLAYERS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"unionlayers cat {tmp_path / 'pipe'} /e")
    monkeypatch.setenv("COMP_CWORD", "3")
    # Opening it would wait for somebody who writes.
    assert cli().out.strip() == ""


def test_completion_offers_no_name_that_commands_the_terminal(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_image(
        tmp_path / "a.tar", ImageDescription([[file("etc/a\x1b[2Jb"), file("etc/ab")]])
    )
    monkeypatch.setenv("_UNIONLAYERS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"unionlayers cat {archive} /etc/a")
    monkeypatch.setenv("COMP_CWORD", "3")
    assert [line.partition(",")[2] for line in cli().lines if line] == ["/etc/ab"]
