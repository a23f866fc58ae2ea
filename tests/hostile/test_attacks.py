"""
Attacks by name: what each gives here, and what it may cost.

Cost is counted, not timed: bytes that are read from the archive, and calls of Python functions,
both against the size of what the attacker had to send.  Meanwhile the interpreter reports what is
asked of the host: no file may be opened, no process started, no connection made, nothing unpickled.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from attrs import field, frozen

from unionlayers import (
    BlobNotFoundError,
    DigestMismatchError,
    DocumentError,
    Image,
    LayerError,
    LimitError,
    Limits,
    LinkLoopError,
    NotARegularFileError,
    PathNotFoundError,
    StreamError,
    TarError,
    UnionLayersError,
    WhiteoutError,
    open_image,
)
from unionlayers.testing import (
    Damage,
    ImageDescription,
    IndexDescription,
    LayerDescription,
    char_device,
    compress,
    directory,
    docker_archive,
    entry,
    file,
    hardlink,
    layer,
    oci_archive,
    opaque,
    pax_record,
    skippable_frame,
    symlink,
    whiteout,
    zstd_frame,
)

# What is known of readers that extract, by the numbers under which it was published.
PUBLISHED = """
    2007-4559 2014-6407 2014-9356 2014-9357 2014-9358 2017-14992 2018-15664 2019-14271 2019-20907
    2021-20291 2021-29136 2021-32760 2021-3762 2021-41190 2022-23648 2024-24557 2024-24579 2024-3727
    2024-40635 2024-6232 2025-4138 2025-4330 2025-4435 2025-4517 2025-58183 2025-5981 2025-62518
    2025-8194 2026-11940 2026-11972 2026-17106 2026-32288 2026-33055 2026-4360 2026-53655
"""


class Host:
    """What is asked of the host while `watching`, as the interpreter reports it (PEP 578)."""

    EVENTS = re.compile(
        r"open|os\.|subprocess\.|socket\.|pickle\.|ctypes\.|shutil\.|tempfile\.|urllib\.|exec|marshal"
    )

    def __init__(self) -> None:
        self.watching = False
        self.asked: list[tuple[str, Any]] = []
        sys.addaudithook(self.told)

    def told(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watching and self.EVENTS.match(event) and not self._importing():
            self.asked.append((event, arguments[:1]))

    def _importing(self) -> bool:
        """Tell whether a module of the library or the interpreter is imported at first need."""
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                return True
            frame = frame.f_back
        return False


HOST = Host()


class Counted(io.BytesIO):
    """A file object that counts the bytes that are read from it."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


@frozen
class Attack:
    """
    One attack.

    Attributes:
        archive: Makes the image.
        shown: The paths that it shows, or None.
        error: The class that reading it raises, or None.
        on_read: The same of reading one path, with that path.
        calls: Calls of Python functions for each 512 bytes of the archive.
        limits: Tighter ones, where it would take long to come to the defaults.
        verify: Whether digests are compared, for damage that they would find first.
        holds: What else must be so of the opened image.
    """

    archive: Callable[[], bytes]
    shown: tuple[str, ...] | None = None
    error: type[UnionLayersError] | None = None
    on_read: tuple[str, type[UnionLayersError]] | None = None
    calls: int = 400
    limits: Limits = field(factory=Limits)
    verify: bool = True
    holds: Callable[[Image], bool] | None = None


def stack(*layers: Any) -> Callable[[], bytes]:
    return lambda: docker_archive(ImageDescription(list(layers)))


def repeated(one: Any, count: int) -> Iterator[Any]:
    return (one for _ in range(count))


def edited(role: str, edit: Callable[[Any], Any]) -> Callable[[], bytes]:
    damage = Damage(edits={role: edit})
    return lambda: oci_archive(ImageDescription([[file("a")]]), damage=damage)


def colliding_owners(count: int) -> list[Any]:
    """Files whose owners have one and the same hash as tuples with their mode."""
    # The constants of CPython's hash of tuples, which is that of xxHash.
    prime, mask = (1 << 61) - 1, (1 << 64) - 1
    first, second = 11400714785074694791, 14029467366897019727

    def turned(value: int, by: int) -> int:
        return ((value << by) | (value >> (64 - by))) & mask

    def lane(state: int, value: int) -> int:
        return turned((state + value * second) & mask, 31) * first & mask

    start = lane(2870177450012600261, 0o100644)
    wanted = lane(lane(start, 1), 1)
    inverse, undone = pow(second, -1, 1 << 64), pow(first, -1, 1 << 64)
    before = turned(wanted * undone & mask, 33)
    found: list[Any] = []
    uid = 0
    while len(found) < count:
        uid += 1
        gid = (before - lane(start, uid)) * inverse & mask
        if gid < prime:
            found.append(file(f"f{len(found)}", uid=uid, gid=gid))
    assert len({hash((0o100644, one.uid, one.gid)) for one in found}) == 1
    return found


