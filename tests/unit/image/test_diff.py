"""What differs between two trees, and where from."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from unionlayers import (
    ClosedError,
    Image,
    NotARegularFileError,
    PathIsADirectoryError,
    PathNotFoundError,
    diff,
    open_image,
)
from unionlayers._image.layer import Layer
from unionlayers.testing import (
    Entry,
    ImageDescription,
    block_device,
    char_device,
    directory,
    docker_archive,
    fifo,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
    write_image,
)

IMAGES = Path(__file__).parents[2] / "images"
CAPABILITY = {"security.capability": bytes.fromhex("0100000200200000000000000000000000000000")}

Layers = Sequence[Sequence[Entry]]


def opened(layers: Layers, **facts: Any) -> Image:
    return open_image(io.BytesIO(docker_archive(ImageDescription(layers, **facts))))


def told(left: Layers, right: Layers, **options: Any) -> list[tuple[Any, ...]]:
    """Give kind, path and fields of every change."""
    with opened(left) as one, opened(right) as other:
        return [
            (change.kind, change.path, *change.fields) for change in diff(one, other, **options)
        ]


CHANGES: dict[str, tuple[Layers, Layers, list[tuple[Any, ...]]]] = {
    "nothing": ([[file("f", b"1")]], [[file("f", b"1")]], []),
    "one tree from other layers": (
        [[directory("d"), file("d/f", b"1"), file("g", b"2")]],
        [[directory("d"), file("d/f", b"1")], [file("g", b"2"), file("x")], [whiteout("x")]],
        [],
    ),
    "a name more and a name less": (
        [[file("f", b"1")]],
        [[file("g", b"1")]],
        [("removed", "/f"), ("added", "/g")],
    ),
    "a directory and all that is in it": (
        [[file("f")]],
        [[file("f"), directory("d"), file("d/a/b")]],
        [("added", "/d"), ("added", "/d/a"), ("added", "/d/a/b")],
    ),
    "content of one size, and of another": (
        [[file("f", b"one"), file("g", b"two")]],
        [[file("f", b"eno"), file("g", b"three")]],
        [("changed", "/f", "content"), ("changed", "/g", "content", "size")],
    ),
    "mode, owner and time": (
        [[file("f", mode=0o644, mtime_ns=1), directory("d", mode=0o755)]],
        [[file("f", mode=0o4644, uid=7, gid=8, mtime_ns=2), directory("d", mode=0o1755)]],
        [("changed", "/d", "mode"), ("changed", "/f", "mode", "uid", "gid", "mtime")],
    ),
    "extended attributes, and file capabilities apart from them": (
        [[file("f", xattrs={"user.a": b"1"}), file("g")]],
        [[file("f", xattrs={"user.a": b"2"}), file("g", xattrs=CAPABILITY)]],
        [("changed", "/f", "xattr"), ("changed", "/g", "capability")],
    ),
    "the text of a link": (
        [[symlink("l", "a")]],
        [[symlink("l", "b")]],
        [("changed", "/l", "link")],
    ),
    "the number of a device, and its kind": (
        [[char_device("c", 1, 3), char_device("e", 1, 3)]],
        [[char_device("c", 1, 5), block_device("e", 1, 3)]],
        [("changed", "/c", "device"), ("changed", "/e", "type")],
    ),
    "another type": (
        [[file("f", b"1", mode=0o600), directory("d"), file("d/x")]],
        [[fifo("f", mode=0o600), symlink("d", "f")]],
        [("changed", "/d", "type", "link"), ("removed", "/d/x"), ("changed", "/f", "type")],
    ),
    "names that share an inode on one side only": (
        [[file("f", b"1"), hardlink("g", "f")]],
        [[file("f", b"1"), file("g", b"1")]],
        [("changed", "/f", "hardlink"), ("changed", "/g", "hardlink")],
    ),
    "a name that an inode loses": (
        [[file("f", b"1"), hardlink("g", "f")]],
        [[file("f", b"1"), hardlink("g", "f")], [whiteout("g")]],
        [("changed", "/f", "hardlink"), ("removed", "/g")],
    ),
    "a shared directory in which a hard link from elsewhere changes a file": (
        [[directory("d"), file("d/f", b"1", mode=0o644)]],
        [
            [directory("d"), file("d/f", b"1", mode=0o644)],
            [hardlink("e", "d/f", mode=0o600)],
        ],
        [("changed", "/d/f", "mode", "hardlink"), ("added", "/e")],
    ),
    "names that are not UTF-8, in byte order": (
        [[file("z")]],
        [[file("z"), file(b"\xff"), file("é"), file("a\nb")]],
        [("added", "/a\nb"), ("added", "/é"), ("added", "/\udcff")],
    ),
    "an opaque directory": (
        [[directory("d"), file("d/f"), file("d/g")]],
        [[directory("d"), file("d/f"), file("d/g")], [directory("d"), opaque("d"), file("d/g")]],
        [("removed", "/d/f")],
    ),
}


@pytest.mark.parametrize(("left", "right", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_each_change_is_told_once_with_its_fields(
    left: Layers, right: Layers, expected: list[tuple[Any, ...]]
) -> None:
    assert told(left, right) == expected


@pytest.mark.parametrize(("left", "right"), [row[:2] for row in CHANGES.values()], ids=CHANGES)
def test_the_other_way_round_it_is_the_same_told_from_the_other_side(
    left: Layers, right: Layers
) -> None:
    swapped = {"added": "removed", "removed": "added", "changed": "changed"}
    forth = told(left, right)
    back = told(right, left)
    assert [(swapped[kind], *rest) for kind, *rest in back] == forth


def test_each_side_says_its_layer_and_step_and_opens() -> None:
    base = [file("f", b"old"), file("gone", b"secret")]
    history = [{"created_by": "COPY base"}, {"created_by": "RUN change"}]
    with (
        opened([base], config={"history": history[:1]}) as one,
        opened([base, [file("f", b"new!"), whiteout("gone")]], config={"history": history}) as two,
    ):
        changed, removed = diff(one, two)
        assert (changed.left.layer, changed.right.layer) == (0, 1)
        assert changed.right.step is not None
        assert changed.right.step.created_by == "RUN change"
        assert changed.left.open().read() == b"old"
        assert changed.right.open().read() == b"new!"
        assert changed.right.digest == two.layers[1].digest
        assert removed.right.type == "absent"
        assert not removed.right.present
        assert removed.right.cause is not None
        assert (removed.right.layer, removed.right.entry) == (1, 1)
        assert (removed.right.cause.reason, removed.right.cause.path) == ("whiteout", "/gone")
        assert removed.right.step == changed.right.step
        with pytest.raises(PathNotFoundError):
            removed.right.open()
        assert removed.left.open().read() == b"secret"


@pytest.mark.parametrize(
    ("upper", "reason", "path", "entry"),
    [
        ([whiteout("d")], "whiteout", "/d", 0),
        ([file("x"), char_device("d", 0, 0)], "whiteout", "/d", 1),
        ([directory("d"), opaque("d")], "opaque", "/d", 1),
        ([file("d")], "type change", "/d", 0),
    ],
    ids=["whiteout", "device", "opaque", "type change"],
)
def test_what_is_gone_names_what_took_it_away(
    upper: list[Entry], reason: str, path: str, entry: int
) -> None:
    base = [directory("d"), file("d/f", b"1")]
    with opened([base, upper]) as image:
        changes = {change.path: change for change in diff((image, [0]), image)}
    side = changes["/d/f"].right
    assert side.cause is not None
    assert (side.cause.reason, side.cause.path, side.layer, side.entry) == (reason, path, 1, entry)


def test_what_a_side_never_had_names_no_layer_even_where_a_whiteout_stands() -> None:
    with (
        opened([[file("a")], [whiteout("never")]]) as one,
        opened([[file("a"), file("never")]]) as b,
    ):
        (change,) = diff(one, b)
        assert change.kind == "added"
        assert (change.left.layer, change.left.cause) == (None, None)


def test_a_layer_a_view_and_a_choice_of_layers_are_compared_as_images_are() -> None:
    with opened([[file("a")], [file("b")], [file("c")]]) as image:
        below = image.fs(slice(2))
        assert [change.path for change in diff(image.layers[1], image.layers[2])] == ["/b", "/c"]
        for side in (below, (image, slice(2)), (image, [1, 0]), (image, lambda x: x.index < 2)):
            assert [(c.kind, c.path, c.right.layer) for c in diff(side, image)] == [
                ("added", "/c", 2)
            ]
        assert isinstance(image.layers[0], Layer)
        assert not diff(below, (image, slice(2)))
    with opened([[file("a")], [whiteout("a")]]) as image:
        assert [(c.kind, c.path) for c in diff(image.hidden().fs, image)] == [
            ("removed", "/0"),
            ("removed", "/0/a"),
        ]


@pytest.mark.parametrize("wrong", [None, "image.tar", 3, ("image.tar", None)])
def test_anything_else_is_refused_with_what_can_be_compared(wrong: Any) -> None:
    with opened([[file("a")]]) as image, pytest.raises(TypeError, match="UnionFS"):
        diff(image, wrong)


def test_what_a_pattern_matches_is_left_out_with_all_beneath_and_others_are_told() -> None:
    left: Layers = [[file("etc/a", b"1"), directory("var"), file("var/cache/x/y", b"1")]]
    right: Layers = [[file("etc/a", b"2"), directory("var", mode=0o700), file("var/log/z")]]
    patterns = ["var/cache", "**/z", "nothing/*"]
    assert told(left, right, ignore=patterns) == [
        ("changed", "/etc/a", "content"),
        ("changed", "/var", "mode"),
        ("added", "/var/log"),
    ]
    assert told(left, right, ignore=["/"]) == []
    with opened(left) as one, opened(right) as other:
        changes = diff(one, other, ignore=patterns)
        assert changes.unused_ignores == ("nothing/*",)
        assert "nothing/*" in changes.to_table()
        assert json.loads(changes.to_json())["unused_ignores"] == ["nothing/*"]


def test_a_pattern_that_matches_only_what_is_the_same_is_no_misspelt_one() -> None:
    with opened([[file("a/b"), file("c")]]) as one, opened([[file("a/b"), file("d")]]) as other:
        assert diff(one, other, ignore=["a/*", "[c]", "**/b"]).unused_ignores == ()
        assert diff(one, one, ignore=["x", "/"]).unused_ignores == ("x",)


def test_fields_that_are_ignored_do_not_count_and_are_not_compared() -> None:
    left: Layers = [[file("f", b"one", mtime_ns=1), file("g", mtime_ns=1)]]
    right: Layers = [[file("f", b"two", mtime_ns=2), file("g", mtime_ns=2)]]
    assert told(left, right, ignore_fields=["mtime"]) == [("changed", "/f", "content")]
    assert told(left, right, ignore_fields=["mtime", "content"]) == []
    with pytest.raises(ValueError, match="mtime"):
        told(left, right, ignore_fields=["time"])
    with pytest.raises(TypeError):
        told(left, right, ignore_fields="mtime")
    with pytest.raises(TypeError):
        told(left, right, ignore="f")


def test_images_of_two_platforms_are_compared_and_it_is_said() -> None:
    arm = {"os": "linux", "architecture": "arm64"}
    with opened([[file("f")]]) as one, opened([[file("f")]], config=arm) as other:
        changes = diff(one, other)
        assert not changes
        assert len(changes.notes) == 1
        assert "linux/arm64" in changes.notes[0]
        assert "linux/arm64" in changes.to_table()
        assert diff(one, one).notes == ()


def test_different_profiles_are_said() -> None:
    with opened([[file("f")]]) as image:
        changes = diff(image.fs(), image.fs(profile="overlay"))
        assert changes.notes == ("the sides are read by different profiles",)


def test_changes_are_found_as_they_are_asked_for_and_kept() -> None:
    with opened([[file("a")]]) as one, opened([[file("b"), file("c")]]) as other:
        changes = diff(one, other)
        first = next(iter(changes))
        assert changes
        assert next(iter(changes)) is first
        assert len(changes) == 3
    # What was found stays, what was not asks for the images.
    assert len(list(changes)) == 3
    with opened([[file("a")]]) as one, opened([[file("b")]]) as other:
        late = diff(one, other)
    with pytest.raises(ClosedError):
        list(late)
    with pytest.raises(ClosedError):
        diff(one, other)


ODD = [
    [file("new\nline", b"1"), file("<script>alert(1)</script>", b"1"), file("a|b*c", b"1")],
    [symlink("l", "\x1b[31m<b>")],
]


def test_names_are_escaped_in_text_and_in_markup() -> None:
    with opened([[file("x")]]) as one, opened([[file("x")], *ODD]) as other:
        changes = diff(one, other)
        table, markdown, page = changes.to_table(), changes.to_markdown(), changes.to_html()
    assert "/new\\x0aline" in table
    assert "\x1b" not in table + markdown + page
    assert "<script>" not in markdown + page
    assert "&lt;script&gt;" in page
    assert "a\\|b\\*c" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| added")]
    assert len(rows) == 5
    assert all(len(line.replace("\\|", "").split("|")) == 6 for line in rows)


def test_names_of_images_are_escaped_in_text_and_in_markup(tmp_path: Path) -> None:
    name = "x\x1bcPWNED\x07:1"
    path = write_image(
        tmp_path / "a.tar", ImageDescription([[file("x")], [file("y")]], tags=[name])
    )
    with open_image(path) as image:
        changes = diff(image.fs(layers=[0]), image)
        made = changes.to_table(), changes.to_markdown(), changes.to_html()
    for text in made:
        assert "PWNED" in text
        assert "\x1b" not in text
        assert "\x07" not in text


class Tags(HTMLParser):
    """Counts the tags of a page, and what they load."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.opened.append(tag)
        self.attributes.update(name for name, _ in attrs)


