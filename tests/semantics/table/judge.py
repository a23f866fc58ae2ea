"""
What is wrong with a row: the question that the tests of the table and its mutations both ask.

Run as a program with ids of cases it names those whose rows are wrong, one on a line.
"""

from __future__ import annotations

import errno
import re
import sys
from typing import Any

from row import PROFILES, REFUSED, Row, shown, words
from rows import ROWS

from unionlayers import Image, PathError, UnionFS
from unionlayers._foundation.names import clean_entry_name, decode

__all__ = ["facts_of", "strays", "wrong"]


def facts_of(image: Image, path: str) -> dict[str, Any]:
    """Give what a row may say of a path."""
    view = image.fs()
    raw = view.getinfo(path, ["stat", "xattr", "layer"]).raw
    stat = raw["stat"]
    return {
        "mode": stat["st_mode"] & 0o7777,
        "uid": stat["st_uid"],
        "gid": stat["st_gid"],
        "size": stat["st_size"],
        "nlink": stat["st_nlink"],
        "mtime_ns": stat["st_mtime_ns"],
        "xattrs": raw["xattr"],
        "implied": raw["layer"]["implied"],
        "leads": leads(view, path),
    }


def leads(view: UnionFS, path: str) -> str:
    """Give where a path leads when all links are followed, or the name of the error number."""
    try:
        return view.realpath(path).path
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def strays(row: Row, view: UnionFS, tree: str) -> list[str]:
    """Give the names of the row's entries by which a look-up and the tree disagree."""
    if callable(row.layers):
        return []
    present = {re.split(r"=|->|#|/$|[|]$", word)[0] for word in words(tree)}
    links = {word.partition("->")[0] for word in words(tree) if "->" in word}
    found = []
    for entry in (entry for layer in row.layers if not isinstance(layer, bytes) for entry in layer):
        name = decode(clean_entry_name(entry.path)[0])
        base = name.rpartition("/")[2]
        above = {name[:end] for end, char in enumerate(name) if char == "/"}
        if not name or "\n" in name or base.startswith(".wh.") or above & links:
            continue
        if _is_there(view, name) != (name in present):
            found.append(name)
    return found


def _is_there(view: UnionFS, name: str) -> bool:
    try:
        view.getinfo(f"/{name}")
    except PathError:
        return False
    return True


def wrong(row: Row, profile: str) -> bool:
    """Tell whether a row does not hold under a profile."""
    answer = row.answer(profile)
    if answer == REFUSED:
        try:
            with row.open(profile) as image:
                shown(image.fs())
        except row.error:
            answer = row.forgiven(profile) or REFUSED
        else:
            return True
    elif _differs(row, profile, answer, "error"):
        return True
    if answer == REFUSED:
        return False
    if _differs(row, profile, answer, "warn"):
        return True
    with row.open(profile, "warn") as image:
        found = {(finding.code, finding.case) for finding in image.findings}
    codes = (row.finding or "").split()
    return bool(codes) and not found & {(code, case) for code in codes for case in row.cases}


def _differs(row: Row, profile: str, tree: str, on_invalid: str) -> bool:
    with row.open(profile, on_invalid) as image:
        if shown(image.fs()) != words(tree) or strays(row, image.fs(), tree):
            return True
        if row.answer(profile) == REFUSED:
            return False
        for path, facts in row.told(profile).items():
            found = facts_of(image, path)
            if any(found[key] != value for key, value in facts.items()):
                return True
    return False


def _red(case: str) -> bool:
    for row in ROWS:
        if row.case != case:
            continue
        for profile in PROFILES:
            try:
                if wrong(row, profile):
                    return True
            except Exception:  # noqa: BLE001
                return True
    return False


if __name__ == "__main__":
    sys.stdout.write("".join(f"{case}\n" for case in sys.argv[1:] if _red(case)))
