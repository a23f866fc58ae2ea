"""A store says itself what it knows, keeps only what was hashed, and is mended by hashing anew."""

from __future__ import annotations

import gc
import io
import mmap
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from answers import answers, counted

from unionlayers import DigestMismatchError, DirectoryIndexStore, Limits, open_image
from unionlayers._bytes.file import FileSource
from unionlayers._bytes.memory import MemorySource
from unionlayers._bytes.source import ByteSource
from unionlayers._bytes.window import WindowSource
from unionlayers._codec.section_file import SectionFile
from unionlayers._image import stored_layers
from unionlayers._image.blob_pass import Promise
from unionlayers._image.indexing import index_blob
from unionlayers._image.stored_layers import StoredLayers
from unionlayers._tar.index import LayerIndex
from unionlayers._tar.mapped_index import MappedIndex
from unionlayers.testing import Entry, ImageDescription, file, layer, oci_archive

IMAGES = Path(__file__).resolve().parent.parent / "images"

KINDS = ("index", "checkpoints", "source")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def old_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the clock on, so that files that were just written count as left alone."""
    monkeypatch.setattr(stored_layers, "_SETTLED_NS", -1)


@pytest.fixture
def just_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold the clock, so that a file counts as just written however long a test takes."""
    monkeypatch.setattr(stored_layers, "_SETTLED_NS", 10**19)


def large_files(count: int) -> list[Entry]:
    """Give files of 2 MB each, in which every codec that can makes checkpoints."""
    noise = b"".join(number.to_bytes(4, "big") * 2 for number in range(1 << 16))
    return [file(f"f{number}", noise[number:] * 4) for number in range(count)]


# As many as it takes for a checkpoint, where the codec has any.
COUNTS = {"identity": 1, "xz": 1, "gzip": 9, "zstd": 18}


@lru_cache
def large_image(codec: str) -> bytes:
    entries = [file("a", "honest"), *large_files(COUNTS[codec])]
    return oci_archive(ImageDescription([entries]), codec=codec)


