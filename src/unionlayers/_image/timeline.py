"""
When every entry of every layer was last changed, hidden ones too: for forensics.

Source:
    The Sleuth Kit 3 and later, "Body file": eleven fields between bars, as ``mactime`` reads them.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from unionlayers._foundation.names import printable
from unionlayers._layers.comparison import type_name
from unionlayers._layers.entry import entry_of
from unionlayers._layers.hidden import hidden_names
from unionlayers._layers.union import Inode, Union
from unionlayers._tar.index import ABSENT

__all__ = ["Timeline", "TimelineItem", "timeline_of"]

_LETTERS = {"file": "r", "directory": "d", "symlink": "l", "fifo": "p"}
_MARKS = ("whiteout", "opaque")
_SECOND = 1_000_000_000


@frozen(kw_only=True)
class TimelineItem:
    """
    One tar entry, with what its own headers say.

    Attributes:
        path: Absolute; of a whiteout that of the marker, ``/etc/.wh.shadow``.
        layer: Index of the layer, base first from 0.
        entry: Ordinal in the tar of the layer.
        type: ``"file"``, ``"directory"``, ``"symlink"``, ``"device"``, ``"fifo"``, ``"whiteout"``
            or ``"opaque"``.
        size: Bytes of content; of a symbolic link, of its text; 0 for a hard link.
        mode: As ``st_mode``, with the bits of the type.
        uid: Owner.
        gid: Group.
        mtime_ns: Modification time, nanoseconds since the epoch, as the tar has it.
        atime_ns: Access time, or None.
        ctime_ns: Status change time, or None.
        target: Text of a symbolic link, else None.
        hidden: The reason of `HiddenEntry`, ``"marker"`` for a whiteout, None for what is shown.
        inode: Layer and entry that made the file, the same for all its hard links: ``"3-17"``.
    """

    path: str
    layer: int
    entry: int
    type: str
    size: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    atime_ns: int | None
    ctime_ns: int | None
    target: str | None
    hidden: str | None
    inode: str

    def bodyfile_line(self) -> str:
        r"""
        Give the line of a bodyfile, without its end.

        There is no digest, and so the first field is 0; times are whole seconds, 0 where there is
        none.  What is hidden has ``(deleted)`` behind its name, as in The Sleuth Kit.  In a name a
        bar is written ``%7C`` and a percent sign ``%25``, which ``mactime`` undoes; a backslash
        stands twice, and control characters and bytes that are not UTF-8 as ``\x1b``, which it
        leaves as they are, so that no name can make a field, a line or a colour.
        """
        name = _escaped(self.path)
        if self.target is not None:
            name += f" -> {_escaped(self.target)}"
        if self.hidden not in (None, "marker"):
            name += " (deleted)"
        letter = "w" if self.type in _MARKS else _LETTERS.get(self.type)
        if letter is None:
            letter = "b" if stat.S_ISBLK(self.mode) else "c"
        times = (self.atime_ns, self.mtime_ns, self.ctime_ns, None)
        fields = (
            0,
            name,
            self.inode,
            f"{letter}/{letter}{stat.filemode(self.mode)[1:]}",
            self.uid,
            self.gid,
            self.size,
            *(0 if time is None else time // _SECOND for time in times),
        )
        return "|".join(map(str, fields))


@frozen(eq=False)
class Timeline:
    """
    All entries of all layers, oldest first; made by `Image.timeline`.

    Iterate over it for `TimelineItem` values, which are made as they are asked for; entries of
    one time come in the order of the layers and of their tars.  ``len()`` counts them.
    """

    _union: Union = field(repr=False)
    _rows: tuple[tuple[int, int, int, int], ...] = field(repr=False)
    _hidden: Mapping[Inode, str] = field(repr=False)
    _marks: Sequence[Mapping[int, str]] = field(repr=False)

    def __iter__(self) -> Iterator[TimelineItem]:
        """Give the items."""
        for mtime, slot, ordinal, row in self._rows:
            yield self._item(mtime, slot, ordinal, row)

    def __len__(self) -> int:
        """Count the items."""
        return len(self._rows)

    def __repr__(self) -> str:
        """Show how many entries there are."""
        return f"<Timeline of {len(self)} entries>"

    def bodyfile(self) -> str:
        """
        Give all items as a bodyfile, which ``mactime -b`` and Plaso read.

        Source:
            The Sleuth Kit, "Body file".
        """
        return "".join(f"{item.bodyfile_line()}\n" for item in self)

    def _item(self, mtime: int, slot: int, ordinal: int, row: int) -> TimelineItem:
        union = self._union
        changeset = union.changeset(slot)
        index = changeset.index
        marks = self._marks[slot]
        entry = entry_of(index, row)
        inode = slot, changeset.inode(row)
        bound = union.bind(inode)
        home, made = bound if isinstance(bound, tuple) else inode
        if made >= index.rows and home == slot:
            made = row  # a hard link that has no place in the tree
        return TimelineItem(
            path="/" + index.path(row),
            layer=union.slots[slot].layer,
            entry=ordinal,
            type=marks.get(row) or type_name(entry),
            size=entry.size,
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            mtime_ns=mtime,
            atime_ns=entry.atime_ns,
            ctime_ns=entry.ctime_ns,
            target=entry.target,
            hidden="marker" if row in marks else self._hidden.get((slot, row)),
            inode=f"{union.slots[home].layer}-{union.changeset(home).index.ordinal[made]}",
        )


def timeline_of(union: Union) -> Timeline:
    """
    Give the entries of all layers of a stack by time.

    Raises:
        UnionLayersError: A layer cannot be read or applied.
    """
    hidden = {(name.slot, name.row): name.reason for name in hidden_names(union)}
    marks: list[Mapping[int, str]] = []
    rows: list[tuple[int, int, int, int]] = []
    for slot in range(union.top):
        index = union.changeset(slot).index
        mtime, ordinal, extras = index.mtime, index.ordinal, index.extras
        found = {mark.row: "opaque" if mark.name is None else "whiteout" for mark in index.marks}
        marks.append(found)
        for row, _ in index.paths():
            if ordinal[row] == ABSENT:
                continue
            extra = extras.get(row)
            exact = None if extra is None else extra.mtime_ns
            rows.append((mtime[row] if exact is None else exact, slot, ordinal[row], row))
    rows.sort()
    return Timeline(union, tuple(rows), hidden, marks)


def _escaped(text: str) -> str:
    return printable(text).replace("%", "%25").replace("|", "%7C")
