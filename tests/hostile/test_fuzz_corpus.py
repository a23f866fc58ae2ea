"""Every fuzz target takes every file of its corpus: what was found once stays mended."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from seeds import seeds
from targets import TARGETS

from unionlayers._codec.decoders import new_decoder

CORPUS = Path(__file__).resolve().parents[2] / "fuzz" / "corpus"
FILES = [
    pytest.param(name, path, id=f"{name}/{path.name}")
    for name in TARGETS
    for path in sorted(CORPUS.joinpath(name).iterdir())
]


@pytest.mark.parametrize(("name", "path"), FILES)
def test_a_file_of_the_corpus(name: str, path: Path) -> None:
    TARGETS[name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_files_of_the_corpus_with_random_damage(name: str, seed: int, sample_size: int) -> None:
    dice = random.Random(f"{seed} {name}")
    files = [path.read_bytes() for path in sorted(CORPUS.joinpath(name).iterdir())]
    for _ in range(sample_size // 5):
        data = bytearray(dice.choice(files))
        for _ in range(dice.randrange(4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        if not dice.randrange(4):
            del data[dice.randrange(len(data)) :]
        TARGETS[name](bytes(data))


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_the_targets_of_random_access_enter_by_the_checkpoint_that_they_damage(
    codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[int] = []

    def decoder(name: str, intake: Any, limits: Any, log: Any, start: Any) -> Any:
        entered.append(start.offset)
        return new_decoder(name, intake, limits, log, start)

    monkeypatch.setattr("unionlayers._codec.random_access.new_decoder", decoder)
    TARGETS[f"{codec}-resume"](b"c" + bytes(7) + b"\1")
    assert any(entered)


def test_the_seeds_of_the_corpus_are_those_that_the_builders_make() -> None:
    held = {
        name: {
            path.name.removeprefix("seed-"): path.read_bytes()
            for path in CORPUS.joinpath(name).glob("seed-*")
        }
        for name in TARGETS
    }
    assert held == seeds()
    for name in TARGETS:
        assert all(path.stat().st_size < 100_000 for path in CORPUS.joinpath(name).iterdir())
