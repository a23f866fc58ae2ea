"""The scanner of the examples: what it finds, which layer it says brought it, what it survives."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import scan
from real_images import CASES, Case
from scan import Report, UnreadableError

from unionlayers import open_image
from unionlayers.testing import (
    Entry,
    ImageDescription,
    docker_archive,
    file,
    oci_archive,
    symlink,
    whiteout,
)

ROOT = Path(__file__).resolve().parent.parent.parent
RPM = "usr/lib/sysimage/rpm/rpmdb.sqlite"
STATUS = "var/lib/dpkg/status"


def rpm_header(name: str, version: str, release: str, epoch: int | None = None) -> bytes:
    """Give the header of a package as rpm stores it."""
    data = b""
    index = []
    for tag, text in ((1000, name), (1001, version), (1002, release)):
        index.append((tag, 6, len(data), 1))
        data += text.encode() + b"\0"
    if epoch is not None:
        data += bytes(-len(data) % 4)
        index.append((1003, 4, len(data), 1))
        data += struct.pack(">I", epoch)
    tags = b"".join(struct.pack(">IIII", *each) for each in index)
    return struct.pack(">II", len(index), len(data)) + tags + data


def rpm_database(*headers: Any, schema: str = "") -> bytes:
    """Give a database as rpm leaves it on disk, in the mode that keeps a log beside it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rpmdb.sqlite"
        database = sqlite3.connect(path)
        database.execute("PRAGMA journal_mode=WAL")
        table = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB)"
        database.execute(schema or table)
        if headers:
            rows = [(header,) for header in headers]
            database.executemany("INSERT INTO Packages (blob) VALUES (?)", rows)
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        return path.read_bytes()


def scanned(*layers: Sequence[Entry], build: Callable[..., bytes] = oci_archive) -> Report:
    with open_image(io.BytesIO(build(ImageDescription(layers)))) as image:
        return scan.scan(image)


def brief(report: Report) -> list[tuple[str, str, str, int]]:
    return [(each.kind, each.name, each.version, each.layer) for each in report.packages]


def dpkg(*packages: tuple[str, str]) -> str:
    return "\n".join(
        f"Package: {name}\nStatus: install ok installed\nVersion: {version}\n"
        "Description: one\n two: folded\n"
        for name, version in packages
    )


@pytest.mark.parametrize("build", [docker_archive, oci_archive])
def test_a_package_of_a_database_is_of_the_layer_whose_version_first_names_it(
    build: Callable[..., bytes],
) -> None:
    report = scanned(
        [file(STATUS, dpkg(("base", "1"), ("tool", "1"), ("gone", "1")))],
        [file("unrelated")],
        [file(STATUS, dpkg(("base", "1"), ("tool", "2"), ("new", "1:3-4")))],
        build=build,
    )
    assert report.problems == []
    assert brief(report) == [
        ("deb", "base", "1", 0),
        ("deb", "new", "1:3-4", 2),
        ("deb", "tool", "2", 2),
    ]
    assert {each.path for each in report.packages} == {"/var/lib/dpkg/status"}


def test_a_database_that_was_deleted_and_came_again_brings_its_packages_anew() -> None:
    report = scanned(
        [file(STATUS, dpkg(("base", "1")))],
        [whiteout(STATUS)],
        [file(STATUS, dpkg(("base", "1")))],
    )
    assert brief(report) == [("deb", "base", "1", 2)]


def test_what_is_not_installed_is_not_named() -> None:
    report = scanned(
        [
            file(
                STATUS,
                "Package: removed\nStatus: deinstall ok config-files\nVersion: 1\n\n"
                "Package: here\nStatus: hold ok installed\nVersion: 2\n",
            )
        ]
    )
    assert brief(report) == [("deb", "here", "2", 0)]


def test_distroless_images_have_a_file_for_each_package() -> None:
    folder = "var/lib/dpkg/status.d"
    report = scanned(
        [
            file(f"{folder}/base", "Package: base-files\nVersion: 12\n"),
            file(f"{folder}/base.md5sums", "0123 etc/debian_version"),
        ],
        [file(f"{folder}/tzdata", "Package: tzdata\nVersion: 2025b-0\n")],
    )
    assert report.problems == []
    assert brief(report) == [("deb", "base-files", "12", 0), ("deb", "tzdata", "2025b-0", 1)]


