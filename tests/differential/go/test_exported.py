"""Go's tar reader reads an exported tar as ours does."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from random_stacks import opened, stacks

from unionlayers import open_image
from unionlayers.testing import Entry, file, layer

Agree = Callable[[bytes], str]


@given(stacks(most=3))
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_tar_of_any_stack(agree: Agree, stack: Sequence[Sequence[Entry]]) -> None:
    with opened(stack, "warn") as image, image.fs() as view:
        tar = io.BytesIO()
        view.export(tar)
    assert agree(tar.getvalue()) == "read"


@pytest.mark.parametrize(
    "entry",
    [
        file("a", b"1", uid=1 << 21, gid=(1 << 31) - 1),
        file(b"\xff" * 200, b"2"),
        file("n" * 5000, b"3", xattrs={"user.x": bytes(range(256))}),
        file("t", b"4", mtime_ns=(1 << 33) * 10**9 + 1),
    ],
    ids=["large owners", "a long name that is no text", "a long name and an attribute", "late"],
)
def test_what_a_plain_header_cannot_hold(agree: Agree, entry: Entry) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "layer.tar")
        path.write_bytes(layer(entry))
        with open_image([path]) as image, image.fs() as view:
            tar = io.BytesIO()
            view.export(tar)
    assert agree(tar.getvalue()) == "read"
