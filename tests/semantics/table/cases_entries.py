"""Section I: types of entries."""

from __future__ import annotations

from row import REFUSED, Row
from spellings import OLD, d, f, hl, wh

from unionlayers import Profile
from unionlayers.testing import (
    block_device,
    char_device,
    entry,
    fifo,
    sparse_file,
)

__all__ = ["ROWS"]


ROWS = [
    Row(
        "I1",
        "devices and FIFOs are shown as what they are",
        [[char_device("c", 1, 3), block_device("b", 8, 1), fifo("p")]],
        "b#8:1 c#1:3 p|",
    ),
    Row(
        "I2",
        "a character device 0:0 is a whiteout of overlayfs",
        [[f("a", "1"), f("b", "2")], [char_device("a", 0, 0)]],
        "b=2",
        sequential="a#0:0 b=2",
        finding="DEVICE_ZERO",
    ),
    Row(
        "I2",
        "a sequential runtime shows the device",
        [[f("a", "1")], [char_device("a", 0, 0)]],
        "a#0:0",
        oci="",
        overlay="",
    ),
    Row(
        "I3",
        "an opaque xattr in the tar hides nothing",
        [OLD, [d("d", xattrs={"trusted.overlay.opaque": b"y"}), f("d/new", "n")]],
        "d/ d/new=n d/old=o",
    ),
    Row(
        "I4",
        "a contiguous file is read as a file; runtimes refuse a contiguous file",
        [[entry("a", "7", b"1")]],
        oci="a=1",
        warned="a=1",
    ),
    Row("I4", "an unknown type is refused", [[f("b"), entry("a", "Q")]], warned="b="),
    Row("I5", "a file whose name ends with a slash is a file", [[entry("a/", "0", b"1")]], "a=1"),
    Row(
        "I5",
        "an old entry without type whose name ends with a slash is a directory",
        [[entry("a/", b"\x00", format="v7")]],
        "a/",
    ),
    Row(
        "I7",
        "a root that is a symlink is refused",
        [[entry("./", "2", linkname="/etc")]],
        overlay="",
        warned="",
        found="H6",
        finding="ROOT_NOT_DIRECTORY",
    ),
    Row(
        "I8",
        "the size of a directory is no body",
        [[entry("d/", "5", size=512), f("a", "1")]],
        "a=1 d/",
    ),
    Row(
        "I1",
        "a device has its number and no size",
        [[char_device("c", 1, 3), block_device("b", 8, 1)]],
        "b#8:1 c#1:3",
        facts={"/c": {"size": 0}},
    ),
    Row(
        "I2",
        "a whiteout, then the device",
        [[f("a", "1"), f("b")], [char_device("a", 0, 0), wh("a")]],
        "b=",
        overlay=REFUSED,
        warned="b=",
        found="F1",
    ),
    Row(
        "I2",
        "the device, then a directory of its name",
        [OLD, [char_device("d", 0, 0), d("d"), f("d/new", "n")]],
        "d/ d/new=n",
        overlay="d/ d/new=n d/old=o",
        finding="DEVICE_ZERO",
    ),
    Row(
        "I2",
        "a hard link to the device",
        [[f("a", "1"), f("b", "2")], [char_device("a", 0, 0), hl("b", "a")]],
        "",
        sequential="a#0:0 b#0:0",
        finding="DEVICE_ZERO",
    ),
    Row("I2", "a block device 0:0 is one", [[f("a", "1")], [block_device("a", 0, 0)]], "a#0:0"),
    Row(
        "I4",
        "a file in the old sparse form of GNU tar",
        [[f("b"), sparse_file("a", [(0, b"x" * 512)], 512, form="gnu")]],
        oci=f"a={'x' * 512} b=",
        warned=f"a={'x' * 512} b=",
        found="J4",
        finding="ODD_TYPE",
    ),
    Row(
        "I4",
        "a label of a volume",
        [[f("b"), entry("label", "V")]],
        warned="b=",
        finding="UNKNOWN_TYPE",
    ),
    Row(
        "I5",
        "a link and a FIFO whose names end with a slash",
        [[entry("l/", "2", linkname="t"), entry("p/", "6")]],
        "l->t p|",
    ),
    Row(
        "I6",
        "a socket has no type of entry",
        [[f("b"), entry("s", "s")]],
        warned="b=",
        found="I4",
        finding="UNKNOWN_TYPE",
    ),
    Row(
        "I8",
        "a dump of a directory by GNU tar has a body, and is refused",
        [[entry("a/", "D", b"Nx\0"), f("b", "1")]],
        warned="b=1",
        found="I4",
        finding="UNKNOWN_TYPE",
    ),
    Row(
        "I3",
        "a profile that honours it, as Docker's overlay2",
        [OLD, [d("d", xattrs={"trusted.overlay.opaque": b"y"}), f("d/new", "n")]],
        "d/ d/new=n",
        finding="OVERLAY_XATTR",
        options={"profile": Profile(overlay_xattrs="honour")},
    ),
    Row(
        "I2",
        "one in place of a directory that holds another with an entry",
        [[d("d"), d("d/s"), f("a"), char_device("d", 0, 0)]],
        warned="a=",
        found="F3",
        options={"profile": Profile(vanished_directory="error")},
    ),
]
