"""How an overlay file system says in its upper directories what is hidden, and who owns what."""

from __future__ import annotations

import re
import stat

from attrs import frozen

__all__ = ["FUSE", "PREFIX", "OverlayMarks", "Override", "marks_of", "parse_override"]

PREFIX = b".wh."
"""What the name of a whiteout begins with, where a whiteout is a file."""


@frozen
class OverlayMarks:
    """
    Which marks count in a directory.

    Attributes:
        prefixes: Prefixes of the attributes that the overlay keeps for itself; the first that has
            a mark holds.
        fuse: Whether fuse-overlayfs has written it: then files ``.wh.NAME`` are whiteouts, the
            root of a layer may be opaque too, and attributes may say owner and mode.
        overrides: The attributes that may do so, the first that the root of the layer has counts.
    """

    prefixes: tuple[bytes, ...] = ()
    fuse: bool = False
    overrides: tuple[bytes, ...] = ()


_ROOTFUL = OverlayMarks((b"trusted.overlay.",))
# What overlayfs mounted with userxattr writes, and fuse-overlayfs.
_ROOTLESS = OverlayMarks((b"user.overlay.", b"user.fuseoverlayfs."))

FUSE = OverlayMarks(
    (
        b"trusted.overlay.",
        b"user.overlay.",
        b"user.fuseoverlayfs.",
        b"user.containers.",
        b"security.fuseoverlayfs.",
    ),
    fuse=True,
    overrides=(
        b"security.fuseoverlayfs.override_stat",
        b"user.containers.override_stat",
        b"user.fuseoverlayfs.override_stat",
    ),
)
"""
The marks of fuse-overlayfs, which lets no process in a container write its own.

But for ``user.overlay.opaque``, which it then takes for a mark all the same.

Source:
    fuse-overlayfs 1.10, as it was seen to behave on directories made for that.
"""


def marks_of(*, of_root: bool) -> OverlayMarks:
    """
    Give the marks by which the kernel's overlay marks directories of root, or of others.

    For root these are ``trusted.overlay.*``, and ``user.overlay.*`` is whatever a process in a
    container likes to write; for anybody else it is the other way round.

    Source:
        Linux, Documentation/filesystems/overlayfs.rst, "User xattr".
    """
    return _ROOTFUL if of_root else _ROOTLESS


@frozen
class Override:
    """
    Owner and mode that stand in an attribute, because the user may not set them.

    Attributes:
        uid: Owner in the container.
        gid: Group in the container.
        mode: Permission bits.
        kind: Type bits, None for those of the file itself.
        device: Major and minor number.
    """

    uid: int
    gid: int
    mode: int
    kind: int | None = None
    device: tuple[int, int] = (0, 0)


_OVERRIDE = re.compile(
    rb"(\d{1,10}):(\d{1,10}):([0-7]{1,7})(?::(file|dir|symlink|pipe|socket|(?:block|char)-\d+-\d+))?\0?\Z"
)
_KINDS = {
    b"file": stat.S_IFREG,
    b"dir": stat.S_IFDIR,
    b"symlink": stat.S_IFLNK,
    b"pipe": stat.S_IFIFO,
    b"socket": stat.S_IFSOCK,
    b"block": stat.S_IFBLK,
    b"char": stat.S_IFCHR,
}


def parse_override(value: bytes) -> Override | None:
    """
    Read ``uid:gid:mode[:type]``, the mode octal; None for anything else.

    Source:
        containers/storage, ``pkg/idtools``, ContainersOverrideXattr; fuse-overlayfs 1.10.

    Example:
        >>> parse_override(b"5:6:104711")
        Override(uid=5, gid=6, mode=2505, kind=None, device=(0, 0))
        >>> parse_override(b"0:0:0666:char-1-3").device
        (1, 3)
    """
    found = _OVERRIDE.match(value)
    if found is None:
        return None
    uid, gid, mode = int(found[1]), int(found[2]), int(found[3], 8)
    if max(uid, gid) >= 1 << 32:
        return None
    if found[4] is None:
        return Override(uid, gid, stat.S_IMODE(mode))
    name, _, numbers = found[4].partition(b"-")
    major, _, minor = numbers.partition(b"-")
    if max(len(major), len(minor)) > 10:
        return None
    device = (int(major), int(minor)) if numbers else (0, 0)
    return Override(uid, gid, stat.S_IMODE(mode), _KINDS[name], device)
