"""
Where unions of the same layers under different profiles show different trees.

The trees are walked side by side.  Directories whose shares come from the same layers are left out
where those layers are read alike, so that the cost is bounded by what the profiles read
differently, not by the image.  What the walk cannot see from the place it stands at (a hard link
elsewhere changes an inode, or the number of its names) is looked up by path afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from attrs import define, evolve, field

from unionlayers._layers.answer import Agreement, Answer, Disagreement, differing, kind_of
from unionlayers._layers.attribution import Attribution
from unionlayers._layers.buried_links import first_refused_link
from unionlayers._layers.directory import Directory, Node
from unionlayers._layers.directory_xattrs import directories_with_xattrs
from unionlayers._layers.entry import shown_time_ns
from unionlayers._layers.finding import Finding
from unionlayers._layers.implied_directories import implied_directories
from unionlayers._layers.lower_view import below
from unionlayers._layers.profile import cases_between, in_sequence
from unionlayers._layers.union import Inode, Union
from unionlayers.errors import CorruptError, LayerError, UnionLayersError

__all__ = ["Contents", "compare"]

Contents = Callable[[Union, Node, Union, Node], bool]
"""Tells whether two regular files of one size have the same bytes."""

_TIMES = frozenset({"mtime", "atime", "ctime"})

Nodes = tuple[Node | None, ...]


def compare(
    unions: Mapping[str, Union], lenient: Callable[[str], Union], same_content: Contents
) -> Agreement:
    """
    Compare what unions of the same layers show.

    Args:
        unions: By the name of their profile; all over the same slots.
        lenient: Gives the union of that name under ``on_invalid="warn"``, for its findings.
        same_content: Compares the bytes of two files.

    Raises:
        UnionLayersError: A layer cannot be read under any profile.

    Cost:
        Indexes every layer; then the directories that a layer has a share in that is not read
        alike, and everything beneath what differs.  The bytes of a file are read where different
        headers supply it and all else is the same.
    """
    refused = _refusals(unions)
    showing = {name: union for name, union in unions.items() if name not in refused}
    comparison = _Comparison(tuple(showing.values()), same_content)
    if len(showing) > 1:
        comparison.walk()
    if refused and (showing or len({_reason(error) for error in refused.values()}) > 1):
        for error in refused.values():
            path = _place_of(error)
            comparison.found.setdefault(path, comparison.nodes_at(path))
    unseen = comparison.unseen() if len(showing) > 1 else {}
    for path in unseen:
        comparison.found.setdefault(path, comparison.nodes_at(path))
    explained = [lenient(name) if name in refused else union for name, union in unions.items()]
    read = {union.profile: None for union in unions.values()}
    # Those that no runtime unpacks layer by layer are read otherwise than their profile says.
    read |= {
        in_sequence(one.profile): None for one in unions.values() if any(one.refused_apart.values())
    }
    attribution = Attribution(explained, cases_between(read))
    names = tuple(showing)
    listed: list[Disagreement] = []
    for path in sorted(comparison.found, key=_order, reverse=True):
        hidden = {names[at]: error for at, error in unseen.get(path, {}).items()}
        made = _disagreement(path, comparison, refused, hidden, tuple(unions), attribution)
        if not made.fields:
            # Refused unseen by some, and for the same reason where it is seen by the others.
            continue
        if not made.cases and listed and listed[-1].path.startswith(f"{path}/"):
            # A directory that is there only for the sake of what is in it.
            made = evolve(made, cases=listed[-1].cases, findings=listed[-1].findings)
        elif not made.cases:
            made = evolve(made, cases=attribution.possible())
        listed.append(made)
    for name, union in zip(names, comparison.unions, strict=True):
        unmet = None if union.warn else first_refused_link(union)
        if unmet is not None:
            refused[name] = unmet.with_traceback(None)
    return Agreement(
        profiles=tuple(unions),
        disagreements=tuple(reversed(listed)),
        refused={name: refused[name] for name in unions if name in refused},
    )


def _refusals(unions: Mapping[str, Union]) -> dict[str, UnionLayersError]:
    """Give what the profiles raise under which there is no tree to compare."""
    refused: dict[str, UnionLayersError] = {}
    for name, union in unions.items():
        for slot in range(union.top):
            # What no profile can read is raised; what a profile cannot apply is its answer.
            union.slots[slot].load()
            try:
                union.changeset(slot)
            except CorruptError as error:
                refused[name] = error.with_traceback(None)
                break
    return refused


def _reason(error: UnionLayersError) -> tuple[object, ...]:
    return error.case, error.path, error.layer, error.entry


def _place_of(error: UnionLayersError) -> str:
    path = error.path or "/"
    parent, _, name = path.rpartition("/")
    return (parent or "/") if name.startswith(".wh.") else path


def _order(path: str) -> bytes:
    """Give what sorts paths by the bytes of their components."""
    return os.fsencode(path.strip("/")).replace(b"/", b"\0")


def _disagreement(
    path: str,
    comparison: _Comparison,
    refused: Mapping[str, UnionLayersError],
    hidden: Mapping[str, UnionLayersError],
    names: Sequence[str],
    attribution: Attribution,
) -> Disagreement:
    nodes = comparison.found[path]
    answers = iter(comparison.answers(nodes))
    given = {
        name: Answer(type="error", error=refused[name]) if name in refused else next(answers)
        for name in names
    }
    given.update((name, Answer(type="error", error=error)) for name, error in hidden.items())
    facts = differing(tuple(given.values()))
    if facts != ("type",):
        facts = comparison.content(nodes) + facts
    # What refuses the whole stack says why at the place where it does.
    errors = [
        answer.error
        for name, answer in given.items()
        if answer.error is not None and (name not in refused or _place_of(answer.error) == path)
    ]
    supplied = zip(comparison.unions, nodes, strict=True)
    found = attribution.findings(path, supplied, errors)
    if not found:
        # Only the number of links differs: the reason is that of a name that is won or lost.
        found = comparison.reasons(nodes, attribution)
    cases = {finding.case for finding in found if finding.case is not None}
    cases.update(error.case for error in errors if error.case is not None)
    if not cases and "H7" in attribution.decisive and _TIMES.issuperset(facts):
        # Times are read as they are asked for, and are no finding.
        cases.add("H7")
    return Disagreement(
        path=path,
        answers=given,
        fields=facts,
        cases=tuple(sorted(cases)),
        findings=found,
    )


@define
class _Comparison:
    unions: tuple[Union, ...]
    same_content: Contents
    found: dict[str, Nodes] = field(factory=dict)
    shared: dict[Inode, list[str]] = field(factory=dict)
    _alike: dict[int, bool] = field(factory=dict)
    _reasons: dict[Inode, tuple[Finding, ...]] = field(factory=dict)

    def walk(self) -> None:
        """Record every path that differs."""
        roots: Nodes = tuple(union.root.node() for union in self.unions)
        self.weigh("/", roots)
        pending = [("", roots)]
        while pending:
            prefix, nodes = pending.pop()
            directories = [None if node is None else node.directory for node in nodes]
            if self._surely_same(directories):
                continue
            listed = [
                {} if directory is None else {node.name: node for node in directory.visible()}
                for directory in directories
            ]
            for name in dict.fromkeys(name for nodes_by_name in listed for name in nodes_by_name):
                path = f"{prefix}/{name}"
                inner = tuple(nodes_by_name.get(name) for nodes_by_name in listed)
                if not self._surely_same_entry(inner):
                    self.weigh(path, inner)
                if any(node is not None and node.directory is not None for node in inner):
                    pending.append((path, inner))
        self._look_elsewhere()

    def _look_elsewhere(self) -> None:
        """
        Weigh what the walk may have passed.

        Those are other names of inodes that hard links change, or that lost or won names, and
        directories with xattrs where only some of the profiles keep them (case H1), or that a
        layer implies where only some copy what lower layers say of them (case H2).
        """
        unsure = set(self.shared)
        for union in self.unions:
            for slot in range(union.top):
                for row in union.changeset(slot).downlinks:
                    bound = union.bind((slot, row))
                    if not isinstance(bound, LayerError):
                        unsure.add(bound)
        names = {name for union in self.unions for inode in unsure for name in union.names(inode)}
        kept = {
            (union.profile.lower_dir_xattrs, union.profile.repeated_dir_xattrs)
            for union in self.unions
        }
        if len(kept) > 1:
            names.update(f"/{path}" for union in self.unions for path in _with_xattrs(union))
        for path, nodes in self._each_at(names):
            if path not in self.found:
                self.weigh(path, nodes)
        if len({union.profile.implied_dir_meta for union in self.unions}) > 1:
            for nodes in implied_directories(self.unions):
                self.weigh(None, nodes)

    def _each_at(self, paths: Iterable[str]) -> Iterator[tuple[str, Nodes]]:
        """Give paths and what each union has there; what paths share is gone down once."""
        way: list[Nodes] = [tuple(union.root_beneath(union.top).node() for union in self.unions)]
        before: list[str] = []
        for path in sorted(paths):
            parts = path.strip("/").split("/") if path.strip("/") else []
            shared = len(before)
            if parts[:shared] != before:
                pairs = enumerate(zip(parts, before, strict=False))
                shared = next((at for at, (one, other) in pairs if one != other), len(parts))
            del way[shared + 1 :]
            for name in parts[shared:]:
                way.append(tuple(below(node, name) for node in way[-1]))
            before = parts
            yield path, way[-1]

    def unseen(self) -> dict[str, dict[int, LayerError]]:
        """
        Give what some of the unions refuse at paths where layers above show something else.

        Those are hard links without a target: a runtime fails at them whatever is above.

        Returns:
            By path, the error of each union by its position.
        """
        found: dict[str, dict[int, LayerError]] = {}
        for at, union in enumerate(self.unions):
            if union.warn:
                continue
            for slot in range(union.top):
                changeset = union.changeset(slot)
                for row in changeset.downlinks:
                    bound = union.bind((slot, row))
                    if isinstance(bound, LayerError):
                        path = changeset.path(row)
                        node = union.beneath(union.top, path)
                        if node is None or (node.slot, node.row) != (slot, row):
                            found.setdefault(f"/{path}", {}).setdefault(at, bound)
        return {
            path: errors
            for path, errors in found.items()
            if len(errors) < len(self.unions) or len(set(map(_reason, errors.values()))) > 1
        }

    def nodes_at(self, path: str) -> Nodes:
        """Give what each union has at a path, no link followed."""
        return tuple(union.beneath(union.top, path.strip("/")) for union in self.unions)

    def reasons(self, nodes: Nodes, attribution: Attribution) -> tuple[Finding, ...]:
        """Give the findings of the first path at which an inode is won, lost or changed."""
        for union, node in zip(self.unions, nodes, strict=True):
            inode = None if node is None or node.directory else _inode(union, node)
            if inode is None:
                continue
            known = self._reasons.get(inode)
            if known is None:
                # All names of an inode have the same reason, which is looked for once.
                tried = (
                    attribution.findings(path, zip(self.unions, self.found[path], strict=True), ())
                    for path in self.shared[inode]
                )
                known = self._reasons[inode] = next(filter(None, tried), ())
            if known:
                return known
        return ()

    def weigh(self, path: str | None, nodes: Nodes) -> None:
        """Record a path, of which None is that of the nodes, if the unions differ on it."""
        facts = self.content(nodes) + differing(self.answers(nodes))
        if not facts:
            return
        if path is None:
            path = next(node.path for node in nodes if node is not None)
        if path in self.found:
            return
        self.found[path] = nodes
        for union, node in zip(self.unions, nodes, strict=True):
            inode = None if node is None or node.directory else _inode(union, node)
            if inode is not None:
                known = self.shared.setdefault(inode, [])
                if facts != ("hardlink",):
                    known.append(path)

    def answers(self, nodes: Nodes) -> tuple[Answer, ...]:
        """Give what each union shows of its node."""
        return tuple(_answer(union, node) for union, node in zip(self.unions, nodes, strict=True))

    def content(self, nodes: Nodes) -> tuple[str, ...]:
        """Give ``("content",)`` if the nodes are files whose bytes are not all the same."""
        first: tuple[Union, Node] | None = None
        for union, node in zip(self.unions, nodes, strict=True):
            if node is None or node.directory is not None:
                continue
            inode = _inode(union, node)
            if inode is None or _answer(union, node).type != "file":
                continue
            if first is None:
                first = union, node
            elif inode != _inode(*first):
                same_size = union.entry(node).size == first[0].entry(first[1]).size
                if not same_size or not self.same_content(*first, union, node):
                    return ("content",)
        return ()

    # -- what needs no look -----------------------------------------------------------------------

    def _surely_same(self, directories: Sequence[Directory | None]) -> bool:
        """Tell whether everything beneath is provably the same, hard links set aside."""
        first = directories[0]
        if first is None or not self._same_metadata():
            return False
        parts = first.all_parts()
        for other in directories[1:]:
            if other is None or other.all_parts() != parts:
                return False
        if not all(self._is_alike(slot) for slot, _, _ in parts):
            return False
        if not parts:
            return True
        slot, number, _ = parts[-1]
        # What is beneath an opaque directory may still give metadata.
        return not self.unions[0].changeset(slot).opaque(number) or all(
            self._is_alike(beneath) for beneath in range(slot)
        )

    def _same_metadata(self) -> bool:
        # What is copied from layers alone differs from what is inherited by few directories,
        # which are looked at afterwards.
        rules = {
            (u.profile.implied_dir_meta.replace("copy", "inherit"), u.profile.mtime_range)
            for u in self.unions
        }
        return len(rules) == 1

    def _is_alike(self, slot: int) -> bool:
        known = self._alike.get(slot)
        if known is None:
            first = self.unions[0].changeset(slot)
            known = all(first.same_as(union.changeset(slot)) for union in self.unions[1:])
            self._alike[slot] = known
        return known

    def _surely_same_entry(self, nodes: Nodes) -> bool:
        """Tell whether one header gives all the nodes, which are no directories."""
        first = nodes[0]
        if first is None or first.directory is not None or not self._same_metadata():
            return False
        return self._is_alike(first.slot) and all(
            node is not None and (node.slot, node.row) == (first.slot, first.row) for node in nodes
        )


def _with_xattrs(union: Union) -> Iterator[str]:
    for slot in range(union.top):
        yield from directories_with_xattrs(union.changeset(slot))


def _inode(union: Union, node: Node) -> Inode | None:
    try:
        return union.inode(node)
    except LayerError:
        return None


def _answer(union: Union, node: Node | None) -> Answer:
    if node is None:
        return Answer(type="absent")
    try:
        entry = union.entry(node)
        links = union.link_count(node)
    except LayerError as error:
        return Answer(type="error", error=error)
    profile = union.profile

    def shown(time_ns: int | None) -> int | None:
        return None if time_ns is None else shown_time_ns(profile, time_ns)

    return Answer(
        type=kind_of(entry.mode),
        layer=union.slots[node.slot].layer if union.slots else None,
        mode=entry.mode & 0o7777,
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size,
        mtime_ns=shown(entry.mtime_ns),
        atime_ns=shown(entry.atime_ns),
        ctime_ns=shown(entry.ctime_ns),
        target=entry.target,
        device=entry.device,
        xattrs=entry.xattrs,
        links=links,
    )
