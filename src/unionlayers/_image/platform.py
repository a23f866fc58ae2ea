"""
Platforms as text, ``os/architecture[/variant]``, in the canonical form of containerd.

Aliases are folded (``x86_64`` is ``amd64``, ``aarch64`` is ``arm64``); the variant that an
architecture has anyway is kept when the image states it.
"""

from __future__ import annotations

import re

from attrs import frozen

from unionlayers._image.document import Document

__all__ = ["Wanted", "canonical_platform", "platform_of", "platform_rank", "version_of", "wanted"]

_ARCHITECTURES = {
    "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386",
    "armhf": "arm/v7", "armel": "arm/v6", "macos": "darwin",
}  # fmt: skip
_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7", "amd64": "v1"}
# Of one config, which thousands of manifests may share; nothing that runs is called longer.
_LONGEST = 255
_VERSION = re.compile(r"(?P<os>[^/()]+)\((?P<version>[^/()]+)\)(?P<rest>.*)\Z", re.DOTALL)


@frozen
class Wanted:
    """
    A platform as it is asked for.

    Attributes:
        platform: In canonical form.
        version: The version of the operating system, or the beginning of it; None for any.
        exact: Whether the variant must be this one, not one that it also runs.
    """

    platform: str
    version: str | None
    exact: bool

    def rank(self, platform: str | None, version: str | None) -> int | None:
        """Tell how well an image serves; None if it does not, 0 is the best."""
        if self.version is not None and version != self.version:
            parts = self.version.split(".")
            if (version or "").split(".")[: len(parts)] != parts:
                return None
        rank = platform_rank(self.platform, platform)
        return None if self.exact and rank else rank


def wanted(text: str) -> Wanted:
    """
    Read a platform that is asked for: ``[=]os[(version)]/architecture[/variant]``.

    Raises:
        ValueError: It is none.

    Example:
        >>> wanted("=linux/arm/v7").exact, wanted("windows(10.0.17763)/amd64").version
        (True, '10.0.17763')
    """
    exact = text.startswith("=")
    bare = text.removeprefix("=")
    match = _VERSION.match(bare)
    version = match["version"] if match else None
    platform = canonical_platform(match["os"] + match["rest"] if match else bare)
    return Wanted(platform, version, exact)


def canonical_platform(text: str) -> str:
    """
    Fold the aliases in a platform.

    Raises:
        ValueError: It has more than three parts or an empty one.

    Example:
        >>> canonical_platform("linux/x86_64"), canonical_platform("linux/arm64/v8")
        ('linux/amd64', 'linux/arm64/v8')
    """
    parts = text.strip().lower().split("/")
    if len(parts) == 1:
        parts.insert(0, "linux")
    if len(parts) == 2:
        parts[1:] = _ARCHITECTURES.get(parts[1], parts[1]).split("/")
    if len(parts) > 3 or not all(parts):
        raise ValueError(f"not a platform: {text!r}; write os/architecture or os/arch/variant")
    parts[1] = _ARCHITECTURES.get(parts[1], parts[1])
    return "/".join(parts)


def platform_of(document: Document) -> str | None:
    """
    Give the platform that a descriptor's ``platform`` or a config states; None where it has none.

    Raises:
        DocumentError: A part of it is no text, or has more than 255 characters.

    Spec:
        OCI image-spec v1.1, image-index.md and config.md, "Properties".
    """
    if document.value is None:
        return None
    system = _part(document, "os")
    architecture = _part(document, "architecture")
    if not system or not architecture:
        return None
    variant = _part(document, "variant")
    parts = [system, architecture, variant] if variant else [system, architecture]
    if len(parts) == 2:
        parts[1:] = _ARCHITECTURES.get(architecture, architecture).split("/")
    return "/".join(part.lower() for part in parts)


def version_of(document: Document) -> str | None:
    """Give the ``os.version`` of a descriptor's platform or a config, as Windows images have it."""
    return _part(document, "os.version") if document.value is not None else None


def _part(document: Document, name: str) -> str | None:
    part = document.at(name)
    text = part.text()
    if text is not None and len(text) > _LONGEST:
        raise part.wrong(f"a part of a platform, which has at most {_LONGEST} characters")
    return text


def platform_rank(wanted: str, found: str | None) -> int | None:
    """
    Tell how well an image's platform serves a wanted one; None if it does not, 0 is the best.

    ``arm/v7`` also takes ``v6`` and ``v5``, the nearest first; ``amd64/v3`` and ``arm64/v9`` take
    lower levels.  Another architecture never serves, though a machine might run it.

    Source:
        containerd's platforms package.
    """
    if found is None:
        return None
    want, have = wanted.split("/"), found.split("/")
    if want[:2] != have[:2]:
        return None
    default = _DEFAULT_VARIANTS.get(want[1], "")
    want_variant = want[2] if len(want) > 2 else default
    have_variant = have[2] if len(have) > 2 else default
    if want_variant == have_variant:
        return 0
    if want[1] in _DEFAULT_VARIANTS:
        try:
            distance = int(want_variant.lstrip("v")) - int(have_variant.lstrip("v"))
        except ValueError:
            return None
        if distance > 0:
            return distance
    return None
