"""A list of bare layer tars, base first, as an image without documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unionlayers._bytes.file import FileSource
from unionlayers._bytes.source import ByteSource
from unionlayers._image.record import ImageRecord, LayerRecord

__all__ = ["LayerFiles"]


class LayerFiles:
    """
    The store of bare layers: each file is a member by its position.

    Raises:
        OSError: A file cannot be opened.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.label = f"{len(paths)} layer tars"
        self._sources: list[FileSource] = []
        try:
            for path in paths:
                self._sources.append(FileSource(path))
        except OSError:
            self.close()
            raise

    def record(self) -> ImageRecord:
        """Give the image that the files make."""
        return ImageRecord(
            layout="layers",
            layers=tuple(
                LayerRecord(member=str(position)) for position in range(len(self._sources))
            ),
        )

    def names(self) -> Iterable[str]:
        """The positions as text."""
        return map(str, range(len(self._sources)))

    def find(self, name: str) -> ByteSource | None:
        """Give the bytes of a layer."""
        return self._sources[int(name)] if self.resolved(name) is not None else None

    def resolved(self, name: str) -> str | None:
        """Give the name itself if there is such a layer."""
        return name if name.isdigit() and int(name) < len(self._sources) else None

    def close(self) -> None:
        """Close all files."""
        for source in self._sources:
            source.close()
