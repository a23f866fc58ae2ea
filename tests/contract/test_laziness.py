"""What is read, and when: documents at open, a layer when a question first needs it, once."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from answers import counted

from unionlayers import open_image
from unionlayers._image import stored_layers
from unionlayers.testing import (
    ImageDescription,
    directory,
    docker_archive,
    file,
    hardlink,
    oci_archive,
    whiteout,
)

MARK = b"#%d:"
BLOCK = 512


class Recorder(io.BytesIO):
    """A seekable file object that remembers which bytes were taken from it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[tuple[int, int]] = []

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        data = super().read(size)
        self.reads.append((start, len(data)))
        return data

    def readinto(self, buffer: Any, /) -> int:
        start = self.tell()
        count = super().readinto(buffer)
        self.reads.append((start, count))
        return count

    def read1(self, size: int | None = -1, /) -> bytes:
        return self.read(size)

    def readline(self, *_: Any) -> bytes:
        raise AssertionError("an archive has no lines")

    def taken(self, start: int, end: int) -> int:
        """Give how many bytes of a stretch were read, again and again counted."""
        return sum(max(0, min(end, a + n) - max(start, a)) for a, n in self.reads)


def big(number: int, size: int = 300_000) -> bytes:
    """Give content that occurs once in an archive, and larger than any buffer."""
    return bytes([65 + number]) * size


def described(*extra: Any) -> ImageDescription:
    layers = [
        [directory("etc"), file(f"etc/layer-{number}", big(number)), file("etc/all", big(number))]
        for number in range(4)
    ]
    return ImageDescription([*layers, *extra], tags=["test:latest"])


def stretch(archive: bytes, number: int) -> tuple[int, int]:
    """Give where the layer of that number lies in an uncompressed archive."""
    first = archive.index(big(number))
    last = archive.rindex(big(number)) + len(big(number))
    # Before the first body stand the headers of etc/ and of the file itself.
    return first - 2 * BLOCK, last


def test_the_stretches_of_the_layers_are_where_this_file_believes_them() -> None:
    archive = docker_archive(described())
    for number in range(4):
        start, _ = stretch(archive, number)
        assert archive[start : start + 4] == b"etc/"


@pytest.mark.parametrize("make", [docker_archive, oci_archive])
def test_opening_an_uncompressed_archive_reads_no_byte_of_any_layer(make: Any) -> None:
    archive = make(described(), codec="identity")
    source = Recorder(archive)
    with open_image(source) as image:
        image.fs()
        assert len(image.layers) == 4
        assert image.config["rootfs"]["diff_ids"]
    assert [source.taken(*stretch(archive, number)) for number in range(4)] == [0, 0, 0, 0]
    assert source.reads


def test_opening_reads_a_small_part_of_the_archive() -> None:
    archive = docker_archive(described())
    source = Recorder(archive)
    open_image(source).close()
    assert sum(count for _, count in source.reads) < len(archive) // 20


@pytest.mark.parametrize("profile", ["oci", "overlay"])
@pytest.mark.parametrize("verify", [True, False])
def test_reading_a_file_of_the_top_layer_indexes_that_layer_alone(
    profile: str, verify: bool
) -> None:
    archive = docker_archive(described())
    source = Recorder(archive)
    with open_image(source, profile=profile, verify=verify) as image:
        assert image.fs().readbytes("/etc/all") == big(3)
    assert [source.taken(*stretch(archive, number)) for number in range(3)] == [0, 0, 0]
    assert source.taken(*stretch(archive, 3)) >= len(big(3))


def test_a_name_that_an_upper_layer_deletes_needs_no_layer_below_it() -> None:
    archive = docker_archive(described([whiteout("etc/layer-0")]))
    source = Recorder(archive)
    with open_image(source) as image:
        assert not image.fs().exists("/etc/layer-0")
    assert [source.taken(*stretch(archive, number)) for number in range(4)] == [0, 0, 0, 0]


def test_stating_a_file_without_verifying_reads_headers_and_no_content() -> None:
    archive = docker_archive(described())
    source = Recorder(archive)
    with open_image(source, verify=False) as image:
        assert image.fs().getsize("/etc/layer-3") == len(big(3))
    assert source.taken(*stretch(archive, 3)) < len(big(3))


def test_a_view_of_one_layer_reads_that_layer_alone() -> None:
    archive = docker_archive(described())
    source = Recorder(archive)
    with open_image(source) as image:
        assert image.layers[1].fs().listdir("/etc") == ["all", "layer-1"]
    taken = [source.taken(*stretch(archive, number)) for number in (0, 2, 3)]
    assert taken == [0, 0, 0]


def test_a_hard_link_to_a_lower_layer_reads_down_to_its_target_and_no_further() -> None:
    archive = docker_archive(described([hardlink("etc/name", "etc/layer-2")]))
    source = Recorder(archive)
    with open_image(source) as image:
        assert image.fs().readbytes("/etc/name") == big(2)
    assert [source.taken(*stretch(archive, number)) for number in (0, 1)] == [0, 0]


