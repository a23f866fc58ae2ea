"""
What stands in a directory on disk: everything a tar entry would say of it, no link followed.

Overlay file systems keep what they need to know in extended attributes of their own and in
character devices 0:0.  Here the two are told apart from what belongs to the image.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from unionlayers._bytes.assembled import Remark, state_of
from unionlayers._bytes.odd_file import require_readable
from unionlayers._bytes.rooted import RootedFolder, denied, in_first_namespace
from unionlayers._foundation.limits import Limits, exceeded
from unionlayers._foundation.names import decode
from unionlayers._tar.id_map import OVERFLOW, SAME, Owners
from unionlayers._tar.overlay_marks import OverlayMarks, Override, parse_override
from unionlayers._tar.synthesis import Facts
from unionlayers.errors import SourceChangedError, StoreError, UnsupportedError

__all__ = ["DiskEntry", "DiskReader", "sees_trusted"]

_PROC = "/proc/self/fd"
_REFUSED = {
    b"metacopy": "overlayfs keeps only the metadata of this file here, its content beneath",
    b"redirect": "overlayfs has moved this directory, and its content is beneath by another name",
}
_OVERRIDE = b"user.containers.override_stat"
# The label of the file on this host, not one of the image; containers/storage leaves it out too.
_OF_THE_HOST = b"security.selinux"
_OPAQUE = (b"trusted.overlay.opaque", b"user.overlay.opaque", b"user.fuseoverlayfs.opaque")
_CAP_SYS_ADMIN = 21
_NO_XATTRS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@frozen
class DiskEntry:
    """
    One name of a directory.

    Attributes:
        facts: What a tar entry would say.
        inode: Device and inode number on this host.
        links: How many names the inode has on this host.
        blocks: Bytes that are allocated.
        state: What `state_of` gives for it.
        marks: What overlay keeps of it, by the name behind the prefix.
    """

    facts: Facts
    inode: tuple[int, int]
    links: int
    blocks: int
    state: int
    marks: dict[bytes, bytes]

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.facts.mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.facts.mode)

    @property
    def is_whiteout(self) -> bool:
        """Whether it is a character device 0:0, which overlayfs writes for a deleted name."""
        return stat.S_ISCHR(self.facts.mode) and self.facts.device == (0, 0)


class DiskReader:
    """
    Reads the entries of one folder.

    Args:
        folder: The folder.
        marks: Which marks of an overlay count.
        limits: Bounds on entries and depth.
        owners: Who owns what in the container.

    Raises:
        UnsupportedError: The platform has no extended attributes, or no ``/proc``.
    """

    def __init__(
        self, folder: RootedFolder, marks: OverlayMarks, limits: Limits, owners: Owners = SAME
    ) -> None:
        if not hasattr(os, "listxattr") or not Path(_PROC).is_dir():
            raise UnsupportedError(
                "attributes of files can only be read on Linux, with /proc mounted",
                member=folder.name,
            )
        self.folder = folder
        self._remarks: list[Remark] = []
        self._prefixes = marks.prefixes
        self._marks = marks
        self._owners = owners
        # The attribute by which the layer says owners and modes, known once its root was met.
        self._override: bytes | None = None
        # The first path whose owner has no id in the container, its owner, and how many there are.
        self._unmapped: tuple[bytes, str] | None = None
        self._unmapped_count = 0
        self._limits = limits
        self._count = 0

    def children(
        self, path: bytes, inode: tuple[int, int] | None
    ) -> Iterator[tuple[bytes, DiskEntry]]:
        """
        Give, one by one, name and entry of all children of a directory, in byte order.

        Sockets are left out.

        Args:
            path: The directory in the folder.
            inode: What it was when it was met, None if that is not known.

        Raises:
            SourceAccessError: The user may not list it.
            SourceChangedError: It is another one by now.
            StoreError: An attribute that says the owner of a child is none, or the host cannot
                read the directory.
            UnsupportedError: A child has metacopy or redirect, or its owner is not known.
            LimitError: There are too many entries, or they lie too deep.
        """
        if path.count(b"/") >= self._limits.depth:
            exceeded("depth", self._limits.depth, path.count(b"/") + 1)
        try:
            descriptor = self.folder.open_folder(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._changed(path) from error
        try:
            seen = os.fstat(descriptor)
            if inode is not None and (seen.st_dev, seen.st_ino) != inode:
                raise self._changed(path)
            names: list[bytes] = []
            with os.scandir(descriptor) as found:
                for item in found:
                    self._count += 1
                    if self._count > self._limits.entries:
                        exceeded("entries", self._limits.entries, self._count)
                    names.append(os.fsencode(item.name))
            names.sort()
            for name in names:
                below = path + b"/" + name if path else name
                entry = self._entry(descriptor, name, below)
                if entry is not None:
                    yield name, entry
        except OSError as error:
            require_readable(error, self.folder.called(path), path="/" + decode(path))
            raise
        finally:
            os.close(descriptor)

    def root(self) -> DiskEntry:
        """Give the entry of the folder itself; raises like `children`."""
        descriptor = self.folder.open_folder(b"")
        try:
            entry = self._entry(descriptor, b".", b"")
        finally:
            os.close(descriptor)
        if entry is None:
            raise self._changed(b"")
        return entry

    @property
    def remarks(self) -> list[Remark]:
        """What was odd, in the order it was met."""
        if self._unmapped is None:
            return self._remarks
        path, owner = self._unmapped
        more = self._unmapped_count - 1
        message = (
            f"the owner {owner} on the disk has no id in the user namespace; {OVERFLOW} is shown, "
            "as the kernel does" + (f", and so it is for {more} more paths" if more else "")
        )
        return [*self._remarks, ("OWNER_UNMAPPED", "/" + decode(path), message, None)]

    def remark(self, code: str, path: bytes, message: str, case: str | None = None) -> None:
        """Note that something is odd."""
        self._remarks.append((code, "/" + decode(path), message, case))

    def _entry(self, descriptor: int, name: bytes, path: bytes) -> DiskEntry | None:
        try:
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            link = b""
            if stat.S_ISLNK(found.st_mode):
                link = os.readlink(name, dir_fd=descriptor)
            elif stat.S_ISSOCK(found.st_mode):
                self.remark("SOCKET_SKIPPED", path, "a socket, which no layer can hold", "I6")
                return None
            xattrs, marks, overrides = self._xattrs(
                b"%b/%d/%b" % (_PROC.encode(), descriptor, name), path
            )
        except FileNotFoundError as error:
            raise self._changed(path) from error
        except PermissionError as error:
            raise denied(error, self.folder.called(path)) from error
        except OSError as error:
            require_readable(error, self.folder.called(path), path="/" + decode(path))
            raise
        if not path:
            held = (item for item in self._marks.overrides if item in overrides)
            self._override = next(held, None)
        override = None
        if self._override is not None and self._override in overrides:
            override = self._read_override(overrides[self._override], found.st_mode, path)
        mode = found.st_mode
        device = (os.major(found.st_rdev), os.minor(found.st_rdev))
        if override is None:
            uid, gid = self._owner(found, path)
        else:
            uid, gid = override.uid, override.gid
            mode = (override.kind or stat.S_IFMT(mode)) | override.mode
            device = override.device if override.kind is not None else device
        if stat.S_ISSOCK(mode):
            self.remark("SOCKET_SKIPPED", path, "a socket, which no layer can hold", "I6")
            return None
        return DiskEntry(
            facts=Facts(
                mode=mode,
                uid=uid,
                gid=gid,
                size=found.st_size if stat.S_ISREG(mode) else 0,
                mtime_ns=found.st_mtime_ns,
                device=device,
                link=link,
                xattrs=xattrs,
            ),
            inode=(found.st_dev, found.st_ino),
            links=found.st_nlink,
            blocks=found.st_blocks * 512,
            state=state_of(
                found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
            ),
            marks=marks,
        )

    def _owner(self, found: os.stat_result, path: bytes) -> tuple[int, int]:
        """Give user and group of an entry in the container."""
        uid = self._owners.users.inside(found.st_uid)
        gid = self._owners.groups.inside(found.st_gid)
        if uid is not None and gid is not None:
            return uid, gid
        owner = f"{found.st_uid}:{found.st_gid}"
        # A whiteout has no owner that anybody sees.
        if stat.S_ISCHR(found.st_mode) and not found.st_rdev:
            return 0, 0
        if not self._owners.whole:
            raise UnsupportedError(
                "the store is of a user namespace, and which of its users owns this is recorded "
                "nowhere",
                path="/" + decode(path),
                member=self.folder.called(path),
                actual=owner,
                hint="Read it inside of that namespace, as podman unshare or rootlesskit enter it; "
                "or commit the container with its engine, and open the image",
            )
        self._unmapped_count += 1
        if self._unmapped is None:
            self._unmapped = path, owner
        return OVERFLOW if uid is None else uid, OVERFLOW if gid is None else gid

    def _read_override(self, value: bytes, mode: int, path: bytes) -> Override:
        override = parse_override(value)
        kind = None if override is None else override.kind
        # What the user could not make stands as an empty file; all else as what it is.
        made = kind in (None, stat.S_IFMT(mode)) or (
            stat.S_ISREG(mode) and kind not in (stat.S_IFDIR, stat.S_IFLNK)
        )
        if override is None or not made:
            raise StoreError(
                "an attribute that should say owner and mode of the file does not",
                path="/" + decode(path),
                member=self.folder.called(path),
                expected="uid:gid:mode[:type]",
                actual=value[:100].decode("ascii", "backslashreplace"),
            )
        return override

    def _xattrs(
        self, where: bytes, path: bytes
    ) -> tuple[tuple[tuple[bytes, bytes], ...], dict[bytes, bytes], dict[bytes, bytes]]:
        """Give the attributes of the image, the marks of overlay, and what says owners by name."""
        try:
            names = os.listxattr(where, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NO_XATTRS:
                return (), {}, {}
            raise
        if not names:
            return (), {}, {}
        shown: list[tuple[bytes, bytes]] = []
        marks: dict[bytes, bytes] = {}
        overrides: dict[bytes, bytes] = {}
        for name in sorted(map(os.fsencode, names)):
            if name == _OF_THE_HOST:
                continue
            prefix = next((item for item in self._prefixes if name.startswith(item)), None)
            mark = b"" if prefix is None else name[len(prefix) :]
            self._refuse(name, mark, path)
            if b"=" in name or b"\n" in name:
                self.remark("XATTR_SKIPPED", path, f"no tar can hold the name {decode(name)!a}")
                continue
            try:
                value = os.getxattr(where, name, follow_symlinks=False)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EPERM, errno.ENODATA):
                    raise
                # To read user.* takes the right to read the file, to list its name does not.
                self.remark("XATTR_UNREADABLE", path, f"the user may not read {decode(name)!a}")
                continue
            if name in self._marks.overrides:
                overrides[name] = value
            elif prefix is None:
                shown.append((name, value))
                if name in _OPAQUE and self._prefixes and value in (b"x", b"y"):
                    self.remark(
                        "OVERLAY_MARK_IGNORED",
                        path,
                        f"{decode(name)} hides nothing in a directory of this owner",
                    )
            elif mark.startswith(b"overlay."):
                # An overlay within an overlay: the outer one escapes what the inner one keeps.
                shown.append((prefix + mark[len(b"overlay.") :], value))
            else:
                marks.setdefault(mark, value)
        return tuple(sorted(shown)), marks, overrides

    def _refuse(self, name: bytes, mark: bytes, path: bytes) -> None:
        reason = _REFUSED.get(mark)
        if name == _OVERRIDE and self._prefixes and not self._marks.fuse:
            reason = "owner and mode of this file are kept in an attribute"
        if reason is not None:
            raise UnsupportedError(
                f"{reason}: {decode(name)}",
                path="/" + decode(path),
                member=self.folder.called(path),
                actual=decode(name),
                hint="Save the image or commit the container with its engine, and open that",
            )

    def _changed(self, path: bytes) -> SourceChangedError:
        return SourceChangedError(
            "a directory of the store was changed while it was read",
            member=self.folder.called(path),
        )


def sees_trusted() -> bool:
    """
    Tell whether this process is shown attributes whose names begin with ``trusted.``.

    Source:
        xattr(7): CAP_SYS_ADMIN in the first user namespace; without it they are left out of the
        list, and nothing tells that they are.
    """
    try:
        status = Path("/proc/self/status").read_bytes()
    except OSError:
        return False
    effective = status.partition(b"CapEff:")[2].split(maxsplit=1)
    return bool(int(effective[0], 16) >> _CAP_SYS_ADMIN & 1) and in_first_namespace()