@pytest.mark.parametrize("place", ["lib/apk/db", "usr/lib/apk/db"])
def test_alpine_has_its_database_in_either_of_two_places(place: str) -> None:
    report = scanned(
        [file(f"{place}/installed", "C:Q1=\nP:musl\nV:1.2.5-r0\nF:lib\nR:ld.so\n\n")],
        [file(f"{place}/installed", "P:musl\nV:1.2.5-r0\n\nP:zlib\nV:1.3.1-r2\n\n")],
    )
    assert brief(report) == [("apk", "musl", "1.2.5-r0", 0), ("apk", "zlib", "1.3.1-r2", 1)]


def test_a_database_behind_a_link_is_counted_once() -> None:
    installed = file("usr/lib/apk/db/installed", "P:musl\nV:1.2.5-r0\n\n")
    report = scanned([symlink("lib", "usr/lib"), installed])
    assert brief(report) == [("apk", "musl", "1.2.5-r0", 0)]


@pytest.mark.parametrize("place", [RPM, "var/lib/rpm/rpmdb.sqlite"])
def test_rpm_is_read_from_a_database_that_was_left_in_wal_mode(place: str) -> None:
    one = rpm_database(rpm_header("bash", "5.2.26", "4.fc41"))
    assert one[18:20] == b"\2\2"
    two = rpm_database(
        rpm_header("bash", "5.2.26", "4.fc41"), rpm_header("vim-minimal", "9.1", "1.fc41", 2)
    )
    report = scanned([file(place, one)], [file(place, two)])
    assert report.problems == []
    assert brief(report) == [
        ("rpm", "bash", "5.2.26-4.fc41", 0),
        ("rpm", "vim-minimal", "2:9.1-1.fc41", 1),
    ]


def test_rpm_databases_of_other_forms_are_said_to_be_unread() -> None:
    report = scanned([file("var/lib/rpm/Packages", b"\0" * 12 + b"\x61\x15\x06\x00")])
    assert [problem.path for problem in report.problems] == ["/var/lib/rpm/Packages"]


def test_python_and_node_packages_are_of_the_layer_that_has_their_file() -> None:
    site = "usr/lib/python3/site-packages"
    report = scanned(
        [
            file(f"{site}/six-1.16.0.dist-info/METADATA", "Name: six\r\nVersion: 1.16.0\r\n\r\nX"),
            file(f"{site}/old-1.egg-info/PKG-INFO", "Metadata-Version: 1.0\nName: old\nVersion: 1"),
            file(f"{site}/single.egg-info", "Name: single\nVersion: 2\n\nName: not this\n"),
        ],
        [
            file("app/node_modules/left-pad/package.json", '{"name":"left-pad","version":"1.3.0"}'),
            file("app/node_modules/@a/b/package.json", '{"name":"@a/b","version":"2.0.0"}'),
            file("app/node_modules/a/node_modules/c/package.json", '{"name":"c","version":"1"}'),
            file("app/node_modules/left-pad/lib/package.json", '{"type":"module"}'),
            file("app/package.json", '{"name":"app","version":"0"}'),
        ],
    )
    assert report.problems == []
    assert brief(report) == [
        ("npm", "@a/b", "2.0.0", 1),
        ("npm", "c", "1", 1),
        ("npm", "left-pad", "1.3.0", 1),
        ("pypi", "old", "1", 0),
        ("pypi", "single", "2", 0),
        ("pypi", "six", "1.16.0", 0),
    ]


ENDLESS = """CREATE VIEW Packages AS WITH RECURSIVE n(hnum) AS
(SELECT 1 UNION ALL SELECT hnum + 1 FROM n) SELECT hnum, x'00' AS blob FROM n"""
HUGE = "CREATE VIEW Packages AS SELECT 1 AS hnum, zeroblob(900000000) AS blob"
BROKEN = {
    "no database": b"not SQLite at all, of whatever length",
    "cut": rpm_database(rpm_header("bash", "5", "1"))[:5000],
    "no table": rpm_database(schema="CREATE TABLE other (x)"),
    "a text": rpm_database("text"),
    "a short header": rpm_database(b"\0"),
    "a header of more tags than it has": rpm_database(struct.pack(">II", 1 << 30, 0)),
    "a text without an end": rpm_database(
        struct.pack(">IIIIII", 1, 1, 1000, 6, 0, 1) + b"x",
    ),
    "a name alone": rpm_database(struct.pack(">IIIIII", 1, 2, 1000, 6, 0, 1) + b"x\0"),
    "a query without an end": rpm_database(schema=ENDLESS),
    "a value without measure": rpm_database(schema=HUGE),
}


@pytest.mark.parametrize("database", BROKEN.values(), ids=BROKEN)
def test_a_broken_database_is_a_problem_and_the_rest_is_found(database: bytes) -> None:
    report = scanned([file(RPM, database), file(STATUS, dpkg(("base", "1")))])
    assert [problem.path for problem in report.problems] == [f"/{RPM}"]
    assert brief(report) == [("deb", "base", "1", 0)]


