"""With a store every answer is what it would be without one, and costs next to nothing."""

from __future__ import annotations

import gc
import io
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from answers import answers, counted
from row import PROFILES
from rows import ROWS

from unionlayers import (
    ClosedError,
    DigestMismatchError,
    DirectoryIndexStore,
    IndexStore,
    LimitError,
    Limits,
    StreamError,
    UnionFS,
    open_image,
)
from unionlayers.testing import (
    ImageDescription,
    LayerDescription,
    directory,
    docker_archive,
    file,
    hardlink,
    layer,
    oci_archive,
    symlink,
    whiteout,
)

ROOT = Path(__file__).resolve().parent.parent.parent
IMAGES = ROOT / "tests" / "images"
SHARED = ROOT.parent / "shared" / "images"

posix = pytest.mark.skipif(os.name != "posix", reason="owners and modes of files are POSIX")


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNIONLAYERS_CACHE", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def described() -> ImageDescription:
    noise = os.urandom(400_000)
    return ImageDescription(
        [
            [directory("etc"), file("etc/passwd", "root:x:0:0::/:/bin/sh\n"), file("noise", noise)],
            [hardlink("etc/users", "etc/passwd"), symlink("link", "etc"), file("b", b"b" * 9000)],
            [whiteout("noise"), file("etc/late", "late")],
        ]
    )


