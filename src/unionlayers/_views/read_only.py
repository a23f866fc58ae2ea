"""The half of PyFilesystem that an image refuses: whatever would change it."""

from __future__ import annotations

from typing import Any

from unionlayers._views._pyfilesystem import errors as fs_errors
from unionlayers._views._pyfilesystem import fs
from unionlayers._views.errors import (
    IllegalBackReference,
    InvalidCharsInPath,
    NoSysPath,
    ResourceReadOnly,
    UnsupportedHash,
)

__all__ = ["ReadOnlyFS"]


class ReadOnlyFS(fs.base.FS):
    """A filesystem of which every change raises ``ResourceReadOnly``."""

    def validatepath(self, path: str) -> str:
        """
        Normalise a path lexically.

        Raises:
            fs.errors.InvalidCharsInPath: It has a NUL byte; also a ValueError.
            fs.errors.IllegalBackReference: It climbs above the root; also a ValueError.
        """
        try:
            return str(super().validatepath(path))
        except fs_errors.InvalidCharsInPath as error:
            raise InvalidCharsInPath("a path with a NUL byte", path=path) from error
        except fs_errors.IllegalBackReference as error:
            raise IllegalBackReference("a path that climbs above the root", path=path) from error

    def getsyspath(self, path: str) -> str:
        """Raise ``NoSysPath``: nothing of an image stands on the host."""
        raise NoSysPath("nothing of an image stands on the host", path=path)

    def hash(self, path: str, name: str) -> str:
        """
        Give the hash of a file's content in hexadecimal; a link to one is followed.

        Raises:
            fs.errors.UnsupportedHash: ``hashlib`` has no algorithm of that name.
        """
        try:
            return str(super().hash(path, name))
        except fs_errors.UnsupportedHash as error:
            raise UnsupportedHash("no such hash algorithm", actual=name) from error

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

    def copy(
        self,
        src_path: str,  # noqa: ARG002
        dst_path: str,
        overwrite: bool = False,  # noqa: ARG002
        preserve_time: bool = False,  # noqa: ARG002
    ) -> None:
        """Raise ``ResourceReadOnly``."""
        self._refuse(dst_path)

    def copydir(
        self,
        src_path: str,  # noqa: ARG002
        dst_path: str,
        create: bool = False,  # noqa: ARG002
        preserve_time: bool = False,  # noqa: ARG002
    ) -> None:
        """Raise ``ResourceReadOnly``."""
        self._refuse(dst_path)

    def move(
        self,
        src_path: str,
        dst_path: str,  # noqa: ARG002
        overwrite: bool = False,  # noqa: ARG002
        preserve_time: bool = False,  # noqa: ARG002
    ) -> None:
        """Raise ``ResourceReadOnly``."""
        self._refuse(src_path)

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
