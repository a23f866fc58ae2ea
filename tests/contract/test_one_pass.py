"""A layer is read once, in bounded memory, and the next process reads next to nothing of it."""

from __future__ import annotations

import gc
import hashlib
import io
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from unionlayers import open_image
from unionlayers._bytes.file import FileSource
from unionlayers._codec import hashing
from unionlayers._codec.engines import zstd
from unionlayers._codec.page_cache import PageCache
from unionlayers._codec.zstd_checkpoints import LARGEST_WINDOW
from unionlayers._foundation.digest import hasher_for
from unionlayers._image import loading, stored_layers
from unionlayers._layers import resolution
from unionlayers._layers.resolution import resolve
from unionlayers.testing import (
    ImageDescription,
    LayerDescription,
    directory,
    docker_archive,
    file,
    layer,
    oci_archive,
)

CODECS = ["identity", "gzip", "zstd", "xz", "bzip2"]


@pytest.fixture
def old_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the clock on, so that files that were just written count as left alone."""
    monkeypatch.setattr(stored_layers, "_SETTLED_NS", -1)


@lru_cache
def words(size: int) -> bytes:
    """Give bytes of which packing saves about a half, and that are never the same for long."""
    dice = random.Random(5)
    known = [dice.randbytes(9) for _ in range(2000)]
    return b"".join(dice.choices(known, k=size // 9))


@lru_cache
def archive(codec: str, size: int) -> bytes:
    data = words(size)
    step = max(len(data) // 12, 1)
    entries = [file(f"f{at // step:02}", data[at : at + step]) for at in range(0, len(data), step)]
    return oci_archive(ImageDescription([entries]), codec=codec)


class Taken(io.BytesIO):
    """A file object that counts how often each stretch of 512 bytes is taken."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[tuple[int, int]] = []

    def read(self, size: int | None = -1, /) -> bytes:
        at = self.tell()
        data = super().read(size)
        self.reads.append((at, len(data)))
        return data

    def readinto(self, buffer: Any, /) -> int:
        at = self.tell()
        count = super().readinto(buffer)
        self.reads.append((at, count))
        return count

    def within(self, start: int, end: int) -> int:
        """Tell how many bytes of a stretch were taken."""
        return sum(max(0, min(end, at + count) - max(start, at)) for at, count in self.reads)


@pytest.mark.parametrize("store", [False, True], ids=["without a store", "with a store"])
@pytest.mark.parametrize("codec", CODECS)
def test_entries_digests_and_checkpoints_come_of_one_pass_over_the_blob(
    codec: str, tmp_path: Path, *, store: bool
) -> None:
    data = archive(codec, 3 << 20 if codec in ("xz", "bzip2") else 12 << 20)
    with open_image(io.BytesIO(data)) as image:
        blob = image.blob(str(image.record.layers[0].member))
        assert blob is not None
        stored = blob.pread(0, blob.size)
    source = Taken(data)
    start = data.index(stored)
    end = start + len(stored)
    with open_image(source, index_store=tmp_path / "store" if store else False) as image:
        before = source.within(start, end)
        index = image.layers[0].load()
        assert index.blob_digest == "sha256:" + hashlib.sha256(stored).hexdigest()
        assert index.diff_id is not None
        assert index.entries > 10
    # Its first bytes are looked at once more, to tell what it is.
    assert len(stored) <= source.within(start, end) - before <= len(stored) + 4096


@pytest.mark.parametrize("store", [False, True], ids=["without a store", "with a store"])
@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_checkpoints_that_cost_much_wait_for_the_first_read_of_content(
    codec: str, tmp_path: Path, *, store: bool
) -> None:
    data = archive(codec, 44 << 20)
    # No image before may lend its record, which may have none.
    gc.collect()
    with open_image(io.BytesIO(data), index_store=tmp_path / "store" if store else False) as image:
        index = image.layers[0].load()
        # Into a store those of gzip, which cost a third of the pass, go at once.
        assert bool(index.checkpoints) == (store and codec == "gzip")
        image.fs().readbytes("/f11")
        content: Any = image.layers[0].content()
        assert len(content.checkpoints) >= 1


