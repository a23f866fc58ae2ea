"""What objects show in a notebook: well-formed, escaped, bounded, complete, and readable."""

from __future__ import annotations

import io
import pickle
import re
import tracemalloc
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import pytest

from unionlayers import Image, ImageSummary, diff, list_images, open_image
from unionlayers._layers.scan import scan
from unionlayers._views.display import census, image_page, tree
from unionlayers._views.display.census import census_of
from unionlayers._views.display.squarified import Box, squarified
from unionlayers._views.display.style import FILLS, SHADES
from unionlayers.testing import (
    Entry,
    HistoryStep,
    ImageDescription,
    directory,
    docker_archive,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
    write_image,
)

DEMO = Path(__file__).parents[3] / "examples" / "demo-image" / "ledger.oci.tar"
IMAGES = sorted([DEMO, *(Path(__file__).parents[2] / "images").glob("*.tar")])
# Markup, a script, a terminal's colours, the direction of writing, no UTF-8, and quotes.
HOSTILE = (
    b"<script>alert(1)</script>",
    b'x" onmouseover="alert(1)',
    b"' onfocus='alert(1)",
    b"&lt;b&gt;",
    b"red\x1b[31m",
    "evil\u202egnp.exe".encode(),
    b"\xff\xfe",
    b"line\nend",
    "\u2028".encode(),
    b"</details></div></style>",
)
VOID = {"br", "meta"}
KNOWN = {
    "b", "br", "code", "dd", "details", "div", "dl", "dt", "li", "p", "small", "span", "strong",
    "style", "summary", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {"aria-label", "class", "open", "role", "scope", "style", "tabindex", "title"}


class Checked(HTMLParser):
    """Fails on what is not closed in order, and on any element or attribute that is not ours."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.words: list[str] = []
        self.elements: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in KNOWN, tag
        names = [name for name, _ in attrs]
        assert set(names) <= ATTRIBUTES, attrs
        assert len(names) == len(set(names)), attrs
        for name, value in attrs:
            if name == "class":
                assert re.fullmatch(r"[a-z0-9 ]+", value or ""), value
            elif name == "style":
                assert re.fullmatch(r"[a-z0-9:;.%-]+", value or ""), value
        self.elements.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def checked(shown: str) -> str:
    """Give the words of a page that is well-formed, and of nothing but what it may be of."""
    parser = Checked()
    parser.feed(shown)
    parser.close()
    assert parser.open == []
    words = "".join(parser.words)
    assert all(character.isprintable() or character == "\n" for character in words)
    shown.encode()  # no lone surrogate
    assert "http" not in shown
    assert "url(" not in shown
    assert "@ROOT" not in shown
    return words


def opened(layers: Sequence[Sequence[Entry]], **given: Any) -> Image:
    return open_image(
        io.BytesIO(docker_archive(ImageDescription(layers, **given))), on_invalid="warn"
    )


def shown_by(thing: Any) -> str:
    """Give what a list shows, whose type says nothing of it."""
    shown: str = thing._repr_html_()
    return shown


def everything(image: Image) -> dict[str, Callable[[], Any]]:
    """Give all that shows itself."""
    return {
        "image": lambda: image,
        "view": image.fs,
        "no layer": lambda: image.fs([]),
        "one layer": lambda: image.fs([0]),
        "layer": lambda: image.layers[-1],
        "hidden": image.hidden,
        "view of hidden": lambda: image.hidden().fs,
        "waste": image.waste,
        "changes": lambda: diff((image, slice(1)), image),
        "no changes": lambda: diff(image, image),
    }


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_all_that_shows_itself_is_well_formed_of_every_real_image(path: Path) -> None:
    checked(shown_by(list_images(path)))
    with open_image(path) as image:
        for made in everything(image).values():
            checked(made()._repr_html_())


def test_hostile_names_are_text_and_nothing_else() -> None:
    layers: list[list[Entry]] = [
        [
            *(file(name, b"12345") for name in HOSTILE if b"/" not in name),
            *(directory(b"d/" + name.replace(b"/", b"")) for name in HOSTILE),
            *(file(b"d/" + name.replace(b"/", b"") + b"/f", b"1") for name in HOSTILE),
            *(symlink(b"l%d" % at, name) for at, name in enumerate(HOSTILE)),
        ],
        [whiteout(name) for name in HOSTILE if b"/" not in name],
    ]
    steps = [
        HistoryStep(created_by="RUN <script>alert(2)</script>\x1b[31m\u202e\" onclick='a'"),
        HistoryStep(created_by="x" * 100_000),
    ]
    image = opened(layers, history=steps)
    for made in everything(image).values():
        shown = made()._repr_html_()
        words = checked(shown)
        assert "<script" not in shown
        assert len(shown) < 200_000
        assert "\u202e" not in words
    words = checked(image.fs()._repr_html_())
    assert r"d" in words
    assert "<script>alert(1)<script>" in words  # the name, as text: its slash is a directory
    assert r"\u202e" in words
    assert r"\xff\xfe" in words
    assert r"\x1b[31m" in words
    assert r"line\x0aend" in words


def test_the_tree_says_of_each_name_the_layer_that_supplies_it() -> None:
    layers = [
        [directory("etc", mode=0o700), file("etc/a", b"1"), file("etc/b", b"1", mode=0o4755)],
        [file("etc/a", b"22"), hardlink("c", "etc/b", mode=0o4755)],
        [directory("etc")],
    ]
    words = checked(opened(layers).fs()._repr_html_())
    assert "2 etc/" in words
    assert "1 a-rw-r--r-- 0:0 2 B" in words
    assert "0 b-rwsr-xr-x 0:0 1 B" in words
    # A hard link to a file of a lower layer is a path that the upper layer supplies.
    assert "1 c-rwsr-xr-x 0:0 1 B" in words


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_the_census_counts_as_sizes_does(path: Path) -> None:
    with open_image(path) as image:
        sizes = image.sizes()
        counted = census_of(image.union())
        found = {folder.path or "/": folder.size for folder in counted.folders if folder.size}
        assert found == sizes.by_directory
        shown = {layer.layer: layer.shown for layer in sizes.by_layer if layer.shown}
        assert dict(counted.root.layers) == shown
        names = sum(len(found) for _, found in scan(image.union()))
        assert counted.root.names == names


def test_hard_links_are_counted_at_the_first_of_their_names() -> None:
    image = opened([[file("b/f", b"123"), hardlink("a", "b/f")], [hardlink("0", "b/f")]])
    counted = census_of(image.union())
    assert counted.root.own == 3
    assert counted.root.inner["b"].size == 0


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_hidden_bytes_by_reason_are_those_of_hidden(path: Path) -> None:
    from unionlayers._views.display.hidden_bytes import hidden_bytes

    with open_image(path) as image:
        hidden = image.hidden()
        found = hidden_bytes(image.union())
        assert sum(found.sizes.values()) == hidden.size
        assert sum(found.entries.values()) == len(hidden)


def test_what_is_not_indexed_and_large_is_not_read_for_a_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(image_page, "UNREAD", 1000)
    image = opened([[file("f", b"1" * 5000)]])
    words = checked(image._repr_html_())
    assert "image.prepare()" in words
    assert [layer.loaded for layer in image.layers] == [False]
    assert "image.prepare()" in checked(image.fs()._repr_html_())
    assert "image.prepare()" in checked(image.layers[0]._repr_html_())
    image.prepare()
    assert [layer.loaded for layer in image.layers] == [True]
    assert "5.0 kB are shown" in checked(image._repr_html_())


def test_an_image_with_too_many_entries_shows_a_tree_and_says_what_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(census, "LARGEST", 10)
    monkeypatch.setattr(image_page, "LARGEST", 10)
    image = opened([[file(f"d{at}/f", b"1") for at in range(20)]])
    words = checked(image._repr_html_())
    assert "image.sizes()" in words
    assert "image.hidden()" in words
    assert "d19/" in words


def test_a_directory_of_very_many_names_is_not_looked_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tree, "_MOST_LOOKS", 100)
    image = opened([[*(file(f"big/{at:04d}", b"1") for at in range(200)), file("small/f", b"1")]])
    shown = image.fs()._repr_html_()
    words = checked(shown)
    assert "big/ …" in words
    assert "200 B in 200 names" in words
    assert "0000" not in words
    assert "0 f-rw" in words


def test_a_deep_tree_of_long_names_costs_no_more_than_its_names() -> None:
    # The names of one path are 80 kB, and the paths of all directories on it 16 MB.
    deep = "/".join(f"{level:03d}" + "x" * 197 for level in range(400))
    layers = [
        [file(f"{deep}/d{at}/f", b"1" * at) for at in range(1, 60)],
        [whiteout(f"{deep}/d{at}") for at in range(1, 30)],
    ]
    image = open_image(io.BytesIO(docker_archive(ImageDescription(layers))))
    image.prepare()
    tracemalloc.start()
    try:
        shown = image._repr_html_()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 << 20
    assert "435 B of their own" in checked(shown)


def test_a_page_grows_with_its_bounds_and_not_with_the_image() -> None:
    sizes = []
    for count in (1_500, 4_500):
        layers = [
            [file(f"d{at % 50}/{at:05d}", b"1" * (at % 9)) for at in range(count)],
            [whiteout(f"d{at % 50}/{at:05d}") for at in range(0, count, 3)],
        ]
        image = opened(layers)
        pages = [made()._repr_html_() for made in everything(image).values()]
        words = [checked(page) for page in pages]
        assert "more" in words[1]
        sizes.append([len(page) for page in pages])
    for less, more in zip(*sizes, strict=True):
        assert more < less * 1.2 + 200
        assert more < 200_000


def test_many_layers_are_left_out_in_the_middle_and_counted() -> None:
    image = opened([[file(f"f{at}", b"1" * (at + 1))] for at in range(90)])
    shown = image._repr_html_()
    words = checked(shown)
    assert "90 layers" in words
    assert "30 layers in the middle are not shown" in words
    assert shown.count('<span class="f') < 200


def test_a_damaged_layer_is_said_in_its_place_and_the_rest_is_shown() -> None:
    data = bytearray(docker_archive(ImageDescription([[file("f", b"content")]])))
    at = data.index(b"content")
    data[at] ^= 1
    image = open_image(io.BytesIO(bytes(data)))
    words = checked(image._repr_html_())
    assert "DigestMismatchError" in words
    assert "1 layer, base first" in words
    assert "DigestMismatchError" in checked(image.fs()._repr_html_())
    assert "DigestMismatchError" in checked(image.layers[0]._repr_html_())
    assert "DigestMismatchError" in checked(diff(image, (image, []))._repr_html_())


@pytest.mark.parametrize("missing", ["error", "skip"])
def test_a_layer_that_the_source_lacks_is_absent_and_the_others_are_there(
    missing: Literal["error", "skip"], tmp_path: Path
) -> None:
    layout = tmp_path / "layout"
    described = ImageDescription([[file("a", b"1")], [file("b", b"22")]])
    write_image(layout, described, form="oci-layout")
    with open_image(layout) as whole:
        digest = str(whole.layers[0].digest)
    (layout / "blobs" / "sha256" / digest.partition(":")[2]).unlink()
    assert "lacks 1 blob" in checked(shown_by(list_images(layout)))
    with open_image(layout, missing=missing) as image:
        words = checked(image._repr_html_())
        assert "absent" in words
        assert ("BlobNotFoundError" in words) is (missing == "error")
        assert "BlobNotFoundError" in checked(image.layers[0]._repr_html_())
        assert "2 B are shown" in checked(image.layers[1]._repr_html_())


def test_a_view_says_what_it_is_of() -> None:
    image = opened([[file("f", b"1")], [whiteout("f")]])
    assert "Files of" in checked(image.fs()._repr_html_())
    assert "layer 0 alone" in checked(image.fs([0])._repr_html_())
    assert "Hidden files of" in checked(image.hidden().fs._repr_html_())


def test_a_hard_link_without_a_target_is_named_where_it_stands() -> None:
    image = open_image(
        io.BytesIO(docker_archive(ImageDescription([[file("f", b"1"), hardlink("g", "gone")]])))
    )
    words = checked(image.fs()._repr_html_())
    assert "0 f-rw" in words
    assert "g: " in words


def test_what_is_closed_says_so() -> None:
    image = opened([[file("f", b"1")]])
    view, layer = image.fs(), image.layers[0]
    view.close()
    assert "closed" in checked(view._repr_html_())
    assert "closed" not in checked(image._repr_html_())
    image.close()
    assert "closed" in checked(image._repr_html_())
    assert "closed" in checked(layer._repr_html_())


def test_an_image_without_files_says_so() -> None:
    words = checked(opened([[]])._repr_html_())
    assert "No file has content." in words
    assert "Everything that is shipped is shown." in words
    assert checked(opened([])._repr_html_())


def test_the_reasons_are_told_with_their_bytes() -> None:
    layers = [
        [file("w", b"1" * 11), file("o/f", b"1" * 22), file("r", b"1" * 33), file("t", b"1" * 44)],
        [whiteout("w"), directory("o"), opaque("o"), file("r", b"2"), directory("t")],
    ]
    words = checked(opened(layers).hidden()._repr_html_())
    for told in ("whiteout", "opaque", "replaced", "type change", "11 B", "22 B", "33 B", "44 B"):
        assert told in words


def test_the_list_of_images_is_a_list_that_shows_itself() -> None:
    found = list_images(DEMO)
    assert isinstance(found, list)
    assert found == list(found)
    assert pickle.loads(pickle.dumps(found)) == found
    assert all(isinstance(item, ImageSummary) for item in found)
    assert "linux/amd64" in checked(shown_by(found))


def test_boxes_fill_the_whole_with_areas_as_their_values() -> None:
    values = [6, 6, 4, 3, 2, 2, 1]
    boxes = squarified(values, Box(0, 0, 6, 4))
    assert [round(box.width * box.height, 6) for box in boxes] == values
    # The example of the paper: the first two rows stand beside each other.
    assert (boxes[0].width, boxes[0].height) == (3, 2)
    assert max(max(b.width / b.height, b.height / b.width) for b in boxes) < 3
    for at, one in enumerate(boxes):
        assert 0 <= one.left <= one.left + one.width <= 6.000001
        assert 0 <= one.top <= one.top + one.height <= 4.000001
        for other in boxes[at + 1 :]:
            apart = (
                one.left + one.width <= other.left + 1e-9
                or other.left + other.width <= one.left + 1e-9
                or one.top + one.height <= other.top + 1e-9
                or other.top + other.height <= one.top + 1e-9
            )
            assert apart


def test_boxes_of_extreme_values_do_not_fail() -> None:
    assert squarified([], Box(0, 0, 1, 1)) == []
    boxes = squarified([1 << 62, *([1] * 50)], Box(0, 0, 900, 300))
    assert len(boxes) == 51
    assert all(box.width >= 0 and box.height >= 0 for box in boxes)


def luminance(colour: str) -> float:
    """Give the relative luminance of WCAG 2."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("ground", "ink"), [*FILLS, *SHADES])
def test_what_is_written_on_a_colour_is_read(ground: str, ink: str) -> None:
    assert contrast(ground, ink) >= 4.5


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_the_line_around_a_colour_is_seen_on_a_light_and_on_a_dark_page(page: str) -> None:
    assert contrast("#808080", page) >= 3
