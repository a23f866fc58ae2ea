"""The half of PyFilesystem that an image refuses: whatever would change it."""

from __future__ import annotations

from typing import Any

from unionlayers._views._pyfilesystem import errors as fs_errors
from unionlayers._views._pyfilesystem import fs
from unionlayers._views.errors import InvalidCharsInPath, ResourceReadOnly

__all__ = ["ReadOnlyFS"]


class ReadOnlyFS(fs.base.FS):
    """A filesystem of which every change raises ``ResourceReadOnly``."""

    def validatepath(self, path: str) -> str:
        """
        Normalise a path lexically.

        Raises:
            fs.errors.InvalidCharsInPath: It has a NUL byte; also a ValueError.
        """
        try:
            return str(super().validatepath(path))
        except fs_errors.InvalidCharsInPath as error:
            raise InvalidCharsInPath("a path with a NUL byte", path=path) from error

    def makedir(self, path: str, permissions: Any = None, recreate: bool = False) -> Any:  # noqa: ARG002
        """Raise ``ResourceReadOnly``."""
        self._refuse(path)

    def makedirs(self, path: str, permissions: Any = None, recreate: bool = False) -> Any:  # noqa: ARG002
        """Raise ``ResourceReadOnly``."""
        self._refuse(path)

    def remove(self, path: str) -> None:
        """Raise ``ResourceReadOnly``."""
        self._refuse(path)

    def removedir(self, path: str) -> None:
        """Raise ``ResourceReadOnly``."""
        self._refuse(path)

    def removetree(self, dir_path: str) -> None:
        """Raise ``ResourceReadOnly``."""
        self._refuse(dir_path)

    def setinfo(self, path: str, info: Any) -> None:  # noqa: ARG002
        """Raise ``ResourceReadOnly``."""
        self._refuse(path)

    def movedir(
        self,
        src_path: str,
        dst_path: str,  # noqa: ARG002
        create: bool = False,  # noqa: ARG002
        preserve_time: bool = False,  # noqa: ARG002
    ) -> None:
        """Raise ``ResourceReadOnly``."""
        self._refuse(src_path)

    def _refuse(self, path: str) -> None:
        self.check()
        raise ResourceReadOnly("an image is read-only", path=path)
