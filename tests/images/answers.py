"""Everything that an image answers, in a form that can be compared and pickled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from unionlayers import Image, UnionLayersError, open_image

__all__ = ["NAMESPACES", "answers", "counted"]

NAMESPACES = ("basic", "details", "access", "link", "stat", "xattr", "capability", "layer", "tar")
KINDS = ("file", "directory", "symlink", "device", "fifo")


def _tried(question: Any) -> Any:
    try:
        return question()
    except UnionLayersError as error:
        return type(error).__name__, str(error)


def _all_of(image: Image) -> dict[str, Any]:
    def tree() -> Any:
        view = image.fs()
        return {
            path: (
                info.raw,
                _tried(lambda path=path: view.readbytes(path))
                if info.raw["details"]["type"] == 2
                else None,
            )
            for path, info in view.find(None, types=KINDS, namespaces=NAMESPACES)
        }

    return {
        "tree": _tried(tree),
        "root": _tried(lambda: image.fs().getinfo("/", NAMESPACES).raw),
        "findings": _tried(lambda: image.findings),
        "layers": [
            _tried(
                lambda layer=layer: (
                    layer.empty,
                    layer.marks,
                    layer.digest,
                    layer.diff_id,
                    [path for path, _ in layer.fs().find(None, types=KINDS)],
                )
            )
            for layer in image.layers
        ],
    }


def answers(source: Any, **options: Any) -> dict[str, Any]:
    """Give what every question to an image gives: its tree, contents, findings, or the errors."""
    try:
        image = open_image(source, **options)
    except UnionLayersError as error:
        return {"opened": (type(error).__name__, str(error)), "layers": []}
    with image:
        return _all_of(image)


@contextmanager
def counted(monkeypatch: Any) -> Iterator[dict[str, int]]:
    """Count the passes that are begun over blobs and the hashes that are begun."""
    from unionlayers._codec import hashing
    from unionlayers._image import blob_pass

    counts = {"passes": 0, "hashes": 0}

    def counting(module: Any, name: str, what: str) -> None:
        original = getattr(module, name)

        def count(*args: Any, **options: Any) -> Any:
            counts[what] += 1
            return original(*args, **options)

        monkeypatch.setattr(module, name, count)

    with monkeypatch.context() as patch:
        monkeypatch = patch
        counting(blob_pass, "open_forward", "passes")
        counting(blob_pass, "hasher_for", "hashes")
        counting(hashing, "hasher_for", "hashes")
        yield counts
