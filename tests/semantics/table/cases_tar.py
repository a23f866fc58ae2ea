"""Section J: how a tar is encoded, by what Go's reader accepts and says."""

from __future__ import annotations

from row import Row
from spellings import f

from unionlayers import TarError
from unionlayers.testing import (
    char_device,
    entry,
    global_header,
    layer,
    raw,
    sparse_file,
)

__all__ = ["ROWS"]

ONE = layer(f("a", "1"), end="none")
TWO = layer(f("b", "2"), end="none")


HEAD = entry("b", content=b"2", checksum=b"0000000\0")

ROWS = [
    Row("J1", "the size in a record goes before the one in the header",
        [[entry("a", content=b"x" * 600, size=0, pax={"size": b"600"}), f("b", "2")]],
        f"a={'x' * 600} b=2", facts={"/a": {"size": 600}}),
    Row("J2", "a long name of GNU tar goes before a path record",
        [[raw(layer(entry("././@LongLink", "L", b"long\0", format="gnu"), end="none")),
          entry("short", content=b"1", pax={"path": b"record"})]], "long=1"),
    Row("J2", "records are for the next entry and not for a long name between them",
        [[entry("x", "x", pax={"size": b"3"}),
          raw(layer(entry("././@LongLink", "L", b"long\0", format="gnu"), end="none")),
          entry("short", content=b"123", size=0), f("b", "2")]], "b=2 long=123"),
    Row("J3", "a global header changes no entry",
        [[global_header({"mtime": b"5", "uid": b"9", "path": b"z"}), f("a", "1")]], "a=1",
        finding="GLOBAL_HEADER", facts={"/a": {"mtime_ns": 0, "uid": 0}}),
    Row("J4", "the three sparse forms of PAX are expanded",
        [[sparse_file(name, [(2, b"xx")], 6, form=form)
          for name, form in (("a", "0.0"), ("b", "0.1"), ("c", "1.0"))]],
        "a=00xx00 b=00xx00 c=00xx00", facts={"/a": {"size": 6}}),
    Row("J4", "the old sparse form is expanded, and refused by every runtime",
        [[sparse_file("a", [(2, b"xx")], 6, form="gnu")]], oci="a=00xx00", warned="a=00xx00",
        finding="ODD_TYPE"),
    Row("J5", "an archive ends with two zero blocks, one, or none",
        [layer(f("a", "1")), layer(f("b", "2"), end="one-block"), layer(f("c", "3"), end="none")],
        "a=1 b=2 c=3"),
    Row("J5", "the padding of the last file may be missing",
        [layer(entry("a", content=b"1", pad=False), end="none")], "a=1"),
    Row("J5", "one zero block and then data is refused", [ONE + bytes(512) + TWO + bytes(1024)],
        error=TarError),
    Row("J6", "what is behind the end is ignored", [layer(f("a", "1")) + layer(f("b", "2"))],
        "a=1", finding="DATA_AFTER_END"),
    Row("J7", "a wrong checksum in the middle is refused",
        [[f("a", "1"), HEAD, f("c", "3")]], error=TarError),
    Row("J8", "a file that is cut off is refused",
        [layer(entry("a", content=b"1", size=2000, pad=False), end="none")], error=TarError),
    Row("J9", "no bytes at all, and zero blocks alone, are empty layers",
        [[f("a", "1")], b"", bytes(1024)], "a=1"),
    Row("J10", "numbers in binary, padded octal and signed checksums",
        [[entry("a", content=b"1", uid=2_500_000, format="gnu"),
          entry(b"caf\xe9", content=b"2", checksum="signed", format="gnu",
                fields={"mode": b" 000755 "})]],
        "a=1 caf\udce9=2", facts={"/a": {"uid": 2_500_000}, "/caf\udce9": {"mode": 0o755}}),
    Row("J10", "a negative size is refused",
        [[entry("a", fields={"size": b"\xff" * 12}, format="gnu")]], error=TarError),
    Row("J10", "a number that is none is refused",
        [[entry("a", fields={"mode": b"00z0644\0"})]], error=TarError),
    Row("J11", "a prefix is joined for ustar and star",
        [layer(f("p" * 60 + "/" + "n" * 60, "1"), format="ustar"),
         layer(f("q" * 60 + "/" + "n" * 60, "2"), format="star")],
        f"{'p' * 60}/ {'p' * 60}/{'n' * 60}=1 {'q' * 60}/ {'q' * 60}/{'n' * 60}=2"),
    Row("J11", "where GNU tar has times there is no prefix",
        [[entry("a", content=b"1", format="gnu", atime=5, ctime=6)]], "a=1"),
    Row("J12", "a charset changes no name",
        [[entry(b"x", content=b"1", pax={"hdrcharset": b"BINARY", "path": b"caf\xe9"})]],
        "caf\udce9=1"),
    Row("J13", "a record whose length is wrong is refused",
        [[entry("a", pax_body=b"99 path=b\n")]], error=TarError),
    Row("J13", "a record without its newline is refused",
        [[entry("a", pax_body=b"9 path=bb")]], error=TarError),
    Row("J14", "a header without magic is one", [layer(f("a", "1"), format="v7")], "a=1"),
    Row("J15", "what a stranger's reader loses is all here",
        [[f("a", "1"), global_header({"uid": b"9"}),
          entry("short", content=b"2", pax={"path": b"b"}), entry("c/", "0", b"3"),
          char_device("d", 1, 3)]], "a=1 b=2 c=3 d#1:3", facts={"/b": {"uid": 0}}),
]  # fmt: skip
