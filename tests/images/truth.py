"""
Write down what a runtime unpacked: one JSON object a path, compressed, for the tests to compare.

Run as root, for owners and devices to be there::

    umoci unpack --image LAYOUT:TAG bundle
    python truth.py bundle/rootfs truth/NAME.jsonl.gz
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import stat
import sys

__all__ = ["describe", "main"]

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}


def describe(root: str) -> list[dict[str, object]]:
    """Give what stands below *root*, sorted by the bytes of the path; the root is ``.``."""
    paths = ["."]
    for folder, names, files in os.walk(root):
        below = os.path.relpath(folder, root)
        paths.extend(os.path.normpath(os.path.join(below, name)) for name in names + files)
    paths.sort(key=os.fsencode)
    first: dict[tuple[int, int], str] = {}
    facts = []
    for path in paths:
        full = os.path.join(root, path)
        try:
            found = os.lstat(full)
        except FileNotFoundError:
            # Overlayfs lists the whiteouts in a directory that it does not merge (case A3).
            continue
        kind = KINDS[stat.S_IFMT(found.st_mode)]
        fact: dict[str, object] = {
            "path": path,
            "type": kind,
            "mode": f"{stat.S_IMODE(found.st_mode):04o}",
            "uid": found.st_uid,
            "gid": found.st_gid,
            "mtime": found.st_mtime_ns,
        }
        if kind == "file":
            with open(full, "rb") as file:
                fact["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
            fact["size"] = found.st_size
        elif kind == "symlink":
            fact["linkname"] = os.readlink(full)
        elif kind in {"char", "block"}:
            fact["rdev"] = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
        names = os.listxattr(full, follow_symlinks=False)
        if names:
            fact["xattrs"] = {
                name: os.getxattr(full, name, follow_symlinks=False).hex() for name in names
            }
        if kind != "dir" and found.st_nlink > 1:
            fact["nlink"] = found.st_nlink
            fact["hlgroup"] = first.setdefault((found.st_dev, found.st_ino), path)
        facts.append(fact)
    return facts


def main(root: str, target: str) -> None:
    """Describe *root* in the file *target*."""
    lines = [json.dumps(fact, sort_keys=True) + "\n" for fact in describe(root)]
    with open(target, "wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.write("".join(lines).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
