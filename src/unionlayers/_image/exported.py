"""What an export has done, and what it has left out."""

from __future__ import annotations

from typing import Literal, Protocol

from attrs import frozen

__all__ = ["ByteSink", "Exported", "LeftOut"]


class ByteSink(Protocol):
    """What a tar can be written to: a binary file object, of which only this is asked."""

    def write(self, data: bytes, /) -> int | None:
        """Take bytes, or a first part of them, and tell how many."""


@frozen
class LeftOut:
    """
    A path that was not written.

    Attributes:
        path: Where it is in the image.
        reason: ``"device"``, ``"fifo"``, or ``"link"``: a symbolic link that leads out.
    """

    path: str
    reason: Literal["device", "fifo", "link"]


@frozen
class Exported:
    """
    What `UnionFS.export` has written.

    Attributes:
        entries: Names written, directories on the way and further names of one file included; the
            root of a folder is not counted.
        bytes: Bytes of content, each file once.
        left_out: What a folder does not get unless it is asked for, in path order.
        rewritten: Paths of absolute links that a folder has as relative ones, in path order.
    """

    entries: int
    bytes: int
    left_out: tuple[LeftOut, ...] = ()
    rewritten: tuple[str, ...] = ()
