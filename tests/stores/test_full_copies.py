"""The driver vfs: a layer is what differs between its copy and the one it was made from."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import truth
from facts import differences, tree_of
from made_stores import Made
from overlay import shown

from unionlayers import UnsupportedError, open_image

pytestmark = pytest.mark.skipif(not hasattr(os, "listxattr"), reason="on-disk stores need Linux")


@pytest.fixture
def copies(docker_root: Made) -> tuple[Path, Path]:
    """Make the root one of vfs; give it, and the tree of its container."""
    root = docker_root.root
    (root / "image/overlay2").rename(root / "image/vfs")
    place = root / "vfs/dir"
    place.mkdir(parents=True)
    below = docker_root.diffs[0]
    for name, upper in (("0" * 64, None), ("1" * 64, docker_root.diffs[1])):
        subprocess.run(["cp", "-a", below, place / name], check=True)
        if upper is not None:
            (place / name / "etc/name").unlink()
            subprocess.run(["cp", "-a", f"{upper}/.", place / name], check=True)
        below = place / name
    for name in ("mount-init", "mount-rw"):
        subprocess.run(["cp", "-a", below, place / name], check=True)
        below = place / name
    shutil.rmtree(root / "overlay2")
    state = root / "containers" / docker_root.container / "config.v2.json"
    state.write_text(state.read_text().replace("overlay2", "vfs"))
    return root, below


def test_an_unchanged_copy_is_an_empty_layer(copies: tuple[Path, Path]) -> None:
    root, _ = copies
    with open_image(root, reference="box") as image, image.fs() as view:
        assert [layer.empty for layer in image.layers] == [False, False, True, True]
        assert view.readtext("/etc/keep") == "kept"
        image.verify()


CHANGES = {
    "a name of an inode is added": "ln etc/keep etc/third",
    "a name of an inode is taken away": "rm etc/also",
    "a name of an inode is moved behind": "mv etc/also etc/third",
    "a name of an inode is moved before": "mv etc/keep etc/aaa",
    "an inode is parted": "rm etc/also; cp -a etc/keep etc/also",
    "an inode is written through one name": "echo more >> etc/also",
    "a directory is emptied": "rm etc/*",
    "a directory is removed": "rm -r etc",
    "a directory becomes a file": "rm -r etc; echo file > etc",
    "a file becomes a directory": "rm etc/name; mkdir etc/name; echo x > etc/name/x",
    "a link has another text": "ln -sfn elsewhere link",
    "a mode is changed": "chmod 600 etc/keep",
    "a time is changed": "touch -h -d 2001-01-01 link etc/name",
    "nothing but the content": "touch -r etc/name ref; tr u U < etc/name > t; cat t > etc/name; "
    "touch -r ref etc/name; rm ref t",
    "names come before, between and after": "echo 1 > etc/a; echo 2 > etc/l; echo 3 > etc/z",
    "a tree is added": "mkdir -p new/er; mkfifo new/er/pipe; ln -s x new/er/link; touch new/.h",
}


@pytest.mark.parametrize("script", CHANGES.values(), ids=CHANGES.keys())
def test_a_container_shows_its_own_copy(copies: tuple[Path, Path], script: str) -> None:
    root, tree = copies
    subprocess.run(["sh", "-euc", script], cwd=tree, check=True)
    assert_shows(root, tree)
    with open_image(root, reference="box") as image:
        assert image.layers[2].empty


def test_a_container_shows_its_own_copy_whatever_it_is_said_to_stand_on(
    copies: tuple[Path, Path], docker_root: Made
) -> None:
    root, tree = copies
    # Its image was removed, and there is no file ``lower`` that would tell the parent to be wrong.
    shutil.rmtree(root / "image/vfs/imagedb/content/sha256")
    (root / "image/vfs/repositories.json").unlink()
    base = docker_root.frames[0].parent.name
    mount = root / "image/vfs/layerdb/mounts" / docker_root.container
    (mount / "parent").write_text(f"sha256:{base}")
    with open_image(root, reference="box") as image:
        assert len(image.layers) == 3
    assert_shows(root, tree)


def assert_shows(root: Path, tree: Path) -> None:
    """Compare what the container shows with its copy."""
    expected = shown(truth.describe(str(tree)))
    with open_image(root, reference="box") as image, image.fs() as view:
        found = tree_of(view)
        # A root that is not touched stays that of an image which says nothing of it.
        for fact in (*found.values(), *expected.values()):
            fact.pop("implied", None)
            fact.pop("layer", None)
            if os.geteuid() != 0:
                # Nobody but root can unpack a layer with its owners.
                del fact["uid"], fact["gid"]
        found.pop("."), expected.pop(".")
        assert differences(found, expected) == {}


def test_unverified_contents_are_not_compared(copies: tuple[Path, Path]) -> None:
    root, tree = copies
    script = CHANGES["nothing but the content"]
    subprocess.run(["sh", "-euc", script], cwd=tree, check=True)
    with open_image(root, reference="box", verify=False) as image, image.fs() as view:
        assert view.readtext("/etc/name").startswith("upper")


def test_a_new_name_that_reads_like_a_whiteout_is_refused(copies: tuple[Path, Path]) -> None:
    root, tree = copies
    (tree / "etc/.wh.keep").touch()
    with open_image(root, reference="box") as image, pytest.raises(UnsupportedError) as caught:
        image.layers[3].load()
    assert caught.value.path == "/etc/.wh.keep"
