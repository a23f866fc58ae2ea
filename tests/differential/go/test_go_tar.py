"""
Our tar reader accepts, refuses and shows what Go's does, which every container runtime uses.

Disagreements are allowed by the number of a case in ``semantics.md`` only: see `explained`.
"""

from __future__ import annotations

import bz2
import gzip
import os
import random
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tar_damage import mend, with_damage

from unionlayers.testing import Sparse, entry, layer, pax_record, sparse_file
from unionlayers.testing.header import header_block

Agree = Callable[[bytes], str]

CAMPAIGN = bool(os.environ.get("UNIONLAYERS_CAMPAIGN"))
COUNT = 100_000 if CAMPAIGN else 300
pytestmark = pytest.mark.timeout(7200 if CAMPAIGN else 300)
SAMPLES = settings(
    max_examples=COUNT,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
EXAMPLES = {
    path.stem: path
    for folder in ("/usr/lib/go/src", "/usr/lib/go-1.19/src", "/usr/local/go/src")
    for path in sorted(Path(folder, "archive/tar/testdata").glob("*.tar*"))
}


@pytest.mark.skipif(not EXAMPLES, reason="the tests of Go's own library are not installed")
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_archives_that_go_tests_itself_with(name: str, agree: Agree) -> None:
    data = EXAMPLES[name].read_bytes()
    assert agree(bz2.decompress(data) if EXAMPLES[name].suffix == ".bz2" else data)


# -- archives out of nothing -------------------------------------------------------------------

NUL = b"\0"
NAMES = st.sampled_from(
    [b"a", b"dir/", b"dir/b", b"./c", b"/d", b"../e", b"", b".", b"\xff\xfe", "ä".encode(),
     b"n" * 100, b"d" * 99 + b"/", b"x\0y", b"a b", b"p/" + b"q" * 97, b"GNUSparseFile.0/f"]
)  # fmt: skip
OCTALS = st.sampled_from(
    [b"", b"0", b"644\0", b"0000644\0", b" 644 ", b"\0\x20 7\0", b"7 7", b"8", b"1_0", b"0o7",
     b"+7", b"-7", b"17\x0099", b"7777777", b"0x1", b"\xc2\xb2", b"7\xff", b"1\t"]
)  # fmt: skip
BINARIES = st.sampled_from(
    [b"\x80", b"\x80\0\0\0\0\0\0\x05", b"\xff\xff\xff\xff\xff\xff\xff\xfe", b"\xc0",
     b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", b"\x80\0\0\0\x80\0\0\0\0\0\0\0",
     b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", b"\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff",
     b"\x80\0\0\x01\0\0\0\0\0\0\0\0", b"\xbf\xff\xff\xff\xff\xff\xff\xff", b"\xfe\0\0\0\0\0\0\0"]
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(0, 0o777).map(b"%07o\0".__mod__), OCTALS, BINARIES, st.binary(max_size=8)
)
SIZES = st.one_of(
    st.sampled_from([0, 1, 5, 511, 512, 513, 1024, 1536]).map(b"%011o\0".__mod__), NUMBERS
)
FLAGS = st.one_of(
    st.sampled_from([bytes([flag]) for flag in b"0000\0\x001234556677xxxgLKSSDMVNXAZ"]),
    st.binary(min_size=1, max_size=1),
)
MAGICS = st.sampled_from(
    [(b"ustar\0", b"00"), (b"ustar\0", b"00"), (b"ustar\0", b"\0\0"), (b"ustar ", b" \0"),
     (b"ustar ", b" \0"), (b"ustar ", b"00"), (b"", b""), (b"ustar", b" \0"), (b"USTAR\0", b"00")]
)  # fmt: skip
KEYS = st.sampled_from(
    [b"path", b"linkpath", b"uname", b"gname", b"uid", b"gid", b"size", b"mtime", b"atime",
     b"ctime", b"SCHILY.xattr.user.a", b"SCHILY.xattr.", b"comment", b"hdrcharset", b"a\0b", b"k",
     b"GNU.sparse.major", b"GNU.sparse.minor", b"GNU.sparse.name", b"GNU.sparse.realsize",
     b"GNU.sparse.size", b"GNU.sparse.numblocks", b"GNU.sparse.map", b"GNU.sparse.offset",
     b"GNU.sparse.numbytes", b"", b"RHT.security.selinux"]
)  # fmt: skip
VALUES = st.sampled_from(
    [b"", b"0", b"1", b"2", b"5", b"512", b"1024", b"-1", b"+3", b"007", b"1.5", b"-1.5", b"-0.25",
     b"1.", b".5", b"1.123456789", b"1.1234567891", b"12345678901.000000001", b"1.5x", b"1.5.5",
     b" 1", b"1_0", b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808",
     b"-9223372036854775808.5", b"0" * 30 + b"7", b"0,1", b"0,512", b"0,1,5,1", b"1,0", b",", b"x",
     b"dir/", b"a/b\0c", b"\xff", b"line\nline", b"a=b", b"n" * 300, "ß".encode()]
)  # fmt: skip
RECORD = st.one_of(
    st.builds(pax_record, KEYS, VALUES),
    st.builds(pax_record, KEYS, VALUES),
    st.builds(pax_record, KEYS, VALUES),
    st.sampled_from(
        [b"", b"5 a=\n", b"4 =\n", b"6 a=b\n", b"06 a=\n", b"+6 a=\n", b"7 a=b", b"9 path=a\n\0",
         b"x a=b\n", b" a=b\n", b"0000000009 path=a\n", b"18446744073709551616 a=\n", b"5 a\n\n",
         b"3 \n", b"2 \n", b"1 \n", b"0 a=\n", b"-5 a=\n", b"100 path=a\n", b"8 a=b\n\n\n"]
    ),
)  # fmt: skip
RECORDS = st.lists(RECORD, max_size=5).map(b"".join)

SOUND_NAMES = st.one_of(NAMES, st.binary(max_size=100))
SOUND_NUMBERS = st.one_of(
    st.integers(0, 8**7 - 1).map(b"%07o\0".__mod__),
    st.sampled_from(
        [b"", b" 644 \0", b"0000644 ", b"\0\x20 7\0", b"17\x0099", b"7777777", b"12345670"]
    ),
    st.integers(-(1 << 56), (1 << 56) - 1).map(
        lambda n: (n % (1 << 63) | 1 << 63).to_bytes(8, "big")
    ),
)
SOUND_TIMES = st.one_of(
    st.integers(0, 8**11 - 1).map(b"%011o\0".__mod__),
    st.integers(-(1 << 63), (1 << 63) - 1).map(
        lambda n: (n % (1 << 95) | 1 << 95).to_bytes(12, "big")
    ),
)
DECIMALS = st.integers(-(1 << 63), (1 << 63) - 1).map(b"%d".__mod__)
MOMENTS = st.one_of(
    DECIMALS,
    st.builds(
        b"%s%d.%s".__mod__,
        st.tuples(
            st.sampled_from([b"", b"-", b"+", b"00"]),
            st.integers(0, 1 << 62),
            st.text("0123456789", max_size=12).map(str.encode),
        ),
    ),
)
TEXTS = st.one_of(NAMES, st.binary(max_size=300)).map(lambda text: text.replace(NUL, b""))
SOUND_RECORD = st.one_of(
    st.tuples(st.sampled_from([b"path", b"linkpath", b"uname", b"gname"]), TEXTS),
    st.tuples(st.sampled_from([b"uid", b"gid"]), DECIMALS),
    st.tuples(st.sampled_from([b"mtime", b"atime", b"ctime"]), MOMENTS),
    st.tuples(
        st.sampled_from([b"SCHILY.xattr.user.a", b"SCHILY.xattr.", b"comment", b"\xe9"]),
        st.binary(max_size=60),
    ),
    st.tuples(
        st.sampled_from([b"path", b"size", b"uid", b"mtime", b"GNU.sparse.major"]), st.just(b"")
    ),
    st.tuples(st.just(b"GNU.sparse.minor"), st.sampled_from([b"2", b"x"])),
).map(lambda pair: pax_record(*pair))
SOUND_RECORDS = st.lists(SOUND_RECORD, max_size=6).map(b"".join)


def padded(body: bytes) -> bytes:
    return body + bytes(-len(body) % 512)


@st.composite
def header(
    draw: st.DrawFn, flag: bytes | None = None, size: int | None = None, *, sound: bool = False
) -> bytes:
    """One block: a header that somebody could have written, with odd fields unless *sound*."""
    magic, version = draw(MAGICS)
    fields: list[tuple[str, bytes]] = [
        ("name", draw(NAMES)),
        ("mode", b"0000644\0"),
        ("uid", b"0000000\0"),
        ("gid", b"0001750\0"),
        ("size", draw(SIZES) if size is None else b"%011o\0" % size),
        ("mtime", b"14371573100\0"),
        ("typeflag", draw(FLAGS) if flag is None else flag),
        ("magic", magic),
        ("version", version),
    ]
    if sound:
        return header_block(fields, checksum="unsigned")
    odd = draw(st.lists(st.sampled_from(ODD_FIELDS), max_size=3))
    fields += [(name, draw(values)) for name, values in odd]
    checksum = draw(st.sampled_from(["unsigned"] * 12 + ["signed"] * 3 + ["wrong"]))
    return header_block(fields, checksum=checksum)


@st.composite
def sound_entry(draw: st.DrawFn) -> bytes:
    """An entry that every reader takes, with any extensions that it can have."""
    magic, version = draw(MAGICS)
    flag = draw(st.sampled_from([bytes([flag]) for flag in b"000\0\0123456777DQVMA"]))
    # Whether NUL is a directory, and so has no content, depends on the name.
    bodies = [b"", b"w" * 5, b"v" * 512, b"u" * 1300] if flag != NUL else [b""]
    body = draw(st.sampled_from(bodies))
    fields: list[tuple[str, bytes]] = [
        ("name", draw(SOUND_NAMES)), ("mode", draw(SOUND_NUMBERS)), ("uid", draw(SOUND_NUMBERS)),
        ("gid", draw(SOUND_NUMBERS)), ("mtime", draw(SOUND_TIMES)), ("typeflag", flag),
        ("linkname", draw(SOUND_NAMES)), ("magic", magic), ("version", version),
    ]  # fmt: skip
    if magic.startswith(b"ustar"):
        fields += [("devmajor", draw(SOUND_NUMBERS)), ("devminor", draw(SOUND_NUMBERS))]
    star = draw(st.booleans())
    match magic, version, star:
        case b"ustar\0", _, True:
            fields += [("star_prefix", draw(SOUND_NAMES)), ("star_trailer", b"tar\0")]
            fields += [("star_atime", draw(SOUND_TIMES)), ("star_ctime", draw(SOUND_TIMES))]
        case b"ustar ", b" \0", True:
            fields += [("gnu_atime", draw(SOUND_TIMES)), ("gnu_ctime", draw(SOUND_TIMES))]
        case _:
            fields += [("prefix", draw(st.one_of(st.just(b""), SOUND_NAMES)))]
    out = b""
    size = len(body)
    for kind in draw(st.lists(st.sampled_from(b"xxxgLK"), max_size=3)):
        text = draw(SOUND_RECORDS if kind in b"xg" else st.binary(max_size=300))
        if kind == ord("x") and draw(st.booleans()):
            text += pax_record(b"size", b"%d" % size)
        out += draw(header(bytes([kind]), len(text), sound=True)) + padded(text)
    if flag in b"123456":
        # Those have no content whatever their size says.
        body = b""
        size = draw(st.sampled_from([0, 4096]))
    fields.append(("size", b"%011o\0" % size))
    return out + header_block(fields, checksum="unsigned") + padded(body)


def wide(numbers: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.one_of(numbers, st.integers(0, 8**11 - 1).map(b"%011o\0".__mod__))


def short(numbers: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return numbers.map(lambda number: number[:8])


ODD_FIELDS: list[tuple[str, st.SearchStrategy[bytes]]] = [
    ("mode", short(NUMBERS)),
    ("uid", short(NUMBERS)),
    ("gid", short(NUMBERS)),
    ("mtime", wide(NUMBERS)),
    ("devmajor", short(NUMBERS)),
    ("devminor", short(NUMBERS)),
    ("linkname", NAMES),
    ("uname", st.sampled_from([b"root", b"\xe9", b"u" * 32, b"a\0b"])),
    ("gname", st.sampled_from([b"wheel", b"g" * 32])),
    ("prefix", NAMES),
    ("prefix", NAMES),
    ("prefix", st.binary(max_size=155)),
    ("gnu_atime", wide(NUMBERS)),
    ("gnu_ctime", wide(NUMBERS)),
    ("star_trailer", st.just(b"tar\0")),
    ("star_trailer", st.just(b"tar\0")),
    ("star_atime", wide(NUMBERS)),
    ("star_ctime", wide(NUMBERS)),
    ("gnu_sparse", st.lists(wide(NUMBERS), max_size=8).map(
        lambda numbers: b"".join(number.ljust(12, b"\0") for number in numbers))),
    ("gnu_extended", st.sampled_from([b"\0", b"\1", b"0"])),
    ("gnu_realsize", SIZES),
]  # fmt: skip


@st.composite
def extension(draw: st.DrawFn) -> bytes:
    """A header of records or of a long name, with its body."""
    flag = draw(st.sampled_from([b"x", b"x", b"x", b"g", b"L", b"K"]))
    names = st.sampled_from([b"long/" * 30, b"name\0", b"\0", b"", b"a\0b\0", b"dir/\0"])
    body = draw(RECORDS if flag in b"xg" else names)
    return draw(header(flag, len(body))) + padded(body)


@st.composite
def segments(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int, int]:
    """A map, most often right; the size of the file; and the bytes stored."""
    spans = []
    end = 0
    for gap, length in draw(
        st.lists(st.tuples(st.sampled_from([0, 0, 1, 512, 5000]), st.integers(0, 600)), max_size=6)
    ):
        spans.append((end + gap, length))
        end += gap + length
    size = end + draw(st.sampled_from([0, 0, 0, 1, 700, 700, -1]))
    stored = sum(length for _, length in spans) + draw(st.sampled_from([0] * 6 + [1, -1]))
    if spans and draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(spans) - 1))
        spans[at] = draw(
            st.tuples(st.sampled_from([-1, 0, 3, 1 << 40, 2**63 - 1]), st.sampled_from([-1, 0, 9]))
        )
    return spans, size, max(stored, 0)


@st.composite
def sparse(draw: st.DrawFn) -> bytes:
    """A file with holes in one of the four forms."""
    spans, size, stored = draw(segments())
    form = draw(st.sampled_from(["old", "0.0", "0.1", "1.0"]))
    body = bytes(range(1, 256)) * (stored // 255 + 1)
    body = body[:stored]
    if form == "old":
        return old_sparse(spans, size, body)
    records = [(b"GNU.sparse.numblocks", b"%d" % len(spans)), (b"GNU.sparse.size", b"%d" % size)]
    if form == "0.0":
        for offset, length in spans:
            records.append((b"GNU.sparse.offset", b"%d" % offset))
            records.append((b"GNU.sparse.numbytes", b"%d" % length))
    elif form == "0.1":
        records.append((b"GNU.sparse.map", b",".join(b"%d,%d" % span for span in spans)))
    else:
        records = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
                   (b"GNU.sparse.realsize", b"%d" % size)]  # fmt: skip
        lines = b"%d\n" % len(spans) + b"".join(b"%d\n%d\n" % span for span in spans)
        body = padded(lines) + body
    if draw(st.booleans()):
        records.append((b"GNU.sparse.name", b"true/name"))
    text = b"".join(pax_record(key, value) for key, value in records)
    text += draw(st.one_of(st.just(b""), st.just(b""), RECORD))
    flag = draw(st.sampled_from([b"0", b"0", b"0", b"\0", b"7", b"5"]))
    return b"".join(
        (draw(header(b"x", len(text))), padded(text), draw(header(flag, len(body))), padded(body))
    )


def old_sparse(spans: list[tuple[int, int]], size: int, body: bytes) -> bytes:
    def octals(part: list[tuple[int, int]]) -> bytes:
        return b"".join(
            b"%011o\0" % number if 0 <= number < 8**11
            else (number % (1 << 95) | 1 << 95).to_bytes(12, "big")
            for span in part for number in span
        )  # fmt: skip

    rest = spans[4:]
    maps = b""
    while rest:
        block = octals(rest[:21]).ljust(504, b"\0")
        rest = rest[21:]
        maps += (block + (b"\1" if rest else b"\0")).ljust(512, b"\0")
    fields = [
        ("name", b"holes"), ("size", b"%011o\0" % len(body)), ("typeflag", b"S"),
        ("magic", b"ustar "), ("version", b" \0"), ("gnu_sparse", octals(spans[:4])),
        ("gnu_extended", b"\1" if maps else b"\0"), ("gnu_realsize", b"%011o\0" % max(size, 0)),
    ]  # fmt: skip
    return header_block(fields, checksum="unsigned") + maps + padded(body)


PIECES = st.one_of(
    header(),
    st.builds(lambda block, body: block + padded(body), header(size=600), st.just(b"y" * 600)),
    extension(),
    extension(),
    sparse(),
    sparse(),
    st.sampled_from([bytes(512), bytes(512), b"z" * 512, bytes(511) + b"\1"]),
)
ENDS = st.sampled_from(
    [bytes(1024), bytes(1024), bytes(1024), bytes(512), b"", bytes(100), bytes(1024) + b"more",
     bytes(700), b"s" * 10]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Flip some bytes, mend the checksums of some blocks, and perhaps cut the end off."""
    out = bytearray(data)
    if out:
        for at, value in draw(
            st.lists(st.tuples(st.integers(0, len(out) - 1), st.integers(0, 255)), max_size=4)
        ):
            out[at] = value
        if draw(st.booleans()):
            mend(out)
        if draw(st.integers(0, 4)) == 0:
            del out[draw(st.integers(0, len(out))) :]
    return bytes(out)


ARCHIVES = st.builds(
    lambda pieces, end: b"".join(pieces) + end, st.lists(PIECES, min_size=1, max_size=4), ENDS
)


@SAMPLES
@given(
    pieces=st.lists(sound_entry(), max_size=4), end=st.sampled_from([b"", bytes(512), bytes(2000)])
)
def test_archives_that_every_reader_takes(pieces: list[bytes], end: bytes, agree: Agree) -> None:
    assert agree(b"".join(pieces) + end) == "read"


@SAMPLES
@given(data=ARCHIVES)
def test_archives_out_of_odd_pieces(data: bytes, agree: Agree) -> None:
    agree(data)


@SAMPLES
@given(data=ARCHIVES.flatmap(damaged))
def test_archives_out_of_odd_pieces_with_damage(data: bytes, agree: Agree) -> None:
    agree(data)


# -- archives of other writers, with damage ------------------------------------------------------


def test_what_gnu_tar_writes_in_every_format(written: dict[str, bytes], agree: Agree) -> None:
    results = {name: agree(data) for name, data in written.items()}
    assert set(results.values()) == {"read"}, results
    assert len(results) >= 8, "tar wrote too few formats"


def test_what_gnu_tar_writes_with_random_damage(
    written: dict[str, bytes], agree: Agree, seed: int
) -> None:
    chance = random.Random(seed)
    archives = list(written.values())
    seen: Counter[str] = Counter()
    for _ in range(COUNT):
        seen[agree(with_damage(chance.choice(archives), chance))] += 1
    assert seen["read"]
    assert seen["refused"]


# -- real layers -----------------------------------------------------------------------------------

IMAGES = sorted(Path(__file__).parents[2].joinpath("images").glob("*.tar"))


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_image_archives_and_their_layers(path: Path, agree: Agree) -> None:
    with tarfile.open(path) as archive:
        members = [archive.extractfile(member) for member in archive if member.isreg()]
        blobs = [member.read() for member in members if member is not None]
    tars = [gzip.decompress(blob) if blob[:2] == b"\x1f\x8b" else blob for blob in blobs]
    tars = [path.read_bytes(), *(tar for tar in tars if tar[257:262] == b"ustar")]
    assert [agree(tar) for tar in tars] == ["read"] * len(tars)
    assert len(tars) > 1


# -- where the two may disagree --------------------------------------------------------------------


def test_a_nul_in_the_true_name_of_a_sparse_file_is_explained(agree: Agree) -> None:
    holes = evolve(sparse_file("a", [(0, b"x")], 9, form="0.1"), pax=(), path=b"a\0b")
    assert agree(layer(holes)) == "explained by G6"


def test_a_limit_of_ours_is_explained(agree: Agree) -> None:
    many = b"".join(pax_record(f"k{number}", "") for number in range(10_001))
    assert agree(layer(entry("a", pax_body=many))) == "explained by SECURITY 2"


def test_a_map_that_go_would_find_wrong_at_its_end_is_explained(agree: Agree) -> None:
    wrong = Sparse(segments=((0, 5),), data=b"1234", size=1 << 40, form="1.0")
    holes = evolve(sparse_file("a", [(0, b"x")], 9), sparse=wrong)
    assert agree(layer(holes)) == "refused"
    late = evolve(wrong, segments=(((1 << 40) - 5, 5),))
    assert agree(layer(evolve(holes, sparse=late))) == "explained by J4"
