"""
A real image with any byte flipped, or cut anywhere, gives the right answer or an error of ours.

With digests checked no answer is ever a wrong one: neither the tree, nor a content, a config or the
history.  References, and what an index says of its images, are protected by no digest and are not
compared; the others are.  The counts of the campaign are 100,000 flips and every 512th byte.
"""

from __future__ import annotations

import gc
import io
import os
import random
import tracemalloc
from pathlib import Path

import mutants
import pytest
from mutants import CUT, FLIPPED, SUBJECTS

from unionlayers import DirectoryIndexStore
from unionlayers._image import stored_layers

CAMPAIGN = bool(os.environ.get("UNIONLAYERS_CAMPAIGN"))
FLIPS = 100_000 if CAMPAIGN else 700
CUTS = 12_000 if CAMPAIGN else 240
PROCESSES = 2 if CAMPAIGN else 1

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="time is taken by a POSIX signal"),
    pytest.mark.timeout(14_400 if CAMPAIGN else 300),
]


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("kind", FLIPPED)
def test_a_flipped_byte_is_found_out_or_changes_nothing(name: str, kind: str, seed: int) -> None:
    count = -(-FLIPS // (len(FLIPPED) * len(SUBJECTS)))
    faults = mutants.faults_of(name, kind, count, seed, processes=PROCESSES)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("kind", CUT)
def test_what_is_cut_at_random_is_found_out_or_lacks_nothing(
    name: str, kind: str, seed: int
) -> None:
    count = CUTS // (len(CUT) * len(SUBJECTS))
    faults = mutants.faults_of(name, kind, count, seed, processes=PROCESSES)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("name", SUBJECTS)
def test_an_archive_cut_at_any_block_is_found_out_or_lacks_nothing(name: str, seed: int) -> None:
    base = mutants.subject(name)
    cuts = range(0, len(base.archive), 512)
    chosen = cuts if CAMPAIGN else random.Random(seed).sample(cuts, 60)
    faults = []
    whole = 0
    for cut in chosen:
        with mutants.hurried():
            found = mutants.tried(io.BytesIO(base.archive[:cut]))
        wrong = mutants.fault(found, base.answers)
        if wrong is not None:
            faults.append(f"cut at {cut}: {wrong}")
        whole += not any(isinstance(answer, Exception) for answer in found.values())
    assert not faults, "\n".join(faults)
    # Only the zeros at the end can go unnoticed: at most one record of 20 blocks.
    assert whole <= 20


@pytest.mark.parametrize("kind", ["archive", "tars, digests mended", "blobs cut, digest mended"])
def test_no_memory_is_held_for_mutants_that_are_gone(kind: str, seed: int) -> None:
    held = []
    tracemalloc.start()
    try:
        for start in range(0, 60, 20):
            assert not mutants.tried_in_turn("oci gzip", kind, range(start, start + 20), seed)
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    # An archive is 76 KiB, and its tree more; what fields mean is remembered up to a bound.
    assert held[2] - held[1] < 20 * 10_000, held


# -- what an index store holds ---------------------------------------------------------------------


def flip_file(path: Path, dice: random.Random) -> None:
    data = bytearray(path.read_bytes())
    # One that was cut to nothing may stand there still: a note that nobody asked for.
    if data and dice.randrange(4):
        data[dice.randrange(len(data))] ^= dice.randrange(1, 256)
    else:
        del data[dice.randrange(len(data) + 1) :]
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["oci gzip", "oci zstd", "docker"])
def test_damaged_files_of_an_index_store_change_no_answer(
    name: str, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_layers, "_SETTLED_NS", -1)
    archive = tmp_path / "image.tar"
    archive.write_bytes(mutants.subject(name).archive)
    expected = mutants.subject(name).answers
    store = DirectoryIndexStore(tmp_path / "store")
    files = mutants.descriptors()
    for number in range(5_000 if CAMPAIGN else 30):
        dice = random.Random(f"{seed} {number}")
        assert mutants.fault(mutants.tried(archive, index_store=store), expected) is None
        held = sorted(path for path in store.path.iterdir() if path.suffix != ".TAG")
        assert held
        for path in dice.sample(held, min(len(held), dice.choice((1, 1, 1, 4)))):
            flip_file(path, dice)
        with mutants.hurried():
            found = mutants.tried(archive, index_store=store)
        assert found == expected, f"{seed} {number}"
    assert store.failures == ()
    gc.collect()
    # Maps of files hold no descriptor.
    assert mutants.descriptors() == files
