"""
One odd file in a store: what needs it is refused with its path, and all else opens as before.

Every document and folder of both kinds of store is replaced in turn by what is none of its kind.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import field, frozen
from made_stores import (
    Made,
    add_to_containers_root,
    add_to_docker_root,
    make_containers_root,
    make_docker_root,
)

from unionlayers import (
    BlobNotFoundError,
    SourceAccessError,
    StoreError,
    UnionLayersError,
    list_images,
    open_image,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "listxattr"), reason="on-disk stores need Linux")

IMAGES = ("app:1", "other:1")
CONTAINERS = ("box", "spare")
ALL = (*IMAGES, *CONTAINERS)


@frozen
class Two:
    """A store of two images and a container of each."""

    app: Made
    other: Made

    @property
    def root(self) -> Path:
        """Its root."""
        return self.app.root


@frozen
class Part:
    """
    A document or a folder of a store.

    Attributes:
        name: Where it is.
        refused: What cannot be opened without it.
        lists: What it gives the name of, which a list of the store then lacks.
        found: What opens all the same, though with a finding.
        read: Whether it is needed only once a layer is read.
        folder: Whether it is a folder.
        missed: Whether it is a layer's own folder: the layer is missing then.
        hides: Whether it may name others, which nobody would know of.
    """

    name: str
    refused: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    read: bool = False
    folder: bool = False
    missed: bool = field(default=False, kw_only=True)
    hides: bool = field(default=False, kw_only=True)


APP = ("app:1", "box")
DOCKER = {
    "repositories": Part("image/overlay2/repositories.json", IMAGES, lists=IMAGES),
    "config": Part("image/overlay2/imagedb/content/sha256/{id}", ("app:1",), found=("box",)),
    "configs": Part(
        "image/overlay2/imagedb/content/sha256",
        IMAGES,
        lists=IMAGES,
        found=CONTAINERS,
        folder=True,
    ),
    "cache-id": Part("image/overlay2/layerdb/sha256/{chain}/cache-id", APP),
    "diff-id": Part("image/overlay2/layerdb/sha256/{chain}/diff", APP),
    "size": Part("image/overlay2/layerdb/sha256/{chain}/size"),
    "frame": Part("image/overlay2/layerdb/sha256/{chain}/tar-split.json.gz", APP, read=True),
    "parent of a layer": Part("image/overlay2/layerdb/sha256/{top}/parent", ("box",)),
    "layer": Part("image/overlay2/layerdb/sha256/{chain}", APP, folder=True),
    "layers": Part("image/overlay2/layerdb", ALL, folder=True),
    "init-id": Part("image/overlay2/layerdb/mounts/{box}/init-id", ("box",)),
    "mount-id": Part("image/overlay2/layerdb/mounts/{box}/mount-id", ("box",)),
    "parent of a mount": Part("image/overlay2/layerdb/mounts/{box}/parent", ("box",)),
    "mount": Part("image/overlay2/layerdb/mounts/{box}", ("box",), folder=True),
    "config.v2": Part("containers/{box}/config.v2.json", ("box",), lists=("box",)),
    "hostconfig": Part("containers/{box}/hostconfig.json"),
    "container": Part("containers/{box}", ("box",), lists=("box",), folder=True),
    "containers": Part("containers", CONTAINERS, lists=CONTAINERS, folder=True),
    "link": Part("overlay2/{folder}/link"),
    "lower": Part("overlay2/{upper}/lower"),
    "diff": Part("overlay2/{folder}/diff", APP, folder=True, missed=True),
    "own diff": Part("overlay2/mount-rw/diff", ("box",), folder=True, missed=True),
}
STORAGE = {
    "images": Part("overlay-images/images.json", IMAGES, lists=IMAGES, found=CONTAINERS),
    "volatile images": Part("overlay-images/volatile-images.json", hides=True),
    "manifest": Part("overlay-images/{id}/manifest", ("app:1",), found=("box",)),
    "config": Part("overlay-images/{id}/{config}", ("app:1",), found=("box",)),
    "image": Part("overlay-images/{id}", ("app:1",), found=("box",), folder=True),
    "layers": Part("overlay-layers/layers.json", ALL, found=()),
    "volatile layers": Part("overlay-layers/volatile-layers.json"),
    "layers' folder": Part("overlay-layers", ALL, folder=True),
    "frame": Part("overlay-layers/{folder}.tar-split.gz", APP, read=True),
    "containers": Part("overlay-containers/containers.json", CONTAINERS, lists=CONTAINERS),
    "volatile containers": Part("overlay-containers/volatile-containers.json", hides=True),
    "containers' folder": Part("overlay-containers", CONTAINERS, lists=CONTAINERS, folder=True),
    "mount program": Part("overlay/.has-mount-program", ALL),
    "link": Part("overlay/{folder}/link"),
    "lower": Part("overlay/{upper}/lower"),
    "diff": Part("overlay/{folder}/diff", APP, folder=True, missed=True),
    "own diff": Part("overlay/top/diff", ("box",), folder=True, missed=True),
}


def place_of(two: Two, part: Part) -> Path:
    """Give where a part is."""
    app = two.app
    given = {
        "id": app.id[7:],
        "box": app.container,
        "folder": app.diffs[0].parent.name,
        "upper": app.diffs[1].parent.name,
        "chain": app.frames[0].parent.name,
        "top": app.frames[1].parent.name,
    }
    if "{config}" in part.name:
        names = os.listdir(two.root / "overlay-images" / given["id"])
        given["config"] = next(
            name
            for name in names
            if b'"rootfs"' in (two.root / part.name.format(**given, config=name)).read_bytes()
        )
    return two.root / part.name.format(**given)


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Two:
    """Make a data-root of Docker."""
    made = make_docker_root(tmp_path_factory.mktemp("odd"))
    return Two(made, add_to_docker_root(made))


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Two:
    """Make a root of containers/storage."""
    made = make_containers_root(tmp_path_factory.mktemp("odd"))
    return Two(made, add_to_containers_root(made))


def unreadable(place: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the host refuse to open a file, as it cannot be made to for root."""
    opened = os.open

    def refusing(
        path: str | bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> int:
        if dir_fd is not None and os.fsencode(path) == os.fsencode(place.name):
            above = os.readlink(f"/proc/self/fd/{dir_fd}")
            if above == os.path.realpath(place.parent):
                raise OSError(number, os.strerror(number), path)
        return opened(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refusing)
    monkeypatch.setattr(os, "supports_dir_fd", {*os.supports_dir_fd, refusing})


def make_socket(place: Path) -> None:
    """Bind a socket, whose whole path may be too long."""
    before = os.getcwd()
    os.chdir(place.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(place.name)
    finally:
        os.chdir(before)


# What is put in place of a document, and what it is called.
ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "fifo": (os.mkfifo, "a FIFO"),
    "socket": (make_socket, "a socket"),
    "folder": (Path.mkdir, "a folder"),
    "dangling": (lambda place: place.symlink_to("none"), "a link"),
    "outside": (lambda place: place.symlink_to(f"{place}.away"), "a link"),
    "empty": (Path.touch, "an empty file"),
}


@contextmanager
def instead(place: Path, make: Callable[[Path], object] | None) -> Iterator[None]:
    """Put something in place of a file or folder while the context lasts."""
    if make is None:
        yield
        return
    away = Path(f"{place}.away")
    there = place.exists()
    if there:
        place.rename(away)
    try:
        make(place)
        yield
    finally:
        if place.is_dir() and not place.is_symlink():
            place.rmdir()
        else:
            place.unlink()
        if there:
            away.rename(place)


def shown(root: Path, reference: str) -> object:
    """Give what an image shows, or the error that it is refused with."""
    try:
        # Podman has put it before the names that are built.
        local = "localhost/" if root.name == "storage" and reference in IMAGES else ""
        with open_image(root, reference=local + reference) as image, image.fs() as view:
            tree = {path: view.readbytes(path) for path in view.walk.files() if view.isfile(path)}
            odd = [item for item in image.findings if item.code == "STORE_NOT_READ"]
            return tree, [item.message for item in odd]
    except UnionLayersError as error:
        return error


def found_in(root: Path, reference: str, *texts: str) -> bool:
    """Tell whether a finding of an image, whose layers need not be there, says some texts."""
    local = "localhost/" if root.name == "storage" and reference in IMAGES else ""
    with open_image(root, reference=local + reference, missing="skip") as image:
        return any(all(text in item.message for text in texts) for item in image.findings)


def check(two: Two, part: Part, place: Path, what: str, kind: type[UnionLayersError]) -> None:
    """Compare what is listed and opens with what a part is needed for."""
    before = {"app:1": 3, "other:1": 1, "box": 4, "spare": 2}
    listed = list_images(two.root)
    errors = [item.error for item in listed if item.error is not None]
    for reference in ALL:
        outcome = shown(two.root, reference)
        if reference not in part.refused:
            assert isinstance(outcome, tuple), (reference, outcome)
            tree, odd = outcome
            assert len(tree) == before[reference]
            assert len(odd) == (reference in part.found)
            assert all(str(place) in message and what in message for message in odd)
        elif part.missed:
            assert isinstance(outcome, BlobNotFoundError)
            assert outcome.member == str(place.relative_to(two.root))
            assert outcome.hint is not None
            assert found_in(two.root, reference, str(place), what)
        else:
            assert isinstance(outcome, kind), (reference, outcome)
            assert outcome.member == str(place)
            assert what in outcome.message
            assert outcome.hint is not None
            assert "spool" not in outcome.hint
            assert part.read or [str(error) for error in errors].count(str(outcome))
    names = [name for item in listed for name in item.references]
    for reference in ALL:
        assert any(name.endswith(reference) for name in names) is (reference not in part.lists)
    assert bool(errors) is (part.hides or (bool(part.refused) and not part.read | part.missed))


def cases(parts: dict[str, Part]) -> list[object]:
    """Give each part with each odd thing that can take its place."""
    return [
        pytest.param(part, odd, id=f"{name}-{odd}")
        for name, part in parts.items()
        for odd in (*ODD, "denied", "bad-sector")
        if not (part.folder and odd in ("folder", "empty", "denied", "bad-sector"))
        # Podman takes an empty one for none.
        and not (name == "mount program" and odd == "empty")
    ]


def run(two: Two, part: Part, odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an odd thing in place of a part, and look at the store."""
    place = place_of(two, part)
    numbers = {"denied": errno.EACCES, "bad-sector": errno.EIO}
    make, what = ODD.get(odd, (None, "rights" if odd == "denied" else "cannot be read"))
    kind = SourceAccessError if odd == "denied" else StoreError
    if make is None and not place.exists():
        place.touch()
        try:
            unreadable(place, monkeypatch, numbers[odd])
            check(two, part, place, what, kind)
        finally:
            place.unlink()
        return
    if make is None:
        unreadable(place, monkeypatch, numbers[odd])
    with instead(place, make):
        check(two, part, place, what, kind)


@pytest.mark.parametrize(("part", "odd"), cases(DOCKER))
def test_one_odd_file_in_a_root_of_docker(
    docker: Two, part: Part, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(docker, part, odd, monkeypatch)


@pytest.mark.parametrize(("part", "odd"), cases(STORAGE))
def test_one_odd_file_in_a_root_of_containers_storage(
    storage: Two, part: Part, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(storage, part, odd, monkeypatch)


def test_a_container_without_what_it_has_written_is_not_shown_without_it(docker: Two) -> None:
    mount = docker.root / "image/overlay2/layerdb/mounts" / docker.app.container
    (mount / "mount-id").rename(mount / "away")
    try:
        assert not next(i for i in list_images(docker.root) if "box" in i.references).present
        with (
            open_image(docker.root, reference="box") as image,
            image.fs() as view,
            pytest.raises(BlobNotFoundError) as caught,
        ):
            view.listdir("/")
        assert str(caught.value.member).endswith("mount-id")
    finally:
        (mount / "away").rename(mount / "mount-id")


def test_a_container_without_its_base_is_not_shown_without_it(docker: Two) -> None:
    base = docker.app.frames[0].parent
    base.rename(f"{base}.away")
    try:
        with (
            open_image(docker.root, reference="box") as image,
            image.fs() as view,
            pytest.raises(BlobNotFoundError) as caught,
        ):
            view.listdir("/")
        assert str(caught.value.member).endswith(base.name)
    finally:
        Path(f"{base}.away").rename(base)


def test_a_container_without_its_document_is_refused(docker: Two) -> None:
    place = docker.root / "containers" / docker.app.container / "config.v2.json"
    place.rename(f"{place}.away")
    try:
        for reference in ("box", docker.app.container):
            with pytest.raises(StoreError, match="gone") as caught:
                open_image(docker.root, reference=reference)
            assert caught.value.member == str(place)
    finally:
        Path(f"{place}.away").rename(place)


def test_an_image_is_found_by_its_id_where_names_cannot_be_read(docker: Two) -> None:
    place = docker.root / "image/overlay2/repositories.json"
    with instead(place, os.mkfifo):
        for made in (docker.app, docker.other):
            with open_image(docker.root, reference=made.id) as image:
                assert [item.code for item in image.findings] == ["STORE_NOT_READ"]
        images = [item for item in list_images(docker.root) if item.kind == "image"]
        assert [item.id for item in images] == sorted([docker.app.id, docker.other.id])
        assert all(item.references == () for item in images)


def test_one_bad_item_of_a_list_leaves_the_others(storage: Two) -> None:
    for part in ("images", "layers", "containers"):
        place = storage.root / f"overlay-{part}/{part}.json"
        whole = place.read_bytes()
        place.write_text(json.dumps([7, {"id": "../../etc"}, *json.loads(whole)]))
        try:
            assert all(isinstance(shown(storage.root, name), tuple) for name in ALL)
            bad = [item for item in list_images(storage.root) if item.error is not None]
            assert len(bad) == (0 if part == "layers" else 2)
        finally:
            place.write_bytes(whole)


def test_a_root_that_may_not_be_listed_is_named_itself(
    storage: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refusing(
        path: str | bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> int:
        if dir_fd is not None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", refusing)
    monkeypatch.setattr(os, "supports_dir_fd", {*os.supports_dir_fd, refusing})
    with pytest.raises(SourceAccessError) as caught:
        list_images(storage.root)
    assert caught.value.member == str(storage.root)
