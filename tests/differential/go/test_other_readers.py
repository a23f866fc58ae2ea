"""
Where other tar readers see another archive: every disagreement is one that is listed here.

Ours agrees with Go's, which every container runtime uses (`agree`).  bsdtar (libarchive) and
Python's tarfile, on which scanners are built, do not: each way in which they differ from both is a
way to hide a file from a scanner or to show it one that is not there (case J15).  The list below
says which there are, and each has an archive that shows it; what is found by mutation must be on
the list.
"""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import subprocess
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import frozen
from tar_damage import with_damage

from unionlayers._bytes.memory import MemorySource
from unionlayers._codec.forward import open_forward
from unionlayers._foundation.limits import Limits
from unionlayers._tar.reader import TarReader
from unionlayers.errors import LimitError, TarError
from unionlayers.testing import entry, file, global_header, layer, sparse_file, symlink

Agree = Callable[[bytes], str]
Seen = tuple[list[bytes], bool]
"""The names that a reader lists, cleaned, and whether it says that the archive is damaged."""

CAMPAIGN = bool(os.environ.get("UNIONLAYERS_CAMPAIGN"))
COUNT = 20_000 if CAMPAIGN else 100
LIST = Path(__file__).parents[3] / "build" / "disagreements.txt"
pytestmark = [
    pytest.mark.timeout(7200 if CAMPAIGN else 300),
    pytest.mark.skipif(
        shutil.which("bsdtar") is None,
        reason="bsdtar is not installed (Debian: apt-get install libarchive-tools)",
    ),
]


def cleaned(name: bytes) -> bytes:
    return b"/".join(part for part in name.split(b"/") if part not in (b"", b"."))


def by_us(data: bytes) -> Seen:
    limits = Limits()
    names = []
    try:
        stream = open_forward(MemorySource(data), "identity", limits=limits)
        for one in TarReader(stream, limits):
            names.append(cleaned(one.name))  # noqa: PERF401 - what came before an error counts
    except (TarError, LimitError):
        return names, True
    return names, False


def by_tarfile(data: bytes) -> Seen:
    names = []
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                names.append(cleaned(member.name.encode("utf-8", "surrogateescape")))  # noqa: PERF401
    # Anything at all, as its bugs are.
    except Exception:  # noqa: BLE001
        return names, True
    return names, False


# What it says of names that the locale cannot spell is no damage.
HARMLESS = re.compile(rb".*(can't be converted|cannot be converted|exit delayed).*")


def by_bsdtar(data: bytes) -> Seen:
    done = subprocess.run(
        ["bsdtar", "-tf", "-"],
        input=data,
        capture_output=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        timeout=60,
    )
    said = [line for line in done.stderr.splitlines() if not HARMLESS.fullmatch(line)]
    return [cleaned(unescaped(line)) for line in done.stdout.splitlines()], bool(said)


def unescaped(line: bytes) -> bytes:
    """Read a name as bsdtar spells it."""
    letters = dict(zip(b"ntrabfv\\", b"\n\t\r\a\b\f\v\\", strict=True))

    def plain(match: re.Match[bytes]) -> bytes:
        word = match[1]
        return bytes([letters[word[0]] if word[0] in letters else int(word, 8) & 255])

    return re.sub(rb"\\([0-7]{3}|[ntrabfv\\])", plain, line)


READERS: dict[str, Callable[[bytes], Seen]] = {"tarfile": by_tarfile, "bsdtar": by_bsdtar}


# -- the list --------------------------------------------------------------------------------------


@frozen
class Witness:
    """
    An archive of which readers make several.

    Attributes:
        case: What decides what is right.
        data: The archive.
        ours: What we see, and Go.
        tarfile: What Python's tarfile sees.
        bsdtar: What bsdtar sees.
    """

    case: str
    data: bytes
    ours: Seen
    tarfile: Seen
    bsdtar: Seen


