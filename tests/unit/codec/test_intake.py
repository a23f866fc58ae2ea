"""Compressed bytes come once, in order, and a few can be given back at any time."""

from __future__ import annotations

import random

import pytest

from unionlayers._bytes.memory import MemorySource
from unionlayers._codec import intake as module
from unionlayers._codec.intake import Intake

DATA = random.Random(1).randbytes(1000)


@pytest.fixture(autouse=True, params=[1, 7, 16, 100, 10_000])
def fetch_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(module, "_FETCH", request.param)
    monkeypatch.setattr(module, "_FETCH_AFTER_JUMP", min(5, request.param))
    return int(request.param)


@pytest.mark.parametrize("told", [True, False])
def test_any_order_of_looking_taking_skipping_and_giving_back(told: bool) -> None:
    for seed in range(60):
        chance = random.Random(seed)
        fetched: list[bytes] = []
        intake = Intake(MemorySource(DATA), on_fetch=fetched.append if told else None)
        at = 0
        back = 0
        for _ in range(100):
            assert intake.position == at
            match chance.choice(["some", "take", "peek", "skip", "back"]):
                case "some":
                    piece = bytes(intake.some(chance.randint(1, 50)))
                    assert DATA[at : at + len(piece)] == piece
                    assert piece or at == len(DATA)
                    used = chance.randint(0, len(piece))
                    intake.advance(used)
                    at += used
                    back += used
                case "take":
                    piece = intake.take(chance.randint(1, 50))
                    assert DATA[at : at + len(piece)] == piece
                    at += len(piece)
                    back += len(piece)
                case "peek":
                    wanted = chance.randint(0, 50)
                    assert intake.peek(wanted) == DATA[at : at + wanted]
                case "skip":
                    wanted = chance.randint(0, 60)
                    assert intake.skip(wanted) == (at + wanted <= len(DATA))
                    at = min(at + wanted, len(DATA))
                    back = 0
                case "back":
                    given = chance.randint(0, min(back, 8))
                    intake.advance(-given)
                    at -= given
                    back = 0
        if told:
            seen = b"".join(fetched)
            assert DATA.startswith(seen)
            assert len(seen) >= at


def test_another_one_begins_anywhere_and_tells_nobody() -> None:
    fetched: list[bytes] = []
    intake = Intake(MemorySource(DATA), on_fetch=fetched.append)
    assert intake.again(990).peek(99) == DATA[990:]
    assert not fetched
    assert intake.position == 0
