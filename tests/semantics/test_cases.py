"""
The conformance table: layers in, visible tree out, one row for each case and profile.

The expectations are written by hand from the evidence on what container runtimes do; nothing here
is produced by the code it tests.  A tree is written as one word for each path: ``d/`` a directory,
``a=text`` a file and its content, ``l->target`` a symbolic link, ``p|`` a FIFO, ``n#1:3`` a
device.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Sequence
from typing import Any

import pytest
from attrs import field, frozen

from unionlayers import (
    Image,
    LayerError,
    NotARegularFileError,
    UnionFS,
    UnionLayersError,
    WhiteoutError,
    open_image,
)
from unionlayers.testing import (
    Entry,
    ImageDescription,
    block_device,
    char_device,
    directory,
    docker_archive,
    entry,
    fifo,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
)

KINDS = ("file", "directory", "symlink", "device", "fifo")

Layers = Sequence[Sequence[Entry]]


def opened(layers: Layers, profile: str, on_invalid: Any = "error") -> Image:
    archive = docker_archive(ImageDescription(layers))
    return open_image(io.BytesIO(archive), profile=profile, on_invalid=on_invalid)


def shown(view: UnionFS) -> list[str]:
    words = []
    for path, info in view.find(None, types=KINDS, namespaces=("stat",)):
        name = path[1:]
        facts: Any = info.raw["stat"]
        kind = stat.S_IFMT(facts["st_mode"])
        if kind == stat.S_IFDIR:
            words.append(f"{name}/")
        elif kind == stat.S_IFLNK:
            words.append(f"{name}->{info.raw['link']['target']}")
        elif kind == stat.S_IFIFO:
            words.append(f"{name}|")
        elif kind == stat.S_IFREG:
            words.append(f"{name}={view.readbytes(path).decode()}")
        else:
            rdev = facts["st_rdev"]
            words.append(f"{name}#{rdev >> 8 & 0xFFF}:{rdev & 0xFF}")
    return sorted(words)


@frozen
class Row:
    """One case: what it says, the layers, and the tree (or error) under the named profiles."""

    case: str
    fact: str
    layers: Layers
    tree: str | type[Exception]
    profiles: str = field(default="oci overlay sequential", kw_only=True)
    warned: str | None = field(default=None, kw_only=True)
    finding: str | None = field(default=None, kw_only=True)
    bug: str | None = field(default=None, kw_only=True)


f, d, ln, hl, wh, op = file, directory, symlink, hardlink, whiteout, opaque
OLD = [d("d"), f("d/old", "o")]
USR = [d("usr"), d("usr/lib"), f("usr/lib/x", "x"), ln("lib", "usr/lib")]

ROWS = [
    Row("A1", "a whiteout removes a file", [[f("a", "1"), f("b", "2")], [wh("a")]], "b=2"),
    Row("A1", "a whiteout removes a directory and all in it", [[*OLD, f("b")], [wh("d")]], "b="),
    Row("A2", "a whiteout of nothing is nothing", [[f("b")], [wh("a")]], "b="),
    Row(
        "A3",
        "a whiteout below missing parents creates them, and no name in them",
        [[f("b")], [wh("no/such/x")]],
        "b= no/ no/such/",
    ),
    Row("A4", "a file after its whiteout is visible", [[f("a", "1")], [wh("a"), f("a", "2")]],
        "a=2"),
    Row(
        "A5",
        "a directory after its whiteout starts empty",
        [OLD, [wh("d"), d("d"), f("d/new", "n")]],
        "d/ d/new=n",
        profiles="oci sequential",
        finding="WHITEOUT_THEN_DIR",
    ),
    Row(
        "A5",
        "overlayfs lets the lower children come back",
        [OLD, [wh("d"), d("d"), f("d/new", "n")]],
        "d/ d/new=n d/old=o",
        profiles="overlay",
        finding="WHITEOUT_THEN_DIR",
    ),
    Row(
        "A6",
        "an implied directory after its whiteout starts empty",
        [OLD, [wh("d"), f("d/new", "n")]],
        "d/ d/new=n",
        profiles="oci sequential",
    ),
    Row(
        "A6",
        "overlayfs cannot apply an implied directory after its whiteout",
        [OLD, [wh("d"), f("d/new", "n")]],
        LayerError,
        profiles="overlay",
        warned="d/ d/new=n",
    ),
    Row("A7", "a file before its whiteout stays", [[f("a", "1")], [f("a", "2"), wh("a")]], "a=2",
        profiles="oci"),
    Row(
        "A7",
        "overlayfs cannot apply a whiteout after the file",
        [[f("a", "1")], [f("a", "2"), wh("a")]],
        LayerError,
        profiles="overlay",
        warned="a=2",
    ),
    Row(
        "A7",
        "a sequential runtime deletes the new file",
        [[f("a", "1"), f("b")], [f("a", "2"), wh("a")]],
        "b=",
        profiles="sequential",
    ),
    Row(
        "A8",
        "a directory before its whiteout keeps what is new",
        [OLD, [d("d"), f("d/new", "n"), wh("d")]],
        "d/ d/new=n",
        profiles="oci",
    ),
    Row(
        "A8",
        "overlayfs cannot apply a whiteout after the directory",
        [OLD, [d("d"), f("d/new", "n"), wh("d")]],
        LayerError,
        profiles="overlay",
        warned="d/ d/new=n",
    ),
    Row(
        "A9",
        "a whiteout below a whited-out directory creates nothing",
        [[*OLD, f("b")], [wh("d"), wh("d/old")]],
        "b=",
        profiles="oci overlay",
    ),
    Row(
        "A9",
        "a sequential runtime leaves the empty directory",
        [[*OLD, f("b")], [wh("d"), wh("d/old")]],
        "b= d/",
        profiles="sequential",
    ),
    Row("A10", "a whiteout of the empty name is refused", [[f("a")], [f(".wh.")]], WhiteoutError,
        warned="a="),
    Row("A11", "a whiteout of . is refused", [OLD, [f("d/.wh..")]], WhiteoutError,
        warned="d/ d/old=o"),
    Row("A11", "a whiteout of .. is refused", [OLD, [f("d/.wh...")]], WhiteoutError,
        warned="d/ d/old=o"),
    Row("A12", "a directory named as a whiteout is one", [[f("a"), f("b")], [d(".wh.a")]], "b=",
        finding="WHITEOUT_NOT_EMPTY"),
    Row("A12", "a symlink named as a whiteout is one", [[f("a"), f("b")], [ln(".wh.a", "b")]],
        "b="),
    Row("A12", "a whiteout with content is one", [[f("a"), f("b")], [f(".wh.a", "text")]], "b="),
    Row(
        "A13",
        "a directory that begins with the prefix and holds a file is shown",
        [[f("q", "1")], [f(".wh.q/inner", "i")]],
        ".wh.q/ .wh.q/inner=i q=1",
    ),
    Row(
        "A14",
        "aufs metadata at the root is hidden, and serves hard links",
        [[f("b")], [f(".wh..wh.aufs"), d(".wh..wh.orph"), d(".wh..wh.plnk"),
                    f(".wh..wh.plnk/1.2", "p"), hl("name", ".wh..wh.plnk/1.2")]],
        "b= name=p",
        profiles="oci",
    ),
    Row(
        "A14",
        "overlayfs shows what is in the directory of pseudo-links",
        [[f("b")], [f(".wh..wh.aufs"), f(".wh..wh.plnk/1.2", "p"),
                    hl("name", ".wh..wh.plnk/1.2")]],
        ".wh..wh.plnk/ .wh..wh.plnk/1.2=p b= name=p",
        profiles="overlay sequential",
    ),
    Row("A15", "a whiteout of a whiteout hides nothing", [[*OLD], [d("d"), f("d/.wh..wh.x")]],
        "d/ d/old=o"),
    Row("A15", "another spelling of the opaque mark hides nothing",
        [[*OLD], [d("d"), f("d/.wh..wh..opaque")]], "d/ d/old=o"),
    Row(
        "A16",
        "a whiteout below a symlink replaces the link and spares its target",
        [USR, [wh("lib/x")]],
        "lib/ usr/ usr/lib/ usr/lib/x=x",
        profiles="oci overlay",
    ),
    Row(
        "A16",
        "a sequential runtime deletes through the link",
        [USR, [wh("lib/x")]],
        "lib->usr/lib usr/ usr/lib/",
        profiles="sequential",
    ),
    Row("A17", "a whiteout of a symlink removes the link only",
        [[f("t", "1"), ln("l", "t")], [wh("l")]], "t=1"),
    Row("A18", "a whiteout hides what any layer beneath brought",
        [[f("a", "1")], [f("b", "2")], [wh("a"), wh("b")], [f("c", "3")]], "c=3"),
    Row("A18", "a file above a whiteout is new", [[f("a", "1")], [wh("a")], [f("a", "3")]], "a=3"),
    Row("B1", "an opaque mark before its siblings", [OLD, [d("d"), op("d"), f("d/new", "n")]],
        "d/ d/new=n"),
    Row("B2", "an opaque mark after its siblings", [OLD, [d("d"), f("d/new", "n"), op("d")]],
        "d/ d/new=n"),
    Row(
        "B3",
        "a late opaque mark spares new files below implied directories",
        [[f("a/b/old", "o")], [f("a/b/c/foo", "n"), op("a")]],
        "a/ a/b/ a/b/c/ a/b/c/foo=n",
        profiles="oci overlay",
    ),
    Row(
        "B3",
        "a sequential runtime wipes them",
        [[f("a/b/old", "o")], [f("a/b/c/foo", "n"), op("a")]],
        "a/",
        profiles="sequential",
    ),
    Row("B4", "an opaque mark needs no entry of its directory", [OLD, [op("d")]], "d/"),
    Row("B4", "an opaque mark creates a directory that is nowhere", [[f("a")], [op("n/m")]],
        "a= n/ n/m/"),
    Row("B5", "an opaque mark at the root hides everything beneath",
        [[f("a", "1"), *OLD], [op(""), f("b", "2")]], "b=2", profiles="oci sequential",
        finding="ROOT_OPAQUE"),
    Row("B5", "overlayfs does not look at the root's mark",
        [[f("a", "1")], [op(""), f("b", "2")]], "a=1 b=2", profiles="overlay",
        finding="ROOT_OPAQUE"),
    Row("B6", "a whiteout inside an opaque directory shows no name",
        [OLD, [d("d"), op("d"), wh("d/old"), wh("d/none")]], "d/"),
    Row("B7", "an opaque directory keeps itself", [[d("d", mode=0o700), f("d/old")], [op("d")]],
        "d/"),
    Row("B8", "an opaque mark below a symlink replaces the link and spares its target",
        [USR, [op("lib")]], "lib/ usr/ usr/lib/ usr/lib/x=x", profiles="oci overlay"),
    Row("B9", "an opaque mark hides what all layers beneath brought",
        [OLD, [f("d/mid", "m")], [op("d"), f("d/new", "n")]], "d/ d/new=n"),
    Row("B9", "an opaque mark hides whole subtrees",
        [[f("d/s/t/u", "1"), f("e", "2")], [op("d")]], "d/ e=2"),
    Row("B10", "explicit whiteouts say the same as an opaque mark",
        [[f("d/a"), f("d/b")], [d("d"), wh("d/a"), wh("d/b"), f("d/c", "n")]], "d/ d/c=n"),
    Row("C1", "a file replaces a directory and its subtree", [OLD, [f("d", "f")]], "d=f"),
    Row("C2", "a directory replaces a file", [[f("d", "f")], [d("d"), f("d/x")]], "d/ d/x="),
    Row("C3", "a symlink replaces a directory", [[*OLD, f("t")], [ln("d", "t")]], "d->t t="),
    Row("C4", "a directory replaces a symlink and does not follow it", [USR, [d("lib")]],
        "lib/ usr/ usr/lib/ usr/lib/x=x"),
    Row("C5", "an implied directory replaces a lower file", [[f("d", "f")], [f("d/x", "1")]],
        "d/ d/x=1", profiles="oci overlay"),
    Row("C5", "a sequential runtime cannot make it", [[f("d", "f")], [f("d/x", "1")]],
        LayerError, profiles="sequential", warned="d/ d/x=1"),
    Row("C6", "two directories merge by name",
        [[f("d/a", "1"), f("d/b", "1")], [d("d"), f("d/b", "2"), f("d/c", "2")]],
        "d/ d/a=1 d/b=2 d/c=2"),
    Row("C7", "a FIFO hides a directory", [OLD, [fifo("d")]], "d|"),
    Row("C7", "a device hides a directory", [OLD, [char_device("d", 1, 3)]], "d#1:3"),
    Row("C7", "a directory above that starts empty", [OLD, [fifo("d")], [f("d/x", "1")]],
        "d/ d/x=1", profiles="oci overlay"),
    Row("D1", "a child of a lower symlink replaces the link", [USR, [f("lib/y", "y")]],
        "lib/ lib/y=y usr/ usr/lib/ usr/lib/x=x", profiles="oci overlay",
        finding="PARENT_SYMLINK_REPLACED"),
    Row("D1", "a sequential runtime writes through the link", [USR, [f("lib/y", "y")]],
        "lib->usr/lib usr/ usr/lib/ usr/lib/x=x usr/lib/y=y", profiles="sequential"),
    Row("D2", "an explicit directory replaces the link everywhere",
        [USR, [d("lib"), f("lib/y", "y")]], "lib/ lib/y=y usr/ usr/lib/ usr/lib/x=x"),
    Row("D3", "a link of the same layer is followed",
        [[d("usr"), d("usr/lib"), ln("lib", "usr/lib"), f("lib/y", "y")]],
        "lib->usr/lib usr/ usr/lib/ usr/lib/y=y"),
    Row("D3", "an absolute link of the same layer is followed from the root",
        [[d("usr"), d("usr/lib"), ln("lib", "/usr/lib"), f("lib/y", "y")]],
        "lib->/usr/lib usr/ usr/lib/ usr/lib/y=y"),
    Row("D4", "a link of the same layer to a directory that only exists beneath",
        [[d("usr"), d("usr/lib"), f("usr/lib/x", "x")], [ln("lib", "usr/lib"), f("lib/y", "y")]],
        "lib->usr/lib usr/ usr/lib/ usr/lib/x=x usr/lib/y=y"),
    Row("E1", "a hard link is relative to the root of the tar",
        [[d("usr"), f("usr/a", "1"), hl("usr/b", "usr/a")]], "usr/ usr/a=1 usr/b=1"),
    Row("E2", "an absolute target of a hard link", [[f("a", "1"), hl("d/b", "/a")]],
        "a=1 d/ d/b=1"),
    Row("E2", "a target that climbs is clamped at the root",
        [[f("a", "1"), hl("d/b", "../../a")]], "a=1 d/ d/b=1"),
    Row("E3", "a hard link to a lower layer", [[f("a", "1")], [hl("b", "a")]], "a=1 b=1",
        profiles="oci sequential", finding="HARDLINK_TO_LOWER"),
    Row("E3", "overlayfs cannot apply it", [[f("a", "1")], [hl("b", "a")]], LayerError,
        profiles="overlay", warned="a=1 b=1"),
    Row("E4", "a hard link keeps the content when its target is replaced above",
        [[f("a", "1"), hl("b", "a")], [f("a", "2")]], "a=2 b=1"),
    Row("E4", "a hard link keeps the content when its target is deleted above",
        [[f("a", "1"), hl("b", "a")], [wh("a")]], "b=1"),
    Row("E5", "a hard link before its target has none", [[hl("b", "a"), f("a", "1")]], LayerError),
    Row("E5", "a forward link binds to the old lower file",
        [[f("a", "1")], [hl("b", "a"), f("a", "2")]], "a=2 b=1", profiles="oci sequential"),
    Row("E5", "overlayfs cannot apply a forward link", [[f("a", "1")], [hl("b", "a"), f("a", "2")]],
        LayerError, profiles="overlay"),
    Row("E5", "under warn it is tried again at the end of the layer",
        [[hl("b", "a"), f("a", "1")]], LayerError, warned="a=1 b=1"),
    Row("E6", "a hard link keeps the first content of a duplicate",
        [[f("a", "1"), hl("b", "a"), f("a", "2")]], "a=2 b=1"),
    Row("E7", "a hard link with other metadata shares the content",
        [[f("a", "1"), hl("b", "a", mode=0o4755, uid=7)]], "a=1 b=1"),
    Row("E8", "a hard link to a symlink is one", [[ln("l", "t"), hl("m", "l")]], "l->t m->t"),
    Row("E9", "a hard link to a directory is refused", [[d("d"), hl("b", "d")]], LayerError,
        warned="d/"),
    Row("E10", "a hard link to itself is refused", [[f("a"), hl("b", "b")]], LayerError,
        warned="a="),
    Row("E10", "a hard link to nothing is refused", [[f("a"), hl("b", "none")]], LayerError,
        warned="a="),
    Row("F1", "the last of two entries for a path counts", [[f("a", "1"), f("a", "2")]], "a=2",
        finding="DUPLICATE"),
    Row("F1", "two spellings of a path are one", [[f("./a", "1"), f("a", "2")]], "a=2"),
    Row("F2", "a directory that comes twice keeps its children",
        [[d("d"), f("d/a", "1"), d("d"), f("d/b", "2")]], "d/ d/a=1 d/b=2"),
    Row("F3", "a file after a directory replaces its subtree",
        [[d("d"), f("d/x", "1"), f("d", "f")]], "d=f"),
    Row("F4", "a child below a file is refused", [[f("d", "f"), f("d/x", "1")]], LayerError,
        warned="d/ d/x=1"),
    Row("F5", "a layer that comes twice is applied twice",
        [[f("q", "1")], [wh("q")], [f("q", "1")]], "q=1"),
    Row("F6", "a directory after its children", [[f("d/x", "1"), d("d", mode=0o700)]],
        "d/ d/x=1"),
    Row("G1", "slashes and dots at the ends of a name are nothing",
        [[f("/abs", "1"), f("./dot", "2"), f("//two", "3"), f("a//b", "4"), f("a/./c", "5")]],
        "a/ a/b=4 a/c=5 abs=1 dot=2 two=3"),
    Row("G2", "a name that climbs is clamped at the root", [[f("../up", "1"), f("d/../../u", "2")]],
        "u=2 up=1"),
    Row("G3", "a name with .. implies no directory", [[f("nod/../m", "1")]], "m=1"),
    Row("G5", "backslash, newline and blanks are part of a name",
        [[f("a\\b", "1"), f(" c", "2"), f("d\ne", "3")]],
        "\u2423c=2 a\\b=1 d\u240ae=3"),
    Row("I1", "devices and FIFOs are shown as what they are",
        [[char_device("c", 1, 3), block_device("b", 8, 1), fifo("p")]], "b#8:1 c#1:3 p|"),
    Row("I2", "a character device 0:0 is a whiteout of overlayfs",
        [[f("a", "1"), f("b", "2")], [char_device("a", 0, 0)]], "b=2", profiles="oci overlay",
        finding="DEVICE_ZERO"),
    Row("I2", "a sequential runtime shows the device",
        [[f("a", "1")], [char_device("a", 0, 0)]], "a#0:0", profiles="sequential"),
    Row("I3", "an opaque xattr in the tar hides nothing",
        [OLD, [d("d", xattrs={"trusted.overlay.opaque": b"y"}), f("d/new", "n")]],
        "d/ d/new=n d/old=o"),
    Row("I4", "a contiguous file is read as a file", [[entry("a", "7", b"1")]], "a=1",
        profiles="oci"),
    Row("I4", "runtimes refuse a contiguous file", [[entry("a", "7", b"1")]], LayerError,
        profiles="overlay sequential", warned="a=1"),
    Row("I4", "an unknown type is refused", [[f("b"), entry("a", "Q")]], LayerError, warned="b="),
    Row("I5", "a file whose name ends with a slash is a file", [[entry("a/", "0", b"1")]], "a=1"),
    Row("I5", "an old entry without type whose name ends with a slash is a directory",
        [[entry("a/", b"\0", format="v7")]], "a/"),
    Row("I7", "a root that is a symlink is refused", [[entry("./", "2", linkname="/etc")]],
        LayerError, profiles="oci sequential"),
    Row("I8", "the size of a directory is no body",
        [[entry("d/", "5", size=512), f("a", "1")]], "a=1 d/"),
]  # fmt: skip


def cases() -> list[Any]:
    found = []
    for row in ROWS:
        for profile in row.profiles.split():
            marks = [pytest.mark.xfail(reason=row.bug, strict=True)] if row.bug else []
            name = f"{row.case} {row.fact} [{profile}]"
            found.append(pytest.param(row, profile, id=name, marks=marks))
    return found


def words(tree: str) -> list[str]:
    return sorted(w.replace("\u2423", " ").replace("\u240a", "\n") for w in tree.split())


@pytest.mark.parametrize(("row", "profile"), cases())
def test_case(row: Row, profile: str) -> None:
    if isinstance(row.tree, str):
        with opened(row.layers, profile) as image:
            assert shown(image.fs()) == words(row.tree)
        with opened(row.layers, profile, "warn") as image:
            assert shown(image.fs()) == words(row.tree)
        return
    with opened(row.layers, profile) as image, pytest.raises(row.tree):
        shown(image.fs())
    if row.warned is not None:
        with opened(row.layers, profile, "warn") as image:
            assert shown(image.fs()) == words(row.warned)
            assert row.case in {finding.case for finding in image.findings}


def refused() -> list[Any]:
    found = []
    for case in cases():
        row: Any = case.values[0]
        if not isinstance(row.tree, str):
            found.append(case)
    return found


@pytest.mark.parametrize(("row", "profile"), refused())
def test_refusal_says_layer_and_entry_and_is_the_same_each_time(row: Row, profile: str) -> None:
    errors: list[Any] = []
    with opened(row.layers, profile) as image:
        for _ in range(2):
            with pytest.raises(UnionLayersError) as caught:
                shown(image.fs())
            errors.append(caught.value)
    assert str(errors[0]) == str(errors[1])
    assert errors[0].layer == len(row.layers) - 1
    assert errors[0].entry is not None


@pytest.mark.parametrize(("row", "profile"), [p for p in cases() if p.values[0].finding])
def test_finding(row: Row, profile: str) -> None:
    with opened(row.layers, profile, "warn") as image:
        found = {finding.code: finding for finding in image.findings}
    assert row.finding in found
    assert found[row.finding].case == row.case
    assert found[row.finding].layer == len(row.layers) - 1


def fact_of(layers: Layers, path: str, profile: str = "oci", **options: Any) -> Any:
    with opened(layers, profile, **options) as image:
        view = image.fs()
        names = ["stat", "xattr", "layer", "access", "tar", "details", "link"]
        return view.getinfo(path, names).raw


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
def test_b7_an_opaque_directory_without_an_entry_keeps_its_attributes(profile: str) -> None:
    raw = fact_of([[d("d", mode=0o2750, uid=5), f("d/old")], [op("d")]], "/d", profile)
    assert (raw["stat"]["st_mode"] & 0o7777, raw["stat"]["st_uid"]) == (0o2750, 5)


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
def test_e7_the_header_of_a_hard_link_changes_the_inode_for_both_names(profile: str) -> None:
    layers = [[f("a", "1", mode=0o600, uid=1, mtime=1, xattrs={"user.a": b"1"}),
               hl("b", "a", mode=0o4755, uid=7, mtime=9)]]  # fmt: skip
    one, two = (fact_of(layers, path, profile)["stat"] for path in ("/a", "/b"))
    assert one == two
    assert (one["st_mode"], one["st_uid"], one["st_mtime"], one["st_nlink"]) == (0o104755, 7, 9, 2)


def test_e3_a_hard_link_to_a_lower_layer_shares_its_inode() -> None:
    layers = [[f("a", "1")], [hl("b", "a")]]
    one, two = (fact_of(layers, path)["stat"] for path in ("/a", "/b"))
    assert one == two
    assert one["st_nlink"] == 2


def test_e4_a_name_left_alone_counts_one_link() -> None:
    layers = [[f("a", "1"), hl("b", "a")], [f("a", "2")]]
    assert [fact_of(layers, path)["stat"]["st_nlink"] for path in ("/a", "/b")] == [1, 1]


def test_e8_metadata_is_not_sent_through_a_hard_link_to_a_symlink() -> None:
    layers = [[f("t", "1", mode=0o600), ln("l", "t"), hl("m", "l", mode=0o4777)]]
    assert fact_of(layers, "/t")["stat"]["st_mode"] == 0o100600
    assert fact_of(layers, "/l")["stat"]["st_mode"] == 0o120777


def test_f2_the_last_metadata_of_a_directory_counts() -> None:
    layers = [[d("d", mode=0o700), f("d/x"), d("d", mode=0o711)]]
    assert fact_of(layers, "/d")["stat"]["st_mode"] == 0o40711


def test_f6_metadata_of_a_directory_after_its_children_counts() -> None:
    raw = fact_of([[f("d/x"), d("d", mode=0o700)]], "/d")
    assert raw["stat"]["st_mode"] == 0o40700
    assert raw["layer"]["implied"] is False


def test_g4_names_that_are_no_utf8_keep_their_bytes() -> None:
    with opened([[f(b"caf\xe9", "1"), f(b"caf\xc3\xa9", "2"), f(b"z\xff/\xfe", "3")]], "oci") as im:
        view = im.fs()
        assert view.listdir("/") == ["caf\u00e9", "caf\udce9", "z\udcff"]
        assert view.readbytes("/caf\udce9") == b"1"
        assert view.readbytes("/z\udcff/\udcfe") == b"3"
        assert view.getinfo("/caf\udce9", ["tar"]).raw["tar"]["raw_name"] == b"caf\xe9"


def test_g4_names_are_neither_folded_nor_normalised() -> None:
    with opened([[f("A"), f("a"), f("\u00e9"), f("e\u0301")]], "oci") as image:
        assert image.fs().listdir("/") == ["A", "a", "e\u0301", "\u00e9"]


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
def test_h1_a_directory_that_comes_again_replaces_all_its_metadata(profile: str) -> None:
    layers = [
        [d("d", mode=0o700, uid=1, gid=2, mtime=3, xattrs={"user.old": b"o"})],
        [d("d", mode=0o1777, uid=4, gid=5, mtime=6, xattrs={"user.new": b"n"})],
    ]
    raw = fact_of(layers, "/d", profile)
    got = raw["stat"]
    assert (got["st_mode"], got["st_uid"], got["st_gid"], got["st_mtime"]) == (0o41777, 4, 5, 6)
    assert raw["xattr"] == {"user.new": b"n"}


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
def test_h2_an_implied_directory_inherits_from_beneath(profile: str) -> None:
    layers = [[d("tmp", mode=0o1777, uid=3, mtime=8)], [f("tmp/y")]]
    raw = fact_of(layers, "/tmp", profile)
    assert (raw["stat"]["st_mode"], raw["stat"]["st_uid"]) == (0o41777, 3)
    assert raw["layer"]["index"] == 0


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
def test_h3_an_implied_directory_that_is_new_is_plain_and_says_so(profile: str) -> None:
    raw = fact_of([[f("n/y", uid=9, mtime=9)]], "/n", profile)
    got = raw["stat"]
    assert (got["st_mode"], got["st_uid"], got["st_gid"], got["st_mtime"]) == (0o40755, 0, 0, 0)
    assert raw["layer"]["implied"] is True


def test_h4_the_time_of_a_directory_is_the_last_explicit_one() -> None:
    raw = fact_of([[d("d", mtime=7)], [f("d/x", mtime=99)], [wh("d/x")]], "/d")
    assert raw["stat"]["st_mtime"] == 7


@pytest.mark.parametrize(
    ("profile", "mode"), [("oci", 0o40711), ("overlay", 0o40755), ("sequential", 0o40711)]
)
def test_h5_an_entry_for_the_root(profile: str, mode: int) -> None:
    raw = fact_of([[d("./", mode=0o711, uid=6), f("a")]], "/", profile)
    assert raw["stat"]["st_mode"] == mode
    assert raw["stat"]["st_uid"] == (6 if mode == 0o40711 else 0)


def test_h5_a_root_without_an_entry_is_plain() -> None:
    raw = fact_of([[f("a")]], "/")
    assert (raw["stat"]["st_mode"], raw["stat"]["st_uid"]) == (0o40755, 0)


def test_h6_overlay_ignores_a_root_that_is_no_directory() -> None:
    with opened([[entry("./", "2", linkname="/etc"), f("a", "1")]], "overlay") as image:
        assert shown(image.fs()) == ["a=1"]


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
@pytest.mark.parametrize("mtime_ns", [-5_000_000_000, 1 << 63, 10**20])
def test_h7_times_that_no_runtime_keeps_are_zero_and_raw_in_the_tar(
    profile: str, mtime_ns: int
) -> None:
    raw = fact_of([[f("a", mtime_ns=mtime_ns)]], "/a", profile)
    assert raw["stat"]["st_mtime_ns"] == 0
    assert raw["details"]["modified"] == 0
    assert raw["tar"]["mtime_ns"] == mtime_ns


@pytest.mark.parametrize("mtime_ns", [0, 1_500_000_001, (1 << 63) - 1])
def test_h7_times_keep_their_nanoseconds(mtime_ns: int) -> None:
    assert fact_of([[f("a", mtime_ns=mtime_ns)]], "/a")["stat"]["st_mtime_ns"] == mtime_ns


@pytest.mark.parametrize("number", [0, 2**21 - 1, 2**21, 4_000_000_000, 2**32 - 2])
def test_h8_owners_of_any_size(number: int) -> None:
    got = fact_of([[f("a", uid=number, gid=number)]], "/a")["stat"]
    assert (got["st_uid"], got["st_gid"]) == (number, number)


@pytest.mark.parametrize("mode", [0, 0o7777, 0o4755, 0o2755, 0o1644])
def test_h9_all_twelve_bits_of_the_mode(mode: int) -> None:
    assert fact_of([[f("a", mode=mode)]], "/a")["stat"]["st_mode"] == 0o100000 | mode


def test_h9_bits_of_the_type_in_the_mode_field_do_not_count() -> None:
    assert fact_of([[f("a", mode=0o060644)]], "/a")["stat"]["st_mode"] == 0o100644


def test_h9_the_mode_of_a_symlink_is_0777() -> None:
    assert fact_of([[ln("l", "t", mode=0o600)]], "/l")["stat"]["st_mode"] == 0o120777


def test_i3_overlay_xattrs_are_shown_as_plain_ones() -> None:
    raw = fact_of([[d("d", xattrs={"trusted.overlay.opaque": b"y"})]], "/d")
    assert raw["xattr"] == {"trusted.overlay.opaque": b"y"}
    assert raw["layer"]["opaque"] is False


@pytest.mark.parametrize("path", ["/c", "/b", "/p"])
def test_i1_devices_and_fifos_have_no_bytes_to_read(path: str) -> None:
    layers = [[char_device("c", 1, 3), block_device("b", 8, 1), fifo("p")]]
    with opened(layers, "oci") as image:
        view = image.fs()
        assert view.getsize(path) == 0
        with pytest.raises(NotARegularFileError):
            view.readbytes(path)
        with pytest.raises(NotARegularFileError):
            view.openbin(path)
