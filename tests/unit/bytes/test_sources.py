"""Every source gives the bytes it stands for, at any offset and from any thread."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from unionlayers._bytes.file import FileSource
from unionlayers._bytes.memory import MemorySource
from unionlayers._bytes.source import ByteSource
from unionlayers._bytes.stream import StreamSource
from unionlayers._bytes.window import WindowSource
from unionlayers.errors import (
    ClosedError,
    SourceChangedError,
    UnknownFormatError,
    UnseekableSourceError,
)

CONTENT = bytes(range(256)) * 40
Opener = Callable[[], ByteSource]


class Dribble(io.RawIOBase):
    """A raw file object that gives at most seven bytes a read, as raw objects may."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()

    def read(self, size: int = -1, /) -> bytes:
        return self._inner.read(min(size, 7))


@pytest.fixture(
    params=["file", "file object", "raw file object", "bytes", "bytearray", "window", "nested"]
)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> ByteSource:
    match request.param:
        case "file":
            (tmp_path / "f").write_bytes(CONTENT)
            return FileSource(tmp_path / "f")
        case "file object":
            return StreamSource(io.BytesIO(CONTENT))
        case "raw file object":
            return StreamSource(Dribble(CONTENT))  # type: ignore[arg-type]
        case "bytes":
            return MemorySource(CONTENT)
        case "bytearray":
            return MemorySource(bytearray(CONTENT))
        case "window":
            return WindowSource(MemorySource(b"ab" + CONTENT + b"cd"), 2, len(CONTENT))
    outer = WindowSource(MemorySource(b"abx" + CONTENT + b"ycd"), 2, len(CONTENT) + 2)
    return WindowSource(outer, 1, len(CONTENT))


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 0), (0, 1), (5, 300), (0, len(CONTENT)), (10239, 1), (10239, 9), (10240, 5), (99999, 1)],
)
def test_pread_is_a_slice(source: ByteSource, offset: int, length: int) -> None:
    assert CONTENT[offset : offset + length] == source.pread(offset, length)


def test_size_is_the_number_of_bytes(source: ByteSource) -> None:
    assert len(CONTENT) == source.size


@pytest.mark.parametrize(("offset", "length"), [(-1, 5), (0, -1)])
def test_negative_numbers_are_refused(source: ByteSource, offset: int, length: int) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        source.pread(offset, length)


def test_a_closed_source_says_so_and_closes_twice(source: ByteSource) -> None:
    source.close()
    source.close()
    with pytest.raises(ClosedError):
        source.pread(0, 1)


def test_eight_threads_read_without_disturbing_each_other(source: ByteSource) -> None:
    def check(seed: int) -> bool:
        places = [(seed * 31 + step * 97) % len(CONTENT) for step in range(200)]
        return all(source.pread(at, 50) == CONTENT[at : at + 50] for at in places)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, range(8)))


