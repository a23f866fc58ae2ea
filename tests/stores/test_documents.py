"""The documents of stores that were made by hand: what they give, and what is wrong with them."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
from made_stores import Made

from unionlayers import (
    BlobNotFoundError,
    DigestMismatchError,
    DocumentError,
    ImageNotFoundError,
    LimitError,
    Limits,
    StoreError,
    StreamError,
    UnionLayersError,
    UnknownFormatError,
    UnsupportedError,
    list_images,
    open_image,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "listxattr"), reason="on-disk stores need Linux")


def test_an_image_of_a_store_is_like_any_other(either: Made) -> None:
    with open_image(either.root) as image, image.fs() as view:
        assert image.id == either.id
        assert image.platform == "linux/amd64"
        assert view.listdir("/") == ["etc", "link"]
        assert view.readtext("/link/name") == "upper" * 300
        assert view.readtext("/etc/also") == "kept"
        assert view.getinfo("/etc", ["access"]).permissions.mode == 0o700
        assert [layer.created_by for layer in image.layers] == ["step 0", "step 1"]
        assert [layer.diff_id for layer in image.layers] == image.config["rootfs"]["diff_ids"]
        assert image.layers[1].chain_id is not None
        image.verify()
        assert [layer.digest for layer in image.layers] == [layer.diff_id for layer in image.layers]
        assert image.findings == ()


def test_a_container_has_its_own_layers_on_top(either: Made) -> None:
    with open_image(either.root, reference="box") as image, image.fs() as view:
        assert image.references == ("box", either.container)
        assert image.id == either.id
        assert view.readtext("/new") == "written"
        assert view.readtext("/etc/keep") == "kept"
        top = image.layers[-1]
        assert (top.digest, top.diff_id, top.chain_id, top.created_by) == (None, None, None, None)
        assert [step.layer for step in image.history] == [0, 1]
        assert not [item for item in image.findings if item.code == "HISTORY_MISMATCH"]
        image.verify()


def test_a_list_has_images_and_containers(either: Made) -> None:
    image, container = list_images(either.root)
    assert (image.kind, container.kind) == ("image", "container")
    assert image.id == container.id == either.id
    assert container.references == ("box", either.container)


@pytest.mark.parametrize("length", [12, 64])
def test_a_container_is_found_by_its_id(either: Made, length: int) -> None:
    with open_image(either.root, reference=either.container[:length]) as image:
        assert image.references[0] == "box"


def test_the_id_of_an_image_never_means_its_container(either: Made) -> None:
    with open_image(either.root, reference=either.id) as image:
        assert "box" not in image.references


def test_docker_names_an_image_by_the_digest_of_its_manifest(docker_root: Made) -> None:
    with open_image(docker_root.root, reference="sha256:" + "ab" * 32) as image:
        assert image.digest == "sha256:" + "ab" * 32
        assert image.raw_manifest is None


def test_opening_reads_no_file_of_a_layer(either: Made) -> None:
    for folder in (*either.diffs, *either.frames):
        shutil.rmtree(folder / "etc") if folder.is_dir() else folder.write_bytes(b"")
    with open_image(either.root) as image:
        assert len(image.layers) == 2
        assert image.history[0].created_by == "step 0"


def test_an_image_of_a_store_can_be_pickled(either: Made) -> None:
    with open_image(either.root, reference="box") as image:
        again = pickle.loads(pickle.dumps(image))
    with again, again.fs() as view:
        assert view.readtext("/new") == "written"


def test_a_closed_image_leaves_no_descriptor(either: Made) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with open_image(either.root, reference="box") as image, image.fs() as view:
        view.readtext("/etc/name")
    assert len(os.listdir("/proc/self/fd")) == before


# -- what is wrong with a layer -------------------------------------------------------------------


def test_a_file_that_leads_out_of_the_store_is_not_followed(either: Made, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("kept")
    path = either.diffs[0] / "etc" / "keep"
    path.unlink()
    path.symlink_to(secret)
    with open_image(either.root) as image, pytest.raises(StoreError) as caught:
        image.layers[0].load()
    assert str(caught.value.member).endswith("etc/keep")
    assert caught.value.layer == 0


def test_a_folder_that_leads_out_of_the_store_is_not_followed(either: Made, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.move(either.diffs[0] / "etc", outside)
    (either.diffs[0] / "etc").symlink_to(outside)
    with open_image(either.root) as image, pytest.raises(StoreError):
        image.layers[0].load()


def test_a_layer_folder_that_is_a_link_is_none(either: Made, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.move(either.diffs[0], outside)
    either.diffs[0].symlink_to(outside)
    with open_image(either.root) as image, pytest.raises(BlobNotFoundError) as caught:
        image.layers[0].load()
    assert caught.value.expected == image.layers[0].diff_id
    assert not list_images(either.root)[0].present


def test_links_on_the_way_are_taken_inside_of_the_layer(either: Made) -> None:
    """A tar may place a file through a link of its own layer, whose text starts at the root."""
    (either.diffs[0] / "etc").rename(either.diffs[0] / "real")
    (either.diffs[0] / "etc").symlink_to("/real")
    with open_image(either.root) as image, image.fs() as view:
        assert view.readtext("/etc/keep") == "kept"


def test_a_file_of_another_length_is_an_error(either: Made) -> None:
    (either.diffs[0] / "etc" / "keep").write_text("longer")
    with open_image(either.root) as image, pytest.raises(StoreError) as caught:
        image.layers[0].load()
    assert (caught.value.expected, caught.value.actual) == (4, 6)


def test_another_content_is_an_error(either: Made) -> None:
    (either.diffs[0] / "etc" / "keep").write_text("evil")
    with open_image(either.root) as image:
        with pytest.raises(DigestMismatchError) as caught:
            image.layers[0].load()
        assert caught.value.expected == image.layers[0].diff_id
    with open_image(either.root, verify=False) as image, image.fs() as view:
        assert view.readtext("/etc/keep") == "evil"


def test_unverified_a_missing_file_fails_alone(either: Made) -> None:
    (either.diffs[0] / "etc" / "keep").unlink()
    with open_image(either.root, verify=False) as image, image.fs() as view:
        assert view.listdir("/etc") == ["also", "keep", "name"]
        for _ in range(2):
            with pytest.raises(StoreError, match="lacks"):
                view.readtext("/etc/keep")
        assert view.readtext("/etc/name") == "upper" * 300


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        pytest.param(b"", StoreError, None, id="empty"),
        pytest.param(gzip.compress(b"nonsense\n"), DocumentError, "/0", id="no-json"),
        pytest.param(gzip.compress(b"[]\n"), DocumentError, "/0", id="no-object"),
        pytest.param(gzip.compress(b'{"type":7}\n'), DocumentError, "/0", id="unknown-type"),
        pytest.param(
            gzip.compress(b'{"type":2,"payload":"!"}\n'), DocumentError, "/0", id="no-base64"
        ),
        pytest.param(
            gzip.compress(b'{"type":1,"name":"a","size":-1}\n'), DocumentError, "/0", id="negative"
        ),
        pytest.param(
            gzip.compress(b'{"type":1,"name":"a","size":"9"}\n'), DocumentError, "/0", id="text"
        ),
        pytest.param(gzip.compress(b'{"type":2,"payload":7}\n'), DocumentError, "/0", id="number"),
        pytest.param(gzip.compress(b'{"a":' * 100_000), DocumentError, "/0", id="deep"),
    ],
)
def test_a_bent_frame_is_an_exact_error(
    either: Made, content: bytes, error: type[UnionLayersError], said: str | None
) -> None:
    either.frames[0].write_bytes(content)
    with open_image(either.root) as image:
        for _ in range(2):
            with pytest.raises(error) as caught:
                image.layers[0].load()
            assert caught.value.pointer == said
            assert caught.value.layer == 0
        image.layers[1].load()


def test_a_cut_frame_is_an_error(either: Made) -> None:
    either.frames[0].write_bytes(either.frames[0].read_bytes()[:-20])
    with open_image(either.root) as image, pytest.raises((StreamError, DocumentError)):
        image.layers[0].load()


def test_names_in_a_frame_stay_in_the_layer(either: Made) -> None:
    lines = gzip.decompress(either.frames[0].read_bytes()).decode().splitlines()
    for name in ("../../../../../../../../../../../etc/passwd", "/etc/passwd", "nul\0", ""):
        bent = [json.loads(line) for line in lines]
        for item in bent:
            if item.get("size"):
                item["name"] = name
        either.frames[0].write_bytes(gzip.compress("\n".join(map(json.dumps, bent)).encode()))
        with open_image(either.root) as image, pytest.raises((StoreError, DocumentError)):
            image.layers[0].load()


def test_a_frame_is_bounded(either: Made) -> None:
    bomb = b'{"type":2,"payload":"' + b"A" * 4_000_000
    either.frames[0].write_bytes(gzip.compress(bomb))
    limits = Limits(document_bytes=1_000_000)
    with open_image(either.root, limits=limits) as image, pytest.raises(LimitError):
        image.layers[0].load()


def test_without_a_frame_nothing_can_be_compared(either: Made) -> None:
    for frame in either.frames:
        frame.unlink()
    with open_image(either.root) as image, pytest.raises(UnsupportedError) as caught:
        image.layers[0].load()
    assert caught.value.expected == image.layers[0].diff_id
    with open_image(either.root, verify=False) as image, image.fs() as view:
        assert view.readtext("/link/also") == "kept"
        assert image.layers[0].diff_id == image.config["rootfs"]["diff_ids"][0]
        with pytest.raises(UnsupportedError):
            image.verify()


# -- what is wrong with documents -----------------------------------------------------------------


@pytest.mark.parametrize("text", ["../../etc", "a/b", "", ".", "..", "a\0b", "x" * 129, "-x"])
def test_docker_ids_are_checked_before_they_touch_a_path(docker_root: Made, text: str) -> None:
    for place in docker_root.root.glob("image/overlay2/layerdb/sha256/*/cache-id"):
        place.write_text(text)
    with pytest.raises((DocumentError, StoreError)) as caught:
        open_image(docker_root.root)
    assert str(caught.value.member).endswith("cache-id")


@pytest.mark.parametrize("name", ["mount-id", "init-id", "parent"])
def test_docker_ids_of_a_container_are_checked(docker_root: Made, name: str) -> None:
    mount = docker_root.root / "image/overlay2/layerdb/mounts" / docker_root.container
    (mount / name).write_text("../../../etc")
    with pytest.raises(DocumentError) as caught:
        open_image(docker_root.root, reference="box")
    assert str(caught.value.member).endswith(name)


@pytest.mark.parametrize("text", ["../../etc", "a/b", ".", "..", "a\0b", 7, ["x"], "é"])
def test_ids_of_containers_storage_are_checked(containers_root: Made, text: object) -> None:
    path = containers_root.root / "overlay-layers/layers.json"
    items = json.loads(path.read_bytes())
    items[0]["id"] = items[1]["parent"] = text
    path.write_text(json.dumps(items))
    with pytest.raises(DocumentError) as caught:
        open_image(containers_root.root)
    assert str(caught.value.member).endswith("layers.json")


def test_layers_in_a_circle_are_an_error(containers_root: Made) -> None:
    path = containers_root.root / "overlay-layers/layers.json"
    items = json.loads(path.read_bytes())
    items[0]["parent"] = items[1]["id"]
    path.write_text(json.dumps(items))
    with pytest.raises(DocumentError, match="circle"):
        open_image(containers_root.root)


def test_chains_in_a_circle_are_an_error(docker_root: Made) -> None:
    for place in docker_root.root.glob("image/overlay2/layerdb/sha256/*"):
        (place / "parent").write_text(f"sha256:{place.name}")
    image, container = list_images(docker_root.root)
    assert image.present
    assert isinstance(container.error, DocumentError)
    with pytest.raises(DocumentError, match="circle"):
        open_image(docker_root.root, reference="box")


def test_layers_that_the_list_lacks_are_missing(containers_root: Made) -> None:
    path = containers_root.root / "overlay-layers/layers.json"
    items = json.loads(path.read_bytes())
    path.write_text(json.dumps(items[1:]))
    image, container = list_images(containers_root.root)
    assert not image.present
    assert not container.present
    with (
        open_image(containers_root.root, missing="skip") as opened,
        pytest.raises(BlobNotFoundError),
    ):
        opened.layers[0].load()


def test_a_count_of_layers_that_is_not_that_of_the_config_is_an_error(
    containers_root: Made,
) -> None:
    path = containers_root.root / "overlay-images/images.json"
    items = json.loads(path.read_bytes())
    items[0]["layer"] = "0" * 64
    path.write_text(json.dumps(items))
    with pytest.raises(DocumentError) as caught:
        open_image(containers_root.root)
    assert (caught.value.expected, caught.value.actual) == (2, 1)


def test_docker_layers_of_another_diff_id_are_an_error(docker_root: Made) -> None:
    for place in docker_root.root.glob("image/overlay2/layerdb/sha256/*/diff"):
        place.write_text("sha256:" + "0" * 64)
    with pytest.raises(DocumentError) as caught:
        open_image(docker_root.root)
    assert caught.value.actual == "sha256:" + "0" * 64


def test_another_config_is_an_error(either: Made) -> None:
    for path in either.root.rglob("*"):
        if path.is_file() and b'"rootfs"' in path.read_bytes():
            path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DigestMismatchError) as caught:
        open_image(either.root)
    assert caught.value.expected == either.id


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"\xff",
        b"7",
        b'{"Repositories":7}',
        b"[" * 100_000,
        b'[{"id":{}}]',
        b"NaN",
    ],
)
def test_bent_lists_are_exact_errors(either: Made, content: bytes) -> None:
    docker = either.root / "image/overlay2/repositories.json"
    path = docker if docker.exists() else either.root / "overlay-images/images.json"
    path.write_bytes(content)
    with pytest.raises(UnionLayersError) as caught:
        open_image(either.root, reference="app:1")
    assert isinstance(caught.value, DocumentError | StoreError | ImageNotFoundError)
    open_image(either.root, reference="box").close()
    if path == docker and not isinstance(caught.value, ImageNotFoundError):
        # It names images only, which are there without.
        with open_image(either.root) as image:
            (finding,) = image.findings
        assert finding.code == "STORE_NOT_READ"
        assert image.references == ()
        assert [item.kind for item in list_images(either.root)] == ["image", "index", "container"]


def test_documents_are_bounded(either: Made) -> None:
    with pytest.raises(LimitError):
        open_image(either.root, limits=Limits(document_bytes=10))


def test_other_drivers_are_refused_by_name(either: Made) -> None:
    if (either.root / "image").exists():
        (either.root / "image/overlay2").rename(either.root / "image/btrfs")
    else:
        for part in ("layers", "images"):
            (either.root / f"overlay-{part}").rename(either.root / f"btrfs-{part}")
    with pytest.raises(UnsupportedError) as caught:
        open_image(either.root)
    assert caught.value.actual == "btrfs"


def test_a_root_of_containerd_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "containerd/daemon/io.containerd.metadata.v1.bolt"
    place.mkdir(parents=True)
    (place / "meta.db").touch()
    with pytest.raises(UnsupportedError, match="containerd") as caught:
        open_image(tmp_path)
    assert "docker save" in str(caught.value.hint)


def test_the_folder_of_a_driver_says_which_folder_is_wanted(docker_root: Made) -> None:
    folder = docker_root.root / "overlay2"
    (folder / "l").mkdir()
    (docker_root.diffs[0].parent / "link").write_text("SHORT")
    with pytest.raises(UnknownFormatError) as caught:
        open_image(folder)
    assert str(docker_root.root) in str(caught.value.hint)
    with pytest.raises(UnknownFormatError) as caught:
        open_image([docker_root.diffs[0].parent])
    assert str(docker_root.diffs[0]) in str(caught.value.hint)


# -- which marks count -----------------------------------------------------------------------------


def _mark(path: Path, name: str) -> None:
    try:
        os.setxattr(path, name, b"y")
    except OSError as error:
        pytest.skip(f"attribute {name} cannot be set here: {error.strerror}")


@pytest.mark.parametrize("owner", [0, 65534])
@pytest.mark.parametrize("name", ["trusted.overlay.opaque", "user.overlay.opaque"])
def test_only_the_marks_of_the_owner_of_a_store_count(either: Made, owner: int, name: str) -> None:
    """A process in a container may write user.*, so that in root's store it marks nothing."""
    if os.geteuid() != 0:
        pytest.skip("stores of several owners need root")
    written = next(either.root.glob("overlay*/*/diff/new")).parent / "etc"
    written.mkdir()
    _mark(written, name)
    for path in (either.root, *either.root.rglob("*")):
        os.chown(path, owner, owner, follow_symlinks=False)
    hides = (owner == 0) == name.startswith("trusted.")
    with open_image(either.root, reference="box") as image, image.fs() as view:
        assert view.exists("/etc/keep") is not hides
        shown = view.getinfo("/etc", ["xattr"]).raw["xattr"]
        assert shown == ({} if hides else {name: b"y"})
        if hides:
            assert [mark.kind for mark in image.layers[-1].marks] == ["opaque"]