@pytest.fixture
def old_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the clock on, so that files that were just written count as left alone."""
    from unionlayers._image import stored_layers

    monkeypatch.setattr(stored_layers, "_SETTLED_NS", -1)


@pytest.fixture(params=["docker", "oci"])
def archive(request: Any, tmp_path: Path) -> Path:
    make = {"docker": docker_archive, "oci": oci_archive}[request.param]
    path = tmp_path / "image.tar"
    path.write_bytes(make(described(), codec="gzip"))
    return path


def forget() -> None:
    """Let go of all records that this process shares."""
    gc.collect()


def names(folder: Path, ending: str) -> list[str]:
    return sorted(path.name for path in folder.glob(f"*.{ending}"))


# -- the same answers ------------------------------------------------------------------------------


def test_every_row_of_the_semantics_table_is_answered_from_a_store_as_without(
    folder: Path, monkeypatch: pytest.MonkeyPatch, sample_size: int
) -> None:
    from unionlayers._image import indexing

    # No record is shared inside of the process, so that the store is asked.
    monkeypatch.setattr(indexing, "_share", lambda *_, **__: None)
    store = DirectoryIndexStore(folder)
    ways: Any = ("error", "warn") if sample_size > 1000 else ("error",)
    # A step that takes turns at the profiles.
    step = 1 if sample_size > 1000 else 4
    assert step % len(PROFILES)
    rows = 0
    for row, profile in list(product(ROWS, PROFILES))[::step]:
        layers = row.layers
        data = layers() if callable(layers) else docker_archive(ImageDescription(layers))
        for on_invalid in ways:
            options = {"profile": profile, "on_invalid": on_invalid, **row.options}
            expected = answers(io.BytesIO(data), **options)
            assert answers(io.BytesIO(data), index_store=store, **options) == expected
            with counted(monkeypatch) as counts:
                found = answers(io.BytesIO(data), index_store=store, **options)
            assert found == expected, (row.case, row.fact)
            # A layer that cannot be indexed, or is not verified, has no record.
            if options.get("verify", True) and not any(
                isinstance(layer[0], str) for layer in expected["layers"]
            ):
                assert counts["passes"] == 0, (row.case, row.fact)
        rows += 1
    assert rows > 100
    assert store.failures == ()


@pytest.mark.parametrize(
    "path",
    [
        *sorted(IMAGES.glob("*.tar")),
        *sorted((ROOT / "examples" / "demo-image").glob("*.tar")),
        *sorted(SHARED.glob("*-small.*.tar")),
    ],
    ids=lambda path: path.name,
)
def test_images_of_real_tools_are_answered_from_a_store_as_without(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answers(path)
    assert answers(path, index_store=folder) == expected
    with counted(monkeypatch) as counts:
        assert answers(path, index_store=folder) == expected
    assert counts["passes"] == 0
    with counted(monkeypatch) as counts:
        assert answers(io.BytesIO(path.read_bytes()), index_store=folder) == expected
    assert counts["passes"] == 0


@pytest.mark.parametrize("codec", ["identity", "gzip", "zstd", "xz", "bzip2"])
def test_every_codec_is_answered_from_a_store_as_without(
    codec: str, tmp_path: Path, folder: Path
) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(oci_archive(described(), codec=codec))
    expected = answers(path)
    assert [answers(path, index_store=folder) for _ in range(2)] == [expected, expected]


def test_the_same_layers_are_stored_as_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    stored = []
    for name in ("one", "two"):
        answers(archive, index_store=tmp_path / name)
        stored.append({path.name: path.read_bytes() for path in (tmp_path / name).glob("*.index")})
        forget()
    assert stored[0] == stored[1]
    assert len(stored[0]) == 3


# -- what a warm open costs ------------------------------------------------------------------------


@pytest.mark.usefixtures("old_enough")
def test_a_warm_open_of_a_recorded_source_decompresses_and_hashes_nothing(
    archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_image(archive, index_store=folder) as image:
        image.prepare()
    forget()
    with counted(monkeypatch) as counts, open_image(archive, index_store=folder) as image:
        view = image.fs()
        assert view.listdir("/etc") == ["late", "passwd", "users"]
        assert view.getinfo("/etc/users", ["stat"]).raw["stat"]["st_nlink"] == 2
        assert [finding.code for finding in image.findings] == ["HARDLINK_TO_LOWER"]
        image.prepare()
    assert counts == {"passes": 0, "hashes": 0}


def test_a_source_that_is_not_recorded_is_hashed_once_and_not_decompressed(
    archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(archive, index_store=folder)
    forget()
    data = archive.read_bytes()
    with (
        counted(monkeypatch) as counts,
        open_image(io.BytesIO(data), index_store=folder) as image,
    ):
        image.fs().listdir("/etc")
        assert counts["passes"] == 0
        assert 1 <= counts["hashes"] <= 3
        image.prepare()
        assert counts == {"passes": 0, "hashes": 3}


@pytest.mark.usefixtures("old_enough")
def test_a_copy_is_hashed_at_its_first_open_and_recorded_for_the_next(
    archive: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(archive, index_store=folder)
    copy = tmp_path / "copy.tar"
    copy.write_bytes(archive.read_bytes())
    for expected in (3, 0):
        forget()
        with counted(monkeypatch) as counts, open_image(copy, index_store=folder) as image:
            image.prepare()
        assert counts == {"passes": 0, "hashes": expected}


def test_a_file_that_was_just_written_is_not_recorded(archive: Path, folder: Path) -> None:
    os.utime(archive)
    answers(archive, index_store=folder)
    assert names(folder, "source") == []
    assert len(names(folder, "index")) == 3


def test_a_file_that_was_left_alone_is_recorded(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(docker_archive(ImageDescription([[file("a")]])))
    time.sleep(2.6)
    answers(path, index_store=folder)
    assert len(names(folder, "source")) == 1


@pytest.mark.usefixtures("old_enough")
@pytest.mark.parametrize("how", ["touched", "rewritten", "replaced"])
def test_a_recorded_file_that_was_changed_since_is_hashed_again(
    how: str, archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(archive, index_store=folder)
    forget()
    before = archive.stat()
    data = archive.read_bytes()
    if how == "rewritten":
        archive.write_bytes(data)
    elif how == "replaced":
        other = archive.with_suffix(".new")
        other.write_bytes(data)
        other.replace(archive)
    # The times that can be set are set back to what they were.
    os.utime(archive, ns=(before.st_atime_ns, before.st_mtime_ns))
    with counted(monkeypatch) as counts, open_image(archive, index_store=folder) as image:
        image.prepare()
    assert counts == {"passes": 0, "hashes": 3}


# -- what is believed ------------------------------------------------------------------------------


def forged(honest: bytes, old: bytes, new: bytes) -> bytes:
    assert honest.count(old) == 1
    assert len(old) == len(new)
    return honest.replace(old, new)


@pytest.mark.parametrize("make", [docker_archive, oci_archive])
def test_an_archive_that_names_a_stored_layer_and_has_other_bytes_is_refused(
    make: Any, tmp_path: Path, folder: Path
) -> None:
    honest = make(ImageDescription([[file("a", "honest")]]), codec="identity")
    path = tmp_path / "honest.tar"
    path.write_bytes(honest)
    with open_image(path, index_store=folder) as image:
        assert image.fs().readbytes("/a") == b"honest"
    forget()
    evil = tmp_path / "evil.tar"
    evil.write_bytes(forged(honest, b"honest", b"forged"))
    for source in (evil, io.BytesIO(evil.read_bytes())):
        with open_image(source, index_store=folder) as image:
            for _ in range(2):
                with pytest.raises(DigestMismatchError):
                    image.fs().listdir("/")
    # And it has poisoned nothing.
    with open_image(path, index_store=folder) as image:
        assert image.fs().readbytes("/a") == b"honest"


def test_a_forged_archive_indexed_without_verifying_leaves_nothing_behind(
    tmp_path: Path, folder: Path
) -> None:
    honest = oci_archive(ImageDescription([[file("a", "honest")]]), codec="identity")
    evil = tmp_path / "evil.tar"
    evil.write_bytes(forged(honest, b"honest", b"forged"))
    with open_image(evil, index_store=folder, verify=False) as image:
        assert image.fs().readbytes("/a") == b"forged"
    assert not folder.exists()
    forget()
    with open_image(io.BytesIO(honest), index_store=folder) as image:
        assert image.fs().readbytes("/a") == b"honest"


@pytest.mark.usefixtures("old_enough")
def test_without_verifying_a_recorded_source_is_answered_from_the_store(
    archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(archive, index_store=folder)
    forget()
    before = sorted(path.name for path in folder.iterdir())
    with (
        counted(monkeypatch) as counts,
        open_image(archive, index_store=folder, verify=False) as image,
    ):
        assert image.fs().listdir("/etc") == ["late", "passwd", "users"]
    assert counts == {"passes": 0, "hashes": 0}
    assert sorted(path.name for path in folder.iterdir()) == before


def test_without_verifying_the_claim_of_an_unknown_source_is_not_believed(
    archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(archive, index_store=folder)
    forget()
    data = io.BytesIO(archive.read_bytes())
    with (
        counted(monkeypatch) as counts,
        open_image(data, index_store=folder, verify=False) as image,
    ):
        image.fs().listdir("/etc")
    assert counts["passes"] > 0


@pytest.mark.usefixtures("old_enough")
def test_the_diff_id_of_each_image_is_compared_with_the_stored_one(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ImageDescription([[file("a", "1")]])
    path = tmp_path / "image.tar"
    path.write_bytes(docker_archive(data, codec="gzip"))
    answers(path, index_store=folder)
    forget()
    from unionlayers._image import blob_pass, indexing

    original = blob_pass.compare_promise
    compared: list[str | None] = []

    def compare(index: Any, promise: Any) -> None:
        compared.append(promise.diff_id)
        original(index, promise)

    monkeypatch.setattr(indexing, "compare_promise", compare)
    with counted(monkeypatch) as counts, open_image(path, index_store=folder) as image:
        image.layers[0].load()
        expected = image.layers[0].diff_id
    assert counts["passes"] == 0
    assert compared == [expected]


def test_a_wrong_diff_id_is_refused_from_a_store_as_without(folder: Path) -> None:
    from unionlayers._bytes.memory import MemorySource
    from unionlayers._image.blob_pass import Promise
    from unionlayers._image.indexing import index_blob
    from unionlayers._image.stored_layers import StoredLayers

    blob = layer(file("a", "1"))
    stored = StoredLayers(DirectoryIndexStore(folder))

    def index(diff_id: str | None, digest: str | None, stored: StoredLayers | None) -> Any:
        promise = Promise(digest=digest, size=None, diff_id=diff_id, media_type=None, member="x")
        return index_blob(
            MemorySource(blob), promise, compression="sniff", verify=True, limits=Limits(),
            progress=None, stored=stored,
        )  # fmt: skip

    digest = index(None, None, stored).blob_digest
    forget()
    assert index(digest, digest, stored).diff_id == digest
    for store in (None, stored):
        forget()
        with pytest.raises(DigestMismatchError) as caught:
            index("sha256:" + "0" * 64, digest, store)
        assert caught.value.actual == digest


@pytest.mark.usefixtures("old_enough")
def test_verify_believes_no_store(
    archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(archive, index_store=folder)
    forget()
    with open_image(archive, index_store=folder) as image:
        image.prepare()
        with counted(monkeypatch) as counts:
            image.verify()
    assert counts["passes"] == 3


def test_tighter_limits_are_held_with_a_store_as_without(archive: Path, folder: Path) -> None:
    tight = Limits(entries=3)
    for _ in range(2):
        answers(archive, index_store=folder)
        forget()
        with open_image(archive, limits=tight, index_store=folder) as image:
            image.layers[2].load()
            with pytest.raises(LimitError):
                image.layers[1].load()
        forget()


def test_a_record_serves_everybody_whose_limits_the_layer_was_seen_to_keep(
    archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limits, passes in (
        (Limits(entries=1000), 3),
        (Limits(entries=2000), 0),
        (Limits(entries=1000, depth=50), 3),
        (Limits(entries=1000, depth=50), 0),
        (Limits(), 0),
    ):
        forget()
        with (
            counted(monkeypatch) as counts,
            open_image(archive, limits=limits, index_store=folder) as image,
        ):
            image.prepare()
        assert counts["passes"] == passes, limits


def test_a_media_type_that_lies_is_refused_from_a_store_where_the_profile_goes_by_it(
    tmp_path: Path, folder: Path
) -> None:
    from unionlayers import Profile

    tar = layer(file("a", "1"))
    lying = LayerDescription(tar, codec="zstd", media_type="application/vnd.oci.image.layer.v1.tar")
    data = oci_archive(ImageDescription([lying]))
    strict = Profile(compression="declared")
    with open_image(io.BytesIO(data), index_store=folder) as image:
        image.layers[0].load()
    forget()
    for store in (False, folder):
        with (
            open_image(io.BytesIO(data), index_store=store, profile=strict) as image,
            pytest.raises(StreamError),
        ):
            image.layers[0].load()


# -- damage ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("old_enough")
@pytest.mark.parametrize("damage", ["empty", "cut", "zeros", "foreign", "another version", "late"])
def test_a_damaged_file_is_made_again_and_the_question_answered(
    damage: str, archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answers(archive, index_store=folder)
    forget()
    intact = {path: path.read_bytes() for path in folder.glob("*.*.*")}
    for path, data in intact.items():
        size = len(data)
        path.write_bytes(
            {
                "empty": b"",
                "cut": data[: size // 2],
                "zeros": bytes(size),
                "foreign": b"#!/bin/sh\n" * 20,
                "another version": data[:12] + b"\x63\0" + data[14:],
                "late": data[:-40] + bytes(40),
            }[damage]
        )
    assert answers(archive, index_store=folder) == expected
    forget()
    for path, data in intact.items():
        if path.suffix != ".checkpoints":
            assert path.read_bytes() == data, path
    with counted(monkeypatch) as counts:
        assert answers(archive, index_store=folder) == expected
    assert counts["passes"] == 0


def test_a_record_under_the_name_of_another_blob_is_not_used(archive: Path, folder: Path) -> None:
    expected = answers(archive, index_store=folder)
    forget()
    one, two, three = folder.glob("*.index")
    a, b, c = one.read_bytes(), two.read_bytes(), three.read_bytes()
    one.write_bytes(b)
    two.write_bytes(c)
    three.write_bytes(a)
    assert answers(archive, index_store=folder) == expected


def test_files_of_another_version_are_left_alone_and_not_read(
    archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unionlayers._tar import index_file

    expected = answers(archive, index_store=folder)
    forget()
    old = names(folder, "index")
    monkeypatch.setattr(index_file, "FORMAT", index_file.FORMAT + 1)
    with counted(monkeypatch) as counts:
        assert answers(archive, index_store=folder) == expected
    assert counts["passes"] == 3
    assert len(names(folder, "index")) == 2 * len(old)
    assert set(old) < set(names(folder, "index"))


# -- checkpoints -----------------------------------------------------------------------------------


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """Give an image of a layer of 24 MB, in which checkpoints are made."""
    noise = os.urandom(1 << 16)
    entries = [file(f"f{number}", noise[number:] * 16) for number in range(24)]
    path = tmp_path / "long.tar"
    path.write_bytes(oci_archive(ImageDescription([entries]), codec="gzip"))
    return path


def without_checkpoints(long: Path, folder: Path) -> None:
    """Index an image into a store, and take the checkpoints away again."""
    with open_image(long, index_store=folder) as image:
        image.prepare()
    (kept,) = names(folder, "checkpoints")
    (folder / kept).unlink()
    del image
    forget()


def test_checkpoints_of_gzip_are_made_in_the_first_pass_and_kept(long: Path, folder: Path) -> None:
    with open_image(long, index_store=folder) as image:
        image.fs().listdir("/")
        assert len(names(folder, "checkpoints")) == 1
    forget()
    with open_image(long, index_store=folder) as image:
        content: Any = image.layers[0].content()
        assert len(content.checkpoints) >= 1


@pytest.mark.usefixtures("old_enough")
def test_checkpoints_are_made_by_the_first_read_and_kept_for_the_next_process(
    long: Path, folder: Path
) -> None:
    without_checkpoints(long, folder)
    with open_image(long, index_store=folder) as image:
        view = image.fs()
        view.listdir("/")
        assert names(folder, "checkpoints") == []
        expected = view.readbytes("/f9")
    assert len(names(folder, "checkpoints")) == 1
    forget()
    with open_image(long, index_store=folder) as image:
        content: Any = image.layers[0].content()
        assert len(content.checkpoints) >= 1
        assert image.fs().readbytes("/f9") == expected


@pytest.mark.usefixtures("old_enough")
def test_checkpoints_reach_the_store_of_an_image_that_nobody_closes(
    long: Path, folder: Path
) -> None:
    without_checkpoints(long, folder)
    image = open_image(long, index_store=folder)
    image.path("/f9").read_bytes()
    del image
    gc.collect()
    assert len(names(folder, "checkpoints")) == 1


@pytest.mark.usefixtures("old_enough")
def test_checkpoints_of_two_readers_are_kept_together(long: Path, folder: Path) -> None:
    without_checkpoints(long, folder)
    with (
        open_image(long, index_store=folder) as one,
        open_image(long, index_store=folder) as two,
    ):
        one.path("/f5").read_bytes()
        two.path("/f23").read_bytes()
        two_content: Any = two.layers[0].content()
        most = len(two_content.checkpoints)
        two.close()
    with open_image(long, index_store=folder) as image:
        content: Any = image.layers[0].content()
        assert len(content.checkpoints) == most


@pytest.mark.parametrize("how", ["a file object", "a file just written", "verify=False"])
def test_checkpoints_of_bytes_that_may_not_be_those_that_were_hashed_are_not_kept(
    how: str, long: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unionlayers._image import stored_layers

    # However long this takes, the file has just been written.
    monkeypatch.setattr(stored_layers, "_SETTLED_NS", 10**19 if "written" in how else -1)
    without_checkpoints(long, folder)
    before = sorted(path.name for path in folder.iterdir())
    with ExitStack() as closing:
        source = closing.enter_context(long.open("rb")) if how == "a file object" else long
        verify = how != "verify=False"
        with open_image(source, index_store=folder, verify=verify) as image:
            image.fs().readbytes("/f9")
            content: Any = image.layers[0].content()
            assert len(content.checkpoints) >= 1
    assert names(folder, "checkpoints") == []
    if not verify:
        assert sorted(path.name for path in folder.iterdir()) == before


def test_metadata_opens_without_the_checkpoints(
    long: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(long, index_store=folder)
    forget()
    asked: list[str] = []
    original = DirectoryIndexStore.get

    def get(self: DirectoryIndexStore, name: str, /) -> Any:
        asked.append(name)
        return original(self, name)

    monkeypatch.setattr(DirectoryIndexStore, "get", get)
    with open_image(long, index_store=folder) as image:
        assert image.path("/f3").stat().st_size == 16 * ((1 << 16) - 3)
    assert not [name for name in asked if name.endswith(".checkpoints")]


# -- which store -----------------------------------------------------------------------------------


def test_nothing_is_stored_unless_asked(archive: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    with open_image(archive) as image:
        image.prepare()
        assert image.index_store is None
    assert sorted(tmp_path.iterdir()) == before


def test_the_environment_names_the_store_where_none_is_given(
    archive: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIONLAYERS_CACHE", str(folder))
    with open_image(archive, index_store=False) as image:
        image.prepare()
        assert image.index_store is None
    with open_image(archive, index_store=tmp_path / "other") as image:
        image.prepare()
    assert not folder.exists()
    with open_image(archive) as image:
        image.prepare()
    assert len(names(folder, "index")) == 3
    monkeypatch.setenv("UNIONLAYERS_CACHE", "")
    assert open_image(archive).index_store is None


def test_a_view_takes_a_store_too(archive: Path, folder: Path) -> None:
    with UnionFS(archive, index_store=folder) as view:
        view.listdir("/")
    assert names(folder, "index")


@pytest.mark.parametrize("choice", [True, 3, b"folder", object()])
def test_what_is_no_store_is_refused(choice: Any, archive: Path) -> None:
    with pytest.raises(TypeError, match="index_store"):
        open_image(archive, index_store=choice)


class Dictionary:
    """The smallest store there is."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def get(self, name: str, /) -> memoryview | None:
        data = self.kept.get(name)
        return None if data is None else memoryview(data)

    def put(self, name: str, pieces: Any, /) -> bool:
        self.kept[name] = b"".join(pieces)
        return True


