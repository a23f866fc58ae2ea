"""
What a container stands on: a base that is gone or another's is an error, never a smaller tree.

Each document that names the layer beneath is taken away, or made to name another, in both kinds of
store; the container is refused with the document and both values, and all else is as before.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_stores import (
    Made,
    add_to_containers_root,
    add_to_docker_root,
    make_containers_root,
    make_docker_root,
)

from unionlayers import BlobNotFoundError, StoreError, list_images, open_image

pytestmark = pytest.mark.skipif(not hasattr(os, "listxattr"), reason="on-disk stores need Linux")


@pytest.fixture
def docker(tmp_path: Path) -> tuple[Made, Made]:
    """Make a data-root of Docker with two images, and a container of each."""
    made = make_docker_root(tmp_path)
    return made, add_to_docker_root(made)


@pytest.fixture
def storage(tmp_path: Path) -> tuple[Made, Made]:
    """Make a root of containers/storage with two images, and a container of each."""
    made = make_containers_root(tmp_path)
    return made, add_to_containers_root(made)


def refused(made: Made, *others: str, verify: bool = True) -> StoreError:
    """Open the container, which must fail; what else there is opens as before."""
    listed = list_images(made.root)
    assert sorted(item.kind for item in listed) == ["container"] * 2 + ["image"] * 2
    bad = [item for item in listed if item.error is not None]
    assert "box" in {name for item in bad for name in item.references}
    errors = []
    for reference in ("box", made.container, made.container[:12]):
        with pytest.raises(StoreError) as caught:
            open_image(made.root, reference=reference, verify=verify, missing="skip")
        errors.append(str(caught.value))
    assert len(set(errors)) == 1
    assert errors[0] in {str(item.error) for item in bad}
    for reference in others:
        with open_image(made.root, reference=reference) as image, image.fs() as view:
            assert {item.code for item in image.findings} <= {"ROOT_ENTRY"}
            assert view.listdir("/")
    assert caught.value.hint is not None
    return caught.value


def mount_of(made: Made) -> Path:
    """Give the folder of a container of Docker in the layer database."""
    return made.root / "image/overlay2/layerdb/mounts" / made.container


def chain_of(made: Made, position: int = -1) -> str:
    """Give the chain of a layer of Docker."""
    return f"sha256:{made.frames[position].parent.name}"


def forget_image(made: Made) -> None:
    """Let Docker have removed the image of a container, as ``docker rmi --force`` does."""
    (made.root / "image/overlay2/imagedb/content/sha256" / made.id[7:]).unlink()
    listed = made.root / "image/overlay2/repositories.json"
    names = json.loads(listed.read_bytes())["Repositories"]
    del names["app"]
    listed.write_text(json.dumps({"Repositories": names}))


DOCKER_ALSO = ("app:1", "other:1", "spare")


@pytest.mark.parametrize("verify", [True, False])
def test_a_mount_of_docker_without_its_parent_is_refused(
    docker: tuple[Made, Made], verify: bool
) -> None:
    made, _ = docker
    place = mount_of(made) / "parent"
    place.unlink()
    error = refused(made, *DOCKER_ALSO, verify=verify)
    assert (error.member, error.expected, error.actual) == (str(place), chain_of(made), "nothing")


def test_a_mount_of_docker_without_parent_and_image_is_refused(docker: tuple[Made, Made]) -> None:
    """Then nothing tells that it had a base, and nothing that it had none."""
    made, _ = docker
    forget_image(made)
    place = mount_of(made) / "parent"
    place.unlink()
    with pytest.raises(StoreError) as caught:
        open_image(made.root, reference="box")
    assert (caught.value.member, caught.value.actual) == (str(place), "nothing")
    assert [item.references[0] for item in list_images(made.root) if item.present] == [
        "other:1",
        "spare",
    ]


@pytest.mark.parametrize("base", ["another image's", "its image's base"])
def test_a_mount_of_docker_on_another_base_is_refused(docker: tuple[Made, Made], base: str) -> None:
    made, other = docker
    wrong = chain_of(other) if base == "another image's" else chain_of(made, 0)
    place = mount_of(made) / "parent"
    place.write_text(wrong)
    error = refused(made, *DOCKER_ALSO)
    assert (error.member, error.expected, error.actual) == (str(place), chain_of(made), wrong)


@pytest.mark.parametrize("known", [True, False], ids=["image", "image removed"])
@pytest.mark.parametrize("wrong", [None, "other"])
def test_a_layer_of_docker_without_its_parent_is_refused(
    docker: tuple[Made, Made], wrong: str | None, known: bool
) -> None:
    """The name of its folder is made of the parent, so that no image is needed to tell."""
    made, other = docker
    place = made.frames[1].parent / "parent"
    diff_id = (made.frames[1].parent / "diff").read_text()
    if not known:
        forget_image(made)
    if wrong is None:
        place.unlink()
        made_of = diff_id
    else:
        place.write_text(chain_of(other))
        text = f"{chain_of(other)} {diff_id}"
        made_of = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    if known:
        error = refused(made, *DOCKER_ALSO)
    else:
        with pytest.raises(StoreError) as caught:
            open_image(made.root, reference="box")
        error = caught.value
    assert (error.member, error.expected, error.actual) == (str(place), chain_of(made), made_of)
    # Which parent it was can be told.
    assert chain_of(made, 0) in str(error.hint)
    place.write_text(chain_of(made, 0))
    with open_image(made.root, reference="box") as image, image.fs() as view:
        assert view.readtext("/etc/keep") == "kept"


def test_a_base_of_docker_that_has_a_parent_is_refused(docker: tuple[Made, Made]) -> None:
    made, other = docker
    place = made.frames[0].parent / "parent"
    place.write_text(chain_of(other))
    error = refused(made, *DOCKER_ALSO)
    assert (error.member, error.expected) == (str(place), chain_of(made, 0))
    assert "Remove" in str(error.hint)


def test_another_diff_id_in_dockers_database_is_found_for_a_container(
    docker: tuple[Made, Made],
) -> None:
    made, other = docker
    forget_image(made)
    (made.frames[1].parent / "diff").write_text(chain_of(other))
    with pytest.raises(StoreError) as caught:
        open_image(made.root, reference="box")
    assert caught.value.expected == chain_of(made)


def test_a_container_of_docker_opens_without_its_image(docker: tuple[Made, Made]) -> None:
    made, _ = docker
    forget_image(made)
    with open_image(made.root, reference="box") as image, image.fs() as view:
        assert view.readtext("/etc/keep") == "kept"
        assert view.readtext("/new") == "written"
        assert image.config == {}


def test_a_container_of_docker_of_an_image_without_layers_opens(
    docker: tuple[Made, Made],
) -> None:
    made, _ = docker
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    ).encode()
    ident = hashlib.sha256(config).hexdigest()
    (made.root / "image/overlay2/imagedb/content/sha256" / ident).write_bytes(config)
    place = made.root / "containers" / made.container / "config.v2.json"
    place.write_text(json.dumps(json.loads(place.read_bytes()) | {"Image": f"sha256:{ident}"}))
    (mount_of(made) / "parent").unlink()
    with open_image(made.root, reference="box") as image, image.fs() as view:
        assert view.listdir("/") == ["new"]
    # With a parent it would have had layers.
    (mount_of(made) / "parent").write_text(chain_of(made))
    with pytest.raises(StoreError) as caught:
        open_image(made.root, reference="box")
    assert (caught.value.expected, caught.value.actual) == ("nothing", chain_of(made))


# -- containers/storage ----------------------------------------------------------------------------

STORAGE_ALSO = ("localhost/app:1", "localhost/other:1", "spare")


def bend(made: Made, part: str, ident: str, **changes: object) -> None:
    """Change an item of a list; None takes a field away."""
    path = made.root / f"overlay-{part}/{part}.json"
    items: list[dict[str, Any]] = json.loads(path.read_bytes())
    for item in items:
        if item["id"] == ident:
            item.update(changes)
            for key in [key for key, value in changes.items() if value is None]:
                del item[key]
    path.write_text(json.dumps(items))


def layer_of(made: Made, position: int) -> str:
    """Give the id of a layer of containers/storage."""
    return made.diffs[position].parent.name


def digest_at(made: Made, position: int) -> str:
    """Give the digest of a layer of containers/storage."""
    items = json.loads((made.root / "overlay-layers/layers.json").read_bytes())
    return next(
        str(item["diff-digest"]) for item in items if item["id"] == layer_of(made, position)
    )


@pytest.mark.parametrize("verify", [True, False])
def test_a_containers_layer_without_its_parent_is_refused(
    storage: tuple[Made, Made], verify: bool
) -> None:
    made, _ = storage
    bend(made, "layers", "top", parent=None)
    error = refused(made, *STORAGE_ALSO, verify=verify)
    assert error.member == str(made.root / "overlay-layers/layers.json")
    assert error.pointer == "/2/parent"
    assert (error.expected, error.actual) == (digest_at(made, 1), "nothing")


@pytest.mark.parametrize("base", ["another image's", "its image's base"])
def test_a_containers_layer_on_another_base_is_refused(
    storage: tuple[Made, Made], base: str
) -> None:
    made, other = storage
    wrong = (other, 0) if base == "another image's" else (made, 0)
    bend(made, "layers", "top", parent=layer_of(*wrong))
    error = refused(made, *STORAGE_ALSO)
    assert (error.pointer, error.expected, error.actual) == (
        "/2/parent",
        digest_at(made, 1),
        digest_at(*wrong),
    )


@pytest.mark.parametrize("wrong", [None, "other"])
def test_an_images_layer_without_its_parent_is_refused(
    storage: tuple[Made, Made], wrong: str | None
) -> None:
    """The image itself then has too few layers, or another one."""
    made, other = storage
    parent = None if wrong is None else layer_of(other, 0)
    bend(made, "layers", layer_of(made, 1), parent=parent)
    error = refused(made, *STORAGE_ALSO[1:])
    actual = "nothing" if wrong is None else digest_at(other, 0)
    assert (error.pointer, error.expected, error.actual) == (
        "/1/parent",
        digest_at(made, 0),
        actual,
    )
    assert next(
        item for item in list_images(made.root) if "localhost/app:1" in item.references
    ).error


def test_a_base_that_has_a_parent_is_refused(storage: tuple[Made, Made]) -> None:
    made, other = storage
    bend(made, "layers", layer_of(made, 0), parent=layer_of(other, 0))
    error = refused(made, *STORAGE_ALSO[1:])
    assert (error.pointer, error.expected, error.actual) == (
        "/0/parent",
        "nothing",
        digest_at(other, 0),
    )


@pytest.mark.parametrize("named", ["nothing", "", 0, 1])
def test_a_container_without_a_layer_of_its_own_is_refused(
    storage: tuple[Made, Made], named: str | int
) -> None:
    """It names none, or one of its image's."""
    made, _ = storage
    wrong = layer_of(made, named) if isinstance(named, int) else named
    bend(made, "containers", made.container, layer=None if named == "nothing" else wrong)
    error = refused(made, *STORAGE_ALSO)
    assert error.member == str(made.root / "overlay-containers/containers.json")
    assert error.pointer == "/0/layer"
    assert error.expected == "a layer of its own"
    assert error.actual == (wrong or "nothing")


