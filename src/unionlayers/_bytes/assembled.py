"""
Bytes that are in no file: a frame, such as the headers of a tar, with files set into it.

The frame is kept in memory, compressed in blocks, as headers are nearly all zeros; files are read
where they are, at the moment they are asked for.  What a file is at the first look is kept, and
a file that is another later is an error instead of a mixture.
"""

from __future__ import annotations

import stat
import threading
import zlib
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from typing import NoReturn

from unionlayers._bytes.file import FileSource
from unionlayers._bytes.odd_file import kind_named, require_readable
from unionlayers._bytes.rooted import RootedFolder, is_absent
from unionlayers._bytes.source import ByteSource, check_range
from unionlayers._foundation.forking import renew_in_children
from unionlayers._foundation.names import decode
from unionlayers.errors import (
    ClosedError,
    SourceAccessError,
    SourceChangedError,
    StoreError,
    UnknownFormatError,
    UnseekableSourceError,
)

__all__ = [
    "AssembledSource",
    "Assembly",
    "DeferredSource",
    "Frame",
    "OutlineSource",
    "Remark",
    "in_files",
    "is_original",
    "outline_of",
    "remarks_of",
    "state_of",
]

_BLOCK = 64 * 1024
_BLOCKS_AT_HAND = 4
_FILES_AT_HAND = 16
_FILE = (stat.S_IFREG, None)
_HINT = (
    "Put the file back, or let the engine fetch or build the image again; verify=False shows "
    "what else there is"
)

Remark = tuple[str, str | None, str, str | None]
"""What was odd while bytes were put together: code, path, message, case."""


def state_of(device: int, inode: int, size: int, mtime_ns: int, ctime_ns: int) -> int:
    """Give a number, not 0, that as good as surely is another one once a file was changed."""
    return hash((device, inode, size, mtime_ns, ctime_ns)) or 1


class Frame:
    """Bytes that only grow, compressed in memory, with random access."""

    def __init__(self) -> None:
        self.size = 0
        self._blocks: list[bytes] = []
        self._open = bytearray()
        self._plain: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        renew_in_children(self)

    def renew(self) -> None:
        """Take a new lock in a forked child."""
        self._lock = threading.Lock()

    def append(self, data: bytes) -> None:
        """Add bytes at the end; only by one thread, before the first read."""
        self.size += len(data)
        self._open += data
        while len(self._open) >= _BLOCK:
            self._blocks.append(zlib.compress(self._open[:_BLOCK], 1))
            del self._open[:_BLOCK]

    def pread(self, offset: int, length: int) -> bytes:
        """Read *length* bytes at *offset*; fewer only at the end."""
        end = min(offset + length, self.size)
        parts: list[bytes] = []
        while offset < end:
            number, start = divmod(offset, _BLOCK)
            part = self._block(number)[start : start + end - offset]
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _block(self, number: int) -> bytes:
        if number == len(self._blocks):
            return bytes(self._open)
        with self._lock:
            plain = self._plain.get(number)
            if plain is None:
                plain = self._plain[number] = zlib.decompress(self._blocks[number])
                if len(self._plain) > _BLOCKS_AT_HAND:
                    self._plain.popitem(last=False)
            return plain


class Assembly:
    """
    A frame and files while they are put together, by one thread.

    Attributes:
        remarks: What was odd on the way.
    """

    def __init__(self) -> None:
        self.frame = Frame()
        self.names = Frame()
        self.size = 0
        self.remarks: list[Remark] = []
        # One item for each file: where it starts, how long it is, where in the file, the frame
        # before it, its name, and its state or 0 where nobody has looked yet.
        self.start = array("Q")
        self.length = array("Q")
        self.skip = array("Q")
        self.before = array("Q")
        self.named = array("Q", [0])
        self.state = array("q")

    def add(self, data: bytes) -> None:
        """Add bytes of the frame."""
        self.frame.append(data)
        self.size += len(data)

    def add_file(self, path: bytes, length: int, *, state: int = 0, skip: int = 0) -> None:
        """
        Add bytes of a file.

        Args:
            path: Where it is in the folder.
            length: Bytes of it; the whole file where *state* is 0.
            state: What `state_of` gave when it was looked at, or 0.
            skip: Bytes at its start that are left out.
        """
        self.start.append(self.size)
        self.length.append(length)
        self.skip.append(skip)
        self.before.append(self.frame.size)
        self.state.append(state)
        self.names.append(path)
        self.named.append(self.names.size)
        self.size += length


