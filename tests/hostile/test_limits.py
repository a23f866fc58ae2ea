"""Each limit from both sides, and what its error says; real images are far from all of them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, fields

from unionlayers import (
    LayerError,
    LimitError,
    Limits,
    LinkLoopError,
    UnionLayersError,
    list_images,
    open_image,
)
from unionlayers.testing import (
    ImageDescription,
    IndexDescription,
    LayerDescription,
    char_device,
    directory,
    docker_archive,
    file,
    layer,
    oci_archive,
    opaque,
    sparse_file,
    symlink,
)

NAMES = [field.name for field in fields(Limits)]
PAGE = Path(__file__).parents[2] / "SECURITY.md"
IMAGES = Path(__file__).parents[1] / "images"


def one(*entries: Any) -> bytes:
    return docker_archive(ImageDescription([list(entries)]))


def nested(depth: int) -> IndexDescription:
    inner = IndexDescription([ImageDescription([[file("a")]])])
    for _ in range(depth - 1):
        inner = IndexDescription([inner])
    return inner


def segments(count: int) -> list[tuple[int, bytes]]:
    return [(number * 1024, b"x" * 512) for number in range(count)]


def chain(count: int, *last: Any) -> bytes:
    return one(*(symlink(f"l{n}", f"l{n + 1}") for n in range(count)), *last)


CASES: dict[str, Callable[[], bytes]] = {
    "entries": lambda: one(*(file(f"f{n}") for n in range(9))),
    "image_entries": lambda: docker_archive(ImageDescription([[file("a")], [file("b")] * 2])),
    "name_bytes": lambda: one(file("d/e/f" + "a" * 30), symlink("l", "t" * 500)),
    "xattr_bytes": lambda: one(*(file(f"f{n}", xattrs={"user.x": b"y" * 40}) for n in range(5))),
    "header_bytes": lambda: one(file("a", xattrs={"user.x": b"x" * 700})),
    "pax_records": lambda: one(file("a", xattrs={f"user.{n}": b"x" for n in range(6)})),
    "sparse_entries": lambda: one(
        sparse_file("a", segments(4), 8192), sparse_file("b", segments(3), 8192)
    ),
    "layer_bytes": lambda: oci_archive(ImageDescription([[file("a", b"a" * 5000)]]), codec="gzip"),
    "expansion": lambda: oci_archive(
        ImageDescription([LayerDescription(layer(file("a", bytes(66 << 20))), codec="gzip")])
    ),
    "window_bytes": lambda: oci_archive(
        ImageDescription([[file("a", bytes(range(256)) * 40)]]), codec="zstd"
    ),
    "document_bytes": lambda: one(file("a")),
    "metadata_bytes": lambda: one(file("a")),
    "spool_bytes": lambda: one(file("a")),
    "members": lambda: one(file("a")),
    "images": lambda: docker_archive(
        *(ImageDescription([[file(f"f{n}")]], tags=[f"t:{n}"]) for n in range(3))
    ),
    "nesting": lambda: oci_archive(nested(3)),
    "layers": lambda: docker_archive(ImageDescription([[file(f"f{n}")] for n in range(3)])),
    "archive_layers": lambda: oci_archive(
        *(ImageDescription([[file(f"f{n}")]] * 2, tags=[f"t:{n}"]) for n in range(3))
    ),
    "links": lambda: chain(5, file("l5", "end")),
    "index_links": lambda: chain(5, directory("l5"), file("l0/f"), char_device("z", 0, 0)),
    "placing_steps": lambda: one(
        symlink("l", "./././d"), directory("d"), *(file(f"l/f{n}") for n in range(4)),
        *[opaque("d")] * 3,
    ),
    "depth": lambda: one(file("1/2/3/4/5/6")),
    "component_bytes": lambda: one(file("d/" + "a" * 300)),
}  # fmt: skip


class Pipe(io.BytesIO):
    """A stream that cannot seek."""

    def seekable(self) -> bool:
        return False


def ask(name: str, archive: bytes, limits: Limits) -> None:
    """Ask everything of an image."""
    if name in ("images", "archive_layers"):
        assert len(list_images(io.BytesIO(archive), limits=limits)) == 3
        return
    if name == "spool_bytes":
        open_image(Pipe(archive), limits=limits, spool=True).close()
        return
    with open_image(io.BytesIO(archive), limits=limits) as image:
        view = image.fs()
        _ = image.findings
        types = ("file", "symlink") if name == "links" else ("file",)
        for path, info in view.find(None, types=types):
            if info.size < 1 << 20:
                view.readbytes(path)


def refused(name: str, archive: bytes, value: int) -> UnionLayersError | None:
    try:
        ask(name, archive, Limits(**{name: value}))
    except (LimitError, LinkLoopError, LayerError) as error:
        return error
    return None


def test_every_limit_has_a_case() -> None:
    assert sorted(CASES) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_lets_its_value_pass_and_refuses_one_more(name: str) -> None:
    archive = CASES[name]()
    default = getattr(Limits(), name)
    low, high = 0, 1
    while refused(name, archive, high) is not None:
        low, high = high, high * 4
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if refused(name, archive, middle) is None else (middle, high)
    assert 0 < low < high <= default
    ask(name, archive, Limits(**{name: high}))
    error = refused(name, archive, low)
    if name == "links":
        # As the kernel has it, a path with too many links is a loop.
        assert isinstance(error, LinkLoopError)
        assert error.expected == low
    elif name == "index_links":
        # An entry behind too many links is one that no runtime applies.
        assert isinstance(error, LayerError)
    else:
        assert isinstance(error, LimitError)
        assert (error.limit, error.expected) == (name, low)
        assert isinstance(error.actual, int)
        assert error.actual > low
        assert f"Limits({name}={error.actual})" in str(error)
        assert str(error.expected) in str(error)


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*.tar")), ids=lambda path: path.name)
def test_real_images_stay_within_a_tenth_of_every_default(path: Path) -> None:
    limits = Limits()
    tenth = evolve(
        limits,
        **{
            name: getattr(limits, name) // 10
            for name in NAMES
            # Few of each are allowed at all; these bounds are those of runtimes.
            if name not in ("nesting", "links", "layers")
        },
    )
    for summary in list_images(path, limits=tenth):
        wanted = summary.digest or summary.id
        with open_image(path, reference=wanted, limits=tenth) as image:
            for found, _ in image.fs().find(None, types=("file",)):
                image.fs().getsize(found)
            _ = image.findings


def test_the_table_of_the_security_page_is_that_of_the_class() -> None:
    page = PAGE.read_text("utf-8").partition("\n### ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| (.+?) \|$", page, re.MULTILINE)
    assert [(name, int(value.replace(",", ""))) for name, value, _ in rows] == [
        (name, getattr(Limits(), name)) for name in NAMES
    ]
    told = " ".join((Limits.__doc__ or "").split())
    for name, _, meaning in rows:
        assert f"{name}: {meaning}" in told


def test_what_real_images_need_is_below_every_default() -> None:
    page = PAGE.read_text("utf-8").partition("\n### ")[2]
    rows = re.findall(r"^\| `(\w+)` \| (?:at most )?([\d,]+) \| .+? \|$", page, re.MULTILINE)
    assert len(rows) > 15
    for name, need in rows:
        assert int(need.replace(",", "")) * 3 // 2 < getattr(Limits(), name), name
    rest = re.search(r"None of them needs (.+)\.", page)
    assert rest is not None
    # What spools is asked for by the caller.
    told = {name for name, _ in rows} | set(re.findall(r"`(\w+)`", rest[1])) | {"spool_bytes"}
    assert told == set(NAMES)
