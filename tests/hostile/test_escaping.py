"""
Whatever an image says, what is printed of it commands no terminal and writes no markup.

Every public type that has a text, a table, a page or a document of its own is asked for it, of an
image whose every name is hostile.  A type that is not in the table here fails the test.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest
from mounting import device_or_skip

import unionlayers
from unionlayers import (
    Changes,
    DirectoryIndexStore,
    Hidden,
    Image,
    ImageCheck,
    ImagePath,
    Limits,
    Profile,
    RegularFiles,
    Timeline,
    UnionLayersError,
    analyze,
    compare,
    diff,
    list_images,
    open_image,
)
from unionlayers._foundation.names import printable
from unionlayers.testing import (
    Damage,
    HistoryStep,
    ImageDescription,
    char_device,
    directory,
    file,
    hardlink,
    oci_archive,
    opaque,
    symlink,
    whiteout,
)

# A terminal's colours and title, the direction of writing, line ends of all kinds, markup in an
# element and in attributes, a cell of a table, and what is no UTF-8.
EVIL = "a\x1b[31m\x1b]0;t\x07\r\n\x85\u2028\u202e\x9b2J<script>x<b>\" onload='x' |`*_\\"
BYTES = EVIL.encode() + b"\xff"
NAME = BYTES.decode("utf-8", "surrogateescape")
# A name that any registry would refuse, and no reader does.
TAG = f"example.org/app:{EVIL}"
# No tar can hold these in the name of one.
XATTR = "user." + EVIL.replace("=", "").replace("\n", "").replace("\r", "")


def image_of(last: str) -> bytes:
    layers = [
        [
            directory(b"d" + BYTES),
            file(b"d" + BYTES + b"/" + BYTES, b"text" + BYTES, xattrs={XATTR: BYTES}),
            file(b"twice" + BYTES, "1"), file(b"./twice" + BYTES, "2"),
            file(b"gone" + BYTES, b"x" * 5000), file(b"w" + BYTES, "1"),
            symlink(b"l" + BYTES, b"dir" + BYTES), hardlink(b"h" + BYTES, b"twice" + BYTES),
            char_device(b"c" + BYTES, 1, 3), file(b"dir" + BYTES + b"/x", "1"),
        ],
        [whiteout(b"gone" + BYTES), opaque(b"dir" + BYTES), file(b"w" + BYTES, last),
         file(b"s" + BYTES), whiteout(b"s" + BYTES),
         symlink(b"loop" + BYTES, b"loop" + BYTES), file(b".wh.none" + BYTES)],
    ]  # fmt: skip
    history = [HistoryStep(f"RUN {EVIL}", comment=EVIL), HistoryStep(EVIL)]
    image = ImageDescription(
        layers,
        history=history,
        author=EVIL,
        labels={EVIL: EVIL},
        env=[f"X={EVIL}"],
        tags=[TAG, f"second{EVIL}"],
    )
    return oci_archive(image, damage=Damage(after=[file(b"more" + BYTES, "x")]))


def made(folder: Path, last: str) -> Image:
    path = folder / f"{last}.tar"
    path.write_bytes(image_of(last))
    return open_image(path, on_invalid="warn")


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Everything that can be had of a hostile image, and everything in that."""
    folder = tmp_path_factory.mktemp("hostile")
    image, other = made(folder, "1"), made(folder, "other")
    view = image.fs()
    paths = [path for path, _ in view.find(None, types=("file", "directory", "symlink", "device"))]
    assert any(NAME in path for path in paths)
    found: list[Any] = [
        image,
        view,
        image.layers[0].fs(),
        Profile(),
        RegularFiles(),
        list_images(folder / "1.tar"),
        ImageCheck(image),
        DirectoryIndexStore(folder / NAME.replace("/", "")),
        Limits(),
    ]
    found += [image.history, image.findings, image.hidden(), image.agreement(), image.waste()]
    found += [image.sizes(), image.unreferenced(), image.timeline(), view.walk]
    found += [
        image.explain(path) for path in (*paths, f"/gone{NAME}", f"/none{NAME}", f"/l{NAME}/x")
    ]
    found += [image.history_of(path) for path in (*paths, f"/gone{NAME}")]
    found += [image.path(path) for path in paths]
    found += [one.marks for one in image.layers]
    found += [diff(image, other), diff(image.layers[0], image)]
    for kind in ("history", "metadata", "file", "layer", "size", "sizelayer"):
        found += [analyze(image, kind), compare(image, other, kind)]
    found += [view.export(folder / "out.tar"), view.export(folder / "out")]
    return [one for thing in found for one in inside(thing)]


