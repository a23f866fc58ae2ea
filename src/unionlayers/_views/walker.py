"""Walkers: the one that every view uses, and one that yields only what opens."""

from __future__ import annotations

from typing import Any

from unionlayers._views._pyfilesystem import fs

__all__ = ["RegularFiles", "UnionWalker"]


class UnionWalker(fs.walk.Walker):
    """PyFilesystem's walker, bound so that views of an image keep their own."""

    @classmethod
    def bind(cls, fs_object: Any) -> Any:
        """Give the walker of a filesystem; PyFilesystem's own forgets the class here."""
        return fs.walk.BoundWalker(fs_object, walker_class=cls)


class RegularFiles(UnionWalker):
    """
    A walker that yields only regular files, so that all of what it yields opens.

    The default walker yields everything that is no directory: links that dangle or lead to a
    directory, devices and FIFOs too, on which ``fs.copy`` stops.

    Example:
        >>> import unionlayers
        >>> with unionlayers.UnionFS("examples/demo-image/ledger.oci.tar") as view:
        ...     files = list(unionlayers.RegularFiles().files(view))
    """

    def check_file(self, fs_object: Any, info: Any) -> bool:
        """Tell whether a file is a regular one; PyFilesystem asks this with basic facts only."""
        if not super().check_file(fs_object, info):
            return False
        return bool(info.has_namespace("details") and info.type == fs.enums.ResourceType.file)

    def _scan(self, fs_object: Any, dir_path: str, namespaces: Any = None) -> Any:
        wanted = {*(namespaces or ()), "details"}
        return super()._scan(fs_object, dir_path, namespaces=wanted)
