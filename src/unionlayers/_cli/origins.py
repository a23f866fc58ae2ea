"""``unionlayers explain``, ``history`` and ``hidden``: origins of paths, and what is covered."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import click

from unionlayers._cli.entries import Tree, absolute
from unionlayers._cli.faults import NO
from unionlayers._cli.opening import Opening, Session
from unionlayers._cli.options import (
    IMAGE_PATH,
    image_argument,
    json_option,
    opening_options,
    paths_argument,
)
from unionlayers._cli.output import count, size_text, step_text
from unionlayers._cli.path_faults import near_to
from unionlayers._foundation.names import printable
from unionlayers._image.config import Step
from unionlayers._image.explanation import Explanation
from unionlayers._image.hidden import HiddenEntry
from unionlayers._image.image import Image
from unionlayers._image.path_versions import Version
from unionlayers._layers.finding import Finding

__all__ = ["explain", "finding_document", "hidden", "history", "step_document"]


@click.command()
@image_argument()
@paths_argument(required=True)
@json_option
@opening_options
def explain(opening: Opening, image: str, paths: tuple[str, ...], as_json: bool) -> int:
    """
    Say why paths of IMAGE are there, or are not: the layer and step that decide, and over what.

    Ends with 1 if one of them is not there.  With --json each path is a JSON object on a line of
    its own.
    """
    session = Session.of(opening, json=as_json)
    code = 0
    with session.image(image) as opened:
        chosen = opening.indexes(opened)
        for number, path in enumerate(map(absolute, paths)):
            found = opened.explain(path, layers=chosen)
            code = code if found.present else NO
            if as_json:
                session.out.item(_explanation(found))
                continue
            if number:
                session.out.line()
            for line in str(found).split("\n"):
                session.out.line(line)
            if found.absence is not None and found.absence.layer is None:
                _say_near(session, opened, path)
    return code


@click.command()
@image_argument()
@click.argument("path", type=IMAGE_PATH, required=False, metavar="[PATH]")
@json_option
@opening_options
def history(opening: Opening, image: str, path: str | None, as_json: bool) -> int:
    """
    Show the build steps of IMAGE, or what each layer did to a PATH, oldest first.

    Ends with 1 if no layer ever had the PATH.
    """
    session = Session.of(opening, json=as_json)
    out = session.out
    with session.image(image) as opened:
        if path is None:
            chosen = opening.indexes(opened)
            steps = [step for step in opened.history if chosen is None or step.layer in chosen]
            if as_json:
                out.document("history", {"steps": [step_document(step) for step in steps]})
                return 0
            rows = [
                (
                    "-" if step.layer is None else str(step.layer),
                    "-" if step.created is None else f"{step.created:%Y-%m-%d %H:%M:%S}",
                    step_text(step.created_by),
                )
                for step in steps
            ]
            out.table(("layer", "created", "made by"), rows, right=("layer",), empty="no history")
            return 0
        path = absolute(path)
        versions = opened.history_of(path, layers=opening.indexes(opened))
        if as_json:
            found = [version_document(version) for version in versions]
            out.document("history", {"path": path, "versions": found})
        else:
            out.table(
                ("layer", "what", "new", "type", "mode", "owner", "size", "made by"),
                [_version_row(version) for version in versions],
                right=("layer", "size"),
                empty=f"no layer has {printable(path)}",
            )
            if not versions:
                _say_near(session, opened, path)
        return 0 if versions else NO


def _say_near(session: Session, image: Image, path: str) -> None:
    """Ask for a name that is like one which no layer has."""
    near = near_to(Tree(image, image.union(session.opening.indexes(image))), path)
    if near is not None:
        session.out.flush()
        session.out.remark(near)


@click.command()
@image_argument()
@click.option("--order", type=click.Choice(["layer", "path", "size"]), default="layer",
              show_default=True, help="Base first, by path, or largest first.")  # fmt: skip
@json_option
@opening_options
def hidden(opening: Opening, image: str, order: str, as_json: bool) -> None:
    """
    List what IMAGE ships and does not show, with the layer that hides it and how.

    `cat --layers :N`, with the N of the layer that hides it, reads such a file.
    """
    session = Session.of(opening, json=as_json)
    with session.image(image, index=True) as opened:
        found = opened.hidden(layers=opening.indexes(opened))
        entries = list(found)
        if order == "path":
            entries.sort(key=lambda entry: (entry.path.split("/"), entry.layer))
        elif order == "size":
            entries.sort(key=lambda entry: -entry.size)
        if as_json:
            members = {"size": found.size, "entries": [_hidden(entry) for entry in entries]}
            session.out.document("hidden", members)
            return
        session.out.table(
            ("layer", "size", "type", "hidden by", "how", "path"),
            [
                (
                    str(entry.layer),
                    size_text(entry.size),
                    entry.type,
                    str(entry.hidden_by),
                    entry.reason,
                    printable(entry.path)
                    + (f" (still seen as {printable(entry.seen_as)})" if entry.seen_as else ""),
                )
                for entry in entries
            ],
            right=("layer", "size", "hidden by"),
            empty="nothing is hidden",
        )
        if entries:
            told = count(len(entries), "entry", "entries")
            session.out.line(f"\n{told}, {count(found.size, 'byte')} that nothing shows")


def step_document(step: Step | None) -> dict[str, Any] | None:
    """Give a build step as JSON has it."""
    if step is None:
        return None
    return {
        "layer": step.layer,
        "created": None if step.created is None else step.created.isoformat(),
        "created_by": step.created_by,
        "empty_layer": step.empty_layer,
    }


def finding_document(finding: Finding) -> dict[str, Any]:
    """Give a finding as JSON has it."""
    return {
        "code": finding.code,
        "layer": finding.layer,
        "entry": finding.entry,
        "path": finding.path,
        "message": finding.message,
        "case": finding.case,
    }


def version_document(version: Version) -> dict[str, Any]:
    """Give a version of a path as JSON has it."""
    found: dict[str, Any] = {
        "path": version.path,
        "layer": version.layer,
        "step": step_document(version.step),
        "kind": version.kind,
        "fields": list(version.fields),
        "entry": version.entry,
        "type": version.type,
    }
    if version.type is not None:
        found.update(
            size=version.size,
            mode=f"{version.mode:04o}",
            uid=version.uid,
            gid=version.gid,
            mtime_ns=version.mtime_ns,
            target=version.target,
            xattrs={name: b64encode(value).decode() for name, value in version.xattrs},
        )
    if version.cause is not None:
        found["cause"] = {
            "reason": version.cause.reason,
            "path": version.cause.path,
            "entry": version.cause.entry,
        }
    return found


def _version_row(version: Version) -> tuple[str, ...]:
    made = "" if version.step is None else step_text(version.step.created_by)
    if version.type is None:
        cause = "" if version.cause is None else version.cause.reason
        return (str(version.layer), version.kind, cause, "", "", "", "", made)
    return (
        str(version.layer),
        version.kind,
        ", ".join(version.fields),
        version.type,
        f"{version.mode:04o}",
        f"{version.uid}:{version.gid}",
        size_text(version.size),
        made,
    )


def _explanation(found: Explanation) -> dict[str, Any]:
    absence = found.absence
    return {
        "path": found.path,
        "real_path": found.real_path,
        "present": found.present,
        "version": None if found.version is None else version_document(found.version),
        "shadowed": [version_document(version) for version in found.shadowed],
        "absence": None
        if absence is None
        else {
            "reason": absence.reason,
            "layer": absence.layer,
            "entry": absence.entry,
            "path": absence.path,
        },
        "links": [{"path": link.path, "target": link.target} for link in found.links],
        "leads_to": found.leads_to,
        "digest": found.digest,
        "findings": [finding_document(finding) for finding in found.findings],
    }


def _hidden(entry: HiddenEntry) -> dict[str, Any]:
    return {
        "path": entry.path,
        "layer": entry.layer,
        "entry": entry.entry,
        "type": entry.type,
        "size": entry.size,
        "hidden_by": entry.hidden_by,
        "reason": entry.reason,
        "seen_as": entry.seen_as,
    }