def test_a_store_of_ones_own_needs_two_methods(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Dictionary()
    assert isinstance(store, IndexStore)
    expected = answers(archive, index_store=store)
    forget()
    with counted(monkeypatch) as counts:
        assert answers(archive, index_store=store) == expected
    assert counts["passes"] == 0
    assert store.kept


def test_an_image_pickles_with_its_store(archive: Path, folder: Path) -> None:
    store = DirectoryIndexStore(folder, max_bytes=1 << 25)
    with open_image(archive, index_store=store) as image:
        image.prepare()
        with pickle.loads(pickle.dumps(image)) as again:
            assert isinstance(again.index_store, DirectoryIndexStore)
            assert again.index_store.path == folder
            assert again.index_store.max_bytes == 1 << 25
    with (
        open_image(archive, index_store=False) as image,
        pickle.loads(pickle.dumps(image)) as again,
    ):
        assert again.index_store is None


def test_the_folder_of_a_relative_path_stays_where_it_was(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = DirectoryIndexStore("here")
    monkeypatch.chdir("/")
    answers(archive, index_store=store)
    assert names(tmp_path / "here", "index")


# -- many at once ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("old_enough")
@pytest.mark.parametrize("warm", [False, True])
def test_eight_threads_that_share_a_store_get_what_one_gets(
    archive: Path, folder: Path, *, warm: bool
) -> None:
    expected = answers(archive)
    store = DirectoryIndexStore(folder)
    if warm:
        answers(archive, index_store=store)
    forget()
    start = threading.Barrier(8)

    def run(_: int) -> Any:
        start.wait()
        return answers(archive, index_store=store)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, range(8))) == [expected] * 8
    assert store.failures == ()


