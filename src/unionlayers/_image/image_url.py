"""
The URL of a filesystem in an image: where the archive is, which image is meant, and a path in it.

::

    layers:///srv/app.tar?ref=app:1&platform=linux/arm64!/etc/os-release
    scheme    source      parameters                    path inside

The first ``!`` parts the path inside from the rest, and the first ``?`` before it the parameters.
Everything is quoted as in any URL (RFC 3986), once, and bytes that are not UTF-8 as they are.
``@`` means nothing when it is read, for an image needs no password; it is written as ``%40`` all
the same, because PyFilesystem takes what stands before it for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from attrs import field, frozen

from unionlayers._foundation.names import decode, encode
from unionlayers.errors import InvalidURLError

__all__ = ["SCHEMES", "ImageURL"]

SCHEMES = ("layers", "docker-archive", "oci", "oci-archive")
"""Whatever is there; then what the transports of containers/image are called."""

_INTEGER = re.compile(r"-?[0-9]{1,9}\Z")
_SLICE = re.compile(r"(-?[0-9]{1,9})?:(-?[0-9]{1,9})?(?::(-?[0-9]{1,9})?)?\Z")
_SAFE_SOURCE = "/:,;=~+-._"
_SAFE_VALUE = "/:,+~-._"
_SAFE_PATH = "/:,;=+~-._$"


@frozen(kw_only=True)
class ImageURL:
    """
    The parts of a URL, not quoted.

    Attributes:
        scheme: One of `SCHEMES`.
        source: Path of the archive or folder, as text.
        reference: Which image (``ref``), None for the only one.
        platform: For which platform (``platform``), None for the only one.
        profile: Name of a preset (``profile``), None for the default.
        layers: A slice or indexes (``layers``), None for all.
        on_invalid: ``"error"`` or ``"warn"`` (``on_invalid``).
        missing: ``"error"`` or ``"skip"`` (``missing``).
        verify: Whether digests are compared (``verify``, ``yes`` or ``no``).
        inner: Path inside the image, None where the URL has none.

    Example:
        >>> url = ImageURL.parsed("oci:///srv/a%20b?ref=app@sha256:0123&layers=0,2!/etc")
        >>> url.source, url.reference, url.layers, url.inner
        ('/srv/a b', 'app@sha256:0123', (0, 2), '/etc')
        >>> str(url)
        'oci:///srv/a%20b?ref=app%40sha256:0123&layers=0,2!/etc'
    """

    scheme: str
    source: str
    reference: str | None = None
    platform: str | None = None
    profile: str | None = None
    layers: slice | tuple[int, ...] | None = field(default=None)
    on_invalid: str = "error"
    missing: str = "error"
    verify: bool = True
    inner: str | None = None

    @classmethod
    def parsed(cls, text: str) -> ImageURL:
        """
        Take a URL apart.

        Raises:
            InvalidURLError: A scheme or parameter that is not known, with those that are; one
                that stands twice; a value that says nothing; no source; a NUL.
        """
        scheme, found, rest = text.partition("://")
        if not found or scheme not in SCHEMES:
            raise InvalidURLError(
                "no scheme of an image", actual=scheme if found else text, candidates=SCHEMES
            )
        place, has_inner, inner = rest.partition("!")
        source, _, query = place.partition("?")
        values: dict[str, Any] = {}
        for part in query.split("&") if query else ():
            name, equals, value = part.partition("=")
            name = _unquoted(name, text)
            known = _PARAMETERS.get(name)
            if known is None:
                raise InvalidURLError(
                    "no parameter of an image's URL", actual=name, candidates=tuple(_PARAMETERS)
                )
            attribute, read = known
            if attribute in values:
                raise InvalidURLError("a parameter stands twice", actual=name)
            said = _unquoted(value, text)
            if not equals or (not said and name != "layers"):
                raise InvalidURLError("a parameter without a value", actual=name)
            values[attribute] = said if read is None else read(name, said)
        if not source:
            raise InvalidURLError(
                "the URL names no archive",
                actual=text,
                hint=f"Write {scheme}:///absolute/path or {scheme}://relative/path",
            )
        return cls(
            scheme=scheme,
            source=_unquoted(source, text),
            inner=_unquoted(inner, text) if has_inner and inner else None,
            **values,
        )

    def __str__(self) -> str:
        """Spell the URL, quoted, without what is the default."""
        said = [
            ("ref", self.reference),
            ("platform", self.platform),
            ("profile", self.profile),
            ("layers", None if self.layers is None else _spelled(self.layers)),
            ("on_invalid", None if self.on_invalid == "error" else self.on_invalid),
            ("missing", None if self.missing == "error" else self.missing),
            ("verify", None if self.verify else "no"),
        ]
        query = "&".join(
            f"{name}={quote(encode(value), safe=_SAFE_VALUE)}"
            for name, value in said
            if value is not None
        )
        return (
            f"{self.scheme}://{quote(encode(self.source), safe=_SAFE_SOURCE)}"
            + (f"?{query}" if query else "")
            + ("" if self.inner is None else f"!{quote(encode(self.inner), safe=_SAFE_PATH)}")
        )


def _unquoted(text: str, url: str) -> str:
    raw = unquote_to_bytes(encode(text))
    if b"\0" in raw:
        raise InvalidURLError("a NUL in a URL", actual=url)
    return decode(raw)


def _one_of(*words: str) -> Callable[[str, str], str]:
    def read(name: str, value: str) -> str:
        if value not in words:
            raise InvalidURLError(
                f"no value of the parameter {name}", actual=value, candidates=words
            )
        return value

    return read


def _truth(name: str, value: str) -> bool:
    return _one_of("yes", "no")(name, value) == "yes"


def _choice(name: str, value: str) -> slice | tuple[int, ...]:
    """Read ``0,2,-1`` or a slice such as ``:3``; an empty text is no layer."""
    parts = value.split(",") if value else []
    if all(_INTEGER.match(part) for part in parts):
        return tuple(int(part) for part in parts)
    match = _SLICE.match(value)
    if match is None or match[3] in ("0", "-0"):
        raise InvalidURLError(
            f"no value of the parameter {name}",
            actual=value,
            hint="Write indexes such as 0,2 or a slice such as :3; the base is 0",
        )
    return slice(*(None if part is None else int(part) for part in match.groups()))


def _spelled(layers: slice | tuple[int, ...]) -> str:
    if not isinstance(layers, slice):
        return ",".join(map(str, layers))
    ends = [layers.start, layers.stop, *([layers.step] if layers.step is not None else [])]
    return ":".join("" if end is None else str(end) for end in ends)


# What each is called, and how it is read; text is taken as it is.
_PARAMETERS: dict[str, tuple[str, Callable[[str, str], Any] | None]] = {
    "ref": ("reference", None),
    "platform": ("platform", None),
    "profile": ("profile", None),
    "layers": ("layers", _choice),
    "on_invalid": ("on_invalid", _one_of("error", "warn")),
    "missing": ("missing", _one_of("error", "skip")),
    "verify": ("verify", _truth),
}
