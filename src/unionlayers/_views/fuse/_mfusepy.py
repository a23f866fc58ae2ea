"""The one place that imports mfusepy, and says how to get it, or libfuse, where one is absent."""

from __future__ import annotations

from types import ModuleType

from unionlayers.errors import MissingExtraError, UnsupportedError

__all__ = ["mfusepy"]


def mfusepy() -> ModuleType:
    """
    Give the binding to libfuse.

    Raises:
        MissingExtraError: It is not installed.
        UnsupportedError: It is, and finds no libfuse that it can use.
    """
    try:
        import mfusepy as binding
    except ModuleNotFoundError as error:
        if error.name != "mfusepy":
            raise
        raise MissingExtraError(
            "mfusepy is not installed",
            expected="mfusepy",
            hint='Install it with: pip install "unionlayers[fuse]"',
        ) from error
    except (OSError, AttributeError, NotImplementedError) as error:
        # It looks for the library when it is imported, and says so in one of these ways.
        raise UnsupportedError(
            f"mfusepy finds no libfuse that it can use: {error}",
            expected="libfuse",
            hint="Install the package fuse3, as it is called on Debian, Fedora and Alpine",
        ) from error
    made: ModuleType = binding
    return made
