"""A random image in a random form and compression has the tree of the plain one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from facts import disagreements, facts_of
from hypothesis import given
from hypothesis import strategies as st

from unionlayers.testing import (
    CODECS,
    FORMS,
    SHAPES,
    Entry,
    HistoryStep,
    ImageDescription,
    LayerDescription,
    directory,
    file,
    hardlink,
    layer,
    opaque,
    stored_layer,
    symlink,
    whiteout,
    write_image,
)

NAMES = ("a", "b", "c")
LOST = {
    "docker-archive-v1": {"id", "config", "history"},
    "docker-directory-v1": {"id", "config", "history"},
    "layer-tars": {"id", "config", "history", "created_by", "platform"},
}


@st.composite
def a_layer(draw: st.DrawFn) -> list[Entry]:
    """Give entries that every runtime can apply: directories first, and no path twice."""
    entries: list[Entry] = []
    for name in sorted(draw(st.sets(st.sampled_from(NAMES)))):
        mode = draw(st.sampled_from((0o755, 0o700, 0o1777)))
        entries.append(directory(name, mode=mode, mtime=draw(st.integers(0, 1 << 31))))
        if draw(st.booleans()):
            entries.append(opaque(name))
        files: list[str] = []
        for below in draw(st.sets(st.sampled_from(("x", "y", "z", "\N{SNOWMAN}")))):
            path = f"{name}/{below}"
            kind = draw(st.sampled_from(("file", "symlink", "hardlink", "whiteout", "file")))
            if kind == "symlink":
                entries.append(symlink(path, draw(st.sampled_from(("x", "/a/y", "../b")))))
            elif kind == "hardlink" and files:
                entries.append(hardlink(path, files[0]))
            elif kind == "whiteout":
                entries.append(whiteout(path))
            else:
                content = draw(st.binary(max_size=20)) * draw(st.sampled_from((1, 1, 100, 2000)))
                owner = draw(st.integers(0, 1 << 22))
                entries.append(file(path, content, uid=owner, xattrs={"user.n": path.encode()}))
                files.append(path)
    return entries


def stored(draw: st.DrawFn, tar: bytes) -> LayerDescription | bytes:
    """Store a layer in one of the ways that writers have, or as the form does."""
    way = draw(st.sampled_from((None, *CODECS, *SHAPES)))
    return tar if way is None else stored_layer(tar, way)


@st.composite
def an_image(draw: st.DrawFn) -> ImageDescription:
    tars = [layer(*entries) for entries in draw(st.lists(a_layer(), min_size=1, max_size=4))]
    history: list[Any] = []
    for number in range(len(tars)):
        if draw(st.booleans()):
            history.append(HistoryStep("ENV", empty_layer=True))
        history.append(f"step {number}")
    return ImageDescription([stored(draw, tar) for tar in tars], tags=["app:1"], history=history)


@given(st.data())
def test_a_random_image_shows_in_every_form_what_the_plain_one_shows(data: st.DataObject) -> None:
    image = data.draw(an_image())
    plain = ImageDescription(
        [one.data for one in image.layers], tags=image.tags, history=image.history
    )
    form = data.draw(st.sampled_from(sorted(FORMS)))
    codec = data.draw(st.sampled_from((None, *CODECS)))
    outer = data.draw(st.sampled_from(CODECS)) if FORMS[form].kind == "archive" else "identity"
    with tempfile.TemporaryDirectory() as folder:
        expected = facts_of(write_image(Path(folder, "plain"), plain, form="docker-archive"))
        written = write_image(Path(folder, "image"), image, form=form, codec=codec, outer=outer)
        apart = frozenset({"findings:UNUSUAL_COMPRESSION", *LOST.get(form, ())})
        assert disagreements(expected, facts_of(written), apart) == {}
