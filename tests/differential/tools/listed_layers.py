"""
What the layers of an image do to each path, replayed from what GNU tar lists of them.

A second opinion on `Image.explain` and `Image.history_of`: it reads the documents with ``json``,
the archive with ``tarfile`` and the layers with ``tar``, takes whole paths as keys, and imports
nothing of the package.
"""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

__all__ = ["Brought", "Listing", "Removed", "Replay", "layers_of", "listed", "replayed"]

_LINE = re.compile(
    r"(?P<mode>[-dlhcbpCV][-rwxsStT]{9})[.+@]? "
    r"(?P<uid>\d+)/(?P<gid>\d+) +(?P<size>\d+|\d+,\d+) "
    r"(?P<time>\S+ \S+) "
    r'"(?P<name>(?:[^"\\]|\\.)*)"(?: -> "(?P<target>(?:[^"\\]|\\.)*)"| link to "(?P<link>.*)")?\Z'
)
_ESCAPE = re.compile(r"\\([0-7]{3}|.)")
_PLAIN = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_TYPES = {"-": "file", "h": "file", "d": "directory", "l": "symlink", "p": "fifo"}


@frozen
class Listing:
    """One line of ``tar --list``."""

    entry: int
    path: str
    type: str
    is_link: bool
    size: int
    mode: int
    uid: int
    gid: int
    mtime: int
    target: str | None


@frozen
class Brought:
    """A layer has an entry for a path."""

    layer: int
    listing: Listing


@frozen
class Removed:
    """A layer takes a path away."""

    layer: int
    reason: str
    entry: int | None


@define
class Replay:
    """
    What happened to the paths.

    Attributes:
        events: By path, in the order of the layers; absolute paths.
        remade: By path, what layers take away and have again themselves; no events tell it.
        present: The paths that are there in the end, directories that are only implied too.
    """

    events: dict[str, list[Brought | Removed]] = field(factory=dict)
    remade: dict[str, list[Removed]] = field(factory=dict)
    present: set[str] = field(factory=set)
    _inside: dict[str, set[str]] = field(factory=dict)
    _kinds: dict[str, str] = field(factory=dict)
    _targets: dict[str, str] = field(factory=dict)
    _gone: set[str] = field(factory=set)

    def take(self, layer: int, listing: list[Listing]) -> None:
        """Apply a layer: what it deletes is deleted from the layers beneath only."""
        for one in listing:
            parent, _, name = one.path.rpartition("/")
            if name == ".wh..wh..opq":
                for child in sorted(self._inside.get(parent or "/", ())):
                    self._remove(child, Removed(layer, "opaque", one.entry))
            elif name.startswith(".wh."):
                hidden = f"{parent}/{name.removeprefix('.wh.')}"
                if hidden in self.present:
                    self._remove(hidden, Removed(layer, "whiteout", one.entry))
        last = {
            one.path: one for one in listing if not one.path.rpartition("/")[2].startswith(".wh.")
        }
        for path, one in last.items():
            self._place(layer, path, one)
        # What the layer takes away and has itself is there without a break.
        for path in self._gone & self.present:
            events = self.events[path]
            gone = [one for one in events if one.layer == layer and isinstance(one, Removed)]
            events[:] = [one for one in events if one not in gone]
            self.remade.setdefault(path, []).extend(gone)
        self._gone.clear()

    def real(self, path: str) -> str:
        """Give a path with the links on the way to it followed, as all layers have them."""
        pending = [part for part in path.split("/") if part]
        at = ""
        for _ in range(1000):
            if not pending:
                return at or "/"
            part = pending.pop(0)
            if part == "..":
                at = at.rpartition("/")[0]
                continue
            at = f"{at}/{part}"
            if pending and at in self.present and self._kinds[at] == "symlink":
                target = self._targets[at]
                pending = [one for one in target.split("/") if one not in ("", ".")] + pending
                at = "" if target.startswith("/") else at.rpartition("/")[0]
        raise AssertionError(f"the links on the way to {path} lead in a circle")

    def _place(self, layer: int, path: str, one: Listing) -> None:
        parent = path.rpartition("/")[0] or "/"
        if path != "/" and parent not in self.present:
            self._imply(parent)
        was = self._kinds.get(path) if path in self.present else None
        if was == "directory" and one.type != "directory":
            for child in sorted(self._inside.get(path, ())):
                self._remove(child, Removed(layer, "type change", one.entry))
        self._show(path, one.type)
        self._targets[path] = one.target or ""
        self.events.setdefault(path, []).append(Brought(layer, one))

    def _imply(self, path: str) -> None:
        missing = []
        while path not in self.present:
            missing.append(path)
            path = path.rpartition("/")[0] or "/"
            if path == "/":
                break
        for one in reversed(missing):
            self._show(one, "directory")

    def _show(self, path: str, kind: str) -> None:
        self.present.add(path)
        self._kinds[path] = kind
        if path != "/":
            self._inside.setdefault(path.rpartition("/")[0] or "/", set()).add(path)

    def _remove(self, path: str, cause: Removed) -> None:
        pending = [path]
        while pending:
            one = pending.pop()
            pending.extend(self._inside.pop(one, ()))
            self.present.discard(one)
            self._gone.add(one)
            self.events.setdefault(one, []).append(cause)
        self._inside[path.rpartition("/")[0] or "/"].discard(path)