def test_a_container_with_the_layer_of_another_is_refused(storage: tuple[Made, Made]) -> None:
    made, other = storage
    bend(made, "containers", made.container, layer="spare")
    error = refused(made, *STORAGE_ALSO)
    assert (error.expected, error.actual) == (digest_at(made, 1), digest_at(other, 0))


def test_an_image_with_the_layer_of_another_is_refused(storage: tuple[Made, Made]) -> None:
    """As many layers are not the same layers, whether their digests are compared or not."""
    made, other = storage
    bend(made, "images", other.id[7:], layer=layer_of(made, 0))
    for verify in (True, False):
        with pytest.raises(StoreError) as caught:
            open_image(made.root, reference="localhost/other:1", verify=verify)
        error = caught.value
        assert error.member == str(made.root / "overlay-images/images.json")
        assert (error.pointer, error.expected, error.actual) == (
            "/1/layer",
            digest_at(other, 0),
            digest_at(made, 0),
        )
    # Its container is on the right one, as the configuration of the image says.
    with open_image(made.root, reference="spare") as image, image.fs() as view:
        assert view.readtext("/other") == "another image"
        assert image.id == other.id
        assert {item.code for item in image.findings} == {"STORE_NOT_READ", "ROOT_ENTRY"}


def test_a_layer_whose_digest_is_not_listed_is_taken_as_it_is(
    storage: tuple[Made, Made],
) -> None:
    """Of what is pulled in chunks the digest is not known; that of the tar is compared later."""
    made, _ = storage
    for position in (0, 1):
        bend(made, "layers", layer_of(made, position), **{"diff-digest": None})
    for reference in ("localhost/app:1", "box"):
        with open_image(made.root, reference=reference) as image, image.fs() as view:
            assert view.readtext("/etc/keep") == "kept"


