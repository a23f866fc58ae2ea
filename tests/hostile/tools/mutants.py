"""
Images with one byte flipped or the end cut off, and what may become of them.

Every mutant is a number away from its `Subject`, so that a failure is repeated by its name alone,
and the work can be shared out between processes.  `tried` opens a mutant and asks it everything;
`fault` holds the answers against those of the whole image: each must be the same or an error.
"""

from __future__ import annotations

import gc
import io
import os
import random
import signal
import tarfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from attrs import frozen

from unionlayers import Image, Layer, UnionFS, UnionLayersError, open_image
from unionlayers._views._pyfilesystem import errors as fs_errors
from unionlayers.testing import (
    Damage,
    ImageDescription,
    LayerDescription,
    docker_archive,
    oci_archive,
)

__all__ = [
    "CUT",
    "FLIPPED",
    "SUBJECTS",
    "Answers",
    "Hung",
    "Subject",
    "ask",
    "descriptors",
    "fault",
    "faults_of",
    "hurried",
    "mutant",
    "subject",
    "tried",
    "tried_in_turn",
]

DEMO = Path(__file__).resolve().parents[3] / "examples" / "demo-image"
TYPES = ("file", "directory", "symlink", "device", "fifo")
NAMESPACES = ("stat", "link", "xattr", "layer")
# Of three layers.
PATHS = ("/etc/os-release", "/srv/ledger/app.py", "/etc/passwd")
CPU_SECONDS = 20.0

Answers = dict[str, Any]
"""What was asked, and the answer, or the error."""


@frozen(eq=False)
class Subject:
    """
    An image that mutants are made of.

    Attributes:
        archive: Its bytes.
        documents: Where its documents lie, as (start, end).
        blobs: Where its layers lie.
        layers: The tar of each layer, base first.
        stored: The blob of each layer.
        answers: What it answers.
    """

    archive: bytes
    documents: tuple[tuple[int, int], ...]
    blobs: tuple[tuple[int, int], ...]
    layers: tuple[bytes, ...]
    stored: tuple[bytes, ...]
    answers: Answers


# -- what is asked ---------------------------------------------------------------------------------


class Hung(BaseException):
    """A question took longer than any may."""


@contextmanager
def hurried(seconds: float = CPU_SECONDS) -> Iterator[None]:
    """Raise `Hung` where the work takes more processor time than this; main thread only."""

    def late(_signal: int, _frame: Any) -> None:
        raise Hung(f"no answer within {seconds} s of processor time")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def descriptors() -> int:
    """Count the files that this process has open."""
    return len(os.listdir("/proc/self/fd"))