def hidden_by_size(outer: int, inner: int) -> bytes:
    """A file whose PAX size differs from that of its header, with a header in its content."""
    smuggled = layer(file("smuggled", "x"))[:1024]
    return layer(
        entry("a", "0", smuggled, pax={"size": str(inner)}, fields={"size": b"%011o\0" % outer}),
        file("b", "x"),
    )


def past_path_max(levels: int) -> list[Any]:
    """Links whose expansion is longer than the 4096 bytes that a host resolves, and then ``..``."""
    long, way, made = "d" * 200, "", []
    for level in range(levels):
        made += [directory(way + long), symlink(f"{way}{level}", long)]
        way += f"{level}/"
    return [*made, symlink(f"{way}up", "../" * levels + "etc"), file(f"{way}up/passwd", "x")]


def stored_as(stored: bytes) -> Callable[[], bytes]:
    """An image whose one layer is stored as these bytes, with the digest of others."""
    return lambda: oci_archive(
        ImageDescription([LayerDescription(layer(file("a")), codec="identity")]),
        damage=Damage(replace={"layer:0": stored}),
    )


DEEP = "/".join("d" * 3000)
TOC = {"version": 1, "entries": [{"name": "evil", "type": "reg", "size": 1},
                                 {"name": "a", "type": "symlink", "linkName": "/etc"}]}  # fmt: skip

