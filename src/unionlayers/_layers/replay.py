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
from unionlayers._foundation.names import clean_entry_name, decode
from unionlayers._layers.changeset import Downlink, findings_of_notes, root_opaque_finding
from unionlayers._layers.derived import DerivedChangeset, Place
from unionlayers._layers.finding import Finding
from unionlayers._layers.profile import Profile
from unionlayers._layers.wayfinder import Beneath, Wayfinder
from unionlayers._tar.index import LayerIndex
from unionlayers.errors import LayerError, WhiteoutError

__all__ = ["replay"]

_PREFIX = ".wh."
_OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."
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
    beneath: Beneath | None = None,
) -> DerivedChangeset:
    """
    Derive the changeset of a layer by taking its entries in tar order.

    Args:
        index: The record of the layer.
        profile: Decides where runtimes differ.
        on_invalid: ``"error"`` raises what no runtime of the profile's class could apply,
            ``"warn"`` records it and goes on.
        limits: Bound on links followed to place one entry.
        beneath: Look-up in the layers beneath, None where the profile does not follow into them.

    Raises:
        LayerError: An entry that cannot be applied, under ``"error"``.
        WhiteoutError: A whiteout that names nothing, under ``"error"``.

    Cost:
        O(rows) and the links on the way.
    """
    player = _Player(
        index=index, profile=profile, warn=on_invalid == "warn", limits=limits, beneath=beneath
    )
    for ordinal, row, path in sorted(
        (index.ordinal[row], row, path) for row, path in index.paths()
    ):
        player.ordinal = ordinal
        player.take(row, path)
    player.tree.findings = findings_of_notes(index.notes) + tuple(player.findings)
    return player.finish()


