"""The stored form of a layer's record: what goes in comes out, and nothing else ever does."""

from __future__ import annotations

import io
import random
import struct
import sys
from array import array
from typing import Any

import pytest
from attrs import evolve, fields

from unionlayers import open_image
from unionlayers._codec import section_file
from unionlayers._codec.checkpoint import Checkpoint
from unionlayers._codec.packed import Packer, Unpacker
from unionlayers._codec.section_file import DamagedFileError, SectionFile, pack_sections
from unionlayers._foundation.limits import Limits
from unionlayers._tar.index import ABSENT, LayerIndex
from unionlayers._tar.index_file import FORMAT, pack_index, read_facts
from unionlayers._tar.mapped_index import MappedIndex
from unionlayers.testing import (
    Entry,
    ImageDescription,
    char_device,
    directory,
    docker_archive,
    fifo,
    file,
    hardlink,
    opaque,
    sparse_file,
    symlink,
    whiteout,
)

LIMITS = Limits()
TAGS = [
    *("fact", "star", "subd", "ownr", "nsta", "ordi", "bloc", "exte", "leng", "mtim", "kind"),
    *("refs", "atim", "ctim", "name", "knds", "tsta", "text", "hrow", "htgt", "xrow", "xsta"),
    *("xtra", "lrow", "lsta", "loos", "mark", "odds", "note", "fbit", "foff"),
]


def indexed(entries: list[Entry]) -> LayerIndex:
    with open_image(io.BytesIO(docker_archive(ImageDescription([entries])))) as image:
        return image.layers[0].load()


def varied() -> list[Entry]:
    """Give a layer that puts something into every section."""
    return [
        directory("./", mode=0o750),
        directory("etc"),
        file("etc/passwd", b"root", mtime_ns=1_700_000_000_123_456_789),
        file("etc/old", b"1", mtime_ns=-5),
        file("etc/far", b"1", mtime_ns=1 << 80),
        file("etc/cap", b"1", xattrs={"security.capability": b"\1\2", "user.a": b"a"}),
        file("etc/times", b"1", pax={"atime": "5.5", "ctime": "7"}),
        hardlink("etc/shadow", "etc/passwd"),
        hardlink("etc/lower", "not/here"),
        symlink("etc/link", "../" + "x" * 300),
        symlink("etc/bytes", b"\xff\xfe"),
        char_device("dev/null", 1, 3),
        fifo("dev/fifo"),
        sparse_file("var/sparse", [(4096, b"x" * 512)], size=1 << 20),
        file("implied/deep/er/x", b"1"),
        file("n" * 200 + "/" + "m" * 90, b"long"),
        whiteout("gone"),
        opaque("etc"),
        file("etc/passwd", b"again"),
        file("etc/passwd/below", b"no"),
        whiteout("dev/fifo"),
        directory("empty"),
    ]


def large() -> list[Entry]:
    entries: list[Entry] = []
    for number in range(60):
        entries.append(directory(f"d{number}"))
        entries.extend(file(f"d{number}/f{n}", b"x" * n) for n in range(20))
        entries.append(symlink(f"d{number}/l", f"f{number}"))
    return entries


def plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return value.tolist()
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, array):
        return value.tolist()
    return value


def parts(index: LayerIndex) -> dict[str, Any]:
    """Give all that a record says, in a form that compares equal however it is held."""
    found: dict[str, Any] = {
        part.name: plain(getattr(index, part.name))
        for part in fields(LayerIndex)
        if part.name != "_children"
    }
    found["texts"], found["extras"] = tuple(index.texts), dict(index.extras)
    directories = range(len(index.own))
    found["children"] = [index.children(number) for number in directories]
    found["paths"] = sorted(index.paths())
    found["walked"] = [index.path(row) for row, _ in index.paths()]
    found["places"] = [
        (index.data_offset(row), index.header_range(row), index.directory(row))
        for row, _ in index.paths()
    ]
    return found


def never() -> LayerIndex:
    raise AssertionError("a sound file was made anew")


def mapped(data: bytes, remake: Any = never) -> MappedIndex:
    return MappedIndex(memoryview(data), remake)


@pytest.fixture(scope="module")
def fresh() -> LayerIndex:
    return indexed(varied())


@pytest.fixture(scope="module")
def stored(fresh: LayerIndex) -> bytes:
    return b"".join(pack_index(fresh, LIMITS))


