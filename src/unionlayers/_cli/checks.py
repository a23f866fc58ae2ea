"""``unionlayers verify`` and ``agreement``: whether bytes are what was promised, and to whom."""

from __future__ import annotations

from typing import Any

import click

from unionlayers._cli.entries import time_text
from unionlayers._cli.faults import NO, lines_of, typed
from unionlayers._cli.opening import Opening, Session
from unionlayers._cli.options import PROFILES, image_argument, json_option, opening_options
from unionlayers._cli.origins import finding_document
from unionlayers._cli.output import Output, count
from unionlayers._foundation.names import printable
from unionlayers._layers.answer import Answer
from unionlayers._layers.finding import Finding
from unionlayers.errors import BlobNotFoundError, CorruptError

__all__ = ["agreement", "verify"]


@click.command()
@image_argument()
@click.option("--strict", is_flag=True, help="End with 1 also if anything is odd.")
@json_option
@opening_options
def verify(opening: Opening, image: str, strict: bool, as_json: bool) -> int:
    """
    Read all of IMAGE, compare every digest and size, and list what is odd about its layers.

    Nothing that was kept is trusted.  Ends with 1 if something is damaged, is lacking or is not
    what was promised.  What is odd, such as a whiteout of something that is not there, does not
    count unless --strict is given.
    """
    opening.refuse("layers", "above", because="the whole image is verified")
    session = Session.of(opening, json=as_json)
    out = session.out
    try:
        with session.image(image) as opened:
            opened.verify(session.bar)
            session.bar.stop()
            findings = opened.findings
            size = sum(layer.size for layer in opened.layers if not opened.lacks(layer.index))
            layers = len(opened.layers)
    except (CorruptError, BlobNotFoundError) as error:
        if as_json:
            out.document("verify", {"intact": False, "error": _error(error), "findings": []})
            return NO
        first, *more = lines_of(error)
        out.line(f"not intact: {first}")
        for line in more:
            out.line(f"  {line}")
        return NO
    code = NO if strict and findings else 0
    if as_json:
        found = [finding_document(finding) for finding in findings]
        members = {"layers": layers, "size": size, "findings": found}
        out.document("verify", {"intact": True, "error": None, **members})
        return code
    _write_findings(out, findings)
    told = count(len(findings), "oddity", "oddities") if findings else "nothing odd"
    out.line(f"intact: {count(layers, 'layer')}, {count(size, 'byte')}, {told}")
    return code


@click.command()
@image_argument()
@click.option("--profiles", default=",".join(PROFILES), show_default=True, metavar="NAMES",
              help="Which are compared.")  # fmt: skip
@json_option
@opening_options
def agreement(opening: Opening, image: str, profiles: str, as_json: bool) -> int:
    """
    List what runtimes read differently in IMAGE: a scanner sees it, a container may not.

    Ends with 1 if there are any.
    """
    named = profiles.replace(" ", "").split(",")
    unknown = sorted(set(named) - set(PROFILES))
    if unknown or len(set(named)) < 2:
        raise click.UsageError(f"--profiles takes two or three of {', '.join(PROFILES)}")
    session = Session.of(opening, json=as_json)
    out = session.out
    with session.image(image, index=True) as opened:
        found = opened.agreement(tuple(dict.fromkeys(named)), opening.indexes(opened))
    if as_json:
        out.document(
            "agreement",
            {
                "profiles": list(found.profiles),
                "refused": {name: str(error) for name, error in found.refused.items()},
                "disagreements": [
                    {
                        "path": item.path,
                        "fields": list(item.fields),
                        "cases": list(item.cases),
                        "answers": {name: _answer(answer) for name, answer in item.answers.items()},
                        "findings": [finding_document(finding) for finding in item.findings],
                    }
                    for item in found
                ],
            },
        )
        return 0 if found.complete else NO
    for name, error in found.refused.items():
        out.line(f"{name} refuses the whole stack: {error}")
    out.table(
        ("path", "differs in", *found.profiles, "cases"),
        [
            (
                printable(item.path),
                ", ".join(item.fields),
                *(_told(item.answers[name], item.fields) for name in found.profiles),
                ", ".join(item.cases),
            )
            for item in found
        ],
        empty=f"{', '.join(found.profiles)} "
        + ("agree in that" if found.refused else "show the same tree"),
    )
    return 0 if found.complete else NO


def _write_findings(out: Output, findings: tuple[Finding, ...]) -> None:
    if not findings:
        return
    out.table(
        ("layer", "finding", "path", "what"),
        [
            (
                "image" if finding.layer < 0 else str(finding.layer),
                finding.code,
                printable(finding.path or "-"),
                printable(finding.message) + (f" ({finding.case})" if finding.case else ""),
            )
            for finding in findings
        ],
        right=("layer",),
    )
    out.line()


def _error(error: CorruptError | BlobNotFoundError) -> dict[str, Any]:
    return {
        "class": type(error).__name__,
        "message": error.message,
        "layer": error.layer,
        "member": error.member,
        "path": error.path,
        "offset": error.offset,
        "expected": None if error.expected is None else str(error.expected),
        "actual": None if error.actual is None else str(error.actual),
        "hint": None if error.hint is None else typed(error.hint),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "type": answer.type,
        "layer": answer.layer,
        "mode": None if answer.mode is None else f"{answer.mode:04o}",
        "uid": answer.uid,
        "gid": answer.gid,
        "size": answer.size,
        "mtime_ns": answer.mtime_ns,
        "target": answer.target,
        "links": answer.links,
        "error": None if answer.error is None else str(answer.error),
    }


def _told(answer: Answer, fields: tuple[str, ...]) -> str:
    """Say in a few words what a profile shows, as far as it is not what the others show."""
    if answer.error is not None:
        return printable(answer.error.message)
    facts = []
    for name in fields:
        value = None if name == "type" else answer.value(name)
        if value is None:
            continue
        if isinstance(value, int) and name.endswith("time"):
            facts.append(time_text(value))
        else:
            facts.append(f"{value:04o}" if name == "mode" else printable(str(value)))
    return " ".join([answer.type, *facts])
