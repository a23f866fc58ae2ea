"""File objects that fail, disks that are full, interrupts at any line: the image stays usable."""

from __future__ import annotations

import errno
import gc
import io
import os
import random
import subprocess
import sys
import tempfile
import textwrap
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import mutants
import pytest
from mishaps import everywhere, in_time, interrupted, lines_of, nothing_left, varied_image

from unionlayers import (
    Image,
    LimitError,
    Limits,
    SourceChangedError,
    UnionLayersError,
    UnknownFormatError,
    open_image,
)
from unionlayers._codec import random_access
from unionlayers._codec.page_cache import shared_pages
from unionlayers.testing import ImageDescription, file, oci_archive

CAMPAIGN = bool(os.environ.get("UNIONLAYERS_CAMPAIGN"))
pytestmark = [
    pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="files are counted in /proc"),
    pytest.mark.timeout(14_400 if CAMPAIGN else 300),
]


def contents(image: Image) -> dict[str, Any]:
    view = image.fs()
    return {path: view.readbytes(path) for path, _ in view.find()}


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    with open_image(io.BytesIO(varied_image())) as image:
        return contents(image)


# -- file objects ----------------------------------------------------------------------------------


class Faulty(io.BytesIO):
    """A file object whose n-th read goes wrong in some way."""

    def __init__(self, data: bytes, fault: Callable[[bytes], Any], at: int) -> None:
        super().__init__(data)
        self.fault = fault
        self.at = at
        self.reads = 0

    def read(self, size: int | None = -1, /) -> Any:
        self.reads += 1
        data = super().read(size)
        return self.fault(data) if self.reads == self.at else data


class OwnError(Exception):
    """An error of a file object's own, such as that of a network."""


def raising(error: BaseException) -> Callable[[bytes], Any]:
    def fault(_data: bytes) -> Any:
        raise error

    return fault


FAULTS: dict[str, tuple[Callable[[bytes], Any], type[BaseException]]] = {
    "OSError": (raising(OSError(errno.EIO, "broken")), OSError),
    "an error of its own": (raising(OwnError("away")), OwnError),
    "KeyboardInterrupt": (raising(KeyboardInterrupt()), KeyboardInterrupt),
    "None": (lambda _: None, UnknownFormatError),
    "text": (lambda data: data.decode("latin-1"), UnknownFormatError),
    "a number": (len, UnknownFormatError),
    "nothing": (lambda _: b"", SourceChangedError),
    "too much": (lambda data: data + b"more", UnknownFormatError),
}


# What a process has indexed it knows by its digest for as long as an index lives, which is until
# the collector comes by.  Limits of its own keep a run from what others left.
_RUNS = count(10**9)