@pytest.mark.usefixtures("old_enough")
def test_eight_threads_on_one_warm_image_get_what_one_gets(archive: Path, folder: Path) -> None:
    expected = answers(archive, index_store=folder)["tree"]
    forget()
    with open_image(archive, index_store=folder) as image:
        start = threading.Barrier(8)

        def run(_: int) -> Any:
            start.wait()
            view = image.fs()
            return [path for path, _ in view.find(None, types=("file", "directory", "symlink"))]

        with ThreadPoolExecutor(8) as pool:
            for found in pool.map(run, range(8)):
                assert found == list(expected)


READER = textwrap.dedent(
    """
    import pickle, sys
    sys.path.insert(0, sys.argv[3])
    from answers import answers
    from unionlayers import DirectoryIndexStore

    store = DirectoryIndexStore(sys.argv[2], max_bytes=int(sys.argv[4]))
    found = [answers(sys.argv[1], index_store=store) for _ in range(3)]
    assert found[0] == found[1] == found[2]
    failures = [str(error) for error in store.failures]
    sys.stdout.buffer.write(pickle.dumps((found[0], failures)))
    """
)


@pytest.mark.parametrize(
    ("archive", "max_bytes"),
    [
        pytest.param("docker", 1 << 30, id="docker-roomy"),
        pytest.param("oci", 9 * 4096, id="oci-evicting"),
        pytest.param("docker", 9 * 4096, id="docker-evicting", marks=pytest.mark.campaign),
        pytest.param("oci", 1 << 30, id="oci-roomy", marks=pytest.mark.campaign),
    ],
    indirect=["archive"],
)
def test_eight_processes_that_write_and_read_one_store_get_what_one_gets(
    max_bytes: int, archive: Path, folder: Path
) -> None:
    expected = answers(archive)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(archive), str(folder), str(IMAGES), str(max_bytes)],
            stdout=subprocess.PIPE,
        )
        for _ in range(8)
    ]
    for worker in workers:
        output, _ = worker.communicate(timeout=120)
        assert worker.returncode == 0
        assert pickle.loads(output) == (expected, [])
    assert not list(folder.glob("*.tmp"))
    assert not list(folder.glob(".*.tmp"))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_view_with_a_store_goes_into_another_process(
    method: str, archive: Path, folder: Path
) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"{method} is not here")
    code = textwrap.dedent(
        f"""
        import multiprocessing, sys
        from unionlayers import open_image

        def child(image, queue):
            queue.put(image.fs().listdir("/etc"))

        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            with open_image({str(archive)!r}, index_store={str(folder)!r}) as image:
                image.prepare()
                queue = context.Queue()
                process = context.Process(target=child, args=(image, queue))
                process.start()
                assert queue.get(timeout=60) == ["late", "passwd", "users"]
                process.join()
                assert process.exitcode == 0
        """
    )
    script = archive.with_name("child.py")
    script.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# -- eviction --------------------------------------------------------------------------------------


