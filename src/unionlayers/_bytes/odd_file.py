"""What stands on disk where a file was expected, in words, and what the host cannot read."""

from __future__ import annotations

import errno
import stat

from unionlayers.errors import StoreError, UnionLayersError

__all__ = ["PUT_BACK", "kind_named", "require_readable"]

PUT_BACK = (
    "Put back what the engine had written there; what does not need it can be opened all the same"
)
_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}
# What a disk or a file system says of one file; the rest, such as EMFILE, is not the file's fault.
_UNREADABLE = {
    errno.EIO, errno.ENXIO, errno.ENODEV, errno.EBADMSG, errno.ESTALE,
    getattr(errno, "EUCLEAN", errno.EIO), getattr(errno, "EREMOTEIO", errno.EIO),
}  # fmt: skip


def kind_named(kind: int) -> str:
    """
    Name what the type bits of a mode mean.

    Example:
        >>> kind_named(stat.S_IFSOCK)
        'a socket'
    """
    return _KINDS.get(kind, "something else")


def require_readable(error: OSError, name: str, *, path: str | None = None) -> None:
    """
    Raise the error for what the host cannot read; nothing where that is no fault of the file.

    Args:
        error: What the host has said.
        name: What errors call the file.
        path: Where it is in the image, if it is a file of a layer.

    Raises:
        StoreError: The disk, or the file system, cannot give the file.

    Example:
        >>> require_readable(OSError(errno.EMFILE, "Too many open files"), "a/b")
        >>> require_readable(OSError(errno.EIO, "Input/output error"), "a/b")
        Traceback (most recent call last):
        ...
        unionlayers.errors.StoreError: this cannot be read: Input/output error (member a/b)...
    """
    if not isinstance(error, UnionLayersError) and error.errno in _UNREADABLE:
        raise StoreError(
            f"this cannot be read: {error.strerror}", path=path, member=name, hint=PUT_BACK
        ) from error
