"""
One row of the conformance table: what goes in, and what each profile shows of it.

A tree is written as one word for each path: ``d/`` a directory, ``a=text`` a file and its content,
``l->target`` a symbolic link, ``p|`` a FIFO, ``n#1:3`` a device; ``␣`` and ``␊`` stand for a
blank and a newline in a name.  `REFUSED` in place of a tree says that the row's error is raised.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from unionlayers import Image, LayerError, UnionFS, open_image
from unionlayers.testing import Entry, ImageDescription, docker_archive

__all__ = ["PROFILES", "REFUSED", "Layers", "Row", "shown", "words"]

PROFILES = ("oci", "overlay", "sequential")
REFUSED = "refused"

Layers = Sequence[Sequence[Entry] | bytes]
Facts = Mapping[str, Mapping[str, Any]]


@frozen
class Row:
    """
    One row.

    Attributes:
        case: Id of the case.
        fact: What the row says, a clause.
        layers: The layers, base first, or what makes the whole archive.
        tree: The tree, or `REFUSED`, under the profiles that have no answer of their own.
        oci: The answer under that profile, likewise the next two.
        error: What is raised where the answer is `REFUSED`.
        warned: The tree under ``on_invalid="warn"`` where the answer is `REFUSED`; None where it
            is refused even so.
        warned_overlay: The same under that profile, where it is another one; likewise the next.
        finding: Code of the finding that the row must yield; of two, one under each profile.
        found: Cases of the findings, where they are others than the row's.
        facts: Path to what the ``stat``, ``xattr`` and ``layer`` namespaces say of it.
        overlay_facts: The same under that profile, over `facts`; likewise the next.
        options: Further arguments of `open_image`.
    """

    case: str
    fact: str
    layers: Layers | Callable[[], bytes]
    tree: str = REFUSED
    oci: str | None = field(default=None, kw_only=True)
    overlay: str | None = field(default=None, kw_only=True)
    sequential: str | None = field(default=None, kw_only=True)
    error: type[Exception] = field(default=LayerError, kw_only=True)
    warned: str | None = field(default=None, kw_only=True)
    warned_overlay: str | None = field(default=None, kw_only=True)
    warned_sequential: str | None = field(default=None, kw_only=True)
    finding: str | None = field(default=None, kw_only=True)
    found: str | None = field(default=None, kw_only=True)
    facts: Facts = field(factory=dict, kw_only=True)
    overlay_facts: Facts = field(factory=dict, kw_only=True)
    sequential_facts: Facts = field(factory=dict, kw_only=True)
    options: Mapping[str, Any] = field(factory=dict, kw_only=True)

    def answer(self, profile: str) -> str:
        """Give the tree that is expected under a profile, or `REFUSED`."""
        own = {"oci": self.oci, "overlay": self.overlay, "sequential": self.sequential}[profile]
        return self.tree if own is None else own

    def forgiven(self, profile: str) -> str | None:
        """Give the tree under a profile that refuses the row, with ``on_invalid="warn"``."""
        own = {"overlay": self.warned_overlay, "sequential": self.warned_sequential}.get(profile)
        return self.warned if own is None else own

    def told(self, profile: str) -> Facts:
        """Give what is expected of paths under a profile."""
        own = {"overlay": self.overlay_facts, "sequential": self.sequential_facts}
        return {**self.facts, **own.get(profile, {})}

    @property
    def cases(self) -> set[str]:
        """The cases by which findings of the row go."""
        return {self.case, *(self.found or "").split()}

    @property
    def differs(self) -> bool:
        """Whether profiles answer differently."""
        return any(
            self.answer(profile) != self.answer("oci") or self.told(profile) != self.facts
            for profile in PROFILES
        )

    def open(self, profile: str, on_invalid: Any = "error") -> Image:
        """Open what the row describes."""
        if callable(self.layers):
            archive = self.layers()
        else:
            archive = docker_archive(ImageDescription(self.layers))
        return open_image(
            io.BytesIO(archive), **{"profile": profile, "on_invalid": on_invalid, **self.options}
        )


def words(tree: str) -> list[str]:
    """Give the words of a tree, sorted."""
    return sorted(word.replace("␣", " ").replace("␊", "\n") for word in tree.split())


def shown(view: UnionFS) -> list[str]:
    """Give what a view shows as words, sorted."""
    found = []
    kinds = ("file", "directory", "symlink", "device", "fifo")
    for path, info in view.find(None, types=kinds, namespaces=("stat",)):
        name = path[1:]
        facts: Any = info.raw["stat"]
        kind = stat.S_IFMT(facts["st_mode"])
        if kind == stat.S_IFDIR:
            found.append(f"{name}/")
        elif kind == stat.S_IFLNK:
            found.append(f"{name}->{info.raw['link']['target']}")
        elif kind == stat.S_IFIFO:
            found.append(f"{name}|")
        elif kind == stat.S_IFREG:
            text = view.readbytes(path).replace(b"\0", b"0").decode(errors="surrogateescape")
            found.append(f"{name}={text}")
        else:
            rdev = facts["st_rdev"]
            found.append(f"{name}#{rdev >> 8 & 0xFFF}:{rdev & 0xFF}")
    return sorted(found)
