"""
The passes over a layer that are measured, as a process of their own too.

Nothing is imported that they do not need: a process is measured with its imports.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from attrs import evolve

from unionlayers._bytes.file import FileSource
from unionlayers._codec.checkpoint_file import pack_checkpoints
from unionlayers._foundation.limits import Limits
from unionlayers._image.blob_pass import Promise, pass_over
from unionlayers._tar.index import LayerIndex
from unionlayers._tar.index_file import pack_index

__all__ = ["index", "index_and_checkpoints", "index_and_store", "pass_with_checkpoints"]

_NO_DIGEST = "sha256:" + "0" * 64
_UNPROMISED = Promise(digest=None, size=None, diff_id=None, media_type=None, member=None)


def index(path: Path, *, verify: bool) -> int:
    """Index one layer, nothing kept."""
    from unionlayers import open_image

    with open_image([path], verify=verify) as image:
        image.prepare()
        return len(image.layers)


def index_and_store(path: Path) -> None:
    """Index one layer into a new store, digests and checkpoints included."""
    from unionlayers import open_image

    with (
        tempfile.TemporaryDirectory() as folder,
        open_image([path], index_store=folder) as image,
    ):
        image.prepare()


def pass_with_checkpoints(path: Path) -> LayerIndex:
    """Make the index and the checkpoints of one layer, without digests: what no caller asks for."""
    return pass_over(
        FileSource(path),
        _UNPROMISED,
        compression="sniff",
        verify=False,
        limits=Limits(),
        progress=None,
        enter=True,
    )


def index_and_checkpoints(path: Path) -> None:
    """Write the index and the checkpoints of one layer, without digests."""
    made = pass_with_checkpoints(path)
    made = evolve(made, blob_digest=_NO_DIGEST, diff_id=_NO_DIGEST)
    with tempfile.TemporaryDirectory() as folder:
        for name, pieces in (
            ("index", pack_index(made, Limits())),
            (
                "checkpoints",
                pack_checkpoints(_NO_DIGEST, made.codec, made.size, list(made.checkpoints)),
            ),
        ):
            with Path(folder, name).open("wb") as file:
                file.writelines(pieces)
