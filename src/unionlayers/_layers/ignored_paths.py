"""Paths that a comparison leaves out: what patterns match, and all that is beneath it."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field

from unionlayers._layers.path_pattern import PathPattern, States
from unionlayers._layers.union import Union

__all__ = ["IgnoredPaths"]


@define(eq=False, init=False)
class IgnoredPaths:
    """
    Patterns as `UnionFS.find` takes them.

    Attributes:
        patterns: As they were given.
        start: The states at the root.

    Raises:
        TypeError: The patterns are one text.
        ValueError: A pattern has ``..``.
    """

    patterns: tuple[str, ...]
    start: tuple[States, ...]
    _made: tuple[PathPattern, ...]
    _met: set[int] = field(factory=set)

    def __init__(self, patterns: Iterable[str]) -> None:
        if isinstance(patterns, str):
            raise TypeError("what to ignore is a sequence of patterns, and not one text")
        self.patterns = tuple(patterns)
        self._made = tuple(PathPattern(pattern) for pattern in self.patterns)
        self.start = tuple(pattern.begin for pattern in self._made)
        self._met = set()

    def after(self, states: tuple[States, ...], name: str) -> tuple[States, ...]:
        """Give the states once a name was met."""
        return tuple(
            pattern.after(reached, name)
            for pattern, reached in zip(self._made, states, strict=True)
        )

    def leaves_out(self, states: tuple[States, ...]) -> bool:
        """Tell whether what was met is left out; the patterns that say so have matched."""
        found = False
        for number, (pattern, reached) in enumerate(zip(self._made, states, strict=True)):
            if reached and pattern.accepts(reached):
                self._met.add(number)
                found = True
        return found

    def unused(self, unions: Iterable[Union]) -> tuple[str, ...]:
        """
        Give the patterns that match no path of any of the unions.

        Cost:
            For a pattern that has not matched yet, the directories in which it can, until it does.
        """
        stacks = tuple(unions)
        for number, pattern in enumerate(self._made):
            if number not in self._met and any(_occurs(union, pattern) for union in stacks):
                self._met.add(number)
        return tuple(text for number, text in enumerate(self.patterns) if number not in self._met)


def _occurs(union: Union, pattern: PathPattern) -> bool:
    if pattern.accepts(pattern.begin):
        return True
    pending = [(union.root, pattern.begin)]
    while pending:
        directory, states = pending.pop()
        for name in pattern.only(states) or list(directory.merged()):
            reached = pattern.after(states, name)
            node = directory.lookup(name) if reached else None
            if node is None:
                continue
            if pattern.accepts(reached):
                return True
            if node.directory is not None and pattern.goes_on(reached):
                pending.append((node.directory, reached))
    return False
