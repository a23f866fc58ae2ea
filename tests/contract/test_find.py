"""`UnionFS.find`: what a pattern means, what is looked at for it, and what else is asked for."""

from __future__ import annotations

import fnmatch
import io
import itertools
import re
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unionlayers import UnionFS, open_image
from unionlayers._layers.directory import Directory
from unionlayers._layers.path_pattern import PathPattern
from unionlayers.testing import (
    ImageDescription,
    char_device,
    directory,
    docker_archive,
    fifo,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
)

ALL = ("file", "directory", "symlink", "device", "fifo")
SHARED = Path(__file__).resolve().parents[3] / "shared" / "images"


@contextmanager
def shown(*layers: Any) -> Iterator[UnionFS]:
    with open_image(io.BytesIO(docker_archive(ImageDescription(layers)))) as image:
        yield image.fs()


def paths(view: UnionFS, pattern: str | None, **asked: Any) -> list[str]:
    return [path for path, _ in view.find(pattern, **asked)]


# -- the oracle: one regular expression for the whole path -----------------------------------------


def component(part: str) -> str:
    """Spell one component of a pattern as a regular expression, character by character."""
    spelled = ""
    at = 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            spelled += "[^/]*"
        elif char == "?":
            spelled += "[^/]"
        elif char == "[":
            end = part.find("]", at + 2 if part[at : at + 1] == "!" else at + 1)
            if end < 0:
                spelled += r"\["
                continue
            inside = part[at:end]
            at = end + 1
            negated = inside.startswith("!")
            chosen = {c for c in ALPHABET if is_in(c, inside[negated:])}
            if negated:
                chosen = set(ALPHABET) - chosen
            spelled += "(?:" + "|".join(map(re.escape, sorted(chosen))) + ")" if chosen else "(?!)"
        else:
            spelled += re.escape(char)
    return spelled


def is_in(char: str, members: str) -> bool:
    """Tell whether a character is in a set: single ones and ranges, a dash at an end is a dash."""
    at = 0
    while at < len(members):
        if members[at + 1 : at + 2] == "-" and at + 2 < len(members):
            if members[at] <= char <= members[at + 2]:
                return True
            at += 3
        else:
            if char == members[at]:
                return True
            at += 1
    return False


def oracle(pattern: str) -> re.Pattern[str]:
    parts = [part for part in pattern.split("/") if part not in {"", "."}]
    spelled = ""
    for number, part in enumerate(parts):
        if part != "**":
            spelled += "/" + component(part)
        elif number == len(parts) - 1:
            spelled += "(?:/[^/]+)+"
        else:
            spelled += "(?:/[^/]+)*"
    return re.compile(spelled, re.DOTALL)


ALPHABET = "abAB.-^!]{},\\é\udcff\n"
NAMES = st.text(st.sampled_from(ALPHABET), min_size=1, max_size=3).filter(
    lambda name: name not in {".", ".."} and not name.startswith(".wh.")
)
SETS = st.builds(
    "[{}{}]".format,
    st.sampled_from(["", "!"]),
    st.one_of(
        st.text(st.sampled_from("abAB.^é\udcff"), min_size=1, max_size=3),
        st.sampled_from(["a-b", "A-b", "a-", "-a", "]a", "]", "a-bB"]),
    ),
)
PIECES = st.one_of(st.sampled_from(["*", "?", "a", "b", "B", ".", "{a,b}", "[", "\\"]), SETS)
PARTS = st.one_of(
    st.just("**"),
    st.just("*"),
    NAMES,
    st.lists(PIECES, min_size=1, max_size=3).map("".join).filter(lambda part: part != ".."),
)
PATTERNS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
TREES = st.lists(
    st.lists(NAMES, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts)), max_size=8
)


@given(PATTERNS, TREES)
def test_a_path_matches_as_one_regular_expression_says(pattern: str, trees: list[str]) -> None:
    compiled = PathPattern(pattern)
    expected = oracle(pattern)
    for path in {*trees, "/a", "/a/b", "/.a", "/A/b/a", "/{a,b}", "/a/a/a/b"}:
        assert compiled.matches(path) == bool(expected.fullmatch(path)), path