def test_a_list_without_a_layer_is_a_layer_that_is_missing(storage: tuple[Made, Made]) -> None:
    made, _ = storage
    path = made.root / "overlay-layers/layers.json"
    path.write_text(json.dumps(json.loads(path.read_bytes())[1:]))
    with (
        open_image(made.root, reference="box") as image,
        image.fs() as view,
        pytest.raises(BlobNotFoundError),
    ):
        view.listdir("/")
    assert not next(i for i in list_images(made.root) if "box" in i.references).present


# -- containers/storage, where the image was removed ----------------------------------------------


def named_by_digests(made: Made) -> list[str]:
    """Give the layers of an image the ids that pulling it gives."""
    names: list[str] = []
    for position, folder in enumerate(made.diffs):
        encoded = digest_at(made, position)[7:]
        text = f"{names[-1]}+{encoded}" if names else None
        names.append(hashlib.sha256(text.encode()).hexdigest() if text else encoded)
        old = folder.parent.name
        folder.parent.rename(folder.parent.with_name(names[-1]))
        made.frames[position].rename(made.frames[position].with_name(f"{names[-1]}.tar-split.gz"))
        for part in ("layers", "images"):
            path = made.root / f"overlay-{part}/{part}.json"
            items = json.loads(path.read_bytes())
            for item in items:
                for key in ("id", "parent", "layer"):
                    if item.get(key) == old:
                        item[key] = names[-1]
            path.write_text(json.dumps(items))
        made.diffs[position] = folder.parent.with_name(names[-1]) / "diff"
    return names


