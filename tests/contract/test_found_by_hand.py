"""Faults that were found by looking, each as the smallest image that showed it."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

import unionlayers
from unionlayers import (
    DigestMismatchError,
    DocumentError,
    LayerError,
    TarError,
    UnionFS,
    UnsupportedError,
    open_image,
)
from unionlayers.testing import (
    Entry,
    ImageDescription,
    directory,
    docker_archive,
    file,
    hardlink,
    layer,
    oci_archive,
    raw,
    symlink,
)

TAR = layer(file("a", b"x"))
DIFF_ID = "sha256:" + hashlib.sha256(TAR).hexdigest()


def view(*layers: list[Entry]) -> UnionFS:
    """Give a view over layers."""
    return UnionFS(io.BytesIO(docker_archive(ImageDescription(layers))))


def archive(
    diff_ids: list[str], layers: list[str], members: list[Entry], name: str | None = None
) -> Any:
    """Give a docker archive whose documents say just this."""
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": rootfs}).encode()
    name = name or hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": ["a:b"], "Layers": layers}]).encode()
    return io.BytesIO(layer(file(name, config), file("manifest.json", manifest), *members))


@pytest.mark.parametrize("pickled", [False, True])
def test_errors_of_a_view_can_be_shown(pickled: bool) -> None:
    with pytest.raises(unionlayers.PathNotFoundError) as caught, view([file("a", b"1")]) as shown:
        shown.readbytes("/zz")
    error = pickle.loads(pickle.dumps(caught.value)) if pickled else caught.value
    assert "/zz" in repr(error)
    assert "/zz" in str(error)


def test_a_wrong_diff_id_of_a_layer_that_is_stored_once_and_used_twice_is_found() -> None:
    members = [file("a/layer.tar", TAR), symlink("b/layer.tar", "../a/layer.tar")]
    false = archive([DIFF_ID, "sha256:" + "0" * 64], ["a/layer.tar", "b/layer.tar"], members)
    with open_image(false) as image, pytest.raises(DigestMismatchError) as caught:
        image.prepare()
    assert caught.value.layer == 1


def test_a_diff_id_that_cannot_be_checked_is_said() -> None:
    false = archive(["sha512:" + "0" * 128], ["a/layer.tar"], [file("a/layer.tar", TAR)])
    with open_image(false) as image, pytest.raises(UnsupportedError, match="verify=False"):
        image.prepare()


def test_verify_checks_the_documents_too() -> None:
    members = [file("a/layer.tar", TAR)]
    false = archive([DIFF_ID], ["a/layer.tar"], members, name="1" * 64 + ".json")
    with open_image(false, verify=False) as image, pytest.raises(DigestMismatchError):
        image.verify()


def test_verify_reads_what_was_read_before_again(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(oci_archive(ImageDescription([[file("a", bytes(300_000))]])))
    done: list[int] = []
    with open_image(path, progress=lambda now, _total, _what: done.append(now)) as image:
        image.prepare()
        before = len(done)
        image.verify()
        assert len(done) > before


def test_an_archive_cut_inside_its_first_member_is_a_cut_archive() -> None:
    whole = docker_archive(ImageDescription([[file("big", os.urandom(50_000))]]))
    with pytest.raises(TarError, match="ends inside"):
        open_image(io.BytesIO(layer(file("layer.tar", whole))[:20_000]))


def test_a_name_that_is_no_unicode_is_an_error_of_the_document() -> None:
    raw = b'[{"Config":"\\ud800","RepoTags":[],"Layers":[]}]'
    with pytest.raises(DocumentError) as caught:
        open_image(io.BytesIO(layer(file("manifest.json", raw))))
    assert caught.value.pointer == "/0/Config"


def descriptors() -> int:
    """Count what this process has open."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_nothing_stays_open_of_what_was_unpickled_or_dropped(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(docker_archive(ImageDescription([[file("a", b"1")]])))
    before = descriptors()
    with open_image(path) as image:
        packed = pickle.dumps(image.fs())
    again = pickle.loads(packed)
    assert again.readbytes("a") == b"1"
    again.close()
    dropped = open_image(path)
    del dropped, again
    assert descriptors() == before