def replayed(layers: list[Path]) -> Replay:
    """Give what the layers do, base first."""
    replay = Replay()
    replay.take(-1, [])
    for number, path in enumerate(layers):
        replay.take(number, listed(path))
    return replay


def listed(path: Path) -> list[Listing]:
    """List a layer with GNU tar, which tells how it is compressed by itself."""
    ran = subprocess.run(
        [
            *("tar", "--list", "--verbose", "--numeric-owner", "--full-time", "--utc"),
            *("--quoting-style=c", "--absolute-names", "--file", str(path)),
        ],
        check=False,
        capture_output=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"},
    )
    # umoci ends a layer right behind its last content; GNU tar lists it all and then complains.
    if ran.returncode and b"Unexpected EOF in archive" not in ran.stderr:
        raise AssertionError(ran.stderr.decode("utf-8", "replace"))
    lines = ran.stdout.decode("ascii").splitlines()
    return [_listing(number, line) for number, line in enumerate(lines)]


def _listing(number: int, line: str) -> Listing:
    found = _LINE.match(line)
    if found is None:
        raise AssertionError(f"GNU tar lists a line that cannot be read: {line!r}")
    letter = found["mode"][0]
    # Fractions are left out: the header's whole second is what all agree on.
    time = found["time"].partition(".")[0]
    moment = datetime.strptime(time, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    name = _unquoted(found["name"])
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return Listing(
        entry=number,
        path="/" + "/".join(parts),
        type=_TYPES.get(letter, "device"),
        is_link=letter == "h",
        size=0 if "," in found["size"] else int(found["size"]),
        mode=_bits(found["mode"][1:]),
        uid=int(found["uid"]),
        gid=int(found["gid"]),
        mtime=int(moment.timestamp()),
        target=None if found["target"] is None else _unquoted(found["target"]),
    )


def _unquoted(text: str) -> str:
    """Undo the quoting of C."""

    def plain(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) == 3:
            return chr(int(code, 8))
        return chr(_PLAIN[code]) if code in _PLAIN else code

    return _ESCAPE.sub(plain, text).encode("latin-1").decode("utf-8", "surrogateescape")


def _bits(letters: str) -> int:
    """Read rwxr-sr-t."""
    found = 0
    for place, letter in enumerate(letters):
        if letter not in "-ST":
            found |= 0o400 >> place
        if letter in "sStT":
            found |= {2: 0o4000, 5: 0o2000, 8: 0o1000}[place]
    return found


def layers_of(source: Path, place: Path, reference: str | None, platform: str | None) -> list[Path]:
    """
    Give the layers of an image as files, as they are stored.

    Args:
        source: An archive, or the folder of a layout.
        place: A folder to put them in.
        reference: The tag, where an archive of ``docker save`` has several images.
        platform: The platform, where a layout has several.
    """
    if source.is_dir():
        folder = source
    else:
        folder = place / "unpacked"
        with tarfile.open(source) as tar:
            tar.extractall(folder, filter="data")
    return [(folder / name).resolve(strict=True) for name in _names(folder, reference, platform)]


def _names(folder: Path, reference: str | None, platform: str | None) -> Iterator[str]:
    manifest = folder / "manifest.json"
    found = json.loads(manifest.read_text()) if manifest.exists() else None
    if isinstance(found, list):
        for item in found:
            if reference is None or reference in (item["RepoTags"] or ()):
                yield from item["Layers"]
        return
    if found is None:
        found = _manifest(folder, json.loads((folder / "index.json").read_text()), platform)
    bare = not (folder / "blobs").exists()
    for layer in found["layers"]:
        encoded = layer["digest"].partition(":")[2]
        yield encoded if bare else f"blobs/sha256/{encoded}"


def _manifest(folder: Path, index: dict[str, Any], platform: str | None) -> dict[str, Any]:
    while "manifests" in index:
        fitting = [
            item
            for item in index["manifests"]
            if platform is None
            or "platform" not in item
            or platform == f"{item['platform']['os']}/{item['platform']['architecture']}"
        ]
        encoded = fitting[0]["digest"].partition(":")[2]
        index = json.loads((folder / "blobs" / "sha256" / encoded).read_text())
    return index