def test_the_page_loads_nothing_and_is_bounded() -> None:
    many = [file(f"f{number}") for number in range(30)]
    with opened([[file("x")]]) as one, opened([[file("x")], many, *ODD]) as other:
        changes = diff(one, other)
        page = changes.to_html(limit=10)
        assert changes.to_table(limit=2).splitlines()[-1] == (
            "35 added, 0 removed, 0 changed; 33 of them are not shown"
        )
    tags = Tags()
    tags.feed(page)
    assert tags.opened.count("tr") == 11
    assert not {"script", "img", "link", "iframe", "a"} & set(tags.opened)
    assert tags.attributes <= {"class", "charset", "lang"}
    assert "25 of them are not shown" in page


def test_json_has_every_fact_of_both_sides() -> None:
    left = [[file("f", b"1", uid=3, mtime_ns=1_500_000_000)]]
    right = [[file("f", b"22", mode=0o4755, xattrs={"user.a": b"\xff"}), file(b"\xff")]]
    with opened(left) as one, opened(right) as other:
        document = json.loads(diff(one, other).to_json())
        assert json.loads(diff(one, other).to_json(indent=2)) == document
    changed, added = document["changes"]
    assert changed["fields"] == ["content", "size", "mode", "uid", "mtime", "xattr"]
    assert changed["left"]["mtime_ns"] == 1_500_000_000
    assert (changed["right"]["mode"], changed["right"]["xattrs"]) == ("4755", {"user.a": "/w=="})
    assert added["path"] == "/\udcff"
    assert added["left"]["type"] == "absent"