def inside(thing: Any, depth: int = 6) -> Iterator[Any]:
    """Give an object of this library and those that it holds."""
    if isinstance(thing, list | tuple | Mapping):
        for one in thing.values() if isinstance(thing, Mapping) else thing:
            yield from inside(one, depth)
    elif type(thing).__module__.startswith("unionlayers"):
        yield thing
        if depth and attrs.has(type(thing)):
            for part in attrs.fields(type(thing)):
                yield from inside(getattr(thing, part.name), depth - 1)
        if depth and isinstance(thing, Sequence | Changes | Hidden | Timeline):
            yield from inside(tuple(thing), depth - 1)
        for name in ("items", "layers", "entries", "links"):
            part = getattr(thing, name, ())
            if depth and isinstance(part, tuple):
                yield from inside(part, depth - 1)


PUBLIC = {
    name: kind
    for name in unionlayers.__all__
    if inspect.isclass(kind := getattr(unionlayers, name)) and not issubclass(kind, Exception)
}
# Nothing of an image is in them, or they are only made by what a test cannot do everywhere.
LEFT_OUT = {"IndexStore", "Mount"}
# As in pathlib: the text of a path is the path.
VERBATIM = (ImagePath,)


def lines_of(text: str) -> list[str]:
    return text.split("\n")


def test_every_public_type_is_looked_at(objects: list[Any]) -> None:
    seen = {name for name, kind in PUBLIC.items() if any(isinstance(o, kind) for o in objects)}
    assert seen | LEFT_OUT == set(PUBLIC)


def commands(text: str) -> list[str]:
    """Give what of a text commands a terminal, turns its lines about, or is no character."""
    return [one for line in lines_of(text) for one in line if not one.isprintable()]


TEXTS: dict[str, Callable[[Any], str]] = {"repr": repr, "str": str, "format": format}


@pytest.mark.parametrize("way", TEXTS)
@pytest.mark.parametrize("name", [*sorted(set(PUBLIC) - LEFT_OUT), "values within", "errors"])
def test_no_text_of_a_value_commands_the_terminal(
    name: str, way: str, objects: list[Any], tmp_path: Path
) -> None:
    """Of a public class, of what such hold, and of an error of every class with hostile data."""
    if name == "errors":
        found: list[Any] = [made_error(kind) for kind in ERRORS]
    elif name == "values within":
        found = [one for one in objects if not isinstance(one, tuple(PUBLIC.values()))]
    else:
        found = [one for one in objects if isinstance(one, PUBLIC[name])]
    assert found
    for one in found:
        if way == "repr" or name == "errors":
            assert "\n" not in TEXTS[way](one), type(one)
        if way == "repr" or not isinstance(one, VERBATIM):
            assert commands(TEXTS[way](one)) == [], type(one)


def test_a_tag_is_spelled_and_not_swallowed(objects: list[Any]) -> None:
    image = next(one for one in objects if isinstance(one, Image))
    assert TAG in image.references
    assert printable(TAG) in repr(image)
    changes = next(one for one in objects if isinstance(one, Changes))
    assert "\\x1b[31m" in repr(changes)


ERRORS = [
    kind
    for name in unionlayers.errors.__all__
    if issubclass(kind := getattr(unionlayers, name), UnionLayersError)
]


def made_error(kind: type[UnionLayersError]) -> UnionLayersError:
    """Make an error that quotes hostile names wherever one can stand."""
    return kind(
        f"what is wrong with {NAME}",
        path=NAME,
        member=NAME,
        pointer=NAME,
        expected=NAME,
        actual=NAME.encode("utf-8", "surrogateescape"),
        candidates=(NAME, f"b {NAME}"),
        hint=f"do not use {NAME}",
        case=NAME,
    )