@given(PATTERNS, TREES, st.sampled_from(["", "/", "//", "./"]), st.sampled_from(["", "/"]))
def test_what_is_found_is_what_the_regular_expression_leaves_of_a_walk(
    pattern: str, trees: list[str], before: str, behind: str
) -> None:
    layers: list[list[Any]] = [[], []]
    # No name is a file and a directory at once, which no layer can say.
    for number, path in enumerate(trees):
        if any(other != path and f"{other}/".startswith(f"{path}/") for other in trees):
            continue
        layers[number % 2].append(file(path[1:].encode("utf-8", "surrogateescape")))
    with shown(*layers) as view:
        every = paths(view, None, types=ALL)
        assert every == sorted(every, key=lambda p: [n.encode("utf-8", "surrogateescape")
                                                     for n in p.split("/")])  # fmt: skip
        expected = oracle(pattern)
        found = paths(view, before + pattern + behind, types=ALL)
        assert found == [path for path in every if expected.fullmatch(path)]


@given(
    st.text(st.sampled_from("ab*?[]!-^"), max_size=6), st.text(st.sampled_from("ab]"), max_size=4)
)
def test_one_component_matches_as_fnmatch_does(part: str, name: str) -> None:
    if part and name and not re.fullmatch(r"\*\*", part):
        assert PathPattern(part).matches("/" + name) == fnmatch.fnmatchcase(name, part)


# -- what a pattern means, case by case ------------------------------------------------------------

TREE = [
    file("etc/os-release"), file("etc/.hidden"), directory("etc/.d"), file("etc/.d/x"),
    file("usr/lib/a/METADATA"), file("usr/lib/METADATA"), file("usr/lib/a/b/METADATA"),
    file("usr/lib/a/metadata"), file("usr/share/METADATA"), symlink("lib", "usr/lib"),
    symlink("etc/link", "os-release"), file("etc/a*b"), file("etc/a\\b"), file("etc/{x,y}"),
    file("etc/x"), symlink("loop", "loop"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("usr/lib/**/METADATA",
         ["/usr/lib/METADATA", "/usr/lib/a/METADATA", "/usr/lib/a/b/METADATA"]),
        ("/usr/lib/*/METADATA", ["/usr/lib/a/METADATA"]),
        ("**/METADATA", ["/usr/lib/METADATA", "/usr/lib/a/METADATA", "/usr/lib/a/b/METADATA",
                         "/usr/share/METADATA"]),
        ("**/a/**/METADATA", ["/usr/lib/a/METADATA", "/usr/lib/a/b/METADATA"]),
        ("**/**/os-release", ["/etc/os-release"]),
        ("usr/lib/**", ["/usr/lib/METADATA", "/usr/lib/a", "/usr/lib/a/METADATA", "/usr/lib/a/b",
                        "/usr/lib/a/b/METADATA", "/usr/lib/a/metadata"]),
        ("usr/lib/**/**", ["/usr/lib/METADATA", "/usr/lib/a", "/usr/lib/a/METADATA",
                           "/usr/lib/a/b", "/usr/lib/a/b/METADATA", "/usr/lib/a/metadata"]),
        ("usr/lib", ["/usr/lib"]),
        ("usr/lib/", ["/usr/lib"]),
        ("etc/.*", ["/etc/.d", "/etc/.hidden"]),
        ("etc/*d*", ["/etc/.d", "/etc/.hidden"]),
        ("etc/[o]?-*", ["/etc/os-release"]),
        ("etc/a[*]b", ["/etc/a*b"]),
        ("etc/a\\b", ["/etc/a\\b"]),
        ("etc/{x,y}", ["/etc/{x,y}"]),
        ("ETC/x", []),
        ("etc//./x", ["/etc/x"]),
        ("etc/x/y", []),
        ("nothing/*", []),
        ("loop/*", []),
        ("loop", ["/loop"]),
        ("", []),
        ("/", []),
        # Links in the part before the first wildcard are followed, and nowhere else.
        ("lib/*/METADATA", ["/lib/a/METADATA"]),
        ("lib/METADATA", ["/lib/METADATA"]),
        ("l*/METADATA", []),
        ("lib", ["/lib"]),
        ("etc/link", ["/etc/link"]),
    ],
)  # fmt: skip
def test_patterns_mean_what_is_written(pattern: str, expected: list[str]) -> None:
    with shown(TREE) as view:
        assert paths(view, pattern, types=ALL) == expected


@pytest.mark.parametrize("pattern", ["..", "../etc", "etc/../x", "etc/**/.."])
def test_a_pattern_cannot_climb(pattern: str) -> None:
    with shown(TREE) as view, pytest.raises(ValueError, match=r"\.\."):
        view.find(pattern)