ATTACKS: dict[str, Attack] = {
    # -- out of the root --
    "traversal by name (CVE-2007-4559, -2021-3762, -2024-24579)": Attack(
        stack([file("../../etc/passwd"), file("/abs"), file("a/../../b")]),
        shown=("/abs", "/b", "/etc/passwd"),
    ),
    "absolute and climbing links (CVE-2014-6407, -2014-9356, -2018-15664, -2022-23648)": Attack(
        stack([symlink("l", "/../../../../proc/self/environ"), symlink("m", "/l/x")]),
        shown=("/l", "/m"),
        on_read=("/l", PathNotFoundError),
    ),
    "entry through a link of the layer (CVE-2025-5981, -2026-17106)": Attack(
        stack([symlink("l", "../../.."), file("l/x")]), shown=("/l", "/x")
    ),
    "entry through a link of a lower layer (CVE-2025-4330, -2025-4138)": Attack(
        stack([symlink("l", "/../etc")], [directory("l", mode=0o777), file("l/passwd", "x")]),
        shown=("/l/passwd",),
    ),
    "links past PATH_MAX, then up (CVE-2025-4517, -2025-4435)": Attack(
        stack(past_path_max(25)),
        holds=lambda image: image.fs().readtext("/etc/passwd") == "x",
    ),
    "libraries and modules that a helper would load (CVE-2014-9357, -2019-14271)": Attack(
        stack([file("lib/x86_64-linux-gnu/libnss_files.so.2", "x"), file("bin/unpigz", mode=0o4755),
               file("encodings/__init__.py", "raise SystemExit"), file("bin/xz", mode=0o6755)]),
        shown=("/bin/unpigz", "/bin/xz", "/encodings/__init__.py",
               "/lib/x86_64-linux-gnu/libnss_files.so.2"),
    ),
    "root as a link (CVE-2021-29136)": Attack(stack([symlink(".", "/etc")]), error=LayerError),
    "hard link to a link out of the root (CVE-2021-32760, -2026-11940)": Attack(
        stack([symlink("a/b/l", "../../../etc/passwd"), hardlink("h", "a/b/l")]),
        shown=("/a/b/l", "/h"),
        on_read=("/h", PathNotFoundError),
    ),
    "hard link that gives its file to others (CVE-2026-4360)": Attack(
        stack([file("a", "x", uid=1000), hardlink("h", "a", uid=0, gid=0, mode=0o4777)]),
        shown=("/a", "/h"),
        holds=lambda image: [
            [image.fs().stat(path).st_uid for path in ("/a", "/h")],
            [image.fs(profile="overlay").stat(path).st_mode & 0o7777 for path in ("/a", "/h")],
        ] == [[0, 0], [0o4777, 0o4777]],
    ),
    "device nodes": Attack(
        stack([char_device("sda", 8, 0)]),
        shown=("/sda",),
        on_read=("/sda", NotARegularFileError),
    ),
    # -- the documents --
    "digest as a path (CVE-2014-9358, -2024-3727)": Attack(
        edited("manifest", lambda m: {**m, "config": {**m["config"], "digest": "sha256:../x"}}),
        error=DocumentError,
    ),
    "manifest that is an index (CVE-2021-41190)": Attack(
        edited("manifest", lambda m: {**m, "manifests": [m["config"]]}), error=DocumentError
    ),
    "index that is a manifest (CVE-2021-41190)": Attack(
        lambda: oci_archive(
            IndexDescription([ImageDescription([[file("a")]])]),
            damage=Damage(edits={"index": lambda index: {**index, "config": {}, "layers": []}}),
        ),
        error=DocumentError,
    ),
    "user whose number overflows (CVE-2024-40635)": Attack(
        edited("config", lambda c: {**c, "config": {"User": "4294967296:4294967296"}}),
        shown=("/a",),
        holds=lambda image: image.config["config"]["User"] == "4294967296:4294967296",
    ),
    "digest of other bytes (CVE-2024-24557)": Attack(
        lambda: oci_archive(
            ImageDescription([[file("a")]]), damage=Damage(replace={"layer:0": layer(file("e"))})
        ),
        error=DigestMismatchError,
    ),
    "layer that is not there": Attack(
        lambda: oci_archive(ImageDescription([[file("a")]]), damage=Damage(omit=["layer:0"])),
        error=BlobNotFoundError,
    ),
    # -- the tar --
    "PAX size larger than that of the header (CVE-2025-62518, -2026-33055)": Attack(
        stack(hidden_by_size(0, 1024)), shown=("/a", "/b")
    ),
    "PAX size past the end, 8 EiB (CVE-2026-11972)": Attack(
        stack(layer(entry("a", "0", pax={"size": str((1 << 63) - 1)}))), error=TarError
    ),
    "PAX record before a long name (CVE-2026-53655)": Attack(
        stack([file("n" * 300, pax={"comment": "x"}), file("b")]), shown=("/b", "/" + "n" * 300)
    ),
    "negative size (CVE-2025-8194)": Attack(
        stack(layer(entry("a", "0", fields={"size": b"\xff" * 12}))), error=TarError
    ),
    "negative PAX size (CVE-2025-8194)": Attack(
        stack(layer(entry("a", "0", pax={"size": "-512"}))), error=TarError
    ),
    "PAX record that does not go on (CVE-2019-20907)": Attack(
        stack(layer(entry("a", "0", pax_body=b"0 a=b\n" * 100))), error=TarError
    ),
    "PAX length of many digits (CVE-2024-6232)": Attack(
        stack(layer(entry("a", "0", pax_body=b"9" * 100_000 + b" a=b\n"))), error=TarError
    ),
    "link with a body that is a header": Attack(
        # As Go has it, a link has no body, whatever its size says (case E11).
        stack(layer(entry("l", "2", layer(file("smuggled"))[:512], linkname="a"), file("b"))),
        shown=("/b", "/l", "/smuggled"),
    ),
    "sparse map of a billion segments (CVE-2025-58183, -2026-32288)": Attack(
        stack(
            layer(
                entry(
                    "a", "0", b"1000000000\n".ljust(512, b"0"),
                    pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                         "GNU.sparse.realsize": "1"},
                )
            )
        ),
        error=LimitError,
    ),
    "extended header of a gigabyte": Attack(
        stack(layer(entry("x", "x", fields={"size": b"%011o\0" % (1 << 30)}))), error=LimitError
    ),
    "long name of a gigabyte": Attack(
        stack(layer(entry("x", "L", fields={"size": b"%011o\0" % (1 << 30)}))), error=LimitError
    ),
    "extended header of many records": Attack(
        stack(layer(entry("a", "0", pax_body=pax_record("a", "") * 20_000))), error=LimitError
    ),
    "NUL in a name": Attack(
        stack(layer(entry("a", "0", pax={"path": b"a\0b"}))), error=TarError
    ),
    "empty and control-character names": Attack(
        stack([file("\x1b[2J"), file("a\nb"), file("\u202egpj"), directory("")]),
        shown=("/\x1b[2J", "/a\nb", "/\u202egpj"),
    ),
    "names that stand twice": Attack(
        stack([file("a", "1"), file("./a", "2"), file("x/../a", "3")]), shown=("/a",)
    ),
    "ten thousand tiny headers for one name": Attack(
        stack(list(repeated(file("a"), 10_000))), shown=("/a",)
    ),
    # -- links --
    "link to itself": Attack(
        stack([symlink("l", "l")]), shown=("/l",), on_read=("/l", LinkLoopError)
    ),
    "web of links, two to the sixtieth ways": Attack(
        stack([directory("d"), *(symlink(f"l{n}", f"l{n - 1}/../l{n - 1}" if n else "d")
                                 for n in range(60))]),
        on_read=("/l59/f", LinkLoopError),
    ),
    "link of two hundred thousand components": Attack(
        stack([directory("d"), symlink("l", "d/../" * 100_000)]), error=LimitError
    ),
    "entries through a long link, again and again": Attack(
        stack([directory("d"), symlink("l", "d/../" * 2000 + "d"),
               *(file(f"l/{n}") for n in range(100))]),
        error=LimitError, calls=4000, limits=Limits(placing_steps=100_000),
    ),
    "hard link to itself": Attack(stack([hardlink("h", "h")]), error=LayerError),
    "hard links in a circle": Attack(
        stack([hardlink("a", "b"), hardlink("b", "a")]), error=LayerError
    ),
    "many hard links in one directory": Attack(
        stack([file("h"), *(hardlink(f"h{n}", "h") for n in range(5000))])
    ),
    "many hard links that each change the file": Attack(
        stack([file("h"), *(hardlink(f"h{n}", "h", mode=n % 512) for n in range(5000))])
    ),
    # -- marks --
    "whiteout of nothing": Attack(stack([file(".wh.")]), error=WhiteoutError),
    "whiteout of .": Attack(stack([file("d/.wh..")]), error=WhiteoutError),
    "whiteout of ..": Attack(stack([file("d/.wh...")]), error=WhiteoutError),
    "whiteout of the root's own names from outside": Attack(
        stack([file("etc/passwd")], [file("../etc/.wh.passwd")]), shown=()
    ),
    "whiteouts of whiteouts": Attack(
        stack([file("a/b")], [file("a/.wh..wh..opq/x"), file(".wh..wh.x"), file(".wh..wh..opq/y")]),
        holds=lambda image: image.fs().exists("/a/b"),
    ),
    "opaque marks that repeat over many directories": Attack(
        # No directory is looked at twice for it, whatever the limit.
        stack([*(directory(f"d/{n}") for n in range(400)), *[opaque("d")] * 400]),
        limits=Limits(placing_steps=100_000),
    ),
    "whiteout of a deep tree": Attack(
        stack([file(DEEP)], [whiteout("d")]), shown=(), calls=6000
    ),
    # -- bombs --
    "gzip in gzip, a quine for those who unpack what they find": Attack(
        lambda: oci_archive(
            ImageDescription([[file("a.gz", gzip.compress(gzip.compress(bytes(1000))))]])
        ),
        shown=("/a.gz",),
    ),
    "gzip of gzip in place of the layer (CVE-2017-14992)": Attack(
        stored_as(gzip.compress(gzip.compress(bytes(1 << 20)))), error=TarError, verify=False
    ),
    "xz that ends early (CVE-2021-20291)": Attack(
        stored_as(compress(layer(file("a")), "xz")[:60]), error=StreamError, verify=False
    ),
    "table of contents in the layer that lies": Attack(
        lambda: oci_archive(
            ImageDescription([[file("a", "x"), file("stargz.index.json", json.dumps(TOC))]]),
            codec="gzip",
        ),
        shown=("/a", "/stargz.index.json"),
        holds=lambda image: image.fs().readtext("/a") == "x",
    ),
    "table of contents behind the layer that lies": Attack(
        stored_as(zstd_frame(layer(file("a"))) + skippable_frame(json.dumps(TOC).encode())),
        shown=("/a",), verify=False,
    ),
    "gzip in gzip as the layer": Attack(
        lambda: oci_archive(
            ImageDescription([LayerDescription(gzip.compress(layer(file("a"))), codec="gzip")])
        ),
        error=TarError,
    ),
    "deep tree in one name": Attack(
        stack([file(f"{DEEP}/low")], [file(f"{DEEP}/high")]),
        shown=(f"/{DEEP}/high", f"/{DEEP}/low"), calls=60_000,
    ),
    "owners that collide in a hash table": Attack(
        lambda: docker_archive(ImageDescription([colliding_owners(3000)]))
    ),
}  # fmt: skip