def test_the_least_recently_used_files_go_when_there_is_no_room(tmp_path: Path) -> None:
    store = DirectoryIndexStore(tmp_path / "s", max_bytes=32 * 4096)
    name = "sha256-{:064x}.1.index".format
    for number in range(20):
        assert store.put(name(number), [b"x" * 4000])
        when = time.time() - 10_000 + number
        os.utime(store.path / name(number), (when, when))
    # The first is used again, and so the last to go of these.
    assert store.get(name(0)) is not None
    for number in range(20, 45):
        assert store.put(name(number), [b"x" * 4000])
    held = sorted(path.name for path in store.path.glob("*.index"))
    assert len(held) <= 32
    assert name(0) in held
    assert name(44) in held
    assert name(1) not in held
    assert store.failures == ()


def test_a_file_larger_than_the_whole_store_is_not_kept_and_that_is_told(tmp_path: Path) -> None:
    store = DirectoryIndexStore(tmp_path / "s", max_bytes=4096)
    assert not store.put("sha256-00.1.index", [bytes(5000)])
    assert [error.filename for error in store.failures] == [str(store.path / "sha256-00.1.index")]
    with pytest.raises(ValueError, match="bytes"):
        DirectoryIndexStore(tmp_path, max_bytes=-1)


def test_eviction_leaves_alone_what_is_not_of_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir(mode=0o700)
    mine = folder / "thesis.tex"
    mine.write_bytes(bytes(100_000))
    os.utime(mine, (0, 0))
    store = DirectoryIndexStore(folder, max_bytes=3 * 4096)
    for number in range(9):
        store.put(f"sha256-{number:064x}.1.index", [b"x"])
    assert mine.stat().st_size == 100_000
    assert not (folder / "CACHEDIR.TAG").exists()


