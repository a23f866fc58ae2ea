"""Demands on an image: what holds passes, and what does not is explained by layer and step."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest

from unionlayers import ImageCheck, LayerError, open_image
from unionlayers.testing import (
    HistoryStep,
    ImageDescription,
    char_device,
    directory,
    fifo,
    file,
    hardlink,
    oci_archive,
    symlink,
    whiteout,
)

BASE = [
    file("etc/passwd", "root:x:0:0::/:\napp:x:1000:1000::/:\n"),
    file("etc/group", "root:x:0:\nstaff:x:50:\n"),
    file("etc/release", "NAME=Demo\nVERSION=1\n"),
    symlink("release", "etc/release"),
    file("usr/bin/su", "x" * 10, mode=0o4755),
    file("usr/bin/wall", "y" * 10, mode=0o2755),
    file("srv/app", "code", mode=0o640, uid=1000, gid=50),
    directory("var/cache"),
    char_device("dev/null", 1, 3),
    fifo("run/pipe"),
]
SECRET = [file("root/key.pem", b"-----BEGIN"), file("srv/big", b"z" * 900)]
CLEAN = [whiteout("root/key.pem"), file("srv/big", b"w" * 100)]
STEPS = [
    HistoryStep(created_by="FROM base"),
    HistoryStep(created_by="COPY key.pem /root"),
    HistoryStep(created_by="RUN rm /root/key.pem"),
]


@pytest.fixture(scope="module")
def check() -> Iterator[ImageCheck]:
    archive = oci_archive(ImageDescription([BASE, SECRET, CLEAN], history=STEPS))
    with open_image(io.BytesIO(archive)) as image:
        yield ImageCheck(image)


HOLDS: dict[str, Callable[[ImageCheck], None]] = {
    "something is there": lambda check: check.exists("/etc"),
    "a file": lambda check: check.exists("etc/passwd", type="file"),
    "a directory": lambda check: check.exists("/etc/", type="directory"),
    "a link that leads to a file": lambda check: check.exists("/release", type="file"),
    "a link itself": lambda check: check.exists("/release", type="symlink"),
    "a device": lambda check: check.exists("/dev/null", type="device"),
    "a FIFO": lambda check: check.exists("/run/pipe", type="fifo"),
    "a mode": lambda check: check.mode("/usr/bin/su", 0o4755),
    "a mode behind a link": lambda check: check.mode("/release", 0o644),
    "an owner by number": lambda check: check.owner("/srv/app", 1000, 50),
    "an owner by name": lambda check: check.owner("/srv/app", "app", "staff"),
    "an owner of any group": lambda check: check.owner("/etc", "root"),
    "a whole content": lambda check: check.content("/srv/app", equals="code"),
    "a whole content in bytes": lambda check: check.content("/srv/app", equals=b"code"),
    "a part of a content": lambda check: check.content("/release", contains="Demo"),
    "a line": lambda check: check.content("/release", matches=r"^VERSION=\d$"),
    "nothing is there": lambda check: check.absent("/etc/shadow"),
    "nothing is shown any more": lambda check: check.absent("/root/*.pem"),
    "nothing was ever shipped": lambda check: check.never_shipped("**/*.key"),
    "no setuid but those": lambda check: check.no_setuid(but=["/usr/bin/su", "usr/bin/w*"]),
    "a little waste": lambda check: check.waste_below(share=0.99, size=1000),
}


@pytest.mark.parametrize("demand", HOLDS.values(), ids=HOLDS)
def test_it_passes_that(demand: Callable[[ImageCheck], None], check: ImageCheck) -> None:
    demand(check)


FAILS: dict[str, tuple[Callable[[ImageCheck], None], list[str]]] = {
    "nothing is there": (
        lambda check: check.exists("/none"),
        ["/none is not there", "no layer has it"],
    ),
    "what is there was deleted": (
        lambda check: check.exists("/root/key.pem"),
        ["/root/key.pem is not there", "a whiteout in layer 2", "COPY key.pem /root"],
    ),
    "a file is no directory": (
        lambda check: check.exists("/srv/app", type="directory"),
        ["/srv/app is a file, not a directory", "layer 0", "FROM base"],
    ),
    "a directory is no link": (
        lambda check: check.exists("/etc", type="symlink"),
        ["/etc is a directory, not a symlink"],
    ),
    "another mode": (
        lambda check: check.mode("/usr/bin/su", 0o755),
        ["/usr/bin/su has mode 4755, not 0755", "added by layer 0", "FROM base"],
    ),
    "another mode behind a link": (
        lambda check: check.mode("/release", 0o600),
        ["/release has mode 0644, not 0600", "symlink to etc/release", "/etc/release: file 0644"],
    ),
    "the mode of nothing": (lambda check: check.mode("/none", 0o755), ["/none is not there"]),
    "another owner": (
        lambda check: check.owner("/srv/app", "root"),
        ["/srv/app has the user 1000 (app), not 'root'", "FROM base"],
    ),
    "another group": (
        lambda check: check.owner("/srv/app", 1000, 51),
        ["/srv/app has the group 50 (staff), not 51"],
    ),
    "another content": (
        lambda check: check.content("/srv/big", equals="w"),
        ["/srv/big holds 'www", "changed by layer 2", "RUN rm"],
    ),
    "a content that lacks a part": (
        lambda check: check.content("/release", contains="Other"),
        [r"/release holds 'NAME=Demo\nVERSION=1\n', without 'Other'"],
    ),
    "a content that does not match": (
        lambda check: check.content("/release", matches="^OTHER"),
        ["which '^OTHER' does not match"],
    ),
    "the content of a directory": (
        lambda check: check.content("/etc", contains=""),
        ["/etc is a directory, not a file"],
    ),
    "something is there": (
        lambda check: check.absent("/etc/*a*"),
        ["paths are there that must not be", "/etc/passwd: file"],
    ),
    "a link that leads to something is there": (
        lambda check: check.absent("/release"),
        ["1 path is there that must not be", "/release: symlink"],
    ),
    "a deleted file was shipped": (
        lambda check: check.never_shipped("**/*.pem"),
        ["1 path is shipped that must never be", "layer 1 ships /root/key.pem, 10 bytes",
         "COPY key.pem /root; layer 2 only hides it", "a whiteout in layer 2"],
    ),
    "a file that is shown was shipped": (
        lambda check: check.never_shipped("/srv/app"),
        ["1 path is shipped", "/srv/app: file 0640 1000:50"],
    ),
    "setuid": (
        lambda check: check.no_setuid(but=["/usr/bin/su"]),
        ["1 path is setuid or setgid that must not be", "/usr/bin/wall: file 2755", "FROM base"],
    ),
    "a large share of waste": (
        lambda check: check.waste_below(share=0.5),
        ["% of what is shipped is waste, and 50.0% is too much", "910 bytes by layer 2: RUN rm",
         "900 shadowed /srv/big in layer 1"],
    ),
    "many bytes of waste": (
        lambda check: check.waste_below(size=910),
        ["910 bytes are waste, and 910 is too much"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("demand", "told"), FAILS.values(), ids=FAILS)
def test_it_fails_and_says_why_where(
    demand: Callable[[ImageCheck], None], told: list[str], check: ImageCheck
) -> None:
    with pytest.raises(AssertionError) as caught:
        demand(check)
    said = str(caught.value)
    assert [part for part in told if part not in said] == [], said


def test_what_a_layer_replaces_within_itself_was_shipped_too() -> None:
    twice = [file("a.pem", "one"), file("a.pem", "two"), whiteout("b")]
    archive = oci_archive(ImageDescription([twice, [whiteout("a.pem")]]))
    with open_image(io.BytesIO(archive)) as image, pytest.raises(AssertionError) as caught:
        ImageCheck(image).never_shipped("a.pem")
    assert str(caught.value).count("ships /a.pem, 3 bytes") == 2


def test_many_paths_are_counted_and_the_first_explained() -> None:
    files = [file(f"f{number:02}", mode=0o4755) for number in range(30)]
    with open_image(io.BytesIO(oci_archive(ImageDescription([files])))) as image:
        with pytest.raises(AssertionError) as caught:
            ImageCheck(image).no_setuid()
        assert str(caught.value).startswith("30 paths are setuid")
        assert str(caught.value).endswith("and 25 more")
        assert str(caught.value).count("\n") < 20


def test_names_and_contents_are_escaped() -> None:
    hostile = [file("\x1b[31mred", "\x1b[2J", mode=0o4755)]
    with open_image(io.BytesIO(oci_archive(ImageDescription([hostile])))) as image:
        check = ImageCheck(image)
        demands: list[Callable[[], None]] = [
            check.no_setuid,
            lambda: check.absent("*"),
            lambda: check.never_shipped("*"),
            lambda: check.mode("/\x1b[31mred", 0),
            lambda: check.content("/\x1b[31mred", equals=""),
        ]
        for demand in demands:
            with pytest.raises(AssertionError) as caught:
                demand()
            assert "\x1b" not in str(caught.value)


def test_what_cannot_be_asked_is_no_failure_of_the_image(check: ImageCheck) -> None:
    with pytest.raises(ValueError, match="a type is one of"):
        check.exists("/etc", type="dir")
    with pytest.raises(TypeError, match="equals, contains or matches"):
        check.content("/srv/app")
    with pytest.raises(TypeError, match="a share or a size"):
        check.waste_below()
    with pytest.raises(ValueError, match=r"'\.\.'"):
        check.absent("/etc/../x")


def test_what_cannot_be_read_is_no_answer() -> None:
    broken = [file("good"), hardlink("bad", "nowhere")]
    with open_image(io.BytesIO(oci_archive(ImageDescription([broken])))) as image:
        check = ImageCheck(image)
        check.exists("/good")
        with pytest.raises(LayerError):
            check.exists("/bad")
