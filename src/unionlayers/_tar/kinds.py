"""The few combinations of mode and owner that the entries of a layer have, numbered."""

from __future__ import annotations

import stat

__all__ = ["Kinds"]

_IMPLIED = (stat.S_IFDIR | 0o755, 0, 0)
# Python's hash of a tuple of numbers is no secret, so that owners can be chosen that all collide;
# what is beyond the kinds of any ordinary layer is found by text, whose hash is one.
_ORDINARY = 64


class Kinds:
    """
    Numbers for (st_mode, uid, gid), in the order in which they are met.

    Attributes:
        found: What was met so far; the first one is that of an implied directory.
    """

    __slots__ = ("_numbers", "_texts", "found")

    def __init__(self) -> None:
        self.found: list[tuple[int, int, int]] = [_IMPLIED]
        self._numbers: dict[tuple[int, int, int], int] = {_IMPLIED: 0}
        self._texts: dict[bytes, int] = {}

    def number(self, kind: tuple[int, int, int]) -> int:
        """
        Give the number of a kind.

        Cost:
            O(1), whatever owners somebody chose.
        """
        known = self._numbers.get(kind)
        if known is not None:
            return known
        fresh = len(self.found)
        if fresh < _ORDINARY:
            self._numbers[kind] = fresh
        else:
            known = self._texts.setdefault(b"%d %d %d" % kind, fresh)
            if known != fresh:
                return known
        self.found.append(kind)
        return fresh