def test_a_pattern_that_is_built_to_cost_costs_little() -> None:
    deep = "/".join(["a"] * 60)
    with shown([file(f"{deep}/{'a' * 200}")]) as view:
        assert paths(view, "/".join(["**", "a"] * 30) + "/b") == []
        assert paths(view, "**/" + "*a" * 60 + "b") == []
        assert paths(view, "**/" * 500 + "b") == []


# -- what is looked at -----------------------------------------------------------------------------


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count which directories are listed, and which names are looked up."""
    counts: Counter[str] = Counter()
    nodes, lookup = Directory.nodes, Directory.lookup

    def counted_nodes(self: Directory) -> Any:
        counts["list " + self.node().path] += 1
        return nodes(self)

    def counted_lookup(self: Directory, name: str) -> Any:
        counts[f"look {self.node().path.rstrip('/')}/{name}"] += 1
        return lookup(self, name)

    monkeypatch.setattr(Directory, "nodes", counted_nodes)
    monkeypatch.setattr(Directory, "lookup", counted_lookup)
    return counts


def listed(looked_at: Counter[str]) -> list[str]:
    return sorted(what[5:] for what in looked_at.elements() if what.startswith("list "))


def test_only_directories_that_can_match_are_listed(looked_at: Counter[str]) -> None:
    wide = [file(f"{top}/d{n}/e{m}/f") for top in ("usr", "var") for n in range(5)
            for m in range(5)]  # fmt: skip
    with shown([*wide, file("usr/lib/py/x-1.dist-info/METADATA"), file("usr/lib/py/y")]) as view:
        for pattern, expected in (
            ("usr/lib/**/METADATA", ["/usr/lib", "/usr/lib/py", "/usr/lib/py/x-1.dist-info"]),
            ("usr/lib/*/*.dist-info/METADATA", ["/usr/lib", "/usr/lib/py"]),
            ("usr/d1/e2/f", []),
            ("usr/d1/*/f", ["/usr/d1"]),
            ("usr/d[12]/e2/f", ["/usr"]),
            ("none/**", []),
        ):
            looked_at.clear()
            assert bool(paths(view, pattern)) is not pattern.startswith("none")
            assert listed(looked_at) == expected, pattern
        looked_at.clear()
        assert len(paths(view, "usr/d[12]/e2/f")) == 2
        assert looked_at["look /usr/d1/e2"] == looked_at["look /usr/d2/e2"] == 1
        assert looked_at["look /usr/d3/e2"] == 0


def test_layers_beneath_what_a_pattern_names_are_not_indexed() -> None:
    layers = [[file("etc/a"), file("var/x")], [directory("var"), opaque("var"), file("var/b")]]
    with open_image(io.BytesIO(docker_archive(ImageDescription(layers)))) as image:
        loaded: list[int] = []
        view = image.fs()
        for slot in view._union.slots:
            known = slot.load

            def load(index: int = slot.layer, known: Any = known) -> Any:
                loaded.append(index)
                return known()

            object.__setattr__(slot, "load", load)
        assert paths(view, "var/*") == ["/var/b"]
        assert set(loaded) == {1}


# -- type, mode, capability ------------------------------------------------------------------------

NET_RAW = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
INHERITED = struct.pack("<5I", 0x02000000, 0, 0, 1 << 7, 0)
KINDS = [
    directory("d", mode=0o1777), file("d/plain", mode=0o644), file("d/su", mode=0o4755),
    file("d/sg", mode=0o2755), file("d/both", mode=0o6711), directory("d/spool", mode=0o3770),
    file("d/world", mode=0o666), symlink("d/link", "su"), char_device("d/null", 1, 3, mode=0o666),
    fifo("d/pipe"), file("d/ping", xattrs={"security.capability": NET_RAW}),
    file("d/bpf", xattrs={"security.capability": INHERITED}),
    file("d/broken", xattrs={"security.capability": b"\x01"}),
    hardlink("d/ping2", "d/ping", xattrs={"security.capability": NET_RAW}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"mode": 0o4000}, ["both", "su"]),
        ({"mode": 0o2000}, ["both", "sg"]),
        ({"mode": 0o6000}, ["both", "sg", "su"]),
        ({"mode": 0o1000, "types": ("directory",)}, ["", "spool"]),
        ({"mode": 0o2000, "types": ("file", "directory")}, ["both", "sg", "spool"]),
        ({"mode": 0o002}, ["world"]),
        ({"mode": 0o002, "types": ("device",)}, ["null"]),
        ({"capability": True}, ["bpf", "ping", "ping2"]),
        ({"capability": "cap_net_raw"}, ["ping", "ping2"]),
        ({"capability": "cap_bpf"}, ["bpf"]),
        ({"capability": "cap_chown"}, []),
        ({"capability": False, "mode": 0o4000}, ["both", "su"]),
        ({"capability": True, "mode": 0o4000}, []),
        ({"types": ("symlink",)}, ["link"]),
        ({"types": ("fifo", "device")}, ["null", "pipe"]),
        ({"types": ()}, []),
    ],
)
def test_what_is_found_has_the_type_mode_and_capability(
    asked: dict[str, Any], expected: list[str]
) -> None:
    with shown(KINDS) as view:
        found = paths(view, "**", **asked)
        assert found == [f"/d/{name}".rstrip("/") for name in expected]
        assert found == paths(view, None, **asked)
        assert sorted(paths(view, "d/**", order="storage", **asked)) == [
            path for path in found if path != "/d"
        ]


def test_a_file_without_capabilities_is_one_whose_bytes_say_none() -> None:
    with shown(KINDS) as view:
        without = paths(view, "d/*", capability=False)
        assert "/d/broken" in without
        assert "/d/plain" in without
        assert not {"/d/ping", "/d/ping2", "/d/bpf"} & set(without)


def test_the_mode_is_that_of_the_whole_stack() -> None:
    with shown([file("a", mode=0o4755), file("b", mode=0o4755), file("c")],
               [file("a", mode=0o755), whiteout("b"), file("c", mode=0o4711)]) as view:  # fmt: skip
        assert paths(view, None, mode=0o4000) == ["/c"]


@pytest.mark.parametrize(
    "asked",
    [{"types": ("files",)}, {"types": "file"}, {"order": "size"}, {"mode": 0}, {"mode": -1},
     {"mode": 0o10000}, {"mode": 0o100644}, {"capability": "net_raw"}, {"capability": ""},
     {"capability": "cap_net_raw=ep"}],
)  # fmt: skip
def test_what_nothing_can_be_is_refused_at_the_call(asked: dict[str, Any]) -> None:
    with shown(KINDS) as view, pytest.raises(ValueError, match=r"are|is|not|has"):
        view.find(**asked)


def test_namespaces_come_with_what_is_found() -> None:
    with shown(KINDS) as view:
        ((path, info),) = view.find(mode=0o4000, pattern="d/su", namespaces=("stat", "capability"))
        assert path == "/d/su"
        assert set(info.raw) == {"basic", "details", "link", "stat", "capability"}


def test_a_real_image_is_searched_as_a_walk_would() -> None:
    archive = SHARED / "debian-small.oci-gzip.tar"
    if not archive.exists():
        pytest.skip(f"{archive.name} is not here")
    with open_image(archive) as image:
        view = image.fs()
        facts = dict(view.find(types=ALL, namespaces=("stat", "capability")))
        modes = {path: info.raw["stat"]["st_mode"] for path, info in facts.items()}
        assert paths(view, None, mode=0o6000) == [
            path for path, mode in modes.items() if mode & 0o170000 == 0o100000 and mode & 0o6000
        ]
        assert "/usr/bin/su" in paths(view, "usr/**", mode=0o4000)
        assert paths(view, None, capability=True) == [
            path for path, info in facts.items() if info.raw["capability"]["text"] is not None
        ]
        assert paths(view, None, capability="cap_net_raw") == [
            "/srv/zoo/cap-file", "/usr/bin/ping",
        ]  # fmt: skip
        for pattern in ("usr/lib/**/*.so.*", "etc/*.conf", "**/[a-c]*", "srv/zoo/names/**"):
            expected = re.compile(oracle_of_real(pattern), re.DOTALL)
            assert paths(view, pattern, types=ALL) == [
                path for path in facts if expected.fullmatch(path)
            ]


def oracle_of_real(pattern: str) -> str:
    known = {
        "usr/lib/**/*.so.*": r"/usr/lib(/[^/]+)*/[^/]*\.so\.[^/]*",
        "etc/*.conf": r"/etc/[^/]*\.conf",
        "**/[a-c]*": r"(/[^/]+)*/[a-c][^/]*",
        "srv/zoo/names/**": r"/srv/zoo/names(/[^/]+)+",
    }
    return known[pattern]


def test_a_search_ends_when_the_view_is_closed() -> None:
    with shown(KINDS) as view:
        found = view.find(types=ALL)
        assert len(list(itertools.islice(found, 2))) == 2
        view.close()
        with pytest.raises(ValueError, match="closed"):
            list(found)