@pytest.mark.parametrize("known", [False, True], ids=["cold", "known"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_read_that_fails_reaches_the_caller_and_the_next_question_is_answered(
    name: str, known: bool, expected: dict[str, Any], seed: int
) -> None:
    fault, kind = FAULTS[name]
    dice = random.Random(f"{seed} {name}")
    with ExitStack() as lasting:
        same = Limits(entries=next(_RUNS))

        def limits() -> Limits:
            return same if known else Limits(entries=next(_RUNS))

        if known:
            first = lasting.enter_context(open_image(io.BytesIO(varied_image()), limits=same))
            assert contents(first) == expected
        quiet = Faulty(varied_image(), fault, -1)
        with open_image(quiet, limits=limits()) as image:
            contents(image)
        places = {1, 2, quiet.reads, *(dice.randint(1, quiet.reads) for _ in range(8))}
        with nothing_left():
            for at in range(1, quiet.reads + 1) if CAMPAIGN else sorted(places):
                given = Faulty(varied_image(), fault, at)
                try:
                    image = open_image(given, limits=limits())
                except kind:
                    assert given.reads == at
                    continue
                with image:
                    with pytest.raises(kind):
                        contents(image)
                    assert given.reads == at, "more was read after a fault"
                    # It was not taken for damage of the image.
                    assert contents(image) == expected
                del image, given


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("most", [1000, 10_007])
def test_short_reads_and_other_kinds_of_bytes_change_nothing(kind: Any, most: int) -> None:
    class Odd(io.BytesIO):
        def read(self, size: int | None = -1, /) -> Any:
            return kind(super().read(min(size or 0, most)))

    data = mutants.subject("oci gzip").archive
    with open_image(Odd(data)) as image:
        assert mutants.fault(mutants.ask(image), mutants.subject("oci gzip").answers) is None


def test_a_file_object_that_cannot_seek_any_more_is_an_error_each_time() -> None:
    class Stuck(io.BytesIO):
        stuck = False

        def seek(self, *place: Any) -> int:
            if self.stuck:
                raise OSError(errno.ESPIPE, "no more")
            return super().seek(*place)

    given = Stuck(varied_image())
    with open_image(given) as image:
        given.stuck = True
        for _ in range(2):
            with pytest.raises(OSError, match="no more"):
                contents(image)


# -- interrupts ------------------------------------------------------------------------------------


def test_an_interrupt_at_any_line_leaves_an_image_that_answers(
    tmp_path: Path, expected: dict[str, Any], seed: int
) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(varied_image())

    def work(image: Image) -> None:
        image.prepare([1, 2])
        assert contents(image) == expected
        assert image.findings
        image.verify()

    with open_image(path) as image:
        places = everywhere(lambda: work(image), random.Random(seed), 10_000 if CAMPAIGN else 60)
    reached = 0
    with nothing_left():
        for line, occurrence in places:
            with open_image(path) as image:
                reached += interrupted(partial(work, image), line, occurrence)
                found = in_time(partial(contents, image))
                assert found == expected, (line, occurrence)
    # Threads take turns, so that a line need not be met as often as before.
    assert reached > len(places) // 2


def test_an_interrupted_decoder_keeps_nobody_waiting(
    tmp_path: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot say that it has ended is waited for by nobody, however long one may wait."""
    monkeypatch.setattr(random_access, "_LONGEST_WAIT", 3600.0)
    path = tmp_path / "image.tar"
    path.write_bytes(varied_image())
    with open_image(path) as image:
        lines = lines_of(partial(contents, image))
    own = sorted(line for line in lines if line[0] == random_access.__file__)
    assert len(own) > 20
    for line in own:
        with open_image(path) as image:
            assert interrupted(partial(contents, image), line, 1)
            assert in_time(partial(contents, image)) == expected, line


def test_an_interrupt_at_any_line_of_opening_leaves_nothing_open(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(mutants.subject("docker").archive)

    def work() -> None:
        open_image(path).close()

    places = everywhere(work, random.Random(seed), 10_000 if CAMPAIGN else 150)
    with nothing_left():
        reached = sum(interrupted(work, line, occurrence) for line, occurrence in places)
        assert reached == len(places)


# -- disks -----------------------------------------------------------------------------------------

FULL = textwrap.dedent(
    """
    import errno, io, os, resource, sys
    sys.path[:0] = sys.argv[1:]
    from mishaps import nothing_left, varied_image
    from unionlayers import open_image

    whole = varied_image()
    with nothing_left():
        with open_image(io.BytesIO(whole)) as image:
            view = image.fs()
            # No file may become longer than this: the disk is full.
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
            for _ in range(2):
                try:
                    view.readbytes("/a/xz")
                except OSError as error:
                    assert error.errno == errno.EFBIG, error
                else:
                    raise AssertionError("it was written")
            assert len(view.readbytes("/a/zstd")) > 1_000_000
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            # As soon as there is room, it is used.
            assert len(view.readbytes("/a/xz")) > 2_000_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))

        class Pipe(io.BytesIO):
            def seekable(self):
                return False

        try:
            open_image(Pipe(whole), spool=True)
        except OSError as error:
            assert error.errno == errno.EFBIG, error
        else:
            raise AssertionError("it was copied")
    """
)


def test_a_disk_that_is_full_for_temporary_files_is_an_error_until_there_is_room() -> None:
    tools = str(Path(__file__).resolve().parent / "tools")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL, tools, *sys.path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("at", [1, 2, 5])
def test_a_temporary_file_that_cannot_be_written_is_no_damage_of_the_image(
    at: int, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tempfile.TemporaryFile
    writes = 0

    class Full(io.FileIO):
        def write(self, data: Any, /) -> int:
            nonlocal writes
            writes += 1
            if writes >= at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data)

    def temporary(*args: Any, **options: Any) -> Any:
        with made(*args, **options) as file:
            return Full(os.dup(file.fileno()), "r+b")

    with nothing_left(), open_image(io.BytesIO(varied_image())) as image:
        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "TemporaryFile", temporary)
            for _ in range(2):
                with pytest.raises(OSError, match="No space left") as caught:
                    image.fs().readbytes("/a/xz")
                assert not isinstance(caught.value, UnionLayersError)
            del caught
        assert contents(image) == expected


def test_no_folder_for_temporary_files_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with nothing_left(), open_image(io.BytesIO(varied_image())) as image:
        with pytest.raises(FileNotFoundError, match="none"):
            image.fs().readbytes("/a/xz")
        assert image.fs().readbytes("/a/plain")


# -- what is left ----------------------------------------------------------------------------------


def closed(image: Image) -> None:
    image.close()


def closed_in_the_middle(image: Image) -> None:
    view = image.fs()
    reading = view.openbin("/a/gzip")
    reading.read(10)
    walking = view.find()
    next(walking)
    image.close()
    with pytest.raises(UnionLayersError):
        reading.read(1 << 20)
    with pytest.raises(UnionLayersError):
        list(walking)
    image.close()


def dropped(image: Image) -> None:
    image.fs().readbytes("/a/xz")


def failed(image: Image) -> None:
    with image, pytest.raises(FileNotFoundError):
        image.fs().readbytes("/none")


@pytest.mark.parametrize("end", [closed, closed_in_the_middle, dropped, failed])
def test_every_end_of_an_image_gives_back_files_threads_and_memory(
    end: Callable[[Image], None], tmp_path: Path, expected: dict[str, Any]
) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(varied_image())

    def once() -> None:
        image = open_image(path)
        assert len(contents(image)) == len(expected)
        end(image)

    def held() -> int:
        # One that is dropped goes with the collector, and its pages with the next use of them.
        gc.collect()
        shared_pages().add_page(-1, 0, b"")
        return tracemalloc.get_traced_memory()[0]

    with nothing_left():
        tracemalloc.start()
        try:
            once()
            with nothing_left():
                before = held()
                once()
                once()
            grown = held() - before
        finally:
            tracemalloc.stop()
    # A page is 256 KiB, and the contents are five MB.
    assert grown < 150_000


def test_a_limit_that_is_reached_gives_back_files_and_threads(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    image = ImageDescription([[file("a", bytes(4 << 20))], [file("b", b"1")]])
    path.write_bytes(oci_archive(image, codec="gzip"))
    with nothing_left(), open_image(path, limits=Limits(layer_bytes=2 << 20)) as opened:
        for _ in range(2):
            with pytest.raises(LimitError):
                opened.prepare()
        assert opened.layers[1].fs().readbytes("/b") == b"1"
