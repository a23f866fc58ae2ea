"""What can be given as a source: files, pipes, devices, objects, folders, folders in archives."""

from __future__ import annotations

import gc
import io
import os
import pickle
import socket
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from unionlayers import (
    BlobNotFoundError,
    LimitError,
    Limits,
    SourceChangedError,
    UnionFS,
    UnionLayersError,
    UnknownFormatError,
    UnseekableSourceError,
    list_images,
    open_image,
)
from unionlayers.testing import (
    FORMS,
    Damage,
    ImageDescription,
    containerd_save,
    directory,
    docker_archive,
    file,
    image_members,
    layer,
    oci_archive,
    symlink,
    write_directory,
    write_image,
)
from unionlayers.testing.entry import Entry

IMAGE = ImageDescription([[file("a", "1")], [file("b", "2")]], tags=["app:1"])
TAR = docker_archive(IMAGE)
ARCHIVES = [name for name, form in FORMS.items() if form.kind == "archive"]
needs_fifo = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")


class OneWay(io.RawIOBase):
    """A stream that gives its bytes once, in small pieces, as a network connection does."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._inner = io.BytesIO(data)
        self.reads = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.reads += 1
        piece = self._inner.read(min(len(buffer), 3000))
        buffer[: len(piece)] = piece
        return len(piece)


def temporary(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith("unionlayers-")]


def feed(path: Path, data: bytes) -> threading.Thread:
    """Write into a FIFO from a thread, as a shell does for a process substitution."""

    def write() -> None:
        try:
            path.write_bytes(data)
        except BrokenPipeError:
            return

    thread = threading.Thread(target=write)
    thread.start()
    return thread


# -- what cannot seek ------------------------------------------------------------------------------


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


UNSEEKABLE: dict[str, Callable[[Path], Any]] = {
    "a FIFO": fifo,
    "a character device": lambda _: "/dev/zero",
    "an object": lambda _: OneWay(TAR),
    "an object in a list's place of a path": lambda folder: [fifo(folder)],
}


@needs_fifo
@pytest.mark.parametrize("ask", [open_image, list_images, UnionFS])
@pytest.mark.parametrize("name", UNSEEKABLE)
def test_what_cannot_seek_is_refused_unread_and_the_error_says_how_to_spool(
    name: str, ask: Callable[[Any], Any], tmp_path: Path
) -> None:
    source = UNSEEKABLE[name](tmp_path)
    with pytest.raises(UnseekableSourceError) as caught:
        ask(source)
    assert "spool=True" in str(caught.value.hint)
    assert caught.value.member
    if isinstance(source, OneWay):
        assert source.reads == 0


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no such sockets here")
@pytest.mark.parametrize("spool", [None, True])
def test_a_socket_is_refused_even_where_a_copy_was_asked(spool: bool | None) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(folder, "s")
        listener.bind(path)
        with pytest.raises(UnseekableSourceError, match="socket"):
            open_image(path, spool=spool)


@needs_fifo
@pytest.mark.parametrize("form", ARCHIVES)
def test_a_pipe_is_copied_once_where_that_was_asked(form: str, tmp_path: Path) -> None:
    data = layer(*image_members(IMAGE, form=form))
    spool = tmp_path / "spool"
    spool.mkdir()
    path = fifo(tmp_path)
    thread = feed(path, data)
    with open_image(path, spool=spool) as image:
        assert image.fs().readtext("/b") == "2"
        assert image.fs().readtext("/a") == "1"
        # Where a file may lose its name and stay, nobody else finds it.
        assert temporary(spool) == [] or sys.platform == "win32"
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(image)
    thread.join()
    assert temporary(spool) == []


@needs_fifo
def test_layers_come_through_pipes_as_well(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(layer(file("a", "1")))
    path = fifo(tmp_path)
    thread = feed(path, layer(file("b", "2")))
    with open_image([tmp_path / "base", path], spool=tmp_path) as image:
        assert image.fs().listdir("/") == ["a", "b"]
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(image)
    thread.join()


def test_an_object_that_gives_pieces_is_copied_whole_and_not_closed(tmp_path: Path) -> None:
    stream = OneWay(TAR)
    with UnionFS(stream, spool=tmp_path) as view:  # type: ignore[arg-type]
        assert view.readtext("/b") == "2"
    assert not stream.closed
    listed = list_images(OneWay(TAR), spool=True)  # type: ignore[arg-type]
    assert [item.references for item in listed] == [("app:1",)]


def test_what_can_seek_is_never_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a temporary file was made")

    monkeypatch.setattr(tempfile, "TemporaryFile", never)
    path = tmp_path / "image.tar"
    path.write_bytes(TAR)
    for source in (path, io.BytesIO(TAR)):
        with open_image(source, spool=True) as image:
            assert image.fs().readtext("/b") == "2"
    with pytest.raises(AssertionError, match="was made"):
        open_image(OneWay(TAR), spool=True)  # type: ignore[arg-type]


def test_a_copy_is_bounded_and_nothing_of_it_stays(tmp_path: Path) -> None:
    limits = Limits(spool_bytes=len(TAR))
    with open_image(OneWay(TAR), spool=tmp_path, limits=limits) as image:  # type: ignore[arg-type]
        assert image.fs().exists("/a")
    with pytest.raises(LimitError) as caught:
        open_image(
            OneWay(TAR),  # type: ignore[arg-type]
            spool=tmp_path,
            limits=Limits(spool_bytes=len(TAR) - 1),
        )
    assert caught.value.limit == "spool_bytes"
    assert temporary(tmp_path) == []


def test_progress_is_told_of_the_copy_and_can_stop_it(tmp_path: Path) -> None:
    told: list[tuple[int, int | None, str]] = []
    with open_image(
        OneWay(TAR),  # type: ignore[arg-type]
        spool=tmp_path,
        progress=lambda *facts: told.append(facts),
    ):
        assert told[-1] == (len(TAR), None, "spool")

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_image(OneWay(TAR), spool=tmp_path, progress=stop)  # type: ignore[arg-type]
    assert temporary(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc here")
def test_a_copy_is_gone_with_an_image_that_does_not_open_or_is_dropped(tmp_path: Path) -> None:
    def spooled() -> list[str]:
        links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        return [os.readlink(link) for link in links if os.path.lexists(link)]

    with pytest.raises(UnknownFormatError):
        open_image(OneWay(layer(file("x"))), spool=tmp_path)  # type: ignore[arg-type]
    assert not [name for name in spooled() if str(tmp_path) in name]
    image = open_image(OneWay(TAR), spool=tmp_path)  # type: ignore[arg-type]
    assert [name for name in spooled() if str(tmp_path) in name]
    del image
    gc.collect()
    assert not [name for name in spooled() if str(tmp_path) in name]


def test_a_place_for_copies_that_is_no_folder_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(NotADirectoryError, match="spool="):
            open_image(OneWay(TAR), spool=place)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("piece", "words"), [("text", "text mode"), (None, "no bytes"), (7, "no bytes")]
)
def test_an_object_that_gives_something_else_than_bytes_is_named(
    piece: object, words: str, tmp_path: Path
) -> None:
    class Odd:
        def read(self, _: int) -> object:
            return piece

    with pytest.raises(UnknownFormatError, match=words):
        open_image(Odd(), spool=tmp_path)  # type: ignore[arg-type]
    assert temporary(tmp_path) == []


@pytest.mark.parametrize("source", [7, None, {"a": 1}, object()])
def test_what_is_no_source_at_all_is_a_type_error(source: Any) -> None:
    with pytest.raises(TypeError, match="a source is"):
        open_image(source)


# -- folders in archives ---------------------------------------------------------------------------


def within(folder: str, members: tuple[Entry, ...], *beside: Entry, dotted: bool = False) -> bytes:
    """Give the tar of a folder, as ``tar c folder`` makes it."""
    from attrs import evolve

    prefix = f"./{folder}/" if dotted else f"{folder}/"
    inner = [evolve(entry, path=prefix.encode() + entry.path) for entry in members]
    return layer(directory(folder), *inner, *beside)


LAYOUTS = [name for name, form in FORMS.items() if form.kind != "layers"]


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("form", LAYOUTS)
def test_the_tar_of_a_folder_opens_as_the_folder_does(form: str, dotted: bool) -> None:
    members = image_members(IMAGE, form=form)
    archive = within("saved", members, file("README", "beside"), dotted=dotted)
    with open_image(io.BytesIO(archive)) as image:
        assert image.fs().listdir("/") == ["a", "b"]
        assert image.findings == ()
        image.verify()
    assert [item.present for item in list_images(io.BytesIO(archive))] == [True]


@pytest.mark.parametrize("form", [name for name in LAYOUTS if FORMS[name].kind == "directory"])
def test_a_folder_that_holds_nothing_but_the_folder_opens_too(form: str, tmp_path: Path) -> None:
    write_directory(tmp_path / "outer" / "inner", image_members(IMAGE, form=form))
    with open_image(tmp_path / "outer") as image:
        assert image.fs().listdir("/") == ["a", "b"]


def test_two_folders_with_a_layout_are_no_layout() -> None:
    members = image_members(IMAGE, form="oci-layout")
    one = within("one", members)[:-1024]
    with pytest.raises(UnknownFormatError) as caught:
        open_image(io.BytesIO(one + within("two", members)))
    assert caught.value.candidates == ("one", "two")


def test_a_layout_in_one_folder_of_several_is_named_and_not_taken() -> None:
    # It could be the root filesystem of a layer that has an image in it.
    archive = within("opt", image_members(IMAGE, form="oci-layout"), directory("etc"))
    with pytest.raises(UnknownFormatError) as caught:
        open_image(io.BytesIO(archive))
    assert caught.value.candidates == ("opt",)


@pytest.mark.parametrize(
    "document",
    [b'{"name": "app", "icons": []}', b"[1, 2]", b'[{"Config": "x"}]', b"{", b"", b"7", b"\xff"],
)
def test_a_manifest_of_something_else_in_a_folder_makes_no_image(document: bytes) -> None:
    archive = layer(directory("web"), file("web/manifest.json", document))
    with pytest.raises(UnknownFormatError, match="not an image"):
        open_image(io.BytesIO(archive))


def test_a_layout_at_the_top_counts_whatever_folders_hold() -> None:
    other = ImageDescription([[file("other")]])
    inner = within("inner", image_members(other, form="oci-layout"))[:-1024]
    with open_image(io.BytesIO(inner + oci_archive(IMAGE))) as image:
        assert image.fs().listdir("/") == ["a", "b"]


# -- links and odd files in a layout ---------------------------------------------------------------

TWICE = ImageDescription([[file("a", "1")], [file("b", "2")], [file("a", "1")]], tags=["app:1"])


def test_an_unpacked_save_with_layers_that_are_links_opens(tmp_path: Path) -> None:
    folder = write_image(tmp_path / "saved", TWICE, form="docker-directory")
    assert isinstance(folder, Path)
    assert any(path.is_symlink() for path in folder.rglob("layer.tar"))
    with open_image(folder) as image:
        assert image.fs().listdir("/") == ["a", "b"]
        assert len(image.layers) == 3
        image.verify()


@pytest.mark.parametrize("form", ["docker-archive", "docker-directory"])
@pytest.mark.parametrize("target", ["layer.tar", "../none/layer.tar", "/etc/passwd", "../../up"])
def test_a_layer_that_is_a_link_to_nowhere_is_an_error_of_that_layer(
    form: str, target: str, tmp_path: Path
) -> None:
    members = list(image_members(IMAGE, form=form))
    place = [number for number, one in enumerate(members) if one.path.endswith(b"layer.tar")]
    victim = members[place[0]].path.decode()
    members[place[0]] = symlink(victim, target)
    if FORMS[form].kind == "archive":
        source: Any = tmp_path / "image.tar"
        source.write_bytes(layer(*members))
    else:
        source = write_directory(tmp_path / "image", tuple(members))
    (item,) = list_images(source)
    assert not item.present
    assert len(item.missing) == 1
    with open_image(source) as image:
        bad = next(one.index for one in image.layers if one.diff_id == item.missing[0])
        good = ["a", "b"][1 - bad]
        assert image.layers[1 - bad].fs().listdir("/") == [good]
        for _ in range(2):
            with pytest.raises(BlobNotFoundError) as caught:
                image.layers[bad].fs().listdir("/")
            assert (caught.value.layer, caught.value.member) == (bad, victim)
    with open_image(source, missing="skip") as image:
        assert image.fs().listdir("/") == [good]
        assert {(one.code, one.layer) for one in image.findings} == {
            ("LAYER_MISSING", bad),
            ("LINK_NOT_FOLLOWED", -1),
        }


def odd_files(tmp_path: Path) -> Iterator[tuple[str, Callable[[Path], None]]]:
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    yield "a link outside", lambda path: path.symlink_to(outside)
    yield "a link up", lambda path: path.symlink_to("../../../outside")
    yield "a link to itself", lambda path: path.symlink_to(path.name)
    yield "a folder", lambda path: path.mkdir()
    if hasattr(os, "mkfifo"):
        yield "a FIFO", os.mkfifo
    if hasattr(os, "mknod") and os.geteuid() == 0:
        yield "a device", lambda path: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))


@pytest.mark.parametrize("form", [name for name in LAYOUTS if FORMS[name].kind == "directory"])
def test_no_file_of_a_layout_is_read_unless_it_is_one_inside(form: str, tmp_path: Path) -> None:
    folder = write_directory(tmp_path / "x" / "layout", image_members(IMAGE, form=form))
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    whole = {name: (folder / name).read_bytes() for name in names}
    told: dict[tuple[str, Path], str] = {}
    for what, make in odd_files(tmp_path):
        for name in names:
            (folder / name).unlink()
            make(folder / name)
            try:
                list_images(folder)
                with open_image(folder) as image:
                    assert "secret" not in str(image.config) + str(image.manifest)
                    for one in image.layers:
                        one.fs().listdir("/")
            except UnionLayersError as error:
                told[what, name] = str(error)
            if (folder / name).is_dir() and not (folder / name).is_symlink():
                (folder / name).rmdir()
            else:
                (folder / name).unlink()
            (folder / name).write_bytes(whole[name])
    assert len(told) > 10
    assert not [text for text in told.values() if "secret" in text]


def files_open_below(folder: Path) -> list[str]:
    """Give the files of a folder that this process has open, where the system says so."""
    found = []
    for number in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        # What others of this process had open may be closed by now.
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return [name for name in found if name.startswith(str(folder.resolve()))]


def test_a_layout_of_many_blobs_keeps_few_files_open(tmp_path: Path) -> None:
    many = ImageDescription([[file(f"f{number:03d}", str(number))] for number in range(150)])
    folder = write_image(tmp_path / "layout", many, form="oci-layout")
    assert isinstance(folder, Path)
    with open_image(folder) as image:
        image.prepare()
        assert image.fs().readtext("/f000") == "0"
        assert len(files_open_below(folder)) < 80
        assert len(image.fs().listdir("/")) == 150


def test_a_blob_that_is_replaced_between_two_reads_is_noticed(tmp_path: Path) -> None:
    many = ImageDescription([[file(f"f{number:03d}", str(number))] for number in range(100)])
    folder = write_image(tmp_path / "layout", many, form="oci-layout", codec="identity")
    assert isinstance(folder, Path)
    with open_image(folder) as image:
        digest = image.layers[0].digest
        assert digest is not None
        assert image.fs().readtext("/f000") == "0"
        # Whatever else is read meanwhile takes the place of the file among those that are open.
        assert all(image.fs().readtext(f"/f{number:03d}") for number in range(1, 100))
        blob = folder / "blobs" / "sha256" / digest.partition(":")[2]
        data = blob.read_bytes()
        blob.unlink()
        blob.write_bytes(data.replace(b"f000", b"g000"))
        with pytest.raises(SourceChangedError):
            image.fs().readtext("/f000")


# -- saves that lack what their documents name -----------------------------------------------------


def test_a_save_from_the_containerd_store_lacks_what_its_index_names_and_opens() -> None:
    from unionlayers.testing import Attestation, IndexDescription

    here = ImageDescription([[file("a", "1")], [file("b", "2")]])
    there = ImageDescription([[file("c")]], architecture="arm64", absent=True)
    index = IndexDescription([here, there, Attestation(here)], tags=["app:1"])
    archive = containerd_save(index, damage=Damage(omit=["attestation"]))
    items = list_images(io.BytesIO(archive))
    assert [(item.kind, item.platform, item.present) for item in items] == [
        ("image", "linux/amd64", True),
        ("image", "linux/arm64", False),
        ("attestation", "unknown/unknown", False),
    ]
    with open_image(io.BytesIO(archive), reference="app:1") as image:
        assert image.fs().listdir("/") == ["a", "b"]
        assert image.findings == ()
    with pytest.raises(BlobNotFoundError) as caught:
        open_image(io.BytesIO(archive), platform="linux/arm64")
    assert caught.value.expected == items[1].digest
    assert caught.value.candidates == ("app:1",)
    assert "it is here for linux/amd64" in str(caught.value.hint)


# -- what a newcomer tries -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alpine:3.19", "example.org/team/app:1", "localhost/x:latest"])
def test_the_name_of_an_image_in_place_of_a_file_says_how_to_save_it(name: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        open_image(name)
    assert f"docker save -o image.tar {name}" in str(caught.value)
    with pytest.raises(FileNotFoundError) as plain:
        open_image("none/image.tar")
    assert "docker" not in str(plain.value)


def test_objects_in_a_list_of_layers_are_a_type_error() -> None:
    with pytest.raises(TypeError, match="paths, not BytesIO"):
        open_image([io.BytesIO(TAR)])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "data", [b"", b"hello world", TAR[:700], layer(file("etc/a")), b"PK\x03\x04" + bytes(900)]
)
def test_every_refusal_of_a_file_has_a_next_step_or_a_place(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(data)
    with pytest.raises(UnionLayersError) as caught:
        open_image(path)
    assert caught.value.hint or caught.value.offset is not None
    assert caught.value.member == str(path)