def test_the_varied_layer_puts_something_into_every_section(stored: bytes) -> None:
    file = SectionFile(memoryview(stored), "indx", FORMAT)
    assert [tag for tag in TAGS if tag not in file] == []
    # No checkpoint stands in a layer that is not compressed.
    assert [tag for tag in TAGS if not file.count(tag)] == ["fbit", "foff"]


def test_every_part_of_a_record_comes_back_as_it_was(fresh: LayerIndex, stored: bytes) -> None:
    assert parts(mapped(stored)) == parts(fresh)


def test_a_part_that_is_asked_for_alone_does_not_need_the_others(
    fresh: LayerIndex, stored: bytes
) -> None:
    for part in fields(LayerIndex):
        if part.name not in ("_children", "_runs", "texts", "extras"):
            assert plain(getattr(mapped(stored), part.name)) == plain(getattr(fresh, part.name))


def test_checkpoints_that_cost_nothing_stand_in_the_record_and_the_others_do_not(
    fresh: LayerIndex,
) -> None:
    free, made = Checkpoint(80, 10, b""), Checkpoint(163, 20, b"window")
    index = evolve(fresh, checkpoints=(free, made), children={})
    assert mapped(b"".join(pack_index(index, LIMITS))).checkpoints == (free,)


def test_the_same_layer_is_stored_as_the_same_bytes(stored: bytes) -> None:
    again = indexed(varied())
    assert b"".join(pack_index(again, LIMITS)) == stored
    assert b"".join(pack_index(mapped(stored), LIMITS)) == stored


def test_a_record_takes_at_most_75_bytes_for_an_entry() -> None:
    index = indexed(large())
    assert len(b"".join(pack_index(index, LIMITS))) / index.entries <= 75


def test_a_record_without_digests_is_not_packed(fresh: LayerIndex) -> None:
    for without in (evolve(fresh, children={}, blob_digest=None), evolve(fresh, diff_id=None)):
        with pytest.raises(ValueError, match="without digests"):
            pack_index(without, LIMITS)


def test_facts_know_the_limits_that_the_layer_kept(stored: bytes) -> None:
    facts = mapped(stored).facts
    assert facts.within(LIMITS)
    assert facts.within(Limits(entries=LIMITS.entries + 1, links=1, image_entries=1))
    assert not facts.within(Limits(entries=LIMITS.entries - 1))
    tightened = facts.tightened(Limits(entries=100, depth=LIMITS.depth + 1))
    assert tightened["entries"] == 100
    assert tightened["depth"] == LIMITS.depth


# -- damage ---------------------------------------------------------------------------------------


def test_any_byte_that_is_changed_is_noticed_or_changes_nothing(
    fresh: LayerIndex, stored: bytes, seed: int
) -> None:
    expected = parts(fresh)
    randomly = random.Random(seed)
    noticed = 0
    for place in range(len(stored)):
        data = bytearray(stored)
        data[place] ^= randomly.randrange(1, 256)
        made: list[int] = []

        def remake(made: list[int] = made) -> LayerIndex:
            made.append(1)
            return fresh

        try:
            index = mapped(bytes(data), remake)
        except DamagedFileError:
            noticed += 1
            continue
        assert parts(index) == expected, place
        assert len(made) <= 1
        noticed += len(made)
    # Only what fills the gaps between sections says nothing.
    assert noticed > 0.9 * len(stored)


def test_a_file_that_is_cut_anywhere_or_longer_is_noticed_at_once(stored: bytes) -> None:
    for length in range(len(stored)):
        with pytest.raises(DamagedFileError):
            mapped(stored[:length])
    with pytest.raises(DamagedFileError):
        mapped(stored + b"\0")