@define
class _Player:
    index: LayerIndex
    profile: Profile
    warn: bool
    limits: Limits
    beneath: Beneath | None
    way: Wayfinder = field(init=False)
    ordinal: int = 0
    findings: list[Finding] = field(factory=list)
    tree: DerivedChangeset = field(init=False)
    odd: dict[int, set[str]] = field(init=False)
    aside: dict[str, int] = field(factory=dict)
    late: dict[str, list[int]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.tree = DerivedChangeset(self.index)
        self.way = Wayfinder(
            tree=self.tree,
            profile=self.profile,
            limits=self.limits,
            beneath=self.beneath,
            find=self._find,
            refuse=self._refuse,
        )
        self.odd = {}
        for oddity in self.index.oddities:
            self.odd.setdefault(oddity.row, set()).add(oddity.code)

    # -- one entry --------------------------------------------------------------------------------

    def take(self, row: int, raw: bytes) -> None:
        """Apply one entry, or record why it was left out."""
        path = decode(raw)
        codes: set[str] | frozenset[str] = self.odd.get(row, frozenset())
        if self.profile.windows == "files":
            if not (path == "Files" or path.startswith("Files/")):
                return
            path = path[6:]
        if "unknown-type" in codes:
            self._refuse("UNKNOWN_TYPE", path, "an entry of a type that no runtime knows", "I4")
            return
        if not path:
            self._take_root(row, codes)
            return
        for code, (message, case) in _REFUSED.items():
            if code in codes:
                if self.profile.odd_types == "error":
                    self._refuse("ODD_TYPE", path, message, case)
                else:
                    self._find("ODD_TYPE", path, message, case)
        parent, _, name = path.rpartition("/")
        if path.startswith(_AUFS) and path != _OPAQUE:
            self._find("AUFS_METADATA", path, "metadata of Docker's AUFS driver", "A14")
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
            self._find(
                "DEVICE_ZERO",
                path,
                "a character device 0:0, which overlayfs takes for a whiteout",
                "I2",
            )
            if self.profile.chardev_0_0 == "whiteout":
                self.tree.remove(place, name)
                place.whiteouts.add(name)
                return
        if "duplicate" in codes:
            if self.profile.duplicates == "error":
                self._refuse("DUPLICATE", path, "two entries for one path", "F1")
            else:
                self._find("DUPLICATE", path, "two entries for one path: the last counts", "F1")
        if row in self.index.hard:
            self._take_hard_link(row, path, place, name)
        else:
            self._set(row, path, place, name, codes)

    def _take_root(self, row: int, codes: set[str] | frozenset[str]) -> None:
        if "root-not-directory" in codes:
            message = "the entry for the root is no directory"
            if self.profile.root_not_directory == "ignore":
                self._find("ROOT_NOT_DIRECTORY", "", message, "H6")
            else:
                self._refuse("ROOT_NOT_DIRECTORY", "", message, "H6")
            return
        self.tree.root.row = row
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
            self._find(
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
            self.tree.adopt(inner, row)
        else:
            self.tree.remove(place, name)
            if is_directory:
                inner = self.tree.add_directory(place, name, row)
        if not is_directory:
            self.tree.add(place, name, row)
            self.late.setdefault(path, []).append(row)
        if "overlay-xattr" in codes and inner is not None:
            self._overlay_xattr(inner, path)

    def _overlay_xattr(self, place: Place, path: str) -> None:
        self._find("OVERLAY_XATTR", path, "an overlayfs xattr inside the tar", "I3")
        if self.profile.overlay_xattrs == "honour":
            place.opaque = True

    # -- whiteouts --------------------------------------------------------------------------------

    def _take_mark(self, path: str, parent: str, name: str) -> None:
        hidden = name[len(_PREFIX) :]
        if hidden in ("", ".", ".."):
            self._refuse(
                "BAD_WHITEOUT",
                path,
                "a whiteout that names nothing",
                "A10" if not hidden else "A11",
                kind=WhiteoutError,
            )
            return
        is_opaque = name == _OPAQUE
        if self._below_whiteout(parent):
            self._find(
                "WHITEOUT_BELOW_WHITEOUT",
                path,
                "a whiteout below a directory that the same layer hides",
                "A9",
            )
            if self.profile.whiteout_below_whiteout == "drop":
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
        place.whiteouts.add(hidden)

    def _hide_own(self, place: Place, name: str, before: int, path: str) -> None:
        """Apply a whiteout that comes after an entry of the same layer (cases A7, A8)."""
        inner = self.tree.place(before)
        if inner is not None and self.tree.only_marks(inner):
            self.tree.remove(place, name)
            return
        case = "A7" if inner is None else "A8"
        message = "a whiteout after the entry that it names, in the same layer"
        explicit = inner is not None and self.tree.has_directory_entry(inner)
        switch = self.profile.whiteout_after_entry
        if switch == "error" or (switch == "delete" and explicit):
            self._refuse("WHITEOUT_AFTER_ENTRY", path, message, case)
            return
        self._find("WHITEOUT_AFTER_ENTRY", path, message, case)
        if switch == "delete":
            self.tree.remove(place, name)

    def _take_opaque(self, place: Place, path: str) -> None:
        if place is self.tree.root:
            self.findings.append(root_opaque_finding(self.ordinal, self.profile))
            if self.profile.root_opaque == "ignore":
                return
        place.opaque = True
        place.whiteouts.clear()
        wiped = self.tree.implied_below(place)
        if wiped:
            self._find(
                "OPAQUE_AFTER_IMPLIED",
                path,
                "an opaque whiteout after entries below a directory that is only implied: "
                "runtimes that apply layers in sequence lose them",
                "B3",
            )
            if self.profile.opaque_after_implied == "wipe":
                for inside, name in wiped:
                    self.tree.remove(inside, name)

    def _below_whiteout(self, parent: str) -> bool:
        """Tell whether a directory on the way is hidden by the layer and not brought again."""
        place: Place | None = self.tree.root
        for name in parent.split("/") if parent else ():
            if place is None:
                return False
            row = place.children.get(name)
            if row is None:
                return name in place.whiteouts
            place = self.tree.place(row)
        return False

    # -- hard links -------------------------------------------------------------------------------

    def _take_hard_link(self, row: int, path: str, place: Place, name: str) -> None:
        raw, _ = clean_entry_name(self.index.texts[self.index.ref[row]])
        target = decode(raw)
        if self.profile.windows == "files" and target.startswith("Files/"):
            target = target[6:]
        bound = self.aside.get(target)
        physical = target
        hidden = False
        if bound is None and target:
            found = self._locate(target)
            if found is not None:
                where, last, physical = found
                bound = where.children.get(last)
                hidden = bound is None and self.tree.hides(physical)
        if bound is not None and self.tree.place(bound) is not None:
            self._refuse("HARDLINK_TO_DIRECTORY", path, "a hard link to a directory", "E9")
            return
        if physical == path or not target:
            self._refuse("HARDLINK_TO_ITSELF", path, "a hard link to itself", "E10")
            return
        self.tree.remove(place, name)
        self.tree.add(place, name, row)
        self.late.setdefault(path, []).append(row)
        if bound is None:
            self.tree.downlinks[row] = Downlink(row, physical, self.ordinal, hidden=hidden)
            return
        inode = self.tree.bind(row, bound)
        if "hard-link-metadata" in self.odd.get(row, ()) or inode in self.tree.metadata:
            self._find(
                "HARDLINK_METADATA",
                path,
                "the header of a hard link has other metadata than its inode",
                "E7",
            )
        if self.profile.hardlink_meta == "apply":
            self.tree.apply(inode, row)

    def _locate(self, path: str) -> tuple[Place, str, str] | None:
        """Find the directory of a hard link's target without making any; None where it is not."""
        parent, _, name = path.rpartition("/")
        place = self.way.walk(parent, make=False, path=path)
        if place is None:
            return None
        prefix = self.tree.path_of(place)
        return place, name, f"{prefix}/{name}" if prefix else name

    # -- endings ----------------------------------------------------------------------------------

    def finish(self) -> DerivedChangeset:
        """Tell each unbound hard link which later entry of the layer has its target's path."""
        for row, link in list(self.tree.downlinks.items()):
            later = [
                other
                for other in self.late.get(link.target, ())
                if self.index.ordinal[other] > link.entry and self.tree.is_placed(other)
            ]
            if later:
                self.tree.downlinks[row] = Downlink(
                    row, link.target, link.entry, late=later[0], hidden=link.hidden
                )
        return self.tree

    def _find(self, code: str, path: str, message: str, case: str) -> None:
        self.findings.append(Finding(code, 0, self.ordinal, "/" + path, message, case))

    def _refuse(
        self,
        code: str,
        path: str,
        message: str,
        case: str,
        *,
        kind: type[LayerError | WhiteoutError] = LayerError,
    ) -> None:
        if self.warn:
            self._find(code, path, message, case)
            return
        raise kind(
            f"{message} (case {case})",
            path="/" + path,
            entry=self.ordinal,
            hint='Pass on_invalid="warn" to record it and go on',
        )
