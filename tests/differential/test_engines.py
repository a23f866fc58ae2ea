"""The engines that other tests compare with start, answer and stop."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from engines import TOOLS, Docker, Storage, dockerd, need, skopeo, umoci, version

from unionlayers.testing import ImageDescription, file, write_image

IMAGE = ImageDescription([[file("a", "1")]], tags=("localhost/app:1",))


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_that_is_there_says_its_version(name: str) -> None:
    need(name)
    assert version(name)[0].isdigit()


def test_docker_loads_an_image_into_its_own_root(docker: Docker, tmp_path: Path) -> None:
    docker("load", "--input", str(write_image(tmp_path / "image.tar", IMAGE)))
    assert b"localhost/app:1" in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    assert (docker.data_root / "image" / docker.driver / "repositories.json").exists()


def test_docker_is_gone_with_its_mounts_when_the_context_ends() -> None:
    with tempfile.TemporaryDirectory(prefix="ul-docker-") as folder:
        with dockerd(Path(folder), "overlay2", "vfs") as engine:
            os.kill(engine.pid, 0)
        with pytest.raises(ProcessLookupError):
            os.kill(engine.pid, 0)
        assert folder not in Path("/proc/mounts").read_text()


def test_podman_and_buildah_share_one_root(podman_store: Storage, tmp_path: Path) -> None:
    need("podman", "buildah")
    archive = str(write_image(tmp_path / "image.tar", IMAGE))
    podman_store.podman("load", "--signature-policy", podman_store.policy, "--input", archive)
    assert b"localhost/app" in podman_store.buildah("images")
    assert (podman_store.root / f"{podman_store.driver}-images" / "images.json").exists()


def test_skopeo_and_umoci_need_no_store(tmp_path: Path) -> None:
    need("skopeo", "umoci")
    archive = str(write_image(tmp_path / "image.tar", IMAGE))
    skopeo("copy", f"docker-archive:{archive}", f"oci:{tmp_path}/layout:1")
    assert b"1" in umoci("ls", "--layout", tmp_path / "layout").split()