@pytest.mark.parametrize("text", ["{", "[" * 200_000, '{"name": "\\udcff"', "\0", b"\xff\xfe{}"])
def test_a_broken_package_json_is_a_problem_and_the_rest_is_found(text: str | bytes) -> None:
    good = file("b/node_modules/b/package.json", '{"name":"b","version":"1"}')
    report = scanned([file("a/node_modules/a/package.json", text), good])
    assert [problem.path for problem in report.problems] == ["/a/node_modules/a/package.json"]
    assert brief(report) == [("npm", "b", "1", 0)]


def test_packages_without_number_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MOST_PACKAGES", 3)
    many = dpkg(*((f"p{number}", "1") for number in range(5)))
    assert "more than 3" in scanned([file(STATUS, many)]).problems[0].message
    monkeypatch.setattr(scan, "MOST_DATABASE", 10)
    assert "larger than 10" in scanned([file(STATUS, many)]).problems[0].message


def test_a_header_that_is_cut_says_so() -> None:
    whole = rpm_header("bash", "5", "1", 3)
    assert scan.rpm_header(whole) == ("bash", "3:5-1")
    for length in range(len(whole)):
        with pytest.raises((UnreadableError, struct.error)):
            scan.rpm_header(whole[:length])


# -- real images -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_real_image_is_scanned_without_a_problem(case: Case, tmp_path: Path) -> None:
    source = case.source(tmp_path)
    with open_image(source, reference=case.reference, platform=case.platform) as image:
        report = scan.scan(image)
    assert report.problems == []
    if case.truth == "ledger":
        assert brief(report) == [("pypi", "attrs", "25.4.0", 1)]
        assert report.packages[0].step.startswith("RUN pip install")


def test_debian_is_read_as_dpkg_reads_it(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.truth == "debian-small")
    source = case.source(tmp_path)
    if shutil.which("dpkg-query") is None:
        pytest.skip("dpkg-query is not installed")
    with open_image(source) as image, image.fs() as view:
        report = scan.scan(image)
        view.export(tmp_path / "root", path=f"/{STATUS}")
        before = image.fs(layers=[0]).readtext(f"/{STATUS}")
    format_ = "${Package} ${Version} ${db:Status-Status}\n"
    admin = tmp_path / "root" / "var" / "lib" / "dpkg"
    told = subprocess.run(
        ["dpkg-query", f"--admindir={admin}", "-W", "-f", format_],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    installed = {
        tuple(line.split()[:2]) for line in told.splitlines() if line.endswith(" installed")
    }
    found = {(each.name, each.version): each.layer for each in report.packages}
    assert found.keys() == installed
    assert len(installed) > 90
    # What the base image had has stayed its own.
    base = set(scan.dpkg(before.encode()))
    assert {each for each, layer in found.items() if layer == 0} == base & found.keys()
    assert set(found.values()) == {0, 2}


# -- the program -----------------------------------------------------------------------------------


def program(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "examples" / "scan.py", *words],
        capture_output=True, text=True, check=False, timeout=120, encoding="utf-8", **options,
    )  # fmt: skip


def test_the_program_prints_a_table_or_json_and_escapes_names(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    site = "opt/evil-1.dist-info/METADATA"
    layers = [[file(site, "Name: \x1b[31mred\nVersion: 1")], [file(RPM, b"none")]]
    archive.write_bytes(oci_archive(ImageDescription(layers)))
    done = program(archive)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["KIND", "NAME", "VERSION", "LAYER", "BUILD", "STEP"]
    assert lines[1].split() == ["pypi", r"'\x1b[31mred'", "1", "0", "layer", "0"]
    assert lines[2:] == [f"/{RPM}: UnreadableError: not an SQLite database"]
    told = json.loads(program(archive, "--json").stdout)
    assert told["packages"] == [
        {"kind": "pypi", "name": "\x1b[31mred", "version": "1", "layer": 0, "step": "layer 0",
         "path": f"/{site}"}
    ]  # fmt: skip
    assert [problem["path"] for problem in told["problems"]] == [f"/{RPM}"]


def test_the_program_says_what_is_no_image_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    for name in ("empty", "absent"):
        done = program(tmp_path / name)
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.startswith("scan: ")
        assert done.stderr.count("\n") == 1


def test_the_program_ends_quietly_when_its_reader_has_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, ROOT / "examples" / "scan.py", CASES[0].archive],
            stdout=pipe, stderr=subprocess.PIPE, check=False, timeout=120,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, b"")