def image_file(path: Path, codec: str) -> Path:
    path.write_bytes(large_image(codec))
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Give an image whose only layer says `honest` where its bytes can be changed."""
    path = tmp_path / "plain.tar"
    path.write_bytes(oci_archive(ImageDescription([[file("a", "honest")]]), codec="identity"))
    return path


def forget() -> None:
    """Let go of all records that this process shares."""
    gc.collect()


def kept(folder: Path) -> dict[str, bytes]:
    """Give everything that a store holds."""
    return {path.name: path.read_bytes() for path in folder.glob("*.*.*")}


def of_kind(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"*.{kind}"))


@contextmanager
def written_unseen(path: Path) -> Iterator[Callable[[bytes, bytes], None]]:
    """
    Give what changes bytes of a file so that no time of it tells.

    A page of a mapping that was written to once can be written to again without the system being
    asked, until it has brought the page to the disk.
    """
    if sys.platform != "linux":
        pytest.skip("mappings that are written to unseen are tried on Linux")
    data = path.read_bytes()
    with path.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        for at in range(0, len(data), mmap.PAGESIZE):
            mapped[at] = data[at]

        def write(old: bytes, new: bytes) -> None:
            assert data.count(old) == 1
            assert len(old) == len(new)
            before = path.stat()
            at = data.index(old)
            mapped[at : at + len(new)] = new
            after = path.stat()
            if (before.st_mtime_ns, before.st_ctime_ns) != (after.st_mtime_ns, after.st_ctime_ns):
                pytest.skip("this file system tells of a write through a mapping at once")

        yield write


def damage_late(path: Path) -> bytes:
    """Damage all that is not looked at when a file of a store is opened; give what it was."""
    data = path.read_bytes()
    kind, version = data[8:12].decode("ascii"), int.from_bytes(data[12:14], "little")
    damaged = bytearray(data)
    for tag, (_, offset, length, _) in SectionFile(memoryview(data), kind, version)._lines.items():
        if tag != "fact":
            for at in range(offset, offset + length):
                damaged[at] ^= 0xFF
    path.write_bytes(damaged)
    return data


# -- what a store knows ----------------------------------------------------------------------------


def indexed(source: ByteSource, stored: StoredLayers | None, *, verify: bool = True) -> LayerIndex:
    promise = Promise(digest=None, size=None, diff_id=None, media_type=None, member="x")
    return index_blob(
        source, promise, compression="sniff", verify=verify, limits=Limits(), progress=None,
        stored=stored,
    )  # fmt: skip


class Forgetful:
    """A store that keeps nothing."""

    def get(self, _name: str, /) -> memoryview | None:
        return None

    def put(self, _name: str, _pieces: Any, /) -> bool:
        return False


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(layer(file("a", "1")) + bytes(1024))
    return path


@pytest.mark.usefixtures("old_enough")
def test_a_store_knows_the_bytes_that_it_recorded_when_they_were_hashed(
    blob: Path, folder: Path
) -> None:
    stored = StoredLayers(DirectoryIndexStore(folder))
    index = indexed(FileSource(blob), stored)
    assert stored.knows(FileSource(blob), index)
    # So does another process, that has only what was written.
    assert StoredLayers(DirectoryIndexStore(folder)).knows(FileSource(blob), index)
    os.utime(blob)
    assert not stored.knows(FileSource(blob), index)


@pytest.mark.usefixtures("old_enough")
def test_a_store_knows_what_was_hashed_in_this_process_although_it_could_keep_no_note(
    blob: Path,
) -> None:
    stored = StoredLayers(Forgetful())
    index = indexed(FileSource(blob), stored)
    assert stored.knows(FileSource(blob), index)
    assert not StoredLayers(Forgetful()).knows(FileSource(blob), index)


@pytest.mark.usefixtures("old_enough")
def test_a_store_knows_no_other_stretch_copy_record_or_bytes_without_a_file(
    blob: Path, folder: Path, tmp_path: Path
) -> None:
    stored = StoredLayers(DirectoryIndexStore(folder))
    source = FileSource(blob)
    index = indexed(source, stored)
    copy = tmp_path / "copy"
    copy.write_bytes(blob.read_bytes())
    other = tmp_path / "other"
    other.write_bytes(layer(file("a", "2")) + bytes(1024))
    for stranger in (
        WindowSource(source, 0, source.size - 512),
        WindowSource(source, 512, source.size - 512),
        FileSource(copy),
        MemorySource(blob.read_bytes()),
    ):
        assert not stored.knows(stranger, index)
    theirs = indexed(FileSource(other), stored)
    assert stored.knows(FileSource(other), theirs)
    assert not stored.knows(source, theirs)
    assert not stored.knows(FileSource(other), index)
    assert not stored.knows(source, indexed(FileSource(blob), None, verify=False))


@pytest.mark.usefixtures("just_written")
def test_a_store_does_not_know_a_file_that_was_just_written(blob: Path, folder: Path) -> None:
    stored = StoredLayers(DirectoryIndexStore(folder))
    assert not stored.knows(FileSource(blob), indexed(FileSource(blob), stored))


def test_a_file_just_written_is_not_known_later_by_the_memory_of_the_process(
    blob: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = StoredLayers(DirectoryIndexStore(folder))
    with monkeypatch.context() as patch:
        patch.setattr(stored_layers, "_SETTLED_NS", 10**19)
        first = indexed(FileSource(blob), stored)
    monkeypatch.setattr(stored_layers, "_SETTLED_NS", -1)
    assert not stored.knows(FileSource(blob), first)
    with counted(monkeypatch) as counts:
        again = indexed(FileSource(blob), stored)
    assert counts["hashes"] >= 1
    assert stored.knows(FileSource(blob), again)


@pytest.mark.usefixtures("just_written")
@pytest.mark.parametrize("store", ["a store", "no store"])
@pytest.mark.parametrize("verify", [True, False])
def test_a_file_just_written_is_read_again_by_each_image_that_opens_it(
    plain: Path, folder: Path, store: str, *, verify: bool
) -> None:
    index_store: Any = folder if store == "a store" else False
    with (
        written_unseen(plain) as write,
        open_image(plain, index_store=index_store, verify=verify) as first,
    ):
        assert first.path("/a").stat().st_size == 6
        names = [path for path, _ in first.fs().find()]
        assert names == ["/a"]
        write(b"honest", b"forged")
        # The first one goes by what it has seen; whoever opens now sees what is there now.
        with open_image(plain, index_store=index_store, verify=verify) as second:
            if verify:
                with pytest.raises(DigestMismatchError):
                    second.fs().listdir("/")
            else:
                assert second.fs().readbytes("/a") == b"forged"
                assert second.layers[0].load() is not first.layers[0].load()


@pytest.mark.usefixtures("old_enough")
@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_checkpoints_that_are_read_through_the_twin_of_a_layer_are_kept_too(
    codec: str, tmp_path: Path, folder: Path
) -> None:
    entries = large_files(COUNTS[codec])
    path = tmp_path / "twins.tar"
    path.write_bytes(oci_archive(ImageDescription([entries, entries]), codec=codec))
    with open_image(path, index_store=folder) as image:
        image.prepare()
    for made in of_kind(folder, "checkpoints"):
        made.unlink()
    del image
    forget()
    with open_image(path, index_store=folder) as image:
        image.layers[0].load()
        content = image.layers[1].content()
        content.pread(content.size - 10, 10)
    assert len(of_kind(folder, "checkpoints")) == 1


# -- without verifying -----------------------------------------------------------------------------


@pytest.mark.usefixtures("old_enough")
@pytest.mark.parametrize("damaged", [*KINDS, "nothing"])
@pytest.mark.parametrize("codec", ["identity", "gzip", "zstd"])
def test_without_verifying_nothing_is_written_whatever_is_damaged_or_missing(
    codec: str, damaged: str, tmp_path: Path, folder: Path
) -> None:
    path = image_file(tmp_path / "image.tar", codec)
    expected = answers(path, index_store=folder)
    for number in range(2):
        forget()
        if damaged != "nothing":
            for one in of_kind(folder, damaged):
                if number:
                    one.unlink()
                else:
                    damage_late(one)
        before = kept(folder)
        assert answers(path, index_store=folder, verify=False)["tree"] == expected["tree"]
        assert kept(folder) == before


def test_without_verifying_an_empty_store_stays_empty(tmp_path: Path, folder: Path) -> None:
    for codec in ("identity", "gzip", "zstd"):
        path = image_file(tmp_path / f"{codec}.tar", codec)
        answers(path, index_store=folder, verify=False)
    assert not folder.exists()


# -- mending ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("old_enough")
@pytest.mark.parametrize("verify", [True, False])
def test_a_damaged_record_of_bytes_that_are_no_longer_there_is_a_mismatch_and_never_replaced(
    plain: Path, folder: Path, *, verify: bool
) -> None:
    with written_unseen(plain) as write:
        answers(plain, index_store=folder)
        forget()
        (record,) = of_kind(folder, "index")
        expected = "sha256:" + record.name.partition("-")[2].partition(".")[0]
        damage_late(record)
        write(b"honest", b"forged")
        before = kept(folder)
        with open_image(plain, index_store=folder, verify=verify) as image:
            for _ in range(2):
                with pytest.raises(DigestMismatchError) as caught:
                    image.fs().getinfo("/a", ["stat", "tar", "xattr"])
                assert caught.value.expected == expected
                assert caught.value.actual not in (None, expected)
        assert kept(folder) == before


@pytest.mark.usefixtures("old_enough")
def test_a_damaged_record_is_mended_by_one_pass_that_hashes_anew(
    plain: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answers(plain, index_store=folder)
    forget()
    (record,) = of_kind(folder, "index")
    sound = damage_late(record)
    with counted(monkeypatch) as counts:
        assert answers(plain, index_store=folder) == expected
    assert counts["passes"] == 1
    assert counts["hashes"] >= 1
    assert record.read_bytes() == sound


@pytest.mark.usefixtures("old_enough")
@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_damaged_checkpoints_are_mended_after_the_bytes_were_hashed_anew(
    codec: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = image_file(tmp_path / "image.tar", codec)
    expected = answers(path, index_store=folder)
    forget()
    (record,) = of_kind(folder, "checkpoints")
    sound = damage_late(record)
    assert record.read_bytes() != sound
    with counted(monkeypatch) as counts:
        assert answers(path, index_store=folder) == expected
    assert counts == {"passes": 0, "hashes": 1}
    forget()
    # Reading makes them about as far apart as the pass did, not at the same places.
    with open_image(path, index_store=folder) as image:
        content: Any = image.layers[0].content()
        assert len(content.checkpoints) >= 1
    del image, content
    forget()
    with counted(monkeypatch) as counts:
        assert answers(path, index_store=folder) == expected
    assert counts == {"passes": 0, "hashes": 0}


@pytest.mark.usefixtures("old_enough")
def test_damaged_checkpoints_are_hashed_for_once_although_reading_makes_no_others(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = image_file(tmp_path / "image.tar", "gzip")
    answers(path, index_store=folder)
    forget()
    damage_late(of_kind(folder, "checkpoints")[0])
    for hashes in (1, 0):
        with counted(monkeypatch) as counts, open_image(path, index_store=folder) as image:
            assert image.fs().readbytes("/a") == b"honest"
        assert counts == {"passes": 0, "hashes": hashes}
        forget()


@pytest.mark.usefixtures("old_enough")
def test_damaged_checkpoints_of_bytes_that_are_no_longer_there_are_a_mismatch_and_not_replaced(
    tmp_path: Path, folder: Path
) -> None:
    path = image_file(tmp_path / "image.tar", "gzip")
    with written_unseen(path) as write:
        answers(path, index_store=folder)
        forget()
        damage_late(of_kind(folder, "checkpoints")[0])
        with open_image(path, index_store=False) as image:
            blob = image.blob(str(image.record.layers[0].member))
            assert blob is not None
            head = blob.pread(0, 10)
        del image, blob
        forget()
        # The name of the system in the header of the gzip member: it decodes to the same.
        data = path.read_bytes()
        found = data[data.index(head) : data.index(head) + 40]
        write(found, found[:9] + bytes([found[9] ^ 1]) + found[10:])
        before = kept(folder)
        with open_image(path, index_store=folder) as image:
            assert image.fs().getsize("/a") == 6
            for _ in range(2):
                with pytest.raises(DigestMismatchError) as caught:
                    image.fs().readbytes("/a")
                assert caught.value.expected == image.layers[0].digest
                assert caught.value.layer == 0
        assert kept(folder) == before


# -- a file that was changed in between ------------------------------------------------------------


@pytest.mark.usefixtures("old_enough")
@pytest.mark.parametrize("how", ["in place", "replaced", "in place, shorter"])
@pytest.mark.parametrize("codec", ["identity", "gzip"])
def test_a_recorded_file_that_has_other_bytes_now_is_refused_though_its_time_was_set_back(
    how: str, codec: str, tmp_path: Path, folder: Path
) -> None:
    path = tmp_path / "image.tar"
    entries = [file("a", "honest")]
    path.write_bytes(oci_archive(ImageDescription([entries]), codec=codec))
    answers(path, index_store=folder)
    forget()
    before, held = path.stat(), kept(folder)
    data = bytearray(path.read_bytes())
    with open_image(bytes_of(path)) as image:
        blob = image.blob(str(image.record.layers[0].member))
        assert blob is not None
        at = data.index(blob.pread(0, blob.size))
        # The fourth byte of a name, or the system that wrote a gzip member.
        data[at + (3 if codec == "identity" else 9)] ^= 1
    del image, blob
    if how == "replaced":
        other = tmp_path / "other"
        other.write_bytes(data)
        other.replace(path)
    else:
        path.write_bytes(data[:-512] if "shorter" in how else data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    forget()
    with open_image(path, index_store=folder) as image, pytest.raises(DigestMismatchError):
        image.fs().listdir("/")
    assert kept(folder) == held


def bytes_of(path: Path) -> io.BytesIO:
    return io.BytesIO(path.read_bytes())


@pytest.mark.parametrize("codec", ["identity", "gzip", "zstd"])
@pytest.mark.usefixtures("old_enough")
def test_an_archive_that_names_a_stored_digest_and_has_other_bytes_is_refused_in_every_codec(
    codec: str, tmp_path: Path, folder: Path
) -> None:
    honest = image_file(tmp_path / "honest.tar", codec)
    expected = answers(honest, index_store=folder)
    held = kept(folder)
    data = bytearray(honest.read_bytes())
    with open_image(bytes_of(honest)) as image:
        blob = image.blob(str(image.record.layers[0].member))
        assert blob is not None
        data[data.index(blob.pread(0, 4096)) + blob.size // 2] ^= 1
    del image, blob
    evil = tmp_path / "evil.tar"
    evil.write_bytes(data)
    for source in (evil, evil, bytes_of(evil)):
        forget()
        with open_image(source, index_store=folder) as image:
            for question in ("listdir", "readbytes", "getinfo", "exists"):
                with pytest.raises(DigestMismatchError):
                    getattr(image.fs(), question)("/" if question == "listdir" else "/a")
    assert kept(folder) == held
    assert answers(honest, index_store=folder) == expected


# -- eviction --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("old_enough")
@pytest.mark.parametrize("codec", ["identity", "gzip", "zstd", "xz"])
@pytest.mark.parametrize("evicted", [*KINDS, "index and source", "source and checkpoints"])
def test_any_file_of_a_store_may_go_alone_and_what_is_missing_is_made_again(
    evicted: str, codec: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = image_file(tmp_path / "image.tar", codec)
    expected = answers(path, index_store=folder)
    forget()
    whole = kept(folder)
    gone = [one for kind in evicted.split(" and ") for one in of_kind(folder, kind)]
    makes_checkpoints = codec in ("gzip", "zstd")
    assert len(gone) == len(evicted.split(" and ")) - (
        "checkpoints" in evicted and not makes_checkpoints
    )
    for one in gone:
        one.unlink()
    with counted(monkeypatch) as counts:
        assert answers(path, index_store=folder) == expected
    # A record is made by a pass, a note by hashing, and checkpoints by the reading itself.
    assert counts["passes"] == ("index" in evicted)
    assert (counts["hashes"] > 0) == ("index" in evicted or "source" in evicted)
    forget()
    assert sorted(kept(folder)) == sorted(whole)
    with counted(monkeypatch) as counts:
        assert answers(path, index_store=folder) == expected
    assert counts == {"passes": 0, "hashes": 0}


@pytest.mark.usefixtures("old_enough")
@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("evicted", KINDS)
def test_any_file_of_a_store_may_go_while_an_image_is_open(
    evicted: str, codec: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = image_file(tmp_path / "image.tar", codec)
    expected = answers(path, index_store=folder)["tree"]
    forget()
    with open_image(path, index_store=folder) as image:
        view = image.fs()
        assert view.getsize("/a") == 6
        for one in of_kind(folder, evicted):
            one.unlink()
        for name in expected:
            if name.startswith("/f"):
                assert view.readbytes(name) == expected[name][1]
        assert view.readbytes("/a") == b"honest"
    forget()
    assert answers(path, index_store=folder)["tree"] == expected
    forget()
    with counted(monkeypatch) as counts:
        assert answers(path, index_store=folder)["tree"] == expected
    assert counts == {"passes": 0, "hashes": 0}


@pytest.mark.usefixtures("old_enough")
def test_a_store_with_room_for_one_file_gives_the_same_answers(
    tmp_path: Path, folder: Path
) -> None:
    path = image_file(tmp_path / "image.tar", "gzip")
    expected = answers(path)
    largest = 0
    answers(path, index_store=tmp_path / "roomy")
    for data in kept(tmp_path / "roomy").values():
        largest = max(largest, len(data))
    for room in (1, 4096, largest + 4096):
        store = DirectoryIndexStore(folder, max_bytes=room)
        for _ in range(3):
            forget()
            assert answers(path, index_store=store) == expected


# -- two processes ---------------------------------------------------------------------------------


SHARED = textwrap.dedent(
    """
    import gc, pickle, sys
    sys.path.insert(0, sys.argv[3])
    from answers import answers
    from unionlayers import DirectoryIndexStore
    from unionlayers._image import stored_layers

    stored_layers._SETTLED_NS = -1
    store = DirectoryIndexStore(sys.argv[2])
    found = []
    for _ in range(6):
        found.append(answers(sys.argv[1], index_store=store))
        gc.collect()
        if sys.argv[4] == "prunes":
            store.prune()
    assert all(one == found[0] for one in found)
    sys.stdout.buffer.write(pickle.dumps(found[0]))
    """
)


@pytest.mark.parametrize("other", ["forges", "prunes"])
def test_what_another_process_forges_or_removes_at_the_same_time_changes_no_answer(
    other: str, tmp_path: Path, folder: Path
) -> None:
    honest = tmp_path / "honest.tar"
    honest.write_bytes(oci_archive(ImageDescription([[file("a", "honest")]]), codec="identity"))
    evil = tmp_path / "evil.tar"
    evil.write_bytes(honest.read_bytes().replace(b"honest", b"forged"))
    expected = answers(honest)
    refused = answers(evil)
    assert refused["tree"][0] == "DigestMismatchError"
    second = evil if other == "forges" else honest
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", SHARED, str(path), str(folder), str(IMAGES), other],
            stdout=subprocess.PIPE,
        )
        for path in (honest, second)
    ]
    found = []
    for worker in workers:
        output, _ = worker.communicate(timeout=120)
        assert worker.returncode == 0
        found.append(pickle.loads(output))
    assert found == [expected, refused if other == "forges" else expected]
    assert not list(folder.glob(".*.tmp"))


@pytest.mark.usefixtures("old_enough")
def test_an_image_that_is_open_outlives_what_another_process_does_to_the_store(
    tmp_path: Path, folder: Path
) -> None:
    path = tmp_path / "image.tar"
    entries = [file(f"{number:04}{'n' * 240}", b"x") for number in range(6000)]
    path.write_bytes(oci_archive(ImageDescription([entries]), codec="gzip"))
    with open_image(path, index_store=folder) as image:
        image.prepare()
    del image
    forget()
    (record,) = of_kind(folder, "index")
    assert record.stat().st_size > 1 << 20
    with open_image(path, index_store=folder) as image:
        # It is mapped, and nothing of the tree was looked at.
        index = image.layers[0].load()
        code = (
            "import sys; from unionlayers import DirectoryIndexStore\n"
            "store = DirectoryIndexStore(sys.argv[1])\n"
            "name = sys.argv[2]\n"
            "assert store.put(name, [b'another'])\n"
            "store.prune()"
        )
        subprocess.run([sys.executable, "-c", code, str(folder), record.name], check=True)
        assert not record.exists()
        assert isinstance(index, MappedIndex)
        assert len(image.fs().listdir("/")) == 6000
        assert image.path("/" + "5999" + "n" * 240).read_bytes() == b"x"
