"""Section G: names of entries."""

from __future__ import annotations

from row import Row
from spellings import d, f

from unionlayers import TarError
from unionlayers.testing import (
    entry,
)

__all__ = ["ROWS"]


ROWS = [
    Row(
        "G1",
        "slashes and dots at the ends of a name are nothing",
        [[f("/abs", "1"), f("./dot", "2"), f("//two", "3"), f("a//b", "4"), f("a/./c", "5")]],
        "a/ a/b=4 a/c=5 abs=1 dot=2 two=3",
    ),
    Row(
        "G2",
        "a name that climbs is clamped at the root",
        [[f("../up", "1"), f("d/../../u", "2")]],
        "u=2 up=1",
    ),
    Row("G3", "a name with .. implies no directory", [[f("nod/../m", "1")]], "m=1"),
    Row(
        "G5",
        "backslash, newline and blanks are part of a name",
        [[f("a\\b", "1"), f(" c", "2"), f("d\ne", "3")]],
        "\u2423c=2 a\\b=1 d\u240ae=3",
    ),
    Row(
        "G2",
        "a whiteout that climbs",
        [[f("up", "1"), f("b")], [f("../.wh.up")]],
        "b=",
        finding="NAME_CLIMBS",
    ),
    Row("G3", "a whiteout with .. in its name", [[f("m", "1"), f("b")], [f("nod/../.wh.m")]], "b="),
    Row(
        "G4",
        "bytes that are no UTF-8",
        [[f(b"caf\xe9", "1"), f(b"caf\xc3\xa9", "2")]],
        "caf\udce9=1 caf\u00e9=2",
    ),
    Row(
        "G6",
        "a NUL in a path record",
        [[f("b"), entry("a", pax={"path": b"a\0b"})]],
        error=TarError,
        warned=None,
    ),
    Row(
        "G7",
        "an empty path record leaves the name of the header",
        [[entry("a", content=b"1", pax={"path": b""})]],
        "a=1",
    ),
    Row(
        "G8",
        "a directory named . is the root",
        [[d(".", mode=0o700), f("a")]],
        "a=",
        facts={"/": {"mode": 0o700}},
        overlay_facts={"/": {"mode": 0o755}},
        found="H5",
    ),
    Row(
        "G8",
        "a file without a name is the root and no directory",
        [[entry("", "0"), f("a")]],
        overlay="a=",
        warned="a=",
        found="H6",
        finding="ROOT_NOT_DIRECTORY",
    ),
    Row(
        "G9",
        "a component of more than 255 bytes is shown",
        [[f("x" * 300), f("a")]],
        f"a= {'x' * 300}=",
        finding="NAME_TOO_LONG",
    ),
    Row(
        "G9",
        "a path of more than 4096 bytes is shown",
        [[f("/".join(["y" * 200] * 22), "1")]],
        " ".join(
            ["/".join(["y" * 200] * n) + "/" for n in range(1, 22)]
            + ["/".join(["y" * 200] * 22) + "=1"]
        ),
        finding="NAME_TOO_LONG",
    ),
    Row("G10", "names that differ only by case are two", [[f("A", "1"), f("a", "2")]], "A=1 a=2"),
    Row(
        "G11",
        "a name with the prefix is a whiteout wherever it stands",
        [[f("d/e/x", "1"), f("d/e/y", "2")], [f("d/e/.wh.x")]],
        "d/ d/e/ d/e/y=2",
    ),
]
