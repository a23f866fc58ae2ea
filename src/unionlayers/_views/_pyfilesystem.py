"""
The one place that imports PyFilesystem2.

Its import asks for ``pkg_resources``, which setuptools no longer has and older ones warn about.
While it is imported, a stand-in with the two functions that it calls is in its place; afterwards
what was there is back.  See docs/explanation/dependencies.md.
"""

from __future__ import annotations

import importlib.metadata
import pkgutil
import sys
import types
from collections.abc import Iterator

__all__ = ["errors", "fs", "opener_errors"]


def _declare_namespace(name: str) -> None:
    module = sys.modules[name]
    module.__path__ = pkgutil.extend_path(module.__path__, name)


def _iter_entry_points(
    group: str, name: str | None = None
) -> Iterator[importlib.metadata.EntryPoint]:
    for point in importlib.metadata.entry_points(group=group):
        if name is None or point.name == name:
            yield point


def _import() -> None:
    if "fs" in sys.modules:
        return
    stand_in = types.ModuleType("pkg_resources")
    stand_in.declare_namespace = _declare_namespace  # type: ignore[attr-defined]
    stand_in.iter_entry_points = _iter_entry_points  # type: ignore[attr-defined]
    before = sys.modules.get("pkg_resources")
    sys.modules["pkg_resources"] = stand_in
    try:
        import fs
        import fs.opener.registry  # noqa: F401
    finally:
        if before is None:
            del sys.modules["pkg_resources"]
        else:
            sys.modules["pkg_resources"] = before


_import()

import fs  # noqa: E402
import fs.base  # noqa: E402
import fs.enums  # noqa: E402
import fs.errors as errors  # noqa: E402, PLR0402
import fs.info  # noqa: E402
import fs.iotools  # noqa: E402
import fs.mode  # noqa: E402
import fs.opener  # noqa: E402
import fs.opener.errors as opener_errors  # noqa: E402
import fs.path  # noqa: E402
import fs.permissions  # noqa: E402
import fs.subfs  # noqa: E402
import fs.walk  # noqa: E402
