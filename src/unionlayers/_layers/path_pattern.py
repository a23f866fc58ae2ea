"""
Shell patterns of whole paths, matched component by component while a tree is gone down.

What has matched so far is a set of states, each the number of parts of the pattern that are done;
a set says which names can go on, so that nothing else need be looked at.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable

from attrs import define, field, frozen

__all__ = ["PathPattern", "States"]

States = frozenset[int]

_WILD = re.compile(r"[*?\[]")


@frozen
class _Step:
    """Where each name leads from one set of states."""

    always: States
    named: dict[str, States]
    matching: list[tuple[Callable[[str], object], States]]


@define(eq=False, init=False)
class PathPattern:
    """
    A pattern; what it may have is said at `UnionFS.find`.

    Attributes:
        prefix: The components before the first wildcard, without the last one of the pattern.
        start: The states once the prefix is done.
        begin: The states at the root, before any name.

    Raises:
        ValueError: A component is ``..``, which no name is.

    Example:
        >>> pattern = PathPattern("usr/lib/**/METADATA")
        >>> pattern.prefix, pattern.matches("/usr/lib/python3/METADATA")
        (('usr', 'lib'), True)
    """

    prefix: tuple[str, ...]
    start: States
    begin: States
    _parts: list[str | re.Pattern[str] | None]
    _steps: dict[States, _Step] = field(factory=dict)

    def __init__(self, pattern: str) -> None:
        components = [part for part in pattern.split("/") if part not in ("", ".")]
        if ".." in components:
            raise ValueError(f"no name is '..', and a pattern cannot have it: {pattern!r}")
        parts: list[str | re.Pattern[str] | None] = []
        for part in components:
            if part == "**":
                if not parts or parts[-1] is not None:
                    parts.append(None)
            elif _WILD.search(part):
                parts.append(re.compile(fnmatch.translate(part)))
            else:
                parts.append(part)
        self._parts = parts
        self._steps = {}
        literal: list[str] = []
        for part_ in parts[:-1]:
            if not isinstance(part_, str):
                break
            literal.append(part_)
        self.prefix = tuple(literal)
        self.start = self._closed({len(literal)})
        self.begin = self._closed({0})

    def only(self, states: States) -> list[str] | None:
        """Give the only names that can match next, or None where a wildcard can."""
        step = self._step(states)
        if step.always or step.matching:
            return None
        return list(step.named)

    def after(self, states: States, name: str) -> States:
        """Give the states once a name was met; an empty set if it does not match."""
        step = self._step(states)
        found = step.always
        more = step.named.get(name)
        if more is not None:
            found |= more
        for matches, reached in step.matching:
            if matches(name) is not None:
                found |= reached
        return found

    def accepts(self, states: States) -> bool:
        """Tell whether what was met is a match."""
        return len(self._parts) in states

    def goes_on(self, states: States) -> bool:
        """Tell whether anything below can match."""
        return any(state < len(self._parts) for state in states)

    def matches(self, path: str) -> bool:
        """Tell whether a whole path matches; O(components)."""
        states = self.begin
        for name in path.split("/")[1:]:
            states = self.after(states, name)
        return self.accepts(states)

    def _closed(self, states: set[int]) -> States:
        """Add what follows where ``**`` stands for nothing, which it never does at the end."""
        found = set(states)
        for state in states:
            while state < len(self._parts) - 1 and self._parts[state] is None:
                state += 1
                found.add(state)
        return frozenset(found)

    def _step(self, states: States) -> _Step:
        step = self._steps.get(states)
        if step is None:
            always: set[int] = set()
            named: dict[str, States] = {}
            matching: list[tuple[Callable[[str], object], States]] = []
            for state in sorted(states):
                if state == len(self._parts):
                    continue
                part = self._parts[state]
                reached = self._closed({state + 1})
                if part is None:
                    always |= self._closed({state, state + 1})
                elif isinstance(part, str):
                    named[part] = named.get(part, frozenset()) | reached
                else:
                    matching.append((part.match, reached))
            step = self._steps[states] = _Step(frozenset(always), named, matching)
        return step