def test_a_view_of_a_closed_image_answers_nothing_more() -> None:
    image = open_image(io.BytesIO(docker_archive(ImageDescription([[file("a"), file("b")]]))))
    shown = image.fs()
    running = shown.scandir("/")
    next(running)
    image.close()
    for question in (
        lambda: list(running),
        lambda: list(shown.find()),
        lambda: shown.findings,
        lambda: shown.listdir("/"),
        lambda: shown.remove("/a"),
    ):
        with pytest.raises(unionlayers.ClosedError):
            question()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/[z-a]", []),
        ("/[[a]", []),
        ("/d[!q]x", []),
        ("d/*", ["/d/x"]),
        ("**/y", ["/d/q/y"]),
        ("d/**", ["/d/q/y", "/d/x"]),
        ("**", ["/d/q/y", "/d/x", "/top"]),
        ("d/x", ["/d/x"]),
        ("d/**/y", ["/d/q/y"]),
        ("*", ["/top"]),
    ],
)
def test_patterns_match_component_by_component(pattern: str, expected: list[str]) -> None:
    with view([directory("d"), file("d/x"), file("d/q/y"), file("top")]) as shown:
        assert [path for path, _ in shown.find(pattern)] == expected


def test_a_pattern_without_wildcards_asks_no_layer_below() -> None:
    stack = ImageDescription([[file("a")], [file("t")]])
    done: list[str] = []
    with open_image(
        io.BytesIO(docker_archive(stack)), progress=lambda *_: done.append("")
    ) as image:
        assert [path for path, _ in image.fs().find("/t")] == ["/t"]
        once = len(done)
        image.prepare()
        assert len(done) > once


def test_names_of_users_end_at_newlines_only() -> None:
    passwd = b"root:x:0:0:a\x0cevil:x:5:5::\nreal:x:5:5::\n"
    with view([file("etc/passwd", passwd), file("f", uid=5)]) as shown:
        assert shown.getinfo("/f", ["access"]).user == "real"


def test_a_passwd_that_cannot_be_opened_takes_no_owner_away() -> None:
    with view([hardlink("etc/passwd", "nope"), file("f", uid=5)]) as shown:
        info = shown.getinfo("/f", ["access"])
        assert (info.uid, info.user) == (5, None)


def test_a_hard_link_to_a_lower_layer_is_supplied_by_the_layer_that_has_the_link() -> None:
    with view([file("x", b"1")], [hardlink("y", "x")]) as shown:
        found: Any = {i.name: i.raw for i in shown.scandir("/", ["layer", "tar", "stat"])}
        assert found["y"]["layer"]["index"] == 1
        assert found["y"]["tar"]["name"] == "y"
        assert found["y"]["stat"]["st_ino"] == found["x"]["stat"]["st_ino"]


def test_a_thousand_names_of_one_inode_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from unionlayers._layers.union import Union

    counted: list[Any] = []
    original = Union.names

    def names(self: Union, inode: Any) -> list[str]:
        counted.append(inode)
        return original(self, inode)

    monkeypatch.setattr(Union, "names", names)
    links = [hardlink(f"a{n}", "a0", mtime=n) for n in range(1, 1000)]
    with view([file("a0", b"x"), *links]) as shown:
        found: list[Any] = list(shown.scandir("/", ["stat"]))
    assert {info.raw["stat"]["st_nlink"] for info in found} == {1000}
    assert len(counted) == 1


def test_a_hard_link_through_a_file_of_a_lower_layer_has_no_target() -> None:
    with view([file("a", b"x")], [hardlink("b", "a/y")]) as shown:
        with pytest.raises(LayerError, match="does not exist"):
            shown.getinfo("/b", ["stat"])
        assert shown.readbytes("/a") == b"x"
        assert [finding.code for finding in shown.findings] == ["HARDLINK_MISSING"]


def test_findings_tell_an_implied_directory_over_a_hard_link_to_nothing() -> None:
    with view([hardlink("a", "nowhere")], [file("a/b", b"")]) as shown:
        codes = sorted(finding.code for finding in shown.findings)
        assert codes == ["HARDLINK_MISSING", "IMPLIED_OVER_FILE"]


def test_a_hard_link_through_a_hard_link_to_nothing_has_no_target_either() -> None:
    with view([hardlink("a", "nowhere")], [hardlink("b", "a/y")]) as shown:
        codes = [finding.code for finding in shown.findings]
        assert codes == ["HARDLINK_MISSING", "HARDLINK_MISSING"]


def test_a_hard_link_into_a_layer_that_cannot_be_read_raises_what_is_wrong_with_it() -> None:
    with view([raw(b"\1" * 512)], [hardlink("b", "a")]) as shown:
        for _ in range(2):
            with pytest.raises(TarError):
                shown.getinfo("/b", ["stat"])


def test_a_hard_link_to_a_file_in_the_directory_that_it_replaces_is_refused() -> None:
    # umoci, GNU tar and containerd take the directory away first, and then find no target.
    with (
        view([directory("a"), file("a/b", b"x")], [hardlink("a", "a/b")]) as shown,
        pytest.raises(LayerError, match="to itself"),
    ):
        shown.listdir("/")