class AssembledSource:
    """
    The bytes of an assembly, read from the folder that its files are in.

    Args:
        assembly: The finished assembly.
        folder: The folder; it stays open when this is closed.
        original: Whether these are bytes that once were, and digests were made of; links on the
            way to a file are then followed inside of the folder, as when it was unpacked.
    """

    identity: None = None

    def __init__(self, assembly: Assembly, folder: RootedFolder, *, original: bool) -> None:
        self.size = assembly.size
        self.original = original
        self.remarks = tuple(assembly.remarks)
        self._parts = assembly
        self._folder = folder
        self._lock = threading.Lock()
        renew_in_children(self)
        self._open: OrderedDict[int, FileSource] = OrderedDict()
        self._closed = False

    def renew(self) -> None:
        """Take a new lock in a forked child."""
        self._lock = threading.Lock()

    def pread(self, offset: int, length: int) -> bytes:
        """
        Read *length* bytes at *offset*; see `ByteSource.pread`.

        Raises:
            StoreError: A file is not there, or not as long as was promised, something else is in
                its place, or the host cannot read it.
            SourceChangedError: A file is not what it was.
            SourceAccessError: The user may not read a file.
        """
        return self._joined(offset, length, self._read)

    def outline(self, offset: int, length: int) -> bytes:
        """Read like `pread`, with a filler in place of what stands in files; none is opened."""
        return self._joined(offset, length, _filler)

    def _joined(self, offset: int, length: int, read: Callable[[int, int, int], bytes]) -> bytes:
        check_range(offset, length)
        if self._closed:
            raise ClosedError("the source was closed", member=self._folder.name)
        parts = self._parts
        end = min(offset + length, self.size)
        found: list[bytes] = []
        number = bisect_right(parts.start, offset) - 1
        while offset < end:
            if number >= 0 and offset < parts.start[number] + parts.length[number]:
                inside = offset - parts.start[number]
                wanted = min(end - offset, parts.length[number] - inside)
                data = read(number, inside + parts.skip[number], wanted)
            else:
                # The frame from behind this file up to the next.
                base = 0 if number < 0 else parts.start[number] + parts.length[number]
                at = (0 if number < 0 else parts.before[number]) + offset - base
                number += 1
                stop = parts.start[number] if number < len(parts.start) else self.size
                data = parts.frame.pread(at, min(end, stop) - offset)
            found.append(data)
            offset += len(data)
        return found[0] if len(found) == 1 else b"".join(found)

    def close(self) -> None:
        """Close the files that are open; twice is allowed."""
        with self._lock:
            self._closed = True
            opened = list(self._open.values())
            self._open.clear()
        for source in opened:
            source.close()

    def _read(self, number: int, offset: int, length: int) -> bytes:
        while True:
            source = self._source(number)
            try:
                return source.pread(offset, length)
            except ClosedError:
                # Another thread needed the room; the file is opened again.
                if self._closed:
                    raise
            except OSError as error:
                path = self._path(number)
                require_readable(error, self._folder.called(path), path=_shown(path))
                raise

    def _source(self, number: int) -> FileSource:
        evicted: FileSource | None = None
        with self._lock:
            if self._closed:
                raise ClosedError("the source was closed", member=self._folder.name)
            known = self._open.get(number)
            if known is not None:
                self._open.move_to_end(number)
                return known
            made = self._open[number] = self._opened(number)
            if len(self._open) > _FILES_AT_HAND:
                evicted = self._open.popitem(last=False)[1]
        if evicted is not None:
            evicted.close()
        return made

    def _path(self, number: int) -> bytes:
        parts = self._parts
        at = parts.named[number]
        return parts.names.pread(at, parts.named[number + 1] - at)

    def _opened(self, number: int) -> FileSource:
        parts = self._parts
        path = self._path(number)
        name = self._folder.called(path)
        try:
            # What is no file is not opened: that of a device may do something.
            kind = self._folder.kind(path, follow=self.original)
            if kind not in _FILE:
                self._differs(number, path, f"{kind_named(kind or 0)} where the layer has a file")
            descriptor = self._folder.open_file(path, follow=self.original)
            source = FileSource(name, descriptor=descriptor)
        except (UnknownFormatError, UnseekableSourceError) as error:
            self._differs(number, path, "no file any more where the layer has one", error)
        except (StoreError, SourceAccessError) as error:
            error.path = error.filename = _shown(path)
            raise
        except OSError as error:
            if not is_absent(error):
                raise
            self._differs(number, path, "the store lacks a file of the layer", error)
        seen = source.identity
        state = state_of(seen.device, seen.inode, seen.size, seen.mtime_ns, seen.ctime_ns)
        if parts.state[number] == 0:
            if source.size != parts.length[number]:
                source.close()
                raise StoreError(
                    "a file of the store has not the size that was promised",
                    path=_shown(path),
                    member=name,
                    expected=parts.length[number],
                    actual=source.size,
                    hint=_HINT,
                )
            parts.state[number] = state
        elif parts.state[number] != state:
            source.close()
            raise SourceChangedError(
                "the file was changed while the image was open", path=_shown(path), member=name
            )
        return source

    def _differs(
        self, number: int, path: bytes, message: str, error: Exception | None = None
    ) -> NoReturn:
        name = self._folder.called(path)
        if self._parts.state[number]:
            raise SourceChangedError(
                "the file was replaced or removed while the image was open",
                path=_shown(path),
                member=name,
            ) from error
        raise StoreError(message, path=_shown(path), member=name, hint=_HINT) from error


