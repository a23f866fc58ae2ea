"""
The changeset of a layer with exceptions: its entries taken in tar order, as a runtime would.

What depends on the order of entries is decided here and nowhere else: whiteouts beside entries of
the same name, duplicates, hard links, parents that are symbolic links, and the entries that a
runtime refuses.  Each rule asks its switch of the profile.  The view of the layers beneath is
consulted only where the profile follows symbolic links of lower layers.
"""

from __future__ import annotations

import stat

from attrs import define, field

from unionlayers._foundation.limits import Limits
from unionlayers._foundation.names import decode
from unionlayers._layers.changeset import findings_of_notes, root_opaque_finding
from unionlayers._layers.derived import DerivedChangeset, Place
from unionlayers._layers.finding import Finding
from unionlayers._layers.hard_links import HardLinks
from unionlayers._layers.lower_view import LowerView
from unionlayers._layers.profile import Profile
from unionlayers._layers.vanished import VANISHED, Vanished
from unionlayers._layers.wayfinder import Wayfinder
from unionlayers._layers.windows_files import WindowsFiles
from unionlayers._tar.index import LayerIndex
from unionlayers.errors import LayerError, WhiteoutError

__all__ = ["replay"]

_PREFIX = ".wh."
_OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."
# What those refuse that unpack each layer alone.
_PASSED_OVER = frozenset(
    {
        "DIRECTORY_VANISHED",
        "WHITEOUT_AFTER_ENTRY",
        "WHITEOUT_AFTER_WHITEOUT",
        "WHITEOUT_THEN_IMPLIED",
    }
)
_REFUSED = {
    "contiguous": ("a contiguous file, read as a regular one", "I4"),
    "old-sparse": ("a sparse file in the old GNU form, read as a regular one", "J4"),
}


def replay(
    index: LayerIndex,
    profile: Profile,
    *,
    on_invalid: str,
    limits: Limits,
    beneath: LowerView | None = None,
    windows: WindowsFiles | None = None,
) -> DerivedChangeset:
    """
    Derive the changeset of a layer by taking its entries in tar order.

    Args:
        index: The record of the layer.
        profile: Decides where runtimes differ.
        on_invalid: ``"error"`` raises what no runtime of the profile's class could apply,
            ``"warn"`` records it and goes on.
        limits: Bounds on what it takes to place entries.
        beneath: The layers beneath, None where the profile does not follow into them.
        windows: Names as a container on Windows has them, None for those of the tar.

    Raises:
        LayerError: An entry that cannot be applied, under ``"error"``.
        WhiteoutError: A whiteout that names nothing, under ``"error"``.

    Cost:
        O(rows) and the links on the way.
    """
    player = _Player(
        index, profile, warn=on_invalid == "warn", limits=limits, beneath=beneath, windows=windows
    )
    entries = sorted((index.ordinal[row], row, path) for row, path in index.paths())
    player.vanished.last = {decode(path): ordinal for ordinal, _, path in entries}
    again = {path for _, row, path in entries if "duplicate" in player.odd.get(row, ())}
    for ordinal, _, path in entries if again else ():
        if path in again:
            player.first.setdefault(path, ordinal)
    for ordinal, row, path in entries:
        player.ordinal = ordinal
        player.take(row, path)
    player.links.finish()
    for ordinal, remover, case, is_found_beneath in player.vanished.lost():
        player.ordinal = ordinal
        if profile.vanished_directory == "error" and not is_found_beneath:
            player.refuse("DIRECTORY_VANISHED", remover, VANISHED, case)
        else:
            player.find("DIRECTORY_VANISHED", remover, VANISHED, case)
    player.tree.findings = findings_of_notes(index.notes) + tuple(player.findings)
    return player.tree


