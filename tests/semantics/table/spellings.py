"""Short spellings of what the rows are made of, so that a stack is read at a glance."""

from __future__ import annotations

from unionlayers.testing import directory as d
from unionlayers.testing import file as f
from unionlayers.testing import hardlink as hl
from unionlayers.testing import opaque as op
from unionlayers.testing import symlink as ln
from unionlayers.testing import whiteout as wh

__all__ = ["OLD", "USR", "d", "f", "hl", "ln", "op", "wh"]

OLD = [d("d"), f("d/old", "o")]
"""A layer with a directory and a file in it."""

USR = [d("usr"), d("usr/lib"), f("usr/lib/x", "x"), ln("lib", "usr/lib")]
"""A layer whose /lib is a link to /usr/lib."""