def test_what_killed_writers_have_left_is_removed_after_an_hour(tmp_path: Path) -> None:
    store = DirectoryIndexStore(tmp_path / "s")
    store.put("sha256-00.1.index", [b"x"])
    old, new = (store.path / f".sha256-00.1.index.12-{c}.tmp" for c in "ab")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    DirectoryIndexStore(store.path).put("sha256-01.1.index", [b"x"])
    assert not old.exists()
    assert new.exists()


def test_a_name_that_is_a_path_is_refused(tmp_path: Path) -> None:
    store = DirectoryIndexStore(tmp_path / "s")
    for name in ("../x.index", "/etc/passwd", "a/b.index", ".hidden", "", "A.index", "x.index\n"):
        with pytest.raises(ValueError, match="not a name"):
            store.get(name)
        with pytest.raises(ValueError, match="not a name"):
            store.put(name, [b""])


def test_a_large_file_is_mapped_and_a_small_one_read(tmp_path: Path) -> None:
    store = DirectoryIndexStore(tmp_path / "s")
    for size in (10, (1 << 20) - 1, 1 << 20, 3 << 20):
        data = os.urandom(size)
        assert store.put("sha256-00.1.index", [data[:5], data[5:]])
        found = store.get("sha256-00.1.index")
        assert found is not None
        assert bytes(found) == data
        # What is replaced or gone meanwhile stays what it was.
        store.put("sha256-00.1.index", [b"other"])
        assert bytes(found) == data


