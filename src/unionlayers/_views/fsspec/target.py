"""
From the options of fsspec to an open image: what ``fo`` and ``target_protocol`` name.

A path on this host is opened as `open_image` opens one, so that folders, index stores and the
check for files that are replaced work as there.  Anything else is a file object of the other
filesystem, which the image closes at its end.

An image is shared by all filesystems of a process that have the same options: fsspec keeps one
filesystem for each thread.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from unionlayers._image.image import Image, LayerChoice
from unionlayers._image.opening import open_image
from unionlayers._layers.union import Union
from unionlayers._views.fsspec._fsspec import LocalFileSystem, fsspec
from unionlayers.errors import OptionError

__all__ = ["OPTIONS", "Target", "located", "opened", "outdated"]

OPTIONS = (
    "reference",
    "platform",
    "profile",
    "layers",
    "on_invalid",
    "missing",
    "verify",
    "limits",
    "index_store",
    "progress",
    "spool",
)
"""What there is beside ``fo``, ``target_protocol`` and ``target_options``."""

_LOCAL = (None, "file", "local")

Identity = tuple[int, ...] | None
"""What tells whether a path still has the file that was opened; None for what is no local file."""


@frozen(eq=False)
class Target:
    """
    An open image and the stack that is looked at.

    Attributes:
        image: The image.
        union: The chosen layers, under the profile of the image.
        path: The path that it was opened from, None for file objects and lists.
        identity: What the path had when it was opened.
    """

    image: Image
    union: Union
    path: str | None
    identity: Identity


_shared: weakref.WeakValueDictionary[tuple[Any, ...], Target] = weakref.WeakValueDictionary()
_guards: dict[tuple[Any, ...], threading.Lock] = {}
_lock = threading.Lock()


def located(fo: Any, protocol: str | None) -> Any:
    """
    Give ``fo`` as what means the same in every folder and process: a local path as absolute.

    Raises:
        OptionError: It names nothing, or is of a kind that cannot.
    """
    if fo is None or fo == "":
        raise OptionError(
            "no image is named",
            expected="fo",
            hint="Pass fo=, or a URL such as layers://etc/os-release::file://image.tar",
        )
    if isinstance(fo, os.PathLike):
        return os.path.abspath(os.fspath(fo))  # noqa: PTH100 - a link is not followed, and ".." is
    if isinstance(fo, str) and _is_local(fo, protocol):
        return LocalFileSystem._strip_protocol(fo)
    if isinstance(fo, list | tuple):
        return [located(one, protocol) for one in fo]
    if not isinstance(fo, str) and not hasattr(fo, "read"):
        raise OptionError(
            "this names no image",
            actual=repr(fo),
            expected="a path, a URL, a binary file object or a list of layer tars",
        )
    return fo


def _is_local(fo: str, protocol: str | None) -> bool:
    return protocol in _LOCAL and (protocol is not None or ("::" not in fo and "://" not in fo))


def opened(
    fo: Any,
    *,
    token: str,
    layers: LayerChoice,
    target_protocol: str | None,
    target_options: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> Target:
    """
    Open an image, or give the one that this process has open for the same options.

    Args:
        fo: What `located` gave.
        token: Tells options apart.
        layers: Which layers are looked at.
        target_protocol: The filesystem that has ``fo``, None for that of its URL.
        target_options: What that filesystem is made with.
        options: The arguments of `open_image`.
    """
    if hasattr(fo, "read"):
        return _made(open_image(fo, **options), layers, None)
    path = fo if isinstance(fo, str) and _is_local(fo, target_protocol) else None
    identity = _identity(path)
    key = (os.getpid(), token, identity)
    with _lock:
        guard = _guards.setdefault(key, threading.Lock())
    try:
        with guard:
            known = _shared.get(key)
            if known is not None and not known.image.closed:
                return known
            if path is not None or isinstance(fo, list):
                made = _made(open_image(fo, **options), layers, path, identity)
            else:
                made = _from_elsewhere(fo, target_protocol, target_options or {}, layers, options)
            _shared[key] = made
            return made
    finally:
        with _lock:
            _guards.pop(key, None)


def _from_elsewhere(
    fo: str,
    protocol: str | None,
    target_options: Mapping[str, Any],
    layers: LayerChoice,
    options: Mapping[str, Any],
) -> Target:
    where, path = fsspec.core.url_to_fs(fo, protocol=protocol, **target_options)
    if isinstance(where, LocalFileSystem):
        identity = _identity(path)
        return _made(open_image(path, **options), layers, path, identity)
    file = where.open(path, "rb")
    try:
        image = open_image(file, **options)
    except BaseException:
        file.close()
        raise
    image.on_closing(file.close)
    return _made(image, layers, None)


def _made(image: Image, layers: LayerChoice, path: str | None, identity: Identity = None) -> Target:
    try:
        return Target(image, image.union(layers), path, identity)
    except BaseException:
        image.close()
        raise


def _identity(path: str | None) -> Identity:
    if path is None:
        return None
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None  # opening it says what is wrong
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def outdated(target: Target) -> bool:
    """Tell whether an image was closed, or its path has another file by now."""
    return target.image.closed or _identity(target.path) != target.identity
