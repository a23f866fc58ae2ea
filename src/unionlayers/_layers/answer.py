"""What several profiles answer at one path, and where they do not agree."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from attrs import field, fields, frozen

from unionlayers._layers.comparison import FIELDS, differing_xattrs
from unionlayers._layers.finding import Finding
from unionlayers.errors import UnionLayersError

__all__ = ["Agreement", "Answer", "Disagreement", "Kind", "differing", "kind_of"]

Kind = Literal[
    "absent", "error", "file", "directory", "symlink", "fifo", "character device", "block device"
]

_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


def kind_of(mode: int) -> Kind:
    """Give the word for a type."""
    return _KINDS[stat.S_IFMT(mode)]


def _facts_of(error: UnionLayersError | None) -> tuple[object, ...] | None:
    if error is None:
        return None
    return type(error), error.message, error.path, error.layer, error.entry


@frozen(kw_only=True)
class Answer:
    """
    What one profile shows at a path.

    Attributes:
        type: ``"file"``, ``"directory"``, ``"symlink"``, ``"fifo"``, ``"character device"`` or
            ``"block device"``; ``"absent"`` where nothing is shown, ``"error"`` where the profile
            refuses the entry, or the whole stack.
        layer: Index of the layer that has the name, base first from 0.
        mode: Permission bits.
        uid: Owner.
        gid: Group.
        size: Bytes; of a symbolic link, bytes of its text; 0 for what is neither that nor a file.
        mtime_ns: Modification time in nanoseconds since the epoch, as the profile shows it.
        atime_ns: Access time likewise, None where the tar has none.
        ctime_ns: Status change time likewise.
        target: Text of a symbolic link.
        device: Major and minor number of a device.
        xattrs: Pairs of name and value.
        links: Names of the inode that are visible.
        error: What the profile raises.

    All but `type` are None where there is nothing to tell; `xattrs` is empty.
    """

    type: Kind
    layer: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    mtime_ns: int | None = None
    atime_ns: int | None = None
    ctime_ns: int | None = None
    target: str | None = None
    device: tuple[int, int] | None = None
    xattrs: tuple[tuple[str, bytes], ...] = ()
    links: int | None = None
    error: UnionLayersError | None = field(default=None, eq=_facts_of)

    def value(self, field: str) -> object:
        """
        Give what the answer says of one of `Disagreement.fields`; None for the content.

        Example:
            >>> Answer(type="file", mtime_ns=5).value("mtime")
            5
        """
        words = {word: name for name, word in (*_WORDS.items(), *_MORE.items())}
        if field == "capability":
            return dict(self.xattrs).get("security.capability")
        return getattr(self, "xattrs" if field == "xattr" else words.get(field, field), None)

    @property
    def shown(self) -> bool:
        """Whether the profile shows something at the path."""
        return self.type not in ("absent", "error")


# Facts whose word in comparisons is another than that of the attribute, and those that come last.
_WORDS = {"mtime_ns": "mtime", "target": "link", "links": "hardlink"}
_MORE = {"atime_ns": "atime", "ctime_ns": "ctime", "error": "error"}
# Which layer has a name is no part of what is seen; xattrs are compared by themselves.
_COMPARED = tuple(
    item.name for item in fields(Answer) if item.name not in ("type", "layer", "xattrs")
)


def differing(answers: Sequence[Answer]) -> tuple[str, ...]:
    """
    Give the facts that are not the same in all answers, in the words and order of `FIELDS`.

    Times of access and of change are ``"atime"`` and ``"ctime"``, what is raised is ``"error"``;
    content is none of them.
    """
    if len({answer.type for answer in answers}) > 1:
        return ("type",)
    if answers[0].type == "error":
        return ("error",) if any(answer != answers[0] for answer in answers[1:]) else ()
    found = {
        _WORDS.get(name, _MORE.get(name, name))
        for name in _COMPARED
        if any(getattr(answer, name) != getattr(answers[0], name) for answer in answers[1:])
    }
    found.update(word for answer in answers[1:] for word in differing_xattrs(answers[0], answer))
    return tuple(word for word in (*FIELDS, *_MORE.values()) if word in found)


@frozen(kw_only=True)
class Disagreement:
    """
    One path on which profiles differ.

    Attributes:
        path: Absolute path.
        answers: What each profile shows there, by its name.
        fields: What differs, in the words of `diff`: ``("type",)`` where not even that is the
            same, else of ``content``, ``size``, ``mode``, ``uid``, ``gid``, ``mtime``, ``link``,
            ``xattr``, ``capability``, ``device``, ``hardlink`` (the number of names of an inode),
            and ``atime``, ``ctime`` and ``error``, in this order.
        cases: Ids of the cases of the conformance table that decide it; where no finding touches
            the path, of all that could.
        findings: The findings of the compared stacks that touch the path.
    """

    path: str
    answers: Mapping[str, Answer] = field(hash=False)
    fields: tuple[str, ...]
    cases: tuple[str, ...]
    findings: tuple[Finding, ...]


@frozen(kw_only=True)
class Agreement:
    """
    Where profiles agree on a stack of layers and where they do not; made by `Image.agreement`.

    It is iterated over its disagreements, and its length is their number.

    Attributes:
        profiles: Names of the profiles that were compared.
        disagreements: One for each path that differs, in byte order of the components.
        refused: What a profile raises that cannot apply the stack at all, by the profile's name;
            where that is a hard link without a target, the first of them, base first.
    """

    profiles: tuple[str, ...]
    disagreements: tuple[Disagreement, ...]
    refused: Mapping[str, UnionLayersError] = field(
        factory=dict,
        hash=False,
        eq=lambda refused: {name: _facts_of(error) for name, error in refused.items()},
    )

    @property
    def complete(self) -> bool:
        """Whether every profile shows the same tree, or all refuse the stack for one reason."""
        return not self.disagreements

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths that differ."""
        return tuple(item.path for item in self.disagreements)

    @property
    def cases(self) -> tuple[str, ...]:
        """Ids of all cases that decide a difference, sorted."""
        return tuple(sorted({case for item in self.disagreements for case in item.cases}))

    def __iter__(self) -> Iterator[Disagreement]:
        """Give the disagreements."""
        return iter(self.disagreements)

    def __len__(self) -> int:
        """Give the number of paths that differ."""
        return len(self.disagreements)
