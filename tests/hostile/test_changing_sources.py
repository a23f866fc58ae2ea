"""
Sources that change while they are open: the right answer or `SourceChangedError`, never a mixture.

Every form that is read from a disk, every file of it, and every way to change one: before anything
was read, after everything was, after `verify`, and in the middle of a file.
"""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from attrs import field, frozen
from made_stores import make_containers_root, make_docker_root

from unionlayers import (
    BlobNotFoundError,
    CorruptError,
    DirectoryIndexStore,
    Image,
    SourceChangedError,
    UnionLayersError,
    open_image,
)
from unionlayers._image import index_store, stored_layers
from unionlayers.testing import (
    FORMS,
    ImageDescription,
    directory,
    file,
    hardlink,
    layer,
    oci_archive,
    oci_layout,
    symlink,
    write_image,
)

CAMPAIGN = bool(os.environ.get("UNIONLAYERS_CAMPAIGN"))
TRIED = 1000 if CAMPAIGN else 2

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the time of change is POSIX")

# Not to be compressed, so that not all of it is at hand after the first read.
NOISE = random.Random(7).randbytes(150_000)
IMAGE = ImageDescription(
    [
        [
            directory("etc"), file("etc/name", "base"), file("etc/keep", "kept"),
            hardlink("etc/also", "etc/keep"), file("big", NOISE),
        ],
        [file("etc/name", "upper"), symlink("link", "etc/name")],
    ],
    tags=["example.org/app:1"],
)  # fmt: skip


@frozen
class Opened:
    """
    A source.

    Attributes:
        source: What `open_image` takes.
        files: The files it consists of.
        options: What else `open_image` takes.
    """

    source: Any
    files: tuple[Path, ...]
    options: dict[str, Any] = field(factory=dict)


def files_of(folder: Path) -> tuple[Path, ...]:
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return tuple(found)


def made(form: str, **written: Any) -> Callable[[Path], Opened]:
    def make(folder: Path) -> Opened:
        source = write_image(folder / "image", IMAGE, form=form, **written)
        place = folder / "image"
        files = (place,) if place.is_file() else files_of(place)
        return Opened(source, files)

    return make


def docker_store(folder: Path) -> Opened:
    root = make_docker_root(folder).root
    return Opened(root, files_of(root), {"reference": "app:1"})


def containers_store(folder: Path) -> Opened:
    root = make_containers_root(folder).root
    return Opened(root, files_of(root), {"reference": "localhost/app:1"})


