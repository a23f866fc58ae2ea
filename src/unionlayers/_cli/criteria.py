"""What ``unionlayers find`` asks of a path: each test read from what was typed."""

from __future__ import annotations

import datetime as dt
import re
import stat
from collections.abc import Callable, Collection
from fnmatch import translate
from typing import Literal

from attrs import field, frozen

from unionlayers._cli.entries import Facts, Tree
from unionlayers._layers.capability import CAPABILITIES, capabilities

__all__ = ["TYPES", "Criteria", "Mode", "Size", "owner_of", "time_of"]

TYPES = {
    "f": stat.S_IFREG,
    "d": stat.S_IFDIR,
    "l": stat.S_IFLNK,
    "b": stat.S_IFBLK,
    "c": stat.S_IFCHR,
    "p": stat.S_IFIFO,
}
_SIZE = re.compile(r"([+-]?)(\d+)([ckMGT]?)\Z")
_POWERS = {"": 0, "c": 0, "k": 1, "M": 2, "G": 3, "T": 4}


@frozen
class Mode:
    """
    Permission bits as ``find -perm`` has them.

    Attributes:
        bits: The bits.
        how: All of them and no other, all of them, or any of them.
    """

    bits: int
    how: Literal["exactly", "all", "any"]

    @classmethod
    def of(cls, text: str) -> Mode:
        """
        Read ``644``, ``-644`` or ``/6000``.

        Raises:
            ValueError: It is none of these.
        """
        how: Literal["exactly", "all", "any"] = "exactly"
        if text[:1] in ("-", "/"):
            how = "all" if text[0] == "-" else "any"
        digits = text.lstrip("-/")
        if not re.fullmatch("[0-7]{1,4}", digits) or len(text) - len(digits) > 1:
            raise ValueError(f"{text!r} is no mode; write 644, -644 (all of them) or /6000 (any)")
        return cls(int(digits, 8), how)

    def fits(self, mode: int) -> bool:
        """Tell whether the permission bits of a mode are meant."""
        bits = mode & 0o7777
        if self.how == "exactly":
            return bits == self.bits
        if self.how == "all" or not self.bits:
            return bits & self.bits == self.bits
        return bool(bits & self.bits)


@frozen
class Size:
    """
    A bound on bytes.

    Attributes:
        sign: ``"+"`` for more, ``"-"`` for less, empty for exactly.
        size: Bytes.
    """

    sign: str
    size: int

    @classmethod
    def of(cls, text: str) -> Size:
        """
        Read ``+10M``, ``-4k`` or ``512``; unlike in find(1), bytes if no unit is behind it.

        Raises:
            ValueError: It is none of these.
        """
        found = _SIZE.match(text)
        if found is None:
            raise ValueError(f"{text!r} is no size; write +10M (more), -4k (less) or 512 (bytes)")
        return cls(found[1], int(found[2]) * 1024 ** _POWERS[found[3]])

    def fits(self, size: int) -> bool:
        """Tell whether a size is meant."""
        if self.sign == "+":
            return size > self.size
        return size < self.size if self.sign == "-" else size == self.size


def owner_of(text: str, known: dict[str, int], what: str) -> int:
    """
    Give the number of a user or group.

    Args:
        text: A number, or a name in the image.
        known: Numbers by name.
        what: ``"user"`` or ``"group"``.

    Raises:
        ValueError: The image has no such name.
    """
    if text in known:
        return known[text]
    if re.fullmatch(r"\d{1,10}", text):
        return int(text)
    raise ValueError(f"the image has no {what} {text!r}")


def time_of(text: str, tree: Tree) -> int:
    """
    Give nanoseconds since the epoch.

    Args:
        text: A path of the image, whose time it is; a date or time (ISO 8601, UTC where it does
            not say); or ``@`` and seconds since the epoch.
        tree: Where the path is.

    Raises:
        ValueError: It is none of these.
        PathError: The image does not have the path.
    """
    if text.startswith("/"):
        return tree.facts(tree.find(text), text).mtime_ns
    if re.fullmatch(r"@-?\d{1,18}", text):
        return int(text[1:]) * 10**9
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time; write 2024-05-01, 2024-05-01T10:20:30Z, @1714558830 or the path "
            "of a file in the image"
        ) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=dt.UTC)
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (time - epoch) // dt.timedelta(microseconds=1) * 1000


@frozen(kw_only=True)
class Criteria:
    """
    All that a path must be; what is None or empty is not asked.

    Attributes:
        names: Shell patterns for the last component, any of them.
        forms: Type bits, any of them.
        modes: Permission bits, all of them to be met.
        sizes: Bounds on bytes, all of them to be met; only regular files have a size.
        uid: The owner.
        gid: The group.
        newer: Nanoseconds since the epoch; later than that.
        older: Earlier than that.
        layers: Indexes of layers, any of them.
        capability: A name, or ``"any"``.
    """

    names: tuple[str, ...] = ()
    forms: Collection[int] = ()
    modes: tuple[Mode, ...] = ()
    sizes: tuple[Size, ...] = ()
    uid: int | None = None
    gid: int | None = None
    newer: int | None = None
    older: int | None = None
    layers: Collection[int] | None = None
    capability: str | None = None
    _matchers: tuple[Callable[[str], object], ...] = field(init=False)

    @_matchers.default
    def _compiled(self) -> tuple[Callable[[str], object], ...]:
        return tuple(re.compile(translate(name)).match for name in self.names)

    def __attrs_post_init__(self) -> None:
        """Refuse a capability that there is not."""
        if self.capability not in (None, "any", *CAPABILITIES):
            raise ValueError(
                f"{self.capability!r} is no capability; write any, or one of "
                + ", ".join(CAPABILITIES)
            )

    def name_fits(self, name: str) -> bool:
        """Tell whether the last component is meant."""
        return not self._matchers or any(match(name) for match in self._matchers)

    @property
    def asks_facts(self) -> bool:
        """Whether metadata is asked about."""
        asked = (self.uid, self.gid, self.newer, self.older, self.layers, self.capability)
        return bool(self.modes or self.sizes) or any(one is not None for one in asked)

    def fits(self, facts: Facts) -> bool:
        """Tell whether the metadata is what was asked for."""
        entry = facts.entry
        return (
            all(mode.fits(entry.mode) for mode in self.modes)
            and (not self.sizes or stat.S_ISREG(entry.mode))
            and all(size.fits(entry.size) for size in self.sizes)
            and self.uid in (None, entry.uid)
            and self.gid in (None, entry.gid)
            and (self.newer is None or facts.mtime_ns > self.newer)
            and (self.older is None or facts.mtime_ns < self.older)
            and (self.layers is None or facts.layer in self.layers)
            and (self.capability is None or self._capable(facts))
        )

    def _capable(self, facts: Facts) -> bool:
        value = dict(facts.entry.xattrs).get("security.capability")
        if value is None:
            return False
        if self.capability == "any":
            return facts.capability is not None
        return self.capability in capabilities(value)