def test_bytes_of_a_large_record_that_are_changed_are_noticed(seed: int, sample_size: int) -> None:
    index = indexed(large())
    expected = parts(index)
    data = b"".join(pack_index(index, LIMITS))
    randomly = random.Random(seed)
    for _ in range(sample_size // 4):
        damaged = bytearray(data)
        for _ in range(randomly.randrange(1, 5)):
            damaged[randomly.randrange(len(data))] = randomly.randrange(256)
        try:
            found = mapped(bytes(damaged), lambda: index)
        except DamagedFileError:
            continue
        assert parts(found) == expected


@pytest.mark.parametrize("data", [b"", b"\0" * 4096, b"not a record of ours\n" * 50])
def test_a_foreign_file_is_noticed(data: bytes) -> None:
    with pytest.raises(DamagedFileError):
        mapped(data)


def sections_of(data: bytes) -> list[tuple[str, array[int] | bytes]]:
    file = SectionFile(memoryview(data), "indx", FORMAT)
    found: list[tuple[str, array[int] | bytes]] = []
    for tag, (code, *_) in file._lines.items():
        raw = bytes(file.raw(tag))
        found.append((tag, raw if code == "B" else array(code, raw)))
    return found


@pytest.mark.parametrize("tag", TAGS)
def test_a_section_that_is_forged_with_a_right_checksum_gives_no_other_exception(
    tag: str, fresh: LayerIndex, stored: bytes, seed: int, sample_size: int
) -> None:
    randomly = random.Random(f"{seed} {tag}")
    sections = sections_of(stored)
    place = [name for name, _ in sections].index(tag)
    content = sections[place][1]
    for _ in range(max(4, sample_size // 20)):
        changed = content[:]
        for _ in range(randomly.randrange(1, 4)):
            if not len(changed):
                break
            at = randomly.randrange(len(changed))
            if isinstance(changed, bytes):
                value = bytes([randomly.choice([0, 1, 47, 127, 128, 255, randomly.randrange(256)])])
                changed = changed[:at] + value + changed[at + 1 :]
            else:
                low, high = {"H": (0, 0xFFFF), "I": (0, ABSENT), "q": (-(1 << 63), (1 << 63) - 1),
                             "Q": (0, (1 << 64) - 1)}[changed.typecode]  # fmt: skip
                changed[at] = randomly.choice(
                    [low, high, low + 1, changed[at - 1], min(changed[at] + 1, high)]
                )
        forged = [*sections]
        forged[place] = (tag, changed)
        try:
            index = mapped(b"".join(pack_sections("indx", FORMAT, forged)), lambda: fresh)
        except DamagedFileError:
            continue
        used(index)


def used(index: LayerIndex) -> None:
    """Ask what the layers above ask."""
    for number in range(min(len(index.own), 100)):
        try:
            names = index.children(number)
        except IndexError:
            # A fresh record took its place, which has fewer directories.
            break
        for row in names.values():
            index.path(row)
            index.directory(row)
            index.data_offset(row)
            index.header_range(row)
            index.kinds[index.kind[row]]
            index.extras.get(row)
            index.hard.get(row, row)
            index.mtime[row], index.length[row], index.ordinal[row]
    list(index.paths())
    for mark in index.marks:
        index.loose[mark.row]
    list(index.texts), list(index.extras.values())
    tuple(index.oddities), tuple(index.notes), tuple(index.checkpoints)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["star"].__setitem__(1, 0),
        lambda s: s["refs"].__setitem__(0, 0),
        lambda s: s["refs"].__setitem__(0, 1 << 20),
        lambda s: s["ownr"].__setitem__(1, 5),
        lambda s: s["kind"].__setitem__(0, 1 << 20),
        lambda s: s["subd"].__setitem__(0, 1 << 20),
        lambda s: s["nsta"].__setitem__(1, 1 << 40),
    ],
    ids=["run", "loop", "reference", "own row", "kind", "subdirectories", "names"],
)
def test_a_tree_that_contradicts_itself_is_made_anew_before_it_answers(
    change: Any, fresh: LayerIndex, stored: bytes
) -> None:
    sections = dict(sections_of(stored))
    change(sections)
    data = b"".join(pack_sections("indx", FORMAT, list(sections.items())))
    walked, looked_up = mapped(data, lambda: fresh), mapped(data, lambda: fresh)
    assert sorted(walked.paths()) == sorted(fresh.paths())
    assert parts(walked) == parts(fresh)
    for number in range(len(fresh.own)):
        assert looked_up.children(number) == fresh.children(number)
    looked_up.vouch(0)
    assert parts(looked_up) == parts(fresh)


def test_content_that_would_lie_outside_of_the_layer_is_made_anew(
    fresh: LayerIndex, stored: bytes
) -> None:
    sections = dict(sections_of(stored))
    blocks: Any = sections["bloc"]
    for row in range(len(blocks)):
        blocks[row] = 0xFFFFFFF0
    data = b"".join(pack_sections("indx", FORMAT, list(sections.items())))
    row = fresh.children(0)["empty"]
    assert mapped(data, lambda: fresh).data_offset(row) == fresh.data_offset(row)
    assert mapped(data, lambda: fresh).header_range(row) == fresh.header_range(row)


# -- the file of sections -------------------------------------------------------------------------


def test_another_kind_and_another_version_are_not_read() -> None:
    data = memoryview(b"".join(pack_sections("abcd", 3, [("nums", array("I", [1, 2]))])))
    assert SectionFile(data, "abcd", 3).column("nums", "I").tolist() == [1, 2]
    for kind, version in (("abce", 3), ("abcd", 4), ("abcd", 2)):
        with pytest.raises(DamagedFileError, match="another kind"):
            SectionFile(data, kind, version)


def test_a_section_is_not_taken_for_other_numbers() -> None:
    data = memoryview(b"".join(pack_sections("abcd", 1, [("nums", array("I", [1, 2]))])))
    file = SectionFile(data, "abcd", 1)
    with pytest.raises(DamagedFileError, match="other numbers"):
        file.column("nums", "Q")
    with pytest.raises(DamagedFileError, match="no section"):
        file.raw("none")


@pytest.mark.parametrize("line", [(b"I", 1 << 40, 8), (b"I", 0, 8), (b"I", 88, 6), (b"z", 88, 8)])
def test_a_table_that_points_outside_of_the_file_is_noticed(line: Any) -> None:
    code, offset, length = line
    data = bytearray(b"".join(pack_sections("abcd", 1, [("nums", array("I", [1, 2]))])))
    head = 24
    data[head + 16 : head + 48] = struct.pack("<4sc3xQQI4x", b"nums", code, offset, length, 0)
    table = bytes(data[head + 16 : head + 48])
    data[head : head + 16] = section_file._digest(bytes(data[:head]), table)
    with pytest.raises(DamagedFileError, match="outside"):
        SectionFile(memoryview(bytes(data)), "abcd", 1)


def test_numbers_are_little_endian_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = array("I", [1, 0x01020304])
    data = b"".join(pack_sections("abcd", 1, [("nums", numbers)]))
    assert b"\x01\0\0\0\x04\x03\x02\x01" in data
    other = "big" if sys.byteorder == "little" else "little"
    monkeypatch.setattr(sys, "byteorder", other)
    swapped = array("I", numbers)
    swapped.byteswap()
    # What lies in the memory of the other machine is what `swapped` holds here.
    assert b"".join(pack_sections("abcd", 1, [("nums", swapped)])) == data
    assert SectionFile(memoryview(data), "abcd", 1).column("nums", "I") == swapped


@pytest.mark.parametrize("value", [0, 1, -1, 63, 64, -64, -65, 1 << 63, -(1 << 63), 1 << 100])
def test_numbers_are_unpacked_as_they_were_packed(value: int) -> None:
    packer = Packer()
    packer.number(value)
    packer.some(None)
    packer.some(value)
    taken = Unpacker(bytes(packer.data))
    assert (taken.number(), taken.some(), taken.some()) == (value, None, value)
    taken.end()


def test_values_that_were_not_packed_are_not_unpacked() -> None:
    with pytest.raises(ValueError, match="too large"):
        Packer().number(1 << 140)
    for data, method in (
        (b"", "number"), (b"\x80", "number"), (b"\xff" * 30, "number"), (b"\x01", "natural"),
        (b"\x7e", "count"), (b"\x04a", "raw"), (b"\x02", "some"), (b"\x02\xff", "text"),
    ):  # fmt: skip
        with pytest.raises(DamagedFileError):
            getattr(Unpacker(data), method)()
    with pytest.raises(DamagedFileError):
        Unpacker(b"abc").end()
    with pytest.raises(DamagedFileError):
        Unpacker(b"abc").numbers(1)


def test_facts_of_an_unknown_compression_are_refused(stored: bytes) -> None:
    sections = dict(sections_of(stored))
    sections["fact"] = bytes(sections["fact"]).replace(b"identity", b"identitx")
    data = b"".join(pack_sections("indx", FORMAT, list(sections.items())))
    with pytest.raises(DamagedFileError, match="compression"):
        read_facts(SectionFile(memoryview(data), "indx", FORMAT))
