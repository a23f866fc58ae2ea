"""Progress never falls and knows where it goes; what stops it stops the work and nothing more."""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unionlayers import Image, open_image
from unionlayers.testing import ImageDescription, file, oci_archive

SIZE = 3 << 20


@pytest.fixture(scope="module")
def data() -> bytes:
    layers = [[file(f"f{number}", os.urandom(SIZE))] for number in range(4)]
    return oci_archive(ImageDescription(layers), codec="identity")


@pytest.fixture
def archive(data: bytes, tmp_path: Path) -> Path:
    """Give an image of four layers that are reported several times each, new for every test."""
    path = tmp_path / "image.tar"
    path.write_bytes(data)
    return path


class Told:
    """What a callback was told."""

    def __init__(self) -> None:
        self.all: list[tuple[int, int | None, str]] = []

    def __call__(self, done: int, total: int | None, what: str) -> None:
        self.all.append((done, total, what))

    def check(self, what: str, total: int) -> None:
        counts = [done for done, *_ in self.all]
        assert counts == sorted(counts)
        assert len(set(counts)) > 2
        assert {(total, what) for _, total, what in self.all} == {(total, what)}
        assert counts[-1] == total


def whole(image: Image) -> int:
    return sum(layer.size for layer in image.layers)


def test_preparing_reports_all_layers_together(archive: Path) -> None:
    told = Told()
    with open_image(archive, progress=told) as image:
        image.prepare()
        told.check("layers", whole(image))


def test_what_is_prepared_twice_is_reported_as_done(archive: Path) -> None:
    told = Told()
    with open_image(archive, progress=told) as image:
        image.prepare()
        told.all.clear()
        image.prepare()
        assert told.all[-1][:2] == (whole(image), whole(image))


def test_a_question_reports_the_layer_that_it_needs(archive: Path) -> None:
    told = Told()
    with open_image(archive, progress=told) as image:
        image.layers[2].fs().listdir("/")
        told.check("layer 2", image.layers[2].size)


@pytest.mark.parametrize("whose", ["its own", "the image's"])
def test_verifying_reports_to_its_own_callback_or_the_images(whose: str, archive: Path) -> None:
    own, general = Told(), Told()
    with open_image(archive, progress=general) as image:
        image.verify(own if whose == "its own" else None)
        (own if whose == "its own" else general).check("verify", whole(image))
        assert bool(own.all) != bool(general.all)


def test_hashing_for_a_store_reports_too(archive: Path, tmp_path: Path) -> None:
    told = Told()
    open_image(archive, index_store=tmp_path / "s").prepare()
    with (
        archive.open("rb") as opened,
        open_image(opened, index_store=tmp_path / "s", progress=told) as image,
    ):
        image.prepare()
        told.check("layers", whole(image))


class Stop(BaseException):
    """What no library catches."""


def threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Stop])
@pytest.mark.parametrize("work", ["prepare", "verify", "question"])
def test_an_exception_stops_the_work_reaches_the_caller_and_leaves_the_image_usable(
    error: Any, work: str, archive: Path
) -> None:
    before = threads()
    raised = error("enough")
    armed = True
    after = 0

    def progress(done: int, _total: int | None, _what: str) -> None:
        nonlocal after
        if armed and done >= 1 << 20:
            after += 1
            raise raised

    with open_image(archive, progress=progress) as image:
        question: Any = {
            "prepare": image.prepare,
            "verify": image.verify,
            "question": lambda: image.fs().listdir("/"),
        }[work]
        with pytest.raises(error) as caught:
            question()
        assert caught.value is raised
        # Nobody was asked again after that.
        assert after == 1
        assert threads() == before
        armed = False
        question()
        assert image.fs().listdir("/") == ["f0", "f1", "f2", "f3"]
    assert threads() == before


@pytest.fixture
def interruptible() -> Iterator[None]:
    """See to interrupts as Python does, also where a shell started the tests with them ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_of_the_waiting_thread_stops_the_others(
    archive: Path, interruptible: None
) -> None:
    before = threads()
    others = set(threading.enumerate())
    armed = True

    def progress(_done: int, _total: int | None, _what: str) -> None:
        nonlocal armed
        if armed and threading.current_thread() is not threading.main_thread():
            armed = False
            _thread.interrupt_main()

    with open_image(archive, progress=progress) as image:
        interrupted = False
        try:
            image.prepare()
        except KeyboardInterrupt:
            interrupted = True
        # With one core everything is done by the thread that waits.
        assert interrupted or (os.cpu_count() or 1) == 1
        # On a busy machine the interrupt may come while the threads are waited for.
        for thread in set(threading.enumerate()) - others:
            thread.join(30)
        assert threads() == before
        image.prepare()
        assert image.fs().listdir("/") == ["f0", "f1", "f2", "f3"]
