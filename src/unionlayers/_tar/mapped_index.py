"""
The record of a layer as it lies in a stored file: every part is looked at when it is asked for.

A section that is not as it was written, or that contradicts the others, is never an answer and
never an error: the layer is passed over once more, and what that gives stands in for the file.
Checksums find what a disk or a crash has damaged.  What contradicts itself in spite of right
checksums is found where it is used: a directory when its names are first asked for, a place of
content when it is read.
"""

from __future__ import annotations

import contextlib
import stat
import threading
from array import array
from collections.abc import Callable, Iterator
from typing import Any

from unionlayers._codec.section_file import DamagedFileError, SectionFile
from unionlayers._foundation.forking import renew_in_children
from unionlayers._foundation.names import decode
from unionlayers._tar.index import ABSENT, LayerIndex
from unionlayers._tar.index_file import LAZY, IndexFacts, open_index, read_facts
from unionlayers._tar.index_tables import Extras, Texts
from unionlayers.errors import ClosedError

__all__ = ["MappedIndex"]

_FACTS = ("codec", "blob_digest", "diff_id", "blob_size", "size", "entries")


class MappedIndex(LayerIndex):
    """
    A `LayerIndex` from the file that `pack_index` made.

    Args:
        data: The file; it is held as long as the record is.
        remake: Makes the record anew from the bytes of the layer, where the file is damaged; its
            errors reach whoever asked.

    Attributes:
        facts: What the file says of the whole layer.

    Raises:
        DamagedFileError: The header, the table of sections or the facts are damaged.

    Cost:
        The same for every size of layer.
    """

    __slots__ = ("_file", "_fresh", "_mutex", "_released", "_remake", "_vetted", "facts")

    _file: SectionFile
    _fresh: LayerIndex | None
    _mutex: threading.RLock
    _released: bool
    _remake: Callable[[], LayerIndex]
    _vetted: set[int]
    facts: IndexFacts

    def __init__(self, data: memoryview, remake: Callable[[], LayerIndex]) -> None:
        file = open_index(data)
        facts = read_facts(file)
        for name in _FACTS:
            self._set(name, getattr(facts, name))
        self._set("facts", facts)
        self._set("_children", {})
        self._set("_runs", {})
        self._set("_file", file)
        self._set("_fresh", None)
        self._set("_mutex", threading.RLock())
        self._set("_released", False)
        self._set("_remake", remake)
        self._set("_vetted", set())
        renew_in_children(self)

    def renew(self) -> None:
        """Take a new lock in a forked child."""
        self._set("_mutex", threading.RLock())

    def __getattr__(self, name: str) -> Any:
        """Take a part of the record out of the file when it is first asked for."""
        if name not in LAZY and name != "extras":
            raise AttributeError(name)
        if self._released:
            raise ClosedError("the image was closed")
        try:
            value = self._extras() if name == "extras" else LAZY[name](self._file)
        except DamagedFileError:
            self._distrust()
            return object.__getattribute__(self, name)
        self._set(name, value)
        return value

    def release(self) -> None:
        """
        Let go of the file; whoever asks for more than the facts gets `ClosedError` from now on.

        What others have taken out of it before stays what it was.
        """
        self._set("_released", True)
        for name in (*LAZY, "extras"):
            # Not all of them were ever asked for.
            with contextlib.suppress(AttributeError):
                object.__delattr__(self, name)
        self._children.clear()
        self._runs.clear()
        self._file.release()

    def children(self, directory: int) -> dict[str, int]:
        """Give the rows of a directory by name; see `LayerIndex.children`."""
        known = self._children.get(directory)
        if known is None:
            known = self._sound_children(directory)
            if known is None:
                self._distrust()
                return super().children(directory)
            self._vetted.add(directory)
            self._children[directory] = known
        return known

    def vouch(self, directory: int) -> None:
        """
        Be sure that what is below a directory fits together; see `LayerIndex.vouch`.

        Cost:
            O(names below it) at the first call.
        """
        pending = [directory]
        while pending:
            at = pending.pop()
            self._vet(at)
            first = self.start[at]
            pending.extend(self.ref[first : first + self.subdirectories[at]])

    def path(self, row: int) -> str:
        """Give the path of a row; see `LayerIndex.path`."""
        if row not in self.loose:
            # Upwards every directory has a smaller number, so that there is an end.
            at = row
            directory = self.parent(at)
            while directory > 0:
                self._vet(directory)
                at = self.own[directory]
                above = self.parent(at)
                if not 0 <= above < directory:
                    self._distrust()
                    break
                directory = above
        return super().path(row)

    def paths(self) -> Iterator[tuple[int, bytes]]:
        """Give (row, path) of every row that has a tar entry; see `LayerIndex.paths`."""
        self.vouch(0)
        return super().paths()

    def header_range(self, row: int) -> tuple[int, int]:
        """Give where the headers of a row start and end; see `LayerIndex.header_range`."""
        start, end = super().header_range(row)
        if not 0 <= start < end <= self.size:
            self._distrust()
        return super().header_range(row)

    def data_offset(self, row: int) -> int:
        """Give the offset of the content of a row; see `LayerIndex.data_offset`."""
        extra = self.extras.get(row)
        stored = 0 if extra is not None and extra.sparse is not None else self.length[row]
        if not 0 <= super().data_offset(row) <= self.size - stored:
            self._distrust()
        return super().data_offset(row)

    # -- what is damaged --------------------------------------------------------------------------

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _extras(self) -> Extras:
        file = self._file
        packed = Texts(file.column("xsta", "Q"), file.raw("xtra"))
        rows = file.column("xrow", "I")
        listed = list(rows)
        if listed and (sorted(listed) != listed or listed[-1] >= file.count("kind")):
            raise DamagedFileError("rows with extras do not rise")
        return Extras(rows, packed, lambda: self._anew().extras)

    def _anew(self) -> LayerIndex:
        """Give the record that a new pass over the layer makes; there is one at most."""
        with self._mutex:
            fresh = self._fresh
            if fresh is None:
                fresh = self._remake()
                self._set("_fresh", fresh)
            return fresh

    def _distrust(self) -> None:
        """Let what a new pass makes stand in for all of the file."""
        fresh = self._anew()
        for name in (*LAZY, "extras"):
            self._set(name, getattr(fresh, name))
        self._children.clear()
        self._runs.clear()
        self._vetted.update(range(len(fresh.own)))

    def _vet(self, directory: int) -> None:
        """Be sure that a directory fits the rest of the record, as one that was laid out does."""
        if directory in self._vetted:
            return
        if self._sound_children(directory) is None:
            self._distrust()
        self._vetted.add(directory)

    def _sound_children(self, directory: int) -> dict[str, int] | None:
        """Give the rows of a directory by name, None if it contradicts the rest of the record."""
        rows = len(self.kind)
        first, last = self.start[directory], self.start[directory + 1]
        names, names_end = self.name_start[directory], self.name_start[directory + 1]
        border = first + self.subdirectories[directory]
        if (
            not first <= border <= last <= self.start[-1] <= rows
            or not names <= names_end <= len(self.names)
            or (directory == 0 and self.own[0] != ABSENT and self.own[0] >= rows)
        ):
            return None
        if first == last:
            return {}
        raw = bytes(self.names[names:names_end])
        run = decode(raw).split("\0")
        found = dict(zip(run, range(first, last), strict=False))
        if not len(run) == len(found) == last - first or "" in found or b"/" in raw:
            return None
        if not self._are_sound(directory, first, border, last):
            return None
        return found

    def _are_sound(self, directory: int, first: int, border: int, last: int) -> bool:
        """Tell whether the rows of a directory say the same in all columns."""
        if directory == 0 and not self._are_loose_sound():
            return False
        inner, outer = set(self.kind[first:border]), set(self.kind[border:last])
        kinds = self.kinds
        if any(kind >= len(kinds) for kind in inner | outer):
            return False
        if not all(stat.S_ISDIR(kinds[kind][0]) for kind in inner):
            return False
        if any(stat.S_ISDIR(kinds[kind][0]) for kind in outer):
            return False
        if border < last and max(self.ref[border:last]) >= max(len(self.texts), 1):
            return False
        if border == first:
            return True
        # Subdirectories are numbered one after the other, and all after their parent.
        number, count = self.ref[first], border - first
        return (
            directory < number <= len(self.own) - count
            and self.ref[first:border] == array("I", range(number, number + count))
            and self.own[number : number + count] == array("I", range(first, border))
        )

    def _are_loose_sound(self) -> bool:
        """Tell whether the rows that have no place in the tree point nowhere wrong."""
        border = self.start[-1]
        if any(kind >= len(self.kinds) for kind in set(self.kind[border:])):
            return False
        links = (
            row
            for row in range(border, len(self.kind))
            if row in self.hard or stat.S_ISLNK(self.kinds[self.kind[row]][0])
        )
        return all(self.ref[row] < len(self.texts) for row in links)