A, B, C = file("a", "1"), file("b", "1"), file("c", "1")
BLOCKS = layer(A)[:1024]
NEGATIVE = {"size": b"\xff" * 12}
WITNESSES = {
    "global headers rename nothing": Witness(
        "J3", layer(global_header({"path": "other"}), A, B),
        ours=([b"a", b"b"], False),
        tarfile=([b"other", b"other"], False), bsdtar=([b"a", b"b"], False),
    ),
    "one block of zeros is no end": Witness(
        "J5", BLOCKS + bytes(512) + layer(B),
        ours=([b"a"], True), tarfile=([b"a"], False), bsdtar=([b"a"], False),
    ),
    "a damaged header is no end": Witness(
        "J7", BLOCKS + b"\1" + layer(B)[1:1024] + layer(C),
        ours=([b"a"], True), tarfile=([b"a"], False), bsdtar=([b"a", b"c"], True),
    ),
    "no bytes are an empty layer": Witness(
        "J9", b"", ours=([], False), tarfile=([], True), bsdtar=([], False)
    ),
    "a negative size is none": Witness(
        "J10", layer(A, entry("b", fields=NEGATIVE), C),
        ours=([b"a"], True), tarfile=([b"a", b"b", b"c"], False), bsdtar=([b"a"], True),
    ),
    "spaces in a number are none": Witness(
        "J10", layer(A, entry("b", fields={"size": b"0000000 01 \0"}), C),
        ours=([b"a"], True), tarfile=([b"a"], False), bsdtar=([b"a", b"b", b"c"], False),
    ),
    "where GNU tar has times there is no prefix": Witness(
        "J11", layer(entry("a", content=b"1", format="gnu", atime=5, ctime=6), B),
        ours=([b"a", b"b"], False),
        tarfile=([b"00000000005/a", b"b"], False), bsdtar=([b"a", b"b"], False),
    ),
    "a name ends at no NUL": Witness(
        "G6", layer(A, entry("b", pax={"path": b"x\0y"}), C),
        ours=([b"a"], True),
        tarfile=([b"a", b"x\0y", b"c"], False), bsdtar=([b"a", b"x", b"c"], False),
    ),
    "an empty path is none": Witness(
        "G7", layer(entry("b", pax={"path": b""}), C),
        ours=([b"b", b"c"], False), tarfile=([b"", b"c"], False), bsdtar=([b"b", b"c"], False),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WITNESSES)
def test_a_way_to_hide_or_fake_a_file_is_known(name: str, agree: Agree) -> None:
    one = WITNESSES[name]
    assert by_us(one.data) == one.ours
    assert agree(one.data).startswith(("read", "refused", "explained"))
    seen = {reader: read(one.data) for reader, read in READERS.items()}
    # A later version may have come to see what is there.
    assert seen["tarfile"] in (one.tarfile, one.ours)
    assert seen["bsdtar"] in (one.bsdtar, one.ours)
    assert (one.tarfile, one.bsdtar) != (one.ours, one.ours)


# -- by mutation -----------------------------------------------------------------------------------


def difference(ours: Seen, theirs: Seen) -> str | None:
    """Say how another reader differs; None where it does not, or both refuse."""
    if ours[1] and theirs[1]:
        return None
    if ours[1]:
        return "reads what every runtime refuses"
    if theirs[1]:
        return "refuses what every runtime reads"
    hidden, faked = Counter(ours[0]) - Counter(theirs[0]), Counter(theirs[0]) - Counter(ours[0])
    if hidden and faked:
        return "shows a file under another name"
    if hidden:
        return "hides a file"
    if faked:
        return "shows a file that is not there"
    return None if ours[0] == theirs[0] else "shows files in another order"


def test_archives_without_damage_are_the_same_to_all(written: dict[str, bytes]) -> None:
    varied = layer(A, symlink("l", "a"), sparse_file("s", [(0, b"x" * 512)], 4096), file("n" * 200))
    for name, data in {**written, "varied": varied}.items():
        for reader, read in READERS.items():
            # The dumps of GNU tar have times in the place of the prefix (case J11).
            if (name, reader) != ("gnu incremental", "tarfile"):
                assert difference(by_us(data), read(data)) is None, (name, reader)


def test_every_disagreement_about_mutated_archives_is_listed(
    written: dict[str, bytes], agree: Agree, seed: int, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    archives = list(written.values())
    found: Counter[str] = Counter()
    lines = []
    for number in range(COUNT):
        data = with_damage(dice.choice(archives), dice)
        # Ours with Go's: empty, or explained by a case.
        found[f"Go: {agree(data)}"] += 1
        ours = by_us(data)
        for reader, read in READERS.items():
            theirs = read(data)
            kind = difference(ours, theirs)
            if kind is not None:
                found[f"{reader} {kind}"] += 1
                lines.append(f"{seed} {number}: {reader} {kind}: {theirs}, not {ours}")
    counted = [f"{count:6} {kind}" for kind, count in sorted(found.items())]
    listed = LIST if CAMPAIGN else tmp_path / "disagreements.txt"
    listed.parent.mkdir(exist_ok=True)
    listed.write_text("\n".join([*counted, "", *lines, ""]), encoding="utf-8")
    print("\n".join(counted))  # noqa: T201 - shown by pytest -s
    readers = {kind.partition(" ")[0] for kind in found if not kind.startswith("Go: ")}
    assert readers == set(READERS), counted
