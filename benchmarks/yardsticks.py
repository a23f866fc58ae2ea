"""What others need for the same bytes: whole-stream decompression, tarfile, ratarmount, TarFS."""

from __future__ import annotations

import os
import sys
import tarfile
from pathlib import Path

__all__ = [
    "inflate_all",
    "names_by_tarfile",
    "ratarmount_index",
    "read_tree",
    "unpack_and_read",
    "unzstd_all",
    "walk_and_lstat",
]

_PIECE = 1 << 17


def inflate_all(path: Path) -> int:
    """Decompress a gzip file from end to end by isal and keep nothing."""
    from isal import isal_zlib

    inflater = isal_zlib.decompressobj(31)
    total = 0
    with path.open("rb") as source:
        while piece := source.read(_PIECE):
            total += len(inflater.decompress(piece))
    return total


def unzstd_all(path: Path) -> int:
    """Decompress a zstd file from end to end and keep nothing."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    inflater = zstd.ZstdDecompressor()
    total = 0
    with path.open("rb") as source:
        while piece := source.read(_PIECE):
            total += len(inflater.decompress(piece))
    return total


def names_by_tarfile(path: Path) -> int:
    """Go over a compressed tar by the standard library."""
    count = 0
    with tarfile.open(path) as tar:
        for _ in tar:
            count += 1
    return count


def ratarmount_index(path: Path) -> None:
    """Make ratarmount's index of a compressed tar, in memory."""
    import contextlib
    import io

    from ratarmountcore.mountsource.formats.tar import SQLiteIndexedTar

    with (
        contextlib.redirect_stdout(io.StringIO()),
        SQLiteIndexedTar(str(path), writeIndex=False, clearIndexCache=True, parallelization=1),
    ):
        pass


def walk_and_lstat(folder: Path) -> int:
    """Visit every name of a real tree and ask for its metadata."""
    count = 0
    for at, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.lstat(f"{at}/{name}")
            count += 1
    return count


def read_tree(folder: Path) -> int:
    """Read every file of a real tree."""
    total = 0
    for at, _, files in os.walk(folder):
        for name in files:
            with open(f"{at}/{name}", "rb", buffering=0) as file:
                total += len(file.read())
    return total


def unpack_and_read(archive: Path, folder: Path) -> int:
    """Unpack a compressed tar by GNU tar and read what came out."""
    import shutil
    import subprocess

    folder.mkdir()
    try:
        subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
        return read_tree(folder)
    finally:
        shutil.rmtree(folder)
