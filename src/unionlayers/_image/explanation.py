"""Why a path is there, or is not: the layer that decides, and what it decides over."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from attrs import frozen

from unionlayers._foundation.names import printable
from unionlayers._image.config import Step
from unionlayers._image.layer_stack import LayerStack
from unionlayers._image.path_versions import Version, versions_of
from unionlayers._layers.finding import Finding
from unionlayers._layers.path_history import Place, locate
from unionlayers._layers.resolution import Link, resolve
from unionlayers._layers.stack_findings import findings_at
from unionlayers._layers.union import Union
from unionlayers.errors import LinkLoopError, PathError, PathNotADirectoryError

__all__ = ["Absence", "Explanation", "explain_in"]


@frozen
class Absence:
    """
    Why nothing is at a path.

    Attributes:
        reason: ``"whiteout"``, ``"opaque"``, ``"type change"`` (a directory on the way became
            something else), ``"not a directory"`` (something on the way never was one),
            ``"link loop"``, ``"missing parent"`` or ``"never"`` (no layer has it).
        layer: Index of the layer that decides, None where no layer ever had the path.
        entry: Ordinal of the marker or entry in that layer, or None.
        path: Where that stands: the name that is hidden, the directory that is opaque, the
            nearest thing on the way that is there.
    """

    reason: str
    layer: int | None
    entry: int | None
    path: str


@frozen(kw_only=True)
class Explanation:
    """
    Why a path is there, or is not; ``str()`` of it is readable.

    Attributes:
        path: As asked.
        real_path: Without links on the way; a link at its end is not followed.
        present: Whether something is there.
        version: What is there, with the layer and build step that brought it; None if nothing.
        shadowed: The versions that lower layers ship of it, the nearest first.
        absence: Why nothing is there; None if something is.
        links: Symbolic links on the way, in the order in which they were followed.
        leads_to: For a symbolic link, the path it leads to in the end, None if to nothing.
        digest: Digest of the deciding layer's blob, None where none names it.
        findings: What is odd about the path or what is on the way to it.
    """

    path: str
    real_path: str
    present: bool
    version: Version | None
    shadowed: tuple[Version, ...]
    absence: Absence | None
    links: tuple[Link, ...]
    leads_to: str | None
    digest: str | None
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        """Tell it in lines, names escaped."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        name = printable(self.real_path)
        for link in self.links:
            yield f"{printable(link.path)} is a link to {printable(link.target)}"
        if self.version is not None:
            yield f"{name}: {_what(self.version)}"
            yield f"  {self.version.kind} by {_layer(self.version, self.digest)}"
            if self.version.fields:
                yield f"  new in it: {', '.join(self.version.fields)}"
            if self.version.type == "symlink":
                yield (
                    f"  leads to {printable(self.leads_to)}"
                    if self.leads_to is not None
                    else "  leads to nothing"
                )
        elif self.absence is not None:
            yield f"{name}: nothing"
            yield f"  {_why(self.absence)}"
        for version in self.shadowed:
            yield f"  beneath: {_what(version)}, {version.kind} by {_layer(version, None)}"
        for finding in self.findings:
            case = f" (case {finding.case})" if finding.case else ""
            yield f"  note: {finding.message}{case}"


def explain_in(image: LayerStack, union: Union, path: str) -> Explanation:
    """
    Explain a path in a stack of the layers of an image.

    Raises:
        UnionLayersError: A layer cannot be read, or an entry of the path cannot be applied.

    Cost:
        As `versions_of`.
    """
    place = locate(union, path)
    versions = versions_of(image, union, place.path)
    shipped = tuple(version for version in versions if version.kind != "hidden")
    current = shipped[-1] if place.found and shipped else None
    absence = None if place.found else _absence(union, place, versions)
    decides = current.layer if current is not None else absence.layer if absence else None
    return Explanation(
        path=path,
        real_path=place.path,
        present=place.found,
        version=current,
        shadowed=tuple(reversed(shipped[:-1] if current is not None else shipped)),
        absence=absence,
        links=place.links,
        leads_to=_end(union, place) if current is not None else None,
        digest=None if decides is None else image.layers[decides].digest,
        findings=findings_at(union, place.path),
    )


def _end(union: Union, place: Place) -> str | None:
    try:
        found = resolve(union, place.path)
    except PathError:
        return None
    return found.node.path


def _absence(union: Union, place: Place, versions: tuple[Version, ...]) -> Absence:
    if versions and versions[-1].kind == "hidden":
        last = versions[-1]
        cause = last.cause
        if cause is not None:
            return Absence(cause.reason, last.layer, cause.entry, cause.path)
    if isinstance(place.stopped, LinkLoopError):
        at = place.stopped.candidates[-1] if place.stopped.candidates else place.path
        return Absence("link loop", None, None, str(at))
    parent = _nearest(union, place.path)
    if isinstance(place.stopped, PathNotADirectoryError):
        return Absence("not a directory", None, None, parent)
    direct = place.path.rpartition("/")[0] or "/"
    return Absence("never" if parent == direct else "missing parent", None, None, parent)


def _nearest(union: Union, path: str) -> str:
    """Give the longest part of the way to a path, links followed before, that is there."""
    node = union.root.node()
    for name in path.strip("/").split("/")[:-1]:
        inner = None if node.directory is None else node.directory.lookup(name)
        if inner is None:
            break
        node = inner
    return node.path


def _what(version: Version) -> str:
    mode = f"{version.mode:04o} {version.uid}:{version.gid}"
    if version.type == "symlink":
        return f"symlink to {printable(version.target or '')}"
    size = f", {version.size} bytes" if version.type == "file" else ""
    return f"{version.type} {mode}{size}"


def _layer(version: Version, digest: str | None) -> str:
    told = f"layer {version.layer}"
    if digest is not None:
        told += f" ({digest})"
    return told + _step(version.step)


def _step(step: Step | None) -> str:
    if step is None or not step.created_by:
        return ""
    when = "" if step.created is None else f", {step.created.astimezone(dt.UTC):%Y-%m-%d}"
    return f": {printable(step.created_by)}{when}"


def _why(absence: Absence) -> str:
    where = printable(absence.path)
    by = "" if absence.layer is None else f" in layer {absence.layer}"
    return {
        "whiteout": f"a whiteout{by} hides {where}",
        "opaque": f"an opaque whiteout{by} hides what lower layers have in {where}",
        "type change": f"{where} is no directory any more{by}",
        "not a directory": f"{where} is no directory",
        "link loop": f"the links at {where} lead in a circle",
        "missing parent": f"no layer has it; the nearest directory that is there is {where}",
        "never": f"no layer has it, and {where} is there",
    }[absence.reason]
