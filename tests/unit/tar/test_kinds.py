"""Numbers of modes and owners."""

from __future__ import annotations

from typing import Any

from unionlayers._tar.kinds import Kinds


class Colliding(tuple[int, int, int]):
    """A kind whose hash is that of all others, and that counts comparisons."""

    __slots__ = ()
    compared = 0

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        Colliding.compared += 1
        return tuple.__eq__(self, other)


def test_owners_that_collide_are_compared_with_few_others() -> None:
    kinds = Kinds()
    count = 1000
    made: list[Any] = [Colliding((0o100644, number, number)) for number in range(count)]
    first = [kinds.number(one) for one in made]
    assert first == [kinds.number(one) for one in made] == list(range(1, count + 1))
    assert kinds.found[1:] == made
    assert Colliding.compared <= 2 * count * 64 + 2 * count