class TestFileSource:
    def test_identity_names_the_file_and_its_times(self, tmp_path: Path) -> None:
        path = tmp_path / "f"
        path.write_bytes(CONTENT)
        found = path.stat()
        identity = FileSource(path).identity
        assert (found.st_dev, found.st_ino) == (identity.device, identity.inode)
        assert (found.st_mtime_ns, found.st_ctime_ns) == (identity.mtime_ns, identity.ctime_ns)
        assert (len(CONTENT), 0, len(CONTENT)) == (identity.size, identity.offset, identity.length)

    def test_a_window_narrows_the_identity(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(CONTENT)
        file = FileSource(tmp_path / "f")
        inner = WindowSource(WindowSource(file, 10, 100), 5, 20)
        assert inner.identity == file.identity.narrowed(15, 20)
        assert inner.identity != file.identity.narrowed(15, 21)

    @pytest.mark.parametrize("change", ["rewritten", "truncated", "grown", "replaced"])
    def test_a_change_is_seen_by_the_next_read(self, tmp_path: Path, change: str) -> None:
        path = tmp_path / "f"
        path.write_bytes(CONTENT)
        os.utime(path, ns=(10**18, 10**18))
        file = FileSource(path)
        assert file.pread(0, 4) == CONTENT[:4]
        match change:
            case "rewritten":
                path.write_bytes(CONTENT[::-1])
            case "truncated":
                os.truncate(path, 3)
            case "grown":
                with path.open("ab") as more:
                    more.write(b"x")
            case "replaced":
                path.unlink()
        with pytest.raises(SourceChangedError, match="changed"):
            file.pread(0, 4)

    def test_a_directory_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownFormatError, match="directory"):
            FileSource(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
    def test_a_fifo_is_refused_without_waiting_for_a_writer(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "p")
        with pytest.raises(UnseekableSourceError) as caught:
            FileSource(tmp_path / "p")
        assert "spool=True" in str(caught.value)

    def test_a_missing_file_is_the_builtin_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            FileSource(tmp_path / "none")

    @pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
    def test_no_descriptor_is_left(self, tmp_path: Path) -> None:
        before = len(os.listdir("/proc/self/fd"))
        (tmp_path / "f").write_bytes(b"x")
        FileSource(tmp_path / "f").close()
        with pytest.raises(UnknownFormatError):
            FileSource(tmp_path)
        assert before == len(os.listdir("/proc/self/fd"))

    def test_an_open_descriptor_can_be_handed_over(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(CONTENT)
        descriptor = os.open(tmp_path / "f", os.O_RDONLY)
        file = FileSource("shown", descriptor=descriptor)
        assert file.pread(0, 99999) == CONTENT
        assert file.name == "shown"
        file.close()
        with pytest.raises(OSError, match=r"[Bb]ad file descriptor"):
            os.fstat(descriptor)


class TestStreamSource:
    def test_the_file_object_stays_open(self) -> None:
        stream = io.BytesIO(CONTENT)
        StreamSource(stream).close()
        assert not stream.closed

    def test_a_pipe_is_refused_with_a_way_out(self) -> None:
        read, write = os.pipe()
        with (
            open(read, "rb") as stream,
            open(write, "wb"),
            pytest.raises(UnseekableSourceError, match="spool=True"),
        ):
            StreamSource(stream)

    def test_text_mode_is_refused(self) -> None:
        with (
            tempfile.TemporaryFile("w+") as stream,
            pytest.raises(UnknownFormatError, match='mode "rb"'),
        ):
            StreamSource(stream)  # type: ignore[arg-type]

    def test_a_closed_file_object_says_so(self) -> None:
        stream = io.BytesIO(CONTENT)
        source = StreamSource(stream)
        stream.close()
        with pytest.raises(ClosedError, match="owner"):
            source.pread(0, 1)
        with pytest.raises(ClosedError):
            StreamSource(stream)

    def test_an_object_without_seekable_is_tried(self) -> None:
        class Minimal:
            def __init__(self) -> None:
                inner = io.BytesIO(CONTENT)
                self.seek, self.tell, self.read = inner.seek, inner.tell, inner.read

        assert StreamSource(Minimal()).pread(1, 2) == CONTENT[1:3]  # type: ignore[arg-type]

    def test_a_file_object_that_became_shorter_is_an_error(self) -> None:
        stream = io.BytesIO(CONTENT)
        source = StreamSource(stream)
        stream.truncate(10)
        with pytest.raises(SourceChangedError):
            source.pread(5, 10)


def test_a_writable_buffer_is_copied() -> None:
    data = bytearray(b"before")
    source = MemorySource(data)
    data[:] = b"after!"
    assert source.pread(0, 6) == b"before"


@pytest.mark.parametrize(("offset", "length"), [(0, 6), (6, 0), (5, 1), (-1, 2), (2, -1)])
def test_a_window_must_lie_inside_of_its_source(offset: int, length: int) -> None:
    with pytest.raises(ValueError, match=r"bytes at offset"):
        WindowSource(MemorySource(b"12345"), offset, length)


def test_closing_a_window_leaves_its_source_open() -> None:
    inner = MemorySource(b"12345")
    WindowSource(inner, 0, 5).close()
    assert inner.pread(0, 5) == b"12345"