def test_many_names_of_an_inode_stand_in_json_once_for_each_side() -> None:
    links = [hardlink(f"n{n:02}", "a") for n in range(16)]
    with opened([[file("a", b"1"), *links]]) as one, opened([[file("a", b"2"), *links]]) as other:
        changes = list(diff(one, other))
        document = json.loads(diff(one, other).to_json())
        page = diff(one, other).to_table()
        fewer = json.loads(diff((one, [0]), other, ignore=["n15"]).to_json())
    names = ["/a", *(f"/n{n:02}" for n in range(16))]
    assert [list(change.left.names) for change in changes] == [names] * 17
    first, *others = document["changes"]
    for side in ("left", "right"):
        assert first[side]["names"] == names
        assert "names_at" not in first[side]
        assert {(change[side]["names"], change[side]["names_at"]) for change in others} == {
            (None, "/a")
        }
    assert len(page.splitlines()) == 20
    assert fewer["changes"][0]["left"]["names"] == names


def test_few_names_of_an_inode_stand_in_json_at_each() -> None:
    links = [hardlink(f"n{n:02}", "a") for n in range(15)]
    with opened([[file("a", b"1"), *links]]) as one, opened([links[:0]]) as other:
        document = json.loads(diff(one, other).to_json())
    assert len(document["changes"]) == 16
    assert {len(change["left"]["names"]) for change in document["changes"]} == {16}


