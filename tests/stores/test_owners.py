"""Who owns what in stores of user namespaces, and which marks fuse-overlayfs leaves in a store."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from made_stores import Made, make_containers_root, make_docker_root

from unionlayers import (
    DocumentError,
    Image,
    StoreError,
    UnknownFormatError,
    UnsupportedError,
    open_image,
)
from unionlayers._tar.id_map import IdMap
from unionlayers._tar.overlay_marks import parse_override

pytestmark = pytest.mark.skipif(not hasattr(os, "listxattr"), reason="on-disk stores need Linux")

ROOT = getattr(os, "geteuid", lambda: -1)() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="to give files away needs root")
FIRST, GROUP = 300_000, 400_000


def given(root: Path, uid: int, gid: int) -> None:
    """Give everything in a store to one owner."""
    for path in (root, *root.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)


def owner(image: Image, path: str) -> tuple[int, int]:
    with image.fs() as view:
        access = view.getinfo(path, ["access"]).raw["access"]
    return access["uid"], access["gid"]


def odd(image: Image) -> list[tuple[str, str | None]]:
    """Give findings by code and path, without that on the root of a layer."""
    found = image.findings
    return [(item.code, item.path) for item in found if item.code != "ROOT_ENTRY"]


def own_layer(made: Made) -> Path:
    """Give the folder that the container of a store has written to."""
    return next(made.root.glob("overlay*/*/diff/new")).parent


# -- docker with userns-remap ---------------------------------------------------------------------


@pytest.fixture
def remapped(docker_root: Made, tmp_path: Path) -> Made:
    """Give a data-root as Docker makes it for ``userns-remap``."""
    root = docker_root.root.rename(tmp_path / f"{FIRST}.{GROUP}")
    made = Made(root, docker_root.id, [], [], docker_root.container)
    for folder in root.glob("overlay2/*/diff"):
        given(folder, FIRST, GROUP)
    os.chown(root, 0, GROUP)
    return made


@needs_root
def test_a_remapped_root_shows_the_owners_of_its_containers(remapped: Made) -> None:
    os.chown(own_layer(remapped) / "new", FIRST + 5, GROUP + 65_535)
    with open_image(remapped.root, reference="box") as image:
        assert owner(image, "/new") == (5, 65_535)
        assert odd(image) == []
    with open_image(remapped.root) as image:
        assert owner(image, "/etc/keep") == (0, 0)


@needs_root
def test_an_owner_without_an_id_in_the_namespace_is_a_finding(remapped: Made) -> None:
    for name, uid, gid in (("new", FIRST + 65_536, GROUP), ("other", 0, 0)):
        (own_layer(remapped) / name).touch()
        os.chown(own_layer(remapped) / name, uid, gid)
    with open_image(remapped.root, reference="box") as image:
        assert owner(image, "/new") == (65_534, 0)
        assert owner(image, "/other") == (65_534, 65_534)
        assert odd(image) == [("OWNER_UNMAPPED", "/new")]
        finding = next(item for item in image.findings if item.code == "OWNER_UNMAPPED")
        assert f"{FIRST + 65_536}:{GROUP}" in finding.message
        assert "1 more path" in finding.message


@needs_root
@pytest.mark.parametrize("owned", [(0, 0), (0, GROUP + 1)])
def test_a_name_with_a_dot_alone_makes_no_namespace(remapped: Made, owned: tuple[int, int]) -> None:
    os.chown(remapped.root, *owned)
    with open_image(remapped.root, reference="box") as image:
        if owned == (0, 0):
            assert owner(image, "/new") == (FIRST, GROUP)
        else:
            with pytest.raises(UnsupportedError):
                owner(image, "/new")


@needs_root
def test_marks_in_a_remapped_root_are_those_of_root(remapped: Made) -> None:
    written = own_layer(remapped) / "etc"
    written.mkdir()
    os.chown(remapped.root, FIRST, GROUP)
    os.setxattr(written, "user.overlay.opaque", b"y")
    with open_image(remapped.root, reference="box") as image, image.fs() as view:
        assert view.exists("/etc/keep")


@needs_root
def test_a_container_left_out_of_the_namespace_has_owners_of_the_host(remapped: Made) -> None:
    place = remapped.root / "containers" / remapped.container / "hostconfig.json"
    place.write_text(json.dumps({"UsernsMode": "host"}))
    os.chown(own_layer(remapped) / "new", 0, 7)
    with open_image(remapped.root, reference="box") as image:
        assert owner(image, "/new") == (0, 7)


def test_the_folder_above_a_remapped_root_says_which_folder_is_wanted(tmp_path: Path) -> None:
    root = make_docker_root(tmp_path).root
    root.rename(tmp_path / "100000.100000")
    with pytest.raises(UnknownFormatError) as caught:
        open_image(tmp_path)
    (candidate,) = caught.value.candidates
    open_image(candidate).close()


# -- a store of somebody else ---------------------------------------------------------------------


@needs_root
def test_in_the_store_of_a_user_only_its_root_is_known(either: Made) -> None:
    given(either.root, 1234, 1235)
    with open_image(either.root, reference="box") as image:
        assert owner(image, "/new") == (0, 0)
    os.chown(own_layer(either) / "new", 100_004, 1235)
    with open_image(either.root, reference="box") as image:
        for _ in range(2):
            with pytest.raises(UnsupportedError, match="recorded nowhere") as caught:
                owner(image, "/new")
            assert (caught.value.path, caught.value.actual) == ("/new", "100004:1235")
            assert "podman unshare" in str(caught.value.hint)
        assert image.fs([0]).readtext("/etc/keep") == "kept"


@needs_root
def test_layers_that_have_frames_have_the_owners_of_the_image(either: Made) -> None:
    given(either.root, 1234, 1235)
    os.chown(either.diffs[0] / "etc/keep", 100_004, 100_004)
    with open_image(either.root) as image:
        assert owner(image, "/etc/keep") == (0, 0)
        assert image.findings == ()


# -- namespaces that containers/storage records ---------------------------------------------------


def record(made: Made, what: str, **fields: Any) -> None:
    """Change the last record of a list."""
    path = made.root / f"overlay-{what}/{what}.json"
    items = json.loads(path.read_bytes())
    items[-1] |= fields
    path.write_text(json.dumps(items))


def ranges(*triples: tuple[int, int, int]) -> list[dict[str, int]]:
    return [dict(zip(("container_id", "host_id", "size"), item, strict=True)) for item in triples]


MAPS = {"uidmap": ranges((0, FIRST, 10), (10, 9000, 5)), "gidmap": ranges((0, GROUP, 10))}


@needs_root
@pytest.mark.parametrize("what", ["layers", "containers"])
def test_recorded_maps_are_undone(containers_root: Made, what: str) -> None:
    record(containers_root, what, **MAPS)
    written = own_layer(containers_root)
    for name, uid, gid in (("new", FIRST + 3, GROUP + 9), ("far", 9004, GROUP), ("out", 0, 0)):
        (written / name).touch()
        os.chown(written / name, uid, gid)
    os.chown(written, FIRST, GROUP)
    with open_image(containers_root.root, reference="box") as image:
        assert owner(image, "/new") == (3, 9)
        assert owner(image, "/far") == (14, 0)
        assert owner(image, "/out") == (65_534, 65_534)
        assert odd(image) == [("OWNER_UNMAPPED", "/out")]


@needs_root
def test_a_map_within_the_store_of_a_user_is_taken_through_both(containers_root: Made) -> None:
    given(containers_root.root, 1234, 1235)
    maps = {"uidmap": ranges((0, 1, 100), (100, 0, 1)), "gidmap": ranges((0, 0, 10))}
    record(containers_root, "containers", **maps)
    with open_image(containers_root.root, reference="box") as image:
        assert owner(image, "/new") == (100, 0)
    os.chown(own_layer(containers_root) / "new", 1_000_000, 1235)
    with (
        open_image(containers_root.root, reference="box") as image,
        pytest.raises(UnsupportedError),
    ):
        owner(image, "/new")


@pytest.mark.parametrize(
    ("bent", "pointer"),
    [
        (7, "/2/uidmap"),
        ([7], "/2/uidmap/0"),
        (ranges((0, -1, 1)), "/2/uidmap/0/host_id"),
        (ranges((0, 1 << 32, 1)), "/2/uidmap/0"),
        (ranges(*[(0, 0, 1)] * 341), "/2/uidmap"),
    ],
)
def test_a_bent_map_is_an_exact_error(containers_root: Made, bent: Any, pointer: str) -> None:
    record(containers_root, "layers", uidmap=bent)
    with pytest.raises(DocumentError) as caught:
        open_image(containers_root.root, reference="box")
    assert (caught.value.member, caught.value.pointer) == ("overlay-layers/layers.json", pointer)
    open_image(containers_root.root).close()


def test_a_map_of_a_namespace_in_a_namespace() -> None:
    outer = IdMap(((0, 1000, 1), (1, 100_000, 10)))
    inner = outer.through([(0, 5, 2), (2, 0, 1), (3, 7, 100)])
    assert [inner.inside(number) for number in (100_004, 100_005, 1000, 100_006, 100_009)] == [
        0,
        1,
        2,
        3,
        6,
    ]
    assert inner.inside(100_010) is None
    assert inner.inside(100_003) is None


# -- fuse-overlayfs -------------------------------------------------------------------------------


@pytest.fixture(params=["docker", "podman"])
def fused(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    """Give a store whose overlays fuse-overlayfs mounts."""
    if request.param == "podman":
        made = make_containers_root(tmp_path)
        (made.root / "overlay/.has-mount-program").write_text("true")
        return made
    made = make_docker_root(tmp_path)
    for place in ("overlay2", "image/overlay2"):
        (made.root / place).rename((made.root / place).with_name("fuse-overlayfs"))
    return made


def fused_layer(made: Made) -> Path:
    return next(made.root.glob("*overlay*/*/diff/new")).parent


def write(path: Path, content: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def set_xattr(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        pytest.skip(f"attribute {name} cannot be set here: {error.strerror}")


def test_files_hide_names_where_fuse_overlayfs_has_written(fused: Made) -> None:
    write(fused_layer(fused) / "etc/.wh.keep")
    with open_image(fused.root, reference="box") as image, image.fs() as view:
        assert view.listdir("/etc") == ["also", "name"]
        assert [(mark.kind, mark.path) for mark in image.layers[-1].marks] == [
            ("whiteout", "/etc/keep")
        ]


def test_a_name_beside_its_whiteout_is_hidden_too(fused: Made) -> None:
    write(fused_layer(fused) / "etc/.wh.keep")
    write(fused_layer(fused) / "etc/keep", "never shown")
    with open_image(fused.root, reference="box") as image, image.fs() as view:
        assert view.listdir("/etc") == ["also", "name"]


@pytest.mark.parametrize("where", ["etc", ""])
def test_a_file_makes_a_directory_opaque_and_the_root_too(fused: Made, where: str) -> None:
    write(fused_layer(fused) / where / ".wh..wh..opq")
    write(fused_layer(fused) / where / ".wh..opq")
    with open_image(fused.root, reference="box") as image, image.fs() as view:
        assert view.listdir("/") == (["new"] if not where else ["etc", "link", "new"])
        assert not view.exists("/etc/keep")
        assert len(image.layers[-1].marks) == 1


@pytest.mark.parametrize(
    "name", ["user.overlay.opaque", "user.fuseoverlayfs.opaque", "trusted.overlay.opaque"]
)
@pytest.mark.parametrize("value", [b"y", b"x"])
def test_any_of_three_attributes_makes_a_directory_opaque(
    fused: Made, name: str, value: bytes
) -> None:
    (fused_layer(fused) / "etc").mkdir()
    set_xattr(fused_layer(fused) / "etc", name, value)
    with open_image(fused.root, reference="box") as image, image.fs() as view:
        assert view.exists("/etc/keep") is (value == b"x")
        assert view.getinfo("/etc", ["xattr"]).raw["xattr"] == {}


@pytest.mark.parametrize("content", ["false", "", None])
def test_without_the_mount_program_files_are_no_marks(
    containers_root: Made, content: str | None
) -> None:
    if content is not None:
        (containers_root.root / "overlay/.has-mount-program").write_text(content)
    write(own_layer(containers_root) / "etc/.wh.keep")
    with open_image(containers_root.root, reference="box") as image, image.fs() as view:
        with pytest.raises(UnsupportedError, match="whiteout") as caught:
            view.listdir("/etc")
        assert caught.value.path == "/etc/.wh.keep"
        assert "fuse-overlayfs" in str(caught.value.hint)


@pytest.mark.parametrize(
    "name", ["user.containers.override_stat", "user.fuseoverlayfs.override_stat"]
)
def test_an_attribute_says_owner_and_mode_where_the_root_of_the_layer_has_it(
    fused: Made, name: str
) -> None:
    layer = fused_layer(fused)
    values = {
        ".": b"1:2:0750",
        "new": b"5:6:104711",
        "p": b"7:8:0600:pipe",
        "null": b"0:0:666:char-1-3",
    }
    for place, value in values.items():
        (layer / place).touch()
        set_xattr(layer / place, name, value)
    write(layer / "s")
    set_xattr(layer / "s", name, b"0:0:600:socket")
    with open_image(fused.root, reference="box") as image, image.fs() as view:
        facts = {
            path: view.getinfo(path, ["access", "details", "device", "xattr"]).raw
            for path in ("/", "/new", "/p", "/null")
        }
        seen = {path: (raw["access"]["uid"], raw["access"]["gid"]) for path, raw in facts.items()}
        assert seen == {"/": (1, 2), "/new": (5, 6), "/p": (7, 8), "/null": (0, 0)}
        assert view.getinfo("/new", ["access"]).permissions.mode == 0o4711
        kinds = {path: view.getinfo(path, ["details"]).type.name for path in facts}
        assert kinds == {"/": "directory", "/new": "file", "/p": "fifo", "/null": "character"}
        assert all(raw["xattr"] == {} for raw in facts.values())
        assert not view.exists("/s")
        assert odd(image) == [("SOCKET_SKIPPED", "/s")]


def test_an_attribute_counts_for_nothing_where_the_root_of_the_layer_has_none(fused: Made) -> None:
    set_xattr(fused_layer(fused) / "new", "user.containers.override_stat", b"5:6:0700")
    mine = fused_layer(fused).stat().st_uid
    with open_image(fused.root, reference="box") as image:
        assert owner(image, "/new")[0] in (0, mine)


@pytest.mark.parametrize(
    "value", [b"", b"y", b"1:2", b"1:2:999", b"1:2:755:dir", b"-1:2:755", b"1:2:755:char-1"]
)
def test_an_attribute_that_says_no_owner_is_an_exact_error(fused: Made, value: bytes) -> None:
    set_xattr(fused_layer(fused), "user.containers.override_stat", b"0:0:755")
    set_xattr(fused_layer(fused) / "new", "user.containers.override_stat", value)
    with open_image(fused.root, reference="box") as image:
        for _ in range(2):
            with pytest.raises(StoreError) as caught:
                owner(image, "/new")
            assert caught.value.path == "/new"
            assert caught.value.actual == value.decode()
        assert image.fs([0]).readtext("/etc/keep") == "kept"


@pytest.mark.parametrize("value", [b"4294967296:0:755", b"0:0:755:block-99999999999-1", b"0:0:0:x"])
def test_numbers_that_no_tar_can_hold_are_no_owners(value: bytes) -> None:
    assert parse_override(value) is None