def test_names_in_a_frame_that_no_file_system_holds_are_absent(either: Made) -> None:
    lines = [
        json.loads(line) for line in gzip.decompress(either.frames[0].read_bytes()).splitlines()
    ]
    for item in lines:
        if item.get("size"):
            item["name"] = "x" * 5000
    either.frames[0].write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    with open_image(either.root) as image, pytest.raises(StoreError, match="lacks"):
        image.layers[0].load()


def test_all_documents_together_are_bounded(either: Made) -> None:
    with pytest.raises(LimitError) as caught:
        open_image(either.root, limits=Limits(metadata_bytes=700))
    assert caught.value.limit == "metadata_bytes"
    assert (either.root / str(caught.value.member)).is_file()


@pytest.mark.parametrize("reference", [None, "box"])
def test_too_many_layers_name_the_document(either: Made, reference: str | None) -> None:
    with pytest.raises(LimitError) as caught:
        open_image(either.root, reference=reference, limits=Limits(layers=1))
    error = caught.value
    assert (error.limit, error.expected, error.actual) == ("layers", 1, 2)
    assert (either.root / str(error.member)).is_file()
    if str(error.member).endswith("layers.json"):
        assert error.pointer is not None


def test_the_fault_of_one_image_leaves_the_others(docker_root: Made) -> None:
    content = docker_root.root / "image/overlay2/imagedb/content/sha256"
    (content / ("f" * 64)).write_bytes(b"nonsense")
    good, bad = sorted(
        (item for item in list_images(docker_root.root) if item.kind == "image"),
        key=lambda item: item.error is not None,
    )
    assert good.present
    assert isinstance(bad.error, DigestMismatchError)
    open_image(docker_root.root, reference="app:1").close()
    with pytest.raises(DigestMismatchError):
        open_image(docker_root.root, reference="f" * 64)


def test_links_on_the_way_that_are_absolute_start_at_the_layer(either: Made) -> None:
    (either.diffs[0] / "etc").rename(either.diffs[0] / "real")
    (either.diffs[0] / "a").mkdir()
    (either.diffs[0] / "a" / "b").symlink_to("/real")
    (either.diffs[0] / "etc").symlink_to("a/../a/b/./../real")
    with open_image(either.root) as image, image.fs() as view:
        assert view.readtext("/etc/keep") == "kept"


def test_a_frame_that_is_out_of_step_gives_way_to_the_directory(either: Made) -> None:
    """Of a sparse file tar-split has the content with its holes, which its header does not."""
    (either.diffs[0] / "etc" / "keep").write_text("much longer")
    lines = [
        json.loads(line) for line in gzip.decompress(either.frames[0].read_bytes()).splitlines()
    ]
    for item in lines:
        if item.get("name") == "etc/keep":
            item["size"] = 11
    either.frames[0].write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    with open_image(either.root) as image, pytest.raises(UnsupportedError, match="diff_id"):
        image.layers[0].load()
    with open_image(either.root, verify=False) as image, image.fs() as view:
        assert view.readtext("/etc/also") == "much longer"
        assert view.listdir("/") == ["etc", "link"]
