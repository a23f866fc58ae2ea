"""
How names are spelled: tar entry names, user paths, and bytes as text.

Names in tar archives are bytes; as text they are UTF-8 with surrogate escapes, so that nothing
is lost.  Entry names are cleaned lexically, as every container runtime does; paths that a user
asks for are not, because ``..`` is taken after the link before it.
"""

from __future__ import annotations

import os.path

__all__ = ["clean_entry_name", "decode", "encode", "printable", "split_path"]


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


def printable(text: str) -> str:
    r"""
    Give a name as one line that a terminal can show and nobody can take for another name.

    What is not printable is escaped, and so is the backslash: control characters, marks that turn
    the direction of writing, line ends of every kind, and bytes that are no UTF-8.

    Example:
        >>> print(printable("red\x1b[31m"), printable(b"caf\xe9".decode(errors="surrogateescape")))
        red\x1b[31m caf\xe9
    """
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    code = ord(character)
    if _ESCAPED <= code < _ESCAPED + 0x80:
        return f"\\x{code - _ESCAPED + 0x80:02x}"
    return (
        f"\\x{code:02x}"
        if code < 0x80
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


_ESCAPED = 0xDC80
"""What surrogateescape makes of the byte 0x80."""
