"""
List the packages installed in an image: ``python examples/scan.py IMAGE.tar``.

Finds Debian packages (also those of distroless images), Alpine's, RPMs in an SQLite database,
Python distributions and Node packages; each with the layer and the build step that brought it.
A place to start from for a scanner: `scan` gives typed records, the rest prints them.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from attrs import asdict, field, frozen

from unionlayers import Image, UnionFS, UnionLayersError, open_image

__all__ = ["Package", "Problem", "Report", "UnreadableError", "main", "scan"]

# What a stranger's image may cost: bytes of one file, packages of one database, and operations of
# SQLite, of which a query for two thousand real packages takes some ten thousand.
MOST_DATABASE = 256 << 20
MOST_METADATA = 1 << 20
MOST_PACKAGES = 200_000
MOST_OPERATIONS = 50_000_000
OPERATIONS_AT_ONCE = 10_000

Found = tuple[str, str]
"""Name and version."""


@frozen
class Package:
    """
    One installed package.

    Attributes:
        kind: ``deb``, ``apk``, ``rpm``, ``pypi`` or ``npm``: the types of package URLs.
        name: As its own metadata spell it.
        version: Likewise.
        layer: Index of the layer that brought this version, base first from 0.
        step: The command that made the layer, empty if the image does not say.
        path: The file that says so.
    """

    kind: str
    name: str
    version: str
    layer: int
    step: str
    path: str


class UnreadableError(Exception):
    """A file that should name packages does not say what its format says."""


@frozen
class Problem:
    """A file that should have named packages and could not be read."""

    path: str
    message: str


@frozen
class Report:
    """What a scan has found."""

    packages: list[Package] = field(factory=list)
    problems: list[Problem] = field(factory=list)


# -- the formats: bytes in, names and versions out ------------------------------------------------


def paragraphs(raw: bytes) -> Iterator[dict[str, str]]:
    """Give the fields of each paragraph of a Debian control file; folded lines are left out."""
    fields: dict[str, str] = {}
    for line in raw.decode("utf-8", "surrogateescape").split("\n"):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif line[0] not in " \t":
            key, _, value = line.partition(":")
            fields[key] = value.strip()
    if fields:
        yield fields


def dpkg(raw: bytes) -> Iterator[Found]:
    """Read dpkg's status, or one file of status.d, in which everything is installed."""
    for fields in paragraphs(raw):
        state = fields.get("Status", "install ok installed").split()
        if state[-1:] == ["installed"] and "Package" in fields and "Version" in fields:
            yield fields["Package"], fields["Version"]


def apk(raw: bytes) -> Iterator[Found]:
    """Read the database of Alpine's apk."""
    for fields in paragraphs(raw):
        if "P" in fields and "V" in fields:
            yield fields["P"], fields["V"]


def rpm(raw: bytes) -> Iterator[Found]:
    """Read rpmdb.sqlite from memory; nothing is written anywhere."""
    if raw[:16] != b"SQLite format 3\0":
        raise UnreadableError("not an SQLite database")
    # A database in WAL mode cannot be read from memory until it says that it is in none.
    database = raw[:18] + b"\1\1" + raw[20:]
    connection = sqlite3.connect(":memory:")
    operations = 0

    def is_too_long() -> bool:
        nonlocal operations
        operations += OPERATIONS_AT_ONCE
        return operations > MOST_OPERATIONS

    try:
        connection.deserialize(database)
        # A stranger's schema may be a view that never ends, or gives gigabytes.
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_DATABASE)
        connection.set_progress_handler(is_too_long, OPERATIONS_AT_ONCE)
        for (blob,) in connection.execute("SELECT blob FROM Packages ORDER BY hnum"):
            if not isinstance(blob, bytes):
                raise UnreadableError("a package that is no header")
            yield rpm_header(blob)
    finally:
        connection.close()


# Tags of a header, and types of what they name.
NAME, VERSION, RELEASE, EPOCH = 1000, 1001, 1002, 1003
INT32, STRING = 4, 6


def rpm_header(blob: bytes) -> Found:
    """Give name and [epoch:]version-release of a header: an index of tags, then their data."""
    entries, length = struct.unpack_from(">II", blob)
    if 8 + 16 * entries + length > len(blob):
        raise UnreadableError("a header that ends early")
    data = blob[8 + 16 * entries :][:length]
    said: dict[int, str] = {}
    for tag, kind, offset, _ in struct.iter_unpack(">IIII", blob[8 : 8 + 16 * entries]):
        if tag in (NAME, VERSION, RELEASE) and kind == STRING:
            text = data[offset : data.index(b"\0", offset)]
            said[tag] = text.decode("utf-8", "surrogateescape")
        elif tag == EPOCH and kind == INT32:
            said[tag] = f"{struct.unpack_from('>I', data, offset)[0]}:"
    return said[NAME], f"{said.get(EPOCH, '')}{said[VERSION]}-{said[RELEASE]}"


def pypi(raw: bytes) -> Iterator[Found]:
    """Read METADATA or PKG-INFO: a header as in mail, of which two fields are wanted."""
    for fields in paragraphs(raw.replace(b"\r\n", b"\n")):
        if "Name" in fields and "Version" in fields:
            yield fields["Name"], fields["Version"]
        return


def npm(raw: bytes) -> Iterator[Found]:
    """Read package.json; one without a version is no installed package."""
    document = json.loads(raw)
    if isinstance(document, dict):
        name, version = document.get("name"), document.get("version")
        if isinstance(name, str) and isinstance(version, str):
            yield name, version


