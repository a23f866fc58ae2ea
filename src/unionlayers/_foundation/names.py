"""
How names are spelled: tar entry names, user paths, and bytes as text.

Names in tar archives are bytes; as text they are UTF-8 with surrogate escapes, so that nothing
is lost.  Entry names are cleaned lexically, as every container runtime does; paths that a user
asks for are not, because ``..`` is taken after the link before it.
"""

from __future__ import annotations

import os.path

__all__ = ["clean_entry_name", "decode", "encode", "split_path"]


def decode(raw: bytes) -> str:
    """Give bytes of a name as text; bytes that are not UTF-8 come as surrogate escapes."""
    return raw.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Give text of a name as bytes again."""
    return text.encode("utf-8", "surrogateescape")


def clean_entry_name(raw: bytes) -> tuple[bytes, bool]:
    """
    Give the path of a tar entry relative to the root, and whether its name climbed above it.

    Leading ``/`` and ``./``, repeated and trailing slashes are dropped and ``..`` is taken
    lexically and stops at the root; the root itself is the empty path.

    Source:
        What Docker, containerd, Podman and umoci show (cases G1 to G3).

    Example:
        >>> clean_entry_name(b"./usr//bin/"), clean_entry_name(b"../up")
        ((b'usr/bin', False), (b'up', True))
    """
    if b"/." not in raw and b"//" not in raw and raw[:1] not in (b"/", b"."):
        return (raw[:-1] if raw[-1:] == b"/" else raw), False
    kept: list[bytes] = []
    climbed = False
    for part in raw.split(b"/"):
        if part in (b"", b"."):
            continue
        if part != b"..":
            kept.append(part)
        elif kept:
            kept.pop()
        else:
            climbed = True
    return b"/".join(kept), climbed


def split_path(path: str) -> list[str]:
    """
    Split a path that a user asks for into its components, ``..`` kept, ``.`` and ``""`` dropped.

    A trailing slash or dot is kept as a final ``"."``: the last component must be a directory.

    Example:
        >>> split_path("/usr/../etc//passwd"), split_path("/etc/")
        (['usr', '..', 'etc', 'passwd'], ['etc', '.'])
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if parts and path.endswith(("/", "/.")) and parts[-1] != "..":
        parts.append(os.path.curdir)
    return parts