def _answer(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except Exception as error:  # noqa: BLE001 - which of them it may be is judged by `fault`
        # Without the frames, which would keep the image.
        return error.with_traceback(None)


def _tree(view: UnionFS) -> dict[str, Any]:
    found = view.find(None, types=TYPES, namespaces=NAMESPACES)
    return {
        path: (
            [info.raw[space] for space in NAMESPACES],
            view.readbytes(path) if info.raw["details"]["type"] == 2 else None,
        )
        for path, info in found
    }


def _of_layer(layer: Layer) -> tuple[Any, ...]:
    read = (layer.empty, layer.marks)
    return (*read, layer.digest, layer.diff_id, layer.chain_id, layer.created_by, layer.created)


def ask(image: Image) -> Answers:
    """Ask everything that digests protect, in an order that begins with narrow questions."""
    view = image.fs()
    questions: dict[str, Callable[[], Any]] = {}
    for path in PATHS:
        questions[f"fs:{path}"] = partial(view.isfile, path)
        questions[f"fs:size of {path}"] = partial(view.getsize, path)
        questions[f"fs:content of {path}"] = partial(view.readbytes, path)
    for layer in image.layers:
        questions[f"layer {layer.index}"] = partial(_of_layer, layer)
    questions["fs:tree"] = partial(_tree, view)
    questions["fs:findings"] = lambda: view.findings
    answers = {name: _answer(question) for name, question in questions.items()}
    answers["documents"] = (
        image.id,
        image.digest,
        image.config,
        image.raw_config,
        image.raw_manifest if image.digest is not None else None,
        image.history,
        len(image.layers),
    )
    return answers


def tried(source: Any, **options: Any) -> Answers:
    """Open a source and ask everything; what opening raises is the one answer then."""
    try:
        image = open_image(source, **options)
    except Exception as error:  # noqa: BLE001 - as in `_answer`
        return {"open": error.with_traceback(None)}
    with image:
        return ask(image)


def fault(found: Answers, expected: Answers | None) -> str | None:
    """
    Say what is wrong with the answers of a mutant; None where nothing is.

    Args:
        found: The answers.
        expected: Those of the whole image; None where a mutant may answer anything.
    """
    for name, answer in found.items():
        if isinstance(answer, Exception):
            if not isinstance(answer, UnionLayersError):
                return f"{name}: raises {type(answer).__name__}: {answer}"
            if name.startswith("fs:") and not isinstance(answer, fs_errors.FSError):
                return f"{name}: raises {type(answer).__name__}, which PyFilesystem does not know"
            if not str(answer):
                return f"{name}: {type(answer).__name__} says nothing"
        elif expected is not None and answer != expected[name]:
            return f"{name}: answers {str(answer)[:300]}"
    return None


# -- what is damaged -------------------------------------------------------------------------------


def _members(archive: bytes) -> list[tuple[str, int, int]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return [
            (one.name, one.offset_data, one.offset_data + one.size) for one in tar if one.isreg()
        ]


def _made_of(archive: bytes) -> Subject:
    with open_image(io.BytesIO(archive)) as image:
        answers = ask(image)
        wrong = {name: one for name, one in answers.items() if isinstance(one, Exception)}
        assert not wrong, wrong
        stored = []
        layers = []
        for layer in image.layers:
            member = image.record.layers[layer.index].member
            assert member is not None
            blob = image.blob(member)
            assert blob is not None
            stored.append(blob.pread(0, blob.size))
            plain = layer.content()
            layers.append(plain.pread(0, plain.size))
    spans = [(start, end) for _, start, end in _members(archive)]
    blobs = [span for span in spans if archive[slice(*span)] in stored]
    documents = [span for span in spans if archive[slice(*span)][:1] in (b"{", b"[")]
    assert len(blobs) == len(set(stored))
    assert len(documents) >= 2
    return Subject(
        archive, tuple(documents), tuple(blobs), tuple(layers), tuple(stored), answers
    )  # fmt: skip


@cache
def subject(name: str) -> Subject:
    """Give a subject by its name in `SUBJECTS`."""
    if name == "docker":
        return _made_of((DEMO / "ledger.docker.tar").read_bytes())
    real = _made_of((DEMO / "ledger.oci.tar").read_bytes())
    if name == "oci gzip":
        return real
    # The same layers in the other compression, as nerdctl and buildkit write it.
    layers = [LayerDescription(tar, codec=name.partition(" ")[2]) for tar in real.layers]
    return _made_of(oci_archive(ImageDescription(layers, tags=["example.org/ledger:1.0"])))


SUBJECTS = ("oci gzip", "oci zstd", "oci identity", "docker")


def _flipped(data: bytes, at: int, dice: random.Random) -> bytes:
    changed = bytearray(data)
    changed[at] ^= dice.randrange(1, 256) if dice.randrange(2) else 1 << dice.randrange(8)
    return bytes(changed)


def _within(spans: tuple[tuple[int, int], ...], dice: random.Random) -> int:
    """Give a place in one of several stretches, each as likely, and its ends the likeliest."""
    start, end = dice.choice(spans)
    near = dice.randrange(4)
    if near == 0:
        return min(start + dice.randrange(20), end - 1)
    if near == 1:
        return max(end - 1 - dice.randrange(20), start)
    return dice.randrange(start, end)


def _rebuilt(base: Subject, place: int, **changed: Any) -> bytes:
    """Write the image anew with another layer, and with digests that fit it."""
    layers = [
        LayerDescription(tar, stored=stored)
        for tar, stored in zip(base.layers, base.stored, strict=True)
    ]
    layers[place] = LayerDescription(**changed)
    image = ImageDescription(layers)
    made = oci_archive if len(base.stored[0]) != len(base.layers[0]) else docker_archive
    return made(image, codec="identity")


def mutant(base: Subject, kind: str, dice: random.Random) -> tuple[bytes, Answers | None]:
    """
    Give a mutant, and the answers that it may not differ from.

    Args:
        base: What is damaged.
        kind: One of `FLIPPED` or `CUT`.
        dice: What decides where.
    """
    trees = _loose({name: one for name, one in base.answers.items() if name != "documents"})
    match kind:
        case "archive" | "archive, unverified":
            at = dice.randrange(len(base.archive))
            kept = base.answers if kind == "archive" else None
            return _flipped(base.archive, at, dice), kept
        case "documents":
            return _flipped(base.archive, _within(base.documents, dice), dice), base.answers
        case "blobs":
            return _flipped(base.archive, _within(base.blobs, dice), dice), base.answers
        case "blobs, digest mended" | "blobs cut, digest mended":
            place = dice.randrange(len(base.stored))
            stored = base.stored[place]
            at = _within(((0, len(stored)),), dice)
            changed = _flipped(stored, at, dice) if "cut" not in kind else stored[:at]
            # The diff_id is what is left to find it out.
            return _rebuilt(base, place, data=base.layers[place], stored=changed), trees
        case "tars, digests mended" | "tars cut, digests mended":
            place = dice.randrange(len(base.layers))
            tar = base.layers[place]
            at = dice.randrange(len(tar))
            changed = _flipped(tar, at, dice) if "cut" not in kind else tar[:at]
            codec = "identity" if dice.randrange(4) else "gzip"
            return _rebuilt(base, place, data=changed, codec=codec), None
        case "config, digests mended":
            raw = base.answers["documents"][3]
            changed = _flipped(raw, dice.randrange(len(raw)), dice)
            layers = [
                LayerDescription(tar, stored=stored)
                for tar, stored in zip(base.layers, base.stored, strict=True)
            ]
            damage = Damage(edits={"config": lambda _: changed})
            kept = {name: one for name, one in trees.items() if name.startswith("fs:")}
            return oci_archive(ImageDescription(layers), damage=damage), kept
    assert kind == "archive cut", kind
    return base.archive[: dice.randrange(1, len(base.archive))], base.answers


def _loose(answers: Answers) -> Answers:
    """Leave out what documents say that were written anew."""

    def loosened(name: str, answer: Any) -> Any:
        if isinstance(answer, Exception):
            return answer
        if name.startswith("layer "):
            return (*answer[:2], *answer[3:5])
        if name == "fs:tree":
            return {path: (spaces[:-1], content) for path, (spaces, content) in answer.items()}
        return answer

    return {name: loosened(name, answer) for name, answer in answers.items()}


FLIPPED = (
    "archive",
    "documents",
    "blobs",
    "blobs, digest mended",
    "tars, digests mended",
    "config, digests mended",
    "archive, unverified",
)
CUT = ("archive cut", "blobs cut, digest mended", "tars cut, digests mended")


def tried_in_turn(name: str, kind: str, numbers: range, seed: int) -> list[str]:
    """Try the mutants of these numbers and give what is wrong with them."""
    base = subject(name)
    faults = []
    threads, files = threading.active_count(), descriptors()
    for number in numbers:
        dice = random.Random(f"{seed} {name} {kind} {number}")
        data, expected = mutant(base, kind, dice)
        try:
            with hurried():
                found = tried(io.BytesIO(data), verify="unverified" not in kind)
        except Hung as error:
            faults.append(f"mutant {number} of {name}, {kind}: {error}")
            continue
        if expected is not None and "mended" in kind:
            found = {
                name: one for name, one in _loose(found).items() if name in (*expected, "open")
            }
        wrong = fault(found, expected)
        if wrong is not None:
            faults.append(f"mutant {number} of {name}, {kind}: {wrong}")
    gc.collect()
    if (threading.active_count(), descriptors()) != (threads, files):
        faults.append(f"{name}, {kind}: threads or files are left over")
    return faults


def faults_of(name: str, kind: str, count: int, seed: int, *, processes: int = 1) -> list[str]:
    """Try so many mutants, in so many processes, and give what is wrong with them."""
    if processes == 1:
        return tried_in_turn(name, kind, range(count), seed)
    step = max(1, min(500, count // processes))
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [
            pool.submit(tried_in_turn, name, kind, range(at, min(at + step, count)), seed)
            for at in range(0, count, step)
        ]
        return [one for job in jobs for one in job.result()]
