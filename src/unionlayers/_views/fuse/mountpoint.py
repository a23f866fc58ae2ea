"""The directory that an image is mounted on: whether it can be, and how the mount is taken away."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

from unionlayers.errors import MountError

__all__ = ["Mountpoint"]

_DEVICE = Path("/dev/fuse")
_MOUNTS = Path("/proc/self/mountinfo")
_DETACH = 2  # MNT_DETACH of umount(2)
_SECONDS = 30


class Mountpoint:
    """
    A directory that exists and is empty.

    Attributes:
        path: Absolute, without links.

    Raises:
        FileNotFoundError: It is not there.
        NotADirectoryError: Something else is there.
        MountError: It is not empty, something is mounted on it, or there is no device for FUSE.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.realpath(directory))
        if self._is_mounted():
            raise MountError(
                "an image is mounted there already",
                member=str(self.path),
                actual="EBUSY",
                hint=f"Take it away with: fusermount3 -u {str(self.path)!r}",
            )
        with os.scandir(self.path) as entries:
            found = next(entries, None)
        if found is not None:
            raise MountError(
                "the directory is not empty, and a mount would hide what is in it",
                member=str(self.path),
                actual="ENOTEMPTY",
                candidates=(found.name,),
                hint="Make a new directory",
            )
        if sys.platform == "linux":
            self._check_device()

    def _check_device(self) -> None:
        try:
            os.close(os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "EIO")
            hint = (
                "Ask for access to it, or use the view without a mount: image.fs()"
                if isinstance(error, PermissionError)
                else "Load the module by `modprobe fuse`, or give it to the container: "
                "--device /dev/fuse --cap-add SYS_ADMIN"
            )
            raise MountError(
                f"there is no use of {_DEVICE}: {error.strerror}",
                member=str(self.path),
                actual=name,
                hint=hint,
            ) from error

    def _is_mounted(self) -> bool:
        """Tell whether one of our mounts is there, living or dead; Linux alone says so."""
        try:
            lines = _MOUNTS.read_bytes().splitlines()
        except OSError:
            return False
        place = _escaped(os.fsencode(self.path))
        topmost = [line for line in lines if line.split(b" ")[4] == place]
        return bool(topmost) and b" - fuse.unionlayers " in topmost[-1]

    def release(self, *, lazy: bool) -> None:
        """
        Take the mount away.

        Args:
            lazy: Take the name away at once, and the rest when nobody uses it any more.

        Raises:
            MountError: It is in use, or the host refuses.
        """
        tool = shutil.which("fusermount3") or shutil.which("fusermount")
        if sys.platform == "linux" and (os.geteuid() == 0 or tool is None):
            library = ctypes.CDLL(None, use_errno=True)
            if library.umount2(os.fsencode(self.path), _DETACH if lazy else 0) == 0:
                return
            number = ctypes.get_errno()
            raise self._refused(errno.errorcode.get(number, str(number)), os.strerror(number))
        command = ["umount"] if tool is None else [tool, "-u", *(["-z"] if lazy else [])]
        done = subprocess.run(
            [*command, "--", self.path] if tool else [*command, self.path],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=_SECONDS,
        )
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise self._refused("EBUSY" if "busy" in said.lower() else "EIO", said)

    def _refused(self, name: str, said: str) -> MountError:
        hint = None
        if name == "EBUSY":
            hint = "Close the files and leave the directories below it, or unmount lazily"
        return MountError(
            f"the mount cannot be taken away: {said}",
            member=str(self.path),
            actual=name,
            hint=hint,
        )


def _escaped(path: bytes) -> bytes:
    """Spell a path as the kernel does where blanks part what stands in a line."""
    for byte in b"\\ \t\n":
        path = path.replace(bytes([byte]), b"\\%03o" % byte)
    return path
