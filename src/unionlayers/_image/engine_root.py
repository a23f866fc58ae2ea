"""Whether a folder is the root of an engine's store, and what that store holds."""

from __future__ import annotations

import os
from pathlib import Path

from unionlayers._bytes.rooted import RootedFolder
from unionlayers._foundation.limits import Limits
from unionlayers._image.containers_storage import (
    is_containers_storage,
    read_containers_storage,
)
from unionlayers._image.docker_root import is_docker_root, read_docker_root
from unionlayers._image.engine_store import EngineStore
from unionlayers._image.joined_images import one_per_image
from unionlayers._image.namespaces import is_namespace_name
from unionlayers._image.record import ImageRecord
from unionlayers.errors import UnknownFormatError, UnsupportedError

__all__ = ["read_engine_root"]


def read_engine_root(
    path: str | os.PathLike[str], *, verify: bool, limits: Limits
) -> tuple[EngineStore, tuple[ImageRecord, ...]] | None:
    """
    Give the store of an engine and what is in it, None where a folder is no root of one.

    Raises:
        UnionLayersError: It is one, and its documents cannot be read.
    """
    try:
        root = RootedFolder(path)
    except UnsupportedError:
        # Where files cannot be opened beneath a folder no engine keeps its images either.
        return None
    store = EngineStore(root, verify=verify, limits=limits)
    try:
        # Who may not list the root may not read what is in it, whichever engine's it is.
        store.listed("")
        if is_docker_root(store):
            return store, tuple(one_per_image(read_docker_root(store)))
        if is_containers_storage(store):
            return store, tuple(one_per_image(read_containers_storage(store)))
        _refuse_inner(store)
    except BaseException:
        store.close()
        raise
    store.close()
    return None


def _refuse_inner(store: EngineStore) -> None:
    """Say which folder is wanted where that of a driver, or one above a root, was given."""
    for name in store.listed(""):
        if is_namespace_name(name) and store.is_folder(f"{name}/image"):
            raise UnknownFormatError(
                "no root of Docker, though the folder in it for a user namespace looks like one",
                member=store.label,
                candidates=(str(Path(store.label, name)),),
                hint="Open that folder",
            )
    if store.is_folder("l"):
        for name in store.listed(""):
            if store.is_file(f"{name}/link") and store.is_folder(f"{name}/diff"):
                raise UnknownFormatError(
                    "the folder of a storage driver, without the documents of its store",
                    member=store.label,
                    hint=f"Give the root of the store, {Path(store.label).absolute().parent}, "
                    "or a list of diff directories, base first",
                )
