"""`Image.to_frame`: all that an image ships, one row each."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from unionlayers import Image, MissingExtraError, Profile, open_image
from unionlayers.testing import (
    Entry,
    HistoryStep,
    ImageDescription,
    directory,
    docker_archive,
    file,
    hardlink,
    symlink,
    whiteout,
)

DEMO = Path(__file__).parents[3] / "examples" / "demo-image" / "ledger.oci.tar"
IMAGES = sorted([DEMO, *(Path(__file__).parents[2] / "images").glob("*.tar")])
COLUMNS = [
    "path", "type", "size", "mode", "owner", "mtime", "layer", "step", "visible", "hidden_by",
    "reason", "uid", "gid",
]  # fmt: skip


def opened(layers: Sequence[Sequence[Entry]], steps: Sequence[str] = ()) -> Image:
    history = [HistoryStep(created_by=step) for step in steps] or None
    return open_image(io.BytesIO(docker_archive(ImageDescription(layers, history=history))))


def test_without_pandas_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    image = opened([[file("f", b"1")]])
    with pytest.raises(MissingExtraError) as caught:
        image.to_frame()
    assert "unionlayers[pandas]" in (caught.value.hint or "")
    assert image.fs().readbytes("/f") == b"1"


@pytest.fixture
def _pandas() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")


@pytest.mark.usefixtures("_pandas")
class TestTable:
    def test_a_row_says_what_where_whose_and_since_when(self) -> None:
        layers: list[list[Entry]] = [
            [
                directory("etc", mode=0o750, mtime=5),
                file("etc/passwd", b"root:x:0:0::/:\nann:x:7:7::/:\n", mtime=1_700_000_000),
                file("a", b"123", uid=7, gid=8, mode=0o4755, mtime=1.5),
                symlink("l", "etc/passwd"),
            ],
            [whiteout("a"), file("b", b"", uid=9)],
        ]
        frame = opened(layers, ["FROM x", "RUN y"]).to_frame()
        assert list(frame.columns) == COLUMNS
        assert list(frame["path"]) == ["/", "/a", "/b", "/etc", "/etc/passwd", "/l"]
        assert list(frame["type"]) == ["directory", "file", "file", "directory", "file", "symlink"]
        assert list(frame["owner"]) == ["root", "ann", "9", "root", "root", "root"]
        a = frame.iloc[1]
        assert (a["size"], a["mode"], a["layer"], a["step"]) == (3, 0o4755, 0, "FROM x")
        assert (a["visible"], a["hidden_by"], a["reason"]) == (False, 1, "whiteout")
        assert (a["uid"], a["gid"], a["mtime"].value) == (7, 8, 1_500_000_000)
        b = frame.iloc[2]
        assert (b["layer"], b["step"], bool(b["visible"])) == (1, "RUN y", True)
        assert frame["hidden_by"].isna().sum() == 5
        assert frame.iloc[5]["size"] == len("etc/passwd")

    def test_names_that_are_no_utf8_lead_back_to_their_files(self) -> None:
        image = opened([[file(b"caf\xe9", b"1"), file(b"\xff/\xfe", b"2")]])
        frame = image.to_frame()
        files = frame[frame["type"] == "file"]
        with image.fs() as view:
            assert [view.readbytes(path) for path in files["path"]] == [b"1", b"2"]

    def test_times_that_pandas_does_not_have_are_missing(self) -> None:
        import pandas as pd

        image = opened(
            [
                [
                    file("early", b"1", mtime=-5),
                    file("late", b"1", mtime=1 << 40),
                    file("now", b"1", mtime=Fraction(1_700_000_000_123_456_789, 10**9)),
                ]
            ]
        )
        shown = image.to_frame().set_index("path")["mtime"]
        assert [shown[path].value for path in ("/early", "/late")] == [0, 0]
        kept = image.to_frame(profile=Profile(mtime_range="raw")).set_index("path")["mtime"]
        assert kept["/early"].value == -5 * 10**9
        assert pd.isna(kept["/late"])
        # No nanosecond is lost beside one that is missing.
        assert kept["/now"].value == 1_700_000_000_123_456_789

    def test_a_path_with_many_versions_has_a_row_for_each(self) -> None:
        frame = opened([[file("f", b"1")], [file("f", b"22")], [file("f", b"333")]]).to_frame()
        rows = frame[frame["path"] == "/f"]
        assert list(rows["layer"]) == [0, 1, 2]
        assert list(rows["visible"]) == [False, False, True]
        assert list(rows["size"]) == [1, 2, 3]

    def test_a_hard_link_is_a_row_of_the_layer_that_has_the_name(self) -> None:
        frame = opened([[file("f", b"12")], [hardlink("g", "f")]]).to_frame()
        rows = frame[frame["type"] == "file"]
        assert list(rows["path"]) == ["/f", "/g"]
        assert list(rows["layer"]) == [0, 1]
        assert list(rows["size"]) == [2, 2]

    def test_some_of_the_layers_and_none_of_them(self) -> None:
        image = opened([[file("a", b"1")], [file("b", b"1")]])
        assert list(image.to_frame(layers=[1])["path"]) == ["/", "/b"]
        empty = image.to_frame(layers=[])
        assert list(empty.columns) == COLUMNS
        assert len(empty) == 0

    @pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
    def test_the_rows_of_real_images_are_what_views_and_hidden_show(self, path: Path) -> None:
        with open_image(path) as image:
            frame = image.to_frame()
            hidden = image.hidden()
            gone = frame[~frame["visible"]]
            key = ["path", "layer", "hidden_by"]
            expected = sorted((item.path, item.layer, item.hidden_by) for item in hidden)
            assert sorted(gone[key].itertuples(index=False, name=None)) == expected
            with image.fs() as view:
                types = ("file", "directory", "symlink", "device", "fifo")
                spaces = ("stat", "layer", "access")
                found = {
                    where: (
                        info.raw["stat"]["st_mode"] & 0o7777,
                        info.raw["stat"]["st_uid"],
                        info.raw["layer"]["index"],
                        info.raw["stat"]["st_mtime_ns"],
                        info.raw["details"]["size"],
                    )
                    for where, info in view.find(types=types, namespaces=spaces)
                }
            shown = frame[frame["visible"] & (frame["path"] != "/")]
            told = {
                row.path: (row.mode, row.uid, row.layer, row.mtime.value, row.size)
                for row in shown.itertuples(index=False)
            }
            assert told == found