def directories(folder: Path) -> Opened:
    for name, content in (("low/etc/name", "low"), ("high/etc/keep", "kept"), ("low/big", NOISE)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Opened([folder / "low", folder / "high"], files_of(folder))


def with_records(folder: Path) -> Opened:
    path = folder / "image.tar"
    path.write_bytes(oci_archive(IMAGE, codec="gzip"))
    store = DirectoryIndexStore(folder / "store")
    with open_image(path, index_store=store) as image:
        everything(image)
    return Opened(path, (path,), {"index_store": store})


SOURCES: dict[str, Callable[[Path], Opened]] = {
    **{form: made(form) for form in FORMS},
    "oci-archive, gzip layers": made("oci-archive", codec="gzip"),
    "oci-layout, zstd layers": made("oci-layout", codec="zstd"),
    "docker-archive in gzip": made("docker-archive", outer="gzip"),
    "oci-archive in zstd": made("oci-archive", outer="zstd"),
    "docker-archive in xz": made("docker-archive", outer="xz"),
    "layer-tars, gzip": made("layer-tars", codec="gzip"),
    "store of Docker": docker_store,
    "store of containers/storage": containers_store,
    "diff directories": directories,
    "archive with stored records": with_records,
}


OPEN_AT_ONCE = [name for name in SOURCES if "archive" in name or "save" in name or "tars" in name]
UNPROMISED = ["docker-directory-v1", "diff directories"]
FOUND_OUT = (BlobNotFoundError, CorruptError)


def source(name: str, folder: Path) -> Opened:
    folder.mkdir()
    return SOURCES[name](folder)


# -- how a file changes ----------------------------------------------------------------------------


def other(path: Path) -> bytes:
    return path.read_bytes().translate(bytes(byte ^ 0x55 for byte in range(256)))


def rewritten(path: Path) -> None:
    data = other(path)
    with path.open("r+b") as held:
        held.write(data)


def rewritten_in_secret(path: Path) -> None:
    """Rewrite a file and set its times to what they were; that of the change tells."""
    before = path.stat()
    rewritten(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def grown(path: Path) -> None:
    with path.open("ab") as held:
        held.write(b"more")


def replaced(path: Path) -> None:
    data = other(path)
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(data)
    beside.replace(path)


def removed(path: Path) -> None:
    path.unlink()


WAYS = [rewritten, rewritten_in_secret, truncated, emptied, grown, replaced, removed]


# -- what is asked ---------------------------------------------------------------------------------


def questions(image: Image) -> dict[str, Callable[[], Any]]:
    view = image.fs()
    names = ("/etc/name", "/etc/keep", "/etc/also", "/link", "/big", "/new")
    # What a list of directories says of itself is the time of now.
    spaces = ["basic", "details", "access", "link", "xattr"]
    asked: dict[str, Callable[[], Any]] = {
        "tree": lambda: sorted(view.walk.files("/")),
        "config": lambda: image.config,
        "manifest": lambda: image.manifest,
        "history": lambda: image.history,
        "findings": lambda: image.findings,
        "layers": lambda: [sorted(one.fs().walk.files("/")) for one in image.layers],
    }
    for name in names:
        asked[f"bytes of {name}"] = lambda name=name: (  # type: ignore[misc]
            view.readbytes(name) if view.isfile(name) else None
        )
        asked[f"facts of {name}"] = lambda name=name: (  # type: ignore[misc]
            view.getinfo(name, spaces).raw if view.exists(name) else None
        )
    return asked


def everything(image: Image) -> dict[str, Any]:
    return {name: question() for name, question in questions(image).items()}


def noticed(
    image: Image, expected: dict[str, Any], errors: tuple[type[UnionLayersError], ...]
) -> int:
    """Ask everything; give how often the change was noticed; anything but the truth fails."""
    count = 0
    for name, question in questions(image).items():
        try:
            answer = question()
        except errors:
            count += 1
        else:
            assert answer == expected[name], name
    return count


def cold(_image: Image) -> None:
    """Let nothing be read before the change."""


def warm(image: Image) -> None:
    everything(image)


def verified(image: Image) -> None:
    image.verify()


@pytest.fixture(autouse=True)
def told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sources be noted that were just written."""
    monkeypatch.setattr(stored_layers, "_SETTLED_NS", -1)


@pytest.mark.parametrize("before", [cold, warm, verified])
@pytest.mark.parametrize("name", SOURCES)
def test_a_file_that_changes_is_noticed_or_nothing_of_it_is_told(
    name: str, before: Callable[[Image], None], tmp_path: Path, seed: int
) -> None:
    if before is cold and name in UNPROMISED:
        pytest.skip("no digest covers what nobody has looked at")
    # A file of a folder that was not looked at yet is another one from the beginning.
    known = before is not cold or name in OPEN_AT_ONCE
    errors = (SourceChangedError,) if known else (SourceChangedError, *FOUND_OUT)
    dice = random.Random(f"{seed} {name} {before.__name__}")
    files = len(source(name, tmp_path / "first").files)
    ways = [(place, way) for place in range(files) for way in WAYS]
    total = 0
    for number, (place, way) in enumerate(dice.sample(ways, min(len(ways), TRIED))):
        here = source(name, tmp_path / f"{number}")
        path = here.files[place]
        with open_image(here.source, **here.options) as image:
            expected = everything(image)
        # What a process has indexed it knows for as long as an index lives.
        del image
        gc.collect()
        with open_image(here.source, **here.options) as image:
            before(image)
            size = path.stat().st_size
            way(path)
            try:
                count = noticed(image, expected, errors)
                if size > 100_000 and name != "diff directories":
                    # A layer that has a digest: whatever is at hand, all of it cannot be.
                    with pytest.raises(errors):
                        image.verify()
                    count += 1
            except Exception as error:
                told = f"{path.relative_to(tmp_path)} {way.__name__}"
                raise AssertionError(told) from error
            total += count
    assert total or files > 1


# -- what needs a way of its own -------------------------------------------------------------------


def read_on(held: BinaryIO, expected: bytes) -> None:
    """Read a file to its end, as long as it has the right bytes."""
    while piece := held.read(50_000):
        assert expected.startswith(piece)
        expected = expected[len(piece) :]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", ["docker-archive", "oci-layout", "layer-tars", "docker-directory"])
def test_a_file_that_is_open_inside_of_the_image_is_noticed_too(
    form: str, way: Callable[[Path], None], tmp_path: Path
) -> None:
    # More than is read ahead.
    noise = NOISE * 14
    image = ImageDescription([[file("big", noise)], [file("a", "1")]])
    written = write_image(tmp_path / "image", image, form=form)
    top = tmp_path / "image"
    changed = top if top.is_file() else max(files_of(top), key=lambda path: path.stat().st_size)
    with open_image(written) as opened, opened.fs().openbin("/big") as held:
        assert held.read(100) == noise[:100]
        way(changed)
        with pytest.raises(SourceChangedError) as caught:
            read_on(held, noise[100:])
        assert caught.value.member
        # The image stays, and so does what is known of it.
        assert opened.fs().getsize("/big") == len(noise)
        with pytest.raises(SourceChangedError):
            opened.fs().readbytes("/big")


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_a_blob_of_a_folder_whose_file_was_closed_meanwhile_is_still_the_first_one(
    way: Callable[[Path], None], verify: bool, tmp_path: Path
) -> None:
    # More layers than files are kept open.
    image = ImageDescription([[file(f"f{number}", f"{number}")] for number in range(80)])
    folder = oci_layout(tmp_path / "layout", image)
    with open_image(folder, verify=verify) as opened:
        opened.prepare()
        names = {one.digest for one in opened.layers}
        for digest in names:
            assert digest is not None
            way(folder / "blobs" / "sha256" / digest.removeprefix("sha256:"))
        for number in range(80):
            with pytest.raises(SourceChangedError) as caught:
                opened.fs().readbytes(f"/f{number}")
            assert "blobs/sha256/" in str(caught.value.member)


@pytest.mark.parametrize("layers", [2, 80])
def test_what_verify_has_seen_is_not_exchanged_behind_it(layers: int, tmp_path: Path) -> None:
    image = ImageDescription([[file(f"f{number}", f"{number}")] for number in range(layers)])
    folder = oci_layout(tmp_path / "layout", image)
    with open_image(folder, verify=False) as opened:
        opened.verify()
        digest = str(opened.layers[0].digest)
        beside = tmp_path / "other"
        beside.write_bytes(layer(file("f0", "another")))
        beside.replace(folder / "blobs" / "sha256" / digest.removeprefix("sha256:"))
        for _ in range(2):
            with pytest.raises(SourceChangedError):
                opened.fs().readtext("/f0")
        with pytest.raises(SourceChangedError):
            opened.verify()


def test_a_mapped_record_that_is_replaced_or_removed_changes_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_store, "_MAP_FROM", 1)
    here = source("archive with stored records", tmp_path / "here")
    store = here.options["index_store"]
    gc.collect()
    with open_image(here.source, **here.options) as image:
        expected = everything(image)
        view = image.fs()
        assert view.exists("/etc/name")
        for path in store.path.glob("*.*.*"):
            replaced(path)
        assert everything(image) == expected
        for path in store.path.glob("*.*.*"):
            path.unlink()
        assert everything(image) == expected
        image.verify()
    gc.collect()
    with open_image(here.source, **here.options) as image:
        assert everything(image) == expected