@posix
def test_descriptors_and_mappings_are_back_where_they_were_when_an_image_is_closed(
    tmp_path: Path, folder: Path
) -> None:
    if not Path("/proc/self/maps").exists():
        pytest.skip("there is no /proc/self")
    path = tmp_path / "image.tar"
    entries = [file(f"{number:04}{'n' * 240}") for number in range(6000)]
    path.write_bytes(oci_archive(ImageDescription([entries]), codec="gzip"))

    def held() -> tuple[int, int]:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8")
        return len(os.listdir("/proc/self/fd")), maps.count(str(folder))

    with open_image(path, index_store=folder) as image:
        image.prepare()
    del image
    (record,) = folder.glob("*.index")
    assert record.stat().st_size > 1 << 20
    forget()
    before = held()
    with open_image(path, index_store=folder) as warm:
        view = warm.fs()
        assert len(view.listdir("/")) == 6000
        digest = warm.layers[0].digest
        assert held()[1] == 1
    # Image, view and layers are still here.
    assert held() == before
    assert warm.layers[0].digest == digest
    with pytest.raises(ClosedError):
        view.listdir("/")
    with pytest.raises(ClosedError):
        warm.layers[0].marks  # noqa: B018 - asking is what raises


def test_nothing_in_a_store_is_a_pickle_or_a_document(archive: Path, folder: Path) -> None:
    answers(archive, index_store=folder)
    files = list(folder.glob("*.*.*"))
    assert files
    for path in files:
        assert path.read_bytes()[:8] == b"\x93UNIONL\n"
        with pytest.raises((pickle.UnpicklingError, ValueError)):
            pickle.loads(path.read_bytes())