@define
class _Player:
    index: LayerIndex
    profile: Profile
    warn: bool
    limits: Limits
    beneath: LowerView | None
    windows: WindowsFiles | None
    way: Wayfinder = field(init=False)
    ordinal: int = 0
    # Of each path that has something in its place: the first entry, which may be that one.
    first: dict[bytes, int] = field(factory=dict)
    findings: list[Finding] = field(factory=list)
    tree: DerivedChangeset = field(init=False)
    odd: dict[int, set[str]] = field(init=False)
    links: HardLinks = field(init=False)
    vanished: Vanished = field(init=False)
    aside: dict[str, int] = field(factory=dict)
    devices: set[tuple[int, str]] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.tree = DerivedChangeset(self.index, most_steps=self.limits.placing_steps)
        self.way = Wayfinder(
            tree=self.tree,
            profile=self.profile,
            limits=self.limits,
            beneath=self.beneath,
            find=self.find,
            refuse=self.refuse,
        )
        self.vanished = Vanished(tree=self.tree, way=self.way)
        self.odd = {}
        for oddity in self.index.oddities:
            self.odd.setdefault(oddity.row, set()).add(oddity.code)
        self.links = HardLinks(
            tree=self.tree,
            way=self.way,
            profile=self.profile,
            windows=self.windows,
            odd=self.odd,
            aside=self.aside,
            devices=self.devices,
            find=self.find,
            refuse=self.refuse,
            vanishes=self._vanishes,
        )

    # -- one entry --------------------------------------------------------------------------------

    def take(self, row: int, raw: bytes) -> None:
        """Apply one entry, or record why it was left out."""
        name = decode(raw)
        codes: set[str] | frozenset[str] = self.odd.get(row, frozenset())
        path = name if self.windows is None else self.windows.inside(name)
        if path is None:
            return
        if "unknown-type" in codes:
            self.refuse("UNKNOWN_TYPE", path, "an entry of a type that no runtime knows", "I4")
            return
        if not path:
            self._take_root(row, codes)
            return
        for code, (message, case) in _REFUSED.items():
            if code in codes:
                if self.profile.odd_types == "error":
                    self.refuse("ODD_TYPE", path, message, case)
                else:
                    self.find("ODD_TYPE", path, message, case)
        parent, _, name = path.rpartition("/")
        if path.startswith(_AUFS) and path != _OPAQUE:
            self.find("AUFS_METADATA", path, "metadata of Docker's AUFS driver", "A14")
            if self.profile.aufs_metadata == "hide":
                self.aside[path] = row
                return
        if name.startswith(_PREFIX):
            self._take_mark(path, parent, name)
            return
        place = self.way.walk(parent, make=True, path=path)
        if place is None:
            return
        if "device-zero" in codes:
            self.find(
                "DEVICE_ZERO",
                path,
                "a character device 0:0, which overlayfs takes for a whiteout",
                "I2",
            )
            if self.profile.chardev_0_0 == "whiteout":
                before = place.children.get(name)
                inner = None if before is None else self.tree.place(before)
                if inner is not None:
                    self._vanishes(inner, path, "F3")
                self.tree.remove(place, name)
                place.whiteouts.add(name)
                self.devices.add((place.number, name))
                return
        if self.first.get(raw, self.ordinal) < self.ordinal:
            if self.profile.duplicates == "error":
                self.refuse("DUPLICATE", path, "two entries for one path", "F1")
            else:
                self.find("DUPLICATE", path, "two entries for one path: the last counts", "F1")
        if row in self.index.hard:
            self.links.take(row, path, place, name)
        else:
            self._set(row, path, place, name, codes)

    def _take_root(self, row: int, codes: set[str] | frozenset[str]) -> None:
        if "root-not-directory" in codes:
            message = "the entry for the root is no directory"
            if self.profile.root_not_directory == "ignore":
                self.find("ROOT_NOT_DIRECTORY", "", message, "H6")
            else:
                self.refuse("ROOT_NOT_DIRECTORY", "", message, "H6")
            return
        self._adopt(self.tree.root, row, "")
        if "overlay-xattr" in codes:
            self._overlay_xattr(self.tree.root, "")

    def _set(
        self,
        row: int,
        path: str,
        place: Place,
        name: str,
        codes: set[str] | frozenset[str],
    ) -> None:
        is_directory = stat.S_ISDIR(self.index.kinds[self.index.kind[row]][0])
        before = place.children.get(name)
        if is_directory and name in place.whiteouts:
            self.find(
                "WHITEOUT_THEN_DIR",
                path,
                "a whiteout and an entry for the same directory: overlayfs shows what the "
                "layers beneath have in it, the specification hides it",
                "A5",
            )
            if self.profile.whiteout_then_dir == "merge" and before is None:
                place.whiteouts.discard(name)
        inner = None if before is None else self.tree.place(before)
        if is_directory and inner is not None:
            self._adopt(inner, row, path)
            self.vanished.came(inner, self.ordinal, path)
        elif is_directory:
            if before is not None:
                self.find(
                    "FILE_THEN_DIR",
                    path,
                    "an entry for a directory after one of the same name that is none: overlayfs "
                    "shows what the layers beneath have in it",
                    "F3",
                )
                if self.profile.whiteout_then_dir == "replace":
                    place.whiteouts.add(name)
            self.tree.remove(place, name)
            inner = self.tree.add_directory(place, name, row)
            self.vanished.came(inner, self.ordinal, path)
        else:
            if inner is not None:
                self._vanishes(inner, path, "F3")
            self.tree.remove(place, name)
            self.tree.add(place, name, row)
            self.links.came(path, row)
        if "overlay-xattr" in codes and inner is not None:
            self._overlay_xattr(inner, path)

    def _adopt(self, place: Place, row: int, path: str) -> None:
        """Give a directory of the layer another entry."""
        before, extras = place.row, self.index.extras
        if before in extras and dict(extras[before].xattrs).keys() - (
            dict(extras[row].xattrs).keys() if row in extras else ()
        ):
            self.find(
                "DIRECTORY_XATTRS",
                path,
                "two entries for one directory, and xattrs that only the first has: containerd "
                "keeps them",
                "F2",
            )
        self.tree.adopt(place, row, keep_xattrs=self.profile.repeated_dir_xattrs == "keep")

    def _overlay_xattr(self, place: Place, path: str) -> None:
        self.find("OVERLAY_XATTR", path, "an overlayfs xattr inside the tar", "I3")
        if self.profile.overlay_xattrs == "honour":
            place.opaque = True

    # -- whiteouts --------------------------------------------------------------------------------

    def _take_mark(self, path: str, parent: str, name: str) -> None:
        hidden = name[len(_PREFIX) :]
        if hidden in ("", ".", ".."):
            self.refuse(
                "BAD_WHITEOUT",
                path,
                "a whiteout that names nothing",
                "A10" if not hidden else "A11",
                kind=WhiteoutError,
            )
            return
        is_opaque = name == _OPAQUE
        depth = self._below_whiteout(parent)
        if depth is not None:
            code = "WHITEOUT_BELOW_WHITEOUT"
            message = "a whiteout below a directory that the same layer hides"
            if is_opaque and depth:
                self.tree.passed_over = True
            if is_opaque and depth and self.profile.opaque_below_nothing == "error":
                self.refuse(code, path, message, "A9")
            else:
                self.find(code, path, message, "A9")
            if self.profile.whiteout_below_whiteout == "drop":
                self.tree.passes_over = True
                return
        place = self.way.walk(parent, make=True, path=path, mark=True)
        if place is None:
            return
        if is_opaque:
            self._take_opaque(place, parent)
            return
        before = place.children.get(hidden)
        target = f"{parent}/{hidden}" if parent else hidden
        if before is not None:
            self._hide_own(place, hidden, before, target)
        elif hidden in place.whiteouts:
            self._after_mark(target, "F1")
        place.whiteouts.add(hidden)

    def _after_mark(self, path: str, case: str) -> None:
        """Apply a whiteout where only whiteouts of the layer stand."""
        message = "a whiteout after another that it repeats or covers, in the same layer"
        if self.profile.whiteout_after_entry == "error":
            self.refuse("WHITEOUT_AFTER_WHITEOUT", path, message, case)
        else:
            self.find("WHITEOUT_AFTER_WHITEOUT", path, message, case)

    def _hide_own(self, place: Place, name: str, before: int, path: str) -> None:
        """Apply a whiteout that comes after an entry of the same layer (cases A7, A8)."""
        inner = self.tree.place(before)
        if inner is not None and self.tree.only_marks(inner):
            self._after_mark(path, "A9")
            self.tree.remove(place, name)
            return
        case = "A7" if inner is None else "A8"
        message = "a whiteout after the entry that it names, in the same layer"
        switch = self.profile.whiteout_after_entry
        if switch == "error":
            self.refuse("WHITEOUT_AFTER_ENTRY", path, message, case)
            return
        self.find("WHITEOUT_AFTER_ENTRY", path, message, case)
        if switch == "keep":
            return
        if inner is None or not self._vanishes(inner, path, case, itself=True):
            self.tree.remove(place, name)

    def _vanishes(self, place: Place, path: str, case: str, *, itself: bool = False) -> bool:
        """Tell whether ``on_invalid="warn"`` leaves a directory that a runtime cannot lose."""
        is_forgiven = self.warn and self.profile.vanished_directory == "error"
        if is_forgiven and self.vanished.meets(place, self.ordinal, itself=itself):
            self.refuse("DIRECTORY_VANISHED", path, VANISHED, case)
            return True
        self.vanished.take(place, self.ordinal, path, case)
        return False

    def _take_opaque(self, place: Place, path: str) -> None:
        if place is self.tree.root:
            self.findings.append(root_opaque_finding(self.ordinal, self.profile))
            if self.profile.root_opaque == "ignore":
                return
        place.opaque = True
        if place.with_implied:
            self.find(
                "OPAQUE_AFTER_IMPLIED",
                path,
                "an opaque whiteout after entries below a directory that is only implied: "
                "runtimes that apply layers in sequence lose them",
                "B3",
            )
            if self.profile.whiteout_parents == "drop":
                for inside, name in self.tree.implied_below(place):
                    inner = self.tree.place(inside.children[name])
                    if inner is not None and self.tree.only_marks(inner):
                        self.tree.remove(inside, name)
            if self.profile.opaque_after_implied == "wipe":
                for inside, name in self.tree.implied_below(place):
                    inner = self.tree.place(inside.children[name])
                    if inner is not None and self._vanishes(inner, path, "B3"):
                        self.tree.settle(inside, name)
                    else:
                        self.tree.remove(inside, name)

    def _below_whiteout(self, parent: str) -> int | None:
        """Give how far a path is below a directory that is hidden; None if it is below none."""
        place: Place | None = self.tree.root
        names = parent.split("/") if parent else []
        for passed, name in enumerate(names, 1):
            if place is None:
                return None
            row = place.children.get(name)
            if row is None:
                return len(names) - passed if name in place.whiteouts else None
            place = self.tree.place(row)
        return None

    # -- what is said of it -----------------------------------------------------------------------

    def find(self, code: str, path: str, message: str, case: str) -> None:
        """Record a finding."""
        if code in _PASSED_OVER:
            self.tree.passed_over = True
        self.findings.append(Finding(code, 0, self.ordinal, "/" + path, message, case))

    def refuse(
        self,
        code: str,
        path: str,
        message: str,
        case: str,
        *,
        kind: type[LayerError | WhiteoutError] = LayerError,
    ) -> None:
        """Raise, or record what ``on_invalid="warn"`` forgives."""
        if self.warn:
            self.tree.passed_over = True
            self.find(code, path, message, case)
            return
        raise kind(
            f"{message} (case {case})",
            path="/" + path,
            entry=self.ordinal,
            hint='Pass on_invalid="warn" to record it and go on',
            case=case,
        )
