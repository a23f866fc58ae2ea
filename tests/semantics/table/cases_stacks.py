"""What a layer shows because of what another layer of the image is: all are read alike."""

from __future__ import annotations

from row import REFUSED, Row
from spellings import d, f, hl, ln, wh

from unionlayers import Profile

__all__ = ["ROWS"]

_LINKED = [f("a", "1"), d("d"), f("d/x", "1"), ln("l", "d")]

ROWS = [
    Row(
        "D1",
        "an entry below a lower link, beneath a layer that overlayfs refuses: the link is followed",
        [_LINKED, [f("l/x", "5")], [hl("h", "d/x"), f("l/z", "1")]],
        "a=1 d/ d/x=5 d/z=1 h=5 l->d",
        overlay=REFUSED,
        warned="a=1 d/ d/x=1 h=1 l/ l/x=5 l/z=1",
        finding="HARDLINK_TO_LOWER PARENT_SYMLINK_FOLLOWED",
        found="E3",
    ),
    Row(
        "D1",
        "an entry below a lower link, above a layer that overlayfs refuses: the link is followed",
        [_LINKED, [hl("h", "a")], [f("l/x", "5")]],
        "a=1 d/ d/x=5 h=1 l->d",
        overlay=REFUSED,
        warned="a=1 d/ d/x=1 h=1 l/ l/x=5",
        finding="PARENT_SYMLINK_FOLLOWED PARENT_SYMLINK_REPLACED",
        found="E3",
    ),
    Row(
        "A16",
        "a whiteout below a lower link, above a layer that overlayfs refuses",
        [_LINKED, [wh("k"), f("k/n", "1")], [wh("l/x")]],
        "a=1 d/ k/ k/n=1 l->d",
        overlay=REFUSED,
        warned="a=1 d/ d/x=1 k/ k/n=1 l/",
        finding="PARENT_SYMLINK_FOLLOWED PARENT_SYMLINK_REPLACED",
        found="A6",
    ),
    Row(
        "A6",
        "in a layer with an entry below a lower link, which is followed",
        [[*_LINKED, d("k"), f("k/o", "1")], [wh("k"), f("k/n", "1"), f("l/y", "2")]],
        "a=1 d/ d/x=1 d/y=2 k/ k/n=1 l->d",
        overlay=REFUSED,
        warned="a=1 d/ d/x=1 k/ k/n=1 l/ l/y=2",
        finding="WHITEOUT_THEN_IMPLIED",
    ),
    Row(
        "D1",
        "a directory below a lower link that the layer replaces, beneath a refused one",
        [_LINKED, [f("l/y", "1"), f("l", "2")], [hl("h", "d/x")]],
        "a=1 d/ d/x=1 d/y=1 h=1 l=2",
        overlay=REFUSED,
        warned="a=1 d/ d/x=1 h=1 l=2",
        finding="PARENT_SYMLINK_FOLLOWED HARDLINK_TO_LOWER",
        found="E3",
    ),
    Row(
        "D4",
        "a link of the layer leads through a lower link, beneath a layer that overlayfs refuses",
        [[*_LINKED, d("e")], [ln("m", "l/../e"), f("m/z", "1")], [hl("h", "d/x")]],
        "a=1 d/ d/x=1 e/ e/z=1 h=1 l->d m->l/../e",
        overlay=REFUSED,
        warned="a=1 d/ d/x=1 e/ e/z=1 h=1 l->d m->l/../e",
        finding="LINK_THROUGH_NOTHING HARDLINK_TO_LOWER",
        found="E3",
    ),
    Row(
        "C5",
        "above a layer that overlayfs refuses: nobody takes the image",
        [[f("a", "1"), f("f", "1")], [hl("h", "a")], [f("f/x", "1")]],
        warned="a=1 f/ f/x=1 h=1",
        finding="IMPLIED_OVER_FILE",
        found="E3",
    ),
    Row(
        "F1",
        "beside a directory two levels below a lower file, which containerd refuses",
        [[f("f", "1")], [f("f/x/y", "2"), f("a", "1"), f("a", "2")]],
        warned="a=2 f/ f/x/ f/x/y=2",
        finding="DUPLICATE",
        found="C5",
    ),
    Row(
        "F1",
        "beside a directory over a lower file, which containerd takes",
        [[f("f", "1")], [f("f/y", "2"), f("a", "1"), f("a", "2")]],
        "a=2 f/ f/y=2",
        sequential=REFUSED,
        warned_sequential="a=2 f/ f/y=2",
        finding="DUPLICATE",
        found="C5",
    ),
    Row(
        "F1",
        "above a directory two levels below a lower file, which containerd refuses",
        [[f("f", "1")], [f("f/x/y", "2")], [f("a", "1"), f("a", "2")]],
        warned="a=2 f/ f/x/ f/x/y=2",
        finding="DUPLICATE",
        found="C5",
    ),
    Row(
        "F1",
        "beneath a directory two levels below a lower file, which containerd refuses",
        [[f("f", "1")], [f("a", "1"), f("a", "2")], [f("f/x/y", "2")]],
        warned="a=2 f/ f/x/ f/x/y=2",
        finding="DUPLICATE",
        found="C5",
    ),
    Row(
        "F1",
        "beside a directory in place of a lower link to itself, which containerd refuses",
        [[ln("e", "e")], [f("e/x", "1"), f("a", "1"), f("a", "2")]],
        warned="a=2 e->e",
        warned_overlay="a=2 e/ e/x=1",
        finding="DUPLICATE",
        found="D5",
    ),
    Row(
        "F1",
        "beside a whiteout below a file: podman alone takes that on overlay, and not the other",
        [[f("a", "1"), f("f", "1")], [f("a", "2"), f("a", "3"), f("f", "2"), wh("f/x")]],
        "a=3 f=2",
        overlay=REFUSED,
        sequential=REFUSED,
        warned="a=3 f=2",
        finding="DUPLICATE",
        found="F4",
    ),
    Row(
        "F1",
        "an entry in place of a directory that is only implied is none of two",
        [[f("a/x", "1"), f("a", "2")]],
        "a=2",
        options={"profile": Profile(duplicates="error")},
    ),
    Row(
        "D4",
        "in sequence a link of the layer may leave a directory of lower layers",
        [[d("e")], [ln("m", "e/../l"), f("m/x", "1")]],
        "e/ l/ l/x=1 m->e/../l",
    ),
    Row(
        "D4",
        "in sequence the name of a directory of lower layers that the layer hides is nowhere",
        [[d("e")], [wh("e"), ln("m", "e/../l"), f("m/x", "1")]],
        "l/ l/x=1 m->e/../l",
        sequential=REFUSED,
        warned="l/ l/x=1 m->e/../l",
        finding="LINK_THROUGH_NOTHING",
    ),
]