def forget_listed(made: Made) -> None:
    """Let the image have been removed by force."""
    path = made.root / "overlay-images/images.json"
    path.write_text(
        json.dumps([item for item in json.loads(path.read_bytes()) if item["id"] != made.id[7:]])
    )
    shutil.rmtree(made.root / "overlay-images" / made.id[7:])


@pytest.mark.parametrize("names", ["of digests", "of chance"])
def test_a_container_opens_without_its_image(storage: tuple[Made, Made], names: str) -> None:
    made, _ = storage
    if names == "of digests":
        named_by_digests(made)
    forget_listed(made)
    with open_image(made.root, reference="box") as image, image.fs() as view:
        assert view.readtext("/etc/keep") == "kept"
        assert view.readtext("/new") == "written"


def test_without_image_and_parent_a_container_is_refused(storage: tuple[Made, Made]) -> None:
    made, _ = storage
    forget_listed(made)
    bend(made, "layers", "top", parent=None)
    with pytest.raises(StoreError) as caught:
        open_image(made.root, reference="box")
    assert (caught.value.pointer, caught.value.actual) == ("/2/parent", "nothing")


def test_a_container_of_no_image_stands_on_nothing(storage: tuple[Made, Made]) -> None:
    """So does what ``buildah from scratch`` makes."""
    made, _ = storage
    bend(made, "layers", "top", parent=None)
    bend(made, "containers", made.container, image=None)
    with open_image(made.root, reference="box") as image, image.fs() as view:
        assert view.listdir("/") == ["new"]


