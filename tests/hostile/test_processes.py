"""Eight threads, forked children and spawned ones, all on one image at once."""

from __future__ import annotations

import faulthandler
import io
import multiprocessing
import os
import pickle
import random
import select
import signal
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mishaps import in_child, in_time, nothing_left, varied_image

from unionlayers import ClosedError, Image, UnionLayersError, UnsupportedError, open_image

CAMPAIGN = bool(os.environ.get("UNIONLAYERS_CAMPAIGN"))
THREADS = 8

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
pytestmark = pytest.mark.timeout(14_400 if CAMPAIGN else 300)

Answers = dict[str, Any]


def contents(image: Image) -> Answers:
    """Give what every path is and holds, in the order of a walk."""
    view = image.fs()
    found = view.find(types=("file", "directory", "symlink"), namespaces=("stat", "layer"))
    return {
        path: (
            info.raw["stat"],
            info.raw["layer"],
            view.readbytes(path) if info.raw["details"]["type"] == 2 else None,
        )
        for path, info in found
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "image.tar"
    made.write_bytes(varied_image())
    return made


@pytest.fixture(scope="module")
def expected() -> Answers:
    with open_image(io.BytesIO(varied_image())) as image:
        return contents(image)


# -- threads ---------------------------------------------------------------------------------------


def pieces(image: Image, expected: Answers, dice: random.Random) -> None:
    """Read pieces of files in no order, and look at paths between them."""
    view = image.fs()
    files = {path: content for path, (_, _, content) in expected.items() if content}
    for _ in range(30):
        path = dice.choice(sorted(files))
        whole = files[path]
        at = dice.randrange(len(whole))
        with view.openbin(path) as opened:
            opened.seek(at)
            assert opened.read(5_000) == whole[at : at + 5_000]
        assert view.getinfo(path, ["stat"]).raw["stat"] == expected[path][0]
        assert not view.exists("/gone")


WORK: tuple[Callable[[Image, Answers, random.Random], Any], ...] = (
    lambda image, expected, _: contents(image) == expected or pytest.fail("another tree"),
    pieces,
    lambda image, _expected, _: image.prepare(),
    lambda image, _expected, _: image.findings,
    lambda image, _expected, _: image.verify(),
    pieces,
    lambda image, _expected, dice: dice.choice(image.layers).fs().listdir("/"),
    lambda image, expected, _: contents(image) == expected or pytest.fail("another tree"),
)


def at_once(
    start: threading.Barrier, work: Any, image: Image, expected: Answers, dice: random.Random
) -> None:
    start.wait()
    work(image, expected, dice)


@pytest.mark.parametrize("source", ["path", "file object", "store"])
def test_eight_threads_that_ask_all_at_once_are_told_the_same(
    source: str, path: Path, tmp_path: Path, expected: Answers, seed: int
) -> None:
    for number in range(30 if CAMPAIGN else 2):
        dice = random.Random(f"{seed} {source} {number}")
        with nothing_left(), ThreadPoolExecutor(THREADS) as pool:
            given: Any = io.BytesIO(varied_image()) if source == "file object" else path
            store = tmp_path / "store" if source == "store" else None
            with open_image(given, index_store=store) as image:
                start = threading.Barrier(THREADS)
                jobs = [
                    pool.submit(at_once, start, work, image, expected, random.Random(dice.random()))
                    for work in dice.sample(WORK, THREADS)
                ]
                for job in jobs:
                    job.result()


def until_closed(image: Image, expected: Answers, dice: random.Random) -> Exception | None:
    try:
        while True:
            pieces(image, expected, dice)
    except UnionLayersError as error:
        return error.with_traceback(None)


def test_an_image_closed_under_eight_readers_ends_them_all_with_an_error_of_ours(
    path: Path, expected: Answers, seed: int
) -> None:
    for number in range(30 if CAMPAIGN else 4):
        dice = random.Random(f"{seed} {number}")
        with nothing_left(), ThreadPoolExecutor(THREADS) as pool:
            image = open_image(path)
            jobs = [
                pool.submit(until_closed, image, expected, random.Random(dice.random()))
                for _ in range(THREADS)
            ]
            time.sleep(dice.random() / 5)
            image.close()
            errors = [job.result(60) for job in jobs]
            assert {isinstance(error, ClosedError) for error in errors} == {True}, errors
            del image, jobs, errors


# -- forked children -------------------------------------------------------------------------------


def forked(work: Callable[[], Any], seconds: float = 60.0) -> str:
    """
    Do some work in a forked child, and give what went wrong there; nothing, if nothing did.

    A child that waits for ever ends all the same: after *seconds* it says where each of its threads
    stands, and one that has not even come to that is ended by its parent.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # From Python 3.12 on, which says that there are threads: that is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        said = "the child was not able to say anything"
        try:
            os.close(reader)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            faulthandler.register(signal.SIGALRM, file=writer, all_threads=True, chain=True)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            work()
            said = ""
        except BaseException:  # noqa: BLE001 - the parent is told
            said = traceback.format_exc()
        finally:
            os.write(writer, said.encode()[:60_000])
            os._exit(0)
    os.close(writer)
    try:
        said = all_of(reader, seconds + 30)
    finally:
        os.close(reader)
        # Of no effect on one that has ended.
        os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return said or ("" if code == 0 else f"the child ended by {code}: it waits for a lock")


def all_of(reader: int, seconds: float) -> str:
    """Give what comes out of a pipe until its other end is closed, or until it is too late."""
    until = time.monotonic() + seconds
    said = b""
    while select.select([reader], [], [], max(0, until - time.monotonic()))[0]:
        data = os.read(reader, 65_536)
        if not data:
            return said.decode()
        said += data
    return said.decode() + "\nthe child hung before it could say where"


def the_same(image: Image, expected: Answers) -> None:
    assert contents(image) == expected
    image.prepare()
    image.verify()
    assert image.findings is not None
    image.close()


@posix
@pytest.mark.parametrize("source", ["path", "memory"])
def test_a_fork_while_another_thread_indexes_does_not_wait_for_it(
    source: str, path: Path, expected: Answers
) -> None:
    inside, over = threading.Event(), threading.Event()

    def progress(_done: int, _total: int | None, _what: str) -> None:
        if not inside.is_set():
            inside.set()
            over.wait()

    given: Any = path if source == "path" else io.BytesIO(varied_image())
    with nothing_left(), open_image(given, progress=progress) as image:
        # It holds the lock of the layer, and that of its blob, until the child is done.
        indexing = threading.Thread(target=lambda: image.layers[0].fs().listdir("/"))
        indexing.start()
        assert inside.wait(60)
        try:
            said = forked(lambda: the_same(image, expected))
        finally:
            over.set()
            indexing.join()
        assert said == ""
        assert contents(image) == expected


class SlowFile(io.FileIO):
    """A temporary file, in the middle of a write to which another thread has a child made."""

    writing: threading.Event
    over: threading.Event

    def write(self, data: Any, /) -> int:
        self.writing.set()
        assert self.over.wait(60)
        return super().write(data)


@posix
def test_a_fork_while_another_thread_writes_its_temporary_file_does_not_wait_for_it(
    path: Path, tmp_path: Path, expected: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, over = threading.Event(), threading.Event()

    def made(*, prefix: str, buffering: int = -1) -> Any:
        file = SlowFile(tmp_path / prefix, "w+")
        file.writing, file.over = writing, over
        return file if buffering == 0 else io.BufferedRandom(file)

    def read_in_child() -> None:
        monkeypatch.undo()
        assert image.fs().readbytes("/a/xz") == expected["/a/xz"][2]

    with open_image(path) as image:
        image.prepare()
        monkeypatch.setattr(tempfile, "TemporaryFile", made)
        reading = threading.Thread(target=lambda: image.fs().readbytes("/a/xz"))
        reading.start()
        assert writing.wait(60)
        try:
            said = forked(read_in_child)
        finally:
            over.set()
            reading.join()
        assert said == ""
        assert image.fs().readbytes("/a/xz") == expected["/a/xz"][2]


@posix
@pytest.mark.parametrize("source", ["path", "memory", "store"])
def test_forks_while_others_read_give_every_child_the_same_answers(
    source: str, path: Path, tmp_path: Path, expected: Answers, seed: int
) -> None:
    dice = random.Random(seed)
    given: Any = io.BytesIO(varied_image()) if source == "memory" else path
    over = threading.Event()
    store = tmp_path / "store" if source == "store" else None
    with nothing_left(), open_image(given, index_store=store) as image:

        def read(own: random.Random) -> None:
            while not over.is_set():
                own.choice(WORK)(image, expected, own)

        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(read, random.Random(dice.random())) for _ in range(4)]
            said = []
            try:
                for _ in range(200 if CAMPAIGN else 6):
                    time.sleep(dice.random() / 10)
                    said.append(forked(lambda: the_same(image, expected)))
            finally:
                # The pool waits for them, whatever went wrong here.
                over.set()
            for job in jobs:
                job.result()
        assert said == [""] * len(said)


@posix
def test_a_child_has_pages_and_temporary_files_of_its_own(path: Path, expected: Answers) -> None:
    # They would move one position if the file were the same.
    whole = expected["/a/xz"][2]

    def read(step: int) -> None:
        with image.fs().openbin("/a/xz") as opened:
            for at in range(0, len(whole), step):
                assert opened.read(step) == whole[at : at + step]

    with open_image(path) as image:
        image.fs().readbytes("/a/xz")
        said: list[str] = []
        child = threading.Thread(target=lambda: said.append(forked(lambda: read(7_000))))
        child.start()
        for _ in range(3):
            read(50_000)
        child.join()
        assert said == [""]


@posix
def test_a_file_object_that_a_child_shares_with_its_parent_is_refused_there(path: Path) -> None:
    def refused() -> None:
        for _ in range(2):
            with pytest.raises(UnsupportedError, match="position") as caught:
                image.fs().readbytes("/a/plain")
            assert "by its path" in str(caught.value.hint)

    with path.open("rb") as given, open_image(given) as image:
        assert forked(refused) == ""
        assert image.fs().readbytes("/a/plain")


@posix
def test_a_fork_from_the_callback_can_go_on_in_both_processes(
    path: Path, expected: Answers
) -> None:
    told: list[str] = []

    def progress(_done: int, _total: int | None, _what: str) -> None:
        if not told:
            told.append(forked(lambda: pickle.dumps(image.layers[3].fs().listdir("/"))))

    with open_image(path, progress=progress) as image:
        assert contents(image) == expected
    assert told == [""]


# -- spawned ones ----------------------------------------------------------------------------------


def test_a_spawned_child_opens_the_image_anew(path: Path, expected: Answers) -> None:
    names = [name for name, (_, _, content) in expected.items() if content is not None]
    context = multiprocessing.get_context("spawn")
    with (
        open_image(path) as image,
        ProcessPoolExecutor(2, mp_context=context) as pool,
    ):
        for name, job in [(name, pool.submit(in_child, image, name)) for name in names]:
            assert job.result(120) == (["a", "link"], len(expected[name][2]))
        assert in_time(lambda: contents(image)) == expected