class DeferredSource:
    """
    A source that is made at the first question, so that opening an image stays cheap.

    Args:
        make: Makes it; called again if it raised.
        name: What errors call it.
    """

    identity: None = None

    def __init__(self, make: Callable[[], AssembledSource], name: str) -> None:
        self._make = make
        self._name = name
        self._lock = threading.RLock()
        renew_in_children(self)
        self._made: AssembledSource | None = None
        self._closed = False

    def renew(self) -> None:
        """Take a new lock in a forked child."""
        self._lock = threading.RLock()

    def made(self) -> AssembledSource:
        """Give the source itself."""
        made = self._made
        if made is not None:
            return made
        with self._lock:
            if self._closed:
                raise ClosedError("the source was closed", member=self._name)
            if self._made is None:
                self._made = self._make()
            return self._made

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self.made().size

    @property
    def original(self) -> bool:
        """Whether these are bytes that digests were made of."""
        return self.made().original

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What was odd while the bytes were put together."""
        return self.made().remarks

    def pread(self, offset: int, length: int) -> bytes:
        """Read *length* bytes at *offset*; see `AssembledSource.pread`."""
        return self.made().pread(offset, length)

    def close(self) -> None:
        """Let go of the source; twice is allowed."""
        with self._lock:
            self._closed = True
            if self._made is not None:
                self._made.close()


class OutlineSource:
    """
    An assembled source with a filler in place of what stands in files, to read the frame alone.

    Args:
        source: It stays open when this is closed.
    """

    identity: None = None

    def __init__(self, source: AssembledSource | DeferredSource) -> None:
        self._source = source if isinstance(source, AssembledSource) else source.made()
        self.size = self._source.size

    def pread(self, offset: int, length: int) -> bytes:
        """Read *length* bytes at *offset*; see `AssembledSource.outline`."""
        return self._source.outline(offset, length)

    def close(self) -> None:
        """Do nothing: the source has another owner."""


def outline_of(source: ByteSource) -> ByteSource:
    """Give an assembled source without what stands in files, and any other as it is."""
    if isinstance(source, AssembledSource | DeferredSource):
        return OutlineSource(source)
    return source


def in_files(source: ByteSource) -> bool:
    """Tell whether a source is put together from many files, each of which may fail alone."""
    return isinstance(source, AssembledSource | DeferredSource)


def is_original(source: ByteSource) -> bool:
    """Tell whether digests can be made of a source: not of one that was only made up."""
    return not isinstance(source, AssembledSource | DeferredSource) or source.original


def _shown(path: bytes) -> str:
    return "/" + decode(path)


def _filler(_number: int, _offset: int, length: int) -> bytes:
    # Not NULs: where a damaged frame is out of step they would be taken for its end.
    return b"\x01" * length


def remarks_of(source: ByteSource) -> tuple[Remark, ...]:
    """Give what was odd while a source was put together; nothing for any other source."""
    return source.remarks if isinstance(source, AssembledSource | DeferredSource) else ()