def tables(one: Any) -> Iterator[tuple[str, str]]:
    for name in ("to_table", "to_markdown", "to_html", "to_json", "_repr_html_"):
        made = getattr(one, name, None)
        if made is not None and not inspect.isclass(one):
            yield name, made()


class Strict(HTMLParser):
    """Fails on a script, and on an attribute that does something."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "img", "iframe", "object", "link")
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("href", "src")]


def test_tables_pages_and_documents_hold_no_control_characters(objects: list[Any]) -> None:
    named = 0
    kinds = set()
    for one in objects:
        for name, text in tables(one):
            kinds.add(name)
            assert all(map(str.isprintable, lines_of(text))), (type(one), name)
            named += "x1b" in text
            if name == "to_json":
                assert text.isascii()
                json.loads(text)
            elif name == "to_markdown":
                assert "<script" not in text
                rows = [line for line in lines_of(text) if line.startswith("|")]
                assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) <= 1
            elif name in ("to_html", "_repr_html_"):
                Strict().feed(text)
    assert kinds == {"to_table", "to_markdown", "to_html", "to_json", "_repr_html_"}
    assert named > 5


def test_documents_give_every_name_back(objects: list[Any]) -> None:
    told = [text for one in objects for name, text in tables(one) if name == "to_json"]
    assert any(EVIL in value for text in told for value in texts(json.loads(text)))


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


def several(path: str) -> str:
    """Make an archive of two images whose names are hostile."""
    images = [ImageDescription([[file("a", tag)]], tags=[tag + EVIL]) for tag in ("one", "two")]
    made = Path(path).with_name("several.tar")
    made.write_bytes(oci_archive(*images))
    return str(made)


@pytest.mark.parametrize("way", TEXTS)
def test_no_text_of_a_mount_commands_the_terminal(way: str, tmp_path: Path) -> None:
    device_or_skip()
    place = tmp_path / NAME.replace("/", "")
    place.mkdir()
    with made(tmp_path, "1") as image, image.mount(place) as mount:
        assert TEXTS[way](mount).isprintable()


def exported(view: Any) -> None:
    """Write where something is already."""
    place = Path(view.image.opened_from[0]).parent / NAME.replace("/", "")
    place.mkdir()
    (place / "x").touch()
    view.export(place)


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "nothing there": lambda view: view.readbytes(f"/{NAME}"),
    "nothing beneath": lambda view: view.readbytes(f"/twice{NAME}/{NAME}"),
    "a loop": lambda view: view.readbytes(f"/loop{NAME}"),
    "a device": lambda view: view.readbytes(f"/c{NAME}"),
    "a directory": lambda view: view.readbytes(f"/d{NAME}"),
    "no directory": lambda view: view.listdir(f"/twice{NAME}"),
    "read-only": lambda view: view.remove(f"/twice{NAME}"),
    "a NUL": lambda view: view.exists(f"/{NAME}\0"),
    "a reference": lambda view: open_image(view.image.opened_from[0], reference=NAME),
    "a platform": lambda view: open_image(view.image.opened_from[0], platform=NAME),
    "a profile": lambda view: open_image(view.image.opened_from[0], profile=NAME),
    "a URL": lambda _: unionlayers.UnionFS(f"oci:{NAME}?x={NAME}"),
    "no file": lambda _: open_image(f"/none/{NAME}"),
    "another tag": lambda view: open_image(view.image.opened_from[0], reference=TAG[:-1]),
    "one of several": lambda view: open_image(several(view.image.opened_from[0])),
    "a place beneath": lambda view: (view.image.path(f"/none{NAME}") / NAME).read_bytes(),
    "an export that is there": exported,
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_error_is_one_printable_line(name: str, tmp_path: Path) -> None:
    with made(tmp_path, "1") as image, pytest.raises(Exception) as caught:
        QUESTIONS[name](image.fs())
    for way in TEXTS.values():
        assert way(caught.value).isprintable(), caught.value
