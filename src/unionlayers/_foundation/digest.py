"""
Digests as the OCI specification spells them.

A digest is a plain ``str``, ``algorithm:hex``, checked before it touches a path
(CVE-2024-3727 is what happens otherwise).
"""

from __future__ import annotations

import hashlib
import re
from typing import Protocol

from unionlayers.errors import UnsupportedError

__all__ = ["Hasher", "chain_id", "digest_of", "hasher_for", "is_digest"]

_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128, "blake3": 64}
_LONGEST = max(len(name) + 1 + length for name, length in _LENGTHS.items())
_GRAMMAR = re.compile(r"([a-z0-9]+(?:[.+_-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)\Z")
_HEX = re.compile(r"[0-9a-f]+\Z")


class Hasher(Protocol):
    """What is needed of a running hash."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more bytes."""

    def hexdigest(self) -> str:
        """Give the digest so far, in lower-case hexadecimal."""


def is_digest(text: object) -> bool:
    """
    Tell whether *text* is a digest of a registered algorithm in canonical form.

    Spec:
        OCI image-spec v1.1, descriptor.md, "Digests".

    Example:
        >>> is_digest("sha256:" + "0" * 64), is_digest("sha256:../../etc")
        (True, False)
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        return False
    match = _GRAMMAR.match(text)
    if match is None:
        return False
    algorithm, encoded = match.groups()
    length = _LENGTHS.get(algorithm)
    return length == len(encoded) and _HEX.match(encoded) is not None


def hasher_for(digest: str) -> Hasher:
    """
    Give a fresh hash of the algorithm that *digest* names.

    Raises:
        UnsupportedError: The algorithm is registered and not computed here, as blake3 is.
    """
    algorithm = digest.partition(":")[0]
    try:
        return hashlib.new(algorithm, usedforsecurity=False)
    except ValueError as error:
        raise UnsupportedError(
            f"digests of {algorithm} are not computed here",
            expected=digest,
            hint="Pass verify=False to read it unchecked",
        ) from error


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """
    Give the digest of *data*.

    Example:
        >>> digest_of(b"")[:20]
        'sha256:e3b0c44298fc1'
    """
    hasher = hasher_for(algorithm)
    hasher.update(data)
    return f"{algorithm}:{hasher.hexdigest()}"


def chain_id(parent: str | None, diff_id: str) -> str:
    """
    Give the ChainID of a layer from that of the layer beneath it, None for the base.

    Spec:
        OCI image-spec v1.1, config.md, "Layer ChainID".
    """
    if parent is None:
        return diff_id
    return digest_of(f"{parent} {diff_id}".encode())
