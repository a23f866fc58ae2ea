"""
Damage to JSON documents, and what may become of an image whose documents are damaged.

`outcome` opens a source and reads everything; what it gives is the tree, or the error.  `judge`
says what is wrong with an outcome: an image that opens must show what it shows undamaged, and an
error must be one of ours and name the document and the place in it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from attrs import frozen

from unionlayers import (
    DocumentError,
    Image,
    ImageNotFoundError,
    Limits,
    UnionLayersError,
    list_images,
    open_image,
)
from unionlayers.testing import (
    FORMS,
    Attestation,
    Damage,
    HistoryStep,
    ImageDescription,
    IndexDescription,
    LayerDescription,
    file,
    image_members,
    layer,
    write_directory,
)
from unionlayers.testing.entry import Entry

__all__ = [
    "TREE",
    "WRONG",
    "described",
    "documents_of",
    "edited",
    "judge",
    "outcome",
    "places",
    "replaced",
    "source_of",
    "twice",
]

TREE = {"/a": b"1", "/b": b"2"}
LIMITS = Limits(document_bytes=1 << 20, layer_bytes=1 << 20)

DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]

# What no field can rightly be.  Each stands at every place of every document.
WRONG: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    7,
    2,
    1 << 70,
    1.5,
    float("inf"),
    float("nan"),
    "",
    "x",
    "../../etc/passwd",
    "/etc/passwd",
    "layer.tar",
    "manifest.json",
    "sha256:" + "A" * 64,
    "sha256:" + "0" * 64,
    "sha256:../../../etc/passwd",
    "sha256:" + "0" * 63,
    "sha512:" + "0" * 128,
    "blake3:" + "0" * 64,
    "md5:" + "0" * 32,
    "\0",
    "a\0b",
    "\ud800",
    "\N{LATIN SMALL LETTER A WITH ACUTE}" * 50,
    "x" * 70_000,
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v1+json",
    [],
    {},
    [None],
    [[]],
    [{}],
    ["x"],
    {"": None},
    {"a": {"b": 1}},
    DEEP,
)


def described(form: str) -> ImageDescription | IndexDescription:
    """Give an image that uses what the form can say, so that every field is there to be damaged."""
    image = ImageDescription(
        [
            LayerDescription(layer(file("a", "1")), annotations={"k": "v"}),
            LayerDescription(layer(file("b", "2")), urls=["https://example.org/b"]),
        ],
        variant="v1",
        os_version="10.0",
        labels={"a": "b"},
        author="A. Author",
        history=[HistoryStep("one"), HistoryStep("none", empty_layer=True), HistoryStep("two")],
        annotations={"k": "v"},
        tags=["example.org/app:1"],
    )
    if form.startswith(("oci", "containerd")):
        return IndexDescription(
            [image, Attestation(image)], tags=["example.org/app:1"], annotations={"k": "v"}
        )
    return image


def documents_of(form: str) -> dict[str, list[Any]]:
    """Give the documents of a form by their role, as they are without damage."""
    found: dict[str, list[Any]] = {}
    roles = ("config", "manifest", "index", "index.json", "manifest.json", "repositories")

    def keep(role: str) -> Callable[[Any], Any]:
        def edit(document: Any) -> Any:
            if document not in found.setdefault(role, []):
                found[role].append(deepcopy(document))
            return document

        return edit

    edits = {role: keep(role) for role in (*roles, "oci-layout", "json", "attestation")}
    image_members(described(form), form=form, damage=Damage(edits=edits))
    return found


def places(document: Any) -> Iterator[tuple[Any, ...]]:
    """Give the way to every value in a document, the document itself first."""
    pending: list[tuple[tuple[Any, ...], Any]] = [((), document)]
    while pending:
        way, value = pending.pop()
        yield way
        if isinstance(value, dict):
            pending += [((*way, key), item) for key, item in value.items()]
        elif isinstance(value, list):
            pending += [((*way, place), item) for place, item in enumerate(value)]


def _parent(document: Any, way: tuple[Any, ...]) -> Any:
    for step in way[:-1]:
        document = document[step]
    return document


def replaced(way: tuple[Any, ...], value: Any) -> Callable[[Any], Any]:
    """Give an edit that puts a value in a place; `KeyError` in its place takes the place away."""

    def edit(document: Any) -> Any:
        document = deepcopy(document)
        if not way:
            return b"" if value is KeyError else _dumped(value)
        try:
            parent = _parent(document, way)
            if value is KeyError:
                del parent[way[-1]]
            elif isinstance(parent, dict) or way[-1] < len(parent):
                parent[way[-1]] = value
        except (KeyError, IndexError, TypeError):
            return document  # another document of the role, without that place
        return _dumped(document)

    return edit


def twice(way: tuple[Any, ...], value: Any, *, swapped: bool) -> Callable[[Any], Any]:
    """Give an edit that repeats a key with another value, *swapped* in the other case."""

    def edit(document: Any) -> Any:
        document = deepcopy(document)
        try:
            parent = _parent(document, way)
            assert way[-1] in parent
        except (KeyError, IndexError, TypeError, AssertionError):
            return document
        if not isinstance(parent, dict):
            return document
        name = way[-1].swapcase() if swapped else f"{way[-1]}@twice"
        parent[name] = value
        return _dumped(document).replace(b"@twice", b"")

    return edit


def _dumped(document: Any) -> bytes:
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    return text.replace("Infinity", "1e999").encode()


def edited(form: str, role: str, edit: Callable[[Any], Any]) -> tuple[Entry, ...]:
    """Give the members of an image with one edit, all digests above it made anew."""
    return image_members(described(form), form=form, damage=Damage(edits={role: edit}))


def source_of(form: str, members: tuple[Entry, ...], folder: Path) -> Any:
    """Give what is to be opened."""
    if FORMS[form].kind == "archive":
        return io.BytesIO(layer(*members))
    return write_directory(folder, members)


@frozen
class Outcome:
    """What became of an image: its tree, or its error."""

    tree: dict[str, bytes] | None
    error: BaseException | None


def read_all(image: Image) -> dict[str, bytes]:
    """Read all that can be asked of an image."""
    assert all(isinstance(step.created_by, str) for step in image.history)
    assert repr(image)
    for one in image.layers:
        assert one.size >= 0
    view = image.fs()
    found = {path: view.readbytes(path) for path, _ in view.find()}
    image.verify()
    assert all(finding.message for finding in image.findings)
    return found


def outcome(source: Any, **options: Any) -> Outcome:
    """Open a source, list it, and read everything."""
    try:
        items = list_images(source, limits=LIMITS)
    except UnionLayersError:
        pass  # open_image says the same, and is judged by it
    except Exception as error:  # noqa: BLE001 - any other is what is looked for
        return Outcome(None, error)
    else:
        assert all(str(item) for item in items)
    try:
        with open_image(source, limits=LIMITS, **options) as image:
            return Outcome(read_all(image), None)
    except Exception as error:  # noqa: BLE001
        return Outcome(None, error)


def judge(result: Outcome, members: tuple[Entry, ...], *, partial: bool = False) -> str | None:
    """
    Say what is wrong with an outcome; None where nothing is.

    Args:
        result: The outcome.
        members: What the source holds, for the names in errors.
        partial: Whether the form promises nothing of its layers, so that some may be gone.
    """
    error = result.error
    if error is None:
        if result.tree == TREE or (partial and (result.tree or {}).items() <= TREE.items()):
            return None
        return f"shows {result.tree}"
    if not isinstance(error, UnionLayersError):
        return f"raises {type(error).__name__}: {error}"
    if not str(error).isascii() and not str(error).isprintable():
        return f"cannot be printed: {error!r}"
    if len(str(error)) > 6000:
        return f"says too much: {str(error)[:200]}..."
    if error.member is None:
        return f"names no document: {error}"
    if isinstance(error, DocumentError):
        names = {one.path.decode() for one in members}
        bare = {name.rpartition("/")[2].removesuffix(".manifest.json") for name in names}
        if error.member not in names and error.member.rpartition("/")[2] not in bare:
            return f"names a document that is not there: {error}"
        if error.pointer is None and error.offset is None and "deep" not in error.message:
            return f"names no place: {error}"
        if error.pointer and not error.pointer.startswith("/"):
            return f"has no pointer: {error}"
    if isinstance(error, ImageNotFoundError) and error.hint is None:
        return f"gives no next step: {error}"
    return None