@pytest.mark.parametrize("make", [docker_archive, oci_archive])
def test_a_layer_that_occurs_twice_in_an_image_is_passed_over_once(make: Any) -> None:
    twice = [directory("etc"), file("etc/twice", big(9))]
    gone = [whiteout("etc/twice")]
    archive = make(ImageDescription([twice, gone, twice]), codec="identity")
    start = archive.index(big(9))
    assert archive.count(big(9)) == 1
    source = Recorder(archive)
    with open_image(source) as image:
        image.prepare()
        assert source.taken(start, start + len(big(9))) == len(big(9))
        assert image.layers[0].fs().exists("/etc/twice")


@pytest.mark.parametrize("settled", [True, False], ids=["left alone", "just written"])
@pytest.mark.parametrize("make", [docker_archive, oci_archive])
def test_a_layer_that_two_images_of_one_archive_share_is_passed_over_once(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, settled: bool
) -> None:
    monkeypatch.setattr(stored_layers, "_SETTLED_NS", -1 if settled else 10**19)
    shared = [directory("etc"), file("etc/shared", big(9))]
    path = tmp_path / "two.tar"
    path.write_bytes(
        make(
            ImageDescription([shared, [file("one", "1")]], tags=["app:one"]),
            ImageDescription([shared, [file("two", "2")]], tags=["app:two"]),
            codec="identity",
        )
    )
    told: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None, what: str) -> None:
        told.append((done, total))

    with (
        open_image(path, reference="app:one", progress=progress) as one,
        open_image(path, reference="app:two", progress=progress) as two,
    ):
        one.layers[0].fs().listdir("/")
        assert told
        told.clear()
        with counted(monkeypatch) as counts:
            two.layers[0].fs().listdir("/")
        # A later write to a file that was just written may go unseen, so that it is hashed again.
        assert counts == {"passes": 0, "hashes": 0 if settled else 1}
        assert (told == []) == settled


def test_a_layer_is_passed_over_once_however_many_views_and_questions_there_are() -> None:
    archive = docker_archive(described())
    source = Recorder(archive)
    with open_image(source) as image:
        image.prepare()
        image.fs().listdir("/etc")
        source.reads.clear()
        for view in (image.fs(), image.fs(slice(1, 3)), image.layers[3].fs()):
            assert view.listdir("/etc")
            assert [info.size for info in view.scandir("/etc", ["details"])]
        assert image.findings == ()
        assert source.reads == []


AUDITED = textwrap.dedent(
    """
    import json, os, sys
    import unionlayers, unionlayers.errors
    from unionlayers import UnionFS, open_image

    sources = sys.argv[1:]

    def all_of_it(path):
        with open_image(path) as image:
            view = image.fs()
            names = ["basic", "details", "access", "link", "stat", "xattr", "capability", "layer",
                     "tar"]
            for where, info in view.find(None, types=("file", "directory", "symlink"),
                                         namespaces=names):
                if info.is_file and not info.raw["link"]["target"]:
                    view.readbytes(where)
            image.verify()
            image.findings
        with UnionFS(path) as view:
            with view.openbin("/etc/passwd") as opened:
                opened.read()

    all_of_it(sources[0])  # What is imported at first use is imported now.
    seen = []

    def hook(event, args):
        if event in ("open", "os.open") or event.startswith(
            ("subprocess.", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork",
             "socket.", "os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.chmod",
             "os.chown", "os.truncate", "os.utime", "os.rmdir", "shutil.", "tempfile.", "ctypes.",
             "os.listdir", "os.scandir", "import", "pty.")
        ):
            seen.append([event, [str(arg) for arg in args[:3]]])

    sys.addaudithook(hook)
    for path in sources[1:]:
        all_of_it(path)
    found, seen = seen, []
    print(json.dumps(found))
    """
)


@pytest.mark.parametrize("codec", ["identity", "gzip", "zstd"])
@pytest.mark.parametrize("make", [docker_archive, oci_archive])
def test_opening_and_reading_writes_no_file_starts_no_process_and_opens_the_source_only(
    make: Any, codec: str, tmp_path: Path
) -> None:
    image = ImageDescription(
        [
            [
                directory("etc"),
                file("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
                file("etc/large", b"large" * 100_000),
            ],
            [hardlink("etc/users", "etc/passwd"), file("etc/hosts", "")],
        ]
    )
    warm, asked = tmp_path / "warm.tar", tmp_path / "asked.tar"
    for path in (warm, asked):
        path.write_bytes(make(image, codec=codec))
    before = sorted(path.name for path in tmp_path.iterdir())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", AUDITED, str(warm), str(asked)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    events = json.loads(done.stdout)
    assert events
    for event, args in events:
        assert event == "open", (event, args)
        assert args[0] == str(asked), (event, args)
        # Flags of os.open: read-only is 0, and nothing is created or cut.
        assert int(args[2]) & 0o3 == 0, args
        assert int(args[2]) & 0o3100 == 0, args
    assert sorted(path.name for path in tmp_path.iterdir()) == before