def paths_of(view: Any) -> tuple[str, ...]:
    return tuple(path for path, _ in view.find(None, types=("file", "symlink", "device")))


def everything(source: io.BytesIO, attack: Attack) -> None:
    with open_image(source, limits=attack.limits, verify=attack.verify) as image:
        view = image.fs()
        shown = paths_of(view)
        if attack.shown is not None:
            assert shown == tuple(sorted(attack.shown))
        for path in shown[:50]:
            view.getinfo(path, ["basic", "stat", "layer"])
        if attack.on_read is not None:
            path, kind = attack.on_read
            with pytest.raises(kind) as caught:
                view.readbytes(path)
            assert str(caught.value).isprintable()
        _ = image.findings
        for path in shown[:3]:
            assert all(line.isprintable() for line in str(image.explain(path)).splitlines())
        _ = image.hidden()
        assert all(line.isprintable() for line in str(image.agreement()).splitlines())
        assert attack.holds is None or attack.holds(image)


def test_what_is_asked_of_the_host_is_seen() -> None:
    HOST.asked.clear()
    HOST.watching = True
    try:
        Path(os.devnull).read_bytes()
    finally:
        HOST.watching = False
    assert HOST.asked == [("open", (os.devnull,))]


def test_every_published_attack_has_a_row() -> None:
    named = {number for name in ATTACKS for number in re.findall(r"-(\d{4}-\d+)", name)}
    assert named == set(PUBLISHED.split())


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_its_answer_at_a_cost_that_is_bounded_by_its_size(name: str) -> None:
    attack = ATTACKS[name]
    archive = attack.archive()
    source = Counted(archive)
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    HOST.asked.clear()
    HOST.watching = True
    sys.setprofile(count)
    try:
        if attack.error is None:
            everything(source, attack)
        else:
            with pytest.raises(attack.error) as caught:
                everything(source, attack)
    finally:
        sys.setprofile(before)
        HOST.watching = False
    assert not HOST.asked
    if attack.error is not None:
        assert str(caught.value).isprintable()
    assert source.taken <= 3 * len(archive) + (1 << 20)
    assert calls <= attack.calls * (len(archive) // 512) + 60_000


@pytest.mark.parametrize("codec", ["zstd", "bzip2"])
def test_a_bomb_of_zeros_stops_after_64_mebibytes(codec: str) -> None:
    # Of gzip, at 1030 to 1, the bomb is a whole layer of zeros that any runtime unpacks.
    archive = stored_as(compress(layer(file("a", bytes(80 << 20))), codec))()
    with (
        open_image(io.BytesIO(archive), verify=False) as image,
        pytest.raises(LimitError) as caught,
    ):
        image.prepare()
    assert caught.value.limit == "expansion"
    assert caught.value.layer == 0


@pytest.mark.parametrize(
    "depth",
    [6000, pytest.param(100_000, marks=[pytest.mark.campaign, pytest.mark.timeout(1800)])],
)
def test_a_deep_tree_stops_at_the_default_and_works_once_it_is_raised(depth: int) -> None:
    path = "/".join("d" * depth)
    archive = docker_archive(ImageDescription([[file(f"{path}/low", "1")], [file(f"{path}/high")]]))
    with open_image(io.BytesIO(archive)) as image:
        for _ in range(2):
            with pytest.raises(LimitError) as caught:
                image.prepare()
            assert caught.value.limit == "depth"
    raised = Limits(depth=depth + 1, name_bytes=1 << 40)
    with open_image(io.BytesIO(archive), limits=raised) as image:
        view = image.fs()
        assert view.readtext(f"/{path}/low") == "1"
        assert view.listdir(f"/{path}") == ["high", "low"]
        assert paths_of(view) == (f"/{path}/high", f"/{path}/low")
        assert sum(1 for _ in view.find("**/low")) == 1
        assert len(list(view.walk.files())) == 2
        assert {one.code for one in image.findings} == {"NAME_TOO_LONG"}
        told = image.explain(f"/{path}/low")
        assert told.present
        assert str(told)
        assert len(image.history_of(f"/{path}/low")) == 1
        assert list(image.hidden()) == []
        assert len(image.agreement()) == 0


HOSTILE = "a\x1b[31m\n\r\u2028\u202e\udcff b"


def error_classes(kind: type[UnionLayersError]) -> Iterator[type[UnionLayersError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from error_classes(below)


@pytest.mark.parametrize("kind", sorted(set(error_classes(UnionLayersError)), key=str), ids=str)
def test_every_error_is_one_printable_line_whatever_it_quotes(kind: type[UnionLayersError]) -> None:
    error = kind(
        f"what {HOSTILE}", path=HOSTILE, member=HOSTILE, pointer=HOSTILE, expected=HOSTILE,
        actual=HOSTILE, candidates=(HOSTILE, HOSTILE), hint=f"Try {HOSTILE}",
    )  # fmt: skip
    assert str(error).isprintable()
    assert repr(error).isprintable()
    assert error.path == HOSTILE
