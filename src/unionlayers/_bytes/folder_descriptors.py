"""Descriptors of the folders beneath one, each opened from the one above it and never a link."""

from __future__ import annotations

import os
from collections import OrderedDict

__all__ = ["FolderDescriptors"]

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


class FolderDescriptors:
    """
    A bounded number of folders beneath a root, held open; for one thread at a time.

    Args:
        root: The descriptor of the root, which stays its owner's.
        flags: With which folders are opened; links are refused in any case.
        most: How many are held.
    """

    __slots__ = ("_flags", "_held", "_most", "root")

    def __init__(self, root: int, flags: int, most: int) -> None:
        self.root = root
        self._flags = flags | _NO_FOLLOW
        self._most = most
        self._held: OrderedDict[bytes, int] = OrderedDict()

    def folder(self, path: bytes) -> int:
        """
        Give a descriptor of the folder at *path*, relative to the root; good until the next call.

        Raises:
            OSError: It is not there, or is a link or no folder.

        Cost:
            Nothing for one that is held; else a system call for each component below the nearest.
        """
        if not path:
            return self.root
        known = self._held.get(path)
        if known is not None:
            self._held.move_to_end(path)
            return known
        above, missing = path, []
        at = self.root
        while above:
            above, _, last = above.rpartition(b"/")
            missing.append(last)
            if above in self._held:
                at = self._held[above]
                break
        while missing:
            last = missing.pop()
            at = os.open(last, self._flags, dir_fd=at)
            above = above + b"/" + last if above else last
            self._held[above] = at
            if len(self._held) > self._most:
                os.close(self._held.popitem(last=False)[1])
        return at

    def drop(self, path: bytes) -> None:
        """Close the folder at *path*, if it is held."""
        held = self._held.pop(path, None)
        if held is not None:
            os.close(held)

    def close(self) -> None:
        """Close all but the root."""
        while self._held:
            os.close(self._held.popitem()[1])