def test_the_table_tells_three_of_the_other_names_and_how_many_more_there_are() -> None:
    left = [file("a", b"1"), *(hardlink(name, "a") for name in "bcdef")]
    with opened([left]) as one, opened([left, [whiteout("b"), whiteout("c")]]) as other:
        table = diff(one, other).to_table().splitlines()
    told = [line.partition(";")[0] for line in table]
    assert "~ /a  hardlink /b, /c, /d and 2 more → /d, /e, /f" in told
    assert "~ /f  hardlink /a, /b, /c and 2 more → /a, /d, /e" in told


# -- text ---------------------------------------------------------------------------------------


@pytest.fixture
def texts() -> Iterator[Any]:
    lines = "".join(f"line {number}\n" for number in range(1, 41))
    changed = lines.replace("line 3\n", "").replace("line 30\n", "LINE 30\nmore\n") + "tail"
    left = [
        file("etc/f", lines.encode()),
        file("same", b"1"),
        file("bin", b"a\0b"),
        file("big", b"x" * 5000),
        file("only", b"was\n"),
        directory("d"),
        fifo("p"),
        symlink("l", "etc/f"),
        file("cr", b"a\rb\n\xff\n"),
    ]
    right = [
        file("etc/f", changed.encode()),
        file("same", b"1"),
        file("bin", b"a\0c"),
        file("big", b"y" * 5001),
        directory("d"),
        fifo("p"),
        symlink("l", "/etc/f"),
        file("cr", b"a\rc\n\xfe\n"),
    ]
    with opened([left]) as one, opened([right]) as other:
        yield diff(one, other)


