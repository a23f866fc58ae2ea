"""`Image.agreement`: the paths on which profiles differ, what each answers, and why."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from unionlayers import (
    Agreement,
    BlobNotFoundError,
    ClosedError,
    Image,
    LayerError,
    Profile,
    TarError,
    open_image,
)
from unionlayers._layers.directory import Directory
from unionlayers.testing import (
    Entry,
    ImageDescription,
    block_device,
    char_device,
    directory,
    docker_archive,
    entry,
    file,
    hardlink,
    opaque,
    raw,
    symlink,
    whiteout,
    write_image,
)

IMAGES = Path(__file__).parents[1] / "images"
DEMO = Path(__file__).parents[2] / "examples" / "demo-image"

f, d, ln, hl, wh, op = file, directory, symlink, hardlink, whiteout, opaque
OLD = [d("d"), f("d/old", "o")]
USR = [d("usr"), d("usr/lib"), f("usr/lib/x", "x"), ln("lib", "usr/lib")]

Layers = Sequence[Sequence[Entry]]


def opened(layers: Layers, **options: Any) -> Image:
    return open_image(io.BytesIO(docker_archive(ImageDescription(layers))), **options)


def words(agreement: Agreement) -> list[str]:
    """Spell each disagreement: path, what differs, cases, then oci, overlay and sequential."""
    spelled = []
    for item in agreement:
        answers = " ".join(answer.type for answer in item.answers.values())
        spelled.append(f"{item.path} {'+'.join(item.fields)} {'+'.join(item.cases)}: {answers}")
    return spelled


@frozen
class Row:
    """One case: the layers, and what is spelled of the disagreements."""

    case: str
    layers: Layers
    expected: list[str]


ROWS = [
    Row("A5", [OLD, [wh("d"), d("d"), f("d/new")]], ["/d/old type A5: absent file absent"]),
    Row("A6", [OLD, [wh("d"), f("d/new")]], ["/d/new type A6: file error file"]),
    Row("A7", [[f("a", "1")], [f("a", "2"), wh("a")]], ["/a type A7: file error absent"]),
    Row("A8", [OLD, [d("d"), f("d/n"), wh("d")]], ["/d type A8: directory error error"]),
    Row("A9", [OLD, [wh("d"), wh("d/old")]], ["/d type A9: absent absent directory"]),
    Row(
        "A14",
        [[f(".wh..wh.plnk/1.2", "x"), hl("a", ".wh..wh.plnk/1.2")]],
        [
            "/.wh..wh.plnk type A14: absent directory directory",
            "/.wh..wh.plnk/1.2 type A14: absent file file",
            "/a hardlink A14: file file file",
        ],
    ),
    Row(
        "A16",
        [USR, [wh("lib/x")]],
        [
            "/lib type A16: directory directory symlink",
            "/usr/lib/x type A16: file file absent",
        ],
    ),
    Row(
        "B3",
        [[d("a"), f("a/z")], [f("a/b/c/foo", "n"), op("a")]],
        [
            "/a/b type B3: directory directory absent",
            "/a/b/c type B3: directory directory absent",
            "/a/b/c/foo type B3: file file absent",
        ],
    ),
    Row("B5", [[f("a")], [op(""), f("b")]], ["/a type B5: absent file absent"]),
    Row(
        "B8",
        [USR, [op("lib")]],
        [
            "/lib type B8: directory directory symlink",
            "/usr/lib/x type B8: file file absent",
        ],
    ),
    Row("C5", [[f("d", "1")], [f("d/x", "2")]], ["/d/x type C5: file file error"]),
    Row(
        "D1",
        [USR, [f("lib/y", "y")]],
        [
            "/lib type D1: directory directory symlink",
            "/lib/y type D1: file file absent",
            "/usr/lib/y type D1: absent absent file",
        ],
    ),
    Row(
        "E3",
        [[f("a", "1")], [hl("b", "a")]],
        ["/a hardlink E3: file file file", "/b type E3: file error file"],
    ),
    Row("E5", [[f("a", "1")], [hl("b", "a"), f("a", "2")]], ["/b type E5: file error file"]),
    Row("H5", [[d("", mode=0o700), f("a")]], ["/ mode H5: directory directory directory"]),
    Row(
        "H5 in the time alone",
        [[d("", mtime=5), f("a")]],
        ["/ mtime H5: directory directory directory"],
    ),
    Row(
        "I2",
        [[f("n")], [char_device("n", 0, 0)]],
        ["/n type I2: absent absent character device"],
    ),
    Row("I4", [[entry("a", b"7", b"x")]], ["/a type I4: file error error"]),
    Row(
        "what is below a directory that only some show is listed too",
        [[*OLD, d("d/s"), f("d/s/t")], [wh("d"), d("d")]],
        [
            "/d/old type A5: absent file absent",
            "/d/s type A5: absent directory absent",
            "/d/s/t type A5: absent file absent",
        ],
    ),
    Row(
        "another name of an inode that lost one counts one less",
        [[d("k"), f("k/x", "1"), d("d"), hl("d/old", "k/x")], [wh("d"), d("d")]],
        ["/d/old type A5: absent file absent", "/k/x hardlink A5: file file file"],
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.case for row in ROWS])
def test_presets_that_differ_are_told_with_path_answers_and_case(row: Row) -> None:
    with opened(row.layers) as image:
        agreement = image.agreement()
    assert words(agreement) == row.expected
    assert not agreement.complete
    assert len(agreement) == len(row.expected) == len(agreement.paths)
    case = row.case.split()[0]
    assert len(case) > 3 or case in agreement.cases
    for item in agreement:
        assert item.findings, item.path
        assert set(item.answers) == {"oci", "overlay", "sequential"}


AGREED = [
    ("a whiteout", [OLD, [wh("d/old")]]),
    ("an opaque directory", [OLD, [op("d"), f("d/new")]]),
    ("a file over a directory", [OLD, [f("d", "1")]]),
    ("a hard link in its layer", [[f("a", "1"), hl("b", "a")], [wh("a")]]),
    ("devices", [[block_device("a", 8, 0)], [char_device("b", 1, 3)]]),
    ("a link that the layer itself follows", [[d("usr"), ln("lib", "usr"), f("lib/y")]]),
    ("a layer that nobody can apply", [[f("a"), f("a/b")]]),
    ("no layers", []),
]


@pytest.mark.parametrize("layers", [row[1] for row in AGREED], ids=[row[0] for row in AGREED])
def test_presets_agree(layers: Layers) -> None:
    with opened(layers) as image:
        agreement = image.agreement()
    assert words(agreement) == []
    assert agreement.complete
    assert agreement.cases == ()


@pytest.mark.parametrize(
    "name",
    [
        "tiny.skopeo-docker-archive.tar",
        "many-layers.docker-save.tar",
        "many-layers.oci-gzip.tar",
        "dup-layers.docker-save.tar",
    ],
)
def test_real_images_are_shown_alike_by_all(name: str) -> None:
    with open_image(IMAGES / name) as image:
        assert words(image.agreement()) == []


def test_the_demo_image_has_a_root_whose_time_a_container_does_not_take() -> None:
    with open_image(DEMO / "ledger.oci.tar") as image:
        assert words(image.agreement()) == ["/ mtime H5: directory directory directory"]


def test_the_answer_has_what_stat_has() -> None:
    with opened([[*OLD], [wh("d"), d("d"), f("d/n", "new", mode=0o4755, uid=3, mtime_ns=5)]]) as i:
        (item,) = i.agreement()
        told = item.answers["overlay"]
        view = i.fs(profile="overlay")
        stat: Any = view.stat("/d/old")
    assert (told.type, told.layer, told.size, told.links, told.shown) == ("file", 0, 1, 1, True)
    assert (told.mode, told.uid, told.gid, told.mtime_ns) == (
        stat.st_mode & 0o7777, stat.st_uid, stat.st_gid, stat.st_mtime_ns,
    )  # fmt: skip
    assert not item.answers["oci"].shown


def test_bytes_that_differ_are_told_though_all_metadata_is_the_same() -> None:
    # The link of the oci profile is that to the file beneath; the two files differ in a byte.
    layers = [[f("a", "1", mode=0o600)], [f("a", "2", mode=0o600), wh("a")]]
    keep = {"keep": Profile(), "delete": Profile(whiteout_after_entry="delete")}
    with opened([*layers, [f("x")]]) as image:
        assert [item.fields for item in image.agreement(keep)] == [("type",)]
    twice = [[f("a", "1"), f("a", "2")]]
    with opened(twice) as image:
        both = {"last": Profile(), "error": Profile(duplicates="error")}
        (item,) = image.agreement(both)
        assert item.cases == ("F1",)
        assert isinstance(item.answers["error"].error, LayerError)
    plink = [f(".wh..wh.plnk/1", "A"), hl("a", ".wh..wh.plnk/1", mode=0o644)]
    merged = [[d("d"), f("d/x", "1")], [wh("d"), d("d"), *plink], [d("d"), hl("y", "d/x")]]
    with opened(merged, on_invalid="warn") as image:
        assert "/y" in image.agreement(("oci", "overlay")).paths


def test_content_that_differs_is_a_field_of_its_own() -> None:
    layers = [
        [d("d"), f("d/x", "1"), d("real"), f("real/x", "2"), ln("lib", "real")],
        [wh("lib/x"), f("y")],
    ]
    follow = Profile(symlinked_parent="follow", hardlink_to_lower="bind")
    stays = [[d("r"), ln("l", "r"), f("r/x", "1"), f("q", "1")], [f("l/x", "2")]]
    with opened(stays) as image:
        found = {item.path: item.fields for item in image.agreement({"a": Profile(), "b": follow})}
        assert found["/r/x"] == ("content",)
    with opened(layers, on_invalid="warn") as image:
        assert "/real/x" in image.agreement({"a": Profile(), "b": follow}).paths
    # A hard link to a lower layer makes the whole image one for those who follow.
    with opened([*stays, [hl("y", "r/x")]]) as image:
        assert not image.agreement({"a": Profile(), "b": follow}).paths
    with opened([*layers[:1], [wh("lib/x"), hl("y", "real/x")]], on_invalid="warn") as image:
        assert not image.agreement({"a": Profile(), "b": follow}).paths


@pytest.mark.parametrize(
    ("switch", "layers", "expected"),
    [
        (
            {"implied_dir_meta": "reset"},
            [[d("t", mode=0o1777), d("u"), d("u/v", mode=0o700)], [f("t/x"), f("u/v/x")]],
            [("/t", ("mode",), ("H2",)), ("/u/v", ("mode",), ("H2",))],
        ),
        (
            {"mtime_range": "raw"},
            [[d("k"), f("k/a", mtime=-5)]],
            [("/k/a", ("mtime",), ("H7",))],
        ),
        (
            {"hardlink_meta": "keep"},
            [[f("a", "1", mode=0o600), hl("b", "a", mode=0o4755)]],
            [("/a", ("mode",), ("E7",)), ("/b", ("mode",), ("E7",))],
        ),
        (
            {"hardlink_meta": "keep"},
            [[d("k"), f("k/a", "1", mode=0o600)], [hl("b", "k/a", mode=0o4755)]],
            [("/b", ("mode",), ("E7",)), ("/k/a", ("mode",), ("E7",))],
        ),
        (
            {"overlay_xattrs": "honour"},
            [OLD, [d("d", xattrs={"trusted.overlay.opaque": b"y"})]],
            [("/d/old", ("type",), ("I3",))],
        ),
        ({"windows": "files"}, [[f("Files/a")]], None),
    ],
    ids=["H2", "H7", "E7", "E7 from above", "I3", "N"],
)
def test_profiles_of_ones_own_are_compared(
    switch: Any, layers: Layers, expected: list[tuple[Any, ...]] | None
) -> None:
    with opened(layers) as image:
        agreement = image.agreement({"spec": "oci", "mine": Profile(**switch)})
    found = [(item.path, item.fields, item.cases) for item in agreement]
    assert agreement.profiles == ("spec", "mine")
    if expected is None:
        assert agreement.paths == ("/Files", "/Files/a", "/a")
    else:
        assert found == expected


def test_some_layers_are_compared_alone() -> None:
    with opened([[f("a")], [op("")], [f("b")]]) as image:
        assert image.agreement().paths == ("/a",)
        assert image.agreement(layers=slice(1, None)).complete


def test_a_refusal_is_told_also_where_a_layer_above_shows_something_else() -> None:
    layers = [[f("a", "1")], [f("z"), hl("b", "a")], [f("b", "2")]]
    with opened(layers) as image:
        agreement = image.agreement()
        told = [line for line in words(agreement) if line.startswith("/b ")]
        assert told == ["/b type E3: file error file"]
    with opened([*layers[:2], [wh("b")]]) as image:
        assert "/b type E3: absent error absent" in words(image.agreement())
    # What all refuse for one reason is no disagreement.
    with opened([[f("a", "1")], [hl("b", "none")], [f("b", "2")]]) as image:
        assert words(image.agreement()) == []
    with opened([[f("a", "1")], [hl("b", "none")], [f("b", "2")]], on_invalid="warn") as image:
        assert words(image.agreement()) == []


def test_what_refuses_the_stack_is_an_answer_and_the_others_are_compared() -> None:
    layers = [[d("d"), f("d/x"), f("e", "1")], [f("e/y"), wh("d"), d("d")]]
    with opened(layers) as image:
        agreement = image.agreement()
    assert words(agreement) == [
        "/d/x type A5: absent file error",
        "/e/y type C5: file file error",
    ]
    (error,) = agreement.refused.values()
    assert (list(agreement.refused), error.case) == (["sequential"], "C5")


def test_the_same_finding_does_not_explain_what_it_cannot_decide() -> None:
    layers = [[*OLD, d("d/s")], [wh("d"), d("d"), f("d/n", "1"), f("d/n", "2")]]
    with opened(layers) as image:
        (old, inner) = image.agreement()
        assert (old.path, inner.path) == ("/d/old", "/d/s")
        assert {finding.code for finding in old.findings} == {"WHITEOUT_THEN_DIR"}
        assert "DUPLICATE" in {finding.code for finding in image.findings}


def test_layers_that_cannot_be_read_raise() -> None:
    with opened([[raw(b"\1" * 512)]]) as image, pytest.raises(TarError):
        image.agreement()


def test_one_profile_is_no_agreement_and_unknown_ones_are_refused() -> None:
    with opened([[f("a")]]) as image:
        for profiles in (("oci",), ("oci", "oci"), {"x": Profile()}):
            with pytest.raises(ValueError, match="two profiles"):
                image.agreement(profiles)
        with pytest.raises(ValueError, match="nobody"):
            image.agreement(("oci", "nobody"))
    with pytest.raises(ClosedError):
        image.agreement()


def test_an_agreement_is_a_value() -> None:
    with opened(ROWS[1].layers) as image:
        agreement = image.agreement()
        assert agreement == image.agreement()
        assert pickle.loads(pickle.dumps(agreement)) == agreement
        assert hash(agreement) == hash(image.agreement())


def test_only_what_is_read_differently_is_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    base: list[Entry] = [*OLD]
    for folder in range(50):
        base.append(d(f"f{folder}"))
        base.extend(f(f"f{folder}/s{number}/x") for number in range(20))
    listed: list[str] = []
    nodes = Directory.nodes

    def counted(directory: Directory) -> Any:
        listed.append(directory.node().path)
        return nodes(directory)

    monkeypatch.setattr(Directory, "nodes", counted)
    with opened([base, [f("f1/s1/y")]]) as image:
        assert image.agreement().complete
        assert listed == []
    with opened([base, [wh("d"), d("d"), f("f1/s1/y")], [wh("f2/s2/x")]]) as image:
        assert image.agreement().paths == ("/d/old",)
    assert set(listed) <= {"/", "/d", "/f1", "/f1/s1"}


def test_a_missing_layer_raises_and_may_be_skipped(tmp_path: Path) -> None:
    write_image(tmp_path / "layout", ImageDescription([[f("a")], [op("")]]), form="oci-layout")
    with open_image(tmp_path / "layout") as image:
        digest = image.layers[0].digest
        assert digest is not None
    (tmp_path / "layout" / "blobs" / "sha256" / digest.partition(":")[2]).unlink()
    with open_image(tmp_path / "layout") as image, pytest.raises(BlobNotFoundError):
        image.agreement()
    with open_image(tmp_path / "layout", missing="skip") as image:
        assert image.agreement().complete