@pytest.mark.parametrize("wrong", ["gone", "other"])
def test_ids_that_are_made_of_digests_tell_the_parent(
    storage: tuple[Made, Made], wrong: str
) -> None:
    made, other = storage
    names = named_by_digests(made)
    forget_listed(made)
    parent = layer_of(other, 0) if wrong == "other" else None
    bend(made, "layers", names[1], parent=parent)
    with pytest.raises(StoreError) as caught:
        open_image(made.root, reference="box")
    error = caught.value
    assert (error.pointer, error.expected, error.actual) == (
        "/1/parent",
        names[0],
        parent or "nothing",
    )
    bend(made, "layers", names[1], parent=names[0])
    bend(made, "layers", names[0], parent=layer_of(other, 0))
    with pytest.raises(StoreError) as caught:
        open_image(made.root, reference="box")
    assert (caught.value.pointer, caught.value.expected) == ("/0/parent", "nothing")


# -- what the engine would mount ------------------------------------------------------------------


def keep_lower(made: Made, other: Made) -> tuple[Path, str]:
    """Write what overlay drivers keep: a name for each layer, and those of the layers beneath."""
    own = made.diffs[0].parent.with_name("mount-rw" if made.root.name == "docker" else "top")
    beneath = [folder.parent for folder in reversed(made.diffs)]
    if (own.parent / "mount-init").is_dir():
        beneath.insert(0, own.parent / "mount-init")
    for number, folder in enumerate((*beneath, other.diffs[0].parent)):
        (folder / "link").write_text(f"NAME{number}")
    lower = ":".join(f"l/NAME{number}" for number in range(len(beneath)))
    (own / "lower").write_text(lower)
    return own / "lower", lower


@pytest.fixture(params=["docker", "storage"])
def either(request: pytest.FixtureRequest) -> tuple[Made, Made]:
    """Give a root of Docker, then one of containers/storage, each with two images."""
    made: tuple[Made, Made] = request.getfixturevalue(request.param)
    return made


def forgotten(made: Made) -> None:
    """Let the image have been removed by force."""
    (forget_image if made.root.name == "docker" else forget_listed)(made)


def codes(made: Made) -> set[str]:
    """Give the findings of the container, which shows its whole tree."""
    with open_image(made.root, reference="box") as image, image.fs() as view:
        assert view.readtext("/etc/keep") == "kept"
        return {item.code for item in image.findings} - {"ROOT_ENTRY"}


def test_what_the_engine_would_mount_is_what_is_shown(either: tuple[Made, Made]) -> None:
    place, _ = keep_lower(*either)
    assert codes(either[0]) == set()
    forgotten(either[0])
    assert codes(either[0]) == set()
    # It is not needed: one that is gone or no file costs nothing.
    place.unlink()
    assert codes(either[0]) == set()
    os.mkfifo(place)
    assert codes(either[0]) == set()


@pytest.mark.parametrize("change", ["fewer", "other", "more"])
def test_another_base_that_the_engine_would_mount_is_told(
    either: tuple[Made, Made], change: str
) -> None:
    made, _ = either
    place, lower = keep_lower(*either)
    wrong = {
        "fewer": lower.rpartition(":")[0],
        "other": f"{lower.rpartition(':')[0]}:l/NAME{lower.count(':') + 1}",
        "more": f"{lower}:l/NAME{lower.count(':') + 1}",
    }[change]
    place.write_text(wrong)
    # The configuration of the image says which is right.
    assert codes(made) == {"LOWER_MISMATCH"}
    forgotten(made)
    with pytest.raises(StoreError) as caught:
        open_image(made.root, reference="box")
    error = caught.value
    assert (error.member, error.expected, error.actual) == (str(place), lower, wrong)
    assert error.hint is not None


def test_a_parent_that_only_the_mount_can_tell_is_found(storage: tuple[Made, Made]) -> None:
    """Without the image, and by ids of chance, nothing else would."""
    made, other = storage
    keep_lower(made, other)
    forget_listed(made)
    bend(made, "layers", "top", parent=layer_of(other, 0))
    with pytest.raises(StoreError, match="would mount") as caught:
        open_image(made.root, reference="box")
    assert (caught.value.expected, caught.value.actual) == ("l/NAME2", "l/NAME0:l/NAME1")


def test_a_layer_that_docker_has_prepared_is_missed(docker: tuple[Made, Made]) -> None:
    made, other = docker
    keep_lower(made, other)
    (mount_of(made) / "init-id").unlink()
    assert codes(made) == {"LOWER_MISMATCH"}