def test_the_unified_diff_is_what_diff_says(texts: Any) -> None:
    text = texts.text_diff("/etc/f")
    # GNU diff 3.8 --label a/etc/f --label b/etc/f -u
    assert text.splitlines() == [
        "--- a/etc/f",
        "+++ b/etc/f",
        "@@ -1,6 +1,5 @@",
        " line 1",
        " line 2",
        "-line 3",
        " line 4",
        " line 5",
        " line 6",
        "@@ -27,7 +26,8 @@",
        " line 27",
        " line 28",
        " line 29",
        "-line 30",
        "+LINE 30",
        "+more",
        " line 31",
        " line 32",
        " line 33",
        "@@ -38,3 +38,4 @@",
        " line 38",
        " line 39",
        " line 40",
        "+tail",
        "\\ No newline at end of file",
    ]
    assert texts.text_diff("etc/f") == text
    assert texts.text_diff("/l").splitlines()[2:] == text.splitlines()[2:]
    assert texts.text_diff("/etc/f", context=0).splitlines()[2:4] == ["@@ -3 +2,0 @@", "-line 3"]


def test_what_has_no_lines_is_said_instead_of_shown(texts: Any) -> None:
    assert texts.text_diff("/same") == ""
    assert texts.text_diff("/bin") == "Binary files a/bin and b/bin differ: 3 and 3 bytes\n"
    assert texts.text_diff("/big", limit=1000).startswith("Files a/big and b/big differ: 5000 and")
    assert texts.text_diff("/only") == "--- a/only\n+++ /dev/null\n@@ -1 +0,0 @@\n-was\n"
    assert texts.text_diff("/cr") == (
        "--- a/cr\n+++ b/cr\n@@ -1,2 +1,2 @@\n-a\rb\n-\\xff\n+a\rc\n+\\xfe\n"
    )


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/nothing", PathNotFoundError),
        ("/d", PathIsADirectoryError),
        ("/p", NotARegularFileError),
        ("/same/below", PathNotFoundError),
    ],
)
def test_what_is_no_file_has_no_text(texts: Any, path: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        texts.text_diff(path)


def test_two_files_without_a_common_line_are_one_replacement() -> None:
    one = b"".join(b"%d\n" % number for number in range(40_000))
    other = b"".join(b"-%d\n" % number for number in range(40_000))
    with opened([[file("f", one)]]) as left, opened([[file("f", other)]]) as right:
        text = diff(left, right).text_diff("/f")
    assert text.startswith("--- a/f\n+++ b/f\n@@ -1,40000 +1,40000 @@\n-0\n")


# -- a real image -------------------------------------------------------------------------------


def test_two_saves_of_one_real_image_do_not_differ() -> None:
    with (
        open_image(IMAGES / "many-layers.docker-save.tar") as one,
        open_image(IMAGES / "many-layers.oci-gzip.tar") as other,
    ):
        assert list(diff(one, other)) == []
