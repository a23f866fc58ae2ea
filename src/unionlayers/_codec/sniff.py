"""
Which codec a blob is compressed with, told by its first bytes.

Media types and file names are claims (case K1); the magic bytes are what every runtime that was
looked at goes by.
"""

from __future__ import annotations

import re

__all__ = ["CODECS", "SNIFF_BYTES", "sniff"]

CODECS = ("identity", "gzip", "zstd", "xz", "bzip2")
"""The names that `sniff` gives and that the rest of this room takes."""

SNIFF_BYTES = 16
"""How many bytes `sniff` needs; fewer will do if the blob has no more."""

_MAGIC = (
    # The third byte is the method; nothing but deflate was ever defined.
    ("gzip", re.compile(rb"\x1f\x8b\x08")),
    # A zstd stream may begin with a skippable frame: zstd:chunked and pzstd write them.
    ("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")),
    ("xz", re.compile(rb"\xfd7zXZ\x00")),
    # The block magic after the level: "BZh" alone could be the name of a tar entry.
    ("bzip2", re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")),
)


def sniff(head: bytes) -> str:
    """
    Tell the codec of a blob from its first `SNIFF_BYTES` bytes.

    Returns:
        One of `CODECS`; ``"identity"`` where no magic fits, which says nothing about the bytes.

    Spec:
        RFC 1952 section 2.3, RFC 8878 section 3.1, the .xz file format 2.1.1.1.

    Example:
        >>> sniff(bytes.fromhex("1f8b0800")), sniff(b"etc/passwd")
        ('gzip', 'identity')
    """
    for codec, magic in _MAGIC:
        if magic.match(head):
            return codec
    return "identity"