def test_a_store_says_what_it_takes_and_gives_it_back(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = DirectoryIndexStore(folder)
    assert store.usage() == (0, 0)
    assert store.prune() == (0, 0)
    names = [f"sha256-{number:064x}.1.index" for number in range(4)]
    for number, name in enumerate(names):
        assert store.put(name, [b"x" * 5000])
        os.utime(folder / name, (number, number))
    (folder / "of-the-user").write_bytes(b"kept")
    assert store.usage() == (4, 4 * 8192)
    assert store.prune(2 * 8192) == (2, 2 * 8192)
    assert [store.get(name) is not None for name in names] == [False, False, True, True]
    assert store.prune() == (2, 2 * 8192)
    assert (folder / "of-the-user").read_bytes() == b"kept"
    with pytest.raises(ValueError, match="-1"):
        store.prune(-1)


def test_what_killed_writers_have_left_goes_with_the_rest(tmp_path: Path) -> None:
    store = DirectoryIndexStore(tmp_path / "store")
    assert store.put("sha256-" + "0" * 64 + ".1.index", [b"x"])
    left = tmp_path / "store" / (".sha256-" + "0" * 64 + ".1.index.7-00ff.tmp")
    left.touch()
    store.prune()
    assert left.exists()  # its writer may still be at it
    os.utime(left, (0, 0))
    store.prune()
    assert not left.exists()
