"""Every profile answers as a runtime of its class, in metadata too, on crafted stacks."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from row import shown

from unionlayers import UnionFS, UnionLayersError, open_image
from unionlayers.testing import Entry, ImageDescription, docker_archive, entry

ANSWERS = Path(__file__).parent / "runtimes" / "answers.json"
CLASSES = {
    "oci": {"C2", "D2", "P2", "Cn", "Dv", "Pv", "U"},
    "overlay": {"C2", "D2", "P2"},
    "sequential": {"Cn", "Dv", "Pv"},
}
# Where the tree of a profile is not as its class, and why.
OTHERWISE = {
    ("A14", "oci"): "the metadata goes; where it is not shown an empty folder of it is left",
    ("A14 implied", "oci"): "the same",
    ("A14 orph file", "oci"): "the same",
    ("I2 then implied", "oci"): "taken as a whiteout like any other (A6)",
    ("I4 7", "oci"): "a contiguous file is read",
    ("J3 g", "sequential"): "they make the folder of the header's pseudo-name",
    **{
        (f"empty symlink{more}", profile): "a link without a text is shown, and leads nowhere"
        for more in ("", " lower", " whited")
        for profile in CLASSES
    },
}
HIDDEN = "what the layer hides is gone, and a directory in its place inherits nothing"
TIMES = "containerd sets the time of a directory on what took its place, or a link there leads to"
# Where its tree is, and its metadata is that of none of them.
METADATA_OTHERWISE = {
    (
        "A7 hl",
        "oci",
    ): "umoci alone keeps such a file, and it ignores the header of a hard link (E7)",
    ("A8 implied", "oci"): HIDDEN,
    ("A8 implied deep", "oci"): HIDDEN,
    ("A8 sub entry", "oci"): HIDDEN,
    ("B3 meta", "oci"): HIDDEN,
    ("B5 last implied", "oci"): HIDDEN,
    ("D1 both", "oci"): HIDDEN,
    ("D1 dup through", "oci"): HIDDEN,
    ("D1 escape", "oci"): HIDDEN,
    ("D1 nested link", "oci"): HIDDEN,
    ("D4 target link below", "oci"): HIDDEN,
    ("E4", "overlay"): "overlayfs counts names that it hides",
    ("E4 del", "overlay"): "the same",
    ("F3 hl", "oci"): TIMES,
    ("I2 dir then", "sequential"): TIMES,
    **{
        (name, profile): TIMES
        for name in (
            "D3 after dir",
            "F3",
            "F3 fifo",
            "F3 hl",
            "F3 link above",
            "F3 link abs",
            "F3 link to dir",
            "F3 link to file",
            "F3 link with child",
            "F3 lower",
            "F3 parent link",
        )
        for profile in ("overlay", "sequential")
    },
    ("F3 link to lower", "sequential"): TIMES,
    ("F3 way hl", "oci"): "umoci alone passes over it, and it ignores the header of a hard link",
    ("E3 link to link dir", "oci"): "the same",
    ("F3 way moved target gone", "overlay"): TIMES,
    ("F3 way moved target gone", "sequential"): TIMES,
    ("F3 way link to other", "overlay"): TIMES,
    ("F3 way link to other", "sequential"): TIMES,
    ("F3 way link to lower", "sequential"): TIMES,
    ("F3 way target moved", "overlay"): TIMES,
    ("F3 way target moved", "sequential"): TIMES,
}
NANOSECONDS = 10**9


def stacks() -> list[Any]:
    found = json.loads(ANSWERS.read_text(encoding="utf-8"))
    return [
        pytest.param(stack, profile, id=f"{stack['name']} [{profile}]")
        for stack in found
        for profile in CLASSES
    ]


def built(said: dict[str, Any]) -> Entry:
    arguments: dict[str, Any] = {"typeflag": said.get("type", "0").encode("latin-1")}
    for key, value in said.items():
        if key in {"path", "content", "linkname"}:
            arguments[key] = value.encode("latin-1")
        elif key in {"xattrs", "pax"}:
            arguments[key] = {name: text.encode("latin-1") for name, text in value.items()}
        elif key != "type":
            arguments[key] = value
    return entry(**arguments)


def stamped(layers: list[list[dict[str, Any]]]) -> list[list[Entry]]:
    """Give the entries, each with metadata of its own where the stack does not say it."""
    found = []
    for slot, layer in enumerate(layers):
        entries = []
        for ordinal, said in enumerate(layer):
            number = 100 * slot + ordinal + 1
            kind = said.get("type", "0")
            own: dict[str, Any] = {"uid": number, "gid": number + 1000, "mtime": number * 10}
            own["mode"] = (0o700 if kind == "5" else 0o600) + number % 64
            if kind in "05":
                own["xattrs"] = {f"user.n{slot}": str(ordinal)}
            entries.append(built({**own, **said}))
        found.append(entries)
    return found


Told = tuple[str, dict[str, str]]


def answer(layers: list[list[dict[str, Any]]], profile: Any) -> Told:
    """Give the tree that a profile shows, and the metadata of each path."""
    archive = docker_archive(ImageDescription(stamped(layers)))
    try:
        with open_image(io.BytesIO(archive), profile=profile) as image:
            view = image.fs()
            tree = shown(view)
            metadata = {printed(path[1:]): told(view, path) for path in paths_of(view)}
    except UnionLayersError:
        return "refused", {}
    cut = sorted(word[: word.find("=") + 41] if "=" in word else word for word in tree)
    return printed(" ".join(word.replace(" ", "␣").replace("\n", "␊") for word in cut)), metadata


def printed(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def paths_of(view: UnionFS) -> list[str]:
    kinds = ("file", "directory", "symlink", "device", "fifo")
    return [path for path, _ in view.find(None, types=kinds)]


def told(view: UnionFS, path: str) -> str:
    raw = view.getinfo(path, ["stat", "xattr"]).raw
    stat: Any = raw["stat"]
    time, rest = divmod(stat["st_mtime_ns"], NANOSECONDS)
    words = [
        f"{stat['st_mode'] & 0o7777:04o}",
        f"{stat['st_uid']}:{stat['st_gid']}",
        f"{stat['st_mtime_ns']}ns" if rest else str(time),
    ]
    if stat["st_nlink"] > 1:
        words.append(f"links={stat['st_nlink']}")
    for key, value in sorted(raw["xattr"].items()):
        text = value.decode("latin-1")
        plain = text.isprintable() and text.isascii() and " " not in text
        # What overlayfs itself keeps in these it does not show.
        if not key.startswith("trusted.overlay."):
            words.append(f"{key}={text if plain else '0x' + value.hex()}")
    return " ".join(words)


def alike(ours: dict[str, str], theirs: dict[str, str]) -> bool:
    """Compare metadata; the time at which a runtime unpacked is not compared."""
    if ours.keys() != theirs.keys():
        return False
    for path, fact in theirs.items():
        own, other = ours[path].split(" "), fact.split(" ")
        if other[2] == "now":
            own[2] = "now"
        if own != other:
            return False
    return True


@pytest.mark.parametrize(("stack", "profile"), stacks())
def test_a_profile_answers_as_a_runtime_of_its_class(stack: dict[str, Any], profile: str) -> None:
    runtimes = CLASSES[profile]
    allowed = {tree for tree, names in stack["answers"].items() if runtimes & set(names.split())}
    tree, metadata = answer(stack["layers"], profile)
    name = stack["name"], profile
    assert (tree in allowed) is (name not in OTHERWISE)
    if tree == "refused" or tree not in allowed:
        return
    is_one = any(
        alike(metadata, seen["of"])
        for seen in stack["metadata"]
        if runtimes & set(seen["by"].split()) & set(stack["answers"][tree].split())
    )
    assert is_one is (name not in METADATA_OTHERWISE)


def test_what_is_otherwise_was_recorded() -> None:
    names = {(stack.values[0]["name"], stack.values[1]) for stack in stacks()}
    assert (OTHERWISE.keys() | METADATA_OTHERWISE.keys()) <= names
