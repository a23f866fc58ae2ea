"""Which findings say why profiles differ on a path."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence

from attrs import define, field

from unionlayers._layers.directory import Directory, Node
from unionlayers._layers.finding import Finding
from unionlayers._layers.resolution import resolve_in
from unionlayers._layers.stack_findings import stack_findings
from unionlayers._layers.union import Inode, Union
from unionlayers._tar.index import ABSENT
from unionlayers.errors import LayerError, UnionLayersError

__all__ = ["Attribution"]

# Cases that decide metadata change nothing beneath a directory.
_SURFACE = frozenset({"E7", "F2", "H1", "H2", "H5"})
_PREFIX = ".wh."
_OPAQUE = ".wh..wh..opq"


@define
class Attribution:
    """
    The findings of several unions, by the paths and the entries that they are about.

    Args:
        unions: The stacks; each gives its findings.
        decisive: Cases that can make these unions differ: others explain nothing where one of
            these does.
    """

    unions: Sequence[Union]
    decisive: Collection[str]
    _by_path: dict[str, dict[Finding, None]] | None = None
    _named: dict[str, list[dict[str | None, Finding]]] = field(factory=dict)
    _by_entry: dict[tuple[int, int], dict[Finding, None]] = field(factory=dict)
    _by_case: dict[str, list[tuple[str, Finding]]] = field(factory=dict)
    _above: dict[str, tuple[Finding, ...]] = field(factory=dict)

    def findings(
        self,
        path: str,
        nodes: Iterable[tuple[Union, Node | None]],
        errors: Iterable[UnionLayersError],
    ) -> tuple[Finding, ...]:
        """
        Give the findings that touch a path.

        The nearest ones count: those about the path or the entry that supplies it, and of each
        case the first about another name of its inode; else about a directory above it, the
        nearest first; else of each case the first about what is below.

        Cost:
            Not that of all findings: a look-up for each case that counts.
        """
        by_path = self._indexed()
        own = dict(by_path.get(path, {}))
        for union, node in nodes:
            if node is not None:
                own.update(self._about(union, node))
        for error in errors:
            if error.layer is not None and error.entry is not None:
                own.update(self._by_entry.get((error.layer, error.entry), {}))
        for firsts in self._named.get(path, ()):
            own.update((finding, None) for finding in firsts.values())
        return self._chosen(own) or self._from_above(path) or self._below(path) or tuple(own)

    def _from_above(self, path: str) -> tuple[Finding, ...]:
        """Give those about the nearest directory above that has some; each is asked once."""
        by_path = self._indexed()
        way: list[str] = []
        found: tuple[Finding, ...] = ()
        while path != "/" and not found:
            path = path.rpartition("/")[0] or "/"
            known = self._above.get(path)
            if known is not None:
                found = known
                break
            way.append(path)
            found = self._chosen(
                finding for finding in by_path.get(path, {}) if finding.case not in _SURFACE
            )
        for each in way:
            self._above[each] = found
        return found

    def _below(self, path: str) -> tuple[Finding, ...]:
        """Give the first of each case about what is below."""
        below = path.rstrip("/") + "/"
        found: list[Finding] = []
        for about in self._by_case.values():
            at = bisect_left(about, below, key=_path_of)
            if at < len(about) and about[at][0].startswith(below):
                found.append(about[at][1])
        return tuple(dict.fromkeys(found))

    def possible(self) -> tuple[str, ...]:
        """Give the decisive cases that occur anywhere in the stacks, sorted."""
        found = {finding.case for findings in self._indexed().values() for finding in findings}
        return tuple(sorted(case for case in found if case in self.decisive and case is not None))

    def _chosen(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        return tuple(dict.fromkeys(item for item in findings if item.case in self.decisive))

    def _about(self, union: Union, node: Node) -> dict[Finding, None]:
        rows = {(node.slot, node.row)}
        if node.directory is not None:
            rows.update((slot, row) for slot, _, row in node.directory.all_parts())
        found: dict[Finding, None] = {}
        for slot, row in rows:
            index = union.changeset(slot).index
            if 0 <= row < index.rows and index.ordinal[row] != ABSENT:
                key = union.slots[slot].layer, index.ordinal[row]
                found.update(self._by_entry.get(key, {}))
        return found

    def _indexed(self) -> dict[str, dict[Finding, None]]:
        if self._by_path is not None:
            return self._by_path
        by_path: dict[str, dict[Finding, None]] = {}
        for union in self.unions:
            slots = {slot.layer: position for position, slot in enumerate(union.slots)}
            # Of each case the first: an inode has as many names, and findings, as there are links.
            by_inode: dict[Inode, dict[str | None, Finding]] = {}
            found = [item for item in stack_findings(union) if item.path is not None]
            ways = _Ways(union)
            ways.look([(slots[item.layer], item.path or "") for item in found])
            for finding in found:
                path = finding.path or ""
                for place in ways.places(slots[finding.layer], path):
                    by_path.setdefault(place, {})[finding] = None
                inode = ways.inode(path)
                if inode is not None:
                    by_inode.setdefault(inode, {}).setdefault(finding.case, finding)
                if finding.entry is not None:
                    key = finding.layer, finding.entry
                    self._by_entry.setdefault(key, {})[finding] = None
            for inode, firsts in by_inode.items():
                for name in union.names(inode):
                    self._named.setdefault(name, []).append(firsts)
        for path, findings in by_path.items():
            self._count(path, findings)
        for path, groups in self._named.items():
            for firsts in groups:
                self._count(path, firsts.values())
        for about in self._by_case.values():
            about.sort(key=_path_of)
        self._by_path = by_path
        return by_path

    def _count(self, path: str, findings: Iterable[Finding]) -> None:
        for finding in findings:
            if finding.case in self.decisive and finding.case is not None:
                self._by_case.setdefault(finding.case, []).append((path, finding))


def _path_of(about: tuple[str, Finding]) -> str:
    return about[0]


@define
class _Ways:
    """
    Where the directories lead that findings of a union are about, links followed.

    Beneath the layer of a finding and in the whole stack; what the ways share is gone once.
    """

    union: Union
    _led: dict[tuple[int, str], Node | None] = field(factory=dict)

    def look(self, places: Iterable[tuple[int, str]]) -> None:
        """Follow the directories of all paths, each in its layer."""
        wanted = {(slot, path.rpartition("/")[0]) for slot, path in places}
        union = self.union
        wanted.update((union.top, parent) for _, parent in tuple(wanted))
        at = -1
        known: list[Node | None] = []
        before: list[str] = []
        for slot, parent in sorted(wanted):
            root = union.root if slot == union.top else union.root_beneath(slot)
            if slot != at:
                at, known, before = slot, [root.node()], []
            parts = parent.split("/")[1:]
            pairs = enumerate(zip(parts, before, strict=False))
            shared = min(len(parts), len(before))
            shared = next((place for place, (one, two) in pairs if one != two), shared)
            del known[shared + 1 :]
            for place, name in enumerate(parts[shared:], shared + 1):
                known.append(self._step(root, known[-1], name, parts[:place]))
            before = parts
            self._led[slot, parent] = known[-1]

    def _step(self, root: Directory, node: Node | None, name: str, way: list[str]) -> Node | None:
        inner = None if node is None or node.directory is None else node.directory.lookup(name)
        if inner is None or inner.directory is not None:
            return inner
        try:
            return resolve_in(self.union, root, f"/{'/'.join(way)}/").node
        except OSError:
            return None

    def places(self, slot: int, path: str) -> set[str]:
        """Give the paths that an entry of a layer may change."""
        parent, _, name = path.rpartition("/")
        # An opaque whiteout is about its directory.
        name = "" if name == _OPAQUE else name.removeprefix(_PREFIX)
        places = {path, f"{parent}/{name}".rstrip("/") or "/"}
        for above in (slot, self.union.top):
            node = self._led[above, parent]
            if node is not None:
                places.add(f"{node.path.rstrip('/')}/{name}".rstrip("/") or "/")
        return places

    def inode(self, path: str) -> Inode | None:
        """Give the inode of a path of the whole stack, None where it has none of its own."""
        parent, _, name = path.rpartition("/")
        above = self._led[self.union.top, parent]
        if above is None or above.directory is None or above.path.rstrip("/") != parent:
            return None
        node = above.directory.lookup(name)
        if node is None or node.directory is not None:
            return None
        try:
            return self.union.inode(node)
        except LayerError:
            # A hard link without a target has no other names.
            return None
