"""The inputs of the benchmarks, made from fixed seeds and kept in a folder for the next run."""

from __future__ import annotations

import gzip
import io
import random
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import frozen

__all__ = ["Inputs", "Layer"]

_MTIME = 1_700_000_000


@frozen
class Layer:
    """
    One layer tar in the forms that the benchmarks read.

    Attributes:
        name: What tables call it.
        tar: Path of the plain tar.
        gzip: Path of the same, compressed by gzip level 6.
        zstd: Path of the same, one zstd frame of level 3.
        entries: Entries in it.
        size: Bytes of the plain tar.
    """

    name: str
    tar: Path
    gzip: Path
    zstd: Path
    entries: int
    size: int


class Inputs:
    """
    Makes inputs on demand.

    Args:
        folder: Where they are kept.
        full: The sizes of the published figures instead of small ones.
    """

    def __init__(self, folder: Path, *, full: bool) -> None:
        self.folder = folder / ("full" if full else "small")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.full = full

    @property
    def modules(self) -> Layer:
        """A layer like those that npm makes: 200,000 small files in many folders (or 20,000)."""
        files = 200_000 if self.full else 20_000
        return self._layer("modules", lambda: _modules(files))

    @property
    def libraries(self) -> Layer:
        """A layer like a compiler's: few large binaries, 1.5 GB (or 150 MB)."""
        return self._layer("libraries", lambda: _libraries((1500 if self.full else 150) * 10**6))

    @property
    def tiny(self) -> Layer:
        """A million (or 100,000) files of a few bytes."""
        return self._layer("tiny", lambda: _tiny(1_000_000 if self.full else 100_000))

    @property
    def hundred_thousand(self) -> Layer:
        """A layer of 100,000 entries, or 20,000."""
        return self._layer("hundred", lambda: _modules(85_000 if self.full else 17_000))

    def upper(self, number: int) -> Path:
        """Give one of two layers over `hundred_thousand`: a package of its own, ten rewritten."""
        path = self.folder / f"upper-{number}.tar"
        if not path.exists():
            # Written aside, so that a run that is broken off leaves nothing half done.
            partial = path.with_suffix(".part")
            _write(partial, _packages([*range(number, 100, 10), 10_000 + number], 100))
            partial.rename(path)
        return path

    def stack(self, depth: int) -> list[Path]:
        """Give the plain tars of a stack, base first: packages spread over it, a few rewritten."""
        files = 200_000 if self.full else 20_000
        folder = self.folder / f"stack-{depth}"
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            packages = max(depth, files // 100)
            for number in range(depth):
                mine = range(number, packages, depth)
                again = range(0, packages, 20) if number == depth - 1 else ()
                _write(folder / f"{number:03}.tar", _packages([*mine, *again], 100))
            (folder / "made").touch()
        return sorted(folder.glob("*.tar"))

    def wide(self, layer: Layer) -> Path:
        """Give a layer as one zstd frame with a window of 8 MiB, as container tools write it."""
        path = layer.tar.with_suffix(".wide.zst")
        if not path.exists():
            part = path.with_suffix(".part")
            with layer.tar.open("rb") as source, part.open("wb") as target:
                _one_frame(source, target, window_log=23)
            part.rename(path)
        return path

    def extracted(self, layer: Layer) -> Path:
        """Unpack a layer for the yardsticks that need a real tree, in memory where that can be."""
        shared = Path("/dev/shm")  # a tree on a disk would flatter us
        base = shared if shared.is_dir() else self.folder
        target = base / f"unionlayers-bench-{self.folder.name}-{layer.name}"
        if not (target / ".made").exists():
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            subprocess.run(["tar", "-xf", layer.tar, "-C", target], check=True)
            (target / ".made").touch()
        return target

    def _layer(self, name: str, entries: Callable[[], Iterator[tuple[str, bytes | None]]]) -> Layer:
        tar = self.folder / f"{name}.tar"
        counted = self.folder / f"{name}.count"
        packed, framed = tar.with_suffix(".tar.gz"), tar.with_suffix(".tar.zst")
        if not counted.exists():
            count = _write(tar, entries())
            with tar.open("rb") as source, gzip.GzipFile(packed, "wb", 6, mtime=0) as target:
                shutil.copyfileobj(source, target, 1 << 20)
            with tar.open("rb") as source, framed.open("wb") as plain:
                _one_frame(source, plain)
            counted.write_text(str(count))
        size = tar.stat().st_size
        return Layer(name, tar, packed, framed, int(counted.read_text()), size)


def _one_frame(
    source: io.BufferedReader, target: io.BufferedWriter, window_log: int | None = None
) -> None:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    options: dict[int, int] = {zstd.CompressionParameter.compression_level: 3}
    if window_log is not None:
        options[zstd.CompressionParameter.window_log] = window_log
    squeezer = zstd.ZstdCompressor(options=options)
    while piece := source.read(1 << 20):
        target.write(squeezer.compress(piece))
    target.write(squeezer.flush())


def _write(path: Path, entries: Iterator[tuple[str, bytes | None]]) -> int:
    count = 0
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.mtime = _MTIME
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            count += 1
    return count


def _words(seed: int, count: int) -> list[bytes]:
    chance = random.Random(seed)
    return [chance.randbytes(chance.randint(2, 12)) for _ in range(count)]


def _modules(files: int) -> Iterator[tuple[str, bytes | None]]:
    return _packages(range(files // 100), 100)


def _packages(
    numbers: Iterator[int] | range | list[int], files: int
) -> Iterator[tuple[str, bytes | None]]:
    chance = random.Random(7)
    text = " ".join(f"word{chance.randint(0, 5000):x}" for _ in range(200_000)).encode()
    yield "app", None
    yield "app/node_modules", None
    for number in numbers:
        root = f"app/node_modules/package-{number}"
        yield root, None
        for part in range(files):
            if part % 10 == 0:
                yield f"{root}/lib-{part // 10}", None
            start = chance.randint(0, len(text) - 40_000)
            length = int(min(40_000, chance.expovariate(1 / 6000)))
            yield f"{root}/lib-{part // 10}/module-{part}.js", text[start : start + length]


def _libraries(size: int) -> Iterator[tuple[str, bytes | None]]:
    chance = random.Random(11)
    words = _words(11, 8192)
    weights = [1 / (rank + 3) for rank in range(len(words))]
    made = 0
    number = 0
    yield "usr", None
    yield "usr/lib", None
    while made < size:
        number += 1
        wanted = min(size - made, chance.choice((30_000, 90_000, 300_000, 2_000_000, 12_000_000)))
        pieces: list[bytes] = []
        have = 0
        while have < wanted:
            piece = b"".join(chance.choices(words, weights, k=20_000))
            pieces.append(piece)
            have += len(piece)
        yield f"usr/lib/library-{number}.so", b"".join(pieces)[:wanted]
        made += wanted


def _tiny(files: int) -> Iterator[tuple[str, bytes | None]]:
    for number in range(files):
        if number % 1000 == 0:
            yield f"data/{number // 1000}", None
        yield f"data/{number // 1000}/{number}", str(number).encode()
