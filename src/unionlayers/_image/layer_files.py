"""A list of bare layers, base first, as an image without documents: tars, or diff directories."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from unionlayers._bytes.assembled import AssembledSource, DeferredSource
from unionlayers._bytes.file import FileSource
from unionlayers._bytes.rooted import RootedFolder
from unionlayers._bytes.source import ByteSource
from unionlayers._bytes.spool import Spool
from unionlayers._foundation.limits import Limits
from unionlayers._image.listing import Listed, Remnant
from unionlayers._image.record import ImageRecord, LayerRecord
from unionlayers._tar.directory_tar import assemble_diff
from unionlayers._tar.overlay_marks import marks_of
from unionlayers.errors import UnknownFormatError

__all__ = ["LayerFiles"]


class LayerFiles:
    """
    The store of bare layers: each item is a member by its position.

    Args:
        paths: Layer tars, and directories that an overlay was mounted from, base first.
        opener: Opens a tar.
        limits: Bounds on directories.

    Raises:
        OSError: An item cannot be opened.
        UnknownFormatError: A directory is one that holds a diff directory.
    """

    def __init__(
        self, paths: Sequence[str], opener: Callable[[str], FileSource], limits: Limits
    ) -> None:
        self.label = f"{len(paths)} layers"
        self._limits = limits
        self._sources: list[FileSource | DeferredSource] = []
        self._folders: list[RootedFolder] = []
        try:
            for path in paths:
                is_folder = Path(path).is_dir()
                self._sources.append(self._directory(path) if is_folder else opener(path))
        except BaseException:
            self.close()
            raise

    @property
    def copied(self) -> bool:
        """Whether a layer is a copy of a stream, which cannot be had a second time."""
        return any(isinstance(source, Spool) for source in self._sources)

    def record(self) -> ImageRecord:
        """Give the image that the items make."""
        return ImageRecord(
            layout="layers",
            layers=tuple(
                LayerRecord(member=str(position)) for position in range(len(self._sources))
            ),
        )

    def top(self) -> dict[str, bool]:
        """The positions as text."""
        return {str(position): False for position in range(len(self._sources))}

    def has(self, name: str) -> bool:
        """Tell whether there is such a layer."""
        return self.resolved(name) is not None

    def repeated(self, name: str) -> bool:
        """Say no: every layer has a name of its own."""
        del name
        return False

    def find(self, name: str) -> ByteSource | None:
        """Give the bytes of a layer."""
        return self._sources[int(name)] if self.resolved(name) is not None else None

    def resolved(self, name: str) -> str | None:
        """Give the name itself if there is such a layer."""
        return name if name.isdigit() and int(name) < len(self._sources) else None

    def listing(self) -> Iterator[Listed]:
        """Give nothing: every file that was given is a layer."""
        return iter(())

    def remnants(self) -> Iterator[Remnant]:
        """Give nothing."""
        return iter(())

    def unfollowed(self, name: str) -> None:
        """Give none: every layer was opened."""
        del name

    def close(self) -> None:
        """Close all files and folders."""
        for source in self._sources:
            source.close()
        for folder in self._folders:
            folder.close()

    def _directory(self, path: str) -> DeferredSource:
        folder = RootedFolder(path)
        self._folders.append(folder)
        if folder.kind(b"link") == stat.S_IFREG and folder.kind(b"diff") == stat.S_IFDIR:
            raise UnknownFormatError(
                "the directory is what an engine keeps of a layer, not the layer",
                member=path,
                hint=f"Give the directory diff in it: {Path(path, 'diff')}",
            )

        def made() -> AssembledSource:
            marks = marks_of(of_root=folder.was_made_by_root())
            assembly = assemble_diff(folder, marks=marks, limits=self._limits)
            user, group = folder.owner()
            if user != 0:
                message = (
                    f"the directory is of {user}:{group}: owners are those on the disk, and not "
                    "those of the user namespace that it may belong to"
                )
                assembly.remarks.append(("OWNERS_OF_HOST", "/", message, None))
            return AssembledSource(assembly, folder, original=False)

        return DeferredSource(made, path)
