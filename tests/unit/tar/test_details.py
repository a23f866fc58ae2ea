"""One entry's headers can be decoded again from the bytes between its offsets."""

from __future__ import annotations

from typing import Any

import pytest

from unionlayers._foundation.limits import Limits
from unionlayers._tar.details import decode_header
from unionlayers._tar.reader import TarReader
from unionlayers.errors import TarError
from unionlayers.testing import (
    Entry,
    char_device,
    directory,
    entry,
    file,
    hardlink,
    layer,
    sparse_file,
    symlink,
)

ENTRIES = [
    file("a", b"content", mode=0o4755, uid=5, gid=6, mtime_ns=1_500_000_000_123_456_789),
    directory("d" * 120 + "/" + "e" * 150),
    symlink("l", "t" * 200),
    hardlink("h", "a", size=7),
    char_device("c", 5, 1),
    file("x", xattrs={"user.a": b"\0\1"}),
    sparse_file("s", [(at * 9, b"ab") for at in range(200)], 5000, form="gnu"),
    sparse_file("s", [(at * 9, b"ab") for at in range(200)], 5000, form="1.0"),
    sparse_file("s", [(0, b"ab")], 10, form="0.0"),
    entry("n" * 150, b"0", b"x", format="gnu", atime=3),
    entry("v/", b"\0", format="v7"),
    entry("s", format="star", ctime=4, uname="root"),
]


@pytest.mark.parametrize("item", ENTRIES, ids=lambda item: repr(item.path[:5]))
def test_headers_decode_again_to_the_same_entry(item: Entry, stream: Any) -> None:
    data = layer(file("before", b"x"), item, file("after"))
    reader = TarReader(stream(data), Limits())
    entries = iter(reader)
    next(entries)
    found = next(entries)
    header = decode_header(data[found.start_offset : found.data_offset], Limits())
    same = (
        "name", "mode", "uid", "gid", "mtime_ns", "atime_ns", "ctime_ns", "linkname", "uname",
        "gname", "devmajor", "devminor", "pax", "sparse",
    )  # fmt: skip
    for name in same:
        assert getattr(header, name) == getattr(found, name), name
    assert header.size == reader.declared_size


def test_what_the_header_says_is_shown_as_written() -> None:
    header = decode_header(layer(hardlink("h", "a", size=7))[:512], Limits())
    assert (header.size, header.type, header.form) == (7, b"1", "ustar")
    block = layer(entry("v/", b"\0", format="v7"))[:512]
    header = decode_header(block, Limits())
    assert (header.type, header.form) == (b"\0", "v7")
    assert header.chksum == sum(block[:148] + b" " * 8 + block[156:])


@pytest.mark.parametrize("blocks", [b"", bytes(1024), b"x" * 512, layer(file("a"))[:511]])
def test_what_is_no_header_is_refused(blocks: bytes) -> None:
    with pytest.raises(TarError) as caught:
        decode_header(blocks, Limits())
    assert caught.value.offset == 0
