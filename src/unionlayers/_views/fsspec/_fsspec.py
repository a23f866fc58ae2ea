"""The one place that imports fsspec, and says how to get it where it is absent."""

from __future__ import annotations

from unionlayers.errors import MissingExtraError

__all__ = ["AbstractFileSystem", "LocalFileSystem", "fsspec", "stringify_path", "tokenize"]

try:
    import fsspec
    from fsspec.implementations.local import LocalFileSystem
    from fsspec.spec import AbstractFileSystem
    from fsspec.utils import stringify_path, tokenize
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "fsspec":
        raise
    raise MissingExtraError(
        "fsspec is not installed",
        expected="fsspec",
        hint='Install it with: pip install "unionlayers[fsspec]"',
    ) from error