# What those above raise at bytes that are not what they should be.
UNREAD_ERRORS = (
    UnreadableError,
    ValueError,
    LookupError,
    RecursionError,
    struct.error,
    sqlite3.Error,
)

Reader = Callable[[bytes], Iterable[Found]]

# One file for all packages, written anew by every layer that installs something.
DATABASES: dict[str, tuple[str, Reader]] = {
    "/var/lib/dpkg/status": ("deb", dpkg),
    "/lib/apk/db/installed": ("apk", apk),
    "/usr/lib/apk/db/installed": ("apk", apk),
    "/usr/lib/sysimage/rpm/rpmdb.sqlite": ("rpm", rpm),
    "/var/lib/rpm/rpmdb.sqlite": ("rpm", rpm),
}
UNREAD = ("/var/lib/rpm/Packages", "/var/lib/rpm/Packages.db", "/usr/lib/sysimage/rpm/Packages.db")
# A file for each package, which comes from the layer that has it.
FILES: dict[str, tuple[str, Reader]] = {
    "var/lib/dpkg/status.d/*": ("deb", dpkg),
    "**/*.dist-info/METADATA": ("pypi", pypi),
    "**/*.egg-info/PKG-INFO": ("pypi", pypi),
    "**/*.egg-info": ("pypi", pypi),
    "**/node_modules/*/package.json": ("npm", npm),
    "**/node_modules/@*/*/package.json": ("npm", npm),
}


# -- the image ------------------------------------------------------------------------------------


def scan(image: Image) -> Report:
    """
    Find the packages that the whole stack shows.

    Raises:
        UnionLayersError: A layer cannot be read.
    """
    report = Report()
    with image.fs() as view:
        scan_databases(image, view, report)
        scan_files(view, report)
    report.packages.sort(key=lambda package: (package.kind, package.name, package.path))
    return report


def scan_databases(image: Image, view: UnionFS, report: Report) -> None:
    """Read the databases; a package is its layer's whose version of the file first names it."""
    seen: set[str] = set()
    for path, (kind, reader) in DATABASES.items():
        # /lib may be a link to /usr/lib, and one database is counted once.
        if not view.isfile(path) or view.realpath(path).path in seen:
            continue
        seen.add(view.realpath(path).path)
        try:
            brought = first_named(image, path, reader)
        except UNREAD_ERRORS as error:
            report.problems.append(Problem(path, f"{type(error).__name__}: {error}"))
            continue
        for (name, version), layer in brought.items():
            step = image.layers[layer].created_by or ""
            report.packages.append(Package(kind, name, version, layer, step, path))
    report.problems.extend(
        Problem(path, "an RPM database of this form is not read here")
        for path in UNREAD
        if view.isfile(path)
    )


def first_named(image: Image, path: str, reader: Reader) -> dict[Found, int]:
    """Give each package with the layer since which the file has named it without a break."""
    brought: dict[Found, int] = {}
    for version in image.history_of(str(image.path(path).resolve())):
        if version.kind == "hidden" or version.type != "file":
            brought = {}
            continue
        if (version.size or 0) > MOST_DATABASE:
            raise UnreadableError(f"the database is larger than {MOST_DATABASE} bytes")
        with version.open() as file:
            named = reader(file.read())
            now: dict[Found, int] = {}
            for found in named:
                now[found] = brought.get(found, version.layer)
                if len(now) > MOST_PACKAGES:
                    raise UnreadableError(f"the database has more than {MOST_PACKAGES} packages")
        brought = now
    return brought


def scan_files(view: UnionFS, report: Report) -> None:
    """Read the metadata of packages that have a file each, in the order of the layers."""
    for pattern, (kind, reader) in FILES.items():
        for path, info in view.find(pattern, namespaces=("layer",), order="storage"):
            if path.endswith(".md5sums"):
                continue
            with view.openbin(path) as file:
                raw = file.read(MOST_METADATA)
            layer = info.raw["layer"]["index"]
            step = info.raw["layer"]["created_by"] or ""
            try:
                found = list(reader(raw))
            except UNREAD_ERRORS as error:
                report.problems.append(Problem(path, f"{type(error).__name__}: {error}"))
                continue
            report.packages.extend(
                Package(kind, name, version, layer, step, path) for name, version in found
            )


# -- what is printed ------------------------------------------------------------------------------


def shown(text: str) -> str:
    """Give text of a stranger's image so that it cannot speak to the terminal."""
    return text if text.isprintable() else ascii(text)


def table(report: Report) -> Iterator[str]:
    """Give the lines of a table, and what could not be read below it."""
    rows = [("KIND", "NAME", "VERSION", "LAYER", "BUILD STEP")]
    for each in report.packages:
        step = shown(" ".join(each.step.split()))[:60]
        rows.append((each.kind, shown(each.name), shown(each.version), str(each.layer), step))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()
    for problem in report.problems:
        yield f"{shown(problem.path)}: {shown(problem.message)}"


def main(words: list[str] | None = None) -> int:
    """Scan the image that the command line names."""
    parser = argparse.ArgumentParser(description="List the packages installed in an image.")
    parser.add_argument("image", type=Path, help="docker save archive, OCI archive or layout")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--reference", help="which image, if there are several")
    parser.add_argument("--platform", help="which platform, such as linux/arm64/v8")
    asked = parser.parse_args(words)
    try:
        with open_image(asked.image, reference=asked.reference, platform=asked.platform) as image:
            report = scan(image)
    except (UnionLayersError, OSError) as error:
        print(f"scan: {shown(str(error))}", file=sys.stderr)
        return 1
    lines = [json.dumps(asdict(report), indent=2)] if asked.json else table(report)
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe has seen enough; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