@pytest.mark.usefixtures("old_enough")
@pytest.mark.parametrize("codec", CODECS)
def test_a_warm_open_takes_a_few_kilobytes_of_an_archive_however_large(
    codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    original = FileSource.pread
    for size in (1 << 20, 4 << 20):
        path = tmp_path / f"{size}.tar"
        path.write_bytes(archive(codec, size))
        folder = tmp_path / f"store-{size}"
        with open_image(path, index_store=folder) as image:
            image.prepare()
        del image
        gc.collect()
        counts: list[int] = []

        def counting(self: FileSource, offset: int, length: int, counts: Any = counts) -> bytes:
            data = original(self, offset, length)
            counts.append(len(data))
            return data

        with monkeypatch.context() as patch, open_image(path, index_store=folder) as image:
            patch.setattr(FileSource, "pread", counting)
            assert image.path("/f03").stat().st_size > 1000
            assert len(image.fs().listdir("/")) in (12, 13)
        taken.append(sum(counts))
    assert max(taken) <= 16 << 10, taken


WARM = textwrap.dedent(
    """
    import sys
    from unionlayers import open_image

    with open_image(sys.argv[1], index_store=sys.argv[2]) as image:
        assert image.path("/f03").stat().st_size > 1000
        assert image.path("/f03").read_bytes()
    print(*sorted({"numpy", "pandas", "fs", "fsspec", "tarfile", "sqlite3"} & set(sys.modules)))
    """
)


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_warm_process_imports_nothing_heavy(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(archive(codec, 1 << 20))
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", WARM, str(path), str(tmp_path / "store")],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "\n"


# -- with the extra `fast` and without -------------------------------------------------------------

INDEXED = textwrap.dedent(
    """
    import sys
    if sys.argv[3] == "fast":
        import numpy
    else:
        sys.modules["numpy"] = None
    from unionlayers import open_image
    from unionlayers._tar import batch_placer, vector_headers

    read = []
    original = vector_headers.read_plain
    vector_headers.read_plain = lambda blocks: read.append(len(blocks)) or original(blocks)
    with open_image(sys.argv[1], index_store=sys.argv[2]) as image:
        image.prepare()
    print(sum(read))
    """
)


def test_a_layer_is_stored_as_the_same_bytes_with_numpy_and_without(tmp_path: Path) -> None:
    pytest.importorskip("numpy", reason="the extra `fast` is not installed")
    dice = random.Random(3)
    noise = words(1 << 16)
    contents = {f"d/{n % 40}/f{n}": noise[: dice.randrange(9000)] for n in range(3000)}
    entries = [directory("d"), *(directory(f"d/{n}") for n in range(40))]
    entries += [
        file(name, data, mtime=n, uid=n % 9, mode=0o600 + n % 8)
        for n, (name, data) in enumerate(contents.items())
    ]
    path = tmp_path / "image.tar"
    path.write_bytes(oci_archive(ImageDescription([entries]), codec="gzip"))
    kept: dict[str, dict[str, bytes]] = {}
    for way in ("fast", "plain"):
        folder = tmp_path / way
        done = subprocess.run(
            [sys.executable, "-c", INDEXED, str(path), str(folder), way],
            capture_output=True,
            text=True,
            check=True,
        )
        # Else the two would be one.
        assert (int(done.stdout) > 2000) == (way == "fast")
        kept[way] = {made.name: made.read_bytes() for made in folder.glob("*.*.*")}
    indexes = [{n: d for n, d in one.items() if n.endswith(".index")} for one in kept.values()]
    assert indexes[0] == indexes[1]
    assert len(indexes[0]) == 1
    # The checkpoints of either are good for the other.
    for way, other in (("fast", "plain"), ("plain", "fast")):
        for name, made in kept[other].items():
            if name.endswith(".checkpoints"):
                (tmp_path / way / name).write_bytes(made)
        with open_image(path, index_store=tmp_path / way) as image:
            content: Any = image.layers[0].content()
            assert content.checkpoints
            view = image.fs()
            for name in dice.sample(sorted(contents), 300):
                assert view.readbytes("/" + name) == contents[name]


# -- many layers, many images ----------------------------------------------------------------------


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_the_largest_layers_are_indexed_first(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [3, 90, 20, 1, 400, 50]
    layers = [[file(f"f{n}", words(size * 1000))] for n, size in enumerate(sizes)]
    begun: list[int] = []
    original = loading._load

    def load(one: Any, meter: Any) -> None:
        begun.append(one.index)
        original(one, meter)

    monkeypatch.setattr(loading, "_load", load)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    with open_image(io.BytesIO(docker_archive(ImageDescription(layers)))) as image:
        image.prepare()
        assert all(one.loaded for one in image.layers)
    expected = [4, 1, 5, 2, 0, 3]
    most = min(cores, 4)
    # Threads begin in this order, and may tell of it a little later.
    assert all(abs(begun.index(one) - at) < most for at, one in enumerate(expected)), begun


def test_hashing_runs_in_one_thread_that_decompression_never_leaves_far_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = archive("gzip", 44 << 20)
    handed, hashed, ahead, threads = [0], [0], [0], set()
    original = hasher_for

    class Slow:
        def __init__(self, made: Any) -> None:
            self.made = made

        def update(self, piece: bytes) -> None:
            threads.add(threading.current_thread().name)
            time.sleep(0.0005)
            self.made.update(piece)
            hashed[0] += len(piece)

        def hexdigest(self) -> str:
            return str(self.made.hexdigest())

    took = hashing.DigestPair._take

    def take(self: Any, hasher: Any, piece: bytes) -> None:
        handed[0] += len(piece)
        ahead[0] = max(ahead[0], handed[0] - hashed[0])
        took(self, hasher, piece)

    monkeypatch.setattr(hashing, "hasher_for", lambda name: Slow(original(name)))
    monkeypatch.setattr(hashing.DigestPair, "_take", take)
    with open_image(io.BytesIO(data)) as image:
        image.layers[0].load()
    assert handed[0] == hashed[0] > 60 << 20
    assert {name for name in threads if name.startswith("unionlayers")} == {"unionlayers-digest"}
    # What waits, what is being hashed, what is being put together, and one piece over.
    assert ahead[0] <= (hashing._QUEUE + 3) * hashing._BATCH
    assert not [one for one in threading.enumerate() if one.name == "unionlayers-digest"]


def test_all_images_of_a_process_share_one_bounded_memory_of_spans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bound = 16 << 20
    cache = PageCache(bound, max_decoders=3)
    monkeypatch.setattr("unionlayers._image.image.shared_pages", lambda: cache)
    images = [open_image(io.BytesIO(archive(codec, 12 << 20))) for codec in ("gzip", "zstd") * 3]
    most = 0
    for name in ("/f03", "/f11", "/f00"):
        for image in images:
            assert image.pages is cache
            assert image.fs().readbytes(name)
            most = max(most, cache.held_bytes)
    # All pages, and for all decoders half as much.
    assert bound < most <= bound + bound // 2
    for image in images:
        image.close()
    assert cache.held_bytes == 0


def test_images_of_a_process_have_one_memory_of_spans() -> None:
    data = archive("gzip", 1 << 20)
    with open_image(io.BytesIO(data)) as one, open_image(io.BytesIO(data)) as two:
        assert one.pages is two.pages


def test_paths_that_were_asked_for_lately_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "_KEPT", 100)
    names = [f"f{n}" for n in range(1000)]
    with open_image(io.BytesIO(docker_archive(ImageDescription([[*map(file, names)]])))) as image:
        union = image.union()
        for name in names:
            resolve(union, f"/{name}", follow=True)
            assert len(union.followed[True]) <= 100
        assert len(union.followed[True]) > 0


# -- what cannot be entered in the middle ----------------------------------------------------------


def long_window(plain: bytes) -> bytes:
    option = zstd.CompressionParameter
    log = (2 * LARGEST_WINDOW).bit_length() - 1
    options: dict[int, int] = {option.compression_level: 1, option.window_log: log,
               option.enable_long_distance_matching: 1}  # fmt: skip
    packer = zstd.ZstdCompressor(options=options)
    # In two steps: one that knows the size takes a smaller window.
    return bytes(packer.compress(plain) + packer.flush())


def spills() -> int:
    """Count the files that this process has open and that have no name."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += "(deleted)" in os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
    return count


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc/self/fd")
@pytest.mark.parametrize("codec", ["xz", "bzip2", "zstd --long"])
@pytest.mark.parametrize("closing", ["closed", "dropped"])
def test_the_file_of_a_stream_without_checkpoints_appears_with_content_and_goes_with_the_image(
    codec: str, closing: str
) -> None:
    data = words(36 << 20) if codec == "zstd --long" else words(4 << 20)
    tar = layer(file("a", data[:1000]), file("z", data))
    described: Callable[..., Any] = LayerDescription
    one = (
        described(tar, stored=long_window(tar))
        if codec == "zstd --long"
        else described(tar, codec=codec)
    )
    before = spills()
    image = open_image(io.BytesIO(oci_archive(ImageDescription([one]))))
    view = image.fs()
    assert view.getsize("/z") == len(data)
    assert spills() == before
    with view.openbin("/z") as opened:
        for at in (len(data) - 5000, 7, len(data) // 2):
            opened.seek(at)
            assert opened.read(5000) == data[at : at + 5000]
    assert spills() == before + 1
    if closing == "closed":
        image.close()
    else:
        del image, view, opened
        gc.collect()
    assert spills() == before
