"""
What a forked child must begin anew.

A child has one thread, and a copy of every lock as it was at that moment: one that another thread
held is never released there.  Whoever has a lock that outlives a call, or counts on other threads,
is told in the child before anything else is done there.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

__all__ = ["Renewed", "renew_in_children"]


class Renewed(Protocol):
    """What can be told that it is in a forked child."""

    def renew(self) -> None:
        """Take new locks, and forget what other threads had under way."""


class _Owners:
    """Everybody who is to be told, as long as somebody else holds them."""

    def __init__(self) -> None:
        self._told = False
        self._lock = threading.Lock()
        # By number, as some of them compare by what they hold.
        self._held: weakref.WeakValueDictionary[int, Renewed] = weakref.WeakValueDictionary()

    def add(self, owner: Renewed) -> None:
        if not self._told and hasattr(os, "register_at_fork"):
            with self._lock:
                if not self._told:
                    os.register_at_fork(after_in_child=self.renew)
                    self._told = True
        self._held[id(owner)] = owner

    def renew(self) -> None:
        self._lock = threading.Lock()
        for owner in self._held.values():
            owner.renew()


_owners = _Owners()


def renew_in_children(owner: Renewed) -> None:
    """
    Have *owner* told in every child that is forked off from now on.

    Example:
        >>> import threading
        >>> class Counter:
        ...     def __init__(self):
        ...         self.renew()
        ...         renew_in_children(self)
        ...     def renew(self):
        ...         self.lock = threading.Lock()
        >>> Counter().lock.locked()
        False
    """
    _owners.add(owner)
