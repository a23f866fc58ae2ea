"""Section B: opaque whiteouts."""

from __future__ import annotations

from row import REFUSED, Row
from spellings import OLD, USR, d, f, ln, op, wh

__all__ = ["ROWS"]


ROWS = [
    Row(
        "B1",
        "an opaque mark before its siblings",
        [OLD, [d("d"), op("d"), f("d/new", "n")]],
        "d/ d/new=n",
    ),
    Row(
        "B2",
        "an opaque mark after its siblings",
        [OLD, [d("d"), f("d/new", "n"), op("d")]],
        "d/ d/new=n",
    ),
    Row(
        "B3",
        "a late opaque mark spares new files below implied directories",
        [[f("a/b/old", "o")], [f("a/b/c/foo", "n"), op("a")]],
        "a/ a/b/ a/b/c/ a/b/c/foo=n",
        sequential="a/",
    ),
    Row("B4", "an opaque mark needs no entry of its directory", [OLD, [op("d")]], "d/"),
    Row(
        "B4",
        "an opaque mark creates a directory that is nowhere",
        [[f("a")], [op("n/m")]],
        "a= n/ n/m/",
    ),
    Row(
        "B5",
        "an opaque mark at the root hides everything beneath",
        [[f("a", "1"), *OLD], [op(""), f("b", "2")]],
        "b=2",
        overlay="a=1 b=2 d/ d/old=o",
        finding="ROOT_OPAQUE",
    ),
    Row(
        "B5",
        "overlayfs does not look at the root's mark",
        [[f("a", "1")], [op(""), f("b", "2")]],
        "b=2",
        overlay="a=1 b=2",
        finding="ROOT_OPAQUE",
    ),
    Row(
        "B6",
        "a whiteout inside an opaque directory shows no name",
        [OLD, [d("d"), op("d"), wh("d/old"), wh("d/none")]],
        "d/",
    ),
    Row(
        "B7",
        "an opaque directory keeps itself",
        [[d("d", mode=0o2750, uid=5), f("d/old")], [op("d")]],
        "d/",
        facts={"/d": {"mode": 0o2750, "uid": 5}},
    ),
    Row(
        "B8",
        "an opaque mark below a symlink replaces the link and spares its target",
        [USR, [op("lib")]],
        "lib/ usr/ usr/lib/ usr/lib/x=x",
        sequential="lib->usr/lib usr/ usr/lib/",
    ),
    Row(
        "B9",
        "an opaque mark hides what all layers beneath brought",
        [OLD, [f("d/mid", "m")], [op("d"), f("d/new", "n")]],
        "d/ d/new=n",
    ),
    Row(
        "B9",
        "an opaque mark hides whole subtrees",
        [[f("d/s/t/u", "1"), f("e", "2")], [op("d")]],
        "d/ e=2",
    ),
    Row(
        "B10",
        "explicit whiteouts say the same as an opaque mark",
        [[f("d/a"), f("d/b")], [d("d"), wh("d/a"), wh("d/b"), f("d/c", "n")]],
        "d/ d/c=n",
    ),
    Row(
        "B3",
        "directories with entries of their own are spared everywhere",
        [[f("a/b/old", "o")], [d("a"), d("a/b"), f("a/b/n", "n"), op("a")]],
        "a/ a/b/ a/b/n=n",
    ),
    Row(
        "B3",
        "a sequential runtime fails where it wipes a directory that has an entry",
        [[f("a/b/old", "o")], [d("a/b/c"), f("a/b/c/foo", "n"), op("a")]],
        "a/ a/b/ a/b/c/ a/b/c/foo=n",
        sequential=REFUSED,
        warned="a/ a/b/ a/b/c/ a/b/c/foo=n",
        finding="OPAQUE_AFTER_IMPLIED",
    ),
    Row(
        "B5",
        "the mark last, and new files below a directory that is only implied",
        [[f("a", "1"), *OLD], [f("d/n", "2"), op("")]],
        "d/ d/n=2",
        sequential="",
        overlay="a=1 d/ d/n=2 d/old=o",
        finding="ROOT_OPAQUE",
    ),
    Row(
        "B8",
        "a new file beside the mark",
        [USR, [op("lib"), f("lib/new", "n")]],
        "lib/ lib/new=n usr/ usr/lib/ usr/lib/x=x",
        sequential="lib->usr/lib usr/ usr/lib/ usr/lib/new=n",
    ),
    Row(
        "B8",
        "an explicit directory takes the link's place everywhere",
        [USR, [d("lib"), op("lib")]],
        "lib/ usr/ usr/lib/ usr/lib/x=x",
    ),
    Row(
        "B8",
        "a directory below the link",
        [[d("usr"), d("usr/lib"), f("usr/lib/s/x", "x"), ln("lib", "usr/lib")], [op("lib/s")]],
        "lib/ lib/s/ usr/ usr/lib/ usr/lib/s/ usr/lib/s/x=x",
        sequential="lib->usr/lib usr/ usr/lib/ usr/lib/s/",
    ),
]
